//! The triggers' text for each database.

use crate::Dialect;

/// Part of each name: triggers that do something else have another.
const VERSION: u32 = 1;
/// Rows of `archstone_foreign_clock`, numbered from 0.
pub(crate) const SLOTS: u8 = 16;
/// The writer of a change that a trigger recorded is this and the slot.
pub(crate) const FOREIGN_WRITER: &str = "foreign-";

/// A table whose rows are part of what nodes remember.
struct Watched {
    table: &'static str,
    /// The kind of thing that a changed row touches.
    kind: &'static str,
    /// Which one.
    names: Names,
    /// An UPDATE counts only if it changes one of these; empty: always.
    columns: &'static [&'static str],
}

enum Names {
    /// All of the kind.
    All,
    /// The thing of the id in this column.
    Column(&'static str),
    /// The thing of the id in `wanted` of the row of `table` whose `key` is this row's `column`.
    Through { column: &'static str, table: &'static str, key: &'static str, wanted: &'static str },
}

const fn watched(table: &'static str, kind: &'static str, column: &'static str) -> Watched {
    Watched { table, kind, names: Names::Column(column), columns: &[] }
}

const fn all(table: &'static str, kind: &'static str) -> Watched {
    Watched { table, kind, names: Names::All, columns: &[] }
}

const fn of_application_credential(table: &'static str) -> Watched {
    let names = Names::Through {
        column: "application_credential_id",
        table: "application_credential",
        key: "internal_id",
        wanted: "id",
    };
    Watched { table, kind: "application_credential", names, columns: &[] }
}

/// Kinds as the core's references name them. Access rules never change once they are made.
const WATCHED: [Watched; 27] = [
    // When a user was last active, and how often a login failed, is no part of a token.
    Watched {
        columns: &["id", "extra", "enabled", "default_project_id", "domain_id"],
        ..watched("user", "user", "id")
    },
    Watched { columns: &["user_id", "domain_id", "name"], ..watched("local_user", "user", "user_id") },
    watched("nonlocal_user", "user", "user_id"),
    watched("federated_user", "user", "user_id"),
    watched("user_option", "user", "user_id"),
    watched("user_group_membership", "user", "user_id"),
    watched("expiring_user_group_membership", "user", "user_id"),
    Watched {
        table: "password",
        kind: "user",
        names: Names::Through { column: "local_user_id", table: "local_user", key: "id", wanted: "user_id" },
        columns: &[],
    },
    watched("project", "project", "id"),
    watched("project_option", "project", "project_id"),
    watched("assignment", "assignments", "actor_id"),
    watched("system_assignment", "assignments", "actor_id"),
    all("role", "roles"),
    all("role_option", "roles"),
    all("implied_role", "roles"),
    all("region", "catalog"),
    all("service", "catalog"),
    all("endpoint", "catalog"),
    all("project_endpoint", "catalog"),
    all("endpoint_group", "catalog"),
    all("project_endpoint_group", "catalog"),
    all("revocation_event", "revocations"),
    watched("trust", "trust", "id"),
    watched("trust_role", "trust", "trust_id"),
    watched("application_credential", "application_credential", "id"),
    of_application_credential("application_credential_role"),
    of_application_credential("application_credential_access_rule"),
];

/// A trigger.
pub(super) struct Trigger {
    pub(super) name: String,
    /// The statements that make it, on PostgreSQL with its function.
    pub(super) create: String,
}

#[derive(Clone, Copy)]
enum Write {
    Insert,
    Update,
    Delete,
}

impl Write {
    const ALL: [Write; 3] = [Write::Insert, Write::Update, Write::Delete];

    fn word(self) -> &'static str {
        match self {
            Write::Insert => "INSERT",
            Write::Update => "UPDATE",
            Write::Delete => "DELETE",
        }
    }

    /// The versions of the row that name what was touched: an UPDATE may move a row from one thing to another.
    fn rows(self) -> &'static [&'static str] {
        match self {
            Write::Insert => &["NEW"],
            Write::Update => &["NEW", "OLD"],
            Write::Delete => &["OLD"],
        }
    }
}

fn name(watched: &Watched, write: Write) -> String {
    format!("archstone_{VERSION}_{}_{}", watched.table, write.word().to_ascii_lowercase())
}

pub(super) fn names() -> impl Iterator<Item = String> {
    WATCHED.iter().flat_map(|watched| Write::ALL.map(|write| name(watched, write)))
}

