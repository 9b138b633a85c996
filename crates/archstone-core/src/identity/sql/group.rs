//! Groups and who is in them.

use std::collections::HashMap;

use archstone_db::tables::{
    ExpiringUserGroupMembership as ExpiringTable, Group as GroupTable, IdMapping, IdentityProvider,
    UserGroupMembership as MembershipTable,
};
use archstone_db::{DbError, Query, Row, Tx, json_text};
use chrono::NaiveDateTime;
use sea_query::{Expr, ExprTrait as _, OnConflict, Order, Query as Sql, SelectStatement};
use serde_json::{Map, Value};

use crate::error::{Result, Stored as _};
use crate::id::{DomainId, GroupId, UserId};
use crate::identity::{Group, GroupMembership};
use crate::list::sql::{ColumnKind, FilterColumn, Filtered, apply_filters, next_part};
use crate::list::{Filter, ListQuery};
use crate::time::Timestamp;

const SECONDS_A_MINUTE: i64 = 60;

const COLUMNS: [GroupTable; 5] =
    [GroupTable::Id, GroupTable::DomainId, GroupTable::Name, GroupTable::Description, GroupTable::Extra];

const FILTERS: [FilterColumn<(GroupTable, GroupTable)>; 2] = [
    FilterColumn { name: "domain_id", column: (GroupTable::Table, GroupTable::DomainId), kind: ColumnKind::Text(64) },
    FilterColumn { name: "name", column: (GroupTable::Table, GroupTable::Name), kind: ColumnKind::Text(64) },
];

fn select_groups() -> SelectStatement {
    let mut select = Sql::select();
    select.columns(COLUMNS.map(|column| (GroupTable::Table, column))).from(GroupTable::Table);
    select
}

fn group_from(row: &Row) -> Result<Group, DbError> {
    Ok(Group {
        id: row.get::<String>("id")?.into(),
        domain_id: row.get::<String>("domain_id")?.into(),
        name: row.get("name")?,
        description: row.get("description")?,
        extra: match row.json("extra")? {
            Value::Object(extra) => extra,
            _ => Map::new(),
        },
    })
}

pub(in crate::identity) async fn get_group(db: impl Query, id: &GroupId) -> Result<Option<Group>> {
    let mut select = select_groups();
    select.and_where(Expr::col((GroupTable::Table, GroupTable::Id)).eq(&**id));
    Ok(db.fetch_optional(&select).await?.as_ref().map(group_from).transpose()?)
}

/// Whether there is such a group, which then stays until the transaction ends.
pub(in crate::identity) async fn hold_group(tx: &mut Tx<'_>, id: &GroupId) -> Result<bool> {
    Ok(!tx.hold(GroupTable::Table, GroupTable::Id, &[id]).await?.is_empty())
}

/// Has groups for itself until the transaction ends; those that there are.
pub(in crate::identity) async fn take_groups(tx: &mut Tx<'_>, ids: &[GroupId]) -> Result<Vec<GroupId>> {
    let ids: Vec<&str> = ids.iter().map(|id| &**id).collect();
    Ok(tx.take(GroupTable::Table, GroupTable::Id, &ids).await?.into_iter().map(GroupId::from).collect())
}

/// The groups of these ids.
pub(in crate::identity) async fn get_groups(mut db: impl Query, ids: &[GroupId]) -> Result<Vec<Group>> {
    let mut groups = Vec::with_capacity(ids.len());
    for ids in ids.chunks(super::CHUNK) {
        let mut select = select_groups();
        select.and_where(Expr::col((GroupTable::Table, GroupTable::Id)).is_in(ids.iter().map(|id| &**id)));
        for row in db.by_ref().fetch_all(&select).await? {
            groups.push(group_from(&row)?);
        }
    }
    Ok(groups)
}

/// The statement that finds a list's groups, before any limit, and the filters left for the wire form. `None` if nothing
/// can match.
pub(in crate::identity) fn select_listed_groups(query: &ListQuery) -> Option<(SelectStatement, Vec<Filter>)> {
    let mut select = select_groups();
    match apply_filters(&mut select, query, &FILTERS) {
        Filtered::Applied(remaining) => Some((select, remaining)),
        Filtered::Nothing => None,
    }
}

/// The next groups of a list, in the order of their ids: at most so many of those that `select` finds after this id.
pub(in crate::identity) async fn list_groups_part(
    db: impl Query,
    mut select: SelectStatement,
    after: Option<&str>,
    most: u64,
) -> Result<Vec<Group>> {
    next_part(&mut select, (GroupTable::Table, GroupTable::Id), after, most);
    Ok(db.fetch_all(&select).await?.iter().map(group_from).collect::<Result<Vec<_>, _>>()?)
}

