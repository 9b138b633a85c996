//! What can go wrong with keys on disk.

use std::io;
use std::path::{Path, PathBuf};

/// Why keys could not be read or written. Never holds a key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The system refused.
    #[error("{attempt} {}: {source}", path.display())]
    Io {
        /// What was attempted, as in `reading key`.
        attempt: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is there, but no usable key in it.
    #[error("{}: {source}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: keystone_token::Error,
    },
    /// The directory holds no key.
    #[error("no key in {}", path.display())]
    Empty {
        /// The directory.
        path: PathBuf,
    },
    /// Another process is changing the directory.
    #[error("another rotation is under way in {}", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// A file that would be overwritten.
    #[error("{} already exists", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// No random numbers, or the cryptographic library failed.
    #[error("making a key failed")]
    Crypto,
}

impl KeyError {
    pub(super) fn io(attempt: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { attempt, path: path.to_owned(), source }
    }
}

/// Why a token, receipt or blob was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is not a good one: the client's fault.
    #[error(transparent)]
    Text(#[from] keystone_token::Error),
    /// There are no keys to try: the server's fault.
    #[error(transparent)]
    Keys(#[from] KeyError),
}
