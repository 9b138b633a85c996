//! Queries of `role`, `role_option` and `implied_role`.

use std::collections::HashMap;

use archstone_db::tables::{ImpliedRole, Role as RoleTable, RoleOption};
use archstone_db::{DbError, Query, Row, Tx, json_text};
use sea_query::{Expr, ExprTrait as _, OnConflict, Order, Query as Sql, SelectStatement};
use serde_json::{Map, Value};

use super::{CHUNK, NO_DOMAIN};
use crate::assignment::effective::{RoleGraph, RoleNode};
use crate::assignment::{IMMUTABLE, Role};
use crate::error::{Result, Stored as _};
use crate::id::{DomainId, RoleId};
use crate::list::sql::{ColumnKind, FilterColumn, Filtered, apply_filters, apply_limit, cut};
use crate::list::{Filter, ListQuery, Page};

/// The id under which `role_option` keeps `immutable`.
const IMMUTABLE_ID: &str = "IMMU";

const COLUMNS: [RoleTable; 5] =
    [RoleTable::Id, RoleTable::Name, RoleTable::DomainId, RoleTable::Description, RoleTable::Extra];

const FILTERS: [FilterColumn<RoleTable>; 2] = [
    FilterColumn { name: "name", column: RoleTable::Name, kind: ColumnKind::Text(255) },
    FilterColumn { name: "domain_id", column: RoleTable::DomainId, kind: ColumnKind::Text(64) },
];

fn domain_from(row: &Row) -> Result<Option<DomainId>, DbError> {
    let domain_id = row.get::<String>("domain_id")?;
    Ok((domain_id != NO_DOMAIN).then(|| DomainId::from(domain_id)))
}

pub(in crate::assignment) async fn load_role_graph(mut db: impl Query) -> Result<RoleGraph> {
    let mut graph = RoleGraph::default();
    let mut select = Sql::select();
    select.columns([RoleTable::Id, RoleTable::Name, RoleTable::DomainId]).from(RoleTable::Table);
    for row in db.by_ref().fetch_all(&select).await? {
        let node = RoleNode { name: row.get("name")?, domain_id: domain_from(&row)? };
        graph.roles.insert(row.get::<String>("id")?.into(), node);
    }
    let mut select = Sql::select();
    select
        .columns([ImpliedRole::PriorRoleId, ImpliedRole::ImpliedRoleId])
        .from(ImpliedRole::Table)
        .order_by(ImpliedRole::PriorRoleId, Order::Asc)
        .order_by(ImpliedRole::ImpliedRoleId, Order::Asc);
    for row in db.fetch_all(&select).await? {
        let prior = RoleId::from(row.get::<String>("prior_role_id")?);
        graph.implied.entry(prior).or_default().push(row.get::<String>("implied_role_id")?.into());
    }
    Ok(graph)
}

fn select() -> SelectStatement {
    let mut select = Sql::select();
    select.columns(COLUMNS).from(RoleTable::Table);
    select
}

fn role_from(row: &Row) -> Result<Role, DbError> {
    Ok(Role {
        id: row.get::<String>("id")?.into(),
        name: row.get("name")?,
        domain_id: domain_from(row)?,
        description: row.get("description")?,
        options: Map::new(),
        extra: match row.json("extra")? {
            Value::Object(extra) => extra,
            _ => Map::new(),
        },
    })
}

/// The roles with their options; two queries, and one more for each further [`CHUNK`] of roles.
async fn load(mut db: impl Query, select: &SelectStatement) -> Result<Vec<Role>> {
    let rows = db.by_ref().fetch_all(select).await?;
    let mut roles = rows.iter().map(role_from).collect::<Result<Vec<_>, _>>()?;
    let mut immutable: HashMap<RoleId, Value> = HashMap::new();
    for chunk in roles.chunks(CHUNK) {
        let mut options = Sql::select();
        options
            .columns([RoleOption::RoleId, RoleOption::OptionValue])
            .from(RoleOption::Table)
            .and_where(Expr::col(RoleOption::OptionId).eq(IMMUTABLE_ID))
            .and_where(Expr::col(RoleOption::RoleId).is_in(chunk.iter().map(|role| &*role.id)));
        for row in db.by_ref().fetch_all(&options).await? {
            immutable.insert(row.get::<String>("role_id")?.into(), row.json("option_value")?);
        }
    }
    for role in &mut roles {
        if let Some(value) = immutable.remove(&role.id) {
            role.options.insert(IMMUTABLE.to_owned(), value);
        }
    }
    Ok(roles)
}

