//! Queries of application credentials.

use archstone_db::tables::{
    AccessRule as AccessRuleTable, ApplicationCredential as Table, ApplicationCredentialAccessRule as RuleLink,
    ApplicationCredentialRole as RoleLink,
};
use archstone_db::{Query, Row};
use sea_query::{Expr, ExprTrait as _, Query as Sql, SelectStatement};

use super::{AccessRule, ApplicationCredential};
use crate::error::Result;
use crate::id::{ApplicationCredentialId, ProjectId, RoleId, UserId};
use crate::time::Timestamp;

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
            Table::ExpiresAt,
            Table::Unrestricted,
        ])
        .from(Table::Table);
    select
}

pub(super) async fn get(db: impl Query, id: &ApplicationCredentialId) -> Result<Option<ApplicationCredential>> {
    let mut select = select();
    select.and_where(Expr::col(Table::Id).eq(&**id));
    load(db, &select).await
}

pub(super) async fn get_by_name(db: impl Query, user: &UserId, name: &str) -> Result<Option<ApplicationCredential>> {
    let mut select = select();
    select.and_where(Expr::col(Table::UserId).eq(&**user)).and_where(Expr::col(Table::Name).eq(name));
    load(db, &select).await
}

async fn load(mut db: impl Query, select: &SelectStatement) -> Result<Option<ApplicationCredential>> {
    let Some(row) = db.by_ref().fetch_optional(select).await? else { return Ok(None) };
    let internal_id: i64 = row.get("internal_id")?;
    let mut roles = Sql::select();
    roles
        .column(RoleLink::RoleId)
        .from(RoleLink::Table)
        .and_where(Expr::col(RoleLink::ApplicationCredentialId).eq(internal_id));
    let roles = db.by_ref().fetch_all(&roles).await?;
    let mut rules = Sql::select();
    rules
        .columns([
            (AccessRuleTable::Table, AccessRuleTable::ExternalId),
            (AccessRuleTable::Table, AccessRuleTable::Service),
            (AccessRuleTable::Table, AccessRuleTable::Path),
            (AccessRuleTable::Table, AccessRuleTable::Method),
        ])
        .from(AccessRuleTable::Table)
        .inner_join(
            RuleLink::Table,
            Expr::col((RuleLink::Table, RuleLink::AccessRuleId)).equals((AccessRuleTable::Table, AccessRuleTable::Id)),
        )
        .and_where(Expr::col((RuleLink::Table, RuleLink::ApplicationCredentialId)).eq(internal_id));
    let rules = db.fetch_all(&rules).await?;
    Ok(Some(assemble(&row, &roles, &rules)?))
}

fn assemble(row: &Row, roles: &[Row], rules: &[Row]) -> Result<ApplicationCredential> {
    let role_ids = roles.iter().map(|row| Ok(RoleId::from(row.get::<String>("role_id")?))).collect::<Result<_>>()?;
    let rules = rules
        .iter()
        .map(|row| {
            Ok(AccessRule {
                id: row.get("external_id")?,
                service: row.get("service")?,
                path: row.get("path")?,
                method: row.get("method")?,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(ApplicationCredential {
        id: row.get::<String>("id")?.into(),
        name: row.get("name")?,
        description: row.get("description")?,
        user_id: row.get::<String>("user_id")?.into(),
        project_id: row.get::<Option<String>>("project_id")?.map(ProjectId::from),
        expires_at: row.get::<Option<i64>>("expires_at")?.and_then(Timestamp::from_micros),
        unrestricted: row.get::<Option<bool>>("unrestricted")?.unwrap_or(false),
        role_ids,
        // No rule at all means that nothing was restricted: the reference stores no difference either.
        access_rules: (!rules.is_empty()).then_some(rules),
        secret_hash: row.get("secret_hash")?,
    })
}
