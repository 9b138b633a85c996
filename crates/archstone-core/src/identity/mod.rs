//! Users, groups and their passwords.
//!
//! A user is local (name and password are here), nonlocal (a shadow of one that a directory keeps) or federated (one
//! that an identity provider vouches for); it can be several of these.
//!
//! **Invariant:** a password in the clear is hashed before the transaction that stores it begins, on the threads of the
//! [`HashPool`](password::HashPool), and is never stored, logged or shown.
//!
//! **Invariant:** every change of what a token can see of a user touches [`Ref::User`](crate::freshness::Ref::User).
//! What ends tokens is not here but above: see `cascade`.

mod activity;
mod compliance;
mod expiry_filter;
mod group;
mod known;
mod lockout;
mod login;
mod options;
pub mod password;
mod remembered;
mod report;
mod sql;
#[cfg(test)]
mod tests;
mod user;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::config::{Config, PasswordHashAlgorithm};
use crate::error::{Error, Result};
use crate::foundation::Foundation;
use crate::id::{DomainId, GroupId, ProjectId, UserId};
use crate::time::Timestamp;
use activity::Activity;
use compliance::Compliance;
use password::{Compared, HashAlgorithm, HashOptions, HashPool, Hasher, PasswordError, PoolOptions};
use remembered::Remembered;

pub use group::GroupPatch;
pub(crate) use group::membership_event;
pub(crate) use known::TokenUser;
pub use lockout::FailedLogins;
pub use login::LoginRefused;
pub use options::{UserOption, UserOptionChanges, UserOptions};
pub use password::Password;
pub(crate) use remembered::FoundUser;
pub use report::{Report, ReportedUser};
pub use user::{NewUser, UserPatch};

/// Somebody who can log in.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// Its id.
    pub id: UserId,
    /// The domain that its name is unique in.
    pub domain_id: DomainId,
    /// Its name; empty where the tables have none.
    pub name: String,
    /// Who keeps its name.
    pub kind: UserKind,
    /// Whether it may log in: it was not switched off, and was not idle for too long.
    pub enabled: bool,
    /// The project that a login without a scope gets, if the user has a role there. Need not exist.
    pub default_project_id: Option<ProjectId>,
    /// When its password expires.
    pub password_expires_at: Option<Timestamp>,
    /// Its resource options.
    pub options: UserOptions,
    /// What identity providers call it.
    pub federated: Vec<FederatedIdentity>,
    /// What the caller added: description, email and anything else.
    pub extra: Map<String, Value>,
}

/// Who keeps a user's name; the first that holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UserKind {
    /// This database does, with its passwords.
    Local,
    /// A directory does.
    Nonlocal,
    /// An identity provider does.
    Federated,
}

/// What an identity provider calls a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FederatedIdentity {
    /// The identity provider.
    pub idp_id: String,
    /// The protocol by which it vouches for the user.
    pub protocol_id: String,
    /// The user's id there, quoted for URLs; unique for provider and protocol.
    pub unique_id: String,
    /// The user's name there.
    pub display_name: String,
}

/// A set of users, to assign roles to.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Its id.
    pub id: GroupId,
    /// The domain that its name is unique in.
    pub domain_id: DomainId,
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What the caller added.
    pub extra: Map<String, Value>,
}

/// A group that a user is in.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupMembership {
    /// The group.
    pub group: Group,
    /// When the membership ends, for one that an identity provider has to repeat.
    pub expires_at: Option<Timestamp>,
}

/// The door of users and groups.
#[derive(Clone)]
pub struct Identity {
    foundation: Foundation,
    pool: Arc<HashPool>,
    compliance: Arc<Compliance>,
    remembered: Arc<Remembered>,
    activity: Arc<Activity>,
    /// Those that tokens need.
    users: known::Users,
}

