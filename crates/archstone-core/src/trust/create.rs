//! Making a trust (`keystone.api.trusts.TrustsResource.post`, `keystone.trust.core.Manager.create_trust`).
//!
//! Whether the trustor has the roles may change before the trust is stored: it is asked again at every use.

use std::collections::BTreeSet;

use archstone_db::Tx;
use serde_json::{Map, Value};

use super::{KIND, Trust, Trusts, sql};
use crate::application_credential::RoleChoice;
use crate::authz::Allowed;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::id::{ProjectId, RoleId, TrustId, UserId};
use crate::time::Timestamp;

/// What a new trust is to be.
#[derive(Clone, Debug)]
pub struct NewTrust {
    /// Who trusts: the caller.
    pub trustor_user_id: UserId,
    /// Who is trusted.
    pub trustee_user_id: UserId,
    /// Where.
    pub project_id: Option<ProjectId>,
    /// Whether the trustee acts as the trustor.
    pub impersonation: bool,
    /// When it ends; must be to come.
    pub expires_at: Option<Timestamp>,
    /// How many tokens can be had by it; none for any number, as it must be if it can be handed on.
    pub remaining_uses: Option<i64>,
    /// The roles, each the trustor's own on the project.
    pub roles: Vec<RoleChoice>,
    /// Whether it can be handed on.
    pub allow_redelegation: bool,
    /// How often; none for as often as the configuration, or the trust before it, lets it.
    pub redelegation_count: Option<i64>,
    /// The trust of the caller's token, by way of which this one is made.
    pub redelegated_trust_id: Option<TrustId>,
    /// What the caller added.
    pub extra: Map<String, Value>,
}

impl Trusts {
    /// Makes a trust. 404 for an unknown trustee, role or project, or a role that the trustor does not have there; 400
    /// for a role's name that is not unique, an end that has passed, or uses of a trust that can be handed on; 403 for
    /// more than the configuration or the trust before it allows; 409 for one that is there already, with the same end.
    pub async fn create(&self, allowed: &Allowed, new: NewTrust) -> Result<Trust> {
        let trustee = &new.trustee_user_id;
        self.identity.get_user_for_token(trustee).await?.ok_or_else(|| Error::not_found("user", trustee))?;
        let roles = self.chosen_roles(allowed, &new.roles).await?;
        self.check_trustor_has(&new, &roles).await?;
        if new.expires_at.is_some_and(|end| end < self.foundation.time.now()) {
            return Err(Error::bad_request("The time expires_at, at which the trust is to end, has passed."));
        }
        let parent = match &new.redelegated_trust_id {
            Some(id) => Some(self.require_for_target(id).await?),
            None => None,
        };
        let redelegation_count = self.redelegation_count(&new, parent.as_ref())?;
        let mut trust = Trust {
            id: TrustId::new_random(),
            trustor_user_id: new.trustor_user_id,
            trustee_user_id: new.trustee_user_id,
            project_id: new.project_id,
            impersonation: new.impersonation,
            // Shown to the second, so kept to the second.
            expires_at: new.expires_at.map(Timestamp::truncated),
            remaining_uses: new.remaining_uses,
            redelegated_trust_id: parent.as_ref().map(|parent| parent.id.clone()),
            redelegation_count: Some(redelegation_count),
            role_ids: roles.iter().cloned().collect(),
            extra: new.extra,
        };
        if let Some(parent) = parent {
            self.check_redelegation(parent, &mut trust).await?;
        }
        let (row, links) = (&trust, &roles);
        self.foundation
            .db
            .write(move |tx| {
                Box::pin(async move {
                    self.hold_parts(tx, row).await?;
                    sql::insert(tx, row).await?;
                    sql::insert_roles(tx, &row.id, links).await
                })
            })
            .await?;
        self.foundation.events.emit(Event::new(KIND, "created", &*trust.id, allowed));
        Ok(trust)
    }

