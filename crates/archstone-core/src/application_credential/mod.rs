//! Application credentials: secrets of a user for one project and some of its roles there
//! (`keystone.application_credential`).

mod sql;

use std::collections::BTreeSet;

use crate::error::{Error, Result};
use crate::foundation::Foundation;
use crate::id::{ApplicationCredentialId, ProjectId, RoleId, UserId};
use crate::identity::Identity;
use crate::identity::password::Password;
use crate::time::Timestamp;

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
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// Whether it may manage application credentials and trusts.
    pub unrestricted: bool,
    /// The roles that it carries.
    pub role_ids: BTreeSet<RoleId>,
    /// The requests that it may make; `None` for all.
    pub access_rules: Option<Vec<AccessRule>>,
    pub(crate) secret_hash: String,
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
}

impl ApplicationCredentials {
    /// A door onto this foundation.
    pub fn new(foundation: Foundation, identity: Identity) -> ApplicationCredentials {
        ApplicationCredentials { foundation, identity }
    }

    /// The credential of this id, or 404.
    pub(crate) async fn require_for_token(&self, id: &ApplicationCredentialId) -> Result<ApplicationCredential> {
        let found = sql::get(&self.foundation.db, id).await?;
        found.ok_or_else(|| Error::not_found("application credential", id))
    }

    /// The credential of this name of a user.
    pub(crate) async fn get_by_name(&self, user: &UserId, name: &str) -> Result<Option<ApplicationCredential>> {
        sql::get_by_name(&self.foundation.db, user, name).await
    }

    /// 401 if the credential has ended or the secret is not its own.
    pub(crate) async fn check_secret(&self, credential: &ApplicationCredential, secret: Password) -> Result<()> {
        let matches = self.identity.verify_secret(secret, &credential.secret_hash).await?;
        if credential.expires_at.is_some_and(|end| end <= self.foundation.time.now()) {
            return Err(Error::unauthorized(format!("application credential {} has expired", credential.id)));
        }
        if !matches {
            return Err(Error::unauthorized(format!("wrong secret for application credential {}", credential.id)));
        }
        Ok(())
    }
}
