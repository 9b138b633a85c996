//! Trusts: a user lets another act with some of its roles on one project, as itself or as the other
//! (`keystone.trust`).
//!
//! **Invariant:** a trust is worth only what its trustor still has: every use looks at the whole chain of trusts anew.
//!
//! **Invariant:** a trust made by way of another is never wider: same project, no more roles, no later end.
//!
//! A trust that ends is not deleted but marked, until `archstone trust flush` takes it away.

mod chain;
mod create;
mod flush;
mod sql;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use archstone_db::Tx;
use serde_json::{Map, Value, json};

use crate::assignment::{Assignment, Role};
use crate::authz::Allowed;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::foundation::Foundation;
use crate::freshness::Ref;
use crate::id::{ProjectId, RoleId, TrustId, UserId};
use crate::identity::Identity;
use crate::resource::Resource;
use crate::revoke::{RevocationEvent, Revoke};
use crate::time::Timestamp;

pub(crate) use chain::Chain;
pub use create::NewTrust;
pub use flush::Flush;

/// The resource's name in events.
const KIND: &str = "OS-TRUST:trust";

/// A trust that was not deleted.
#[derive(Clone, Debug, PartialEq)]
pub struct Trust {
    /// Its id.
    pub id: TrustId,
    /// Who trusts.
    pub trustor_user_id: UserId,
    /// Who is trusted.
    pub trustee_user_id: UserId,
    /// Where; a trust without a project can be made, but not used.
    pub project_id: Option<ProjectId>,
    /// Whether the trustee acts as the trustor.
    pub impersonation: bool,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// How many more tokens can be had by it; none for any number.
    pub remaining_uses: Option<i64>,
    /// The trust by which this one was made.
    pub redelegated_trust_id: Option<TrustId>,
    /// How often it may be handed on. Python Keystone can leave it out, and then cannot hand the trust on.
    pub redelegation_count: Option<i64>,
    /// The roles that it hands over, also those that are gone meanwhile.
    pub role_ids: BTreeSet<RoleId>,
    /// What the caller added.
    pub extra: Map<String, Value>,
}

impl Trust {
    /// What policy rules may look at as `target.trust`.
    pub fn target(&self) -> Value {
        json!({
            "id": &*self.id,
            "trustor_user_id": &*self.trustor_user_id,
            "trustee_user_id": &*self.trustee_user_id,
            "project_id": self.project_id.as_deref(),
            "impersonation": self.impersonation,
            "redelegated_trust_id": self.redelegated_trust_id.as_deref(),
        })
    }

    fn is_used_up(&self) -> bool {
        self.remaining_uses.is_some_and(|uses| uses <= 0)
    }
}

/// Whose trusts are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrustsOf {
    /// Everybody's.
    All,
    /// Those that a user gave.
    Trustor(UserId),
    /// Those that a user got.
    Trustee(UserId),
}

/// The door of trusts.
#[derive(Clone)]
pub struct Trusts {
    foundation: Foundation,
    resource: Resource,
    identity: Identity,
    assignment: Assignment,
    revoke: Revoke,
}

impl Trusts {
    /// A door onto this foundation.
    pub fn new(
        foundation: Foundation,
        resource: Resource,
        identity: Identity,
        assignment: Assignment,
        revoke: Revoke,
    ) -> Trusts {
        Trusts { foundation, resource, identity, assignment, revoke }
    }

    /// The trust of this id as far as it can still be used, of which policy targets are made. It needs no [`Allowed`]
    /// because it is what one is made of: not for anybody's eyes.
    ///
    /// # Errors
    /// Not-found for one that is deleted, has ended or is used up; forbidden if a trust before it in the chain no
    /// longer carries it.
    pub async fn require_for_target(&self, id: &TrustId) -> Result<Trust> {
        let trust = self.require_for_token(id).await?.trust;
        if trust.is_used_up() {
            return Err(Error::trust_not_found(id).because(format!("trust {id} is used up")));
        }
        Ok(trust)
    }

