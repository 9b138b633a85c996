//! What is asked of an Identity endpoint, and how its replies are judged.

use std::sync::OnceLock;

use bytes::Bytes;
use clap::ValueEnum;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::Full;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

use crate::Error;
use crate::connection::Reply;
use crate::site::Site;

pub(crate) const AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");
pub(crate) const SUBJECT_TOKEN: HeaderName = HeaderName::from_static("x-subject-token");

/// Who logs in where. The environment variables are those of an openrc file.
#[derive(clap::Args, Clone)]
pub(crate) struct Login {
    /// The endpoint, with or without `/v3`; plain HTTP only.
    #[arg(long, env = "OS_AUTH_URL")]
    url: String,
    #[arg(long, env = "OS_USERNAME", default_value = "admin")]
    user: String,
    #[arg(long, env = "OS_PASSWORD", hide_env_values = true)]
    password: String,
    #[arg(long, env = "OS_PROJECT_NAME", default_value = "admin")]
    project: String,
    /// Name of the user's domain.
    #[arg(long, env = "OS_USER_DOMAIN_NAME", default_value = "Default")]
    user_domain: String,
    /// Name of the project's domain.
    #[arg(long, env = "OS_PROJECT_DOMAIN_NAME", default_value = "Default")]
    project_domain: String,
    /// Ask for tokens without the service catalog.
    #[arg(long)]
    nocatalog: bool,
}

/// How tokens are issued.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum IssueBy {
    Password,
    /// From a token that was issued by password before the measurement.
    Token,
}

/// An endpoint with prepared requests.
pub(crate) struct Endpoint {
    pub(crate) site: Site,
    tokens_uri: Uri,
    login: Login,
    by_password: Bytes,
}

/// A reply that a correct server would not have given.
#[derive(Debug, thiserror::Error)]
#[error("{asked}: {wrong}")]
pub(crate) struct WrongReply {
    pub(crate) asked: &'static str,
    pub(crate) wrong: String,
}

/// A token and what its validations must say.
pub(crate) struct IssuedToken {
    pub(crate) value: HeaderValue,
    claims: Claims,
    /// The first validation's body that was found right; those that equal it need no reading.
    known_good: OnceLock<Bytes>,
}

/// The body of an issue or a validation, as far as it is judged.
#[derive(Deserialize)]
pub(crate) struct TokenBody {
    pub(crate) token: TokenFields,
}

#[derive(Deserialize)]
pub(crate) struct TokenFields {
    #[serde(flatten)]
    pub(crate) claims: Claims,
    pub(crate) methods: Vec<String>,
    #[serde(default)]
    pub(crate) roles: Vec<IgnoredAny>,
    pub(crate) catalog: Option<Vec<IgnoredAny>>,
}

#[derive(Deserialize, PartialEq, Debug)]
pub(crate) struct Claims {
    pub(crate) user: Named,
    pub(crate) project: Option<Named>,
    pub(crate) audit_ids: Vec<String>,
    pub(crate) expires_at: String,
}

#[derive(Deserialize, PartialEq, Debug)]
pub(crate) struct Named {
    pub(crate) id: String,
    name: String,
    domain: Domain,
}

#[derive(Deserialize, PartialEq, Debug)]
struct Domain {
    name: String,
}

impl Endpoint {
    pub(crate) fn new(login: Login) -> Result<Self, Error> {
        let site = Site::new(&login.url)?;
        let query = if login.nocatalog { "?nocatalog" } else { "" };
        let tokens_uri = site.uri(&format!("/v3/auth/tokens{query}"))?;
        let identity = json!({"methods": ["password"], "password": {"user": {
            "name": login.user, "domain": {"name": login.user_domain}, "password": login.password,
        }}});
        let by_password = login.request_body(&identity);
        Ok(Self { site, tokens_uri, login, by_password })
    }

    pub(crate) fn issue_by_password(&self) -> Request<Full<Bytes>> {
        self.post(self.by_password.clone())
    }

    pub(crate) fn issue_by_token(&self, parent: &HeaderValue) -> Request<Full<Bytes>> {
        let id = String::from_utf8_lossy(parent.as_bytes());
        self.post(self.login.request_body(&json!({"methods": ["token"], "token": {"id": id}})))
    }

    pub(crate) fn validate(&self, caller: &HeaderValue, subject: &HeaderValue) -> Request<Full<Bytes>> {
        let mut request = self.site.request(Method::GET, &self.tokens_uri, Bytes::new());
        request.headers_mut().insert(AUTH_TOKEN, caller.clone());
        request.headers_mut().insert(SUBJECT_TOKEN, subject.clone());
        request
    }

    /// Judges the reply to an issue and keeps what it promised.
    pub(crate) fn check_issue(&self, by: IssueBy, reply: &Reply) -> Result<IssuedToken, WrongReply> {
        let wrong = |wrong: String| WrongReply { asked: "issuing a token", wrong };
        let fields = self.check_body(StatusCode::CREATED, reply).map_err(wrong)?;
        let asked = match by {
            IssueBy::Password => "password",
            IssueBy::Token => "token",
        };
        if !fields.methods.iter().any(|method| method == asked) {
            return Err(wrong(format!("methods {:?} without {asked}", fields.methods)));
        }
        let value = reply.headers.get(SUBJECT_TOKEN).filter(|value| !value.is_empty());
        let value = value.ok_or_else(|| wrong(format!("no {SUBJECT_TOKEN} header")))?.clone();
        Ok(IssuedToken { value, claims: fields.claims, known_good: OnceLock::new() })
    }

