//! Making an application credential
//! (`keystone.api.users.UserAppCredListCreateResource.post`, `keystone.application_credential.core`).

use std::collections::BTreeSet;

use archstone_db::Tx;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::access_rule::not_found;
use super::sql::NewRow;
use super::{AccessRule, ApplicationCredential, ApplicationCredentials, WithRoles, sql};
use crate::authz::Allowed;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::id::{ApplicationCredentialId, ProjectId, RoleId, UserId, new_hex_id};
use crate::identity::password::Password;
use crate::time::Timestamp;

/// What a new application credential is to be.
#[derive(Debug)]
pub struct NewApplicationCredential {
    /// Its name, unique for its user.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Whose it is: the caller.
    pub user_id: UserId,
    /// The project that the caller's token counts in; none for a token without one.
    pub project_id: Option<ProjectId>,
    /// Text that the reference stores and shows, and that means nothing.
    pub system: Option<String>,
    /// When it ends; must be to come.
    pub expires_at: Option<Timestamp>,
    /// Whether it may manage application credentials and trusts.
    pub unrestricted: Option<bool>,
    /// The roles that it is to carry, with what they imply; none chosen: all of the caller's token.
    pub roles: Vec<RoleChoice>,
    /// The roles of the caller's token: no other can be handed on.
    pub token_roles: BTreeSet<RoleId>,
    /// The requests that it may make; none: all.
    pub access_rules: Vec<NewAccessRule>,
    /// The secret.
    pub secret: Password,
}

/// How a request names a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleChoice {
    /// By its id.
    Id(RoleId),
    /// By the name of a global role.
    Name(String),
}

/// How a request names an access rule: the id of one of the user's, or what it is to allow, or both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewAccessRule {
    /// The id of a rule, which is looked for first.
    pub id: Option<String>,
    /// The type of the service.
    pub service: Option<String>,
    /// The path, with `*`, `**` and `{name}`.
    pub path: Option<String>,
    /// The method.
    pub method: Option<String>,
}

