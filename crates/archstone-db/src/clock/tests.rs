//! What the clock promises, on each database.

use std::sync::Arc;

use chrono::NaiveDate;
use sea_query::{Expr, ExprTrait as _, Query as Sql};

use super::{Change, Changes, ClockReading, prune_changes};
use crate::tables::{ArchstoneChange, Project, RevocationEvent};
use crate::testing::{TestDatabase, configured, on_each_database, options};
use crate::{ConnectOptions, Db, DbError, Dialect, Touch};

async fn touch(db: &Db, references: &[&str]) {
    db.write(|tx| {
        Box::pin(async move {
            for reference in references {
                tx.touch(Touch { kind: "user", reference: (*reference).to_owned() });
            }
            Ok::<_, DbError>(())
        })
    })
    .await
    .expect("written");
}

async fn read(db: &Db) -> Arc<ClockReading> {
    db.clock().read().await.expect("a reading")
}

async fn changes(db: &Db, since: &Arc<ClockReading>) -> Changes {
    let now = read(db).await;
    db.clock().changes_since(since, &now).await.expect("changes")
}

fn known(references: &[&str]) -> Changes {
    let change = |reference: &&str| Change { kind: "user".to_owned(), reference: (*reference).to_owned() };
    Changes::Known(references.iter().map(change).collect())
}

#[tokio::test]
async fn committed_touches_are_read() {
    on_each_database(async |db| {
        let before = read(db).await;
        touch(db, &["a", "b", "a"]).await;
        assert_eq!(changes(db, &before).await, known(&["a", "b"]));
        let between = read(db).await;
        assert_eq!(between.ticks.len(), 1);
        touch(db, &["c"]).await;
        touch(db, &["d"]).await;
        assert_eq!(changes(db, &between).await, known(&["c", "d"]));
        assert_eq!(changes(db, &before).await, known(&["a", "b", "c", "d"]));
    })
    .await;
}

#[tokio::test]
async fn nothing_moves_the_clock_but_touches() {
    on_each_database(async |db| {
        touch(db, &["a"]).await;
        let before = read(db).await;
        let failed: Result<(), DbError> = db
            .write(|tx| {
                Box::pin(async move {
                    tx.touch(Touch { kind: "user", reference: "b".to_owned() });
                    Err(DbError::Configuration { detail: "changed its mind".to_owned() })
                })
            })
            .await;
        assert!(failed.is_err());
        db.write(|tx| {
            Box::pin(
                async move { tx.execute(Sql::update().table(Project::Table).value(Project::Description, "x")).await },
            )
        })
        .await
        .expect("an untouching write");
        assert!(Arc::ptr_eq(&before, &read(db).await));
    })
    .await;
}

#[tokio::test]
async fn many_touches_of_one_write_are_one_tick() {
    on_each_database(async |db| {
        touch(db, &["first"]).await;
        let before = read(db).await;
        let references: Vec<String> = (0..1200).map(|number| format!("{number:04}")).collect();
        let references: Vec<&str> = references.iter().map(String::as_str).collect();
        touch(db, &references).await;
        assert_eq!(changes(db, &before).await, known(&references));
        assert_eq!(read(db).await.ticks["test"], before.ticks["test"] + 1);
    })
    .await;
}

#[tokio::test]
async fn every_writer_counts_by_itself() {
    for dialect in configured() {
        let test = TestDatabase::new(dialect).await.expect("a database");
        let other = ConnectOptions { writer: Some("other".to_owned()), ..options() };
        let other = Db::connect(&test.url, &other).await.expect("a second node");
        touch(&test.db, &["a"]).await;
        let before = read(&other).await;
        touch(&other, &["b"]).await;
        touch(&test.db, &["c"]).await;
        assert_eq!(read(&test.db).await.ticks.len(), 2);
        assert_eq!(changes(&test.db, &before).await, known(&["b", "c"]));
        assert_eq!(changes(&other, &before).await, known(&["b", "c"]));
        other.close().await;
        test.db.close().await;
    }
}

#[tokio::test]
async fn newest_revocation_is_read_with_the_clock() {
    on_each_database(async |db| {
        assert_eq!(read(db).await.last_revocation, 0);
        let moment = NaiveDate::from_ymd_opt(2026, 1, 1).and_then(|day| day.and_hms_opt(0, 0, 0)).expect("a moment");
        let event = Sql::insert()
            .into_table(RevocationEvent::Table)
            .columns([RevocationEvent::IssuedBefore, RevocationEvent::RevokedAt])
            .values_panic([moment.into(), moment.into()])
            .to_owned();
        let id = db
            .write(|tx| {
                let event = event.clone();
                Box::pin(async move { tx.insert_id(&event, RevocationEvent::Id).await })
            })
            .await
            .expect("an event");
        assert_eq!(read(db).await.last_revocation, id);
    })
    .await;
}

