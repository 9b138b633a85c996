//! The reading side: one task that owns the clock's connection.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use sea_query::{Cond, Expr, ExprTrait as _, Query as Sql, SelectStatement};
use tokio::sync::mpsc;

use super::wal::{LastReading, WalIndex};
use super::writer::BEGAN;
use super::{Change, Changes, ClockReading, Readings, Request};
use crate::connection::Conn;
use crate::pool::Pool;
use crate::statement::Built;
use crate::tables::ArchstoneChange;
use crate::triggers::{FOREIGN_WRITER, SLOTS};
use crate::tx::timed_out;
use crate::{ConnectOptions, DbError, Dialect, SqlUrl};

const TIMEOUT: Duration = Duration::from_secs(5);
/// Beyond this many ticks or changes, forgetting is cheaper than finding out what to forget.
const MOST_CHANGES: u64 = 10_000;
/// One statement, for one moment. (On MariaDB tables in `FROM` that are queries themselves take twice as long, a UNION
/// three times.) Of the writers that triggers count for, it tells only whether any of them moved.
const READ: &str = "SELECT (SELECT COALESCE(MAX(id), 0) FROM revocation_event) AS last, \
     (SELECT CAST(COALESCE(SUM(tick), 0) AS {integer}) FROM archstone_foreign_clock) AS moves, \
     clock.writer AS writer, clock.tick AS tick \
     FROM archstone_foreign_clock one LEFT JOIN archstone_clock clock ON 1 = 1 WHERE one.slot = 0";
const READ_FOREIGN: &str = "SELECT slot AS slot, tick AS tick FROM archstone_foreign_clock";

pub(super) struct Reader {
    pool: Pool,
    dialect: Dialect,
    read_statement: String,
    conn: Option<Conn>,
    last: Option<Arc<ClockReading>>,
    /// SQLite's count of other connections' commits, from before `last` was read.
    data_version: Option<i64>,
    wal: WalIndex,
    reads: Arc<AtomicU64>,
}

/// Answers until the last [`super::Clock`] is gone.
pub(super) async fn serve(mut readings: impl Readings, mut queue: mpsc::Receiver<Request>) {
    let mut waiting = Vec::new();
    // Everyone in the queue at this point came before the read that follows.
    while queue.recv_many(&mut waiting, super::QUEUE).await > 0 {
        // The first to ask wakes this task; whoever else is about to ask joins its reading instead of the next one.
        tokio::task::yield_now().await;
        while let Ok(request) = queue.try_recv() {
            waiting.push(request);
        }
        let (mut readers, mut closers) = (Vec::new(), Vec::new());
        for request in waiting.drain(..) {
            match request {
                Request::Read(reply) => readers.push(reply),
                Request::Changes { since, now, reply } => {
                    // Whoever asked may have given up.
                    reply.send(readings.changes(since, now).await).ok();
                }
                Request::Close(reply) => closers.push(reply),
            }
        }
        readers.retain(|reply| !reply.is_closed());
        if !readers.is_empty() {
            let reading = readings.read().await;
            for reply in readers {
                reply.send(reading.clone()).ok();
            }
        }
        if !closers.is_empty() {
            readings.close().await;
            for reply in closers {
                reply.send(()).ok();
            }
            return;
        }
    }
    readings.abandon();
}

impl Readings for Reader {
    async fn read(&mut self) -> Result<Arc<ClockReading>, DbError> {
        self.with_connection(|reader| Box::pin(reader.read_now())).await
    }

    async fn changes(&mut self, since: Arc<ClockReading>, now: Arc<ClockReading>) -> Result<Changes, DbError> {
        self.with_connection(|reader| {
            let (since, now) = (Arc::clone(&since), Arc::clone(&now));
            Box::pin(async move { reader.changes_between(&since, &now).await })
        })
        .await
    }

    async fn close(&mut self) {
        self.wal.forget();
        drop(self.conn.take());
        self.pool.close().await;
    }