/// A secret for those who do not bring their own: 64 random bytes in 86 characters.
///
/// # Errors
/// The random number generator failed.
pub fn generate_secret() -> Result<String> {
    let mut bytes = [0; 64];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::internal("the random number generator failed"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The longest path of a rule that the table holds. The schema lets longer ones through.
const LONGEST_PATH: usize = 128;

impl ApplicationCredentials {
    /// Makes an application credential. 404 for an unknown role or access rule, 400 for a role that the caller's token
    /// does not have or the user lost meanwhile, or an end that has passed; 403 beyond `[application_credential]
    /// user_limit`; 409 for a name that is taken.
    pub async fn create(&self, allowed: &Allowed, new: NewApplicationCredential) -> Result<WithRoles> {
        if new.expires_at.is_some_and(|end| end <= self.foundation.time.now()) {
            return Err(Error::bad_request(
                "The time expires_at, at which the application credential is to end, has passed.",
            ));
        }
        let role_ids = self.chosen_roles(allowed, &new).await?;
        let secret_hash = self.identity.hash_secret(new.secret).await?;
        let credential = ApplicationCredential {
            id: ApplicationCredentialId::new_random(),
            name: new.name,
            description: new.description,
            user_id: new.user_id,
            project_id: new.project_id,
            system: new.system,
            expires_at: new.expires_at,
            unrestricted: new.unrestricted,
            role_ids,
            access_rules: None,
            secret_hash,
        };
        let (row, asked) = (&credential, &new.access_rules);
        let limit = self.foundation.config.application_credential.user_limit;
        let rules = self
            .foundation
            .db
            .write(move |tx| {
                Box::pin(async move {
                    // For itself, so that no two count up to the limit at once.
                    if self.identity.take_users_in(tx, std::slice::from_ref(&row.user_id)).await?.is_empty() {
                        return Err(Error::not_found("user", &row.user_id));
                    }
                    for role in &row.role_ids {
                        self.assignment.hold_role_in(tx, role).await?;
                    }
                    if let Ok(limit) = u64::try_from(limit)
                        && sql::count_of_user(&mut *tx, &row.user_id).await? >= limit
                    {
                        return Err(Error::forbidden_open(format!(
                            "A user may have {limit} application credentials at most."
                        )));
                    }
                    let NewRow { internal_id } = sql::insert(tx, row).await?;
                    let mut rules = Vec::new();
                    let mut linked = BTreeSet::new();
                    for asked in asked {
                        let (rule_id, rule) = require_rule(tx, &row.user_id, asked).await?;
                        if linked.insert(rule_id) {
                            sql::link_access_rule(tx, internal_id, rule_id).await?;
                            rules.push(rule);
                        }
                    }
                    Ok::<_, Error>(rules)
                })
            })
            .await?;
        self.foundation.events.emit(Event::new("application_credential", "created", &*credential.id, allowed));
        let credential = ApplicationCredential { access_rules: (!rules.is_empty()).then_some(rules), ..credential };
        let id = credential.id.clone();
        self.with_roles(vec![credential]).await?.pop().ok_or_else(|| super::not_found(&id))
    }

    /// The roles of the new credential: those that are chosen and what they imply, all of them the token's own, so that
    /// nobody hands on more than was handed to them; and still the user's.
    async fn chosen_roles(&self, allowed: &Allowed, new: &NewApplicationCredential) -> Result<BTreeSet<RoleId>> {
        let mut roles = new.token_roles.clone();
        if !new.roles.is_empty() {
            let mut chosen = BTreeSet::new();
            for choice in &new.roles {
                chosen.insert(match choice {
                    RoleChoice::Id(id) => self.assignment.require_role(allowed, id).await?.id,
                    RoleChoice::Name(name) => {
                        let role = self.assignment.get_role_by_name(allowed, name, None).await?;
                        role.ok_or_else(|| Error::not_found("role", name))?.id
                    }
                });
            }
            roles = self.assignment.role_graph().await?.expand(chosen);
            if let Some(foreign) = roles.iter().find(|role| !new.token_roles.contains(*role)) {
                return Err(unassigned(foreign));
            }
        }
        let Some(project) = &new.project_id else {
            return match roles.first() {
                None => Ok(roles),
                Some(role) => Err(unassigned(role)),
            };
        };
        let effective = self.assignment.list_effective_role_ids(&new.user_id, project).await?;
        match roles.iter().find(|role| !effective.contains(*role)) {
            Some(lost) => Err(unassigned(lost)),
            None => Ok(roles),
        }
    }
}

fn unassigned(role: &RoleId) -> Error {
    Error::bad_request(format!(
        "An application credential cannot carry the role {role}: its maker does not have it in this project."
    ))
}

/// The rule that a request names: by its id, or one that says the same, or a new one.
async fn require_rule(tx: &mut Tx<'_>, user: &UserId, asked: &NewAccessRule) -> Result<(i64, AccessRule)> {
    if let Some(id) = &asked.id
        && let Some(found) = sql::get_access_rule(&mut *tx, id).await?
    {
        if found.user_id != *user {
            return Err(not_found(id));
        }
        return Ok((found.internal_id, found.rule));
    }
    let (Some(service), Some(path), Some(method)) = (&asked.service, &asked.path, &asked.method) else {
        // The reference breaks off here, for a rule named by an id that does not exist and nothing else.
        return Err(match &asked.id {
            Some(id) => not_found(id),
            None => Error::bad_request("An access rule needs a service, a path and a method, or an id."),
        });
    };
    if path.chars().count() > LONGEST_PATH {
        return Err(Error::bad_request(format!("The path of an access rule has at most {LONGEST_PATH} characters.")));
    }
    let rule = AccessRule {
        id: asked.id.clone().unwrap_or_else(new_hex_id),
        service: service.clone(),
        path: path.clone(),
        method: method.clone(),
    };
    if let Some(found) = sql::find_access_rule(&mut *tx, user, &rule).await? {
        return Ok((found.internal_id, found.rule));
    }
    Ok((sql::insert_access_rule(tx, user, &rule).await?, rule))
}
