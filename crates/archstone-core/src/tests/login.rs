//! Who gets in, and what out of what.

use archstone_db::tables::{ApplicationCredential, ApplicationCredentialRole};
use sea_query::Query as Sql;
use serde_json::json;

use super::{Cloud, allowed, authenticate, kind, log_in, on_each_cloud, rescope, role};
use crate::Core;
use crate::error::ErrorKind;
use crate::id::DomainId;
use crate::identity::{NewUser, UserPatch};
use crate::resource::{Project, ProjectPatch};

/// The application credential `cred` of alice, with the secret `secret`, that ends 60 seconds from now.
pub(super) async fn application_credential(cloud: &Cloud, core: &Core, secret: &str) {
    let hash = bcrypt::hash(secret, 4).unwrap();
    let end = cloud.time.now().plus_seconds(60).micros();
    let insert = Sql::insert()
        .into_table(ApplicationCredential::Table)
        .columns([
            ApplicationCredential::InternalId,
            ApplicationCredential::Id,
            ApplicationCredential::Name,
            ApplicationCredential::SecretHash,
            ApplicationCredential::UserId,
            ApplicationCredential::ProjectId,
            ApplicationCredential::ExpiresAt,
            ApplicationCredential::Unrestricted,
        ])
        .values_panic([
            1.into(),
            "cred".into(),
            "name".into(),
            hash.into(),
            (&*cloud.alice).into(),
            (&*cloud.work).into(),
            end.into(),
            true.into(),
        ])
        .to_owned();
    cloud.write(&insert, &[]).await;
    let member = role(core, "member").await;
    let insert = Sql::insert()
        .into_table(ApplicationCredentialRole::Table)
        .columns([ApplicationCredentialRole::ApplicationCredentialId, ApplicationCredentialRole::RoleId])
        .values_panic([1.into(), (&*member).into()])
        .to_owned();
    cloud.write(&insert, &[]).await;
}

pub(super) fn with_credential(payload: &serde_json::Value) -> serde_json::Value {
    json!({"methods": ["application_credential"], "application_credential": payload})
}

#[tokio::test]
async fn cve_2022_2447_a_token_ends_with_its_application_credential() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        application_credential(cloud, &core, "secret").await;
        let identity = with_credential(&json!({"id": "cred", "secret": "secret"}));
        let token = authenticate(&core, identity, json!(null)).await.unwrap();
        assert_eq!(token.token.expires_at, cloud.time.now().plus_seconds(60));
    })
    .await;
}

#[tokio::test]
async fn cve_2026_42998_an_application_credential_speaks_for_its_owner_only() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        application_credential(cloud, &core, "secret").await;
        let admin = json!({"name": "admin", "domain": {"id": "default"}});
        let identity = with_credential(&json!({"id": "cred", "secret": "secret", "user": admin}));
        let token = authenticate(&core, identity, json!(null)).await.unwrap();
        assert_eq!(token.token.caller().user_id, cloud.alice);
    })
    .await;
}

#[tokio::test]
async fn lp_2144966_a_token_by_an_application_credential_gets_no_other_scope() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        application_credential(cloud, &core, "secret").await;
        let identity = with_credential(&json!({"id": "cred", "secret": "secret"}));
        let token = authenticate(&core, identity, json!(null)).await.unwrap();
        for scope in [json!({"system": {"all": true}}), json!("unscoped"), json!({"project": {"id": &*cloud.work}})] {
            assert_eq!(kind(rescope(&core, &token.text, scope).await), Some(ErrorKind::Forbidden));
        }
    })
    .await;
}

#[tokio::test]
async fn a_system_token_becomes_none_of_a_project() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let system = log_in(&core, "admin", "pw", json!({"system": {"all": true}})).await.unwrap();
        let scope = json!({"project": {"id": &*cloud.work}});
        assert_eq!(kind(rescope(&core, &system.text, scope).await), Some(ErrorKind::Forbidden));
    })
    .await;
}

#[tokio::test]
async fn ossa_2014_013_a_method_named_often_costs_one_try() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let user = json!({"name": "alice", "domain": {"id": "default"}, "password": "pw"});
        let methods = vec!["password"; 1000];
        let before = core.db().statements();
        let identity = json!({"methods": methods, "password": {"user": user}});
        authenticate(&core, identity, json!("unscoped")).await.unwrap();
        assert!(core.db().statements() - before < 100);
    })
    .await;
}

#[tokio::test]
async fn ossa_2021_003_a_wrong_password_and_an_unknown_user_get_the_same_answer() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let wrong = log_in(&core, "alice", "wrong", json!("unscoped")).await.err().unwrap();
        let unknown = log_in(&core, "nobody", "wrong", json!("unscoped")).await.err().unwrap();
        assert_eq!((&wrong.kind, wrong.public_text()), (&unknown.kind, unknown.public_text()));
    })
    .await;
}

#[tokio::test]
async fn cve_2018_20170_every_refused_login_costs_one_hash() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let cook = NewUser { password: Some(Some("pw".into())), ..NewUser::named("default".into(), "cook") };
        let cook = core.identity.create_user(&allowed(), cook).await.unwrap();
        let without = NewUser::named("default".into(), "without");
        core.identity.create_user(&allowed(), without).await.unwrap();
        let closed = core.resource.create_project(&allowed(), Project::named("closed", None)).await.unwrap();
        let closed = DomainId::from(&*closed.id);
        let guest = NewUser { password: Some(Some("pw".into())), ..NewUser::named(closed.clone(), "guest") };
        let guest = core.identity.create_user(&allowed(), guest).await.unwrap();
        let off = UserPatch { enabled: Some(false), ..UserPatch::default() };
        core.cascade.update_user(&allowed(), &cook.id, off).await.unwrap();
        let off = ProjectPatch { enabled: Some(false), ..ProjectPatch::default() };
        core.resource.update_domain(&allowed(), &closed, &off).await.unwrap();

        let of_default = |name: &str| json!({"name": name, "domain": {"id": "default"}});
        for (user, password) in [
            (of_default("alice"), "wrong"),
            (of_default("nobody"), "pw"),
            (of_default("cook"), "pw"),
            (of_default("cook"), "wrong"),
            (of_default("without"), "pw"),
            (json!({"id": "nobody"}), "pw"),
            (json!({"id": &*guest.id}), "pw"),
            (json!({"name": "guest", "domain": {"name": "closed"}}), "pw"),
            (json!({"name": "alice", "domain": {"id": "nowhere"}}), "pw"),
            (json!({"name": "alice", "domain": {"name": "nowhere"}}), "pw"),
        ] {
            let mut user = user;
            user["password"] = json!(password);
            let before = core.identity.compared_passwords();
            let identity = json!({"methods": ["password"], "password": {"user": user}});
            let refused = authenticate(&core, identity, json!("unscoped")).await;
            assert_eq!(kind(refused), Some(ErrorKind::Unauthorized), "{user}");
            assert_eq!(core.identity.compared_passwords() - before, 1, "{user}");
        }
    })
    .await;
}
