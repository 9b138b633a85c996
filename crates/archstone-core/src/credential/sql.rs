//! Queries of `credential`.

use archstone_db::tables::Credential as Table;
use archstone_db::{Query, Tx};
use sea_query::{Expr, ExprTrait as _, Func, Order, Query as Sql};

use crate::error::Result;

/// A row's secret as it is stored.
pub(super) struct Encrypted {
    pub(super) id: String,
    pub(super) blob: String,
    key_hash: String,
}

pub(super) async fn count_other_keys(db: impl Query, primary: &str) -> Result<u64> {
    let mut select = Sql::select();
    select
        .expr_as(Func::count(Expr::col(Table::Id)), "others")
        .from(Table::Table)
        .and_where(Expr::col(Table::KeyHash).ne(primary));
    let count: i64 = match db.fetch_optional(&select).await? {
        Some(row) => row.get("others")?,
        None => 0,
    };
    Ok(u64::try_from(count).unwrap_or_default())
}

pub(super) async fn list_other_keys(db: impl Query, primary: &str, limit: u64) -> Result<Vec<Encrypted>> {
    let mut select = Sql::select();
    select
        .columns([Table::Id, Table::EncryptedBlob, Table::KeyHash])
        .from(Table::Table)
        .and_where(Expr::col(Table::KeyHash).ne(primary))
        .order_by(Table::Id, Order::Asc)
        .limit(limit);
    let mut out = Vec::new();
    for row in db.fetch_all(&select).await? {
        out.push(Encrypted { id: row.get("id")?, blob: row.get("encrypted_blob")?, key_hash: row.get("key_hash")? });
    }
    Ok(out)
}

/// Only while the row is as it was read: what somebody else has just written is encrypted with the primary already.
pub(super) async fn update_encrypted(tx: &mut Tx<'_>, row: &Encrypted, blob: &str, key_hash: &str) -> Result<()> {
    let mut update = Sql::update();
    update
        .table(Table::Table)
        .value(Table::EncryptedBlob, blob)
        .value(Table::KeyHash, key_hash)
        .and_where(Expr::col(Table::Id).eq(&row.id))
        .and_where(Expr::col(Table::KeyHash).eq(&row.key_hash))
        .and_where(Expr::col(Table::EncryptedBlob).eq(&row.blob));
    tx.execute(&update).await?;
    Ok(())
}
