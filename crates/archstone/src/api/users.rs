//! `/v3/users`, their passwords and groups (`keystone.api.users`).

use archstone_core::authz::Target;
use archstone_core::error::{Error, Result};
use archstone_core::id::{DomainId, ProjectId, UserId};
use archstone_core::identity::{
    FederatedIdentity, GroupMembership, NewUser, Password, User, UserOptionChanges, UserPatch,
};
use archstone_core::list::{Filter, ListQuery};
use serde::ser::SerializeMap;
use serde_json::{Map, Value, json};

use super::body::{into_extra, normalize_names, nullable_text, require_same_id, take_bool, take_text};
use super::{groups, projects};
use crate::http::{Access, Call, Collection, LongList, Reply, Routes, Wire, configured_limit, object, rel};

pub(super) fn routes(routes: &mut Routes) {
    routes
        .path("/v3/users")
        .rel(rel("users"))
        .get(Access::Rule("identity:list_users"), list)
        .query("identity.user_index_request_query")
        .post(Access::Rule("identity:create_user"), create)
        .body("identity.user_create_request");
    routes
        .path("/v3/users/{user_id}")
        .rel(rel("user"))
        .get(Access::Rule("identity:get_user"), show)
        .patch(Access::Rule("identity:update_user"), update)
        .body("identity.user_update_request")
        .delete(Access::Rule("identity:delete_user"), delete);
    routes
        .path("/v3/users/{user_id}/password")
        .rel(rel("user_change_password"))
        .get(Access::Public, refuse_to_show_password)
        .post(Access::Public, change_password);
    routes
        .path("/v3/users/{user_id}/groups")
        .rel(rel("user_groups"))
        .get(Access::Rule("identity:list_groups_for_user"), list_groups);
    routes
        .path("/v3/users/{user_id}/projects")
        .rel(rel("user_projects"))
        .get(Access::Rule("identity:list_user_projects"), list_projects);
    routes
        .path("/v3/users/{user_id}/tokens")
        .rel(rel("user_tokens"))
        .delete(Access::Rule("identity:revoke_tokens_for_user"), revoke_tokens);
}

async fn list(call: Call) -> Result<Reply> {
    const FILTERS: &[&str] =
        &["domain_id", "enabled", "idp_id", "name", "protocol_id", "unique_id", "password_expires_at"];
    let mut target = Target::none().filters(call.query.filter_attributes(FILTERS));
    if let Some(domain_id) = call.scope_domain() {
        // The rule looks at `target.domain_id`, not at a user's.
        target = target.and("domain_id", Value::from(&**domain_id));
    }
    let allowed = call.allow(target).await?;
    let mut query = list_query(&call, FILTERS)?;
    if let (Some(domain_id), None) = (call.scope_domain(), query.exact("domain_id")) {
        query.filters.push(Filter::equals("domain_id", domain_id));
    }
    let (users, remaining) = call.core.identity.list_users(&allowed, &query).await?;
    call.long_list(long_list(&call, query, None, remaining), users).await
}

/// A list of users as this caller sees it.
pub(super) fn long_list(
    call: &Call,
    query: ListQuery,
    most: Option<u64>,
    remaining: Vec<Filter>,
) -> LongList<User, impl FnMut(&User, &mut Vec<u8>) -> serde_json::Result<bool> + Send + use<>> {
    let scope = call.scope_domain().cloned();
    let is_seen = move |user: &User| scope.as_ref().is_none_or(|scope| *scope == user.domain_id);
    LongList { name: "users", query, most, id: |user| &user.id, write: call.write_members("users", remaining, is_seen) }
}

async fn create(call: Call) -> Result<Reply> {
    let body = call.body_object("user");
    let allowed = call.allow(creation_target("user", &body)).await?;
    let mut body = normalize_names(body);
    body.remove("id");
    let domain_id = match take_text(&mut body, "domain_id") {
        Some(id) => DomainId::from(id),
        None => call.default_domain()?,
    };
    let new = NewUser {
        domain_id,
        name: take_text(&mut body, "name").unwrap_or_default(),
        enabled: take_bool(&mut body, "enabled")?.unwrap_or(true),
        password: nullable_text(&mut body, "password").map(|password| password.map(Password::new)),
        default_project_id: take_text(&mut body, "default_project_id").map(ProjectId::from),
        options: take_options(&mut body),
        federated: take_federated(&mut body),
        extra: into_extra(body),
    };
    let user = call.core.identity.create_user(&allowed, new).await?;
    Ok(Reply::created(&call.member("users", "user", wire(&user))))
}

async fn show(call: Call) -> Result<Reply> {
    let id = UserId::from(call.parameter("user_id"));
    let allowed = call.allow(target(&call, &id).await?).await?;
    let user = call.core.identity.require_user(&allowed, &id).await?;
    Call::ok(&call.member("users", "user", wire(&user)))
}

