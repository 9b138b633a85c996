//! What counts for a user and its groups.

use std::collections::HashMap;

use archstone_db::dialect::enum_value;
use archstone_db::tables::{Assignment as AssignmentTable, SystemAssignment};
use archstone_db::{DbError, Query, Row};
use sea_query::{Cond, Condition, Expr, ExprTrait as _, Query as Sql, SelectStatement};

use super::{ASSIGNMENT_TYPE, CHUNK};
use crate::assignment::Actor;
use crate::error::Result;
use crate::id::{DomainId, GroupId, ProjectId, RoleId, UserId};

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

/// A project, and what is above it.
pub(in crate::assignment) struct ProjectInTree<'a> {
    pub(in crate::assignment) id: &'a ProjectId,
    pub(in crate::assignment) domain: Option<&'a DomainId>,
    pub(in crate::assignment) above: &'a [ProjectId],
}

pub(in crate::assignment) async fn assigned_on_project(
    db: impl Query,
    user: &UserId,
    groups: &[GroupId],
    project: &ProjectInTree<'_>,
) -> Result<Vec<RoleId>> {
    let above = project.above;
    let mut applies = Cond::any().add(
        Cond::all()
            .add(actor(user, groups, "UserProject", "GroupProject"))
            .add(Expr::col(AssignmentTable::TargetId).eq(&**project.id))
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
    if let Some(domain_id) = project.domain {
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

/// One assignment of an actor on a project or domain.
pub(in crate::assignment) struct AssignedRow {
    pub(in crate::assignment) target_id: String,
    pub(in crate::assignment) role_id: RoleId,
    pub(in crate::assignment) on_domain: bool,
    pub(in crate::assignment) inherited: bool,
}

/// Rows that one statement may bring. Beyond it, actors are asked for in smaller groups.
const MOST_ROWS_AT_ONCE: usize = 20_000;

/// The assignments of each of these actors on projects and domains; of one who has more than `most`, some more than
/// those.
pub(in crate::assignment) async fn assigned_to(
    mut db: impl Query,
    actors: &[Actor],
    most: usize,
) -> Result<HashMap<Actor, Vec<AssignedRow>>> {
    let mut found: HashMap<Actor, Vec<AssignedRow>> = HashMap::new();
    let mut parts: Vec<&[Actor]> = actors.chunks(CHUNK).collect();
    while let Some(part) = parts.pop() {
        // Alone, nobody needs more.
        let limit = if part.len() == 1 { most + 1 } else { MOST_ROWS_AT_ONCE };
        let mut select = Sql::select();
        select
            .columns([
                AssignmentTable::Type,
                AssignmentTable::ActorId,
                AssignmentTable::TargetId,
                AssignmentTable::RoleId,
                AssignmentTable::Inherited,
            ])
            .from(AssignmentTable::Table)
            .cond_where(any_of(part))
            .limit(limit as u64);
        let rows = db.by_ref().fetch_all(&select).await?;
        if part.len() > 1 && rows.len() >= limit {
            let (some, others) = part.split_at(part.len() / 2);
            parts.extend([some, others]);
            continue;
        }
        for row in &rows {
            let kind: String = row.get("type")?;
            let actor: String = row.get("actor_id")?;
            let actor = if kind.starts_with("User") { Actor::User(actor.into()) } else { Actor::Group(actor.into()) };
            found.entry(actor).or_default().push(AssignedRow {
                target_id: row.get("target_id")?,
                role_id: row.get::<String>("role_id")?.into(),
                on_domain: kind.ends_with("Domain"),
                inherited: row.get("inherited")?,
            });
        }
    }
    Ok(found)
}

/// The rows of any of these actors, each with the types of its kind.
fn any_of(actors: &[Actor]) -> Condition {
    let types = |types: [&'static str; 2]| {
        let is = |value: &'static str| Expr::col(AssignmentTable::Type).eq(enum_value(ASSIGNMENT_TYPE, value));
        types.into_iter().fold(Cond::any(), |any, value| any.add(is(value)))
    };
    let mut any = Cond::any();
    for (of_users, kinds) in [(true, ["UserProject", "UserDomain"]), (false, ["GroupProject", "GroupDomain"])] {
        let ids = actors.iter().filter(|actor| matches!(actor, Actor::User(_)) == of_users).map(Actor::id);
        let ids: Vec<&str> = ids.collect();
        if !ids.is_empty() {
            any = any.add(Cond::all().add(Expr::col(AssignmentTable::ActorId).is_in(ids)).add(types(kinds)));
        }
    }
    any
}

/// The roles of each of these actors on the system.
pub(in crate::assignment) async fn assigned_on_system_to(
    mut db: impl Query,
    actors: &[Actor],
) -> Result<HashMap<Actor, Vec<RoleId>>> {
    let mut found: HashMap<Actor, Vec<RoleId>> = HashMap::new();
    for chunk in actors.chunks(CHUNK) {
        let mut select = Sql::select();
        select
            .columns([SystemAssignment::Type, SystemAssignment::ActorId, SystemAssignment::RoleId])
            .from(SystemAssignment::Table)
            .and_where(Expr::col(SystemAssignment::ActorId).is_in(chunk.iter().map(Actor::id)))
            .and_where(Expr::col(SystemAssignment::TargetId).eq("system"))
            .and_where(Expr::col(SystemAssignment::Inherited).eq(false));
        for row in db.by_ref().fetch_all(&select).await? {
            let actor: String = row.get("actor_id")?;
            let actor = match row.get::<String>("type")?.as_str() {
                "UserSystem" => Actor::User(actor.into()),
                "GroupSystem" => Actor::Group(actor.into()),
                _ => continue,
            };
            found.entry(actor).or_default().push(row.get::<String>("role_id")?.into());
        }
    }
    Ok(found)
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
