//! The JWS key pair on disk.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keystone_token::jws::{Algorithm, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use crate::config::JwsAlgorithm;

use super::error::{KeyError, OpenError};
use super::layout::sha256;
use super::rotation::Owner;
use super::watched::{Reading, Watched};

impl From<JwsAlgorithm> for Algorithm {
    fn from(configured: JwsAlgorithm) -> Self {
        match configured {
            JwsAlgorithm::Es256 => Self::Es256,
            JwsAlgorithm::Es384 => Self::Es384,
            JwsAlgorithm::Es512 => Self::Es512,
            JwsAlgorithm::EdDsa => Self::EdDsa,
        }
    }
}

const PRIVATE: &str = "private.pem";
const PUBLIC: &str = "public.pem";

type Read<T> = Box<dyn Fn() -> Result<Reading<T>, KeyError> + Send + Sync>;

/// `[jwt_tokens]`: the private key that signs, and every public key that verifies, followed as they change.
pub struct JwsRepository {
    signing: Watched<SigningKey, Read<SigningKey>>,
    verifying: Watched<Vec<VerifyingKey>, Read<Vec<VerifyingKey>>>,
}

impl JwsRepository {
    /// Reads `private.pem` of the private repository, which must be a key of the algorithm, and all files of the public
    /// one, of which one at least must be a public key.
    pub fn open(private: &Path, public: &Path, algorithm: Algorithm) -> Result<Self, KeyError> {
        let private = private.join(PRIVATE);
        let signing: Read<SigningKey> = Box::new(move || read_private(&private, algorithm));
        let public = public.to_owned();
        let verifying: Read<Vec<VerifyingKey>> = Box::new(move || read_public(&public));
        Ok(Self { signing: Watched::start(signing)?, verifying: Watched::start(verifying)? })
    }

    /// The private key as it is now.
    pub fn signing(&self) -> Result<Arc<SigningKey>, KeyError> {
        Ok(self.signing.latest()?.0)
    }

    /// A number that changes when the public keys change.
    pub fn generation(&self) -> Result<u64, KeyError> {
        self.verifying.generation()
    }

    /// Verifies a token; with the keys read anew if those in memory don't fit.
    pub fn open_text<T>(
        &self,
        open: impl Fn(&[VerifyingKey]) -> Result<T, keystone_token::Error>,
    ) -> Result<T, OpenError> {
        let (keys, generation) = self.verifying.current()?;
        match open(&keys) {
            Err(keystone_token::Error::Unauthentic) => {}
            answer => return Ok(answer?),
        }
        let (keys, now) = self.verifying.latest()?;
        if now == generation { Err(keystone_token::Error::Unauthentic.into()) } else { Ok(open(&keys)?) }
    }
}

impl std::fmt::Debug for JwsRepository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JwsRepository").finish_non_exhaustive()
    }
}

fn read_private(path: &Path, algorithm: Algorithm) -> Result<Reading<SigningKey>, KeyError> {
    let text = Zeroizing::new(fs::read_to_string(path).map_err(KeyError::io("reading private key", path))?);
    let value = SigningKey::from_pem(algorithm, &text)
        .map_err(|source| KeyError::Unusable { path: path.to_owned(), source })?;
    Ok(Reading { value, digest: sha256(text.as_bytes()) })
}

fn read_public(directory: &Path) -> Result<Reading<Vec<VerifyingKey>>, KeyError> {
    let failed = |error| KeyError::io("reading public keys", directory)(error);
    let mut paths: Vec<PathBuf> = fs::read_dir(directory)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    paths.sort_unstable();

    let mut keys = Vec::new();
    let mut seen = Vec::new();
    for path in paths {
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            // Not text, not a file, or just gone: no key in any case.
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidData | ErrorKind::IsADirectory) =>
            {
                continue;
            }
            Err(error) => return Err(KeyError::io("reading public key", &path)(error)),
        };
        seen.extend_from_slice(&sha256(text.as_bytes()));
        match VerifyingKey::from_pem(&text) {
            Ok(key) => keys.push(key),
            Err(error) => tracing::warn!(path = %path.display(), %error, "passing over a file"),
        }
    }
    if keys.is_empty() {
        return Err(KeyError::Empty { path: directory.to_owned() });
    }
    Ok(Reading { value: keys, digest: sha256(&seen) })
}

/// Whether [`create_keypair`] may replace files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overwrite {
    /// An existing file is an error.
    Refuse,
    /// `--force`.
    Force,
}

/// Writes `private.pem` (mode 0600) and `public.pem` (mode 0644) into a directory. The reference leaves modes to the umask
/// and the files to the caller.
pub fn create_keypair(
    directory: &Path,
    algorithm: Algorithm,
    overwrite: Overwrite,
    owner: Owner,
) -> Result<(), KeyError> {
    let (private, public) = (directory.join(PRIVATE), directory.join(PUBLIC));
    if overwrite == Overwrite::Refuse {
        for path in [&private, &public] {
            if path.try_exists().map_err(KeyError::io("looking for", path))? {
                return Err(KeyError::Exists { path: path.clone() });
            }
        }
    }
    let key = SigningKey::generate(algorithm).map_err(|_| KeyError::Crypto)?;
    write(&private, 0o600, owner, key.to_pem().map_err(|_| KeyError::Crypto)?.as_bytes())?;
    write(&public, 0o644, owner, key.public_pem().map_err(|_| KeyError::Crypto)?.as_bytes())
}

/// Through a temporary file, so that a server never reads half a key.
fn write(path: &Path, mode: u32, owner: Owner, text: &[u8]) -> Result<(), KeyError> {
    let temporary = path.with_extension("pem.tmp");
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(KeyError::io("deleting", &temporary)(error)),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&temporary)
        .map_err(KeyError::io("writing key", &temporary))?;
    if let Some((user, group)) = owner {
        fchown(&file, Some(user), Some(group)).map_err(KeyError::io("giving away key", &temporary))?;
    }
    file.write_all(text).and_then(|()| file.sync_all()).map_err(KeyError::io("writing key", &temporary))?;
    fs::rename(&temporary, path).map_err(KeyError::io("writing key", path))
}
