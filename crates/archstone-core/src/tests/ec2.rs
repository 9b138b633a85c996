//! What a signature by an EC2 key gets, and what it does not.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::trusts::{create as create_trust, new_trust, user};
use super::{Cloud, allowed, kind, on_each_cloud, rescope, role, validate};
use crate::Core;
use crate::application_credential::{NewApplicationCredential, RoleChoice};
use crate::assignment::{Actor, Grant, GrantTarget};
use crate::authz::Delegation;
use crate::credential::NewCredential;
use crate::ec2::SignedBy;
use crate::error::{ErrorKind, Result};
use crate::id::{ProjectId, UserId};
use crate::identity::UserPatch;
use crate::identity::password::Password;
use crate::resource::ProjectPatch;
use crate::token::IssuedToken;
use crate::trust::NewTrust;

/// Stores an EC2 key with the secret `secret`, and more in its blob.
async fn key(core: &Core, access: &str, user: &UserId, project: &ProjectId, bound: &Value) {
    let mut blob = json!({"access": access, "secret": "secret"});
    blob.as_object_mut().unwrap().extend(bound.as_object().unwrap().clone());
    let new = NewCredential {
        user_id: user.clone(),
        project_id: Some(project.clone()),
        kind: "ec2".to_owned(),
        blob: Zeroizing::new(blob.to_string()),
        extra: Map::new(),
    };
    core.credential.create(&allowed(), new).await.unwrap();
}

async fn sign_in(core: &Core, access: &str, secret: &str) -> Result<IssuedToken> {
    let text = "GET\n\n\n\n/bucket";
    let signature =
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes()), text.as_bytes());
    let request = json!({"access": access, "token": URL_SAFE.encode(text), "signature": STANDARD.encode(signature)});
    let body = Map::from_iter([("credentials".to_owned(), request)]);
    core.ec2.authenticate(&allowed(), &body, SignedBy::S3).await
}

#[tokio::test]
async fn a_signature_gets_a_token_that_says_where_it_came_from() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        key(&core, "a", &cloud.alice, &cloud.work, &json!({})).await;
        let issued = sign_in(&core, "a", "secret").await.unwrap();
        let token = validate(&core, &issued.text).await.unwrap();
        assert_eq!(token.body()["methods"], json!(["ec2credential"]));
        assert_eq!((&token.caller().user_id, token.delegation()), (&cloud.alice, &Delegation::Ec2));
        assert_eq!(token.payload.project_id(), Some(&*cloud.work));
    })
    .await;
}

#[tokio::test]
async fn lp_2153453_a_token_by_an_ec2_key_becomes_no_other() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        key(&core, "a", &cloud.alice, &cloud.work, &json!({})).await;
        let issued = sign_in(&core, "a", "secret").await.unwrap();
        for scope in [json!("unscoped"), json!({"project": {"id": &*cloud.work}})] {
            assert_eq!(kind(rescope(&core, &issued.text, scope).await), Some(ErrorKind::Forbidden));
        }
    })
    .await;
}

#[tokio::test]
async fn only_the_secret_of_an_ec2_key_that_exists_counts() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        key(&core, "a", &cloud.alice, &cloud.work, &json!({})).await;
        assert_eq!(kind(sign_in(&core, "a", "wrong").await), Some(ErrorKind::Unauthorized));
        assert_eq!(kind(sign_in(&core, "b", "secret").await), Some(ErrorKind::NotFound));
        for request in [json!({}), json!({"access": 1}), json!({"access": "a"}), json!("a")] {
            let body = Map::from_iter([("credentials".to_owned(), request)]);
            for signed_by in [SignedBy::Ec2, SignedBy::S3] {
                let refused = core.ec2.authenticate(&allowed(), &body, signed_by).await;
                assert_eq!(kind(refused), Some(ErrorKind::Unauthorized));
            }
        }
        let nothing = core.ec2.authenticate(&allowed(), &Map::new(), SignedBy::Ec2).await;
        assert_eq!(kind(nothing), Some(ErrorKind::BadRequest));
    })
    .await;
}