    fn abandon(&mut self) {
        self.wal.forget();
        if let Some(conn) = self.conn.take() {
            conn.discard();
        }
    }
}

impl Reader {
    pub(super) fn new(
        url: &SqlUrl,
        options: &ConnectOptions,
        last: Arc<LastReading>,
        reads: Arc<AtomicU64>,
    ) -> Result<Self, DbError> {
        let pool = Pool::for_clock(url, options.acquire_timeout.min(TIMEOUT), options)?;
        let integer = if url.dialect() == Dialect::MySql { "SIGNED" } else { "BIGINT" };
        let read_statement = READ.replace("{integer}", integer);
        Ok(Self {
            pool,
            dialect: url.dialect(),
            read_statement,
            conn: None,
            last: None,
            data_version: None,
            wal: WalIndex::new(url.sqlite_path(), last),
            reads,
        })
    }

    /// A connection that turns out to be dead is replaced once.
    async fn with_connection<T>(
        &mut self,
        ask: impl for<'c> Fn(&'c mut Self) -> BoxFuture<'c, Result<T, DbError>>,
    ) -> Result<T, DbError> {
        let had_connection = self.conn.is_some();
        match self.in_time(&ask).await {
            Err(error) if had_connection && error.is_retryable() => self.in_time(&ask).await,
            outcome => outcome,
        }
    }

    async fn in_time<T>(
        &mut self,
        ask: &impl for<'c> Fn(&'c mut Self) -> BoxFuture<'c, Result<T, DbError>>,
    ) -> Result<T, DbError> {
        if self.conn.is_none() {
            self.conn = Some(self.pool.acquire().await?);
            self.data_version = None;
        }
        let outcome = tokio::time::timeout(TIMEOUT, ask(self)).await.unwrap_or_else(|_| Err(timed_out(TIMEOUT)));
        if outcome.is_err()
            && let Some(conn) = self.conn.take()
        {
            self.wal.forget();
            conn.discard();
        }
        outcome
    }

    fn conn(&mut self) -> Result<&mut Conn, DbError> {
        self.conn.as_mut().ok_or_else(|| DbError::Unavailable {
            attempted: "reading the clock".to_owned(),
            detail: "there is no connection".to_owned(),
            retry: false,
        })
    }

    async fn read_now(&mut self) -> Result<Arc<ClockReading>, DbError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        // Both before the tables: what is committed in between is then read twice rather than never.
        let look = self.wal.look();
        let data_version = self.data_version().await?;
        if let Some(last) = &self.last
            && data_version.is_some()
            && data_version == self.data_version
        {
            self.wal.tell(look, last);
            return Ok(Arc::clone(last));
        }
        let mut reading = ClockReading::default();
        let mut foreign_moves = 0;
        let statement = Built::plain(&self.read_statement);
        for row in self.conn()?.fetch_all(statement).await? {
            reading.last_revocation = row.get("last")?;
            foreign_moves = row.get("moves")?;
            // No writer at all is one row without one.
            if let Some(writer) = row.get("writer")? {
                reading.ticks.insert(writer, row.get("tick")?);
            }
        }
        match &self.last {
            Some(last) if last.foreign_moves() == foreign_moves => reading.foreign.clone_from(&last.foreign),
            _ => reading.foreign = self.foreign().await?,
        }
        self.data_version = data_version;
        let reading = match &self.last {
            Some(last) if **last == reading => Arc::clone(last),
            _ => Arc::new(reading),
        };
        self.last = Some(Arc::clone(&reading));
        self.wal.tell(look, &reading);
        Ok(reading)
    }

    /// The ticks of the writers that triggers count for, by slot.
    async fn foreign(&mut self) -> Result<Vec<i64>, DbError> {
        let mut ticks = vec![0; usize::from(SLOTS)];
        for row in self.conn()?.fetch_all(Built::plain(READ_FOREIGN)).await? {
            let slot: i64 = row.get("slot")?;
            if let Some(tick) = usize::try_from(slot).ok().and_then(|slot| ticks.get_mut(slot)) {
                *tick = row.get("tick")?;
            }
        }
        Ok(ticks)
    }

    async fn data_version(&mut self) -> Result<Option<i64>, DbError> {
        if self.dialect != Dialect::Sqlite {
            return Ok(None);
        }
        let row = self.conn()?.fetch_optional(Built::plain("PRAGMA data_version")).await?;
        row.map(|row| row.get("data_version")).transpose()
    }

    async fn changes_between(&mut self, since: &ClockReading, now: &ClockReading) -> Result<Changes, DbError> {
        let Some(moved) = moved(since, now) else { return Ok(Changes::Forgotten) };
        if moved.is_empty() {
            return Ok(Changes::Known(Vec::new()));
        }
        let statement = Built::new(&select_changes(&moved), self.dialect)?;
        let mut changes = Vec::new();
        // What must be on record for each writer: the tick after the last one seen, or its beginning.
        let mut missing: BTreeMap<&str, Option<i64>> =
            moved.iter().map(|moved| (&*moved.writer, moved.after.map(|tick| tick + 1))).collect();
        let rows = self.conn()?.fetch_all(statement).await?;
        if rows.len() as u64 > MOST_CHANGES {
            return Ok(Changes::Forgotten);
        }
        for row in rows {
            let (writer, tick, kind): (String, i64, String) = (row.get("writer")?, row.get("tick")?, row.get("kind")?);
            let began = kind == BEGAN;
            if missing.get(writer.as_str()).is_some_and(|first| first.map_or(began, |first| first == tick)) {
                missing.remove(writer.as_str());
            }
            if !began {
                changes.push(Change { kind, reference: row.get("ref")? });
            }
        }
        if !missing.is_empty() {
            return Ok(Changes::Forgotten);
        }
        changes.sort();
        changes.dedup();
        Ok(Changes::Known(changes))
    }
}

