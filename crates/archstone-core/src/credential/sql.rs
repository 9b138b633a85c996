//! Queries of `credential`.

use archstone_db::tables::{Credential as Table, Project as ProjectTable, User as UserTable};
use archstone_db::{DbError, Query, Row, Tx, json_text};
use sea_query::{Expr, ExprTrait as _, Func, Order, Query as Sql, SelectStatement};
use serde_json::{Map, Value};

use super::Credential;
use crate::error::{Result, Stored as _};
use crate::id::{CredentialId, ProjectId, UserId};
use crate::list::sql::{ColumnKind, FilterColumn, Filtered, apply_filters};
use crate::list::{Filter, ListQuery};

const COLUMNS: [Table; 7] =
    [Table::Id, Table::UserId, Table::ProjectId, Table::Type, Table::Extra, Table::EncryptedBlob, Table::KeyHash];

const FILTERS: [FilterColumn<Table>; 2] = [
    FilterColumn { name: "user_id", column: Table::UserId, kind: ColumnKind::Text(64) },
    FilterColumn { name: "type", column: Table::Type, kind: ColumnKind::Text(255) },
];

fn select() -> SelectStatement {
    let mut select = Sql::select();
    select.columns(COLUMNS).from(Table::Table);
    select
}

fn credential_from(row: &Row) -> Result<Credential, DbError> {
    Ok(Credential {
        id: row.get::<String>("id")?.into(),
        user_id: row.get::<String>("user_id")?.into(),
        project_id: row.get::<Option<String>>("project_id")?.map(ProjectId::from),
        kind: row.get("type")?,
        extra: match row.json("extra")? {
            Value::Object(extra) => extra,
            _ => Map::new(),
        },
        encrypted_blob: row.get("encrypted_blob")?,
        key_hash: row.get("key_hash")?,
    })
}

pub(super) async fn get(db: impl Query, id: &CredentialId) -> Result<Option<Credential>> {
    let mut select = select();
    select.and_where(Expr::col(Table::Id).eq(&**id));
    Ok(db.fetch_optional(&select).await?.as_ref().map(credential_from).transpose()?)
}

pub(super) async fn list(db: impl Query, query: &ListQuery) -> Result<(Vec<Credential>, Vec<Filter>)> {
    let mut select = select();
    let Filtered::Applied(remaining) = apply_filters(&mut select, query, &FILTERS) else {
        return Ok((Vec::new(), Vec::new()));
    };
    select.order_by(Table::Id, Order::Asc);
    let items = db.fetch_all(&select).await?.iter().map(credential_from).collect::<Result<Vec<_>, _>>()?;
    Ok((items, remaining))
}

pub(super) async fn list_of_user(db: impl Query, user: &UserId, kind: &str) -> Result<Vec<Credential>> {
    let mut select = select();
    select
        .and_where(Expr::col(Table::UserId).eq(&**user))
        .and_where(Expr::col(Table::Type).eq(kind))
        .order_by(Table::Id, Order::Asc);
    let rows = db.fetch_all(&select).await?;
    let mut items = rows.iter().map(credential_from).collect::<Result<Vec<_>, _>>()?;
    // MariaDB takes upper and lower case for the same.
    items.retain(|credential| credential.kind == kind);
    Ok(items)
}

/// Takes the owner's row, so that no two count up to the limit at once, and holds the project's, so that neither is
/// deleted without the credential. Either may be missing.
pub(super) async fn take_owner(tx: &mut Tx<'_>, user: &UserId, project: Option<&ProjectId>) -> Result<()> {
    tx.take(UserTable::Table, UserTable::Id, &[user]).await?;
    if let Some(project) = project {
        tx.hold(ProjectTable::Table, ProjectTable::Id, &[project]).await?;
    }
    Ok(())
}

/// As [`get`], and nobody else changes it before the commit.
pub(super) async fn take(tx: &mut Tx<'_>, id: &CredentialId) -> Result<Option<Credential>> {
    tx.take(Table::Table, Table::Id, &[id]).await?;
    get(&mut *tx, id).await
}

pub(super) async fn count_of_user(db: impl Query, user: &UserId) -> Result<u64> {
    let mut select = Sql::select();
    select
        .expr_as(Func::count(Expr::col(Table::Id)), "credentials")
        .from(Table::Table)
        .and_where(Expr::col(Table::UserId).eq(&**user));
    count(db, &select, "credentials").await
}

async fn count(db: impl Query, select: &SelectStatement, name: &str) -> Result<u64> {
    let count: i64 = match db.fetch_optional(select).await? {
        Some(row) => row.get(name)?,
        None => 0,
    };
    Ok(u64::try_from(count).unwrap_or_default())
}

pub(super) async fn insert(tx: &mut Tx<'_>, credential: &Credential) -> Result<()> {
    let mut insert = Sql::insert();
    insert.into_table(Table::Table).columns(COLUMNS).values_panic([
        (&*credential.id).into(),
        (&*credential.user_id).into(),
        credential.project_id.as_deref().into(),
        credential.kind.as_str().into(),
        json_text(&Value::Object(credential.extra.clone())).into(),
        credential.encrypted_blob.as_str().into(),
        credential.key_hash.as_str().into(),
    ]);
    tx.execute(&insert).await.or_conflict("credential", || format!("Duplicate ID, {}", credential.id))?;
    Ok(())
}

pub(super) async fn update_blob(
    tx: &mut Tx<'_>,
    id: &CredentialId,
    encrypted_blob: &str,
    key_hash: &str,
) -> Result<()> {
    let mut update = Sql::update();
    update
        .table(Table::Table)
        .value(Table::EncryptedBlob, encrypted_blob)
        .value(Table::KeyHash, key_hash)
        .and_where(Expr::col(Table::Id).eq(&**id));
    tx.execute(&update).await?;
    Ok(())
}

/// Whether there was one.
pub(super) async fn delete(tx: &mut Tx<'_>, id: &CredentialId) -> Result<bool> {
    let mut delete = Sql::delete();
    delete.from_table(Table::Table).and_where(Expr::col(Table::Id).eq(&**id));
    Ok(tx.execute(&delete).await? > 0)
}

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
    count(db, &select, "others").await
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
