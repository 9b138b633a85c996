//! Queries of single grants, and of all grants of a role that goes away.

use archstone_db::dialect::{enum_value, ignore_existing};
use archstone_db::tables::{Assignment as AssignmentTable, SystemAssignment};
use archstone_db::{DbError, Query, Tx};
use sea_query::{Cond, Condition, Expr, ExprTrait as _, Query as Sql};

use super::{ASSIGNMENT_TYPE, SYSTEM};
use crate::assignment::{Actor, Grant, GrantTarget};
use crate::error::Result;
use crate::id::{ProjectId, RoleId, UserId};

/// The `type` of an assignment, which names the kinds of its actor and its target.
fn kind(actor: &Actor, target: &GrantTarget) -> &'static str {
    match (actor, target) {
        (Actor::User(_), GrantTarget::Project(_)) => "UserProject",
        (Actor::User(_), GrantTarget::Domain(_)) => "UserDomain",
        (Actor::User(_), GrantTarget::System) => "UserSystem",
        (Actor::Group(_), GrantTarget::Project(_)) => "GroupProject",
        (Actor::Group(_), GrantTarget::Domain(_)) => "GroupDomain",
        (Actor::Group(_), GrantTarget::System) => "GroupSystem",
    }
}

fn type_is(kind: &str) -> Expr {
    Expr::col(AssignmentTable::Type).eq(enum_value(ASSIGNMENT_TYPE, kind))
}

/// What an actor has on a project or domain.
fn on_target(actor: &Actor, target: &GrantTarget, target_id: &str, inherited: bool) -> Condition {
    Cond::all()
        .add(type_is(kind(actor, target)))
        .add(Expr::col(AssignmentTable::ActorId).eq(actor.id()))
        .add(Expr::col(AssignmentTable::TargetId).eq(target_id))
        .add(Expr::col(AssignmentTable::Inherited).eq(inherited))
}

/// What an actor has on the system.
fn on_system(actor: &Actor) -> Condition {
    Cond::all()
        .add(Expr::col(SystemAssignment::Type).eq(kind(actor, &GrantTarget::System)))
        .add(Expr::col(SystemAssignment::ActorId).eq(actor.id()))
        .add(Expr::col(SystemAssignment::TargetId).eq(SYSTEM))
        .add(Expr::col(SystemAssignment::Inherited).eq(false))
}

/// The roles that an actor was granted on a target.
pub(in crate::assignment) async fn granted_role_ids(
    db: impl Query,
    actor: &Actor,
    target: &GrantTarget,
    inherited: bool,
) -> Result<Vec<RoleId>> {
    let mut select = Sql::select();
    match target.id() {
        Some(id) => select
            .column(AssignmentTable::RoleId)
            .from(AssignmentTable::Table)
            .cond_where(on_target(actor, target, id, inherited)),
        None => select.column(SystemAssignment::RoleId).from(SystemAssignment::Table).cond_where(on_system(actor)),
    };
    let rows = db.fetch_all(&select).await?;
    Ok(rows.iter().map(|row| row.get::<String>("role_id").map(RoleId::from)).collect::<Result<_, DbError>>()?)
}

pub(in crate::assignment) async fn has_grant(db: impl Query, grant: &Grant) -> Result<bool> {
    let granted = granted_role_ids(db, &grant.actor, &grant.target, grant.inherited).await?;
    Ok(granted.contains(&grant.role_id))
}

pub(in crate::assignment) async fn insert_grant(tx: &mut Tx<'_>, grant: &Grant) -> Result<()> {
    let kind = kind(&grant.actor, &grant.target);
    let mut insert = Sql::insert();
    match grant.target.id() {
        None => insert
            .into_table(SystemAssignment::Table)
            .columns([
                SystemAssignment::Type,
                SystemAssignment::ActorId,
                SystemAssignment::TargetId,
                SystemAssignment::RoleId,
                SystemAssignment::Inherited,
            ])
            .values_panic([kind.into(), grant.actor.id().into(), SYSTEM.into(), (&*grant.role_id).into(), false.into()])
            .on_conflict(ignore_existing(&[
                SystemAssignment::Type,
                SystemAssignment::ActorId,
                SystemAssignment::TargetId,
                SystemAssignment::RoleId,
                SystemAssignment::Inherited,
            ])),
        Some(target) => insert
            .into_table(AssignmentTable::Table)
            .columns([
                AssignmentTable::Type,
                AssignmentTable::ActorId,
                AssignmentTable::TargetId,
                AssignmentTable::RoleId,
                AssignmentTable::Inherited,
            ])
            .values_panic([
                enum_value(ASSIGNMENT_TYPE, kind),
                grant.actor.id().into(),
                target.into(),
                (&*grant.role_id).into(),
                grant.inherited.into(),
            ])
            .on_conflict(ignore_existing(&[
                AssignmentTable::Type,
                AssignmentTable::ActorId,
                AssignmentTable::TargetId,
                AssignmentTable::RoleId,
                AssignmentTable::Inherited,
            ])),
    };
    tx.execute(&insert).await?;
    Ok(())
}

/// False if there was none.
pub(in crate::assignment) async fn delete_grant(tx: &mut Tx<'_>, grant: &Grant) -> Result<bool> {
    let mut delete = Sql::delete();
    match grant.target.id() {
        Some(id) => delete
            .from_table(AssignmentTable::Table)
            .cond_where(on_target(&grant.actor, &grant.target, id, grant.inherited))
            .and_where(Expr::col(AssignmentTable::RoleId).eq(&*grant.role_id)),
        None => delete
            .from_table(SystemAssignment::Table)
            .cond_where(on_system(&grant.actor))
            .and_where(Expr::col(SystemAssignment::RoleId).eq(&*grant.role_id)),
    };
    Ok(tx.execute(&delete).await? > 0)
}

/// Which users have a role on which projects, by themselves and on the project itself or inherited from it.
pub(in crate::assignment) async fn user_projects_of_role(
    db: impl Query,
    role: &RoleId,
) -> Result<Vec<(UserId, ProjectId)>> {
    let mut select = Sql::select();
    select
        .columns([AssignmentTable::ActorId, AssignmentTable::TargetId])
        .distinct()
        .from(AssignmentTable::Table)
        .and_where(type_is("UserProject"))
        .and_where(Expr::col(AssignmentTable::RoleId).eq(&**role));
    let mut pairs = Vec::new();
    for row in db.fetch_all(&select).await? {
        pairs.push((row.get::<String>("actor_id")?.into(), row.get::<String>("target_id")?.into()));
    }
    Ok(pairs)
}

pub(in crate::assignment) async fn delete_grants_of_role(tx: &mut Tx<'_>, role: &RoleId) -> Result<()> {
    let mut delete = Sql::delete();
    delete.from_table(AssignmentTable::Table).and_where(Expr::col(AssignmentTable::RoleId).eq(&**role));
    tx.execute(&delete).await?;
    let mut delete = Sql::delete();
    delete.from_table(SystemAssignment::Table).and_where(Expr::col(SystemAssignment::RoleId).eq(&**role));
    tx.execute(&delete).await?;
    Ok(())
}
