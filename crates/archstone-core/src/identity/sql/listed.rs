//! Users as lists show them: without hashes, failed logins and what identity providers call them.

use std::collections::HashMap;

use archstone_db::tables::{
    FederatedUser as FederatedTable, LocalUser as LocalTable, NonlocalUser as NonlocalTable, Password as PasswordTable,
    User as UserTable, UserOption as OptionTable,
};
use archstone_db::{Db, DbError, Query, Row};
use chrono::{NaiveDate, NaiveDateTime};
use sea_query::{Cond, Expr, ExprTrait as _, Order, Query as Sql, SelectStatement};
use serde_json::{Map, Value};

use crate::error::Result;
use crate::id::{DomainId, ProjectId, UserId};
use crate::identity::UserKind;
use crate::identity::options::{UserOption, UserOptions};
use crate::list::sql::{Density, next_part, of_part};
use crate::time::Timestamp;

/// How many users a statement names whose rows are short.
const NAMED_AT_ONCE: usize = 1000;

/// A user of a list.
pub(in crate::identity) struct ListedUser {
    pub(in crate::identity) id: UserId,
    pub(in crate::identity) domain_id: DomainId,
    pub(in crate::identity) enabled: bool,
    pub(in crate::identity) default_project_id: Option<ProjectId>,
    pub(in crate::identity) last_active: Option<NaiveDate>,
    pub(in crate::identity) extra: Map<String, Value>,
    pub(in crate::identity) kind: UserKind,
    pub(in crate::identity) name: String,
    pub(in crate::identity) options: UserOptions,
    /// When the password that counts expires.
    pub(in crate::identity) password_expires_at: Option<Timestamp>,
    local_id: Option<i64>,
}

/// The next users of a list, in the order of their ids: at most so many of those that `select` finds after this id.
///
/// No table is joined by which a user would be in several rows, so that databases can read on from where they were, and
/// stop.
pub(in crate::identity) async fn list_part(
    db: &Db,
    mut select: SelectStatement,
    after: Option<&str>,
    most: u64,
    density: Density,
) -> Result<Vec<ListedUser>> {
    for (column, name) in [
        (UserTable::DomainId, "domain_id"),
        (UserTable::Enabled, "enabled"),
        (UserTable::DefaultProjectId, "default_project_id"),
        (UserTable::CreatedAt, "created_at"),
        (UserTable::LastActiveAt, "last_active_at"),
        (UserTable::Extra, "extra"),
    ] {
        select.expr_as(Expr::col((UserTable::Table, column)), name);
    }
    select
        .expr_as(Expr::col((LocalTable::Table, LocalTable::Id)), "local_id")
        .expr_as(Expr::col((LocalTable::Table, LocalTable::Name)), "local_name");
    // PostgreSQL merges the two in the order of the ids, and would otherwise begin with the first one each time. Not so
    // for a third table, for which MariaDB would give up the order, and read all.
    let local = (LocalTable::Table, LocalTable::UserId);
    let on = Cond::all()
        .add(Expr::col(local).equals((UserTable::Table, UserTable::Id)))
        .add_option(after.map(|after| Expr::col(local).gt(after)));
    select.left_join(LocalTable::Table, on);
    next_part(&mut select, (UserTable::Table, UserTable::Id), after, most);
    let mut users = db.fetch_all(&select).await?.iter().map(user_from).collect::<Result<Vec<_>, _>>()?;
    if users.is_empty() {
        return Ok(users);
    }
    let nameless: Vec<String> =
        users.iter().filter(|user| user.local_id.is_none()).map(|user| user.id.to_string()).collect();
    let (expiries, mut options, mut names) = futures::try_join!(
        current_expiries(db, &users),
        options_of(db, &users, density),
        names_elsewhere(db, &nameless)
    )?;
    for user in &mut users {
        user.password_expires_at = user.local_id.and_then(|id| expiries.get(&id)).copied().flatten();
        if let Some(options) = options.remove(&*user.id) {
            user.options = options;
        }
        if let Some((kind, name)) = names.remove(&*user.id) {
            (user.kind, user.name) = (kind, name);
        }
    }
    Ok(users)
}

/// Id, domain and name of users.
pub(in crate::identity) async fn list_user_names(db: &Db, ids: &[UserId]) -> Result<Vec<(UserId, DomainId, String)>> {
    let mut named = Vec::with_capacity(ids.len());
    for ids in ids.chunks(NAMED_AT_ONCE) {
        let user_id = (UserTable::Table, UserTable::Id);
        let mut select = Sql::select();
        select
            .columns([user_id, (UserTable::Table, UserTable::DomainId)])
            .expr_as(Expr::col((LocalTable::Table, LocalTable::Name)), "local_name")
            .from(UserTable::Table)
            .left_join(LocalTable::Table, Expr::col((LocalTable::Table, LocalTable::UserId)).equals(user_id))
            .and_where(Expr::col(user_id).is_in(ids.iter().map(|id| &**id)));
        let start = named.len();
        let mut nameless = Vec::new();
        for row in db.fetch_all(&select).await? {
            let id: String = row.get("id")?;
            let name: Option<String> = row.get("local_name")?;
            if name.is_none() {
                nameless.push(id.clone());
            }
            named.push((UserId::from(id), row.get::<String>("domain_id")?.into(), name.unwrap_or_default()));
        }
        let mut elsewhere = names_elsewhere(db, &nameless).await?;
        for (id, _, name) in named.iter_mut().skip(start) {
            if let Some((_, given)) = elsewhere.remove(&**id) {
                *name = given;
            }
        }
    }
    Ok(named)
}

