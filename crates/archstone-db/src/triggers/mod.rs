//! Triggers that move the clock for writers who know nothing of it: Python Keystone beside us, an administrator's SQL.
//!
//! Each changed row of a table that tokens are made of adds a tick to one of a few rows of `archstone_foreign_clock` and a
//! row to `archstone_change`. Which of the rows depends on the connection, so that two transactions of other programs
//! hardly ever wait for each other because of us. On MariaDB and PostgreSQL our own writes, which say themselves what they
//! touched, pass the triggers by; on SQLite a trigger cannot know whose write it is, and there it costs little.
//!
//! (MariaDB fires no triggers for what a foreign key deletes. All such rows belong to a row whose own trigger names the
//! same thing.)

mod text;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use crate::connection::Conn;
use crate::statement::Built;
use crate::tx::timed_out;
use crate::{Db, DbError, Dialect};

pub(crate) use text::{FOREIGN_WRITER, SLOTS};

const TIMEOUT: Duration = Duration::from_mins(2);

/// Which of the triggers a database has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Triggers {
    /// All: what other programs write is seen as our own writes are.
    Installed,
    /// None.
    Absent,
    /// Some are missing, or an older version's are still there: install them again.
    Incomplete {
        /// Those that are missing.
        missing: Vec<String>,
        /// Those that are not ours any more.
        outdated: Vec<String>,
    },
}

impl fmt::Display for Triggers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Installed => f.write_str("the triggers are installed"),
            Self::Absent => f.write_str("the triggers are not installed"),
            Self::Incomplete { missing, outdated } => {
                f.write_str("the triggers are incomplete, run `archstone db triggers install`")?;
                for (what, names) in [("missing", missing), ("outdated", outdated)] {
                    if !names.is_empty() {
                        write!(f, "; {what}: {}", names.join(", "))?;
                    }
                }
                Ok(())
            }
        }
    }
}

/// Looks which triggers there are.
///
/// # Errors
/// What the database says.
pub async fn check(db: &Db) -> Result<Triggers, DbError> {
    let dialect = db.dialect();
    let found = db.read(move |conn| Box::pin(found(conn, dialect))).await?;
    let wanted: BTreeSet<String> = text::names().collect();
    if found.is_empty() {
        return Ok(Triggers::Absent);
    }
    if found == wanted {
        return Ok(Triggers::Installed);
    }
    Ok(Triggers::Incomplete {
        missing: wanted.difference(&found).cloned().collect(),
        outdated: found.difference(&wanted).cloned().collect(),
    })
}

/// Makes the triggers that are missing and takes away those of older versions. Needs the right to make triggers; on a
/// MariaDB with a binary log also `log_bin_trust_function_creators`, or more rights.
///
/// # Errors
/// What the database says; then some triggers may be there and others not, which [`check`] tells.
pub async fn install(db: &Db) -> Result<(), DbError> {
    let found = remove_where(db, |name, wanted| !wanted.contains(name)).await?;
    for trigger in text::all_of(db.dialect()) {
        if !found.contains(&trigger.name) {
            run(db, &trigger.create).await?;
        }
    }
    // What was written before the last trigger came is on no record: a jump without a record makes every node forget.
    run(db, "UPDATE archstone_foreign_clock SET tick = tick + 2").await
}

/// Takes all triggers away.
///
/// # Errors
/// What the database says.
pub async fn remove(db: &Db) -> Result<(), DbError> {
    remove_where(db, |_, _| true).await.map(drop)
}

/// Removes those that `unwanted` names, and returns the others.
async fn remove_where(
    db: &Db,
    unwanted: impl Fn(&str, &BTreeSet<String>) -> bool,
) -> Result<BTreeSet<String>, DbError> {
    let dialect = db.dialect();
    let wanted = text::names().collect();
    let mut kept = BTreeSet::new();
    for name in db.read(move |conn| Box::pin(found(conn, dialect))).await? {
        if unwanted(&name, &wanted) {
            run(db, &text::drop(dialect, &name)).await?;
        } else {
            kept.insert(name);
        }
    }
    Ok(kept)
}

async fn run(db: &Db, sql: &str) -> Result<(), DbError> {
    let _sole_writer = db.become_sole_writer().await?;
    let mut conn = db.pool().acquire().await?;
    let Ok(outcome) = tokio::time::timeout(TIMEOUT, conn.run(sql)).await else {
        conn.discard();
        return Err(timed_out(TIMEOUT));
    };
    outcome
}

async fn found(conn: &mut Conn, dialect: Dialect) -> Result<BTreeSet<String>, DbError> {
    let sql = match dialect {
        Dialect::Sqlite => {
            "SELECT name AS name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'archstone!_%' ESCAPE '!'"
        }
        Dialect::MySql => {
            "SELECT trigger_name AS name FROM information_schema.triggers \
             WHERE trigger_schema = DATABASE() AND trigger_name LIKE 'archstone!_%' ESCAPE '!'"
        }
        // The information schema shows a trigger only to who owns its table.
        Dialect::Postgres => {
            "SELECT tgname AS name FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid \
             WHERE relnamespace = current_schema()::regnamespace AND tgenabled <> 'D' \
             AND tgname LIKE 'archstone!_%' ESCAPE '!'"
        }
    };
    let rows = conn.fetch_all(Built::plain(sql)).await?;
    rows.iter().map(|row| row.get("name")).collect()
}

#[cfg(test)]
mod tests;
