//! `/v3/groups` and who is in them (`keystone.api.groups`).

use archstone_core::authz::Target;
use archstone_core::error::{Error, Result};
use archstone_core::id::{DomainId, GroupId, UserId};
use archstone_core::identity::{Group, GroupPatch};
use serde::ser::SerializeMap;
use serde_json::{Map, Value, json};

use super::body::{into_extra, normalize_names, nullable_text, require_same_id, take_text};
use super::users;
use crate::http::{Access, Call, LongList, Reply, Routes, Wire, object, rel};

pub(super) fn routes(routes: &mut Routes) {
    routes
        .path("/v3/groups")
        .rel(rel("groups"))
        .get(Access::Rule("identity:list_groups"), list)
        .query("identity.group_index_request_query")
        .post(Access::Rule("identity:create_group"), create)
        .body("identity.group_create_request_body");
    routes
        .path("/v3/groups/{group_id}")
        .rel(rel("group"))
        .get(Access::Rule("identity:get_group"), show)
        .patch(Access::Rule("identity:update_group"), update)
        .body("identity.group_update_request_body")
        .delete(Access::Rule("identity:delete_group"), delete);
    routes
        .path("/v3/groups/{group_id}/users")
        .rel(rel("group_users"))
        .get(Access::Rule("identity:list_users_in_group"), list_users);
    routes
        .path("/v3/groups/{group_id}/users/{user_id}")
        .rel(rel("group_user"))
        .get(Access::Rule("identity:check_user_in_group"), check_user)
        .put(Access::Rule("identity:add_user_to_group"), add_user)
        .delete(Access::Rule("identity:remove_user_from_group"), remove_user);
}

async fn list(call: Call) -> Result<Reply> {
    const FILTERS: &[&str] = &["domain_id", "name"];
    let mut target = Target::none().filters(call.query.filter_attributes(FILTERS));
    if let Some(domain_id) = call.scope_domain() {
        target = target.and("group", json!({"domain_id": &**domain_id}));
    }
    let allowed = call.allow(target).await?;
    let query = users::list_query(&call, FILTERS)?;
    let (groups, remaining) = call.core.identity.list_groups(&allowed, &query).await?;
    let scope = call.scope_domain().cloned();
    let is_seen = move |group: &Group| scope.as_ref().is_none_or(|scope| *scope == group.domain_id);
    let write = call.write_members("groups", remaining, is_seen);
    let list = LongList { name: "groups", query, most: None, id: |group: &Group| &group.id, write };
    call.long_list(list, groups).await
}

async fn create(call: Call) -> Result<Reply> {
    let body = call.body_object("group");
    let allowed = call.allow(users::creation_target("group", &body)).await?;
    let mut body = normalize_names(body);
    body.remove("id");
    let description = match nullable_text(&mut body, "description") {
        // Only a description that is not named at all is the empty one.
        None => Some(String::new()),
        Some(description) => description,
    };
    let domain_id = match take_text(&mut body, "domain_id") {
        Some(id) => DomainId::from(id),
        None => call.default_domain()?,
    };
    let group = Group {
        id: GroupId::new_random(),
        domain_id,
        name: take_text(&mut body, "name").unwrap_or_default(),
        description,
        extra: into_extra(body),
    };
    let group = call.core.identity.create_group(&allowed, group).await?;
    Ok(Reply::created(&call.member("groups", "group", wire(&group))))
}

async fn show(call: Call) -> Result<Reply> {
    let id = GroupId::from(call.parameter("group_id"));
    let allowed = call.allow(target(&call, &id).await?).await?;
    let group = call.core.identity.require_group(&allowed, &id).await?;
    Call::ok(&call.member("groups", "group", wire(&group)))
}

async fn update(call: Call) -> Result<Reply> {
    let id = GroupId::from(call.parameter("group_id"));
    let allowed = call.allow(target(&call, &id).await?).await?;
    let mut body = call.body_object("group");
    require_same_id(&mut body, &id)?;
    let patch = GroupPatch {
        domain_id: take_text(&mut body, "domain_id").map(DomainId::from),
        name: take_text(&mut body, "name"),
        description: nullable_text(&mut body, "description"),
        extra: into_extra(body),
    };
    let group = call.core.identity.update_group(&allowed, &id, patch).await?;
    Call::ok(&call.member("groups", "group", wire(&group)))
}

async fn delete(call: Call) -> Result<Reply> {
    call.require_authenticated()?;
    let id = GroupId::from(call.parameter("group_id"));
    // Unlike elsewhere, the reference looks the group up before it asks the policy: an absent one is 404 for everybody.
    let group = call.core.identity.group_target(&id).await?.ok_or_else(|| Error::not_found("group", &id))?;
    let allowed = call.allow(Target::of("group", group)).await?;
    call.core.cascade.delete_group(&allowed, &id).await?;
    Ok(Reply::no_content())
}

async fn list_users(call: Call) -> Result<Reply> {
    const FILTERS: &[&str] = &["domain_id", "enabled", "name", "password_expires_at"];
    let id = GroupId::from(call.parameter("group_id"));
    let target = target(&call, &id).await?.filters(call.query.filter_attributes(FILTERS));
    let allowed = call.allow(target).await?;
    let query = users::list_query(&call, FILTERS)?;
    let (members, remaining) = call.core.identity.list_users_in_group(&allowed, &id, &query).await?;
    let most = query.limit;
    call.long_list(users::long_list(&call, query, most, remaining), members).await
}

async fn check_user(call: Call) -> Result<Reply> {
    let (user, group) = membership(&call);
    let allowed = call.allow(membership_target(&call, &user, &group).await?).await?;
    call.core.identity.check_user_in_group(&allowed, &user, &group).await?;
    Ok(Reply::no_content())
}

async fn add_user(call: Call) -> Result<Reply> {
    let (user, group) = membership(&call);
    let allowed = call.allow(membership_target(&call, &user, &group).await?).await?;
    call.core.identity.add_user_to_group(&allowed, &user, &group).await?;
    Ok(Reply::no_content())
}

async fn remove_user(call: Call) -> Result<Reply> {
    let (user, group) = membership(&call);
    let allowed = call.allow(membership_target(&call, &user, &group).await?).await?;
    call.core.cascade.remove_user_from_group(&allowed, &user, &group).await?;
    Ok(Reply::no_content())
}

fn membership(call: &Call) -> (UserId, GroupId) {
    (UserId::from(call.parameter("user_id")), GroupId::from(call.parameter("group_id")))
}

/// A group that does not exist is no target: the policy then decides between 403 and 404.
async fn target(call: &Call, id: &GroupId) -> Result<Target> {
    call.require_authenticated()?;
    Ok(Target::none().and_found("group", call.core.identity.group_target(id).await?))
}

async fn membership_target(call: &Call, user: &UserId, group: &GroupId) -> Result<Target> {
    let target = target(call, group).await?;
    Ok(target.and_found("user", call.core.identity.user_target(user).await?))
}

pub(super) fn wire(group: &Group) -> Map<String, Value> {
    object(group)
}

impl Wire for Group {
    fn id(&self) -> &str {
        &self.id
    }

    fn extra(&self) -> &Map<String, Value> {
        &self.extra
    }

    fn hides(&self, name: &str) -> bool {
        matches!(name, "id" | "name" | "domain_id" | "description")
    }

    fn write_own<M: SerializeMap>(&self, out: &mut M) -> Result<(), M::Error> {
        out.serialize_entry("id", &*self.id)?;
        out.serialize_entry("name", &self.name)?;
        out.serialize_entry("domain_id", &*self.domain_id)?;
        out.serialize_entry("description", &self.description)
    }
}
