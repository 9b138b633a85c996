//! What counts for a user and its groups.

use archstone_db::dialect::enum_value;
use archstone_db::tables::{Assignment as AssignmentTable, SystemAssignment};
use archstone_db::{DbError, Query, Row};
use sea_query::{Cond, Condition, Expr, ExprTrait as _, Query as Sql, SelectStatement};

use super::ASSIGNMENT_TYPE;
use crate::error::Result;
use crate::id::{DomainId, GroupId, ProjectId, RoleId, UserId};
use crate::resource::Project;

/// The actor is this user, or one of these groups, each with the assignment types of its kind.
fn actor(user: &UserId, groups: &[GroupId], user_type: &str, group_type: &str) -> Condition {
    let type_is = |value: &str| Expr::col(AssignmentTable::Type).eq(enum_value(ASSIGNMENT_TYPE, value));
    let mut any =
        Cond::any().add(Cond::all().add(type_is(user_type)).add(Expr::col(AssignmentTable::ActorId).eq(&**user)));
    if !groups.is_empty() {
        let ids = groups.iter().map(|id| &**id);
        any = any.add(Cond::all().add(type_is(group_type)).add(Expr::col(AssignmentTable::ActorId).is_in(ids)));
    }
    any
}

fn select_roles() -> SelectStatement {
    let mut select = Sql::select();
    select.column(AssignmentTable::RoleId).from(AssignmentTable::Table);
    select
}

fn role_ids(rows: &[Row]) -> Result<Vec<RoleId>> {
    Ok(rows.iter().map(|row| row.get::<String>("role_id").map(RoleId::from)).collect::<Result<_, DbError>>()?)
}

pub(in crate::assignment) async fn assigned_on_project(
    db: impl Query,
    user: &UserId,
    groups: &[GroupId],
    project: &Project,
    above: &[ProjectId],
) -> Result<Vec<RoleId>> {
    let mut applies = Cond::any().add(
        Cond::all()
            .add(actor(user, groups, "UserProject", "GroupProject"))
            .add(Expr::col(AssignmentTable::TargetId).eq(&*project.id))
            .add(Expr::col(AssignmentTable::Inherited).eq(false)),
    );
    if !above.is_empty() {
        applies = applies.add(
            Cond::all()
                .add(actor(user, groups, "UserProject", "GroupProject"))
                .add(Expr::col(AssignmentTable::TargetId).is_in(above.iter().map(|id| &**id)))
                .add(Expr::col(AssignmentTable::Inherited).eq(true)),
        );
    }
    if let Some(domain_id) = &project.domain_id {
        applies = applies.add(
            Cond::all()
                .add(actor(user, groups, "UserDomain", "GroupDomain"))
                .add(Expr::col(AssignmentTable::TargetId).eq(&**domain_id))
                .add(Expr::col(AssignmentTable::Inherited).eq(true)),
        );
    }
    role_ids(&db.fetch_all(select_roles().cond_where(applies)).await?)
}

pub(in crate::assignment) async fn assigned_on_domain(
    db: impl Query,
    user: &UserId,
    groups: &[GroupId],
    domain: &DomainId,
) -> Result<Vec<RoleId>> {
    let applies = Cond::all()
        .add(actor(user, groups, "UserDomain", "GroupDomain"))
        .add(Expr::col(AssignmentTable::TargetId).eq(&**domain))
        .add(Expr::col(AssignmentTable::Inherited).eq(false));
    role_ids(&db.fetch_all(select_roles().cond_where(applies)).await?)
}

pub(in crate::assignment) async fn assigned_on_system(
    db: impl Query,
    user: &UserId,
    groups: &[GroupId],
) -> Result<Vec<RoleId>> {
    let mut any = Cond::any().add(
        Cond::all()
            .add(Expr::col(SystemAssignment::Type).eq("UserSystem"))
            .add(Expr::col(SystemAssignment::ActorId).eq(&**user)),
    );
    if !groups.is_empty() {
        any = any.add(
            Cond::all()
                .add(Expr::col(SystemAssignment::Type).eq("GroupSystem"))
                .add(Expr::col(SystemAssignment::ActorId).is_in(groups.iter().map(|id| &**id))),
        );
    }
    let mut select = Sql::select();
    select
        .column(SystemAssignment::RoleId)
        .from(SystemAssignment::Table)
        .cond_where(any)
        .and_where(Expr::col(SystemAssignment::TargetId).eq("system"))
        .and_where(Expr::col(SystemAssignment::Inherited).eq(false));
    role_ids(&db.fetch_all(&select).await?)
}

/// One assignment of a user or its groups, wherever it is.
pub(in crate::assignment) struct DirectTarget {
    pub(in crate::assignment) on_domain: bool,
    pub(in crate::assignment) target_id: String,
    pub(in crate::assignment) role_id: RoleId,
    pub(in crate::assignment) inherited: bool,
}

pub(in crate::assignment) async fn direct_targets(
    db: impl Query,
    user: &UserId,
    groups: &[GroupId],
) -> Result<Vec<DirectTarget>> {
    let applies = Cond::any().add(actor(user, groups, "UserProject", "GroupProject")).add(actor(
        user,
        groups,
        "UserDomain",
        "GroupDomain",
    ));
    let mut select = Sql::select();
    select
        .columns([
            AssignmentTable::Type,
            AssignmentTable::TargetId,
            AssignmentTable::RoleId,
            AssignmentTable::Inherited,
        ])
        .from(AssignmentTable::Table)
        .cond_where(applies);
    let mut out = Vec::new();
    for row in db.fetch_all(&select).await? {
        out.push(DirectTarget {
            on_domain: row.get::<String>("type")?.ends_with("Domain"),
            target_id: row.get("target_id")?,
            role_id: row.get::<String>("role_id")?.into(),
            inherited: row.get("inherited")?,
        });
    }
    Ok(out)
}
