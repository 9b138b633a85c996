//! Tokens by trusts: who they stand for, what ends them.

use serde_json::{Value, json};

use super::{Cloud, allowed, authenticate, kind, log_in, on_each_cloud, rescope, role, validate};
use crate::Core;
use crate::application_credential::RoleChoice;
use crate::assignment::{Actor, Grant, GrantTarget};
use crate::authz::{Delegation, Scope};
use crate::error::{ErrorKind, Result};
use crate::id::{TrustId, UserId};
use crate::identity::{NewUser, UserPatch};
use crate::resource::{Project, ProjectPatch};
use crate::token::{IssuedToken, Validation};
use crate::trust::{NewTrust, Trust};

const NO_TOKEN: Option<ErrorKind> = Some(ErrorKind::TokenNotFound);
const NO_TRUST: Option<ErrorKind> = Some(ErrorKind::TrustNotFound);
const MAY_NOT: Option<ErrorKind> = Some(ErrorKind::Forbidden);

pub(super) async fn user(core: &Core, name: &str) -> UserId {
    let new = NewUser { password: Some(Some("pw".into())), ..NewUser::named("default".into(), name) };
    core.identity.create_user(&allowed(), new).await.unwrap().id
}

/// Alice trusts this user with `member` on `work`.
pub(super) fn new_trust(cloud: &Cloud, trustee: &UserId) -> NewTrust {
    NewTrust {
        trustor_user_id: cloud.alice.clone(),
        trustee_user_id: trustee.clone(),
        project_id: Some(cloud.work.clone()),
        impersonation: false,
        expires_at: None,
        remaining_uses: None,
        roles: vec![RoleChoice::Name("member".into())],
        allow_redelegation: false,
        redelegation_count: None,
        redelegated_trust_id: None,
        extra: serde_json::Map::new(),
    }
}

pub(super) async fn create(core: &Core, new: NewTrust) -> Trust {
    core.trust.create(&allowed(), new).await.unwrap()
}

fn by(trust: &TrustId) -> Value {
    json!({"OS-TRUST:trust": {"id": &**trust}})
}

/// Bob, a trust of Alice for him, and his token by it.
async fn trusted(cloud: &Cloud, core: &Core) -> (UserId, Trust, IssuedToken) {
    let bob = user(core, "bob").await;
    let trust = create(core, new_trust(cloud, &bob)).await;
    let token = log_in(core, "bob", "pw", by(&trust.id)).await.unwrap();
    (bob, trust, token)
}

async fn alices_grant(cloud: &Cloud, core: &Core) -> Grant {
    Grant {
        role_id: role(core, "member").await,
        actor: Actor::User(cloud.alice.clone()),
        target: GrantTarget::Project(cloud.work.clone()),
        inherited: false,
    }
}

#[tokio::test]
async fn a_trustee_acts_as_itself_or_as_the_trustor() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let bob = user(&core, "bob").await;
        for impersonation in [false, true] {
            let trust = create(&core, NewTrust { impersonation, ..new_trust(cloud, &bob) }).await;
            let issued = log_in(&core, "bob", "pw", by(&trust.id)).await.unwrap();
            let read = cloud.node("other").await;
            let read = validate(&read, &issued.text).await.unwrap();
            let actor = if impersonation { &cloud.alice } else { &bob };
            for token in [&issued.token, &read] {
                assert_eq!(token.caller().user_id, *actor);
                assert_eq!(token.user().0, &*bob);
                assert_eq!(token.caller().delegation, Delegation::Trust(trust.id.clone()));
                assert_eq!(
                    token.caller().scope,
                    Scope::Project { id: cloud.work.clone(), domain_id: "default".into() }
                );
                assert_eq!(token.caller().roles, ["member", "reader"]);
                assert_eq!(token.caller().credentials["user_id"], **actor);
                assert_eq!(token.body()["user"]["id"], **actor);
                assert_eq!(token.body()["OS-TRUST:trust"]["trustee_user"], json!({"id": &*bob}));
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_trust_is_its_trustees_alone() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let (_, trust, _) = trusted(cloud, &core).await;
        user(&core, "eve").await;
        for who in ["eve", "alice"] {
            assert_eq!(kind(log_in(&core, who, "pw", by(&trust.id)).await), MAY_NOT, "{who}");
        }
        let unknown = log_in(&core, "bob", "pw", by(&"0123456789abcdef0123456789abcdef".into())).await;
        assert_eq!(kind(unknown), Some(ErrorKind::Unauthorized));
        let wrong = log_in(&core, "bob", "wrong", by(&trust.id)).await;
        assert_eq!(kind(wrong), Some(ErrorKind::Unauthorized));
    })
    .await;
}

