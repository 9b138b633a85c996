//! What goes on beside a slice: tokens are revoked and users changed at a steady pace, passwords are hashed on every
//! core. It begins before the slice and ends after it.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::Full;
use serde::Serialize;
use serde_json::json;
use tokio::task::AbortHandle;

use crate::Error;
use crate::connection::{Connection, Reply};
use crate::identity::{AUTH_TOKEN, SUBJECT_TOKEN, WrongReply};
use crate::sealed::{self, SealedToken};
use crate::site::Site;
use crate::slice::{check_issue, login_body, require_status};

/// Connections that share a pace, so that a slow answer does not slow it down.
const CONNECTIONS: usize = 4;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Revoke so many tokens a second.
    #[arg(long, requires = "others")]
    revoke: Option<f64>,
    /// Change so many users a second.
    #[arg(long, requires = "others")]
    change: Option<f64>,
    /// Log in by password on so many connections, without a pause.
    #[arg(long, requires = "others")]
    logins: Option<usize>,
    /// Whose tokens are revoked, and who changes or logs in: what `seal` has written.
    #[arg(long)]
    others: Option<PathBuf>,
    /// The number of the first of them.
    #[arg(long, default_value_t = 0)]
    first_other: usize,
    /// How many of them.
    #[arg(long, default_value_t = 1_000)]
    how_many_others: usize,
    /// What they log in with.
    #[arg(long, default_value = "seedpw")]
    others_password: String,
}

/// What was done, by kind.
#[derive(Serialize)]
pub(crate) struct Tally {
    kind: &'static str,
    done: usize,
    failed: usize,
    per_second: f64,
    #[serde(skip)]
    first_failure: Option<String>,
}

impl Tally {
    pub(crate) fn check(&self) -> Result<(), Error> {
        match &self.first_failure {
            None => Ok(()),
            Some(first) => Err(Error::Failures {
                failed: self.failed as u64,
                requests: (self.done + self.failed) as u64,
                first: format!("{} beside: {first}", self.kind),
            }),
        }
    }
}

/// Ends when it is dropped.
pub(crate) struct Beside {
    kinds: Vec<Arc<Counts>>,
    tasks: Vec<AbortHandle>,
}

struct Counts {
    kind: &'static str,
    since: Mutex<Instant>,
    turns: AtomicUsize,
    done: AtomicUsize,
    failed: AtomicUsize,
    first_failure: Mutex<Option<String>>,
}

/// A kind of request, and how its reply is judged.
#[derive(Clone)]
struct Kind {
    act: Act,
    site: Arc<Site>,
    caller: HeaderValue,
    others: Arc<Vec<SealedToken>>,
    password: Arc<str>,
}

#[derive(Clone, Copy)]
enum Act {
    Revoke,
    Change,
    Login,
}

impl Beside {
    pub(crate) async fn start(options: &Options, url: &str, caller: &HeaderValue) -> Result<Self, Error> {
        let mut beside = Self { kinds: Vec::new(), tasks: Vec::new() };
        let Some(path) = &options.others else { return Ok(beside) };
        let others = Arc::new(sealed::read(path, options.first_other, options.how_many_others)?);
        let site = Arc::new(Site::new(url)?);
        let password = Arc::from(options.others_password.as_str());
        let paced = [("revoke", Act::Revoke, options.revoke), ("change", Act::Change, options.change)];
        let paced = paced.map(|(name, act, pace)| (name, act, pace.map(|pace| (CONNECTIONS, Some(pace)))));
        let logins = ("login", Act::Login, options.logins.map(|connections| (connections, None)));
        for (name, act, how) in paced.into_iter().chain([logins]) {
            let Some((connections, pace)) = how else { continue };
            let kind = Kind {
                act,
                site: Arc::clone(&site),
                caller: caller.clone(),
                others: Arc::clone(&others),
                password: Arc::clone(&password),
            };
            beside.go_on(name, connections, pace, &kind).await?;
        }
        Ok(beside)
    }

    async fn go_on(
        &mut self,
        name: &'static str,
        connections: usize,
        pace: Option<f64>,
        kind: &Kind,
    ) -> Result<(), Error> {
        let counts = Arc::new(Counts {
            kind: name,
            since: Mutex::new(Instant::now()),
            turns: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            failed: AtomicUsize::new(0),
            first_failure: Mutex::new(None),
        });
        self.kinds.push(Arc::clone(&counts));
        let start = Instant::now();
        for _ in 0..connections {
            let connection = Connection::open(&kind.site.authority).await?;
            let worker = worker(connection, kind.clone(), pace, start, Arc::clone(&counts));
            // Sent to a task as one type, whatever the kind.
            let worker: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(worker);
            self.tasks.push(tokio::spawn(worker).abort_handle());
        }
        Ok(())
    }

