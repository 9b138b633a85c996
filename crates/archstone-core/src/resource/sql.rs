//! Queries of `project`, `project_tag` and `project_option`.

use std::collections::{HashMap, HashSet};

use archstone_db::tables::{Project as ProjectTable, ProjectOption, ProjectTag};
use archstone_db::{Db, DbError, Query, Row, Tx, json_text};
use sea_query::{
    Alias, CommonTableExpression, Condition, Expr, ExprTrait as _, IntoCondition as _, JoinType, Order, Query as Sql,
    SelectStatement, UnionType, WithClause,
};
use serde_json::{Map, Value};

use super::{IMMUTABLE, Place, Project};
use crate::error::{Result, Stored as _};
use crate::id::{DomainId, ProjectId};
use crate::list::sql::{ColumnKind, Density, FilterColumn, Filtered, apply_filters, next_part, of_part};
use crate::list::{Filter, ListQuery};

/// The id of the root row, which is `domain_id` of the domains. The reference's name for it; never shown.
pub(crate) const ROOT_DOMAIN: &str = "<<keystone.domain.root>>";

/// The id of the option `immutable`.
const IMMUTABLE_ID: &str = "IMMU";

/// How many ids go into one `IN (…)`.
pub(crate) const CHUNK: usize = 500;

/// How deep a tree is followed, so that a circle in the table is no endless loop.
const DEEPEST: i32 = 100;

const COLUMNS: [ProjectTable; 8] = [
    ProjectTable::Id,
    ProjectTable::Name,
    ProjectTable::DomainId,
    ProjectTable::Description,
    ProjectTable::Enabled,
    ProjectTable::ParentId,
    ProjectTable::IsDomain,
    ProjectTable::Extra,
];

const FILTERS: [FilterColumn<ProjectTable>; 6] = [
    FilterColumn { name: "id", column: ProjectTable::Id, kind: ColumnKind::Text(64) },
    FilterColumn { name: "name", column: ProjectTable::Name, kind: ColumnKind::Text(64) },
    FilterColumn { name: "domain_id", column: ProjectTable::DomainId, kind: ColumnKind::Text(64) },
    FilterColumn { name: "parent_id", column: ProjectTable::ParentId, kind: ColumnKind::Text(64) },
    FilterColumn { name: "enabled", column: ProjectTable::Enabled, kind: ColumnKind::Flag },
    FilterColumn { name: "is_domain", column: ProjectTable::IsDomain, kind: ColumnKind::Flag },
];

/// A condition on the tags of a project. All conditions of a list hold at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TagFilter {
    /// It has all of them.
    All(Vec<String>),
    /// It has any of them.
    Any(Vec<String>),
    /// It lacks at least one of them.
    NotAll(Vec<String>),
    /// It has none of them.
    NotAny(Vec<String>),
}

pub(crate) async fn get_project(db: impl Query, id: &str) -> Result<Option<Project>> {
    let projects = load(db, Expr::col((ProjectTable::Table, ProjectTable::Id)).eq(id).into_condition()).await?;
    Ok(projects.into_iter().next())
}

/// Whether there is such a project or domain, which then stays as it is until the transaction ends.
pub(crate) async fn hold_project(tx: &mut Tx<'_>, id: &str) -> Result<bool> {
    Ok(!tx.hold(ProjectTable::Table, ProjectTable::Id, &[id]).await?.is_empty())
}

/// As [`hold_project`], for many.
pub(super) async fn hold_projects(tx: &mut Tx<'_>, ids: &[ProjectId]) -> Result<()> {
    let ids: Vec<&str> = ids.iter().map(|id| &**id).collect();
    tx.hold(ProjectTable::Table, ProjectTable::Id, &ids).await?;
    Ok(())
}

/// Has projects and domains for itself until the transaction ends.
pub(super) async fn take_projects(tx: &mut Tx<'_>, ids: &[ProjectId]) -> Result<()> {
    let ids: Vec<&str> = ids.iter().map(|id| &**id).collect();
    tx.take(ProjectTable::Table, ProjectTable::Id, &ids).await?;
    Ok(())
}

pub(super) async fn get_projects(mut db: impl Query, ids: &[ProjectId]) -> Result<Vec<Project>> {
    let mut all = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(CHUNK) {
        let condition = Expr::col((ProjectTable::Table, ProjectTable::Id)).is_in(chunk.iter().map(|id| &**id));
        all.extend(load(db.by_ref(), condition.into_condition()).await?);
    }
    Ok(all)
}

