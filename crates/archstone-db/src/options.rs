//! How to connect.

use std::time::Duration;

/// The `[database]` options that matter here. The defaults are oslo.db's where it has one.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// `max_pool_size` + `max_overflow`: connections are made when needed and go when idle.
    pub max_connections: u32,
    /// `pool_timeout`: how long a request waits for a connection.
    pub acquire_timeout: Duration,
    /// `connection_recycle_time`: after this a connection is replaced; `None`: never.
    pub connection_recycle_time: Option<Duration>,
    /// `max_retries`: how often the first connection is tried again; `None` (-1): for ever.
    pub max_retries: Option<u32>,
    /// `retry_interval`: the time between those.
    pub retry_interval: Duration,
    /// `db_max_retries`: how often a transaction is tried again when another one was in its way.
    pub write_retries: u32,
    /// `mysql_sql_mode`; `None`: the server's.
    pub mysql_sql_mode: Option<String>,
    /// `mysql_wsrep_sync_wait`; `None`: reads and transactions wait (1). The clock's connection waits in any case.
    pub mysql_wsrep_sync_wait: Option<u32>,
    /// `sqlite_synchronous`: whether a commit waits for the disk.
    pub sqlite_synchronous: bool,
    /// How long one statement may take before its connection is given up.
    pub statement_timeout: Duration,
    /// The name under which this node's writes are counted (64 bytes at most); `None`: the host's name.
    pub writer: Option<String>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            max_connections: 55,
            acquire_timeout: Duration::from_secs(10),
            connection_recycle_time: Some(Duration::from_hours(1)),
            max_retries: Some(10),
            retry_interval: Duration::from_secs(10),
            write_retries: 20,
            mysql_sql_mode: Some("TRADITIONAL".to_owned()),
            mysql_wsrep_sync_wait: None,
            sqlite_synchronous: true,
            statement_timeout: Duration::from_mins(1),
            writer: None,
        }
    }
}
