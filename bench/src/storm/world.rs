//! What all tasks share: the nodes, the administrator, what all cells have in common, and the judge.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use serde::Deserialize;
use serde_json::{Value, json};

use super::cell::{Cell, Outcome, Token};
use super::history::History;
use super::tally::{Case, Tally};
use crate::Error;
use crate::connection::{Connection, Reply};
use crate::identity::{AUTH_TOKEN, SUBJECT_TOKEN};

/// How many roles cells are given.
pub(super) const ROLES: usize = 3;
/// With this one comes another, as long as the implication is there.
pub(super) const IMPLYING: usize = 0;

pub(super) struct World {
    pub(super) nodes: Vec<Node>,
    pub(super) admin: HeaderValue,
    /// Begins the names of all that this run makes.
    pub(super) tag: String,
    pub(super) role_ids: Vec<String>,
    pub(super) implied_id: String,
    pub(super) endpoint_id: String,
    /// The number in the endpoint's URL.
    pub(super) endpoint: Shared<u32>,
    /// The number in each role's name.
    pub(super) role_names: Vec<Shared<u32>>,
    pub(super) implication: Shared<bool>,
    pub(super) cells: Vec<RwLock<Arc<Cell>>>,
    pub(super) tally: Tally,
    pub(super) patience: Patience,
    pub(super) over: AtomicBool,
}

/// How long a reply is waited for.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    pub(super) validation: Duration,
    pub(super) write: Duration,
}

/// Something that all validations show.
pub(super) struct Shared<T>(Mutex<History<T>>);

impl<T> Shared<T> {
    pub(super) fn new(value: T) -> Self {
        Self(Mutex::new(History::new(value, "made")))
    }

    pub(super) fn history(&self) -> MutexGuard<'_, History<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One server.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) authority: String,
    host: HeaderValue,
    prefix: String,
}

impl Node {
    pub(super) fn new(url: &str) -> Result<Self, Error> {
        let usage = |why: &str| Error::Usage(format!("--url {url}: {why}"));
        let base: Uri = url.parse().map_err(|_invalid| usage("is no URL"))?;
        if base.scheme_str() != Some("http") {
            return Err(usage("only http:// is spoken"));
        }
        let host = base.host().ok_or_else(|| usage("names no host"))?;
        let authority = format!("{host}:{}", base.port_u16().unwrap_or(80));
        let host = HeaderValue::try_from(authority.as_str()).map_err(|_invalid| usage("names no host"))?;
        let prefix = base.path().trim_end_matches('/').trim_end_matches("/v3").to_owned();
        Ok(Self { authority, host, prefix })
    }

    /// A request to this node; `path` is below `/v3`.
    pub(super) fn request(
        &self,
        method: &Method,
        path: &str,
        headers: &[(HeaderName, &HeaderValue)],
        body: Option<&Value>,
    ) -> Result<Request<Full<Bytes>>, Error> {
        let uri: Uri = format!("{}/v3{path}", self.prefix)
            .parse()
            .map_err(|error| Error::Usage(format!("making the request {method} {path}: {error}")))?;
        let mut request = Request::new(Full::new(body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()))));
        *request.method_mut() = method.clone();
        *request.uri_mut() = uri;
        request.headers_mut().insert(HOST, self.host.clone());
        if body.is_some() {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        for (name, value) in headers {
            request.headers_mut().insert(name, (*value).clone());
        }
        Ok(request)
    }
}

#[derive(Deserialize)]
struct Body {
    token: Claims,
}

#[derive(Deserialize)]
struct Claims {
    user: Named,
    project: Named,
    roles: Vec<Named>,
    catalog: Vec<Service>,
}

#[derive(Deserialize)]
struct Named {
    id: String,
    name: String,
}

#[derive(Deserialize)]
struct Service {
    endpoints: Vec<Shown>,
}

#[derive(Deserialize)]
struct Shown {
    id: String,
    url: String,
}

impl Named {
    /// The number that a name ends with.
    fn number(&self) -> Option<u32> {
        self.name.rsplit_once('-')?.1.parse().ok()
    }
}

