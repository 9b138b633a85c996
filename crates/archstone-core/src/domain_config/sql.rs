//! Queries of `whitelisted_config` and `sensitive_config`, two tables of the same columns.

use archstone_db::tables::{SensitiveConfig, WhitelistedConfig};
use archstone_db::{Query, Tx, json_text};
use sea_query::{Condition, Expr, ExprTrait as _, IntoTableRef as _, Query as Sql, TableRef};
use serde_json::Value;

use super::{Groups, Part};
use crate::error::{Result, Stored as _};
use crate::id::DomainId;

/// In which table an option is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Drawer {
    Open,
    Secret,
}

/// The columns' names, which are those of the other table too.
use WhitelistedConfig as Column;

impl Drawer {
    fn table(self) -> TableRef {
        match self {
            Drawer::Open => WhitelistedConfig::Table.into_table_ref(),
            Drawer::Secret => SensitiveConfig::Table.into_table_ref(),
        }
    }
}

/// What is stored of a domain.
#[derive(Clone, Debug, Default)]
pub(super) struct Stored {
    pub(super) open: Groups,
    pub(super) secret: Groups,
}

impl Stored {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty() && self.secret.is_empty()
    }
}

fn of_part(id: &DomainId, part: &Part) -> Condition {
    Condition::all()
        .add(Expr::col(Column::DomainId).eq(&**id))
        .add_option(part.group().map(|group| Expr::col(Column::Group).eq(group)))
        .add_option(part.option().map(|option| Expr::col(Column::Option).eq(option)))
}

pub(super) async fn list(mut db: impl Query, id: &DomainId, part: &Part) -> Result<Stored> {
    Ok(Stored {
        open: list_drawer(db.by_ref(), id, part, Drawer::Open).await?,
        secret: list_drawer(db, id, part, Drawer::Secret).await?,
    })
}

async fn list_drawer(db: impl Query, id: &DomainId, part: &Part, drawer: Drawer) -> Result<Groups> {
    let mut select = Sql::select();
    select.columns([Column::Group, Column::Option, Column::Value]).from(drawer.table()).cond_where(of_part(id, part));
    let mut groups = Groups::new();
    for row in db.fetch_all(&select).await? {
        groups.entry(row.get("group")?).or_default().insert(row.get("option")?, row.json("value")?);
    }
    Ok(groups)
}

pub(super) async fn insert(
    tx: &mut Tx<'_>,
    id: &DomainId,
    drawer: Drawer,
    options: &[(&str, &str, &Value)],
) -> Result<()> {
    if options.is_empty() {
        return Ok(());
    }
    let mut insert = Sql::insert();
    insert.into_table(drawer.table()).columns([Column::DomainId, Column::Group, Column::Option, Column::Value]);
    for (group, option, value) in options {
        insert.values_panic([(&**id).into(), (*group).into(), (*option).into(), json_text(value).into()]);
    }
    // Somebody else set the same option meanwhile.
    tx.execute(&insert).await.or_conflict("domain configuration", || format!("the domain {id} changed"))?;
    Ok(())
}

pub(super) async fn delete(tx: &mut Tx<'_>, id: &DomainId, part: &Part) -> Result<()> {
    delete_where(tx, &of_part(id, part)).await
}

/// Forgets these options, whichever table they are in.
pub(super) async fn delete_options(tx: &mut Tx<'_>, id: &DomainId, groups: &Groups) -> Result<()> {
    let mut any = Condition::any();
    for (group, options) in groups {
        any = any.add(
            Condition::all()
                .add(Expr::col(Column::Group).eq(group.as_str()))
                .add(Expr::col(Column::Option).is_in(options.keys().map(String::as_str))),
        );
    }
    delete_where(tx, &Condition::all().add(Expr::col(Column::DomainId).eq(&**id)).add(any)).await
}

async fn delete_where(tx: &mut Tx<'_>, condition: &Condition) -> Result<()> {
    for drawer in [Drawer::Open, Drawer::Secret] {
        let mut delete = Sql::delete();
        delete.from_table(drawer.table()).cond_where(condition.clone());
        tx.execute(&delete).await?;
    }
    Ok(())
}
