//! Tells without a statement that a SQLite database was not written to.
//!
//! Beside a database in WAL mode lies the index of its log, `…-shm`, which all processes map. Its first 48 bytes are a
//! header with a counter and a checksum that every commit rewrites before it is done, whoever commits
//! (<https://www.sqlite.org/walformat.html>, "The WAL-Index Header"). As long as they are the same, nothing was committed.
//!
//! **Invariant:** a header is believed only while the connection is open that was there when the file was: SQLite deletes
//! the file with the last connection.
//!
//! **Invariant:** the file is never closed as long as it has a name. POSIX locks end when a process closes any descriptor
//! of a file, and the locks on this one are what keeps other processes from taking it for abandoned.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::ClockReading;

/// The first copy of the header, which is written after the second.
type Header = [u8; 48];

/// The last reading and the header that was there before it; shared by those who ask.
#[derive(Default)]
pub(super) struct LastReading(RwLock<Option<Known>>);

struct Known {
    index: Arc<File>,
    header: Header,
    reading: Arc<ClockReading>,
}

impl LastReading {
    /// The last reading, if nothing was committed since it was made.
    pub(super) fn if_unchanged(&self) -> Option<Arc<ClockReading>> {
        // A panic while it is set leaves one that is whole.
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let known = known.as_ref()?;
        (header(&known.index)? == known.header).then(|| Arc::clone(&known.reading))
    }

    fn set(&self, known: Option<Known>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = known;
    }
}

/// The reader's side: looks at the header before it reads, and tells what it read.
pub(super) struct WalIndex {
    path: Option<PathBuf>,
    index: Option<Arc<File>>,
    last: Arc<LastReading>,
}

/// What the header was before a reading.
pub(super) struct Look(Header);

impl WalIndex {
    /// For this database; none for one that is not SQLite's.
    pub(super) fn new(database: Option<&str>, last: Arc<LastReading>) -> WalIndex {
        WalIndex { path: database.map(|path| format!("{path}-shm").into()), index: None, last }
    }

    /// To be asked before a reading, with a connection that has read before: the index is made when one reads first.
    pub(super) fn look(&mut self) -> Option<Look> {
        if self.index.is_none() {
            // Without one (another journal mode) every reading asks the database.
            self.index = open_for_good(self.path.as_ref()?).ok();
        }
        header(self.index.as_deref()?).map(Look)
    }

    /// What was read after this look.
    pub(super) fn tell(&mut self, look: Option<Look>, reading: &Arc<ClockReading>) {
        // Opened just before it was deleted and made anew: not the one that the connection uses since it read.
        if self.index.as_ref().is_some_and(|index| !has_a_name(index)) {
            self.forget();
            return;
        }
        let known = look.zip(self.index.as_ref()).map(|(Look(header), index)| Known {
            index: Arc::clone(index),
            header,
            reading: Arc::clone(reading),
        });
        self.last.set(known);
    }

    /// To be called before the connection is given up.
    pub(super) fn forget(&mut self) {
        self.last.set(None);
        self.index = None;
    }
}

/// All that were opened by this process.
static OPEN: Mutex<Vec<Open>> = Mutex::new(Vec::new());

struct Open {
    /// Device and inode.
    identity: (u64, u64),
    file: Arc<File>,
}

fn open_for_good(path: &Path) -> io::Result<Arc<File>> {
    // A panic leaves a list that is whole.
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    // One without a name no other process can open, so that its locks mean nothing any more.
    open.retain(|open| has_a_name(&open.file));
    let identity = |metadata: &Metadata| (metadata.dev(), metadata.ino());
    let named = identity(&path.metadata()?);
    if let Some(known) = open.iter().find(|open| open.identity == named) {
        return Ok(Arc::clone(&known.file));
    }
    let file = Arc::new(File::open(path)?);
    open.push(Open { identity: identity(&file.metadata()?), file: Arc::clone(&file) });
    Ok(file)
}

fn has_a_name(file: &File) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.nlink() > 0)
}

fn header(index: &File) -> Option<Header> {
    let mut header = [0; 48];
    index.read_exact_at(&mut header, 0).is_ok().then_some(header)
}
