//! Queries of application credentials and access rules.

use std::collections::HashMap;

use archstone_db::tables::{
    AccessRule as RuleTable, ApplicationCredential as Table, ApplicationCredentialAccessRule as RuleLink,
    ApplicationCredentialRole as RoleLink,
};
use archstone_db::{DbError, Query, Row, Tx};
use sea_query::{Cond, Expr, ExprTrait as _, Order, Query as Sql, SelectStatement};

use super::{AccessRule, ApplicationCredential};
use crate::error::{Result, Stored as _};
use crate::id::{ApplicationCredentialId, ProjectId, RoleId, UserId};
use crate::list::sql::{ColumnKind, FilterColumn, Filtered, apply_filters, apply_limit, cut, fetch_list};
use crate::list::{Filter, ListQuery, Page};
use crate::time::Timestamp;

/// How many ids go into one `IN (…)`.
const CHUNK: usize = 500;

const FILTERS: [FilterColumn<Table>; 1] =
    [FilterColumn { name: "name", column: Table::Name, kind: ColumnKind::Text(255) }];

const RULE_FILTERS: [FilterColumn<RuleTable>; 3] = [
    FilterColumn { name: "service", column: RuleTable::Service, kind: ColumnKind::Text(64) },
    FilterColumn { name: "path", column: RuleTable::Path, kind: ColumnKind::Text(128) },
    FilterColumn { name: "method", column: RuleTable::Method, kind: ColumnKind::Text(16) },
];

fn select() -> SelectStatement {
    let mut select = Sql::select();
    select
        .columns([
            Table::InternalId,
            Table::Id,
            Table::Name,
            Table::SecretHash,
            Table::Description,
            Table::UserId,
            Table::ProjectId,
            Table::System,
            Table::ExpiresAt,
            Table::Unrestricted,
        ])
        .from(Table::Table);
    select
}

pub(super) async fn get(db: impl Query, id: &ApplicationCredentialId) -> Result<Option<ApplicationCredential>> {
    let mut select = select();
    select.and_where(Expr::col(Table::Id).eq(&**id));
    Ok(load(db, &select).await?.pop())
}

/// Those of these ids that exist.
pub(super) async fn get_many(
    mut db: impl Query,
    ids: &[ApplicationCredentialId],
) -> Result<Vec<ApplicationCredential>> {
    let mut found = Vec::with_capacity(ids.len());
    for ids in ids.chunks(CHUNK) {
        let mut select = select();
        select.and_where(Expr::col(Table::Id).is_in(ids.iter().map(|id| &**id)));
        found.extend(load(db.by_ref(), &select).await?);
    }
    Ok(found)
}

pub(super) async fn get_by_name(db: impl Query, user: &UserId, name: &str) -> Result<Option<ApplicationCredential>> {
    let mut select = select();
    select.and_where(Expr::col(Table::UserId).eq(&**user)).and_where(Expr::col(Table::Name).eq(name));
    Ok(load(db, &select).await?.pop())
}

pub(super) async fn list_of_user(
    db: impl Query,
    user: &UserId,
    query: &ListQuery,
) -> Result<(Page<ApplicationCredential>, Vec<Filter>)> {
    let mut select = select();
    select.and_where(Expr::col(Table::UserId).eq(&**user));
    let Filtered::Applied(remaining) = apply_filters(&mut select, query, &FILTERS) else {
        return Ok((Page::all(Vec::new()), Vec::new()));
    };
    select.order_by(Table::InternalId, Order::Asc);
    apply_limit(&mut select, query, &remaining);
    let mut items = load(db, &select).await?;
    let truncated = cut(&mut items, query, &remaining);
    Ok((Page { items, truncated }, remaining))
}

