//! Failed logins: the counter in the user's own row, and the rows by network of `archstone_failed_login`.

use archstone_db::tables::{ArchstoneFailedLogin as Table, LocalUser as LocalTable};
use archstone_db::{Db, DbError, Query, Row, Tx};
use chrono::NaiveDateTime;
use sea_query::{Cond, Expr, ExprTrait as _, Func, OnConflict, Order, Query as Sql};

use super::user::StoredLocal;
use crate::error::Result;
use crate::id::UserId;
use crate::time::Timestamp;

/// How often logins failed, and when the last one did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::identity) struct Failures {
    pub(in crate::identity) count: i64,
    pub(in crate::identity) last: Option<Timestamp>,
}

/// A row of `archstone_failed_login`.
#[derive(Clone, Debug)]
pub(in crate::identity) struct NetworkFailures {
    pub(in crate::identity) user_id: UserId,
    pub(in crate::identity) factor: String,
    pub(in crate::identity) network: String,
    pub(in crate::identity) failures: Failures,
}

pub(in crate::identity) async fn get_local_failures(db: impl Query, local_user: i64) -> Result<Failures> {
    let mut select = Sql::select();
    select
        .columns([LocalTable::FailedAuthCount, LocalTable::FailedAuthAt])
        .from(LocalTable::Table)
        .and_where(Expr::col(LocalTable::Id).eq(local_user));
    let Some(row) = db.fetch_optional(&select).await? else { return Ok(Failures::default()) };
    Ok(Failures {
        count: row.get::<Option<i64>>("failed_auth_count")?.unwrap_or(0),
        last: row.get::<Option<NaiveDateTime>>("failed_auth_at")?.map(Timestamp::from_naive),
    })
}

/// Counts one more failed login, in the database, since others fail at the same time.
pub(in crate::identity) async fn count_local_failure(
    tx: &mut Tx<'_>,
    local: &StoredLocal,
    now: Timestamp,
) -> Result<()> {
    let mut update = Sql::update();
    update
        .table(LocalTable::Table)
        .value(LocalTable::FailedAuthCount, Expr::col(LocalTable::FailedAuthCount).if_null(0).add(1))
        .value(LocalTable::FailedAuthAt, now.naive())
        .and_where(Expr::col(LocalTable::Id).eq(local.id));
    tx.execute(&update).await?;
    Ok(())
}

pub(in crate::identity) async fn reset_local_failures(tx: &mut Tx<'_>, local: &StoredLocal) -> Result<()> {
    let mut update = Sql::update();
    update
        .table(LocalTable::Table)
        .value(LocalTable::FailedAuthCount, 0)
        .value(LocalTable::FailedAuthAt, Option::<NaiveDateTime>::None)
        .and_where(Expr::col(LocalTable::Id).eq(local.id));
    tx.execute(&update).await?;
    Ok(())
}

/// The failures in the first of these networks that has a row.
pub(in crate::identity) async fn get_failures(
    db: impl Query,
    user: &str,
    factor: &str,
    networks: &[&str],
) -> Result<Failures> {
    let mut select = Sql::select();
    select
        .columns([Table::UserId, Table::Factor, Table::Network, Table::Failures, Table::FailedAt])
        .from(Table::Table)
        .cond_where(row_of(user, factor, networks));
    let rows = db.fetch_all(&select).await?.iter().map(failures_from).collect::<Result<Vec<_>, DbError>>()?;
    let first = networks.iter().find_map(|network| rows.iter().find(|row| row.network == *network));
    Ok(first.map_or_else(Failures::default, |row| row.failures))
}

/// How many networks besides this one have a row; none if this one has.
pub(in crate::identity) async fn count_other_networks(
    mut db: impl Query,
    user: &str,
    factor: &str,
    network: &str,
) -> Result<i64> {
    let mut select = Sql::select();
    select.column(Table::Failures).from(Table::Table).cond_where(row_of(user, factor, &[network]));
    if db.by_ref().fetch_optional(&select).await?.is_some() {
        return Ok(0);
    }
    let mut select = Sql::select();
    select
        .expr_as(Func::count(Expr::col(Table::Network)), "networks")
        .from(Table::Table)
        .and_where(Expr::col(Table::UserId).eq(user))
        .and_where(Expr::col(Table::Factor).eq(factor));
    match db.fetch_optional(&select).await? {
        Some(row) => Ok(row.get("networks")?),
        None => Ok(0),
    }
}