#[tokio::test]
async fn ossa_2014_022_a_trust_token_is_for_the_project_of_the_trust() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let (_, trust, token) = trusted(cloud, &core).await;
        let both = json!({"OS-TRUST:trust": {"id": &*trust.id}, "project": {"id": &*cloud.work}});
        assert_eq!(kind(log_in(&core, "bob", "pw", both).await), Some(ErrorKind::BadRequest));
        let other = Project::named("other", Some("default".into()));
        let other = core.resource.create_project(&allowed(), other).await.unwrap().id;
        for scope in [json!({"project": {"id": &*other}}), json!("unscoped"), by(&trust.id)] {
            assert_eq!(kind(rescope(&core, &token.text, scope).await), MAY_NOT);
        }
        let nowhere = NewTrust { project_id: None, roles: Vec::new(), ..new_trust(cloud, &trust.trustee_user_id) };
        let nowhere = create(&core, nowhere).await;
        assert_eq!(kind(log_in(&core, "bob", "pw", by(&nowhere.id)).await), Some(ErrorKind::NotFound));
    })
    .await;
}

#[tokio::test]
async fn a_token_becomes_one_by_a_trust() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let (_, trust, _) = trusted(cloud, &core).await;
        let first = log_in(&core, "bob", "pw", json!("unscoped")).await.unwrap();
        cloud.time.advance(10);
        let second = rescope(&core, &first.text, by(&trust.id)).await.unwrap();
        assert_eq!(second.token.expires_at, first.token.expires_at);
        core.token.revoke(&allowed(), &first.text, true).await.unwrap();
        assert_eq!(kind(validate(&core, &second.text).await), NO_TOKEN);
    })
    .await;
}

#[tokio::test]
async fn a_token_does_not_outlive_its_trust() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let bob = user(&core, "bob").await;
        let ending = NewTrust { expires_at: Some(cloud.time.now().plus_seconds(60)), ..new_trust(cloud, &bob) };
        let trust = create(&core, ending).await;
        let token = log_in(&core, "bob", "pw", by(&trust.id)).await.unwrap();
        assert_eq!(token.token.expires_at, cloud.time.now().plus_seconds(60));
        cloud.time.advance(61);
        assert_eq!(kind(validate(&core, &token.text).await), NO_TOKEN);
        let late = Validation { expired_by: 100, ..Validation::default() };
        assert_eq!(kind(core.token.validate(&token.text, late).await), NO_TRUST);
        assert_eq!(kind(log_in(&core, "bob", "pw", by(&trust.id)).await), Some(ErrorKind::Unauthorized));
    })
    .await;
}

