//! `/v3/domains` (`keystone.api.domains`).

use archstone_core::authz::Target;
use archstone_core::error::{Error, Result};
use archstone_core::id::DomainId;
use archstone_core::list::Filter;
use archstone_core::resource::{Domain, Project, ProjectPatch};
use serde_json::{Map, Value, json};

use super::body::{into_extra, normalize_names, nullable_text, take_bool, take_object, take_text, take_texts};
use crate::http::{Access, Call, Reply, Routes, rel};

pub(super) fn routes(routes: &mut Routes) {
    routes
        .path("/v3/domains")
        .rel(rel("domains"))
        .get(Access::Rule("identity:list_domains"), list)
        .query("resource.domain_index_request_query")
        .post(Access::Rule("identity:create_domain"), create)
        .body("resource.domain_create_request_body");
    routes
        .path("/v3/domains/{domain_id}")
        .rel(rel("domain"))
        .get(Access::Rule("identity:get_domain"), show)
        .patch(Access::Rule("identity:update_domain"), update)
        .body("resource.domain_update_request_body")
        .delete(Access::Rule("identity:delete_domain"), delete);
}

async fn list(call: Call) -> Result<Reply> {
    const FILTERS: &[&str] = &["name", "enabled"];
    let mut target = Target::none().filters(call.query.filter_attributes(FILTERS));
    if let Some(domain_id) = call.scope_domain() {
        target = target.and("domain", json!({"id": &**domain_id}));
    }
    let allowed = call.allow(target).await?;
    let query = call.list_query(FILTERS, call.core.config.resource.list_limit)?;
    let mut storage_query = query.clone();
    if let Some(domain_id) = call.scope_domain() {
        storage_query.filters.push(Filter::equals("id", domain_id));
    }
    let found = call.core.resource.list_domains(&allowed, &storage_query).await?;
    Call::ok(&call.page("domains", &query, found, wire))
}

async fn show(call: Call) -> Result<Reply> {
    call.require_authenticated()?;
    let id = DomainId::from(call.parameter("domain_id"));
    let target = call.core.resource.domain_target(&id).await?;
    let allowed = call.allow(Target::none().and_found("domain", target)).await?;
    let domain = call.core.resource.require_domain(&allowed, &id).await?;
    Call::ok(&call.member("domains", "domain", wire(domain)))
}

async fn create(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let mut body = call.body_object("domain");
    let id = match take_text(&mut body, "explicit_domain_id") {
        None => DomainId::new_random(),
        Some(id) if is_plain_uuid(&id) => DomainId::from(id),
        Some(id) => {
            return Err(Error::bad_request(format!(
                "The domain id {id} is not usable: it must be a UUID in 32 hexadecimal digits."
            )));
        }
    };
    let mut body = normalize_names(body);
    drop_project_attributes(&mut body);
    body.remove("explicit_domain_id");
    let domain = Domain {
        id,
        name: take_text(&mut body, "name").unwrap_or_default(),
        description: nullable_text(&mut body, "description").unwrap_or_else(|| Some(String::new())),
        enabled: take_bool(&mut body, "enabled")?.unwrap_or(true),
        tags: take_texts(&mut body, "tags").unwrap_or_default(),
        options: take_object(&mut body, "options").unwrap_or_default(),
        extra: into_extra(body),
    };
    let domain = call.core.resource.create_domain(&allowed, domain).await?;
    Ok(Reply::created(&call.member("domains", "domain", wire(domain))))
}

async fn update(call: Call) -> Result<Reply> {
    let id = DomainId::from(call.parameter("domain_id"));
    let allowed = call.allow(existing_target(&call, &id).await?).await?;
    let mut body = call.body_object("domain");
    drop_project_attributes(&mut body);
    let patch = ProjectPatch {
        name: take_text(&mut body, "name"),
        description: nullable_text(&mut body, "description"),
        enabled: take_bool(&mut body, "enabled")?,
        tags: take_texts(&mut body, "tags"),
        options: take_object(&mut body, "options"),
        extra: into_extra(body),
        ..ProjectPatch::default()
    };
    let domain = call.core.resource.update_domain(&allowed, &id, &patch).await?;
    Call::ok(&call.member("domains", "domain", wire(domain)))
}

async fn delete(call: Call) -> Result<Reply> {
    let id = DomainId::from(call.parameter("domain_id"));
    let allowed = call.allow(existing_target(&call, &id).await?).await?;
    call.core.cascade.delete_domain(&allowed, &id).await?;
    Ok(Reply::no_content())
}

/// Here the reference looks the domain up before it asks the policy: an absent one is 404 for everybody.
async fn existing_target(call: &Call, id: &DomainId) -> Result<Target> {
    call.require_authenticated()?;
    let domain = call.core.resource.domain_target(id).await?;
    Ok(Target::of("domain", domain.ok_or_else(|| Error::not_found("domain", id))?))
}

/// What only a project has; a domain's own are known. The reference also lets an id in an update pass.
fn drop_project_attributes(body: &mut Map<String, Value>) {
    for name in ["id", "parent_id", "domain_id", "is_domain"] {
        body.remove(name);
    }
}

/// As the reference writes them: no dashes, lower case.
fn is_plain_uuid(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

pub(super) fn wire(domain: Domain) -> Map<String, Value> {
    let mut out = super::projects::wire(&Project::from(domain));
    drop_project_attributes_but_id(&mut out);
    out
}

fn drop_project_attributes_but_id(out: &mut Map<String, Value>) {
    for name in ["parent_id", "domain_id", "is_domain"] {
        out.remove(name);
    }
}