/// The credentials with their roles and rules: three queries, and two more for each further [`CHUNK`] of credentials.
async fn load(mut db: impl Query, select: &SelectStatement) -> Result<Vec<ApplicationCredential>> {
    let rows = db.by_ref().fetch_all(select).await?;
    let ids = rows.iter().map(|row| row.get::<i64>("internal_id")).collect::<Result<Vec<_>, _>>()?;
    let mut roles: HashMap<i64, Vec<RoleId>> = HashMap::new();
    let mut rules: HashMap<i64, Vec<AccessRule>> = HashMap::new();
    for chunk in ids.chunks(CHUNK) {
        let mut linked = Sql::select();
        linked
            .columns([RoleLink::ApplicationCredentialId, RoleLink::RoleId])
            .from(RoleLink::Table)
            .and_where(Expr::col(RoleLink::ApplicationCredentialId).is_in(chunk.iter().copied()));
        for row in db.by_ref().fetch_all(&linked).await? {
            let of = roles.entry(row.get("application_credential_id")?).or_default();
            of.push(row.get::<String>("role_id")?.into());
        }
        let mut linked = Sql::select();
        linked
            .column((RuleLink::Table, RuleLink::ApplicationCredentialId))
            .columns([
                (RuleTable::Table, RuleTable::ExternalId),
                (RuleTable::Table, RuleTable::Service),
                (RuleTable::Table, RuleTable::Path),
                (RuleTable::Table, RuleTable::Method),
            ])
            .from(RuleTable::Table)
            .inner_join(
                RuleLink::Table,
                Expr::col((RuleLink::Table, RuleLink::AccessRuleId)).equals((RuleTable::Table, RuleTable::Id)),
            )
            .and_where(Expr::col((RuleLink::Table, RuleLink::ApplicationCredentialId)).is_in(chunk.iter().copied()))
            .order_by((RuleTable::Table, RuleTable::Id), Order::Asc);
        for row in db.by_ref().fetch_all(&linked).await? {
            rules.entry(row.get("application_credential_id")?).or_default().push(rule_from(&row)?);
        }
    }
    let credentials = rows.iter().zip(ids).map(|(row, id)| {
        Ok(ApplicationCredential {
            id: row.get::<String>("id")?.into(),
            name: row.get("name")?,
            description: row.get("description")?,
            user_id: row.get::<String>("user_id")?.into(),
            project_id: row.get::<Option<String>>("project_id")?.map(ProjectId::from),
            system: row.get("system")?,
            expires_at: row.get::<Option<i64>>("expires_at")?.and_then(Timestamp::from_micros),
            unrestricted: row.get("unrestricted")?,
            role_ids: roles.remove(&id).unwrap_or_default().into_iter().collect(),
            // No rule at all means that nothing was restricted: the reference stores no difference either.
            access_rules: rules.remove(&id),
            secret_hash: row.get("secret_hash")?,
        })
    });
    Ok(credentials.collect::<Result<_, DbError>>()?)
}

fn rule_from(row: &Row) -> Result<AccessRule, DbError> {
    Ok(AccessRule {
        id: row.get("external_id")?,
        service: row.get("service")?,
        path: row.get("path")?,
        method: row.get("method")?,
    })
}

pub(super) async fn count_of_user(db: impl Query, user: &UserId) -> Result<u64> {
    let mut select = Sql::select();
    select.column(Table::InternalId).from(Table::Table).and_where(Expr::col(Table::UserId).eq(&**user));
    Ok(db.fetch_all(&select).await?.len() as u64)
}

/// A row that was inserted.
pub(super) struct NewRow {
    /// The key that other tables name it by.
    pub(super) internal_id: i64,
}

