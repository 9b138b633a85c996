//! `/v3/endpoints` (`keystone.api.endpoints`).

use archstone_core::authz::Target;
use archstone_core::catalog::{Endpoint, EndpointPatch};
use archstone_core::error::Result;
use archstone_core::id::{EndpointId, RegionId, ServiceId};
use serde_json::{Map, Value};

use super::body::{into_extra, normalize_names, nullable_text, require_same_id, take_bool, take_text};
use crate::http::{Access, Call, Reply, Routes, rel};

pub(super) fn routes(routes: &mut Routes) {
    routes
        .path("/v3/endpoints")
        .rel(rel("endpoints"))
        .get(Access::Rule("identity:list_endpoints"), list)
        .query("catalog.endpoint_index_request_query")
        .post(Access::Rule("identity:create_endpoint"), create)
        .body("catalog.endpoint_create_request_body");
    routes
        .path("/v3/endpoints/{endpoint_id}")
        .rel(rel("endpoint"))
        .get(Access::Rule("identity:get_endpoint"), show)
        .query("catalog.endpoint_request_query")
        .patch(Access::Rule("identity:update_endpoint"), update)
        .body("catalog.endpoint_update_request_body")
        .delete(Access::Rule("identity:delete_endpoint"), delete);
}

async fn list(call: Call) -> Result<Reply> {
    const FILTERS: &[&str] = &["interface", "service_id", "region_id"];
    let allowed = call.allow(Target::none().filters(call.query.filter_attributes(FILTERS))).await?;
    let query = call.list_query(FILTERS, call.core.config.catalog.list_limit)?;
    let found = call.core.catalog.list_endpoints(&allowed, &query).await?;
    Call::ok(&call.page("endpoints", &query, found, wire))
}

async fn show(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let id = EndpointId::from(call.parameter("endpoint_id"));
    let endpoint = call.core.catalog.require_endpoint(&allowed, &id).await?;
    Call::ok(&call.member("endpoints", "endpoint", wire(endpoint)))
}

async fn create(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let mut body = normalize_names(call.body_object("endpoint"));
    body.remove("id");
    body.remove("legacy_endpoint_id");
    let region = take_text(&mut body, "region").map(RegionId::from);
    let endpoint = Endpoint {
        id: EndpointId::new_random(),
        interface: take_text(&mut body, "interface").unwrap_or_default(),
        region_id: take_text(&mut body, "region_id").map(RegionId::from),
        service_id: ServiceId::from(take_text(&mut body, "service_id").unwrap_or_default()),
        url: take_text(&mut body, "url").unwrap_or_default(),
        enabled: take_bool(&mut body, "enabled")?.unwrap_or(true),
        extra: into_extra(body),
    };
    let endpoint = call.core.catalog.create_endpoint(&allowed, endpoint, region).await?;
    Ok(Reply::created(&call.member("endpoints", "endpoint", wire(endpoint))))
}

async fn update(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let id = EndpointId::from(call.parameter("endpoint_id"));
    let mut body = call.body_object("endpoint");
    require_same_id(&mut body, &id)?;
    body.remove("legacy_endpoint_id");
    let patch = EndpointPatch {
        interface: take_text(&mut body, "interface"),
        region_id: nullable_text(&mut body, "region_id").map(|region| region.map(RegionId::from)),
        region: take_text(&mut body, "region").map(RegionId::from),
        service_id: take_text(&mut body, "service_id").map(ServiceId::from),
        url: take_text(&mut body, "url"),
        enabled: take_bool(&mut body, "enabled")?,
        extra: into_extra(body),
    };
    let endpoint = call.core.catalog.update_endpoint(&allowed, &id, &patch).await?;
    Call::ok(&call.member("endpoints", "endpoint", wire(endpoint)))
}

async fn delete(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    call.core.catalog.delete_endpoint(&allowed, &EndpointId::from(call.parameter("endpoint_id"))).await?;
    Ok(Reply::no_content())
}

/// The region shows twice: once by its old name.
pub(super) fn wire(endpoint: Endpoint) -> Map<String, Value> {
    let mut out = endpoint.extra;
    out.insert("id".to_owned(), Value::from(&*endpoint.id));
    out.insert("interface".to_owned(), Value::from(endpoint.interface));
    out.insert("region_id".to_owned(), Value::from(endpoint.region_id.as_deref()));
    out.insert("region".to_owned(), Value::from(endpoint.region_id.as_deref()));
    out.insert("service_id".to_owned(), Value::from(&*endpoint.service_id));
    out.insert("url".to_owned(), Value::from(endpoint.url));
    out.insert("enabled".to_owned(), Value::from(endpoint.enabled));
    out
}
