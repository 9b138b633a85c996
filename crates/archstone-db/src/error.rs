//! What can go wrong with a statement, whichever database it ran on.

use sqlx::error::{DatabaseError, ErrorKind};
use sqlx::mysql::MySqlDatabaseError;

/// A failed database operation.
///
/// `attempted` is the statement without its values, cut short; `detail` is the database's own message. Bound values
/// are in neither, except that MySQL repeats the key of a conflict.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DbError {
    /// A unique or primary key is taken.
    #[error("{attempted}: conflicts with a row that exists: {detail}")]
    Conflict {
        /// The statement.
        attempted: String,
        /// The constraint's name; on SQLite its columns (`role.name, role.domain_id`).
        constraint: Option<String>,
        /// The database's message.
        detail: String,
    },
    /// The row refers to one that does not exist, or is referred to by one that does.
    #[error("{attempted}: breaks a reference between rows: {detail}")]
    ForeignKey {
        /// The statement.
        attempted: String,
        /// The constraint's name, where the database tells it.
        constraint: Option<String>,
        /// The database's message.
        detail: String,
    },
    /// Text longer than its column. SQLite never says so.
    #[error("{attempted}: a value is too long: {detail}")]
    TooLong {
        /// The statement.
        attempted: String,
        /// The database's message.
        detail: String,
    },
    /// A value that the column cannot hold: NUL in text on PostgreSQL, a character outside of the table's character
    /// set on MySQL, a number out of range. The client's fault, like [`DbError::TooLong`].
    #[error("{attempted}: a value cannot be stored: {detail}")]
    InvalidValue {
        /// The statement.
        attempted: String,
        /// The database's message.
        detail: String,
    },
    /// No connection, or it was lost, or the server is starting, stopping or read-only.
    #[error("{attempted}: the database is unavailable: {detail}")]
    Unavailable {
        /// The statement.
        attempted: String,
        /// The driver's message.
        detail: String,
        /// Whether it is certain that nothing was committed, so that the same can be tried again.
        retry: bool,
    },
    /// Another transaction was in the way: deadlock, serialization failure, lock timeout, a busy SQLite file, a
    /// failed certification on Galera. [`crate::Db::write`] tries again.
    #[error("{attempted}: another transaction was in the way: {detail}")]
    Retryable {
        /// The statement.
        attempted: String,
        /// The database's message.
        detail: String,
    },
    /// A column is missing or does not hold what was expected.
    #[error("reading column {column}: {detail}")]
    Decode {
        /// The column.
        column: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The URL or an option cannot be used.
    #[error("{detail}")]
    Configuration {
        /// What is wrong, without a secret.
        detail: String,
    },
    /// The schema is not one that this program works on.
    #[error("{detail}")]
    Schema {
        /// What was found and what to do.
        detail: String,
    },
    /// Anything else: a fault of ours.
    #[error("{attempted}: {detail}")]
    Other {
        /// The statement.
        attempted: String,
        /// The database's message.
        detail: String,
    },
}

/// What an error of the code around a transaction must tell, for [`crate::Db::write`] to see whether trying again
/// can help.
pub trait Retry {
    /// The database's error behind this one, if that is what it is.
    fn db_error(&self) -> Option<&DbError>;
}

impl Retry for DbError {
    fn db_error(&self) -> Option<&DbError> {
        Some(self)
    }
}

impl DbError {
    /// Whether the whole transaction may be tried again from its start.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Retryable { .. } | Self::Unavailable { retry: true, .. })
    }

    /// Whether a unique or primary key was taken.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. })
    }

    /// Names what failed; `attempted` is a statement's text or words of ours.
    pub(crate) fn from_sqlx(attempted: &str, error: &sqlx::Error) -> Self {
        let attempted = shorten(attempted);
        match error {
            sqlx::Error::Database(error) => from_database(attempted, error.as_ref()),
            sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed | sqlx::Error::Protocol(_) => {
                Self::Unavailable { attempted, detail: error.to_string(), retry: true }
            }
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Tls(_) | sqlx::Error::BeginFailed => {
                Self::Unavailable { attempted, detail: error.to_string(), retry: false }
            }
            sqlx::Error::Configuration(source) => Self::Configuration { detail: format!("{attempted}: {source}") },
            sqlx::Error::ColumnNotFound(column) => {
                Self::Decode { column: column.clone(), detail: "not among the columns selected".to_owned() }
            }
            sqlx::Error::ColumnDecode { index, source } => {
                Self::Decode { column: index.clone(), detail: source.to_string() }
            }
            other => Self::Other { attempted, detail: other.to_string() },
        }
    }

    /// While connecting nothing is lost, and trying again at once does not help.
    pub(crate) fn not_reached(self) -> Self {
        match self {
            Self::Unavailable { attempted, detail, .. } | Self::Retryable { attempted, detail } => {
                Self::Unavailable { attempted, detail, retry: false }
            }
            other => other,
        }
    }

    /// After a COMMIT was sent nobody knows whether it took place.
    pub(crate) fn at_commit(self) -> Self {
        match self {
            Self::Unavailable { attempted, detail, .. } => Self::Unavailable { attempted, detail, retry: false },
            other => other,
        }
    }
}