pub(in crate::assignment) async fn get_role(db: impl Query, id: &RoleId) -> Result<Option<Role>> {
    let mut select = select();
    select.and_where(Expr::col(RoleTable::Id).eq(&**id));
    Ok(load(db, &select).await?.into_iter().next())
}

pub(in crate::assignment) async fn get_role_by_name(
    db: impl Query,
    name: &str,
    domain: Option<&DomainId>,
) -> Result<Option<Role>> {
    let mut select = select();
    select
        .and_where(Expr::col(RoleTable::Name).eq(name))
        .and_where(Expr::col(RoleTable::DomainId).eq(domain.map_or(NO_DOMAIN, |id| &**id)));
    Ok(load(db, &select).await?.into_iter().next())
}

/// Whether there is such a role, which then stays until the transaction ends.
pub(in crate::assignment) async fn hold_role(tx: &mut Tx<'_>, id: &RoleId) -> Result<bool> {
    Ok(!tx.hold(RoleTable::Table, RoleTable::Id, &[id]).await?.is_empty())
}

/// Has a role for itself until the transaction ends.
pub(in crate::assignment) async fn take_role(tx: &mut Tx<'_>, id: &RoleId) -> Result<()> {
    tx.take(RoleTable::Table, RoleTable::Id, &[id]).await?;
    Ok(())
}

/// The roles of these names, whether of a domain or not.
pub(in crate::assignment) async fn list_roles_of_names(mut db: impl Query, names: &[&str]) -> Result<Vec<Role>> {
    let mut all = Vec::new();
    for chunk in names.chunks(CHUNK) {
        let mut select = select();
        select.and_where(Expr::col(RoleTable::Name).is_in(chunk.iter().copied()));
        all.extend(load(db.by_ref(), &select).await?);
    }
    Ok(all)
}

/// The roles of these ids that exist, in the order of their ids.
pub(in crate::assignment) async fn get_roles(mut db: impl Query, ids: &[RoleId]) -> Result<Vec<Role>> {
    let mut all = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(CHUNK) {
        let mut select = select();
        select
            .and_where(Expr::col(RoleTable::Id).is_in(chunk.iter().map(|id| &**id)))
            .order_by(RoleTable::Id, Order::Asc);
        all.extend(load(db.by_ref(), &select).await?);
    }
    Ok(all)
}

/// A filter on `domain_id` is exact or missing: without one, only the global roles are listed.
pub(in crate::assignment) async fn list_roles(db: impl Query, query: &ListQuery) -> Result<(Page<Role>, Vec<Filter>)> {
    let mut select = select();
    let Filtered::Applied(remaining) = apply_filters(&mut select, query, &FILTERS) else {
        return Ok((Page::all(Vec::new()), Vec::new()));
    };
    if query.exact("domain_id").is_none() {
        select.and_where(Expr::col(RoleTable::DomainId).eq(NO_DOMAIN));
    }
    // In no order, as the reference: a cut list has no further page.
    apply_limit(&mut select, query, &remaining);
    let mut items = load(db, &select).await?;
    let truncated = cut(&mut items, query, &remaining);
    Ok((Page { items, truncated }, remaining))
}

fn taken(role: &Role) -> String {
    format!("Duplicate entry: a role named {} exists", role.name)
}

pub(in crate::assignment) async fn insert_role(tx: &mut Tx<'_>, role: &Role) -> Result<()> {
    let mut insert = Sql::insert();
    insert.into_table(RoleTable::Table).columns(COLUMNS).values_panic([
        (&*role.id).into(),
        role.name.as_str().into(),
        role.domain_id.as_deref().unwrap_or(NO_DOMAIN).into(),
        role.description.clone().into(),
        json_text(&Value::Object(role.extra.clone())).into(),
    ]);
    tx.execute(&insert).await.or_conflict("role", || taken(role))?;
    write_immutable(tx, role).await
}

