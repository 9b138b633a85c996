//! Queries of `policy` and `policy_association`.

use archstone_db::tables::{Policy as PolicyTable, PolicyAssociation as AssociationTable};
use archstone_db::{DbError, Query, Row, Tx, json_text};
use sea_query::{Condition, Expr, ExprTrait as _, Query as Sql, SelectStatement};
use serde_json::{Map, Value};

use super::{Policy, PolicyTarget};
use crate::catalog::Endpoint;
use crate::error::{Result, Stored as _};
use crate::id::{PolicyId, new_hex_id};

const POLICY_COLUMNS: [PolicyTable; 4] = [PolicyTable::Id, PolicyTable::Blob, PolicyTable::Type, PolicyTable::Extra];

fn policy_from(row: &Row) -> Result<Policy, DbError> {
    Ok(Policy {
        id: row.get::<String>("id")?.into(),
        blob: row.json("blob")?,
        policy_type: row.get("type")?,
        extra: match row.json("extra")? {
            Value::Object(extra) => extra,
            _ => Map::new(),
        },
    })
}

fn select_policies() -> SelectStatement {
    let mut select = Sql::select();
    select.columns(POLICY_COLUMNS).from(PolicyTable::Table);
    select
}

pub(super) async fn get_policy(db: impl Query, id: &PolicyId) -> Result<Option<Policy>> {
    let mut select = select_policies();
    select.and_where(Expr::col(PolicyTable::Id).eq(&**id));
    Ok(db.fetch_optional(&select).await?.as_ref().map(policy_from).transpose()?)
}

/// As [`get_policy`], for itself until the transaction ends.
pub(super) async fn take_policy(tx: &mut Tx<'_>, id: &PolicyId) -> Result<Option<Policy>> {
    let mut select = select_policies();
    select.and_where(Expr::col(PolicyTable::Id).eq(&**id)).lock_exclusive();
    Ok(tx.fetch_optional(&select).await?.as_ref().map(policy_from).transpose()?)
}

pub(super) async fn list_policies(db: impl Query) -> Result<Vec<Policy>> {
    Ok(db.fetch_all(&select_policies()).await?.iter().map(policy_from).collect::<Result<_, _>>()?)
}

pub(super) async fn insert_policy(tx: &mut Tx<'_>, policy: &Policy) -> Result<()> {
    let mut insert = Sql::insert();
    insert.into_table(PolicyTable::Table).columns(POLICY_COLUMNS).values_panic([
        (&*policy.id).into(),
        json_text(&policy.blob).into(),
        policy.policy_type.as_str().into(),
        json_text(&Value::Object(policy.extra.clone())).into(),
    ]);
    tx.execute(&insert).await.or_conflict("policy", || format!("Duplicate ID, {}", policy.id))?;
    Ok(())
}

pub(super) async fn update_policy(tx: &mut Tx<'_>, policy: &Policy) -> Result<()> {
    let mut update = Sql::update();
    update
        .table(PolicyTable::Table)
        .value(PolicyTable::Blob, json_text(&policy.blob))
        .value(PolicyTable::Type, policy.policy_type.as_str())
        .value(PolicyTable::Extra, json_text(&Value::Object(policy.extra.clone())))
        .and_where(Expr::col(PolicyTable::Id).eq(&*policy.id));
    tx.execute(&update).await?;
    Ok(())
}

/// Deletes a policy with its associations.
pub(super) async fn delete_policy(tx: &mut Tx<'_>, id: &PolicyId) -> Result<()> {
    let mut delete = Sql::delete();
    delete.from_table(AssociationTable::Table).and_where(Expr::col(AssociationTable::PolicyId).eq(&**id));
    tx.execute(&delete).await?;
    let mut delete = Sql::delete();
    delete.from_table(PolicyTable::Table).and_where(Expr::col(PolicyTable::Id).eq(&**id));
    tx.execute(&delete).await?;
    Ok(())
}

/// The values of the three columns that say what a policy is associated with.
fn columns_of(target: &PolicyTarget) -> [(AssociationTable, Option<&str>); 3] {
    let (endpoint, service, region) = match target {
        PolicyTarget::Endpoint(endpoint) => (Some(&**endpoint), None, None),
        PolicyTarget::Service(service) => (None, Some(&**service), None),
        PolicyTarget::ServiceInRegion(service, region) => (None, Some(&**service), Some(&**region)),
    };
    [
        (AssociationTable::EndpointId, endpoint),
        (AssociationTable::ServiceId, service),
        (AssociationTable::RegionId, region),
    ]
}