/// Id, domain and name.
pub(super) async fn list_names(db: &Db, ids: &[ProjectId]) -> Result<Vec<(ProjectId, Option<DomainId>, String)>> {
    let mut names = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(CHUNK) {
        let mut select = Sql::select();
        select
            .columns([ProjectTable::Id, ProjectTable::DomainId, ProjectTable::Name])
            .from(ProjectTable::Table)
            .and_where(Expr::col(ProjectTable::Id).is_in(chunk.iter().map(|id| &**id)))
            .and_where(Expr::col(ProjectTable::Id).ne(ROOT_DOMAIN));
        for row in db.fetch_all(&select).await? {
            let domain: String = row.get("domain_id")?;
            names.push((id_from(&row)?, (domain != ROOT_DOMAIN).then(|| domain.into()), row.get("name")?));
        }
    }
    Ok(names)
}

pub(super) async fn get_by_name(db: impl Query, name: &str, domain_id: Option<&DomainId>) -> Result<Option<Project>> {
    let domain_id = domain_id.map_or(ROOT_DOMAIN, |id| id);
    let condition = Condition::all()
        .add(Expr::col((ProjectTable::Table, ProjectTable::Name)).eq(name))
        .add(Expr::col((ProjectTable::Table, ProjectTable::DomainId)).eq(domain_id));
    Ok(load(db, condition).await?.into_iter().next())
}

/// Projects with their tags and options, in one query: each row is repeated for each of its tags.
async fn load(db: impl Query, condition: Condition) -> Result<Vec<Project>> {
    let id = (ProjectTable::Table, ProjectTable::Id);
    let mut select = Sql::select();
    select
        .columns(COLUMNS.map(|column| (ProjectTable::Table, column)))
        .expr_as(Expr::col((ProjectTag::Table, ProjectTag::Name)), Alias::new("tag"))
        .column((ProjectOption::Table, ProjectOption::OptionValue))
        .from(ProjectTable::Table)
        .left_join(ProjectTag::Table, Expr::col((ProjectTag::Table, ProjectTag::ProjectId)).equals(id))
        .join(
            JoinType::LeftJoin,
            ProjectOption::Table,
            Condition::all()
                .add(Expr::col((ProjectOption::Table, ProjectOption::ProjectId)).equals(id))
                .add(Expr::col((ProjectOption::Table, ProjectOption::OptionId)).eq(IMMUTABLE_ID)),
        )
        .cond_where(condition)
        .and_where(Expr::col(id).ne(ROOT_DOMAIN))
        .order_by(id, Order::Asc)
        .order_by((ProjectTag::Table, ProjectTag::Name), Order::Asc);
    let mut projects: Vec<Project> = Vec::new();
    for row in db.fetch_all(&select).await? {
        let tag: Option<String> = row.get("tag")?;
        match projects.last_mut() {
            Some(last) if *last.id == *row.get::<String>("id")? => last.tags.extend(tag),
            _ => {
                let mut project = project_from(&row)?;
                project.tags.extend(tag);
                match row.json("option_value")? {
                    Value::Null => {}
                    value => drop(project.options.insert(IMMUTABLE.to_owned(), value)),
                }
                projects.push(project);
            }
        }
    }
    Ok(projects)
}

/// Without its tags and options.
fn project_from(row: &Row) -> Result<Project, DbError> {
    let domain_id: String = row.get("domain_id")?;
    Ok(Project {
        id: row.get::<String>("id")?.into(),
        name: row.get("name")?,
        domain_id: (domain_id != ROOT_DOMAIN).then(|| DomainId::from(domain_id)),
        description: row.get("description")?,
        // The column takes null, which nobody would call enabled.
        enabled: row.get::<Option<bool>>("enabled")?.unwrap_or(false),
        parent_id: row.get::<Option<String>>("parent_id")?.map(ProjectId::from),
        is_domain: row.get("is_domain")?,
        tags: Vec::new(),
        options: Map::new(),
        extra: match row.json("extra")? {
            Value::Object(extra) => extra,
            _ => Map::new(),
        },
    })
}

pub(super) async fn project_exists(db: impl Query, id: &str) -> Result<bool> {
    let mut select = Sql::select();
    select.column(ProjectTable::Id).from(ProjectTable::Table).and_where(Expr::col(ProjectTable::Id).eq(id));
    Ok(db.fetch_optional(&select).await?.is_some())
}

