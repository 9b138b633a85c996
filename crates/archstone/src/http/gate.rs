//! Refuses requests beyond those that can be answered soon: what waits too long is asked again, and so an overload lasts.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Counts the requests under way.
pub(super) struct Gate {
    most: usize,
    under_way: AtomicUsize,
    /// Whether the overload was told to the operator.
    told: AtomicBool,
}

/// A request under way.
pub(super) struct Pass<'a>(&'a Gate);

impl Gate {
    pub(super) fn new(most: usize) -> Gate {
        Gate { most, under_way: AtomicUsize::new(0), told: AtomicBool::new(false) }
    }

    /// Lets one more request in, if it is not one too many.
    pub(super) fn enter(&self) -> Option<Pass<'_>> {
        let before = self.under_way.fetch_add(1, Ordering::Relaxed);
        let pass = Pass(self);
        if before < self.most {
            return Some(pass);
        }
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(most = self.most, "overload: requests beyond [archstone] max_requests are refused with 503");
        }
        None
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let left = self.0.under_way.fetch_sub(1, Ordering::Relaxed) - 1;
        // The next overload is told again, but not every wave of the same one.
        if left <= self.0.most / 2 && self.0.told.load(Ordering::Relaxed) && self.0.told.swap(false, Ordering::Relaxed)
        {
            tracing::info!("the overload is over");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_too_many_is_refused_until_another_is_answered() {
        let gate = Gate::new(2);
        let (first, second) = (gate.enter(), gate.enter());
        assert!(first.is_some() && second.is_some());
        assert!(gate.enter().is_none() && gate.enter().is_none());
        drop(first);
        let third = gate.enter();
        assert!(third.is_some());
        drop((second, third));
        assert_eq!(gate.under_way.load(Ordering::Relaxed), 0);
    }
}
