//! What an operator wants to know of a Fernet repository, without its keys.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::error::KeyError;
use super::layout::{STAGED, key_fault, list_numbers};
use crate::time::Timestamp;

/// A repository as it is now.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// The directory's permissions.
    pub mode: u32,
    /// The numbered files, the highest first.
    pub keys: Vec<InspectedKey>,
}

/// A file of a repository.
#[derive(Clone, Debug)]
pub struct InspectedKey {
    /// Its number; 0 is staged, the highest is in use.
    pub number: u64,
    /// Where it is.
    pub path: PathBuf,
    /// Its permissions.
    pub mode: u32,
    /// When it was written: rotation only renames it later.
    pub written_at: Option<Timestamp>,
    /// Why it is of no use.
    pub fault: Option<String>,
}

/// Looks at a repository; changes nothing, and keeps no key.
///
/// # Errors
/// A directory that cannot be read.
pub fn inspect(directory: &Path) -> Result<Inspection, KeyError> {
    let failed = KeyError::io("reading key repository", directory);
    let mode = fs::metadata(directory).map_err(failed)?.permissions().mode();
    let mut keys = Vec::new();
    for number in list_numbers(directory)? {
        let path = directory.join(number.to_string());
        // A key that has just been rotated away is none.
        let Ok(file) = fs::metadata(&path) else { continue };
        let fault = key_fault(&path);
        let written_at = file.modified().ok().and_then(timestamp);
        keys.push(InspectedKey { number, path, mode: file.permissions().mode(), written_at, fault });
    }
    Ok(Inspection { mode, keys })
}

fn timestamp(time: SystemTime) -> Option<Timestamp> {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Timestamp::from_micros(i64::try_from(since.as_micros()).ok()?)
}

impl Inspection {
    /// When the keys were last rotated, or made: the staged key is written then.
    pub fn rotated_at(&self) -> Option<Timestamp> {
        self.keys.iter().find(|key| key.number == STAGED)?.written_at
    }

    /// The shortest time between two rotations, in seconds, as the files' times tell it; none if they do not. Files that
    /// were written within a minute were made, or copied, together.
    pub fn rotation_interval(&self) -> Option<i64> {
        const TOGETHER: i64 = 60;
        let mut written: Vec<i64> = self.keys.iter().filter_map(|key| key.written_at).map(Timestamp::seconds).collect();
        written.sort_unstable();
        written.windows(2).map(|pair| pair[1] - pair[0]).filter(|seconds| *seconds >= TOGETHER).min()
    }
}
