//! A way to a database that a test can cut, as a network or a server that goes away does.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::{Dialect, SqlUrl};

/// Connections to a server that go through this process.
pub struct Way {
    /// The database behind it.
    pub url: SqlUrl,
    passing: JoinHandle<()>,
}

impl Way {
    /// A way to this database; `None` for SQLite, which is reached by none.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn to(url: &SqlUrl) -> std::io::Result<Option<Way>> {
        let default_port = match url.dialect() {
            Dialect::Sqlite => return Ok(None),
            Dialect::MySql => 3306,
            Dialect::Postgres => 5432,
        };
        let host = url.host.clone().unwrap_or_else(|| "localhost".to_owned());
        let port = url.port.unwrap_or(default_port);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let SocketAddr::V4(here) = listener.local_addr()? else { return Ok(None) };
        let url = url.with_address(&here.ip().to_string(), here.port());
        Ok(Some(Way { url, passing: tokio::spawn(pass(listener, host, port)) }))
    }

    /// Closes all connections and takes no new ones.
    pub async fn cut(mut self) {
        self.passing.abort();
        // It was aborted, which is what its error says.
        (&mut self.passing).await.ok();
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.passing.abort();
    }
}

async fn pass(listener: TcpListener, host: String, port: u16) {
    let mut connections = JoinSet::new();
    while let Ok((mut near, _)) = listener.accept().await {
        let host = host.clone();
        connections.spawn(async move {
            if let Ok(mut far) = TcpStream::connect((host, port)).await {
                // Either side may hang up at any time.
                copy_bidirectional(&mut near, &mut far).await.ok();
            }
        });
    }
}
