//! `/v3/registered_limits` (`keystone.api.registered_limits`).

use archstone_core::authz::Target;
use archstone_core::error::Result;
use archstone_core::id::{RegionId, RegisteredLimitId, ServiceId};
use archstone_core::limit::{RegisteredLimit, RegisteredLimitPatch};
use serde_json::{Map, Value, json};

use super::body::{nullable_text, objects, require_same_id, take_integer, take_text};
use crate::http::{Access, Call, Reply, Routes, rel};

pub(super) fn routes(routes: &mut Routes) {
    routes
        .path("/v3/registered_limits")
        .rel(rel("registered_limits").experimental())
        .get(Access::Rule("identity:list_registered_limits"), list)
        .query("limit.registered_limits_index_request_query")
        .post(Access::Rule("identity:create_registered_limits"), create)
        .body("limit.registered_limits_create_request_body");
    routes
        .path("/v3/registered_limits/{registered_limit_id}")
        .rel(rel("registered_limit").experimental())
        .get(Access::Rule("identity:get_registered_limit"), show)
        .patch(Access::Rule("identity:update_registered_limit"), update)
        .body("limit.registered_limit_update_request_body")
        .delete(Access::Rule("identity:delete_registered_limit"), delete);
}

async fn list(call: Call) -> Result<Reply> {
    const FILTERS: &[&str] = &["service_id", "region_id", "resource_name"];
    let allowed = call.allow(Target::none().filters(call.query.filter_attributes(FILTERS))).await?;
    let query = call.list_query(FILTERS, call.core.config.unified_limit.list_limit)?;
    let found = call.core.limit.list_registered_limits(&allowed, &query).await?;
    Call::ok(&call.page("registered_limits", &query, found, wire))
}

async fn show(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let limit = call.core.limit.require_registered_limit(&allowed, &limit_id(&call)).await?;
    Call::ok(&call.member("registered_limits", "registered_limit", wire(limit)))
}

/// Many at once, answered without the links of a list.
async fn create(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let limits = objects(&call.body, "registered_limits").into_iter().map(new_limit).collect();
    let limits = call.core.limit.create_registered_limits(&allowed, limits).await?;
    let members: Vec<Value> =
        limits.into_iter().map(|limit| call.with_self_link("registered_limits", wire(limit))).collect();
    Ok(Reply::created(&json!({"registered_limits": members})))
}

async fn update(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let id = limit_id(&call);
    let mut body = call.body_object("registered_limit");
    require_same_id(&mut body, &id)?;
    let patch = RegisteredLimitPatch {
        service_id: take_text(&mut body, "service_id").map(ServiceId::from),
        region_id: nullable_text(&mut body, "region_id").map(|region| region.map(RegionId::from)),
        resource_name: take_text(&mut body, "resource_name"),
        default_limit: take_integer(&mut body, "default_limit"),
        description: nullable_text(&mut body, "description"),
    };
    let limit = call.core.limit.update_registered_limit(&allowed, &id, &patch).await?;
    Call::ok(&call.member("registered_limits", "registered_limit", wire(limit)))
}

async fn delete(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    call.core.limit.delete_registered_limit(&allowed, &limit_id(&call)).await?;
    Ok(Reply::no_content())
}

fn limit_id(call: &Call) -> RegisteredLimitId {
    RegisteredLimitId::from(call.parameter("registered_limit_id"))
}

fn new_limit(mut body: Map<String, Value>) -> RegisteredLimit {
    RegisteredLimit {
        id: RegisteredLimitId::new_random(),
        service_id: ServiceId::from(take_text(&mut body, "service_id").unwrap_or_default()),
        region_id: take_text(&mut body, "region_id").map(RegionId::from),
        resource_name: take_text(&mut body, "resource_name").unwrap_or_default(),
        default_limit: take_integer(&mut body, "default_limit").unwrap_or_default(),
        description: take_text(&mut body, "description"),
    }
}

fn wire(limit: RegisteredLimit) -> Map<String, Value> {
    Map::from_iter([
        ("id".to_owned(), Value::from(&*limit.id)),
        ("service_id".to_owned(), Value::from(&*limit.service_id)),
        ("region_id".to_owned(), Value::from(limit.region_id.as_deref())),
        ("resource_name".to_owned(), Value::from(limit.resource_name)),
        ("default_limit".to_owned(), Value::from(limit.default_limit)),
        ("description".to_owned(), Value::from(limit.description)),
    ])
}