fn user_from(row: &Row) -> Result<ListedUser, DbError> {
    let local_name: Option<String> = row.get("local_name")?;
    let last_active = match row.get::<Option<NaiveDate>>("last_active_at")? {
        Some(day) => Some(day),
        None => row.get::<Option<NaiveDateTime>>("created_at")?.map(|moment| moment.date()),
    };
    Ok(ListedUser {
        id: row.get::<String>("id")?.into(),
        domain_id: row.get::<String>("domain_id")?.into(),
        // NULL counts as disabled, as in the reference.
        enabled: row.get::<Option<bool>>("enabled")?.unwrap_or(false),
        default_project_id: row.get::<Option<String>>("default_project_id")?.map(ProjectId::from),
        last_active,
        extra: match row.json("extra")? {
            Value::Object(extra) => extra,
            _ => Map::new(),
        },
        kind: if local_name.is_some() { UserKind::Local } else { UserKind::Federated },
        name: local_name.unwrap_or_default(),
        options: UserOptions::default(),
        password_expires_at: None,
        local_id: row.get("local_id")?,
    })
}

/// When the last password of each local user expires.
async fn current_expiries(db: &Db, users: &[ListedUser]) -> Result<HashMap<i64, Option<Timestamp>>> {
    let ids: Vec<i64> = users.iter().filter_map(|user| user.local_id).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let mut select = Sql::select();
    select
        .columns([
            PasswordTable::Id,
            PasswordTable::LocalUserId,
            PasswordTable::CreatedAtInt,
            PasswordTable::CreatedAt,
            PasswordTable::ExpiresAtInt,
            PasswordTable::ExpiresAt,
        ])
        .from(PasswordTable::Table)
        .and_where(Expr::col(PasswordTable::LocalUserId).is_in(ids));
    let mut current: HashMap<i64, ((i64, i64), Option<Timestamp>)> = HashMap::new();
    for row in db.fetch_all(&select).await? {
        // The reference reads the columns of integers first, and the older ones of dates where those are not set.
        let created = match row.get::<i64>("created_at_int")? {
            0 => Timestamp::from_naive(row.get("created_at")?).micros(),
            micros => micros,
        };
        let expires_at = match row.get::<Option<i64>>("expires_at_int")?.and_then(Timestamp::from_micros) {
            Some(moment) => Some(moment),
            None => row.get::<Option<NaiveDateTime>>("expires_at")?.map(Timestamp::from_naive),
        };
        let made = (created, row.get("id")?);
        let last = current.entry(row.get("local_user_id")?).or_insert((made, expires_at));
        if made > last.0 {
            *last = (made, expires_at);
        }
    }
    Ok(current.into_iter().map(|(id, (_, expires_at))| (id, expires_at)).collect())
}

async fn options_of(db: &Db, users: &[ListedUser], density: Density) -> Result<HashMap<String, UserOptions>> {
    let mut select = Sql::select();
    select
        .columns([OptionTable::UserId, OptionTable::OptionId, OptionTable::OptionValue])
        .from(OptionTable::Table)
        .cond_where(of_part(OptionTable::UserId, users.iter().map(|user| &*user.id), density));
    let mut options: HashMap<String, UserOptions> = HashMap::new();
    for row in db.fetch_all(&select).await? {
        if let Some(option) = UserOption::from_id(&row.get::<String>("option_id")?) {
            options.entry(row.get("user_id")?).or_default().insert(option, row.json("option_value")?);
        }
    }
    Ok(options)
}

/// The names of users who are not local: what a directory calls them, else what an identity provider called them first.
async fn names_elsewhere(db: &Db, nameless: &[String]) -> Result<HashMap<String, (UserKind, String)>> {
    let mut names = HashMap::new();
    if nameless.is_empty() {
        return Ok(names);
    }
    let ids = || nameless.iter().map(String::as_str);
    let (mut nonlocal, mut federated) = (Sql::select(), Sql::select());
    nonlocal
        .columns([NonlocalTable::UserId, NonlocalTable::Name])
        .from(NonlocalTable::Table)
        .and_where(Expr::col(NonlocalTable::UserId).is_in(ids()));
    federated
        .columns([FederatedTable::UserId, FederatedTable::DisplayName])
        .from(FederatedTable::Table)
        .and_where(Expr::col(FederatedTable::UserId).is_in(ids()))
        .order_by(FederatedTable::Id, Order::Desc);
    let (nonlocal, federated) = futures::try_join!(db.fetch_all(&nonlocal), db.fetch_all(&federated))?;
    // What comes later stays: the first one of the providers', and before it the directory's.
    for row in federated {
        let name = row.get::<Option<String>>("display_name")?.unwrap_or_default();
        names.insert(row.get("user_id")?, (UserKind::Federated, name));
    }
    for row in nonlocal {
        names.insert(row.get("user_id")?, (UserKind::Nonlocal, row.get("name")?));
    }
    Ok(names)
}
