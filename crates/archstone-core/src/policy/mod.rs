//! Policies that are kept for other services, and which of their endpoints each is for
//! (`keystone.policy`, `keystone.endpoint_policy`). Nothing here reads what is in them: the rules that this service
//! itself asks are in files, see [`authz::policy`](crate::authz::policy).
//!
//! **Invariant:** an association is of a policy, and an endpoint or service, that exist: it goes with either of them.

mod association;
mod sql;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use crate::authz::Allowed;
use crate::catalog::Catalog;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::foundation::Foundation;
use crate::id::PolicyId;

pub use association::PolicyTarget;

/// A text that a service understands.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Its id.
    pub id: PolicyId,
    /// The text; in old databases it may be any JSON.
    pub blob: Value,
    /// The MIME type of the text.
    pub policy_type: String,
    /// What the caller added.
    pub extra: Map<String, Value>,
}

/// What a policy's update changes: `None` leaves an attribute as it is.
#[derive(Clone, Debug, Default)]
pub struct PolicyPatch {
    /// Another text.
    pub blob: Option<String>,
    /// Another type.
    pub policy_type: Option<String>,
    /// Attributes to add or replace.
    pub extra: Map<String, Value>,
}

/// The door of policies.
#[derive(Clone)]
pub struct Policies {
    foundation: Foundation,
    catalog: Catalog,
}

impl Policies {
    /// A door onto this foundation and this door.
    pub fn new(foundation: Foundation, catalog: Catalog) -> Policies {
        Policies { foundation, catalog }
    }

    /// The policy of this id, or 404.
    pub async fn require_policy(&self, _: &Allowed, id: &PolicyId) -> Result<Policy> {
        sql::get_policy(&self.foundation.db, id).await?.ok_or_else(|| not_found(id))
    }

    /// All policies; all filters are left to the caller.
    pub async fn list_policies(&self, _: &Allowed) -> Result<Vec<Policy>> {
        sql::list_policies(&self.foundation.db).await
    }

    /// Makes a policy.
    pub async fn create_policy(&self, allowed: &Allowed, policy: Policy) -> Result<Policy> {
        let new = &policy;
        self.foundation.db.write(|tx| Box::pin(sql::insert_policy(tx, new))).await?;
        self.foundation.events.emit(Event::new("policy", "created", &*policy.id, allowed));
        Ok(policy)
    }

    /// Changes a policy. 404 if there is none.
    pub async fn update_policy(&self, allowed: &Allowed, id: &PolicyId, patch: &PolicyPatch) -> Result<Policy> {
        let updated = self
            .foundation
            .db
            .write(|tx| {
                Box::pin(async move {
                    let mut policy = sql::take_policy(tx, id).await?.ok_or_else(|| not_found(id))?;
                    if let Some(blob) = &patch.blob {
                        policy.blob = Value::from(blob.as_str());
                    }
                    if let Some(policy_type) = &patch.policy_type {
                        policy.policy_type.clone_from(policy_type);
                    }
                    policy.extra.extend(patch.extra.clone());
                    sql::update_policy(tx, &policy).await?;
                    Ok::<_, Error>(policy)
                })
            })
            .await?;
        self.foundation.events.emit(Event::new("policy", "updated", &**id, allowed));
        Ok(updated)
    }

    /// Deletes a policy with its associations. 404 if there is none.
    pub async fn delete_policy(&self, allowed: &Allowed, id: &PolicyId) -> Result<()> {
        self.foundation
            .db
            .write(|tx| {
                Box::pin(async move {
                    sql::take_policy(tx, id).await?.ok_or_else(|| not_found(id))?;
                    sql::delete_policy(tx, id).await
                })
            })
            .await?;
        self.foundation.events.emit(Event::new("policy", "deleted", &**id, allowed));
        Ok(())
    }
}

fn not_found(id: &PolicyId) -> Error {
    Error::not_found("policy", id)
}
