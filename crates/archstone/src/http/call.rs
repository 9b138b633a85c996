//! One request as a handler sees it.

use std::sync::{Arc, OnceLock};

use archstone_core::Core;
use archstone_core::auth::ExternalUser;
use archstone_core::authz::{Allowed, Initiator, Requester, Target};
use archstone_core::error::{Error, Result};
use archstone_core::freshness::Moment;
use archstone_core::id::DomainId;
use archstone_core::list::ListQuery;
use archstone_core::token::ValidatedToken;
use http::request::Parts;
use http::{HeaderMap, Method};
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;

use super::base_url::base_url;
use super::query::Query;
use super::reply::Reply;
use super::routes::{Access, Route};
use super::schema::Schemas;

/// A request that was read, whose token was looked at and whose body and query fit the route's schemas.
pub(crate) struct Call {
    pub(crate) core: Arc<Core>,
    pub(crate) schemas: Arc<Schemas>,
    pub(crate) route: Route,
    pub(super) parts: Arc<Parts>,
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) query: Query,
    /// `{}` where there was no body.
    pub(crate) body: Value,
    pub(super) base_url: OnceLock<String>,
    pub(crate) requester: Requester,
    /// The caller's own token.
    pub(crate) token: Option<Arc<ValidatedToken>>,
    /// When the database's clock was read for that token.
    pub(super) moment: Option<Moment>,
    /// The token that the request is about, once it was looked at.
    pub(super) subject: OnceCell<Arc<ValidatedToken>>,
    pub(crate) initiator: Initiator,
    /// Whom a trusted proxy has authenticated.
    pub(crate) external: Option<ExternalUser>,
}

impl Call {
    /// A parameter of the path. The router sets all that the path names, so that a wrong name shows in the first test.
    pub(crate) fn parameter(&self, name: &str) -> &str {
        self.parameters.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
    }

    /// `HEAD` is answered by the route of `GET`; a handler that must know looks here.
    pub(crate) fn method(&self) -> &Method {
        &self.parts.method
    }

    /// The path without the query, as it was sent but for a trailing slash.
    pub(crate) fn path(&self) -> &str {
        without_trailing_slash(self.parts.uri.path())
    }

    /// The headers.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// `http://host:5000`, without a version.
    pub(crate) fn base_url(&self) -> &str {
        self.base_url.get_or_init(|| base_url(&self.core.config, &self.parts))
    }

    /// Asks the policy, with the rule that the route names. The path's parameters and the body are added to the
    /// target here.
    pub(crate) async fn allow(&self, target: Target) -> Result<Allowed> {
        match self.route.access {
            Access::Rule(rule) => self.allow_rule(rule, target).await,
            Access::Public => Ok(Allowed::public(self.requester.clone(), self.initiator.clone())),
            Access::OneOf(_) => Err(Error::internal("a route with several rules must name the one that it asks")),
        }
    }

    /// Asks the policy, with one of the rules that the route names.
    pub(crate) async fn allow_rule(&self, rule: &'static str, target: Target) -> Result<Allowed> {
        let named = match self.route.access {
            Access::Rule(named) => named == rule,
            Access::OneOf(rules) => rules.contains(&rule),
            Access::Public => false,
        };
        if !named {
            return Err(Error::internal(format!(
                "{} {} does not name the rule {rule}",
                self.method(),
                self.route.path
            )));
        }
        let mut target = self.with_subject(target).await?;
        for (name, value) in &self.parameters {
            target = target.path(name, value);
        }
        if self.body.as_object().is_some_and(|body| !body.is_empty()) {
            target = target.body(self.body.clone());
        }
        self.core.authorizer.check(rule, &self.requester, &self.initiator, &target).await
    }

    /// 401 for nobody, before anything is looked up for the target: what exists is not told to strangers.
    pub(crate) fn require_authenticated(&self) -> Result<()> {
        match self.requester {
            Requester::Nobody => Err(Error::unauthorized("the request carries no valid token")),
            _ => Ok(()),
        }
    }