/// The statement that finds a list's projects, before any limit, and the filters left for the wire form. `None` if
/// nothing can match.
pub(super) fn select_listed(query: &ListQuery, tags: &[TagFilter]) -> Option<(SelectStatement, Vec<Filter>)> {
    let mut select = Sql::select();
    select.columns(COLUMNS).from(ProjectTable::Table).and_where(Expr::col(ProjectTable::Id).ne(ROOT_DOMAIN));
    let Filtered::Applied(remaining) = apply_filters(&mut select, query, &FILTERS) else { return None };
    for filter in tags {
        select.cond_where(tag_condition(filter));
    }
    Some((select, remaining))
}

/// The next projects of a list, in the order of their ids: at most so many of those that `select` finds after this id.
pub(super) async fn list_part(
    db: &Db,
    mut select: SelectStatement,
    after: Option<&str>,
    most: u64,
    density: Density,
) -> Result<Vec<Project>> {
    next_part(&mut select, ProjectTable::Id, after, most);
    let mut projects = db.fetch_all(&select).await?.iter().map(project_from).collect::<Result<Vec<_>, _>>()?;
    if projects.is_empty() {
        return Ok(projects);
    }
    let ids = || projects.iter().map(|project| &*project.id);
    let (mut select_tags, mut select_options) = (Sql::select(), Sql::select());
    select_tags
        .columns([ProjectTag::ProjectId, ProjectTag::Name])
        .from(ProjectTag::Table)
        .cond_where(of_part(ProjectTag::ProjectId, ids(), density))
        .order_by(ProjectTag::ProjectId, Order::Asc)
        .order_by(ProjectTag::Name, Order::Asc);
    select_options
        .columns([ProjectOption::ProjectId, ProjectOption::OptionValue])
        .from(ProjectOption::Table)
        .cond_where(of_part(ProjectOption::ProjectId, ids(), density))
        .and_where(Expr::col(ProjectOption::OptionId).eq(IMMUTABLE_ID));
    let (tags, options) = futures::try_join!(db.fetch_all(&select_tags), db.fetch_all(&select_options))?;
    let places: HashMap<String, usize> =
        projects.iter().enumerate().map(|(place, project)| (project.id.to_string(), place)).collect();
    let place_of = |row: &Row| Ok::<_, DbError>(places.get(&row.get::<String>("project_id")?).copied());
    for row in &tags {
        if let Some(project) = place_of(row)?.and_then(|place| projects.get_mut(place)) {
            project.tags.push(row.get("name")?);
        }
    }
    for row in &options {
        let value = row.json("option_value")?;
        if let Some(project) = place_of(row)?.and_then(|place| projects.get_mut(place)).filter(|_| !value.is_null()) {
            project.options.insert(IMMUTABLE.to_owned(), value);
        }
    }
    Ok(projects)
}

fn tag_condition(filter: &TagFilter) -> Condition {
    let tagged = |tag: &String| is_tagged(std::slice::from_ref(tag));
    match filter {
        TagFilter::All(tags) => tags.iter().fold(Condition::all(), |all, tag| all.add(tagged(tag))),
        TagFilter::Any(tags) => Condition::all().add(is_tagged(tags)),
        TagFilter::NotAll(tags) => tags.iter().fold(Condition::all(), |all, tag| all.add(tagged(tag))).not(),
        TagFilter::NotAny(tags) => Condition::all().add(is_tagged(tags)).not(),
    }
}

fn is_tagged(tags: &[String]) -> Expr {
    let mut tagged = Sql::select();
    tagged
        .column(ProjectTag::ProjectId)
        .from(ProjectTag::Table)
        .and_where(Expr::col(ProjectTag::Name).is_in(tags.iter().map(String::as_str)));
    Expr::col(ProjectTable::Id).in_subquery(tagged)
}

fn id_from(row: &Row) -> Result<ProjectId, DbError> {
    row.get::<String>("id").map(ProjectId::from)
}

/// The projects in the order of these ids.
fn in_order(projects: Vec<Project>, ids: &[ProjectId]) -> Vec<Project> {
    let mut by_id: HashMap<ProjectId, Project> =
        projects.into_iter().map(|project| (project.id.clone(), project)).collect();
    ids.iter().filter_map(|id| by_id.remove(id)).collect()
}

