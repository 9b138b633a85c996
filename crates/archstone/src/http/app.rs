//! The way of a request: limits, CORS, the caller, the route, the schemas, the handler, the answer.
//!
//! The order of the checks is the reference's (`keystone.server.flask.core`): a dead token ends a request before its
//! body is read as JSON, a body that does not fit its schema ends it before the policy is asked.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use archstone_core::Core;
use archstone_core::authz::{Initiator, Origin};
use archstone_core::config::Config;
use archstone_core::error::{Error, ErrorKind, Result};
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, USER_AGENT, VARY};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use matchit::Router;
use serde_json::{Map, Value};
use tokio::sync::OnceCell;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use super::base_url::{base_url, client_address};
use super::body::Body;
use super::call::{Call, without_trailing_slash};
use super::cors::Cors;
use super::error::{self, ErrorContext};
use super::gate::Gate;
use super::guard::{self, Identified};
use super::proxy::{external_user, peer_address, source_address};
use super::query::Query;
use super::reply::Reply;
use super::routes::{Route, Routes};
use super::schema::Schemas;

/// The header that names a request, in both directions.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-openstack-request-id");

/// Seconds after which a client that was refused in an overload may try again.
const OVERLOAD_RETRY_AFTER: u32 = 1;
/// How long a request's body may take to come.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Everything that answers requests; shared by all connections.
pub(crate) struct App {
    core: Arc<Core>,
    router: Router<Vec<Route>>,
    schemas: Arc<Schemas>,
    cors: Cors,
    gate: Gate,
}

/// What is known of the connection that a request came by.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Peer {
    /// The client's address, if there is a network.
    pub(crate) address: Option<std::net::SocketAddr>,
}

impl App {
    /// Builds the router out of the table.
    ///
    /// # Errors
    /// Two paths of the table that cannot be told apart.
    pub(crate) fn new(core: Arc<Core>, routes: &Routes) -> std::result::Result<App, String> {
        let mut router = Router::new();
        for entry in &routes.paths {
            let of_path: Vec<Route> = routes.routes.iter().filter(|route| route.path == entry.path).cloned().collect();
            router.insert(entry.path, of_path).map_err(|error| format!("{}: {error}", entry.path))?;
        }
        let cors = Cors::new(&core.config.cors);
        let gate = Gate::new(core.config.archstone.max_requests);
        Ok(App { core, router, schemas: Arc::new(Schemas::default()), cors, gate })
    }

