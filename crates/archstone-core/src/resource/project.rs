//! Rules of projects (`keystone.resource.core`).

use archstone_db::Tx;
use serde_json::{Map, Value};

use super::rules::{self, check_immutable_update, check_not_federated, check_place, check_url_safe};
use super::{IMMUTABLE, Project, Resource, TagFilter, sql};
use crate::authz::Allowed;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::freshness::Ref;
use crate::id::{DomainId, ProjectId};
use crate::list::parts::{self, PageSize};
use crate::list::sql::Density;
use crate::list::{Filter, ListQuery, Parts};

/// What an update changes: `None` leaves an attribute as it is.
#[derive(Clone, Debug, Default)]
pub struct ProjectPatch {
    /// A new name.
    pub name: Option<String>,
    /// A new description, or none any more.
    pub description: Option<Option<String>>,
    /// Switches it on or off.
    pub enabled: Option<bool>,
    /// Only what it is already.
    pub domain_id: Option<Option<DomainId>>,
    /// Only what it is already.
    pub parent_id: Option<Option<ProjectId>>,
    /// Only what it is already.
    pub is_domain: Option<bool>,
    /// All tags that it has from now on.
    pub tags: Option<Vec<String>>,
    /// Options to set, or to unset with a null.
    pub options: Option<Map<String, Value>>,
    /// Attributes to add or replace.
    pub extra: Map<String, Value>,
}

impl ProjectPatch {
    /// Whether it says nothing but that the option `immutable` goes.
    pub(super) fn only_makes_mutable(&self) -> bool {
        let alone = self.name.is_none()
            && self.description.is_none()
            && self.enabled.is_none()
            && self.domain_id.is_none()
            && self.parent_id.is_none()
            && self.is_domain.is_none()
            && self.tags.is_none()
            && self.extra.is_empty();
        alone && self.options.as_ref().is_some_and(|options| rules::makes_mutable(options.get(IMMUTABLE)))
    }
}

impl Resource {
    /// The project of this id, if there is one. A domain counts as one.
    pub(crate) async fn get_project(&self, id: &ProjectId) -> Result<Option<Project>> {
        sql::get_project(&self.foundation.db, id).await
    }

    /// The projects of these ids that exist, in no order.
    pub(crate) async fn get_projects(&self, ids: &[ProjectId]) -> Result<Vec<Project>> {
        sql::get_projects(&self.foundation.db, ids).await
    }

    /// Domain and name of the projects of these ids that exist, in no order; a domain has no domain.
    pub(crate) async fn list_project_names(
        &self,
        ids: &[ProjectId],
    ) -> Result<Vec<(ProjectId, Option<DomainId>, String)>> {
        sql::list_names(&self.foundation.db, ids).await
    }

    /// The projects of these ids that exist, by id.
    pub async fn list_projects_by_ids(&self, _: &Allowed, ids: &[ProjectId]) -> Result<Vec<Project>> {
        let mut projects = self.get_projects(ids).await?;
        projects.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(projects)
    }

    /// The project of this name in a domain.
    pub(crate) async fn get_project_by_name(&self, name: &str, domain_id: &DomainId) -> Result<Option<Project>> {
        sql::get_by_name(&self.foundation.db, name, Some(domain_id)).await
    }

    /// The project of this id, or 404.
    pub async fn require_project(&self, _: &Allowed, id: &ProjectId) -> Result<Project> {
        self.get_project(id).await?.ok_or_else(|| Error::not_found("project", id))
    }

    /// What policy rules may look at as `target.project`. It needs no [`Allowed`] because it is what one is made of:
    /// not for anybody's eyes.
    pub async fn project_target(&self, id: &ProjectId) -> Result<Option<Value>> {
        Ok(self.get_project(id).await?.map(|project| target(&project)))
    }

