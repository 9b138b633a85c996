//! Logins that are answered from memory: what they cost, and that they are refused as soon as anything says so.

use std::time::{Duration, Instant};

use archstone_db::Dialect;
use archstone_db::Query as _;
use archstone_db::tables::User as UserTable;
use archstone_db::testing::Way;
use chrono::NaiveDate;
use sea_query::{Expr, ExprTrait as _, Query as Sql};
use serde_json::{Value, json};

use super::login::{application_credential, with_credential};
use super::{Cloud, allowed, authenticate, kind, log_in, on_each_cloud};
use crate::Core;
use crate::error::ErrorKind;
use crate::id::DomainId;
use crate::identity::UserPatch;
use crate::resource::ProjectPatch;

const LOCKOUT: &str = "[security_compliance]\nlockout_failure_attempts = 2\nlockout_duration = 60\n";
const INACTIVITY: &str = "[security_compliance]\ndisable_user_account_days_inactive = 2\n";
const DAY: i64 = 86_400;

async fn enter(core: &Core, name: &str, password: &str) -> Option<ErrorKind> {
    kind(log_in(core, name, password, json!("unscoped")).await)
}

/// Logs in as alice, and how many passwords were hashed for it.
async fn hashes(core: &Core, password: &str) -> (Option<ErrorKind>, u64) {
    let before = core.identity.compared_passwords();
    let outcome = enter(core, "alice", password).await;
    (outcome, core.identity.compared_passwords() - before)
}

async fn last_active(cloud: &Cloud, core: &Core) -> Option<NaiveDate> {
    let mut select = Sql::select();
    select.column(UserTable::LastActiveAt).from(UserTable::Table).and_where(Expr::col(UserTable::Id).eq(&*cloud.alice));
    core.db().fetch_optional(&select).await.unwrap().unwrap().get("last_active_at").unwrap()
}

async fn patch(core: &Core, cloud: &Cloud, patch: UserPatch) {
    core.cascade.update_user(&allowed(), &cloud.alice, patch).await.unwrap();
}

/// What a login costs when it was made before: statements, readings of the clock, and hashes.
async fn costs(core: &Core, login: impl AsyncFn() -> Option<ErrorKind>) -> (u64, u64, u64) {
    assert_eq!(login().await, None);
    let counted = || (core.db().statements(), core.db().clock().reads(), core.identity.compared_passwords());
    let before = counted();
    assert_eq!(login().await, None);
    let after = counted();
    (after.0 - before.0, after.1 - before.1, after.2 - before.2)
}

#[tokio::test]
async fn a_login_that_was_made_before_asks_for_nothing_but_the_clock() {
    on_each_cloud(async |cloud| {
        let core = cloud.node_with("node", LOCKOUT).await;
        application_credential(cloud, &core, "secret").await;
        let by_id = json!({"project": {"id": &*cloud.work}});
        let domain = json!({"name": "Default"});
        let by_name = json!({"project": {"name": "work", "domain": domain}});
        let unscoped = log_in(&core, "alice", "pw", json!("unscoped")).await.unwrap().text;
        let password = |user: Value| json!({"methods": ["password"], "password": {"user": user}});
        let owner = json!({"id": &*cloud.alice});
        for (identity, scope) in [
            (password(json!({"id": &*cloud.alice, "password": "pw"})), by_id.clone()),
            (password(json!({"name": "alice", "domain": domain, "password": "pw"})), by_name.clone()),
            (password(json!({"name": "alice", "domain": domain, "password": "pw"})), json!("unscoped")),
            (json!({"methods": ["token"], "token": {"id": unscoped}}), by_id),
            (json!({"methods": ["token"], "token": {"id": unscoped}}), by_name),
            (with_credential(&json!({"id": "cred", "secret": "secret"})), Value::Null),
            (with_credential(&json!({"name": "name", "user": owner, "secret": "secret"})), Value::Null),
        ] {
            let login = async || kind(authenticate(&core, identity.clone(), scope.clone()).await);
            // On SQLite its index of the log tells without a statement that nothing was written.
            let readings = u64::from(cloud.database.db.dialect() != Dialect::Sqlite);
            assert_eq!(costs(&core, login).await, (0, readings, 0), "{identity} {scope}");
        }
    })
    .await;
}

