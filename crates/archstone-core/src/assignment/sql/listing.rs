//! Queries of many assignments at once.

use archstone_db::dialect::enum_value;
use archstone_db::tables::{Assignment as AssignmentTable, SystemAssignment};
use archstone_db::{Query, Row};
use sea_query::{Cond, Condition, Expr, ExprTrait as _, Order, Query as Sql, SelectStatement};

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

/// The kinds of assignments on projects and domains, in the order in which lists have them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::assignment) enum GrantKind {
    UserProject,
    GroupProject,
    UserDomain,
    GroupDomain,
}

impl GrantKind {
    pub(in crate::assignment) const ALL: [GrantKind; 4] =
        [GrantKind::UserProject, GrantKind::GroupProject, GrantKind::UserDomain, GrantKind::GroupDomain];

    fn name(self) -> &'static str {
        match self {
            GrantKind::UserProject => "UserProject",
            GrantKind::GroupProject => "GroupProject",
            GrantKind::UserDomain => "UserDomain",
            GrantKind::GroupDomain => "GroupDomain",
        }
    }

    /// `None` for one on the system, which is in another table.
    pub(in crate::assignment) fn of(grant: &Grant) -> Option<GrantKind> {
        match (&grant.actor, &grant.target) {
            (Actor::User(_), GrantTarget::Project(_)) => Some(GrantKind::UserProject),
            (Actor::Group(_), GrantTarget::Project(_)) => Some(GrantKind::GroupProject),
            (Actor::User(_), GrantTarget::Domain(_)) => Some(GrantKind::UserDomain),
            (Actor::Group(_), GrantTarget::Domain(_)) => Some(GrantKind::GroupDomain),
            (_, GrantTarget::System) => None,
        }
    }
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
    let mut select = select_assignments(filter);
    select
        .order_by(AssignmentTable::ActorId, Order::Asc)
        .order_by(AssignmentTable::TargetId, Order::Asc)
        .order_by(AssignmentTable::RoleId, Order::Asc);
    db.fetch_all(&select).await?.iter().map(grant_from).collect()
}

/// Some assignments on projects and domains, no more than so many, in no order.
pub(in crate::assignment) async fn list_some_assignments(
    db: impl Query,
    filter: &AssignmentFilter<'_>,
    most: u64,
) -> Result<Vec<Grant>> {
    let mut select = select_assignments(filter);
    select.limit(most);
    db.fetch_all(&select).await?.iter().map(grant_from).collect()
}

/// The next assignments of one kind, in the order of the primary key: at most so many after this one.
pub(in crate::assignment) async fn list_assignments_part(
    db: impl Query,
    filter: &AssignmentFilter<'_>,
    kind: GrantKind,
    after: Option<&Grant>,
    most: u64,
) -> Result<Vec<Grant>> {
    let mut select = select_assignments(filter);
    select.and_where(Expr::col(AssignmentTable::Type).eq(enum_value(ASSIGNMENT_TYPE, kind.name())));
    if let Some(after) = after {
        let (actor, target) = (after.actor.id(), after.target.id().unwrap_or_default());
        let same = |column, value: &str| Expr::col(column).eq(value);
        let later = |column, value: &str| Expr::col(column).gt(value);
        let by_inherited = Cond::all()
            .add(same(AssignmentTable::RoleId, &after.role_id))
            .add(Expr::col(AssignmentTable::Inherited).gt(after.inherited));
        let by_role = Cond::any().add(later(AssignmentTable::RoleId, &after.role_id)).add(by_inherited);
        let by_target = Cond::any()
            .add(later(AssignmentTable::TargetId, target))
            .add(Cond::all().add(same(AssignmentTable::TargetId, target)).add(by_role));
        select
            // Said apart, so that every database begins to read the index here.
            .and_where(Expr::col(AssignmentTable::ActorId).gte(actor))
            .cond_where(
                Cond::any()
                    .add(later(AssignmentTable::ActorId, actor))
                    .add(Cond::all().add(same(AssignmentTable::ActorId, actor)).add(by_target)),
            );
    }
    select
        .order_by(AssignmentTable::ActorId, Order::Asc)
        .order_by(AssignmentTable::TargetId, Order::Asc)
        .order_by(AssignmentTable::RoleId, Order::Asc)
        .order_by(AssignmentTable::Inherited, Order::Asc)
        .limit(most);
    db.fetch_all(&select).await?.iter().map(grant_from).collect()
}

/// The projects and domains on which something is assigned.
pub(in crate::assignment) async fn list_targets(
    db: impl Query,
    filter: &AssignmentFilter<'_>,
) -> Result<Vec<GrantTarget>> {
    let mut select = select_assignments(filter);
    select.clear_selects().distinct().columns([AssignmentTable::Type, AssignmentTable::TargetId]);
    let mut targets = Vec::new();
    for row in db.fetch_all(&select).await? {
        let target: String = row.get("target_id")?;
        targets.push(match row.get::<String>("type")?.as_str() {
            "UserProject" | "GroupProject" => GrantTarget::Project(target.into()),
            _ => GrantTarget::Domain(target.into()),
        });
    }
    Ok(targets)
}

fn select_assignments(filter: &AssignmentFilter<'_>) -> SelectStatement {
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
