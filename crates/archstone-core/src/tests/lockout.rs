//! Who is locked out by failed logins, and who is not.

use archstone_db::Query as _;
use archstone_db::tables::{ArchstoneFailedLogin, LocalUser};
use sea_query::{Func, Query as Sql};
use serde_json::{Value, json};

use super::totp::{PHONE, passcode, store_seeds};
use super::{Cloud, allowed, authenticate_from, kind, on_each_cloud};
use crate::Core;
use crate::error::{ErrorKind, Result};
use crate::identity::{FailedLogins, UserOptionChanges, UserPatch};

const LOCKOUT: &str = "[security_compliance]\nlockout_failure_attempts = 3\nlockout_duration = 60\n";
const BY_USER: &str = "[security_compliance]\nlockout_failure_attempts = 3\nlockout_duration = 60\n\
                       [archstone]\nlockout_by = user\n";

const SERVICE: &str = "192.0.2.10";
const ATTACKER: &str = "198.51.100.66";

async fn log_in(core: &Core, from: &str, user: &str, password: &str) -> Result<()> {
    let user = json!({"name": user, "domain": {"id": "default"}, "password": password});
    authenticate_from(core, from, json!({"methods": ["password"], "password": {"user": user}})).await.map(drop)
}

async fn fail(core: &Core, from: &str, times: usize) {
    for _ in 0..times {
        assert_eq!(kind(log_in(core, from, "alice", "wrong").await), Some(ErrorKind::Unauthorized));
    }
}

async fn may_log_in(core: &Core, from: &str) -> bool {
    log_in(core, from, "alice", "pw").await.is_ok()
}

async fn failed_logins(cloud: &Cloud, core: &Core) -> Vec<FailedLogins> {
    core.identity.list_failed_logins(&allowed(), &cloud.alice).await.unwrap()
}

async fn rows(core: &Core) -> i64 {
    let mut count = Sql::select();
    count
        .expr_as(Func::count(sea_query::Expr::col(ArchstoneFailedLogin::UserId)), "rows")
        .from(ArchstoneFailedLogin::Table);
    core.db().fetch_optional(&count).await.unwrap().unwrap().get("rows").unwrap()
}

async fn local_failures(core: &Core) -> i64 {
    let mut sum = Sql::select();
    sum.expr_as(Func::max(sea_query::Expr::col(LocalUser::FailedAuthCount)), "most").from(LocalUser::Table);
    core.db().fetch_optional(&sum).await.unwrap().unwrap().get::<Option<i64>>("most").unwrap().unwrap_or(0)
}

#[tokio::test]
async fn bad_logins_from_one_place_lock_nobody_out_elsewhere() {
    on_each_cloud(async |cloud| {
        let core = cloud.node_with("node", LOCKOUT).await;
        let other = cloud.node_with("other", LOCKOUT).await;
        fail(&core, ATTACKER, 3).await;
        for node in [&core, &other] {
            assert!(!may_log_in(node, ATTACKER).await);
            assert!(!may_log_in(node, "198.51.100.1").await, "the same network");
            assert!(may_log_in(node, SERVICE).await);
        }
        assert!(!may_log_in(&core, ATTACKER).await, "a success elsewhere makes nothing good here");
        cloud.time.advance(61);
        assert!(may_log_in(&core, ATTACKER).await);
        assert_eq!(failed_logins(cloud, &core).await, []);
        assert_eq!(local_failures(&core).await, 0);
    })
    .await;
}

#[tokio::test]
async fn failures_of_all_nodes_count_together_and_a_success_makes_them_good() {
    on_each_cloud(async |cloud| {
        let core = cloud.node_with("node", LOCKOUT).await;
        let other = cloud.node_with("other", LOCKOUT).await;
        fail(&core, ATTACKER, 2).await;
        assert!(may_log_in(&core, ATTACKER).await);
        fail(&core, ATTACKER, 2).await;
        fail(&other, ATTACKER, 1).await;
        assert!(!may_log_in(&core, ATTACKER).await);
    })
    .await;
}

#[tokio::test]
async fn after_a_lock_one_failure_does_not_lock_again() {
    on_each_cloud(async |cloud| {
        let core = cloud.node_with("node", LOCKOUT).await;
        fail(&core, ATTACKER, 3).await;
        cloud.time.advance(61);
        fail(&core, ATTACKER, 2).await;
        assert!(may_log_in(&core, ATTACKER).await);
    })
    .await;
}

#[tokio::test]
async fn the_plain_counter_is_the_references() {
    on_each_cloud(async |cloud| {
        let core = cloud.node_with("node", BY_USER).await;
        fail(&core, ATTACKER, 2).await;
        fail(&core, SERVICE, 1).await;
        assert_eq!(local_failures(&core).await, 3);
        assert!(!may_log_in(&core, SERVICE).await);
        let seen = failed_logins(cloud, &core).await;
        assert_eq!((seen.len(), &seen[0].network, seen[0].locked), (1, &None, true));
        cloud.time.advance(61);
        assert!(may_log_in(&core, SERVICE).await);
        assert_eq!(local_failures(&core).await, 0);
    })
    .await;
}

#[tokio::test]
async fn without_lockout_nothing_is_stored() {
    on_each_cloud(async |cloud| {
        for further in ["", "[archstone]\nlockout_by = user\n"] {
            let core = cloud.node_with("node", further).await;
            fail(&core, ATTACKER, 5).await;
            assert_eq!(kind(log_in(&core, ATTACKER, "nobody", "pw").await), Some(ErrorKind::Unauthorized));
            assert!(may_log_in(&core, ATTACKER).await);
            assert_eq!((rows(&core).await, local_failures(&core).await), (0, 0));
            assert_eq!(failed_logins(cloud, &core).await, []);
        }
    })
    .await;
}

