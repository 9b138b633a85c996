//! `seed` fills a database with a large cloud, by bulk inserts: what measurements and query plans at scale need.
//!
//! The one part here that knows the tables. The database must have been made (`archstone db sync`) and bootstrapped.

mod plan;
mod revocations;

use std::time::Instant;

use archstone_db::dialect::enum_value;
use archstone_db::tables::{
    Assignment, Endpoint, Group, ImpliedRole, LocalUser, Password, Project, ProjectTag, Region, Role, Service,
    SystemAssignment, User, UserGroupMembership, UserOption,
};
use archstone_db::{ConnectOptions, Db, DbError, Query as _, SqlUrl, Touch, json_text};
use chrono::DateTime;
use sea_query::{Expr, ExprTrait as _, Iden, InsertStatement, Query as Sql};
use serde_json::{Value, json};

use self::plan::scattered_id;
pub use self::plan::{Kind, Plan};
pub use self::revocations::{RevocationOptions, run as run_revocations};

/// How many rows one statement inserts. SQLite takes 32,766 values.
const ROWS: usize = 1_000;
/// How many statements one transaction has.
const STATEMENTS: usize = 10;
/// The moment at which everything was made: 2026-01-01.
const MADE_AT: i64 = 1_767_225_600_000_000;
/// What the reference writes where a domain's domain would be.
const ROOT_DOMAIN: &str = "<<keystone.domain.root>>";
/// What the reference writes for a role of no domain.
const NO_DOMAIN: &str = "<<null>>";

/// The command line.
#[derive(clap::Args)]
pub struct Options {
    /// The database, as `[database] connection` names it.
    #[arg(long)]
    connection: String,
    /// The password of all users that have one.
    #[arg(long, default_value = "seedpw")]
    password: String,
    /// The cost of its bcrypt hash.
    #[arg(long, default_value_t = 4)]
    password_rounds: u32,
    #[command(flatten)]
    plan: Plan,
}

/// Fills the database, and prints as JSON what was made and some ids to begin with.
pub async fn run(options: Options) -> Result<(), SeedError> {
    let started = Instant::now();
    let url = SqlUrl::parse(&options.connection)?;
    // What is lost when the machine fails is made again.
    let connect = ConnectOptions { sqlite_synchronous: false, max_retries: Some(0), ..ConnectOptions::default() };
    let db = Db::connect(&url, &connect).await?;
    let assignments = fill(&db, &options.plan, &options.password, options.password_rounds).await?;
    println!("{}", serde_json::to_string_pretty(&summary(&options, assignments, started))?);
    db.close().await;
    Ok(())
}

/// Fills a bootstrapped database. How many assignments on projects and domains there are.
///
/// # Errors
/// See [`SeedError`].
pub async fn fill(db: &Db, plan: &Plan, password: &str, password_rounds: u32) -> Result<usize, SeedError> {
    let member = require_bootstrapped(db, plan).await?;
    // One salt for all, so that one hash is enough.
    let hash = bcrypt::hash_with_salt(password, password_rounds, *b"archstone-seeded")?.to_string();
    let seeder = Seeder { db, plan, hash, member };
    seeder.resources().await?;
    seeder.users().await?;
    seeder.groups().await?;
    let assignments = seeder.assignments().await?;
    seeder.catalog().await?;
    seeder.tell_others().await?;
    Ok(assignments)
}

/// Why a cloud could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The cloud, or one of the same seed, is there.
    #[error("this cloud is in the database already; give another --seed or database")]
    Filled,
    /// The database is empty.
    #[error("there is no role `member`: run `archstone bootstrap` first")]
    NotBootstrapped,
    /// What the database says.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The cost is out of range.
    #[error("hashing the password: {0}")]
    Hash(#[from] bcrypt::BcryptError),
    /// Printing.
    #[error("printing the summary: {0}")]
    Json(#[from] serde_json::Error),
}

/// The id of bootstrap's role `member`.
async fn require_bootstrapped(db: &Db, plan: &Plan) -> Result<String, SeedError> {
    archstone_db::schema::check(db).await?.require_current()?;
    let first = Sql::select()
        .column(Project::Id)
        .from(Project::Table)
        .and_where(Expr::col(Project::Id).eq(plan.id(Kind::Domain, 0)))
        .to_owned();
    if db.fetch_optional(&first).await?.is_some() {
        return Err(SeedError::Filled);
    }
    let member = Sql::select()
        .column(Role::Id)
        .from(Role::Table)
        .and_where(Expr::col(Role::Name).eq("member"))
        .and_where(Expr::col(Role::DomainId).eq(NO_DOMAIN))
        .to_owned();
    match db.fetch_optional(&member).await? {
        Some(row) => Ok(row.get("id")?),
        None => Err(SeedError::NotBootstrapped),
    }
}

struct Seeder<'a> {
    db: &'a Db,
    plan: &'a Plan,
    hash: String,
    member: String,
}

