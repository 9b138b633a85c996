//! One question, asked for some seconds: what `bench/run` makes its rows of. Whoever asks brings a token, so that a
//! slice begins at once, and the same tokens can be asked of several servers in turn.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use clap::ValueEnum;
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use crate::Error;
use crate::beside::{self, Beside};
use crate::closed_loop::{self, Limit, Work};
use crate::connection::Reply;
use crate::identity::{AUTH_TOKEN, SUBJECT_TOKEN, TokenBody, WrongReply};
use crate::load::at_least_one;
use crate::sealed::{self, SealedToken};
use crate::site::Site;

#[derive(clap::Args)]
pub(crate) struct Options {
    #[arg(value_enum)]
    ask: Ask,
    #[arg(long)]
    url: String,
    /// Who asks.
    #[arg(long, env = "OS_TOKEN", hide_env_values = true)]
    caller: String,
    /// What `seal` has written.
    #[arg(long)]
    tokens: PathBuf,
    /// How many of these tokens are asked about, or log in, in turn.
    #[arg(long, default_value_t = 1, value_parser = at_least_one)]
    subjects: usize,
    /// Their users' password.
    #[arg(long, default_value = "seedpw")]
    password: String,
    /// For `list`: the URL's path and query.
    #[arg(long, default_value = "/v3/users")]
    path: String,
    /// For `list`: how many entries there must be.
    #[arg(long, default_value_t = 1)]
    entries: usize,
    #[arg(long, default_value_t = 20, value_parser = at_least_one)]
    concurrency: usize,
    /// Unmeasured, before the slice.
    #[arg(long, default_value_t = 0.0)]
    warmup: f64,
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Over after so many requests, even within the time.
    #[arg(long)]
    requests: Option<usize>,
    #[command(flatten)]
    beside: beside::Options,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Ask {
    /// Whose token this is.
    Validate,
    /// For a token by the token, of the same project.
    Rescope,
    /// For a token by the user's password.
    Login,
    /// For a list.
    List,
}

/// Prints the phase and what was done beside it as JSON; an error when any reply was wrong.
pub(crate) async fn run(options: Options) -> Result<(), Error> {
    let site = Site::new(&options.url)?;
    let mut caller =
        HeaderValue::try_from(options.caller.as_str()).map_err(|error| Error::Usage(format!("--caller: {error}")))?;
    caller.set_sensitive(true);
    let tokens = sealed::read(&options.tokens, 0, options.subjects)?;
    let path = if options.ask == Ask::List { options.path.as_str() } else { "/v3/auth/tokens" };
    let asked = Arc::new(Asked {
        uri: site.uri(path)?,
        ask: options.ask,
        caller: caller.clone(),
        tokens,
        password: options.password.clone(),
        entries: options.entries,
        known_good: OnceLock::new(),
        site,
    });
    let authority = &asked.site.authority;
    let ask = |name, limit| closed_loop::run(name, authority, options.concurrency, limit, Slice(Arc::clone(&asked)));

    let beside = Beside::start(&options.beside, &options.url, &caller).await?;
    if options.warmup > 0.0 {
        ask("warm-up", Limit::within(seconds(options.warmup)?)).await?.0.check()?;
        beside.forget();
    }
    let limit = Limit { requests: options.requests, within: Some(seconds(options.seconds)?) };
    let (phase, _) = ask("slice", limit).await?;
    let beside = beside.finish();
    println!("{}", json!({"phase": phase, "beside": beside}));
    phase.check()?;
    beside.iter().try_for_each(beside::Tally::check)
}

fn seconds(number: f64) -> Result<Duration, Error> {
    Duration::try_from_secs_f64(number).map_err(|error| Error::Usage(format!("{number} seconds: {error}")))
}

struct Asked {
    site: Site,
    uri: Uri,
    ask: Ask,
    caller: HeaderValue,
    tokens: Vec<SealedToken>,
    password: String,
    entries: usize,
    /// The first list that was found right.
    known_good: OnceLock<Bytes>,
}

#[derive(Clone)]
struct Slice(Arc<Asked>);

impl Work for Slice {
    type Kept = ();

    fn request(&self, turn: usize) -> Request<Full<Bytes>> {
        let asked = &*self.0;
        let token = asked.token(turn);
        let ask = |method, body| asked.site.request(method, &asked.uri, body);
        match asked.ask {
            Ask::Validate => {
                let mut request = ask(Method::GET, Bytes::new());
                request.headers_mut().insert(AUTH_TOKEN, asked.caller.clone());
                request.headers_mut().insert(SUBJECT_TOKEN, token.value.clone());
                request
            }
            Ask::Rescope => ask(Method::POST, rescope_body(token)),
            Ask::Login => ask(Method::POST, login_body(token, &asked.password)),
            Ask::List => {
                let mut request = ask(Method::GET, Bytes::new());
                request.headers_mut().insert(AUTH_TOKEN, asked.caller.clone());
                request
            }
        }
    }

