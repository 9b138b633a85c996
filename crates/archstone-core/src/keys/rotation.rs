//! Making and rotating Fernet keys.
//!
//! The order of the steps is what makes it safe: a new key is complete and on disk before it has a name that counts, the
//! staged key becomes the primary in one rename, and keys are deleted last. After a crash between two steps the highest
//! number is still a good primary key, and the next rotation recognises what was left.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, chown, fchown};
use std::path::Path;

use keystone_token::new_key_text;
use rustix::fs::{FlockOperation, flock};
use zeroize::Zeroizing;

use super::error::KeyError;
use super::layout::{STAGED, TEMPORARY, is_key, read_keys};

/// Whose the directory and new keys shall be: numeric user and group.
pub type Owner = Option<(u32, u32)>;

/// What [`setup`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setup {
    /// Made the keys 0 and 1.
    Created,
    /// Nothing: a staged key exists.
    Exists,
    /// The staged key alone was missing, and was made or put in place.
    Completed,
}

/// What [`rotate`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rotated {
    /// The staged key became the primary.
    Promoted {
        /// The number of the new primary key.
        primary: u64,
        /// The numbers of the keys that were deleted.
        purged: Vec<u64>,
    },
    /// An earlier rotation had promoted its key and was interrupted; it is finished now. No key was promoted this time:
    /// the staged key is new, and other nodes don't have it yet.
    Finished {
        /// The number of the primary key, promoted then.
        primary: u64,
        /// The numbers of the keys that were deleted.
        purged: Vec<u64>,
    },
}

/// Creates the directory (mode 0700) and two keys (mode 0600), unless there is a staged key already.
pub fn setup(directory: &Path, max_active_keys: usize, owner: Owner) -> Result<Setup, KeyError> {
    create_directory(directory, owner)?;
    let lock = Lock::take(directory)?;
    let staged = directory.join(STAGED.to_string());
    if staged.try_exists().map_err(KeyError::io("reading key", &staged))? {
        return Ok(Setup::Exists);
    }
    if read_keys(directory)?.iter().any(|file| file.key.is_ok()) {
        stage(&lock, owner)?;
        return Ok(Setup::Completed);
    }
    write_temporary(&lock, owner)?;
    lock.rename(TEMPORARY, &STAGED.to_string())?;
    promote(&lock, max_active_keys, owner)?;
    Ok(Setup::Created)
}

/// Promotes the staged key, makes a new one, and deletes the lowest numbers until `max_active_keys` are left.
pub fn rotate(directory: &Path, max_active_keys: usize, owner: Owner) -> Result<Rotated, KeyError> {
    let lock = Lock::take(directory)?;
    if is_key(&directory.join(STAGED.to_string())) {
        return promote(&lock, max_active_keys, owner).map(|(primary, purged)| Rotated::Promoted { primary, purged });
    }
    let files = read_keys(directory)?;
    let Some(primary) = files.iter().filter(|file| file.key.is_ok()).map(|file| file.number).max() else {
        return Err(KeyError::Empty { path: directory.to_owned() });
    };
    stage(&lock, owner)?;
    let purged = purge(&lock, max_active_keys)?;
    Ok(Rotated::Finished { primary, purged })
}

fn promote(lock: &Lock<'_>, max_active_keys: usize, owner: Owner) -> Result<(u64, Vec<u64>), KeyError> {
    write_temporary(lock, owner)?;
    let highest = read_keys(lock.directory)?.first().map_or(STAGED, |file| file.number);
    let primary = highest + 1;
    lock.rename(&STAGED.to_string(), &primary.to_string())?;
    lock.rename(TEMPORARY, &STAGED.to_string())?;
    Ok((primary, purge(lock, max_active_keys)?))
}

/// Puts a staged key where there is none: the one that an interrupted rotation wrote, if it is whole.
fn stage(lock: &Lock<'_>, owner: Owner) -> Result<(), KeyError> {
    if !is_key(&lock.directory.join(TEMPORARY)) {
        write_temporary(lock, owner)?;
    }
    lock.rename(TEMPORARY, &STAGED.to_string())
}

/// Deletes the lowest numbers but 0 until one fewer than `max_active_keys` are left; with a maximum of 1 the staged key
/// alone, as in the reference.
fn purge(lock: &Lock<'_>, max_active_keys: usize) -> Result<Vec<u64>, KeyError> {
    let files = read_keys(lock.directory)?;
    let mut purged = Vec::new();
    for file in files.iter().filter(|file| file.number != STAGED).skip(max_active_keys.saturating_sub(1)) {
        fs::remove_file(&file.path).map_err(KeyError::io("deleting key", &file.path))?;
        purged.push(file.number);
    }
    lock.sync()?;
    Ok(purged)
}

/// Writes a new random key to the temporary file, replacing what an interrupted rotation left.
fn write_temporary(lock: &Lock<'_>, owner: Owner) -> Result<(), KeyError> {
    let path = lock.directory.join(TEMPORARY);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(KeyError::io("deleting", &path)(error)),
        _ => {}
    }
    let mut random = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(random.as_mut_slice()).map_err(|_| KeyError::Crypto)?;
    let text = new_key_text(&random);
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        if let Some((user, group)) = owner {
            fchown(&file, Some(user), Some(group))?;
        }
        file.write_all(text.as_bytes())?;
        file.sync_all()
    };
    write().map_err(|error| {
        // A torn file has no name that counts, but should not lie about either.
        let _ = fs::remove_file(&path);
        KeyError::io("writing key", &path)(error)
    })
}

fn create_directory(directory: &Path, owner: Owner) -> Result<(), KeyError> {
    if !directory.try_exists().map_err(KeyError::io("reading key repository", directory))? {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(KeyError::io("creating key repository", directory))?;
        if let Some((user, group)) = owner {
            chown(directory, Some(user), Some(group)).map_err(KeyError::io("giving away key repository", directory))?;
        }
        return Ok(());
    }
    let mode = fs::metadata(directory).map_err(KeyError::io("reading key repository", directory))?.permissions().mode();
    if mode & 0o005 != 0 {
        tracing::warn!(directory = %directory.display(), "the key repository is readable by everybody");
    }
    Ok(())
}

/// The directory, locked against other setups and rotations on this machine until dropped.
struct Lock<'a> {
    directory: &'a Path,
    file: File,
}

impl<'a> Lock<'a> {
    fn take(directory: &'a Path) -> Result<Self, KeyError> {
        let file = File::open(directory).map_err(KeyError::io("opening key repository", directory))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { directory, file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(KeyError::Locked { path: directory.to_owned() }),
            Err(error) => Err(KeyError::io("locking key repository", directory)(error.into())),
        }
    }

    /// Renames durably: what comes after is on disk only if this is.
    fn rename(&self, from: &str, to: &str) -> Result<(), KeyError> {
        let from = self.directory.join(from);
        fs::rename(&from, self.directory.join(to)).map_err(KeyError::io("renaming key", &from))?;
        self.sync()
    }

    fn sync(&self) -> Result<(), KeyError> {
        self.file.sync_all().map_err(KeyError::io("syncing key repository", self.directory))
    }
}
