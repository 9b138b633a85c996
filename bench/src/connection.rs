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
    #[error("no reply: {}", with_cause(.0))]
    Unanswered(hyper::Error),
    #[error("reply broken off: {}", with_cause(.0))]
    BrokenOff(hyper::Error),
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
        let mut connection = Self::idle(authority);
        connection.connect().await?;
        Ok(connection)
    }

    /// To be opened by the first request.
    pub(crate) fn idle(authority: &str) -> Self {
        Self { authority: authority.to_owned(), open: None, connects: 0 }
    }

    /// Sends a request whose effect must not be had twice: whatever becomes of it, it is not sent again.
    pub(crate) async fn exchange_once(&mut self, request: Request<Full<Bytes>>) -> Result<Reply, ExchangeError> {
        if !self.is_ready().await {
            self.connect().await?;
        }
        self.send(request).await
    }

    /// Sends what `request` makes and reads the whole reply. A server may end an idle connection just when the next
    /// request is under way: then, as any HTTP client does, it is sent once more on a new connection.
    pub(crate) async fn exchange(
        &mut self,
        request: impl Fn() -> Request<Full<Bytes>>,
    ) -> Result<Reply, ExchangeError> {
        let exchange = async {
            if self.is_ready().await {
                match self.send(request()).await {
                    Err(ExchangeError::Unanswered(_)) => {}
                    outcome => return outcome,
                }
            }
            self.connect().await?;
            self.send(request()).await
        };
        let outcome = tokio::time::timeout(REPLY_TIMEOUT, exchange).await;
        outcome.unwrap_or_else(|_elapsed| {
            self.open = None;
            Err(ExchangeError::Timeout)
        })
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Reply, ExchangeError> {
        let Some((mut sender, mut driver)) = self.open.take() else { unreachable!("both callers have opened it") };
        let reply = {
            let talk = async {
                let response = sender.send_request(request).await.map_err(ExchangeError::Unanswered)?;
                let (head, body) = response.into_parts();
                let body = body.collect().await.map_err(ExchangeError::BrokenOff)?.to_bytes();
                Ok(Reply { status: head.status, headers: head.headers, body })
            };
            let mut talk = std::pin::pin!(talk);
            let reply = tokio::select! {
                biased;
                reply = &mut talk => Some(reply),
                _ = &mut driver => None,
            };
            let Some(reply) = reply else {
                // The connection may have ended with the last bytes of the reply; else its drop tells `talk`.
                drop(driver);
                return talk.await;
            };
            reply?
        };
        self.open = Some((sender, driver));
        Ok(reply)
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
        self.open = None;
        let connect = async {
            let stream = TcpStream::connect(&self.authority).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        let stream =
            connect.await.map_err(|source| ExchangeError::Connect { authority: self.authority.clone(), source })?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await.map_err(ExchangeError::Unanswered)?;
        self.open = Some((sender, Box::pin(driver)));
        self.connects += 1;
        Ok(())
    }
}

/// hyper's own text leaves out what the operating system said.
fn with_cause(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// Answers one request per connection and closes it without having said so, `rounds` times; then leaves.
    fn closing_server(rounds: usize) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let authority = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            for _ in 0..rounds {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = Vec::new();
                let mut part = [0; 1024];
                while !request.ends_with(b"\r\n\r\n") {
                    let length = stream.read(&mut part).unwrap();
                    request.extend_from_slice(&part[..length]);
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
            }
        });
        authority
    }

    fn request() -> Request<Full<Bytes>> {
        Request::get("/").header("host", "test").body(Full::default()).unwrap()
    }

    #[tokio::test]
    async fn connection_closed_after_a_reply_is_opened_again() {
        let mut connection = Connection::open(&closing_server(5)).await.unwrap();
        for _ in 0..5 {
            assert_eq!(connection.exchange(request).await.unwrap().body, "ok");
        }
        assert_eq!(connection.connects, 5);
    }

    #[tokio::test]
    async fn server_that_is_gone_is_an_error() {
        let mut connection = Connection::open(&closing_server(1)).await.unwrap();
        connection.exchange(request).await.unwrap();
        assert!(connection.exchange(request).await.is_err());
    }
}
