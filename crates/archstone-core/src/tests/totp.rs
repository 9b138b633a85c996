//! Logins with passcodes.

use keystone_token::totp::Seed;
use serde_json::{Map, Value, json};

use super::{Cloud, allowed, authenticate, kind, on_each_cloud};
use crate::Core;
use crate::credential::NewCredential;
use crate::error::{ErrorKind, Result};
use crate::identity::UserPatch;
use crate::token::IssuedToken;

pub(super) const PHONE: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
const TABLET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

/// A node, and alice with these secrets.
async fn node_with(cloud: &Cloud, blobs: &[&str]) -> Core {
    let core = cloud.node("node").await;
    store_seeds(cloud, &core, blobs).await;
    core
}

pub(super) async fn store_seeds(cloud: &Cloud, core: &Core, blobs: &[&str]) {
    for blob in blobs {
        let new = NewCredential {
            user_id: cloud.alice.clone(),
            project_id: None,
            kind: "totp".to_owned(),
            blob: (*blob).to_owned().into(),
            extra: Map::new(),
        };
        core.credential.create(&allowed(), new).await.unwrap();
    }
}

/// The passcode of this seed so many windows ago.
pub(super) fn passcode(cloud: &Cloud, seed: &str, ago: u64) -> String {
    let step = u64::try_from(cloud.time.now().seconds()).unwrap() / 30 - ago;
    String::from_utf8(Seed::parse(seed).unwrap().passcode(step).to_vec()).unwrap()
}

async fn log_in(core: &Core, user: &str, passcode: Value) -> Result<IssuedToken> {
    let user = json!({"name": user, "domain": {"id": "default"}, "passcode": passcode});
    authenticate(core, json!({"methods": ["totp"], "totp": {"user": user}}), json!("unscoped")).await
}

#[tokio::test]
async fn a_passcode_works_once_on_all_nodes() {
    on_each_cloud(async |cloud| {
        let core = node_with(cloud, &[PHONE]).await;
        let other = cloud.node("other").await;
        let code = passcode(cloud, PHONE, 0);
        let token = log_in(&core, "alice", json!(code)).await.unwrap();
        assert_eq!(token.token.payload.methods, ["totp".into()]);
        for node in [&core, &other] {
            assert_eq!(kind(log_in(node, "alice", json!(code)).await), Some(ErrorKind::Unauthorized));
        }
        // The one of before was not used.
        log_in(&other, "alice", json!(passcode(cloud, PHONE, 1))).await.unwrap();
        cloud.time.advance(30);
        assert_eq!(kind(log_in(&core, "alice", json!(code)).await), Some(ErrorKind::Unauthorized));
        log_in(&core, "alice", json!(passcode(cloud, PHONE, 0))).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn of_two_that_use_a_passcode_at_once_one_gets_in() {
    on_each_cloud(async |cloud| {
        let core = node_with(cloud, &[PHONE]).await;
        let other = cloud.node("other").await;
        let code = json!(passcode(cloud, PHONE, 0));
        let (one, two) = futures::join!(log_in(&core, "alice", code.clone()), log_in(&other, "alice", code));
        assert_ne!(one.is_ok(), two.is_ok());
    })
    .await;
}

#[tokio::test]
async fn the_same_secret_stored_twice_gives_no_second_use() {
    on_each_cloud(async |cloud| {
        let core = node_with(cloud, &[PHONE, PHONE]).await;
        let code = json!(passcode(cloud, PHONE, 0));
        log_in(&core, "alice", code.clone()).await.unwrap();
        assert_eq!(kind(log_in(&core, "alice", code).await), Some(ErrorKind::Unauthorized));
    })
    .await;
}

#[tokio::test]
async fn each_device_of_a_user_counts_and_bad_seeds_are_passed_over() {
    on_each_cloud(async |cloud| {
        let core = node_with(cloud, &["not base32", "JBSWY3DPEHPK3PXP", PHONE, TABLET]).await;
        log_in(&core, "alice", json!(passcode(cloud, TABLET, 0))).await.unwrap();
        log_in(&core, "alice", json!(passcode(cloud, PHONE, 0))).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn passcodes_of_other_windows_and_of_nobody_are_refused() {
    on_each_cloud(async |cloud| {
        let core = node_with(cloud, &[PHONE]).await;
        let code = passcode(cloud, PHONE, 0);
        for (user, code) in [
            ("alice", json!(passcode(cloud, PHONE, 2))),
            ("alice", json!("")),
            ("alice", json!(code.parse::<u64>().unwrap())),
            ("alice", json!(null)),
            ("alice", json!("\u{0}12345")),
            ("alice", json!("1".repeat(65_536))),
            ("admin", json!(code)),
            ("nobody", json!(code)),
            ("nobody", json!(passcode(cloud, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 0))),
            ("admin", json!(passcode(cloud, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 0))),
        ] {
            assert_eq!(kind(log_in(&core, user, code).await), Some(ErrorKind::Unauthorized), "{user}");
        }
        log_in(&core, "alice", json!(code)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_disabled_user_has_no_passcode() {
    on_each_cloud(async |cloud| {
        let core = node_with(cloud, &[PHONE]).await;
        let off = UserPatch { enabled: Some(false), ..UserPatch::default() };
        core.cascade.update_user(&allowed(), &cloud.alice, off).await.unwrap();
        let refused = log_in(&core, "alice", json!(passcode(cloud, PHONE, 0))).await;
        assert_eq!(kind(refused), Some(ErrorKind::Unauthorized));
    })
    .await;
}

#[tokio::test]
async fn used_passcodes_are_forgotten_when_they_no_longer_matter() {
    on_each_cloud(async |cloud| {
        let core = node_with(cloud, &[PHONE]).await;
        let code = json!(passcode(cloud, PHONE, 0));
        log_in(&core, "alice", code.clone()).await.unwrap();
        core.auth.prune().await.unwrap();
        assert_eq!(kind(log_in(&core, "alice", code.clone()).await), Some(ErrorKind::Unauthorized));
        cloud.time.advance(30 * 21);
        core.auth.prune().await.unwrap();
        cloud.time.advance(-30 * 21);
        log_in(&core, "alice", code).await.unwrap();
    })
    .await;
}
