//! A value read from files, kept while the files stay the same.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use super::REFRESH;
use super::error::KeyError;

/// What a reading gives: the value, and a digest by which a change is noticed.
pub(super) struct Reading<T> {
    pub(super) value: T,
    pub(super) digest: [u8; 32],
}

/// Reads a few small files at most every [`REFRESH`], and at once on demand. A reading takes tens of microseconds; those
/// who come while it lasts wait for it. Between readings nobody waits for anybody.
pub(super) struct Watched<T, R> {
    read: R,
    /// Held while the files are read; the digest of the last reading.
    reading: Mutex<[u8; 32]>,
    value: RwLock<(Arc<T>, u64)>,
    started: Instant,
    /// Microseconds after `started` when the last good reading began, and its generation. Written in this order after the
    /// value, so whoever sees a fresh time sees its generation, too.
    generation: AtomicU64,
    read_at: AtomicU64,
}

impl<T, R: Fn() -> Result<Reading<T>, KeyError>> Watched<T, R> {
    pub(super) fn start(read: R) -> Result<Self, KeyError> {
        let started = Instant::now();
        let Reading { value, digest } = read()?;
        Ok(Self {
            read,
            reading: Mutex::new(digest),
            value: RwLock::new((Arc::new(value), 0)),
            started,
            generation: AtomicU64::new(0),
            read_at: AtomicU64::new(0),
        })
    }

    /// The value and its generation, at most [`REFRESH`] old.
    pub(super) fn current(&self) -> Result<(Arc<T>, u64), KeyError> {
        self.refresh_if_old()?;
        Ok(self.value())
    }

    /// The generation of what [`current`](Self::current) gives; asked for every request, so it takes no lock.
    pub(super) fn generation(&self) -> Result<u64, KeyError> {
        self.refresh_if_old()?;
        Ok(self.generation.load(Ordering::Acquire))
    }

    /// The value read now. If that fails there is none: the files decide, not the memory of them.
    pub(super) fn latest(&self) -> Result<(Arc<T>, u64), KeyError> {
        self.refresh(self.lock())?;
        Ok(self.value())
    }

    fn refresh_if_old(&self) -> Result<(), KeyError> {
        if self.is_fresh() {
            return Ok(());
        }
        let digest = self.lock();
        // Somebody else may have read them while we waited.
        if self.is_fresh() { Ok(()) } else { self.refresh(digest) }
    }

    fn refresh(&self, mut last: MutexGuard<'_, [u8; 32]>) -> Result<(), KeyError> {
        let began = self.elapsed();
        let Reading { value, digest } = (self.read)()?;
        if digest != *last {
            let generation = self.generation.load(Ordering::Acquire) + 1;
            *self.value.write().unwrap_or_else(PoisonError::into_inner) = (Arc::new(value), generation);
            self.generation.store(generation, Ordering::Release);
            *last = digest;
        }
        self.read_at.store(began, Ordering::Release);
        Ok(())
    }

    fn is_fresh(&self) -> bool {
        let age = self.elapsed().saturating_sub(self.read_at.load(Ordering::Acquire));
        u128::from(age) < REFRESH.as_micros()
    }

    fn elapsed(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn value(&self) -> (Arc<T>, u64) {
        let value = self.value.read().unwrap_or_else(PoisonError::into_inner);
        (Arc::clone(&value.0), value.1)
    }

    fn lock(&self) -> MutexGuard<'_, [u8; 32]> {
        // What it guards is replaced in whole after a reading succeeded, so a panic leaves it as it was.
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
