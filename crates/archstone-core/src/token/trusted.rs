//! What a token by a trust stands for (`keystone.models.token_model.TokenModel`, where it asks `trust_scoped`).

use std::collections::BTreeSet;
use std::sync::Arc;

use keystone_token::Payload;

use super::Token;
use super::load::Loading;
use crate::assignment::{EffectiveRole, Role};
use crate::error::{Error, Result};
use crate::freshness::Ref;
use crate::id::{RoleId, TrustId};
use crate::identity::TokenUser;
use crate::resource::Place;
use crate::time::Timestamp;
use crate::trust::{Chain, Trust};

/// A trust with what it means today.
pub(super) struct Trusted {
    pub(super) chain: Chain,
    pub(super) trustor: Arc<TokenUser>,
    pub(super) trustor_domain: Arc<Place>,
    /// The roles that it hands over: all that its own imply, each of them the trustor's.
    pub(super) effective: Arc<[EffectiveRole]>,
    /// The same, as the answer shows them.
    pub(super) roles: Vec<Role>,
}

impl Trusted {
    pub(super) fn trust(&self) -> &Trust {
        &self.chain.trust
    }

    /// When the trust ends, or the first of those that it was made by way of.
    pub(super) fn ends_at(&self) -> Option<Timestamp> {
        self.chain.all().filter_map(|trust| trust.expires_at).min()
    }

    /// What it takes in memory, beside what others have too.
    pub(super) fn bytes(&self) -> usize {
        let extra = |trust: &Trust| trust.extra.len() * 128;
        let trusts: usize = self.chain.all().map(|trust| 800 + trust.role_ids.len() * 64 + extra(trust)).sum();
        trusts + 1024 * self.roles.len()
    }
}

impl Token {
    /// The trust of a token.
    ///
    /// # Errors
    /// Not-found for a trust or a user that is gone, or a domain of one of its users that is disabled; forbidden if the
    /// token's user is not the trustee or its project not the trust's, and if the trustor is disabled or lacks a role;
    /// unauthorized if the trust hands over no role.
    pub(super) async fn load_trust(
        &self,
        loading: &mut Loading,
        payload: &Payload,
        trustee: &TokenUser,
        project: Option<&Place>,
    ) -> Result<Option<Trusted>> {
        let Some(id) = payload.trust_id.as_deref().map(TrustId::from) else { return Ok(None) };
        let chain = self.trust.require_for_token(&id).await?;
        if trustee.id != chain.trust.trustee_user_id {
            return Err(Error::forbidden(format!("user {} is not the trustee of trust {id}", trustee.id)));
        }
        loading.basis.add(chain.all().map(|trust| Ref::Trust(trust.id.clone())));
        let trustor_id = &chain.trust.trustor_user_id;
        let trustor = self.user(loading, trustor_id).await?.ok_or_else(|| Error::not_found("user", trustor_id))?;
        let trustor_domain = self.require_agents_domain(loading, &trustor).await?;
        self.require_agents_domain(loading, trustee).await?;
        if !self.identity.is_token_user_enabled(&trustor) {
            return Err(Error::forbidden(format!("user {trustor_id}, the trustor of trust {id}, is disabled")));
        }
        // That those who handed it on are enabled was asked above, but is remembered by what it depends on.
        for trust in &chain.before {
            if let Some(agent) = self.user(loading, &trust.trustee_user_id).await? {
                self.domain(loading, &agent.domain_id).await?;
            }
        }
        let project = project.ok_or_else(|| Error::not_found("project", "None"))?;
        // OSSA-2014-022: the trust says where, not whoever uses it.
        if chain.trust.project_id.as_ref() != Some(&project.id) {
            return Err(Error::forbidden(format!("trust {id} is not for the project {}", project.id)));
        }
        // Who made the first trust of the chain, and who made this one: the same, unless it does not impersonate.
        let givers = BTreeSet::from([&chain.origin().trustor_user_id, trustor_id]);
        let graph = loading.basis.take(self.assignment.role_graph_at(loading.moment).await?);
        let handed_over = graph.expand(chain.trust.role_ids.iter().cloned());
        for id_of_giver in givers {
            let giver = self.user(loading, id_of_giver).await?;
            let assigned = match &giver {
                Some(giver) => self.assigned_on_project(loading, giver, project).await?,
                None => BTreeSet::new(),
            };
            let has = graph.expand(assigned);
            if let Some(lost) = handed_over.iter().find(|role| !has.contains(*role)) {
                return Err(Error::forbidden(format!(
                    "user {id_of_giver} does not have the role {lost} of trust {id}"
                )));
            }
        }
        let effective = graph.effective(&chain.trust.role_ids);
        if effective.is_empty() {
            return Err(Error::unauthorized(format!("trust {id} hands over no role")));
        }
        let ids: Vec<RoleId> = effective.iter().map(|role| role.id.clone()).collect();
        let roles = self.assignment.get_roles(&ids).await?;
        Ok(Some(Trusted { chain, trustor, trustor_domain, effective, roles }))
    }

    /// The domain of a trustor or trustee: if it is disabled, there is no token.
    async fn require_agents_domain(&self, loading: &mut Loading, user: &TokenUser) -> Result<Arc<Place>> {
        let domain = self.domain(loading, &user.domain_id).await?;
        let domain = domain.ok_or_else(|| Error::not_found("domain", &user.domain_id))?;
        if !domain.enabled {
            return Err(Error::token_not_found(format!("the domain {} of user {} is disabled", domain.id, user.id)));
        }
        Ok(domain)
    }
}
