//! `archstone serve`: the production start.

use std::net::ToSocketAddrs as _;
use std::process::ExitCode;
use std::sync::Arc;

use archstone_core::Core;
use archstone_core::config::Config;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::ConfigArgs;
use super::startup::{self, Refusal};
use crate::api;
use crate::http::{self, App, Limits};

/// Where a server listens if nothing says otherwise.
pub(crate) const DEFAULT_LISTEN: &str = "127.0.0.1:5000";

/// What `archstone serve` takes.
#[expect(clippy::doc_markdown, reason = "the texts are shown as help, where a backtick is noise")]
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Address to listen on, for example 127.0.0.1:5000 or [::1]:5000; may be given several times. Goes before
    /// [archstone] listen.
    #[arg(long, value_name = "HOST:PORT")]
    listen: Vec<String>,
}

/// Serves until SIGTERM or SIGINT.
pub(crate) fn run(config: &ConfigArgs, args: &Args) -> ExitCode {
    match serve(config, args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => refusal.report(),
    }
}

fn serve(config: &ConfigArgs, args: &Args) -> Result<(), Refusal> {
    let mut config = startup::load_server_config(config)?;
    let listen = listen_addresses(&args.listen, &config);
    // URLs of a catalog's file can name the port.
    config.archstone.listen.clone_from(&listen);
    startup::runtime(config.archstone.workers)?.block_on(async {
        let limits = limits(&config);
        let listeners = bind_all(&listen).await?;
        let core = startup::open(config).await?;
        serve_core(core, listeners, limits).await
    })
}

/// Each connection is a file descriptor, and what a process may have at first (often 1,024) is less than it may ask for.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// The limits that the configuration sets to a connection.
pub(crate) fn limits(config: &Config) -> Limits {
    Limits { max_header_bytes: config.archstone.max_request_header_size }
}

/// The command line's addresses, else the file's, else the default.
pub(crate) fn listen_addresses(given: &[String], config: &Config) -> Vec<String> {
    match (given, config.archstone.listen.as_slice()) {
        ([], []) => vec![DEFAULT_LISTEN.to_owned()],
        ([], configured) => configured.to_vec(),
        (given, _) => given.to_vec(),
    }
}

/// Listens on all addresses; a name may stand for several.
pub(crate) async fn bind_all(addresses: &[String]) -> Result<Vec<TcpListener>, Refusal> {
    let mut listeners = Vec::new();
    for text in addresses {
        let resolved = text.to_socket_addrs().map_err(|error| Refusal(format!("--listen {text}: {error}")))?;
        for address in resolved {
            listeners.push(http::bind(address).await?);
        }
    }
    Ok(listeners)
}

/// Answers requests until a signal, then finishes what is under way.
pub(crate) async fn serve_core(core: Arc<Core>, listeners: Vec<TcpListener>, limits: Limits) -> Result<(), Refusal> {
    let app = App::new(Arc::clone(&core), &api::table(&core.config)).map_err(Refusal)?;
    for listener in &listeners {
        tracing::info!("listening on http://{}", listener.local_addr()?);
    }
    raise_descriptor_limit();
    let watching = core.watch();
    http::serve(listeners, Arc::new(app), limits, stop_signal()?).await;
    drop(watching);
    core.finish().await;
    core.db().close().await;
    tracing::info!("stopped");
    Ok(())
}

fn stop_signal() -> Result<impl Future<Output = ()>, Refusal> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: finishing what is under way"),
            _ = interrupt.recv() => tracing::info!("SIGINT: finishing what is under way"),
        }
    })
}
