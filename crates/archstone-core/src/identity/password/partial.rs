//! Partial hashes of wrong passwords, for `[security_compliance] report_invalid_password_hash`: they let an operator see
//! whether a locked-out user tried one password often or many once.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use zeroize::Zeroizing;

use super::Password;

/// The configured function, key and length.
pub struct PartialHash {
    algorithm: hmac::Algorithm,
    secret_key: Zeroizing<String>,
    max_chars: Option<usize>,
}

impl PartialHash {
    /// From `invalid_password_hash_function` (by its name in Python's hashlib; `None` for one that is not supported),
    /// `invalid_password_hash_secret_key` and `invalid_password_hash_max_chars`.
    pub fn new(function: &str, secret_key: String, max_chars: Option<usize>) -> Option<Self> {
        let algorithm = match function {
            "sha1" => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            "sha224" => hmac::HMAC_SHA224,
            "sha256" => hmac::HMAC_SHA256,
            "sha384" => hmac::HMAC_SHA384,
            "sha512" => hmac::HMAC_SHA512,
            _ => return None,
        };
        Some(Self { algorithm, secret_key: Zeroizing::new(secret_key), max_chars })
    }

    /// The beginning of the password's keyed hash in base64. The reference's salt is the name of the
    /// identity driver's class, `keystone.identity.backends.sql.Identity` for SQL.
    pub fn of(&self, password: &Password, salt: &str) -> String {
        let salted = hmac::sign(&hmac::Key::new(self.algorithm, salt.as_bytes()), password.expose().as_bytes());
        let peppered = hmac::sign(&hmac::Key::new(self.algorithm, self.secret_key.as_bytes()), salted.as_ref());
        let mut text = STANDARD_NO_PAD.encode(peppered);
        text.truncate(self.max_chars.unwrap_or(usize::MAX));
        text
    }
}