#[tokio::test]
async fn who_may_not_log_in_gets_nothing_by_a_signature() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        key(&core, "a", &cloud.alice, &cloud.work, &json!({})).await;
        let disabled = UserPatch { enabled: Some(false), ..UserPatch::default() };
        core.cascade.update_user(&allowed(), &cloud.alice, disabled).await.unwrap();
        assert_eq!(kind(sign_in(&core, "a", "secret").await), Some(ErrorKind::Unauthorized));
        let enabled = UserPatch { enabled: Some(true), ..UserPatch::default() };
        core.cascade.update_user(&allowed(), &cloud.alice, enabled).await.unwrap();
        sign_in(&core, "a", "secret").await.unwrap();
        let disabled = ProjectPatch { enabled: Some(false), ..ProjectPatch::default() };
        core.resource.update_project(&allowed(), &cloud.work, &disabled).await.unwrap();
        assert_eq!(kind(sign_in(&core, "a", "secret").await), Some(ErrorKind::Unauthorized));
    })
    .await;
}

#[tokio::test]
async fn a_user_without_a_role_in_the_project_gets_nothing_by_a_signature() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        key(&core, "a", &cloud.alice, &cloud.work, &json!({})).await;
        let grant = member_grant(cloud, &core).await;
        core.assignment.delete_grant(&allowed(), &grant).await.unwrap();
        assert_eq!(kind(sign_in(&core, "a", "secret").await), Some(ErrorKind::Unauthorized));
    })
    .await;
}

async fn member_grant(cloud: &Cloud, core: &Core) -> Grant {
    Grant {
        role_id: role(core, "member").await,
        actor: Actor::User(cloud.alice.clone()),
        target: GrantTarget::Project(cloud.work.clone()),
        inherited: false,
    }
}

/// An application credential of alice for the role `reader` alone, which ends in a minute.
async fn application_credential(cloud: &Cloud, core: &Core) -> String {
    let roles = [role(core, "member").await, role(core, "reader").await];
    let new = NewApplicationCredential {
        name: "app".to_owned(),
        description: None,
        user_id: cloud.alice.clone(),
        project_id: Some(cloud.work.clone()),
        system: None,
        expires_at: Some(cloud.time.now().plus_seconds(60)),
        unrestricted: Some(false),
        roles: vec![RoleChoice::Name("reader".to_owned())],
        token_roles: roles.into_iter().collect(),
        access_rules: Vec::new(),
        secret: Password::new("s".to_owned()),
    };
    core.application_credential.create(&allowed(), new).await.unwrap().credential.id.to_string()
}

#[tokio::test]
async fn ossa_2020_004_a_key_of_an_application_credential_gets_no_more_than_that() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let app = application_credential(cloud, &core).await;
        key(&core, "a", &cloud.alice, &cloud.work, &json!({"app_cred_id": app})).await;
        let issued = sign_in(&core, "a", "secret").await.unwrap();
        let token = validate(&core, &issued.text).await.unwrap();
        assert_eq!(token.caller().roles, ["reader"]);
        assert_eq!(token.payload.app_cred_id.as_deref(), Some(app.as_str()));
        assert_eq!((token.expires_at, token.delegation()), (cloud.time.now().plus_seconds(60), &Delegation::Ec2));

        cloud.time.advance(61);
        assert_eq!(kind(sign_in(&core, "a", "secret").await), Some(ErrorKind::Unauthorized));
        core.application_credential.delete(&allowed(), &app.as_str().into()).await.unwrap();
        assert_eq!(kind(sign_in(&core, "a", "secret").await), Some(ErrorKind::NotFound));
    })
    .await;
}

