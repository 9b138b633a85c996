//! Rules of services (`keystone.catalog.core`).

use serde_json::{Map, Value};

use super::{Catalog, Service, sql};
use crate::authz::Allowed;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::freshness::Ref;
use crate::id::ServiceId;
use crate::list::{Filter, ListQuery, Page};

/// What a service's update changes: `None` leaves an attribute as it is.
#[derive(Clone, Debug, Default)]
pub struct ServicePatch {
    /// A new type.
    pub service_type: Option<String>,
    /// Shows or hides it.
    pub enabled: Option<bool>,
    /// Attributes to add or replace, the name among them.
    pub extra: Map<String, Value>,
}

impl Catalog {
    /// The service of this id, or 404.
    pub async fn require_service(&self, _: &Allowed, id: &ServiceId) -> Result<Service> {
        if let Some(file) = self.file() {
            return file.service(id).ok_or_else(|| Error::not_found("service", id));
        }
        sql::get_service(&self.foundation.db, id).await?.ok_or_else(|| Error::not_found("service", id))
    }

    /// All services, and the filters that are left to the caller.
    pub async fn list_services(&self, _: &Allowed, query: &ListQuery) -> Result<(Page<Service>, Vec<Filter>)> {
        if let Some(file) = self.file() {
            return Ok(file.services(query));
        }
        sql::list_services(&self.foundation.db, query).await
    }

    /// Makes a service. 409 if there is one of this id.
    pub async fn create_service(&self, allowed: &Allowed, service: Service) -> Result<Service> {
        self.check_stored()?;
        let new = &service;
        self.foundation
            .db
            .write(|tx| {
                Box::pin(async move {
                    sql::insert_service(tx, new).await?;
                    tx.touch(Ref::Catalog.into());
                    Ok::<_, Error>(())
                })
            })
            .await?;
        self.foundation.events.emit(Event::new("service", "created", &*service.id, allowed));
        Ok(service)
    }

    /// Changes a service. 404 if there is none.
    pub async fn update_service(&self, allowed: &Allowed, id: &ServiceId, patch: &ServicePatch) -> Result<Service> {
        self.check_stored()?;
        let updated = self
            .foundation
            .db
            .write(|tx| {
                Box::pin(async move {
                    sql::take_service(tx, id).await?;
                    let service = sql::get_service(&mut *tx, id).await?;
                    let mut service = service.ok_or_else(|| Error::not_found("service", id))?;
                    if patch.service_type.is_some() {
                        service.service_type.clone_from(&patch.service_type);
                    }
                    service.enabled = patch.enabled.unwrap_or(service.enabled);
                    service.extra.extend(patch.extra.clone());
                    sql::update_service(tx, &service).await?;
                    tx.touch(Ref::Catalog.into());
                    Ok::<_, Error>(service)
                })
            })
            .await?;
        self.foundation.events.emit(Event::new("service", "updated", &**id, allowed));
        Ok(updated)
    }

    /// Deletes a service with its endpoints. 404 if there is none.
    pub async fn delete_service(&self, allowed: &Allowed, id: &ServiceId) -> Result<()> {
        self.check_stored()?;
        self.foundation
            .db
            .write(|tx| {
                Box::pin(async move {
                    sql::take_service(tx, id).await?;
                    if sql::get_service(&mut *tx, id).await?.is_none() {
                        return Err(Error::not_found("service", id));
                    }
                    sql::delete_service(tx, id).await?;
                    tx.touch(Ref::Catalog.into());
                    Ok(())
                })
            })
            .await?;
        self.foundation.events.emit(Event::new("service", "deleted", &**id, allowed));
        Ok(())
    }
}
