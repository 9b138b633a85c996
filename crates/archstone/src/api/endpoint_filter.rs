//! `/v3/OS-EP-FILTER` (`keystone.api.os_ep_filter`): which endpoints are in the catalogs of which projects.

use archstone_core::authz::{Allowed, Target};
use archstone_core::catalog::{EndpointGroup, EndpointGroupPatch};
use archstone_core::error::Result;
use archstone_core::id::{EndpointGroupId, EndpointId, ProjectId};
use archstone_core::list::{Filter, ListQuery};
use serde_json::{Map, Value, json};

use super::body::{nullable_text, require_same_id, take_object, take_text};
use super::{endpoints, projects};
use crate::http::{Access, Call, Collection, Relation, Reply, Routes, extension_rel};

const GROUPS_PATH: &str = "OS-EP-FILTER/endpoint_groups";

pub(super) fn routes(routes: &mut Routes) {
    group_routes(routes);
    routes
        .path("/v3/OS-EP-FILTER/projects/{project_id}/endpoints")
        .rel(filter_rel("project_endpoints"))
        .get(Access::Rule("identity:list_endpoints_for_project"), list_endpoints_of_project);
    routes
        .path("/v3/OS-EP-FILTER/projects/{project_id}/endpoints/{endpoint_id}")
        .rel(filter_rel("project_endpoint"))
        .get(Access::Rule("identity:check_endpoint_in_project"), check_endpoint)
        .put(Access::Rule("identity:add_endpoint_to_project"), add_endpoint)
        .delete(Access::Rule("identity:remove_endpoint_from_project"), remove_endpoint);
    routes
        .path("/v3/OS-EP-FILTER/projects/{project_id}/endpoint_groups")
        .rel(filter_rel("project_endpoint_groups"))
        .get(Access::Rule("identity:list_endpoint_groups_for_project"), list_groups_of_project);
    routes
        .path("/v3/OS-EP-FILTER/endpoints/{endpoint_id}/projects")
        .rel(filter_rel("endpoint_projects"))
        .get(Access::Rule("identity:list_projects_for_endpoint"), list_projects_of_endpoint);
}

fn group_routes(routes: &mut Routes) {
    routes
        .path("/v3/OS-EP-FILTER/endpoint_groups")
        .rel(filter_rel("endpoint_groups"))
        .get(Access::Rule("identity:list_endpoint_groups"), list)
        .query("catalog.endpoint_group_index_request_query")
        .post(Access::Rule("identity:create_endpoint_group"), create)
        .body("catalog.endpoint_group_create_request_body");
    routes
        .path("/v3/OS-EP-FILTER/endpoint_groups/{endpoint_group_id}")
        .rel(filter_rel("endpoint_group"))
        .get(Access::Rule("identity:get_endpoint_group"), show)
        .patch(Access::Rule("identity:update_endpoint_group"), update)
        .body("catalog.endpoint_group_update_request_body")
        .delete(Access::Rule("identity:delete_endpoint_group"), delete);
    routes
        .path("/v3/OS-EP-FILTER/endpoint_groups/{endpoint_group_id}/endpoints")
        .rel(filter_rel("endpoints_in_endpoint_group"))
        .get(Access::Rule("identity:list_endpoints_associated_with_endpoint_group"), list_endpoints_of_group);
    routes
        .path("/v3/OS-EP-FILTER/endpoint_groups/{endpoint_group_id}/projects")
        .rel(filter_rel("projects_associated_with_endpoint_group"))
        .get(Access::Rule("identity:list_projects_associated_with_endpoint_group"), list_projects_of_group);
    routes
        .path("/v3/OS-EP-FILTER/endpoint_groups/{endpoint_group_id}/projects/{project_id}")
        .rel(filter_rel("endpoint_group_to_project_association"))
        .get(Access::Rule("identity:get_endpoint_group_in_project"), show_group_in_project)
        .put(Access::Rule("identity:add_endpoint_group_to_project"), add_group)
        .delete(Access::Rule("identity:remove_endpoint_group_from_project"), remove_group);
}

fn filter_rel(name: &str) -> Relation {
    extension_rel("OS-EP-FILTER", "1.0", name).extension_parameter("OS-EP-FILTER", "1.0", "endpoint_group_id")
}

async fn list(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none().filters(call.query.filter_attributes(&["name"]))).await?;
    // The schema lets nothing else pass, also no limit.
    let filters = call.query.get("name").map(|name| Filter::equals("name", name)).into_iter().collect();
    let query = ListQuery { filters, ..ListQuery::default() };
    let (page, remaining) = call.core.catalog.list_endpoint_groups(&allowed, &query).await?;
    Call::ok(&call.collection(Collection {
        name: "endpoint_groups",
        path: GROUPS_PATH,
        members: page.items.into_iter().map(wire).collect(),
        remaining: &remaining,
        query: &query,
        truncated: page.truncated,
    }))
}

async fn show(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let group = call.core.catalog.require_endpoint_group(&allowed, &group_id(&call)).await?;
    Call::ok(&call.member(GROUPS_PATH, "endpoint_group", wire(group)))
}

