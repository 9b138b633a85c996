//! Queries of the catalog's tables.

pub(super) mod endpoint_filter;

use archstone_db::tables::{
    Endpoint as EndpointTable, PolicyAssociation, ProjectEndpoint, Region as RegionTable, Service as ServiceTable,
};
use archstone_db::{DbError, Query, Row, Tx, json_text};
use sea_query::{Expr, ExprTrait as _, Order, Query as Sql};
use serde_json::{Map, Value};

use super::{Endpoint, Region, Service};
use crate::error::{Result, Stored as _};
use crate::id::{EndpointId, RegionId, ServiceId};
use crate::list::sql::{ColumnKind, FilterColumn, fetch_list};
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

/// Whether there is such a region, which then stays until the transaction ends.
pub(super) async fn hold_region(tx: &mut Tx<'_>, id: &RegionId) -> Result<bool> {
    Ok(!tx.hold(RegionTable::Table, RegionTable::Id, &[id]).await?.is_empty())
}

/// Those of the regions that exist, which then stay until the transaction ends.
pub(super) async fn hold_regions(tx: &mut Tx<'_>, ids: &[RegionId]) -> Result<Vec<RegionId>> {
    let ids: Vec<&str> = ids.iter().map(|id| &**id).collect();
    Ok(tx.hold(RegionTable::Table, RegionTable::Id, &ids).await?.into_iter().map(RegionId::from).collect())
}

/// Has a region for itself until the transaction ends.
pub(super) async fn take_region(tx: &mut Tx<'_>, id: &RegionId) -> Result<()> {
    tx.take(RegionTable::Table, RegionTable::Id, &[id]).await?;
    Ok(())
}

