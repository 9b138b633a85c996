//! Queries of `trust` and `trust_role`.

use archstone_db::tables::{Trust as Table, TrustRole as RoleLink};
use archstone_db::{DbError, Query, Row, Tx, json_text};
use chrono::NaiveDateTime;
use sea_query::{Condition, Expr, ExprTrait as _, Order, Query as Sql, SelectStatement};
use serde_json::Value;

use super::{Flush, Trust, TrustsOf};
use crate::error::{Result, Stored as _};
use crate::id::{ProjectId, RoleId, TrustId};
use crate::time::Timestamp;

/// How many ids go into one `IN (…)`.
const CHUNK: usize = 500;

/// The trusts that are not deleted.
fn select() -> SelectStatement {
    let mut select = Sql::select();
    select
        .columns([
            Table::Id,
            Table::TrustorUserId,
            Table::TrusteeUserId,
            Table::ProjectId,
            Table::Impersonation,
            Table::ExpiresAt,
            Table::ExpiresAtInt,
            Table::RemainingUses,
            Table::RedelegatedTrustId,
            Table::RedelegationCount,
            Table::Extra,
        ])
        .from(Table::Table)
        .and_where(Expr::col(Table::DeletedAt).is_null());
    select
}

fn trust_from(row: &Row) -> Result<Trust, DbError> {
    // Rows of before 2017 have the older column only.
    let end = match row.get::<Option<i64>>("expires_at_int")?.and_then(Timestamp::from_micros) {
        Some(end) => Some(end),
        None => row.get::<Option<NaiveDateTime>>("expires_at")?.map(Timestamp::from_naive),
    };
    let mut extra = match row.json("extra")? {
        Value::Object(extra) => extra,
        _ => serde_json::Map::new(),
    };
    // The reference keeps the roles of the request here too, and does not look at them.
    extra.remove("roles");
    Ok(Trust {
        id: row.get::<String>("id")?.into(),
        trustor_user_id: row.get::<String>("trustor_user_id")?.into(),
        trustee_user_id: row.get::<String>("trustee_user_id")?.into(),
        // The reference keeps an empty text for a project that was given as one.
        project_id: row.get::<Option<String>>("project_id")?.filter(|id| !id.is_empty()).map(ProjectId::from),
        impersonation: row.get("impersonation")?,
        expires_at: end,
        remaining_uses: row.get("remaining_uses")?,
        redelegated_trust_id: row.get::<Option<String>>("redelegated_trust_id")?.map(TrustId::from),
        redelegation_count: row.get("redelegation_count")?,
        role_ids: [].into(),
        extra,
    })
}

/// The trust with its roles, unless it is deleted.
pub(super) async fn get(mut db: impl Query, id: &TrustId) -> Result<Option<Trust>> {
    let mut select = select();
    select.and_where(Expr::col(Table::Id).eq(&**id));
    let Some(row) = db.by_ref().fetch_optional(&select).await? else { return Ok(None) };
    let mut trust = trust_from(&row)?;
    let mut links = Sql::select();
    links.column(RoleLink::RoleId).from(RoleLink::Table).and_where(Expr::col(RoleLink::TrustId).eq(&**id));
    for row in db.fetch_all(&links).await? {
        trust.role_ids.insert(row.get::<String>("role_id")?.into());
    }
    Ok(Some(trust))
}

/// Trusts without their roles.
pub(super) async fn list(db: impl Query, of: &TrustsOf) -> Result<Vec<Trust>> {
    let mut select = select();
    select.order_by(Table::Id, Order::Asc);
    match of {
        TrustsOf::All => {}
        TrustsOf::Trustor(id) => {
            select.and_where(Expr::col(Table::TrustorUserId).eq(&**id));
        }
        TrustsOf::Trustee(id) => {
            select.and_where(Expr::col(Table::TrusteeUserId).eq(&**id));
        }
    }
    Ok(db.fetch_all(&select).await?.iter().map(trust_from).collect::<Result<_, _>>()?)
}

pub(super) async fn insert(tx: &mut Tx<'_>, trust: &Trust) -> Result<()> {
    let mut insert = Sql::insert();
    insert
        .into_table(Table::Table)
        .columns([
            Table::Id,
            Table::TrustorUserId,
            Table::TrusteeUserId,
            Table::ProjectId,
            Table::Impersonation,
            Table::ExpiresAt,
            Table::ExpiresAtInt,
            Table::RemainingUses,
            Table::RedelegatedTrustId,
            Table::RedelegationCount,
            Table::Extra,
        ])
        .values_panic([
            (&*trust.id).into(),
            (&*trust.trustor_user_id).into(),
            (&*trust.trustee_user_id).into(),
            trust.project_id.as_deref().into(),
            trust.impersonation.into(),
            trust.expires_at.map(Timestamp::naive).into(),
            trust.expires_at.map(Timestamp::micros).into(),
            trust.remaining_uses.into(),
            trust.redelegated_trust_id.as_deref().into(),
            trust.redelegation_count.into(),
            json_text(&Value::Object(trust.extra.clone())).into(),
        ]);
    tx.execute(&insert).await.or_conflict("trust", || {
        "there is one of the same trustor, trustee, project, impersonation and end".to_owned()
    })?;
    Ok(())
}

