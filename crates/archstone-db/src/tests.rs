//! What holds on each of the three databases.

use chrono::{NaiveDate, NaiveDateTime};
use sea_query::{Expr, ExprTrait as _, InsertStatement, Query as Sql, SelectStatement};
use serde_json::json;

use crate::dialect::{Inexact, enum_value, ignore_existing, inexact, update_existing};
use crate::tables::{Assignment, LocalUser, Password, Role, User};
use crate::testing::{TestDatabase, configured, on_each_database, options};
use crate::{ConnectOptions, Db, DbError, Dialect, Query, SqlUrl, Tx, json_text};

fn role(id: &str, name: &str) -> InsertStatement {
    Sql::insert()
        .into_table(Role::Table)
        .columns([Role::Id, Role::Name, Role::Extra, Role::DomainId])
        .values_panic([id.into(), name.into(), "{}".into(), "<<null>>".into()])
        .to_owned()
}

fn roles() -> SelectStatement {
    Sql::select()
        .columns([Role::Id, Role::Name, Role::Extra])
        .from(Role::Table)
        .order_by(Role::Id, sea_query::Order::Asc)
        .to_owned()
}

async fn names(query: impl Query) -> Vec<String> {
    let rows = query.fetch_all(&roles()).await.expect("roles");
    rows.iter().map(|row| row.get("name").expect("a name")).collect()
}

async fn add(db: &Db, statement: InsertStatement) -> Result<(), DbError> {
    db.write(|tx| {
        let statement = statement.clone();
        Box::pin(async move { tx.execute(&statement).await.map(drop) })
    })
    .await
}

async fn add_user(tx: &mut Tx<'_>, id: &str) -> Result<(), DbError> {
    let statement = Sql::insert()
        .into_table(User::Table)
        .columns([User::Id, User::Enabled, User::DomainId])
        .values_panic([id.into(), true.into(), "default".into()])
        .to_owned();
    tx.execute(&statement).await.map(drop)
}

#[tokio::test]
async fn committed_is_seen_and_failed_is_not() {
    on_each_database(async |db| {
        add(db, role("1", "cook")).await.expect("a role");
        let failed: Result<(), DbError> = db
            .write(|tx| {
                Box::pin(async move {
                    tx.execute(&role("2", "waiter")).await?;
                    assert_eq!(names(&mut *tx).await, ["cook", "waiter"]);
                    Err(DbError::Configuration { detail: "changed its mind".to_owned() })
                })
            })
            .await;
        assert!(failed.is_err());
        assert_eq!(names(db).await, ["cook"]);
    })
    .await;
}

#[tokio::test]
async fn dropped_transaction_is_rolled_back() {
    on_each_database(async |db| {
        let mut tx = Tx::begin(db).await.expect("a transaction");
        tx.execute(&role("1", "cook")).await.expect("a role");
        drop(tx);
        // The same key again: no row is left, and no lock.
        add(db, role("1", "waiter")).await.expect("the key is free");
        assert_eq!(names(db).await, ["waiter"]);
    })
    .await;
}

#[tokio::test]
async fn taken_key_is_a_conflict() {
    on_each_database(async |db| {
        add(db, role("1", "cook")).await.expect("a role");
        let error = add(db, role("2", "cook")).await.expect_err("the name is taken");
        let DbError::Conflict { constraint: Some(constraint), .. } = &error else { panic!("{error:?}") };
        let expected =
            if db.dialect() == Dialect::Sqlite { "role.name, role.domain_id" } else { "ixu_role_name_domain_id" };
        assert_eq!(constraint, expected);
    })
    .await;
}

#[tokio::test]
async fn missing_parent_is_a_foreign_key_error() {
    on_each_database(async |db| {
        let orphan = Sql::insert()
            .into_table(LocalUser::Table)
            .columns([LocalUser::UserId, LocalUser::DomainId, LocalUser::Name])
            .values_panic(["nobody".into(), "default".into(), "n".into()])
            .to_owned();
        assert!(matches!(add(db, orphan).await, Err(DbError::ForeignKey { .. })));
    })
    .await;
}

