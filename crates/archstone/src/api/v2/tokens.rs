//! `/v2.0/tokens` and `/v2.0/ec2tokens`.

use std::sync::Arc;

use archstone_core::auth::Circumstances;
use archstone_core::authz::{Allowed, Target};
use archstone_core::ec2::SignedBy;
use archstone_core::error::{Error, ErrorKind, Result};
use archstone_core::token::{IssuedToken, ValidatedToken, Validation};
use serde_json::{Map, Value, json};

use super::check_sayable;
use super::wire::access;
use crate::http::{Access, Call, Reply, Routes};

pub(super) fn routes(routes: &mut Routes) {
    routes.path("/v2.0/tokens").post(Access::Public, issue);
    routes
        .path("/v2.0/tokens/{token_id}")
        .get(Access::Rule("identity:validate_token"), validate)
        .head(Access::Rule("identity:check_token"), check)
        .delete(Access::Rule("identity:revoke_token"), revoke);
    routes.path("/v2.0/ec2tokens").post(Access::Rule("identity:ec2tokens_validate"), ec2);
}

async fn issue(call: Call) -> Result<Reply> {
    let auth =
        call.body.get("auth").and_then(Value::as_object).ok_or_else(|| Error::missing("auth", "request body"))?;
    let config = &call.core.config;
    let applies = config.auth.methods.iter().any(|method| method == "external") && object(auth, "token")?.is_none();
    let external = call.external.as_ref().filter(|_| applies);
    let auth = login(auth, external.is_some(), &config.identity.default_domain_id)?;
    let circumstances = Circumstances { initiator: &call.initiator, receipt: None, external };
    let issued = match call.core.auth.authenticate(&auth, &circumstances).await {
        Ok(issued) => issued,
        // Whoever speaks this API cannot go on with a receipt.
        Err(error) if matches!(error.kind, ErrorKind::AdditionalMethods(_) | ErrorKind::AuthMethod(_)) => {
            return Err(Error::unauthorized(error.detail_text()));
        }
        Err(error) => return Err(error),
    };
    let allowed = call.allow(Target::none()).await?;
    issued_reply(&call, &allowed, &issued).await
}

async fn ec2(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let body = call.body.as_object().cloned().unwrap_or_default();
    let issued = call.core.ec2.authenticate(&allowed, &body, SignedBy::Ec2).await?;
    issued_reply(&call, &allowed, &issued).await
}

async fn validate(call: Call) -> Result<Reply> {
    let (allowed, token) = allow_on_token(&call).await?;
    if let Some(tenant) = call.query.get("belongsTo").filter(|tenant| !tenant.is_empty())
        && token.payload.project_id() != Some(tenant)
    {
        return Err(Error::unauthorized("the token is not for the tenant that belongsTo names"));
    }
    Call::ok(&access(&call, &allowed, &token, call.parameter("token_id"), call.as_of().await?).await?)
}

async fn check(call: Call) -> Result<Reply> {
    validate(call).await
}

async fn revoke(call: Call) -> Result<Reply> {
    let (allowed, _) = allow_on_token(&call).await?;
    call.core.token.revoke(&allowed, call.parameter("token_id"), false).await?;
    Ok(Reply::no_content())
}

/// Asks the policy about the token of the path. One that is not valid is 404 to whom the policy lets through even so;
/// one that is not for this API is 401.
async fn allow_on_token(call: &Call) -> Result<(Allowed, Arc<ValidatedToken>)> {
    call.require_authenticated()?;
    let found = call.core.token.validate(call.parameter("token_id"), Validation::default()).await;
    let target = match &found {
        Ok(token) => {
            let domain = &**token.actor_domain_id();
            Target::of("token", json!({"user_id": &**token.actor_id(), "user": {"domain": {"id": domain}}}))
        }
        Err(error) if error.is_not_found() => Target::none(),
        Err(error) => return Err(error.clone()),
    };
    let allowed = call.allow(target).await?;
    let token = found?;
    check_sayable(call, &token)?;
    Ok((allowed, token))
}

async fn issued_reply(call: &Call, allowed: &Allowed, issued: &IssuedToken) -> Result<Reply> {
    check_sayable(call, &issued.token)?;
    Call::ok(&access(call, allowed, &issued.token, &issued.text, issued.as_of).await?)
}

