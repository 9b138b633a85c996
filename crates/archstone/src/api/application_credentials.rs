//! `/v3/users/{user_id}/application_credentials` and `/v3/users/{user_id}/access_rules` (`keystone.api.users`).

use std::collections::BTreeSet;

use archstone_core::application_credential::{
    AccessRule, NewAccessRule, NewApplicationCredential, RoleChoice, WithRoles, generate_secret,
};
use archstone_core::authz::{Allowed, Scope, Target};
use archstone_core::error::{Error, Result};
use archstone_core::id::{ApplicationCredentialId, RoleId, UserId};
use archstone_core::identity::password::Password;
use archstone_core::time::Timestamp;
use serde_json::{Map, Value, json};

use super::body::{take_bool, take_text};
use super::roles;
use crate::http::{Access, Call, Reply, Routes, rel};

pub(super) fn routes(routes: &mut Routes) {
    routes
        .path("/v3/users/{user_id}/application_credentials")
        .rel(rel("application_credentials"))
        .get(Access::Rule("identity:list_application_credentials"), list)
        .query("application_credential.application_credential_index_request_query")
        .post(Access::Rule("identity:create_application_credential"), create)
        .body("application_credential.application_credential_create_request_body");
    routes
        .path("/v3/users/{user_id}/application_credentials/{application_credential_id}")
        .rel(rel("application_credential"))
        .get(Access::Rule("identity:get_application_credential"), show)
        .body("application_credential.application_credential_request_body")
        .delete(Access::Rule("identity:delete_application_credential"), delete);
    routes
        .path("/v3/users/{user_id}/access_rules")
        .rel(rel("access_rules"))
        .get(Access::Rule("identity:list_access_rules"), list_rules)
        .query("application_credential.access_rule_index_request_query");
    routes
        .path("/v3/users/{user_id}/access_rules/{access_rule_id}")
        .rel(rel("access_rule"))
        .get(Access::Rule("identity:get_access_rule"), show_rule)
        .query("application_credential.access_rule_show_request_query")
        .delete(Access::Rule("identity:delete_access_rule"), delete_rule);
}

async fn list(call: Call) -> Result<Reply> {
    const FILTERS: &[&str] = &["name"];
    let allowed = call.allow(Target::none().filters(call.query.filter_attributes(FILTERS))).await?;
    check_delegation(&call)?;
    let query = call.list_query(FILTERS, None)?;
    let user = UserId::from(call.parameter("user_id"));
    let found = call.core.application_credential.list(&allowed, &user, &query).await?;
    Call::ok(&call.page("application_credentials", &query, found, wire))
}

async fn create(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let token = call.require_token()?;
    token.delegation().check_manages_application_credentials()?;
    let user_id = UserId::from(call.parameter("user_id"));
    // Whatever an operator's policy says: what is made here carries the roles of the caller's own token.
    if *token.actor_id() != user_id {
        return Err(Error::forbidden("an application credential can only be made by its user"));
    }
    let project_id = match token.scope() {
        Scope::Project { id, .. } => Some(id),
        Scope::Unscoped => None,
        Scope::Domain(_) | Scope::System => {
            return Err(Error::forbidden("an application credential is for a project, and so must the token be"));
        }
    };
    let token_roles: BTreeSet<RoleId> = token.roles().iter().map(|role| role.id.clone()).collect();
    let mut body = call.body_object("application_credential");
    let secret = match take_text(&mut body, "secret").filter(|secret| !secret.is_empty()) {
        Some(secret) => secret,
        None => generate_secret()?,
    };
    let new = NewApplicationCredential {
        name: take_text(&mut body, "name").unwrap_or_default(),
        description: take_text(&mut body, "description"),
        user_id,
        project_id,
        system: take_text(&mut body, "system"),
        expires_at: take_text(&mut body, "expires_at").filter(|end| !end.is_empty()).as_deref().map(end).transpose()?,
        unrestricted: take_bool(&mut body, "unrestricted")?,
        roles: objects(&mut body, "roles").filter_map(role_choice).collect(),
        token_roles,
        access_rules: objects(&mut body, "access_rules").map(new_rule).collect(),
        secret: Password::new(secret.clone()),
    };
    let created = call.core.application_credential.create(&allowed, new).await?;
    let mut shown = wire(created);
    // The only time that it is shown: it is stored nowhere.
    shown.insert("secret".to_owned(), Value::from(secret));
    Ok(Reply::created(&call.member("application_credentials", "application_credential", shown)))
}

async fn show(call: Call) -> Result<Reply> {
    let (allowed, id) = allow_on_credential(&call).await?;
    check_delegation(&call)?;
    let credential = call.core.application_credential.require(&allowed, &id).await?;
    Call::ok(&call.member("application_credentials", "application_credential", wire(credential)))
}

async fn delete(call: Call) -> Result<Reply> {
    let (allowed, id) = allow_on_credential(&call).await?;
    if let Some(token) = &call.token {
        token.delegation().check_manages_application_credentials()?;
    }
    call.core.application_credential.delete(&allowed, &id).await?;
    Ok(Reply::no_content())
}