#[tokio::test]
async fn a_token_by_the_last_use_is_good_until_the_trust_is_deleted() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let bob = user(&core, "bob").await;
        let trust = create(&core, NewTrust { remaining_uses: Some(1), ..new_trust(cloud, &bob) }).await;
        let wrong = log_in(&core, "bob", "wrong", by(&trust.id)).await;
        assert_eq!(kind(wrong), Some(ErrorKind::Unauthorized), "a login that fails uses nothing");
        let token = log_in(&core, "bob", "pw", by(&trust.id)).await.unwrap();
        assert_eq!(kind(log_in(&core, "bob", "pw", by(&trust.id)).await), Some(ErrorKind::Unauthorized));
        let other = cloud.node("other").await;
        validate(&other, &token.text).await.unwrap();
        core.trust.delete(&allowed(), &trust.id).await.unwrap();
        assert_eq!(kind(validate(&other, &token.text).await), NO_TRUST);
    })
    .await;
}

#[tokio::test]
async fn of_two_logins_at_the_last_use_one_is_refused() {
    on_each_cloud(async |cloud| {
        let (here, there) = (cloud.node("here").await, cloud.node("there").await);
        let bob = user(&here, "bob").await;
        let trust = create(&here, NewTrust { remaining_uses: Some(1), ..new_trust(cloud, &bob) }).await;
        let log_in_at = |core| log_in(core, "bob", "pw", by(&trust.id));
        let racing = [&here, &there, &here, &there].map(log_in_at);
        let tokens: Vec<Result<IssuedToken>> = futures::future::join_all(racing).await;
        assert_eq!(tokens.iter().filter(|token| token.is_ok()).count(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_trust_is_worth_what_its_trustor_has() {
    on_each_cloud(async |cloud| {
        let (core, there) = (cloud.node("node").await, cloud.node("there").await);
        let (_, trust, token) = trusted(cloud, &core).await;
        validate(&there, &token.text).await.unwrap();
        let grant = alices_grant(cloud, &core).await;
        core.assignment.delete_grant(&allowed(), &grant).await.unwrap();
        assert_eq!(kind(validate(&there, &token.text).await), MAY_NOT);
        assert_eq!(kind(log_in(&core, "bob", "pw", by(&trust.id)).await), MAY_NOT);
        core.assignment.create_grant(&allowed(), &grant).await.unwrap();
        validate(&there, &token.text).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_trust_of_a_deleted_role_is_worth_nothing() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let (_, _, token) = trusted(cloud, &core).await;
        let member = role(&core, "member").await;
        let mutable = crate::assignment::RolePatch {
            options: Some(json!({"immutable": false}).as_object().unwrap().clone()),
            ..Default::default()
        };
        core.assignment.update_role(&allowed(), &member, &mutable).await.unwrap();
        core.cascade.delete_role(&allowed(), &member).await.unwrap();
        assert_eq!(kind(validate(&core, &token.text).await), MAY_NOT);
    })
    .await;
}

#[tokio::test]
async fn a_trust_counts_while_both_are_enabled() {
    on_each_cloud(async |cloud| {
        let (core, there) = (cloud.node("node").await, cloud.node("there").await);
        let (bob, trust, token) = trusted(cloud, &core).await;
        validate(&there, &token.text).await.unwrap();
        let enable = async |user: &UserId, enabled| {
            let patch = UserPatch { enabled: Some(enabled), ..UserPatch::default() };
            core.cascade.update_user(&allowed(), user, patch).await.unwrap();
        };
        enable(&cloud.alice, false).await;
        assert_eq!(kind(validate(&there, &token.text).await), MAY_NOT);
        enable(&cloud.alice, true).await;
        // As all her tokens: those of before do not come back.
        assert_eq!(kind(validate(&there, &token.text).await), NO_TOKEN);
        cloud.time.advance(1);
        let token = log_in(&core, "bob", "pw", by(&trust.id)).await.unwrap();
        enable(&bob, false).await;
        assert_eq!(kind(validate(&there, &token.text).await), NO_TOKEN);
    })
    .await;
}

#[tokio::test]
async fn ossa_2014_006_what_ends_the_trustees_tokens_ends_those_as_the_trustor() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let bob = user(&core, "bob").await;
        let trust = create(&core, NewTrust { impersonation: true, ..new_trust(cloud, &bob) }).await;
        let token = log_in(&core, "bob", "pw", by(&trust.id)).await.unwrap();
        core.cascade.revoke_tokens_of_user(&allowed(), &bob).await.unwrap();
        assert_eq!(kind(validate(&core, &token.text).await), NO_TOKEN);
        cloud.time.advance(1);
        let token = log_in(&core, "bob", "pw", by(&trust.id)).await.unwrap();
        core.cascade.revoke_tokens_of_user(&allowed(), &cloud.alice).await.unwrap();
        assert_eq!(kind(validate(&core, &token.text).await), NO_TOKEN);
    })
    .await;
}

#[tokio::test]
async fn a_trust_goes_with_its_users_and_its_project() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let (bob, trust, token) = trusted(cloud, &core).await;
        let disable = |enabled| ProjectPatch { enabled: Some(enabled), ..ProjectPatch::default() };
        core.resource.update_project(&allowed(), &cloud.work, &disable(false)).await.unwrap();
        assert_eq!(kind(validate(&core, &token.text).await), Some(ErrorKind::NotFound));
        assert_eq!(kind(log_in(&core, "bob", "pw", by(&trust.id)).await), Some(ErrorKind::Unauthorized));
        core.resource.update_project(&allowed(), &cloud.work, &disable(true)).await.unwrap();
        cloud.time.advance(1);
        let carol = user(&core, "carol").await;
        let for_carol = create(&core, new_trust(cloud, &carol)).await;
        core.cascade.delete_user(&allowed(), &bob).await.unwrap();
        assert_eq!(kind(core.trust.require_for_target(&trust.id).await), NO_TRUST);
        let token = log_in(&core, "carol", "pw", by(&for_carol.id)).await.unwrap();
        core.cascade.delete_user(&allowed(), &cloud.alice).await.unwrap();
        assert_eq!(kind(validate(&core, &token.text).await), NO_TRUST);
    })
    .await;
}