#[tokio::test]
async fn a_botnet_fills_no_table_and_guesses_no_longer() {
    on_each_cloud(async |cloud| {
        let core = cloud.node_with("node", LOCKOUT).await;
        for network in 0..70 {
            fail(&core, &format!("203.0.{network}.1"), 1).await;
        }
        assert_eq!(failed_logins(cloud, &core).await.len(), 65);
        assert!(!may_log_in(&core, "203.1.0.1").await, "more networks than are counted one by one");
        cloud.time.advance(61);
        assert!(may_log_in(&core, SERVICE).await);
        for network in 0..70 {
            let nobody = log_in(&core, &format!("203.0.{network}.1"), "nobody", "pw").await;
            assert_eq!(kind(nobody), Some(ErrorKind::Unauthorized));
        }
        assert!(rows(&core).await <= 65 + 65);
        cloud.time.advance(86_401);
        core.auth.prune().await.unwrap();
        assert_eq!(rows(&core).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_lock_that_does_not_end_by_itself_outlives_the_tidying() {
    on_each_cloud(async |cloud| {
        let text = "[security_compliance]\nlockout_failure_attempts = 3\nlockout_duration =\n";
        let core = cloud.node_with("node", text).await;
        fail(&core, ATTACKER, 3).await;
        fail(&core, SERVICE, 1).await;
        cloud.time.advance(100 * 86_400);
        core.auth.prune().await.unwrap();
        let seen = failed_logins(cloud, &core).await;
        assert_eq!((seen.len(), seen[0].locked, seen[0].locked_until), (1, true, None));
        assert!(!may_log_in(&core, ATTACKER).await);
    })
    .await;
}

#[tokio::test]
async fn an_administrator_sees_locks_and_unlocks() {
    on_each_cloud(async |cloud| {
        let core = cloud.node_with("node", LOCKOUT).await;
        let unlock = async || core.identity.unlock(&allowed(), &cloud.alice).await.unwrap();
        let patch = async || {
            core.cascade.update_user(&allowed(), &cloud.alice, UserPatch::default()).await.unwrap();
        };
        for way in 0..2 {
            fail(&core, ATTACKER, 3).await;
            let expected = FailedLogins {
                factor: "password".to_owned(),
                network: Some("198.51.100.0/24".to_owned()),
                failures: 3,
                failed_at: Some(cloud.time.now()),
                locked: true,
                locked_until: Some(cloud.time.now().plus_seconds(60)),
            };
            assert_eq!(failed_logins(cloud, &core).await, [expected]);
            // Any update of an enabled user forgets its failures, as in the reference.
            if way == 0 {
                unlock().await;
            } else {
                patch().await;
            }
            assert!(may_log_in(&core, ATTACKER).await);
        }
        let unknown = core.identity.list_failed_logins(&allowed(), &"nobody".into()).await;
        assert_eq!(kind(unknown), Some(ErrorKind::NotFound));
        assert_eq!(kind(core.identity.unlock(&allowed(), &"nobody".into()).await), Some(ErrorKind::NotFound));
    })
    .await;
}

#[tokio::test]
async fn an_exempt_user_is_never_locked() {
    on_each_cloud(async |cloud| {
        let core = cloud.node_with("node", LOCKOUT).await;
        let exempt = json!({"ignore_lockout_failure_attempts": true});
        let options = UserOptionChanges::from_object(exempt.as_object().unwrap());
        let patch = UserPatch { options, ..UserPatch::default() };
        core.cascade.update_user(&allowed(), &cloud.alice, patch).await.unwrap();
        fail(&core, ATTACKER, 5).await;
        assert!(failed_logins(cloud, &core).await.iter().all(|row| !row.locked));
        assert!(may_log_in(&core, ATTACKER).await);
    })
    .await;
}

#[tokio::test]
async fn who_knows_the_password_cannot_guess_passcodes_for_ever() {
    on_each_cloud(async |cloud| {
        for further in [LOCKOUT, BY_USER] {
            let core = cloud.node_with("node", further).await;
            store_seeds(cloud, &core, &[PHONE]).await;
            let with_code = async |code: Value| {
                let user = json!({"name": "alice", "domain": {"id": "default"}, "password": "pw", "passcode": code});
                let identity = json!({
                    "methods": ["password", "totp"], "password": {"user": user}, "totp": {"user": user},
                });
                kind(authenticate_from(&core, ATTACKER, identity).await)
            };
            for _ in 0..3 {
                assert_eq!(with_code(json!("000000")).await, Some(ErrorKind::Unauthorized));
            }
            let right = json!(passcode(cloud, PHONE, 0));
            assert_eq!(with_code(right).await, Some(ErrorKind::Unauthorized), "locked, with the right passcode");
            assert!(may_log_in(&core, ATTACKER).await, "the password is not locked");
            cloud.time.advance(61);
            assert_eq!(with_code(json!(passcode(cloud, PHONE, 0))).await, None);
            assert_eq!(failed_logins(cloud, &core).await, []);
            cloud.time.advance(61);
        }
    })
    .await;
}

#[tokio::test]
async fn a_deleted_user_leaves_no_failures() {
    on_each_cloud(async |cloud| {
        let core = cloud.node_with("node", LOCKOUT).await;
        fail(&core, ATTACKER, 2).await;
        core.cascade.delete_user(&allowed(), &cloud.alice).await.unwrap();
        assert_eq!(rows(&core).await, 0);
    })
    .await;
}