/// The projects and domains of these ids, as tokens need them: one query, and another for those that are below a
/// project, for each [`CHUNK`] of them.
pub(super) async fn get_places(mut db: impl Query, ids: &[ProjectId]) -> Result<Vec<Place>> {
    let mut places = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(CHUNK) {
        let mut select = Sql::select();
        select
            .columns([
                ProjectTable::Id,
                ProjectTable::Name,
                ProjectTable::DomainId,
                ProjectTable::Enabled,
                ProjectTable::ParentId,
                ProjectTable::IsDomain,
            ])
            .from(ProjectTable::Table)
            .and_where(Expr::col(ProjectTable::Id).is_in(chunk.iter().map(|id| &**id)))
            .and_where(Expr::col(ProjectTable::Id).ne(ROOT_DOMAIN));
        let mut deep: Vec<usize> = Vec::new();
        for row in db.by_ref().fetch_all(&select).await? {
            let domain_id: String = row.get("domain_id")?;
            let parent_id: Option<ProjectId> = row.get::<Option<String>>("parent_id")?.map(ProjectId::from);
            if parent_id.as_ref().is_some_and(|parent| **parent != *domain_id) {
                deep.push(places.len());
            }
            places.push(Place {
                id: id_from(&row)?,
                name: row.get("name")?,
                domain_id: (domain_id != ROOT_DOMAIN).then(|| DomainId::from(domain_id)),
                enabled: row.get::<Option<bool>>("enabled")?.unwrap_or(false),
                is_domain: row.get("is_domain")?,
                above: parent_id.into_iter().collect(),
            });
        }
        if !deep.is_empty() {
            let ids: Vec<&ProjectId> = deep.iter().map(|index| &places[*index].id).collect();
            let mut above = parent_ids_of(db.by_ref(), &ids).await?;
            for index in deep {
                places[index].above = above.remove(&places[index].id).unwrap_or_default().into();
            }
        }
    }
    Ok(places)
}

/// The ids above each of these projects, the nearest first. One query, however deep.
async fn parent_ids_of(db: impl Query, ids: &[&ProjectId]) -> Result<HashMap<ProjectId, Vec<ProjectId>>> {
    let [walked, root, above, depth] = ["walked", "root", "above", "depth"].map(Alias::new);
    let mut start = Sql::select();
    start
        .columns([ProjectTable::Id, ProjectTable::ParentId])
        .expr(Expr::val(1_i32))
        .from(ProjectTable::Table)
        .and_where(Expr::col(ProjectTable::Id).is_in(ids.iter().map(|id| &***id)))
        .and_where(Expr::col(ProjectTable::ParentId).is_not_null());
    let mut step = Sql::select();
    step.column((walked.clone(), root.clone()))
        .column((ProjectTable::Table, ProjectTable::ParentId))
        .expr(Expr::col((walked.clone(), depth.clone())).add(1_i32))
        .from(ProjectTable::Table)
        .inner_join(
            walked.clone(),
            Expr::col((ProjectTable::Table, ProjectTable::Id)).equals((walked.clone(), above.clone())),
        )
        .and_where(Expr::col((ProjectTable::Table, ProjectTable::ParentId)).is_not_null())
        .and_where(Expr::col((walked.clone(), depth.clone())).lt(DEEPEST));
    let mut walking = CommonTableExpression::new();
    walking
        .table_name(walked.clone())
        .columns([root.clone(), above.clone(), depth.clone()])
        .query(start.union(UnionType::All, step).to_owned());
    let mut select: SelectStatement = Sql::select();
    select
        .columns([root, above])
        .from(walked)
        .order_by(depth, Order::Asc)
        .with_cte(WithClause::new().recursive(true).cte(walking).to_owned());
    let mut found: HashMap<ProjectId, Vec<ProjectId>> = HashMap::new();
    for row in &db.fetch_all(&select).await? {
        let above = ProjectId::from(row.get::<String>("above")?);
        let known = found.entry(row.get::<String>("root")?.into()).or_default();
        // A circle ends where it began.
        if !known.contains(&above) {
            known.push(above);
        }
    }
    Ok(found)
}

#[derive(Clone, Copy)]
enum Direction {
    Up,
    Down,
}

