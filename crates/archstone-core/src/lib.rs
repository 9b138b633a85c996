//! The rules of identity, one folder per subsystem.
//!
//! Each subsystem has one door (a struct named after it) with the rules, the caches and the events; its `sql.rs` is
//! private. A subsystem may use only those named before it:
//!
//! `time id error config keys list authz freshness memory events foundation testing` │
//! `resource catalog limit policy credential` │
//! `domain_config identity` │
//! `assignment` │
//! `application_credential` │
//! `revoke trust token` │
//! `auth` │
//! `ec2` │
//! `cascade` │
//! `bootstrap`
//!
//! **Invariant:** no HTTP and no JSON text here: what a status code or a body looks like is the program's business.

pub mod application_credential;
pub mod assignment;
pub mod auth;
pub mod authz;
pub mod bootstrap;
pub mod cascade;
pub mod catalog;
pub mod config;
pub mod credential;
pub mod domain_config;
pub mod ec2;
pub mod error;
pub mod events;
pub mod foundation;
pub mod freshness;
pub mod id;
pub mod identity;
pub mod keys;
pub mod limit;
pub mod list;
mod memory;
pub mod policy;
pub mod resource;
pub mod revoke;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
pub mod time;
pub mod token;
pub mod trust;

use std::sync::Arc;
use std::time::Duration;

use application_credential::ApplicationCredentials;
use assignment::Assignment;
use auth::{Auth, AuthSources};
use authz::Authorizer;
use cascade::Cascade;
use catalog::Catalog;
use config::Config;
use credential::Credentials;
use domain_config::DomainConfig;
use ec2::Ec2;
use error::Result;
use foundation::Foundation;
use identity::Identity;
use limit::Limits;
use policy::Policies;
use resource::Resource;
use revoke::Revoke;
use token::{Token, TokenProvider, TokenSources};
use trust::Trusts;

/// All doors, as the program holds them.
pub struct Core {
    foundation: Foundation,
    /// The configuration.
    pub config: Arc<Config>,
    /// Who may do what.
    pub authorizer: Arc<Authorizer>,
    /// Projects and domains.
    pub resource: Resource,
    /// What domains set otherwise than the configuration.
    pub domain_config: DomainConfig,
    /// Regions, services, endpoints, and what narrows them.
    pub catalog: Catalog,
    /// Unified limits.
    pub limit: Limits,
    /// Policies that are kept for other services.
    pub policy: Policies,
    /// EC2 keys, TOTP seeds, certificates.
    pub credential: Credentials,
    /// Users and groups.
    pub identity: Identity,
    /// Roles and assignments.
    pub assignment: Assignment,
    /// Application credentials.
    pub application_credential: ApplicationCredentials,
    /// Revocation events.
    pub revoke: Revoke,
    /// Trusts.
    pub trust: Trusts,
    /// Tokens.
    pub token: Token,
    /// Login.
    pub auth: Auth,
    /// Tokens by signatures of EC2 keys.
    pub ec2: Ec2,
    /// Writes that reach over several subsystems.
    pub cascade: Cascade,
}

