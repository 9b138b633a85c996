//! Grants of roles on projects, domains and the system, and `OS-INHERIT`
//! (`keystone.api.projects`, `keystone.api.domains`, `keystone.api.system`, `keystone.api.os_inherit`).
//!
//! One set of handlers: who and where stands in the path.

use archstone_core::assignment::{Actor, Grant, GrantTarget};
use archstone_core::authz::{Allowed, Target};
use archstone_core::error::{Error, Result};
use archstone_core::id::{DomainId, GroupId, ProjectId, RoleId, UserId};
use serde_json::Value;

use super::roles;
use crate::http::{Access, Call, PathRoutes, Relation, Reply, Routes, extension_rel, rel};

pub(super) fn routes(routes: &mut Routes) {
    for (path, name) in [
        ("/v3/projects/{project_id}/users/{user_id}/roles", "project_user_roles"),
        ("/v3/projects/{project_id}/groups/{group_id}/roles", "project_group_roles"),
        ("/v3/domains/{domain_id}/users/{user_id}/roles", "domain_user_roles"),
        ("/v3/domains/{domain_id}/groups/{group_id}/roles", "domain_group_roles"),
    ] {
        routes.path(path).rel(rel(name)).get(Access::Rule("identity:list_grants"), list);
    }
    for (path, name) in [
        ("/v3/projects/{project_id}/users/{user_id}/roles/{role_id}", "project_user_role"),
        ("/v3/projects/{project_id}/groups/{group_id}/roles/{role_id}", "project_group_role"),
        ("/v3/domains/{domain_id}/users/{user_id}/roles/{role_id}", "domain_user_role"),
        ("/v3/domains/{domain_id}/groups/{group_id}/roles/{role_id}", "domain_group_role"),
    ] {
        single(routes.path(path).rel(rel(name)));
    }
    for (path, name) in [
        (
            "/v3/OS-INHERIT/domains/{domain_id}/users/{user_id}/roles/inherited_to_projects",
            "domain_user_roles_inherited_to_projects",
        ),
        (
            "/v3/OS-INHERIT/domains/{domain_id}/groups/{group_id}/roles/inherited_to_projects",
            "domain_group_roles_inherited_to_projects",
        ),
    ] {
        routes.path(path).rel(inherit_rel(name)).get(Access::Rule("identity:list_grants"), list);
    }
    for (path, name) in [
        (
            "/v3/OS-INHERIT/domains/{domain_id}/users/{user_id}/roles/{role_id}/inherited_to_projects",
            "domain_user_role_inherited_to_projects",
        ),
        (
            "/v3/OS-INHERIT/domains/{domain_id}/groups/{group_id}/roles/{role_id}/inherited_to_projects",
            "domain_group_role_inherited_to_projects",
        ),
        (
            "/v3/OS-INHERIT/projects/{project_id}/users/{user_id}/roles/{role_id}/inherited_to_projects",
            "project_user_role_inherited_to_projects",
        ),
        (
            "/v3/OS-INHERIT/projects/{project_id}/groups/{group_id}/roles/{role_id}/inherited_to_projects",
            "project_group_role_inherited_to_projects",
        ),
    ] {
        single(routes.path(path).rel(inherit_rel(name)));
    }
    system_routes(routes);
}

fn inherit_rel(name: &str) -> Relation {
    extension_rel("OS-INHERIT", "1.0", name)
}

fn single(path: PathRoutes<'_>) {
    path.get(Access::Rule("identity:check_grant"), check)
        .put(Access::Rule("identity:create_grant"), create)
        .delete(Access::Rule("identity:revoke_grant"), revoke);
}

fn system_routes(routes: &mut Routes) {
    routes
        .path("/v3/system/users/{user_id}/roles")
        .rel(rel("system_user_roles"))
        .get(Access::Rule("identity:list_system_grants_for_user"), list);
    routes
        .path("/v3/system/users/{user_id}/roles/{role_id}")
        .rel(rel("system_user_role"))
        .get(Access::Rule("identity:check_system_grant_for_user"), check)
        .put(Access::Rule("identity:create_system_grant_for_user"), create)
        .delete(Access::Rule("identity:revoke_system_grant_for_user"), revoke);
    routes
        .path("/v3/system/groups/{group_id}/roles")
        .rel(rel("system_group_roles"))
        .get(Access::Rule("identity:list_system_grants_for_group"), list);
    routes
        .path("/v3/system/groups/{group_id}/roles/{role_id}")
        .rel(rel("system_group_role"))
        .get(Access::Rule("identity:check_system_grant_for_group"), check)
        .put(Access::Rule("identity:create_system_grant_for_group"), create)
        .delete(Access::Rule("identity:revoke_system_grant_for_group"), revoke);
}

