//! Regions, services, endpoints, what narrows them for a project, and the catalog made of them.
//!
//! What catalogs are made of is kept in memory, prepared, until one of them is touched. With `[catalog] driver =
//! templated` it is a file, and none of the tables is looked at.
//!
//! **Invariant:** every write touches [`Ref::Catalog`]: a catalog in memory depends on all of them at once.

mod endpoint;
mod endpoint_group;
mod known;
mod lookup;
mod project_endpoint;
mod region;
mod rendered;
mod service;
mod sql;
mod template_file;
mod templated;
#[cfg(test)]
mod tests;
mod url_template;

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::config::CatalogDriver;
use crate::error::Result;
use crate::foundation::Foundation;
use crate::id::{EndpointId, RegionId, ServiceId};
use crate::resource::Resource;

pub use endpoint::EndpointPatch;
pub use endpoint_group::{EndpointGroup, EndpointGroupPatch};
pub use known::RenderCatalog;
pub use rendered::{CatalogEndpoint, CatalogService, CatalogTables, ProjectFilter, Substitutions, render};
pub use service::ServicePatch;
pub use templated::check_template_file;

/// A region: a place in a tree of places. Ids are the caller's choice.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// Its id, chosen by whoever made it.
    pub id: RegionId,
    /// What it is for; never null in the table.
    pub description: String,
    /// The region that it is part of.
    pub parent_region_id: Option<RegionId>,
    /// What the caller added.
    pub extra: Map<String, Value>,
}

/// What a region's update changes: `None` leaves an attribute as it is.
#[derive(Clone, Debug, Default)]
pub struct RegionPatch {
    /// A new description.
    pub description: Option<String>,
    /// A new parent, or none any more.
    pub parent_region_id: Option<Option<RegionId>>,
    /// Attributes to add or replace.
    pub extra: Map<String, Value>,
}

/// A service: what endpoints are endpoints of.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Its id.
    pub id: ServiceId,
    /// `compute`, `identity` …
    pub service_type: Option<String>,
    /// Whether it shows in catalogs.
    pub enabled: bool,
    /// What the caller added, and the name, which has no column.
    pub extra: Map<String, Value>,
}

impl Service {
    /// Its name; empty if it has none.
    pub fn name(&self) -> &str {
        self.extra.get("name").and_then(Value::as_str).unwrap_or_default()
    }
}

/// An endpoint: where a service answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// `public`, `internal` or `admin`.
    pub interface: String,
    /// The region that it is in.
    pub region_id: Option<RegionId>,
    /// The service that answers there.
    pub service_id: ServiceId,
    /// A URL with places for `$(project_id)s` and the like.
    pub url: String,
    /// Whether it shows in catalogs.
    pub enabled: bool,
    /// What the caller added.
    pub extra: Map<String, Value>,
}

/// The door of the catalog.
#[derive(Clone)]
pub struct Catalog {
    foundation: Foundation,
    resource: Resource,
    memories: known::Memories,
    /// The file, where the catalog is one.
    templated: Option<Arc<templated::Templated>>,
}

impl Catalog {
    /// A door onto this foundation and this door.
    ///
    /// # Errors
    /// A file of a `templated` catalog that cannot be used.
    pub fn new(foundation: Foundation, resource: Resource) -> Result<Catalog> {
        let templated = match foundation.config.catalog.driver {
            CatalogDriver::Sql => None,
            CatalogDriver::Templated => Some(Arc::new(templated::Templated::open(&foundation.config)?)),
        };
        Ok(Catalog { memories: known::Memories::new(&foundation), foundation, resource, templated })
    }
}
