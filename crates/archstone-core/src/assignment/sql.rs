//! Queries of roles and assignments.

use archstone_db::dialect::{enum_value, ignore_existing};
use archstone_db::tables::{
    Assignment as AssignmentTable, ImpliedRole, Role as RoleTable, RoleOption, SystemAssignment,
};
use archstone_db::{DbError, Query, Row, Tx, json_text};
use sea_query::{Cond, Condition, Expr, ExprTrait as _, Query as Sql, SelectStatement};
use serde_json::{Map, Value};

use super::effective::{RoleGraph, RoleNode};
use super::{Actor, Grant, GrantTarget, Role};
use crate::error::{Result, Stored as _};
use crate::id::{DomainId, GroupId, ProjectId, RoleId, UserId};
use crate::resource::Project;

/// What stands in `role.domain_id` of a global role: the column is part of a unique key, where null would not do.
pub(super) const NO_DOMAIN: &str = "<<null>>";

/// The native enumeration of PostgreSQL that `assignment.type` is.
const ASSIGNMENT_TYPE: &str = "type";

pub(super) async fn load_role_graph(mut db: impl Query) -> Result<RoleGraph> {
    let mut graph = RoleGraph::default();
    let mut select = Sql::select();
    select.columns([RoleTable::Id, RoleTable::Name, RoleTable::DomainId]).from(RoleTable::Table);
    for row in db.by_ref().fetch_all(&select).await? {
        let domain_id = row.get::<String>("domain_id")?;
        let node =
            RoleNode { name: row.get("name")?, domain_id: (domain_id != NO_DOMAIN).then(|| DomainId::from(domain_id)) };
        graph.roles.insert(row.get::<String>("id")?.into(), node);
    }
    let mut select = Sql::select();
    select.columns([ImpliedRole::PriorRoleId, ImpliedRole::ImpliedRoleId]).from(ImpliedRole::Table);
    for row in db.fetch_all(&select).await? {
        let prior = RoleId::from(row.get::<String>("prior_role_id")?);
        graph.implied.entry(prior).or_default().push(row.get::<String>("implied_role_id")?.into());
    }
    Ok(graph)
}

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

