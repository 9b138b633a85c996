//! Databases for tests: fresh, with the whole schema, one for each test.
//!
//! SQLite is always there. MariaDB and PostgreSQL are there when `ARCHSTONE_TEST_MYSQL_URL` and
//! `ARCHSTONE_TEST_POSTGRESQL_URL` name a server and a user who may create databases. There, databases are made once
//! and used again: a test claims one by a lock that lasts as long as its connection, and empties it first.

mod way;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use tokio::sync::OnceCell;

pub use crate::clock::Readings;
use crate::connection::Conn;
use crate::pool::Pool;
use crate::statement::Built;
use crate::{ConnectOptions, Db, DbError, Dialect, SqlUrl, Statement, schema, triggers};

pub use way::Way;

/// A database of one test's own. Keep it as long as `db` is used.
pub struct TestDatabase {
    /// The connected database.
    pub db: Db,
    /// How to connect to it again.
    pub url: SqlUrl,
    _claim: Claim,
}

/// What goes back, or away, when the test is over.
enum Claim {
    Folder(#[expect(dead_code, reason = "removes the folder when dropped")] tempfile::TempDir),
    Lock(#[expect(dead_code, reason = "the lock ends with the connection")] LockHolder),
}

struct LockHolder(Option<Conn>);

impl Drop for LockHolder {
    fn drop(&mut self) {
        if let Some(conn) = self.0.take() {
            conn.discard();
        }
    }
}

/// Runs `body` on each configured database, one after the other.
///
/// ```
/// # use archstone_db::{Query as _, tables::Project, testing};
/// # use sea_query::Query;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// testing::on_each_database(async |db| {
///     let roots = Query::select().column(Project::Id).from(Project::Table).to_owned();
///     assert_eq!(db.fetch_all(&roots).await.expect("projects").len(), 1);
/// })
/// .await;
/// # }
/// ```
///
/// # Panics
/// When `body` does, or a database cannot be had; what went before on standard error names the database.
pub async fn on_each_database<F>(body: F)
where
    F: AsyncFn(&Db),
{
    for dialect in configured() {
        eprintln!("on {dialect:?}:");
        let database = TestDatabase::new(dialect).await.expect("a test database");
        body(&database.db).await;
        database.db.close().await;
    }
}

/// The databases that tests can use.
pub fn configured() -> Vec<Dialect> {
    [Dialect::Sqlite, Dialect::MySql, Dialect::Postgres]
        .into_iter()
        .filter(|dialect| *dialect == Dialect::Sqlite || server(*dialect).is_some())
        .collect()
}

impl TestDatabase {
    /// A fresh database with the schema and nothing else.
    ///
    /// # Errors
    /// [`DbError::Configuration`] when this kind is not configured; what the database says.
    pub async fn new(dialect: Dialect) -> Result<Self, DbError> {
        match dialect {
            Dialect::Sqlite => copy_of_template().await,
            Dialect::MySql | Dialect::Postgres => claim(dialect).await,
        }
    }
}

/// Connection options for tests: few connections, no patience.
pub fn options() -> ConnectOptions {
    ConnectOptions {
        max_connections: 8,
        acquire_timeout: Duration::from_secs(10),
        max_retries: Some(0),
        sqlite_synchronous: false,
        writer: Some("test".to_owned()),
        ..ConnectOptions::default()
    }
}

/// Changes rows as a program does that knows nothing of the clock.
///
/// # Errors
/// What the database says.
pub async fn execute_as_another_program(db: &Db, statement: &impl Statement) -> Result<(), DbError> {
    let mut conn = foreign(db).await?;
    let outcome = conn.execute(Built::new(statement, db.dialect())?).await;
    conn.discard();
    outcome.map(drop)
}

/// A connection as another program has it; to be discarded.
pub(crate) async fn foreign(db: &Db) -> Result<Conn, DbError> {
    let mut conn = db.pool().acquire().await?;
    if db.dialect() == Dialect::MySql {
        conn.run("SET @archstone_writer = NULL").await?;
    }
    Ok(conn)
}

/// From now on the questions that are asked outside of transactions are kept, for [`plans`].
pub fn record(db: &Db) {
    *db.recorded() = Some(Vec::new());
}

/// How a database answers a question.
#[derive(Debug)]
pub struct QueryPlan {
    /// The question.
    pub sql: String,
    /// What the database says of it.
    pub text: String,
    /// The tables that are read as a whole.
    pub full_scans: Vec<String>,
}

/// Ends what [`record`] began: how the database answers each question that was asked since.
///
/// # Errors
/// What the database says.
pub async fn plans(db: &Db) -> Result<Vec<QueryPlan>, DbError> {
    let asked = db.recorded().take().unwrap_or_default();
    let mut conn = db.pool().acquire().await?;
    let explain = match db.dialect() {
        Dialect::Sqlite => "EXPLAIN QUERY PLAN",
        Dialect::MySql => "EXPLAIN",
        Dialect::Postgres => {
            // Small tables are read as a whole even where there is an index: what is left then has none.
            conn.run("SET enable_seqscan = off").await?;
            "EXPLAIN"
        }
    };
    let mut plans = Vec::new();
    for built in asked {
        let sql = built.sql.clone();
        let rows = conn.fetch_all(Built { sql: format!("{explain} {sql}"), values: built.values }).await?;
        let (mut text, mut full_scans) = (String::new(), Vec::new());
        for row in &rows {
            let (line, scanned) = plan_line(row, db.dialect())?;
            text.extend([line.as_str(), "\n"]);
            full_scans.extend(scanned);
        }
        plans.push(QueryPlan { sql, text, full_scans });
    }
    conn.discard();
    Ok(plans)
}

/// A line of a plan, and the table that it reads as a whole, if it does.
fn plan_line(row: &crate::Row, dialect: Dialect) -> Result<(String, Option<String>), DbError> {
    let after = |line: &str, words: &str| {
        let rest = line.split_once(words)?.1;
        Some(rest.split([' ', '(']).next().unwrap_or_default().trim_matches('"').to_owned())
    };
    Ok(match dialect {
        Dialect::Sqlite => {
            let line: String = row.get("detail")?;
            // By one of the few types of assignments is as good as all.
            let half = line.contains("(type=?)").then(|| after(&line, "SEARCH ")).flatten();
            let scanned = after(&line, "SCAN ").or(half);
            (line, scanned)
        }
        Dialect::Postgres => {
            let line: String = row.get("QUERY PLAN")?;
            let scanned = after(&line, "Seq Scan on ");
            (line, scanned)
        }
        Dialect::MySql => {
            let text = |name| row.get::<Option<String>>(name).map(Option::unwrap_or_default);
            let (table, kind, key) = (text("table")?, text("type")?, text("key")?);
            let scanned = matches!(kind.as_str(), "ALL" | "index").then(|| table.clone());
            (format!("{table} {kind} {key}"), scanned)
        }
    })
}

/// Lets the database look at what is in its tables, as it does by itself after a while. SQLite never does.
///
/// # Errors
/// What the database says.
pub async fn analyze(db: &Db) -> Result<(), DbError> {
    let mut conn = db.pool().acquire().await?;
    match db.dialect() {
        Dialect::Sqlite => return Ok(()),
        Dialect::Postgres => return conn.run("ANALYZE").await,
        Dialect::MySql => {}
    }
    let tables: Vec<String> = schema::table_names(db.dialect()).map(|table| format!("`{table}`")).collect();
    conn.run(&format!("ANALYZE TABLE {}", tables.join(", "))).await
}

async fn copy_of_template() -> Result<TestDatabase, DbError> {
    static TEMPLATE: OnceCell<Vec<u8>> = OnceCell::const_new();
    let folder = tempfile::tempdir().map_err(|error| configuration(&error))?;
    let template = TEMPLATE
        .get_or_try_init(async || {
            let path = folder.path().join("template.db");
            let db = Db::connect(&SqlUrl::parse(&format!("sqlite:///{}", path.display()))?, &options()).await?;
            schema::create(&db).await?;
            // Without this the tables are still in the write-ahead log, beside the file.
            let mut conn = db.pool().acquire().await?;
            conn.run("PRAGMA wal_checkpoint(TRUNCATE)").await?;
            drop(conn);
            db.close().await;
            std::fs::read(&path).map_err(|error| configuration(&error))
        })
        .await?;
    let path = folder.path().join("test.db");
    std::fs::write(&path, template).map_err(|error| configuration(&error))?;
    let url = SqlUrl::parse(&format!("sqlite:///{}", path.display()))?;
    Ok(TestDatabase { db: Db::connect(&url, &options()).await?, url, _claim: Claim::Folder(folder) })
}

async fn claim(dialect: Dialect) -> Result<TestDatabase, DbError> {
    let server = server(dialect)
        .ok_or_else(|| DbError::Configuration { detail: format!("no {dialect:?} server for tests is configured") })??;
    // One connection, kept for the lock.
    let mut holder = Pool::new(&server, &options())?.acquire().await?;
    let prefix = name_prefix(dialect);
    for number in 0..200_u32 {
        let name = format!("{prefix}_{number}");
        if !lock(&mut holder, dialect, &prefix, number).await? {
            continue;
        }
        if !exists(&mut holder, dialect, &name).await? {
            holder.run(&format!("CREATE DATABASE {name}")).await?;
        }
        let url = server.with_database(&name);
        let db = Db::connect(&url, &options()).await?;
        if schema::check(&db).await? == schema::Status::Current {
            empty(&db).await?;
        } else if let Err(error) = schema::create(&db).await {
            // Left half-made by a run that was killed: the next one makes it anew.
            db.close().await;
            holder.run(&format!("DROP DATABASE {name}")).await?;
            return Err(error);
        }
        return Ok(TestDatabase { db, url, _claim: Claim::Lock(LockHolder(Some(holder))) });
    }
    Err(DbError::Configuration { detail: "all test databases are in use".to_owned() })
}

/// Another schema, another name.
fn name_prefix(dialect: Dialect) -> String {
    let mut hasher = DefaultHasher::new();
    schema::all_statements(dialect).for_each(|text| text.hash(&mut hasher));
    format!("archstone_test_{:08x}", hasher.finish() & 0xffff_ffff)
}

async fn lock(conn: &mut Conn, dialect: Dialect, prefix: &str, number: u32) -> Result<bool, DbError> {
    let sql = match dialect {
        Dialect::MySql => format!("SELECT GET_LOCK('{prefix}_{number}', 0) = 1 AS locked"),
        Dialect::Postgres | Dialect::Sqlite => {
            format!("SELECT pg_try_advisory_lock(hashtext('{prefix}'), {number}) AS locked")
        }
    };
    match conn.fetch_optional(Built::plain(&sql)).await? {
        Some(row) => row.get("locked"),
        None => Ok(false),
    }
}

async fn exists(conn: &mut Conn, dialect: Dialect, name: &str) -> Result<bool, DbError> {
    let sql = match dialect {
        Dialect::MySql => format!("SELECT 1 FROM information_schema.schemata WHERE schema_name = '{name}'"),
        Dialect::Postgres | Dialect::Sqlite => format!("SELECT 1 FROM pg_database WHERE datname = '{name}'"),
    };
    Ok(conn.fetch_optional(Built::plain(&sql)).await?.is_some())
}

/// Deleting is faster than truncating when there is little to delete.
async fn empty(db: &Db) -> Result<(), DbError> {
    let dialect = db.dialect();
    // A test that failed may have left some.
    triggers::remove(db).await?;
    let (unchecked, checked, quote) = match dialect {
        Dialect::MySql => ("SET FOREIGN_KEY_CHECKS = 0;\n", "SET FOREIGN_KEY_CHECKS = 1;\n", "`"),
        Dialect::Postgres | Dialect::Sqlite => {
            ("SET session_replication_role = replica;\n", "SET session_replication_role = DEFAULT;\n", "\"")
        }
    };
    let mut sql = unchecked.to_owned();
    for table in schema::table_names(dialect).chain(schema::OWN_TABLES) {
        if table != "alembic_version" {
            sql.extend(["DELETE FROM ", quote, table, quote, ";\n"]);
        }
    }
    sql.push_str("UPDATE archstone_foreign_clock SET tick = 0;\n");
    sql.push_str(schema::seed(dialect));
    sql.push_str(checked);
    db.pool().acquire().await?.run(&sql).await
}

#[expect(clippy::disallowed_methods, reason = "tests are told of servers by their environment")]
fn server(dialect: Dialect) -> Option<Result<SqlUrl, DbError>> {
    let name = match dialect {
        Dialect::Sqlite => return None,
        Dialect::MySql => "ARCHSTONE_TEST_MYSQL_URL",
        Dialect::Postgres => "ARCHSTONE_TEST_POSTGRESQL_URL",
    };
    std::env::var(name).ok().filter(|url| !url.is_empty()).map(|url| SqlUrl::parse(&url))
}

fn configuration(error: &std::io::Error) -> DbError {
    DbError::Configuration { detail: format!("making a test database: {error}") }
}
