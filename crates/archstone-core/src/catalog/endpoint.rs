//! Rules of endpoints (`keystone.catalog.core`, `keystone.api.endpoints`).

use archstone_db::Tx;
use serde_json::{Map, Value};

use super::region::check_id;
use super::url_template::UrlTemplate;
use super::{Catalog, Endpoint, Region, sql};
use crate::authz::Allowed;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::freshness::Ref;
use crate::id::{EndpointId, RegionId, ServiceId};
use crate::list::{Filter, ListQuery, Page};

/// What an endpoint's update changes: `None` leaves an attribute as it is.
#[derive(Clone, Debug, Default)]
pub struct EndpointPatch {
    /// `public`, `internal` or `admin`.
    pub interface: Option<String>,
    /// Another region, or none.
    pub region_id: Option<Option<RegionId>>,
    /// A region that is made if there is none; the old way to name one.
    pub region: Option<RegionId>,
    /// Another service.
    pub service_id: Option<ServiceId>,
    /// Another URL, which is not looked at: the reference doesn't either. A bad one leaves the catalogs.
    pub url: Option<String>,
    /// Shows or hides it.
    pub enabled: Option<bool>,
    /// Attributes to add or replace.
    pub extra: Map<String, Value>,
}

impl Catalog {
    /// The endpoint of this id, or 404.
    pub async fn require_endpoint(&self, _: &Allowed, id: &EndpointId) -> Result<Endpoint> {
        if let Some(file) = self.file() {
            return file.endpoint(id).ok_or_else(|| Error::not_found("endpoint", id));
        }
        sql::get_endpoint(&self.foundation.db, id).await?.ok_or_else(|| Error::not_found("endpoint", id))
    }

    /// All endpoints, and the filters that are left to the caller.
    pub async fn list_endpoints(&self, _: &Allowed, query: &ListQuery) -> Result<(Page<Endpoint>, Vec<Filter>)> {
        if let Some(file) = self.file() {
            return Ok(file.endpoints(query));
        }
        sql::list_endpoints(&self.foundation.db, query).await
    }

    /// Makes an endpoint, and `region` if it is named and there is no such region. 400 for an unknown region or
    /// service, or a URL with places for what is not known.
    pub async fn create_endpoint(
        &self,
        allowed: &Allowed,
        mut endpoint: Endpoint,
        region: Option<RegionId>,
    ) -> Result<Endpoint> {
        self.check_stored()?;
        if let Err(reason) = UrlTemplate::parse(&endpoint.url) {
            return Err(Error::bad_request(format!("The URL of the endpoint is not usable: {reason}.")));
        }
        let region = region.filter(|_| endpoint.region_id.is_none());
        if region.is_some() {
            endpoint.region_id.clone_from(&region);
        }
        let new = &endpoint;
        let made_region = self
            .foundation
            .db
            .write(|tx| {
                let region = region.as_ref();
                Box::pin(async move {
                    let made_region = make_region(tx, region).await?;
                    check_region(tx, new.region_id.as_ref()).await?;
                    check_service(tx, &new.service_id).await?;
                    sql::insert_endpoint(tx, new).await?;
                    tx.touch(Ref::Catalog.into());
                    Ok::<_, Error>(made_region)
                })
            })
            .await?;
        self.emit_region(allowed, made_region.as_ref());
        self.foundation.events.emit(Event::new("endpoint", "created", &*endpoint.id, allowed));
        Ok(endpoint)
    }

    /// Changes an endpoint. 400 for an unknown region or service, 404 for the endpoint.
    pub async fn update_endpoint(&self, allowed: &Allowed, id: &EndpointId, patch: &EndpointPatch) -> Result<Endpoint> {
        self.check_stored()?;
        let (updated, made_region) = self
            .foundation
            .db
            .write(|tx| {
                Box::pin(async move {
                    sql::take_endpoint(tx, id).await?;
                    let region = patch.region.as_ref().filter(|_| !matches!(patch.region_id, Some(Some(_))));
                    let made_region = make_region(tx, region).await?;
                    check_region(tx, patch.region_id.as_ref().and_then(Option::as_ref)).await?;
                    if let Some(service_id) = &patch.service_id {
                        check_service(tx, service_id).await?;
                    }
                    let endpoint = sql::get_endpoint(&mut *tx, id).await?;
                    let mut endpoint = endpoint.ok_or_else(|| Error::not_found("endpoint", id))?;
                    patched(&mut endpoint, patch, region);
                    sql::update_endpoint(tx, &endpoint).await?;
                    tx.touch(Ref::Catalog.into());
                    Ok::<_, Error>((endpoint, made_region))
                })
            })
            .await?;
        self.emit_region(allowed, made_region.as_ref());
        self.foundation.events.emit(Event::new("endpoint", "updated", &**id, allowed));
        Ok(updated)
    }

    /// Deletes an endpoint with its associations to projects. 404 if there is none.
    pub async fn delete_endpoint(&self, allowed: &Allowed, id: &EndpointId) -> Result<()> {
        self.check_stored()?;
        self.foundation
            .db
            .write(|tx| {
                Box::pin(async move {
                    sql::take_endpoint(tx, id).await?;
                    if sql::delete_endpoint(tx, id).await? == 0 {
                        return Err(Error::not_found("endpoint", id));
                    }
                    tx.touch(Ref::Catalog.into());
                    Ok(())
                })
            })
            .await?;
        self.foundation.events.emit(Event::new("endpoint", "deleted", &**id, allowed));
        Ok(())
    }

    fn emit_region(&self, allowed: &Allowed, made: Option<&RegionId>) {
        if let Some(region) = made {
            self.foundation.events.emit(Event::new("region", "created", &**region, allowed));
        }
    }
}

fn patched(endpoint: &mut Endpoint, change: &EndpointPatch, region: Option<&RegionId>) {
    if let Some(interface) = &change.interface {
        endpoint.interface.clone_from(interface);
    }
    if let Some(region_id) = &change.region_id {
        endpoint.region_id.clone_from(region_id);
    }
    if let Some(region) = region {
        endpoint.region_id = Some(region.clone());
    }
    if let Some(service_id) = &change.service_id {
        endpoint.service_id.clone_from(service_id);
    }
    if let Some(url) = &change.url {
        endpoint.url.clone_from(url);
    }
    endpoint.enabled = change.enabled.unwrap_or(endpoint.enabled);
    endpoint.extra.extend(change.extra.clone());
}

/// Makes the region unless there is one; its id if it was made.
async fn make_region(tx: &mut Tx<'_>, region: Option<&RegionId>) -> Result<Option<RegionId>> {
    let Some(id) = region else { return Ok(None) };
    if sql::get_region(&mut *tx, id).await?.is_some() {
        return Ok(None);
    }
    check_id(id)?;
    let region = Region { id: id.clone(), description: String::new(), parent_region_id: None, extra: Map::new() };
    sql::insert_region(tx, &region).await?;
    Ok(Some(region.id))
}

async fn check_region(tx: &mut Tx<'_>, region_id: Option<&RegionId>) -> Result<()> {
    match region_id {
        Some(id) if !sql::hold_region(tx, id).await? => {
            Err(Error::bad_request(format!("The endpoint's region_id names no region: {id}.")))
        }
        _ => Ok(()),
    }
}

async fn check_service(tx: &mut Tx<'_>, service_id: &ServiceId) -> Result<()> {
    if sql::hold_service(tx, service_id).await? {
        return Ok(());
    }
    Err(Error::bad_request(format!("The endpoint's service_id names no service: {service_id}.")))
}
