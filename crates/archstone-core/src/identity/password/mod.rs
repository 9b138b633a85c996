//! Passwords: the length rule, the configured algorithm, and the pool of threads on which all hashing runs.
//!
//! Every hash that any Keystone can have stored is verified; new ones are made with the configured algorithm in the
//! format that Python Keystone 30 reads.
//!
//! **Invariant:** a stored text that is no hash, whatever it holds, is a wrong password: never a panic, never a server
//! error.

mod formats;
mod partial;
mod pool;
mod verified;

use std::fmt;
use std::num::NonZeroU32;

use zeroize::Zeroizing;

pub use partial::PartialHash;
pub use pool::{Compared, HashPool, PoolOptions, WAITING_PER_THREAD};

/// Beyond this many bytes bcrypt does not look.
const BCRYPT_MAX_LENGTH: usize = 72;
const BCRYPT_DEFAULT_ROUNDS: u32 = 12;
const PBKDF2_DEFAULT_ROUNDS: NonZeroU32 = NonZeroU32::new(25_000).expect("not zero");
/// Python Keystone writes the rounds of `bcrypt_sha256` without the leading zero that its verifier needs, so a hash of
/// fewer rounds than this is rejected by it for ever.
const BCRYPT_SHA256_MIN_ROUNDS: u32 = 10;
const SCRYPT_LOG_N: u8 = 16;

/// A password in the clear. Wiped when dropped, never shown.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes the text over.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text, for the rules that look into it (the password regex) and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Password {
    fn from(text: &str) -> Self {
        Self::new(text.to_owned())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// `[identity] password_hash_algorithm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashAlgorithm {
    /// The default.
    Bcrypt,
    /// bcrypt of an HMAC of the password, so that it counts at any length.
    BcryptSha256,
    /// scrypt with N = 2^16.
    Scrypt,
    /// PBKDF2 with HMAC-SHA512.
    Pbkdf2Sha512,
}

impl HashAlgorithm {
    /// By the option's value.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "bcrypt" => Some(Self::Bcrypt),
            "bcrypt_sha256" => Some(Self::BcryptSha256),
            "scrypt" => Some(Self::Scrypt),
            "pbkdf2_sha512" => Some(Self::Pbkdf2Sha512),
            _ => None,
        }
    }
}

/// The options of `[identity]` about hashing, as configured. `None` and 0 both mean the algorithm's default.
#[derive(Debug, Clone)]
pub struct HashOptions {
    /// `password_hash_algorithm`.
    pub algorithm: HashAlgorithm,
    /// `password_hash_rounds`; scrypt has none and ignores it, as in the reference.
    pub rounds: Option<u32>,
    /// `scrypt_block_size`; 8 by default.
    pub scrypt_block_size: Option<u32>,
    /// `scrypt_parallelism`; 1 by default.
    pub scrypt_parallelism: Option<u32>,
    /// `salt_bytesize`; 16 by default; bcrypt's salt has a fixed size.
    pub salt_bytesize: Option<usize>,
    /// `max_password_length`, in bytes of UTF-8.
    pub max_password_length: usize,
    /// `[DEFAULT] strict_password_check`: refuse what is too long instead of cutting it.
    pub strict_password_check: bool,
}

impl Default for HashOptions {
    fn default() -> Self {
        Self {
            algorithm: HashAlgorithm::Bcrypt,
            rounds: None,
            scrypt_block_size: None,
            scrypt_parallelism: None,
            salt_bytesize: None,
            max_password_length: 4096,
            strict_password_check: false,
        }
    }
}

/// Why a password was neither hashed nor compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Longer than allowed while `strict_password_check` is on. The reference answers 403.
    #[error("the password is longer than {max} bytes")]
    TooLong {
        /// The greatest allowed length in bytes.
        max: usize,
    },
    /// Too many passwords wait to be hashed already. A 503: try again later.
    #[error("too many passwords wait to be hashed")]
    Busy,
    /// The random number generator or a hashing thread failed.
    #[error("hashing a password failed")]
    Failed,
}

/// An option with a value that its algorithm cannot work with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("[identity] {option}: {problem}")]
pub struct HashOptionError {
    /// The option's name.
    pub option: &'static str,
    /// What is wrong with it.
    pub problem: String,
}

/// Parameters of the configured algorithm, checked.
#[derive(Debug, Clone)]
enum Recipe {
    Bcrypt { rounds: u32 },
    BcryptSha256 { rounds: u32 },
    Scrypt { params: formats::ScryptParams, salt: usize },
    Pbkdf2 { rounds: NonZeroU32, salt: usize },
}

/// Hashes and verifies on the calling thread, for milliseconds to seconds: a server goes through [`HashPool`].
#[derive(Debug, Clone)]
pub struct Hasher {
    recipe: Recipe,
    max_length: usize,
    strict: bool,
}