#[tokio::test]
async fn what_a_column_cannot_hold_is_the_clients_fault() {
    on_each_database(async |db| {
        let long = add(db, role("1", &"x".repeat(300))).await;
        let nul = add(db, role("2", "a\0b")).await;
        let emoji = add(db, role("3", "😀")).await;
        match db.dialect() {
            Dialect::Sqlite => assert!(long.is_ok() && nul.is_ok() && emoji.is_ok()),
            Dialect::MySql => {
                assert!(matches!(long, Err(DbError::TooLong { .. })), "{long:?}");
                assert!(nul.is_ok());
                assert!(matches!(emoji, Err(DbError::InvalidValue { .. })), "{emoji:?}");
            }
            Dialect::Postgres => {
                assert!(matches!(long, Err(DbError::TooLong { .. })), "{long:?}");
                assert!(matches!(nul, Err(DbError::InvalidValue { .. })), "{nul:?}");
                assert!(emoji.is_ok());
            }
        }
    })
    .await;
}

#[tokio::test]
async fn values_come_back_as_they_went() {
    on_each_database(async |db| {
        let moment = NaiveDate::from_ymd_opt(2026, 2, 3).and_then(|day| day.and_hms_opt(4, 5, 6)).expect("a moment");
        let (row, password) = db
            .write(|tx| {
                Box::pin(async move {
                    add_user(tx, "u").await?;
                    let user = Sql::update()
                        .table(User::Table)
                        .value(User::Extra, json_text(&json!({"é": "😀"})).replace("\\ud83d\\ude00", "?"))
                        .value(User::CreatedAt, moment)
                        .value(User::LastActiveAt, moment.date())
                        .to_owned();
                    tx.execute(&user).await?;
                    let local = Sql::insert()
                        .into_table(LocalUser::Table)
                        .columns([LocalUser::UserId, LocalUser::DomainId, LocalUser::Name])
                        .values_panic(["u".into(), "default".into(), "n".into()])
                        .to_owned();
                    let local_user_id = tx.insert_id(&local, LocalUser::Id).await?;
                    let password = Sql::insert()
                        .into_table(Password::Table)
                        .columns([
                            Password::LocalUserId,
                            Password::CreatedAtInt,
                            Password::CreatedAt,
                            Password::SelfService,
                        ])
                        .values_panic([local_user_id.into(), i64::MAX.into(), moment.into(), false.into()])
                        .to_owned();
                    let password_id = tx.insert_id(&password, Password::Id).await?;
                    let user = Sql::select().column(sea_query::Asterisk).from(User::Table).to_owned();
                    let password = Sql::select()
                        .column(sea_query::Asterisk)
                        .from(Password::Table)
                        .and_where(Expr::col(Password::Id).eq(password_id))
                        .to_owned();
                    Ok::<_, DbError>((tx.fetch_optional(&user).await?, tx.fetch_optional(&password).await?))
                })
            })
            .await
            .expect("written");
        let (row, password) = (row.expect("a user"), password.expect("a password"));
        assert_eq!(row.json("extra").expect("JSON"), json!({"é": "?"}));
        assert!(row.get::<bool>("enabled").expect("a truth"));
        assert_eq!(row.get::<NaiveDateTime>("created_at").expect("a moment"), moment);
        assert_eq!(row.get::<NaiveDate>("last_active_at").expect("a day"), moment.date());
        assert_eq!(row.get::<Option<String>>("default_project_id").expect("NULL"), None);
        assert!(row.get::<String>("default_project_id").is_err());
        assert!(row.get::<String>("no_such_column").is_err());
        assert_eq!(password.get::<i64>("created_at_int").expect("an integer"), i64::MAX);
        assert_eq!(password.get::<Option<bool>>("self_service").expect("a truth"), Some(false));
        assert!(password.get::<i64>("local_user_id").expect("an id") > 0);
    })
    .await;
}

#[tokio::test]
async fn moments_are_compared_as_moments() {
    on_each_database(async |db| {
        let at = |second, micro| {
            NaiveDate::from_ymd_opt(2026, 1, 1)
                .and_then(|day| day.and_hms_micro_opt(0, 0, second, micro))
                .expect("a moment")
        };
        db.write(|tx| {
            Box::pin(async move {
                add_user(tx, "u").await?;
                let user = Sql::update().table(User::Table).value(User::CreatedAt, at(5, 0)).to_owned();
                tx.execute(&user).await
            })
        })
        .await
        .expect("a user");
        let before = |moment: NaiveDateTime| {
            Sql::select().column(User::Id).from(User::Table).and_where(Expr::col(User::CreatedAt).lt(moment)).to_owned()
        };
        assert!(db.fetch_optional(&before(at(5, 0))).await.expect("an answer").is_none());
        assert!(db.fetch_optional(&before(at(5, 1))).await.expect("an answer").is_some());
    })
    .await;
}

