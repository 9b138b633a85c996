//! Rows of users: one `user`, at most one `local_user` with its passwords, at most one `nonlocal_user`, any number of
//! `federated_user` and `user_option`.

use std::collections::BTreeMap;

use archstone_db::tables::{
    ExpiringUserGroupMembership as ExpiringTable, FederatedUser as FederatedTable, FederationProtocol, IdMapping,
    LocalUser as LocalTable, NonlocalUser as NonlocalTable, Password as PasswordTable, User as UserTable,
    UserGroupMembership as MembershipTable, UserOption as OptionTable,
};
use archstone_db::{DbError, Query, Row, Tx, json_text};
use chrono::{NaiveDate, NaiveDateTime};
use sea_query::{Cond, Expr, ExprTrait as _, Order, Query as Sql, SelectStatement};
use serde_json::{Map, Value};

use super::lockout::{Failures, delete_failures_of_users};
use crate::error::{Result, Stored as _};
use crate::id::{DomainId, ProjectId, UserId};
use crate::identity::compliance::Compliance;
use crate::identity::options::{UserOption, UserOptions};
use crate::identity::{FederatedIdentity, User, UserKind};
use crate::time::Timestamp;

/// A user as the tables have it.
#[derive(Clone, Debug)]
pub(in crate::identity) struct StoredUser {
    pub(in crate::identity) id: UserId,
    pub(in crate::identity) domain_id: DomainId,
    pub(in crate::identity) enabled: bool,
    pub(in crate::identity) default_project_id: Option<ProjectId>,
    pub(in crate::identity) created_at: Option<NaiveDateTime>,
    pub(in crate::identity) last_active_at: Option<NaiveDate>,
    pub(in crate::identity) extra: Map<String, Value>,
    pub(in crate::identity) local: Option<StoredLocal>,
    pub(in crate::identity) nonlocal_name: Option<String>,
    pub(in crate::identity) options: UserOptions,
    /// By row id, so in the order in which they were made.
    pub(in crate::identity) federated: BTreeMap<i64, FederatedIdentity>,
    /// By time and row id, so that the last one counts.
    pub(in crate::identity) passwords: BTreeMap<(i64, i64), StoredPassword>,
}

/// The row of a user whose name and password are kept here.
#[derive(Clone, Debug)]
pub(in crate::identity) struct StoredLocal {
    pub(in crate::identity) id: i64,
    pub(in crate::identity) name: String,
    pub(in crate::identity) failed_auth_count: i64,
    pub(in crate::identity) failed_auth_at: Option<Timestamp>,
}

/// A password, current or not.
#[derive(Clone, Debug)]
pub(in crate::identity) struct StoredPassword {
    pub(in crate::identity) id: i64,
    pub(in crate::identity) hash: Option<String>,
    pub(in crate::identity) created_at: Timestamp,
    pub(in crate::identity) expires_at: Option<Timestamp>,
    pub(in crate::identity) self_service: bool,
}

impl StoredLocal {
    /// Whether there is something to forget about failed logins.
    pub(in crate::identity) fn has_failures(&self) -> bool {
        self.failed_auth_count != 0 || self.failed_auth_at.is_some()
    }

    /// Them.
    pub(in crate::identity) fn failures(&self) -> Failures {
        Failures { count: self.failed_auth_count, last: self.failed_auth_at }
    }
}

impl StoredUser {
    /// A user that is not stored yet.
    pub(in crate::identity) fn new(id: UserId, domain_id: DomainId, now: Timestamp) -> StoredUser {
        StoredUser {
            id,
            domain_id,
            enabled: true,
            default_project_id: None,
            created_at: Some(now.naive()),
            last_active_at: None,
            extra: Map::new(),
            local: None,
            nonlocal_name: None,
            options: UserOptions::default(),
            federated: BTreeMap::new(),
            passwords: BTreeMap::new(),
        }
    }

    /// The password that counts.
    pub(in crate::identity) fn current_password(&self) -> Option<&StoredPassword> {
        self.passwords.values().next_back()
    }

    /// The hash of the password that counts; none for a user without one.
    pub(in crate::identity) fn current_hash(&self) -> Option<&str> {
        self.current_password()?.hash.as_deref()
    }