/// Asks the policy about the owner as storage has it, not as the path says: else the owner would be whoever the caller
/// says. A credential that is missing has the one of the path, and is 404 later.
async fn allow_on_credential(call: &Call) -> Result<(Allowed, ApplicationCredentialId)> {
    call.require_authenticated()?;
    let id = ApplicationCredentialId::from(call.parameter("application_credential_id"));
    let target = match call.core.application_credential.owner_for_target(&id).await? {
        Some(owner) => Target::of("user_id", Value::from(&*owner)).path("user_id", &owner),
        None => Target::none(),
    };
    Ok((call.allow(target).await?, id))
}

/// Delegated tokens see none of this; the admin token, which is nobody's, does.
fn check_delegation(call: &Call) -> Result<()> {
    call.token.as_ref().map_or(Ok(()), |token| token.delegation().check_application_credentials())
}

async fn list_rules(call: Call) -> Result<Reply> {
    const FILTERS: &[&str] = &["service", "path", "method"];
    let (allowed, user) = allow_on_user(&call, FILTERS).await?;
    let query = call.list_query(FILTERS, None)?;
    let found = call.core.application_credential.list_access_rules(&allowed, &user, &query).await?;
    Call::ok(&call.page("access_rules", &query, found, |rule| wire_rule(&rule)))
}

async fn show_rule(call: Call) -> Result<Reply> {
    let (allowed, user) = allow_on_user(&call, &[]).await?;
    let rule = call.parameter("access_rule_id");
    let rule = call.core.application_credential.require_access_rule(&allowed, &user, rule).await?;
    Call::ok(&call.member("access_rules", "access_rule", wire_rule(&rule)))
}

async fn delete_rule(call: Call) -> Result<Reply> {
    let (allowed, user) = allow_on_user(&call, &[]).await?;
    let rule = call.parameter("access_rule_id");
    call.core.application_credential.delete_access_rule(&allowed, &user, rule).await?;
    Ok(Reply::no_content())
}

/// Asks the policy about the user of the path, who may be missing.
async fn allow_on_user(call: &Call, filters: &[&str]) -> Result<(Allowed, UserId)> {
    call.require_authenticated()?;
    let user = UserId::from(call.parameter("user_id"));
    let target = Target::none().and_found("user", call.core.identity.user_target(&user).await?);
    let allowed = call.allow(target.filters(call.query.filter_attributes(filters))).await?;
    check_delegation(call)?;
    Ok((allowed, user))
}

/// When a credential ends; the reference reads a text without a zone as UTC.
fn end(text: &str) -> Result<Timestamp> {
    Timestamp::parse(text)
        .ok_or_else(|| Error::bad_request("The attribute expires_at must be a time as in 2030-01-01T00:00:00.000000Z."))
}

/// The objects of a list.
pub(super) fn objects(body: &mut Map<String, Value>, name: &str) -> impl Iterator<Item = Map<String, Value>> + use<> {
    let list = match body.remove(name) {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    };
    list.into_iter().filter_map(|entry| match entry {
        Value::Object(object) => Some(object),
        _ => None,
    })
}

/// How a body names a role: by its id, or by its name.
pub(super) fn role_choice(mut role: Map<String, Value>) -> Option<RoleChoice> {
    match take_text(&mut role, "id").filter(|id| !id.is_empty()) {
        Some(id) => Some(RoleChoice::Id(id.into())),
        None => take_text(&mut role, "name").map(RoleChoice::Name),
    }
}

fn new_rule(mut rule: Map<String, Value>) -> NewAccessRule {
    NewAccessRule {
        id: take_text(&mut rule, "id"),
        service: take_text(&mut rule, "service"),
        path: take_text(&mut rule, "path"),
        method: take_text(&mut rule, "method"),
    }
}

fn wire(shown: WithRoles) -> Map<String, Value> {
    let WithRoles { credential, roles } = shown;
    let mut out = Map::new();
    out.insert("id".to_owned(), Value::from(&*credential.id));
    out.insert("name".to_owned(), Value::from(credential.name));
    out.insert("description".to_owned(), Value::from(credential.description));
    out.insert("user_id".to_owned(), Value::from(&*credential.user_id));
    out.insert("project_id".to_owned(), Value::from(credential.project_id.as_deref()));
    out.insert("system".to_owned(), Value::from(credential.system));
    // The one time of the API without a Z.
    let expires_at = credential.expires_at.map(|end| end.iso().trim_end_matches('Z').to_owned());
    out.insert("expires_at".to_owned(), Value::from(expires_at));
    out.insert("unrestricted".to_owned(), Value::from(credential.unrestricted));
    let roles: Vec<Value> = roles.into_iter().map(|role| Value::Object(roles::wire(role))).collect();
    out.insert("roles".to_owned(), Value::from(roles));
    if let Some(rules) = credential.access_rules {
        let rules: Vec<Value> = rules.iter().map(|rule| Value::Object(wire_rule(rule))).collect();
        out.insert("access_rules".to_owned(), Value::from(rules));
    }
    out
}

fn wire_rule(rule: &AccessRule) -> Map<String, Value> {
    let wire = json!({"id": rule.id, "service": rule.service, "path": rule.path, "method": rule.method});
    match wire {
        Value::Object(wire) => wire,
        _ => Map::new(),
    }
}
