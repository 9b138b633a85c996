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
mod inspect;
mod jws;
mod layout;
mod rotation;
mod watched;

use std::path::Path;
use std::time::Duration;

use crate::config::Config;

pub use error::{KeyError, OpenError};
pub use fernet::{KeyRepository, Purpose};
pub use inspect::{InspectedKey, Inspection, inspect};
pub use jws::{JwsRepository, Overwrite, create_keypair};
pub use rotation::{Owner, Rotated, Setup, rotate, setup};

/// How old the keys in memory may be.
pub const REFRESH: Duration = Duration::from_secs(1);

/// How many keys a credential repository holds: a constant in the reference, not an option.
pub const CREDENTIAL_MAX_ACTIVE_KEYS: usize = 3;

/// Sets up every Fernet repository that the configuration names, owned by the caller; those that exist stay as they are.
pub fn set_up_all(config: &Config) -> Result<(), KeyError> {
    setup(&config.fernet_tokens.key_repository, config.fernet_tokens.max_active_keys, None)?;
    if !same_directory(&config.fernet_tokens.key_repository, &config.fernet_receipts.key_repository) {
        setup(&config.fernet_receipts.key_repository, config.fernet_receipts.max_active_keys, None)?;
    }
    setup(&config.credential.key_repository, CREDENTIAL_MAX_ACTIVE_KEYS, None)?;
    Ok(())
}

/// Whether two paths name one directory, whatever their spelling; it need not exist.
pub fn same_directory(a: &Path, b: &Path) -> bool {
    let resolved = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path)).ok();
    match (resolved(a), resolved(b)) {
        // Compared by components: a trailing slash makes no difference.
        (Some(a), Some(b)) => a.components().eq(b.components()),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