impl Core {
    /// Puts the doors together.
    ///
    /// # Errors
    /// A key repository, or a catalog's file, that cannot be read.
    pub fn new(foundation: Foundation) -> Result<Core> {
        let provider = TokenProvider::open_repository(&foundation.config)?;
        let resource = Resource::new(foundation.clone());
        let credential = Credentials::new(foundation.clone())?;
        let catalog = Catalog::new(foundation.clone(), resource.clone())?;
        let domain_config = DomainConfig::new(foundation.clone(), resource.clone());
        let limit = Limits::new(foundation.clone(), resource.clone(), catalog.clone());
        let policy = Policies::new(foundation.clone(), catalog.clone());
        let identity = Identity::new(foundation.clone())?;
        let assignment = Assignment::new(foundation.clone(), resource.clone(), identity.clone());
        let application_credential =
            ApplicationCredentials::new(foundation.clone(), identity.clone(), assignment.clone());
        let revoke = Revoke::new(foundation.clone());
        let trust =
            Trusts::new(foundation.clone(), resource.clone(), identity.clone(), assignment.clone(), revoke.clone());
        let sources = TokenSources {
            resource: resource.clone(),
            catalog: catalog.clone(),
            identity: identity.clone(),
            assignment: assignment.clone(),
            application_credential: application_credential.clone(),
            trust: trust.clone(),
            revoke: revoke.clone(),
        };
        let token = Token::new(foundation.clone(), sources, provider);
        let auth = Auth::new(
            foundation.clone(),
            AuthSources {
                resource: resource.clone(),
                identity: identity.clone(),
                assignment: assignment.clone(),
                credential: credential.clone(),
                application_credential: application_credential.clone(),
                trust: trust.clone(),
            },
            token.clone(),
        )?;
        let ec2 = Ec2::new(
            foundation.clone(),
            resource.clone(),
            credential.clone(),
            identity.clone(),
            application_credential.clone(),
            trust.clone(),
            token.clone(),
        );
        let cascade = Cascade::new(
            foundation.clone(),
            resource.clone(),
            identity.clone(),
            assignment.clone(),
            application_credential.clone(),
            revoke.clone(),
        );
        Ok(Core {
            config: Arc::clone(&foundation.config),
            authorizer: Arc::clone(&foundation.authorizer),
            foundation,
            resource,
            domain_config,
            catalog,
            limit,
            policy,
            credential,
            identity,
            assignment,
            application_credential,
            revoke,
            trust,
            token,
            auth,
            ec2,
            cascade,
        })
    }

    /// The database, for the health check and for commands.
    pub fn db(&self) -> &archstone_db::Db {
        &self.foundation.db
    }

    /// What happened, for notifiers.
    pub fn events(&self) -> &events::Events {
        &self.foundation.events
    }

    /// Starts what runs beside the requests: policy files and the catalog's file are read again when they change, old
    /// rows of our own tables go, the days of logins are written, and it is looked whether the database tells of other
    /// programs' writes. It ends when the handle is dropped.
    pub fn watch(&self) -> Watching {
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(Arc::clone(self.authorizer.policy()).watch());
        tasks.spawn(self.catalog.clone().watch());
        tasks.spawn(self.foundation.freshness.clone().watch_triggers());
        tasks.spawn(prune(self.foundation.db.clone(), self.auth.clone()));
        tasks.spawn(self.identity.clone().keep_writing_activity());
        Watching { _tasks: tasks }
    }

    /// Writes what was to be written later. To be called when no more requests come, and before the database is closed.
    pub async fn finish(&self) {
        self.identity.finish_activity().await;
    }

    /// Whether this is `[DEFAULT] admin_token`. Compared in constant time.
    pub fn is_admin_token(&self, text: &str) -> bool {
        let Some(admin_token) = &self.config.default.admin_token else { return false };
        let (known, given) = (admin_token.expose().as_bytes(), text.as_bytes());
        !known.is_empty() && aws_lc_rs::constant_time::verify_slices_are_equal(known, given).is_ok()
    }
}

/// What runs beside the requests, for as long as this lives.
pub struct Watching {
    _tasks: tokio::task::JoinSet<()>,
}

/// How often old rows of our own tables are looked for.
const PRUNE_EVERY: Duration = Duration::from_mins(1);

/// How long a change stays on record, in seconds: a node that was away for longer forgets what it knows.
const KEEP_CHANGES: i64 = 600;

async fn prune(db: archstone_db::Db, auth: Auth) {
    loop {
        tokio::time::sleep(PRUNE_EVERY).await;
        let before = time::TimeSource::system().now().plus_seconds(-KEEP_CHANGES);
        if let Err(error) = archstone_db::prune_changes(&db, before.naive()).await {
            tracing::warn!(%error, "old rows of archstone_change stay for now");
        }
        if let Err(error) = auth.prune().await {
            tracing::warn!(detail = error.detail_text(), "what is kept of old logins stays for now");
        }
    }
}
