//! The one clock of the program, passed in, and the time texts of the API.
//!
//! **Invariant:** nobody else asks the operating system what time it is, so that a test can stand still.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, NaiveDateTime, SubsecRound, TimeDelta, Utc};

/// A moment in UTC, to the microsecond.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Timestamp(DateTime<Utc>);

impl Timestamp {
    /// From microseconds since 1970-01-01T00:00:00Z; `None` outside the calendar.
    pub fn from_micros(micros: i64) -> Option<Timestamp> {
        DateTime::from_timestamp_micros(micros).map(Timestamp)
    }

    /// From whole seconds since 1970-01-01T00:00:00Z; `None` outside the calendar.
    pub fn from_seconds(seconds: i64) -> Option<Timestamp> {
        DateTime::from_timestamp(seconds, 0).map(Timestamp)
    }

    /// From a database value, which is always in UTC.
    pub fn from_naive(naive: NaiveDateTime) -> Timestamp {
        Timestamp(naive.and_utc().trunc_subsecs(6))
    }

    /// From the API's ISO 8601 text, with or without fraction and zone; a missing zone is UTC.
    pub fn parse(text: &str) -> Option<Timestamp> {
        if let Ok(zoned) = DateTime::parse_from_rfc3339(text) {
            return Some(Timestamp(zoned.with_timezone(&Utc).trunc_subsecs(6)));
        }
        ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.fZ"]
            .iter()
            .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
            .map(Timestamp::from_naive)
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub fn micros(self) -> i64 {
        self.0.timestamp_micros()
    }

    /// Whole seconds since 1970-01-01T00:00:00Z, rounded down.
    pub fn seconds(self) -> i64 {
        self.0.timestamp()
    }

    /// The database's form.
    pub fn naive(self) -> NaiveDateTime {
        self.0.naive_utc()
    }

    /// `2026-11-22T05:34:18.000000Z`, the API's usual form.
    pub fn iso(self) -> String {
        self.0.format("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
    }

    /// `2026-11-22T05:34:18Z`, the form of the few times that the API shows without their fraction of a second.
    pub fn iso_seconds(self) -> String {
        self.0.format("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// `2026-11-22T05:34:18.000000`, the form of the few times that the API shows without their zone.
    pub fn iso_without_zone(self) -> String {
        self.0.format("%Y-%m-%dT%H:%M:%S.%6f").to_string()
    }

    /// The same moment without its fraction of a second.
    pub fn truncated(self) -> Timestamp {
        Timestamp(self.0.trunc_subsecs(0))
    }

    /// Later by so many seconds (earlier, if negative); saturates at the calendar's ends.
    pub fn plus_seconds(self, seconds: i64) -> Timestamp {
        let delta = TimeDelta::try_seconds(seconds).unwrap_or(TimeDelta::MAX);
        let end = if seconds < 0 { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC };
        Timestamp(self.0.checked_add_signed(delta).unwrap_or(end))
    }
}

/// Tells the time: the system's, or one that a test sets.
#[derive(Clone, Debug)]
pub struct TimeSource(Option<Arc<AtomicI64>>);

impl TimeSource {
    /// The operating system's clock.
    pub fn system() -> TimeSource {
        TimeSource(None)
    }

    /// A clock that stands still until [`TimeSource::advance`] moves it.
    pub fn fixed(at: Timestamp) -> TimeSource {
        TimeSource(Some(Arc::new(AtomicI64::new(at.micros()))))
    }

    /// The time now.
    #[expect(clippy::disallowed_methods, reason = "the one place where the system is asked for the time")]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            None => Timestamp(Utc::now().trunc_subsecs(6)),
            Some(micros) => {
                Timestamp::from_micros(micros.load(Ordering::SeqCst)).unwrap_or(Timestamp(DateTime::UNIX_EPOCH))
            }
        }
    }

    /// Moves a fixed clock on; the system's clock is not ours to move.
    pub fn advance(&self, seconds: i64) {
        if let Some(micros) = &self.0 {
            micros.fetch_add(seconds.saturating_mul(1_000_000), Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_text_round_trips() {
        let text = "2026-11-22T05:34:18.000120Z";
        assert_eq!(Timestamp::parse(text).unwrap().iso(), text);
    }

    #[test]
    fn a_missing_zone_is_utc_and_an_offset_is_converted() {
        let utc = Timestamp::parse("2026-11-22T05:34:18").unwrap();
        assert_eq!(utc, Timestamp::parse("2026-11-22 05:34:18.0").unwrap());
        assert_eq!(utc, Timestamp::parse("2026-11-22T06:34:18+01:00").unwrap());
        assert_eq!(Timestamp::parse("yesterday"), None);
    }

    #[test]
    fn a_fixed_clock_moves_only_when_told() {
        let source = TimeSource::fixed(Timestamp::from_seconds(100).unwrap());
        source.advance(5);
        assert_eq!(source.now().seconds(), 105);
    }

    #[test]
    fn adding_too_much_saturates() {
        let now = Timestamp::from_seconds(0).unwrap();
        assert!(now.plus_seconds(i64::MAX) > now);
        assert!(now.plus_seconds(i64::MIN + 1) < now);
    }
}
