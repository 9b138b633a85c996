//! Who may be concerned by a report; the rules decide about the rest.

use archstone_db::tables::{
    ArchstoneFailedLogin, LocalUser as LocalTable, Password as PasswordTable, User as UserTable,
};
use archstone_db::{DbError, Query};
use chrono::NaiveDate;
use sea_query::{Cond, Expr, ExprTrait as _, JoinType, Query as Sql, SelectStatement};

use crate::error::Result;
use crate::id::UserId;
use crate::time::Timestamp;

/// Users with a password, current or not, that expires up to a moment.
pub(in crate::identity) async fn list_ids_with_password_expiring(
    db: impl Query,
    until: Timestamp,
) -> Result<Vec<UserId>> {
    let expires_at = (PasswordTable::Table, PasswordTable::ExpiresAt);
    let expires_at_int = (PasswordTable::Table, PasswordTable::ExpiresAtInt);
    let mut select = Sql::select();
    select
        .distinct()
        .expr_as(Expr::col((LocalTable::Table, LocalTable::UserId)), "id")
        .from(LocalTable::Table)
        .join(
            JoinType::InnerJoin,
            PasswordTable::Table,
            Expr::col((PasswordTable::Table, PasswordTable::LocalUserId)).equals((LocalTable::Table, LocalTable::Id)),
        )
        .cond_where(
            Cond::any().add(Expr::col(expires_at_int).lte(until.micros())).add(
                Cond::all().add(Expr::col(expires_at_int).is_null()).add(Expr::col(expires_at).lte(until.naive())),
            ),
        );
    ids(db, &select).await
}

/// Users whose own counter has failures.
pub(in crate::identity) async fn list_ids_with_local_failures(db: impl Query) -> Result<Vec<UserId>> {
    let mut select = Sql::select();
    select
        .expr_as(Expr::col(LocalTable::UserId), "id")
        .from(LocalTable::Table)
        .and_where(Expr::col(LocalTable::FailedAuthCount).gt(0));
    ids(db, &select).await
}

/// Users with failures from some network.
pub(in crate::identity) async fn list_ids_with_failures(db: impl Query) -> Result<Vec<UserId>> {
    let mut select = Sql::select();
    select
        .distinct()
        .expr_as(Expr::col(ArchstoneFailedLogin::UserId), "id")
        .from(ArchstoneFailedLogin::Table)
        .and_where(Expr::col(ArchstoneFailedLogin::UserId).ne(""));
    ids(db, &select).await
}

/// Users who were last active on this day or before, or were made then and never active.
pub(in crate::identity) async fn list_ids_idle_since(db: impl Query, day: NaiveDate) -> Result<Vec<UserId>> {
    let end_of_day = day.succ_opt().unwrap_or(day).and_time(chrono::NaiveTime::MIN);
    let mut select = Sql::select();
    select.column(UserTable::Id).from(UserTable::Table).cond_where(
        Cond::any().add(Expr::col(UserTable::LastActiveAt).lte(day)).add(
            Cond::all()
                .add(Expr::col(UserTable::LastActiveAt).is_null())
                .add(Expr::col(UserTable::CreatedAt).lt(end_of_day)),
        ),
    );
    ids(db, &select).await
}

async fn ids(db: impl Query, select: &SelectStatement) -> Result<Vec<UserId>> {
    let rows = db.fetch_all(select).await?;
    Ok(rows.iter().map(|row| Ok(row.get::<String>("id")?.into())).collect::<Result<_, DbError>>()?)
}