#[tokio::test]
async fn pruned_changes_are_forgotten() {
    on_each_database(async |db| {
        let before = read(db).await;
        touch(db, &["a"]).await;
        let between = read(db).await;
        touch(db, &["b"]).await;
        let now = read(db).await;
        age(db, "a").await;
        let year = NaiveDate::from_ymd_opt(2025, 1, 1).and_then(|day| day.and_hms_opt(0, 0, 0)).expect("a moment");
        assert!(prune_changes(db, year).await.expect("pruned") >= 1);
        assert_eq!(prune_changes(db, year).await.expect("nothing left"), 0);
        assert_eq!(changes(db, &before).await, Changes::Forgotten);
        assert_eq!(changes(db, &between).await, known(&["b"]));
        assert_eq!(changes(db, &now).await, known(&[]));
    })
    .await;
}

#[tokio::test]
async fn writer_that_comes_back_is_not_taken_for_its_old_self() {
    on_each_database(async |db| {
        touch(db, &["a"]).await;
        let before = read(db).await;
        age(db, "a").await;
        let year = NaiveDate::from_ymd_opt(2025, 1, 1).and_then(|day| day.and_hms_opt(0, 0, 0)).expect("a moment");
        prune_changes(db, year).await.expect("pruned");
        let without = read(db).await;
        assert!(without.ticks.is_empty());
        assert_eq!(changes(db, &before).await, Changes::Forgotten);
        touch(db, &["b"]).await;
        assert_eq!(changes(db, &before).await, Changes::Forgotten);
        assert_eq!(changes(db, &without).await, known(&["b"]));
    })
    .await;
}

#[tokio::test]
async fn readers_share_but_never_a_read_begun_before_them() {
    on_each_database(async |db| {
        let before = db.clock().reads();
        let readers: Vec<_> = (0..500)
            .map(|number| {
                let db = db.clone();
                tokio::spawn(async move {
                    if number % 100 == 0 {
                        let reference = number.to_string();
                        touch(&db, &[&reference]).await;
                        // Its own write must be in what it reads now.
                        let empty = Arc::new(ClockReading::default());
                        let Changes::Known(changes) = changes(&db, &empty).await else { panic!("forgotten") };
                        assert!(changes.iter().any(|change| change.reference == reference));
                    } else {
                        read(&db).await;
                    }
                })
            })
            .collect();
        for reader in readers {
            reader.await.expect("no panic");
        }
        let reads = db.clock().reads() - before;
        assert!((1..50).contains(&reads), "{reads}");
    })
    .await;
}

/// Makes a change, and the mark of its writer's beginning, as old as 2024.
async fn age(db: &Db, reference: &str) {
    let old = NaiveDate::from_ymd_opt(2024, 1, 1).and_then(|day| day.and_hms_opt(0, 0, 0)).expect("a moment");
    let reference = reference.to_owned();
    let reference = &reference;
    let aged = db
        .write(|tx| {
            Box::pin(async move {
                tx.execute(
                    Sql::update()
                        .table(ArchstoneChange::Table)
                        .value(ArchstoneChange::At, old)
                        .and_where(Expr::col(ArchstoneChange::Ref).is_in([reference.as_str(), ""])),
                )
                .await
            })
        })
        .await
        .expect("aged");
    assert!(aged >= 1);
}

/// Another process may write; two `Db` share nothing but the file.
#[tokio::test]
async fn on_sqlite_a_reading_costs_no_statement_until_somebody_commits() {
    let test = TestDatabase::new(Dialect::Sqlite).await.expect("a database");
    let db = &test.db;
    let other = Db::connect(&test.url, &options()).await.expect("a second node");
    read(db).await;
    for _ in 0..3 {
        let before = read(db).await;
        let reads = db.clock().reads();
        for _ in 0..100 {
            assert!(Arc::ptr_eq(&before, &read(db).await));
        }
        assert_eq!(db.clock().reads(), reads);
        touch(&other, &["a"]).await;
        assert_ne!(before, read(db).await);
        touch(db, &["b"]).await;
        assert_eq!(changes(db, &before).await, known(&["a", "b"]));
    }
}