pub(in crate::assignment) async fn update_role(tx: &mut Tx<'_>, role: &Role) -> Result<()> {
    let mut update = Sql::update();
    update
        .table(RoleTable::Table)
        .value(RoleTable::Name, role.name.as_str())
        .value(RoleTable::Description, role.description.clone())
        .value(RoleTable::Extra, json_text(&Value::Object(role.extra.clone())))
        .and_where(Expr::col(RoleTable::Id).eq(&*role.id));
    tx.execute(&update).await.or_conflict("role", || taken(role))?;
    write_immutable(tx, role).await
}

/// Stores the one option that a role has, or that it has none.
async fn write_immutable(tx: &mut Tx<'_>, role: &Role) -> Result<()> {
    let Some(immutable) = role.options.get(IMMUTABLE) else {
        let mut delete = Sql::delete();
        delete
            .from_table(RoleOption::Table)
            .and_where(Expr::col(RoleOption::RoleId).eq(&*role.id))
            .and_where(Expr::col(RoleOption::OptionId).eq(IMMUTABLE_ID));
        tx.execute(&delete).await?;
        return Ok(());
    };
    let mut insert = Sql::insert();
    insert
        .into_table(RoleOption::Table)
        .columns([RoleOption::RoleId, RoleOption::OptionId, RoleOption::OptionValue])
        .values_panic([(&*role.id).into(), IMMUTABLE_ID.into(), json_text(immutable).into()])
        .on_conflict(
            OnConflict::columns([RoleOption::RoleId, RoleOption::OptionId])
                .update_column(RoleOption::OptionValue)
                .to_owned(),
        );
    tx.execute(&insert).await?;
    Ok(())
}

/// Deletes a role with its options and what it implies or is implied by. The foreign keys would do it too, but not on
/// SQLite, where the reference leaves them off.
pub(in crate::assignment) async fn delete_role(tx: &mut Tx<'_>, id: &RoleId) -> Result<()> {
    let mut delete = Sql::delete();
    delete
        .from_table(ImpliedRole::Table)
        .cond_where(Expr::col(ImpliedRole::PriorRoleId).eq(&**id).or(Expr::col(ImpliedRole::ImpliedRoleId).eq(&**id)));
    tx.execute(&delete).await?;
    let mut delete = Sql::delete();
    delete.from_table(RoleOption::Table).and_where(Expr::col(RoleOption::RoleId).eq(&**id));
    tx.execute(&delete).await?;
    let mut delete = Sql::delete();
    delete.from_table(RoleTable::Table).and_where(Expr::col(RoleTable::Id).eq(&**id));
    tx.execute(&delete).await?;
    Ok(())
}

pub(in crate::assignment) async fn has_implied_role(db: impl Query, prior: &RoleId, implied: &RoleId) -> Result<bool> {
    let mut select = Sql::select();
    select
        .column(ImpliedRole::PriorRoleId)
        .from(ImpliedRole::Table)
        .and_where(Expr::col(ImpliedRole::PriorRoleId).eq(&**prior))
        .and_where(Expr::col(ImpliedRole::ImpliedRoleId).eq(&**implied));
    Ok(db.fetch_optional(&select).await?.is_some())
}

pub(in crate::assignment) async fn insert_implied_role(
    tx: &mut Tx<'_>,
    prior: &RoleId,
    implied: &RoleId,
) -> Result<()> {
    let mut insert = Sql::insert();
    insert
        .into_table(ImpliedRole::Table)
        .columns([ImpliedRole::PriorRoleId, ImpliedRole::ImpliedRoleId])
        .values_panic([(&**prior).into(), (&**implied).into()]);
    tx.execute(&insert).await.or_conflict("implied_role", || format!("{prior} implies {implied} already"))?;
    Ok(())
}

pub(in crate::assignment) async fn delete_implied_role(
    tx: &mut Tx<'_>,
    prior: &RoleId,
    implied: &RoleId,
) -> Result<bool> {
    let mut delete = Sql::delete();
    delete
        .from_table(ImpliedRole::Table)
        .and_where(Expr::col(ImpliedRole::PriorRoleId).eq(&**prior))
        .and_where(Expr::col(ImpliedRole::ImpliedRoleId).eq(&**implied));
    Ok(tx.execute(&delete).await? > 0)
}
