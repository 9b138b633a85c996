//! Rules of limits of projects and domains (`keystone.limit.core`, `keystone.api.limits`). The reference tells of none
//! of them by an event.

use std::collections::{HashMap, HashSet};

use archstone_db::Tx;
use serde_json::{Value, json};

use super::model::{Bound, Tree};
use super::registered_limit::unknown_reference;
use super::{Limit, Limits, Owner, RegisteredLimit, sql};
use crate::authz::{Allowed, Requester, Scope};
use crate::config::EnforcementModel;
use crate::error::{Error, Result};
use crate::id::{DomainId, LimitId, ProjectId, RegionId, RegisteredLimitId, ServiceId};
use crate::list::{Filter, ListQuery, Page};
use crate::resource::Project;

/// A limit to be made.
#[derive(Clone, Debug)]
pub struct NewLimit {
    /// Its id.
    pub id: LimitId,
    /// Whom it is for. A project that is a domain counts as the domain.
    pub owner: Owner,
    /// The service of the registered limit that it replaces.
    pub service_id: ServiceId,
    /// The region of that one.
    pub region_id: Option<RegionId>,
    /// The resource of that one.
    pub resource_name: String,
    /// How much; -1 is without bound.
    pub resource_limit: i64,
    /// What it is for.
    pub description: Option<String>,
}

/// What a limit's update changes: `None` leaves an attribute as it is.
#[derive(Clone, Debug, Default)]
pub struct LimitPatch {
    /// Another bound.
    pub resource_limit: Option<i64>,
    /// Another description, or none any more.
    pub description: Option<Option<String>>,
}

/// Which limits a caller sees in a list.
enum Visible {
    All,
    OfDomain(DomainId),
    OfProject(ProjectId),
    None,
}

impl Limits {
    /// The limit of this id, or 404.
    pub async fn require_limit(&self, _: &Allowed, id: &LimitId) -> Result<Limit> {
        sql::get_limit(&self.foundation.db, id).await?.ok_or_else(|| not_found(id))
    }

    /// What policy rules may look at as `target.limit`: the limit with its project or domain. It needs no [`Allowed`]
    /// because it is what one is made of: not for anybody's eyes.
    pub async fn limit_target(&self, id: &LimitId) -> Result<Option<Value>> {
        let Some(limit) = sql::get_limit(&self.foundation.db, id).await? else { return Ok(None) };
        let mut target = json!({
            "id": &*limit.id,
            "project_id": limit.project_id.as_deref(),
            "domain_id": limit.domain_id.as_deref(),
            "service_id": limit.service_id.as_deref(),
            "region_id": limit.region_id.as_deref(),
            "resource_name": limit.resource_name,
            "resource_limit": limit.resource_limit,
            "description": limit.description,
        });
        if let Some(project_id) = &limit.project_id {
            if let Some(project) = self.resource.project_target(project_id).await? {
                target["project"] = project;
            }
        } else if let Some(domain_id) = &limit.domain_id
            && let Some(domain) = self.resource.domain_target(domain_id).await?
        {
            target["domain"] = domain;
        }
        Ok(Some(target))
    }

    /// The limits that the caller may see, and the filters that are left to the caller: all for a token of the system or
    /// with the role `admin` or `service`, else those of the token's domain with its projects, or of its project.
    pub async fn list_limits(&self, allowed: &Allowed, query: &ListQuery) -> Result<(Page<Limit>, Vec<Filter>)> {
        let db = &self.foundation.db;
        let mut query = query.clone();
        match visible_to(allowed) {
            Visible::All => sql::list_limits(db, &query).await,
            Visible::OfProject(project_id) => {
                query.filters.push(Filter::equals("project_id", &project_id));
                sql::list_limits(db, &query).await
            }
            Visible::OfDomain(domain_id) => {
                // Who is left decides what is cut, so the storage must not.
                query.limit = None;
                let (page, remaining) = sql::list_limits(db, &query).await?;
                let mut projects = self.resource.list_project_ids_of_domains(std::slice::from_ref(&domain_id)).await?;
                let projects: HashSet<ProjectId> =
                    projects.remove(&domain_id).unwrap_or_default().into_iter().collect();
                let is_visible = |limit: &Limit| match &limit.project_id {
                    Some(project_id) => projects.contains(project_id),
                    None => limit.domain_id.as_ref() == Some(&domain_id),
                };
                Ok((Page::all(page.items.into_iter().filter(is_visible).collect()), remaining))
            }
            Visible::None => Ok((Page::all(Vec::new()), Vec::new())),
        }
    }