async fn list(call: Call) -> Result<Reply> {
    let allowed = allow(&call, MissingActor::Refused).await?;
    let (actor, target, inherited) = place(&call);
    let roles = call.core.assignment.list_granted_roles(&allowed, &actor, &target, inherited).await?;
    Call::ok(&call.plain_collection("roles", roles.into_iter().map(roles::wire).collect()))
}

async fn check(call: Call) -> Result<Reply> {
    let allowed = allow(&call, MissingActor::Refused).await?;
    call.core.assignment.check_grant(&allowed, &grant(&call)).await?;
    Ok(Reply::no_content())
}

async fn create(call: Call) -> Result<Reply> {
    let allowed = allow(&call, MissingActor::Refused).await?;
    if is_lenient(&call) {
        call.core.assignment.create_grant_to_anybody(&allowed, &grant(&call)).await?;
    } else {
        call.core.assignment.create_grant(&allowed, &grant(&call)).await?;
    }
    Ok(Reply::no_content())
}

async fn revoke(call: Call) -> Result<Reply> {
    let allowed = allow(&call, MissingActor::Fine).await?;
    call.core.assignment.delete_grant(&allowed, &grant(&call)).await?;
    Ok(Reply::no_content())
}

/// Below `OS-INHERIT` what is missing is not looked for first.
fn is_lenient(call: &Call) -> bool {
    call.route.path.starts_with("/v3/OS-INHERIT/")
}

fn grant(call: &Call) -> Grant {
    let (actor, target, inherited) = place(call);
    Grant { role_id: RoleId::from(call.parameter("role_id")), actor, target, inherited }
}

/// Who, where, and whether it is for the projects below.
fn place(call: &Call) -> (Actor, GrantTarget, bool) {
    let named = |name| Some(call.parameter(name)).filter(|id| !id.is_empty());
    let actor = match named("user_id") {
        Some(id) => Actor::User(UserId::from(id)),
        None => Actor::Group(GroupId::from(call.parameter("group_id"))),
    };
    let target = match (named("project_id"), named("domain_id")) {
        (Some(id), _) => GrantTarget::Project(ProjectId::from(id)),
        (None, Some(id)) => GrantTarget::Domain(DomainId::from(id)),
        (None, None) => GrantTarget::System,
    };
    (actor, target, call.route.path.ends_with("/inherited_to_projects"))
}

/// Whether a user or group that is gone may be spoken of: what it was granted must still be revocable.
#[derive(Clone, Copy, PartialEq, Eq)]
enum MissingActor {
    Refused,
    Fine,
}

/// Asks the rule of the route about the role, the actor and the target. Those are looked up first: what is missing is
/// 404 for everyone who is authenticated; but not below `OS-INHERIT`, where the rule is asked without it.
async fn allow(call: &Call, missing_actor: MissingActor) -> Result<Allowed> {
    call.require_authenticated()?;
    let lenient = is_lenient(call);
    let found = |kind: &str, id: &str, thing: Option<Value>| match thing {
        None if !lenient => Err(Error::not_found(kind, id)),
        found => Ok(found),
    };
    let (actor, place, _) = place(call);
    let mut target = Target::none();
    let role_id = call.parameter("role_id");
    if !role_id.is_empty() {
        let role = call.core.assignment.role_for_target(&RoleId::from(role_id)).await?;
        target = target.and_found("role", found("role", role_id, role.map(|role| role.target()))?);
    }
    let (kind, thing) = match &actor {
        Actor::User(id) => ("user", call.core.identity.user_target(id).await?),
        Actor::Group(id) => ("group", call.core.identity.group_target(id).await?),
    };
    let thing = if missing_actor == MissingActor::Fine { thing } else { found(kind, actor.id(), thing)? };
    target = target.and_found(kind, thing);
    target = match &place {
        GrantTarget::Project(id) => {
            target.and_found("project", found("project", id, call.core.resource.project_target(id).await?)?)
        }
        GrantTarget::Domain(id) => {
            target.and_found("domain", found("domain", id, call.core.resource.domain_target(id).await?)?)
        }
        GrantTarget::System => target,
    };
    call.allow(target).await
}
