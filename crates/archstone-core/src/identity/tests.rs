//! The rules, through the door, on each database.

use archstone_db::tables::{
    ExpiringUserGroupMembership, FederatedUser, FederationProtocol, IdentityProvider, Project, User as UserTable,
};
use archstone_db::{Db, testing};
use sea_query::{Expr, ExprTrait as _, Query as Sql};
use serde_json::{Map, Value, json};

use super::password::Password;
use super::{FederatedIdentity, Group, GroupPatch, Identity, NewUser, User, UserOptionChanges, UserPatch};
use crate::authz::Allowed;
use crate::error::{Error, ErrorKind, Result};
use crate::events::Event;
use crate::foundation::Foundation;
use crate::id::{DomainId, GroupId, ProjectId, UserId};
use crate::list::{Comparator, Filter, ListQuery, Page, whole};
use crate::testing::foundation;
use crate::time::{TimeSource, Timestamp};

const DAY: i64 = 86_400;

struct Case {
    identity: Identity,
    time: TimeSource,
    db: Db,
}

impl Case {
    async fn new(db: &Db, compliance: &str) -> Case {
        let time = TimeSource::fixed(Timestamp::parse("2026-11-22T12:00:00.250000Z").unwrap());
        let config = format!("[identity]\npassword_hash_rounds = 4\n[security_compliance]\n{compliance}\n");
        let foundation = Foundation { time: time.clone(), ..foundation(db, &config) };
        let identity = Identity::new(foundation).unwrap();
        insert_domain(db, "default").await;
        Case { identity, time, db: db.clone() }
    }

    async fn user(&self, name: &str) -> User {
        let new = NewUser { password: Some(Some("pw".into())), ..NewUser::named("default".into(), name) };
        self.identity.create_user(&allowed(), new).await.unwrap()
    }

    async fn update(&self, id: &UserId, patch: UserPatch) -> Result<(User, bool)> {
        let prepared = self.identity.prepare_update(id, patch).await?;
        let prepared = &prepared;
        let updated =
            self.db.write(|tx| Box::pin(async move { self.identity.update_user_in(tx, id, prepared).await })).await?;
        Ok((updated.user, updated.ends_tokens))
    }

    async fn change_password(&self, id: &UserId, original: &str, new: &str) -> Result<()> {
        let prepared = self.identity.prepare_password_change(&allowed(), id, original.into(), new.into()).await?;
        let prepared = &prepared;
        self.db.write(|tx| Box::pin(async move { self.identity.change_password_in(tx, id, prepared).await })).await
    }

    async fn log_in(&self, id: &UserId, password: &str) -> Result<User> {
        let as_of = self.identity.foundation.observe().await?;
        let user = self.identity.find_user(as_of.moment, id).await?;
        Ok(self.identity.authenticate_password(as_of, user, password.into(), None).await?.user)
    }

    async fn list(&self, query: &ListQuery) -> Result<Page<User>> {
        let (parts, _) = self.identity.list_users(&allowed(), query).await?;
        whole(parts).await
    }

    async fn names(&self, query: ListQuery) -> Vec<String> {
        let page = self.list(&query).await.unwrap();
        let mut names: Vec<String> = page.items.into_iter().map(|user| user.name).collect();
        names.sort();
        names
    }

    async fn group(&self, name: &str) -> GroupId {
        let group = Group {
            id: GroupId::new_random(),
            domain_id: "default".into(),
            name: name.to_owned(),
            description: None,
            extra: Map::new(),
        };
        self.identity.create_group(&allowed(), group).await.unwrap().id
    }
}

fn allowed() -> Allowed {
    Allowed::internal("test")
}

fn filtered(name: &str, value: &str, comparator: Comparator) -> ListQuery {
    let filter = Filter { name: name.into(), value: value.into(), comparator, case_sensitive: false };
    ListQuery { filters: vec![filter], ..ListQuery::default() }
}