pub(super) async fn assigned_on_project(
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

pub(super) async fn assigned_on_domain(
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

pub(super) async fn assigned_on_system(db: impl Query, user: &UserId, groups: &[GroupId]) -> Result<Vec<RoleId>> {
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
pub(super) struct DirectTarget {
    pub(super) on_domain: bool,
    pub(super) target_id: String,
    pub(super) role_id: RoleId,
    pub(super) inherited: bool,
}

pub(super) async fn direct_targets(db: impl Query, user: &UserId, groups: &[GroupId]) -> Result<Vec<DirectTarget>> {
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

const ROLE_COLUMNS: [RoleTable; 5] =
    [RoleTable::Id, RoleTable::Name, RoleTable::DomainId, RoleTable::Description, RoleTable::Extra];

/// The id under which `role_option` keeps `immutable`.
const IMMUTABLE: &str = "IMMU";

fn role_from(row: &Row, options: &[Row]) -> Result<Role, DbError> {
    let domain_id = row.get::<String>("domain_id")?;
    let mut named = Map::new();
    for option in options {
        if option.get::<String>("option_id")? == IMMUTABLE {
            named.insert("immutable".to_owned(), option.json("option_value")?);
        }
    }
    Ok(Role {
        id: row.get::<String>("id")?.into(),
        name: row.get("name")?,
        domain_id: (domain_id != NO_DOMAIN).then(|| DomainId::from(domain_id)),
        description: row.get("description")?,
        options: named,
        extra: match row.json("extra")? {
            Value::Object(extra) => extra,
            _ => Map::new(),
        },
    })
}

async fn load_role(mut db: impl Query, select: &SelectStatement) -> Result<Option<Role>> {
    let Some(row) = db.by_ref().fetch_optional(select).await? else { return Ok(None) };
    let id: String = row.get("id")?;
    let mut options = Sql::select();
    options
        .columns([RoleOption::OptionId, RoleOption::OptionValue])
        .from(RoleOption::Table)
        .and_where(Expr::col(RoleOption::RoleId).eq(id));
    Ok(Some(role_from(&row, &db.fetch_all(&options).await?)?))
}

pub(super) async fn get_role(db: impl Query, id: &RoleId) -> Result<Option<Role>> {
    let mut select = Sql::select();
    select.columns(ROLE_COLUMNS).from(RoleTable::Table).and_where(Expr::col(RoleTable::Id).eq(&**id));
    load_role(db, &select).await
}

pub(super) async fn get_role_by_name(db: impl Query, name: &str, domain: Option<&DomainId>) -> Result<Option<Role>> {
    let mut select = Sql::select();
    select
        .columns(ROLE_COLUMNS)
        .from(RoleTable::Table)
        .and_where(Expr::col(RoleTable::Name).eq(name))
        .and_where(Expr::col(RoleTable::DomainId).eq(domain.map_or(NO_DOMAIN, |id| &**id)));
    load_role(db, &select).await
}

pub(super) async fn insert_role(tx: &mut Tx<'_>, role: &Role) -> Result<()> {
    let mut insert = Sql::insert();
    insert.into_table(RoleTable::Table).columns(ROLE_COLUMNS).values_panic([
        (&*role.id).into(),
        role.name.as_str().into(),
        role.domain_id.as_deref().unwrap_or(NO_DOMAIN).into(),
        role.description.clone().into(),
        json_text(&Value::Object(role.extra.clone())).into(),
    ]);
    tx.execute(&insert).await.or_conflict("role", || format!("Duplicate entry: a role named {} exists", role.name))?;
    if let Some(immutable) = role.options.get("immutable") {
        let mut insert = Sql::insert();
        insert
            .into_table(RoleOption::Table)
            .columns([RoleOption::RoleId, RoleOption::OptionId, RoleOption::OptionValue])
            .values_panic([(&*role.id).into(), IMMUTABLE.into(), json_text(immutable).into()]);
        tx.execute(&insert).await?;
    }
    Ok(())
}

pub(super) async fn insert_implied_role(tx: &mut Tx<'_>, prior: &RoleId, implied: &RoleId) -> Result<()> {
    let mut insert = Sql::insert();
    insert
        .into_table(ImpliedRole::Table)
        .columns([ImpliedRole::PriorRoleId, ImpliedRole::ImpliedRoleId])
        .values_panic([(&**prior).into(), (&**implied).into()]);
    tx.execute(&insert).await.or_conflict("implied_role", || format!("{prior} implies {implied} already"))?;
    Ok(())
}

pub(super) async fn delete_implied_role(tx: &mut Tx<'_>, prior: &RoleId, implied: &RoleId) -> Result<bool> {
    let mut delete = Sql::delete();
    delete
        .from_table(ImpliedRole::Table)
        .and_where(Expr::col(ImpliedRole::PriorRoleId).eq(&**prior))
        .and_where(Expr::col(ImpliedRole::ImpliedRoleId).eq(&**implied));
    Ok(tx.execute(&delete).await? > 0)
}

pub(super) async fn insert_grant(tx: &mut Tx<'_>, grant: &Grant) -> Result<()> {
    let (kind, target) = match (&grant.actor, &grant.target) {
        (Actor::User(_), GrantTarget::Project(id)) => ("UserProject", &**id),
        (Actor::User(_), GrantTarget::Domain(id)) => ("UserDomain", &**id),
        (Actor::User(_), GrantTarget::System) => ("UserSystem", "system"),
        (Actor::Group(_), GrantTarget::Project(id)) => ("GroupProject", &**id),
        (Actor::Group(_), GrantTarget::Domain(id)) => ("GroupDomain", &**id),
        (Actor::Group(_), GrantTarget::System) => ("GroupSystem", "system"),
    };
    let mut insert = Sql::insert();
    if grant.target == GrantTarget::System {
        insert
            .into_table(SystemAssignment::Table)
            .columns([
                SystemAssignment::Type,
                SystemAssignment::ActorId,
                SystemAssignment::TargetId,
                SystemAssignment::RoleId,
                SystemAssignment::Inherited,
            ])
            .values_panic([kind.into(), grant.actor.id().into(), target.into(), (&*grant.role_id).into(), false.into()])
            .on_conflict(ignore_existing(&[
                SystemAssignment::Type,
                SystemAssignment::ActorId,
                SystemAssignment::TargetId,
                SystemAssignment::RoleId,
                SystemAssignment::Inherited,
            ]));
    } else {
        insert
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
            ]));
    }
    tx.execute(&insert).await?;
    Ok(())
}