    /// The limits of each of these projects. Domains have none here: theirs are not a project's.
    pub async fn list_limits_of_projects(
        &self,
        _: &Allowed,
        ids: &[ProjectId],
    ) -> Result<HashMap<ProjectId, Vec<Limit>>> {
        let mut of_project: HashMap<ProjectId, Vec<Limit>> = HashMap::new();
        for limit in sql::list_limits_of_projects(&self.foundation.db, ids).await? {
            if let Some(project_id) = limit.project_id.clone() {
                of_project.entry(project_id).or_default().push(limit);
            }
        }
        Ok(of_project)
    }

    /// Makes limits, all or none. 400 for an unknown service, region, project or domain, 403 for one that no registered
    /// limit is for or that the enforcement model refuses, 409 if the project or domain has one already, also among the
    /// new ones.
    pub async fn create_limits(&self, _: &Allowed, limits: &[NewLimit]) -> Result<Vec<Limit>> {
        self.foundation
            .db
            .write(|tx| {
                Box::pin(async move {
                    let services: Vec<ServiceId> = limits.iter().map(|limit| limit.service_id.clone()).collect();
                    let regions: Vec<RegionId> = limits.iter().filter_map(|limit| limit.region_id.clone()).collect();
                    // What locks comes first: MySQL shows all later questions what was committed before the first of
                    // them that does not.
                    self.check_services(tx, "limit", &services).await?;
                    let registered = sql::take_registered_of_services(tx, &services).await?;
                    self.check_regions(tx, "limit", &regions).await?;
                    let owners: Vec<&Owner> = limits.iter().map(|limit| &limit.owner).collect();
                    let projects = self.load_projects(tx, &owners).await?;
                    let rows = limits
                        .iter()
                        .map(|limit| resolved(limit, &projects, &registered))
                        .collect::<Result<Vec<Limit>>>()?;
                    self.check_model(tx, &rows, &projects, &registered).await?;
                    sql::insert_limits(tx, &rows).await?;
                    let ids: Vec<&LimitId> = rows.iter().map(|limit| &limit.id).collect();
                    if sql::any_limit_twice(tx, &ids).await? {
                        return Err(Error::conflict("limit", "the project or domain has one for this resource"));
                    }
                    Ok(rows)
                })
            })
            .await
    }

    /// Changes a limit. 404 if there is none, 403 if the enforcement model refuses.
    pub async fn update_limit(&self, _: &Allowed, id: &LimitId, patch: &LimitPatch) -> Result<Limit> {
        let limit = sql::get_limit(&self.foundation.db, id).await?.ok_or_else(|| not_found(id))?;
        // This never changes; it is locked before anything else is looked at, as in `create_limits`.
        let registered_limit_id = &limit.registered_limit_id;
        self.foundation
            .db
            .write(|tx| {
                Box::pin(async move {
                    let registered = match registered_limit_id {
                        Some(id) => sql::take_registered(tx, id).await?,
                        None => None,
                    };
                    let mut limit = sql::get_limit(&mut *tx, id).await?.ok_or_else(|| not_found(id))?;
                    limit.resource_limit = patch.resource_limit.unwrap_or(limit.resource_limit);
                    if let Some(description) = &patch.description {
                        limit.description.clone_from(description);
                    }
                    let projects = self.load_projects(tx, &limit.owner().iter().collect::<Vec<_>>()).await?;
                    self.check_model(tx, std::slice::from_ref(&limit), &projects, registered.as_slice()).await?;
                    sql::update_limit(tx, &limit).await?;
                    Ok(limit)
                })
            })
            .await
    }

    /// Deletes a limit. 404 if there is none.
    pub async fn delete_limit(&self, _: &Allowed, id: &LimitId) -> Result<()> {
        self.foundation
            .db
            .write(|tx| {
                Box::pin(async move {
                    match sql::delete_limit(tx, id).await? {
                        0 => Err(not_found(id)),
                        _ => Ok(()),
                    }
                })
            })
            .await
    }

    /// The projects and domains that limits are for, by their ids.
    async fn load_projects(&self, tx: &mut Tx<'_>, owners: &[&Owner]) -> Result<HashMap<ProjectId, Project>> {
        let ids: HashSet<ProjectId> = owners
            .iter()
            .map(|owner| match owner {
                Owner::Project(id) => id.clone(),
                Owner::Domain(id) => ProjectId::from(&**id),
            })
            .collect();
        let found = self.resource.hold_projects_in(tx, &Vec::from_iter(ids)).await?;
        Ok(found.into_iter().map(|project| (project.id.clone(), project)).collect())
    }

