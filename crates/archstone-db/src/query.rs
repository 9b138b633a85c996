//! Reading.

use sea_query::SelectStatement;

use crate::statement::Built;
use crate::{Db, DbError, Row, Tx};

/// What a question can be asked of: `&Db`, each statement by itself and seeing what is committed, or `&mut Tx`, within the
/// transaction. Functions of `sql.rs` take an `impl Query` and work with both.
pub trait Query: Send + Sized {
    /// Every row.
    ///
    /// # Errors
    /// What the database says; a lost connection is tried again first (not within a transaction).
    fn fetch_all(self, statement: &SelectStatement) -> impl Future<Output = Result<Vec<Row>, DbError>> + Send;

    /// The first row, if any.
    ///
    /// # Errors
    /// As [`Query::fetch_all`].
    fn fetch_optional(self, statement: &SelectStatement) -> impl Future<Output = Result<Option<Row>, DbError>> + Send;

    /// The same again, for a function that asks more than one question.
    fn by_ref(&mut self) -> impl Query;
}

impl Query for &Db {
    async fn fetch_all(self, statement: &SelectStatement) -> Result<Vec<Row>, DbError> {
        let built = Built::new(statement, self.dialect())?;
        #[cfg(any(test, feature = "testing"))]
        self.record(&built);
        self.read(|conn| Box::pin(conn.fetch_all(built.clone()))).await
    }

    async fn fetch_optional(self, statement: &SelectStatement) -> Result<Option<Row>, DbError> {
        let built = Built::new(statement, self.dialect())?;
        #[cfg(any(test, feature = "testing"))]
        self.record(&built);
        self.read(|conn| Box::pin(conn.fetch_optional(built.clone()))).await
    }

    fn by_ref(&mut self) -> impl Query {
        *self
    }
}

impl Query for &mut Tx<'_> {
    async fn fetch_all(self, statement: &SelectStatement) -> Result<Vec<Row>, DbError> {
        let built = Built::new(statement, self.dialect())?;
        self.on_connection(|conn| Box::pin(conn.fetch_all(built))).await
    }

    async fn fetch_optional(self, statement: &SelectStatement) -> Result<Option<Row>, DbError> {
        let built = Built::new(statement, self.dialect())?;
        self.on_connection(|conn| Box::pin(conn.fetch_optional(built))).await
    }

    fn by_ref(&mut self) -> impl Query {
        &mut **self
    }
}