const REFUSED: Option<ErrorKind> = Some(ErrorKind::Unauthorized);

#[tokio::test]
async fn a_right_password_is_hashed_once_and_a_refused_one_each_time() {
    on_each_cloud(async |cloud| {
        let core = cloud.node_with("node", LOCKOUT).await;
        let other = cloud.node_with("other", LOCKOUT).await;
        assert_eq!(hashes(&core, "pw").await, (None, 1));
        assert_eq!(hashes(&core, "pw").await, (None, 0));
        assert_eq!(hashes(&core, "wrong").await, (REFUSED, 1));
        assert_eq!(enter(&other, "alice", "wrong").await, REFUSED);
        assert_eq!(hashes(&core, "pw").await, (REFUSED, 1), "locked, which the time must not tell");
        assert_eq!(hashes(&core, "wrong").await, (REFUSED, 1));
        cloud.time.advance(61);
        assert_eq!(hashes(&core, "pw").await, (None, 0));
        patch(&other, cloud, UserPatch { enabled: Some(false), ..UserPatch::default() }).await;
        assert_eq!(hashes(&core, "pw").await, (REFUSED, 1), "disabled, which the time must not tell");
    })
    .await;
}

#[tokio::test]
async fn without_the_memory_of_verified_passwords_each_one_is_hashed() {
    on_each_cloud(async |cloud| {
        let core = cloud.node_with("node", "[archstone]\nremember_verified_password_for = 0\n").await;
        for _ in 0..2 {
            assert_eq!(hashes(&core, "pw").await, (None, 1));
        }
    })
    .await;
}

#[tokio::test]
async fn a_password_that_another_node_changes_ends_the_old_one_at_once() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let other = cloud.node("other").await;
        let mut current = "pw".to_owned();
        for number in 0..3 {
            for _ in 0..2 {
                assert_eq!(enter(&core, "alice", &current).await, None);
            }
            let next = format!("next{number}");
            let password = Some(Some(next.as_str().into()));
            patch(&other, cloud, UserPatch { password, ..UserPatch::default() }).await;
            assert_eq!(enter(&core, "alice", &current).await, REFUSED);
            current = next;
        }
    })
    .await;
}

#[tokio::test]
async fn failures_on_another_node_lock_here_at_once_and_its_unlocking_unlocks() {
    on_each_cloud(async |cloud| {
        for further in [LOCKOUT.to_owned(), format!("{LOCKOUT}[archstone]\nlockout_by = user\n")] {
            let core = cloud.node_with("node", &further).await;
            let other = cloud.node_with("other", &further).await;
            assert_eq!(enter(&core, "alice", "pw").await, None);
            for _ in 0..2 {
                assert_eq!(enter(&other, "alice", "wrong").await, REFUSED);
            }
            assert_eq!(enter(&core, "alice", "pw").await, REFUSED);
            other.identity.unlock(&allowed(), &cloud.alice).await.unwrap();
            assert_eq!(enter(&core, "alice", "pw").await, None);
            assert_eq!(enter(&other, "alice", "wrong").await, REFUSED);
            assert_eq!(enter(&core, "alice", "pw").await, None);
            assert_eq!(enter(&other, "alice", "wrong").await, REFUSED, "the success has made the failure good");
            assert_eq!(enter(&core, "alice", "pw").await, None);
        }
    })
    .await;
}