    /// Keeps what the trust refers to until it is stored: whoever deletes a user, a project or a trust also ends the
    /// trusts of it, and must find this one. A role's deletion ends none.
    async fn hold_parts(&self, tx: &mut Tx<'_>, trust: &Trust) -> Result<()> {
        // In the same order as everybody else.
        for user in BTreeSet::from([&trust.trustor_user_id, &trust.trustee_user_id]) {
            self.identity.hold_user_in(tx, user).await?;
        }
        if let Some(project) = &trust.project_id
            && !self.resource.hold_project_in(tx, project).await?
        {
            return Err(Error::not_found("project", project));
        }
        match &trust.redelegated_trust_id {
            Some(parent) if !sql::hold(tx, parent).await? => Err(Error::trust_not_found(parent)),
            _ => Ok(()),
        }
    }

    async fn chosen_roles(&self, allowed: &Allowed, choices: &[RoleChoice]) -> Result<Vec<RoleId>> {
        let mut names: Vec<&str> = Vec::new();
        for choice in choices {
            if let RoleChoice::Name(name) = choice {
                names.push(name);
            }
        }
        let named = self.assignment.list_roles_of_names(allowed, &names).await?;
        let mut roles = Vec::with_capacity(choices.len());
        for choice in choices {
            roles.push(match choice {
                // Whether there is such a role is answered by whether the trustor has it.
                RoleChoice::Id(id) => id.clone(),
                RoleChoice::Name(name) => {
                    match named.iter().filter(|role| role.name == *name).collect::<Vec<_>>()[..] {
                        [] => return Err(Error::not_found("role", name)),
                        [role] => role.id.clone(),
                        // Roles of domains count too.
                        _ => {
                            return Err(Error::bad_request(format!(
                                "There is more than one role named {name}: it must be given by its id."
                            )));
                        }
                    }
                }
            });
        }
        Ok(roles)
    }

    async fn check_trustor_has(&self, new: &NewTrust, roles: &[RoleId]) -> Result<()> {
        let effective = match &new.project_id {
            None => BTreeSet::new(),
            Some(project) => {
                if self.resource.get_project(project).await?.is_none() {
                    return Err(Error::not_found("project", project));
                }
                self.assignment.list_effective_role_ids_of_any_domain(&new.trustor_user_id, project).await?
            }
        };
        match roles.iter().find(|role| !effective.contains(*role)) {
            Some(foreign) => Err(Error::not_found("role", foreign)),
            None => Ok(()),
        }
    }

    /// How often the new trust can be handed on.
    fn redelegation_count(&self, new: &NewTrust, parent: Option<&Trust>) -> Result<i64> {
        let most = self.foundation.config.trust.max_redelegation_count;
        if !new.allow_redelegation || new.redelegation_count == Some(0) {
            return Ok(0);
        }
        if new.redelegation_count.is_some_and(|asked| asked > most) {
            return Err(Error::forbidden(format!("a trust can be handed on {most} times at most")));
        }
        if new.remaining_uses.is_some() {
            return Err(Error::bad_request(
                "The attribute remaining_uses must not be set for a trust that can be handed on.",
            ));
        }
        let Some(parent) = parent else { return Ok(new.redelegation_count.unwrap_or(most)) };
        let left = parent.redelegation_count.unwrap_or(0) - 1;
        match new.redelegation_count {
            Some(asked) if asked != left => Err(Error::forbidden(format!(
                "the trust by way of trust {} could be handed on {left} times",
                parent.id
            ))),
            _ => Ok(left),
        }
    }

    /// 403 unless the whole chain carries the new trust, whose end is at the latest that of the one before it.
    async fn check_redelegation(&self, parent: Trust, new: &mut Trust) -> Result<()> {
        if new.expires_at.is_some() && parent.expires_at.is_none() {
            // The reference fails on it (400), and then could not read the chain.
            return Err(Error::bad_request(
                "The attribute expires_at cannot be set by way of a trust that has no end itself.",
            ));
        }
        new.expires_at = new.expires_at.or(parent.expires_at);
        let chain = self.require_chain(parent).await?;
        chain.all().try_for_each(|before| self.check_link(before, new))
    }
}
