//! `/v3/limits` (`keystone.api.limits`).

use archstone_core::authz::Target;
use archstone_core::config::EnforcementModel;
use archstone_core::error::{Error, Result};
use archstone_core::id::{DomainId, LimitId, ProjectId, RegionId, ServiceId};
use archstone_core::limit::{Limit, LimitPatch, NewLimit, Owner};
use serde_json::{Map, Value, json};

use super::body::{nullable_text, objects, require_same_id, take_integer, take_text};
use crate::http::{Access, Call, Reply, Routes, rel};

pub(super) fn routes(routes: &mut Routes) {
    routes
        .path("/v3/limits")
        .rel(rel("limits").experimental())
        .get(Access::Rule("identity:list_limits"), list)
        .query("limit.limits_index_request_query")
        .post(Access::Rule("identity:create_limits"), create)
        .body("limit.limits_create_request_body");
    routes
        .path("/v3/limits/{limit_id}")
        .rel(rel("limit").experimental())
        .get(Access::Rule("identity:get_limit"), show)
        .patch(Access::Rule("identity:update_limit"), update)
        .body("limit.limit_update_request_body")
        .delete(Access::Rule("identity:delete_limit"), delete);
    routes
        .path("/v3/limits/model")
        .rel(rel("limit_model").experimental())
        .get(Access::Rule("identity:get_limit_model"), show_model);
}

/// The policy lets everybody in; who is asked decides what is on the list.
async fn list(call: Call) -> Result<Reply> {
    const FILTERS: &[&str] = &["service_id", "region_id", "resource_name", "project_id", "domain_id"];
    let allowed = call.allow(Target::none().filters(call.query.filter_attributes(FILTERS))).await?;
    let query = call.list_query(FILTERS, call.core.config.unified_limit.list_limit)?;
    let found = call.core.limit.list_limits(&allowed, &query).await?;
    Call::ok(&call.page("limits", &query, found, wire))
}

async fn show(call: Call) -> Result<Reply> {
    call.require_authenticated()?;
    let id = limit_id(&call);
    let target = call.core.limit.limit_target(&id).await?;
    let allowed = call.allow(Target::none().and_found("limit", target)).await?;
    let limit = call.core.limit.require_limit(&allowed, &id).await?;
    Call::ok(&call.member("limits", "limit", wire(limit)))
}

/// Many at once, answered without the links of a list.
async fn create(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let limits = objects(&call.body, "limits").into_iter().map(new_limit).collect::<Result<Vec<NewLimit>>>()?;
    let limits = call.core.limit.create_limits(&allowed, &limits).await?;
    let members: Vec<Value> = limits.into_iter().map(|limit| call.with_self_link("limits", wire(limit))).collect();
    Ok(Reply::created(&json!({"limits": members})))
}

async fn update(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let id = limit_id(&call);
    let mut body = call.body_object("limit");
    require_same_id(&mut body, &id)?;
    let patch = LimitPatch {
        resource_limit: take_integer(&mut body, "resource_limit"),
        description: nullable_text(&mut body, "description"),
    };
    let limit = call.core.limit.update_limit(&allowed, &id, &patch).await?;
    Call::ok(&call.member("limits", "limit", wire(limit)))
}

async fn delete(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    call.core.limit.delete_limit(&allowed, &limit_id(&call)).await?;
    Ok(Reply::no_content())
}

async fn show_model(call: Call) -> Result<Reply> {
    call.allow(Target::none()).await?;
    let model = call.core.limit.model();
    let description = match model {
        EnforcementModel::Flat => "Each limit stands by itself: the tree of projects does not count.",
        EnforcementModel::StrictTwoLevel => "No project has more than its domain, and there are no projects below it.",
    };
    Call::ok(&json!({"model": {"name": model.as_str(), "description": description}}))
}

fn limit_id(call: &Call) -> LimitId {
    LimitId::from(call.parameter("limit_id"))
}

fn new_limit(mut body: Map<String, Value>) -> Result<NewLimit> {
    let project_id = take_text(&mut body, "project_id").map(ProjectId::from);
    let domain_id = take_text(&mut body, "domain_id").map(DomainId::from);
    let owner = project_id.map(Owner::Project).or(domain_id.map(Owner::Domain));
    Ok(NewLimit {
        id: LimitId::new_random(),
        // The schema lets null pass, on which Python fails or makes a limit of nobody.
        owner: owner
            .ok_or_else(|| Error::bad_request("A limit needs a project_id or a domain_id that is not null."))?,
        service_id: ServiceId::from(take_text(&mut body, "service_id").unwrap_or_default()),
        region_id: take_text(&mut body, "region_id").map(RegionId::from),
        resource_name: take_text(&mut body, "resource_name").unwrap_or_default(),
        resource_limit: take_integer(&mut body, "resource_limit").unwrap_or_default(),
        description: take_text(&mut body, "description"),
    })
}

pub(super) fn wire(limit: Limit) -> Map<String, Value> {
    Map::from_iter([
        ("id".to_owned(), Value::from(&*limit.id)),
        ("project_id".to_owned(), Value::from(limit.project_id.as_deref())),
        ("domain_id".to_owned(), Value::from(limit.domain_id.as_deref())),
        ("service_id".to_owned(), Value::from(limit.service_id.as_deref())),
        ("region_id".to_owned(), Value::from(limit.region_id.as_deref())),
        ("resource_name".to_owned(), Value::from(limit.resource_name)),
        ("resource_limit".to_owned(), Value::from(limit.resource_limit)),
        ("description".to_owned(), Value::from(limit.description)),
    ])
}
