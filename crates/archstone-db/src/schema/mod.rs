//! The schema: Keystone 30.0.0's own, stamped as its Alembic would, and our few tables beside it.
//!
//! **Invariant:** a database that [`create`] made and one that Python Keystone's `db_sync` made differ in nothing but the
//! `archstone_*` tables and the `ix_archstone_*` indexes. (On PostgreSQL `db_sync` also leaves four trigger functions of
//! old migrations behind, which nothing calls; they are left out.)

mod indexes;
mod own;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::connection::Conn;
use crate::statement::Built;
use crate::tx::timed_out;
use crate::{Db, DbError, Dialect, Row};

/// Alembic's revisions of the expand branch, oldest first; the last is Keystone 30.0.0's head.
const EXPAND: [&str; 7] =
    ["27e647c0fad4", "29e87d24a316", "b4f8b3f584e0", "11c3b243b4cb", "47147121", "e8725d6fa226", "742c857f1dfb"];
/// Those of the contract branch.
const CONTRACT: [&str; 3] = ["e25ffa003242", "99de3849d860", "c88cdce8f248"];

/// The revision that a complete expand branch is stamped with.
pub const EXPAND_HEAD: &str = EXPAND[EXPAND.len() - 1];
/// The revision that a complete contract branch is stamped with.
pub const CONTRACT_HEAD: &str = CONTRACT[CONTRACT.len() - 1];

const CREATE_TIMEOUT: Duration = Duration::from_mins(5);

/// What a database holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// No table.
    Empty,
    /// Everything that this program needs.
    Current,
    /// Keystone's schema is current; our own tables are missing (0) or of an older version.
    WithoutOwn {
        /// The version found.
        version: u32,
    },
    /// An older Keystone's.
    Older {
        /// The revision of the expand branch, if any.
        expand: Option<String>,
        /// The revision of the contract branch, if any.
        contract: Option<String>,
    },
    /// A newer Keystone's, or something else that Alembic manages.
    Unknown {
        /// The revisions found that we do not know.
        revisions: Vec<String>,
    },
    /// A newer Archstone's.
    NewerOwn {
        /// The version found.
        version: u32,
    },
    /// Stamped without all its tables, or tables without a stamp: a creation that did not finish, or another program's
    /// database.
    Partial {
        /// What is missing.
        missing: Vec<String>,
    },
}

impl Status {
    /// Whether the server can run on it as it is.
    ///
    /// # Errors
    /// [`DbError::Schema`]: what was found, and what to do.
    pub fn require_current(&self) -> Result<(), DbError> {
        match self {
            Self::Current => Ok(()),
            other => Err(DbError::Schema { detail: other.to_string() }),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the database is empty; run `archstone db sync`"),
            Self::Current => f.write_str("the database's schema is up to date"),
            Self::WithoutOwn { version: 0 } => f.write_str(
                "the database is Keystone's and current, without Archstone's own tables; run `archstone db sync`",
            ),
            Self::WithoutOwn { version } => {
                write!(
                    f,
                    "Archstone's own tables are of version {version}, not {}; run `archstone db sync`",
                    own::VERSION
                )
            }
            Self::Older { expand, contract } => write!(
                f,
                "the database has the schema of a Keystone older than 30.0.0 (expand {}, contract {}); upgrade it first \
                 with Keystone 30.0.0's `keystone-manage db_sync`",
                expand.as_deref().unwrap_or("none"),
                contract.as_deref().unwrap_or("none"),
            ),
            Self::Unknown { revisions } => write!(
                f,
                "the database has schema revisions unknown to this program ({}): it belongs to a newer Keystone or to \
                 another program; use an Archstone made for it, or another database",
                revisions.join(", "),
            ),
            Self::NewerOwn { version } => write!(
                f,
                "Archstone's own tables are of version {version}, and this program knows them up to {}; use the newer \
                 Archstone that made them",
                own::VERSION,
            ),
            Self::Partial { missing } => write!(
                f,
                "the database's schema is incomplete (missing: {}): a `db sync` was interrupted or the database belongs to \
                 another program; restore it, or give an empty one",
                missing.join(", "),
            ),
        }
    }
}

