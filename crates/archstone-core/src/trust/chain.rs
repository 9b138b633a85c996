//! A trust together with those that it was made by way of.

use super::{Trust, Trusts};
use crate::error::{Error, Result};
use crate::id::TrustId;

/// More trusts in a chain than any configuration makes sense for: what is longer is a circle.
const LONGEST: usize = 64;

/// A trust, and those that it was made by way of.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(crate) trust: Trust,
    /// The nearest first; none for a trust that a user made as itself.
    pub(crate) before: Vec<Trust>,
}

impl Chain {
    /// The trust that the user made whose roles are handed over.
    pub(crate) fn origin(&self) -> &Trust {
        self.before.last().unwrap_or(&self.trust)
    }

    /// All of them, the trust itself first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Trust> {
        std::iter::once(&self.trust).chain(&self.before)
    }
}

impl Trusts {
    /// The trust with its chain. It may be used up: a token that was had by the last use is good until it expires.
    ///
    /// # Errors
    /// Not-found if one of the chain is deleted or has ended; forbidden if one no longer carries the next: it was not
    /// meant to be handed on so far, or who handed it on is disabled or gone.
    pub(crate) async fn require_for_token(&self, id: &TrustId) -> Result<Chain> {
        let chain = self.require_chain(self.require_unexpired(id).await?).await?;
        for (child, parent) in chain.all().zip(&chain.before) {
            self.check_link(parent, child)?;
            self.check_agent(parent).await?;
        }
        Ok(chain)
    }

    /// One query for each step of redelegation, of which there are few: the next id is only known then.
    pub(super) async fn require_chain(&self, trust: Trust) -> Result<Chain> {
        let mut chain = Chain { trust, before: Vec::new() };
        while let Some(id) = chain.origin().redelegated_trust_id.clone() {
            if chain.before.len() >= LONGEST {
                return Err(Error::forbidden(format!("the chain of trusts of {} has no end", chain.trust.id)));
            }
            let parent = self.require_unexpired(&id).await?;
            chain.before.push(parent);
        }
        Ok(chain)
    }

    /// 403 unless the one trust carries the other (`keystone.trust.core.Manager._validate_redelegation`).
    pub(super) fn check_link(&self, parent: &Trust, child: &Trust) -> Result<()> {
        let refused = |why: &str| Err(Error::forbidden(format!("trust {}: {why}", parent.id)));
        let depth = parent.redelegation_count.unwrap_or(0);
        if depth <= 0 || depth > self.foundation.config.trust.max_redelegation_count {
            return refused("it may not be handed on that far");
        }
        if child.remaining_uses.is_some() {
            return refused("what is handed on cannot have a number of uses");
        }
        if let (Some(until), Some(end)) = (parent.expires_at, child.expires_at)
            && until < end
        {
            return refused("it ends before what is made by way of it");
        }
        if !child.role_ids.is_subset(&parent.role_ids) {
            return refused("it does not have all of the roles");
        }
        if child.impersonation && !parent.impersonation {
            return refused("it does not let the trustee act as the trustor");
        }
        // The reference does not look at this, so that a trust on one project leads to all others of the trustor.
        if child.project_id != parent.project_id {
            return refused("it is for another project");
        }
        Ok(())
    }

    /// 403 unless whoever handed on the trust is there and enabled.
    async fn check_agent(&self, parent: &Trust) -> Result<()> {
        let trustee = self.identity.get_user_for_token(&parent.trustee_user_id).await?;
        let domain = match &trustee {
            Some(user) if user.enabled => self.resource.get_domain(&user.domain_id).await?,
            _ => None,
        };
        if domain.is_some_and(|domain| domain.enabled) {
            return Ok(());
        }
        Err(Error::forbidden(format!(
            "user {}, who handed on trust {}, is disabled",
            parent.trustee_user_id, parent.id
        )))
    }
}
