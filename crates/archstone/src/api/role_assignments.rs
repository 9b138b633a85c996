//! `/v3/role_assignments` (`keystone.api.role_assignments`).

use archstone_core::assignment::{Actor, AssignmentQuery, GrantTarget, Named, Names, RoleAssignment};
use archstone_core::authz::{Allowed, Scope, Target};
use archstone_core::error::{Error, Result};
use archstone_core::id::{DomainId, ProjectId};
use serde_json::{Map, Value, json};

use crate::http::{Access, Call, Reply, Routes, rel};

const LIST: &str = "identity:list_role_assignments";
const LIST_TREE: &str = "identity:list_role_assignments_for_tree";

pub(super) fn routes(routes: &mut Routes) {
    routes
        .path("/v3/role_assignments")
        .rel(rel("role_assignments"))
        .get(Access::OneOf(&[LIST, LIST_TREE]), list)
        .query("assignment.role_assignments_index_request_query");
}

async fn list(call: Call) -> Result<Reply> {
    let tree = call.query.flag("include_subtree");
    let (allowed, within) = if tree { (allow_tree(&call).await?, None) } else { allow_list(&call).await? };
    let mut query = query(&call)?;
    query.include_subtree = tree;
    query.within = within;
    let assignments = call.core.assignment.list_role_assignments(&allowed, &query).await?;
    let names = if call.query.flag("include_names") {
        Some(call.core.assignment.assignment_names(&allowed, &assignments).await?)
    } else {
        None
    };
    let entries: Vec<Value> = assignments.iter().map(|assignment| entry(&call, assignment, names.as_ref())).collect();
    Call::ok(&json!({
        "role_assignments": entries,
        "links": {"next": null, "self": call.full_url(), "previous": null},
    }))
}

/// A caller with the token of a domain sees what is within that domain, and the rule is asked about it.
async fn allow_list(call: &Call) -> Result<(Allowed, Option<DomainId>)> {
    const FILTERS: &[&str] = &[
        "group.id",
        "role.id",
        "scope.domain.id",
        "scope.project.id",
        "scope.OS-INHERIT:inherited_to",
        "user.id",
        "scope.system",
    ];
    let domain = match call.requester.caller().map(|caller| &caller.scope) {
        Some(Scope::Domain(id)) => Some(id.clone()),
        _ => None,
    };
    let target = match &domain {
        Some(id) => Target::of("domain_id", Value::from(&**id)),
        None => Target::none(),
    };
    let target = target.filters(call.query.filter_attributes(FILTERS));
    Ok((call.allow_rule(LIST, target).await?, domain))
}

/// The rule for a tree is asked about its project and the domain of that.
async fn allow_tree(call: &Call) -> Result<Allowed> {
    const FILTERS: &[&str] =
        &["group.id", "role.id", "scope.domain.id", "scope.project.id", "scope.OS-INHERIT:inherited_to", "user.id"];
    call.require_authenticated()?;
    let mut target = Target::none();
    let root = filter(call, "scope.project.id").map(ProjectId::from);
    if let Some(id) = &root {
        let project = call.core.resource.project_target(id).await?;
        let project = project.ok_or_else(|| Error::not_found("project", id))?;
        target = target.and("domain_id", project["domain_id"].clone()).and("project", project);
    }
    let target = target.filters(call.query.filter_attributes(FILTERS));
    let allowed = call.allow_rule(LIST_TREE, target).await?;
    if root.is_none() {
        return Err(Error::bad_request("With include_subtree, scope.project.id must say where the tree begins."));
    }
    Ok(allowed)
}

/// The value of a filter; an empty one is none.
fn filter<'a>(call: &'a Call, name: &str) -> Option<&'a str> {
    call.query.get(name).filter(|value| !value.is_empty())
}

fn query(call: &Call) -> Result<AssignmentQuery> {
    let given = |name| filter(call, name).is_some();
    for (one, other) in [
        ("scope.domain.id", "scope.project.id"),
        ("scope.domain.id", "scope.system"),
        ("scope.project.id", "scope.system"),
        ("user.id", "group.id"),
    ] {
        if given(one) && given(other) {
            return Err(Error::bad_request(format!("Give {one} or {other}, not both.")));
        }
    }
    let inherited = call.query.get("scope.OS-INHERIT:inherited_to").map(|to| to == "projects");
    let effective = call.query.flag("effective");
    if effective && given("group.id") {
        return Err(Error::bad_request("The list with effective has no groups: group.id would always leave nothing."));
    }
    if effective && inherited == Some(true) && given("scope.domain.id") {
        return Err(Error::bad_request(
            "A domain inherits nothing: effective with scope.domain.id and scope.OS-INHERIT:inherited_to would always \
             leave nothing.",
        ));
    }
    Ok(AssignmentQuery {
        role: filter(call, "role.id").map(Into::into),
        user: filter(call, "user.id").map(Into::into),
        group: filter(call, "group.id").map(Into::into),
        project: filter(call, "scope.project.id").map(Into::into),
        domain: filter(call, "scope.domain.id").map(Into::into),
        // Any other value is no filter.
        system: call.query.get("scope.system") == Some("all"),
        inherited,
        effective,
        include_subtree: false,
        within: None,
    })
}

