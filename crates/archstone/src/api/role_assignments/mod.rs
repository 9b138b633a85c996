//! `/v3/role_assignments` (`keystone.api.role_assignments`).

mod entry;

use archstone_core::assignment::{AssignmentQuery, NamedAssignment, RoleAssignment};
use archstone_core::authz::{Allowed, Scope, Target};
use archstone_core::error::{Error, Result};
use archstone_core::id::{DomainId, ProjectId};
use archstone_core::list::ListQuery;
use serde_json::Value;

use self::entry::Entry;
use crate::http::{Access, Call, LongList, Reply, Routes, rel};

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
    let api = call.link("");
    let api = api.trim_end_matches('/').to_owned();
    let door = &call.core.assignment;
    if call.query.flag("include_names") {
        let found = door.list_named_role_assignments(&allowed, &query).await?;
        let write = move |entry: &NamedAssignment, out: &mut Vec<u8>| {
            Entry { api: &api, assignment: &entry.assignment, names: Some(&entry.names) }.write(out)
        };
        return call.long_list(list_of(write), found).await;
    }
    let found = door.list_role_assignments(&allowed, &query).await?;
    let write =
        move |assignment: &RoleAssignment, out: &mut Vec<u8>| Entry { api: &api, assignment, names: None }.write(out);
    call.long_list(list_of(write), found).await
}

/// The list knows no limit and no pages.
fn list_of<T, W>(write: W) -> LongList<T, W> {
    LongList { name: "role_assignments", query: ListQuery::default(), most: None, id: |_| "", write }
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