    /// As [`Trusts::require_for_target`], to end the trust: it may be used up, and its chain broken. (The reference
    /// refuses both, and so leaves the tokens of such a trust alone.)
    pub async fn require_for_deletion(&self, id: &TrustId) -> Result<Trust> {
        self.require_unexpired(id).await
    }

    /// Those of a trust's roles that still exist.
    pub async fn list_roles(&self, _: &Allowed, trust: &Trust) -> Result<Vec<Role>> {
        let ids: Vec<RoleId> = trust.role_ids.iter().cloned().collect();
        self.assignment.get_roles(&ids).await
    }

    /// A role of a trust, or 404.
    pub async fn require_role(&self, allowed: &Allowed, trust: &Trust, role: &RoleId) -> Result<Role> {
        if !trust.role_ids.contains(role) {
            return Err(Error::not_found("role", role));
        }
        self.assignment.require_role(allowed, role).await
    }

    /// Trusts without their roles, also those that have ended or are used up, in the order of their ids.
    pub async fn list(&self, _: &Allowed, of: &TrustsOf) -> Result<Vec<Trust>> {
        sql::list(&self.foundation.db, of).await
    }

    /// Ends a trust and all that were made by way of it, and their tokens. 404 if there is none.
    pub async fn delete(&self, allowed: &Allowed, id: &TrustId) -> Result<()> {
        let ended = self
            .foundation
            .db
            .write(move |tx| {
                Box::pin(async move {
                    let ended = self.end_chain(tx, id).await?;
                    if ended.is_empty() {
                        return Err(Error::trust_not_found(id));
                    }
                    Ok(ended)
                })
            })
            .await?;
        // As in the reference, the last of the chain first.
        for id in ended.iter().rev() {
            self.foundation.events.emit(Event::new(KIND, "deleted", &**id, allowed));
        }
        Ok(())
    }

    async fn end_chain(&self, tx: &mut Tx<'_>, id: &TrustId) -> Result<Vec<TrustId>> {
        let mut all = Vec::new();
        let mut generation = sql::take_alive(tx, std::slice::from_ref(id)).await?;
        // One query for each step of redelegation, of which there are few; marked as it goes, so that a circle ends.
        while !generation.is_empty() {
            sql::mark_deleted(tx, &generation, self.foundation.time.now()).await?;
            let next = sql::list_redelegated(&mut *tx, &generation).await?;
            all.append(&mut generation);
            generation = sql::take_alive(tx, &next).await?;
        }
        let of_trust = |id: &TrustId| RevocationEvent { trust_id: Some(id.to_string()), ..RevocationEvent::default() };
        let events: Vec<RevocationEvent> = all.iter().map(of_trust).collect();
        self.revoke.record_all(tx, &events).await?;
        for id in &all {
            tx.touch(Ref::Trust(id.clone()).into());
        }
        Ok(all)
    }

    /// Takes one use off a trust that has a number of them: of two logins at the last one, one is refused.
    pub(crate) async fn consume(&self, trust: &Trust) -> Result<()> {
        if trust.remaining_uses.is_none() {
            return Ok(());
        }
        let id = &trust.id;
        self.foundation
            .db
            .write(move |tx| {
                Box::pin(async move {
                    if sql::take_use(tx, id).await? {
                        return Ok(());
                    }
                    Err(Error::forbidden(format!("trust {id} is used up")))
                })
            })
            .await
    }

    /// The trust of this id, which may be used up and whose chain may be broken.
    async fn require_unexpired(&self, id: &TrustId) -> Result<Trust> {
        let trust = sql::get(&self.foundation.db, id).await?.ok_or_else(|| Error::trust_not_found(id))?;
        if trust.expires_at.is_some_and(|end| end < self.foundation.time.now()) {
            return Err(Error::trust_not_found(id).because(format!("trust {id} has ended")));
        }
        Ok(trust)
    }
}
