//! `/`, `/v3`, JSON home and the health check (`keystone.api.discovery`, `oslo_middleware.healthcheck`).

use archstone_core::error::Result;
use http::header::{ACCEPT, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, StatusCode};
use serde_json::{Map, Value, json};

use crate::http::{Access, Call, Relation, Reply, Routes};

pub(super) fn routes(routes: &mut Routes) {
    routes.path("/").get(Access::Public, versions);
    routes.path("/v3").get(Access::Public, version);
    routes.path("/healthcheck").get(Access::Public, health);
    routes.path("/healthcheck/{*rest}").get(Access::Public, health);
}

/// The one version, as a version list and the version's own page show it.
fn version_3(call: &Call) -> Value {
    json!({
        "id": "v3.14",
        "status": "stable",
        "updated": "2020-04-07T00:00:00Z",
        "links": [{"rel": "self", "href": format!("{}/v3/", call.base_url())}],
        "media-types": [{
            "base": "application/json",
            "type": "application/vnd.openstack.identity-v3+json",
        }],
    })
}

async fn versions(call: Call) -> Result<Reply> {
    if wants_json_home(&call) {
        return Ok(json_home("/v3"));
    }
    let body = json!({"versions": {"values": [version_3(&call)]}});
    let location = format!("{}/v3/", call.base_url());
    Ok(Reply::json(StatusCode::MULTIPLE_CHOICES, &body).header(LOCATION, &location))
}

async fn version(call: Call) -> Result<Reply> {
    if wants_json_home(&call) {
        return Ok(json_home(""));
    }
    Ok(Reply::ok(&json!({"version": version_3(&call)})))
}

/// Ready if the database answers.
async fn health(call: Call) -> Result<Reply> {
    match call.core.db().ping().await {
        Ok(()) if *call.method() == Method::HEAD => Ok(Reply::no_content()),
        Ok(()) => Ok(Reply::ok(&json!({"detailed": false, "reasons": []}))),
        Err(error) => {
            tracing::error!(%error, "health check: the database does not answer");
            Ok(Reply::json(StatusCode::SERVICE_UNAVAILABLE, &json!({"detailed": false, "reasons": ["database"]})))
        }
    }
}

/// Whether `application/json-home` is the type that the client likes best.
fn wants_json_home(call: &Call) -> bool {
    let Some(accept) = call.headers().get(ACCEPT).and_then(|value| value.to_str().ok()) else { return false };
    let quality = |wanted: &str| {
        accept
            .split(',')
            .filter_map(|entry| {
                let mut parts = entry.split(';').map(str::trim);
                let media = parts.next()?;
                let quality =
                    parts.find_map(|part| part.strip_prefix("q=")).map_or(Some(1.0), |q| q.parse::<f32>().ok());
                (media == wanted || (media == "*/*" && wanted == "application/json")).then_some(quality?)
            })
            .fold(0.0_f32, f32::max)
    };
    quality("application/json-home") > quality("application/json")
}

/// The document that names every path by what it is for.
fn json_home(prefix: &str) -> Reply {
    let mut reply = Reply::ok(&json!({"resources": json_home_resources(prefix)}));
    reply.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json-home"));
    reply
}

/// Its members, made of the table of routes.
pub(super) fn json_home_resources(prefix: &str) -> Map<String, Value> {
    let mut resources = Map::new();
    for entry in super::routes().paths {
        let Some(relation) = entry.relation else { continue };
        let href = format!("{prefix}{}", relation.stands_for.unwrap_or(entry.path).trim_start_matches("/v3"));
        resources.insert(relation.rel.clone(), resource(&href, &relation));
    }
    resources
}

fn resource(href: &str, relation: &Relation) -> Value {
    let variables: Map<String, Value> = href
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| (name.to_owned(), Value::from(relation.parameter(name))))
        .collect();
    let mut resource = if variables.is_empty() {
        json!({"href": href})
    } else {
        json!({"href-template": href, "href-vars": variables})
    };
    if relation.is_experimental {
        resource["hints"] = json!({"status": "experimental"});
    }
    resource
}
