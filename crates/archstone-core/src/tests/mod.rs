//! Rules that need all doors: tokens and logins on several nodes of one cloud.

mod coherence;
mod cold;
mod ec2;
mod external;
mod interleavings;
mod issuing;
mod lockout;
mod login;
mod outage;
mod receipts;
mod report;
mod tokens;
mod totp;
mod trusts;

use std::sync::Arc;
use std::time::Duration;

use archstone_db::testing::{TestDatabase, configured, options};
use archstone_db::{ConnectOptions, Db, DbError, Dialect, SqlUrl, Statement};
use serde_json::{Value, json};

use crate::Core;
use crate::assignment::{Actor, Grant, GrantTarget};
use crate::auth::Circumstances;
use crate::authz::{Allowed, Initiator, Origin};
use crate::bootstrap::{Bootstrap, EndpointUrls};
use crate::error::{ErrorKind, Result};
use crate::foundation::Foundation;
use crate::freshness::{Freshness, Ref};
use crate::id::{ProjectId, RoleId, UserId};
use crate::identity::NewUser;
use crate::keys;
use crate::resource::Project;
use crate::testing::foundation;
use crate::time::{TimeSource, Timestamp};
use crate::token::{IssuedToken, ValidatedToken, Validation};

/// A database, keys and a clock for any number of nodes; `alice` (password `pw`) is `member` of the project `work`.
struct Cloud {
    database: TestDatabase,
    folder: tempfile::TempDir,
    time: TimeSource,
    alice: UserId,
    work: ProjectId,
}

fn allowed() -> Allowed {
    Allowed::internal("test")
}

async fn on_each_cloud(body: impl AsyncFn(&Cloud)) {
    for dialect in configured() {
        eprintln!("on {dialect:?}:");
        let cloud = Box::pin(Cloud::new(dialect)).await;
        Box::pin(body(&cloud)).await;
    }
}

impl Cloud {
    async fn new(dialect: Dialect) -> Cloud {
        let mut cloud = Cloud {
            database: TestDatabase::new(dialect).await.unwrap(),
            folder: tempfile::tempdir().unwrap(),
            time: TimeSource::fixed(Timestamp::from_seconds(1_800_000_000).unwrap()),
            alice: "".into(),
            work: "".into(),
        };
        let core = cloud.node("maker").await;
        let url = Some("http://identity.example".to_owned());
        let urls = EndpointUrls { public: url, ..EndpointUrls::default() };
        core.bootstrap(Bootstrap { password: "pw".into(), urls, ..Bootstrap::default() }).await.unwrap();
        let alice = NewUser { password: Some(Some("pw".into())), ..NewUser::named("default".into(), "alice") };
        cloud.alice = core.identity.create_user(&allowed(), alice).await.unwrap().id;
        let work = Project::named("work", Some("default".into()));
        cloud.work = core.resource.create_project(&allowed(), work).await.unwrap().id;
        let grant = Grant {
            role_id: role(&core, "member").await,
            actor: Actor::User(cloud.alice.clone()),
            target: GrantTarget::Project(cloud.work.clone()),
            inherited: false,
        };
        core.assignment.create_grant(&allowed(), &grant).await.unwrap();
        cloud
    }

    /// A node with connections and memory of its own.
    async fn node(&self, name: &str) -> Core {
        self.node_with(name, "").await
    }

    /// A node with further configuration.
    async fn node_with(&self, name: &str, further: &str) -> Core {
        self.node_at(&self.database.url, name, further).await
    }

    /// A node that reaches the database by this URL.
    async fn node_at(&self, url: &SqlUrl, name: &str, further: &str) -> Core {
        let connect = ConnectOptions { writer: Some(name.to_owned()), ..options() };
        let db = Db::connect(url, &connect).await.unwrap();
        let folder = self.folder.path().display();
        let config = format!(
            "[auth]\nmethods = password,token,application_credential,totp,ec2credential,external\n[identity]\npassword_hash_rounds = 4\n[token]\nallow_expired_window = 100\n[receipt]\nexpiration = 30\n\
             [fernet_tokens]\nkey_repository = {folder}/keys\n[fernet_receipts]\nkey_repository = {folder}/keys\n\
             [credential]\nkey_repository = {folder}/credential-keys\n{further}"
        );
        let standard = foundation(&db, &config);
        let stale = Duration::from_secs_f64(standard.config.cache.serve_stale_for);
        let foundation = Foundation {
            time: self.time.clone(),
            // An hour: what is noticed is noticed by the clock, and not because it was forgotten.
            freshness: Freshness::serving_stale(db.clone(), Duration::from_hours(1), stale),
            ..standard
        };
        keys::set_up_all(&foundation.config).unwrap();
        Core::new(foundation).unwrap()
    }

    /// A write of somebody who obeys the rule of the clock only as far as `touched` says.
    async fn write(&self, statement: &impl Statement, touched: &[Ref]) {
        let wrote = self.database.db.write(|tx| {
            Box::pin(async move {
                tx.execute(statement).await?;
                for touched in touched {
                    tx.touch(touched.clone().into());
                }
                Ok::<_, DbError>(())
            })
        });
        wrote.await.unwrap();
    }

    async fn work_token(&self, core: &Core) -> IssuedToken {
        log_in(core, "alice", "pw", json!({"project": {"id": &*self.work}})).await.unwrap()
    }
}

async fn role(core: &Core, name: &str) -> RoleId {
    core.assignment.get_role_by_name(&allowed(), name, None).await.unwrap().unwrap().id
}

async fn log_in(core: &Core, user: &str, password: &str, scope: Value) -> Result<IssuedToken> {
    let user = json!({"name": user, "domain": {"id": "default"}, "password": password});
    authenticate(core, json!({"methods": ["password"], "password": {"user": user}}), scope).await
}

async fn rescope(core: &Core, text: &str, scope: Value) -> Result<IssuedToken> {
    authenticate(core, json!({"methods": ["token"], "token": {"id": text}}), scope).await
}

async fn authenticate(core: &Core, identity: Value, scope: Value) -> Result<IssuedToken> {
    continue_with(core, None, identity, scope).await
}

/// As a client at this address.
async fn authenticate_from(core: &Core, address: &str, identity: Value) -> Result<IssuedToken> {
    let initiator = Origin { source: Some(address.parse().unwrap()), ..Origin::default() }.into();
    let circumstances = Circumstances { initiator: &initiator, receipt: None, external: None };
    let auth = json!({"identity": identity, "scope": "unscoped"});
    core.auth.authenticate(auth.as_object().unwrap(), &circumstances).await
}

async fn continue_with(core: &Core, receipt: Option<&str>, identity: Value, scope: Value) -> Result<IssuedToken> {
    let mut auth = json!({"identity": identity});
    if !scope.is_null() {
        auth["scope"] = scope;
    }
    let circumstances = Circumstances { initiator: &Initiator::default(), receipt, external: None };
    core.auth.authenticate(auth.as_object().unwrap(), &circumstances).await
}

async fn validate(core: &Core, text: &str) -> Result<Arc<ValidatedToken>> {
    core.token.validate(text, Validation::default()).await
}

fn kind<T>(result: Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind)
}
