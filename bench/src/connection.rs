//! One keep-alive HTTP/1.1 connection, driven by the task that uses it.
//!
//! The connection is not spawned as a task of its own: a request then costs no wake-up of another thread, which at
//! the speed of a bare server is most of what a client costs.

use std::io;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A reply that has been read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    #[error("connecting to {authority}: {source}")]
    Connect { authority: String, source: io::Error },
    #[error("{0}")]
    Http(#[from] hyper::Error),
    #[error("no reply within {REPLY_TIMEOUT:?}")]
    Timeout,
}

/// Far beyond any latency worth measuring; it only keeps a hung server from hanging the run.
const REPLY_TIMEOUT: Duration = Duration::from_mins(1);

type Open = (http1::SendRequest<Full<Bytes>>, Pin<Box<http1::Connection<TokioIo<TcpStream>, Full<Bytes>>>>);

/// Reconnects when the server has ended the connection; the time that takes counts as part of the request.
pub(crate) struct Connection {
    authority: String,
    open: Option<Open>,
    /// How often the connection was opened.
    pub(crate) connects: u64,
}

impl Connection {
    pub(crate) async fn open(authority: &str) -> Result<Self, ExchangeError> {
        let mut connection = Self { authority: authority.to_owned(), open: None, connects: 0 };
        connection.connect().await?;
        Ok(connection)
    }

    pub(crate) async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Reply, ExchangeError> {
        tokio::time::timeout(REPLY_TIMEOUT, self.exchange_untimed(request)).await.unwrap_or_else(|_elapsed| {
            self.open = None;
            Err(ExchangeError::Timeout)
        })
    }

    async fn exchange_untimed(&mut self, request: Request<Full<Bytes>>) -> Result<Reply, ExchangeError> {
        if !self.is_ready().await {
            self.connect().await?;
        }
        let Some((sender, driver)) = &mut self.open else { unreachable!("connected above") };
        let (reply, ended) = {
            let talk = async {
                let response = sender.send_request(request).await?;
                let (head, body) = response.into_parts();
                let body = body.collect().await?.to_bytes();
                Ok(Reply { status: head.status, headers: head.headers, body })
            };
            let mut talk = std::pin::pin!(talk);
            tokio::select! {
                biased;
                reply = &mut talk => (reply, false),
                // The end of the connection may come together with the last bytes of the reply, so ask once more.
                _ = driver => (talk.await, true),
            }
        };
        if ended || reply.is_err() {
            self.open = None;
        }
        reply
    }

    /// Whether the connection can take a request, after giving it the chance to notice that the server has closed it.
    async fn is_ready(&mut self) -> bool {
        let Some((sender, driver)) = &mut self.open else { return false };
        tokio::select! {
            biased;
            _ = driver => false,
            ready = sender.ready() => ready.is_ok(),
        }
    }

    async fn connect(&mut self) -> Result<(), ExchangeError> {
        let connect = async {
            let stream = TcpStream::connect(&self.authority).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        let stream =
            connect.await.map_err(|source| ExchangeError::Connect { authority: self.authority.clone(), source })?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        self.open = Some((sender, Box::pin(driver)));
        self.connects += 1;
        Ok(())
    }
}