impl Seeder<'_> {
    async fn resources(&self) -> Result<(), SeedError> {
        let plan = self.plan;
        let prefix = plan.prefix();
        let columns = [
            Project::Id,
            Project::Name,
            Project::DomainId,
            Project::ParentId,
            Project::IsDomain,
            Project::Enabled,
            Project::Description,
            Project::Extra,
        ];
        let domains = (0..plan.domains).map(|n| {
            [
                plan.id(Kind::Domain, n).into(),
                format!("{prefix}-domain-{n}").into(),
                ROOT_DOMAIN.into(),
                None::<String>.into(),
                true.into(),
                true.into(),
                "".into(),
                "{}".into(),
            ]
        });
        self.fill("domains", Project::Table, columns, domains).await?;
        let projects = (0..plan.projects).map(|n| {
            let domain = plan.id(Kind::Domain, plan.domain_of_project(n));
            let parent = Plan::parent(n).map_or_else(|| domain.clone(), |parent| plan.id(Kind::Project, parent));
            [
                plan.id(Kind::Project, n).into(),
                format!("{prefix}-project-{n:05}").into(),
                domain.into(),
                parent.into(),
                false.into(),
                true.into(),
                format!("The project of number {n}").into(),
                "{}".into(),
            ]
        });
        self.fill("projects", Project::Table, columns, projects).await?;
        let tagged = (0..plan.projects).step_by(5);
        let tags = tagged.flat_map(|n| {
            ["seed".to_owned(), format!("team-{}", n % 50)].map(|tag| [plan.id(Kind::Project, n).into(), tag.into()])
        });
        self.fill("tags", ProjectTag::Table, [ProjectTag::ProjectId, ProjectTag::Name], tags).await?;
        let roles = (0..plan.roles).map(|n| {
            [plan.id(Kind::Role, n).into(), format!("{prefix}-role-{n}").into(), NO_DOMAIN.into(), "{}".into()]
        });
        self.fill("roles", Role::Table, [Role::Id, Role::Name, Role::DomainId, Role::Extra], roles).await?;
        let implied =
            (1..Ord::min(plan.roles, 3)).map(|n| [plan.id(Kind::Role, n - 1).into(), plan.id(Kind::Role, n).into()]);
        let columns = [ImpliedRole::PriorRoleId, ImpliedRole::ImpliedRoleId];
        self.fill("implied roles", ImpliedRole::Table, columns, implied).await
    }

    async fn users(&self) -> Result<(), SeedError> {
        let plan = self.plan;
        let prefix = plan.prefix();
        let columns = [User::Id, User::DomainId, User::Enabled, User::DefaultProjectId, User::CreatedAt, User::Extra];
        let users = (0..plan.users).map(|n| {
            let extra =
                json!({"email": format!("{prefix}-user-{n:06}@example.org"), "description": format!("User {n}")});
            [
                plan.id(Kind::User, n).into(),
                plan.id(Kind::Domain, plan.domain_of(n)).into(),
                plan.is_enabled(n).into(),
                n.is_multiple_of(4).then(|| plan.id(Kind::Project, plan.home(n))).into(),
                made_at(),
                json_text(&extra).into(),
            ]
        });
        self.fill("users", User::Table, columns, users).await?;
        let columns = [LocalUser::UserId, LocalUser::DomainId, LocalUser::Name, LocalUser::FailedAuthCount];
        let names = (0..plan.users).map(|n| {
            [
                plan.id(Kind::User, n).into(),
                plan.id(Kind::Domain, plan.domain_of(n)).into(),
                format!("{prefix}-user-{n:06}").into(),
                0.into(),
            ]
        });
        self.fill("names of users", LocalUser::Table, columns, names).await?;
        let with_password: Vec<u64> = (0..plan.users).filter(|n| plan.has_password(*n)).collect();
        let statements = with_password.chunks(ROWS).map(|users| self.passwords_of(users));
        self.run("passwords", statements).await?;
        let options =
            (0..plan.users).step_by(50).map(|n| [plan.id(Kind::User, n).into(), "1001".into(), "true".into()]);
        let columns = [UserOption::UserId, UserOption::OptionId, UserOption::OptionValue];
        self.fill("options of users", UserOption::Table, columns, options).await
    }

    /// A password belongs to a row whose number the database has made.
    fn passwords_of(&self, users: &[u64]) -> InsertStatement {
        let mut rows = Sql::select();
        rows.column(LocalUser::Id)
            .expr(Expr::val(self.hash.as_str()))
            .expr(Expr::val(false))
            .expr(Expr::val(MADE_AT))
            .expr(made_at())
            .from(LocalUser::Table)
            .and_where(Expr::col(LocalUser::UserId).is_in(users.iter().map(|user| self.plan.id(Kind::User, *user))));
        let mut insert = Sql::insert();
        insert.into_table(Password::Table).columns([
            Password::LocalUserId,
            Password::PasswordHash,
            Password::SelfService,
            Password::CreatedAtInt,
            Password::CreatedAt,
        ]);
        insert.select_from(rows).expect("as many columns as the line above names");
        insert
    }

    async fn groups(&self) -> Result<(), SeedError> {
        let plan = self.plan;
        let prefix = plan.prefix();
        let groups = (0..plan.groups).map(|n| {
            [
                plan.id(Kind::Group, n).into(),
                plan.id(Kind::Domain, plan.domain_of(n)).into(),
                format!("{prefix}-group-{n:05}").into(),
                "".into(),
                "{}".into(),
            ]
        });
        let columns = [Group::Id, Group::DomainId, Group::Name, Group::Description, Group::Extra];
        self.fill("groups", Group::Table, columns, groups).await?;
        let members = (0..plan.groups).flat_map(|group| {
            plan.members_of(group)
                .map(move |user| [plan.id(Kind::User, user).into(), plan.id(Kind::Group, group).into()])
        });
        let columns = [UserGroupMembership::UserId, UserGroupMembership::GroupId];
        self.fill("members of groups", UserGroupMembership::Table, columns, members).await
    }

    /// How many on projects and domains.
    async fn assignments(&self) -> Result<usize, SeedError> {
        let plan = self.plan;
        let rows = plan.assignments().map(|assigned| {
            let actor = if assigned.kind.starts_with("User") { Kind::User } else { Kind::Group };
            let target = if assigned.kind.ends_with("Domain") { Kind::Domain } else { Kind::Project };
            [
                enum_value("type", assigned.kind),
                plan.id(actor, assigned.actor).into(),
                plan.id(target, assigned.target).into(),
                assigned.role.map_or_else(|| self.member.clone(), |role| plan.id(Kind::Role, role)).into(),
                assigned.inherited.into(),
            ]
        });
        let columns =
            [Assignment::Type, Assignment::ActorId, Assignment::TargetId, Assignment::RoleId, Assignment::Inherited];
        self.fill("assignments", Assignment::Table, columns, rows).await?;
        let on_system = (0..Ord::min(plan.users, 20)).map(|n| {
            let role = plan.id(Kind::Role, n % plan.roles);
            ["UserSystem".into(), plan.id(Kind::User, n).into(), "system".into(), role.into(), false.into()]
        });
        let columns = [
            SystemAssignment::Type,
            SystemAssignment::ActorId,
            SystemAssignment::TargetId,
            SystemAssignment::RoleId,
            SystemAssignment::Inherited,
        ];
        self.fill("assignments on the system", SystemAssignment::Table, columns, on_system).await?;
        Ok(plan.assignments().count())
    }

    async fn catalog(&self) -> Result<(), SeedError> {
        let plan = self.plan;
        let prefix = plan.prefix();
        let region = |n: u64| format!("{prefix}-region-{n:02}");
        // Every fifth is a continent, and the four after it are in it.
        let regions = (0..plan.regions).map(|n| {
            let parent = (n % 5 != 0).then(|| region(n - n % 5));
            [region(n).into(), "".into(), parent.into(), "{}".into()]
        });
        let columns = [Region::Id, Region::Description, Region::ParentRegionId, Region::Extra];
        self.fill("regions", Region::Table, columns, regions).await?;
        let services = (0..plan.services()).map(|n| {
            let extra = json!({"name": format!("{prefix}-service-{n}"), "description": ""});
            [
                plan.id(Kind::Service, n).into(),
                format!("{prefix}-type-{n}").into(),
                true.into(),
                json_text(&extra).into(),
            ]
        });
        let columns = [Service::Id, Service::Type, Service::Enabled, Service::Extra];
        self.fill("services", Service::Table, columns, services).await?;
        let endpoints = (0..plan.endpoints).map(|n| {
            let service = n / plan.regions / 3;
            let interface = ["public", "internal", "admin"][usize::try_from(n / plan.regions % 3).unwrap_or(0)];
            let path = if service.is_multiple_of(3) { "/v1/%(project_id)s" } else { "/v2" };
            [
                plan.id(Kind::Endpoint, n).into(),
                interface.into(),
                plan.id(Kind::Service, service).into(),
                format!("https://service-{service}.region-{}.{interface}.example.org{path}", n % plan.regions).into(),
                region(n % plan.regions).into(),
                true.into(),
                "{}".into(),
            ]
        });
        let columns = [
            Endpoint::Id,
            Endpoint::Interface,
            Endpoint::ServiceId,
            Endpoint::Url,
            Endpoint::RegionId,
            Endpoint::Enabled,
            Endpoint::Extra,
        ];
        self.fill("endpoints", Endpoint::Table, columns, endpoints).await
    }

    /// A server that is running has the catalog and the roles in memory; the rest is new to everybody.
    async fn tell_others(&self) -> Result<(), DbError> {
        self.db
            .write(|tx| {
                Box::pin(async move {
                    for kind in ["catalog", "roles"] {
                        tx.touch(Touch { kind, reference: String::new() });
                    }
                    Ok(())
                })
            })
            .await
    }

    /// Inserts rows, many with each statement.
    async fn fill<T, C, const N: usize>(
        &self,
        what: &str,
        table: T,
        columns: [C; N],
        rows: impl Iterator<Item = [Expr; N]>,
    ) -> Result<(), SeedError>
    where
        T: Iden + Copy + 'static,
        C: Iden + Copy + 'static,
    {
        let mut rows = rows.peekable();
        let statements = std::iter::from_fn(|| {
            rows.peek()?;
            let mut insert = Sql::insert();
            insert.into_table(table).columns(columns);
            for row in rows.by_ref().take(ROWS) {
                insert.values_panic(row);
            }
            Some(insert)
        });
        self.run(what, statements).await
    }

    /// Runs statements, several in each transaction.
    async fn run(&self, what: &str, mut statements: impl Iterator<Item = InsertStatement>) -> Result<(), SeedError> {
        let started = Instant::now();
        let mut inserted = 0;
        loop {
            let some: Vec<InsertStatement> = statements.by_ref().take(STATEMENTS).collect();
            if some.is_empty() {
                break;
            }
            let some = &some;
            inserted += self
                .db
                .write(move |tx| {
                    Box::pin(async move {
                        let mut rows = 0;
                        for statement in some {
                            rows += tx.execute(statement).await?;
                        }
                        Ok::<_, DbError>(rows)
                    })
                })
                .await?;
        }
        eprintln!("{inserted:>7} {what}, {:.1} s", started.elapsed().as_secs_f64());
        Ok(())
    }
}