fn is_target(target: &PolicyTarget) -> Condition {
    columns_of(target).into_iter().fold(Condition::all(), |all, (column, value)| match value {
        Some(value) => all.add(Expr::col(column).eq(value)),
        None => all.add(Expr::col(column).is_null()),
    })
}

/// None for a row that is associated with nothing that the API knows.
fn target_from(row: &Row) -> Result<Option<PolicyTarget>, DbError> {
    let text = |column| row.get::<Option<String>>(column);
    Ok(match (text("endpoint_id")?, text("service_id")?, text("region_id")?) {
        (Some(endpoint), _, _) => Some(PolicyTarget::Endpoint(endpoint.into())),
        (None, Some(service), None) => Some(PolicyTarget::Service(service.into())),
        (None, Some(service), Some(region)) => Some(PolicyTarget::ServiceInRegion(service.into(), region.into())),
        (None, None, _) => None,
    })
}

pub(super) async fn is_associated(db: impl Query, id: &PolicyId, target: &PolicyTarget) -> Result<bool> {
    let mut select = Sql::select();
    select
        .column(AssociationTable::Id)
        .from(AssociationTable::Table)
        .and_where(Expr::col(AssociationTable::PolicyId).eq(&**id))
        .cond_where(is_target(target));
    Ok(db.fetch_optional(&select).await?.is_some())
}

/// Makes it the policy of the target. The table's key lets a target be there twice where a column of it is null, so
/// whoever calls this must keep others from doing the same.
pub(super) async fn upsert_association(tx: &mut Tx<'_>, id: &PolicyId, target: &PolicyTarget) -> Result<()> {
    let mut update = Sql::update();
    update.table(AssociationTable::Table).value(AssociationTable::PolicyId, &**id).cond_where(is_target(target));
    if tx.execute(&update).await? > 0 {
        return Ok(());
    }
    let [endpoint, service, region] = columns_of(target);
    let mut insert = Sql::insert();
    insert
        .into_table(AssociationTable::Table)
        .columns([AssociationTable::Id, AssociationTable::PolicyId, endpoint.0, service.0, region.0])
        .values_panic([new_hex_id().into(), (&**id).into(), endpoint.1.into(), service.1.into(), region.1.into()]);
    tx.execute(&insert).await?;
    Ok(())
}

pub(super) async fn delete_association(tx: &mut Tx<'_>, id: &PolicyId, target: &PolicyTarget) -> Result<()> {
    let mut delete = Sql::delete();
    delete
        .from_table(AssociationTable::Table)
        .and_where(Expr::col(AssociationTable::PolicyId).eq(&**id))
        .cond_where(is_target(target));
    tx.execute(&delete).await?;
    Ok(())
}

const ASSOCIATION_COLUMNS: [AssociationTable; 4] =
    [AssociationTable::PolicyId, AssociationTable::EndpointId, AssociationTable::ServiceId, AssociationTable::RegionId];

/// What a policy is associated with.
pub(super) async fn list_targets(db: impl Query, id: &PolicyId) -> Result<Vec<PolicyTarget>> {
    let mut select = Sql::select();
    select
        .columns(ASSOCIATION_COLUMNS)
        .from(AssociationTable::Table)
        .and_where(Expr::col(AssociationTable::PolicyId).eq(&**id));
    let rows = db.fetch_all(&select).await?;
    Ok(rows.iter().filter_map(|row| target_from(row).transpose()).collect::<Result<_, _>>()?)
}

/// All associations with an endpoint, or with its service in whatever region.
pub(super) async fn list_associations_of_endpoint(
    db: impl Query,
    endpoint: &Endpoint,
) -> Result<Vec<(PolicyTarget, PolicyId)>> {
    let mut select = Sql::select();
    select.columns(ASSOCIATION_COLUMNS).from(AssociationTable::Table).cond_where(
        Condition::any()
            .add(Expr::col(AssociationTable::EndpointId).eq(&*endpoint.id))
            .add(Expr::col(AssociationTable::ServiceId).eq(&*endpoint.service_id)),
    );
    let mut all = Vec::new();
    for row in &db.fetch_all(&select).await? {
        if let Some(target) = target_from(row)? {
            all.push((target, row.get::<String>("policy_id")?.into()));
        }
    }
    Ok(all)
}
