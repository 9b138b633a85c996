//! Rules of endpoint groups: conditions on endpoints, and the projects whose catalogs they narrow
//! (`keystone.catalog.core`, `keystone.api.os_ep_filter`). The reference tells of none of this by an event.

use archstone_db::Tx;
use serde_json::{Map, Value};

use super::rendered::is_in_group;
use super::sql::{self, endpoint_filter};
use super::{Catalog, Endpoint};
use crate::authz::Allowed;
use crate::error::{Error, ErrorKind, Result};
use crate::freshness::Ref;
use crate::id::{EndpointGroupId, ProjectId};
use crate::list::{Filter, ListQuery, Page};
use crate::resource::Project;

/// What a group can ask of an endpoint.
const FILTERS: [&str; 3] = ["service_id", "region_id", "interface"];

/// All endpoints that have some attributes.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointGroup {
    /// Its id.
    pub id: EndpointGroupId,
    /// Its name, which others may have too.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The attributes that an endpoint must have, all of them; none, after an update, is every endpoint.
    pub filters: Map<String, Value>,
}

/// What an endpoint group's update changes: `None` leaves an attribute as it is.
#[derive(Clone, Debug, Default)]
pub struct EndpointGroupPatch {
    /// Another name.
    pub name: Option<String>,
    /// Another description, or none any more.
    pub description: Option<Option<String>>,
    /// Other filters, instead of all that there were.
    pub filters: Option<Map<String, Value>>,
}

impl Catalog {
    /// The endpoint group of this id, or 404.
    pub async fn require_endpoint_group(&self, _: &Allowed, id: &EndpointGroupId) -> Result<EndpointGroup> {
        self.check_stored()?;
        endpoint_filter::get_group(&self.foundation.db, id).await?.ok_or_else(|| not_found(id))
    }

    /// All endpoint groups, and the filters that are left to the caller.
    pub async fn list_endpoint_groups(
        &self,
        _: &Allowed,
        query: &ListQuery,
    ) -> Result<(Page<EndpointGroup>, Vec<Filter>)> {
        self.check_stored()?;
        endpoint_filter::list_groups(&self.foundation.db, query).await
    }

    /// Makes an endpoint group. 400 for no filters, or for others than an endpoint group can have.
    pub async fn create_endpoint_group(&self, _: &Allowed, group: EndpointGroup) -> Result<EndpointGroup> {
        self.check_stored()?;
        if group.filters.is_empty() {
            return Err(Error::bad_request("The attribute filters of an endpoint group is required, and not empty."));
        }
        check_filters(&group.filters)?;
        let new = &group;
        self.foundation
            .db
            .write(|tx| {
                Box::pin(async move {
                    endpoint_filter::insert_group(tx, new).await?;
                    tx.touch(Ref::Catalog.into());
                    Ok::<_, Error>(())
                })
            })
            .await?;
        Ok(group)
    }

    /// Changes an endpoint group. 404 if there is none, 400 for filters that an endpoint group cannot have.
    pub async fn update_endpoint_group(
        &self,
        _: &Allowed,
        id: &EndpointGroupId,
        patch: &EndpointGroupPatch,
    ) -> Result<EndpointGroup> {
        self.check_stored()?;
        patch.filters.as_ref().map_or(Ok(()), check_filters)?;
        self.foundation
            .db
            .write(|tx| {
                Box::pin(async move {
                    let mut group = require_in(tx, id).await?;
                    if let Some(name) = &patch.name {
                        group.name.clone_from(name);
                    }
                    if let Some(description) = &patch.description {
                        group.description.clone_from(description);
                    }
                    if let Some(filters) = &patch.filters {
                        group.filters.clone_from(filters);
                    }
                    endpoint_filter::update_group(tx, &group).await?;
                    tx.touch(Ref::Catalog.into());
                    Ok(group)
                })
            })
            .await
    }

    /// Deletes an endpoint group with its associations to projects. 404 if there is none.
    pub async fn delete_endpoint_group(&self, _: &Allowed, id: &EndpointGroupId) -> Result<()> {
        self.check_stored()?;
        self.foundation
            .db
            .write(|tx| {
                Box::pin(async move {
                    endpoint_filter::take_group(tx, id).await?;
                    if endpoint_filter::delete_group(tx, id).await? == 0 {
                        return Err(not_found(id));
                    }
                    tx.touch(Ref::Catalog.into());
                    Ok(())
                })
            })
            .await
    }