impl Identity {
    /// A door onto this foundation; starts the threads that hash passwords.
    ///
    /// # Errors
    /// Options of `[identity]` and `[security_compliance]` that cannot be used together, or no threads to be had.
    pub fn new(foundation: Foundation) -> Result<Identity> {
        let config = &foundation.config;
        let hasher = Hasher::new(&HashOptions {
            algorithm: match config.identity.password_hash_algorithm {
                PasswordHashAlgorithm::Bcrypt => HashAlgorithm::Bcrypt,
                PasswordHashAlgorithm::BcryptSha256 => HashAlgorithm::BcryptSha256,
                PasswordHashAlgorithm::Scrypt => HashAlgorithm::Scrypt,
                PasswordHashAlgorithm::Pbkdf2Sha512 => HashAlgorithm::Pbkdf2Sha512,
            },
            rounds: config.identity.password_hash_rounds.map(|rounds| u32::try_from(rounds).unwrap_or(u32::MAX)),
            scrypt_block_size: config.identity.scrypt_block_size,
            scrypt_parallelism: config.identity.scrypt_parallelism,
            salt_bytesize: config.identity.salt_bytesize,
            max_password_length: config.identity.max_password_length,
            strict_password_check: config.default.strict_password_check,
        })
        .map_err(|error| Error::internal(error.to_string()))?;
        let options = &config.archstone;
        let remember = Duration::try_from_secs_f64(options.remember_verified_password_for)
            .map_err(|error| Error::internal(format!("[archstone] remember_verified_password_for: {error}")))?;
        let options = PoolOptions {
            threads: options.hash_threads.and_then(NonZeroUsize::new),
            waiting: options.hash_queue,
            remember_verified_for: remember,
        };
        let pool = HashPool::start(hasher, options)
            .map_err(|error| Error::internal(format!("starting the threads that hash passwords: {error}")))?;
        let compliance = Arc::new(Compliance::new(config)?);
        let remembered = Arc::new(Remembered::new(&foundation));
        let users = known::users(&foundation, default_authorization_minutes(config));
        let activity = Arc::default();
        Ok(Identity { foundation, pool: Arc::new(pool), compliance, remembered, activity, users })
    }

    /// Whether a secret that is hashed as passwords are is the stored one.
    pub(crate) async fn compare_secret(&self, secret: Password, stored: &str) -> Result<Compared> {
        Ok(self.pool.compare(secret, stored.to_owned()).await?)
    }

    /// Takes as long as [`compare_secret`](Self::compare_secret), where there is nothing to compare with.
    pub(crate) async fn verify_nothing(&self, secret: Password) -> Result<()> {
        Ok(self.pool.dummy_verify(secret).await?)
    }

    /// Hashes a secret as passwords are hashed. 403 if it is too long and `[identity] strict_password_check` is on.
    pub(crate) async fn hash_secret(&self, secret: Password) -> Result<String> {
        Ok(self.pool.hash(secret).await?)
    }

    /// Wipes what is no longer remembered of passwords.
    pub(crate) fn forget_verified(&self) {
        self.pool.forget_old();
    }

    /// How many passwords were compared so far.
    #[cfg(test)]
    pub(crate) fn compared_passwords(&self) -> u64 {
        self.pool.compared()
    }

    fn default_authorization_minutes(&self) -> i64 {
        default_authorization_minutes(&self.foundation.config)
    }

    fn max_db_limit(&self) -> u64 {
        self.foundation.config.default.max_db_limit as u64
    }
}

fn default_authorization_minutes(config: &Config) -> i64 {
    i64::try_from(config.federation.default_authorization_ttl).unwrap_or(i64::MAX)
}

impl From<PasswordError> for Error {
    fn from(error: PasswordError) -> Error {
        match error {
            PasswordError::TooLong { max } => Error::forbidden_open(format!(
                "The password is too long: it must have at most {max} bytes, and the server does not cut it."
            )),
            PasswordError::Busy => Error::unavailable(error.to_string()),
            PasswordError::Failed => Error::internal(error.to_string()),
        }
    }
}
