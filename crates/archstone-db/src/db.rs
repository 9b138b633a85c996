//! The database as the rest of the program sees it.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::NaiveDateTime;
use futures::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::connection::Conn;
use crate::pool::Pool;
use crate::statement::Built;
use crate::tx::timed_out;
use crate::{Clock, ConnectOptions, DbError, Dialect, Retry, SqlUrl, Tx};

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
const READ_ATTEMPTS: u32 = 3;
/// No transaction is begun again after this. (Waiting for one lock can take MySQL 50 seconds.)
const RETRY_FOR: Duration = Duration::from_secs(30);

/// A database: its pool of connections, its dialect and its clock. Cheap to clone.
#[derive(Clone)]
pub struct Db(Arc<Inner>);

struct Inner {
    pool: Pool,
    dialect: Dialect,
    clock: Clock,
    options: ConnectOptions,
    writer: String,
    /// SQLite has one writer at a time. Queueing here is fair; its own waiting is sleeping and trying.
    sole_writer: Option<Arc<Semaphore>>,
    statements: AtomicU64,
    /// What was asked since a test said to record it.
    #[cfg(any(test, feature = "testing"))]
    recorded: std::sync::Mutex<Option<Vec<crate::statement::Built>>>,
    /// What `sqlite://` lives in. Several connections cannot share a database in memory without blocking each other.
    _private: Option<tempfile::TempDir>,
}

