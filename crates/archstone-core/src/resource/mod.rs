//! Projects and domains: who owns what, in a tree.
//!
//! A domain is a row of the project table whose own domain is the sentinel [`sql::ROOT_DOMAIN`]; a project has a domain
//! and a parent, which is another project of that domain or the domain itself.
//!
//! **Invariant:** the root row, which only exists so that a domain's `domain_id` is never null, is never shown.
//!
//! **Invariant:** every change of a row touches [`Ref::Project`](crate::freshness::Ref::Project) with its id, also for a
//! domain.
//!
//! Deleting is not here: it concerns every other subsystem, see [`cascade`](crate::cascade).

mod domain;
mod hierarchy;
mod known;
mod project;
mod remembered;
mod removal;
mod rules;
pub(crate) mod sql;
mod tag;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::foundation::Foundation;
use crate::id::{DomainId, ProjectId};

pub(crate) use known::Place;
pub use project::ProjectPatch;
pub use sql::TagFilter;

/// The name of the one resource option that projects and domains have.
pub const IMMUTABLE: &str = "immutable";

/// A project, or a domain seen as one.
#[derive(Clone, Debug, PartialEq)]
pub struct Project {
    /// Its id; a domain's is also the `domain_id` of what the domain owns.
    pub id: ProjectId,
    /// Its name, unique in its domain; a domain's is unique among domains.
    pub name: String,
    /// The domain that it belongs to; none for a domain.
    pub domain_id: Option<DomainId>,
    /// What it is for.
    pub description: Option<String>,
    /// Whether its tokens count.
    pub enabled: bool,
    /// The project or domain above it; none for a domain.
    pub parent_id: Option<ProjectId>,
    /// Whether it is a domain.
    pub is_domain: bool,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// Resource options: `immutable`.
    pub options: Map<String, Value>,
    /// What the caller added.
    pub extra: Map<String, Value>,
}

/// A domain: a name space for users, groups and projects.
#[derive(Clone, Debug, PartialEq)]
pub struct Domain {
    /// Its id.
    pub id: DomainId,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Whether those who belong to it may log in, and its projects be used.
    pub enabled: bool,
    /// Words to find it by.
    pub tags: Vec<String>,
    /// Resource options: `immutable`.
    pub options: Map<String, Value>,
    /// What the caller added.
    pub extra: Map<String, Value>,
}

impl Project {
    /// A new one that is enabled and has nothing but a name and a place: in this domain, or none for a domain.
    pub fn named(name: &str, domain_id: Option<DomainId>) -> Project {
        Project {
            id: ProjectId::new_random(),
            name: name.to_owned(),
            is_domain: domain_id.is_none(),
            domain_id,
            description: Some(String::new()),
            enabled: true,
            parent_id: None,
            tags: Vec::new(),
            options: Map::new(),
            extra: Map::new(),
        }
    }

    /// Whether it may not be changed or deleted.
    pub(crate) fn is_immutable(&self) -> bool {
        self.options.get(IMMUTABLE).and_then(Value::as_bool).unwrap_or(false)
    }

    /// The domain that this row is; none for a project.
    pub(crate) fn into_domain(self) -> Option<Domain> {
        self.is_domain.then(|| Domain {
            id: DomainId::from(String::from(self.id)),
            name: self.name,
            description: self.description,
            enabled: self.enabled,
            tags: self.tags,
            options: self.options,
            extra: self.extra,
        })
    }
}

impl From<Domain> for Project {
    fn from(domain: Domain) -> Project {
        Project {
            id: ProjectId::from(String::from(domain.id)),
            name: domain.name,
            domain_id: None,
            description: domain.description,
            enabled: domain.enabled,
            parent_id: None,
            is_domain: true,
            tags: domain.tags,
            options: domain.options,
            extra: domain.extra,
        }
    }
}

/// The door of projects and domains.
#[derive(Clone)]
pub struct Resource {
    foundation: Foundation,
    remembered: Arc<remembered::Remembered>,
    /// Those that tokens need.
    places: known::Places,
}

impl Resource {
    /// A door onto this foundation.
    pub fn new(foundation: Foundation) -> Resource {
        let remembered = Arc::new(remembered::Remembered::new(&foundation));
        Resource { places: known::places(&foundation), foundation, remembered }
    }
}
