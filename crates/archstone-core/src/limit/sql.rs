//! Queries of `registered_limit` and `limit`.

use archstone_db::tables::{Limit as LimitTable, RegisteredLimit as RegisteredTable};
use archstone_db::{DbError, Query, Row, Tx};
use sea_query::{
    Alias, ColumnRef, Condition, Expr, ExprTrait as _, IntoColumnRef as _, Order, Query as Sql, SelectStatement,
};

use super::{Limit, RegisteredLimit};
use crate::error::{Result, Stored as _};
use crate::id::{LimitId, ProjectId, RegionId, RegisteredLimitId, ServiceId};
use crate::list::sql::{ColumnKind, FilterColumn, fetch_list};
use crate::list::{Filter, ListQuery, Page};

/// How many ids go into one `IN (…)`, and how many rows into one `INSERT`.
const CHUNK: usize = 500;

const REGISTERED_COLUMNS: [RegisteredTable; 6] = [
    RegisteredTable::Id,
    RegisteredTable::ServiceId,
    RegisteredTable::RegionId,
    RegisteredTable::ResourceName,
    RegisteredTable::DefaultLimit,
    RegisteredTable::Description,
];

const REGISTERED_FILTERS: [FilterColumn<RegisteredTable>; 3] = [
    FilterColumn { name: "service_id", column: RegisteredTable::ServiceId, kind: ColumnKind::Text(255) },
    FilterColumn { name: "region_id", column: RegisteredTable::RegionId, kind: ColumnKind::Text(64) },
    FilterColumn { name: "resource_name", column: RegisteredTable::ResourceName, kind: ColumnKind::Text(255) },
];

fn registered_from(row: &Row) -> Result<RegisteredLimit, DbError> {
    Ok(RegisteredLimit {
        id: row.get::<String>("id")?.into(),
        service_id: row.get::<String>("service_id")?.into(),
        region_id: row.get::<Option<String>>("region_id")?.map(RegionId::from),
        resource_name: row.get("resource_name")?,
        default_limit: row.get("default_limit")?,
        description: row.get("description")?,
    })
}

fn select_registered() -> SelectStatement {
    let mut select = Sql::select();
    select.columns(REGISTERED_COLUMNS).from(RegisteredTable::Table).order_by(RegisteredTable::InternalId, Order::Asc);
    select
}

pub(super) async fn get_registered(db: impl Query, id: &RegisteredLimitId) -> Result<Option<RegisteredLimit>> {
    let mut select = select_registered();
    select.and_where(Expr::col(RegisteredTable::Id).eq(&**id));
    Ok(db.fetch_optional(&select).await?.as_ref().map(registered_from).transpose()?)
}

/// As [`get_registered`], for itself until the transaction ends.
pub(super) async fn take_registered(tx: &mut Tx<'_>, id: &RegisteredLimitId) -> Result<Option<RegisteredLimit>> {
    let mut select = select_registered();
    select.and_where(Expr::col(RegisteredTable::Id).eq(&**id)).lock_exclusive();
    Ok(tx.fetch_optional(&select).await?.as_ref().map(registered_from).transpose()?)
}

/// All of these services, for itself until the transaction ends.
pub(super) async fn take_registered_of_services(
    tx: &mut Tx<'_>,
    services: &[ServiceId],
) -> Result<Vec<RegisteredLimit>> {
    let mut all = Vec::new();
    for chunk in services.chunks(CHUNK) {
        let mut select = select_registered();
        select.and_where(Expr::col(RegisteredTable::ServiceId).is_in(chunk.iter().map(|id| &**id))).lock_exclusive();
        for row in &tx.fetch_all(&select).await? {
            all.push(registered_from(row)?);
        }
    }
    Ok(all)
}

pub(super) async fn list_registered(db: impl Query, query: &ListQuery) -> Result<(Page<RegisteredLimit>, Vec<Filter>)> {
    fetch_list(db, select_registered(), query, &REGISTERED_FILTERS, registered_from).await
}

