//! A write transaction.

use std::time::Duration;

use futures::future::BoxFuture;
use sea_query::{Expr, ExprTrait as _, Iden, InsertStatement, IntoIden, LockType, Order, Query as Sql};
use tokio::sync::OwnedSemaphorePermit;

use crate::connection::Conn;
use crate::statement::Built;
use crate::{Db, DbError, Dialect, Statement, clock};

/// A transaction that changes rows; made by [`Db::write`].
///
/// **Invariant:** what is not committed is rolled back, also when the future that holds it is dropped at any `.await`:
/// its connection is then closed and not used again.
///
/// The lifetime is that of what the transaction's body borrows; functions write `tx: &mut Tx<'_>`.
pub struct Tx<'a> {
    db: &'a Db,
    // Before the permit: SQLite's next writer comes when this one's connection has gone.
    conn: Option<Conn>,
    touched: Vec<Touch>,
    _sole_writer: Option<OwnedSemaphorePermit>,
}

/// Something that a write changed and that nodes may have in memory.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Touch {
    /// What it is: `user`, `project`, `assignment`, … (32 bytes at most).
    pub kind: &'static str,
    /// Which one (255 bytes at most).
    pub reference: String,
}

impl<'a> Tx<'a> {
    pub(crate) async fn begin(db: &'a Db) -> Result<Self, DbError> {
        let sole_writer = db.become_sole_writer().await?;
        let conn = db.pool().acquire().await?;
        let mut tx = Self { db, conn: Some(conn), touched: Vec::new(), _sole_writer: sole_writer };
        tx.on_connection(|conn| Box::pin(conn.begin())).await?;
        Ok(tx)
    }

    /// Which database it runs on.
    pub fn dialect(&self) -> Dialect {
        self.db.dialect()
    }

    /// Changes rows; how many. (MySQL counts rows found, as the others do, not rows that differ.)
    ///
    /// # Errors
    /// What the database says. On PostgreSQL the transaction can then only be given up: return the error.
    pub async fn execute(&mut self, statement: &impl Statement) -> Result<u64, DbError> {
        let built = Built::new(statement, self.dialect())?;
        let done = self.on_connection(|conn| Box::pin(conn.execute(built))).await?;
        Ok(done.rows)
    }

    /// Inserts one row and returns the key that the database made for it in `column`.
    ///
    /// # Errors
    /// As [`Tx::execute`].
    pub async fn insert_id(&mut self, statement: &InsertStatement, column: impl IntoIden) -> Result<i64, DbError> {
        if self.dialect() != Dialect::MySql {
            let column = column.into_iden();
            let name = column.to_string();
            let built = Built::new(statement.clone().returning_col(column), self.dialect())?;
            let row = self.on_connection(|conn| Box::pin(conn.fetch_optional(built))).await?;
            let row = row.ok_or_else(|| DbError::Decode { column: name.clone(), detail: "no row".to_owned() })?;
            return row.get(&name);
        }
        let built = Built::new(statement, self.dialect())?;
        let done = self.on_connection(|conn| Box::pin(conn.execute(built))).await?;
        Ok(done.id)
    }

    /// Keeps rows as they are until the transaction ends: others may read and hold them too, but not change or delete
    /// them. Which of them there are, by their keys. For what a write refers to: without it, that could be deleted
    /// between the look at it and the commit.
    ///
    /// On SQLite the transaction is the only one that writes, so that looking is enough.
    ///
    /// # Errors
    /// As [`Tx::execute`].
    pub async fn hold<T, C>(&mut self, table: T, key: C, keys: &[&str]) -> Result<Vec<String>, DbError>
    where
        T: Iden + Copy + 'static,
        C: Iden + Copy + 'static,
    {
        self.lock_rows(table, key, keys, LockType::Share).await
    }

    /// As [`Tx::hold`], for rows that are to be changed or deleted: whoever holds or takes one comes before or after,
    /// and sees all or nothing of the change.
    ///
    /// **Invariant:** it comes first in a transaction: what MySQL shows is as of the first plain SELECT.
    ///
    /// # Errors
    /// As [`Tx::execute`].
    pub async fn take<T, C>(&mut self, table: T, key: C, keys: &[&str]) -> Result<Vec<String>, DbError>
    where
        T: Iden + Copy + 'static,
        C: Iden + Copy + 'static,
    {
        self.lock_rows(table, key, keys, LockType::Update).await
    }

    async fn lock_rows<T, C>(&mut self, table: T, key: C, keys: &[&str], lock: LockType) -> Result<Vec<String>, DbError>
    where
        T: Iden + Copy + 'static,
        C: Iden + Copy + 'static,
    {
        const CHUNK: usize = 500;
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(CHUNK) {
            let mut select = Sql::select();
            select
                .expr_as(Expr::col(key), "key")
                .from(table)
                .and_where(Expr::col(key).is_in(keys.iter().copied()))
                // In the same order as everybody else.
                .order_by(key, Order::Asc)
                .lock(lock);
            let built = Built::new(&select, self.dialect())?;
            for row in self.on_connection(|conn| Box::pin(conn.fetch_all(built))).await? {
                found.push(row.get("key")?);
            }
        }
        Ok(found)
    }

    /// Tells every node, with the commit, that what it remembers of this is out of date.
    pub fn touch(&mut self, touch: Touch) {
        if !self.touched.contains(&touch) {
            self.touched.push(touch);
        }
    }

    pub(crate) async fn commit(mut self) -> Result<(), DbError> {
        let touched = std::mem::take(&mut self.touched);
        if !touched.is_empty() {
            clock::advance(&mut self, &touched).await?;
        }
        self.on_connection(|conn| Box::pin(conn.end("COMMIT"))).await.map_err(DbError::at_commit)?;
        // In order: back to the pool.
        drop(self.conn.take());
        Ok(())
    }

    pub(crate) async fn rollback(mut self) {
        if let Err(error) = self.on_connection(|conn| Box::pin(conn.end("ROLLBACK"))).await {
            tracing::debug!(%error, "rolling back; closing the connection instead");
            return;
        }
        drop(self.conn.take());
    }

    pub(crate) fn writer(&self) -> &str {
        self.db.writer()
    }

    /// Runs one statement within the time for one. One that took longer has left its connection in an unknown state.
    pub(crate) async fn on_connection<T, F>(&mut self, statement: F) -> Result<T, DbError>
    where
        F: for<'c> FnOnce(&'c mut Conn) -> BoxFuture<'c, Result<T, DbError>>,
    {
        self.db.count_statement();
        let limit = self.db.statement_timeout();
        let Some(conn) = self.conn.as_mut() else {
            return Err(DbError::Unavailable {
                attempted: "continuing a transaction".to_owned(),
                detail: "its connection was given up".to_owned(),
                retry: false,
            });
        };
        if let Ok(done) = tokio::time::timeout(limit, statement(conn)).await {
            return done;
        }
        if let Some(conn) = self.conn.take() {
            conn.discard();
        }
        Err(timed_out(limit))
    }
}

impl Drop for Tx<'_> {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take() {
            conn.discard();
        }
    }
}

pub(crate) fn timed_out(limit: Duration) -> DbError {
    DbError::Unavailable {
        attempted: "waiting for an answer".to_owned(),
        detail: format!("none within {} s", limit.as_secs_f32()),
        retry: false,
    }
}
