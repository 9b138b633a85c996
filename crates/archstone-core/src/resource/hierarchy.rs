//! The tree of projects.

use std::collections::HashMap;

use super::{Project, Resource, sql};
use crate::authz::Allowed;
use crate::error::Result;
use crate::id::{DomainId, ProjectId};

impl Resource {
    /// The ids above a project, the nearest first, up to and including its domain; empty for a domain.
    pub(crate) async fn list_parent_ids(&self, id: &ProjectId) -> Result<Vec<ProjectId>> {
        sql::parent_ids(&self.foundation.db, id).await
    }

    /// The ids of all projects below one, parents before children.
    pub(crate) async fn list_subtree_ids(&self, id: &ProjectId) -> Result<Vec<ProjectId>> {
        sql::subtree_ids(&self.foundation.db, id).await
    }

    /// The ids of some projects that are below another project, not right below their domain; this many at most.
    pub(crate) async fn list_ids_below_projects(&self, limit: u64) -> Result<Vec<ProjectId>> {
        sql::ids_below_projects(&self.foundation.db, limit).await
    }

    /// The ids of all projects of each of these domains.
    pub(crate) async fn list_project_ids_of_domains(
        &self,
        ids: &[DomainId],
    ) -> Result<HashMap<DomainId, Vec<ProjectId>>> {
        sql::project_ids_of_domains(&self.foundation.db, ids).await
    }

    /// The ids of all projects below each of these.
    pub(crate) async fn list_subtree_ids_of(&self, ids: &[ProjectId]) -> Result<HashMap<ProjectId, Vec<ProjectId>>> {
        sql::subtree_ids_of(&self.foundation.db, ids).await
    }

    /// The projects above one, the nearest first, up to and including its domain.
    pub async fn list_parents(&self, _: &Allowed, id: &ProjectId) -> Result<Vec<Project>> {
        Ok(sql::ancestry(&self.foundation.db, id).await?.into_iter().skip(1).collect())
    }

    /// All projects below one, parents before children.
    pub async fn list_subtree(&self, _: &Allowed, id: &ProjectId) -> Result<Vec<Project>> {
        sql::subtree(&self.foundation.db, id).await
    }
}
