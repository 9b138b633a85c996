//! The protocol: 200 serial issues, 200 serial validations, 1000 concurrent issues, then concurrent validations for
//! some seconds.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request};
use http_body_util::Full;
use serde_json::json;

use crate::Error;
use crate::closed_loop::{self, Limit, Work};
use crate::connection::{Connection, Reply};
use crate::identity::{Endpoint, IssueBy, IssuedToken, Login};
use crate::measure::{Phase, Table};

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    login: Login,
    /// Connections of the concurrent phases.
    #[arg(long, default_value_t = 20, value_parser = at_least_one)]
    concurrency: usize,
    /// How long the concurrent validations last.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How many distinct tokens are validated, in turn.
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    tokens: usize,
    /// How tokens are issued in the measured phases.
    #[arg(long, value_enum, default_value_t = IssueBy::Password)]
    issue_by: IssueBy,
    /// Requests of each serial phase.
    #[arg(long, default_value_t = 200, value_parser = at_least_one)]
    serial: usize,
    /// Requests of the concurrent issue phase.
    #[arg(long, default_value_t = 1000, value_parser = at_least_one)]
    issues: usize,
    /// Print JSON instead of the table.
    #[arg(long)]
    json: bool,
    /// Also write the JSON to this file.
    #[arg(long)]
    output: Option<PathBuf>,
}

pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&number| number > 0).ok_or_else(|| "must be a number above 0".to_owned())
}

/// Runs all phases and prints them; an error when any reply was wrong.
pub(crate) async fn run(options: Options) -> Result<(), Error> {
    let endpoint = Arc::new(Endpoint::new(options.login.clone())?);
    let caller = issue_unmeasured(&endpoint).await?;
    let run = Run { endpoint: &endpoint, concurrency: options.concurrency };
    let issue = Issue { endpoint: Arc::clone(&endpoint), by: options.issue_by, parent: caller.clone() };
    let validate = |tokens: &[Arc<IssuedToken>]| {
        let subjects = tokens.iter().take(options.tokens).cloned().collect();
        Validate { endpoint: Arc::clone(&endpoint), caller: caller.clone(), subjects: Arc::new(subjects) }
    };

    let serial = Limit::requests(options.serial);
    let (serial_issue, mut tokens) = run.serially("serial issue", serial, issue.clone()).await?;
    require_some(&tokens, &serial_issue)?;
    let (serial_validate, _) = run.serially("serial validate", serial, validate(&tokens)).await?;

    let (concurrent_issue, more) =
        run.concurrently("concurrent issue", Limit::requests(options.issues), issue.clone()).await?;
    tokens.extend(more);
    if tokens.len() < options.tokens {
        let missing = Limit::requests(options.tokens - tokens.len());
        let (phase, more) = run.concurrently("further issue", missing, issue).await?;
        phase.check()?;
        tokens.extend(more);
    }
    let duration = Limit::within(Duration::from_secs(options.seconds));
    let (concurrent_validate, _) = run.concurrently("concurrent validate", duration, validate(&tokens)).await?;

    report(&options, &[serial_issue, serial_validate, concurrent_issue, concurrent_validate])
}

fn report(options: &Options, phases: &[Phase]) -> Result<(), Error> {
    let results = json!({
        "url": options.login.url(),
        "tokens": options.tokens,
        "catalog": options.login.has_catalog(),
        "issue_by": if options.issue_by == IssueBy::Password { "password" } else { "token" },
        "phases": phases,
    });
    let text = serde_json::to_string_pretty(&results)?;
    if let Some(path) = &options.output {
        std::fs::write(path, format!("{text}\n")).map_err(Error::io(format!("writing {}", path.display())))?;
    }
    if options.json {
        println!("{text}");
    } else {
        print!("{}", Table(phases));
    }
    phases.iter().try_for_each(Phase::check)
}

async fn issue_unmeasured(endpoint: &Endpoint) -> Result<HeaderValue, Error> {
    let mut connection = Connection::open(&endpoint.site.authority).await?;
    let reply = connection.exchange(|| endpoint.issue_by_password()).await?;
    Ok(endpoint.check_issue(IssueBy::Password, &reply)?.value)
}

#[derive(Clone)]
struct Issue {
    endpoint: Arc<Endpoint>,
    by: IssueBy,
    parent: HeaderValue,
}

impl Work for Issue {
    type Kept = Arc<IssuedToken>;

    fn request(&self, _turn: usize) -> Request<Full<Bytes>> {
        match self.by {
            IssueBy::Password => self.endpoint.issue_by_password(),
            IssueBy::Token => self.endpoint.issue_by_token(&self.parent),
        }
    }

    fn judge(&self, _turn: usize, reply: &Reply) -> Result<Arc<IssuedToken>, Error> {
        Ok(Arc::new(self.endpoint.check_issue(self.by, reply)?))
    }
}

#[derive(Clone)]
struct Validate {
    endpoint: Arc<Endpoint>,
    caller: HeaderValue,
    subjects: Arc<Vec<Arc<IssuedToken>>>,
}

impl Validate {
    fn subject(&self, turn: usize) -> &IssuedToken {
        &self.subjects[turn % self.subjects.len()]
    }
}

impl Work for Validate {
    type Kept = ();

    fn request(&self, turn: usize) -> Request<Full<Bytes>> {
        self.endpoint.validate(&self.caller, &self.subject(turn).value)
    }

    fn judge(&self, turn: usize, reply: &Reply) -> Result<(), Error> {
        Ok(self.endpoint.check_validation(self.subject(turn), reply)?)
    }
}

struct Run<'a> {
    endpoint: &'a Endpoint,
    concurrency: usize,
}

impl Run<'_> {
    async fn serially<W: Work>(
        &self,
        name: &'static str,
        limit: Limit,
        work: W,
    ) -> Result<(Phase, Vec<W::Kept>), Error> {
        closed_loop::run(name, &self.endpoint.site.authority, 1, limit, work).await
    }

    async fn concurrently<W: Work>(
        &self,
        name: &'static str,
        limit: Limit,
        work: W,
    ) -> Result<(Phase, Vec<W::Kept>), Error> {
        closed_loop::run(name, &self.endpoint.site.authority, self.concurrency, limit, work).await
    }
}

/// Without any token there is nothing to validate, and the phase knows why.
fn require_some(tokens: &[Arc<IssuedToken>], phase: &Phase) -> Result<(), Error> {
    if tokens.is_empty() { phase.check() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use tokio::net::TcpListener;

    use super::*;
    use crate::wire;

    #[derive(Parser)]
    struct TestCli {
        #[command(flatten)]
        options: Options,
    }

    /// The outcome of a short run, as `user`, against a server whose tokens are all of the user "admin".
    async fn short_run(user: &str) -> Result<(), Error> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v3", listener.local_addr().unwrap());
        let server = tokio::spawn(wire::serve_on(listener, wire::tests::recording()));
        let fixed =
            ["load", "--password=x", "--seconds=0", "--serial=2", "--issues=5", "--tokens=10", "--concurrency=3"];
        let cli = TestCli::parse_from(fixed.into_iter().chain(["--url", &url, "--user", user]));
        let outcome = run(cli.options).await;
        server.abort();
        outcome
    }

    #[tokio::test]
    async fn right_server_passes() {
        short_run("admin").await.unwrap();
    }

    #[tokio::test]
    async fn tokens_of_somebody_else_fail_the_run() {
        let error = short_run("demo").await.unwrap_err().to_string();
        assert!(error.contains("instead of demo"), "{error}");
    }
}
