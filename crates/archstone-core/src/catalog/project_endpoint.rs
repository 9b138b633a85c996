//! Rules of associations of projects with endpoints, which narrow the projects' catalogs (`keystone.catalog.core`,
//! `keystone.api.os_ep_filter`).

use archstone_db::Tx;

use super::sql::{self, endpoint_filter};
use super::{Catalog, Endpoint};
use crate::authz::Allowed;
use crate::error::{Error, ErrorKind, Result};
use crate::freshness::Ref;
use crate::id::{EndpointId, ProjectId};
use crate::resource::Project;

impl Catalog {
    /// The endpoints that a project is associated with, by itself or by a group, enabled or not. 404 if there is no such
    /// project.
    pub async fn list_endpoints_of_project(&self, allowed: &Allowed, project_id: &ProjectId) -> Result<Vec<Endpoint>> {
        self.check_stored()?;
        let project = self.resource.require_project(allowed, project_id).await?;
        let filters = endpoint_filter::project_filters(&self.foundation.db, std::slice::from_ref(&project.id)).await?;
        let filter = filters.into_values().next().unwrap_or_default();
        let mut endpoints = sql::list_all_endpoints(&self.foundation.db).await?;
        endpoints.retain(|endpoint| filter.lets_see(endpoint));
        Ok(endpoints)
    }

    /// The projects that an endpoint is associated with, by themselves. 404 if there is no such endpoint.
    pub async fn list_projects_of_endpoint(&self, allowed: &Allowed, id: &EndpointId) -> Result<Vec<Project>> {
        self.check_stored()?;
        let endpoint = self.require_endpoint(allowed, id).await?;
        let projects = endpoint_filter::list_projects_of_endpoint(&self.foundation.db, &endpoint.id).await?;
        self.resource.get_projects(&projects).await
    }

    /// 404 if there is no such endpoint or project, or they are not associated.
    pub async fn check_endpoint_in_project(
        &self,
        allowed: &Allowed,
        id: &EndpointId,
        project_id: &ProjectId,
    ) -> Result<()> {
        self.check_stored()?;
        let endpoint = self.require_endpoint(allowed, id).await?;
        let project = self.resource.require_project(allowed, project_id).await?;
        if endpoint_filter::is_endpoint_in_project(&self.foundation.db, &endpoint.id, &project.id).await? {
            return Ok(());
        }
        Err(not_associated(id, project_id))
    }

    /// Lets a project see an endpoint, and of the others only those that it is associated with. 404 if there is no such
    /// endpoint or project, 409 if it does already.
    pub async fn add_endpoint_to_project(&self, _: &Allowed, id: &EndpointId, project_id: &ProjectId) -> Result<()> {
        self.check_stored()?;
        self.foundation
            .db
            .write(|tx| {
                Box::pin(async move {
                    sql::take_endpoint(tx, id).await?;
                    let endpoint = sql::get_endpoint(&mut *tx, id).await?;
                    let endpoint = endpoint.ok_or_else(|| Error::not_found("endpoint", id))?;
                    let project = self.require_project_in(tx, project_id).await?;
                    endpoint_filter::insert_endpoint_in_project(tx, &endpoint, &project.id).await?;
                    tx.touch(Ref::Catalog.into());
                    Ok(())
                })
            })
            .await
    }

    /// Ends what [`Catalog::add_endpoint_to_project`] began. 404 if they are not associated.
    pub async fn remove_endpoint_from_project(
        &self,
        _: &Allowed,
        id: &EndpointId,
        project_id: &ProjectId,
    ) -> Result<()> {
        self.check_stored()?;
        self.foundation
            .db
            .write(|tx| {
                Box::pin(async move {
                    if endpoint_filter::delete_endpoint_in_project(tx, id, project_id).await? == 0 {
                        return Err(not_associated(id, project_id));
                    }
                    tx.touch(Ref::Catalog.into());
                    Ok(())
                })
            })
            .await
    }

    /// The project, which stays until the transaction ends, or 404.
    pub(super) async fn require_project_in(&self, tx: &mut Tx<'_>, id: &ProjectId) -> Result<Project> {
        if !self.resource.hold_project_in(tx, id).await? {
            return Err(Error::not_found("project", id));
        }
        self.resource.get_project_in(tx, id).await?.ok_or_else(|| Error::not_found("project", id))
    }
}

fn not_associated(id: &EndpointId, project_id: &ProjectId) -> Error {
    Error::new(ErrorKind::NotFound, format!("Endpoint {id} not found in project {project_id}."))
}