    /// The name that is shown: of the first kind that the user is.
    pub(in crate::identity) fn name(&self) -> &str {
        if let Some(local) = &self.local {
            return &local.name;
        }
        let federated = || self.federated.values().next().map(|identity| identity.display_name.as_str());
        self.nonlocal_name.as_deref().or_else(federated).unwrap_or_default()
    }

    /// The day from which inactivity is counted.
    pub(in crate::identity) fn last_active(&self) -> Option<NaiveDate> {
        self.last_active_at.or_else(|| self.created_at.map(|moment| moment.date()))
    }

    /// As everybody else sees it.
    pub(in crate::identity) fn into_user(self, compliance: &Compliance, now: Timestamp) -> User {
        User {
            name: self.name().to_owned(),
            kind: self.kind(),
            enabled: compliance.enabled(self.enabled, self.last_active(), &self.options, now.naive().date()),
            password_expires_at: self.current_password().and_then(|password| password.expires_at),
            id: self.id,
            domain_id: self.domain_id,
            default_project_id: self.default_project_id,
            options: self.options,
            federated: self.federated.into_values().collect(),
            extra: self.extra,
        }
    }

    fn kind(&self) -> UserKind {
        if self.local.is_some() {
            UserKind::Local
        } else if self.nonlocal_name.is_some() {
            UserKind::Nonlocal
        } else {
            UserKind::Federated
        }
    }
}

/// All columns of all tables; each user in as many rows as it has passwords times options times identities, which are
/// few. One statement, because logins and validations wait for it.
fn select_users() -> SelectStatement {
    let mut select = Sql::select();
    for (column, name) in [
        (UserTable::Id, "id"),
        (UserTable::DomainId, "domain_id"),
        (UserTable::Enabled, "enabled"),
        (UserTable::DefaultProjectId, "default_project_id"),
        (UserTable::CreatedAt, "created_at"),
        (UserTable::LastActiveAt, "last_active_at"),
        (UserTable::Extra, "extra"),
    ] {
        select.expr_as(Expr::col((UserTable::Table, column)), name);
    }
    for (column, name) in [
        (LocalTable::Id, "local_id"),
        (LocalTable::Name, "local_name"),
        (LocalTable::FailedAuthCount, "failed_auth_count"),
        (LocalTable::FailedAuthAt, "failed_auth_at"),
    ] {
        select.expr_as(Expr::col((LocalTable::Table, column)), name);
    }
    for (column, name) in [
        (PasswordTable::Id, "password_id"),
        (PasswordTable::PasswordHash, "password_hash"),
        (PasswordTable::SelfService, "self_service"),
        (PasswordTable::CreatedAtInt, "password_created_at_int"),
        (PasswordTable::CreatedAt, "password_created_at"),
        (PasswordTable::ExpiresAtInt, "password_expires_at_int"),
        (PasswordTable::ExpiresAt, "password_expires_at"),
    ] {
        select.expr_as(Expr::col((PasswordTable::Table, column)), name);
    }
    for (column, name) in [
        (FederatedTable::Id, "federated_id"),
        (FederatedTable::IdpId, "idp_id"),
        (FederatedTable::ProtocolId, "protocol_id"),
        (FederatedTable::UniqueId, "unique_id"),
        (FederatedTable::DisplayName, "display_name"),
    ] {
        select.expr_as(Expr::col((FederatedTable::Table, column)), name);
    }
    select
        .expr_as(Expr::col((NonlocalTable::Table, NonlocalTable::Name)), "nonlocal_name")
        .expr_as(Expr::col((OptionTable::Table, OptionTable::OptionId)), "option_id")
        .expr_as(Expr::col((OptionTable::Table, OptionTable::OptionValue)), "option_value")
        .from(UserTable::Table)
        .left_join(
            LocalTable::Table,
            Expr::col((LocalTable::Table, LocalTable::UserId)).equals((UserTable::Table, UserTable::Id)),
        )
        .left_join(
            PasswordTable::Table,
            Expr::col((PasswordTable::Table, PasswordTable::LocalUserId)).equals((LocalTable::Table, LocalTable::Id)),
        )
        .left_join(
            NonlocalTable::Table,
            Expr::col((NonlocalTable::Table, NonlocalTable::UserId)).equals((UserTable::Table, UserTable::Id)),
        )
        .left_join(
            FederatedTable::Table,
            Expr::col((FederatedTable::Table, FederatedTable::UserId)).equals((UserTable::Table, UserTable::Id)),
        )
        .left_join(
            OptionTable::Table,
            Expr::col((OptionTable::Table, OptionTable::UserId)).equals((UserTable::Table, UserTable::Id)),
        )
        .order_by((UserTable::Table, UserTable::Id), Order::Asc);
    select
}

