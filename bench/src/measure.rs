//! Latencies and throughput of one phase, and how they are shown.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

/// The longest latency told apart, in nanoseconds; beyond a request's timeout.
const LONGEST: u64 = 120_000_000_000;

/// What one worker saw. Latencies run from before the request is sent until the whole body is there.
pub(crate) struct Sample {
    latencies: Histogram<u64>,
    body_bytes: u64,
    failed: u64,
    first_failure: Option<String>,
    pub(crate) reconnects: u64,
}

/// The result of one phase. A failed request counts in `failed` only, not in the throughput.
#[derive(Serialize)]
pub(crate) struct Phase {
    pub(crate) name: &'static str,
    concurrency: usize,
    requests: u64,
    failed: u64,
    /// Connections opened beyond one per worker: how often the server has ended one.
    reconnects: u64,
    seconds: f64,
    per_second: f64,
    body_bytes_per_second: f64,
    ms: Percentiles,
    #[serde(skip)]
    first_failure: Option<String>,
}

#[derive(Serialize)]
struct Percentiles {
    mean: f64,
    p50: f64,
    p95: f64,
    p99: f64,
    #[serde(rename = "p99.9")]
    p99_9: f64,
    max: f64,
}

impl Sample {
    pub(crate) fn new() -> Self {
        let latencies = Histogram::new_with_bounds(1, LONGEST, 3).expect("three significant digits are within 0..=5");
        Self { latencies, body_bytes: 0, failed: 0, first_failure: None, reconnects: 0 }
    }

    pub(crate) fn record(&mut self, latency: Duration, body_bytes: usize) {
        self.latencies.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
        self.body_bytes += body_bytes as u64;
    }

    pub(crate) fn record_failure(&mut self, failure: &crate::Error) {
        self.failed += 1;
        self.first_failure.get_or_insert_with(|| failure.to_string());
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.latencies += other.latencies;
        self.body_bytes += other.body_bytes;
        self.failed += other.failed;
        self.first_failure = self.first_failure.take().or(other.first_failure);
        self.reconnects += other.reconnects;
    }
}

impl Phase {
    #[expect(clippy::cast_precision_loss, reason = "a display of counts far below 2^52")]
    pub(crate) fn new(name: &'static str, concurrency: usize, elapsed: Duration, sample: Sample) -> Self {
        let latencies = &sample.latencies;
        let ms = |nanos: u64| nanos as f64 / 1e6;
        let at = |quantile| ms(latencies.value_at_quantile(quantile));
        let seconds = elapsed.as_secs_f64();
        Self {
            name,
            concurrency,
            requests: latencies.len(),
            failed: sample.failed,
            reconnects: sample.reconnects,
            seconds,
            per_second: latencies.len() as f64 / seconds,
            body_bytes_per_second: sample.body_bytes as f64 / seconds,
            ms: Percentiles {
                mean: latencies.mean() / 1e6,
                p50: at(0.5),
                p95: at(0.95),
                p99: at(0.99),
                p99_9: at(0.999),
                max: ms(latencies.max()),
            },
            first_failure: sample.first_failure,
        }
    }

    pub(crate) fn check(&self) -> Result<(), crate::Error> {
        match &self.first_failure {
            None => Ok(()),
            Some(first) => Err(crate::Error::Failures {
                failed: self.failed,
                requests: self.requests + self.failed,
                first: format!("{}: {first}", self.name),
            }),
        }
    }
}

/// The phases as a table for people.
pub(crate) struct Table<'a>(pub(crate) &'a [Phase]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<22}{:>6}{:>10}{:>8}{:>10}{:>11}{:>10}{:>10}{:>10}{:>10}",
            "phase", "conc", "requests", "failed", "seconds", "per second", "p50 ms", "p95 ms", "p99 ms", "p99.9 ms"
        )?;
        for phase in self.0 {
            let ms = &phase.ms;
            writeln!(
                f,
                "{:<22}{:>6}{:>10}{:>8}{:>10.2}{:>11.1}{:>10.3}{:>10.3}{:>10.3}{:>10.3}",
                phase.name,
                phase.concurrency,
                phase.requests,
                phase.failed,
                phase.seconds,
                phase.per_second,
                ms.p50,
                ms.p95,
                ms.p99,
                ms.p99_9
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_no_throughput_and_fail_the_phase() {
        let mut sample = Sample::new();
        for millis in 1..=100 {
            sample.record(Duration::from_millis(millis), 10);
        }
        let mut other = Sample::new();
        other.record_failure(&crate::Error::Usage("broken".to_owned()));
        sample.add(other);
        let phase = Phase::new("test", 1, Duration::from_secs(10), sample);
        assert_eq!((phase.requests, phase.failed), (100, 1));
        assert!((phase.per_second - 10.0).abs() < 1e-9);
        assert!((phase.ms.p95 - 95.0).abs() < 0.2, "{}", phase.ms.p95);
        assert!(phase.check().unwrap_err().to_string().contains("1 of 101 requests failed"));
    }
}
