//! The tree of projects.

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

    /// The ids of all projects of a domain.
    pub(crate) async fn list_project_ids_of_domain(&self, id: &DomainId) -> Result<Vec<ProjectId>> {
        sql::project_ids_of_domain(&self.foundation.db, id).await
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