/// Puts the rows of a user together. The rows come in the order of the users' ids.
fn users_from(rows: &[Row]) -> Result<Vec<StoredUser>, DbError> {
    let mut users: Vec<StoredUser> = Vec::new();
    for row in rows {
        let id: String = row.get("id")?;
        if users.last().is_none_or(|user| *user.id != *id) {
            users.push(user_from(id.into(), row)?);
        }
        if let Some(user) = users.last_mut() {
            add_details(user, row)?;
        }
    }
    Ok(users)
}

fn user_from(id: UserId, row: &Row) -> Result<StoredUser, DbError> {
    let local = match row.get::<Option<i64>>("local_id")? {
        None => None,
        Some(local_id) => Some(StoredLocal {
            id: local_id,
            name: row.get("local_name")?,
            failed_auth_count: row.get::<Option<i64>>("failed_auth_count")?.unwrap_or(0),
            failed_auth_at: row.get::<Option<NaiveDateTime>>("failed_auth_at")?.map(Timestamp::from_naive),
        }),
    };
    Ok(StoredUser {
        id,
        domain_id: row.get::<String>("domain_id")?.into(),
        // NULL counts as disabled, as in the reference.
        enabled: row.get::<Option<bool>>("enabled")?.unwrap_or(false),
        default_project_id: row.get::<Option<String>>("default_project_id")?.map(ProjectId::from),
        created_at: row.get("created_at")?,
        last_active_at: row.get("last_active_at")?,
        extra: match row.json("extra")? {
            Value::Object(extra) => extra,
            _ => Map::new(),
        },
        local,
        nonlocal_name: row.get("nonlocal_name")?,
        options: UserOptions::default(),
        federated: BTreeMap::new(),
        passwords: BTreeMap::new(),
    })
}

fn add_details(user: &mut StoredUser, row: &Row) -> Result<(), DbError> {
    if let Some(id) = row.get::<Option<i64>>("password_id")? {
        let password = password_from(id, row)?;
        user.passwords.insert((password.created_at.micros(), id), password);
    }
    if let Some(id) = row.get::<Option<String>>("option_id")? {
        // An option that nobody knows any more goes with the next update, as in the reference.
        if let Some(option) = UserOption::from_id(&id) {
            user.options.insert(option, row.json("option_value")?);
        }
    }
    if let Some(id) = row.get::<Option<i64>>("federated_id")? {
        user.federated.insert(
            id,
            FederatedIdentity {
                idp_id: row.get("idp_id")?,
                protocol_id: row.get("protocol_id")?,
                unique_id: row.get("unique_id")?,
                display_name: row.get::<Option<String>>("display_name")?.unwrap_or_default(),
            },
        );
    }
    Ok(())
}

/// The reference reads the columns of integers first, and the older ones of dates where those are not set.
fn password_from(id: i64, row: &Row) -> Result<StoredPassword, DbError> {
    let created = match row.get::<i64>("password_created_at_int")? {
        0 => None,
        micros => Timestamp::from_micros(micros),
    };
    let expires = row.get::<Option<i64>>("password_expires_at_int")?.and_then(Timestamp::from_micros);
    Ok(StoredPassword {
        id,
        hash: row.get("password_hash")?,
        created_at: match created {
            Some(moment) => moment,
            None => Timestamp::from_naive(row.get("password_created_at")?),
        },
        expires_at: match expires {
            Some(moment) => Some(moment),
            None => row.get::<Option<NaiveDateTime>>("password_expires_at")?.map(Timestamp::from_naive),
        },
        self_service: row.get("self_service")?,
    })
}

pub(in crate::identity) async fn get_user(db: impl Query, id: &UserId) -> Result<Option<StoredUser>> {
    let mut select = select_users();
    select.and_where(Expr::col((UserTable::Table, UserTable::Id)).eq(&**id));
    Ok(users_from(&db.fetch_all(&select).await?)?.pop())
}

