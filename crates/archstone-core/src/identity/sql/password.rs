//! Passwords.

use archstone_db::Tx;
use archstone_db::tables::Password as PasswordTable;
use sea_query::{Expr, ExprTrait as _, Query as Sql};

use super::user::StoredPassword;
use crate::error::Result;
use crate::identity::compliance::NewPassword;
use crate::time::Timestamp;

pub(in crate::identity) async fn insert_password(
    tx: &mut Tx<'_>,
    local_user: i64,
    password: &NewPassword,
) -> Result<()> {
    let mut insert = Sql::insert();
    insert
        .into_table(PasswordTable::Table)
        .columns([
            PasswordTable::LocalUserId,
            PasswordTable::PasswordHash,
            PasswordTable::SelfService,
            PasswordTable::CreatedAt,
            PasswordTable::CreatedAtInt,
            PasswordTable::ExpiresAt,
            PasswordTable::ExpiresAtInt,
        ])
        .values_panic([
            local_user.into(),
            password.hash.as_deref().into(),
            password.self_service.into(),
            password.created_at.naive().into(),
            password.created_at.micros().into(),
            password.expires_at.map(Timestamp::naive).into(),
            password.expires_at.map(Timestamp::micros).into(),
        ]);
    tx.execute(&insert).await?;
    Ok(())
}

pub(in crate::identity) async fn delete_passwords(tx: &mut Tx<'_>, ids: &[i64]) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let mut delete = Sql::delete();
    delete.from_table(PasswordTable::Table).and_where(Expr::col(PasswordTable::Id).is_in(ids.iter().copied()));
    tx.execute(&delete).await?;
    Ok(())
}

/// Lets those of the passwords expire now that have not yet.
pub(in crate::identity) async fn expire_passwords(
    tx: &mut Tx<'_>,
    passwords: &[&StoredPassword],
    now: Timestamp,
) -> Result<()> {
    let valid: Vec<i64> = passwords
        .iter()
        .filter(|password| password.expires_at.is_none_or(|at| at > now))
        .map(|password| password.id)
        .collect();
    if valid.is_empty() {
        return Ok(());
    }
    let mut update = Sql::update();
    update
        .table(PasswordTable::Table)
        .value(PasswordTable::ExpiresAt, now.naive())
        .value(PasswordTable::ExpiresAtInt, now.micros())
        .and_where(Expr::col(PasswordTable::Id).is_in(valid));
    tx.execute(&update).await?;
    Ok(())
}
