//! What a token by a trust stands for (`keystone.models.token_model.TokenModel`, where it asks `trust_scoped`).

use std::collections::BTreeSet;

use keystone_token::Payload;

use super::{Token, TokenTrust};
use crate::assignment::{EffectiveRole, Role};
use crate::error::{Error, Result};
use crate::freshness::Ref;
use crate::id::{GroupId, ProjectId, RoleId, TrustId, UserId};
use crate::identity::User;
use crate::resource::{Domain, Project};
use crate::trust::{Chain, Trust};

/// A trust with what it means today.
pub(super) struct Trusted {
    pub(super) chain: Chain,
    pub(super) trustor: User,
    pub(super) trustor_domain: Domain,
    /// The roles that it hands over: all that its own imply, each of them the trustor's.
    pub(super) effective: Vec<EffectiveRole>,
    /// The same, as the answer shows them.
    pub(super) roles: Vec<Role>,
    /// What else must be touched for this to change: the users of the chain, their domains and assignments.
    pub(super) depends_on: Vec<Ref>,
}

impl Trusted {
    pub(super) fn trust(&self) -> &Trust {
        &self.chain.trust
    }

    /// What the token keeps of it.
    pub(super) fn for_token(&self) -> TokenTrust {
        TokenTrust {
            id: self.trust().id.clone(),
            trustor_user_id: self.trust().trustor_user_id.clone(),
            trustee_user_id: self.trust().trustee_user_id.clone(),
            ends_at: self.chain.all().filter_map(|trust| trust.expires_at).min(),
        }
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
        payload: &Payload,
        trustee: &User,
        project: Option<&(Project, Domain)>,
    ) -> Result<Option<Trusted>> {
        let Some(id) = payload.trust_id.as_deref().map(TrustId::from) else { return Ok(None) };
        let chain = self.trust.require_for_token(&id).await?;
        if trustee.id != chain.trust.trustee_user_id {
            return Err(Error::forbidden(format!("user {} is not the trustee of trust {id}", trustee.id)));
        }
        let trustor_id = &chain.trust.trustor_user_id;
        let trustor = self.identity.get_user_for_token(trustor_id).await?;
        let trustor = trustor.ok_or_else(|| Error::not_found("user", trustor_id))?;
        let trustor_domain = self.require_agents_domain(&trustor).await?;
        self.require_agents_domain(trustee).await?;
        if !trustor.enabled {
            return Err(Error::forbidden(format!("user {trustor_id}, the trustor of trust {id}, is disabled")));
        }
        let (project, _) = project.ok_or_else(|| Error::not_found("project", "None"))?;
        // OSSA-2014-022: the trust says where, not whoever uses it.
        if chain.trust.project_id.as_ref() != Some(&project.id) {
            return Err(Error::forbidden(format!("trust {id} is not for the project {}", project.id)));
        }
        let mut depends_on = depends_on(&chain, &trustor);
        // Who made the first trust of the chain, and who made this one: the same, unless it does not impersonate.
        let givers = BTreeSet::from([&chain.origin().trustor_user_id, trustor_id]);
        let graph = self.assignment.role_graph().await?;
        let handed_over = graph.expand(chain.trust.role_ids.iter().cloned());
        for giver in givers {
            let groups = self.identity.list_group_ids_of_user(giver).await?;
            let assigned = self.assignment.assigned_on_project(giver, &groups, project).await?;
            let has = graph.expand(assigned);
            if let Some(lost) = handed_over.iter().find(|role| !has.contains(*role)) {
                return Err(Error::forbidden(format!("user {giver} does not have the role {lost} of trust {id}")));
            }
            depends_on.extend(assignments(giver, &groups));
        }
        let effective = graph.global(handed_over);
        if effective.is_empty() {
            return Err(Error::unauthorized(format!("trust {id} hands over no role")));
        }
        let ids: Vec<RoleId> = effective.iter().map(|role| role.id.clone()).collect();
        let roles = self.assignment.get_roles(&ids).await?;
        Ok(Some(Trusted { chain, trustor, trustor_domain, effective, roles, depends_on }))
    }

    /// The domain of a trustor or trustee: if it is disabled, there is no token.
    async fn require_agents_domain(&self, user: &User) -> Result<Domain> {
        let domain = self.resource.get_domain(&user.domain_id).await?;
        let domain = domain.ok_or_else(|| Error::not_found("domain", &user.domain_id))?;
        if !domain.enabled {
            return Err(Error::token_not_found(format!("the domain {} of user {} is disabled", domain.id, user.id)));
        }
        Ok(domain)
    }
}

fn depends_on(chain: &Chain, trustor: &User) -> Vec<Ref> {
    let domain = |user: &User| Ref::Project(ProjectId::from(&*user.domain_id));
    let mut refs = vec![Ref::User(trustor.id.clone()), domain(trustor)];
    for trust in chain.all() {
        refs.push(Ref::Trust(trust.id.clone()));
        refs.push(Ref::User(trust.trustee_user_id.clone()));
    }
    refs
}

fn assignments<'a>(actor: &'a UserId, groups: &'a [GroupId]) -> impl Iterator<Item = Ref> + 'a {
    let groups = groups.iter().map(|group| Ref::Assignments(group.to_string()));
    [Ref::User(actor.clone()), Ref::Assignments(actor.to_string())].into_iter().chain(groups)
}