pub(in crate::identity) async fn get_user_by_name(
    db: impl Query,
    name: &str,
    domain: &DomainId,
) -> Result<Option<StoredUser>> {
    let mut select = select_users();
    select
        .and_where(Expr::col((LocalTable::Table, LocalTable::Name)).eq(name))
        .and_where(Expr::col((LocalTable::Table, LocalTable::DomainId)).eq(&**domain));
    Ok(users_from(&db.fetch_all(&select).await?)?.into_iter().next())
}

/// The users of these ids, in the order of their ids.
pub(in crate::identity) async fn get_users(mut db: impl Query, ids: &[UserId]) -> Result<Vec<StoredUser>> {
    let mut users = Vec::with_capacity(ids.len());
    for ids in ids.chunks(super::CHUNK) {
        let mut select = select_users();
        select.and_where(Expr::col((UserTable::Table, UserTable::Id)).is_in(ids.iter().map(|id| &**id)));
        users.extend(users_from(&db.by_ref().fetch_all(&select).await?)?);
    }
    Ok(users)
}

/// Whether there is such a user, who then stays until the transaction ends.
pub(in crate::identity) async fn hold_user(tx: &mut Tx<'_>, id: &UserId) -> Result<bool> {
    Ok(!tx.hold(UserTable::Table, UserTable::Id, &[id]).await?.is_empty())
}

/// Has users for itself until the transaction ends; those that there are.
pub(in crate::identity) async fn take_users(tx: &mut Tx<'_>, ids: &[UserId]) -> Result<Vec<UserId>> {
    let ids: Vec<&str> = ids.iter().map(|id| &**id).collect();
    Ok(tx.take(UserTable::Table, UserTable::Id, &ids).await?.into_iter().map(UserId::from).collect())
}

pub(in crate::identity) async fn user_exists(db: impl Query, id: &str) -> Result<bool> {
    let mut select = Sql::select();
    select.column(UserTable::Id).from(UserTable::Table).and_where(Expr::col(UserTable::Id).eq(id));
    Ok(db.fetch_optional(&select).await?.is_some())
}

/// Whether there is this protocol of this identity provider.
pub(in crate::identity) async fn protocol_exists(db: impl Query, idp: &str, protocol: &str) -> Result<bool> {
    let mut select = Sql::select();
    select
        .column(FederationProtocol::Id)
        .from(FederationProtocol::Table)
        .and_where(Expr::col(FederationProtocol::IdpId).eq(idp))
        .and_where(Expr::col(FederationProtocol::Id).eq(protocol));
    Ok(db.fetch_optional(&select).await?.is_some())
}

/// Inserts the user's own row and, with its name, the local one. The id of the local row.
pub(in crate::identity) async fn insert_user(tx: &mut Tx<'_>, user: &StoredUser, name: &str) -> Result<i64> {
    let mut insert = Sql::insert();
    insert
        .into_table(UserTable::Table)
        .columns([
            UserTable::Id,
            UserTable::DomainId,
            UserTable::Enabled,
            UserTable::DefaultProjectId,
            UserTable::CreatedAt,
            UserTable::LastActiveAt,
            UserTable::Extra,
        ])
        .values_panic([
            (&*user.id).into(),
            (&*user.domain_id).into(),
            user.enabled.into(),
            user.default_project_id.as_deref().into(),
            user.created_at.into(),
            user.last_active_at.into(),
            json_text(&Value::Object(user.extra.clone())).into(),
        ]);
    tx.execute(&insert).await.or_conflict("user", || format!("there is a user with the id {}", user.id))?;
    let mut insert = Sql::insert();
    insert
        .into_table(LocalTable::Table)
        .columns([LocalTable::UserId, LocalTable::DomainId, LocalTable::Name])
        .values_panic([(&*user.id).into(), (&*user.domain_id).into(), name.into()]);
    tx.insert_id(&insert, LocalTable::Id).await.or_conflict("user", || name_taken(name, &user.domain_id))
}

fn name_taken(name: &str, domain: &DomainId) -> String {
    format!("the name {name} is taken in the domain {domain}")
}

