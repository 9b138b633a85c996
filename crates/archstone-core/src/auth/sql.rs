//! Queries of `archstone_used_passcode`.

use archstone_db::tables::ArchstoneUsedPasscode as Table;
use archstone_db::{Db, DbError, Tx};
use sea_query::{Expr, ExprTrait as _, Query as Sql};

use crate::error::Result;
use crate::id::UserId;

/// Remembers that a passcode was used. A conflict if it was used before.
pub(super) async fn insert_passcode(tx: &mut Tx<'_>, user: &UserId, step: i64, passcode: &str) -> Result<(), DbError> {
    let mut insert = Sql::insert();
    insert.into_table(Table::Table).columns([Table::UserId, Table::Step, Table::Passcode]).values_panic([
        (&**user).into(),
        step.into(),
        passcode.into(),
    ]);
    tx.execute(&insert).await?;
    Ok(())
}

pub(super) async fn delete_passcodes_before(db: &Db, step: i64) -> Result<u64> {
    db.write(|tx| {
        Box::pin(async move {
            let mut delete = Sql::delete();
            delete.from_table(Table::Table).and_where(Expr::col(Table::Step).lt(step));
            Ok(tx.execute(&delete).await?)
        })
    })
    .await
}