/// The login in the words of v3: a user and a project without a domain are those of the default domain. Whom a proxy
/// has authenticated logs in by that unless it sends a token, whatever else it sends.
fn login(auth: &Map<String, Value>, external: bool, default_domain: &str) -> Result<Map<String, Value>> {
    if auth.get("trust_id").is_some_and(|id| !id.is_null()) {
        return Err(Error::bad_request("The v2.0 API has no trusts: the attribute trust_id is not supported."));
    }
    let domain = json!({"id": default_domain});
    let identity = match (object(auth, "passwordCredentials")?, object(auth, "token")?) {
        (_, None) if external => json!({"methods": ["external"], "external": {}}),
        (Some(credentials), None) => {
            let password = text(credentials, "password")?;
            let password = password.ok_or_else(|| Error::missing("password", "passwordCredentials"))?;
            let user = match (text(credentials, "userId")?, text(credentials, "username")?) {
                (Some(id), None) => json!({"id": id, "password": password}),
                (None, Some(name)) => json!({"name": name, "domain": &domain, "password": password}),
                (None, None) => return Err(Error::missing("username or userId", "passwordCredentials")),
                (Some(_), Some(_)) => return Err(one_of("username", "userId")),
            };
            json!({"methods": ["password"], "password": {"user": user}})
        }
        (None, Some(token)) => {
            let id = text(token, "id")?.ok_or_else(|| Error::missing("id", "token"))?;
            json!({"methods": ["token"], "token": {"id": id}})
        }
        (None, None) => return Err(Error::missing("passwordCredentials or token", "auth")),
        (Some(_), Some(_)) => return Err(one_of("passwordCredentials", "token")),
    };
    let scope = match (text(auth, "tenantId")?, text(auth, "tenantName")?) {
        (Some(id), None) => json!({"project": {"id": id}}),
        (None, Some(name)) => json!({"project": {"name": name, "domain": domain}}),
        // Without a tenant there is no scope, also for a user who has a default project.
        (None, None) => json!({"unscoped": {}}),
        (Some(_), Some(_)) => return Err(one_of("tenantId", "tenantName")),
    };
    Ok(Map::from_iter([("identity".to_owned(), identity), ("scope".to_owned(), scope)]))
}

/// An object; null is none.
fn object<'a>(of: &'a Map<String, Value>, name: &str) -> Result<Option<&'a Map<String, Value>>> {
    match of.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(_) => Err(Error::bad_request(format!("The attribute {name} must be an object."))),
    }
}

/// A text; null and the empty text are none.
fn text<'a>(of: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>> {
    match of.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err(Error::bad_request(format!("The attribute {name} must be a string."))),
    }
}

fn one_of(one: &str, other: &str) -> Error {
    Error::bad_request(format!("The request names both {one} and {other}; it must name one of them."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(auth: &Value) -> Result<Value> {
        login(auth.as_object().unwrap(), false, "default").map(Value::Object)
    }

    #[test]
    fn whom_a_proxy_has_authenticated_needs_no_password() {
        let identity = |auth: &Value| login(auth.as_object().unwrap(), true, "default").unwrap()["identity"].clone();
        let external = json!({"methods": ["external"], "external": {}});
        assert_eq!(identity(&json!({"tenantId": "t"})), external);
        assert_eq!(identity(&json!({"passwordCredentials": {"username": "u", "password": "p"}})), external);
        assert_eq!(identity(&json!({"token": {"id": "t"}}))["methods"], json!(["token"]));
    }

    #[test]
    fn names_are_those_of_the_default_domain() {
        let auth = json!({"passwordCredentials": {"username": "u", "password": "p"}, "tenantName": "t"});
        let user = json!({"name": "u", "domain": {"id": "default"}, "password": "p"});
        let expected = json!({
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": {"name": "t", "domain": {"id": "default"}}},
        });
        assert_eq!(parse(&auth).unwrap(), expected);
    }

    #[test]
    fn without_a_tenant_there_is_no_scope() {
        for tenant in [json!(null), json!("")] {
            let auth = json!({"token": {"id": "t"}, "tenantId": tenant, "tenantName": null});
            assert_eq!(parse(&auth).unwrap()["scope"], json!({"unscoped": {}}));
        }
    }

    #[test]
    fn a_login_that_is_not_one_thing_is_refused() {
        let password = json!({"username": "u", "password": "p"});
        for auth in [
            json!({}),
            json!({"passwordCredentials": {"username": "u"}}),
            json!({"passwordCredentials": {"password": "p"}}),
            json!({"passwordCredentials": {"username": 1, "password": "p"}}),
            json!({"passwordCredentials": {"username": "u", "userId": "i", "password": "p"}}),
            json!({"passwordCredentials": &password, "token": {"id": "t"}}),
            json!({"passwordCredentials": "p"}),
            json!({"token": {}}),
            json!({"token": {"id": "t"}, "tenantId": "i", "tenantName": "n"}),
            json!({"token": {"id": "t"}, "trust_id": "x"}),
        ] {
            assert_eq!(parse(&auth).unwrap_err().kind, ErrorKind::BadRequest, "{auth}");
        }
    }
}
