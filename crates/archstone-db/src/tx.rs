//! A write transaction.

use std::time::Duration;

use futures::future::BoxFuture;
use sea_query::{InsertStatement, IntoIden};
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
