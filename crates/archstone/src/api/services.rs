//! `/v3/services` (`keystone.api.services`).

use archstone_core::authz::Target;
use archstone_core::catalog::{Service, ServicePatch};
use archstone_core::error::{Error, Result};
use archstone_core::id::ServiceId;
use serde_json::{Map, Value};

use super::body::{into_extra, normalize_names, require_same_id, take_bool, take_text};
use crate::http::{Access, Call, Reply, Routes, rel};

pub(super) fn routes(routes: &mut Routes) {
    routes
        .path("/v3/services")
        .rel(rel("services"))
        .get(Access::Rule("identity:list_services"), list)
        .query("catalog.service_index_request_query")
        .post(Access::Rule("identity:create_service"), create)
        .body("catalog.service_create_request_body");
    routes
        .path("/v3/services/{service_id}")
        .rel(rel("service"))
        .get(Access::Rule("identity:get_service"), show)
        .query("catalog.service_index_request_query")
        .patch(Access::Rule("identity:update_service"), update)
        .body("catalog.service_update_request_body")
        .delete(Access::Rule("identity:delete_service"), delete);
}

async fn list(call: Call) -> Result<Reply> {
    const FILTERS: &[&str] = &["type", "name"];
    let allowed = call.allow(Target::none().filters(call.query.filter_attributes(FILTERS))).await?;
    let query = call.list_query(FILTERS, call.core.config.catalog.list_limit)?;
    let found = call.core.catalog.list_services(&allowed, &query).await?;
    Call::ok(&call.page("services", &query, found, wire))
}

async fn show(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let service = call.core.catalog.require_service(&allowed, &ServiceId::from(call.parameter("service_id"))).await?;
    Call::ok(&call.member("services", "service", wire(service)))
}

async fn create(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let mut body = normalize_names(call.body_object("service"));
    body.remove("id");
    // Only without any body, which no schema sees.
    let service_type = Some(take_text(&mut body, "type").ok_or_else(|| Error::missing("type", "service"))?);
    let enabled = take_bool(&mut body, "enabled")?.unwrap_or(true);
    body.entry("name").or_insert_with(|| Value::from(""));
    let service = Service { id: ServiceId::new_random(), service_type, enabled, extra: into_extra(body) };
    let service = call.core.catalog.create_service(&allowed, service).await?;
    Ok(Reply::created(&call.member("services", "service", wire(service))))
}

async fn update(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let id = ServiceId::from(call.parameter("service_id"));
    let mut body = call.body_object("service");
    require_same_id(&mut body, &id)?;
    let patch = ServicePatch {
        service_type: take_text(&mut body, "type"),
        enabled: take_bool(&mut body, "enabled")?,
        extra: into_extra(body),
    };
    let service = call.core.catalog.update_service(&allowed, &id, &patch).await?;
    Call::ok(&call.member("services", "service", wire(service)))
}

async fn delete(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    call.core.catalog.delete_service(&allowed, &ServiceId::from(call.parameter("service_id"))).await?;
    Ok(Reply::no_content())
}

fn wire(service: Service) -> Map<String, Value> {
    let mut out = service.extra;
    out.insert("id".to_owned(), Value::from(&*service.id));
    out.insert("type".to_owned(), Value::from(service.service_type));
    out.insert("enabled".to_owned(), Value::from(service.enabled));
    out
}
