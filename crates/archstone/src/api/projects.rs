//! `/v3/projects` and their tags (`keystone.api.projects`).

use archstone_core::authz::{Allowed, Target};
use archstone_core::error::{Error, Result};
use archstone_core::id::{DomainId, ProjectId};
use archstone_core::list::Filter;
use archstone_core::resource::{Project, ProjectPatch, TagFilter};
use http::StatusCode;
use http::header::LOCATION;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::ser::SerializeMap;
use serde_json::{Map, Value, json};

use super::body::{
    into_extra, normalize_names, nullable_text, require_same_id, take_bool, take_object, take_text, take_texts,
};
use super::limits;
use crate::http::{Access, Call, LongList, Reply, Routes, Wire, object, rel};

/// What is escaped in the URL of a tag: all but what never needs it (RFC 3986).
const QUOTED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) fn routes(routes: &mut Routes) {
    routes
        .path("/v3/projects")
        .rel(rel("projects"))
        .get(Access::Rule("identity:list_projects"), list)
        .query("resource.project_index_request_query")
        .post(Access::Rule("identity:create_project"), create)
        .body("resource.project_create_request_body");
    routes
        .path("/v3/projects/{project_id}")
        .rel(rel("project"))
        .get(Access::Rule("identity:get_project"), show)
        .patch(Access::Rule("identity:update_project"), update)
        .body("resource.project_update_request_body")
        .delete(Access::Rule("identity:delete_project"), delete);
    routes
        .path("/v3/projects/{project_id}/tags")
        .rel(rel("project_tags"))
        .get(Access::Rule("identity:list_project_tags"), list_tags)
        .put(Access::Rule("identity:update_project_tags"), update_tags)
        .body("resource.tags_update_request_body")
        .delete(Access::Rule("identity:delete_project_tags"), delete_tags);
    routes
        .path("/v3/projects/{project_id}/tags/{value}")
        .rel(rel("project_tags").named_parameter("value", "tag_value"))
        .get(Access::Rule("identity:get_project_tag"), check_tag)
        .put(Access::Rule("identity:create_project_tag"), create_tag)
        .delete(Access::Rule("identity:delete_project_tag"), delete_tag);
}

/// Asks the policy about the project of the URL. One that does not exist is no target: those whom the rule lets
/// through without one get a 404 afterwards, the others a 403.
async fn allow_on_project(call: &Call) -> Result<(Allowed, ProjectId)> {
    call.require_authenticated()?;
    let id = ProjectId::from(call.parameter("project_id"));
    let target = call.core.resource.project_target(&id).await?;
    let allowed = call.allow(Target::none().and_found("project", target)).await?;
    Ok((allowed, id))
}

async fn list(call: Call) -> Result<Reply> {
    const FILTERS: &[&str] = &["domain_id", "enabled", "name", "parent_id", "is_domain"];
    let mut target = Target::none().filters(call.query.filter_attributes(FILTERS));
    if let Some(domain_id) = call.scope_domain() {
        target = target.and("domain_id", Value::from(&**domain_id));
    }
    let allowed = call.allow(target).await?;
    let query = call.list_query(FILTERS, call.core.config.resource.list_limit)?;
    let mut storage_query = query.clone();
    if call.query.get("is_domain").is_none() {
        storage_query.filters.push(Filter::equals("is_domain", "0"));
    }
    if let Some(domain_id) = call.scope_domain() {
        storage_query.filters.push(Filter::equals("domain_id", domain_id));
    }
    let tags = tag_filters(&call);
    let (projects, remaining) = call.core.resource.list_projects(&allowed, &storage_query, &tags).await?;
    let write = call.write_members("projects", remaining, |_| true);
    let list = LongList { name: "projects", query, most: None, id: |project: &Project| &project.id, write };
    call.long_list(list, projects).await
}

fn tag_filters(call: &Call) -> Vec<TagFilter> {
    type Make = fn(Vec<String>) -> TagFilter;
    let kinds: [(&str, Make); 4] = [
        ("tags", TagFilter::All),
        ("tags-any", TagFilter::Any),
        ("not-tags", TagFilter::NotAll),
        ("not-tags-any", TagFilter::NotAny),
    ];
    let given = |(name, make): (&str, Make)| {
        call.query.get(name).map(|value| make(value.split(',').map(str::to_owned).collect()))
    };
    kinds.into_iter().filter_map(given).collect()
}

async fn show(call: Call) -> Result<Reply> {
    let (allowed, id) = allow_on_project(&call).await?;
    let project = call.core.resource.require_project(&allowed, &id).await?;
    let mut member = wire(&project);
    add_relatives(&call, &allowed, &project, &mut member).await?;
    Call::ok(&call.member("projects", "project", member))
}