fn made_at() -> Expr {
    DateTime::from_timestamp_micros(MADE_AT).map(|moment| moment.naive_utc()).into()
}

fn summary(options: &Options, assignments: usize, started: Instant) -> Value {
    let plan = &options.plan;
    json!({
        "seconds": started.elapsed().as_secs_f64(),
        "users": plan.users, "projects": plan.projects, "assignments": assignments, "groups": plan.groups,
        "members_of_each_group": Ord::min(plan.members, plan.users),
        "endpoints": plan.endpoints, "regions": plan.regions, "services": plan.services(),
        "domains": plan.domains, "roles": plan.roles,
        "password": options.password,
        "first": {
            "domain": plan.id(Kind::Domain, 0),
            "user": plan.id(Kind::User, 0),
            "user_name": format!("{}-user-000000", plan.prefix()),
            "project": plan.id(Kind::Project, 0),
            "last_project": plan.id(Kind::Project, plan.projects - 1),
            "group": plan.id(Kind::Group, 0),
            "role": plan.id(Kind::Role, 0),
            "service": plan.services().checked_sub(1).map(|_| plan.id(Kind::Service, 0)),
            "endpoint": plan.endpoints.checked_sub(1).map(|_| plan.id(Kind::Endpoint, 0)),
        },
    })
}
