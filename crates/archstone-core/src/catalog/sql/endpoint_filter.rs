//! Queries of what narrows the catalogs of projects: their associations with endpoints and endpoint groups.

use std::collections::HashMap;

use archstone_db::tables::{EndpointGroup as GroupTable, ProjectEndpoint, ProjectEndpointGroup};
use archstone_db::{DbError, Query, Row, Tx, json_text};
use sea_query::{Expr, ExprTrait as _, Query as Sql, SelectStatement};
use serde_json::{Map, Value};

use crate::catalog::rendered::ProjectFilter;
use crate::catalog::{Endpoint, EndpointGroup};
use crate::error::{Result, Stored as _};
use crate::id::{EndpointGroupId, EndpointId, ProjectId};
use crate::list::sql::{ColumnKind, FilterColumn, fetch_list};
use crate::list::{Filter, ListQuery, Page};

/// How many ids go into one `IN (…)`.
const CHUNK: usize = 500;

const GROUP_COLUMNS: [GroupTable; 4] = [GroupTable::Id, GroupTable::Name, GroupTable::Description, GroupTable::Filters];

const GROUP_FILTERS: [FilterColumn<GroupTable>; 1] =
    [FilterColumn { name: "name", column: GroupTable::Name, kind: ColumnKind::Text(255) }];

fn group_from(row: &Row) -> Result<EndpointGroup, DbError> {
    Ok(EndpointGroup {
        id: row.get::<String>("id")?.into(),
        name: row.get("name")?,
        description: row.get("description")?,
        filters: filters_from(row)?,
    })
}

fn filters_from(row: &Row) -> Result<Map<String, Value>, DbError> {
    match row.json("filters")? {
        Value::Object(filters) => Ok(filters),
        // Nothing would let see all.
        _ => Err(DbError::Decode { column: "filters".to_owned(), detail: "not an object".to_owned() }),
    }
}

fn select_groups() -> SelectStatement {
    let mut select = Sql::select();
    select.columns(GROUP_COLUMNS.map(|column| (GroupTable::Table, column))).from(GroupTable::Table);
    select
}

pub(in crate::catalog) async fn get_group(db: impl Query, id: &EndpointGroupId) -> Result<Option<EndpointGroup>> {
    let mut select = select_groups();
    select.and_where(Expr::col(GroupTable::Id).eq(&**id));
    Ok(db.fetch_optional(&select).await?.as_ref().map(group_from).transpose()?)
}

/// Whether there is such an endpoint group, which this transaction then has for itself until it ends.
pub(in crate::catalog) async fn take_group(tx: &mut Tx<'_>, id: &EndpointGroupId) -> Result<bool> {
    Ok(!tx.take(GroupTable::Table, GroupTable::Id, &[id]).await?.is_empty())
}

pub(in crate::catalog) async fn list_groups(
    db: impl Query,
    query: &ListQuery,
) -> Result<(Page<EndpointGroup>, Vec<Filter>)> {
    fetch_list(db, select_groups(), query, &GROUP_FILTERS, group_from).await
}

/// The groups that are associated with a project.
pub(in crate::catalog) async fn list_groups_of_project(
    db: impl Query,
    project_id: &ProjectId,
) -> Result<Vec<EndpointGroup>> {
    let mut select = select_groups();
    select
        .inner_join(
            ProjectEndpointGroup::Table,
            Expr::col((ProjectEndpointGroup::Table, ProjectEndpointGroup::EndpointGroupId))
                .equals((GroupTable::Table, GroupTable::Id)),
        )
        .and_where(Expr::col((ProjectEndpointGroup::Table, ProjectEndpointGroup::ProjectId)).eq(&**project_id));
    Ok(db.fetch_all(&select).await?.iter().map(group_from).collect::<Result<_, _>>()?)
}

pub(in crate::catalog) async fn insert_group(tx: &mut Tx<'_>, group: &EndpointGroup) -> Result<()> {
    let mut insert = Sql::insert();
    insert.into_table(GroupTable::Table).columns(GROUP_COLUMNS).values_panic([
        (&*group.id).into(),
        group.name.as_str().into(),
        group.description.as_deref().into(),
        json_text(&Value::Object(group.filters.clone())).into(),
    ]);
    tx.execute(&insert).await.or_conflict("endpoint group", || format!("Duplicate ID, {}", group.id))?;
    Ok(())
}

