//! Rules of registered limits (`keystone.limit.core`, `keystone.limit.backends.sql`). The reference tells of none of
//! them by an event.

use archstone_db::Tx;

use super::{Limits, RegisteredLimit, sql};
use crate::authz::Allowed;
use crate::error::{Error, Result};
use crate::id::{RegionId, RegisteredLimitId, ServiceId};
use crate::list::{Filter, ListQuery, Page};

/// What a registered limit's update changes: `None` leaves an attribute as it is.
#[derive(Clone, Debug, Default)]
pub struct RegisteredLimitPatch {
    /// Another service.
    pub service_id: Option<ServiceId>,
    /// Another region, or none any more.
    pub region_id: Option<Option<RegionId>>,
    /// Another resource.
    pub resource_name: Option<String>,
    /// Another default.
    pub default_limit: Option<i64>,
    /// Another description, or none any more.
    pub description: Option<Option<String>>,
}

impl Limits {
    /// The registered limit of this id, or 404.
    pub async fn require_registered_limit(&self, _: &Allowed, id: &RegisteredLimitId) -> Result<RegisteredLimit> {
        sql::get_registered(&self.foundation.db, id).await?.ok_or_else(|| not_found(id))
    }

    /// All registered limits, and the filters that are left to the caller.
    pub async fn list_registered_limits(
        &self,
        _: &Allowed,
        query: &ListQuery,
    ) -> Result<(Page<RegisteredLimit>, Vec<Filter>)> {
        sql::list_registered(&self.foundation.db, query).await
    }

    /// Makes registered limits, all or none. 400 for an unknown service or region, 409 if there is one for the same
    /// service, region and resource, also among the new ones.
    pub async fn create_registered_limits(
        &self,
        _: &Allowed,
        limits: Vec<RegisteredLimit>,
    ) -> Result<Vec<RegisteredLimit>> {
        let new = &limits;
        self.foundation
            .db
            .write(|tx| {
                Box::pin(async move {
                    let services: Vec<ServiceId> = new.iter().map(|limit| limit.service_id.clone()).collect();
                    let regions: Vec<RegionId> = new.iter().filter_map(|limit| limit.region_id.clone()).collect();
                    self.check_services(tx, "registered_limit", &services).await?;
                    self.check_regions(tx, "registered_limit", &regions).await?;
                    sql::insert_registered(tx, new).await?;
                    let ids: Vec<&RegisteredLimitId> = new.iter().map(|limit| &limit.id).collect();
                    if sql::any_registered_twice(tx, &ids).await? {
                        return Err(duplicate());
                    }
                    Ok(())
                })
            })
            .await?;
        Ok(limits)
    }

    /// Changes a registered limit. 400 for an unknown service or region, 404 if there is none, 403 while limits are made
    /// from it, 409 if the service, region and resource are those of one that exists: also of itself, as in the
    /// reference, when an update names what it is.
    pub async fn update_registered_limit(
        &self,
        _: &Allowed,
        id: &RegisteredLimitId,
        patch: &RegisteredLimitPatch,
    ) -> Result<RegisteredLimit> {
        self.foundation
            .db
            .write(|tx| {
                Box::pin(async move {
                    let region = patch.region_id.clone().flatten();
                    self.check_services(tx, "registered_limit", patch.service_id.as_slice()).await?;
                    self.check_regions(tx, "registered_limit", region.as_slice()).await?;
                    let mut limit = require_unused(tx, id).await?;
                    apply(&mut limit, patch);
                    if patch.service_id.is_some() || patch.region_id.is_some() || patch.resource_name.is_some() {
                        self.check_services(tx, "registered_limit", std::slice::from_ref(&limit.service_id)).await?;
                        if sql::any_registered_like(tx, &limit).await? {
                            return Err(duplicate());
                        }
                    }
                    sql::update_registered(tx, &limit).await?;
                    Ok(limit)
                })
            })
            .await
    }

    /// Deletes a registered limit. 404 if there is none, 403 while limits are made from it.
    pub async fn delete_registered_limit(&self, _: &Allowed, id: &RegisteredLimitId) -> Result<()> {
        self.foundation
            .db
            .write(|tx| {
                Box::pin(async move {
                    require_unused(tx, id).await?;
                    sql::delete_registered(tx, id).await
                })
            })
            .await
    }

    /// 400 for a service that does not exist. Others that write limits of these services wait from here on.
    pub(super) async fn check_services(&self, tx: &mut Tx<'_>, target: &str, services: &[ServiceId]) -> Result<()> {
        let known = self.catalog.take_services_in(tx, services).await?;
        match services.iter().find(|id| !known.contains(id)) {
            Some(unknown) => Err(unknown_reference("service_id", target, unknown)),
            None => Ok(()),
        }
    }

    /// 400 for a region that does not exist, or whose id is too long for the column.
    pub(super) async fn check_regions(&self, tx: &mut Tx<'_>, target: &str, regions: &[RegionId]) -> Result<()> {
        const LONGEST: usize = 64;
        if let Some(long) = regions.iter().find(|id| id.chars().count() > LONGEST) {
            return Err(Error::bad_request(format!(
                "The region_id {long} is too long for a {target}: its limit is {LONGEST} characters."
            )));
        }
        let known = self.catalog.hold_regions_in(tx, regions).await?;
        match regions.iter().find(|id| !known.contains(id)) {
            Some(unknown) => Err(unknown_reference("region_id", target, unknown)),
            None => Ok(()),
        }
    }
}

/// 400: an attribute names what does not exist.
pub(super) fn unknown_reference(attribute: &str, target: &str, id: &str) -> Error {
    Error::bad_request(format!("The {attribute} of the {target} names nothing that exists: {id}."))
}

/// The registered limit, locked: nobody makes a limit from it until the transaction ends. 404, or 403 if it is in use.
async fn require_unused(tx: &mut Tx<'_>, id: &RegisteredLimitId) -> Result<RegisteredLimit> {
    let limit = sql::take_registered(tx, id).await?.ok_or_else(|| not_found(id))?;
    if sql::any_limit_of(tx, id).await? {
        return Err(Error::forbidden_open(format!(
            "Cannot update or delete the registered limit {id}: there are project or domain limits made from it."
        )));
    }
    Ok(limit)
}

fn apply(limit: &mut RegisteredLimit, patch: &RegisteredLimitPatch) {
    if let Some(service_id) = &patch.service_id {
        limit.service_id.clone_from(service_id);
    }
    if let Some(region_id) = &patch.region_id {
        limit.region_id.clone_from(region_id);
    }
    if let Some(resource_name) = &patch.resource_name {
        limit.resource_name.clone_from(resource_name);
    }
    limit.default_limit = patch.default_limit.unwrap_or(limit.default_limit);
    if let Some(description) = &patch.description {
        limit.description.clone_from(description);
    }
}

fn not_found(id: &RegisteredLimitId) -> Error {
    Error::not_found("registered limit", id)
}

fn duplicate() -> Error {
    Error::conflict("registered_limit", "there is one for this service, region and resource")
}
