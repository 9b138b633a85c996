//! The pool and its connections, for whichever of the three databases.
//!
//! Transactions are begun and ended with plain statements here rather than with sqlx's type for them: a connection whose
//! transaction was not ended in order is closed, never handed to the next.

use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::mysql::{
    MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlPool, MySqlPoolOptions, MySqlSslMode,
};
use sqlx::pool::{PoolConnection, PoolConnectionMetadata, PoolOptions};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, PgSslMode};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection, Database, Executor, MySql, Postgres, Sqlite};

use crate::row::Row;
use crate::statement::Built;
use crate::{ConnectOptions, DbError, Dialect, SqlUrl};

/// A connection idle for longer is asked whether it still lives before it is used.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);
const IDLE_TIMEOUT: Duration = Duration::from_mins(10);
const SQLITE_BUSY_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(crate) enum Pool {
    Sqlite(SqlitePool),
    MySql(MySqlPool),
    Postgres(PgPool),
}

/// A connection from the pool; [`Conn::discard`] closes it, dropping it gives it back.
pub(crate) enum Conn {
    Sqlite(PoolConnection<Sqlite>),
    MySql(PoolConnection<MySql>),
    Postgres(PoolConnection<Postgres>),
}

impl Pool {
    /// No connection is made yet.
    pub(crate) fn new(url: &SqlUrl, options: &ConnectOptions) -> Result<Self, DbError> {
        Ok(match url.dialect() {
            Dialect::Sqlite => {
                Self::Sqlite(pool_options(SqlitePoolOptions::new(), options).connect_lazy_with(sqlite(url, options)))
            }
            Dialect::MySql => {
                let setup = mysql_session(options)?;
                let pool = pool_options(MySqlPoolOptions::new(), options).after_connect(move |connection, _| {
                    let setup = setup.clone();
                    Box::pin(async move { set_up_mysql(connection, setup).await })
                });
                Self::MySql(pool.connect_lazy_with(mysql(url)?))
            }
            Dialect::Postgres => {
                Self::Postgres(pool_options(PgPoolOptions::new(), options).connect_lazy_with(postgres(url)?))
            }
        })
    }

    /// For the clock alone: on Galera its reads wait for the writes that other nodes have committed. A server without
    /// that setting has one node.
    pub(crate) fn for_clock(url: &SqlUrl, options: &ConnectOptions) -> Result<Self, DbError> {
        if url.dialect() != Dialect::MySql {
            return Self::new(url, options);
        }
        let setup = mysql_session(options)?;
        let pool = pool_options(MySqlPoolOptions::new(), options).after_connect(move |connection, _| {
            let setup = setup.clone();
            Box::pin(async move {
                set_up_mysql(connection, setup).await?;
                wait_for_other_nodes(connection).await
            })
        });
        Ok(Self::MySql(pool.connect_lazy_with(mysql(url)?)))
    }