fn options(value: &Value) -> UserOptionChanges {
    UserOptionChanges::from_object(value.as_object().unwrap())
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> ErrorKind {
    result.unwrap_err().kind
}

async fn insert_domain(db: &Db, id: &str) {
    let mut insert = Sql::insert();
    insert
        .into_table(Project::Table)
        .columns([Project::Id, Project::Name, Project::DomainId, Project::Enabled, Project::IsDomain])
        .values_panic([id.into(), id.into(), "<<keystone.domain.root>>".into(), true.into(), true.into()]);
    execute(db, insert).await;
}

async fn execute(db: &Db, statement: impl archstone_db::Statement) {
    let statement = &statement;
    db.write(|tx| Box::pin(async move { tx.execute(statement).await })).await.unwrap();
}

/// The identity provider `idp` with the protocol `mapped`, and a user whom only it knows.
async fn insert_federated_user(db: &Db, id: &str, name: &str) {
    let mut insert = Sql::insert();
    insert
        .into_table(IdentityProvider::Table)
        .columns([IdentityProvider::Id, IdentityProvider::Enabled, IdentityProvider::DomainId])
        .values_panic(["idp".into(), true.into(), "default".into()]);
    execute(db, insert).await;
    let mut insert = Sql::insert();
    insert
        .into_table(FederationProtocol::Table)
        .columns([FederationProtocol::Id, FederationProtocol::IdpId, FederationProtocol::MappingId])
        .values_panic(["mapped".into(), "idp".into(), "mapping".into()]);
    execute(db, insert).await;
    let mut insert = Sql::insert();
    insert
        .into_table(UserTable::Table)
        .columns([UserTable::Id, UserTable::DomainId, UserTable::Enabled, UserTable::Extra])
        .values_panic([id.into(), "default".into(), true.into(), "{}".into()]);
    execute(db, insert).await;
    let mut insert = Sql::insert();
    insert
        .into_table(FederatedUser::Table)
        .columns([
            FederatedUser::UserId,
            FederatedUser::IdpId,
            FederatedUser::ProtocolId,
            FederatedUser::UniqueId,
            FederatedUser::DisplayName,
        ])
        .values_panic([id.into(), "idp".into(), "mapped".into(), format!("{name}%40x").into(), name.into()]);
    execute(db, insert).await;
}

#[tokio::test]
async fn a_name_is_stripped_and_unique_in_its_domain() {
    testing::on_each_database(async |db| {
        let case = Case::new(db, "").await;
        assert_eq!(case.user("  ann ").await.name, "ann");
        let again = NewUser::named("default".into(), "ann  ");
        assert_eq!(kind(case.identity.create_user(&allowed(), again).await), ErrorKind::Conflict);
        insert_domain(db, "other").await;
        let elsewhere = NewUser::named("other".into(), "ann");
        assert_eq!(case.identity.create_user(&allowed(), elsewhere).await.unwrap().name, "ann");
    })
    .await;
}

#[tokio::test]
async fn a_user_needs_a_domain_and_a_default_project_that_is_none() {
    testing::on_each_database(async |db| {
        let case = Case::new(db, "").await;
        let nowhere = NewUser::named("nowhere".into(), "ann");
        assert_eq!(kind(case.identity.create_user(&allowed(), nowhere).await), ErrorKind::NotFound);
        let at = |project: &str| NewUser {
            default_project_id: Some(ProjectId::from(project)),
            ..NewUser::named("default".into(), "ann")
        };
        assert_eq!(kind(case.identity.create_user(&allowed(), at("default")).await), ErrorKind::BadRequest);
        let user = case.identity.create_user(&allowed(), at("unknown")).await.unwrap();
        assert_eq!(user.default_project_id, Some("unknown".into()));
    })
    .await;
}

#[tokio::test]
async fn an_update_changes_what_it_names() {
    testing::on_each_database(async |db| {
        let case = Case::new(db, "").await;
        let user = case.user("ann").await;
        let extra = |value: Value| value.as_object().cloned().unwrap();
        let patch = UserPatch {
            extra: extra(json!({"email": "a@b", "city": "Ä"})),
            options: options(&json!({"lock_password": true})),
            ..UserPatch::default()
        };
        case.update(&user.id, patch).await.unwrap();
        let patch = UserPatch {
            name: Some(" eve ".into()),
            enabled: Some(false),
            extra: extra(json!({"email": null})),
            ..UserPatch::default()
        };
        let (changed, ends_tokens) = case.update(&user.id, patch).await.unwrap();
        assert!(ends_tokens);
        assert_eq!((changed.name.as_str(), changed.enabled), ("eve", false));
        assert_eq!(Value::Object(changed.extra), json!({"email": null, "city": "Ä"}));
        assert_eq!(Value::Object(changed.options.to_object()), json!({"lock_password": true}));
        let moved = UserPatch { domain_id: Some("other".into()), ..UserPatch::default() };
        assert_eq!(kind(case.update(&user.id, moved).await), ErrorKind::BadRequest);
    })
    .await;
}

#[tokio::test]
async fn only_a_new_password_or_being_disabled_ends_tokens() {
    testing::on_each_database(async |db| {
        let case = Case::new(db, "").await;
        let id = case.user("ann").await.id;
        let patches = [
            (UserPatch { name: Some("eve".into()), ..UserPatch::default() }, false),
            (UserPatch { password: Some(None), ..UserPatch::default() }, false),
            (UserPatch { password: Some(Some("new".into())), ..UserPatch::default() }, true),
            (UserPatch { enabled: Some(true), ..UserPatch::default() }, false),
            (UserPatch { enabled: Some(false), ..UserPatch::default() }, true),
            (UserPatch { enabled: Some(false), ..UserPatch::default() }, false),
        ];
        for (patch, ends) in patches {
            let text = format!("{patch:?}");
            assert_eq!(case.update(&id, patch).await.unwrap().1, ends, "{text}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_password_proves_its_user_and_no_other() {
    testing::on_each_database(async |db| {
        let case = Case::new(db, "").await;
        let (ann, bob) = (
            case.user("ann").await,
            case.identity.create_user(&allowed(), NewUser::named("default".into(), "bob")).await.unwrap(),
        );
        assert_eq!(case.log_in(&ann.id, "pw").await.unwrap().id, ann.id);
        for (id, password) in [(&ann.id, "wrong"), (&bob.id, ""), (&bob.id, "pw"), (&UserId::from("nobody"), "pw")] {
            let error = case.log_in(id, password).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Unauthorized);
            assert_eq!(error.public_text(), "The request you have made requires authentication.");
        }
        case.update(&ann.id, UserPatch { enabled: Some(false), ..UserPatch::default() }).await.unwrap();
        assert_eq!(kind(case.log_in(&ann.id, "pw").await), ErrorKind::Unauthorized);
    })
    .await;
}

#[tokio::test]
async fn a_further_login_asks_the_database_for_nothing() {
    testing::on_each_database(async |db| {
        let case = Case::new(db, "lockout_failure_attempts = 2\nlockout_duration = 60").await;
        let id = case.user("ann").await.id;
        case.log_in(&id, "pw").await.unwrap();
        let before = db.statements();
        case.log_in(&id, "pw").await.unwrap();
        assert_eq!(db.statements() - before, 0);
    })
    .await;
}

#[tokio::test]
async fn an_account_is_locked_for_a_time_after_some_failures() {
    testing::on_each_database(async |db| {
        let case = Case::new(db, "lockout_failure_attempts = 2\nlockout_duration = 60").await;
        let id = case.user("ann").await.id;
        let fail = async || assert!(case.log_in(&id, "wrong").await.is_err());
        fail().await;
        case.log_in(&id, "pw").await.expect("one failure is forgotten by a success");
        fail().await;
        fail().await;
        assert!(case.log_in(&id, "pw").await.is_err(), "locked");
        case.time.advance(59);
        assert!(case.log_in(&id, "pw").await.is_err(), "still locked");
        case.time.advance(1);
        fail().await;
        case.log_in(&id, "pw").await.expect("the count started again");
        fail().await;
        fail().await;
        case.update(&id, UserPatch { enabled: Some(true), ..UserPatch::default() }).await.unwrap();
        case.log_in(&id, "pw").await.expect("an administrator unlocks by enabling");
        let exempt = options(&json!({"ignore_lockout_failure_attempts": true}));
        case.update(&id, UserPatch { options: exempt, ..UserPatch::default() }).await.unwrap();
        fail().await;
        fail().await;
        case.log_in(&id, "pw").await.expect("exempt");
    })
    .await;
}

#[tokio::test]
async fn a_password_expires_and_its_user_is_told() {
    testing::on_each_database(async |db| {
        let case = Case::new(db, "password_expires_days = 2").await;
        let user = case.user("ann").await;
        assert_eq!(user.password_expires_at, Timestamp::parse("2026-11-24T12:00:00Z"), "no fraction of a second");
        case.time.advance(2 * DAY);
        let error = case.log_in(&user.id, "pw").await.unwrap_err();
        let text = format!("The password is expired and needs to be changed for user: {}.", user.id);
        assert_eq!((error.kind.clone(), error.public_text()), (ErrorKind::Unauthorized, text.as_str()));
        assert!(!case.log_in(&user.id, "wrong").await.unwrap_err().public_text().contains("expired"));
        case.change_password(&user.id, "pw", "new").await.unwrap();
        case.log_in(&user.id, "new").await.unwrap();
        case.time.advance(9 * DAY);
        let exempt = options(&json!({"ignore_password_expiry": true}));
        case.update(&user.id, UserPatch { options: exempt, ..UserPatch::default() }).await.unwrap();
        case.log_in(&user.id, "new").await.expect("exempt");
    })
    .await;
}

#[tokio::test]
async fn a_password_that_an_administrator_set_is_changed_at_its_first_use() {
    testing::on_each_database(async |db| {
        let case = Case::new(db, "change_password_upon_first_use = true\nminimum_password_age = 1").await;
        let user = case.user("ann").await;
        assert!(case.log_in(&user.id, "pw").await.unwrap_err().public_text().contains("expired"));
        case.time.advance(1);
        case.change_password(&user.id, "pw", "own").await.expect("the minimum age is for one's own passwords");
        case.log_in(&user.id, "own").await.unwrap();
        assert_eq!(kind(case.change_password(&user.id, "own", "next").await), ErrorKind::BadRequest);
        case.time.advance(DAY);
        case.change_password(&user.id, "own", "next").await.unwrap();
        let reset = UserPatch { password: Some(Some("reset".into())), ..UserPatch::default() };
        case.update(&user.id, reset.clone()).await.unwrap();
        assert!(case.log_in(&user.id, "reset").await.is_err());
        let exempt = options(&json!({"ignore_change_password_upon_first_use": true}));
        case.update(&user.id, UserPatch { options: exempt, ..reset }).await.unwrap();
        case.log_in(&user.id, "reset").await.expect("exempt");
    })
    .await;
}

#[tokio::test]
async fn the_last_passwords_cannot_be_used_again() {
    testing::on_each_database(async |db| {
        let case = Case::new(db, "unique_last_password_count = 2").await;
        let id = case.user("ann").await.id;
        case.change_password(&id, "pw", "2nd").await.unwrap();
        for used in ["pw", "2nd"] {
            assert_eq!(kind(case.change_password(&id, "2nd", used).await), ErrorKind::BadRequest);
        }
        case.change_password(&id, "2nd", "3rd").await.unwrap();
        case.update(&id, UserPatch { name: Some("eve".into()), ..UserPatch::default() }).await.unwrap();
        assert_eq!(kind(case.change_password(&id, "3rd", "2nd").await), ErrorKind::BadRequest);
        case.change_password(&id, "3rd", "pw").await.expect("it is the third last");
        assert!(case.log_in(&id, "3rd").await.is_err());
        case.log_in(&id, "pw").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_password_must_be_strong_enough() {
    testing::on_each_database(async |db| {
        let case = Case::new(db, r"password_regex = ^(?=.*\d).{4,}$").await;
        let new = |password: Option<&str>| NewUser {
            password: Some(password.map(Password::from)),
            ..NewUser::named("default".into(), "ann")
        };
        for weak in [Some("abc"), Some("abcd"), None] {
            assert_eq!(kind(case.identity.create_user(&allowed(), new(weak)).await), ErrorKind::BadRequest);
        }
        let user = case.identity.create_user(&allowed(), new(Some("abc1"))).await.unwrap();
        let weaker = UserPatch { password: Some(Some("abcd".into())), ..UserPatch::default() };
        assert_eq!(kind(case.update(&user.id, weaker).await), ErrorKind::BadRequest);
        assert_eq!(kind(case.change_password(&user.id, "abc1", "abcd").await), ErrorKind::BadRequest);
    })
    .await;
}

#[tokio::test]
async fn an_idle_user_counts_as_disabled() {
    testing::on_each_database(async |db| {
        let case = Case::new(db, "disable_user_account_days_inactive = 2").await;
        let id = case.user("ann").await.id;
        case.time.advance(DAY);
        case.log_in(&id, "pw").await.unwrap();
        case.time.advance(2 * DAY);
        assert!(!case.identity.get_user_for_token(&id).await.unwrap().unwrap().enabled);
        assert!(case.log_in(&id, "pw").await.is_err());
        case.update(&id, UserPatch { enabled: Some(true), ..UserPatch::default() }).await.unwrap();
        case.log_in(&id, "pw").await.expect("enabling counts as being active");
        case.time.advance(9 * DAY);
        let exempt = options(&json!({"ignore_user_inactivity": true}));
        case.update(&id, UserPatch { options: exempt, enabled: Some(true), ..UserPatch::default() }).await.unwrap();
        case.time.advance(9 * DAY);
        case.log_in(&id, "pw").await.expect("exempt");
    })
    .await;
}

#[tokio::test]
async fn a_locked_password_is_changed_by_administrators_only() {
    testing::on_each_database(async |db| {
        let case = Case::new(db, "").await;
        let id = case.user("ann").await.id;
        let locked = UserPatch { options: options(&json!({"lock_password": true})), ..UserPatch::default() };
        case.update(&id, locked).await.unwrap();
        assert_eq!(kind(case.change_password(&id, "pw", "new").await), ErrorKind::BadRequest);
        assert_eq!(kind(case.change_password(&id, "wrong", "new").await), ErrorKind::Unauthorized);
        let reset = UserPatch { password: Some(Some("new".into())), ..UserPatch::default() };
        case.update(&id, reset).await.unwrap();
        case.log_in(&id, "new").await.unwrap();
    })
    .await;
}

fn event_hash(event: &Event) -> Option<String> {
    event.details.get("partial_password_hash").and_then(Value::as_str).map(str::to_owned)
}

#[tokio::test]
async fn a_wrong_password_is_reported_by_a_part_of_its_hash() {
    testing::on_each_database(async |db| {
        let options = "report_invalid_password_hash = event\ninvalid_password_hash_secret_key = k\n\
                       invalid_password_hash_max_chars = 5";
        let case = Case::new(db, options).await;
        let id = case.user("ann").await.id;
        let mut listener = case.identity.foundation.events.listen();
        assert!(case.change_password(&id, "wrong", "new").await.is_err());
        case.update(&id, UserPatch { enabled: Some(false), ..UserPatch::default() }).await.unwrap();
        let event = listener.try_recv().unwrap();
        assert_eq!((event.operation, event.outcome), ("authenticate", "failure"));
        assert_eq!(event.details["partial_password_hash"].as_str().unwrap().len(), 5);
        let refused = async |password: &str| {
            let as_of = case.identity.foundation.observe().await.unwrap();
            let user = case.identity.find_user(as_of.moment, &id).await.unwrap();
            case.identity.authenticate_password(as_of, user, password.into(), None).await.unwrap_err()
        };
        assert_eq!(refused("wrong").await.partial_password_hash, event_hash(&event));
        let disabled = refused("pw").await;
        assert_eq!(
            (disabled.user_id.as_ref(), disabled.partial_password_hash),
            (Some(&id), None),
            "it is the right one"
        );
    })
    .await;
}

#[tokio::test]
async fn users_are_found_by_name_also_by_that_of_an_identity_provider() {
    testing::on_each_database(async |db| {
        let case = Case::new(db, "").await;
        case.user("Ann").await;
        case.user("bob").await;
        insert_federated_user(db, "fed", "annabel").await;
        assert_eq!(case.names(filtered("name", "bob", Comparator::Equals)).await, ["bob"]);
        assert_eq!(case.names(filtered("name", "annabel", Comparator::Equals)).await, ["annabel"]);
        assert_eq!(case.names(filtered("name", "ANN", Comparator::StartsWith)).await, ["Ann", "annabel"]);
        assert_eq!(case.names(filtered("name", "b", Comparator::Contains)).await, ["annabel", "bob"]);
        assert_eq!(case.names(filtered("name", &"x".repeat(256), Comparator::Equals)).await, [""; 0]);
        let mut both = filtered("name", "Ann", Comparator::Equals);
        both.filters.extend(filtered("domain_id", "other", Comparator::Equals).filters);
        assert_eq!(case.names(both).await, [""; 0]);
        assert_eq!(case.names(filtered("idp_id", "idp", Comparator::Equals)).await, ["annabel"]);
        assert_eq!(case.names(filtered("unique_id", "annabel%40x", Comparator::Equals)).await, ["annabel"]);
        assert_eq!(case.names(filtered("protocol_id", "other", Comparator::Equals)).await, [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn users_are_found_by_their_flag_and_by_when_their_password_expires() {
    testing::on_each_database(async |db| {
        let case = Case::new(db, "password_expires_days = 1\nunique_last_password_count = 3").await;
        let early = case.user("early").await;
        case.time.advance(10);
        case.change_password(&early.id, "pw", "other").await.unwrap();
        case.time.advance(10 * DAY);
        case.user("late").await;
        let disabled = NewUser { enabled: false, ..NewUser::named("default".into(), "off") };
        case.identity.create_user(&allowed(), disabled).await.unwrap();
        assert_eq!(case.names(filtered("enabled", "false", Comparator::Equals)).await, ["off"]);
        assert_eq!(case.names(filtered("enabled", "1", Comparator::Equals)).await, ["early", "late"]);
        let expiring = async |value: &str| case.names(filtered("password_expires_at", value, Comparator::Equals)).await;
        assert_eq!(expiring("lt:2026-11-30T00:00:00Z").await, ["early"]);
        assert_eq!(expiring("gte:2026-11-30T00:00:00Z").await, ["late"]);
        assert_eq!(expiring("neq:2026-11-30T00:00:00Z").await, ["early", "late"]);
        assert_eq!(expiring("lt:2026-11-23T12:00:05Z").await, [""; 0], "the former password does not count");
        let wrong = filtered("password_expires_at", "soon", Comparator::Equals);
        assert_eq!(kind(case.list(&wrong).await), ErrorKind::BadRequest);
    })
    .await;
}

#[tokio::test]
async fn pages_follow_a_marker_that_must_exist() {
    testing::on_each_database(async |db| {
        let case = Case::new(db, "").await;
        for name in ["a", "b", "c"] {
            case.user(name).await;
        }
        let mut query = ListQuery { limit: Some(2), ..ListQuery::default() };
        let first = case.list(&query).await.unwrap();
        assert_eq!((first.items.len(), first.truncated), (2, true));
        query.marker = Some(first.items[1].id.to_string());
        let second = case.list(&query).await.unwrap();
        assert_eq!((second.items.len(), second.truncated), (1, false));
        assert!(!first.items.contains(&second.items[0]));
        query.marker = Some("nobody".into());
        assert_eq!(kind(case.list(&query).await), ErrorKind::NotFound);
        assert_eq!(kind(case.identity.list_groups(&allowed(), &query).await.map(drop)), ErrorKind::NotFound);
    })
    .await;
}

#[tokio::test]
async fn a_list_takes_three_statements_for_any_number_of_users() {
    testing::on_each_database(async |db| {
        let case = Case::new(db, "").await;
        for name in ["a", "b", "c", "d"] {
            case.user(name).await;
        }
        let before = db.statements();
        assert_eq!(case.names(ListQuery::default()).await.len(), 4);
        assert_eq!(db.statements() - before, 3);
    })
    .await;
}

#[tokio::test]
async fn a_list_shows_users_as_they_are_but_for_what_providers_call_them() {
    testing::on_each_database(async |db| {
        let case =
            Case::new(db, "[security_compliance]\npassword_expires_days = 7\nunique_last_password_count = 3").await;
        let changed = case.user("changed").await;
        case.change_password(&changed.id, "pw", "new").await.unwrap();
        let options = json!({"lock_password": true, "multi_factor_auth_rules": [["totp"]]});
        let mut optional = NewUser::named("default".into(), "optional");
        optional.options = UserOptionChanges::from_object(options.as_object().unwrap());
        optional.extra = Map::from_iter([("email".to_owned(), json!("o@example.org"))]);
        case.identity.create_user(&allowed(), optional).await.unwrap();
        insert_federated_user(db, "fed", "annabel").await;
        let listed = case.list(&ListQuery::default()).await.unwrap().items;
        assert_eq!(listed.len(), 3);
        for user in listed {
            let shown = case.identity.require_user(&allowed(), &user.id).await.unwrap();
            assert_eq!(user, User { federated: Vec::new(), ..shown });
        }
    })
    .await;
}

#[tokio::test]
async fn an_identity_provider_must_exist_to_vouch_for_a_user() {
    testing::on_each_database(async |db| {
        let case = Case::new(db, "").await;
        insert_federated_user(db, "fed", "annabel").await;
        let vouched = |protocol: &str, unique_id: &str| NewUser {
            federated: vec![FederatedIdentity {
                idp_id: "idp".into(),
                protocol_id: protocol.into(),
                unique_id: unique_id.into(),
                display_name: String::new(),
            }],
            ..NewUser::named("default".into(), "bob")
        };
        assert_eq!(kind(case.identity.create_user(&allowed(), vouched("no", "b")).await), ErrorKind::BadRequest);
        let taken = vouched("mapped", "annabel%40x");
        assert_eq!(kind(case.identity.create_user(&allowed(), taken).await), ErrorKind::Conflict);
        let user = case.identity.create_user(&allowed(), vouched("mapped", "b")).await.unwrap();
        assert_eq!(user.federated[0].display_name, "bob");
        case.update(&user.id, UserPatch { name: Some("rob".into()), ..UserPatch::default() }).await.unwrap();
        let user = case.identity.get_user_for_token(&user.id).await.unwrap().unwrap();
        assert_eq!((user.name.as_str(), user.federated[0].display_name.as_str()), ("rob", "rob"));
        let password = UserPatch { password: Some(Some("pw".into())), ..UserPatch::default() };
        assert_eq!(kind(case.update(&"fed".into(), password).await), ErrorKind::BadRequest, "no name to log in with");
    })
    .await;
}

#[tokio::test]
async fn deleting_leaves_nothing_behind() {
    testing::on_each_database(async |db| {
        let case = Case::new(db, "").await;
        let (ann, bob) = (case.user("ann").await.id, case.user("bob").await.id);
        let group = case.group("g").await;
        case.identity.add_user_to_group(&allowed(), &ann, &group).await.unwrap();
        case.identity.add_user_to_group(&allowed(), &bob, &group).await.unwrap();
        let lock = UserPatch { options: options(&json!({"lock_password": true})), ..UserPatch::default() };
        case.update(&ann, lock).await.unwrap();
        let (identity, gone) = (&case.identity, std::slice::from_ref(&ann));
        db.write(|tx| Box::pin(async move { identity.delete_users_in(tx, gone).await })).await.unwrap();
        assert_eq!(case.identity.get_user_for_token(&ann).await.unwrap(), None);
        assert_eq!(case.identity.get_user_by_name("ann", &"default".into()).await.unwrap(), None);
        case.log_in(&bob, "pw").await.expect("others stay");
        let domain = DomainId::from("default");
        assert_eq!(case.identity.list_user_ids_of_domain(db, &domain).await.unwrap(), [bob]);
        let groups = &[group];
        db.write(|tx| Box::pin(async move { identity.delete_groups_in(tx, groups).await })).await.unwrap();
        assert_eq!(case.identity.list_group_ids_of_domain(db, &domain).await.unwrap(), Vec::<GroupId>::new());
        case.user("ann").await;
    })
    .await;
}

#[tokio::test]
async fn a_default_project_that_goes_is_taken_out() {
    testing::on_each_database(async |db| {
        let case = Case::new(db, "").await;
        let new = NewUser { default_project_id: Some("p".into()), ..NewUser::named("default".into(), "ann") };
        let id = case.identity.create_user(&allowed(), new).await.unwrap().id;
        for (project, left) in [("other", Some("p".into())), ("p", None)] {
            let gone = &[ProjectId::from(project)];
            let identity = &case.identity;
            db.write(|tx| Box::pin(async move { identity.unset_default_project_in(tx, gone).await })).await.unwrap();
            assert_eq!(identity.get_user_for_token(&id).await.unwrap().unwrap().default_project_id, left);
        }
    })
    .await;
}

#[tokio::test]
async fn a_membership_is_there_once_and_goes_once() {
    testing::on_each_database(async |db| {
        let case = Case::new(db, "").await;
        let (identity, allowed) = (&case.identity, &allowed());
        let (ann, group) = (&case.user("ann").await.id, &case.group("g").await);
        for _ in 0..2 {
            identity.add_user_to_group(allowed, ann, group).await.unwrap();
        }
        identity.check_user_in_group(allowed, ann, group).await.unwrap();
        assert_eq!(identity.list_group_ids_of_user(ann).await.unwrap(), std::slice::from_ref(group));
        let (members, _) = identity.list_users_in_group(allowed, group, &ListQuery::default()).await.unwrap();
        let members = whole(members).await.unwrap();
        assert_eq!(members.items.iter().map(|user| &user.id).collect::<Vec<_>>(), [ann]);
        let remove = async || -> Result<()> {
            db.write(|tx| Box::pin(async move { identity.remove_user_from_group_in(tx, ann, group).await })).await
        };
        remove().await.unwrap();
        assert_eq!(kind(remove().await), ErrorKind::NotFound);
        assert_eq!(kind(identity.check_user_in_group(allowed, ann, group).await), ErrorKind::NotFound);
        assert_eq!(kind(identity.add_user_to_group(allowed, ann, &"nope".into()).await), ErrorKind::NotFound);
        assert_eq!(kind(identity.add_user_to_group(allowed, &"nope".into(), group).await), ErrorKind::NotFound);
    })
    .await;
}

#[tokio::test]
async fn a_membership_by_an_identity_provider_ends_with_its_time() {
    testing::on_each_database(async |db| {
        let case = Case::new(db, "").await;
        insert_federated_user(db, "fed", "annabel").await;
        let (user, group) = (&UserId::from("fed"), &case.group("g").await);
        let mut update = Sql::update();
        update
            .table(IdentityProvider::Table)
            .value(IdentityProvider::AuthorizationTtl, 2)
            .and_where(Expr::col(IdentityProvider::Id).eq("idp"));
        execute(db, update).await;
        let mut insert = Sql::insert();
        insert
            .into_table(ExpiringUserGroupMembership::Table)
            .columns([
                ExpiringUserGroupMembership::UserId,
                ExpiringUserGroupMembership::GroupId,
                ExpiringUserGroupMembership::IdpId,
                ExpiringUserGroupMembership::LastVerified,
            ])
            .values_panic(["fed".into(), (&**group).into(), "idp".into(), case.time.now().truncated().naive().into()]);
        execute(db, insert).await;
        case.time.advance(119);
        let (groups, _) = case.identity.list_groups_of_user(&allowed(), user, &ListQuery::default()).await.unwrap();
        assert_eq!(groups.items[0].expires_at, Timestamp::parse("2026-11-22T12:02:00Z"));
        case.identity.check_user_in_group(&allowed(), user, group).await.unwrap();
        let both = (group.clone(), user.clone());
        assert_eq!(case.identity.list_memberships(std::slice::from_ref(group)).await.unwrap(), [both]);
        case.time.advance(1);
        assert_eq!(case.identity.list_group_ids_of_user(user).await.unwrap(), Vec::<GroupId>::new());
        assert_eq!(kind(case.identity.check_user_in_group(&allowed(), user, group).await), ErrorKind::NotFound);
        assert_eq!(case.identity.list_memberships(std::slice::from_ref(group)).await.unwrap(), []);
    })
    .await;
}

#[tokio::test]
async fn a_group_has_a_unique_short_name_and_stays_in_its_domain() {
    testing::on_each_database(async |db| {
        let case = Case::new(db, "").await;
        let (one, two) = (case.group(" one ").await, case.group("two").await);
        let update = async |id: &GroupId, patch: GroupPatch| case.identity.update_group(&allowed(), id, patch).await;
        let named = |name: &str| GroupPatch { name: Some(name.to_owned()), ..GroupPatch::default() };
        assert_eq!(kind(update(&two, named("one")).await), ErrorKind::Conflict);
        assert_eq!(kind(update(&two, named(&"x".repeat(65))).await), ErrorKind::BadRequest);
        assert_eq!(update(&two, named(" ä ")).await.unwrap().name, "ä");
        let described = GroupPatch { description: Some(Some("d".into())), ..GroupPatch::default() };
        assert_eq!(update(&one, described).await.unwrap().description, Some("d".into()));
        let moved = GroupPatch { domain_id: Some("other".into()), ..GroupPatch::default() };
        assert_eq!(kind(update(&one, moved).await), ErrorKind::BadRequest);
        assert_eq!(kind(update(&"nope".into(), named("x")).await), ErrorKind::NotFound);
        let (found, _) =
            case.identity.list_groups(&allowed(), &filtered("name", "on", Comparator::StartsWith)).await.unwrap();
        let found = whole(found).await.unwrap();
        assert_eq!(found.items.iter().map(|group| &group.id).collect::<Vec<_>>(), [&one]);
    })
    .await;
}

#[tokio::test]
async fn cve_2018_20170_an_unknown_user_costs_a_hash() {
    testing::on_each_database(async |db| {
        let time = TimeSource::fixed(Timestamp::parse("2026-11-22T12:00:00Z").unwrap());
        let config = "[DEFAULT]\nstrict_password_check = true\n[identity]\npassword_hash_rounds = 4";
        let identity = Identity::new(Foundation { time, ..foundation(db, config) }).unwrap();
        // That a hash is made shows where making one fails.
        let too_long = || Password::new("x".repeat(73));
        let as_of = identity.foundation.observe().await.unwrap();
        let error = identity.authenticate_password(as_of, None, too_long(), None).await.unwrap_err();
        let error = Error::from(error);
        assert_eq!(error.kind, ErrorKind::ForbiddenOpen);
        let error = identity.authenticate_password(as_of, None, "short".into(), None).await.unwrap_err();
        let error = Error::from(error);
        assert_eq!(error.kind, ErrorKind::Unauthorized);
    })
    .await;
}

#[tokio::test]
async fn cve_2021_38155_a_locked_account_answers_like_an_unknown_user() {
    testing::on_each_database(async |db| {
        let case = Case::new(db, "lockout_failure_attempts = 1").await;
        let id = case.user("ann").await.id;
        let answer = async |id: &UserId, password: &str| {
            let error = case.log_in(id, password).await.unwrap_err();
            (error.kind.clone(), error.public_text().to_owned())
        };
        let wrong = answer(&id, "wrong").await;
        assert_eq!(answer(&id, "pw").await, wrong, "locked, with the right password");
        assert_eq!(answer(&"nobody".into(), "pw").await, wrong);
    })
    .await;
}

#[tokio::test]
async fn what_a_caller_added_never_stands_for_an_attribute_of_the_target() {
    testing::on_each_database(async |db| {
        let case = Case::new(db, "").await;
        let extra = json!({"id": "forged", "domain_id": "forged", "desk": 3}).as_object().cloned().unwrap();
        let new = NewUser { extra: extra.clone(), ..NewUser::named("default".into(), "ann") };
        let id = case.identity.create_user(&allowed(), new).await.unwrap().id;
        let target = case.identity.user_target(&id).await.unwrap().unwrap();
        assert_eq!((&target["id"], &target["domain_id"]), (&json!(&*id), &json!("default")));
        assert_eq!(target["desk"], 3);
        assert_eq!(case.identity.user_target(&"nobody".into()).await.unwrap(), None);
    })
    .await;
}
