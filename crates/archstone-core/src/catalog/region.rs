//! Rules of regions (`keystone.catalog.core`, `keystone.catalog.backends.sql`).

use archstone_db::Tx;

use super::{Catalog, Region, RegionPatch, sql};
use crate::authz::Allowed;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::freshness::Ref;
use crate::id::RegionId;
use crate::list::{Filter, ListQuery, Page};

impl Catalog {
    /// The region of this id, or 404.
    pub async fn require_region(&self, _: &Allowed, id: &RegionId) -> Result<Region> {
        if let Some(file) = self.file() {
            return file.region(id).ok_or_else(|| Error::not_found("region", id));
        }
        sql::get_region(&self.foundation.db, id).await?.ok_or_else(|| Error::not_found("region", id))
    }

    /// All regions, and the filters that are left to the caller.
    pub async fn list_regions(&self, _: &Allowed, query: &ListQuery) -> Result<(Page<Region>, Vec<Filter>)> {
        if let Some(file) = self.file() {
            return Ok(file.regions(query));
        }
        sql::list_regions(&self.foundation.db, query).await
    }

    /// Makes a region. 400 for an id that is too long, 409 if there is one of this id, 404 if there is no such parent.
    pub async fn create_region(&self, allowed: &Allowed, region: Region) -> Result<Region> {
        self.check_stored()?;
        check_id(&region.id)?;
        let new = &region;
        self.foundation
            .db
            .write(move |tx| {
                Box::pin(async move {
                    check_parent(tx, new.parent_region_id.as_ref()).await?;
                    sql::insert_region(tx, new).await?;
                    tx.touch(Ref::Catalog.into());
                    Ok::<_, Error>(())
                })
            })
            .await?;
        self.foundation.events.emit(Event::new("region", "created", &*region.id, allowed));
        Ok(region)
    }

    /// Changes a region. 404 for the region or its new parent, 400 if it would become its own ancestor.
    pub async fn update_region(&self, allowed: &Allowed, id: &RegionId, patch: &RegionPatch) -> Result<Region> {
        self.check_stored()?;
        let updated = self
            .foundation
            .db
            .write(move |tx| {
                Box::pin(async move {
                    sql::take_region(tx, id).await?;
                    if let Some(parent) = &patch.parent_region_id {
                        check_parent(tx, parent.as_ref()).await?;
                    }
                    let mut region =
                        sql::get_region(&mut *tx, id).await?.ok_or_else(|| Error::not_found("region", id))?;
                    if let Some(description) = patch.description.clone() {
                        region.description = description;
                    }
                    if let Some(parent) = patch.parent_region_id.clone() {
                        region.parent_region_id = parent;
                    }
                    region.extra.extend(patch.extra.clone());
                    check_no_circle(tx, &region).await?;
                    sql::update_region(tx, &region).await?;
                    tx.touch(Ref::Catalog.into());
                    Ok::<_, Error>(region)
                })
            })
            .await?;
        self.foundation.events.emit(Event::new("region", "updated", &**id, allowed));
        Ok(updated)
    }

    /// Deletes a region and those below it. 403 while any of them has endpoints.
    pub async fn delete_region(&self, allowed: &Allowed, id: &RegionId) -> Result<()> {
        self.check_stored()?;
        self.foundation
            .db
            .write(move |tx| {
                Box::pin(async move {
                    let mut subtree = sql::take_region_subtree(tx, id).await?;
                    if subtree.is_empty() {
                        return Err(Error::not_found("region", id));
                    }
                    if sql::any_endpoint_in(tx, &subtree).await? {
                        return Err(Error::forbidden_open(format!(
                            "Unable to delete region {id} because it or its child regions have associated endpoints."
                        )));
                    }
                    // Children first: a parent cannot go before them.
                    subtree.reverse();
                    sql::delete_regions(tx, &subtree).await?;
                    tx.touch(Ref::Catalog.into());
                    Ok(())
                })
            })
            .await?;
        self.foundation.events.emit(Event::new("region", "deleted", &**id, allowed));
        Ok(())
    }
}

/// 400 for an id that is too long for its column, which SQLite would not refuse.
pub(super) fn check_id(id: &RegionId) -> Result<()> {
    const LONGEST: usize = 255;
    if id.chars().count() <= LONGEST {
        return Ok(());
    }
    Err(Error::bad_request(format!("The id of a region is too long: its limit is {LONGEST} characters.")))
}

async fn check_parent(tx: &mut Tx<'_>, parent: Option<&RegionId>) -> Result<()> {
    match parent {
        Some(parent) if !sql::hold_region(tx, parent).await? => Err(Error::not_found("region", parent)),
        _ => Ok(()),
    }
}

async fn check_no_circle(tx: &mut Tx<'_>, region: &Region) -> Result<()> {
    let Some(parent) = &region.parent_region_id else { return Ok(()) };
    let below = sql::take_region_subtree(tx, &region.id).await?;
    if below.contains(parent) {
        return Err(Error::bad_request(format!(
            "The region {parent} cannot be the parent of {}: it is a part of it.",
            region.id
        )));
    }
    Ok(())
}
