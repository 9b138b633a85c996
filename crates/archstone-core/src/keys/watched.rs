//! A value read from files, kept while the files stay the same.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::REFRESH;
use super::error::KeyError;

/// What a reading gives: the value, and a digest by which a change is noticed.
pub(super) struct Reading<T> {
    pub(super) value: T,
    pub(super) digest: [u8; 32],
}

struct State<T> {
    value: Arc<T>,
    digest: [u8; 32],
    generation: u64,
    read_at: Instant,
}

/// Reads a few small files at most every [`REFRESH`], and at once on demand. A reading takes tens of microseconds; those
/// who come while it lasts wait for it.
pub(super) struct Watched<T, R> {
    read: R,
    state: Mutex<State<T>>,
}

impl<T, R: Fn() -> Result<Reading<T>, KeyError>> Watched<T, R> {
    pub(super) fn start(read: R) -> Result<Self, KeyError> {
        let Reading { value, digest } = read()?;
        let state = State { value: Arc::new(value), digest, generation: 0, read_at: Instant::now() };
        Ok(Self { read, state: Mutex::new(state) })
    }

    /// The value and its generation, at most [`REFRESH`] old.
    pub(super) fn current(&self) -> Result<(Arc<T>, u64), KeyError> {
        let state = self.lock();
        if state.read_at.elapsed() < REFRESH {
            return Ok((Arc::clone(&state.value), state.generation));
        }
        self.refresh(state)
    }

    /// The value read now. If that fails there is none: the files decide, not the memory of them.
    pub(super) fn latest(&self) -> Result<(Arc<T>, u64), KeyError> {
        self.refresh(self.lock())
    }

    fn refresh(&self, mut state: MutexGuard<'_, State<T>>) -> Result<(Arc<T>, u64), KeyError> {
        let started = Instant::now();
        let Reading { value, digest } = (self.read)()?;
        if digest != state.digest {
            state.value = Arc::new(value);
            state.digest = digest;
            state.generation += 1;
        }
        state.read_at = started;
        Ok((Arc::clone(&state.value), state.generation))
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // The state is replaced in whole after a reading succeeded, so a panic leaves it as it was.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