pub(in crate::catalog) async fn update_group(tx: &mut Tx<'_>, group: &EndpointGroup) -> Result<()> {
    let mut update = Sql::update();
    update
        .table(GroupTable::Table)
        .value(GroupTable::Name, group.name.as_str())
        .value(GroupTable::Description, group.description.as_deref())
        .value(GroupTable::Filters, json_text(&Value::Object(group.filters.clone())))
        .and_where(Expr::col(GroupTable::Id).eq(&*group.id));
    tx.execute(&update).await?;
    Ok(())
}

/// Deletes a group with its associations; how many groups.
pub(in crate::catalog) async fn delete_group(tx: &mut Tx<'_>, id: &EndpointGroupId) -> Result<u64> {
    let mut delete = Sql::delete();
    delete
        .from_table(ProjectEndpointGroup::Table)
        .and_where(Expr::col(ProjectEndpointGroup::EndpointGroupId).eq(&**id));
    tx.execute(&delete).await?;
    let mut delete = Sql::delete();
    delete.from_table(GroupTable::Table).and_where(Expr::col(GroupTable::Id).eq(&**id));
    Ok(tx.execute(&delete).await?)
}

pub(in crate::catalog) async fn is_group_in_project(
    db: impl Query,
    group_id: &EndpointGroupId,
    project_id: &ProjectId,
) -> Result<bool> {
    let mut select = Sql::select();
    select
        .column(ProjectEndpointGroup::ProjectId)
        .from(ProjectEndpointGroup::Table)
        .and_where(Expr::col(ProjectEndpointGroup::EndpointGroupId).eq(&**group_id))
        .and_where(Expr::col(ProjectEndpointGroup::ProjectId).eq(&**project_id));
    Ok(db.fetch_optional(&select).await?.is_some())
}

pub(in crate::catalog) async fn list_projects_of_group(
    db: impl Query,
    group_id: &EndpointGroupId,
) -> Result<Vec<ProjectId>> {
    let mut select = Sql::select();
    select
        .column(ProjectEndpointGroup::ProjectId)
        .from(ProjectEndpointGroup::Table)
        .and_where(Expr::col(ProjectEndpointGroup::EndpointGroupId).eq(&**group_id));
    project_ids(db, &select).await
}

pub(in crate::catalog) async fn insert_group_in_project(
    tx: &mut Tx<'_>,
    group_id: &EndpointGroupId,
    project_id: &ProjectId,
) -> Result<()> {
    let mut insert = Sql::insert();
    insert
        .into_table(ProjectEndpointGroup::Table)
        .columns([ProjectEndpointGroup::EndpointGroupId, ProjectEndpointGroup::ProjectId])
        .values_panic([(&**group_id).into(), (&**project_id).into()]);
    tx.execute(&insert)
        .await
        .or_conflict("project_endpoint_group", || format!("{group_id} is associated with {project_id} already"))?;
    Ok(())
}

/// How many associations were deleted.
pub(in crate::catalog) async fn delete_group_in_project(
    tx: &mut Tx<'_>,
    group_id: &EndpointGroupId,
    project_id: &ProjectId,
) -> Result<u64> {
    let mut delete = Sql::delete();
    delete
        .from_table(ProjectEndpointGroup::Table)
        .and_where(Expr::col(ProjectEndpointGroup::EndpointGroupId).eq(&**group_id))
        .and_where(Expr::col(ProjectEndpointGroup::ProjectId).eq(&**project_id));
    Ok(tx.execute(&delete).await?)
}

pub(in crate::catalog) async fn is_endpoint_in_project(
    db: impl Query,
    endpoint_id: &EndpointId,
    project_id: &ProjectId,
) -> Result<bool> {
    let mut select = Sql::select();
    select
        .column(ProjectEndpoint::ProjectId)
        .from(ProjectEndpoint::Table)
        .and_where(Expr::col(ProjectEndpoint::EndpointId).eq(&**endpoint_id))
        .and_where(Expr::col(ProjectEndpoint::ProjectId).eq(&**project_id));
    Ok(db.fetch_optional(&select).await?.is_some())
}

