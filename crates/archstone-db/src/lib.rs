//! Storage: one text of each query for SQLite, MariaDB/MySQL and PostgreSQL, the schema, and the clock.
//!
//! [`Db`] is a pool of connections. Reads go through [`Query`], which both `&Db` and `&mut Tx` are; everything that
//! changes rows goes through [`Db::write`], one transaction that ends by telling the other nodes what it touched.
//! Statements are built with `sea_query` from the names in [`tables`]; what the three databases do differently is in
//! [`dialect`].
//!
//! **Invariant:** nothing outside of this crate calls sqlx.

mod clock;
mod connection;
mod connector;
mod db;
pub mod dialect;
mod error;
mod json;
mod options;
mod pool;
mod query;
mod row;
pub mod schema;
mod statement;
pub mod tables;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
pub mod triggers;
mod tx;
mod url;

pub use clock::{Change, Changes, Clock, ClockReading, prune_changes};
pub use db::Db;
pub use dialect::Dialect;
pub use error::{DbError, Retry};
pub use json::json_text;
pub use options::ConnectOptions;
pub use query::Query;
pub use row::{FromColumn, Row};
pub use statement::Statement;
pub use tx::{Touch, Tx};
pub use url::SqlUrl;