pub(in crate::identity) async fn insert_group(tx: &mut Tx<'_>, group: &Group) -> Result<()> {
    let mut insert = Sql::insert();
    insert.into_table(GroupTable::Table).columns(COLUMNS).values_panic([
        (&*group.id).into(),
        (&*group.domain_id).into(),
        group.name.as_str().into(),
        group.description.as_deref().into(),
        json_text(&Value::Object(group.extra.clone())).into(),
    ]);
    tx.execute(&insert).await.or_conflict("group", || name_taken(group))?;
    Ok(())
}

pub(in crate::identity) async fn update_group(tx: &mut Tx<'_>, group: &Group) -> Result<()> {
    let mut update = Sql::update();
    update
        .table(GroupTable::Table)
        .value(GroupTable::Name, group.name.as_str())
        .value(GroupTable::Description, group.description.as_deref())
        .value(GroupTable::Extra, json_text(&Value::Object(group.extra.clone())))
        .and_where(Expr::col(GroupTable::Id).eq(&*group.id));
    tx.execute(&update).await.or_conflict("group", || name_taken(group))?;
    Ok(())
}

fn name_taken(group: &Group) -> String {
    format!("the name {} is taken in the domain {}", group.name, group.domain_id)
}

/// Deletes groups and the memberships in them.
pub(in crate::identity) async fn delete_groups(tx: &mut Tx<'_>, ids: &[GroupId]) -> Result<()> {
    for ids in ids.chunks(super::CHUNK) {
        let ids = || ids.iter().map(|id| &**id);
        let mut delete = Sql::delete();
        delete.from_table(MembershipTable::Table).and_where(Expr::col(MembershipTable::GroupId).is_in(ids()));
        tx.execute(&delete).await?;
        let mut delete = Sql::delete();
        delete.from_table(ExpiringTable::Table).and_where(Expr::col(ExpiringTable::GroupId).is_in(ids()));
        tx.execute(&delete).await?;
        let mut delete = Sql::delete();
        delete.from_table(IdMapping::Table).and_where(Expr::col(IdMapping::PublicId).is_in(ids()));
        tx.execute(&delete).await?;
        let mut delete = Sql::delete();
        delete.from_table(GroupTable::Table).and_where(Expr::col(GroupTable::Id).is_in(ids()));
        tx.execute(&delete).await?;
    }
    Ok(())
}

pub(in crate::identity) async fn list_group_ids_of_domain(db: impl Query, domain: &DomainId) -> Result<Vec<GroupId>> {
    let mut select = Sql::select();
    select.column(GroupTable::Id).from(GroupTable::Table).and_where(Expr::col(GroupTable::DomainId).eq(&**domain));
    db.fetch_all(&select).await?.iter().map(|row| Ok(row.get::<String>("id")?.into())).collect()
}

/// The members of some groups, not those whose membership expires.
pub(in crate::identity) async fn list_member_ids(db: impl Query, groups: &[GroupId]) -> Result<Vec<UserId>> {
    let mut select = Sql::select();
    select
        .column(MembershipTable::UserId)
        .distinct()
        .from(MembershipTable::Table)
        .and_where(Expr::col(MembershipTable::GroupId).is_in(groups.iter().map(|id| &**id)));
    db.fetch_all(&select).await?.iter().map(|row| Ok(row.get::<String>("user_id")?.into())).collect()
}

pub(in crate::identity) async fn is_member(db: impl Query, user: &UserId, group: &GroupId) -> Result<bool> {
    let mut select = Sql::select();
    select
        .column(MembershipTable::UserId)
        .from(MembershipTable::Table)
        .and_where(Expr::col(MembershipTable::UserId).eq(&**user))
        .and_where(Expr::col(MembershipTable::GroupId).eq(&**group));
    Ok(db.fetch_optional(&select).await?.is_some())
}

/// Adds a member; one that is there already stays.
pub(in crate::identity) async fn insert_member(tx: &mut Tx<'_>, user: &UserId, group: &GroupId) -> Result<()> {
    let mut insert = Sql::insert();
    insert
        .into_table(MembershipTable::Table)
        .columns([MembershipTable::UserId, MembershipTable::GroupId])
        .values_panic([(&**user).into(), (&**group).into()])
        .on_conflict(
            OnConflict::columns([MembershipTable::UserId, MembershipTable::GroupId])
                .do_nothing_on([MembershipTable::UserId, MembershipTable::GroupId])
                .to_owned(),
        );
    tx.execute(&insert).await?;
    Ok(())
}