#[tokio::test]
async fn a_new_name_counts_at_once_and_the_old_one_no_longer() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let other = cloud.node("other").await;
        let scope = |project: &str, domain: &str| json!({"project": {"name": project, "domain": {"name": domain}}});
        let may = async |user: &str, domain: &str, scope| {
            let user = json!({"name": user, "domain": {"name": domain}, "password": "pw"});
            kind(authenticate(&core, json!({"methods": ["password"], "password": {"user": user}}), scope).await)
        };
        assert_eq!(may("alice", "Default", scope("work", "Default")).await, None);
        patch(&other, cloud, UserPatch { name: Some("ally".to_owned()), ..UserPatch::default() }).await;
        assert_eq!(may("alice", "Default", scope("work", "Default")).await, REFUSED);
        assert_eq!(may("ally", "Default", scope("work", "Default")).await, None);
        let renamed = |name: &str| ProjectPatch { name: Some(name.to_owned()), ..ProjectPatch::default() };
        other.resource.update_project(&allowed(), &cloud.work, &renamed("toil")).await.unwrap();
        assert_eq!(may("ally", "Default", scope("work", "Default")).await, REFUSED);
        assert_eq!(may("ally", "Default", scope("toil", "Default")).await, None);
        let domain = DomainId::from("default");
        other.resource.update_domain(&allowed(), &domain, &renamed("Home")).await.unwrap();
        assert_eq!(may("ally", "Default", scope("toil", "Home")).await, REFUSED);
        assert_eq!(may("ally", "Home", scope("toil", "Default")).await, REFUSED);
        assert_eq!(may("ally", "Home", scope("toil", "Home")).await, None);
        let off = ProjectPatch { enabled: Some(false), ..ProjectPatch::default() };
        other.resource.update_project(&allowed(), &cloud.work, &off).await.unwrap();
        assert_eq!(may("ally", "Home", scope("toil", "Home")).await, REFUSED);
        other.resource.update_domain(&allowed(), &domain, &off).await.unwrap();
        assert_eq!(may("ally", "Home", json!("unscoped")).await, REFUSED);
    })
    .await;
}

#[tokio::test]
async fn the_secret_of_an_application_credential_is_hashed_once() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        application_credential(cloud, &core, "secret").await;
        let hashes = async |secret: &str| {
            let before = core.identity.compared_passwords();
            let identity = with_credential(&json!({"id": "cred", "secret": secret}));
            let outcome = kind(authenticate(&core, identity, json!(null)).await);
            (outcome, core.identity.compared_passwords() - before)
        };
        assert_eq!(hashes("secret").await, (None, 1));
        assert_eq!(hashes("secret").await, (None, 0));
        assert_eq!(hashes("wrong").await, (REFUSED, 1));
        cloud.time.advance(61);
        assert_eq!(hashes("secret").await, (REFUSED, 1), "expired, which the time must not tell");
    })
    .await;
}

#[tokio::test]
async fn the_day_of_a_login_is_written_after_it_and_once_a_day() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        for _ in 0..2 {
            let today = cloud.time.now().naive().date();
            let before = last_active(cloud, &core).await;
            for _ in 0..2 {
                assert_eq!(enter(&core, "alice", "pw").await, None);
            }
            assert_eq!(last_active(cloud, &core).await, before);
            core.identity.write_activity().await.unwrap();
            assert_eq!(last_active(cloud, &core).await, Some(today));
            assert_eq!(enter(&core, "alice", "pw").await, None);
            let statements = core.db().statements();
            core.identity.write_activity().await.unwrap();
            assert_eq!(core.db().statements(), statements, "nothing more was noted");
            cloud.time.advance(DAY);
        }
    })
    .await;
}

#[tokio::test]
async fn what_is_left_of_the_days_is_written_at_the_end() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        assert_eq!(enter(&core, "alice", "pw").await, None);
        core.finish().await;
        assert_eq!(last_active(cloud, &core).await, Some(cloud.time.now().naive().date()));
    })
    .await;
}

