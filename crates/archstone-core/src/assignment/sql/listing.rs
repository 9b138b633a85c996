//! Queries of many assignments at once.

use archstone_db::dialect::enum_value;
use archstone_db::tables::{Assignment as AssignmentTable, SystemAssignment};
use archstone_db::{Query, Row};
use sea_query::{Cond, Condition, Expr, ExprTrait as _, Order, Query as Sql};

use super::{ASSIGNMENT_TYPE, SYSTEM};
use crate::assignment::{Actor, Grant, GrantTarget};
use crate::error::{Error, Result};
use crate::id::{DomainId, GroupId, ProjectId, RoleId, UserId};

/// Whose assignments are asked for.
#[derive(Clone, Copy)]
pub(in crate::assignment) enum Actors<'a> {
    Any,
    User(&'a UserId),
    Groups(&'a [GroupId]),
}

/// On what.
#[derive(Clone, Copy)]
pub(in crate::assignment) enum Targets<'a> {
    Any,
    Projects(&'a [ProjectId]),
    Domain(&'a DomainId),
}

/// Which assignments are asked for; what is `None` or any is no condition.
pub(in crate::assignment) struct AssignmentFilter<'a> {
    pub(in crate::assignment) role: Option<&'a RoleId>,
    pub(in crate::assignment) actors: Actors<'a>,
    pub(in crate::assignment) targets: Targets<'a>,
    pub(in crate::assignment) inherited: Option<bool>,
}

/// One of these types, and one of these ids. Types and ids together: a user's id never stands for a group's.
fn is_one_of<'a>(column: AssignmentTable, types: [&str; 2], ids: impl Iterator<Item = &'a str>) -> Condition {
    let types = types.map(|kind| enum_value(ASSIGNMENT_TYPE, kind));
    Cond::all().add(Expr::col(AssignmentTable::Type).is_in(types)).add(Expr::col(column).is_in(ids))
}

/// Assignments on projects and domains.
pub(in crate::assignment) async fn list_assignments(
    db: impl Query,
    filter: &AssignmentFilter<'_>,
) -> Result<Vec<Grant>> {
    let mut select = Sql::select();
    select
        .columns([
            AssignmentTable::Type,
            AssignmentTable::ActorId,
            AssignmentTable::TargetId,
            AssignmentTable::RoleId,
            AssignmentTable::Inherited,
        ])
        .from(AssignmentTable::Table);
    match filter.actors {
        Actors::Any => {}
        Actors::User(id) => {
            let ids = std::iter::once(&**id);
            select.cond_where(is_one_of(AssignmentTable::ActorId, ["UserProject", "UserDomain"], ids));
        }
        Actors::Groups(ids) => {
            let ids = ids.iter().map(|id| &**id);
            select.cond_where(is_one_of(AssignmentTable::ActorId, ["GroupProject", "GroupDomain"], ids));
        }
    }
    match filter.targets {
        Targets::Any => {}
        Targets::Projects(ids) => {
            let ids = ids.iter().map(|id| &**id);
            select.cond_where(is_one_of(AssignmentTable::TargetId, ["UserProject", "GroupProject"], ids));
        }
        Targets::Domain(id) => {
            let ids = std::iter::once(&**id);
            select.cond_where(is_one_of(AssignmentTable::TargetId, ["UserDomain", "GroupDomain"], ids));
        }
    }
    if let Some(role) = filter.role {
        select.and_where(Expr::col(AssignmentTable::RoleId).eq(&**role));
    }
    if let Some(inherited) = filter.inherited {
        select.and_where(Expr::col(AssignmentTable::Inherited).eq(inherited));
    }
    select
        .order_by(AssignmentTable::ActorId, Order::Asc)
        .order_by(AssignmentTable::TargetId, Order::Asc)
        .order_by(AssignmentTable::RoleId, Order::Asc);
    db.fetch_all(&select).await?.iter().map(grant_from).collect()
}

/// Assignments on the system.
pub(in crate::assignment) async fn list_system_assignments(
    db: impl Query,
    role: Option<&RoleId>,
    actors: Actors<'_>,
) -> Result<Vec<Grant>> {
    let mut select = Sql::select();
    select
        .columns([
            SystemAssignment::Type,
            SystemAssignment::ActorId,
            SystemAssignment::TargetId,
            SystemAssignment::RoleId,
            SystemAssignment::Inherited,
        ])
        .from(SystemAssignment::Table)
        .and_where(Expr::col(SystemAssignment::TargetId).eq(SYSTEM));
    let (kind, ids): (_, Vec<&str>) = match actors {
        Actors::Any => (None, Vec::new()),
        Actors::User(id) => (Some("UserSystem"), vec![&**id]),
        Actors::Groups(ids) => (Some("GroupSystem"), ids.iter().map(|id| &**id).collect()),
    };
    if let Some(kind) = kind {
        select
            .and_where(Expr::col(SystemAssignment::Type).eq(kind))
            .and_where(Expr::col(SystemAssignment::ActorId).is_in(ids));
    }
    if let Some(role) = role {
        select.and_where(Expr::col(SystemAssignment::RoleId).eq(&**role));
    }
    select.order_by(SystemAssignment::ActorId, Order::Asc).order_by(SystemAssignment::RoleId, Order::Asc);
    db.fetch_all(&select).await?.iter().map(grant_from).collect()
}

fn grant_from(row: &Row) -> Result<Grant> {
    let text = |column: &str| row.get::<String>(column);
    let (actor, target) = (text("actor_id")?, text("target_id")?);
    let kind = text("type")?;
    let (actor, target) = match kind.as_str() {
        "UserProject" => (Actor::User(actor.into()), GrantTarget::Project(target.into())),
        "UserDomain" => (Actor::User(actor.into()), GrantTarget::Domain(target.into())),
        "UserSystem" => (Actor::User(actor.into()), GrantTarget::System),
        "GroupProject" => (Actor::Group(actor.into()), GrantTarget::Project(target.into())),
        "GroupDomain" => (Actor::Group(actor.into()), GrantTarget::Domain(target.into())),
        "GroupSystem" => (Actor::Group(actor.into()), GrantTarget::System),
        _ => return Err(Error::internal(format!("an assignment of {actor} has the unknown type {kind}"))),
    };
    let role_id = text("role_id")?.into();
    Ok(Grant { role_id, actor, target, inherited: row.get("inherited")? })
}
