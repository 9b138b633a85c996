//! What a reader may see of something that is written again and again.
//!
//! Each write is known by when it was begun and when it was answered. A reading sees one value of the thing, that of some
//! moment while the reading was under way: of a write that was answered before the reading began at least that one, and
//! of one that began after the reading had ended nothing. That is what linearizable means, and it is all that is asked
//! here.

use std::time::Instant;

/// The values of a thing in the order in which one writer wrote them.
pub(super) struct History<T> {
    versions: Vec<Version<T>>,
    /// Written at some time or never: nobody answered whether.
    floating: Vec<(Instant, T)>,
}

pub(super) struct Version<T> {
    pub(super) begun: Instant,
    /// `None` while it is under way.
    pub(super) answered: Option<Instant>,
    pub(super) value: T,
    /// The write, in words.
    pub(super) what: String,
}

impl<T> History<T> {
    pub(super) fn new(value: T, what: &str) -> Self {
        let now = Instant::now();
        Self {
            versions: vec![Version { begun: now, answered: Some(now), value, what: what.to_owned() }],
            floating: Vec::new(),
        }
    }

    /// A write is about to be sent.
    pub(super) fn begin(&mut self, value: T, what: String) {
        self.versions.push(Version { begun: Instant::now(), answered: None, value, what });
    }

    /// The write was answered, and so it is done.
    pub(super) fn answered(&mut self) {
        if let Some(last) = self.versions.last_mut() {
            last.answered = Some(Instant::now());
        }
    }

    /// The write was refused: it has never been there.
    pub(super) fn refused(&mut self) {
        if self.versions.len() > 1 {
            self.versions.pop();
        }
    }

    /// The write was not answered: its value may be seen from its beginning on, for ever, or never.
    pub(super) fn unanswered(&mut self) {
        if self.versions.len() > 1
            && let Some(Version { begun, value, .. }) = self.versions.pop()
        {
            self.floating.push((begun, value));
        }
    }

    /// The newest value.
    pub(super) fn newest(&self) -> &T {
        &self.versions[self.versions.len() - 1].value
    }

    /// The same, for what no reading sees.
    pub(super) fn newest_mut(&mut self) -> &mut T {
        let last = self.versions.len() - 1;
        &mut self.versions[last].value
    }

    /// What a reading that lasted from `began` to `ended` may have seen, the newest first.
    pub(super) fn visible(&self, began: Instant, ended: Instant) -> impl Iterator<Item = &T> {
        let until =
            self.versions.iter().rposition(|version| version.answered.is_some_and(|answered| answered <= began));
        let versions = self.versions[until.unwrap_or(0)..].iter().rev();
        let floating = self.floating.iter().filter(move |(begun, _)| *begun <= ended).map(|(_, value)| value);
        versions.filter(move |version| version.begun <= ended).map(|version| &version.value).chain(floating)
    }

    /// The last writes, the oldest first.
    pub(super) fn last(&self, count: usize) -> &[Version<T>] {
        &self.versions[self.versions.len().saturating_sub(count)..]
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;
    use std::time::Duration;

    use super::*;

    fn tick() -> Instant {
        sleep(Duration::from_millis(1));
        let now = Instant::now();
        sleep(Duration::from_millis(1));
        now
    }

    fn seen(history: &History<u32>, began: Instant, ended: Instant) -> Vec<u32> {
        history.visible(began, ended).copied().collect()
    }

    #[test]
    fn a_reading_sees_what_was_answered_before_it_and_may_see_what_was_under_way() {
        let before = tick();
        let mut history = History::new(0, "made");
        let made = tick();
        history.begin(1, "one".to_owned());
        let under_way = tick();
        history.answered();
        let answered = tick();
        history.begin(2, "two".to_owned());
        let second = tick();
        assert_eq!(seen(&history, before, made), [0]);
        assert_eq!(seen(&history, made, made), [0]);
        assert_eq!(seen(&history, made, under_way), [1, 0]);
        assert_eq!(seen(&history, under_way, under_way), [1, 0]);
        assert_eq!(seen(&history, answered, answered), [1]);
        assert_eq!(seen(&history, answered, second), [2, 1]);
        assert_eq!(seen(&history, made, second), [2, 1, 0]);
        assert_eq!(*history.newest(), 2);
    }

    #[test]
    fn a_refused_write_is_never_seen_and_an_unanswered_one_at_any_time() {
        let mut history = History::new(0, "made");
        history.begin(1, "refused".to_owned());
        history.refused();
        let before = tick();
        history.begin(2, "lost".to_owned());
        history.unanswered();
        history.begin(3, "three".to_owned());
        history.answered();
        let after = tick();
        assert_eq!(seen(&history, before, before), [0]);
        assert_eq!(seen(&history, after, after), [3, 2]);
    }
}