/// Looks at what the database holds; changes nothing.
///
/// # Errors
/// What reading meets.
pub async fn check(db: &Db) -> Result<Status, DbError> {
    let dialect = db.dialect();
    db.read(move |conn| Box::pin(status(conn, dialect))).await
}

/// The Alembic revisions that the database is stamped with: (expand, contract).
///
/// # Errors
/// What reading meets.
pub async fn revisions(db: &Db) -> Result<(Option<String>, Option<String>), DbError> {
    let dialect = db.dialect();
    let found = db
        .read(move |conn| {
            Box::pin(async move {
                if tables(conn, dialect).await?.contains("alembic_version") {
                    stamps(conn).await
                } else {
                    Ok(Vec::new())
                }
            })
        })
        .await?;
    Ok((newest(&EXPAND, &found), newest(&CONTRACT, &found)))
}

/// Makes what is missing: all of it in an empty database, our own tables in one of Keystone's. Safe to call again and
/// by several at once. Returns what was there before.
///
/// # Errors
/// [`DbError::Schema`] for a database that is neither empty nor current; what the database says.
pub async fn create(db: &Db) -> Result<Status, DbError> {
    let dialect = db.dialect();
    let _sole_writer = db.become_sole_writer().await?;
    let mut conn = db.pool().acquire().await?;
    let outcome = tokio::time::timeout(CREATE_TIMEOUT, create_on(&mut conn, dialect))
        .await
        .unwrap_or_else(|_| Err(timed_out(CREATE_TIMEOUT)));
    if outcome.is_err() {
        // A lock or a transaction may be held.
        conn.discard();
    }
    outcome
}

/// The tables of Keystone's schema.
pub fn table_names(dialect: Dialect) -> impl Iterator<Item = &'static str> {
    baseline(dialect)
        .lines()
        .filter_map(|line| line.strip_prefix("CREATE TABLE "))
        .map(|rest| rest.trim_end_matches(" (").trim_matches(['"', '`']))
}

fn baseline(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => include_str!("sqlite.sql"),
        Dialect::MySql => include_str!("mysql.sql"),
        Dialect::Postgres => include_str!("postgresql.sql"),
    }
}

/// Our own tables that hold more than a version.
#[cfg(any(test, feature = "testing"))]
pub(crate) const OWN_TABLES: [&str; 4] =
    ["archstone_clock", "archstone_change", "archstone_used_passcode", "archstone_failed_login"];

/// Every statement that makes a database, for the test databases' names.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn all_statements(dialect: Dialect) -> impl Iterator<Item = &'static str> {
    std::iter::once(baseline(dialect)).chain(own::migrations(dialect))
}

/// The statement that fills in the row of the root domain.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn seed(dialect: Dialect) -> &'static str {
    let text = baseline(dialect);
    text.find("INSERT INTO project ").map_or("", |start| &text[start..])
}

/// MySQL commits at each CREATE, so that there only the lock keeps two from creating at once; the stamp comes last, and
/// an interrupted creation is found by its absence.
fn create_on(conn: &mut Conn, dialect: Dialect) -> BoxFuture<'_, Result<Status, DbError>> {
    Box::pin(async move {
        match dialect {
            Dialect::Sqlite => conn.begin().await?,
            Dialect::MySql => lock_mysql(conn).await?,
            Dialect::Postgres => {
                conn.begin().await?;
                conn.run("SELECT pg_advisory_xact_lock(7281520312)").await?;
            }
        }
        let before = status(conn, dialect).await?;
        let version = match &before {
            Status::Empty => {
                conn.run(baseline(dialect)).await?;
                0
            }
            Status::WithoutOwn { version } => *version,
            Status::Current => own::VERSION,
            other => return Err(DbError::Schema { detail: other.to_string() }),
        };
        for (next, migration) in (1..).zip(own::migrations(dialect)).skip(version as usize) {
            conn.run(migration).await?;
            conn.run(&format!(
                "DELETE FROM archstone_version; INSERT INTO archstone_version (version) VALUES ({next})"
            ))
            .await?;
        }
        match dialect {
            Dialect::Sqlite | Dialect::Postgres => conn.end("COMMIT").await?,
            Dialect::MySql => conn.run("SELECT RELEASE_LOCK('archstone_schema')").await?,
        }
        Ok(before)
    })
}