async fn update(call: Call) -> Result<Reply> {
    let id = UserId::from(call.parameter("user_id"));
    let allowed = call.allow(target(&call, &id).await?).await?;
    // A user that does not exist is told before what is wrong with the body.
    call.core.identity.require_user(&allowed, &id).await?;
    let mut body = call.body_object("user");
    require_same_id(&mut body, &id)?;
    let patch = UserPatch {
        domain_id: take_text(&mut body, "domain_id").map(DomainId::from),
        name: take_text(&mut body, "name"),
        enabled: take_bool(&mut body, "enabled")?,
        password: nullable_text(&mut body, "password").map(|password| password.map(Password::new)),
        default_project_id: nullable_text(&mut body, "default_project_id").map(|id| id.map(ProjectId::from)),
        options: take_options(&mut body),
        federated: take_federated(&mut body),
        extra: into_extra(body),
    };
    let user = call.core.cascade.update_user(&allowed, &id, patch).await?;
    let mut extra = user.extra.clone();
    for hidden in ["password", "tenants"] {
        extra.remove(hidden);
    }
    let mut member = wire(&user);
    // Here, and only here, what the caller added is shown twice.
    member.insert("extra".to_owned(), Value::Object(extra));
    Call::ok(&call.member("users", "user", member))
}

async fn delete(call: Call) -> Result<Reply> {
    let id = UserId::from(call.parameter("user_id"));
    let allowed = call.allow(target(&call, &id).await?).await?;
    call.core.cascade.delete_user(&allowed, &id).await?;
    Ok(Reply::no_content())
}

/// Not left to the router, because here the refusal names one method only.
async fn refuse_to_show_password(_: Call) -> Result<Reply> {
    Ok(Reply::post_only())
}

async fn change_password(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    // The schema is of what is inside of `user`; what is beside it, or none, the reference does not look at.
    let mut body = call.body_object("user");
    call.schemas
        .check("identity.password_change", &Value::Object(body.clone()))
        .map_err(|error| Error::bad_request(format!("Cannot change the password: {}", error.public_text())))?;
    let (Some(original), Some(new)) = (take_text(&mut body, "original_password"), take_text(&mut body, "password"))
    else {
        return Err(Error::missing("original_password", "user"));
    };
    let id = UserId::from(call.parameter("user_id"));
    call.core.cascade.change_own_password(&allowed, &id, Password::new(original), Password::new(new)).await?;
    Ok(Reply::no_content())
}

async fn list_groups(call: Call) -> Result<Reply> {
    const FILTERS: &[&str] = &["name"];
    let id = UserId::from(call.parameter("user_id"));
    let target = target(&call, &id).await?.filters(call.query.filter_attributes(FILTERS));
    let allowed = call.allow(target).await?;
    let query = list_query(&call, FILTERS)?;
    let (page, remaining) = call.core.identity.list_groups_of_user(&allowed, &id, &query).await?;
    let members = page.items.into_iter().filter(|membership| shows_domain(&call, &membership.group.domain_id));
    Call::ok(&call.collection(Collection {
        name: "groups",
        path: "groups",
        members: members.map(|membership| membership_wire(&membership)).collect(),
        remaining: &remaining,
        query: &query,
        truncated: page.truncated,
    }))
}

async fn list_projects(call: Call) -> Result<Reply> {
    const FILTERS: &[&str] = &["domain_id", "enabled", "name"];
    let id = UserId::from(call.parameter("user_id"));
    let target = target(&call, &id).await?.filters(call.query.filter_attributes(FILTERS));
    let allowed = call.allow(target).await?;
    call.core.identity.require_user(&allowed, &id).await?;
    let ids = call.core.assignment.list_project_ids_of_user(&allowed, &id).await?;
    let listed = call.core.resource.list_projects_by_ids(&allowed, &ids).await?;
    let mut query = call.list_query(FILTERS, None)?;
    if call.query.get("limit").is_none() {
        // No configured limit counts here: the list is made of assignments.
        query.limit = None;
    }
    Call::ok(&call.collection(Collection {
        name: "projects",
        path: "projects",
        members: listed.into_iter().map(|project| projects::wire(&project)).collect(),
        remaining: &query.filters,
        query: &query,
        truncated: false,
    }))
}

async fn revoke_tokens(call: Call) -> Result<Reply> {
    let id = UserId::from(call.parameter("user_id"));
    let allowed = call.allow(target(&call, &id).await?).await?;
    call.core.cascade.revoke_tokens_of_user(&allowed, &id).await?;
    Ok(Reply::no_content())
}

/// A user that does not exist is no target: the policy then decides between 403 and 404.
pub(super) async fn target(call: &Call, id: &UserId) -> Result<Target> {
    call.require_authenticated()?;
    Ok(Target::none().and_found("user", call.core.identity.user_target(id).await?))
}