/// `?parents_as_list` and its like.
async fn add_relatives(
    call: &Call,
    allowed: &Allowed,
    project: &Project,
    member: &mut Map<String, Value>,
) -> Result<()> {
    let flag = |name: &str| call.query.flag(name);
    for relatives in ["parents", "subtree"] {
        if flag(&format!("{relatives}_as_list")) && flag(&format!("{relatives}_as_ids")) {
            return Err(Error::bad_request(format!(
                "Cannot use {relatives}_as_list and {relatives}_as_ids in one query."
            )));
        }
    }
    let resource = &call.core.resource;
    if flag("parents_as_list") {
        let parents = resource.list_parents(allowed, &project.id).await?;
        member.insert("parents".to_owned(), visible_list(call, allowed, parents).await?);
    } else if flag("parents_as_ids") {
        let parents = resource.list_parents(allowed, &project.id).await?;
        let nested = parents.iter().rev().fold(Value::Null, |above, parent| json!({&*parent.id: above}));
        member.insert("parents".to_owned(), nested);
    }
    if flag("subtree_as_list") {
        let subtree = resource.list_subtree(allowed, &project.id).await?;
        member.insert("subtree".to_owned(), visible_list(call, allowed, subtree).await?);
    } else if flag("subtree_as_ids") {
        let subtree = resource.list_subtree(allowed, &project.id).await?;
        member.insert("subtree".to_owned(), nested_children(&project.id, &subtree));
    }
    Ok(())
}

/// Those among the projects in which the caller has a role, with their limits if the query asks for them.
async fn visible_list(call: &Call, allowed: &Allowed, mut projects: Vec<Project>) -> Result<Value> {
    if let Some(caller) = allowed.caller() {
        let own = call.core.assignment.list_project_ids_of_user(allowed, &caller.user_id).await?;
        projects.retain(|project| own.contains(&project.id));
    }
    let mut limits = None;
    if call.query.flag("include_limits") {
        let ids: Vec<ProjectId> = projects.iter().map(|project| project.id.clone()).collect();
        limits = Some(call.core.limit.list_limits_of_projects(allowed, &ids).await?);
    }
    let member = |project: Project| {
        let limits = limits.as_mut().map(|limits| limits.remove(&project.id).unwrap_or_default());
        let mut member = wire(&project);
        if let Some(limits) = limits {
            member.insert("limits".to_owned(), limits.into_iter().map(limits::wire).collect());
        }
        json!({"project": call.with_self_link("projects", member)})
    };
    Ok(projects.into_iter().map(member).collect())
}

/// `{"child": {"grandchild": null}}`; null where there is nothing below.
fn nested_children(id: &ProjectId, subtree: &[Project]) -> Value {
    let children = subtree.iter().filter(|project| project.parent_id.as_ref() == Some(id));
    let nested: Map<String, Value> =
        children.map(|child| (child.id.to_string(), nested_children(&child.id, subtree))).collect();
    if nested.is_empty() { Value::Null } else { Value::Object(nested) }
}

async fn create(call: Call) -> Result<Reply> {
    let body = call.body_object("project");
    // What is to be made is the target; there is nothing in storage yet. A domain that is not named is none.
    let allowed = call.allow(Target::of("project", Value::Object(body.clone()))).await?;
    let is_domain = body.get("is_domain").is_some_and(|flag| *flag == json!(true));
    let mut body = normalize_names(body);
    // Only without any body, which no schema sees.
    let name = take_text(&mut body, "name").ok_or_else(|| Error::missing("name", "project"))?;
    body.remove("id");
    take_bool(&mut body, "is_domain")?;
    let domain_id = match take_text(&mut body, "domain_id").filter(|id| !id.is_empty()) {
        Some(id) => Some(DomainId::from(id)),
        None if is_domain => None,
        None => Some(call.default_domain()?),
    };
    let project = Project {
        id: ProjectId::new_random(),
        name,
        // A domain belongs to none; one that is named would be its parent, which the rules refuse.
        parent_id: take_text(&mut body, "parent_id")
            .map(ProjectId::from)
            .or_else(|| domain_id.as_deref().map(ProjectId::from)),
        domain_id: domain_id.filter(|_| !is_domain),
        description: nullable_text(&mut body, "description").unwrap_or_else(|| Some(String::new())),
        enabled: take_bool(&mut body, "enabled")?.unwrap_or(true),
        is_domain,
        tags: take_texts(&mut body, "tags").unwrap_or_default(),
        options: take_object(&mut body, "options").unwrap_or_default(),
        extra: into_extra(body),
    };
    let project = call.core.resource.create_project(&allowed, project).await?;
    Ok(Reply::created(&call.member("projects", "project", wire(&project))))
}

async fn update(call: Call) -> Result<Reply> {
    let (allowed, id) = allow_on_project(&call).await?;
    let mut body = call.body_object("project");
    require_same_id(&mut body, &id)?;
    let patch = ProjectPatch {
        name: take_text(&mut body, "name"),
        description: nullable_text(&mut body, "description"),
        enabled: take_bool(&mut body, "enabled")?,
        domain_id: nullable_text(&mut body, "domain_id").map(|id| id.map(DomainId::from)),
        parent_id: nullable_text(&mut body, "parent_id").map(|id| id.map(ProjectId::from)),
        is_domain: take_bool(&mut body, "is_domain")?,
        tags: take_texts(&mut body, "tags"),
        options: take_object(&mut body, "options"),
        extra: into_extra(body),
    };
    let project = call.core.resource.update_project(&allowed, &id, &patch).await?;
    // An updated project shows what was added to it twice: flat, and as `extra`.
    let extra = Value::Object(project.extra.clone());
    let mut member = wire(&project);
    member.insert("extra".to_owned(), extra);
    Call::ok(&call.member("projects", "project", member))
}

