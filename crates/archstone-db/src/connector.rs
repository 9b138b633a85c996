//! How a connection to each of the three databases is made.

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor};

use std::time::Duration;

use crate::connection::Raw;
use crate::{ConnectOptions, DbError, Dialect, SqlUrl};

/// On Galera a SELECT, and the BEGIN of a transaction, wait until this node has all that was committed before on any: else
/// a load behind a balancer could see less than the clock did, and a user made at one node be unknown at the next.
const WAIT_FOR_READS: u32 = 1;
const SQLITE_BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How many rows SQLite's thread reads ahead of the one that wants them: with few, they wake each other all the time.
const SQLITE_ROWS_AHEAD: usize = 500;

/// Makes connections, all alike.
pub(crate) enum Connector {
    Sqlite(Box<SqliteConnectOptions>),
    MySql { options: Box<MySqlConnectOptions>, session: String, sync_wait: u32 },
    Postgres(Box<PgConnectOptions>),
}

impl Connector {
    pub(crate) fn new(url: &SqlUrl, options: &ConnectOptions) -> Result<Self, DbError> {
        Ok(match url.dialect() {
            Dialect::Sqlite => Self::Sqlite(Box::new(sqlite(url, options))),
            Dialect::MySql => Self::MySql {
                options: Box::new(mysql(url)?),
                session: mysql_session(options)?,
                sync_wait: options.mysql_wsrep_sync_wait.unwrap_or(WAIT_FOR_READS),
            },
            Dialect::Postgres => Self::Postgres(Box::new(postgres(url)?)),
        })
    }

    /// For the clock alone: on Galera its reads wait for what other nodes have committed, whatever is configured.
    pub(crate) fn for_clock(url: &SqlUrl, options: &ConnectOptions) -> Result<Self, DbError> {
        let mut connector = Self::new(url, options)?;
        if let Self::MySql { sync_wait, .. } = &mut connector {
            *sync_wait |= WAIT_FOR_READS;
        }
        Ok(connector)
    }

    /// Tries once. Unlike sqlx's own pool: whoever waits for a request should hear at once that the server is away.
    pub(crate) async fn connect(&self) -> Result<Raw, sqlx::Error> {
        match self {
            Self::Sqlite(options) => options.connect().await.map(Raw::Sqlite),
            Self::MySql { options, session, sync_wait } => {
                let mut connection = options.connect().await?;
                connection.execute(AssertSqlSafe(session.clone())).await?;
                set_sync_wait(&mut connection, *sync_wait).await?;
                Ok(Raw::MySql(connection))
            }
            Self::Postgres(options) => options.connect().await.map(Raw::Postgres),
        }
    }
}

fn sqlite(url: &SqlUrl, options: &ConnectOptions) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(url.sqlite_path().unwrap_or_default())
        .create_if_missing(true)
        .foreign_keys(true)
        .journal_mode(SqliteJournalMode::Wal)
        .busy_timeout(SQLITE_BUSY_TIMEOUT)
        .synchronous(if options.sqlite_synchronous { SqliteSynchronous::Full } else { SqliteSynchronous::Off })
        .row_buffer_size(SQLITE_ROWS_AHEAD)
        .disable_statement_logging()
}

fn mysql(url: &SqlUrl) -> Result<MySqlConnectOptions, DbError> {
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

fn postgres(url: &SqlUrl) -> Result<PgConnectOptions, DbError> {
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

/// Every session's settings: that our writes tell themselves what they touch, which the triggers look at, and overlong
/// text must be an error and not be cut.
fn mysql_session(options: &ConnectOptions) -> Result<String, DbError> {
    let mut settings = vec!["SET @archstone_writer = 1".to_owned()];
    if let Some(mode) = &options.mysql_sql_mode {
        if !mode.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b',')) {
            return Err(DbError::Configuration { detail: format!("[database] mysql_sql_mode = {mode} is not a mode") });
        }
        settings.push(format!("SESSION sql_mode = '{mode}'"));
    }
    Ok(settings.join(", "))
}

/// How far a Galera node goes along with the others before it answers. A server that does not know the setting has no
/// other nodes.
async fn set_sync_wait(connection: &mut MySqlConnection, wait: u32) -> Result<(), sqlx::Error> {
    const UNKNOWN_VARIABLE: u16 = 1193;
    match connection.execute(AssertSqlSafe(format!("SET SESSION wsrep_sync_wait = {wait}"))).await {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_waits_for_other_nodes_whatever_is_configured() {
        let url = SqlUrl::parse("mysql://u@h/d").unwrap();
        for (configured, expected) in [(None, 1), (Some(0), 1), (Some(6), 7)] {
            let options = ConnectOptions { mysql_wsrep_sync_wait: configured, ..ConnectOptions::default() };
            let Connector::MySql { sync_wait, .. } = Connector::for_clock(&url, &options).unwrap() else {
                panic!("another database");
            };
            assert_eq!(sync_wait, expected);
        }
    }
}