pub(in crate::identity) async fn count_failure(
    tx: &mut Tx<'_>,
    user: &str,
    factor: &str,
    network: &str,
    now: Timestamp,
) -> Result<()> {
    let mut insert = Sql::insert();
    insert
        .into_table(Table::Table)
        .columns([Table::UserId, Table::Factor, Table::Network, Table::Failures, Table::FailedAt])
        .values_panic([user.into(), factor.into(), network.into(), 1_i64.into(), now.micros().into()])
        .on_conflict(
            OnConflict::columns([Table::UserId, Table::Factor, Table::Network])
                .value(Table::Failures, Expr::col((Table::Table, Table::Failures)).add(1))
                .value(Table::FailedAt, now.micros())
                .to_owned(),
        );
    tx.execute(&insert).await?;
    Ok(())
}

/// Deletes the rows of these networks; with a moment, those of failures up to it.
pub(in crate::identity) async fn delete_failures(
    tx: &mut Tx<'_>,
    user: &str,
    factor: &str,
    networks: &[&str],
    failed_before: Option<Timestamp>,
) -> Result<()> {
    let mut delete = Sql::delete();
    delete.from_table(Table::Table).cond_where(row_of(user, factor, networks));
    if let Some(before) = failed_before {
        delete.and_where(Expr::col(Table::FailedAt).lte(before.micros()));
    }
    tx.execute(&delete).await?;
    Ok(())
}

pub(in crate::identity) async fn delete_failures_of_users(tx: &mut Tx<'_>, ids: &[UserId]) -> Result<()> {
    for ids in ids.chunks(super::CHUNK) {
        let mut delete = Sql::delete();
        delete.from_table(Table::Table).and_where(Expr::col(Table::UserId).is_in(ids.iter().map(|id| &**id)));
        tx.execute(&delete).await?;
    }
    Ok(())
}

/// The failures of these users, by factor and network.
pub(in crate::identity) async fn list_failures(mut db: impl Query, users: &[UserId]) -> Result<Vec<NetworkFailures>> {
    let mut failures = Vec::new();
    for users in users.chunks(super::CHUNK) {
        let mut select = Sql::select();
        select
            .columns([Table::UserId, Table::Factor, Table::Network, Table::Failures, Table::FailedAt])
            .from(Table::Table)
            .and_where(Expr::col(Table::UserId).is_in(users.iter().map(|id| &**id)))
            .order_by(Table::Factor, Order::Asc)
            .order_by(Table::Network, Order::Asc);
        for row in db.by_ref().fetch_all(&select).await? {
            failures.push(failures_from(&row)?);
        }
    }
    Ok(failures)
}

/// Deletes what failed before a moment, but for rows of at least so many failures.
pub(in crate::identity) async fn delete_failures_before(db: &Db, before: Timestamp, keep: Option<i64>) -> Result<()> {
    db.write(|tx| {
        Box::pin(async move {
            let mut delete = Sql::delete();
            delete.from_table(Table::Table).and_where(Expr::col(Table::FailedAt).lt(before.micros()));
            if let Some(keep) = keep {
                // Nobody's count grows, too, and locks nobody.
                delete.cond_where(
                    Cond::any().add(Expr::col(Table::Failures).lt(keep)).add(Expr::col(Table::UserId).eq("")),
                );
            }
            tx.execute(&delete).await?;
            Ok(())
        })
    })
    .await
}

fn row_of(user: &str, factor: &str, networks: &[&str]) -> Cond {
    Cond::all()
        .add(Expr::col(Table::UserId).eq(user))
        .add(Expr::col(Table::Factor).eq(factor))
        .add(Expr::col(Table::Network).is_in(networks.iter().copied()))
}

fn failures_from(row: &Row) -> Result<NetworkFailures, DbError> {
    Ok(NetworkFailures {
        user_id: row.get::<String>("user_id")?.into(),
        factor: row.get("factor")?,
        network: row.get("network")?,
        failures: Failures { count: row.get("failures")?, last: Timestamp::from_micros(row.get("failed_at")?) },
    })
}
