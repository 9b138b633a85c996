//! Measures an Identity endpoint: `load` issues and validates tokens and checks every reply, `wire` is the bare HTTP
//! server that a real one is compared with, answering what `record` has seen a real one answer.
//!
//! `slice` asks one question for some seconds; `bench/run` makes its rows of slices. `seed` and `revocations` fill a
//! database, so that there is something large to measure, and `seal` makes tokens of its users. `storm` measures
//! nothing: it looks for answers that a write has already made wrong.
//!
//! **Invariant:** but for `seed`, `revocations` and `seal`, nothing here knows which program answers; only the Identity
//! v3 API is spoken.

mod beside;
mod closed_loop;
mod connection;
mod identity;
mod load;
mod measure;
mod sealed;
mod site;
mod slice;
mod storm;
mod wire;

use std::process::ExitCode;

use archstone_bench::seed;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(version, about)]
struct Cli {
    /// Threads of the runtime; all cores by default.
    #[arg(long, global = true)]
    threads: Option<usize>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Issue and validate tokens, check all replies, print throughput and latencies.
    Load(load::Options),
    /// Record one issue and one validation, for `wire`.
    Record(wire::RecordOptions),
    /// Fill a database with a large cloud.
    Seed(seed::Options),
    /// Fill the table of revocation events.
    Revocations(seed::RevocationOptions),
    /// Make tokens of a seeded cloud's users from the Fernet keys.
    Seal(sealed::Options),
    /// Ask one question for some seconds, check all replies, print JSON.
    Slice(slice::Options),
    /// Change everything at several nodes while all of them validate, and look for answers from before a write.
    Storm(storm::Options),
    /// Serve a recording, as fast as the HTTP library can.
    Wire(wire::ServeOptions),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = cli.threads {
        builder.worker_threads(threads.max(1));
    }
    let outcome = builder.enable_all().build().map_err(Error::io("starting the runtime")).and_then(|runtime| {
        runtime.block_on(async {
            match cli.command {
                Command::Load(options) => load::run(options).await,
                Command::Record(options) => wire::record(options).await,
                Command::Seed(options) => Ok(seed::run(options).await?),
                Command::Revocations(options) => Ok(seed::run_revocations(&options).await?),
                Command::Seal(options) => sealed::seal(&options),
                Command::Slice(options) => slice::run(options).await,
                Command::Storm(options) => storm::run(options).await,
                Command::Wire(options) => wire::serve(options).await,
            }
        })
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("archstone-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Why a measurement could not be made, or must not be believed.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Reply(#[from] identity::WrongReply),
    #[error(transparent)]
    Exchange(#[from] connection::ExchangeError),
    #[error("{failed} of {requests} requests failed; the first: {first}")]
    Failures { failed: u64, requests: u64, first: String },
    #[error("{attempt}: {source}")]
    Io { attempt: String, source: std::io::Error },
    #[error("recording: {0}")]
    Recording(#[from] serde_json::Error),
    #[error("{0}")]
    Storm(String),
    #[error(transparent)]
    Token(#[from] keystone_token::Error),
    #[error(transparent)]
    Seed(#[from] seed::SeedError),
}

impl Error {
    fn io(attempt: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        |source| Self::Io { attempt: attempt.into(), source }
    }
}
