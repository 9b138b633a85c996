//! A connection, to whichever of the three databases.

use std::time::Instant;

use sqlx::mysql::MySqlConnection;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection as _};

use crate::DbError;
use crate::pool::Place;
use crate::row::Row;
use crate::statement::Built;

/// A connection lent by the pool. Dropping it gives it back, [`Conn::discard`] closes it.
///
/// **Invariant:** one whose statement did not end in an answer, or whose transaction was not ended in order, is closed
/// and never lent again. Transactions are therefore begun and ended with plain statements, not with sqlx's type for them,
/// which puts off the rollback.
pub(crate) struct Conn {
    raw: Option<Raw>,
    pub(crate) born: Instant,
    /// A statement is under way, or a transaction.
    unfinished: bool,
    in_transaction: bool,
    place: Place,
}

/// The driver's connection.
pub(crate) enum Raw {
    Sqlite(SqliteConnection),
    MySql(MySqlConnection),
    Postgres(PgConnection),
}

/// What a statement did.
pub(crate) struct Executed {
    pub(crate) rows: u64,
    pub(crate) id: i64,
}

impl Conn {
    pub(crate) fn new(raw: Raw, born: Instant, place: Place) -> Self {
        Self { raw: Some(raw), born, unfinished: false, in_transaction: false, place }
    }

    pub(crate) async fn fetch_all(&mut self, built: Built) -> Result<Vec<Row>, DbError> {
        let outcome = self.start()?.fetch_all(built).await;
        self.finish(outcome)
    }

    pub(crate) async fn fetch_optional(&mut self, built: Built) -> Result<Option<Row>, DbError> {
        let outcome = self.start()?.fetch_optional(built).await;
        self.finish(outcome)
    }

    pub(crate) async fn execute(&mut self, built: Built) -> Result<Executed, DbError> {
        let outcome = self.start()?.execute(built).await;
        self.finish(outcome)
    }

    /// Text without values, perhaps of several statements, unprepared.
    pub(crate) async fn run(&mut self, sql: &str) -> Result<(), DbError> {
        let outcome = self.start()?.run(sql).await;
        self.finish(outcome)
    }

    /// SQLite takes the write lock at once: a transaction that first reads and then writes could not be repeated
    /// otherwise. On PostgreSQL the triggers are told that this is a write of ours for the transaction alone: a pooler
    /// may lend the session to another program afterwards.
    pub(crate) async fn begin(&mut self) -> Result<(), DbError> {
        let begin = match &self.raw {
            Some(Raw::Sqlite(_)) => "BEGIN IMMEDIATE",
            Some(Raw::Postgres(_)) => "BEGIN; SET LOCAL archstone.writer = 'archstone'",
            Some(Raw::MySql(_)) | None => "BEGIN",
        };
        self.run(begin).await?;
        self.in_transaction = true;
        Ok(())
    }

    /// Ends the transaction with COMMIT or ROLLBACK.
    pub(crate) async fn end(&mut self, how: &str) -> Result<(), DbError> {
        self.run(how).await?;
        self.in_transaction = false;
        Ok(())
    }

    /// Closes the connection without asking: the server rolls back what it had begun.
    pub(crate) fn discard(mut self) {
        drop(self.raw.take());
    }

    fn start(&mut self) -> Result<&mut Raw, DbError> {
        self.unfinished = true;
        self.raw.as_mut().ok_or_else(|| DbError::Unavailable {
            attempted: "using a connection".to_owned(),
            detail: "it was closed".to_owned(),
            retry: false,
        })
    }

    /// Whatever the database answered, also an error, leaves the connection usable.
    fn finish<T>(&mut self, outcome: Result<T, DbError>) -> Result<T, DbError> {
        self.unfinished = matches!(outcome, Err(DbError::Unavailable { .. }));
        outcome
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        if let Some(raw) = self.raw.take()
            && !self.unfinished
            && !self.in_transaction
        {
            self.place.give_back(raw, self.born);
        }
    }
}

impl Raw {
    async fn fetch_all(&mut self, built: Built) -> Result<Vec<Row>, DbError> {
        let Built { sql, values } = built;
        let attempted = sql.clone();
        let query = AssertSqlSafe(sql);
        match self {
            Self::Sqlite(connection) => sqlx::query_with(query, values).fetch_all(connection).await.map(rows),
            Self::MySql(connection) => sqlx::query_with(query, values).fetch_all(connection).await.map(rows),
            Self::Postgres(connection) => sqlx::query_with(query, values).fetch_all(connection).await.map(rows),
        }
        .map_err(|error| DbError::from_sqlx(&attempted, &error))
    }

    async fn fetch_optional(&mut self, built: Built) -> Result<Option<Row>, DbError> {
        let Built { sql, values } = built;
        let attempted = sql.clone();
        let query = AssertSqlSafe(sql);
        match self {
            Self::Sqlite(connection) => {
                sqlx::query_with(query, values).fetch_optional(connection).await.map(|row| row.map(Into::into))
            }
            Self::MySql(connection) => {
                sqlx::query_with(query, values).fetch_optional(connection).await.map(|row| row.map(Into::into))
            }
            Self::Postgres(connection) => {
                sqlx::query_with(query, values).fetch_optional(connection).await.map(|row| row.map(Into::into))
            }
        }
        .map_err(|error| DbError::from_sqlx(&attempted, &error))
    }

    /// How many rows were affected, and the key that was made (on MySQL; the others have RETURNING).
    async fn execute(&mut self, built: Built) -> Result<Executed, DbError> {
        let Built { sql, values } = built;
        let attempted = sql.clone();
        let query = AssertSqlSafe(sql);
        match self {
            Self::Sqlite(connection) => sqlx::query_with(query, values)
                .execute(connection)
                .await
                .map(|done| Executed { rows: done.rows_affected(), id: 0 }),
            Self::MySql(connection) => sqlx::query_with(query, values)
                .execute(connection)
                .await
                .map(|done| Executed { rows: done.rows_affected(), id: done.last_insert_id().cast_signed() }),
            Self::Postgres(connection) => sqlx::query_with(query, values)
                .execute(connection)
                .await
                .map(|done| Executed { rows: done.rows_affected(), id: 0 }),
        }
        .map_err(|error| DbError::from_sqlx(&attempted, &error))
    }

    /// Text without values, perhaps of several statements, unprepared.
    async fn run(&mut self, sql: &str) -> Result<(), DbError> {
        let query = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match self {
            Self::Sqlite(connection) => query.execute(connection).await.map(drop),
            Self::MySql(connection) => query.execute(connection).await.map(drop),
            Self::Postgres(connection) => query.execute(connection).await.map(drop),
        }
        .map_err(|error| DbError::from_sqlx(sql, &error))
    }

    pub(crate) async fn ping(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(connection) => connection.ping().await,
            Self::MySql(connection) => connection.ping().await,
            Self::Postgres(connection) => connection.ping().await,
        }
    }

    pub(crate) async fn close(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(connection) => connection.close().await,
            Self::MySql(connection) => connection.close().await,
            Self::Postgres(connection) => connection.close().await,
        }
    }
}

fn rows<R: Into<Row>>(rows: Vec<R>) -> Vec<Row> {
    rows.into_iter().map(Into::into).collect()
}
