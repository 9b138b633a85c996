//! Tokens, users, projects and catalogs in the words of v2.0.

use archstone_core::authz::{Allowed, Scope};
use archstone_core::catalog::CatalogService;
use archstone_core::error::Result;
use archstone_core::freshness::Moment;
use archstone_core::resource::Project;
use archstone_core::token::ValidatedToken;
use serde_json::{Map, Value, json};

use crate::http::Call;

/// What a token says at this moment, with its text.
pub(super) async fn access(
    call: &Call,
    allowed: &Allowed,
    token: &ValidatedToken,
    text: &str,
    moment: Moment,
) -> Result<Value> {
    let body = token.body();
    let mut about = json!({
        "id": text,
        "expires": body.get("expires_at"),
        "issued_at": body.get("issued_at"),
        "audit_ids": body.get("audit_ids"),
    });
    if let Scope::Project { id, .. } = token.scope() {
        about["tenant"] = tenant(&call.core.resource.require_project(allowed, &id).await?);
    }
    let services = call.core.token.catalog_services(moment, token).await?;
    let roles: Vec<Value> = token.roles().iter().map(|role| json!({"name": role.name})).collect();
    let role_ids: Vec<&str> = token.roles().iter().map(|role| &*role.id).collect();
    Ok(json!({"access": {
        "token": about,
        "user": {
            "id": &**token.actor_id(),
            "name": token.actor_name(),
            "username": token.actor_name(),
            "roles": roles,
            "roles_links": [],
        },
        "serviceCatalog": catalog(&services),
        "metadata": {"is_admin": 0, "roles": role_ids},
    }}))
}

/// A project.
pub(super) fn tenant(project: &Project) -> Value {
    json!({
        "id": &*project.id,
        "name": project.name,
        "description": project.description,
        "enabled": project.enabled,
    })
}

/// The endpoints of a service in one region are one entry, with a URL for each interface.
fn catalog(services: &[CatalogService]) -> Vec<Value> {
    let services = services.iter().map(|service| {
        let mut regions: Vec<(Option<&str>, Map<String, Value>)> = Vec::new();
        for endpoint in &service.endpoints {
            let region = endpoint.region_id.as_deref();
            let at = regions.iter().position(|(known, _)| *known == region).unwrap_or_else(|| {
                let entry = Map::from_iter([
                    ("id".to_owned(), Value::from(&*endpoint.id)),
                    ("region".to_owned(), Value::from(region)),
                ]);
                regions.push((region, entry));
                regions.len() - 1
            });
            regions[at].1.insert(format!("{}URL", endpoint.interface), Value::from(endpoint.url.as_str()));
        }
        let endpoints: Vec<Value> = regions.into_iter().map(|(_, entry)| Value::Object(entry)).collect();
        json!({
            "type": service.service_type,
            "name": service.name,
            "endpoints": endpoints,
            "endpoints_links": [],
        })
    });
    services.collect()
}
