//! What one node writes, all nodes answer with: the caches obey the clock, and only the clock.

use archstone_db::tables::{Assignment, Endpoint, LocalUser, Project, Role};
use archstone_db::testing::execute_as_another_program;
use archstone_db::triggers::{self, Triggers};
use sea_query::{Expr, ExprTrait as _, Query as Sql, UpdateStatement};
use serde_json::{Value, json};

use super::{Cloud, allowed, kind, on_each_cloud, role, validate};
use crate::Core;
use crate::catalog::RenderCatalog;
use crate::error::ErrorKind;
use crate::freshness::Ref;
use crate::resource::ProjectPatch;

/// One write for each kind of thing that a token of a project is made of, and what it touches.
fn writes(cloud: &Cloud, reader: &str) -> Vec<(UpdateStatement, Ref)> {
    let mut user = Sql::update();
    user.table(LocalUser::Table)
        .value(LocalUser::Name, "renamed")
        .and_where(Expr::col(LocalUser::UserId).eq(&*cloud.alice));
    let mut project = Sql::update();
    project.table(Project::Table).value(Project::Name, "renamed").and_where(Expr::col(Project::Id).eq(&*cloud.work));
    let mut domain = Sql::update();
    domain.table(Project::Table).value(Project::Name, "Renamed").and_where(Expr::col(Project::Id).eq("default"));
    let mut assignment = Sql::update();
    assignment
        .table(Assignment::Table)
        .value(Assignment::RoleId, reader)
        .and_where(Expr::col(Assignment::ActorId).eq(&*cloud.alice));
    let mut roles = Sql::update();
    roles.table(Role::Table).value(Role::Name, "watcher").and_where(Expr::col(Role::Id).eq(reader));
    let mut catalog = Sql::update();
    catalog.table(Endpoint::Table).value(Endpoint::Url, "http://moved.example");
    vec![
        (user, Ref::User(cloud.alice.clone())),
        (project, Ref::Project(cloud.work.clone())),
        (domain, Ref::Project("default".into())),
        (assignment, Ref::Assignments(cloud.alice.to_string())),
        (roles, Ref::Roles),
        (catalog, Ref::Catalog),
    ]
}

/// All that a token shows.
async fn shown(core: &Core, text: &str) -> Value {
    let token = validate(core, text).await.unwrap();
    let moment = core.token.observe().await.unwrap();
    let as_text: RenderCatalog = |catalog| format!("{catalog:?}").into();
    let text = core.token.catalog_text(moment, &token, as_text).await.unwrap().unwrap();
    let catalog = core.token.catalog_services(moment, &token).await.unwrap();
    assert_eq!(text, as_text(&catalog));
    json!([token.body(), format!("{catalog:?}")])
}

#[tokio::test]
async fn a_token_in_memory_follows_everything_that_it_is_made_of() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let token = cloud.work_token(&core).await;
        let reader = role(&core, "reader").await;
        for (write, touched) in writes(cloud, &reader) {
            let before = shown(&core, &token.text).await;
            cloud.write(&write, std::slice::from_ref(&touched)).await;
            assert_ne!(shown(&core, &token.text).await, before, "{touched:?}");
        }
    })
    .await;
}

/// Without a word of who wrote: the triggers tell.
#[tokio::test]
async fn with_triggers_a_token_in_memory_follows_foreign_writes() {
    on_each_cloud(async |cloud| {
        triggers::install(&cloud.database.db).await.unwrap();
        let core = cloud.node("node").await;
        assert_eq!(core.foundation.freshness.look_for_triggers().await.unwrap(), Triggers::Installed);
        let token = cloud.work_token(&core).await;
        let reader = role(&core, "reader").await;
        for (write, touched) in writes(cloud, &reader) {
            let before = shown(&core, &token.text).await;
            execute_as_another_program(&cloud.database.db, &write).await.unwrap();
            assert_ne!(shown(&core, &token.text).await, before, "{touched:?}");
        }
        triggers::remove(&cloud.database.db).await.unwrap();
    })
    .await;
}

/// The counterpart, without which the test above could pass because nothing is ever remembered.
#[tokio::test]
async fn a_broken_clock_is_noticed() {
    on_each_cloud(async |cloud| {
        let core = cloud.node("node").await;
        let token = cloud.work_token(&core).await;
        let before = shown(&core, &token.text).await;
        let reader = role(&core, "reader").await;
        for (write, forgotten) in writes(cloud, &reader) {
            cloud.write(&write, &[]).await;
            assert_eq!(shown(&core, &token.text).await, before, "{forgotten:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn nodes_agree_after_each_of_many_writes() {
    on_each_cloud(async |cloud| {
        let nodes = vec![cloud.node("a").await, cloud.node("b").await, cloud.node("c").await];
        let token = cloud.work_token(&nodes[0]).await;
        for step in 0..30 {
            let enabled = step % 3 != 1;
            let patch =
                ProjectPatch { enabled: Some(enabled), name: Some(format!("work {step}")), ..ProjectPatch::default() };
            nodes[step % 3].resource.update_project(&allowed(), &cloud.work, &patch).await.unwrap();
            for node in &nodes {
                match validate(node, &token.text).await {
                    Ok(token) => {
                        assert_eq!((enabled, &token.body()["project"]["name"]), (true, &json!(format!("work {step}"))));
                    }
                    refused => assert_eq!((enabled, kind(refused)), (false, Some(ErrorKind::NotFound))),
                }
            }
        }
    })
    .await;
}
