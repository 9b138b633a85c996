//! Which writes there were: what lets a node answer from memory and still never from before a committed write.
//!
//! Every transaction that touched something ends by adding to its node's own row of `archstone_clock` and by inserting
//! what it touched into `archstone_change`. The lock on that row holds until the commit, so a node's ticks become
//! visible in order and without gaps. A reader compares [`Clock::read`] with what it saw before and asks for the
//! [`Clock::changes_since`].
//!
//! **Invariant:** a reading was begun after it was asked for, so it holds every write that was committed before.

mod reader;
mod wal;
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{mpsc, oneshot};

use crate::{ConnectOptions, DbError, SqlUrl};

use wal::LastReading;
pub(crate) use writer::advance;
pub use writer::prune_changes;

/// Readers beyond this number wait before they are even queued.
const QUEUE: usize = 4096;

/// The reader of the clock, on a connection of its own that is made when first needed and again when it breaks.
pub struct Clock {
    requests: mpsc::Sender<Request>,
    last: Arc<LastReading>,
    reads: Arc<AtomicU64>,
}

enum Request {
    Read(oneshot::Sender<Result<Arc<ClockReading>, DbError>>),
    Changes { since: Arc<ClockReading>, now: Arc<ClockReading>, reply: oneshot::Sender<Result<Changes, DbError>> },
    Close(oneshot::Sender<()>),
}

/// Where each writer's count stood.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ClockReading {
    /// The last tick of each writer. Where a writer's ticks begin means nothing.
    pub ticks: BTreeMap<String, i64>,
    /// The ticks that triggers made for writers who do not know the clock, by slot; see [`crate::triggers`].
    pub foreign: Vec<i64>,
    /// The newest `revocation_event.id`, which Python Keystone moves too; 0 when there is none.
    pub last_revocation: i64,
}

/// What was touched between two readings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changes {
    /// All of it.
    Known(Vec<Change>),
    /// Too much, or no longer on record: whatever is in memory may be out of date.
    Forgotten,
}

/// Something that was touched; see [`crate::Touch`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// What it is.
    pub kind: String,
    /// Which one.
    pub reference: String,
}

/// Where the task that answers all who ask gets its answers: the database, or in a test a model of one.
#[cfg_attr(
    not(any(test, feature = "testing")),
    expect(unreachable_pub, reason = "only tests of other crates make readings of their own")
)]
pub trait Readings: Send {
    /// Reads the clock now.
    fn read(&mut self) -> impl Future<Output = Result<Arc<ClockReading>, DbError>> + Send;

    /// What was touched after `since` and up to `now`.
    fn changes(
        &mut self,
        since: Arc<ClockReading>,
        now: Arc<ClockReading>,
    ) -> impl Future<Output = Result<Changes, DbError>> + Send;

    /// Ends in order: nobody asks any more.
    fn close(&mut self) -> impl Future<Output = ()> + Send;

    /// Ends at once.
    fn abandon(&mut self);
}

impl ClockReading {
    /// Whether everything that this reading saw, `other` saw too.
    pub fn is_not_after(&self, other: &ClockReading) -> bool {
        self.last_revocation <= other.last_revocation
            && self.foreign.len() <= other.foreign.len()
            && self.foreign.iter().zip(&other.foreign).all(|(tick, seen)| tick <= seen)
            && self.ticks.iter().all(|(writer, tick)| other.ticks.get(writer).is_some_and(|seen| tick <= seen))
    }
}

impl ClockReading {
    fn foreign_moves(&self) -> i64 {
        self.foreign.iter().sum()
    }
}

impl Clock {
    pub(crate) fn new(url: &SqlUrl, options: &ConnectOptions) -> Result<Self, DbError> {
        let (requests, queue) = mpsc::channel(QUEUE);
        let reads = Arc::new(AtomicU64::new(0));
        let last = Arc::new(LastReading::default());
        let reader = reader::Reader::new(url, options, Arc::clone(&last), Arc::clone(&reads))?;
        tokio::spawn(reader::serve(reader, queue));
        Ok(Self { requests, last, reads })
    }

    /// A clock of these readings, and the task that answers for it.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn of(readings: impl Readings + 'static) -> (Self, impl Future<Output = ()> + Send) {
        let (requests, queue) = mpsc::channel(QUEUE);
        (Self { requests, last: Arc::default(), reads: Arc::default() }, reader::serve(readings, queue))
    }

    /// How often the database was asked for a reading.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    /// Reads the clock. Those who ask while one read is under way share the next one, so that the cost does not grow with
    /// their number. When nothing moved it is the same `Arc` as before.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] when it cannot be read in time.
    pub async fn read(&self) -> Result<Arc<ClockReading>, DbError> {
        if let Some(reading) = self.last.if_unchanged() {
            return Ok(reading);
        }
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Read(reply), answer).await
    }

    /// What was touched after `since` and up to `now`, two readings of this clock.
    ///
    /// # Errors
    /// As [`Clock::read`].
    pub async fn changes_since(&self, since: &Arc<ClockReading>, now: &Arc<ClockReading>) -> Result<Changes, DbError> {
        if since.ticks == now.ticks && since.foreign == now.foreign {
            return Ok(Changes::Known(Vec::new()));
        }
        let (reply, answer) = oneshot::channel();
        self.ask(Request::Changes { since: Arc::clone(since), now: Arc::clone(now), reply }, answer).await
    }

    pub(crate) async fn close(&self) {
        let (reply, answer) = oneshot::channel();
        if self.requests.send(Request::Close(reply)).await.is_ok() {
            // An error means that the task is gone, which is what is wanted.
            answer.await.ok();
        }
    }

    async fn ask<T>(&self, request: Request, answer: oneshot::Receiver<Result<T, DbError>>) -> Result<T, DbError> {
        let gone = || DbError::Unavailable {
            attempted: "reading the clock".to_owned(),
            detail: "the database was closed".to_owned(),
            retry: false,
        };
        self.requests.send(request).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

#[cfg(test)]
mod tests;