#[tokio::test]
async fn a_key_names_no_delegation_of_another_user_or_project() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let bound = json!({"app_cred_id": application_credential(cloud, &core).await});
        let admin = core.identity.get_user_by_name("admin", &"default".into()).await.unwrap().unwrap().id;
        let project = core.resource.get_project_by_name("admin", &"default".into()).await.unwrap().unwrap().id;
        key(&core, "a", &admin, &cloud.work, &bound).await;
        key(&core, "b", &cloud.alice, &project, &bound).await;
        for access in ["a", "b"] {
            assert_eq!(kind(sign_in(&core, access, "secret").await), Some(ErrorKind::Unauthorized));
        }
    })
    .await;
}

#[tokio::test]
async fn ossa_2013_032_a_key_of_a_trust_gets_no_more_than_that() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let bob = user(&core, "bob").await;
        for (access, impersonation) in [("a", false), ("b", true)] {
            let trust = NewTrust { impersonation, ..new_trust(cloud, &bob) };
            let roles = vec![RoleChoice::Name("reader".to_owned())];
            let trust = create_trust(&core, NewTrust { roles, ..trust }).await;
            let actor = if impersonation { &cloud.alice } else { &bob };
            key(&core, access, actor, &cloud.work, &json!({"trust_id": &*trust.id})).await;
            let issued = sign_in(&core, access, "secret").await.unwrap();
            let token = validate(&core, &issued.text).await.unwrap();
            assert_eq!((&token.caller().user_id, token.payload.user_id.as_str()), (actor, &*bob));
            assert_eq!(token.payload.trust_id.as_deref(), Some(&*trust.id));
            assert_eq!((&token.caller().roles, token.delegation()), (&vec!["reader".to_owned()], &Delegation::Ec2));
            let scope = json!({"project": {"id": &*cloud.work}});
            assert_eq!(kind(rescope(&core, &issued.text, scope).await), Some(ErrorKind::Forbidden));

            core.trust.delete(&allowed(), &trust.id).await.unwrap();
            assert_eq!(kind(sign_in(&core, access, "secret").await), Some(ErrorKind::TrustNotFound));
            assert_eq!(kind(validate(&core, &issued.text).await), Some(ErrorKind::TrustNotFound));
        }
    })
    .await;
}

#[tokio::test]
async fn a_key_names_no_trust_between_others_or_for_another_project() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let bob = user(&core, "bob").await;
        let admin = core.identity.get_user_by_name("admin", &"default".into()).await.unwrap().unwrap().id;
        let project = core.resource.get_project_by_name("admin", &"default".into()).await.unwrap().unwrap().id;
        for impersonation in [false, true] {
            let trust = create_trust(&core, NewTrust { impersonation, ..new_trust(cloud, &bob) }).await;
            let (own, other) = if impersonation { (&cloud.alice, &bob) } else { (&bob, &cloud.alice) };
            for (name, user, project) in [("a", &admin, &cloud.work), ("b", other, &cloud.work), ("c", own, &project)] {
                let access = format!("{name} {impersonation}");
                key(&core, &access, user, project, &json!({"trust_id": &*trust.id})).await;
                assert_eq!(kind(sign_in(&core, &access, "secret").await), Some(ErrorKind::Unauthorized), "{access}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_key_of_a_trust_uses_it_up_and_needs_its_trustee() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let bob = user(&core, "bob").await;
        let trust = NewTrust { impersonation: true, remaining_uses: Some(1), ..new_trust(cloud, &bob) };
        let trust = create_trust(&core, trust).await;
        key(&core, "a", &cloud.alice, &cloud.work, &json!({"trust_id": &*trust.id})).await;
        let enable = async |enabled| {
            let patch = UserPatch { enabled: Some(enabled), ..UserPatch::default() };
            core.cascade.update_user(&allowed(), &bob, patch).await.unwrap();
        };
        enable(false).await;
        assert_eq!(kind(sign_in(&core, "a", "secret").await), Some(ErrorKind::Unauthorized));
        enable(true).await;
        sign_in(&core, "a", "secret").await.unwrap();
        assert_eq!(kind(sign_in(&core, "a", "secret").await), Some(ErrorKind::TrustNotFound));
    })
    .await;
}
