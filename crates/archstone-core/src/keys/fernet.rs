//! A Fernet key repository as a running server sees it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use keystone_token::{Error, Key, KeyRing, NULL_KEY_TEXT};

use super::error::{KeyError, OpenError};
use super::layout::{KeyFile, read_keys, sha256};
use super::watched::{Reading, Watched};

/// What a repository's keys are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Tokens or receipts: without a key, nothing works.
    Tokens,
    /// Credentials. The null key is always tried last, and encrypts when there is no other or no repository at all.
    Credentials,
}

type Read = Box<dyn Fn() -> Result<Reading<KeyRing>, KeyError> + Send + Sync>;

/// The keys of one directory, followed as they change.
pub struct KeyRepository {
    directory: PathBuf,
    watched: Watched<KeyRing, Read>,
}

impl KeyRepository {
    /// Reads the directory. Every file named by a number must hold a key, so that a broken repository is noticed before
    /// anything starts.
    pub fn open(directory: &Path, purpose: Purpose) -> Result<Self, KeyError> {
        if let Ok(files) = read_keys(directory) {
            for KeyFile { key, path, .. } in files {
                key.map_err(|source| KeyError::Unusable { path, source })?;
            }
        }
        let read: Read = Box::new({
            let directory = directory.to_owned();
            move || read_ring(&directory, purpose)
        });
        Ok(Self { directory: directory.to_owned(), watched: Watched::start(read)? })
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The keys, at most [`REFRESH`](super::REFRESH) old: enough to open something, but see [`open_text`](Self::open_text).
    pub fn current(&self) -> Result<Arc<KeyRing>, KeyError> {
        Ok(self.watched.current()?.0)
    }

    /// The keys as they are now, to make something with: with few active keys, a primary key of a second ago may be gone
    /// for good.
    pub fn latest(&self) -> Result<Arc<KeyRing>, KeyError> {
        Ok(self.watched.latest()?.0)
    }

    /// A number that changes when the keys change. What was opened under another generation may have been made with a key
    /// that is no longer accepted.
    pub fn generation(&self) -> Result<u64, KeyError> {
        self.watched.generation()
    }

    /// Opens a token, receipt or blob; with the keys read anew if those in memory don't fit.
    pub fn open_text<T>(&self, open: impl Fn(&KeyRing) -> Result<T, Error>) -> Result<T, OpenError> {
        let (ring, generation) = self.watched.current()?;
        match open(&ring) {
            Err(Error::Unauthentic) => {}
            answer => return Ok(answer?),
        }
        let (ring, now) = self.watched.latest()?;
        if now == generation { Err(Error::Unauthentic.into()) } else { Ok(open(&ring)?) }
    }
}

impl std::fmt::Debug for KeyRepository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRepository").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// All usable keys. A file without one is passed over with a warning: somebody may be writing it just now, and the next
/// reading will find it whole.
fn read_ring(directory: &Path, purpose: Purpose) -> Result<Reading<KeyRing>, KeyError> {
    let files = match (read_keys(directory), purpose) {
        (Ok(files), _) => files,
        (Err(error), Purpose::Credentials) => {
            tracing::warn!(%error, "credentials are encrypted with the null key, which protects nothing");
            Vec::new()
        }
        (Err(error), Purpose::Tokens) => return Err(error),
    };
    let mut keys = Vec::with_capacity(files.len() + 1);
    let mut seen = Vec::with_capacity(files.len() * 40);
    for file in files {
        seen.extend_from_slice(&file.number.to_be_bytes());
        seen.extend_from_slice(&file.digest);
        match file.key {
            Ok(key) => keys.push(key),
            Err(error) => tracing::warn!(path = %file.path.display(), %error, "passing over a key file"),
        }
    }
    if purpose == Purpose::Credentials {
        keys.push(Key::parse(NULL_KEY_TEXT).map_err(|_| KeyError::Crypto)?);
    }
    let value = KeyRing::new(keys).map_err(|_| KeyError::Empty { path: directory.to_owned() })?;
    Ok(Reading { value, digest: sha256(&seen) })
}
