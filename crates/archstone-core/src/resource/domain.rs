//! Domains, which are projects with another face.

use serde_json::Value;

use super::rules::check_not_federated;
use super::{Domain, ProjectPatch, Resource, sql};
use crate::authz::Allowed;
use crate::error::{Error, Result};
use crate::id::{DomainId, ProjectId};
use crate::list::{Filter, ListQuery, Page, whole};

impl Resource {
    /// The domain of this id, if there is one; a project that is none does not count.
    pub(crate) async fn get_domain(&self, id: &DomainId) -> Result<Option<Domain>> {
        let row = sql::get_project(&self.foundation.db, id).await?;
        // A database that ignores case finds a row of another id; the reference compares again.
        Ok(row.filter(|row| *row.id == **id).and_then(super::Project::into_domain))
    }

    /// The domains of these ids that exist, in no order.
    pub(crate) async fn get_domains(&self, ids: &[DomainId]) -> Result<Vec<Domain>> {
        let ids: Vec<ProjectId> = ids.iter().map(|id| ProjectId::from(&**id)).collect();
        let rows = sql::get_projects(&self.foundation.db, &ids).await?;
        Ok(rows.into_iter().filter_map(super::Project::into_domain).collect())
    }

    /// The domains of these ids that exist, by id.
    pub async fn list_domains_by_ids(&self, _: &Allowed, ids: &[DomainId]) -> Result<Vec<Domain>> {
        let mut domains = self.get_domains(ids).await?;
        domains.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(domains)
    }

    /// The domain of this id, or 404.
    pub async fn require_domain(&self, _: &Allowed, id: &DomainId) -> Result<Domain> {
        self.get_domain(id).await?.ok_or_else(|| Error::not_found("domain", id))
    }

    /// What policy rules may look at as `target.domain`; see [`Resource::project_target`].
    pub async fn domain_target(&self, id: &DomainId) -> Result<Option<Value>> {
        let Some(domain) = self.get_domain(id).await? else { return Ok(None) };
        let mut seen = domain.extra;
        seen.insert("id".to_owned(), Value::from(&*domain.id));
        seen.insert("name".to_owned(), Value::from(domain.name));
        seen.insert("description".to_owned(), Value::from(domain.description));
        seen.insert("enabled".to_owned(), Value::from(domain.enabled));
        seen.insert("tags".to_owned(), Value::from(domain.tags));
        seen.insert("options".to_owned(), Value::Object(domain.options));
        Ok(Some(Value::Object(seen)))
    }

    /// A page of domains in the order of their ids, and the filters that are left to the caller. 404 for a marker that
    /// is nothing.
    pub async fn list_domains(&self, _: &Allowed, query: &ListQuery) -> Result<(Page<Domain>, Vec<Filter>)> {
        let mut query = query.clone();
        query.filters.push(Filter::equals("is_domain", "1"));
        let (projects, remaining) = self.read_list(&query, &[]).await?;
        let page = whole(projects).await?;
        let items = page.items.into_iter().filter_map(super::Project::into_domain).collect();
        Ok((Page { items, truncated: page.truncated }, remaining))
    }

    /// Makes a domain; the caller chooses the id. 400 for a reserved name, 409 for a name or id that is taken.
    pub async fn create_domain(&self, allowed: &Allowed, domain: Domain) -> Result<Domain> {
        let id = domain.id.clone();
        let created = self.create_project(allowed, domain.into()).await?;
        created.into_domain().ok_or_else(|| Error::internal(format!("the new domain {id} is none")))
    }

    /// Changes a domain. 404 if there is none.
    pub async fn update_domain(&self, allowed: &Allowed, id: &DomainId, patch: &ProjectPatch) -> Result<Domain> {
        if let Some(name) = &patch.name {
            check_not_federated(&self.foundation.config, id, name)?;
        }
        if self.get_domain(id).await?.is_none() {
            return Err(Error::not_found("domain", id));
        }
        let updated = self.update_project(allowed, &ProjectId::from(&**id), patch).await?;
        updated.into_domain().ok_or_else(|| Error::not_found("domain", id))
    }
}