/// Takes a member out; false if it was none.
pub(in crate::identity) async fn delete_member(tx: &mut Tx<'_>, user: &UserId, group: &GroupId) -> Result<bool> {
    let mut delete = Sql::delete();
    delete
        .from_table(MembershipTable::Table)
        .and_where(Expr::col(MembershipTable::UserId).eq(&**user))
        .and_where(Expr::col(MembershipTable::GroupId).eq(&**group));
    Ok(tx.execute(&delete).await? > 0)
}

/// The groups that a user is in for good, and the filters that are left.
pub(in crate::identity) async fn list_groups_of_user(
    db: impl Query,
    user: &UserId,
    query: &ListQuery,
) -> Result<(Vec<GroupMembership>, Vec<Filter>)> {
    let mut select = select_groups();
    select
        .inner_join(
            MembershipTable::Table,
            Expr::col((MembershipTable::Table, MembershipTable::GroupId)).equals((GroupTable::Table, GroupTable::Id)),
        )
        .and_where(Expr::col((MembershipTable::Table, MembershipTable::UserId)).eq(&**user))
        .order_by((GroupTable::Table, GroupTable::Id), Order::Asc);
    let Filtered::Applied(remaining) = apply_filters(&mut select, query, &FILTERS) else {
        return Ok((Vec::new(), Vec::new()));
    };
    let rows = db.fetch_all(&select).await?;
    let groups = rows.iter().map(|row| Ok(GroupMembership { group: group_from(row)?, expires_at: None }));
    Ok((groups.collect::<Result<Vec<_>, DbError>>()?, remaining))
}

/// The groups that a user is in for a time, by what an identity provider said, whether or not that time is over.
pub(in crate::identity) async fn list_expiring_groups_of_user(
    db: impl Query,
    user: &UserId,
    query: &ListQuery,
    default_minutes: i64,
) -> Result<Vec<GroupMembership>> {
    let mut select = select_groups();
    select
        .expr_as(Expr::col((ExpiringTable::Table, ExpiringTable::LastVerified)), "last_verified")
        .expr_as(Expr::col((IdentityProvider::Table, IdentityProvider::AuthorizationTtl)), "authorization_ttl")
        .inner_join(
            ExpiringTable::Table,
            Expr::col((ExpiringTable::Table, ExpiringTable::GroupId)).equals((GroupTable::Table, GroupTable::Id)),
        )
        .inner_join(IdentityProvider::Table, of_provider())
        .and_where(Expr::col((ExpiringTable::Table, ExpiringTable::UserId)).eq(&**user))
        .order_by((GroupTable::Table, GroupTable::Id), Order::Asc);
    let Filtered::Applied(_) = apply_filters(&mut select, query, &FILTERS) else { return Ok(Vec::new()) };
    let rows = db.fetch_all(&select).await?;
    let groups = rows.iter().map(|row| {
        let expires_at = expires_at(row, default_minutes)?;
        Ok(GroupMembership { group: group_from(row)?, expires_at: Some(expires_at) })
    });
    Ok(groups.collect::<Result<Vec<_>, DbError>>()?)
}

fn expires_at(row: &Row, default_minutes: i64) -> Result<Timestamp, DbError> {
    let verified = Timestamp::from_naive(row.get::<NaiveDateTime>("last_verified")?);
    let minutes = row.get::<Option<i64>>("authorization_ttl")?.filter(|minutes| *minutes != 0);
    Ok(verified.plus_seconds(minutes.unwrap_or(default_minutes).saturating_mul(SECONDS_A_MINUTE)))
}

