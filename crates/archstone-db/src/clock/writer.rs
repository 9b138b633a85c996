//! The writing side: the last statements of a transaction.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use chrono::NaiveDateTime;
use sea_query::{Cond, Expr, ExprTrait as _, Func, OnConflict, Order, Query as Sql, SelectStatement};

use crate::tables::{ArchstoneChange, ArchstoneClock};
use crate::{Db, DbError, Dialect, Query as _, Touch, Tx};

/// The kind of the change that says that a writer's ticks begin here.
pub(super) const BEGAN: &str = "began";
/// SQLite takes so many values in one statement.
const ROWS_PER_INSERT: usize = 500;
const ROWS_PER_PRUNING: u64 = 10_000;

/// Adds a tick of this node and what it touched.
pub(crate) async fn advance(tx: &mut Tx<'_>, touched: &[Touch]) -> Result<(), DbError> {
    let writer = tx.writer().to_owned();
    // A writer that comes back after its row was pruned must not seem to go on from where it was: it begins anywhere.
    let start = i64::try_from(RandomState::new().build_hasher().finish() >> 2).unwrap_or(1) | 1;
    let tick = add_tick(tx, &writer, start).await?;
    let began = (tick == start).then(|| Touch { kind: BEGAN, reference: String::new() });
    let rows: Vec<&Touch> = began.iter().chain(touched).collect();
    for (chunk_index, chunk) in rows.chunks(ROWS_PER_INSERT).enumerate() {
        let mut insert = Sql::insert();
        insert.into_table(ArchstoneChange::Table).columns([
            ArchstoneChange::Writer,
            ArchstoneChange::Tick,
            ArchstoneChange::Seq,
            ArchstoneChange::Kind,
            ArchstoneChange::Ref,
        ]);
        for (index, touch) in chunk.iter().enumerate() {
            let seq = i32::try_from(chunk_index * ROWS_PER_INSERT + index).unwrap_or(i32::MAX);
            insert.values_panic([
                writer.as_str().into(),
                tick.into(),
                seq.into(),
                touch.kind.into(),
                touch.reference.as_str().into(),
            ]);
        }
        tx.execute(&insert).await?;
    }
    Ok(())
}

/// One statement, which also tells the new tick: by RETURNING, or on MySQL in the place of a made key.
async fn add_tick(tx: &mut Tx<'_>, writer: &str, start: i64) -> Result<i64, DbError> {
    let (first, next) = (Expr::val(start), Expr::col((ArchstoneClock::Table, ArchstoneClock::Tick)).add(1));
    let (first, next) = match tx.dialect() {
        Dialect::MySql => {
            (Func::cust("LAST_INSERT_ID").arg(first).into(), Func::cust("LAST_INSERT_ID").arg(next).into())
        }
        Dialect::Sqlite | Dialect::Postgres => (first, next),
    };
    let insert = Sql::insert()
        .into_table(ArchstoneClock::Table)
        .columns([ArchstoneClock::Writer, ArchstoneClock::Tick])
        .values_panic([writer.into(), first])
        .on_conflict(OnConflict::column(ArchstoneClock::Writer).value(ArchstoneClock::Tick, next).to_owned())
        .to_owned();
    tx.insert_id(&insert, ArchstoneClock::Tick).await
}

/// Housekeeping: takes changes from before a moment (UTC) off the record, at most some thousands at a time, and writers
/// that have none left. Returns how many were taken; call again while that is not 0. Nodes that have not read the clock since
/// then forget what they know.
///
/// # Errors
/// What the database says.
pub async fn prune_changes(db: &Db, before: NaiveDateTime) -> Result<u64, DbError> {
    db.write(|tx| {
        Box::pin(async move {
            let oldest = tx.fetch_all(&oldest_changes(before)).await?;
            let mut ticks = Cond::any();
            for row in &oldest {
                // By whole ticks from the oldest on, so that what is left has no gaps.
                ticks = ticks.add(
                    Expr::col(ArchstoneChange::Writer)
                        .eq(row.get::<String>("writer")?)
                        .and(Expr::col(ArchstoneChange::Tick).lte(row.get::<i64>("tick")?)),
                );
            }
            if oldest.is_empty() {
                return Ok(0);
            }
            let taken = tx.execute(Sql::delete().from_table(ArchstoneChange::Table).cond_where(ticks)).await?;
            let with_changes = Sql::select().column(ArchstoneChange::Writer).from(ArchstoneChange::Table).to_owned();
            tx.execute(
                Sql::delete()
                    .from_table(ArchstoneClock::Table)
                    .and_where(Expr::col(ArchstoneClock::Writer).not_in_subquery(with_changes)),
            )
            .await?;
            Ok(taken)
        })
    })
    .await
}

/// For each writer the newest tick among the oldest changes.
fn oldest_changes(before: NaiveDateTime) -> SelectStatement {
    let oldest = Sql::select()
        .columns([ArchstoneChange::Writer, ArchstoneChange::Tick])
        .from(ArchstoneChange::Table)
        .and_where(Expr::col(ArchstoneChange::At).lt(before))
        .order_by(ArchstoneChange::At, Order::Asc)
        .limit(ROWS_PER_PRUNING)
        .to_owned();
    Sql::select()
        .column(ArchstoneChange::Writer)
        .expr_as(Expr::col(ArchstoneChange::Tick).max(), "tick")
        .from_subquery(oldest, "oldest")
        .group_by_col(ArchstoneChange::Writer)
        .to_owned()
}