pub(in crate::catalog) async fn list_projects_of_endpoint(
    db: impl Query,
    endpoint_id: &EndpointId,
) -> Result<Vec<ProjectId>> {
    let mut select = Sql::select();
    select
        .column(ProjectEndpoint::ProjectId)
        .from(ProjectEndpoint::Table)
        .and_where(Expr::col(ProjectEndpoint::EndpointId).eq(&**endpoint_id));
    project_ids(db, &select).await
}

async fn project_ids(db: impl Query, select: &SelectStatement) -> Result<Vec<ProjectId>> {
    let rows = db.fetch_all(select).await?;
    let id = |row: &Row| row.get::<String>("project_id").map(ProjectId::from);
    Ok(rows.iter().map(id).collect::<Result<_, DbError>>()?)
}

pub(in crate::catalog) async fn insert_endpoint_in_project(
    tx: &mut Tx<'_>,
    endpoint: &Endpoint,
    project_id: &ProjectId,
) -> Result<()> {
    let mut insert = Sql::insert();
    insert
        .into_table(ProjectEndpoint::Table)
        .columns([ProjectEndpoint::EndpointId, ProjectEndpoint::ProjectId])
        .values_panic([(&*endpoint.id).into(), (&**project_id).into()]);
    tx.execute(&insert)
        .await
        .or_conflict("project_endpoint", || format!("{} is associated with {project_id} already", endpoint.id))?;
    Ok(())
}

/// How many associations were deleted.
pub(in crate::catalog) async fn delete_endpoint_in_project(
    tx: &mut Tx<'_>,
    endpoint_id: &EndpointId,
    project_id: &ProjectId,
) -> Result<u64> {
    let mut delete = Sql::delete();
    delete
        .from_table(ProjectEndpoint::Table)
        .and_where(Expr::col(ProjectEndpoint::EndpointId).eq(&**endpoint_id))
        .and_where(Expr::col(ProjectEndpoint::ProjectId).eq(&**project_id));
    Ok(tx.execute(&delete).await?)
}

/// Whether any project is associated with an endpoint or an endpoint group.
pub(in crate::catalog) async fn any_association(mut db: impl Query) -> Result<bool> {
    let mut select = Sql::select();
    select.column(ProjectEndpoint::ProjectId).from(ProjectEndpoint::Table).limit(1);
    if db.by_ref().fetch_optional(&select).await?.is_some() {
        return Ok(true);
    }
    let mut select = Sql::select();
    select.column(ProjectEndpointGroup::ProjectId).from(ProjectEndpointGroup::Table).limit(1);
    Ok(db.fetch_optional(&select).await?.is_some())
}

/// What the associations of each of these projects let it see; nothing for those that have none.
pub(in crate::catalog) async fn project_filters(
    mut db: impl Query,
    ids: &[ProjectId],
) -> Result<HashMap<ProjectId, ProjectFilter>> {
    let mut filters: HashMap<ProjectId, ProjectFilter> = HashMap::new();
    for ids in ids.chunks(CHUNK) {
        let ids = || ids.iter().map(|id| &**id);
        let mut select = Sql::select();
        select
            .columns([ProjectEndpoint::ProjectId, ProjectEndpoint::EndpointId])
            .from(ProjectEndpoint::Table)
            .and_where(Expr::col(ProjectEndpoint::ProjectId).is_in(ids()));
        for row in db.by_ref().fetch_all(&select).await? {
            let filter = filters.entry(row.get::<String>("project_id")?.into()).or_default();
            filter.endpoint_ids.insert(row.get::<String>("endpoint_id")?.into());
        }
        let mut select = Sql::select();
        select
            .column((ProjectEndpointGroup::Table, ProjectEndpointGroup::ProjectId))
            .column((GroupTable::Table, GroupTable::Filters))
            .from(GroupTable::Table)
            .inner_join(
                ProjectEndpointGroup::Table,
                Expr::col((ProjectEndpointGroup::Table, ProjectEndpointGroup::EndpointGroupId))
                    .equals((GroupTable::Table, GroupTable::Id)),
            )
            .and_where(Expr::col((ProjectEndpointGroup::Table, ProjectEndpointGroup::ProjectId)).is_in(ids()));
        for row in db.by_ref().fetch_all(&select).await? {
            if let Value::Object(conditions) = row.json("filters")? {
                let filter = filters.entry(row.get::<String>("project_id")?.into()).or_default();
                filter.groups.push(conditions);
            }
        }
    }
    Ok(filters)
}
