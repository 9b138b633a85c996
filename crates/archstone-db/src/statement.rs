//! From a `sea_query` statement to the text and the values that a database takes.

use sea_query::{
    DeleteStatement, InsertStatement, MysqlQueryBuilder, PostgresQueryBuilder, SelectStatement, SqliteQueryBuilder,
    UpdateStatement, Value, Values,
};
use sea_query_sqlx::SqlxValues;

use crate::{DbError, Dialect};

/// A statement that changes rows: [`InsertStatement`], [`UpdateStatement`] or [`DeleteStatement`].
pub trait Statement: sealed::Build + Sync {}

pub(crate) mod sealed {
    use super::{Dialect, Values};

    pub trait Build {
        fn build_for(&self, dialect: Dialect) -> (String, Values);
    }
}

macro_rules! build_for {
    ($($statement:ty),*) => {$(
        impl sealed::Build for $statement {
            fn build_for(&self, dialect: Dialect) -> (String, Values) {
                match dialect {
                    Dialect::Sqlite => self.build(SqliteQueryBuilder),
                    Dialect::MySql => self.build(MysqlQueryBuilder),
                    Dialect::Postgres => self.build(PostgresQueryBuilder),
                }
            }
        }
    )*};
}
build_for!(SelectStatement, InsertStatement, UpdateStatement, DeleteStatement);
impl Statement for InsertStatement {}
impl Statement for UpdateStatement {}
impl Statement for DeleteStatement {}

/// Text with placeholders, and the values for them.
#[derive(Clone)]
pub(crate) struct Built {
    pub(crate) sql: String,
    pub(crate) values: SqlxValues,
}

impl Built {
    pub(crate) fn new(statement: &impl sealed::Build, dialect: Dialect) -> Result<Self, DbError> {
        let (mut sql, Values(mut values)) = statement.build_for(dialect);
        // MariaDB knows only the older words; MySQL knows both.
        if dialect == Dialect::MySql
            && let Some(select) = sql.strip_suffix(" FOR SHARE")
        {
            sql = format!("{select} LOCK IN SHARE MODE");
        }
        for value in &mut values {
            if let Value::ChronoDateTimeUtc(moment) = value {
                *value = Value::ChronoDateTime(moment.map(|moment| moment.naive_utc()));
            }
            match dialect {
                Dialect::Sqlite => as_sqlalchemy_writes(value),
                Dialect::Postgres if holds_nul(value) => {
                    return Err(DbError::InvalidValue {
                        attempted: sql,
                        detail: "text with a NUL character".to_owned(),
                    });
                }
                Dialect::Postgres | Dialect::MySql => {}
            }
        }
        Ok(Self { sql, values: SqlxValues(Values(values)) })
    }

    pub(crate) fn plain(sql: &str) -> Self {
        Self { sql: sql.to_owned(), values: SqlxValues(Values(Vec::new())) }
    }
}

/// Moments are text in SQLite and are compared as text: one with fewer digits of a second would sort wrongly.
fn as_sqlalchemy_writes(value: &mut Value) {
    match value {
        Value::ChronoDateTime(moment) => {
            *value = Value::String(moment.map(|moment| moment.format("%Y-%m-%d %H:%M:%S%.6f").to_string()));
        }
        Value::ChronoDate(day) => *value = Value::String(day.map(|day| day.format("%Y-%m-%d").to_string())),
        _ => {}
    }
}

fn holds_nul(value: &Value) -> bool {
    matches!(value, Value::String(Some(text)) if text.contains('\0'))
}
