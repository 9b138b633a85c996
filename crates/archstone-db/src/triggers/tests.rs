//! What the triggers promise, on each database.

use std::sync::Arc;

use super::{Triggers, check, install, remove, run};
use crate::connection::Conn;
use crate::testing::{foreign, on_each_database};
use crate::{Change, Changes, ClockReading, Db, DbError, Dialect, Touch};

async fn read(db: &Db) -> Arc<ClockReading> {
    db.clock().read().await.expect("a reading")
}

async fn changes(db: &Db, since: &Arc<ClockReading>) -> Changes {
    let now = read(db).await;
    db.clock().changes_since(since, &now).await.expect("changes")
}

fn change(kind: &str, reference: &str) -> Change {
    Change { kind: kind.to_owned(), reference: reference.to_owned() }
}

const USER: &str =
    "INSERT INTO \"user\" (id, extra, enabled, domain_id) VALUES ('u', '{}', '1', '<<keystone.domain.root>>')";
const LOCAL_USER: &str =
    "INSERT INTO local_user (id, user_id, domain_id, name) VALUES (7, 'u', '<<keystone.domain.root>>', 'n')";
const PASSWORD: &str = "INSERT INTO password (local_user_id, password_hash, created_at, created_at_int) \
    VALUES (7, 'x', '2026-01-01 00:00:00', 1)";

async fn write(db: &Db, conn: &mut Conn, sql: &str) -> Changes {
    let since = read(db).await;
    let sql = if db.dialect() == Dialect::MySql { sql.replace('"', "`") } else { sql.to_owned() };
    conn.run(&sql).await.expect("written");
    changes(db, &since).await
}

#[tokio::test]
async fn a_foreign_write_names_what_it_touched() {
    on_each_database(async |db| {
        install(db).await.expect("installed");
        let mut conn = foreign(db).await.expect("a connection");
        let of_user = Changes::Known(vec![change("user", "u")]);
        let nothing = Changes::Known(Vec::new());
        for (sql, expected) in [
            (USER, &of_user),
            (LOCAL_USER, &of_user),
            (PASSWORD, &of_user),
            ("UPDATE password SET password_hash = 'y' WHERE local_user_id = 7", &of_user),
            ("UPDATE \"user\" SET enabled = '0' WHERE id = 'u'", &of_user),
            ("UPDATE \"user\" SET last_active_at = '2026-11-22' WHERE id = 'u'", &nothing),
            ("UPDATE local_user SET failed_auth_count = 3 WHERE id = 7", &nothing),
            ("INSERT INTO role (id, name) VALUES ('r', 'cook')", &Changes::Known(vec![change("roles", "")])),
            (
                "INSERT INTO assignment (type, actor_id, target_id, role_id, inherited) \
                 VALUES ('UserProject', 'u', 'p', 'r', '0')",
                &Changes::Known(vec![change("assignments", "u")]),
            ),
            ("DELETE FROM \"user\" WHERE id = 'absent'", &nothing),
        ] {
            assert_eq!(write(db, &mut conn, sql).await, *expected, "{sql}");
        }
        conn.discard();
        remove(db).await.expect("removed");
    })
    .await;
}

#[tokio::test]
async fn own_writes_pass_the_triggers_by_where_they_can() {
    on_each_database(async |db| {
        install(db).await.expect("installed");
        let before = read(db).await;
        db.write(|tx| {
            Box::pin(async move {
                use crate::tables::Role;
                let insert = sea_query::Query::insert()
                    .into_table(Role::Table)
                    .columns([Role::Id, Role::Name])
                    .values_panic(["own".into(), "own".into()])
                    .to_owned();
                tx.execute(&insert).await?;
                tx.touch(Touch { kind: "roles", reference: String::new() });
                Ok::<_, DbError>(())
            })
        })
        .await
        .expect("written");
        let after = read(db).await;
        assert_eq!(before.foreign != after.foreign, db.dialect() == Dialect::Sqlite);
        assert_ne!(before.ticks, after.ticks);
        assert_eq!(changes(db, &before).await, Changes::Known(vec![change("roles", "")]));
        remove(db).await.expect("removed");
    })
    .await;
}

#[tokio::test]
async fn what_was_written_before_the_triggers_came_is_forgotten() {
    on_each_database(async |db| {
        let before = read(db).await;
        run(db, "INSERT INTO role (id, name) VALUES ('r', 'cook')").await.expect("written");
        install(db).await.expect("installed");
        assert_eq!(changes(db, &before).await, Changes::Forgotten);
        remove(db).await.expect("removed");
    })
    .await;
}

#[tokio::test]
async fn what_is_missing_is_told_and_made() {
    on_each_database(async |db| {
        assert_eq!(check(db).await.expect("checked"), Triggers::Absent);
        install(db).await.expect("installed");
        install(db).await.expect("installed again");
        assert_eq!(check(db).await.expect("checked"), Triggers::Installed);
        let name = "archstone_1_trust_update";
        run(db, &super::text::drop(db.dialect(), name)).await.expect("dropped");
        let incomplete = Triggers::Incomplete { missing: vec![name.to_owned()], outdated: Vec::new() };
        assert_eq!(check(db).await.expect("checked"), incomplete);
        install(db).await.expect("installed");
        assert_eq!(check(db).await.expect("checked"), Triggers::Installed);
        remove(db).await.expect("removed");
        assert_eq!(check(db).await.expect("checked"), Triggers::Absent);
    })
    .await;
}