/// Stores a credential with its roles, not its rules.
pub(super) async fn insert(tx: &mut Tx<'_>, credential: &ApplicationCredential) -> Result<NewRow> {
    let mut insert = Sql::insert();
    insert
        .into_table(Table::Table)
        .columns([
            Table::Id,
            Table::Name,
            Table::SecretHash,
            Table::Description,
            Table::UserId,
            Table::ProjectId,
            Table::System,
            Table::ExpiresAt,
            Table::Unrestricted,
        ])
        .values_panic([
            (&*credential.id).into(),
            credential.name.as_str().into(),
            credential.secret_hash.as_str().into(),
            credential.description.clone().into(),
            (&*credential.user_id).into(),
            credential.project_id.as_deref().into(),
            credential.system.clone().into(),
            credential.expires_at.map(Timestamp::micros).into(),
            credential.unrestricted.into(),
        ]);
    let internal_id = tx
        .insert_id(&insert, Table::InternalId)
        .await
        .or_conflict("application_credential", || format!("Duplicate entry: {} exists", credential.name))?;
    if !credential.role_ids.is_empty() {
        let mut insert = Sql::insert();
        insert.into_table(RoleLink::Table).columns([RoleLink::ApplicationCredentialId, RoleLink::RoleId]);
        for role in &credential.role_ids {
            insert.values_panic([internal_id.into(), (&**role).into()]);
        }
        tx.execute(&insert).await?;
    }
    Ok(NewRow { internal_id })
}

/// False if there is none.
pub(super) async fn delete(tx: &mut Tx<'_>, id: &ApplicationCredentialId) -> Result<bool> {
    let mut select = Sql::select();
    select.column(Table::InternalId).from(Table::Table).and_where(Expr::col(Table::Id).eq(&**id));
    let Some(row) = tx.fetch_optional(&select).await? else { return Ok(false) };
    delete_rows(tx, &[row.get("internal_id")?]).await?;
    Ok(true)
}

/// Which credentials these were.
pub(super) async fn delete_on_projects(
    tx: &mut Tx<'_>,
    of: &[(UserId, ProjectId)],
) -> Result<Vec<ApplicationCredentialId>> {
    let mut deleted = Vec::new();
    for chunk in of.chunks(CHUNK) {
        let mut any = Cond::any();
        for (user, project) in chunk {
            any = any.add(Expr::col(Table::UserId).eq(&**user).and(Expr::col(Table::ProjectId).eq(&**project)));
        }
        let mut select = Sql::select();
        select.columns([Table::InternalId, Table::Id]).from(Table::Table).cond_where(any);
        let rows = tx.fetch_all(&select).await?;
        let ids = rows.iter().map(|row| row.get("internal_id")).collect::<Result<Vec<_>, _>>()?;
        for row in &rows {
            deleted.push(row.get::<String>("id")?.into());
        }
        delete_rows(tx, &ids).await?;
    }
    Ok(deleted)
}

/// Deletes credentials with what hangs on them. The foreign keys would do it too, but not on SQLite, where the
/// reference leaves them off.
async fn delete_rows(tx: &mut Tx<'_>, internal_ids: &[i64]) -> Result<()> {
    for chunk in internal_ids.chunks(CHUNK) {
        let ids = || chunk.iter().copied();
        let mut delete = Sql::delete();
        delete.from_table(RoleLink::Table).and_where(Expr::col(RoleLink::ApplicationCredentialId).is_in(ids()));
        tx.execute(&delete).await?;
        let mut delete = Sql::delete();
        delete.from_table(RuleLink::Table).and_where(Expr::col(RuleLink::ApplicationCredentialId).is_in(ids()));
        tx.execute(&delete).await?;
        let mut delete = Sql::delete();
        delete.from_table(Table::Table).and_where(Expr::col(Table::InternalId).is_in(ids()));
        tx.execute(&delete).await?;
    }
    Ok(())
}

pub(super) async fn drop_role(tx: &mut Tx<'_>, role: &RoleId) -> Result<()> {
    let mut delete = Sql::delete();
    delete.from_table(RoleLink::Table).and_where(Expr::col(RoleLink::RoleId).eq(&**role));
    tx.execute(&delete).await?;
    Ok(())
}

/// An access rule as the table has it.
pub(super) struct StoredRule {
    /// The key that other tables name it by.
    pub(super) internal_id: i64,
    /// Whose it is.
    pub(super) user_id: UserId,
    /// What it says.
    pub(super) rule: AccessRule,
}