    /// What was done until now was a warm-up. A failure of it is remembered.
    pub(crate) fn forget(&self) {
        for counts in &self.kinds {
            counts.done.store(0, Ordering::Relaxed);
            *counts.since.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
    }

    pub(crate) fn finish(self) -> Vec<Tally> {
        self.kinds.iter().map(|counts| counts.sum_up()).collect()
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Counts {
    #[expect(clippy::cast_precision_loss, reason = "a display of counts far below 2^52")]
    fn sum_up(&self) -> Tally {
        let done = self.done.load(Ordering::Relaxed);
        let elapsed = self.since.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
        Tally {
            kind: self.kind,
            done,
            failed: self.failed.load(Ordering::Relaxed),
            per_second: done as f64 / elapsed.as_secs_f64(),
            first_failure: self.first_failure.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    fn count(&self, outcome: Result<(), Error>) {
        match outcome {
            Ok(()) => {
                self.done.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                let mut first = self.first_failure.lock().unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert_with(|| error.to_string());
            }
        }
    }
}

async fn worker(mut connection: Connection, kind: Kind, pace: Option<f64>, start: Instant, counts: Arc<Counts>) {
    loop {
        let turn = counts.turns.fetch_add(1, Ordering::Relaxed);
        if let Some(pace) = pace {
            tokio::time::sleep_until((start + due(turn, pace)).into()).await;
        }
        let outcome = match kind.request(turn) {
            Ok(request) => match connection.exchange(|| request.clone()).await {
                Ok(reply) => kind.judge(turn, &reply).map_err(Error::from),
                Err(error) => Err(error.into()),
            },
            Err(error) => Err(error),
        };
        let failed = outcome.is_err();
        counts.count(outcome);
        if failed {
            // The run is lost; no need to fill a log.
            return;
        }
    }
}

/// When the request of this number is sent, from the start.
#[expect(clippy::cast_precision_loss, reason = "a slice has far fewer turns than 2^52")]
fn due(turn: usize, pace: f64) -> Duration {
    Duration::try_from_secs_f64(turn as f64 / pace).unwrap_or(Duration::MAX)
}

impl Kind {
    fn other(&self, turn: usize) -> &SealedToken {
        &self.others[turn % self.others.len()]
    }

    fn request(&self, turn: usize) -> Result<Request<Full<Bytes>>, Error> {
        let other = self.other(turn);
        let tokens = "/v3/auth/tokens";
        let mut request = match self.act {
            Act::Revoke => {
                if turn >= self.others.len() {
                    return Err(Error::Usage("--how-many-others: not enough tokens to revoke".to_owned()));
                }
                let mut request = self.site.request(Method::DELETE, &self.site.uri(tokens)?, Bytes::new());
                request.headers_mut().insert(SUBJECT_TOKEN, other.value.clone());
                request
            }
            Act::Change => {
                let uri = self.site.uri(&format!("/v3/users/{}", other.user))?;
                let body = json!({"user": {"description": format!("Change {turn}")}}).to_string();
                self.site.request(Method::PATCH, &uri, Bytes::from(body))
            }
            Act::Login => {
                return Ok(self.site.request(Method::POST, &self.site.uri(tokens)?, login_body(other, &self.password)));
            }
        };
        request.headers_mut().insert(AUTH_TOKEN, self.caller.clone());
        Ok(request)
    }

    fn judge(&self, turn: usize, reply: &Reply) -> Result<(), WrongReply> {
        let other = self.other(turn);
        match self.act {
            Act::Revoke => require_status(StatusCode::NO_CONTENT, "revoking a token", reply),
            Act::Change => {
                require_status(StatusCode::OK, "changing a user", reply)?;
                let body = String::from_utf8_lossy(&reply.body);
                if body.contains(&other.user) && body.contains(&format!("Change {turn}")) {
                    Ok(())
                } else {
                    Err(WrongReply { asked: "changing a user", wrong: body.chars().take(300).collect() })
                }
            }
            Act::Login => check_issue(other, "password", reply),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pace_is_kept_over_all_connections() {
        assert_eq!(due(0, 10.0), Duration::ZERO);
        assert_eq!(due(25, 10.0), Duration::from_millis(2500));
    }
}