    /// Answers one request. Never fails: what goes wrong is an answer too.
    pub(crate) async fn respond<B>(&self, request: http::Request<B>, peer: Peer) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let request_id = new_request_id();
        let (mut parts, body) = request.into_parts();
        parts.extensions.insert(peer);
        let parts = Arc::new(parts);
        let Some(_under_way) = self.gate.enter() else {
            let overload = ErrorKind::Unavailable { retry_after: OVERLOAD_RETRY_AFTER };
            let error = Error::new(overload, "The service has too much to do. Please try again.");
            return finish(self.error_body(&error, &parts, false), &parts, &request_id, &self.cors);
        };
        let limit = self.core.config.oslo_middleware.max_request_body_size;
        let reply = match read_body(&parts, body, limit).await {
            Err(error) => {
                let mut reply = self.error_reply(&error, &parts, false);
                // The reference's size limit is outermost: its answer has neither Vary nor a request id.
                reply.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                return finish_bare(reply, &parts, &self.cors);
            }
            Ok(body) => self.answer(&parts, body, &request_id).await,
        };
        finish(reply, &parts, &request_id, &self.cors)
    }

    async fn answer(&self, parts: &Arc<Parts>, body: Bytes, request_id: &str) -> Reply {
        let initiator = initiator(&self.core.config, parts, request_id);
        let identified = match guard::identify(&self.core, parts).await {
            Ok(identified) => identified,
            Err(refusal) => return self.error_reply(&refusal.error, parts, refusal.middleware),
        };
        match self.route(parts, body, identified, initiator).await {
            Ok(reply) => reply,
            Err(error) => self.error_reply(&error, parts, false),
        }
    }

    async fn route(
        &self,
        parts: &Arc<Parts>,
        body: Bytes,
        identified: Identified,
        initiator: Initiator,
    ) -> Result<Reply> {
        let raw_path = parts.uri.path();
        let body = parse_body(parts, &body)?;
        if raw_path.contains("//") {
            let mut merged = String::with_capacity(raw_path.len());
            raw_path.chars().for_each(|c| {
                if c != '/' || !merged.ends_with('/') {
                    merged.push(c);
                }
            });
            let base_url = base_url(&self.core.config, parts);
            let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
            return Ok(Reply::html(StatusCode::PERMANENT_REDIRECT, "Redirecting...", "Redirecting...")
                .header(LOCATION, &format!("{base_url}{merged}{query}")));
        }
        let Ok(found) = self.router.at(without_trailing_slash(raw_path)) else { return Ok(not_found_page()) };
        let Some(parameters) = decode_parameters(&found.params) else { return Ok(not_found_page()) };
        let of_path = found.value;
        let method = &parts.method;
        let route = of_path.iter().find(|route| route.method == *method).or_else(|| {
            // A GET route answers HEAD too; the body is dropped at the end.
            of_path.iter().find(|route| *method == Method::HEAD && route.method == Method::GET)
        });
        let Some(route) = route else { return Ok(other_method(method, of_path)) };

        let query = Query::parse(parts.uri.query());
        if let Some(schema) = route.query_schema {
            self.schemas.check(schema, &Value::Object(query.to_object()))?;
        }
        if let Some(schema) = route.body_schema {
            self.schemas.check(schema, &body)?;
        }
        let Identified { requester, token, moment } = identified;
        let call = Call {
            core: Arc::clone(&self.core),
            schemas: Arc::clone(&self.schemas),
            route: route.clone(),
            parts: Arc::clone(parts),
            parameters,
            query,
            body,
            base_url: OnceLock::new(),
            requester,
            token,
            moment,
            subject: OnceCell::new(),
            initiator,
            external: external_user(&self.core.config, parts),
        };
        (route.handler)(call).await
    }

    fn error_reply(&self, error: &Error, parts: &Parts, middleware: bool) -> Reply {
        error::log(error, &parts.method, parts.uri.path());
        self.error_body(error, parts, middleware)
    }

    fn error_body(&self, error: &Error, parts: &Parts, middleware: bool) -> Reply {
        let base_url = base_url(&self.core.config, parts);
        let insecure_debug = self.core.config.default.insecure_debug;
        error::reply(error, &ErrorContext { base_url: &base_url, insecure_debug, middleware })
    }
}

async fn read_body<B>(parts: &Parts, body: B, limit: usize) -> Result<Bytes>
where
    B: http_body::Body<Data = Bytes> + Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let too_large = || Error::new(ErrorKind::TooLarge, format!("The request is larger than {limit} bytes."));
    let announced = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let reading = Box::pin(tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, limit).collect()));
    let Ok(read) = reading.await else {
        let seconds = BODY_TIMEOUT.as_secs();
        return Err(Error::bad_request(format!("The request's body did not come within {seconds} seconds.")));
    };
    match read {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(error) => Err(Error::bad_request("The request's body could not be read.").because(error.to_string())),
    }
}

/// The body as an object; `{}` where there is none (`keystone.server.flask.request_processing.json_body`).
pub(super) fn parse_body(parts: &Parts, body: &Bytes) -> Result<Value> {
    let empty = || Value::Object(Map::new());
    if body.is_empty() || parts.uri.path().starts_with("/v3/OS-OAUTH2/") {
        return Ok(empty());
    }
    let content_type = parts.headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or("?"));
    let is_json = content_type.is_none_or(|text| {
        let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        essence.is_empty()
            || essence == "application/json"
            || (essence.starts_with("application/") && essence.ends_with("+json"))
    });
    if !is_json {
        return Err(Error::missing("application/json", "Content-Type header"));
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err(Error::bad_request("The request's body must be a JSON object.")),
        Err(error) => Err(Error::bad_request(format!("The request's body is not valid JSON: {error}."))),
    }
}