async fn delete(call: Call) -> Result<Reply> {
    let (allowed, id) = allow_on_project(&call).await?;
    call.core.cascade.delete_project(&allowed, &id).await?;
    Ok(Reply::no_content())
}

async fn list_tags(call: Call) -> Result<Reply> {
    let (allowed, id) = allow_on_project(&call).await?;
    let project = call.core.resource.require_project(&allowed, &id).await?;
    Call::ok(&tags_body(&call, &project.tags))
}

async fn update_tags(call: Call) -> Result<Reply> {
    let (allowed, id) = allow_on_project(&call).await?;
    let mut body = call.body.as_object().cloned().unwrap_or_default();
    let Some(tags) = take_texts(&mut body, "tags") else { return Err(Error::missing("tags", "body")) };
    check_tags(&tags)?;
    let tags = call.core.resource.update_project_tags(&allowed, &id, &tags).await?;
    Call::ok(&tags_body(&call, &tags))
}

async fn delete_tags(call: Call) -> Result<Reply> {
    let (allowed, id) = allow_on_project(&call).await?;
    call.core.resource.update_project_tags(&allowed, &id, &[]).await?;
    Ok(Reply::no_content())
}

async fn check_tag(call: Call) -> Result<Reply> {
    let (allowed, id) = allow_on_project(&call).await?;
    let project = call.core.resource.require_project(&allowed, &id).await?;
    let tag = call.parameter("value");
    if !project.tags.iter().any(|known| known == tag) {
        return Err(Error::not_found("project tag", tag));
    }
    Ok(Reply::no_content())
}

async fn create_tag(call: Call) -> Result<Reply> {
    let (allowed, id) = allow_on_project(&call).await?;
    let tag = call.parameter("value");
    let mut tags = call.core.resource.require_project(&allowed, &id).await?.tags;
    tags.push(tag.to_owned());
    check_tags(&tags)?;
    call.core.resource.create_project_tag(&allowed, &id, tag).await?;
    // The reference leaves `projects` out of the path.
    let tag = utf8_percent_encode(tag, QUOTED);
    Ok(Reply::html(StatusCode::CREATED, "", "").header(LOCATION, &call.link(&format!("{id}/tags/{tag}"))))
}

async fn delete_tag(call: Call) -> Result<Reply> {
    let (allowed, id) = allow_on_project(&call).await?;
    call.core.resource.delete_project_tag(&allowed, &id, call.parameter("value")).await?;
    Ok(Reply::no_content())
}

/// The reference's schema `project_tags_update`, which it applies after the policy.
fn check_tags(tags: &[String]) -> Result<()> {
    const MOST: usize = 80;
    const LONGEST: usize = 255;
    if tags.len() > MOST {
        return Err(Error::bad_request(format!("A project cannot have more than {MOST} tags.")));
    }
    for (index, tag) in tags.iter().enumerate() {
        if tag.is_empty() || tag.chars().count() > LONGEST || tag.contains([',', '/']) {
            return Err(Error::bad_request(format!(
                "A tag has 1 to {LONGEST} characters of any type but comma and slash."
            )));
        }
        if tags[..index].contains(tag) {
            return Err(Error::bad_request(format!("The list has the tag {tag} twice; its type is a set.")));
        }
    }
    Ok(())
}

/// The link is of the whole API: the reference asks for the URL of nothing.
fn tags_body(call: &Call, tags: &[String]) -> Value {
    json!({"links": {"self": format!("{}/v3", call.base_url())}, "tags": tags})
}

pub(super) fn wire(project: &Project) -> Map<String, Value> {
    object(project)
}

impl Wire for Project {
    fn id(&self) -> &str {
        &self.id
    }

    fn extra(&self) -> &Map<String, Value> {
        &self.extra
    }

    fn hides(&self, name: &str) -> bool {
        const OWN: [&str; 9] =
            ["id", "name", "domain_id", "description", "enabled", "parent_id", "is_domain", "tags", "options"];
        OWN.contains(&name)
    }

    fn write_own<M: SerializeMap>(&self, out: &mut M) -> Result<(), M::Error> {
        out.serialize_entry("id", &*self.id)?;
        out.serialize_entry("name", &self.name)?;
        out.serialize_entry("domain_id", &self.domain_id.as_deref())?;
        out.serialize_entry("description", &self.description)?;
        out.serialize_entry("enabled", &self.enabled)?;
        out.serialize_entry("parent_id", &self.parent_id.as_deref())?;
        out.serialize_entry("is_domain", &self.is_domain)?;
        out.serialize_entry("tags", &self.tags)?;
        out.serialize_entry("options", &self.options)
    }
}
