//! Accepts connections, serves HTTP/1.1 and HTTP/2 on them, and stops without dropping what is under way.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::app::{App, Peer};
use super::stall::CutOffWhenStalled;

/// How long a client may take to send its headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a client may take nothing of its answer.
const STALL_TIMEOUT: Duration = Duration::from_mins(1);
/// How long requests under way may take to finish once a stop was asked for.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait when the system has no more file descriptors for us.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Limits of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The most bytes that the headers of one request may have; more is 431.
    pub(crate) max_header_bytes: usize,
}

/// Opens a listening socket.
///
/// # Errors
/// Whatever the operating system has against it, with the address.
pub(crate) async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))
}

/// Serves until `stop` completes, then stops accepting, finishes what is under way and returns.
pub(crate) async fn serve(listeners: Vec<TcpListener>, app: Arc<App>, limits: Limits, stop: impl Future<Output = ()>) {
    let (stopping, stopped) = watch::channel(false);
    let tasks: Vec<_> = listeners
        .into_iter()
        .map(|listener| tokio::spawn(accept(listener, Arc::clone(&app), limits, stopped.clone())))
        .collect();
    stop.await;
    // The receivers live in the tasks; one that has ended needs no word.
    stopping.send(true).ok();
    for task in tasks {
        if let Err(error) = task.await {
            tracing::error!(%error, "a listener ended badly");
        }
    }
}

async fn accept(listener: TcpListener, app: Arc<App>, limits: Limits, mut stopped: watch::Receiver<bool>) {
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|stop| *stop) => break,
        };
        match accepted {
            Ok((stream, address)) => connection(stream, address, &app, limits, &graceful),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_TIMEOUT, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests that were still under way have been cut off");
    }
}

fn connection(stream: TcpStream, address: SocketAddr, app: &Arc<App>, limits: Limits, graceful: &GracefulShutdown) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY was refused");
    }
    let app = Arc::clone(app);
    let service = service_fn(move |request| {
        let app = Arc::clone(&app);
        async move { Ok::<_, std::convert::Infallible>(app.respond(request, Peer { address: Some(address) }).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(limits.max_header_bytes.max(8192))
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX));
    let stream = CutOffWhenStalled::new(stream, STALL_TIMEOUT);
    let connection = graceful.watch(builder.serve_connection(TokioIo::new(stream), service).into_owned());
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, peer = %address, "a connection ended early");
        }
    });
}