fn decode_parameters(parameters: &matchit::Params<'_, '_>) -> Option<Vec<(String, String)>> {
    parameters
        .iter()
        .map(|(name, raw)| {
            let decoded = percent_encoding::percent_decode_str(raw).decode_utf8_lossy().into_owned();
            // A slash in an id names no resource, and neither does an empty one.
            (!decoded.is_empty() && !decoded.contains('/')).then(|| (name.to_owned(), decoded))
        })
        .collect()
}

fn new_request_id() -> String {
    let mut text = [0; Hyphenated::LENGTH];
    let uuid: &str = Uuid::new_v4().hyphenated().encode_lower(&mut text);
    ["req-", uuid].concat()
}

pub(super) fn initiator(config: &Config, parts: &Parts, request_id: &str) -> Initiator {
    let header = |name: HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let origin = Origin {
        request_id: Some(request_id.to_owned()),
        global_request_id: header(REQUEST_ID)
            .filter(|id| id.strip_prefix("req-").is_some_and(|uuid| Uuid::try_parse(uuid).is_ok())),
        forwarded_for: client_address(config, parts),
        peer: peer_address(parts),
        source: source_address(config, parts),
        agent: header(USER_AGENT),
    };
    origin.into()
}

fn not_found_page() -> Reply {
    Reply::html(StatusCode::NOT_FOUND, "404 Not Found", "Not Found")
}

fn other_method(method: &Method, of_path: &[Route]) -> Reply {
    let mut allowed: Vec<&str> = vec!["OPTIONS"];
    for route in of_path {
        allowed.push(route.method.as_str());
        if route.method == Method::GET && !of_path.iter().any(|other| other.method == Method::HEAD) {
            allowed.push("HEAD");
        }
    }
    let allowed = allowed.join(", ");
    if *method == Method::OPTIONS {
        return Reply::html(StatusCode::OK, "", "").header(ALLOW, &allowed);
    }
    // The reference's discovery pages are not part of its API framework, whose refusal is JSON.
    let discovery = of_path.iter().any(|route| matches!(route.path, "/" | "/v3"));
    let reply = if discovery {
        Reply::html(StatusCode::METHOD_NOT_ALLOWED, "405 Method Not Allowed", "Method Not Allowed")
    } else {
        let body = serde_json::json!({"message": "The method is not allowed for the requested URL."});
        Reply::json(StatusCode::METHOD_NOT_ALLOWED, &body)
    };
    reply.header(ALLOW, &allowed)
}

/// Adds what every answer has.
fn finish(mut reply: Reply, parts: &Parts, request_id: &str, cors: &Cors) -> Response<Body> {
    if let Ok(value) = HeaderValue::from_str(request_id) {
        reply.headers.insert(REQUEST_ID, value);
    }
    if !parts.uri.path().starts_with("/healthcheck") {
        reply.headers.insert(VARY, HeaderValue::from_static("X-Auth-Token"));
    }
    finish_bare(reply, parts, cors)
}

fn finish_bare(mut reply: Reply, parts: &Parts, cors: &Cors) -> Response<Body> {
    cors.decorate(parts, &mut reply.headers);
    let length = reply.body.length();
    let mut response = Response::new(if parts.method == Method::HEAD { Body::empty() } else { reply.body });
    *response.status_mut() = reply.status;
    *response.headers_mut() = reply.headers;
    if let Some(length) = length {
        set_length(response.headers_mut(), reply.status, length);
    }
    response
}

/// A HEAD answer names the length of the body that a GET would have had.
fn set_length(headers: &mut HeaderMap, status: StatusCode, length: u64) {
    if status != StatusCode::NO_CONTENT {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
}
