//! `/v2.0/tenants`: the projects that the caller can have a token for.

use archstone_core::authz::Target;
use archstone_core::error::{Error, Result};
use serde_json::{Value, json};

use super::check_sayable;
use super::wire::tenant;
use crate::http::{Access, Call, Reply, Routes};

pub(super) fn routes(routes: &mut Routes) {
    routes.path("/v2.0/tenants").get(Access::Rule("identity:get_auth_projects"), list);
}

async fn list(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let token = call.require_token()?;
    check_sayable(&call, token)?;
    let ids = call.core.assignment.list_project_ids_of_user(&allowed, token.actor_id()).await?;
    let mut projects = call.core.resource.list_projects_by_ids(&allowed, &ids).await?;
    let default = call.core.config.identity.default_domain_id.as_str();
    projects.retain(|project| project.domain_id.as_deref() == Some(default));
    projects.sort_by(|a, b| a.id.cmp(&b.id));
    if let Some(marker) = call.query.get("marker") {
        let at = projects.iter().position(|project| project.id == *marker);
        let at = at.ok_or_else(|| Error::bad_request("The marker names none of the tenants."))?;
        projects.drain(..=at);
    }
    if let Some(limit) = call.query.get("limit") {
        let limit: usize =
            limit.parse().map_err(|_| Error::bad_request(format!("The limit {limit} is not a whole number.")))?;
        projects.truncate(limit);
    }
    let tenants: Vec<Value> = projects.iter().map(tenant).collect();
    Call::ok(&json!({"tenants": tenants, "tenants_links": []}))
}
