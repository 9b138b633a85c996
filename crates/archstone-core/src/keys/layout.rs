//! What is in a repository's directory.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::{fs, io};

use aws_lc_rs::digest::{SHA256, digest};
use keystone_token::Key;
use zeroize::Zeroizing;

use super::error::KeyError;

/// The number of the key that is promoted next.
pub(super) const STAGED: u64 = 0;
/// Where a new key is written before it becomes the staged one.
pub(super) const TEMPORARY: &str = "0.tmp";

/// A numbered file: its text, and the key in it, if there is one.
pub(super) struct KeyFile {
    pub(super) number: u64,
    pub(super) path: PathBuf,
    pub(super) key: Result<Key, keystone_token::Error>,
    /// SHA-256 of the text, to notice a change.
    pub(super) digest: [u8; 32],
}

/// All numbered files, highest number first.
pub(super) fn read_keys(directory: &Path) -> Result<Vec<KeyFile>, KeyError> {
    // A rotation between listing and reading gives one list or the other, not a mixture that lacks a key.
    let mut numbers = list_numbers(directory)?;
    for _ in 0..10 {
        let mut files = Vec::with_capacity(numbers.len());
        for number in &numbers {
            let path = directory.join(number.to_string());
            match read_text(&path) {
                Ok(text) => files.push(KeyFile {
                    number: *number,
                    key: Key::parse(&text),
                    digest: sha256(text.as_bytes()),
                    path,
                }),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(KeyError::io("reading key", &path)(error)),
            }
        }
        let again = list_numbers(directory)?;
        if again == numbers {
            return Ok(files);
        }
        numbers = again;
    }
    Err(KeyError::Locked { path: directory.to_owned() })
}

/// The key in one file, if it exists and is usable.
pub(super) fn is_key(path: &Path) -> bool {
    read_text(path).is_ok_and(|text| Key::parse(&text).is_ok())
}

/// Why the file is no usable key, if it is not.
pub(super) fn key_fault(path: &Path) -> Option<String> {
    match read_text(path) {
        Ok(text) => Key::parse(&text).err().map(|error| error.to_string()),
        Err(error) => Some(error.to_string()),
    }
}

fn read_text(path: &Path) -> io::Result<Zeroizing<String>> {
    fs::read_to_string(path).map(Zeroizing::new)
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

/// The numbers that name regular files or links to them, highest first.
pub(super) fn list_numbers(directory: &Path) -> Result<Vec<u64>, KeyError> {
    let failed = |error| KeyError::io("reading key repository", directory)(error);
    let mut numbers = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let Some(number) = name.to_str().and_then(parse_number) else { continue };
        // Follows links: Kubernetes mounts secrets so. What has just vanished is not there.
        if fs::metadata(directory.join(&name)).is_ok_and(|file| file.is_file()) {
            numbers.push(number);
        }
    }
    numbers.sort_unstable_by(|a, b| b.cmp(a));
    Ok(numbers)
}

/// Only the way in which a number is written by rotation: no sign, no leading zero.
fn parse_number(name: &str) -> Option<u64> {
    let number: u64 = name.parse().ok()?;
    (number.to_string() == name).then_some(number)
}