struct Moved<'a> {
    writer: Cow<'a, str>,
    /// `None`: not seen before.
    after: Option<i64>,
    upto: i64,
}

/// The writers whose ticks moved; `None` when one went back or away, or too far.
fn moved<'a>(since: &ClockReading, now: &'a ClockReading) -> Option<Vec<Moved<'a>>> {
    if since.ticks.keys().any(|writer| !now.ticks.contains_key(writer)) {
        return None;
    }
    let mut moved = Vec::new();
    let known = now.ticks.iter().map(|(writer, &upto)| (Cow::from(writer), since.ticks.get(writer).copied(), upto));
    let foreign = now.foreign.iter().enumerate().map(|(slot, &upto)| {
        let writer = Cow::from(format!("{FOREIGN_WRITER}{slot}"));
        (writer, Some(since.foreign.get(slot).copied().unwrap_or(0)), upto)
    });
    for (writer, after, upto) in known.chain(foreign) {
        if after == Some(upto) {
            continue;
        }
        if after.is_some_and(|after| after > upto || upto.abs_diff(after) > MOST_CHANGES) {
            return None;
        }
        moved.push(Moved { writer, after, upto });
    }
    Some(moved)
}

fn select_changes(moved: &[Moved<'_>]) -> SelectStatement {
    let mut any = Cond::any();
    for Moved { writer, after, upto } in moved {
        let tick = || Expr::col(ArchstoneChange::Tick);
        any = any.add(
            Cond::all()
                .add(Expr::col(ArchstoneChange::Writer).eq(&**writer))
                .add(tick().lte(*upto))
                .add_option(after.map(|after| tick().gt(after))),
        );
    }
    Sql::select()
        .columns([ArchstoneChange::Writer, ArchstoneChange::Tick, ArchstoneChange::Kind, ArchstoneChange::Ref])
        .from(ArchstoneChange::Table)
        .cond_where(any)
        .limit(MOST_CHANGES + 1)
        .to_owned()
}