fn select_rules() -> SelectStatement {
    let mut select = Sql::select();
    select
        .columns([
            RuleTable::Id,
            RuleTable::ExternalId,
            RuleTable::UserId,
            RuleTable::Service,
            RuleTable::Path,
            RuleTable::Method,
        ])
        .from(RuleTable::Table)
        .order_by(RuleTable::Id, Order::Asc);
    select
}

fn stored_rule_from(row: &Row) -> Result<StoredRule, DbError> {
    Ok(StoredRule { internal_id: row.get("id")?, user_id: row.get::<String>("user_id")?.into(), rule: rule_from(row)? })
}

pub(super) async fn get_access_rule(db: impl Query, id: &str) -> Result<Option<StoredRule>> {
    let mut select = select_rules();
    select.and_where(Expr::col(RuleTable::ExternalId).eq(id));
    Ok(db.fetch_optional(&select).await?.as_ref().map(stored_rule_from).transpose()?)
}

/// The user's rule that says the same.
pub(super) async fn find_access_rule(db: impl Query, user: &UserId, like: &AccessRule) -> Result<Option<StoredRule>> {
    let mut select = select_rules();
    select
        .and_where(Expr::col(RuleTable::UserId).eq(&**user))
        .and_where(Expr::col(RuleTable::Service).eq(like.service.as_str()))
        .and_where(Expr::col(RuleTable::Path).eq(like.path.as_str()))
        .and_where(Expr::col(RuleTable::Method).eq(like.method.as_str()));
    Ok(db.fetch_optional(&select).await?.as_ref().map(stored_rule_from).transpose()?)
}

pub(super) async fn list_access_rules(
    db: impl Query,
    user: &UserId,
    query: &ListQuery,
) -> Result<(Page<AccessRule>, Vec<Filter>)> {
    let mut select = select_rules();
    select.and_where(Expr::col(RuleTable::UserId).eq(&**user));
    fetch_list(db, select, query, &RULE_FILTERS, rule_from).await
}

pub(super) async fn insert_access_rule(tx: &mut Tx<'_>, user: &UserId, rule: &AccessRule) -> Result<i64> {
    let mut insert = Sql::insert();
    insert
        .into_table(RuleTable::Table)
        .columns([RuleTable::ExternalId, RuleTable::UserId, RuleTable::Service, RuleTable::Path, RuleTable::Method])
        .values_panic([
            rule.id.as_str().into(),
            (&**user).into(),
            rule.service.as_str().into(),
            rule.path.as_str().into(),
            rule.method.as_str().into(),
        ]);
    tx.insert_id(&insert, RuleTable::Id)
        .await
        .or_conflict("access_rule", || "one that says the same was made at the same time".to_owned())
}

pub(super) async fn link_access_rule(tx: &mut Tx<'_>, credential: i64, rule: i64) -> Result<()> {
    let mut insert = Sql::insert();
    insert
        .into_table(RuleLink::Table)
        .columns([RuleLink::ApplicationCredentialId, RuleLink::AccessRuleId])
        .values_panic([credential.into(), rule.into()]);
    tx.execute(&insert).await?;
    Ok(())
}

pub(super) async fn is_access_rule_used(db: impl Query, internal_id: i64) -> Result<bool> {
    let mut select = Sql::select();
    select
        .column(RuleLink::AccessRuleId)
        .from(RuleLink::Table)
        .and_where(Expr::col(RuleLink::AccessRuleId).eq(internal_id))
        .limit(1);
    Ok(db.fetch_optional(&select).await?.is_some())
}

pub(super) async fn delete_access_rule(tx: &mut Tx<'_>, internal_id: i64) -> Result<()> {
    let mut delete = Sql::delete();
    delete.from_table(RuleTable::Table).and_where(Expr::col(RuleTable::Id).eq(internal_id));
    tx.execute(&delete).await?;
    Ok(())
}