    /// The projects that are asked for in the order of their ids, and the filters that are left to the caller. 404 for a
    /// marker that is no project.
    pub async fn list_projects(
        &self,
        _: &Allowed,
        query: &ListQuery,
        tags: &[TagFilter],
    ) -> Result<(Parts<Project>, Vec<Filter>)> {
        self.read_list(query, tags).await
    }

    pub(super) async fn read_list(
        &self,
        query: &ListQuery,
        tags: &[TagFilter],
    ) -> Result<(Parts<Project>, Vec<Filter>)> {
        if let Some(marker) = &query.marker
            && !sql::project_exists(&self.foundation.db, marker).await?
        {
            return Err(Error::not_found("marker", marker));
        }
        let Some((select, remaining)) = sql::select_listed(query, tags) else {
            return Ok((parts::nothing(), Vec::new()));
        };
        // Domains are few.
        let is_all = tags.is_empty() && query.filters.iter().all(|filter| filter.name == "is_domain");
        let density = if is_all { Density::Complete } else { Density::Filtered };
        let db = self.foundation.db.clone();
        let size = PageSize::full_means_cut(query, self.foundation.config.default.max_db_limit as u64);
        let projects = parts::by_id(
            size,
            query.marker.clone(),
            |project: &Project| &project.id,
            move |after, most| {
                let (db, select) = (db.clone(), select.clone());
                async move { sql::list_part(&db, select, after.as_deref(), most, density).await }
            },
        );
        Ok((projects, remaining))
    }

    /// Makes a project, or a domain. The name is stripped. 400 for an unknown or unfit domain or parent, 403 where the
    /// tree is deep enough, 409 for a name or id that is taken.
    pub async fn create_project(&self, allowed: &Allowed, mut project: Project) -> Result<Project> {
        let config = &self.foundation.config;
        if project.is_domain {
            check_url_safe(config.resource.domain_name_url_safe, "domain", &project.name)?;
        } else {
            check_url_safe(config.resource.project_name_url_safe, "project", &project.name)?;
        }
        project.name = project.name.trim().to_owned();
        project.options.retain(|_, value| !value.is_null());
        if project.parent_id.is_none() {
            project.parent_id = project.domain_id.clone().map(|domain| ProjectId::from(String::from(domain)));
        }
        let new = &project;
        self.foundation
            .db
            .write(|tx| {
                Box::pin(async move {
                    check_place(tx, config, new).await?;
                    sql::insert_project(tx, new).await?;
                    tx.touch(Ref::Project(new.id.clone()).into());
                    Ok::<_, Error>(())
                })
            })
            .await?;
        let kind = if project.is_domain { "domain" } else { "project" };
        self.foundation.events.emit(Event::new(kind, "created", &*project.id, allowed));
        Ok(project)
    }

    /// Changes a project, or a domain seen as one. 404 if there is none.
    pub async fn update_project(&self, allowed: &Allowed, id: &ProjectId, patch: &ProjectPatch) -> Result<Project> {
        let config = &self.foundation.config;
        let (original, updated) = self
            .foundation
            .db
            .write(|tx| {
                Box::pin(async move {
                    sql::take_projects(tx, std::slice::from_ref(id)).await?;
                    let original = sql::get_project(&mut *tx, id).await?;
                    let original = original.ok_or_else(|| Error::not_found("project", id))?;
                    let updated = patched(config, &original, patch)?;
                    if !original.enabled && updated.enabled {
                        check_all_above_enabled(tx, &original).await?;
                    }
                    if original.enabled && !updated.enabled && !original.is_domain {
                        check_all_below_disabled(tx, &original).await?;
                    }
                    sql::update_project(tx, &original, &updated).await?;
                    // The row's own id: a database that ignores case finds it by another, too.
                    tx.touch(Ref::Project(updated.id.clone()).into());
                    Ok::<_, Error>((original, updated))
                })
            })
            .await?;
        self.emit_updated(allowed, &original, &updated);
        Ok(updated)
    }

