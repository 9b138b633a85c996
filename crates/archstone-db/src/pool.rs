//! The pool of connections.
//!
//! Our own and not sqlx's, because ours tells at once that the server is away (sqlx's tries until the time for waiting
//! is over), and because a lost connection makes it forget all those that were idle then.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::connection::{Conn, Raw};
use crate::connector::Connector;
use crate::{ConnectOptions, DbError, SqlUrl};

/// A connection idle for longer is asked whether it still lives before it is lent.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);
const PING_TIMEOUT: Duration = Duration::from_secs(2);
const IDLE_TIMEOUT: Duration = Duration::from_mins(10);

/// Lends connections, at most so many at a time, in the order in which they were asked for.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Inner>);

struct Inner {
    connector: Connector,
    permits: Arc<Semaphore>,
    size: u32,
    wait: Duration,
    recycle: Option<Duration>,
    /// The longest idle first; the last is lent, so that what a peak needed ages at the front.
    idle: Mutex<VecDeque<Idle>>,
}

struct Idle {
    raw: Raw,
    born: Instant,
    since: Instant,
}

/// A connection's place in the pool while it is lent.
pub(crate) struct Place {
    pool: Pool,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    /// No connection is made yet.
    pub(crate) fn new(url: &SqlUrl, options: &ConnectOptions) -> Result<Self, DbError> {
        Ok(Self::of(Connector::new(url, options)?, options.max_connections.max(1), options.acquire_timeout, options))
    }

    /// The one connection of the clock.
    pub(crate) fn for_clock(url: &SqlUrl, wait: Duration, options: &ConnectOptions) -> Result<Self, DbError> {
        Ok(Self::of(Connector::for_clock(url, options)?, 1, wait, options))
    }

    fn of(connector: Connector, size: u32, wait: Duration, options: &ConnectOptions) -> Self {
        Self(Arc::new(Inner {
            connector,
            permits: Arc::new(Semaphore::new(size as usize)),
            size,
            wait,
            recycle: options.connection_recycle_time,
            idle: Mutex::new(VecDeque::new()),
        }))
    }

    /// Lends a connection: one that is idle, or a new one.
    pub(crate) async fn acquire(&self) -> Result<Conn, DbError> {
        let inner = &self.0;
        let permit = match tokio::time::timeout(inner.wait, Arc::clone(&inner.permits).acquire_owned()).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return Err(unavailable("the pool is closed")),
            Err(_) => return Err(unavailable(&format!("none of {} became free in {:?}", inner.size, inner.wait))),
        };
        let place = Place { pool: self.clone(), _permit: permit };
        while let Some(Idle { mut raw, born, since }) = self.take_idle() {
            if since.elapsed() > TRUSTED_IDLE
                && !matches!(tokio::time::timeout(PING_TIMEOUT, raw.ping()).await, Ok(Ok(())))
            {
                self.forget_idle();
                continue;
            }
            return Ok(Conn::new(raw, born, place));
        }
        match tokio::time::timeout(inner.wait, inner.connector.connect()).await {
            Ok(Ok(raw)) => Ok(Conn::new(raw, Instant::now(), place)),
            Ok(Err(error)) => Err(DbError::from_sqlx("connecting", &error).not_reached()),
            Err(_) => Err(unavailable(&format!("no answer in {:?}", inner.wait))),
        }
    }

    /// After a connection was lost: the others that were idle meanwhile have probably gone with it.
    pub(crate) fn forget_idle(&self) {
        let forgotten = std::mem::take(&mut *self.0.idle.lock().unwrap_or_else(PoisonError::into_inner));
        drop(forgotten);
    }

    /// Waits for those that are lent, then closes them all; nothing is lent any more.
    pub(crate) async fn close(&self) {
        let inner = &self.0;
        // Whoever holds one for longer than this loses it.
        drop(tokio::time::timeout(inner.wait, inner.permits.acquire_many(inner.size)).await);
        inner.permits.close();
        while let Some(Idle { raw, .. }) = self.take_idle() {
            if let Err(error) = raw.close().await {
                tracing::debug!(%error, "closing a connection");
            }
        }
    }

    fn take_idle(&self) -> Option<Idle> {
        let mut idle = self.0.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while idle.front().is_some_and(|oldest| oldest.since.elapsed() > IDLE_TIMEOUT) {
            idle.pop_front();
        }
        while let Some(last) = idle.pop_back() {
            if self.0.recycle.is_none_or(|recycle| last.born.elapsed() < recycle) {
                return Some(last);
            }
        }
        None
    }
}

impl Place {
    /// Keeps a connection that was lent, for the next.
    pub(crate) fn give_back(&self, raw: Raw, born: Instant) {
        let pool = &self.pool.0;
        if !pool.permits.is_closed() {
            let idle = Idle { raw, born, since: Instant::now() };
            pool.idle.lock().unwrap_or_else(PoisonError::into_inner).push_back(idle);
        }
    }
}

fn unavailable(detail: &str) -> DbError {
    DbError::Unavailable { attempted: "connecting".to_owned(), detail: detail.to_owned(), retry: false }
}