fn entry(call: &Call, assignment: &RoleAssignment, names: Option<&Names>) -> Value {
    let role = names.map(|names| (names.roles.get(&assignment.role_id), &names.domains));
    let mut out = json!({
        "scope": scope(assignment, names),
        "role": named(&assignment.role_id, role, OwnerOf::Role),
    });
    let actor = match &assignment.actor {
        Actor::User(id) => {
            ("user", named(id, names.map(|names| (names.users.get(id), &names.domains)), OwnerOf::Actor))
        }
        Actor::Group(id) => {
            ("group", named(id, names.map(|names| (names.groups.get(id), &names.domains)), OwnerOf::Actor))
        }
    };
    out[actor.0] = actor.1;
    out["links"] = links(call, assignment);
    out
}

fn scope(assignment: &RoleAssignment, names: Option<&Names>) -> Value {
    let mut scope = match &assignment.target {
        GrantTarget::Project(id) => {
            let project = names.map(|names| (names.projects.get(id), &names.domains));
            json!({"project": named(id, project, OwnerOf::Actor)})
        }
        GrantTarget::Domain(id) => {
            let mut domain = json!({"id": &**id});
            if let Some(name) = names.and_then(|names| names.domains.get(id)) {
                domain["name"] = Value::from(name.as_str());
            }
            json!({"domain": domain})
        }
        GrantTarget::System => json!({"system": {"all": true}}),
    };
    if assignment.inherited || assignment.source.target.is_some() {
        scope["OS-INHERIT:inherited_to"] = Value::from("projects");
    }
    scope
}

/// How something without a domain is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OwnerOf {
    /// A user, a group or a project: one that is not known any more has empty names.
    Actor,
    /// A role: a global one has no domain.
    Role,
}

type Lookup<'a> = (Option<&'a Named>, &'a std::collections::HashMap<DomainId, String>);

/// An id, and if names are asked for the name and the domain.
fn named(id: &str, lookup: Option<Lookup<'_>>, owner: OwnerOf) -> Value {
    let Some((found, domains)) = lookup else { return json!({"id": id}) };
    let name = found.map_or("", |found| found.name.as_str());
    let domain = found.and_then(|found| found.domain_id.as_ref());
    if domain.is_none() && owner == OwnerOf::Role {
        return json!({"id": id, "name": name});
    }
    let domain_name = domain.and_then(|domain| domains.get(domain)).map_or("", String::as_str);
    json!({"id": id, "name": name, "domain": {"id": domain.map_or("", |domain| domain), "name": domain_name}})
}

/// Links to the grant that an entry follows from, and to what made it follow.
fn links(call: &Call, assignment: &RoleAssignment) -> Value {
    let source = &assignment.source;
    let mut links = Map::new();
    let place = match source.target.as_ref().unwrap_or(&assignment.target) {
        GrantTarget::Project(id) => format!("/projects/{id}"),
        GrantTarget::Domain(id) => format!("/domains/{id}"),
        GrantTarget::System => "/system".to_owned(),
    };
    let actor = match (&source.group, &assignment.actor) {
        (Some(group), actor) => {
            links.insert("membership".to_owned(), call.link(&format!("groups/{group}/users/{}", actor.id())).into());
            format!("/groups/{group}")
        }
        (None, Actor::User(id)) => format!("/users/{id}"),
        (None, Actor::Group(id)) => format!("/groups/{id}"),
    };
    let role = source.prior_role.as_ref().unwrap_or(&assignment.role_id);
    let mut path = format!("{place}{actor}/roles/{role}");
    if assignment.inherited || source.target.is_some() {
        path = format!("/OS-INHERIT{path}/inherited_to_projects");
    }
    links.insert("assignment".to_owned(), call.link(&path).into());
    if let Some(prior) = &source.prior_role {
        // The reference's own link, which leads nowhere and names the two the wrong way round.
        let path = format!("prior_role/{}/implies/{prior}", assignment.role_id);
        links.insert("prior_role".to_owned(), call.link(&path).into());
    }
    Value::Object(links)
}