    /// 403 if the enforcement model refuses one of these limits, whose registered limits are locked.
    async fn check_model(
        &self,
        tx: &mut Tx<'_>,
        limits: &[Limit],
        projects: &HashMap<ProjectId, Project>,
        registered: &[RegisteredLimit],
    ) -> Result<()> {
        if self.model() == EnforcementModel::Flat {
            return Ok(());
        }
        let asked: Vec<Bound> = limits.iter().filter_map(Limit::bound).collect();
        let domains: Vec<DomainId> = limits.iter().filter_map(|limit| limit.domain_id.clone()).collect();
        let used: HashSet<&RegisteredLimitId> = asked.iter().map(|bound| &bound.registered_limit_id).collect();
        let stored = sql::list_limits_of_registered(tx, &Vec::from_iter(used)).await?;
        let tree = Tree {
            parents: projects
                .values()
                .filter_map(|project| Some((project.id.clone(), project.parent_id.clone()?)))
                .collect(),
            children: self.resource.list_project_ids_of_domains_in(tx, &domains).await?,
            stored: stored
                .iter()
                .filter_map(Limit::bound)
                .map(|bound| ((bound.owner, bound.registered_limit_id), bound.value))
                .collect(),
            defaults: registered.iter().map(|limit| (limit.id.clone(), limit.default_limit)).collect(),
        };
        match tree.first_refused(&asked) {
            None => Ok(()),
            Some(refused) => Err(refusal(refused, registered)),
        }
    }
}

impl Limit {
    /// Whom it is for; a row of the reference may say nobody.
    fn owner(&self) -> Option<Owner> {
        match (&self.project_id, &self.domain_id) {
            (Some(id), _) => Some(Owner::Project(id.clone())),
            (None, Some(id)) => Some(Owner::Domain(id.clone())),
            (None, None) => None,
        }
    }

    fn bound(&self) -> Option<Bound> {
        let registered_limit_id = self.registered_limit_id.clone()?;
        Some(Bound { owner: self.owner()?, registered_limit_id, value: self.resource_limit })
    }
}

/// The row of a new limit: its owner is looked up, and its registered limit.
fn resolved(new: &NewLimit, projects: &HashMap<ProjectId, Project>, registered: &[RegisteredLimit]) -> Result<Limit> {
    let (project_id, domain_id) = match &new.owner {
        Owner::Project(id) => match projects.get(&**id) {
            Some(domain) if domain.is_domain => (None, Some(DomainId::from(&**id))),
            Some(_) => (Some(id.clone()), None),
            None => return Err(unknown_reference("project_id", "limit", id)),
        },
        Owner::Domain(id) => match projects.get(&**id) {
            Some(domain) if domain.is_domain => (None, Some(id.clone())),
            _ => return Err(unknown_reference("domain_id", "limit", id)),
        },
    };
    let replaced = registered.iter().find(|limit| {
        limit.service_id == new.service_id
            && limit.region_id == new.region_id
            && limit.resource_name == new.resource_name
    });
    let Some(replaced) = replaced else {
        return Err(Error::forbidden_open(format!(
            "Cannot create a limit of {}: it has no registered limit.",
            new.resource_name
        )));
    };
    Ok(Limit {
        id: new.id.clone(),
        project_id,
        domain_id,
        resource_limit: new.resource_limit,
        description: new.description.clone(),
        registered_limit_id: Some(replaced.id.clone()),
        service_id: Some(replaced.service_id.clone()),
        region_id: replaced.region_id.clone(),
        resource_name: Some(replaced.resource_name.clone()),
    })
}

fn refusal(refused: &Bound, registered: &[RegisteredLimit]) -> Error {
    let registered = registered.iter().find(|limit| limit.id == refused.registered_limit_id);
    let (resource, service) = registered.map_or(("", ""), |limit| (limit.resource_name.as_str(), &*limit.service_id));
    let (level, id) = match &refused.owner {
        Owner::Project(id) => ("project_id", &**id),
        Owner::Domain(id) => ("domain_id", &**id),
    };
    Error::forbidden_open(format!(
        "The resource_limit {} ({level}: {id}, resource_name: {resource}, service_id: {service}) does not fit the limits \
         above or below it in the tree of projects.",
        refused.value
    ))
}

fn visible_to(allowed: &Allowed) -> Visible {
    let caller = match allowed.requester() {
        Requester::User(caller) => caller,
        Requester::AdminToken | Requester::Internal(_) => return Visible::All,
        Requester::Nobody => return Visible::None,
    };
    if caller.roles.iter().any(|role| role == "admin" || role == "service") {
        return Visible::All;
    }
    match &caller.scope {
        Scope::System => Visible::All,
        Scope::Domain(id) => Visible::OfDomain(id.clone()),
        Scope::Project { id, .. } => Visible::OfProject(id.clone()),
        Scope::Unscoped => Visible::None,
    }
}

fn not_found(id: &LimitId) -> Error {
    Error::not_found("limit", id)
}