/// Writes the user's own row anew.
pub(in crate::identity) async fn update_user(tx: &mut Tx<'_>, user: &StoredUser) -> Result<()> {
    let mut update = Sql::update();
    update
        .table(UserTable::Table)
        .value(UserTable::Enabled, user.enabled)
        .value(UserTable::DefaultProjectId, user.default_project_id.as_deref())
        .value(UserTable::LastActiveAt, user.last_active_at)
        .value(UserTable::Extra, json_text(&Value::Object(user.extra.clone())))
        .and_where(Expr::col(UserTable::Id).eq(&*user.id));
    tx.execute(&update).await?;
    Ok(())
}

pub(in crate::identity) async fn rename_local(tx: &mut Tx<'_>, user: &StoredUser, name: &str) -> Result<()> {
    let mut update = Sql::update();
    update
        .table(LocalTable::Table)
        .value(LocalTable::Name, name)
        .and_where(Expr::col(LocalTable::UserId).eq(&*user.id));
    tx.execute(&update).await.or_conflict("user", || name_taken(name, &user.domain_id))?;
    Ok(())
}

pub(in crate::identity) async fn rename_nonlocal(tx: &mut Tx<'_>, user: &StoredUser, name: &str) -> Result<()> {
    let mut update = Sql::update();
    update
        .table(NonlocalTable::Table)
        .value(NonlocalTable::Name, name)
        .and_where(Expr::col(NonlocalTable::UserId).eq(&*user.id));
    tx.execute(&update).await.or_conflict("user", || name_taken(name, &user.domain_id))?;
    Ok(())
}

/// Names the user's first federated identity; `federated_id` is the row's.
pub(in crate::identity) async fn rename_federated(tx: &mut Tx<'_>, federated_id: i64, name: &str) -> Result<()> {
    let mut update = Sql::update();
    update
        .table(FederatedTable::Table)
        .value(FederatedTable::DisplayName, name)
        .and_where(Expr::col(FederatedTable::Id).eq(federated_id));
    tx.execute(&update).await?;
    Ok(())
}

/// Sets the day on which these users were last active, unless a later one is set already.
pub(in crate::identity) async fn set_last_active(tx: &mut Tx<'_>, ids: &[UserId], day: NaiveDate) -> Result<()> {
    for ids in ids.chunks(super::CHUNK) {
        let last = || Expr::col(UserTable::LastActiveAt);
        let mut update = Sql::update();
        update
            .table(UserTable::Table)
            .value(UserTable::LastActiveAt, day)
            .and_where(Expr::col(UserTable::Id).is_in(ids.iter().map(|id| &**id)))
            .cond_where(Cond::any().add(last().is_null()).add(last().lt(day)));
        tx.execute(&update).await?;
    }
    Ok(())
}

pub(in crate::identity) async fn replace_options(tx: &mut Tx<'_>, id: &UserId, options: &UserOptions) -> Result<()> {
    let mut delete = Sql::delete();
    delete.from_table(OptionTable::Table).and_where(Expr::col(OptionTable::UserId).eq(&**id));
    tx.execute(&delete).await?;
    insert_options(tx, id, options).await
}

pub(in crate::identity) async fn insert_options(tx: &mut Tx<'_>, id: &UserId, options: &UserOptions) -> Result<()> {
    let mut insert = Sql::insert();
    insert.into_table(OptionTable::Table).columns([
        OptionTable::UserId,
        OptionTable::OptionId,
        OptionTable::OptionValue,
    ]);
    let mut any = false;
    for (option, value) in options.iter() {
        any = true;
        insert.values_panic([(&**id).into(), option.id().into(), json_text(value).into()]);
    }
    if any {
        tx.execute(&insert).await?;
    }
    Ok(())
}

pub(in crate::identity) async fn replace_federated(
    tx: &mut Tx<'_>,
    id: &UserId,
    identities: &[FederatedIdentity],
) -> Result<()> {
    let mut delete = Sql::delete();
    delete.from_table(FederatedTable::Table).and_where(Expr::col(FederatedTable::UserId).eq(&**id));
    tx.execute(&delete).await?;
    insert_federated(tx, id, identities).await
}