pub(super) async fn insert_registered(tx: &mut Tx<'_>, limits: &[RegisteredLimit]) -> Result<()> {
    for chunk in limits.chunks(CHUNK) {
        let mut insert = Sql::insert();
        insert.into_table(RegisteredTable::Table).columns(REGISTERED_COLUMNS);
        for limit in chunk {
            insert.values_panic([
                (&*limit.id).into(),
                (&*limit.service_id).into(),
                limit.region_id.as_deref().into(),
                limit.resource_name.as_str().into(),
                limit.default_limit.into(),
                limit.description.as_deref().into(),
            ]);
        }
        tx.execute(&insert).await.or_conflict("registered_limit", || "the id is taken".to_owned())?;
    }
    Ok(())
}

/// Whether one of these has the service, region and resource of another one.
pub(super) async fn any_registered_twice(tx: &mut Tx<'_>, ids: &[&RegisteredLimitId]) -> Result<bool> {
    let [new, old] = ["new", "old"].map(Alias::new);
    let new_col = |column: RegisteredTable| Expr::col((new.clone(), column));
    let old_col = |column: RegisteredTable| (old.clone(), column);
    for chunk in ids.chunks(CHUNK) {
        let same_region =
            Condition::any().add(new_col(RegisteredTable::RegionId).equals(old_col(RegisteredTable::RegionId))).add(
                new_col(RegisteredTable::RegionId)
                    .is_null()
                    .and(Expr::col(old_col(RegisteredTable::RegionId)).is_null()),
            );
        let same = Condition::all()
            .add(new_col(RegisteredTable::ServiceId).equals(old_col(RegisteredTable::ServiceId)))
            .add(new_col(RegisteredTable::ResourceName).equals(old_col(RegisteredTable::ResourceName)))
            .add(same_region);
        let mut select = Sql::select();
        select
            .column((new.clone(), RegisteredTable::Id))
            .from_as(RegisteredTable::Table, new.clone())
            .join_as(sea_query::JoinType::InnerJoin, RegisteredTable::Table, old.clone(), same)
            .and_where(new_col(RegisteredTable::Id).is_in(chunk.iter().map(|id| &***id)))
            .and_where(new_col(RegisteredTable::Id).not_equals(old_col(RegisteredTable::Id)))
            .limit(1);
        if tx.fetch_optional(&select).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether there is one with this one's service, region and resource, be it itself; as of now, also on MySQL, which else
/// shows what was committed before the transaction's first question.
pub(super) async fn any_registered_like(tx: &mut Tx<'_>, limit: &RegisteredLimit) -> Result<bool> {
    let region = Expr::col(RegisteredTable::RegionId);
    let mut select = Sql::select();
    select
        .column(RegisteredTable::Id)
        .from(RegisteredTable::Table)
        .and_where(Expr::col(RegisteredTable::ServiceId).eq(&*limit.service_id))
        .and_where(Expr::col(RegisteredTable::ResourceName).eq(limit.resource_name.as_str()))
        .and_where(limit.region_id.as_ref().map_or_else(|| region.clone().is_null(), |id| region.clone().eq(&**id)))
        .limit(1)
        .lock_exclusive();
    Ok(tx.fetch_optional(&select).await?.is_some())
}

pub(super) async fn update_registered(tx: &mut Tx<'_>, limit: &RegisteredLimit) -> Result<()> {
    let mut update = Sql::update();
    update
        .table(RegisteredTable::Table)
        .value(RegisteredTable::ServiceId, &*limit.service_id)
        .value(RegisteredTable::RegionId, limit.region_id.as_deref())
        .value(RegisteredTable::ResourceName, limit.resource_name.as_str())
        .value(RegisteredTable::DefaultLimit, limit.default_limit)
        .value(RegisteredTable::Description, limit.description.as_deref())
        .and_where(Expr::col(RegisteredTable::Id).eq(&*limit.id));
    tx.execute(&update).await?;
    Ok(())
}

pub(super) async fn delete_registered(tx: &mut Tx<'_>, id: &RegisteredLimitId) -> Result<()> {
    let mut delete = Sql::delete();
    delete.from_table(RegisteredTable::Table).and_where(Expr::col(RegisteredTable::Id).eq(&**id));
    tx.execute(&delete).await?;
    Ok(())
}

const LIMIT_COLUMNS: [LimitTable; 6] = [
    LimitTable::Id,
    LimitTable::ProjectId,
    LimitTable::DomainId,
    LimitTable::ResourceLimit,
    LimitTable::Description,
    LimitTable::RegisteredLimitId,
];

/// What says what a limit limits.
const RESOURCE_COLUMNS: [RegisteredTable; 3] =
    [RegisteredTable::ServiceId, RegisteredTable::RegionId, RegisteredTable::ResourceName];

/// A column of a limit or of its registered limit.
#[derive(Clone, Copy)]
enum Column {
    Limit(LimitTable),
    Registered(RegisteredTable),
}

impl From<Column> for ColumnRef {
    fn from(column: Column) -> ColumnRef {
        match column {
            Column::Limit(column) => (LimitTable::Table, column).into_column_ref(),
            Column::Registered(column) => (RegisteredTable::Table, column).into_column_ref(),
        }
    }
}

const LIMIT_FILTERS: [FilterColumn<Column>; 5] = [
    FilterColumn {
        name: "service_id",
        column: Column::Registered(RegisteredTable::ServiceId),
        kind: ColumnKind::Text(255),
    },
    FilterColumn {
        name: "region_id",
        column: Column::Registered(RegisteredTable::RegionId),
        kind: ColumnKind::Text(64),
    },
    FilterColumn {
        name: "resource_name",
        column: Column::Registered(RegisteredTable::ResourceName),
        kind: ColumnKind::Text(255),
    },
    FilterColumn { name: "project_id", column: Column::Limit(LimitTable::ProjectId), kind: ColumnKind::Text(64) },
    FilterColumn { name: "domain_id", column: Column::Limit(LimitTable::DomainId), kind: ColumnKind::Text(64) },
];

fn limit_from(row: &Row) -> Result<Limit, DbError> {
    Ok(Limit {
        id: row.get::<String>("id")?.into(),
        project_id: row.get::<Option<String>>("project_id")?.map(Into::into),
        domain_id: row.get::<Option<String>>("domain_id")?.map(Into::into),
        resource_limit: row.get("resource_limit")?,
        description: row.get("description")?,
        registered_limit_id: row.get::<Option<String>>("registered_limit_id")?.map(Into::into),
        service_id: row.get::<Option<String>>("service_id")?.map(Into::into),
        region_id: row.get::<Option<String>>("region_id")?.map(Into::into),
        resource_name: row.get("resource_name")?,
    })
}

fn select_limits() -> SelectStatement {
    let mut select = Sql::select();
    select
        .columns(LIMIT_COLUMNS.map(|column| (LimitTable::Table, column)))
        .columns(RESOURCE_COLUMNS.map(|column| (RegisteredTable::Table, column)))
        .from(LimitTable::Table)
        .left_join(
            RegisteredTable::Table,
            Expr::col((LimitTable::Table, LimitTable::RegisteredLimitId))
                .equals((RegisteredTable::Table, RegisteredTable::Id)),
        )
        .order_by((LimitTable::Table, LimitTable::InternalId), Order::Asc);
    select
}

pub(super) async fn get_limit(db: impl Query, id: &LimitId) -> Result<Option<Limit>> {
    let mut select = select_limits();
    select.and_where(Expr::col((LimitTable::Table, LimitTable::Id)).eq(&**id));
    Ok(db.fetch_optional(&select).await?.as_ref().map(limit_from).transpose()?)
}

pub(super) async fn list_limits(db: impl Query, query: &ListQuery) -> Result<(Page<Limit>, Vec<Filter>)> {
    fetch_list(db, select_limits(), query, &LIMIT_FILTERS, limit_from).await
}

pub(super) async fn list_limits_of_projects(mut db: impl Query, ids: &[ProjectId]) -> Result<Vec<Limit>> {
    let mut all = Vec::new();
    for chunk in ids.chunks(CHUNK) {
        let mut select = select_limits();
        select.and_where(Expr::col((LimitTable::Table, LimitTable::ProjectId)).is_in(chunk.iter().map(|id| &**id)));
        for row in &db.by_ref().fetch_all(&select).await? {
            all.push(limit_from(row)?);
        }
    }
    Ok(all)
}

/// All that are made from these.
pub(super) async fn list_limits_of_registered(tx: &mut Tx<'_>, ids: &[&RegisteredLimitId]) -> Result<Vec<Limit>> {
    let mut all = Vec::new();
    for chunk in ids.chunks(CHUNK) {
        let mut select = select_limits();
        select.and_where(
            Expr::col((LimitTable::Table, LimitTable::RegisteredLimitId)).is_in(chunk.iter().map(|id| &***id)),
        );
        for row in &tx.fetch_all(&select).await? {
            all.push(limit_from(row)?);
        }
    }
    Ok(all)
}

/// Whether any is made from this one.
pub(super) async fn any_limit_of(tx: &mut Tx<'_>, id: &RegisteredLimitId) -> Result<bool> {
    let mut select = Sql::select();
    select
        .column(LimitTable::Id)
        .from(LimitTable::Table)
        .and_where(Expr::col(LimitTable::RegisteredLimitId).eq(&**id))
        .limit(1);
    Ok(tx.fetch_optional(&select).await?.is_some())
}

pub(super) async fn insert_limits(tx: &mut Tx<'_>, limits: &[Limit]) -> Result<()> {
    for chunk in limits.chunks(CHUNK) {
        let mut insert = Sql::insert();
        insert.into_table(LimitTable::Table).columns(LIMIT_COLUMNS);
        for limit in chunk {
            insert.values_panic([
                (&*limit.id).into(),
                limit.project_id.as_deref().into(),
                limit.domain_id.as_deref().into(),
                limit.resource_limit.into(),
                limit.description.as_deref().into(),
                limit.registered_limit_id.as_deref().into(),
            ]);
        }
        tx.execute(&insert).await.or_conflict("limit", || "the id is taken".to_owned())?;
    }
    Ok(())
}

/// Whether one of these is of the project or domain, and made from the registered limit, of another one.
pub(super) async fn any_limit_twice(tx: &mut Tx<'_>, ids: &[&LimitId]) -> Result<bool> {
    let [new, old] = ["new", "old"].map(Alias::new);
    let same = |column: LimitTable| Expr::col((new.clone(), column)).equals((old.clone(), column));
    for chunk in ids.chunks(CHUNK) {
        let same_owner = Condition::any().add(same(LimitTable::ProjectId)).add(same(LimitTable::DomainId));
        let condition = Condition::all().add(same(LimitTable::RegisteredLimitId)).add(same_owner);
        let mut select = Sql::select();
        select
            .column((new.clone(), LimitTable::Id))
            .from_as(LimitTable::Table, new.clone())
            .join_as(sea_query::JoinType::InnerJoin, LimitTable::Table, old.clone(), condition)
            .and_where(Expr::col((new.clone(), LimitTable::Id)).is_in(chunk.iter().map(|id| &***id)))
            .and_where(Expr::col((new.clone(), LimitTable::Id)).not_equals((old.clone(), LimitTable::Id)))
            .limit(1);
        if tx.fetch_optional(&select).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) async fn update_limit(tx: &mut Tx<'_>, limit: &Limit) -> Result<()> {
    let mut update = Sql::update();
    update
        .table(LimitTable::Table)
        .value(LimitTable::ResourceLimit, limit.resource_limit)
        .value(LimitTable::Description, limit.description.as_deref())
        .and_where(Expr::col(LimitTable::Id).eq(&*limit.id));
    tx.execute(&update).await?;
    Ok(())
}

/// How many limits were deleted.
pub(super) async fn delete_limit(tx: &mut Tx<'_>, id: &LimitId) -> Result<u64> {
    let mut delete = Sql::delete();
    delete.from_table(LimitTable::Table).and_where(Expr::col(LimitTable::Id).eq(&**id));
    Ok(tx.execute(&delete).await?)
}