impl Hasher {
    /// Checks the options against each other.
    pub fn new(options: &HashOptions) -> Result<Self, HashOptionError> {
        let rounds = options.rounds.filter(|rounds| *rounds != 0);
        let salt = options.salt_bytesize.filter(|size| *size != 0).unwrap_or(16);
        let bcrypt_rounds = || match rounds.unwrap_or(BCRYPT_DEFAULT_ROUNDS) {
            rounds @ 4..=31 => Ok(rounds),
            rounds => Err(HashOptionError {
                option: "password_hash_rounds",
                problem: format!("{rounds} is not within bcrypt's 4 to 31"),
            }),
        };
        let recipe = match options.algorithm {
            HashAlgorithm::Bcrypt => Recipe::Bcrypt { rounds: bcrypt_rounds()? },
            HashAlgorithm::BcryptSha256 => {
                Recipe::BcryptSha256 { rounds: bcrypt_rounds()?.max(BCRYPT_SHA256_MIN_ROUNDS) }
            }
            HashAlgorithm::Scrypt => {
                let r = options.scrypt_block_size.filter(|r| *r != 0).unwrap_or(8);
                let p = options.scrypt_parallelism.filter(|p| *p != 0).unwrap_or(1);
                let params = formats::ScryptParams::new(SCRYPT_LOG_N, r, p).ok_or_else(|| HashOptionError {
                    option: "scrypt_block_size",
                    problem: format!("{r} with parallelism {p} needs more than 1 GiB for each password"),
                })?;
                Recipe::Scrypt { params, salt }
            }
            HashAlgorithm::Pbkdf2Sha512 => {
                Recipe::Pbkdf2 { rounds: rounds.and_then(NonZeroU32::new).unwrap_or(PBKDF2_DEFAULT_ROUNDS), salt }
            }
        };
        let max_length = match options.algorithm {
            HashAlgorithm::Bcrypt => options.max_password_length.min(BCRYPT_MAX_LENGTH),
            _ => options.max_password_length,
        };
        Ok(Self { recipe, max_length, strict: options.strict_password_check })
    }

    /// Hashes a new password with a random salt.
    pub fn hash(&self, password: &Password) -> Result<String, PasswordError> {
        let password = self.admissible(password, self.max_length)?;
        match &self.recipe {
            Recipe::Bcrypt { rounds } => formats::hash_bcrypt(password, *rounds, random_salt()?),
            Recipe::BcryptSha256 { rounds } => formats::hash_bcrypt_sha256(password, *rounds, random_salt()?),
            Recipe::Scrypt { params, salt } => formats::hash_scrypt(password, *params, &random_bytes(*salt)?),
            Recipe::Pbkdf2 { rounds, salt } => formats::hash_pbkdf2(password, *rounds, &random_bytes(*salt)?),
        }
        .ok_or(PasswordError::Failed)
    }

    /// Whether this is the password of a stored hash.
    ///
    /// A bcrypt hash holds 72 bytes whatever is configured today. Where the reference then fails on a longer password,
    /// the first 72 decide here, as they did when it was set.
    pub fn verify(&self, password: &Password, stored: &str) -> Result<bool, PasswordError> {
        let bytes = self.admissible(password, self.max_length)?;
        if formats::is_bcrypt(stored) {
            let bytes = self.admissible(password, self.max_length.min(BCRYPT_MAX_LENGTH))?;
            return Ok(formats::verify(bytes, stored));
        }
        Ok(formats::verify(bytes, stored))
    }

    /// Costs what [`verify`](Self::verify) costs on a hash of the configured algorithm, and fails where it fails: for
    /// logins of users who don't exist.
    pub fn dummy_verify(&self, password: &Password) -> Result<(), PasswordError> {
        self.verify(password, &self.dummy_hash()).map(|_| ())
    }

    /// A well-formed hash of no known password.
    fn dummy_hash(&self) -> String {
        match &self.recipe {
            Recipe::Bcrypt { rounds } => format!("$2b${rounds:02}${}{}", ".".repeat(22), ".".repeat(31)),
            Recipe::BcryptSha256 { rounds } => {
                format!("$bcrypt-sha256$v=2,t=2b,r={rounds}${}${}", ".".repeat(22), ".".repeat(31))
            }
            Recipe::Scrypt { params, salt } => formats::scrypt_text(*params, &vec![0; *salt], &[0; 32]),
            Recipe::Pbkdf2 { rounds, salt } => formats::pbkdf2_text(*rounds, &vec![0; *salt], &[0; 64]),
        }
    }

    /// The bytes that count, or the refusal of too many.
    fn admissible<'a>(&self, password: &'a Password, max: usize) -> Result<&'a [u8], PasswordError> {
        let bytes = password.0.as_bytes();
        if bytes.len() <= max {
            return Ok(bytes);
        }
        if self.strict { Err(PasswordError::TooLong { max }) } else { Ok(&bytes[..max]) }
    }
}

fn random_salt() -> Result<[u8; 16], PasswordError> {
    let mut salt = [0; 16];
    aws_lc_rs::rand::fill(&mut salt).map_err(|_| PasswordError::Failed)?;
    Ok(salt)
}

fn random_bytes(size: usize) -> Result<Vec<u8>, PasswordError> {
    let mut bytes = vec![0; size];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| PasswordError::Failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