#[tokio::test]
async fn a_server_writes_the_days_by_itself() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let _watching = core.watch();
        assert_eq!(enter(&core, "alice", "pw").await, None);
        let written = async {
            while last_active(cloud, &core).await.is_none() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), written).await.expect("written soon");
    })
    .await;
}

#[tokio::test]
async fn who_logs_in_stays_active_on_every_node() {
    on_each_cloud(async |cloud| {
        let core = cloud.node_with("node", INACTIVITY).await;
        let other = cloud.node_with("other", INACTIVITY).await;
        for _ in 0..4 {
            assert_eq!(enter(&core, "alice", "pw").await, None);
            cloud.time.advance(DAY);
            assert_eq!(enter(&core, "alice", "pw").await, None, "what was noted counts before it is written");
            core.identity.write_activity().await.unwrap();
            cloud.time.advance(DAY);
            assert_eq!(enter(&other, "alice", "pw").await, None);
            other.identity.write_activity().await.unwrap();
        }
        cloud.time.advance(2 * DAY);
        assert_eq!(enter(&core, "alice", "pw").await, REFUSED);
    })
    .await;
}

/// Python Keystone writes the day without a word to the clock.
#[tokio::test]
async fn who_was_active_elsewhere_is_not_refused_by_what_is_in_memory() {
    on_each_cloud(async |cloud| {
        let core = cloud.node_with("node", INACTIVITY).await;
        assert_eq!(enter(&core, "alice", "pw").await, None);
        core.identity.write_activity().await.unwrap();
        assert_eq!(enter(&core, "alice", "pw").await, None);
        cloud.time.advance(2 * DAY);
        let mut update = Sql::update();
        update
            .table(UserTable::Table)
            .value(UserTable::LastActiveAt, cloud.time.now().naive().date())
            .and_where(Expr::col(UserTable::Id).eq(&*cloud.alice));
        cloud.write(&update, &[]).await;
        assert_eq!(enter(&core, "alice", "pw").await, None);
    })
    .await;
}

#[tokio::test]
async fn without_the_database_nobody_logs_in_and_all_are_told_at_once() {
    on_each_cloud(async |cloud| {
        let Some(way) = Way::to(&cloud.database.url).await.unwrap() else { return };
        let core = cloud.node_at(&way.url, "node", LOCKOUT).await;
        assert_eq!(enter(&core, "alice", "pw").await, None);
        way.cut().await;
        let started = Instant::now();
        for (name, password) in [("alice", "pw"), ("alice", "wrong"), ("nobody", "pw")] {
            let refused = enter(&core, name, password).await;
            assert!(
                matches!(refused, Some(ErrorKind::Unavailable { retry_after: 1.. })),
                "{name} {password}: {refused:?}"
            );
        }
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        assert!(core.identity.write_activity().await.is_err());
        assert!(core.identity.was_active_on(&cloud.alice, cloud.time.now().naive().date()), "it waits to be written");
        assert_eq!(enter(&cloud.node("other").await, "alice", "pw").await, None);
    })
    .await;
}

#[tokio::test]
async fn a_login_that_would_wait_for_too_many_is_refused_at_once() {
    on_each_cloud(async |cloud| {
        let few = "[archstone]\nhash_threads = 1\nhash_queue = 2\n[identity]\npassword_hash_rounds = 4\n";
        let core = cloud.node_with("node", few).await;
        assert_eq!(enter(&core, "alice", "pw").await, None);
        let many = futures::future::join_all((0..20).map(|_| enter(&core, "alice", "wrong"))).await;
        let busy = many.iter().filter(|kind| matches!(kind, Some(ErrorKind::Unavailable { retry_after: 1.. }))).count();
        let wrong = many.iter().filter(|kind| **kind == REFUSED).count();
        assert_eq!(busy + wrong, 20);
        assert!(busy >= 1 && wrong >= 2, "{busy} were refused for now and {wrong} compared");
        assert_eq!(enter(&core, "alice", "pw").await, None);
    })
    .await;
}
