//! Application credentials: secrets of a user for one project and some of its roles there
//! (`keystone.application_credential`).

mod access_rule;
mod create;
mod known;
mod remembered;
mod sql;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use archstone_db::Tx;

use crate::assignment::{Assignment, Role};
use crate::authz::Allowed;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::foundation::Foundation;
use crate::freshness::Ref;
use crate::id::{ApplicationCredentialId, ProjectId, RoleId, UserId};
use crate::identity::Identity;
use crate::identity::password::{Compared, Password};
use crate::list::{Filter, ListQuery, Page};
use crate::time::Timestamp;

pub use create::{NewAccessRule, NewApplicationCredential, RoleChoice, generate_secret};

/// An application credential, without its secret.
#[derive(Clone, Debug)]
pub struct ApplicationCredential {
    /// Its id.
    pub id: ApplicationCredentialId,
    /// Its name, unique for its user.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// Whose it is.
    pub user_id: UserId,
    /// The project that it is for.
    pub project_id: Option<ProjectId>,
    /// Text that the reference stores and shows, and that means nothing.
    pub system: Option<String>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// Whether it may manage application credentials and trusts, as its maker said it.
    pub unrestricted: Option<bool>,
    /// The roles that it carries.
    pub role_ids: BTreeSet<RoleId>,
    /// The requests that it may make; `None` for all.
    pub access_rules: Option<Vec<AccessRule>>,
    pub(crate) secret_hash: String,
}

impl ApplicationCredential {
    /// Whether it may manage application credentials and trusts: only if its maker said so.
    pub fn is_unrestricted(&self) -> bool {
        self.unrestricted.unwrap_or(false)
    }
}

/// An application credential with the roles that it names, as far as they still exist.
#[derive(Clone, Debug)]
pub struct WithRoles {
    /// The credential.
    pub credential: ApplicationCredential,
    /// Its roles.
    pub roles: Vec<Role>,
}

/// A request that an application credential may make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRule {
    /// Its id.
    pub id: String,
    /// The type of the service.
    pub service: String,
    /// The path, with `*`, `**` and `{name}`.
    pub path: String,
    /// The method.
    pub method: String,
}

/// The door of application credentials.
#[derive(Clone)]
pub struct ApplicationCredentials {
    foundation: Foundation,
    identity: Identity,
    assignment: Assignment,
    /// Those that tokens need.
    credentials: known::Credentials,
    remembered: Arc<remembered::Remembered>,
}

impl ApplicationCredentials {
    /// A door onto this foundation.
    pub fn new(foundation: Foundation, identity: Identity, assignment: Assignment) -> ApplicationCredentials {
        let credentials = known::credentials(&foundation);
        let remembered = Arc::new(remembered::Remembered::new(&foundation));
        ApplicationCredentials { foundation, identity, assignment, credentials, remembered }
    }

    /// Whose credential this is, which is what policies are asked about, whatever the path says. It needs no
    /// [`Allowed`] because it is what one is made of.
    pub async fn owner_for_target(&self, id: &ApplicationCredentialId) -> Result<Option<UserId>> {
        Ok(sql::get(&self.foundation.db, id).await?.map(|credential| credential.user_id))
    }

    /// The credential of this id, or 404.
    pub async fn require(&self, _: &Allowed, id: &ApplicationCredentialId) -> Result<WithRoles> {
        let credential = self.require_for_token(id).await?;
        let mut all = self.with_roles(vec![credential]).await?;
        all.pop().ok_or_else(|| not_found(id))
    }

    /// The credentials of a user, and the filters that are left to the caller.
    pub async fn list(&self, _: &Allowed, user: &UserId, query: &ListQuery) -> Result<(Page<WithRoles>, Vec<Filter>)> {
        let (page, remaining) = sql::list_of_user(&self.foundation.db, user, query).await?;
        let items = self.with_roles(page.items).await?;
        Ok((Page { items, truncated: page.truncated }, remaining))
    }

    /// Deletes a credential, and so ends its tokens. 404 if there is none.
    pub async fn delete(&self, allowed: &Allowed, id: &ApplicationCredentialId) -> Result<()> {
        self.foundation
            .db
            .write(move |tx| {
                Box::pin(async move {
                    if !sql::delete(tx, id).await? {
                        return Err(not_found(id));
                    }
                    tx.touch(Ref::ApplicationCredential(id.clone()).into());
                    Ok(())
                })
            })
            .await?;
        self.foundation.events.emit(Event::new("application_credential", "deleted", &**id, allowed));
        Ok(())
    }

    /// Deletes the credentials of these users on these projects; which ones. Part of a greater deletion, which touches
    /// them.
    pub(crate) async fn delete_on_projects_in(
        &self,
        tx: &mut Tx<'_>,
        of: &[(UserId, ProjectId)],
    ) -> Result<Vec<ApplicationCredentialId>> {
        sql::delete_on_projects(tx, of).await
    }

    /// Takes a role that goes away out of all credentials.
    pub(crate) async fn drop_role_in(&self, tx: &mut Tx<'_>, role: &RoleId) -> Result<()> {
        sql::drop_role(tx, role).await
    }

    async fn with_roles(&self, credentials: Vec<ApplicationCredential>) -> Result<Vec<WithRoles>> {
        let ids: BTreeSet<RoleId> =
            credentials.iter().flat_map(|credential| credential.role_ids.iter().cloned()).collect();
        let roles = self.assignment.get_roles(&Vec::from_iter(ids)).await?;
        let roles: HashMap<RoleId, Role> = roles.into_iter().map(|role| (role.id.clone(), role)).collect();
        let with_roles = credentials.into_iter().map(|credential| WithRoles {
            roles: credential.role_ids.iter().filter_map(|id| roles.get(id).cloned()).collect(),
            credential,
        });
        Ok(with_roles.collect())
    }

    /// The credential of this id, or 404.
    pub(crate) async fn require_for_token(&self, id: &ApplicationCredentialId) -> Result<ApplicationCredential> {
        let found = sql::get(&self.foundation.db, id).await?;
        found.ok_or_else(|| not_found(id))
    }

    /// 401 if the credential has ended or the secret is not its own.
    pub(crate) async fn check_secret(&self, credential: &ApplicationCredential, secret: Password) -> Result<()> {
        let compared = self.identity.compare_secret(secret.clone(), &credential.secret_hash).await?;
        let has_ended = credential.expires_at.is_some_and(|end| end <= self.foundation.time.now());
        if has_ended && compared == Compared::RightAMomentAgo {
            self.identity.verify_nothing(secret).await?;
        }
        if has_ended {
            return Err(Error::unauthorized(format!("application credential {} has expired", credential.id)));
        }
        if !compared.is_right() {
            return Err(Error::unauthorized(format!("wrong secret for application credential {}", credential.id)));
        }
        Ok(())
    }
}

fn not_found(id: &ApplicationCredentialId) -> Error {
    Error::not_found("application credential", id)
}