pub(super) fn all_of(dialect: Dialect) -> impl Iterator<Item = Trigger> {
    WATCHED.iter().flat_map(move |watched| {
        Write::ALL.map(|write| Trigger { name: name(watched, write), create: create(dialect, watched, write) })
    })
}

/// What takes a trigger of ours away, of this or an earlier version.
pub(super) fn drop(dialect: Dialect, name: &str) -> String {
    match dialect {
        Dialect::Sqlite | Dialect::MySql => format!("DROP TRIGGER {name}"),
        // Its trigger goes with the function.
        Dialect::Postgres => format!("DROP FUNCTION {name}() CASCADE"),
    }
}

fn create(dialect: Dialect, watched: &Watched, write: Write) -> String {
    let (name, table) = (name(watched, write), quoted(dialect, watched.table));
    let changed = changed(dialect, watched, write);
    let word = write.word();
    match dialect {
        Dialect::Sqlite => {
            let when = changed.map(|changed| format!(" WHEN {changed}")).unwrap_or_default();
            let body = body(dialect, watched, write, "0");
            format!("CREATE TRIGGER {name} AFTER {word} ON {table} FOR EACH ROW{when} BEGIN {body} END")
        }
        Dialect::MySql => {
            let changed = changed.map(|changed| format!(" AND {changed}")).unwrap_or_default();
            let body = body(dialect, watched, write, &format!("CONNECTION_ID() % {SLOTS}"));
            format!(
                "CREATE TRIGGER {name} AFTER {word} ON {table} FOR EACH ROW \
                 BEGIN IF @archstone_writer IS NULL{changed} THEN {body} END IF; END"
            )
        }
        Dialect::Postgres => {
            let changed = changed.map(|changed| format!(" AND {changed}")).unwrap_or_default();
            let body = body(dialect, watched, write, &format!("pg_backend_pid() % {SLOTS}"));
            // Whoever writes need not have rights on our tables.
            format!(
                "CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER \
                 SET search_path FROM CURRENT AS $archstone$ BEGIN \
                 IF COALESCE(current_setting('archstone.writer', true), '') = ''{changed} THEN {body} END IF; \
                 RETURN NULL; END $archstone$; \
                 CREATE TRIGGER {name} AFTER {word} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()"
            )
        }
    }
}

/// Adds a tick and tells what it was for.
fn body(dialect: Dialect, watched: &Watched, write: Write, slot: &str) -> String {
    let writer = match dialect {
        Dialect::MySql => format!("CONCAT('{FOREIGN_WRITER}', slot)"),
        Dialect::Sqlite | Dialect::Postgres => format!("'{FOREIGN_WRITER}' || slot"),
    };
    let mut body = format!("UPDATE archstone_foreign_clock SET tick = tick + 1 WHERE slot = {slot};");
    let rows: &[&str] = if matches!(watched.names, Names::All) { &["NEW"] } else { write.rows() };
    for (seq, row) in rows.iter().enumerate() {
        let reference = reference(dialect, watched, row);
        let kind = watched.kind;
        let select = format!("SELECT {writer}, tick, {seq}, '{kind}', {reference} FROM archstone_foreign_clock");
        let insert =
            format!(" INSERT INTO archstone_change (writer, tick, seq, kind, ref) {select} WHERE slot = {slot};");
        body.push_str(&insert);
    }
    body
}

fn reference(dialect: Dialect, watched: &Watched, row: &str) -> String {
    match &watched.names {
        Names::All => "''".to_owned(),
        Names::Column(column) => format!("{row}.{column}"),
        // Where the other row has gone, its own trigger has named the thing.
        Names::Through { column, table, key, wanted } => {
            let table = quoted(dialect, table);
            format!("COALESCE((SELECT t.{wanted} FROM {table} t WHERE t.{key} = {row}.{column}), '')")
        }
    }
}

/// Whether an UPDATE changed anything that counts.
fn changed(dialect: Dialect, watched: &Watched, write: Write) -> Option<String> {
    if !matches!(write, Write::Update) || watched.columns.is_empty() {
        return None;
    }
    let same = match dialect {
        Dialect::Sqlite => "IS",
        Dialect::MySql => "<=>",
        Dialect::Postgres => "IS NOT DISTINCT FROM",
    };
    let columns = watched.columns.iter().map(|column| format!("OLD.{column} {same} NEW.{column}"));
    Some(format!("NOT ({})", columns.collect::<Vec<_>>().join(" AND ")))
}

fn quoted(dialect: Dialect, table: &str) -> String {
    match dialect {
        Dialect::MySql => format!("`{table}`"),
        Dialect::Sqlite | Dialect::Postgres => format!("\"{table}\""),
    }
}
