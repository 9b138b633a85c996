//! `/v3/roles`, what roles imply, and `/v3/role_inferences` (`keystone.api.roles`, `keystone.api.role_inferences`).

use archstone_core::assignment::{Role, RolePatch};
use archstone_core::authz::{Allowed, Target};
use archstone_core::error::{Error, Result};
use archstone_core::id::{DomainId, RoleId};
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::body::{normalize_names, nullable_text, require_same_id, take_text};
use crate::http::{Access, Call, Reply, Routes, rel};

pub(super) fn routes(routes: &mut Routes) {
    routes
        .path("/v3/roles")
        .rel(rel("roles"))
        .get(Access::OneOf(&["identity:list_roles", "identity:list_domain_roles"]), list)
        .query("assignment.roles_index_request_query")
        .post(Access::OneOf(&["identity:create_role", "identity:create_domain_role"]), create)
        .body("assignment.role_create_request_body");
    routes
        .path("/v3/roles/{role_id}")
        .rel(rel("role"))
        .get(Access::OneOf(&["identity:get_role", "identity:get_domain_role"]), show)
        .patch(Access::OneOf(&["identity:update_role", "identity:update_domain_role"]), update)
        .body("assignment.role_update_request_body")
        .delete(Access::OneOf(&["identity:delete_role", "identity:delete_domain_role"]), delete);
    routes
        .path("/v3/roles/{prior_role_id}/implies")
        .rel(rel("implied_roles").named_parameter("prior_role_id", "role_id"))
        .get(Access::Rule("identity:list_implied_roles"), list_implied);
    routes
        .path("/v3/roles/{prior_role_id}/implies/{implied_role_id}")
        .rel(
            rel("implied_role")
                .named_parameter("prior_role_id", "role_id")
                .named_parameter("implied_role_id", "role_id"),
        )
        .get(Access::Rule("identity:get_implied_role"), show_implied)
        .head(Access::OneOf(&["identity:check_implied_role", "identity:get_implied_role"]), check_implied)
        .put(Access::Rule("identity:create_implied_role"), create_implied)
        .delete(Access::Rule("identity:delete_implied_role"), delete_implied);
    routes
        .path("/v3/role_inferences")
        .rel(rel("role_inferences"))
        .get(Access::Rule("identity:list_role_inference_rules"), list_inferences);
}

async fn list(call: Call) -> Result<Reply> {
    const FILTERS: &[&str] = &["name", "domain_id"];
    let of_domain = call.query.get("domain_id").is_some_and(|domain| !domain.is_empty());
    let rule = if of_domain { "identity:list_domain_roles" } else { "identity:list_roles" };
    let allowed = call.allow_rule(rule, Target::none().filters(call.query.filter_attributes(FILTERS))).await?;
    let query = call.list_query(FILTERS, call.core.config.role.list_limit)?;
    let found = call.core.assignment.list_roles(&allowed, &query).await?;
    Call::ok(&call.page("roles", &query, found, wire))
}

async fn create(call: Call) -> Result<Reply> {
    let mut body = call.body_object("role");
    // As with all that is created, what the rule is asked about is what would be.
    let allowed = match body.get("domain_id").and_then(Value::as_str) {
        Some(_) => {
            let target = Target::of("role", Value::Object(body.clone()));
            call.allow_rule("identity:create_domain_role", target).await?
        }
        None => call.allow_rule("identity:create_role", Target::none()).await?,
    };
    body = normalize_names(body);
    // The reference chooses the id, whatever the client says.
    body.remove("id");
    let role = Role {
        id: RoleId::new_random(),
        name: take_text(&mut body, "name").unwrap_or_default(),
        domain_id: take_text(&mut body, "domain_id").map(DomainId::from),
        description: take_text(&mut body, "description"),
        options: take_options(&mut body).unwrap_or_default(),
        extra: body,
    };
    let role = call.core.assignment.create_role(&allowed, role).await?;
    Ok(Reply::created(&call.member("roles", "role", wire(role))))
}

async fn show(call: Call) -> Result<Reply> {
    let (_, role) = allow_on_role(&call, "identity:get_role", "identity:get_domain_role").await?;
    Call::ok(&call.member("roles", "role", wire(role)))
}

async fn update(call: Call) -> Result<Reply> {
    let (allowed, role) = allow_on_role(&call, "identity:update_role", "identity:update_domain_role").await?;
    let mut body = call.body_object("role");
    require_same_id(&mut body, &role.id)?;
    let patch = RolePatch {
        name: take_text(&mut body, "name"),
        description: nullable_text(&mut body, "description"),
        domain_id: nullable_text(&mut body, "domain_id").map(|domain| domain.map(DomainId::from)),
        options: take_options(&mut body),
        extra: body,
    };
    let role = call.core.assignment.update_role(&allowed, &role.id, &patch).await?;
    Call::ok(&call.member("roles", "role", wire(role)))
}

async fn delete(call: Call) -> Result<Reply> {
    let (allowed, role) = allow_on_role(&call, "identity:delete_role", "identity:delete_domain_role").await?;
    call.core.cascade.delete_role(&allowed, &role.id).await?;
    Ok(Reply::no_content())
}

