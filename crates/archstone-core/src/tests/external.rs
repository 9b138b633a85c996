//! Logins of users whom a trusted proxy has authenticated.

use serde_json::{Value, json};

use super::{Cloud, allowed, kind, on_each_cloud};
use crate::Core;
use crate::auth::{Circumstances, ExternalUser};
use crate::authz::Initiator;
use crate::error::{ErrorKind, Result};
use crate::id::DomainId;
use crate::identity::{NewUser, UserPatch};
use crate::resource::Project;
use crate::token::IssuedToken;

async fn log_in(core: &Core, user: Option<(&str, Option<&str>)>, identity: Value) -> Result<IssuedToken> {
    let external =
        user.map(|(name, domain)| ExternalUser { name: name.to_owned(), domain: domain.map(ToOwned::to_owned) });
    let circumstances = Circumstances { initiator: &Initiator::default(), receipt: None, external: external.as_ref() };
    let auth = json!({"identity": identity, "scope": "unscoped"});
    core.auth.authenticate(auth.as_object().unwrap(), &circumstances).await
}

fn methods(token: &IssuedToken) -> Vec<&str> {
    token.token.payload.methods.iter().map(|name| &**name).collect()
}

/// Another alice, in the domain `kitchen`.
async fn other_alice(core: &Core) -> DomainId {
    let kitchen = core.resource.create_project(&allowed(), Project::named("kitchen", None)).await.unwrap();
    let kitchen = DomainId::from(&*kitchen.id);
    core.identity.create_user(&allowed(), NewUser::named(kitchen.clone(), "alice")).await.unwrap();
    kitchen
}

#[tokio::test]
async fn a_proxys_user_is_in_whether_the_request_names_the_method_or_not() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        for identity in [json!({"methods": []}), json!({"methods": ["external"], "external": {}})] {
            let token = log_in(&core, Some(("alice", None)), identity).await.unwrap();
            assert_eq!((&token.token.caller().user_id, methods(&token)), (&cloud.alice, vec!["external"]));
        }
    })
    .await;
}

#[tokio::test]
async fn without_a_word_of_the_proxy_nobody_is_external() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        for (user, identity) in [
            (None, json!({"methods": ["external"], "external": {}})),
            (None, json!({"methods": []})),
            (Some(("nobody", None)), json!({"methods": []})),
            (Some(("nobody", None)), json!({"methods": ["external"], "external": {}})),
        ] {
            assert_eq!(kind(log_in(&core, user, identity).await), Some(ErrorKind::Unauthorized));
        }
    })
    .await;
}

#[tokio::test]
async fn the_variant_says_whether_the_proxys_domain_counts() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let kitchen = other_alice(&core).await;
        let none = json!({"methods": []});
        let of_kitchen = Some(("alice", Some("kitchen")));
        let token = log_in(&core, of_kitchen, none.clone()).await.unwrap();
        assert_eq!(token.token.caller().user_id, cloud.alice);

        let core = cloud.node_with("domain", "[auth]\nexternal = Domain\n").await;
        let token = log_in(&core, of_kitchen, none.clone()).await.unwrap();
        assert_eq!(token.token.caller().user_domain_id, kitchen);
        let token = log_in(&core, Some(("alice", None)), none.clone()).await.unwrap();
        assert_eq!(token.token.caller().user_id, cloud.alice);
        let elsewhere = log_in(&core, Some(("alice", Some("nowhere"))), none).await;
        assert_eq!(kind(elsewhere), Some(ErrorKind::Unauthorized));
    })
    .await;
}

#[tokio::test]
async fn an_unknown_external_user_is_no_reason_to_refuse_a_password() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let user = json!({"name": "alice", "domain": {"id": "default"}, "password": "pw"});
        let identity = json!({"methods": ["password"], "password": {"user": user}});
        let token = log_in(&core, Some(("nobody", None)), identity.clone()).await.unwrap();
        assert_eq!(methods(&token), ["password"]);
        let token = log_in(&core, Some(("alice", None)), identity.clone()).await.unwrap();
        assert_eq!(methods(&token).len(), 2);
        let two = log_in(&core, Some(("admin", None)), identity).await;
        assert_eq!(kind(two), Some(ErrorKind::Unauthorized), "of different users");
    })
    .await;
}

#[tokio::test]
async fn a_disabled_user_is_not_external_either() {
    on_each_cloud(async |cloud: &Cloud| {
        let core = cloud.node("node").await;
        let off = UserPatch { enabled: Some(false), ..UserPatch::default() };
        core.cascade.update_user(&allowed(), &cloud.alice, off).await.unwrap();
        let refused = log_in(&core, Some(("alice", None)), json!({"methods": []})).await;
        assert_eq!(kind(refused), Some(ErrorKind::Unauthorized));
    })
    .await;
}