#[tokio::test]
async fn a_dead_trust_refuses_a_login_by_its_token() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let (_, trust, token) = trusted(cloud, &core).await;
        core.trust.delete(&allowed(), &trust.id).await.unwrap();
        assert_eq!(kind(rescope(&core, &token.text, json!("unscoped")).await), Some(ErrorKind::Unauthorized));
    })
    .await;
}

#[tokio::test]
async fn a_token_at_the_end_of_a_chain_needs_the_whole_chain() {
    on_each_cloud(async |cloud| {
        let (core, there) = (cloud.node("node").await, cloud.node("there").await);
        let (bob, carol) = (user(&core, "bob").await, user(&core, "carol").await);
        let first = NewTrust { impersonation: true, allow_redelegation: true, ..new_trust(cloud, &bob) };
        let first = create(&core, first).await;
        let second = NewTrust { redelegated_trust_id: Some(first.id.clone()), ..new_trust(cloud, &carol) };
        let second = create(&core, NewTrust { impersonation: true, ..second }).await;
        let token = log_in(&core, "carol", "pw", by(&second.id)).await.unwrap();
        validate(&there, &token.text).await.unwrap();
        let disable = UserPatch { enabled: Some(false), ..UserPatch::default() };
        core.cascade.update_user(&allowed(), &bob, disable).await.unwrap();
        assert_eq!(kind(validate(&there, &token.text).await), MAY_NOT);
        core.trust.delete(&allowed(), &first.id).await.unwrap();
        assert_eq!(kind(validate(&there, &token.text).await), NO_TRUST);
    })
    .await;
}

#[tokio::test]
async fn an_application_credential_chooses_no_trust() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let (_, trust, _) = trusted(cloud, &core).await;
        let identity = json!({"methods": ["application_credential"], "application_credential": {"id": "x"}});
        let refused = authenticate(&core, identity, by(&trust.id)).await;
        assert!(matches!(kind(refused), Some(ErrorKind::AuthMethod(_))));
    })
    .await;
}