/// Asks one rule for a global role, another for one of a domain. A role that is missing is 404 for everyone who is
/// authenticated, as in the reference.
async fn allow_on_role(call: &Call, global: &'static str, of_domain: &'static str) -> Result<(Allowed, Role)> {
    let role = role_at(call, "role_id").await?;
    let rule = if role.domain_id.is_some() { of_domain } else { global };
    let allowed = call.allow_rule(rule, Target::of("role", role.target())).await?;
    Ok((allowed, role))
}

/// The role that a parameter of the path names, before the policy is asked; 401 for strangers, 404 if there is none.
async fn role_at(call: &Call, parameter: &str) -> Result<Role> {
    call.require_authenticated()?;
    let id = RoleId::from(call.parameter(parameter));
    call.core.assignment.role_for_target(&id).await?.ok_or_else(|| Error::not_found("role", &id))
}

async fn list_implied(call: Call) -> Result<Reply> {
    let prior = role_at(&call, "prior_role_id").await?;
    let allowed = call.allow(Target::of("prior_role", prior.target())).await?;
    let (prior, implied) = call.core.assignment.list_implied_roles(&allowed, &prior.id).await?;
    let implied: Vec<Value> = implied.iter().map(|role| brief(&call, &role.id, &role.name)).collect();
    Call::ok(&inference(&call, &prior, &Value::from(implied), &format!("roles/{}/implies", prior.id)))
}

async fn implication_target(call: &Call) -> Result<(RoleId, RoleId, Target)> {
    let prior = role_at(call, "prior_role_id").await?;
    let implied = role_at(call, "implied_role_id").await?;
    let target = Target::of("prior_role", prior.target()).and("implied_role", implied.target());
    Ok((prior.id, implied.id, target))
}

async fn show_implied(call: Call) -> Result<Reply> {
    let (prior, implied, target) = implication_target(&call).await?;
    let allowed = call.allow(target).await?;
    Call::ok(&implication(&call, &allowed, &prior, &implied).await?)
}

/// A check wants both rules, as in the reference.
async fn check_implied(call: Call) -> Result<Reply> {
    let (prior, implied, target) = implication_target(&call).await?;
    call.allow_rule("identity:check_implied_role", target.clone()).await?;
    let allowed = call.allow_rule("identity:get_implied_role", target).await?;
    call.core.assignment.require_implied_role(&allowed, &prior, &implied).await?;
    Ok(Reply::no_content())
}

async fn create_implied(call: Call) -> Result<Reply> {
    let (prior, implied, target) = implication_target(&call).await?;
    let allowed = call.allow(target).await?;
    call.core.assignment.create_implied_role(&allowed, &prior, &implied).await?;
    Ok(Reply::json(StatusCode::CREATED, &implication(&call, &allowed, &prior, &implied).await?))
}

async fn delete_implied(call: Call) -> Result<Reply> {
    let (prior, implied, target) = implication_target(&call).await?;
    let allowed = call.allow(target).await?;
    call.core.assignment.delete_implied_role(&allowed, &prior, &implied).await?;
    Ok(Reply::no_content())
}

async fn list_inferences(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let inferences = call.core.assignment.list_role_inferences(&allowed).await?;
    let inferences: Vec<Value> = inferences
        .iter()
        .map(|((prior, name), implied)| {
            let implied: Vec<Value> = implied.iter().map(|(id, name)| brief(&call, id, name)).collect();
            json!({"prior_role": brief(&call, prior, name), "implies": implied})
        })
        .collect();
    Call::ok(&json!({"role_inferences": inferences}))
}

async fn implication(call: &Call, allowed: &Allowed, prior: &RoleId, implied: &RoleId) -> Result<Value> {
    let (prior, implied) = call.core.assignment.require_implied_role(allowed, prior, implied).await?;
    let path = format!("roles/{}/implies/{}", prior.id, implied.id);
    Ok(inference(call, &prior, &brief(call, &implied.id, &implied.name), &path))
}

fn inference(call: &Call, prior: &Role, implies: &Value, path: &str) -> Value {
    json!({
        "role_inference": {"prior_role": brief(call, &prior.id, &prior.name), "implies": implies},
        "links": {"self": call.link(path)},
    })
}

/// A role by id, name and link.
fn brief(call: &Call, id: &RoleId, name: &str) -> Value {
    json!({"id": &**id, "name": name, "links": {"self": call.link(&format!("roles/{id}"))}})
}

fn take_options(body: &mut Map<String, Value>) -> Option<Map<String, Value>> {
    match body.remove("options") {
        Some(Value::Object(options)) => Some(options),
        _ => None,
    }
}

/// A role as lists and single answers show it.
pub(super) fn wire(role: Role) -> Map<String, Value> {
    let mut out = role.extra;
    out.insert("id".to_owned(), Value::from(&*role.id));
    out.insert("name".to_owned(), Value::from(role.name));
    out.insert("domain_id".to_owned(), Value::from(role.domain_id.as_deref()));
    out.insert("description".to_owned(), Value::from(role.description));
    out.insert("options".to_owned(), Value::Object(role.options));
    out
}