impl Db {
    /// Connects; tries again as often as `options` say while the server does not answer.
    ///
    /// # Errors
    /// [`DbError::Configuration`] for what is wrong with the URL, [`DbError::Unavailable`] when it cannot be reached.
    pub async fn connect(url: &SqlUrl, options: &ConnectOptions) -> Result<Self, DbError> {
        let (url, private) = give_file(url)?;
        let db = Self::unconnected(&url, options, Clock::new(&url, options)?, private)?;
        let mut attempt = 0;
        loop {
            match db.ping().await {
                Ok(()) => return Ok(db),
                Err(error @ DbError::Unavailable { .. }) if options.max_retries.is_none_or(|most| attempt < most) => {
                    attempt += 1;
                    tracing::warn!(%error, attempt, "connecting to {url}; trying again");
                    tokio::time::sleep(options.retry_interval).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Makes connections when they are needed.
    fn unconnected(
        url: &SqlUrl,
        options: &ConnectOptions,
        clock: Clock,
        private: Option<tempfile::TempDir>,
    ) -> Result<Self, DbError> {
        Ok(Self(Arc::new(Inner {
            pool: Pool::new(url, options)?,
            dialect: url.dialect(),
            clock,
            options: options.clone(),
            writer: options.writer.clone().unwrap_or_else(host_name),
            sole_writer: (url.dialect() == Dialect::Sqlite).then(|| Arc::new(Semaphore::new(1))),
            statements: AtomicU64::new(0),
            #[cfg(any(test, feature = "testing"))]
            recorded: std::sync::Mutex::new(None),
            _private: private,
        })))
    }

    /// A database that has nothing but a clock, of these readings, and the task that answers for it.
    ///
    /// # Errors
    /// None that is known.
    #[cfg(any(test, feature = "testing"))]
    pub fn of_clock(
        readings: impl crate::testing::Readings + 'static,
    ) -> Result<(Self, impl Future<Output = ()> + Send), DbError> {
        let (clock, answering) = Clock::of(readings);
        let db = Self::unconnected(&SqlUrl::parse("sqlite:////nowhere")?, &ConnectOptions::default(), clock, None)?;
        Ok((db, answering))
    }

    /// Which of the three databases it is.
    pub fn dialect(&self) -> Dialect {
        self.0.dialect
    }

    /// Which writes there were; see [`Clock`].
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Runs `body` in one transaction and commits what it did, together with what it touched; if it returns an error,
    /// nothing was done. When another transaction was in the way, or the connection was lost before the commit, all of
    /// it is run again, a bounded number of times, for a bounded time, and after growing random pauses.
    ///
    /// So `body` may run more than once: it cannot change what it captures (it is an `Fn`), borrows what it needs
    /// (`let name = &name;` before it), and has no effect outside of its `Tx`. It must not call [`Db::write`] itself: on
    /// SQLite, with its one writer, that would wait for itself.
    ///
    /// The form `|tx| Box::pin(async move { … })` is what the compiler can see to be `Send` in today's Rust.
    ///
    /// ```
    /// # use archstone_db::{ConnectOptions, Db, DbError, SqlUrl, Touch, schema, tables::Role};
    /// # use sea_query::{Expr, ExprTrait, Query};
    /// async fn rename_role(db: &Db, id: &str, name: &str) -> Result<bool, DbError> {
    ///     db.write(|tx| {
    ///         Box::pin(async move {
    ///             let rows = tx
    ///                 .execute(
    ///                     Query::update()
    ///                         .table(Role::Table)
    ///                         .value(Role::Name, name)
    ///                         .and_where(Expr::col(Role::Id).eq(id)),
    ///                 )
    ///                 .await?;
    ///             tx.touch(Touch { kind: "role", reference: id.to_owned() });
    ///             Ok(rows > 0)
    ///         })
    ///     })
    ///     .await
    /// }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), DbError> {
    /// # let db = Db::connect(&SqlUrl::parse("sqlite://")?, &ConnectOptions::default()).await?;
    /// # schema::create(&db).await?;
    /// # let renaming = tokio::spawn(async move { rename_role(&db, "1234", "cook").await });
    /// # assert!(!renaming.await.expect("no panic")?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// What `body` returns, and what beginning and committing can meet.
    pub async fn write<'a, T, E, F>(&'a self, body: F) -> Result<T, E>
    where
        F: for<'t> Fn(&'t mut Tx<'a>) -> BoxFuture<'t, Result<T, E>> + 'a,
        E: From<DbError> + Retry,
    {
        let (mut attempt, started) = (0, Instant::now());
        loop {
            let outcome = match Tx::begin(self).await {
                Err(error) => Err(E::from(error)),
                Ok(mut tx) => match body(&mut tx).await {
                    Ok(value) => tx.commit().await.map(|()| value).map_err(E::from),
                    Err(error) => {
                        tx.rollback().await;
                        Err(error)
                    }
                },
            };
            match outcome {
                Err(error) if attempt < self.0.options.write_retries && started.elapsed() < RETRY_FOR => {
                    match error.db_error() {
                        Some(reason) if reason.is_retryable() => {
                            attempt += 1;
                            if matches!(reason, DbError::Unavailable { .. }) {
                                self.0.pool.forget_idle();
                            }
                            tracing::debug!(%reason, attempt, "trying the transaction again");
                            tokio::time::sleep(pause(attempt)).await;
                        }
                        _ => return Err(error),
                    }
                }
                outcome => return outcome,
            }
        }
    }

    /// Asks the database whether it is there.
    ///
    /// # Errors
    /// [`DbError::Unavailable`].
    pub async fn ping(&self) -> Result<(), DbError> {
        self.read(|conn| Box::pin(conn.run("SELECT 1"))).await
    }

    /// What time it is for the database, in UTC.
    ///
    /// # Errors
    /// What the database says.
    pub async fn time(&self) -> Result<NaiveDateTime, DbError> {
        let sql = self.dialect().time();
        let row = self.read(move |conn| Box::pin(conn.fetch_optional(Built::plain(sql)))).await?;
        let no_row = || DbError::Decode { column: "now".to_owned(), detail: "there is no row".to_owned() };
        row.ok_or_else(no_row)?.get("now")
    }

    /// How many statements were sent since the start, the clock's own not counted. For tests that the number does not grow with the rows.
    pub fn statements(&self) -> u64 {
        self.0.statements.load(Ordering::Relaxed)
    }

    /// Closes all connections, after what is under way.
    pub async fn close(&self) {
        self.0.pool.close().await;
        self.0.clock.close().await;
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.0.pool
    }

    pub(crate) fn writer(&self) -> &str {
        &self.0.writer
    }

    pub(crate) fn statement_timeout(&self) -> Duration {
        self.0.options.statement_timeout
    }

    /// Keeps a question for tests that look at how it is answered.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn record(&self, built: &crate::statement::Built) {
        if let Some(recorded) = self.recorded().as_mut() {
            recorded.push(built.clone());
        }
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn recorded(&self) -> std::sync::MutexGuard<'_, Option<Vec<crate::statement::Built>>> {
        self.0.recorded.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn count_statement(&self) {
        self.0.statements.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) async fn become_sole_writer(&self) -> Result<Option<OwnedSemaphorePermit>, DbError> {
        let Some(sole_writer) = &self.0.sole_writer else { return Ok(None) };
        let limit = self.0.options.acquire_timeout;
        match tokio::time::timeout(limit, Arc::clone(sole_writer).acquire_owned()).await {
            Ok(permit) => Ok(permit.ok()),
            Err(_) => Err(timed_out(limit)),
        }
    }

    /// One statement by itself, tried again when a connection of the pool turns out to be dead.
    pub(crate) async fn read<T, F>(&self, statement: F) -> Result<T, DbError>
    where
        F: for<'c> Fn(&'c mut Conn) -> BoxFuture<'c, Result<T, DbError>>,
    {
        let limit = self.statement_timeout();
        let mut attempt = 1;
        loop {
            self.count_statement();
            let mut conn = self.0.pool.acquire().await?;
            let Ok(outcome) = tokio::time::timeout(limit, statement(&mut conn)).await else {
                conn.discard();
                return Err(timed_out(limit));
            };
            match outcome {
                Err(error) if error.is_retryable() && attempt < READ_ATTEMPTS => {
                    if matches!(error, DbError::Unavailable { .. }) {
                        self.0.pool.forget_idle();
                    }
                    tokio::time::sleep(pause(attempt)).await;
                    attempt += 1;
                }
                outcome => return outcome,
            }
        }
    }
}

/// Doubles from [`FIRST_PAUSE`] to [`LONGEST_PAUSE`], then takes a random half to all of it, so that those who were in
/// each other's way do not meet again.
fn pause(attempt: u32) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(1 << attempt.min(10)).min(LONGEST_PAUSE);
    // A hasher's random keys are randomness enough here.
    let random = RandomState::new().build_hasher().finish() % 1000;
    longest / 2 + longest.mul_f64(f64::from(u16::try_from(random).unwrap_or(0)) / 2000.0)
}

fn give_file(url: &SqlUrl) -> Result<(SqlUrl, Option<tempfile::TempDir>), DbError> {
    if url.dialect() != Dialect::Sqlite || url.sqlite_path().is_some() {
        return Ok((url.clone(), None));
    }
    let folder = tempfile::tempdir().map_err(|error| DbError::Configuration {
        detail: format!("making a folder for a SQLite database without a file: {error}"),
    })?;
    let path = folder.path().join("memory.db");
    Ok((url.with_database(&path.to_string_lossy()), Some(folder)))
}

/// At most 64 bytes of it: the width of the clock's column.
fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().chars().filter(char::is_ascii).take(64).collect()
}