async fn lock_mysql(conn: &mut Conn) -> Result<(), DbError> {
    let statement = "SELECT GET_LOCK('archstone_schema', 60) AS locked";
    let row = conn.fetch_optional(Built::plain(statement)).await?;
    match row.map(|row| row.get("locked")).transpose()? {
        Some(Some(1_i64)) => Ok(()),
        _ => Err(DbError::Unavailable {
            attempted: "taking the lock for changing the schema".to_owned(),
            detail: "another process holds it".to_owned(),
            retry: false,
        }),
    }
}

async fn status(conn: &mut Conn, dialect: Dialect) -> Result<Status, DbError> {
    let tables = tables(conn, dialect).await?;
    if tables.is_empty() {
        return Ok(Status::Empty);
    }
    if !tables.contains("alembic_version") {
        // Releases before Yoga were managed by another tool, which left this table.
        if tables.contains("migrate_version") {
            return Ok(Status::Older { expand: None, contract: None });
        }
        return Ok(Status::Partial { missing: vec!["alembic_version".to_owned()] });
    }
    let stamps = stamps(conn).await?;
    let unknown: Vec<String> = stamps
        .iter()
        .filter(|revision| !EXPAND.contains(&revision.as_str()) && !CONTRACT.contains(&revision.as_str()))
        .cloned()
        .collect();
    if !unknown.is_empty() {
        return Ok(Status::Unknown { revisions: unknown });
    }
    if stamps.is_empty() {
        return Ok(Status::Partial { missing: vec!["a row of alembic_version".to_owned()] });
    }
    let (expand, contract) = (newest(&EXPAND, &stamps), newest(&CONTRACT, &stamps));
    if expand.as_deref() != Some(EXPAND_HEAD) || contract.as_deref() != Some(CONTRACT_HEAD) {
        return Ok(Status::Older { expand, contract });
    }
    let missing: Vec<String> =
        table_names(dialect).filter(|table| !tables.contains(*table)).map(str::to_owned).collect();
    if !missing.is_empty() {
        return Ok(Status::Partial { missing });
    }
    let version = if tables.contains("archstone_version") { own_version(conn).await? } else { 0 };
    Ok(match version {
        own::VERSION => Status::Current,
        version if version < own::VERSION => Status::WithoutOwn { version },
        version => Status::NewerOwn { version },
    })
}

async fn tables(conn: &mut Conn, dialect: Dialect) -> Result<BTreeSet<String>, DbError> {
    let sql = match dialect {
        Dialect::Sqlite => "SELECT name AS name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
        Dialect::MySql => "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = DATABASE()",
        Dialect::Postgres => {
            "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = current_schema()"
        }
    };
    let rows = conn.fetch_all(Built::plain(sql)).await?;
    rows.iter().map(|row| row.get("name")).collect()
}

async fn stamps(conn: &mut Conn) -> Result<Vec<String>, DbError> {
    let rows = conn.fetch_all(Built::plain("SELECT version_num FROM alembic_version")).await?;
    rows.iter().map(|row| row.get("version_num")).collect()
}

async fn own_version(conn: &mut Conn) -> Result<u32, DbError> {
    let row = conn.fetch_optional(Built::plain("SELECT MAX(version) AS version FROM archstone_version")).await?;
    let version = row.as_ref().map(|row: &Row| row.get::<Option<i64>>("version")).transpose()?.flatten();
    Ok(u32::try_from(version.unwrap_or(0)).unwrap_or(u32::MAX))
}

fn newest(branch: &[&str], found: &[String]) -> Option<String> {
    branch
        .iter()
        .rev()
        .find(|revision| found.iter().any(|stamp| stamp == *revision))
        .map(|revision| (*revision).to_owned())
}

#[cfg(test)]
mod tests;
