//! Which endpoints a policy is for (`keystone.endpoint_policy.core`).
//!
//! A policy is associated with an endpoint, with all endpoints of a service, or with those of a service in a region and
//! the regions below it. The nearest to the endpoint counts, in this order: itself, its region, the regions above, its
//! service. The reference tells of none of this by an event.

use std::collections::HashMap;

use archstone_db::Tx;

use super::{Policies, Policy, not_found, sql};
use crate::authz::Allowed;
use crate::catalog::{Endpoint, Region};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{EndpointId, PolicyId, RegionId, ServiceId};
use crate::list::ListQuery;

/// What a policy is associated with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyTarget {
    /// One endpoint.
    Endpoint(EndpointId),
    /// All endpoints of a service.
    Service(ServiceId),
    /// The endpoints of a service in a region, and in those below it.
    ServiceInRegion(ServiceId, RegionId),
}

impl Policies {
    /// 404 if there is no such policy or target, or they are not associated.
    pub async fn check_association(&self, allowed: &Allowed, id: &PolicyId, target: &PolicyTarget) -> Result<()> {
        let policy = self.require_policy(allowed, id).await?;
        self.check_target(allowed, target).await?;
        if sql::is_associated(&self.foundation.db, &policy.id, target).await? {
            return Ok(());
        }
        Err(Error::new(ErrorKind::NotFound, "The policy is not associated with it."))
    }

    /// Makes a policy the one of a target, instead of any other. 404 if there is no such policy or target.
    pub async fn create_association(&self, allowed: &Allowed, id: &PolicyId, target: &PolicyTarget) -> Result<()> {
        self.require_policy(allowed, id).await?;
        let service = self.check_target(allowed, target).await?;
        let service = &service;
        self.foundation
            .db
            .write(|tx| {
                Box::pin(async move {
                    // Who associates something of this service waits here, so that no target has two policies.
                    self.hold_target(tx, target, service).await?;
                    sql::take_policy(tx, id).await?.ok_or_else(|| not_found(id))?;
                    sql::upsert_association(tx, id, target).await
                })
            })
            .await
    }

    /// Ends an association. 404 if there is no such policy or target; nothing if they are not associated.
    pub async fn delete_association(&self, allowed: &Allowed, id: &PolicyId, target: &PolicyTarget) -> Result<()> {
        self.require_policy(allowed, id).await?;
        self.check_target(allowed, target).await?;
        self.foundation.db.write(|tx| Box::pin(sql::delete_association(tx, id, target))).await
    }

    /// The endpoints for which a policy is, each once; also those for which a nearer one counts. 404 if there is no such
    /// policy.
    pub async fn list_endpoints_of_policy(&self, allowed: &Allowed, id: &PolicyId) -> Result<Vec<Endpoint>> {
        let policy = self.require_policy(allowed, id).await?;
        let targets = sql::list_targets(&self.foundation.db, &policy.id).await?;
        let parents = self.load_parents(allowed).await?;
        let (page, _) = self.catalog.list_endpoints(allowed, &ListQuery::default()).await?;
        let mut endpoints = page.items;
        endpoints.retain(|endpoint| targets.iter().any(|target| is_in(endpoint, target, &parents)));
        Ok(endpoints)
    }

    /// The policy that counts for an endpoint. 404 if there is no such endpoint, or no policy for it.
    pub async fn require_policy_of_endpoint(&self, allowed: &Allowed, id: &EndpointId) -> Result<Policy> {
        let endpoint = self.catalog.require_endpoint(allowed, id).await?;
        let associations = sql::list_associations_of_endpoint(&self.foundation.db, &endpoint).await?;
        let parents = self.load_parents(allowed).await?;
        let service = &endpoint.service_id;
        let by_region = endpoint.region_id.iter().flat_map(|region| with_those_above(region, &parents));
        let nearest_first = [PolicyTarget::Endpoint(endpoint.id.clone())]
            .into_iter()
            .chain(by_region.map(|region| PolicyTarget::ServiceInRegion(service.clone(), region.clone())))
            .chain([PolicyTarget::Service(service.clone())]);
        for target in nearest_first {
            if let Some((_, policy)) = associations.iter().find(|(known, _)| *known == target) {
                return self.require_policy(allowed, policy).await;
            }
        }
        Err(Error::new(ErrorKind::NotFound, format!("No policy is associated with endpoint {id}.")))
    }

    /// 404 for an endpoint, service or region that does not exist, 400 for a region whose id is too long for the column;
    /// the service of what does.
    async fn check_target(&self, allowed: &Allowed, target: &PolicyTarget) -> Result<ServiceId> {
        const LONGEST: usize = 64;
        match target {
            PolicyTarget::Endpoint(id) => Ok(self.catalog.require_endpoint(allowed, id).await?.service_id),
            PolicyTarget::Service(id) => Ok(self.catalog.require_service(allowed, id).await?.id),
            PolicyTarget::ServiceInRegion(service, region) => {
                let service = self.catalog.require_service(allowed, service).await?;
                self.catalog.require_region(allowed, region).await?;
                if region.chars().count() > LONGEST {
                    return Err(Error::bad_request(format!(
                        "The region_id {region} is too long for an association: its limit is {LONGEST} characters."
                    )));
                }
                Ok(service.id)
            }
        }
    }

    /// 404 for a service, region or endpoint that is deleted meanwhile.
    async fn hold_target(&self, tx: &mut Tx<'_>, target: &PolicyTarget, service: &ServiceId) -> Result<()> {
        if self.catalog.take_services_in(tx, std::slice::from_ref(service)).await?.is_empty() {
            return Err(Error::not_found("service", service));
        }
        match target {
            PolicyTarget::Endpoint(id) if !self.catalog.hold_endpoint_in(tx, id).await? => {
                Err(Error::not_found("endpoint", id))
            }
            PolicyTarget::ServiceInRegion(_, id)
                if self.catalog.hold_regions_in(tx, std::slice::from_ref(id)).await?.is_empty() =>
            {
                Err(Error::not_found("region", id))
            }
            _ => Ok(()),
        }
    }

    /// What is above each region.
    async fn load_parents(&self, allowed: &Allowed) -> Result<HashMap<RegionId, RegionId>> {
        let (page, _) = self.catalog.list_regions(allowed, &ListQuery::default()).await?;
        let parent = |region: Region| Some((region.id, region.parent_region_id?));
        Ok(page.items.into_iter().filter_map(parent).collect())
    }
}

/// The region and those above it, the nearest first. A circle, which only another program can have written, ends.
fn with_those_above<'a>(region: &'a RegionId, parents: &'a HashMap<RegionId, RegionId>) -> Vec<&'a RegionId> {
    let mut above = vec![region];
    while let Some(parent) = above.last().and_then(|last| parents.get(*last))
        && !above.contains(&parent)
    {
        above.push(parent);
    }
    above
}

fn is_in(endpoint: &Endpoint, target: &PolicyTarget, parents: &HashMap<RegionId, RegionId>) -> bool {
    match target {
        PolicyTarget::Endpoint(id) => endpoint.id == *id,
        PolicyTarget::Service(service) => endpoint.service_id == *service,
        PolicyTarget::ServiceInRegion(service, region) => {
            let mut regions = endpoint.region_id.iter().flat_map(|own| with_those_above(own, parents));
            endpoint.service_id == *service && regions.any(|above| above == region)
        }
    }
}