async fn create(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let mut body = call.body_object("endpoint_group");
    let group = EndpointGroup {
        id: EndpointGroupId::new_random(),
        name: take_text(&mut body, "name").unwrap_or_default(),
        description: take_text(&mut body, "description"),
        filters: take_object(&mut body, "filters").unwrap_or_default(),
    };
    let group = call.core.catalog.create_endpoint_group(&allowed, group).await?;
    Ok(Reply::created(&call.member(GROUPS_PATH, "endpoint_group", wire(group))))
}

async fn update(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let id = group_id(&call);
    let mut body = call.body_object("endpoint_group");
    require_same_id(&mut body, &id)?;
    let patch = EndpointGroupPatch {
        name: take_text(&mut body, "name"),
        description: nullable_text(&mut body, "description"),
        filters: take_object(&mut body, "filters"),
    };
    let group = call.core.catalog.update_endpoint_group(&allowed, &id, &patch).await?;
    Call::ok(&call.member(GROUPS_PATH, "endpoint_group", wire(group)))
}

async fn delete(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    call.core.catalog.delete_endpoint_group(&allowed, &group_id(&call)).await?;
    Ok(Reply::no_content())
}

async fn list_endpoints_of_group(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let endpoints = call.core.catalog.list_endpoints_of_group(&allowed, &group_id(&call)).await?;
    Call::ok(&call.plain_collection("endpoints", endpoints.into_iter().map(endpoints::wire).collect()))
}

async fn list_projects_of_group(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let listed = call.core.catalog.list_projects_of_endpoint_group(&allowed, &group_id(&call)).await?;
    Call::ok(&call.plain_collection("projects", listed.into_iter().map(|project| projects::wire(&project)).collect()))
}

/// The link is relative: the reference makes it of the path alone.
async fn show_group_in_project(call: Call) -> Result<Reply> {
    let (allowed, group, project) = allow_group_in_project(&call).await?;
    call.core.catalog.check_endpoint_group_in_project(&allowed, &group, &project).await?;
    let link = format!("/{GROUPS_PATH}/{group}/projects/{project}");
    Call::ok(&json!({"project_endpoint_group": {
        "endpoint_group_id": &*group,
        "project_id": &*project,
        "links": {"self": link},
    }}))
}

async fn add_group(call: Call) -> Result<Reply> {
    let (allowed, group, project) = allow_group_in_project(&call).await?;
    call.core.catalog.add_endpoint_group_to_project(&allowed, &group, &project).await?;
    Ok(Reply::no_content())
}

async fn remove_group(call: Call) -> Result<Reply> {
    let (allowed, group, project) = allow_group_in_project(&call).await?;
    call.core.catalog.remove_endpoint_group_from_project(&allowed, &group, &project).await?;
    Ok(Reply::no_content())
}

async fn list_groups_of_project(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let groups = call.core.catalog.list_endpoint_groups_of_project(&allowed, &project_id(&call)).await?;
    Call::ok(&call.collection(Collection {
        name: "endpoint_groups",
        path: GROUPS_PATH,
        members: groups.into_iter().map(wire).collect(),
        remaining: &[],
        query: &ListQuery::default(),
        truncated: false,
    }))
}

async fn list_endpoints_of_project(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let endpoints = call.core.catalog.list_endpoints_of_project(&allowed, &project_id(&call)).await?;
    Call::ok(&call.plain_collection("endpoints", endpoints.into_iter().map(endpoints::wire).collect()))
}

async fn list_projects_of_endpoint(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let listed = call.core.catalog.list_projects_of_endpoint(&allowed, &endpoint_id(&call)).await?;
    Call::ok(&call.plain_collection("projects", listed.into_iter().map(|project| projects::wire(&project)).collect()))
}

async fn check_endpoint(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    call.core.catalog.check_endpoint_in_project(&allowed, &endpoint_id(&call), &project_id(&call)).await?;
    Ok(Reply::no_content())
}

async fn add_endpoint(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    call.core.catalog.add_endpoint_to_project(&allowed, &endpoint_id(&call), &project_id(&call)).await?;
    Ok(Reply::no_content())
}

async fn remove_endpoint(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    call.core.catalog.remove_endpoint_from_project(&allowed, &endpoint_id(&call), &project_id(&call)).await?;
    Ok(Reply::no_content())
}

async fn allow_group_in_project(call: &Call) -> Result<(Allowed, EndpointGroupId, ProjectId)> {
    Ok((call.allow(Target::none()).await?, group_id(call), project_id(call)))
}

fn group_id(call: &Call) -> EndpointGroupId {
    EndpointGroupId::from(call.parameter("endpoint_group_id"))
}

fn endpoint_id(call: &Call) -> EndpointId {
    EndpointId::from(call.parameter("endpoint_id"))
}

fn project_id(call: &Call) -> ProjectId {
    ProjectId::from(call.parameter("project_id"))
}

fn wire(group: EndpointGroup) -> Map<String, Value> {
    Map::from_iter([
        ("id".to_owned(), Value::from(&*group.id)),
        ("name".to_owned(), Value::from(group.name)),
        ("description".to_owned(), Value::from(group.description)),
        ("filters".to_owned(), Value::Object(group.filters)),
    ])
}
