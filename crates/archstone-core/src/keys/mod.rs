//! Key repositories on disk: the Fernet keys of tokens, receipts and credentials, and the JWS key pair.
//!
//! A Fernet repository is a directory whose files are named by decimal numbers: the highest is the *primary* key, which
//! encrypts; 0 is the *staged* key, which is the next primary; all of them decrypt. Other names are not keys. The layout,
//! names and modes are Python Keystone's, and both programs may read and rotate the same directory.
//!
//! A running server picks up changes by itself. What it holds in memory is never older than [`REFRESH`], so:
//!
//! **Invariant:** a key that was removed is no longer accepted one second later. Whoever remembers a validated token must
//! forget it when [`KeyRepository::generation`] changes.
//!
//! **Invariant:** a token made by another node with a key that is in the directory is never refused: what no key in memory
//! opens is tried again with the keys read anew.
//!
//! **Invariant:** rotation never leaves the directory without a valid primary key, whenever it is interrupted.

mod error;
mod fernet;
mod jws;
mod layout;
mod rotation;
mod watched;

use std::time::Duration;

pub use error::{KeyError, OpenError};
pub use fernet::{KeyRepository, Purpose};
pub use jws::{JwsRepository, Overwrite, create_keypair};
pub use rotation::{Owner, Rotated, Setup, rotate, setup};

/// How old the keys in memory may be.
pub const REFRESH: Duration = Duration::from_secs(1);

/// How many keys a credential repository holds: a constant in the reference, not an option.
pub const CREDENTIAL_MAX_ACTIVE_KEYS: usize = 3;

#[cfg(test)]
mod tests;