    /// Both kinds of events for a domain, as the reference does it.
    fn emit_updated(&self, allowed: &Allowed, original: &Project, updated: &Project) {
        let emit = |kind, operation| self.foundation.events.emit(Event::new(kind, operation, &*updated.id, allowed));
        let disabled = original.enabled && !updated.enabled;
        if disabled {
            emit("project", "disabled");
        }
        emit("project", "updated");
        if updated.is_domain {
            emit("domain", "updated");
            if disabled {
                emit("domain", "disabled");
            }
        }
    }
}

/// The project with the change made, if the change is one that may be made to it.
fn patched(config: &crate::config::Config, original: &Project, patch: &ProjectPatch) -> Result<Project> {
    if patch.domain_id.as_ref().is_some_and(|domain_id| *domain_id != original.domain_id) {
        return Err(Error::bad_request("Cannot change the domain id."));
    }
    check_immutable_update(original, patch)?;
    let mut updated = original.clone();
    if let Some(name) = patch.name.as_ref().filter(|name| **name != original.name) {
        if original.is_domain {
            check_not_federated(config, &original.id, name)?;
            check_url_safe(config.resource.domain_name_url_safe, "domain", name)?;
        } else {
            check_url_safe(config.resource.project_name_url_safe, "project", name)?;
        }
        name.trim().clone_into(&mut updated.name);
    }
    if patch.parent_id.as_ref().is_some_and(|parent_id| *parent_id != original.parent_id) {
        return Err(Error::forbidden_open("The parent_id of a project cannot be updated."));
    }
    if patch.is_domain.is_some_and(|is_domain| is_domain != original.is_domain) {
        return Err(Error::bad_request("The attribute is_domain of a project cannot be updated."));
    }
    if let Some(description) = &patch.description {
        updated.description.clone_from(description);
    }
    if let Some(enabled) = patch.enabled {
        updated.enabled = enabled;
    }
    if let Some(tags) = &patch.tags {
        updated.tags.clone_from(tags);
    }
    for (name, value) in patch.options.iter().flatten() {
        updated.options.insert(name.clone(), value.clone());
    }
    updated.options.retain(|_, value| !value.is_null());
    updated.extra.extend(patch.extra.clone());
    Ok(updated)
}

async fn check_all_above_enabled(tx: &mut Tx<'_>, project: &Project) -> Result<()> {
    if let Some(parent) = &project.parent_id {
        sql::hold_project(&mut *tx, parent).await?;
    }
    let above = sql::ancestry(tx, &project.id).await?;
    if above.iter().skip(1).all(|above| above.enabled) {
        return Ok(());
    }
    Err(Error::forbidden_open(format!("Cannot enable the project {}: a project above it is disabled.", project.id)))
}

async fn check_all_below_disabled(tx: &mut Tx<'_>, project: &Project) -> Result<()> {
    if !sql::any_enabled_below(tx, &project.id).await? {
        return Ok(());
    }
    Err(Error::forbidden_open(format!(
        "Cannot disable the project {}: there are enabled projects in its subtree.",
        project.id
    )))
}

/// A project as policy rules see it.
pub(super) fn target(project: &Project) -> Value {
    let mut seen = project.extra.clone();
    seen.insert("id".to_owned(), Value::from(&*project.id));
    seen.insert("name".to_owned(), Value::from(project.name.as_str()));
    seen.insert("domain_id".to_owned(), Value::from(project.domain_id.as_deref()));
    seen.insert("description".to_owned(), Value::from(project.description.as_deref()));
    seen.insert("enabled".to_owned(), Value::from(project.enabled));
    seen.insert("parent_id".to_owned(), Value::from(project.parent_id.as_deref()));
    seen.insert("is_domain".to_owned(), Value::from(project.is_domain));
    seen.insert("tags".to_owned(), Value::from(project.tags.clone()));
    seen.insert("options".to_owned(), Value::Object(project.options.clone()));
    Value::Object(seen)
}