pub(super) async fn list_regions(db: impl Query, query: &ListQuery) -> Result<(Page<Region>, Vec<Filter>)> {
    let mut select = Sql::select();
    select.columns(REGION_COLUMNS).from(RegionTable::Table);
    fetch_list(db, select, query, &REGION_FILTERS, region_from).await
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

/// The region and all below it, parents before children, for itself until the transaction ends; empty if there is no
/// such region. One query for each level.
pub(super) async fn take_region_subtree(tx: &mut Tx<'_>, id: &RegionId) -> Result<Vec<RegionId>> {
    let mut all: Vec<RegionId> = Vec::new();
    let found = tx.take(RegionTable::Table, RegionTable::Id, &[id]).await?;
    let mut level: Vec<RegionId> = found.into_iter().map(RegionId::from).collect();
    while !level.is_empty() {
        let mut select = Sql::select();
        select
            .column(RegionTable::Id)
            .from(RegionTable::Table)
            .and_where(Expr::col(RegionTable::ParentRegionId).is_in(level.iter().map(|id| &**id)))
            .lock_exclusive();
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

/// Deletes regions with their associations to policies.
pub(super) async fn delete_regions(tx: &mut Tx<'_>, regions: &[RegionId]) -> Result<()> {
    for region in regions {
        // One statement for each: MySQL checks a self reference row by row, in an order of its own.
        let mut delete = Sql::delete();
        delete.from_table(PolicyAssociation::Table).and_where(Expr::col(PolicyAssociation::RegionId).eq(&**region));
        tx.execute(&delete).await?;
        let mut delete = Sql::delete();
        delete.from_table(RegionTable::Table).and_where(Expr::col(RegionTable::Id).eq(&**region));
        tx.execute(&delete).await?;
    }
    Ok(())
}

const SERVICE_COLUMNS: [ServiceTable; 4] =
    [ServiceTable::Id, ServiceTable::Type, ServiceTable::Enabled, ServiceTable::Extra];

const SERVICE_FILTERS: [FilterColumn<ServiceTable>; 3] = [
    FilterColumn { name: "id", column: ServiceTable::Id, kind: ColumnKind::Text(64) },
    FilterColumn { name: "type", column: ServiceTable::Type, kind: ColumnKind::Text(255) },
    FilterColumn { name: "enabled", column: ServiceTable::Enabled, kind: ColumnKind::Flag },
];

fn service_from(row: &Row) -> Result<Service, DbError> {
    Ok(Service {
        id: row.get::<String>("id")?.into(),
        service_type: row.get("type")?,
        enabled: row.get("enabled")?,
        extra: extra_from(row)?,
    })
}

pub(super) async fn get_service(db: impl Query, id: &ServiceId) -> Result<Option<Service>> {
    let mut select = Sql::select();
    select.columns(SERVICE_COLUMNS).from(ServiceTable::Table).and_where(Expr::col(ServiceTable::Id).eq(&**id));
    Ok(db.fetch_optional(&select).await?.as_ref().map(service_from).transpose()?)
}

/// Whether there is such a service, which then stays until the transaction ends.
pub(super) async fn hold_service(tx: &mut Tx<'_>, id: &ServiceId) -> Result<bool> {
    Ok(!tx.hold(ServiceTable::Table, ServiceTable::Id, &[id]).await?.is_empty())
}

/// Has a service for itself until the transaction ends.
pub(super) async fn take_service(tx: &mut Tx<'_>, id: &ServiceId) -> Result<()> {
    tx.take(ServiceTable::Table, ServiceTable::Id, &[id]).await?;
    Ok(())
}

/// As [`take_service`]; those of the services that exist.
pub(super) async fn take_services(tx: &mut Tx<'_>, ids: &[ServiceId]) -> Result<Vec<ServiceId>> {
    let ids: Vec<&str> = ids.iter().map(|id| &**id).collect();
    Ok(tx.take(ServiceTable::Table, ServiceTable::Id, &ids).await?.into_iter().map(ServiceId::from).collect())
}

pub(super) async fn list_services(db: impl Query, query: &ListQuery) -> Result<(Page<Service>, Vec<Filter>)> {
    let mut select = Sql::select();
    select.columns(SERVICE_COLUMNS).from(ServiceTable::Table);
    fetch_list(db, select, query, &SERVICE_FILTERS, service_from).await
}

pub(super) async fn list_enabled_services(db: impl Query) -> Result<Vec<Service>> {
    let mut select = Sql::select();
    select
        .columns(SERVICE_COLUMNS)
        .from(ServiceTable::Table)
        .and_where(Expr::col(ServiceTable::Enabled).eq(true))
        .order_by(ServiceTable::Id, Order::Asc);
    Ok(db.fetch_all(&select).await?.iter().map(service_from).collect::<Result<_, _>>()?)
}

pub(super) async fn insert_service(tx: &mut Tx<'_>, service: &Service) -> Result<()> {
    let mut insert = Sql::insert();
    insert.into_table(ServiceTable::Table).columns(SERVICE_COLUMNS).values_panic([
        (&*service.id).into(),
        service.service_type.as_deref().into(),
        service.enabled.into(),
        json_text(&Value::Object(service.extra.clone())).into(),
    ]);
    tx.execute(&insert).await.or_conflict("service", || format!("Duplicate ID, {}", service.id))?;
    Ok(())
}

pub(super) async fn update_service(tx: &mut Tx<'_>, service: &Service) -> Result<()> {
    let mut update = Sql::update();
    update
        .table(ServiceTable::Table)
        .value(ServiceTable::Type, service.service_type.as_deref())
        .value(ServiceTable::Enabled, service.enabled)
        .value(ServiceTable::Extra, json_text(&Value::Object(service.extra.clone())))
        .and_where(Expr::col(ServiceTable::Id).eq(&*service.id));
    tx.execute(&update).await?;
    Ok(())
}

/// Deletes a service with its endpoints, and the associations of all of them to projects and policies.
pub(super) async fn delete_service(tx: &mut Tx<'_>, id: &ServiceId) -> Result<()> {
    let mut endpoints = Sql::select();
    endpoints
        .column(EndpointTable::Id)
        .from(EndpointTable::Table)
        .and_where(Expr::col(EndpointTable::ServiceId).eq(&**id));
    let mut delete = Sql::delete();
    delete
        .from_table(ProjectEndpoint::Table)
        .and_where(Expr::col(ProjectEndpoint::EndpointId).in_subquery(endpoints.clone()));
    tx.execute(&delete).await?;
    let of_service = Expr::col(PolicyAssociation::ServiceId).eq(&**id);
    let mut delete = Sql::delete();
    delete
        .from_table(PolicyAssociation::Table)
        .and_where(of_service.or(Expr::col(PolicyAssociation::EndpointId).in_subquery(endpoints)));
    tx.execute(&delete).await?;
    let mut delete = Sql::delete();
    delete.from_table(EndpointTable::Table).and_where(Expr::col(EndpointTable::ServiceId).eq(&**id));
    tx.execute(&delete).await?;
    let mut delete = Sql::delete();
    delete.from_table(ServiceTable::Table).and_where(Expr::col(ServiceTable::Id).eq(&**id));
    tx.execute(&delete).await?;
    Ok(())
}

const ENDPOINT_COLUMNS: [EndpointTable; 7] = [
    EndpointTable::Id,
    EndpointTable::Interface,
    EndpointTable::RegionId,
    EndpointTable::ServiceId,
    EndpointTable::Url,
    EndpointTable::Enabled,
    EndpointTable::Extra,
];

const ENDPOINT_FILTERS: [FilterColumn<EndpointTable>; 4] = [
    FilterColumn { name: "id", column: EndpointTable::Id, kind: ColumnKind::Text(64) },
    FilterColumn { name: "interface", column: EndpointTable::Interface, kind: ColumnKind::Text(8) },
    FilterColumn { name: "service_id", column: EndpointTable::ServiceId, kind: ColumnKind::Text(64) },
    FilterColumn { name: "region_id", column: EndpointTable::RegionId, kind: ColumnKind::Text(255) },
];

fn endpoint_from(row: &Row) -> Result<Endpoint, DbError> {
    Ok(Endpoint {
        id: row.get::<String>("id")?.into(),
        interface: row.get("interface")?,
        region_id: row.get::<Option<String>>("region_id")?.map(RegionId::from),
        service_id: row.get::<String>("service_id")?.into(),
        url: row.get("url")?,
        enabled: row.get("enabled")?,
        extra: extra_from(row)?,
    })
}

pub(super) async fn get_endpoint(db: impl Query, id: &EndpointId) -> Result<Option<Endpoint>> {
    let mut select = Sql::select();
    select.columns(ENDPOINT_COLUMNS).from(EndpointTable::Table).and_where(Expr::col(EndpointTable::Id).eq(&**id));
    Ok(db.fetch_optional(&select).await?.as_ref().map(endpoint_from).transpose()?)
}

/// Whether there is such an endpoint, which then stays until the transaction ends.
pub(super) async fn hold_endpoint(tx: &mut Tx<'_>, id: &EndpointId) -> Result<bool> {
    Ok(!tx.hold(EndpointTable::Table, EndpointTable::Id, &[id]).await?.is_empty())
}

/// Has an endpoint for itself until the transaction ends.
pub(super) async fn take_endpoint(tx: &mut Tx<'_>, id: &EndpointId) -> Result<()> {
    tx.take(EndpointTable::Table, EndpointTable::Id, &[id]).await?;
    Ok(())
}

pub(super) async fn list_endpoints(db: impl Query, query: &ListQuery) -> Result<(Page<Endpoint>, Vec<Filter>)> {
    let mut select = Sql::select();
    select.columns(ENDPOINT_COLUMNS).from(EndpointTable::Table);
    fetch_list(db, select, query, &ENDPOINT_FILTERS, endpoint_from).await
}

pub(super) async fn list_all_endpoints(db: impl Query) -> Result<Vec<Endpoint>> {
    let mut select = Sql::select();
    select.columns(ENDPOINT_COLUMNS).from(EndpointTable::Table).order_by(EndpointTable::Id, Order::Asc);
    Ok(db.fetch_all(&select).await?.iter().map(endpoint_from).collect::<Result<_, _>>()?)
}

pub(super) async fn insert_endpoint(tx: &mut Tx<'_>, endpoint: &Endpoint) -> Result<()> {
    let mut insert = Sql::insert();
    insert.into_table(EndpointTable::Table).columns(ENDPOINT_COLUMNS).values_panic([
        (&*endpoint.id).into(),
        endpoint.interface.as_str().into(),
        endpoint.region_id.as_deref().into(),
        (&*endpoint.service_id).into(),
        endpoint.url.as_str().into(),
        endpoint.enabled.into(),
        json_text(&Value::Object(endpoint.extra.clone())).into(),
    ]);
    tx.execute(&insert).await.or_conflict("endpoint", || format!("Duplicate ID, {}", endpoint.id))?;
    Ok(())
}

pub(super) async fn update_endpoint(tx: &mut Tx<'_>, endpoint: &Endpoint) -> Result<()> {
    let mut update = Sql::update();
    update
        .table(EndpointTable::Table)
        .value(EndpointTable::Interface, endpoint.interface.as_str())
        .value(EndpointTable::RegionId, endpoint.region_id.as_deref())
        .value(EndpointTable::ServiceId, &*endpoint.service_id)
        .value(EndpointTable::Url, endpoint.url.as_str())
        .value(EndpointTable::Enabled, endpoint.enabled)
        .value(EndpointTable::Extra, json_text(&Value::Object(endpoint.extra.clone())))
        .and_where(Expr::col(EndpointTable::Id).eq(&*endpoint.id));
    tx.execute(&update).await?;
    Ok(())
}

/// Deletes an endpoint with its associations to projects and policies; how many endpoints.
pub(super) async fn delete_endpoint(tx: &mut Tx<'_>, id: &EndpointId) -> Result<u64> {
    let mut delete = Sql::delete();
    delete.from_table(ProjectEndpoint::Table).and_where(Expr::col(ProjectEndpoint::EndpointId).eq(&**id));
    tx.execute(&delete).await?;
    let mut delete = Sql::delete();
    delete.from_table(PolicyAssociation::Table).and_where(Expr::col(PolicyAssociation::EndpointId).eq(&**id));
    tx.execute(&delete).await?;
    let mut delete = Sql::delete();
    delete.from_table(EndpointTable::Table).and_where(Expr::col(EndpointTable::Id).eq(&**id));
    Ok(tx.execute(&delete).await?)
}