    /// Judges the reply to the validation of `subject`: status, and that it tells of this very token.
    pub(crate) fn check_validation(&self, subject: &IssuedToken, reply: &Reply) -> Result<(), WrongReply> {
        if reply.status == StatusCode::OK && subject.known_good.get() == Some(&reply.body) {
            return Ok(());
        }
        let wrong = |wrong: String| WrongReply { asked: "validating a token", wrong };
        let fields = self.check_body(StatusCode::OK, reply).map_err(wrong)?;
        if fields.claims != subject.claims {
            return Err(wrong(format!("the token was issued as {:?}, not as {:?}", subject.claims, fields.claims)));
        }
        // Another worker may have set it at the same time, to an equally good body.
        subject.known_good.get_or_init(|| reply.body.clone());
        Ok(())
    }

    fn check_body(&self, status: StatusCode, reply: &Reply) -> Result<TokenFields, String> {
        if reply.status != status {
            let start = &reply.body[..reply.body.len().min(300)];
            return Err(format!("{} instead of {status}: {}", reply.status, String::from_utf8_lossy(start)));
        }
        let TokenBody { token } = serde_json::from_slice(&reply.body).map_err(|error| format!("body: {error}"))?;
        let Login { user, user_domain, project, project_domain, nocatalog, .. } = &self.login;
        let claims = &token.claims;
        if !claims.user.is(user, user_domain) {
            return Err(format!("user {:?} instead of {user}", claims.user));
        }
        if !claims.project.as_ref().is_some_and(|claimed| claimed.is(project, project_domain)) {
            return Err(format!("project {:?} instead of {project}", claims.project));
        }
        if token.roles.is_empty() {
            return Err("no roles".to_owned());
        }
        if token.catalog.is_none() != *nocatalog {
            return Err(format!("catalog is {}", if *nocatalog { "there" } else { "missing" }));
        }
        Ok(token)
    }

    fn post(&self, body: Bytes) -> Request<Full<Bytes>> {
        self.site.request(Method::POST, &self.tokens_uri, body)
    }
}

impl Login {
    pub(crate) fn has_catalog(&self) -> bool {
        !self.nocatalog
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    fn request_body(&self, identity: &serde_json::Value) -> Bytes {
        let scope = json!({"project": {"name": self.project, "domain": {"name": self.project_domain}}});
        Bytes::from(json!({"auth": {"identity": identity, "scope": scope}}).to_string())
    }
}

impl Named {
    fn is(&self, name: &str, domain: &str) -> bool {
        self.name == name && self.domain.name == domain
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn endpoint(nocatalog: bool) -> Endpoint {
        Endpoint::new(Login {
            url: "http://127.0.0.1:5000/identity/v3/".to_owned(),
            user: "admin".to_owned(),
            password: "secret".to_owned(),
            project: "admin".to_owned(),
            user_domain: "Default".to_owned(),
            project_domain: "Default".to_owned(),
            nocatalog,
        })
        .unwrap()
    }

    fn token(user: &str, audit_id: &str) -> serde_json::Value {
        let domain = json!({"id": "default", "name": "Default"});
        json!({"token": {
            "user": {"id": "u1", "name": user, "domain": domain},
            "project": {"id": "p1", "name": "admin", "domain": domain},
            "methods": ["password"], "audit_ids": [audit_id], "expires_at": "2030-01-01T00:00:00.000000Z",
            "roles": [{"id": "r1", "name": "admin"}], "catalog": [],
        }})
    }

    fn reply(status: StatusCode, body: &serde_json::Value) -> Reply {
        let headers = HeaderMap::from_iter([(SUBJECT_TOKEN, HeaderValue::from_static("gAAAA"))]);
        Reply { status, headers, body: Bytes::from(body.to_string()) }
    }

    fn issued() -> IssuedToken {
        endpoint(false).check_issue(IssueBy::Password, &reply(StatusCode::CREATED, &token("admin", "a1"))).unwrap()
    }

    #[test]
    fn version_in_url_is_optional() {
        assert_eq!(endpoint(false).tokens_uri, "/identity/v3/auth/tokens");
        assert_eq!(endpoint(true).tokens_uri, "/identity/v3/auth/tokens?nocatalog");
    }

    #[test]
    fn validation_must_tell_of_the_token_that_was_issued() {
        let (endpoint, subject) = (endpoint(false), issued());
        endpoint.check_validation(&subject, &reply(StatusCode::OK, &token("admin", "a1"))).unwrap();
        endpoint.check_validation(&subject, &reply(StatusCode::OK, &token("admin", "a1"))).unwrap();
        for other in [token("admin", "a2"), token("other", "a1")] {
            assert!(endpoint.check_validation(&subject, &reply(StatusCode::OK, &other)).is_err());
        }
    }

    #[test]
    fn right_body_with_a_wrong_status_fails() {
        let (endpoint, subject) = (endpoint(false), issued());
        endpoint.check_validation(&subject, &reply(StatusCode::OK, &token("admin", "a1"))).unwrap();
        let refused = reply(StatusCode::NOT_FOUND, &token("admin", "a1"));
        assert!(endpoint.check_validation(&subject, &refused).is_err());
    }

    #[test]
    fn catalog_must_be_there_unless_declined() {
        let with_catalog = reply(StatusCode::CREATED, &token("admin", "a1"));
        assert!(endpoint(true).check_issue(IssueBy::Password, &with_catalog).is_err());
        let mut body = token("admin", "a1");
        body["token"].as_object_mut().unwrap().remove("catalog");
        let without = reply(StatusCode::CREATED, &body);
        assert!(endpoint(false).check_issue(IssueBy::Password, &without).is_err());
        assert!(endpoint(true).check_issue(IssueBy::Password, &without).is_ok());
    }

    #[test]
    fn issue_by_token_must_name_its_method() {
        let by_password = reply(StatusCode::CREATED, &token("admin", "a1"));
        assert!(endpoint(false).check_issue(IssueBy::Token, &by_password).is_err());
    }
}