#[tokio::test]
async fn native_enums_are_written_compared_and_read_as_text() {
    on_each_database(async |db| {
        // On SQLite alone the reference keeps the foreign key from assignments to roles.
        add(db, role("r", "cook")).await.expect("a role");
        let grant = Sql::insert()
            .into_table(Assignment::Table)
            .columns([
                Assignment::Type,
                Assignment::ActorId,
                Assignment::TargetId,
                Assignment::RoleId,
                Assignment::Inherited,
            ])
            .values_panic([enum_value("type", "UserProject"), "u".into(), "p".into(), "r".into(), false.into()])
            .to_owned();
        add(db, grant).await.expect("a grant");
        let find = |kind: &str| {
            Sql::select()
                .column(Assignment::Type)
                .from(Assignment::Table)
                .and_where(Expr::col(Assignment::Type).eq(enum_value("type", kind)))
                .to_owned()
        };
        let row = db.fetch_optional(&find("UserProject")).await.expect("an answer").expect("a grant");
        assert_eq!(row.get::<String>("type").expect("text"), "UserProject");
        assert!(db.fetch_optional(&find("GroupProject")).await.expect("an answer").is_none());
        let several = Sql::select()
            .column(Assignment::Type)
            .from(Assignment::Table)
            .and_where(
                Expr::col(Assignment::Type)
                    .is_in([enum_value("type", "UserProject"), enum_value("type", "UserDomain")]),
            )
            .to_owned();
        assert_eq!(db.fetch_all(&several).await.expect("an answer").len(), 1);
    })
    .await;
}

#[tokio::test]
async fn inexact_filters_ignore_case_and_take_wildcards_literally() {
    on_each_database(async |db| {
        for (id, name) in [("1", "Head_Cook"), ("2", "headXcook"), ("3", "50%!")] {
            add(db, role(id, name)).await.expect("a role");
        }
        for (how, value, found) in [
            (Inexact::Contains, "D_c", vec!["Head_Cook"]),
            (Inexact::StartsWith, "HEAD", vec!["Head_Cook", "headXcook"]),
            (Inexact::EndsWith, "%!", vec!["50%!"]),
            (Inexact::StartsWith, "cook", vec![]),
        ] {
            let rows =
                db.fetch_all(roles().and_where(inexact(Expr::col(Role::Name), how, value))).await.expect("roles");
            let names: Vec<String> = rows.iter().map(|row| row.get("name").expect("a name")).collect();
            assert_eq!(names, found, "{how:?} {value}");
        }
    })
    .await;
}

#[tokio::test]
async fn existing_rows_are_ignored_or_updated_on_request() {
    on_each_database(async |db| {
        add(db, role("1", "cook")).await.expect("a role");
        add(db, role("1", "waiter").on_conflict(ignore_existing(&[Role::Id])).to_owned()).await.expect("ignored");
        assert_eq!(names(db).await, ["cook"]);
        add(db, role("1", "waiter").on_conflict(update_existing(&[Role::Id], &[Role::Name])).to_owned())
            .await
            .expect("updated");
        assert_eq!(names(db).await, ["waiter"]);
    })
    .await;
}