fn from_database(attempted: String, error: &dyn DatabaseError) -> DbError {
    let detail = error.message().to_owned();
    match error.kind() {
        ErrorKind::UniqueViolation => {
            let constraint = constraint(error, "key '", "UNIQUE constraint failed: ");
            return DbError::Conflict { attempted, constraint, detail };
        }
        ErrorKind::ForeignKeyViolation => {
            let constraint = constraint(error, "CONSTRAINT `", "FOREIGN KEY constraint failed: ");
            return DbError::ForeignKey { attempted, constraint, detail };
        }
        _ => {}
    }
    if let Some(error) = error.try_downcast_ref::<MySqlDatabaseError>() {
        return match error.number() {
            1062 | 1586 => DbError::Conflict { attempted, constraint: None, detail },
            1406 => DbError::TooLong { attempted, detail },
            1264 | 1292 | 1366 | 1367 | 3854 => DbError::InvalidValue { attempted, detail },
            // Lock timeout, deadlock (also Galera's failed certification), a row changed under a snapshot.
            1205 | 1213 | 1020 | 3572 => DbError::Retryable { attempted, detail },
            // Shutting down, killed, connection lost.
            1053 | 1927 | 2006 | 2013 => DbError::Unavailable { attempted, detail, retry: true },
            // Too many connections, a node outside of its Galera cluster, read-only.
            1040 | 1047 | 1203 | 1290 | 1836 => DbError::Unavailable { attempted, detail, retry: false },
            _ => DbError::Other { attempted, detail },
        };
    }
    // Five characters are a SQLSTATE (PostgreSQL), otherwise it is a number of SQLite's.
    let code = error.code().unwrap_or_default();
    match code.as_ref() {
        "22001" => DbError::TooLong { attempted, detail },
        "22003" | "22007" | "22008" | "22021" | "22P02" | "22P05" => DbError::InvalidValue { attempted, detail },
        "40001" | "40P01" | "55P03" => DbError::Retryable { attempted, detail },
        "57P01" | "57P02" | "57P03" | "08006" | "08003" | "08000" => {
            DbError::Unavailable { attempted, detail, retry: true }
        }
        "53300" | "25006" | "08001" | "08004" => DbError::Unavailable { attempted, detail, retry: false },
        sqlite => match sqlite.parse::<i32>().map(|code| code & 0xff) {
            Ok(5 | 6) => DbError::Retryable { attempted, detail },
            // Read-only, input/output, full, cannot open.
            Ok(8 | 10 | 13 | 14) => DbError::Unavailable { attempted, detail, retry: false },
            _ => DbError::Other { attempted, detail },
        },
    }
}

/// PostgreSQL tells the constraint; the other two only have it in their message.
fn constraint(error: &dyn DatabaseError, mysql: &str, sqlite: &str) -> Option<String> {
    if let Some(name) = error.constraint() {
        return Some(name.to_owned());
    }
    let message = error.message();
    if let Some((_, columns)) = message.split_once(sqlite) {
        return Some(columns.to_owned());
    }
    let (_, name) = message.rsplit_once(mysql)?;
    let name = name.split(['\'', '`']).next()?;
    // MySQL 8 writes `table.key`, MariaDB only the key.
    Some(name.rsplit('.').next().unwrap_or(name).to_owned())
}

fn shorten(attempted: &str) -> String {
    const LENGTH: usize = 160;
    match attempted.char_indices().nth(LENGTH) {
        Some((end, _)) => format!("{}…", &attempted[..end]),
        None => attempted.to_owned(),
    }
}
