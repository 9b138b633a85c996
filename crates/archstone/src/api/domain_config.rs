//! `/v3/domains/{domain_id}/config` and `/v3/domains/config` (`keystone.api.domains`, the classes of the configuration).

use archstone_core::authz::Target;
use archstone_core::domain_config::{Groups, Part, SECURITY_COMPLIANCE};
use archstone_core::error::Result;
use archstone_core::id::DomainId;
use serde_json::{Value, json};

use crate::http::{Access, Call, Relation, Reply, Routes, rel};

const GET: &str = "identity:get_domain_config";
const GET_PASSWORD_RULES: &str = "identity:get_security_compliance_domain_config";
const GET_DEFAULT: Access = Access::Rule("identity:get_domain_config_default");
const CREATE: Access = Access::Rule("identity:create_domain_config");
const UPDATE: Access = Access::Rule("identity:update_domain_config");
const DELETE: Access = Access::Rule("identity:delete_domain_config");

pub(super) fn routes(routes: &mut Routes) {
    routes.path("/v3/domains/config/default").rel(rel("domain_config_default")).get(GET_DEFAULT, show_defaults);
    routes
        .path("/v3/domains/config/{group}/default")
        .rel(part_rel("domain_config_default_group"))
        .get(GET_DEFAULT, show_defaults);
    routes
        .path("/v3/domains/config/{group}/{option}/default")
        .rel(part_rel("domain_config_default_option"))
        .get(GET_DEFAULT, show_defaults);
    routes
        .path("/v3/domains/{domain_id}/config")
        .rel(rel("domain_config"))
        .get(Access::Rule(GET), show)
        .put(CREATE, create)
        .patch(UPDATE, update)
        .delete(DELETE, delete);
    for (path, name) in [
        ("/v3/domains/{domain_id}/config/{group}", "domain_config_group"),
        ("/v3/domains/{domain_id}/config/{group}/{option}", "domain_config_option"),
    ] {
        routes
            .path(path)
            .rel(part_rel(name))
            .get(Access::OneOf(&[GET, GET_PASSWORD_RULES]), show)
            .patch(UPDATE, update)
            .delete(DELETE, delete);
    }
}

fn part_rel(name: &str) -> Relation {
    rel(name).named_parameter("group", "config_group").named_parameter("option", "config_option")
}

async fn show_defaults(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let part = part(&call);
    Call::ok(&wire(call.core.domain_config.get_defaults(&allowed, &part)?, &part))
}

/// The policy is asked before the domain is looked up: whether there is one is not told to those who may not ask.
async fn show(call: Call) -> Result<Reply> {
    let (id, part) = (domain_id(&call), part(&call));
    let config = if call.parameter("group") == SECURITY_COMPLIANCE {
        let allowed = call.allow_rule(GET_PASSWORD_RULES, Target::none()).await?;
        let option = Some(call.parameter("option")).filter(|option| !option.is_empty());
        call.core.domain_config.get_password_rules(&allowed, &id, option)?
    } else {
        let allowed = call.allow_rule(GET, Target::none()).await?;
        call.core.domain_config.get_config(&allowed, &id, &part).await?
    };
    Call::ok(&wire(config, &part))
}

async fn create(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let created = call.core.domain_config.create_config(&allowed, &domain_id(&call), config(&call)).await?;
    let body = wire(created.config, &Part::Whole);
    Ok(if created.replaced { Reply::ok(&body) } else { Reply::created(&body) })
}

async fn update(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let (id, part) = (domain_id(&call), part(&call));
    let config = call.core.domain_config.update_config(&allowed, &id, &part, config(&call)).await?;
    Call::ok(&wire(config, &Part::Whole))
}

async fn delete(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    call.core.domain_config.delete_config(&allowed, &domain_id(&call), &part(&call)).await?;
    Ok(Reply::no_content())
}

fn domain_id(call: &Call) -> DomainId {
    DomainId::from(call.parameter("domain_id"))
}

/// The part that the path names; a path without a parameter of a name has an empty one.
fn part(call: &Call) -> Part {
    match (call.parameter("group"), call.parameter("option")) {
        ("", _) => Part::Whole,
        (group, "") => Part::Group(group.to_owned()),
        (group, option) => Part::Option { group: group.to_owned(), option: option.to_owned() },
    }
}

fn config(call: &Call) -> &Value {
    call.body.get("config").unwrap_or(&Value::Null)
}

/// One option alone is shown without its group.
fn wire(config: Groups, part: &Part) -> Value {
    match part {
        Part::Option { .. } => json!({"config": config.into_values().flatten().collect::<serde_json::Map<_, _>>()}),
        _ => json!({"config": config}),
    }
}
