//! Points in time as the payloads carry them.

/// Microseconds since 1970-01-01T00:00:00Z, within the years 1 to 9999 when it comes out of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMicros(pub i64);

const MIN_SECONDS: i64 = -62_135_596_800;
const MAX_SECONDS: i64 = 253_402_300_799;

impl UnixMicros {
    /// The start of a second.
    pub fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// Whole seconds since the epoch, rounded down: the precision in which the API shows and compares times.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// The payload's float64 seconds, rounded to the microsecond, ties to even, as Python's `fromtimestamp` does.
    /// `None` outside the years 1 to 9999.
    #[expect(clippy::cast_possible_truncation, reason = "the range is checked first")]
    #[expect(clippy::cast_precision_loss, reason = "both bounds are below 2^53")]
    pub(crate) fn from_float(seconds: f64) -> Option<Self> {
        if !(seconds >= MIN_SECONDS as f64 && seconds < (MAX_SECONDS + 1) as f64) {
            return None;
        }
        let micros = seconds.trunc() as i64 * 1_000_000 + (seconds.fract() * 1e6).round_ties_even() as i64;
        Some(Self(micros))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "exact for whole seconds; microseconds fit 2^53 until the year 2255"
    )]
    pub(crate) fn to_float(self) -> f64 {
        if self.0 % 1_000_000 == 0 { (self.0 / 1_000_000) as f64 } else { self.0 as f64 / 1e6 }
    }

    /// Seconds from an envelope or a claim; `None` outside the years 1970 to 9999.
    pub(crate) fn checked_seconds(seconds: u64) -> Option<i64> {
        i64::try_from(seconds).ok().filter(|s| *s <= MAX_SECONDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_round_to_the_microsecond_and_back() {
        assert_eq!(UnixMicros::from_float(1_700_003_600.0), Some(UnixMicros(1_700_003_600_000_000)));
        assert_eq!(UnixMicros::from_float(1_700_003_600.123_456), Some(UnixMicros(1_700_003_600_123_456)));
        assert_eq!(UnixMicros::from_float(-0.5), Some(UnixMicros(-500_000)));
        assert_eq!(UnixMicros(-500_000).seconds(), -1);
        assert_eq!(UnixMicros(1_700_003_600_123_456).to_float().to_bits(), 1_700_003_600.123_456_f64.to_bits());
    }

    #[test]
    fn times_that_python_cannot_hold_are_refused() {
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, 253_402_300_800.0, -62_135_596_801.0] {
            assert_eq!(UnixMicros::from_float(bad), None, "{bad}");
        }
    }
}
