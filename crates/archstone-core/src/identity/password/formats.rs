//! The formats of stored hashes, as passlib defined them and Python Keystone 30 writes them.

use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{NO_PAD, STANDARD};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha_crypt::{PasswordHashRef, PasswordVerifier as _, ShaCrypt};
use zeroize::Zeroizing;

use super::BCRYPT_SHA256_MIN_ROUNDS;

/// passlib's shortened base64: the standard alphabet without padding.
const SHORT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);
const BCRYPT_BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::BCRYPT, NO_PAD);

const SCRYPT_MAX_MEMORY: u64 = 1 << 30;

/// Parameters of scrypt, with a bound on the memory that they ask for.
#[derive(Debug, Clone, Copy)]
pub(super) struct ScryptParams {
    log_n: u8,
    r: u32,
    p: u32,
}

impl ScryptParams {
    /// `None` for what scrypt excludes and for more than 1 GiB of memory.
    pub(super) fn new(log_n: u8, r: u32, p: u32) -> Option<Self> {
        scrypt::Params::new(log_n, r, p).ok()?;
        let blocks = 1_u64.checked_shl(log_n.into())?.checked_add(p.into())?;
        let memory = u64::from(r).checked_mul(128)?.checked_mul(blocks)?;
        (memory <= SCRYPT_MAX_MEMORY).then_some(Self { log_n, r, p })
    }

    fn derive(self, password: &[u8], salt: &[u8]) -> Option<[u8; 32]> {
        let mut key = [0; 32];
        let params = scrypt::Params::new(self.log_n, self.r, self.p).ok()?;
        scrypt::scrypt(password, salt, &params, &mut key).ok()?;
        Some(key)
    }
}

pub(super) fn hash_bcrypt(password: &[u8], rounds: u32, salt: [u8; 16]) -> Option<String> {
    let parts = bcrypt::hash_with_salt(password, rounds, salt).ok()?;
    Some(parts.format_for_version(bcrypt::Version::TwoB))
}

pub(super) fn hash_bcrypt_sha256(password: &[u8], rounds: u32, salt: [u8; 16]) -> Option<String> {
    let salt_text = BCRYPT_BASE64.encode(salt);
    let hash = hash_bcrypt(&keyed_digest(password, &salt_text), rounds, salt)?;
    let checksum = hash.get(29..)?;
    Some(format!("$bcrypt-sha256$v=2,t=2b,r={rounds}${salt_text}${checksum}"))
}

pub(super) fn hash_scrypt(password: &[u8], params: ScryptParams, salt: &[u8]) -> Option<String> {
    Some(scrypt_text(params, salt, &params.derive(password, salt)?))
}

pub(super) fn scrypt_text(params: ScryptParams, salt: &[u8], key: &[u8]) -> String {
    let ScryptParams { log_n, r, p } = params;
    format!("$scrypt$ln={log_n},r={r},p={p}${}${}", SHORT.encode(salt), SHORT.encode(key))
}

#[expect(clippy::unnecessary_wraps, reason = "the same shape as its siblings")]
pub(super) fn hash_pbkdf2(password: &[u8], rounds: NonZeroU32, salt: &[u8]) -> Option<String> {
    let mut key = [0; 64];
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA512, rounds, salt, password, &mut key);
    Some(pbkdf2_text(rounds, salt, &key))
}

pub(super) fn pbkdf2_text(rounds: NonZeroU32, salt: &[u8], key: &[u8]) -> String {
    format!("$pbkdf2-sha512${rounds}${}${}", SHORT.encode(salt), SHORT.encode(key))
}

/// Whether the stored hash is plain bcrypt, of which only 72 bytes count.
pub(super) fn is_bcrypt(stored: &str) -> bool {
    ["$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|ident| stored.starts_with(ident))
}

/// Whether the password is the hash's; false for every text that is not a hash known here.
pub(super) fn verify(password: &[u8], stored: &str) -> bool {
    if is_bcrypt(stored) {
        return bcrypt::verify(password, stored).unwrap_or(false);
    }
    let mut fields = stored.split('$');
    if fields.next() != Some("") {
        return false;
    }
    let fields: Vec<&str> = fields.collect();
    let verdict = match *fields.as_slice() {
        ["bcrypt-sha256", params, salt, checksum] => verify_bcrypt_sha256(password, params, salt, checksum),
        ["scrypt", params, salt, key] => verify_scrypt(password, params, salt, key),
        ["pbkdf2-sha512", rounds, salt, key] => verify_pbkdf2(password, rounds, salt, key),
        ["6", ..] => verify_sha512_crypt(password, stored),
        _ => None,
    };
    verdict.unwrap_or(false)
}

fn verify_bcrypt_sha256(password: &[u8], params: &str, salt: &str, checksum: &str) -> Option<bool> {
    let (ident, rounds, digest) = if params.contains('=') {
        let digest = keyed_digest(password, salt);
        (param(params, "t=")?, param(params, "r=")?, digest)
    } else {
        // `2b,12`: passlib before 1.7.3, without a key. The reference fails on it with a server error.
        let (ident, rounds) = params.split_once(',')?;
        let digest = Zeroizing::new(STANDARD.encode(digest::digest(&digest::SHA256, password)).into_bytes());
        (ident, rounds, digest)
    };
    let rounds: u32 = rounds.parse().ok().filter(|rounds| *rounds >= BCRYPT_SHA256_MIN_ROUNDS)?;
    bcrypt::verify(&*digest, &format!("${ident}${rounds}${salt}{checksum}")).ok()
}

fn keyed_digest(password: &[u8], salt: &str) -> Zeroizing<Vec<u8>> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, salt.as_bytes());
    Zeroizing::new(STANDARD.encode(hmac::sign(&key, password)).into_bytes())
}

fn verify_scrypt(password: &[u8], params: &str, salt: &str, key: &str) -> Option<bool> {
    let number = |name| param(params, name)?.parse::<u32>().ok();
    let log_n = u8::try_from(number("ln=")?).ok()?;
    let params = ScryptParams::new(log_n, number("r=")?, number("p=")?)?;
    let derived = params.derive(password, &short_decode(salt)?)?;
    Some(same(&derived, &short_decode(key)?))
}

fn verify_pbkdf2(password: &[u8], rounds: &str, salt: &str, key: &str) -> Option<bool> {
    let (salt, key) = (short_decode(salt)?, short_decode(key)?);
    // The library would compare a shorter key, too.
    if key.len() != 64 {
        return None;
    }
    let rounds = rounds.parse().ok()?;
    Some(pbkdf2::verify(pbkdf2::PBKDF2_HMAC_SHA512, rounds, &salt, password, &key).is_ok())
}

/// Never written any more (OSSN-0081), and refused by the reference since 30.0.0 with a server error.
fn verify_sha512_crypt(password: &[u8], stored: &str) -> Option<bool> {
    let hash = PasswordHashRef::new(stored).ok()?;
    Some(ShaCrypt::SHA512.verify_password(password, hash).is_ok())
}

fn param<'a>(params: &'a str, name: &str) -> Option<&'a str> {
    params.split(',').find_map(|param| param.strip_prefix(name))
}

/// passlib wrote a dot where base64 has a plus.
fn short_decode(text: &str) -> Option<Vec<u8>> {
    SHORT.decode(text.replace('.', "+")).ok()
}

fn same(a: &[u8], b: &[u8]) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(a, b).is_ok()
}
