//! What `archstone report` finds.

use serde_json::json;

use super::{Cloud, allowed, authenticate_from, kind, on_each_cloud};
use crate::Core;
use crate::error::ErrorKind;
use crate::id::UserId;
use crate::identity::{NewUser, Report, ReportedUser, UserOptionChanges, UserPatch};

const DAY: i64 = 86_400;

async fn report(core: &Core, report: Report, days: u32) -> Vec<ReportedUser> {
    core.identity.report(&allowed(), report, days).await.unwrap()
}

async fn ids(core: &Core, what: Report, days: u32) -> Vec<UserId> {
    report(core, what, days).await.into_iter().map(|user| user.id).collect()
}

async fn user(core: &Core, name: &str) -> UserId {
    let new = NewUser { password: Some(Some("pw".into())), ..NewUser::named("default".into(), name) };
    core.identity.create_user(&allowed(), new).await.unwrap().id
}

async fn update(core: &Core, id: &UserId, patch: UserPatch) {
    core.cascade.update_user(&allowed(), id, patch).await.unwrap();
}

fn options(name: &str) -> UserPatch {
    let options = json!({name: true});
    UserPatch { options: UserOptionChanges::from_object(options.as_object().unwrap()), ..UserPatch::default() }
}

fn off() -> UserPatch {
    UserPatch { enabled: Some(false), ..UserPatch::default() }
}

async fn log_in(core: &Core, from: &str, name: &str, password: &str) -> Option<ErrorKind> {
    let user = json!({"name": name, "domain": {"id": "default"}, "password": password});
    kind(authenticate_from(core, from, json!({"methods": ["password"], "password": {"user": user}})).await)
}

#[tokio::test]
async fn passwords_that_expire_are_told_with_their_time() {
    on_each_cloud(async |cloud: &Cloud| {
        let core = cloud.node_with("node", "[security_compliance]\npassword_expires_days = 10\n").await;
        let (cook, exempt, gone) = (user(&core, "cook").await, user(&core, "exempt").await, user(&core, "gone").await);
        update(&core, &exempt, options("ignore_password_expiry")).await;
        update(&core, &gone, off()).await;
        let expires_at = cloud.time.now().plus_seconds(10 * DAY);
        assert_eq!(ids(&core, Report::Expiring, 9).await, Vec::<UserId>::new());
        let found = report(&core, Report::Expiring, 10).await;
        assert_eq!(found.len(), 1, "alice was made before passwords expired");
        assert_eq!((&found[0].id, found[0].now, found[0].at), (&cook, false, Some(expires_at)));
        cloud.time.advance(10 * DAY);
        assert!(report(&core, Report::Expiring, 0).await[0].now);
        // A new password leaves the old one, which is of no account.
        update(&core, &cook, UserPatch { password: Some(Some("new".into())), ..UserPatch::default() }).await;
        assert_eq!(ids(&core, Report::Expiring, 0).await, Vec::<UserId>::new());
    })
    .await;
}

#[tokio::test]
async fn locked_users_are_told_with_the_networks() {
    on_each_cloud(async |cloud: &Cloud| {
        for (further, networks) in [("", vec!["192.0.2.0/24"]), ("[archstone]\nlockout_by = user\n", vec![])] {
            let text = format!("[security_compliance]\nlockout_failure_attempts = 2\nlockout_duration = 60\n{further}");
            let core = cloud.node_with("node", &text).await;
            log_in(&core, "192.0.2.1", "alice", "wrong").await;
            log_in(&core, "192.0.2.1", "admin", "wrong").await;
            log_in(&core, "192.0.2.1", "nobody", "wrong").await;
            log_in(&core, "192.0.2.1", "nobody", "wrong").await;
            assert_eq!(ids(&core, Report::Locked, 0).await, Vec::<UserId>::new());
            log_in(&core, "192.0.2.1", "alice", "wrong").await;
            let found = report(&core, Report::Locked, 0).await;
            assert_eq!(found.len(), 1);
            assert_eq!((&found[0].id, &found[0].name[..]), (&cloud.alice, "alice"));
            assert_eq!(found[0].at, Some(cloud.time.now().plus_seconds(60)));
            assert_eq!(found[0].networks, networks);
            cloud.time.advance(60);
            assert_eq!(ids(&core, Report::Locked, 0).await, Vec::<UserId>::new());
            core.identity.unlock(&allowed(), &cloud.alice).await.unwrap();
        }
        let core = cloud.node("node").await;
        assert_eq!(ids(&core, Report::Locked, 0).await, Vec::<UserId>::new());
    })
    .await;
}

#[tokio::test]
async fn idle_users_are_told_from_when_they_count_as_disabled() {
    on_each_cloud(async |cloud: &Cloud| {
        let text = "[security_compliance]\ndisable_user_account_days_inactive = 10\n";
        let core = cloud.node_with("node", text).await;
        let exempt = user(&core, "exempt").await;
        update(&core, &exempt, options("ignore_user_inactivity")).await;
        let gone = user(&core, "gone").await;
        update(&core, &gone, off()).await;
        cloud.time.advance(5 * DAY);
        assert_eq!(log_in(&core, "192.0.2.1", "admin", "pw").await, None);
        core.identity.write_activity().await.unwrap();
        cloud.time.advance(4 * DAY);
        assert_eq!(ids(&core, Report::Inactive, 0).await, Vec::<UserId>::new());
        assert_eq!(ids(&core, Report::Inactive, 1).await.first(), Some(&cloud.alice));
        cloud.time.advance(DAY);
        let found = report(&core, Report::Inactive, 0).await;
        assert_eq!((found.len(), &found[0].id, found[0].now), (1, &cloud.alice, true));
        assert_eq!(log_in(&core, "192.0.2.1", "alice", "pw").await, Some(ErrorKind::Unauthorized));
        assert_eq!(ids(&core, Report::Inactive, 5).await.len(), 2);
        let core = cloud.node("without").await;
        assert_eq!(ids(&core, Report::Inactive, 1000).await, Vec::<UserId>::new());
    })
    .await;
}