pub(super) async fn insert_roles(tx: &mut Tx<'_>, id: &TrustId, roles: &[RoleId]) -> Result<()> {
    if roles.is_empty() {
        return Ok(());
    }
    let mut insert = Sql::insert();
    insert.into_table(RoleLink::Table).columns([RoleLink::TrustId, RoleLink::RoleId]);
    for role in roles {
        insert.values_panic([(&**id).into(), (&**role).into()]);
    }
    tx.execute(&insert).await.or_conflict("trust", || "a role is named twice".to_owned())?;
    Ok(())
}

/// Has trusts for itself until the transaction ends; those of them that are not deleted.
pub(super) async fn take_alive(tx: &mut Tx<'_>, ids: &[TrustId]) -> Result<Vec<TrustId>> {
    tx.take(Table::Table, Table::Id, &ids.iter().map(|id| &**id).collect::<Vec<_>>()).await?;
    list_ids_alive(tx, Table::Id, ids).await
}

/// Keeps a trust until the transaction ends; whether there is one that is not deleted.
pub(super) async fn hold(tx: &mut Tx<'_>, id: &TrustId) -> Result<bool> {
    tx.hold(Table::Table, Table::Id, &[id]).await?;
    Ok(!list_ids_alive(tx, Table::Id, std::slice::from_ref(id)).await?.is_empty())
}

/// The trusts that were made by way of these, and are not deleted.
pub(super) async fn list_redelegated(db: impl Query, of: &[TrustId]) -> Result<Vec<TrustId>> {
    list_ids_alive(db, Table::RedelegatedTrustId, of).await
}

async fn list_ids_alive(mut db: impl Query, column: Table, among: &[TrustId]) -> Result<Vec<TrustId>> {
    let mut ids = Vec::new();
    for chunk in among.chunks(CHUNK) {
        let mut select = Sql::select();
        select
            .column(Table::Id)
            .from(Table::Table)
            .and_where(Expr::col(column).is_in(chunk.iter().map(|id| &**id)))
            .and_where(Expr::col(Table::DeletedAt).is_null());
        for row in db.by_ref().fetch_all(&select).await? {
            ids.push(row.get::<String>("id")?.into());
        }
    }
    Ok(ids)
}

pub(super) async fn mark_deleted(tx: &mut Tx<'_>, ids: &[TrustId], now: Timestamp) -> Result<()> {
    for chunk in ids.chunks(CHUNK) {
        let mut update = Sql::update();
        update
            .table(Table::Table)
            .value(Table::DeletedAt, now.naive())
            .and_where(Expr::col(Table::Id).is_in(chunk.iter().map(|id| &**id)));
        tx.execute(&update).await?;
    }
    Ok(())
}

/// Takes one use, in one statement, so that nobody takes the same one; whether there was any.
pub(super) async fn take_use(tx: &mut Tx<'_>, id: &TrustId) -> Result<bool> {
    let mut update = Sql::update();
    update
        .table(Table::Table)
        .value(Table::RemainingUses, Expr::col(Table::RemainingUses).sub(1))
        .and_where(Expr::col(Table::Id).eq(&**id))
        .and_where(Expr::col(Table::DeletedAt).is_null())
        .and_where(Expr::col(Table::RemainingUses).gt(0));
    Ok(tx.execute(&update).await? > 0)
}

/// What [`flush`] takes away.
fn flushed(flush: &Flush, ended_before: Timestamp) -> Condition {
    // A row of before 2017 has the older column only.
    let ended = Condition::any()
        .add(Expr::col(Table::ExpiresAtInt).lt(ended_before.micros()))
        .add(Expr::col(Table::ExpiresAtInt).is_null().and(Expr::col(Table::ExpiresAt).lt(ended_before.naive())));
    let mut all = Condition::all().add(Condition::any().add(Expr::col(Table::DeletedAt).is_not_null()).add(ended));
    if let Some(id) = &flush.project_id {
        all = all.add(Expr::col(Table::ProjectId).eq(&**id));
    }
    if let Some(id) = &flush.trustor_user_id {
        all = all.add(Expr::col(Table::TrustorUserId).eq(&**id));
    }
    if let Some(id) = &flush.trustee_user_id {
        all = all.add(Expr::col(Table::TrusteeUserId).eq(&**id));
    }
    all
}

/// Those of what [`flush`] takes away that could still be used.
pub(super) async fn list_flushed_alive(
    db: impl Query,
    flush: &Flush,
    ended_before: Timestamp,
    now: Timestamp,
) -> Result<Vec<TrustId>> {
    let mut select = select();
    select.cond_where(flushed(flush, ended_before)).and_where(Expr::col(Table::ExpiresAtInt).gte(now.micros()));
    let rows = db.fetch_all(&select).await?;
    Ok(rows.iter().map(|row| row.get::<String>("id").map(TrustId::from)).collect::<Result<_, DbError>>()?)
}

pub(super) async fn flush(tx: &mut Tx<'_>, flush: &Flush, ended_before: Timestamp) -> Result<u64> {
    let mut ids = Sql::select();
    ids.column(Table::Id).from(Table::Table).cond_where(flushed(flush, ended_before));
    let mut delete = Sql::delete();
    // The reference leaves these behind.
    delete.from_table(RoleLink::Table).and_where(Expr::col(RoleLink::TrustId).in_subquery(ids));
    tx.execute(&delete).await?;
    let mut delete = Sql::delete();
    delete.from_table(Table::Table).cond_where(flushed(flush, ended_before));
    Ok(tx.execute(&delete).await?)
}