    pub(crate) async fn acquire(&self) -> Result<Conn, DbError> {
        let conn = match self {
            Self::Sqlite(pool) => pool.acquire().await.map(Conn::Sqlite),
            Self::MySql(pool) => pool.acquire().await.map(Conn::MySql),
            Self::Postgres(pool) => pool.acquire().await.map(Conn::Postgres),
        };
        conn.map_err(|error| DbError::from_sqlx("connecting", &error))
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::MySql(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

impl Conn {
    pub(crate) async fn fetch_all(&mut self, built: Built) -> Result<Vec<Row>, DbError> {
        let Built { sql, values } = built;
        let attempted = sql.clone();
        let query = AssertSqlSafe(sql);
        match self {
            Self::Sqlite(connection) => sqlx::query_with(query, values).fetch_all(&mut **connection).await.map(rows),
            Self::MySql(connection) => sqlx::query_with(query, values).fetch_all(&mut **connection).await.map(rows),
            Self::Postgres(connection) => sqlx::query_with(query, values).fetch_all(&mut **connection).await.map(rows),
        }
        .map_err(|error| DbError::from_sqlx(&attempted, &error))
    }

    pub(crate) async fn fetch_optional(&mut self, built: Built) -> Result<Option<Row>, DbError> {
        let Built { sql, values } = built;
        let attempted = sql.clone();
        let query = AssertSqlSafe(sql);
        match self {
            Self::Sqlite(connection) => {
                sqlx::query_with(query, values).fetch_optional(&mut **connection).await.map(|row| row.map(Into::into))
            }
            Self::MySql(connection) => {
                sqlx::query_with(query, values).fetch_optional(&mut **connection).await.map(|row| row.map(Into::into))
            }
            Self::Postgres(connection) => {
                sqlx::query_with(query, values).fetch_optional(&mut **connection).await.map(|row| row.map(Into::into))
            }
        }
        .map_err(|error| DbError::from_sqlx(&attempted, &error))
    }

    /// How many rows were affected, and the key that was made (on MySQL; the others have RETURNING).
    pub(crate) async fn execute(&mut self, built: Built) -> Result<Executed, DbError> {
        let Built { sql, values } = built;
        let attempted = sql.clone();
        let query = AssertSqlSafe(sql);
        match self {
            Self::Sqlite(connection) => sqlx::query_with(query, values)
                .execute(&mut **connection)
                .await
                .map(|done| Executed { rows: done.rows_affected(), id: 0 }),
            Self::MySql(connection) => sqlx::query_with(query, values)
                .execute(&mut **connection)
                .await
                .map(|done| Executed { rows: done.rows_affected(), id: done.last_insert_id().cast_signed() }),
            Self::Postgres(connection) => sqlx::query_with(query, values)
                .execute(&mut **connection)
                .await
                .map(|done| Executed { rows: done.rows_affected(), id: 0 }),
        }
        .map_err(|error| DbError::from_sqlx(&attempted, &error))
    }

    /// Text without values, perhaps of several statements, unprepared.
    pub(crate) async fn run(&mut self, sql: &str) -> Result<(), DbError> {
        let query = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        match self {
            Self::Sqlite(connection) => query.execute(&mut **connection).await.map(drop),
            Self::MySql(connection) => query.execute(&mut **connection).await.map(drop),
            Self::Postgres(connection) => query.execute(&mut **connection).await.map(drop),
        }
        .map_err(|error| DbError::from_sqlx(sql, &error))
    }

    /// SQLite takes the write lock at once: a transaction that first reads and then writes could not be repeated
    /// otherwise.
    pub(crate) async fn begin(&mut self) -> Result<(), DbError> {
        self.run(match self {
            Self::Sqlite(_) => "BEGIN IMMEDIATE",
            Self::MySql(_) | Self::Postgres(_) => "BEGIN",
        })
        .await
    }

    /// Closes the connection without asking: the server rolls back what it had begun.
    pub(crate) fn discard(self) {
        match self {
            Self::Sqlite(connection) => drop(connection.detach()),
            Self::MySql(connection) => drop(connection.detach()),
            Self::Postgres(connection) => drop(connection.detach()),
        }
    }
}

pub(crate) struct Executed {
    pub(crate) rows: u64,
    pub(crate) id: i64,
}

fn rows<R: Into<Row>>(rows: Vec<R>) -> Vec<Row> {
    rows.into_iter().map(Into::into).collect()
}

fn pool_options<DB: Database>(pool: PoolOptions<DB>, options: &ConnectOptions) -> PoolOptions<DB> {
    pool.max_connections(options.max_connections.max(2))
        .acquire_timeout(options.acquire_timeout)
        .idle_timeout(IDLE_TIMEOUT)
        .max_lifetime(options.connection_recycle_time)
        .test_before_acquire(false)
        .before_acquire(still_alive::<DB>)
}

#[expect(clippy::needless_pass_by_value, reason = "sqlx's signature for it")]
fn still_alive<DB: Database>(
    connection: &mut DB::Connection,
    about: PoolConnectionMetadata,
) -> BoxFuture<'_, Result<bool, sqlx::Error>> {
    Box::pin(async move {
        if about.idle_for > TRUSTED_IDLE {
            connection.ping().await?;
        }
        Ok(true)
    })
}

pub(crate) fn sqlite(url: &SqlUrl, options: &ConnectOptions) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(url.sqlite_path().unwrap_or_default())
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        .busy_timeout(SQLITE_BUSY_TIMEOUT)
        .synchronous(if options.sqlite_synchronous { SqliteSynchronous::Full } else { SqliteSynchronous::Off })
        .disable_statement_logging()
}

pub(crate) fn mysql(url: &SqlUrl) -> Result<MySqlConnectOptions, DbError> {
    let mut options = MySqlConnectOptions::new()
        .host(url.host.as_deref().unwrap_or("localhost"))
        .charset("utf8mb4")
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .timezone("+00:00".to_owned())
        .disable_statement_logging();
    if let Some(port) = url.port {
        options = options.port(port);
    }
    if let Some(username) = &url.username {
        options = options.username(username);
    }
    if let Some(password) = &url.password {
        options = options.password(password);
    }
    if let Some(database) = &url.database {
        options = options.database(database);
    }
    if let Some(path) = url.parameter("unix_socket") {
        options = options.socket(path);
    }
    // As PyMySQL does it: an authority means that the server is verified, its name too unless that is turned off.
    if let Some(authority) = url.parameter("ssl_ca") {
        let verify_name = flag(url, "ssl_check_hostname")?.unwrap_or(true);
        let mode = match flag(url, "ssl_verify_cert")? {
            Some(false) => MySqlSslMode::Required,
            _ if verify_name => MySqlSslMode::VerifyIdentity,
            _ => MySqlSslMode::VerifyCa,
        };
        options = options.ssl_mode(mode).ssl_ca(authority);
    } else if url.parameter("ssl_cert").is_some() {
        options = options.ssl_mode(MySqlSslMode::Required);
    }
    if let Some(path) = url.parameter("ssl_cert") {
        options = options.ssl_client_cert(path);
    }
    if let Some(path) = url.parameter("ssl_key") {
        options = options.ssl_client_key(path);
    }
    Ok(options)
}

pub(crate) fn postgres(url: &SqlUrl) -> Result<PgConnectOptions, DbError> {
    let mut options = PgConnectOptions::new_without_pgpass().application_name("archstone").disable_statement_logging();
    if let Some(host) = url.host.as_deref().or_else(|| url.parameter("host")) {
        options = if host.starts_with('/') { options.socket(host) } else { options.host(host) };
    }
    let port = match url.parameter("port") {
        Some(digits) => Some(digits.parse().map_err(|error| DbError::Configuration {
            detail: format!("the database URL's parameter port={digits}: {error}"),
        })?),
        None => url.port,
    };
    if let Some(port) = port {
        options = options.port(port);
    }
    if let Some(username) = &url.username {
        options = options.username(username);
    }
    if let Some(password) = &url.password {
        options = options.password(password);
    }
    if let Some(database) = &url.database {
        options = options.database(database);
    }
    if let Some(name) = url.parameter("application_name") {
        options = options.application_name(name);
    }
    if let Some(mode) = url.parameter("sslmode") {
        let mode: PgSslMode = mode.parse().map_err(|error: sqlx::Error| DbError::Configuration {
            detail: format!("the database URL's parameter sslmode={mode}: {error}"),
        })?;
        options = options.ssl_mode(mode);
    }
    if let Some(path) = url.parameter("sslrootcert") {
        options = options.ssl_root_cert(path);
    }
    if let Some(path) = url.parameter("sslcert") {
        options = options.ssl_client_cert(path);
    }
    if let Some(path) = url.parameter("sslkey") {
        options = options.ssl_client_key(path);
    }
    Ok(options)
}

fn flag(url: &SqlUrl, name: &str) -> Result<Option<bool>, DbError> {
    match url.parameter(name).map(str::to_ascii_lowercase).as_deref() {
        None => Ok(None),
        Some("true" | "1" | "yes" | "on") => Ok(Some(true)),
        Some("false" | "0" | "no" | "off") => Ok(Some(false)),
        Some(other) => Err(DbError::Configuration {
            detail: format!("the database URL's parameter {name}={other} is neither true nor false"),
        }),
    }
}

/// Every session's settings: overlong text must be an error and not be cut.
pub(crate) fn mysql_session(options: &ConnectOptions) -> Result<Option<String>, DbError> {
    let mut settings = Vec::new();
    if let Some(mode) = &options.mysql_sql_mode {
        if !mode.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b',')) {
            return Err(DbError::Configuration { detail: format!("[database] mysql_sql_mode = {mode} is not a mode") });
        }
        settings.push(format!("sql_mode = '{mode}'"));
    }
    if let Some(wait) = options.mysql_wsrep_sync_wait {
        settings.push(format!("wsrep_sync_wait = {wait}"));
    }
    Ok((!settings.is_empty()).then(|| format!("SET SESSION {}", settings.join(", "))))
}

async fn set_up_mysql(connection: &mut MySqlConnection, setup: Option<String>) -> Result<(), sqlx::Error> {
    if let Some(setup) = setup {
        connection.execute(AssertSqlSafe(setup)).await?;
    }
    Ok(())
}

async fn wait_for_other_nodes(connection: &mut MySqlConnection) -> Result<(), sqlx::Error> {
    const UNKNOWN_VARIABLE: u16 = 1193;
    match connection.execute("SET SESSION wsrep_sync_wait = 1").await {
        Err(sqlx::Error::Database(error))
            if error
                .try_downcast_ref::<MySqlDatabaseError>()
                .is_some_and(|error| error.number() == UNKNOWN_VARIABLE) =>
        {
            Ok(())
        }
        outcome => outcome.map(drop),
    }
}
