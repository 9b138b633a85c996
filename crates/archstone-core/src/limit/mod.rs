//! Unified limits: how much of a resource a project or a domain may use. Services ask for them, and enforce them;
//! nothing here counts what is used.
//!
//! A *registered limit* is the default for a resource of a service, in one region or in all that have none of their own.
//! A *limit* replaces it for one project, or for one domain.
//!
//! **Invariant:** a limit has a registered limit, and one that limits are made from is neither changed nor deleted.
//!
//! **Invariant:** there is one registered limit for a service, a region and a name, and one limit of it for a project or
//! domain. The tables have no keys for this: writers of the same service take turns.

mod model;
mod project_limit;
mod registered_limit;
mod sql;
#[cfg(test)]
mod tests;

use crate::catalog::Catalog;
use crate::config::EnforcementModel;
use crate::error::{Error, Result};
use crate::foundation::Foundation;
use crate::id::{DomainId, LimitId, ProjectId, RegionId, RegisteredLimitId, ServiceId};
use crate::resource::Resource;

pub use project_limit::{LimitPatch, NewLimit};
pub use registered_limit::RegisteredLimitPatch;

/// The default for a resource of a service.
#[derive(Clone, Debug, PartialEq)]
pub struct RegisteredLimit {
    /// Its id.
    pub id: RegisteredLimitId,
    /// The service that the resource belongs to.
    pub service_id: ServiceId,
    /// The region that it is for.
    pub region_id: Option<RegionId>,
    /// What is limited: `cores`, `volume` …
    pub resource_name: String,
    /// How much of it; -1 is without bound.
    pub default_limit: i64,
    /// What it is for.
    pub description: Option<String>,
}

/// A limit of one project or domain. What it limits is said by its registered limit.
#[derive(Clone, Debug, PartialEq)]
pub struct Limit {
    /// Its id.
    pub id: LimitId,
    /// The project that it is for.
    pub project_id: Option<ProjectId>,
    /// The domain that it is for, if it is for none.
    pub domain_id: Option<DomainId>,
    /// How much; -1 is without bound.
    pub resource_limit: i64,
    /// What it is for.
    pub description: Option<String>,
    /// What it replaces.
    pub registered_limit_id: Option<RegisteredLimitId>,
    /// The service of its registered limit.
    pub service_id: Option<ServiceId>,
    /// The region of its registered limit.
    pub region_id: Option<RegionId>,
    /// The resource of its registered limit.
    pub resource_name: Option<String>,
}

/// Whom a limit is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// A project.
    Project(ProjectId),
    /// A domain.
    Domain(DomainId),
}

/// The door of unified limits.
#[derive(Clone)]
pub struct Limits {
    foundation: Foundation,
    resource: Resource,
    catalog: Catalog,
}

impl Limits {
    /// A door onto this foundation and these doors.
    pub fn new(foundation: Foundation, resource: Resource, catalog: Catalog) -> Limits {
        Limits { foundation, resource, catalog }
    }

    /// The configured enforcement model.
    pub fn model(&self) -> EnforcementModel {
        self.foundation.config.unified_limit.enforcement_model
    }

    /// An error if the tree of projects is deeper than the enforcement model knows: such a service does not start.
    /// (The reference lets make what it then does not start with, and so it is here.)
    pub async fn check_tree_depth(&self) -> Result<()> {
        const NAMED: u64 = 10;
        if self.model() == EnforcementModel::Flat {
            return Ok(());
        }
        let deep = self.resource.list_ids_below_projects(NAMED).await?;
        if deep.is_empty() {
            return Ok(());
        }
        Err(Error::internal(format!(
            "[unified_limit] enforcement_model is {}, which knows domains and the projects right below them, but there \
             are projects below projects: {}. Choose another model.",
            self.model().as_str(),
            deep.join(", ")
        )))
    }
}
