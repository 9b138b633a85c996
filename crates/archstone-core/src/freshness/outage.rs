//! For how long the database's clock could not be read.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// While an outage lasts the clock is tried this often, by whoever comes then; the others do not wait for it.
const TRY_EVERY: Duration = Duration::from_secs(1);

/// When the clock was read last, and since when it cannot be.
#[derive(Default)]
pub(super) struct Outage(Mutex<State>);

#[derive(Default)]
struct State {
    last_reading: Option<Instant>,
    /// Set while the outage lasts.
    last_failure: Option<Instant>,
}

impl Outage {
    /// Whether the last try is too recent for another one, and the last reading for giving up.
    pub(super) fn waits_for_next_try(&self, longest: Duration) -> bool {
        let state = self.state();
        state.last_failure.is_some_and(|failure| failure.elapsed() < TRY_EVERY) && state.left(longest).is_some()
    }

    pub(super) fn lasts(&self) -> bool {
        self.state().last_failure.is_some()
    }

    /// The clock was read.
    pub(super) fn end(&self) {
        let mut state = self.state();
        state.last_reading = Some(Instant::now());
        state.last_failure = None;
    }

    /// The clock could not be read: for how long memory may still be used, or that it may not.
    pub(super) fn go_on(&self, longest: Duration) -> Option<Duration> {
        let mut state = self.state();
        let left = state.left(longest);
        // Once it is over, nothing is taken for fresher than it is.
        state.last_failure = left.map(|_| Instant::now());
        left
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Two times, each of which is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn left(&self, longest: Duration) -> Option<Duration> {
        longest.checked_sub(self.last_reading?.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_only_after_a_reading_and_for_so_long() {
        let outage = Outage::default();
        let hour = Duration::from_hours(1);
        assert!(outage.go_on(hour).is_none());
        assert!(!outage.lasts());
        outage.end();
        assert!(!outage.waits_for_next_try(hour));
        assert!(outage.go_on(hour).is_some_and(|left| left <= hour));
        assert!(outage.lasts() && outage.waits_for_next_try(hour));
        assert!(outage.go_on(Duration::ZERO).is_none());
        assert!(!outage.lasts());
        outage.end();
        assert!(!outage.lasts());
    }
}
