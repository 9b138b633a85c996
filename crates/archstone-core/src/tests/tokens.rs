//! What ends a token, and what does not.

use archstone_db::tables::{Assignment, User};
use sea_query::{Expr, ExprTrait as _, Query as Sql, UpdateStatement};
use serde_json::json;

use super::{Cloud, allowed, kind, log_in, on_each_cloud, rescope, validate};
use crate::error::ErrorKind;
use crate::freshness::Ref;
use crate::resource::ProjectPatch;
use crate::token::Validation;

const GONE: Option<ErrorKind> = Some(ErrorKind::TokenNotFound);

fn enable(cloud: &Cloud, enabled: bool) -> UpdateStatement {
    let user = Expr::col(User::Id).eq(&*cloud.alice);
    Sql::update().table(User::Table).value(User::Enabled, enabled).and_where(user).to_owned()
}

#[tokio::test]
async fn a_revoked_token_is_refused_on_every_node() {
    on_each_cloud(async |cloud| {
        let (here, there) = (cloud.node("here").await, cloud.node("there").await);
        let token = cloud.work_token(&here).await;
        validate(&there, &token.text).await.unwrap();
        here.token.revoke(&allowed(), &token.text, true).await.unwrap();
        assert_eq!(kind(validate(&there, &token.text).await), GONE);
        assert_eq!(kind(validate(&here, &token.text).await), GONE);
    })
    .await;
}

#[tokio::test]
async fn a_token_of_a_disabled_user_stays_dead() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let token = cloud.work_token(&core).await;
        let touched = [Ref::User(cloud.alice.clone())];
        cloud.write(&enable(cloud, false), &touched).await;
        assert_eq!(kind(validate(&core, &token.text).await), GONE);
        cloud.write(&enable(cloud, true), &touched).await;
        assert_eq!(kind(validate(&core, &token.text).await), GONE);
        cloud.time.advance(1);
        let fresh = cloud.work_token(&core).await;
        validate(&core, &fresh.text).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_token_lives_again_with_its_project() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let token = cloud.work_token(&core).await;
        let enable = |enabled| ProjectPatch { enabled: Some(enabled), ..ProjectPatch::default() };
        core.resource.update_project(&allowed(), &cloud.work, &enable(false)).await.unwrap();
        assert_eq!(kind(validate(&core, &token.text).await), Some(ErrorKind::NotFound));
        core.resource.update_project(&allowed(), &cloud.work, &enable(true)).await.unwrap();
        validate(&core, &token.text).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_removed_role_ends_the_scope_only() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let scoped = cloud.work_token(&core).await;
        let unscoped = log_in(&core, "alice", "pw", json!("unscoped")).await.unwrap();
        let actor = Expr::col(Assignment::ActorId).eq(&*cloud.alice);
        let delete = Sql::delete().from_table(Assignment::Table).and_where(actor).to_owned();
        cloud.write(&delete, &[Ref::Assignments(cloud.alice.to_string())]).await;
        assert_eq!(kind(validate(&core, &scoped.text).await), GONE);
        validate(&core, &unscoped.text).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn ossa_2016_008_a_rescoped_token_keeps_its_expiry_and_its_chain() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let work = || json!({"project": {"id": &*cloud.work}});
        let first = log_in(&core, "alice", "pw", json!("unscoped")).await.unwrap();
        cloud.time.advance(100);
        let second = rescope(&core, &first.text, work()).await.unwrap();
        let third = rescope(&core, &second.text, work()).await.unwrap();
        let root = &first.token.caller().audit_ids[0];
        for token in [&second, &third] {
            assert_eq!(token.token.expires_at, first.token.expires_at);
            assert_eq!(token.token.caller().audit_ids[1], *root);
        }
        core.token.revoke(&allowed(), &first.text, true).await.unwrap();
        for token in [&first, &second, &third] {
            assert_eq!(kind(validate(&core, &token.text).await), GONE);
        }
    })
    .await;
}

#[tokio::test]
async fn without_a_cascade_only_the_token_itself_ends() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let first = log_in(&core, "alice", "pw", json!("unscoped")).await.unwrap();
        let second = rescope(&core, &first.text, json!({"project": {"id": &*cloud.work}})).await.unwrap();
        core.token.revoke(&allowed(), &first.text, false).await.unwrap();
        assert_eq!(kind(validate(&core, &first.text).await), GONE);
        validate(&core, &second.text).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_expired_token_counts_within_the_window_that_is_asked_for() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let token = cloud.work_token(&core).await;
        let late = Validation { expired_by: 100, ..Validation::default() };
        cloud.time.advance(3600);
        assert_eq!(kind(validate(&core, &token.text).await), GONE);
        core.token.validate(&token.text, late).await.unwrap();
        assert_eq!(kind(validate(&core, &token.text).await), GONE);
        cloud.time.advance(100);
        assert_eq!(kind(core.token.validate(&token.text, late).await), GONE);
    })
    .await;
}

#[tokio::test]
async fn ossa_2016_005_another_spelling_of_a_revoked_token_is_no_token() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let token = cloud.work_token(&core).await;
        core.token.revoke(&allowed(), &token.text, true).await.unwrap();
        for text in [format!("{}=", token.text), format!("{}==", token.text), format!(" {}", token.text)] {
            assert!(kind(validate(&core, &text).await).is_some(), "{text:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_token_of_a_dropped_key_is_refused_though_it_is_in_memory() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let token = cloud.work_token(&core).await;
        validate(&core, &token.text).await.unwrap();
        let keys = cloud.folder.path().join("keys");
        std::fs::rename(keys.join("0"), keys.join("2")).unwrap();
        std::fs::remove_file(keys.join("1")).unwrap();
        // Making a token reads the keys anew.
        cloud.work_token(&core).await;
        assert_eq!(kind(validate(&core, &token.text).await), GONE);
    })
    .await;
}
