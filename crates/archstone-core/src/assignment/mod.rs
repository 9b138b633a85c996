//! Roles, who has them where, and which of them count.
//!
//! **Invariant:** a user's id never stands for a group's: every query of assignments names the kind of the actor
//! together with its id (OSSA-2014-015).

mod effective;
mod grant;
mod role;
mod sql;

use serde_json::{Map, Value};

use crate::foundation::Foundation;
use crate::id::{DomainId, RoleId};
use crate::identity::Identity;
use crate::resource::Resource;

pub use effective::{EffectiveRole, RoleGraph};
pub use grant::{Actor, Grant, GrantTarget};

/// A role. One with a domain only implies others: it never shows in a token.
#[derive(Clone, Debug, PartialEq)]
pub struct Role {
    /// Its id.
    pub id: RoleId,
    /// Its name, unique in its domain, or among the global ones.
    pub name: String,
    /// The domain that it belongs to; none for a global role.
    pub domain_id: Option<DomainId>,
    /// What it is for.
    pub description: Option<String>,
    /// Resource options: `immutable`.
    pub options: Map<String, Value>,
    /// What the caller added.
    pub extra: Map<String, Value>,
}

/// The door of roles and assignments.
#[derive(Clone)]
pub struct Assignment {
    foundation: Foundation,
    resource: Resource,
    identity: Identity,
}

impl Assignment {
    /// A door onto this foundation.
    pub fn new(foundation: Foundation, resource: Resource, identity: Identity) -> Assignment {
        Assignment { foundation, resource, identity }
    }
}