/// A project and those above or below it, by their distance. One query, however deep.
async fn walk(db: impl Query, id: &str, direction: Direction) -> Result<Vec<ProjectId>> {
    let walked = Alias::new("walked");
    let depth = Alias::new("depth");
    let mut start = Sql::select();
    start
        .columns([ProjectTable::Id, ProjectTable::ParentId])
        .expr(Expr::val(0_i32))
        .from(ProjectTable::Table)
        .and_where(Expr::col(ProjectTable::Id).eq(id));
    let (next, known) = match direction {
        Direction::Up => (ProjectTable::Id, ProjectTable::ParentId),
        Direction::Down => (ProjectTable::ParentId, ProjectTable::Id),
    };
    let mut step = Sql::select();
    step.columns([(ProjectTable::Table, ProjectTable::Id), (ProjectTable::Table, ProjectTable::ParentId)])
        .expr(Expr::col((walked.clone(), depth.clone())).add(1_i32))
        .from(ProjectTable::Table)
        .inner_join(walked.clone(), Expr::col((ProjectTable::Table, next)).equals((walked.clone(), known)))
        .and_where(Expr::col((walked.clone(), depth.clone())).lt(DEEPEST));
    let mut walking = CommonTableExpression::new();
    walking
        .table_name(walked.clone())
        .columns([Alias::new("id"), Alias::new("parent_id"), depth.clone()])
        .query(start.union(UnionType::All, step).to_owned());
    let mut select: SelectStatement = Sql::select();
    select
        .column(ProjectTable::Id)
        .from(walked)
        .order_by(depth, Order::Asc)
        .with_cte(WithClause::new().recursive(true).cte(walking).to_owned());
    let mut ids: Vec<ProjectId> = Vec::new();
    for row in &db.fetch_all(&select).await? {
        let id = id_from(row)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

pub(super) async fn parent_ids(db: impl Query, id: &str) -> Result<Vec<ProjectId>> {
    Ok(walk(db, id, Direction::Up).await?.into_iter().skip(1).collect())
}

pub(crate) async fn subtree_ids(db: impl Query, id: &str) -> Result<Vec<ProjectId>> {
    Ok(walk(db, id, Direction::Down).await?.into_iter().skip(1).collect())
}

/// The project itself, then those above it, the nearest first; empty if there is no such project.
pub(super) async fn ancestry(mut db: impl Query, id: &str) -> Result<Vec<Project>> {
    let ids = walk(db.by_ref(), id, Direction::Up).await?;
    Ok(in_order(get_projects(db, &ids).await?, &ids))
}

/// Those below a project, parents before children.
pub(super) async fn subtree(mut db: impl Query, id: &str) -> Result<Vec<Project>> {
    let ids = subtree_ids(db.by_ref(), id).await?;
    Ok(in_order(get_projects(db, &ids).await?, &ids))
}

pub(super) async fn any_enabled_below(tx: &mut Tx<'_>, id: &str) -> Result<bool> {
    let ids = subtree_ids(&mut *tx, id).await?;
    for chunk in ids.chunks(CHUNK) {
        let mut select = Sql::select();
        select
            .column(ProjectTable::Id)
            .from(ProjectTable::Table)
            .and_where(Expr::col(ProjectTable::Id).is_in(chunk.iter().map(|id| &**id)))
            .and_where(Expr::col(ProjectTable::Enabled).eq(true))
            .limit(1);
        if tx.fetch_optional(&select).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(crate) async fn project_ids_of_domain(db: impl Query, domain_id: &DomainId) -> Result<Vec<ProjectId>> {
    let mut select = Sql::select();
    select
        .column(ProjectTable::Id)
        .from(ProjectTable::Table)
        .and_where(Expr::col(ProjectTable::DomainId).eq(&**domain_id))
        .and_where(Expr::col(ProjectTable::Id).ne(ROOT_DOMAIN));
    Ok(db.fetch_all(&select).await?.iter().map(id_from).collect::<Result<_, _>>()?)
}

pub(super) async fn ids_below_projects(db: impl Query, limit: u64) -> Result<Vec<ProjectId>> {
    let parent = Alias::new("parent");
    let mut select = Sql::select();
    select
        .column((ProjectTable::Table, ProjectTable::Id))
        .from(ProjectTable::Table)
        .join_as(
            JoinType::InnerJoin,
            ProjectTable::Table,
            parent.clone(),
            Expr::col((ProjectTable::Table, ProjectTable::ParentId)).equals((parent.clone(), ProjectTable::Id)),
        )
        // Nothing is above a domain.
        .and_where(Expr::col((parent, ProjectTable::ParentId)).is_not_null())
        .order_by((ProjectTable::Table, ProjectTable::Id), Order::Asc)
        .limit(limit);
    Ok(db.fetch_all(&select).await?.iter().map(id_from).collect::<Result<_, _>>()?)
}

pub(super) async fn has_children(db: impl Query, id: &ProjectId) -> Result<bool> {
    let mut select = Sql::select();
    select
        .column(ProjectTable::Id)
        .from(ProjectTable::Table)
        .and_where(Expr::col(ProjectTable::ParentId).eq(&**id))
        .limit(1);
    Ok(db.fetch_optional(&select).await?.is_some())
}

/// Deletes projects with their tags and options. They are taken out of the tree first: MySQL checks a reference to a
/// row of the same table row by row, in an order of its own.
pub(super) async fn delete_projects(tx: &mut Tx<'_>, ids: &[ProjectId]) -> Result<()> {
    for chunk in ids.chunks(CHUNK) {
        let ids = || chunk.iter().map(|id| &**id);
        let mut delete = Sql::delete();
        delete.from_table(ProjectTag::Table).and_where(Expr::col(ProjectTag::ProjectId).is_in(ids()));
        tx.execute(&delete).await?;
        let mut delete = Sql::delete();
        delete.from_table(ProjectOption::Table).and_where(Expr::col(ProjectOption::ProjectId).is_in(ids()));
        tx.execute(&delete).await?;
        let mut update = Sql::update();
        update
            .table(ProjectTable::Table)
            .value(ProjectTable::ParentId, None::<String>)
            .and_where(Expr::col(ProjectTable::Id).is_in(ids()));
        tx.execute(&update).await?;
    }
    for chunk in ids.chunks(CHUNK) {
        let mut delete = Sql::delete();
        delete
            .from_table(ProjectTable::Table)
            .and_where(Expr::col(ProjectTable::Id).is_in(chunk.iter().map(|id| &**id)));
        tx.execute(&delete).await?;
    }
    Ok(())
}

pub(super) async fn project_ids_of_domains(
    mut db: impl Query,
    ids: &[DomainId],
) -> Result<HashMap<DomainId, Vec<ProjectId>>> {
    let mut found: HashMap<DomainId, Vec<ProjectId>> = HashMap::new();
    for chunk in ids.chunks(CHUNK) {
        let mut select = Sql::select();
        select
            .columns([ProjectTable::Id, ProjectTable::DomainId])
            .from(ProjectTable::Table)
            .and_where(Expr::col(ProjectTable::DomainId).is_in(chunk.iter().map(|id| &**id)));
        for row in db.by_ref().fetch_all(&select).await? {
            found.entry(row.get::<String>("domain_id")?.into()).or_default().push(id_from(&row)?);
        }
    }
    Ok(found)
}

/// Those below each of these projects, in no order. One query for each [`CHUNK`] of them, however deep.
pub(super) async fn subtree_ids_of(
    mut db: impl Query,
    ids: &[ProjectId],
) -> Result<HashMap<ProjectId, Vec<ProjectId>>> {
    let walked = Alias::new("walked");
    let [root, depth] = ["root", "depth"].map(Alias::new);
    let mut found: HashMap<ProjectId, HashSet<ProjectId>> = HashMap::new();
    for chunk in ids.chunks(CHUNK) {
        let mut start = Sql::select();
        start
            .columns([ProjectTable::Id, ProjectTable::ParentId])
            .expr(Expr::val(1_i32))
            .from(ProjectTable::Table)
            .and_where(Expr::col(ProjectTable::ParentId).is_in(chunk.iter().map(|id| &**id)));
        let mut step = Sql::select();
        step.column((ProjectTable::Table, ProjectTable::Id))
            .column((walked.clone(), root.clone()))
            .expr(Expr::col((walked.clone(), depth.clone())).add(1_i32))
            .from(ProjectTable::Table)
            .inner_join(
                walked.clone(),
                Expr::col((ProjectTable::Table, ProjectTable::ParentId)).equals((walked.clone(), Alias::new("id"))),
            )
            .and_where(Expr::col((walked.clone(), depth.clone())).lt(DEEPEST));
        let mut walking = CommonTableExpression::new();
        walking
            .table_name(walked.clone())
            .columns([Alias::new("id"), root.clone(), depth.clone()])
            .query(start.union(UnionType::All, step).to_owned());
        let mut select: SelectStatement = Sql::select();
        select
            .column(ProjectTable::Id)
            .column(root.clone())
            .from(walked.clone())
            .with_cte(WithClause::new().recursive(true).cte(walking).to_owned());
        for row in db.by_ref().fetch_all(&select).await? {
            found.entry(row.get::<String>("root")?.into()).or_default().insert(id_from(&row)?);
        }
    }
    Ok(found.into_iter().map(|(root, below)| (root, below.into_iter().collect())).collect())
}

pub(super) async fn insert_project(tx: &mut Tx<'_>, project: &Project) -> Result<()> {
    let mut insert = Sql::insert();
    insert.into_table(ProjectTable::Table).columns(COLUMNS).values_panic([
        (&*project.id).into(),
        project.name.as_str().into(),
        project.domain_id.as_deref().unwrap_or(ROOT_DOMAIN).into(),
        project.description.as_deref().into(),
        project.enabled.into(),
        project.parent_id.as_deref().into(),
        project.is_domain.into(),
        json_text(&Value::Object(project.extra.clone())).into(),
    ]);
    tx.execute(&insert).await.or_conflict("project", || conflict(project))?;
    insert_tags(tx, &project.id, &project.tags).await?;
    insert_option(tx, project).await
}

/// Writes what differs. The id, the domain and the parent never do.
pub(super) async fn update_project(tx: &mut Tx<'_>, original: &Project, updated: &Project) -> Result<()> {
    let mut update = Sql::update();
    update
        .table(ProjectTable::Table)
        .value(ProjectTable::Name, updated.name.as_str())
        .value(ProjectTable::Description, updated.description.as_deref())
        .value(ProjectTable::Enabled, updated.enabled)
        .value(ProjectTable::Extra, json_text(&Value::Object(updated.extra.clone())))
        .and_where(Expr::col(ProjectTable::Id).eq(&*updated.id));
    tx.execute(&update).await.or_conflict("project", || conflict(updated))?;
    if original.tags != updated.tags {
        delete_tags(tx, &updated.id).await?;
        insert_tags(tx, &updated.id, &updated.tags).await?;
    }
    if original.options != updated.options {
        delete_options(tx, &updated.id).await?;
        insert_option(tx, updated).await?;
    }
    Ok(())
}

fn conflict(project: &Project) -> String {
    if project.is_domain {
        format!("two projects that act as domains cannot have the same id or name: {}", project.name)
    } else {
        format!(
            "two projects of a domain cannot have the same name, nor any two the same id: name {}, project id {}",
            project.name, project.id
        )
    }
}

async fn insert_tags(tx: &mut Tx<'_>, id: &ProjectId, tags: &[String]) -> Result<()> {
    if tags.is_empty() {
        return Ok(());
    }
    let mut insert = Sql::insert();
    insert.into_table(ProjectTag::Table).columns([ProjectTag::ProjectId, ProjectTag::Name]);
    for tag in tags {
        insert.values_panic([(&**id).into(), tag.as_str().into()]);
    }
    // On a database that ignores case, two tags that differ only in case are one.
    tx.execute(&insert).await.or_conflict("project tag", || format!("two tags of the project {id} are the same"))?;
    Ok(())
}

async fn delete_tags(tx: &mut Tx<'_>, id: &ProjectId) -> Result<()> {
    let mut delete = Sql::delete();
    delete.from_table(ProjectTag::Table).and_where(Expr::col(ProjectTag::ProjectId).eq(&**id));
    tx.execute(&delete).await?;
    Ok(())
}

async fn insert_option(tx: &mut Tx<'_>, project: &Project) -> Result<()> {
    let Some(value) = project.options.get(IMMUTABLE) else { return Ok(()) };
    let mut insert = Sql::insert();
    insert
        .into_table(ProjectOption::Table)
        .columns([ProjectOption::ProjectId, ProjectOption::OptionId, ProjectOption::OptionValue])
        .values_panic([(&*project.id).into(), IMMUTABLE_ID.into(), json_text(value).into()]);
    tx.execute(&insert).await?;
    Ok(())
}

/// Also those that are not known, as the reference does.
async fn delete_options(tx: &mut Tx<'_>, id: &ProjectId) -> Result<()> {
    let mut delete = Sql::delete();
    delete.from_table(ProjectOption::Table).and_where(Expr::col(ProjectOption::ProjectId).eq(&**id));
    tx.execute(&delete).await?;
    Ok(())
}
