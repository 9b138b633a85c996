//! A closed loop: each worker sends its next request when the reply before has come and was checked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::Full;

use crate::Error;
use crate::connection::{Connection, ExchangeError, Reply};
use crate::measure::{Phase, Sample};

/// What a worker asks, and how it judges the reply. `turn` counts the requests of the whole phase.
pub(crate) trait Work: Clone + Send + Sync + 'static {
    type Kept: Send;
    fn request(&self, turn: usize) -> Request<Full<Bytes>>;
    fn judge(&self, turn: usize, reply: &Reply) -> Result<Self::Kept, Error>;
}

/// When a phase is over: after so many requests, or so long, whichever comes first.
#[derive(Clone, Copy)]
pub(crate) struct Limit {
    pub(crate) requests: Option<usize>,
    pub(crate) within: Option<Duration>,
}

impl Limit {
    pub(crate) fn requests(requests: usize) -> Self {
        Self { requests: Some(requests), within: None }
    }

    pub(crate) fn within(duration: Duration) -> Self {
        Self { requests: None, within: Some(duration) }
    }

    fn is_over(&self, turn: usize, elapsed: Duration) -> bool {
        self.requests.is_some_and(|most| turn >= most) || self.within.is_some_and(|most| elapsed >= most)
    }
}

/// Runs `work` on `concurrency` connections, which are open before the time starts.
pub(crate) async fn run<W: Work>(
    name: &'static str,
    authority: &str,
    concurrency: usize,
    limit: Limit,
    work: W,
) -> Result<(Phase, Vec<W::Kept>), Error> {
    let mut connections = Vec::with_capacity(concurrency);
    for _ in 0..concurrency {
        connections.push(Connection::open(authority).await?);
    }
    let turns = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let workers: Vec<_> = connections
        .into_iter()
        .map(|connection| tokio::spawn(worker(connection, work.clone(), limit, start, Arc::clone(&turns))))
        .collect();
    let (mut sample, mut kept) = (Sample::new(), Vec::new());
    for worker in workers {
        let (part, more) = worker.await.map_err(|error| Error::io(name)(error.into()))??;
        sample.add(part);
        kept.extend(more);
    }
    Ok((Phase::new(name, concurrency, start.elapsed(), sample), kept))
}

async fn worker<W: Work>(
    mut connection: Connection,
    work: W,
    limit: Limit,
    start: Instant,
    turns: Arc<AtomicUsize>,
) -> Result<(Sample, Vec<W::Kept>), Error> {
    let (mut sample, mut kept) = (Sample::new(), Vec::new());
    loop {
        let turn = turns.fetch_add(1, Ordering::Relaxed);
        let before = Instant::now();
        if limit.is_over(turn, before - start) {
            break;
        }
        match connection.exchange(|| work.request(turn)).await {
            Ok(reply) => {
                let latency = before.elapsed();
                match work.judge(turn, &reply) {
                    Ok(good) => {
                        sample.record(latency, reply.body.len());
                        kept.push(good);
                    }
                    Err(error) => sample.record_failure(&error),
                }
            }
            // Nobody listens: nothing that follows could be measured.
            Err(error @ ExchangeError::Connect { .. }) => return Err(error.into()),
            Err(error) => sample.record_failure(&error.into()),
        }
    }
    sample.reconnects = connection.connects - 1;
    Ok((sample, kept))
}
