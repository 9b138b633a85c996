//! `/v3/regions` (`keystone.api.regions`).

use archstone_core::authz::Target;
use archstone_core::catalog::{Region, RegionPatch};
use archstone_core::error::{Error, Result};
use archstone_core::id::{RegionId, new_hex_id};
use serde_json::{Map, Value, json};

use super::body::{into_extra, normalize_names, nullable_text, require_same_id, take_text};
use crate::http::{Access, Call, Reply, Routes, rel};

pub(super) fn routes(routes: &mut Routes) {
    routes
        .path("/v3/regions")
        .rel(rel("regions"))
        .get(Access::Rule("identity:list_regions"), list)
        .query("catalog.regions_index_request_query")
        .post(Access::Rule("identity:create_region"), create)
        .body("catalog.region_create_request_body");
    routes
        .path("/v3/regions/{region_id}")
        .rel(rel("region"))
        .get(Access::Rule("identity:get_region"), show)
        .put(Access::Rule("identity:create_region"), create_with_id)
        .body("catalog.region_create_request_body")
        .patch(Access::Rule("identity:update_region"), update)
        .body("catalog.region_update_request_body")
        .delete(Access::Rule("identity:delete_region"), delete);
}

async fn list(call: Call) -> Result<Reply> {
    const FILTERS: &[&str] = &["parent_region_id"];
    let allowed = call.allow(Target::none().filters(call.query.filter_attributes(FILTERS))).await?;
    let query = call.list_query(FILTERS, call.core.config.catalog.list_limit)?;
    let found = call.core.catalog.list_regions(&allowed, &query).await?;
    Call::ok(&call.page("regions", &query, found, wire))
}

async fn show(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let region = call.core.catalog.require_region(&allowed, &RegionId::from(call.parameter("region_id"))).await?;
    Call::ok(&call.member("regions", "region", wire(region)))
}

async fn create(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let mut body = normalize_names(call.body_object("region"));
    let id = take_text(&mut body, "id").filter(|id| !id.is_empty()).unwrap_or_else(new_hex_id);
    let region = call.core.catalog.create_region(&allowed, new_region(id, body)).await?;
    Ok(Reply::created(&call.member("regions", "region", wire(region))))
}

async fn create_with_id(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let mut body = normalize_names(call.body_object("region"));
    let id = call.parameter("region_id").to_owned();
    if let Some(other) = body.remove("id")
        && other != json!(id)
    {
        return Err(Error::bad_request(format!("Conflicting region ids: \"{id}\" in the URL, {other} in the body.")));
    }
    let region = call.core.catalog.create_region(&allowed, new_region(id, body)).await?;
    Ok(Reply::created(&call.member("regions", "region", wire(region))))
}

async fn update(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let id = RegionId::from(call.parameter("region_id"));
    let mut body = call.body_object("region");
    require_same_id(&mut body, &id)?;
    let patch = RegionPatch {
        description: nullable_text(&mut body, "description").map(Option::unwrap_or_default),
        parent_region_id: nullable_text(&mut body, "parent_region_id").map(|parent| parent.map(RegionId::from)),
        extra: into_extra(body),
    };
    let region = call.core.catalog.update_region(&allowed, &id, &patch).await?;
    Call::ok(&call.member("regions", "region", wire(region)))
}

async fn delete(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    call.core.catalog.delete_region(&allowed, &RegionId::from(call.parameter("region_id"))).await?;
    Ok(Reply::no_content())
}

fn new_region(id: String, mut body: Map<String, Value>) -> Region {
    Region {
        id: id.into(),
        description: take_text(&mut body, "description").unwrap_or_default(),
        parent_region_id: take_text(&mut body, "parent_region_id").map(RegionId::from),
        extra: into_extra(body),
    }
}

fn wire(region: Region) -> Map<String, Value> {
    let mut out = region.extra;
    out.insert("id".to_owned(), Value::from(&*region.id));
    out.insert("description".to_owned(), Value::from(region.description));
    out.insert("parent_region_id".to_owned(), Value::from(region.parent_region_id.as_deref()));
    out
}
