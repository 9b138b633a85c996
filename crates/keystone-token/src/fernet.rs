//! The Fernet envelope: version byte, time, IV, AES-128-CBC ciphertext, HMAC-SHA256, in URL-safe base64.

use std::fmt;

use aws_lc_rs::cipher::{
    AES_128, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::alphabet::STANDARD as STANDARD_ALPHABET;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::ids::hex;
use crate::time::UnixMicros;

const VERSION: u8 = 0x80;
/// Version, time and IV before the ciphertext.
const HEADER: usize = 1 + 8 + 16;
const TAG: usize = 32;

/// The key of a credential repository that is not set up: 32 zero bytes. It protects nothing.
pub const NULL_KEY_TEXT: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// The text of a key file, from 32 random bytes: 44 characters, no newline.
pub fn new_key_text(random: &Zeroizing<[u8; 32]>) -> Zeroizing<String> {
    Zeroizing::new(URL_SAFE.encode(random.as_slice()))
}

/// One symmetric key: half of it signs, half encrypts. Held only in the cryptographic library's own structures, which
/// wipe it; never shown.
pub struct Key {
    signing: hmac::Key,
    encrypting: PaddedBlockEncryptingKey,
    decrypting: PaddedBlockDecryptingKey,
    hash: [u8; 20],
}

impl Key {
    /// From the text of a key file: base64 of 32 bytes, in either alphabet, as Python reads it; white space around it
    /// (a file ended by a newline) is tolerated.
    pub fn parse(text: &str) -> Result<Self, Error> {
        const LENIENT: GeneralPurpose =
            GeneralPurpose::new(&STANDARD_ALPHABET, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));
        let standard = Zeroizing::new(text.trim_ascii().replace('-', "+").replace('_', "/"));
        let mut bytes = Zeroizing::new([0; 33]);
        match LENIENT.decode_slice(standard.as_bytes(), bytes.as_mut_slice()) {
            Ok(32) => {}
            _ => return Err(Error::Key("not 32 bytes in base64")),
        }
        let cipher = || UnboundCipherKey::new(&AES_128, &bytes[16..32]);
        Ok(Self {
            signing: hmac::Key::new(hmac::HMAC_SHA256, &bytes[..16]),
            encrypting: cipher().and_then(PaddedBlockEncryptingKey::cbc_pkcs7).map_err(crypto)?,
            decrypting: cipher().and_then(PaddedBlockDecryptingKey::cbc_pkcs7).map_err(crypto)?,
            hash: sha1(text),
        })
    }

    /// Hexadecimal SHA-1 of the key file's text, by which a stored credential says what key encrypted it.
    pub fn hash(&self) -> String {
        hex(&self.hash)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

fn sha1(text: &str) -> [u8; 20] {
    let mut hash = [0; 20];
    hash.copy_from_slice(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()).as_ref());
    hash
}

fn crypto(_: aws_lc_rs::error::Unspecified) -> Error {
    Error::Crypto
}

/// The keys of a repository, highest number first: the first encrypts, all decrypt. Never empty.
#[derive(Debug)]
pub struct KeyRing {
    keys: Vec<Key>,
}

impl KeyRing {
    /// Highest number first. An empty list is refused.
    pub fn new(keys: Vec<Key>) -> Result<Self, Error> {
        if keys.is_empty() { Err(Error::Key("no key")) } else { Ok(Self { keys }) }
    }

    /// The key that encrypts.
    pub fn primary(&self) -> &Key {
        &self.keys[0]
    }

    /// How many keys decrypt.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Always false: a ring has a primary key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Encrypts for a token or receipt: base64 without padding. `time` is seconds since the epoch; `iv` must be random.
    pub fn seal(&self, plaintext: &[u8], time: u64, iv: [u8; 16]) -> Result<String, Error> {
        Ok(URL_SAFE_NO_PAD.encode(self.seal_bytes(plaintext, time, iv)?))
    }

    /// The same for a credential blob, whose base64 keeps its padding.
    pub(crate) fn seal_padded(&self, plaintext: &[u8], time: u64, iv: [u8; 16]) -> Result<String, Error> {
        Ok(URL_SAFE.encode(self.seal_bytes(plaintext, time, iv)?))
    }

    /// What a token or receipt contains, and its time in seconds since the epoch.
    pub fn open(&self, text: &str) -> Result<(Vec<u8>, i64), Error> {
        self.open_bytes(URL_SAFE_NO_PAD.decode(text).map_err(|_| NOT_BASE64)?)
    }

    /// The same for a credential blob.
    pub(crate) fn open_padded(&self, text: &str) -> Result<(Vec<u8>, i64), Error> {
        self.open_bytes(URL_SAFE.decode(text).map_err(|_| NOT_BASE64)?)
    }

    fn seal_bytes(&self, plaintext: &[u8], time: u64, iv: [u8; 16]) -> Result<Vec<u8>, Error> {
        let key = self.primary();
        let mut ciphertext = Zeroizing::new(Vec::with_capacity(plaintext.len() + 16));
        ciphertext.extend_from_slice(plaintext);
        key.encrypting
            .less_safe_encrypt(&mut *ciphertext, EncryptionContext::Iv128(FixedLength::from(iv)))
            .map_err(crypto)?;

        let mut sealed = Vec::with_capacity(HEADER + ciphertext.len() + TAG);
        sealed.push(VERSION);
        sealed.extend_from_slice(&time.to_be_bytes());
        sealed.extend_from_slice(&iv);
        sealed.extend_from_slice(&ciphertext);
        let tag = hmac::sign(&key.signing, &sealed);
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// Decrypts in place: one allocation from text to payload.
    fn open_bytes(&self, mut sealed: Vec<u8>) -> Result<(Vec<u8>, i64), Error> {
        let length = sealed.len();
        if sealed.first() != Some(&VERSION) || length < HEADER + 16 + TAG || !(length - HEADER - TAG).is_multiple_of(16)
        {
            return Err(Error::Malformed("not a Fernet envelope"));
        }
        let (message, tag) = sealed.split_at(length - TAG);
        let key =
            self.keys.iter().find(|k| hmac::verify(&k.signing, message, tag).is_ok()).ok_or(Error::Unauthentic)?;

        let mut time = [0; 8];
        time.copy_from_slice(&sealed[1..9]);
        let time = UnixMicros::checked_seconds(u64::from_be_bytes(time)).ok_or(Error::Payload("time out of range"))?;
        let mut iv = [0; 16];
        iv.copy_from_slice(&sealed[9..HEADER]);

        let ciphertext = &mut sealed[HEADER..length - TAG];
        let plaintext = key
            .decrypting
            .decrypt(ciphertext, DecryptionContext::Iv128(FixedLength::from(iv)))
            // A valid MAC over bad padding: its maker used two different keys.
            .map_err(|_| Error::Payload("bad padding"))?
            .len();
        sealed.truncate(HEADER + plaintext);
        sealed.drain(..HEADER);
        Ok((sealed, time))
    }
}

const NOT_BASE64: Error = Error::Malformed("not canonical base64");

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    fn ring(texts: &[&str]) -> KeyRing {
        KeyRing::new(texts.iter().map(|t| Key::parse(t).unwrap()).collect()).unwrap()
    }

    #[test]
    fn first_key_encrypts_and_every_key_decrypts() {
        let old = ring(&[NULL_KEY_TEXT]);
        let both = ring(&[KEY, NULL_KEY_TEXT]);
        let by_old = old.seal(b"hello", 5, [1; 16]).unwrap();
        let by_new = both.seal(b"hello", 5, [1; 16]).unwrap();
        assert_eq!(both.open(&by_old), Ok((b"hello".to_vec(), 5)));
        assert_eq!(both.open(&by_new), Ok((b"hello".to_vec(), 5)));
        assert_eq!(old.open(&by_new), Err(Error::Unauthentic));
    }

    #[test]
    fn respelt_tokens_are_refused() {
        // OSSA-2016-005: the reference reads every one of these as the same token.
        let ring = ring(&[KEY]);
        let token = ring.seal(b"hello!", 0x3f_3f3f_3e3e, [0xfb; 16]).unwrap();
        assert!(token.contains('-') && token.contains('_') && token.len() % 4 == 2);
        let last = token.as_bytes()[token.len() - 1];
        let trailing = format!("{}{}", &token[..token.len() - 1], char::from(last + 1));
        for copy in [
            format!("{token}=="),
            format!("{token}="),
            format!("{token}==tail"),
            format!("{token}\n"),
            format!(" {token}"),
            format!("{}!{}", &token[..10], &token[10..]),
            token.replace('-', "+"),
            token.replace('_', "/"),
            trailing,
        ] {
            assert_eq!(ring.open(&copy), Err(NOT_BASE64), "{copy}");
        }
    }

    #[test]
    fn every_altered_bit_is_noticed() {
        let ring = ring(&[KEY]);
        let sealed = ring.seal_bytes(b"hello", 5, [7; 16]).unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut altered = sealed.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(ring.open_bytes(altered).is_err());
        }
        for length in 0..sealed.len() {
            assert!(ring.open_bytes(sealed[..length].to_vec()).is_err());
        }
    }

    #[test]
    fn key_text_is_read_as_python_reads_it() {
        let urlsafe = "-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_8=";
        let sealed = ring(&[urlsafe]).seal(b"x", 1, [0; 16]).unwrap();
        for same in [&urlsafe.replace('-', "+").replace('_', "/"), &format!("{urlsafe}\n")] {
            assert!(ring(&[same]).open(&sealed).is_ok(), "{same}");
        }
        for bad in ["", "AAEC", &KEY[..43], &format!("{KEY}AAAA"), "not base64 at all, but of the same length!!!"] {
            assert!(Key::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_are_never_shown() {
        assert_eq!(format!("{:?}", ring(&[KEY])), "KeyRing { keys: [Key(..)] }");
    }

    #[test]
    fn an_empty_ring_is_refused() {
        assert!(KeyRing::new(Vec::new()).is_err());
    }
}