    /// The endpoints that have what a group asks for, enabled or not. 404 if there is no such group.
    pub async fn list_endpoints_of_group(&self, allowed: &Allowed, id: &EndpointGroupId) -> Result<Vec<Endpoint>> {
        self.check_stored()?;
        let mut endpoints = sql::list_all_endpoints(&self.foundation.db).await?;
        let group = self.require_endpoint_group(allowed, id).await?;
        endpoints.retain(|endpoint| is_in_group(endpoint, &group.filters));
        Ok(endpoints)
    }

    /// The projects that are associated with a group; none for a group that does not exist, as in the reference.
    pub async fn list_projects_of_endpoint_group(&self, _: &Allowed, id: &EndpointGroupId) -> Result<Vec<Project>> {
        self.check_stored()?;
        let projects = endpoint_filter::list_projects_of_group(&self.foundation.db, id).await?;
        self.resource.get_projects(&projects).await
    }

    /// The groups that are associated with a project. 404 if there is no such project.
    pub async fn list_endpoint_groups_of_project(
        &self,
        allowed: &Allowed,
        project_id: &ProjectId,
    ) -> Result<Vec<EndpointGroup>> {
        self.check_stored()?;
        let project = self.resource.require_project(allowed, project_id).await?;
        endpoint_filter::list_groups_of_project(&self.foundation.db, &project.id).await
    }

    /// 404 if there is no such project or group, or they are not associated.
    pub async fn check_endpoint_group_in_project(
        &self,
        allowed: &Allowed,
        id: &EndpointGroupId,
        project_id: &ProjectId,
    ) -> Result<()> {
        self.check_stored()?;
        let project = self.resource.require_project(allowed, project_id).await?;
        let group = self.require_endpoint_group(allowed, id).await?;
        if endpoint_filter::is_group_in_project(&self.foundation.db, &group.id, &project.id).await? {
            return Ok(());
        }
        Err(not_associated(id, project_id))
    }

    /// Lets a project see the endpoints of a group. 404 if there is no such project or group, 409 if it does already.
    pub async fn add_endpoint_group_to_project(
        &self,
        _: &Allowed,
        id: &EndpointGroupId,
        project_id: &ProjectId,
    ) -> Result<()> {
        self.check_stored()?;
        self.foundation
            .db
            .write(|tx| {
                Box::pin(async move {
                    let project = self.require_project_in(tx, project_id).await?;
                    let group = require_in(tx, id).await?;
                    endpoint_filter::insert_group_in_project(tx, &group.id, &project.id).await?;
                    tx.touch(Ref::Catalog.into());
                    Ok(())
                })
            })
            .await
    }

    /// Ends what [`Catalog::add_endpoint_group_to_project`] began. 404 if there is no such project or group, or they are
    /// not associated.
    pub async fn remove_endpoint_group_from_project(
        &self,
        _: &Allowed,
        id: &EndpointGroupId,
        project_id: &ProjectId,
    ) -> Result<()> {
        self.check_stored()?;
        self.foundation
            .db
            .write(|tx| {
                Box::pin(async move {
                    let project = self.require_project_in(tx, project_id).await?;
                    let group = require_in(tx, id).await?;
                    if endpoint_filter::delete_group_in_project(tx, &group.id, &project.id).await? == 0 {
                        return Err(not_associated(id, project_id));
                    }
                    tx.touch(Ref::Catalog.into());
                    Ok(())
                })
            })
            .await
    }
}

async fn require_in(tx: &mut Tx<'_>, id: &EndpointGroupId) -> Result<EndpointGroup> {
    if !endpoint_filter::take_group(tx, id).await? {
        return Err(not_found(id));
    }
    endpoint_filter::get_group(tx, id).await?.ok_or_else(|| not_found(id))
}

fn not_found(id: &EndpointGroupId) -> Error {
    Error::not_found("endpoint group", id)
}

fn not_associated(id: &EndpointGroupId, project_id: &ProjectId) -> Error {
    Error::new(ErrorKind::NotFound, format!("The endpoint group {id} is not associated with the project {project_id}."))
}

/// The reference's schema also lets `enabled` through, and its handler does not.
fn check_filters(filters: &Map<String, Value>) -> Result<()> {
    match filters.keys().find(|name| !FILTERS.contains(&name.as_str())) {
        None => Ok(()),
        Some(other) => Err(Error::bad_request(format!(
            "The filters of an endpoint_group are {}, not {other}.",
            FILTERS.join(" or ")
        ))),
    }
}