    fn judge(&self, turn: usize, reply: &Reply) -> Result<(), Error> {
        let asked = &*self.0;
        match asked.ask {
            Ask::Validate => {
                require_status(StatusCode::OK, "validating a token", reply)?;
                Ok(asked.token(turn).check(&reply.body)?)
            }
            Ask::Rescope => Ok(check_issue(asked.token(turn), "token", reply)?),
            Ask::Login => Ok(check_issue(asked.token(turn), "password", reply)?),
            Ask::List => Ok(asked.check_list(reply)?),
        }
    }
}

impl Asked {
    fn token(&self, turn: usize) -> &SealedToken {
        &self.tokens[turn % self.tokens.len()]
    }

    fn check_list(&self, reply: &Reply) -> Result<(), WrongReply> {
        require_status(StatusCode::OK, "listing", reply)?;
        if self.known_good.get() == Some(&reply.body) {
            return Ok(());
        }
        let wrong = |wrong: String| WrongReply { asked: "listing", wrong };
        let found = count_entries(&reply.body).map_err(|error| wrong(format!("body: {error}")))?;
        if found != self.entries {
            return Err(wrong(format!("{found} entries instead of {}", self.entries)));
        }
        self.known_good.get_or_init(|| reply.body.clone());
        Ok(())
    }
}

/// The length of the one list in a collection's body, whose entries must all have an id.
fn count_entries(body: &[u8]) -> serde_json::Result<usize> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Member {
        Entries(Vec<Entry>),
        Other(IgnoredAny),
    }
    #[derive(Deserialize)]
    struct Entry {
        #[serde(rename = "id")]
        _id: String,
    }
    let members: std::collections::HashMap<String, Member> = serde_json::from_slice(body)?;
    Ok(members
        .into_values()
        .map(|member| match member {
            Member::Entries(entries) => entries.len(),
            Member::Other(_) => 0,
        })
        .sum())
}

pub(crate) fn require_status(status: StatusCode, asked: &'static str, reply: &Reply) -> Result<(), WrongReply> {
    if reply.status == status {
        return Ok(());
    }
    let start = String::from_utf8_lossy(&reply.body[..reply.body.len().min(300)]).into_owned();
    Err(WrongReply { asked, wrong: format!("{} instead of {status}: {start}", reply.status) })
}

/// A request for a token of the user's home project, by id and password.
pub(crate) fn login_body(token: &SealedToken, password: &str) -> Bytes {
    let user = json!({"id": token.user, "password": password});
    issue_body(token, &json!({"methods": ["password"], "password": {"user": user}}))
}

fn rescope_body(token: &SealedToken) -> Bytes {
    let text = String::from_utf8_lossy(token.value.as_bytes());
    issue_body(token, &json!({"methods": ["token"], "token": {"id": text}}))
}

fn issue_body(token: &SealedToken, identity: &serde_json::Value) -> Bytes {
    let scope = json!({"project": {"id": token.project}});
    Bytes::from(json!({"auth": {"identity": identity, "scope": scope}}).to_string())
}

/// Judges an issue: a token for this user and project, by this method.
pub(crate) fn check_issue(of: &SealedToken, method: &str, reply: &Reply) -> Result<(), WrongReply> {
    let asked = "issuing a token";
    require_status(StatusCode::CREATED, asked, reply)?;
    let wrong = |wrong: String| WrongReply { asked, wrong };
    let TokenBody { token } = serde_json::from_slice(&reply.body).map_err(|error| wrong(format!("body: {error}")))?;
    let claims = &token.claims;
    let project = claims.project.as_ref().map(|project| project.id.as_str());
    if claims.user.id != of.user || project != Some(&*of.project) || token.roles.is_empty() {
        return Err(wrong(format!("a token of {claims:?} instead of {} in {}", of.user, of.project)));
    }
    if !token.methods.iter().any(|found| found == method) {
        return Err(wrong(format!("methods {:?} without {method}", token.methods)));
    }
    match reply.headers.get(SUBJECT_TOKEN) {
        Some(value) if !value.is_empty() => Ok(()),
        _ => Err(wrong(format!("no {SUBJECT_TOKEN} header"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_a_list_are_counted_and_must_have_ids() {
        let body = br#"{"users": [{"id": "a", "name": "x"}, {"id": "b"}], "links": {"next": null}}"#;
        assert_eq!(count_entries(body).unwrap(), 2);
        assert_eq!(count_entries(br#"{"users": [{"name": "x"}], "links": {}}"#).unwrap(), 0);
        assert!(count_entries(b"[]").is_err());
    }
}