/// What is asked about something that does not exist yet: of what the caller wrote, only the domain in which it is to
/// be, since that is where the caller must have a role. Nothing of it stands for anything stored.
pub(super) fn creation_target(kind: &str, body: &Map<String, Value>) -> Target {
    match body.get("domain_id") {
        Some(domain_id) => Target::of(kind, json!({"domain_id": domain_id})),
        None => Target::none(),
    }
}

/// Whether a list shows what belongs to this domain: a caller whose token is scoped to a domain sees only that.
pub(super) fn shows_domain(call: &Call, id: &DomainId) -> bool {
    call.scope_domain().is_none_or(|scope| scope == id)
}

/// What a list of users or groups asks for: a configured limit counts whatever the caller wants
/// (`keystone.identity.core._set_list_limit_in_hints`).
pub(super) fn list_query(call: &Call, filters: &[&str]) -> Result<ListQuery> {
    let mut query = call.list_query(filters, None)?;
    let config = &call.core.config;
    if let Some(limit) = configured_limit(config.identity.list_limit, config.default.list_limit) {
        query.limit = Some(limit);
    }
    Ok(query)
}

fn take_options(body: &mut Map<String, Value>) -> UserOptionChanges {
    match body.remove("options") {
        Some(Value::Object(options)) => UserOptionChanges::from_object(&options),
        _ => UserOptionChanges::default(),
    }
}

/// The schema has checked the shape: identity providers, each with protocols, each with a unique id.
fn take_federated(body: &mut Map<String, Value>) -> Vec<FederatedIdentity> {
    body.remove("password_expires_at");
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let Some(Value::Array(providers)) = body.remove("federated") else { return Vec::new() };
    let mut identities = Vec::new();
    for provider in &providers {
        for protocol in provider.get("protocols").and_then(Value::as_array).into_iter().flatten() {
            identities.push(FederatedIdentity {
                idp_id: text(provider, "idp_id"),
                protocol_id: text(protocol, "protocol_id"),
                unique_id: text(protocol, "unique_id"),
                display_name: String::new(),
            });
        }
    }
    identities
}

fn wire(user: &User) -> Map<String, Value> {
    object(user)
}

impl Wire for User {
    fn id(&self) -> &str {
        &self.id
    }

    fn extra(&self) -> &Map<String, Value> {
        &self.extra
    }

    fn hides(&self, name: &str) -> bool {
        const OWN: [&str; 6] = ["id", "name", "domain_id", "enabled", "password_expires_at", "options"];
        // Whoever stored them (`keystone.identity.backends.base.filter_user`).
        const NEVER: [&str; 4] = ["password", "tenants", "groups", "domains"];
        match name {
            "default_project_id" => self.default_project_id.is_some(),
            "federated" => !self.federated.is_empty(),
            _ => OWN.contains(&name) || NEVER.contains(&name),
        }
    }

    fn write_own<M: SerializeMap>(&self, out: &mut M) -> Result<(), M::Error> {
        let name = Some(self.name.as_str()).filter(|name| !name.is_empty());
        let expires_at = self.password_expires_at.map(archstone_core::time::Timestamp::iso_without_zone);
        out.serialize_entry("id", &*self.id)?;
        out.serialize_entry("name", &name)?;
        out.serialize_entry("domain_id", &*self.domain_id)?;
        out.serialize_entry("enabled", &self.enabled)?;
        if let Some(project) = &self.default_project_id {
            out.serialize_entry("default_project_id", &**project)?;
        }
        out.serialize_entry("password_expires_at", &expires_at)?;
        out.serialize_entry("options", &self.options.to_object())?;
        if !self.federated.is_empty() {
            out.serialize_entry("federated", &federated_wire(&self.federated))?;
        }
        Ok(())
    }
}

/// Grouped by identity provider, in the order in which they first come.
fn federated_wire(identities: &[FederatedIdentity]) -> Value {
    let mut providers: Vec<(&str, Vec<Value>)> = Vec::new();
    for identity in identities {
        let protocol = json!({"protocol_id": identity.protocol_id, "unique_id": identity.unique_id});
        match providers.iter_mut().find(|(idp_id, _)| *idp_id == identity.idp_id) {
            Some((_, protocols)) => protocols.push(protocol),
            None => providers.push((&identity.idp_id, vec![protocol])),
        }
    }
    providers.into_iter().map(|(idp_id, protocols)| json!({"idp_id": idp_id, "protocols": protocols})).collect()
}

fn membership_wire(membership: &GroupMembership) -> Map<String, Value> {
    let expires_at = membership.expires_at.map(archstone_core::time::Timestamp::iso_without_zone);
    let mut out = groups::wire(&membership.group);
    out.insert("membership_expires_at".to_owned(), Value::from(expires_at));
    out
}
