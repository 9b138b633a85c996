//! Queries of the catalog's tables.

use archstone_db::tables::{Endpoint as EndpointTable, Region as RegionTable};
use archstone_db::{DbError, Query, Row, Tx, json_text};
use sea_query::{Expr, ExprTrait as _, Query as Sql};
use serde_json::{Map, Value};

use super::Region;
use crate::error::{Result, Stored as _};
use crate::id::RegionId;
use crate::list::sql::{ColumnKind, FilterColumn, Filtered, apply_filters, apply_limit, cut};
use crate::list::{Filter, ListQuery, Page};

const REGION_COLUMNS: [RegionTable; 4] =
    [RegionTable::Id, RegionTable::Description, RegionTable::ParentRegionId, RegionTable::Extra];

const REGION_FILTERS: [FilterColumn<RegionTable>; 3] = [
    FilterColumn { name: "id", column: RegionTable::Id, kind: ColumnKind::Text(255) },
    FilterColumn { name: "description", column: RegionTable::Description, kind: ColumnKind::Text(255) },
    FilterColumn { name: "parent_region_id", column: RegionTable::ParentRegionId, kind: ColumnKind::Text(255) },
];

fn region_from(row: &Row) -> Result<Region, DbError> {
    Ok(Region {
        id: row.get::<String>("id")?.into(),
        description: row.get("description")?,
        parent_region_id: row.get::<Option<String>>("parent_region_id")?.map(RegionId::from),
        extra: extra_from(row)?,
    })
}

/// The `extra` column as an object; anything else in it is nothing.
fn extra_from(row: &Row) -> Result<Map<String, Value>, DbError> {
    Ok(match row.json("extra")? {
        Value::Object(extra) => extra,
        _ => Map::new(),
    })
}

pub(super) async fn get_region(db: impl Query, id: &RegionId) -> Result<Option<Region>> {
    let mut select = Sql::select();
    select.columns(REGION_COLUMNS).from(RegionTable::Table).and_where(Expr::col(RegionTable::Id).eq(&**id));
    Ok(db.fetch_optional(&select).await?.as_ref().map(region_from).transpose()?)
}

pub(super) async fn list_regions(db: impl Query, query: &ListQuery) -> Result<(Page<Region>, Vec<Filter>)> {
    let mut select = Sql::select();
    select.columns(REGION_COLUMNS).from(RegionTable::Table);
    let Filtered::Applied(remaining) = apply_filters(&mut select, query, &REGION_FILTERS) else {
        return Ok((Page::all(Vec::new()), Vec::new()));
    };
    apply_limit(&mut select, query, &remaining);
    let mut items = db.fetch_all(&select).await?.iter().map(region_from).collect::<Result<Vec<_>, _>>()?;
    let truncated = cut(&mut items, query, &remaining);
    Ok((Page { items, truncated }, remaining))
}

pub(super) async fn insert_region(tx: &mut Tx<'_>, region: &Region) -> Result<()> {
    let mut insert = Sql::insert();
    insert.into_table(RegionTable::Table).columns(REGION_COLUMNS).values_panic([
        (&*region.id).into(),
        region.description.as_str().into(),
        region.parent_region_id.as_deref().into(),
        json_text(&Value::Object(region.extra.clone())).into(),
    ]);
    tx.execute(&insert).await.or_conflict("region", || format!("Duplicate ID, {}", region.id))?;
    Ok(())
}

pub(super) async fn update_region(tx: &mut Tx<'_>, region: &Region) -> Result<()> {
    let mut update = Sql::update();
    update
        .table(RegionTable::Table)
        .value(RegionTable::Description, region.description.as_str())
        .value(RegionTable::ParentRegionId, region.parent_region_id.as_deref())
        .value(RegionTable::Extra, json_text(&Value::Object(region.extra.clone())))
        .and_where(Expr::col(RegionTable::Id).eq(&*region.id));
    tx.execute(&update).await?;
    Ok(())
}

/// The region and all below it, parents before children; empty if there is no such region. One query for each level.
pub(super) async fn region_subtree(tx: &mut Tx<'_>, id: &RegionId) -> Result<Vec<RegionId>> {
    let mut all: Vec<RegionId> = Vec::new();
    let mut level = match get_region(&mut *tx, id).await? {
        Some(region) => vec![region.id],
        None => return Ok(all),
    };
    while !level.is_empty() {
        let mut select = Sql::select();
        select
            .column(RegionTable::Id)
            .from(RegionTable::Table)
            .and_where(Expr::col(RegionTable::ParentRegionId).is_in(level.iter().map(|id| &**id)));
        let rows = tx.fetch_all(&select).await?;
        all.append(&mut level);
        for row in &rows {
            let child = RegionId::from(row.get::<String>("id")?);
            // A circle in the table must not make one here.
            if !all.contains(&child) {
                level.push(child);
            }
        }
    }
    Ok(all)
}

pub(super) async fn any_endpoint_in(tx: &mut Tx<'_>, regions: &[RegionId]) -> Result<bool> {
    let mut select = Sql::select();
    select
        .column(EndpointTable::Id)
        .from(EndpointTable::Table)
        .and_where(Expr::col(EndpointTable::RegionId).is_in(regions.iter().map(|id| &**id)))
        .limit(1);
    Ok(tx.fetch_optional(&select).await?.is_some())
}

pub(super) async fn delete_regions(tx: &mut Tx<'_>, regions: &[RegionId]) -> Result<()> {
    for region in regions {
        // One statement for each: MySQL checks a self reference row by row, in an order of its own.
        let mut delete = Sql::delete();
        delete.from_table(RegionTable::Table).and_where(Expr::col(RegionTable::Id).eq(&**region));
        tx.execute(&delete).await?;
    }
    Ok(())
}