/// The ids of the groups that a user is in at this moment.
pub(in crate::identity) async fn list_group_ids_of_user(
    mut db: impl Query,
    user: &UserId,
    default_minutes: i64,
    now: Timestamp,
) -> Result<Vec<GroupId>> {
    let mut select = Sql::select();
    select
        .column(MembershipTable::GroupId)
        .from(MembershipTable::Table)
        .and_where(Expr::col(MembershipTable::UserId).eq(&**user));
    let rows = db.by_ref().fetch_all(&select).await?;
    let mut ids = rows.iter().map(|row| Ok(row.get::<String>("group_id")?.into())).collect::<Result<Vec<GroupId>>>()?;
    let mut select = Sql::select();
    select
        .column((ExpiringTable::Table, ExpiringTable::GroupId))
        .expr_as(Expr::col((ExpiringTable::Table, ExpiringTable::LastVerified)), "last_verified")
        .expr_as(Expr::col((IdentityProvider::Table, IdentityProvider::AuthorizationTtl)), "authorization_ttl")
        .from(ExpiringTable::Table)
        .inner_join(IdentityProvider::Table, of_provider())
        .and_where(Expr::col((ExpiringTable::Table, ExpiringTable::UserId)).eq(&**user));
    for row in db.fetch_all(&select).await? {
        let id = GroupId::from(row.get::<String>("group_id")?);
        if expires_at(&row, default_minutes)? > now && !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// The groups of each of some users, with the end of those memberships that have one, be it over.
pub(in crate::identity) async fn list_groups_of_users(
    mut db: impl Query,
    users: &[UserId],
    default_minutes: i64,
) -> Result<HashMap<UserId, Vec<(GroupId, Option<Timestamp>)>>> {
    let mut groups: HashMap<UserId, Vec<(GroupId, Option<Timestamp>)>> = HashMap::new();
    for users in users.chunks(super::CHUNK) {
        let ids = || users.iter().map(|id| &**id);
        let mut select = Sql::select();
        select
            .columns([MembershipTable::GroupId, MembershipTable::UserId])
            .from(MembershipTable::Table)
            .and_where(Expr::col(MembershipTable::UserId).is_in(ids()));
        for row in db.by_ref().fetch_all(&select).await? {
            let (group, user) = membership_from(&row)?;
            groups.entry(user).or_default().push((group, None));
        }
        let mut select = Sql::select();
        select
            .columns([
                (ExpiringTable::Table, ExpiringTable::GroupId),
                (ExpiringTable::Table, ExpiringTable::UserId),
                (ExpiringTable::Table, ExpiringTable::LastVerified),
            ])
            .column((IdentityProvider::Table, IdentityProvider::AuthorizationTtl))
            .from(ExpiringTable::Table)
            .inner_join(IdentityProvider::Table, of_provider())
            .and_where(Expr::col((ExpiringTable::Table, ExpiringTable::UserId)).is_in(ids()));
        for row in db.by_ref().fetch_all(&select).await? {
            let (group, user) = membership_from(&row)?;
            groups.entry(user).or_default().push((group, Some(expires_at(&row, default_minutes)?)));
        }
    }
    Ok(groups)
}

/// Who is in which of some groups at this moment.
pub(in crate::identity) async fn list_memberships(
    mut db: impl Query,
    groups: &[GroupId],
    default_minutes: i64,
    now: Timestamp,
) -> Result<Vec<(GroupId, UserId)>> {
    let mut memberships = Vec::new();
    for groups in groups.chunks(super::CHUNK) {
        let mut select = Sql::select();
        select
            .columns([MembershipTable::GroupId, MembershipTable::UserId])
            .from(MembershipTable::Table)
            .and_where(Expr::col(MembershipTable::GroupId).is_in(groups.iter().map(|id| &**id)));
        for row in db.by_ref().fetch_all(&select).await? {
            memberships.push(membership_from(&row)?);
        }
        let mut select = Sql::select();
        select
            .columns([
                (ExpiringTable::Table, ExpiringTable::GroupId),
                (ExpiringTable::Table, ExpiringTable::UserId),
                (ExpiringTable::Table, ExpiringTable::LastVerified),
            ])
            .column((IdentityProvider::Table, IdentityProvider::AuthorizationTtl))
            .from(ExpiringTable::Table)
            .inner_join(IdentityProvider::Table, of_provider())
            .and_where(Expr::col((ExpiringTable::Table, ExpiringTable::GroupId)).is_in(groups.iter().map(|id| &**id)));
        for row in db.by_ref().fetch_all(&select).await? {
            let membership = membership_from(&row)?;
            if expires_at(&row, default_minutes)? > now && !memberships.contains(&membership) {
                memberships.push(membership);
            }
        }
    }
    Ok(memberships)
}

fn membership_from(row: &Row) -> Result<(GroupId, UserId), DbError> {
    Ok((row.get::<String>("group_id")?.into(), row.get::<String>("user_id")?.into()))
}

fn of_provider() -> Expr {
    Expr::col((IdentityProvider::Table, IdentityProvider::Id)).equals((ExpiringTable::Table, ExpiringTable::IdpId))
}
