//! Roles, who has them where, and which of them count.
//!
//! **Invariant:** a user's id never stands for a group's: every query of assignments names the kind of the actor
//! together with its id (OSSA-2014-015).
//!
//! **Invariant:** every change of a grant touches [`Ref::Assignments`](crate::freshness::Ref::Assignments) with the
//! actor's id, every change of a role or of what it implies [`Ref::Roles`](crate::freshness::Ref::Roles). A grant that
//! goes with its role, or with its project or domain, is told by the touch of that.
//!
//! Deleting a role is not here: it ends application credentials too, see [`cascade`](crate::cascade).

mod effective;
mod everywhere;
mod grant;
mod known;
mod listing;
mod names;
mod role;
mod sql;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use crate::foundation::Foundation;
use crate::id::{DomainId, RoleId};
use crate::identity::Identity;
use crate::resource::Resource;

pub use effective::{EffectiveRole, RoleGraph};
pub use grant::{Actor, Grant, GrantTarget};
pub use listing::{AssignmentQuery, RoleAssignment, Source};
pub use names::{Named, NamedAssignment, Names};
pub use role::{RoleInferences, RolePatch};

/// The name of the one resource option that roles have.
pub const IMMUTABLE: &str = "immutable";

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

impl Role {
    /// Whether it may not be changed or deleted.
    pub(crate) fn is_immutable(&self) -> bool {
        self.options.get(IMMUTABLE).and_then(Value::as_bool).unwrap_or(false)
    }

    /// What policy rules may look at as `target.role`.
    pub fn target(&self) -> Value {
        let mut seen = self.extra.clone();
        let own = json!({
            "id": &*self.id,
            "name": self.name,
            "domain_id": self.domain_id.as_deref(),
            "description": self.description,
            "options": self.options,
        });
        if let Value::Object(own) = own {
            seen.extend(own);
        }
        Value::Object(seen)
    }
}

/// The door of roles and assignments.
#[derive(Clone)]
pub struct Assignment {
    foundation: Foundation,
    resource: Resource,
    identity: Identity,
    memories: known::Memories,
}

impl Assignment {
    /// A door onto this foundation.
    pub fn new(foundation: Foundation, resource: Resource, identity: Identity) -> Assignment {
        Assignment { memories: known::Memories::new(&foundation), foundation, resource, identity }
    }
}
