//! Queries of `revocation_event`.

use archstone_db::tables::RevocationEvent as Table;
use archstone_db::{Query, Tx};
use chrono::NaiveDateTime;
use sea_query::{Cond, Expr, ExprTrait as _, Order, Query as Sql, SelectStatement};

use super::{RevocationEvent, StoredEvent};
use crate::error::Result;
use crate::time::Timestamp;

/// How many events go into one statement.
const CHUNK: usize = 100;

pub(super) async fn insert(tx: &mut Tx<'_>, events: &[RevocationEvent], now: Timestamp) -> Result<()> {
    for chunk in events.chunks(CHUNK) {
        let mut insert = Sql::insert();
        insert.into_table(Table::Table).columns([
            Table::DomainId,
            Table::ProjectId,
            Table::UserId,
            Table::RoleId,
            Table::TrustId,
            Table::ConsumerId,
            Table::AccessTokenId,
            Table::AuditId,
            Table::AuditChainId,
            Table::ExpiresAt,
            Table::IssuedBefore,
            Table::RevokedAt,
        ]);
        for event in chunk {
            insert.values_panic([
                event.domain_id.clone().into(),
                event.project_id.clone().into(),
                event.user_id.clone().into(),
                event.role_id.clone().into(),
                event.trust_id.clone().into(),
                event.consumer_id.clone().into(),
                event.access_token_id.clone().into(),
                event.audit_id.clone().into(),
                event.audit_chain_id.clone().into(),
                event.expires_at.map(Timestamp::naive).into(),
                now.naive().into(),
                now.naive().into(),
            ]);
        }
        tx.execute(&insert).await?;
    }
    Ok(())
}

pub(super) async fn prune(tx: &mut Tx<'_>, revoked_before: Timestamp) -> Result<()> {
    let mut delete = Sql::delete();
    delete.from_table(Table::Table).and_where(Expr::col(Table::RevokedAt).lt(revoked_before.naive()));
    tx.execute(&delete).await?;
    Ok(())
}

/// The events after this id, and those of the ids from the first to the last of each gap.
pub(super) async fn list_after(db: impl Query, id: i64, gaps: &[(i64, i64)]) -> Result<Vec<StoredEvent>> {
    let mut select = select_all();
    let mut any = Cond::any().add(Expr::col(Table::Id).gt(id));
    let (single, wide): (Vec<_>, Vec<_>) = gaps.iter().partition(|(first, last)| first == last);
    if !single.is_empty() {
        any = any.add(Expr::col(Table::Id).is_in(single.into_iter().map(|(first, _)| first)));
    }
    for (first, last) in wide {
        any = any.add(Expr::col(Table::Id).between(first, last));
    }
    select.cond_where(any);
    fetch(db, &select).await
}

/// In the order in which they were made, which ids need not have.
pub(super) async fn list_since(db: impl Query, after: Option<Timestamp>) -> Result<Vec<StoredEvent>> {
    let mut select = select_all();
    if let Some(after) = after {
        select.and_where(Expr::col(Table::RevokedAt).gt(after.naive()));
    }
    select.order_by(Table::RevokedAt, Order::Asc).order_by(Table::Id, Order::Asc);
    fetch(db, &select).await
}

fn select_all() -> SelectStatement {
    let mut select = Sql::select();
    select
        .columns([
            Table::Id,
            Table::DomainId,
            Table::ProjectId,
            Table::UserId,
            Table::RoleId,
            Table::TrustId,
            Table::ConsumerId,
            Table::AccessTokenId,
            Table::AuditId,
            Table::AuditChainId,
            Table::ExpiresAt,
            Table::IssuedBefore,
            Table::RevokedAt,
        ])
        .from(Table::Table);
    select
}

async fn fetch(db: impl Query, select: &SelectStatement) -> Result<Vec<StoredEvent>> {
    let mut out = Vec::new();
    for row in db.fetch_all(select).await? {
        out.push(StoredEvent {
            id: row.get("id")?,
            event: RevocationEvent {
                domain_id: row.get("domain_id")?,
                project_id: row.get("project_id")?,
                user_id: row.get("user_id")?,
                role_id: row.get("role_id")?,
                trust_id: row.get("trust_id")?,
                consumer_id: row.get("consumer_id")?,
                access_token_id: row.get("access_token_id")?,
                audit_id: row.get("audit_id")?,
                audit_chain_id: row.get("audit_chain_id")?,
                expires_at: row.get::<Option<NaiveDateTime>>("expires_at")?.map(Timestamp::from_naive),
            },
            issued_before: Timestamp::from_naive(row.get("issued_before")?),
            revoked_at: Timestamp::from_naive(row.get("revoked_at")?),
        });
    }
    Ok(out)
}