    /// The caller's token.
    pub(crate) fn require_token(&self) -> Result<&Arc<ValidatedToken>> {
        self.token.as_ref().ok_or_else(|| Error::unauthorized("the request carries no valid token"))
    }

    /// The object of this name in the body: `{"user": {…}}`. The schema has made sure that it is there.
    pub(crate) fn body_object(&self, name: &str) -> Map<String, Value> {
        self.body.get(name).and_then(Value::as_object).cloned().unwrap_or_default()
    }

    /// The domain that a new user, group or project without one belongs to: the token's, else the default domain.
    pub(crate) fn default_domain(&self) -> Result<DomainId> {
        match &self.requester {
            Requester::AdminToken => Err(Error::bad_request(
                "The admin token belongs to no domain: the request must name the domain of what it creates.",
            )),
            Requester::User(caller) => match &caller.scope {
                archstone_core::authz::Scope::Domain(id) => Ok(id.clone()),
                _ => Ok(DomainId::from(self.core.config.identity.default_domain_id.as_str())),
            },
            _ => Ok(DomainId::from(self.core.config.identity.default_domain_id.as_str())),
        }
    }

    /// The domain that the caller's token is scoped to: what it lists is of that domain only.
    pub(crate) fn scope_domain(&self) -> Option<&DomainId> {
        match &self.requester.caller()?.scope {
            archstone_core::authz::Scope::Domain(id) => Some(id),
            _ => None,
        }
    }

    /// A link below `/v3`.
    pub(crate) fn link(&self, path: &str) -> String {
        format!("{}/v3/{}", self.base_url(), path.trim_matches('/'))
    }

    /// `{"user": {…, "links": {"self": …}}}`
    pub(crate) fn member(&self, collection: &str, name: &str, member: Map<String, Value>) -> Value {
        json!({name: self.with_self_link(collection, member)})
    }

    /// Adds the link to itself.
    pub(crate) fn with_self_link(&self, collection: &str, mut member: Map<String, Value>) -> Value {
        let id = member.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        add_self_link(&mut member, self.link(&format!("{collection}/{id}")));
        Value::Object(member)
    }

    /// What a list asks for: `supported` are the attributes that it can be filtered by, `own_limit` the resource's
    /// `list_limit`.
    pub(crate) fn list_query(&self, supported: &[&str], own_limit: Option<usize>) -> Result<ListQuery> {
        let default = configured_limit(own_limit, self.core.config.default.list_limit);
        self.query
            .list(supported, default, self.core.config.default.max_db_limit as u64)
            .map_err(|text| Error::bad_request(format!("The limit {text} is not a whole number.")))
    }

    /// 200 with a JSON body.
    #[expect(clippy::unnecessary_wraps, reason = "what handlers end with")]
    pub(crate) fn ok(value: &Value) -> Result<Reply> {
        Ok(Reply::ok(value))
    }
}

/// Adds the link to itself, beside others that there may be.
pub(super) fn add_self_link(member: &mut Map<String, Value>, link: String) {
    match member.get_mut("links").and_then(Value::as_object_mut) {
        Some(links) => {
            links.insert("self".to_owned(), Value::from(link));
        }
        None => {
            member.insert("links".to_owned(), json!({"self": link}));
        }
    }
}

/// `/` is a path of its own.
pub(super) fn without_trailing_slash(path: &str) -> &str {
    if path.len() > 1 { path.trim_end_matches('/') } else { path }
}

/// How long a list may get: as the resource's own `list_limit` says, else as the general one does. None and 0 say
/// nothing.
pub(crate) fn configured_limit(own: Option<usize>, general: Option<usize>) -> Option<u64> {
    [own, general].into_iter().flatten().find(|limit| *limit > 0).map(|limit| limit as u64)
}

#[cfg(test)]
mod tests {
    use super::configured_limit;

    #[test]
    fn a_limit_of_zero_is_none() {
        assert_eq!(configured_limit(Some(2), Some(3)), Some(2));
        assert_eq!(configured_limit(None, Some(3)), Some(3));
        assert_eq!(configured_limit(Some(0), Some(3)), Some(3));
        assert_eq!(configured_limit(None, Some(0)), None);
    }
}