#[tokio::test]
async fn concurrent_increments_are_all_counted() {
    on_each_database(async |db| {
        add(db, role("n", "0")).await.expect("a counter");
        let writers: Vec<_> = (0..8)
            .map(|_| {
                let db = db.clone();
                tokio::spawn(async move {
                    for _ in 0..5 {
                        increment(&db).await.expect("an increment");
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.expect("no panic");
        }
        assert_eq!(names(db).await, ["40"]);
    })
    .await;
}

async fn increment(db: &Db) -> Result<(), DbError> {
    db.write(|tx| {
        Box::pin(async move {
            let row = tx.fetch_optional(roles().lock_exclusive()).await?;
            let count: i64 = row.expect("the counter").get::<String>("name")?.parse().expect("a number");
            let more = Sql::update().table(Role::Table).value(Role::Name, (count + 1).to_string()).to_owned();
            tx.execute(&more).await.map(drop)
        })
    })
    .await
}

#[tokio::test]
async fn deadlock_is_tried_again() {
    on_each_database(async |db| {
        add(db, role("1", "a")).await.expect("a role");
        add(db, role("2", "b")).await.expect("a role");
        let rename = |first: &'static str, second: &'static str, name: &'static str| {
            let db = db.clone();
            tokio::spawn(async move {
                db.write(|tx| {
                    Box::pin(async move {
                        for id in [first, second] {
                            let update = Sql::update()
                                .table(Role::Table)
                                .value(Role::Name, format!("{name}{id}"))
                                .and_where(Expr::col(Role::Id).eq(id))
                                .to_owned();
                            tx.execute(&update).await?;
                            // Long enough for the other one to hold its first row.
                            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                        }
                        Ok::<_, DbError>(())
                    })
                })
                .await
            })
        };
        let (one, other) = (rename("1", "2", "x"), rename("2", "1", "y"));
        one.await.expect("no panic").expect("renamed");
        other.await.expect("no panic").expect("renamed");
        let names = names(db).await;
        assert!(names == ["x1", "x2"] || names == ["y1", "y2"], "{names:?}");
    })
    .await;
}

#[tokio::test]
async fn schema_is_current_and_making_it_again_changes_nothing() {
    use crate::schema::{Status, check, create};
    on_each_database(async |db| {
        assert_eq!(check(db).await.expect("a status"), Status::Current);
        assert_eq!(create(db).await.expect("nothing to do"), Status::Current);
        assert_eq!(crate::schema::table_names(db.dialect()).count(), 49);
    })
    .await;
}

#[tokio::test]
async fn other_schemas_are_refused() {
    use crate::schema::{Status, check, create};
    for dialect in configured() {
        let test = TestDatabase::new(dialect).await.expect("a database");
        let mut conn = test.db.pool().acquire().await.expect("a connection");
        for (sql, status) in [
            (
                "UPDATE alembic_version SET version_num = 'e8725d6fa226' WHERE version_num = '742c857f1dfb'",
                Status::Older { expand: Some("e8725d6fa226".to_owned()), contract: Some("c88cdce8f248".to_owned()) },
            ),
            (
                "UPDATE alembic_version SET version_num = 'ffffffffffff' WHERE version_num = 'e8725d6fa226'",
                Status::Unknown { revisions: vec!["ffffffffffff".to_owned()] },
            ),
            ("DELETE FROM alembic_version", Status::Partial { missing: vec!["a row of alembic_version".to_owned()] }),
        ] {
            conn.run(sql).await.expect("done");
            assert_eq!(check(&test.db).await.expect("a status"), status);
            assert!(matches!(create(&test.db).await, Err(DbError::Schema { .. })));
        }
        let stamp = "INSERT INTO alembic_version (version_num) VALUES ('742c857f1dfb'), ('c88cdce8f248')";
        conn.run(stamp).await.expect("stamped again");
        conn.run("UPDATE archstone_version SET version = 99").await.expect("done");
        assert_eq!(check(&test.db).await.expect("a status"), Status::NewerOwn { version: 99 });
        conn.run("UPDATE archstone_version SET version = 2").await.expect("done");
        conn.run("DROP TABLE archstone_used_passcode; DROP TABLE archstone_failed_login").await.expect("done");
        assert_eq!(check(&test.db).await.expect("a status"), Status::WithoutOwn { version: 2 });
        drop(conn);
        assert_eq!(create(&test.db).await.expect("the newer tables"), Status::WithoutOwn { version: 2 });
        assert_eq!(check(&test.db).await.expect("a status"), Status::Current);
        test.db.close().await;
    }
}

#[tokio::test]
async fn broken_connections_are_replaced() {
    on_each_database(async |db| {
        if db.dialect() == Dialect::Sqlite {
            return;
        }
        for _ in 0..3 {
            names(db).await;
            db.clock().read().await.expect("a reading");
            end_other_connections(db).await;
            db.clock().read().await.expect("a reading");
            assert_eq!(names(db).await.len(), 0);
            end_other_connections(db).await;
            db.write(|tx| Box::pin(async move { tx.execute(Sql::delete().from_table(Role::Table)).await }))
                .await
                .expect("a write");
        }
    })
    .await;
}

async fn end_other_connections(db: &Db) {
    let mut conn = db.pool().acquire().await.expect("a connection");
    let others = match db.dialect() {
        Dialect::MySql => {
            "SELECT id AS id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()"
        }
        Dialect::Sqlite | Dialect::Postgres => {
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        }
    };
    let others = conn.fetch_all(crate::statement::Built::plain(others)).await.expect("the other connections");
    if db.dialect() == Dialect::MySql {
        for other in others {
            // It may have gone already.
            conn.run(&format!("KILL {}", other.get::<i64>("id").expect("an id"))).await.ok();
        }
    }
    // The one that did it goes too, so that none is left that works.
    conn.discard();
}

#[tokio::test]
async fn absent_server_is_told_at_once_and_a_wrong_password_is_not_tried_again() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its number").port();
    drop(listener);
    for scheme in ["mysql", "postgresql"] {
        let url = SqlUrl::parse(&format!("{scheme}://u:p@127.0.0.1:{port}/d")).expect("a URL");
        let started = std::time::Instant::now();
        let error = Db::connect(&url, &options()).await.err().expect("nobody listens");
        assert!(matches!(error, DbError::Unavailable { retry: false, .. }), "{error:?}");
        assert!(started.elapsed().as_secs() < 5);
    }
    for dialect in configured().into_iter().filter(|dialect| *dialect != Dialect::Sqlite) {
        let test = TestDatabase::new(dialect).await.expect("a database");
        let mut url = test.url.clone();
        url.username = Some("nobody".to_owned());
        url.password = Some("hunter2".to_owned());
        let patient = ConnectOptions { max_retries: None, ..options() };
        let outcome = tokio::time::timeout(std::time::Duration::from_secs(10), Db::connect(&url, &patient)).await;
        let error = outcome.expect("no second attempt").err().expect("refused");
        assert!(!matches!(error, DbError::Unavailable { .. }), "{error:?}");
        assert!(!format!("{error:?}").contains("hunter2"));
        test.db.close().await;
    }
}

#[tokio::test]
async fn the_database_tells_its_time_in_utc() {
    on_each_database(async |db| {
        // The machine of the databases is this one.
        let mut select = Sql::select();
        select.expr_as(Expr::cust("1"), "one");
        let before = db.time().await.expect("a time");
        db.fetch_all(&select).await.expect("an answer");
        let after = db.time().await.expect("a time");
        assert!(before <= after);
        assert!((after.and_utc().timestamp() - unix_now()).abs() <= 1, "{after}");
    })
    .await;
}

#[expect(clippy::disallowed_methods, reason = "the test is about the clock")]
fn unix_now() -> i64 {
    chrono::Utc::now().timestamp()
}

#[tokio::test]
async fn cancelled_statement_costs_its_connection_and_nothing_else() {
    on_each_database(async |db| {
        add(db, role("1", "cook")).await.expect("a role");
        for micros in [0, 50, 100, 200, 400, 800, 1600] {
            let limit = std::time::Duration::from_micros(micros);
            drop(tokio::time::timeout(limit, names(db)).await);
            drop(tokio::time::timeout(limit, add(db, role("2", &micros.to_string()))).await);
            assert!(names(db).await.contains(&"cook".to_owned()));
            db.write(|tx| {
                Box::pin(async move {
                    let other = Expr::col(Role::Id).ne("1");
                    tx.execute(Sql::delete().from_table(Role::Table).and_where(other)).await
                })
            })
            .await
            .expect("no lock is left");
        }
    })
    .await;
}

#[tokio::test]
async fn reads_wait_for_other_nodes_of_galera_unless_configured() {
    for dialect in configured().into_iter().filter(|dialect| *dialect == Dialect::MySql) {
        let test = TestDatabase::new(dialect).await.expect("a database");
        for (configured, expected) in [(None, 1), (Some(0), 0), (Some(7), 7)] {
            let options = ConnectOptions { mysql_wsrep_sync_wait: configured, ..options() };
            let db = Db::connect(&test.url, &options).await.expect("connected");
            let setting =
                Sql::select().expr_as(Expr::cust("CAST(@@SESSION.wsrep_sync_wait AS SIGNED)"), "it").to_owned();
            let row = db.fetch_optional(&setting).await.expect("the setting").expect("a row");
            assert_eq!(row.get::<i64>("it").expect("a number"), expected, "{configured:?}");
            db.close().await;
        }
        test.db.close().await;
    }
}
