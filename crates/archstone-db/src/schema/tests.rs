//! The columns that we make are those that were recorded of Python Keystone's `db_sync`.
//!
//! Keys, indexes and the rest are compared with a running Python Keystone in `tests/operations/test_schema.py`.

use std::collections::BTreeSet;

use crate::statement::Built;
use crate::testing::on_each_database;
use crate::{Db, Dialect, Row};

fn reference(dialect: Dialect) -> BTreeSet<String> {
    let text = match dialect {
        Dialect::Sqlite => include_str!("reference/sqlite_columns.tsv"),
        Dialect::MySql => include_str!("reference/mysql_columns.tsv"),
        Dialect::Postgres => include_str!("reference/postgresql_columns.tsv"),
    };
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().expect("a line of names").split('\t').collect();
    assert_eq!(names[..6], ["table", "ordinal", "column", "type", "nullable", "server_default"]);
    lines
        .map(|line| {
            let cells: Vec<&str> = line.split('\t').collect();
            // MySQL 8 does not tell the display width of integers.
            let kind = cells[3].replace("INTEGER(11)", "INT").replace("BIGINT(20)", "BIGINT");
            described(cells[0], cells[1], cells[2], &kind, cells[4] == "NULL", cells[5])
        })
        .collect()
}

fn described(table: &str, ordinal: &str, column: &str, kind: &str, nullable: bool, default: &str) -> String {
    let nullable = if nullable { "NULL" } else { "NOT NULL" };
    format!("{table} {ordinal} {column} {} {nullable} {default}", kind.to_uppercase())
}

async fn ours(db: &Db) -> BTreeSet<String> {
    let columns = match db.dialect() {
        Dialect::Sqlite => {
            "SELECT t.name AS tab, c.cid + 1 AS ordinal, c.name AS col, c.type AS kind,
                    c.\"notnull\" = 0 AS nullable, c.dflt_value AS def
             FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table'"
        }
        Dialect::MySql => {
            "SELECT table_name AS tab, ordinal_position AS ordinal, column_name AS col, column_type AS kind,
                    is_nullable = 'YES' AS nullable, column_default AS def
             FROM information_schema.columns WHERE table_schema = DATABASE()"
        }
        Dialect::Postgres => {
            "SELECT c.relname AS tab, a.attnum AS ordinal, a.attname AS col,
                    format_type(a.atttypid, a.atttypmod) AS kind, NOT a.attnotnull AS nullable,
                    pg_get_expr(d.adbin, d.adrelid) AS def
             FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
             LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
             WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace AND a.attnum > 0"
        }
    };
    let mut conn = db.pool().acquire().await.expect("a connection");
    let rows = conn.fetch_all(Built::plain(columns)).await.expect("the columns");
    rows.iter().map(column).filter(|column| !column.starts_with("archstone_")).collect()
}

fn column(row: &Row) -> String {
    let text = |name| row.get::<Option<String>>(name).expect("text").unwrap_or_default();
    let ordinal: i64 = row.get("ordinal").expect("a number");
    let kind = text("kind").replace("character varying", "varchar").replace('"', "").replace("int(11)", "int");
    let kind = kind.replace("bigint(20)", "bigint");
    // MariaDB writes the absence of a default so.
    let default = Some(text("def")).filter(|default| default != "NULL").unwrap_or_default();
    let nullable = row.get("nullable").expect("a truth");
    described(&text("tab"), &ordinal.to_string(), &text("col"), &kind, nullable, &default)
}

#[tokio::test]
async fn columns_are_the_references() {
    on_each_database(async |db| {
        let (reference, ours) = (reference(db.dialect()), ours(db).await);
        assert_eq!(reference.len(), 238);
        assert_eq!(ours.difference(&reference).collect::<Vec<_>>(), Vec::<&String>::new());
        assert_eq!(reference.difference(&ours).collect::<Vec<_>>(), Vec::<&String>::new());
    })
    .await;
}
