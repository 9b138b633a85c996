//! The few places where the three databases need different words.
//!
//! `sea_query` already hides quoting, placeholders, casts to native enums and row locks ([`crate::Tx::hold`]; left out
//! on SQLite, where [`crate::Db::write`] holds the only write lock anyway).

use sea_query::{BinOper, Expr, ExprTrait as _, Func, IntoIden, OnConflict};

/// One of the three databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// SQLite, a file.
    Sqlite,
    /// MariaDB or MySQL.
    MySql,
    /// PostgreSQL.
    Postgres,
}

impl Dialect {
    /// Asks what time it is, in UTC.
    pub(crate) fn time(self) -> &'static str {
        match self {
            Dialect::Sqlite => "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now') AS now",
            Dialect::MySql => "SELECT UTC_TIMESTAMP(6) AS now",
            Dialect::Postgres => "SELECT clock_timestamp() AT TIME ZONE 'UTC' AS now",
        }
    }
}

/// A value of one of PostgreSQL's native enum types: `type` (of `assignment.type`) or `entity_type` (of
/// `id_mapping.entity_type`). Plain text elsewhere.
pub fn enum_value(type_name: &'static str, value: &str) -> Expr {
    Expr::val(value).as_enum(type_name)
}

/// Where in the column's text an inexact filter looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inexact {
    /// `name__contains`
    Contains,
    /// `name__startswith`
    StartsWith,
    /// `name__endswith`
    EndsWith,
}

/// A filter that ignores case, as far as the database's `lower` goes (on SQLite: ASCII). The value's `%` and `_` are
/// only themselves.
pub fn inexact(column: impl Into<Expr>, how: Inexact, value: &str) -> Expr {
    let mut escaped = String::with_capacity(value.len() + 2);
    for character in value.chars() {
        // Not a backslash: MySQL would want it doubled.
        if matches!(character, '%' | '_' | '!') {
            escaped.push('!');
        }
        escaped.push(character);
    }
    let pattern = match how {
        Inexact::Contains => format!("%{escaped}%"),
        Inexact::StartsWith => format!("{escaped}%"),
        Inexact::EndsWith => format!("%{escaped}"),
    };
    let pattern = Expr::from(Func::lower(Expr::val(pattern)));
    Expr::from(Func::lower(column)).binary(BinOper::Like, pattern.binary(BinOper::Escape, Expr::Constant('!'.into())))
}

/// `INSERT` that does nothing when a row with this key exists. `key` must be exactly a unique or the primary key.
///
/// How many rows were affected says nothing on MySQL, which counts the row that was there.
pub fn ignore_existing<C: IntoIden + Copy>(key: &[C]) -> OnConflict {
    let columns = key.iter().copied();
    OnConflict::columns(columns.clone()).do_nothing_on(columns).to_owned()
}

/// `INSERT` that sets `columns` of the row with this key if there is one. `key` must be exactly a unique or the primary
/// key.
pub fn update_existing<C: IntoIden + Copy>(key: &[C], columns: &[C]) -> OnConflict {
    OnConflict::columns(key.iter().copied()).update_columns(columns.iter().copied()).to_owned()
}
