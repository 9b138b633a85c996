//! Logins that take several requests: multi-factor rules and receipts.

use serde_json::{Value, json};

use super::login::{application_credential, with_credential};
use super::{Cloud, allowed, continue_with, kind, log_in, on_each_cloud, validate};
use crate::Core;
use crate::error::{Error, ErrorKind, Receipt, Result};
use crate::identity::{UserOptionChanges, UserPatch};
use crate::token::IssuedToken;

async fn patch(cloud: &Cloud, core: &Core, patch: UserPatch) {
    core.cascade.update_user(&allowed(), &cloud.alice, patch).await.unwrap();
}

/// A node, and alice who needs her password and the application credential `cred`.
async fn node_with_rule(cloud: &Cloud) -> Core {
    let core = cloud.node("node").await;
    application_credential(cloud, &core, "secret").await;
    let rules = json!({"multi_factor_auth_rules": [["password", "application_credential"], ["totp"]]});
    let options = UserOptionChanges::from_object(rules.as_object().unwrap());
    patch(cloud, &core, UserPatch { options, ..UserPatch::default() }).await;
    // Revocation counts in whole seconds.
    cloud.time.advance(1);
    core
}

fn receipt(error: Error) -> Receipt {
    match error.kind {
        ErrorKind::AdditionalMethods(receipt) => receipt,
        other => panic!("not a receipt: {other:?}"),
    }
}

async fn first_factor(core: &Core) -> Receipt {
    receipt(log_in(core, "alice", "pw", json!("unscoped")).await.err().unwrap())
}

async fn second_factor(core: &Core, receipt: &str) -> Result<IssuedToken> {
    let identity = with_credential(&json!({"id": "cred", "secret": "secret"}));
    continue_with(core, Some(receipt), identity, Value::Null).await
}

#[tokio::test]
async fn a_receipt_tells_what_was_proven_and_what_is_missing() {
    on_each_cloud(async |cloud| {
        let core = node_with_rule(cloud).await;
        let receipt = first_factor(&core).await;
        let now = cloud.time.now();
        let expected = json!({
            "receipt": {
                "methods": ["password"],
                "user": {"id": &*cloud.alice, "name": "alice", "domain": {"id": "default", "name": "Default"}},
                "expires_at": now.plus_seconds(30).iso(),
                "issued_at": now.iso(),
            },
            "required_auth_methods": [["password", "application_credential"]],
        });
        assert_eq!(receipt.body, expected);
        assert!(!format!("{receipt:?}").contains(&receipt.id));
    })
    .await;
}

#[tokio::test]
async fn a_receipt_continues_the_login_on_any_node() {
    on_each_cloud(async |cloud| {
        let core = node_with_rule(cloud).await;
        let receipt = first_factor(&core).await;
        let other = cloud.node("other").await;
        let token = second_factor(&other, &receipt.id).await.unwrap();
        let mut methods: Vec<_> = token.token.payload.methods.iter().map(|name| &**name).collect();
        methods.sort_unstable();
        assert_eq!(methods, ["application_credential", "password"]);
    })
    .await;
}

#[tokio::test]
async fn a_receipt_alone_proves_nothing() {
    on_each_cloud(async |cloud| {
        let core = node_with_rule(cloud).await;
        let receipt = first_factor(&core).await;
        let nothing = continue_with(&core, Some(&receipt.id), json!({"methods": []}), Value::Null).await;
        assert_eq!(kind(nothing), Some(ErrorKind::Unauthorized));
        let again = super::authenticate(&core, with_credential(&json!({"id": "cred", "secret": "no"})), Value::Null);
        assert_eq!(kind(again.await), Some(ErrorKind::Unauthorized));
    })
    .await;
}

#[tokio::test]
async fn a_receipt_that_has_expired_or_was_changed_is_refused() {
    on_each_cloud(async |cloud| {
        let core = node_with_rule(cloud).await;
        let receipt = first_factor(&core).await;
        let mut changed = receipt.id.clone();
        changed.replace_range(30..31, if &changed[30..31] == "A" { "B" } else { "A" });
        for bad in [changed.as_str(), "abc", "?", &receipt.id[1..]] {
            assert_eq!(kind(second_factor(&core, bad).await), Some(ErrorKind::Unauthorized), "{bad}");
        }
        cloud.time.advance(29);
        second_factor(&core, &receipt.id).await.unwrap();
        cloud.time.advance(1);
        assert_eq!(kind(second_factor(&core, &receipt.id).await), Some(ErrorKind::Unauthorized));
    })
    .await;
}

#[tokio::test]
async fn a_receipt_of_somebody_else_is_refused() {
    on_each_cloud(async |cloud| {
        let core = node_with_rule(cloud).await;
        let receipt = first_factor(&core).await;
        let user = json!({"name": "admin", "domain": {"id": "default"}, "password": "pw"});
        let identity = json!({"methods": ["password"], "password": {"user": user}});
        let refused = continue_with(&core, Some(&receipt.id), identity, json!("unscoped")).await;
        assert_eq!(kind(refused), Some(ErrorKind::Unauthorized));
    })
    .await;
}

#[tokio::test]
async fn a_receipt_is_no_token_and_a_token_is_no_receipt() {
    on_each_cloud(async |cloud| {
        let core = node_with_rule(cloud).await;
        let receipt = first_factor(&core).await;
        assert_eq!(kind(validate(&core, &receipt.id).await), Some(ErrorKind::TokenNotFound));
        let token = log_in(&core, "admin", "pw", json!("unscoped")).await.unwrap();
        assert_eq!(kind(second_factor(&core, &token.text).await), Some(ErrorKind::Unauthorized));
    })
    .await;
}

#[tokio::test]
async fn a_new_password_ends_the_receipts_of_the_old_one() {
    on_each_cloud(async |cloud| {
        let core = node_with_rule(cloud).await;
        let receipt = first_factor(&core).await;
        patch(cloud, &core, UserPatch { password: Some(Some("new".into())), ..UserPatch::default() }).await;
        assert_eq!(kind(second_factor(&core, &receipt.id).await), Some(ErrorKind::Unauthorized));
    })
    .await;
}
