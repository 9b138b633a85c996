//! Regions, services, endpoints and the catalog made of them.
//!
//! **Invariant:** every write touches [`Ref::Catalog`]: a catalog in memory depends on all of them at once.

mod region;
mod sql;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use crate::foundation::Foundation;
use crate::id::RegionId;

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

/// The door of the catalog.
#[derive(Clone)]
pub struct Catalog {
    foundation: Foundation,
}

impl Catalog {
    /// A door onto this foundation.
    pub fn new(foundation: Foundation) -> Catalog {
        Catalog { foundation }
    }
}