pub(in crate::identity) async fn insert_federated(
    tx: &mut Tx<'_>,
    id: &UserId,
    identities: &[FederatedIdentity],
) -> Result<()> {
    if identities.is_empty() {
        return Ok(());
    }
    let mut insert = Sql::insert();
    insert.into_table(FederatedTable::Table).columns([
        FederatedTable::UserId,
        FederatedTable::IdpId,
        FederatedTable::ProtocolId,
        FederatedTable::UniqueId,
        FederatedTable::DisplayName,
    ]);
    for identity in identities {
        insert.values_panic([
            (&**id).into(),
            identity.idp_id.as_str().into(),
            identity.protocol_id.as_str().into(),
            identity.unique_id.as_str().into(),
            identity.display_name.as_str().into(),
        ]);
    }
    tx.execute(&insert).await.or_conflict("federated_user", || {
        "another user has the same unique id at this identity provider and protocol".to_owned()
    })?;
    Ok(())
}

/// Deletes users with all rows of the identity tables, children first: the databases that the reference made do not
/// all cascade (SQLite).
pub(in crate::identity) async fn delete_users(tx: &mut Tx<'_>, ids: &[UserId]) -> Result<()> {
    delete_failures_of_users(tx, ids).await?;
    for ids in ids.chunks(super::CHUNK) {
        let ids = || ids.iter().map(|id| &**id);
        let mut local = Sql::select();
        local.column(LocalTable::Id).from(LocalTable::Table).and_where(Expr::col(LocalTable::UserId).is_in(ids()));
        for mut delete in [
            Sql::delete()
                .from_table(PasswordTable::Table)
                .and_where(Expr::col(PasswordTable::LocalUserId).in_subquery(local))
                .to_owned(),
            Sql::delete()
                .from_table(LocalTable::Table)
                .and_where(Expr::col(LocalTable::UserId).is_in(ids()))
                .to_owned(),
            Sql::delete()
                .from_table(NonlocalTable::Table)
                .and_where(Expr::col(NonlocalTable::UserId).is_in(ids()))
                .to_owned(),
            Sql::delete()
                .from_table(FederatedTable::Table)
                .and_where(Expr::col(FederatedTable::UserId).is_in(ids()))
                .to_owned(),
            Sql::delete()
                .from_table(OptionTable::Table)
                .and_where(Expr::col(OptionTable::UserId).is_in(ids()))
                .to_owned(),
            Sql::delete()
                .from_table(MembershipTable::Table)
                .and_where(Expr::col(MembershipTable::UserId).is_in(ids()))
                .to_owned(),
            Sql::delete()
                .from_table(ExpiringTable::Table)
                .and_where(Expr::col(ExpiringTable::UserId).is_in(ids()))
                .to_owned(),
            Sql::delete()
                .from_table(IdMapping::Table)
                .and_where(Expr::col(IdMapping::PublicId).is_in(ids()))
                .to_owned(),
            Sql::delete().from_table(UserTable::Table).and_where(Expr::col(UserTable::Id).is_in(ids())).to_owned(),
        ] {
            tx.execute(&delete.take()).await?;
        }
    }
    Ok(())
}

pub(in crate::identity) async fn list_user_ids_of_domain(db: impl Query, domain: &DomainId) -> Result<Vec<UserId>> {
    let mut select = Sql::select();
    select.column(UserTable::Id).from(UserTable::Table).and_where(Expr::col(UserTable::DomainId).eq(&**domain));
    db.fetch_all(&select).await?.iter().map(|row| Ok(row.get::<String>("id")?.into())).collect()
}

/// The users whose default project this is.
pub(in crate::identity) async fn list_user_ids_with_default_project(
    db: impl Query,
    projects: &[ProjectId],
) -> Result<Vec<UserId>> {
    let mut select = Sql::select();
    select
        .column(UserTable::Id)
        .from(UserTable::Table)
        .and_where(Expr::col(UserTable::DefaultProjectId).is_in(projects.iter().map(|id| &**id)));
    db.fetch_all(&select).await?.iter().map(|row| Ok(row.get::<String>("id")?.into())).collect()
}

pub(in crate::identity) async fn unset_default_project(tx: &mut Tx<'_>, projects: &[ProjectId]) -> Result<()> {
    let mut update = Sql::update();
    update
        .table(UserTable::Table)
        .value(UserTable::DefaultProjectId, Option::<String>::None)
        .and_where(Expr::col(UserTable::DefaultProjectId).is_in(projects.iter().map(|id| &**id)));
    tx.execute(&update).await?;
    Ok(())
}
