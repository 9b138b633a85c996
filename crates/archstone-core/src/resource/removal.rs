//! What other subsystems look up and delete within their transactions.

use std::collections::HashMap;

use archstone_db::Tx;

use super::{Project, Resource, sql};
use crate::error::Result;
use crate::freshness::Ref;
use crate::id::{DomainId, ProjectId};

impl Resource {
    /// Has the row above all domains for itself until the transaction ends: for those who must take turns and have no
    /// row of their own.
    pub(crate) async fn take_root_in(&self, tx: &mut Tx<'_>) -> Result<()> {
        sql::take_projects(tx, &[sql::ROOT_DOMAIN.into()]).await
    }

    /// Has projects and domains for itself until the transaction ends, so that nobody puts anything into them while
    /// they are deleted.
    pub(crate) async fn take_projects_in(&self, tx: &mut Tx<'_>, ids: &[ProjectId]) -> Result<()> {
        sql::take_projects(tx, ids).await
    }

    /// Keeps a project or domain as it is until the transaction ends; false if there is none.
    pub(crate) async fn hold_project_in(&self, tx: &mut Tx<'_>, id: &str) -> Result<bool> {
        sql::hold_project(tx, id).await
    }

    /// The project or domain of this id, as the transaction sees it.
    pub(crate) async fn get_project_in(&self, tx: &mut Tx<'_>, id: &ProjectId) -> Result<Option<Project>> {
        sql::get_project(tx, id).await
    }

    /// The projects and domains of these ids that exist, and stay as they are until the transaction ends.
    pub(crate) async fn hold_projects_in(&self, tx: &mut Tx<'_>, ids: &[ProjectId]) -> Result<Vec<Project>> {
        sql::hold_projects(tx, ids).await?;
        sql::get_projects(tx, ids).await
    }

    /// The ids of all projects of each of these domains, as the transaction sees them.
    pub(crate) async fn list_project_ids_of_domains_in(
        &self,
        tx: &mut Tx<'_>,
        ids: &[DomainId],
    ) -> Result<HashMap<DomainId, Vec<ProjectId>>> {
        sql::project_ids_of_domains(tx, ids).await
    }

    /// All projects of a domain, as the transaction sees them; the domain itself is not among them.
    pub(crate) async fn list_projects_of_domain_in(&self, tx: &mut Tx<'_>, id: &DomainId) -> Result<Vec<Project>> {
        let ids = sql::project_ids_of_domain(&mut *tx, id).await?;
        sql::get_projects(tx, &ids).await
    }

    /// Whether a project has others below it.
    pub(crate) async fn has_children_in(&self, tx: &mut Tx<'_>, id: &ProjectId) -> Result<bool> {
        sql::has_children(tx, id).await
    }

    /// Deletes projects or domains with their tags and options. All that is below them must be among them.
    pub(crate) async fn delete_projects_in(&self, tx: &mut Tx<'_>, ids: &[ProjectId]) -> Result<()> {
        sql::delete_projects(tx, ids).await?;
        for id in ids {
            tx.touch(Ref::Project(id.clone()).into());
        }
        Ok(())
    }
}
