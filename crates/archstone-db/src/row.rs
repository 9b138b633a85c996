//! A row of an answer, from any of the three databases.

use chrono::{NaiveDate, NaiveDateTime};
use sqlx::mysql::MySqlRow;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{ColumnIndex, Database, Decode, MySql, Postgres, Sqlite};

use crate::DbError;

/// One row; columns are read by name.
pub struct Row(Of);

enum Of {
    Sqlite(SqliteRow),
    MySql(MySqlRow),
    Postgres(PgRow),
}

impl Row {
    /// The column's value. A NULL is an error unless `T` is an `Option`.
    ///
    /// # Errors
    /// [`DbError::Decode`]: no such column, NULL, or not a `T`.
    pub fn get<T: FromColumn>(&self, column: &str) -> Result<T, DbError> {
        T::from_column(self, column)
    }

    /// A column of JSON text; NULL and the empty text are `Null`.
    ///
    /// # Errors
    /// [`DbError::Decode`]: no such column, or not JSON.
    pub fn json(&self, column: &str) -> Result<serde_json::Value, DbError> {
        match self.get::<Option<String>>(column)? {
            Some(text) if !text.is_empty() => serde_json::from_str(&text)
                .map_err(|error| DbError::Decode { column: column.to_owned(), detail: error.to_string() }),
            _ => Ok(serde_json::Value::Null),
        }
    }

    /// Decoded without asking the driver whether the types fit: PostgreSQL's native enums are read as text, and
    /// integers of any width as `i64`.
    fn decode<T>(&self, column: &str) -> Result<Option<T>, DbError>
    where
        T: for<'r> Decode<'r, Sqlite> + for<'r> Decode<'r, MySql> + for<'r> Decode<'r, Postgres>,
    {
        match &self.0 {
            Of::Sqlite(row) => decode_from(row, column),
            Of::MySql(row) => decode_from(row, column),
            Of::Postgres(row) => decode_from(row, column),
        }
    }
}

impl From<SqliteRow> for Row {
    fn from(row: SqliteRow) -> Self {
        Self(Of::Sqlite(row))
    }
}

impl From<MySqlRow> for Row {
    fn from(row: MySqlRow) -> Self {
        Self(Of::MySql(row))
    }
}

impl From<PgRow> for Row {
    fn from(row: PgRow) -> Self {
        Self(Of::Postgres(row))
    }
}

fn decode_from<'r, R, T>(row: &'r R, column: &str) -> Result<Option<T>, DbError>
where
    R: sqlx::Row,
    R::Database: Database,
    T: Decode<'r, R::Database>,
    for<'c> &'c str: ColumnIndex<R>,
{
    row.try_get_unchecked(column).map_err(|error| DbError::from_sqlx(column, &error))
}

/// What a column can be read as: `String`, `bool`, `i32`, `i64`, `f64`, `Vec<u8>`, [`NaiveDateTime`], [`NaiveDate`], or an
/// `Option` of one of them.
pub trait FromColumn: Sized {
    /// Reads it; see [`Row::get`].
    ///
    /// # Errors
    /// [`DbError::Decode`].
    fn from_column(row: &Row, column: &str) -> Result<Self, DbError>;
}

macro_rules! from_column {
    ($($type:ty = $read:expr),* $(,)?) => {$(
        impl FromColumn for Option<$type> {
            fn from_column(row: &Row, column: &str) -> Result<Self, DbError> {
                let read: fn(&Row, &str) -> Result<Self, DbError> = $read;
                read(row, column)
            }
        }

        impl FromColumn for $type {
            fn from_column(row: &Row, column: &str) -> Result<Self, DbError> {
                Option::<$type>::from_column(row, column)?.ok_or_else(|| null(column))
            }
        }
    )*};
}
from_column! {
    String = Row::decode,
    bool = Row::decode,
    i32 = Row::decode,
    i64 = Row::decode,
    f64 = Row::decode,
    Vec<u8> = Row::decode,
    NaiveDateTime = moment,
    NaiveDate = day,
}

fn null(column: &str) -> DbError {
    DbError::Decode { column: column.to_owned(), detail: "is NULL".to_owned() }
}

fn moment(row: &Row, column: &str) -> Result<Option<NaiveDateTime>, DbError> {
    if !matches!(row.0, Of::Sqlite(_)) {
        return row.decode(column);
    }
    let Some(text) = row.decode::<String>(column)? else { return Ok(None) };
    NaiveDateTime::parse_from_str(&text.replacen('T', " ", 1), "%Y-%m-%d %H:%M:%S%.f")
        .map(Some)
        .map_err(|error| DbError::Decode { column: column.to_owned(), detail: error.to_string() })
}

fn day(row: &Row, column: &str) -> Result<Option<NaiveDate>, DbError> {
    if !matches!(row.0, Of::Sqlite(_)) {
        return row.decode(column);
    }
    let Some(text) = row.decode::<String>(column)? else { return Ok(None) };
    // A date column written by hand may carry a time.
    NaiveDate::parse_from_str(text.get(..10).unwrap_or(&text), "%Y-%m-%d")
        .map(Some)
        .map_err(|error| DbError::Decode { column: column.to_owned(), detail: error.to_string() })
}