impl World {
    pub(super) fn cell(&self, slot: usize) -> Arc<Cell> {
        Arc::clone(&self.cells[slot].read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Validates a token at a node, as the administrator or by itself, and judges what is answered. Whether there was an
    /// answer.
    pub(super) async fn validate(
        &self,
        connection: &mut Connection,
        node: usize,
        cell: &Cell,
        token: &Token,
        by_itself: bool,
    ) -> bool {
        let caller = if by_itself { &token.text } else { &self.admin };
        let headers = [(AUTH_TOKEN, caller), (SUBJECT_TOKEN, &token.text)];
        let request = match self.nodes[node].request(&Method::GET, "/auth/tokens", &headers, None) {
            Ok(request) => request,
            Err(error) => {
                self.tally.error(node, "validate", &error.to_string());
                return false;
            }
        };
        let began = Instant::now();
        let exchange = connection.exchange(|| request.clone());
        let reply = match tokio::time::timeout(self.patience.validation, exchange).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) => {
                self.tally.error(node, "validate", &error.to_string());
                return false;
            }
            Err(_) => {
                self.tally.error(node, "validate", "no reply in time");
                return false;
            }
        };
        let ended = Instant::now();
        if reply.status.is_server_error() || reply.status == StatusCode::TOO_MANY_REQUESTS {
            self.tally.error(node, "validate", &shown(&reply));
            return false;
        }
        if cell.is_lost() {
            return true;
        }
        let wrong = match self.read(cell, &reply, by_itself) {
            Ok((outcome, common)) => {
                let verdict = self.judge(cell, token, &outcome, &common, began, ended);
                if verdict.is_none() {
                    self.tally.right(node, outcome == Outcome::Refused);
                }
                verdict.map(|why| (outcome == Outcome::Refused, why))
            }
            Err(why) => Some((matches!(reply.status.as_u16(), 401 | 403 | 404), why)),
        };
        if let Some((refused, why)) = wrong
            && !cell.is_lost()
        {
            self.tally.wrong(&Case { node, cell, token, by_itself, began, ended, reply: &reply, refused, why });
        }
        true
    }

    fn read(&self, cell: &Cell, reply: &Reply, by_itself: bool) -> Result<(Outcome, Common), String> {
        match reply.status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok((Outcome::Refused, Common::default())),
            StatusCode::UNAUTHORIZED if by_itself => return Ok((Outcome::Refused, Common::default())),
            StatusCode::UNAUTHORIZED => return Err("the administrator was refused".to_owned()),
            status => return Err(format!("the status {status} is none of those that a validation has")),
        }
        let Body { token } = serde_json::from_slice(&reply.body).map_err(|error| format!("body: {error}"))?;
        if token.user.id != cell.user_id || token.project.id != cell.project_id {
            return Err("another user or project".to_owned());
        }
        let (Some(user_name), Some(project_name)) = (token.user.number(), token.project.number()) else {
            return Err("names without a number".to_owned());
        };
        let mut common = Common::default();
        let mut roles = BTreeSet::new();
        for role in &token.roles {
            if role.id == self.implied_id {
                common.implied = true;
                continue;
            }
            let place = self.role_ids.iter().position(|id| *id == role.id);
            let (Some(place), Some(number)) = (place, role.number()) else {
                return Err(format!("the role {}", role.name));
            };
            roles.insert(place);
            common.role_names.push((place, number));
        }
        let endpoint = token.catalog.iter().flat_map(|service| &service.endpoints).find(|it| it.id == self.endpoint_id);
        common.endpoint = endpoint.and_then(|it| it.url.rsplit_once('v')?.1.parse().ok());
        Ok((Outcome::Valid { user_name, project_name, roles }, common))
    }

    /// What is wrong with this outcome, if anything is.
    fn judge(
        &self,
        cell: &Cell,
        token: &Token,
        outcome: &Outcome,
        common: &Common,
        began: Instant,
        ended: Instant,
    ) -> Option<String> {
        let may_be: Vec<Outcome> =
            cell.history().visible(began, ended).map(|facts| facts.outcome(token.serial)).collect();
        if !may_be.contains(outcome) {
            let mut why = format!("{outcome:?} is none of");
            for outcome in may_be {
                write!(why, " {outcome:?}").ok()?;
            }
            return Some(why);
        }
        let Outcome::Valid { roles, .. } = outcome else { return None };
        let endpoint = self.endpoint.history();
        if !endpoint.visible(began, ended).any(|number| common.endpoint == Some(*number)) {
            return Some(format!("the endpoint's URL has {:?}, newest {}", common.endpoint, endpoint.newest()));
        }
        for (place, number) in &common.role_names {
            let names = self.role_names[*place].history();
            if !names.visible(began, ended).any(|visible| number == visible) {
                return Some(format!("role {place} is named {number}, newest {}", names.newest()));
            }
        }
        let implication = self.implication.history();
        let implying = roles.contains(&IMPLYING);
        if !implication.visible(began, ended).any(|there| common.implied == (implying && *there)) {
            return Some(format!("implied role: {}, newest: {}", common.implied, implication.newest()));
        }
        None
    }

    /// What tells a stranger what was going on.
    pub(super) fn settings(&self) -> Value {
        json!({"nodes": self.nodes.iter().map(|node| &node.authority).collect::<Vec<_>>(), "tag": self.tag})
    }
}

/// What a validation says of things that all cells have in common.
#[derive(Default)]
struct Common {
    endpoint: Option<u32>,
    role_names: Vec<(usize, u32)>,
    implied: bool,
}

/// A reply in few words.
pub(super) fn shown(reply: &Reply) -> String {
    let start = &reply.body[..reply.body.len().min(300)];
    format!("{}: {}", reply.status, String::from_utf8_lossy(start))
}
