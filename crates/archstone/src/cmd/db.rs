//! `db sync`, `db check`, `db version` and `db triggers`, and the same as `keystone-manage` spells them: `db_sync`, `db_version`.

use std::process::ExitCode;

use archstone_db::schema::{self, CONTRACT_HEAD, EXPAND_HEAD, Status};
use archstone_db::triggers::{self, Triggers};

use super::ConfigArgs;
use super::startup::{self, Refusal};

/// The database's schema.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Makes the schema in an empty database, or Archstone's own tables beside Keystone's.
    Sync(SyncArgs),
    /// Says whether `db sync` has something to do: 0 no, 2 yes, 4 Keystone's contract step is missing.
    Check,
    /// Prints the revision of Keystone's schema that the database holds.
    Version,
    /// Lets the database tell this program at once what other programs write into it.
    #[command(subcommand)]
    Triggers(TriggersCommand),
}

/// The triggers on Keystone's tables.
#[derive(clap::Subcommand, Clone, Copy)]
pub(crate) enum TriggersCommand {
    /// Makes them, or what is missing of them. Needs the right to make triggers.
    Install,
    /// Takes them away.
    Remove,
    /// Says whether they are there: 0 yes, 2 no.
    Check,
}

/// What `db_sync` takes. All of the schema is made in one step, so `--expand` does it, `--migrate` has nothing to do
/// and `--contract` only makes sure that it is there.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the reference's command line")]
#[derive(clap::Args)]
pub(crate) struct SyncArgs {
    /// Not supported, as in Keystone: the schema is always the newest
    version: Option<String>,
    /// Make what is missing
    #[arg(long, group = "step")]
    expand: bool,
    /// Nothing: there is no data to move
    #[arg(long, group = "step")]
    migrate: bool,
    /// Fail unless what `--expand` makes is there
    #[arg(long, group = "step")]
    contract: bool,
    /// Change nothing; exit with 0 if up to date, 2 if `--expand` is needed, 4 if `--contract` is
    #[arg(long, group = "step")]
    check: bool,
}

/// Runs `db …`.
pub(crate) fn run(config: &ConfigArgs, command: Command) -> ExitCode {
    match command {
        Command::Sync(args) => run_sync(config, &args),
        Command::Check => report(check(config)),
        Command::Version => run_version(config),
        Command::Triggers(command) => report(run_triggers(config, command)),
    }
}

/// Runs `db_sync`.
pub(crate) fn run_sync(config: &ConfigArgs, args: &SyncArgs) -> ExitCode {
    if args.version.is_some() {
        return Refusal("A version cannot be chosen: the schema is always that of Keystone 30.0.0.".to_owned())
            .report();
    }
    report(if args.check {
        check(config)
    } else if args.migrate {
        println!("There is no data to move.");
        Ok(ExitCode::SUCCESS)
    } else if args.contract {
        contract(config)
    } else {
        sync(config)
    })
}

/// Runs `db_version`; an empty database has the version None, which is no error.
pub(crate) fn run_version(config: &ConfigArgs) -> ExitCode {
    report(on_database(config, async |db| {
        let (expand, _) = schema::revisions(db).await?;
        println!("{}", expand.as_deref().unwrap_or("None"));
        Ok(ExitCode::SUCCESS)
    }))
}

fn report(outcome: Result<ExitCode, Refusal>) -> ExitCode {
    outcome.unwrap_or_else(|refusal| refusal.report())
}

fn sync(config: &ConfigArgs) -> Result<ExitCode, Refusal> {
    on_database(config, async |db| {
        match schema::create(db).await? {
            Status::Empty => tracing::info!("the schema of Keystone 30.0.0 and Archstone's own tables are made"),
            Status::Current => tracing::info!("the schema is up to date"),
            _ => tracing::info!("Archstone's own tables are made"),
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn run_triggers(config: &ConfigArgs, command: TriggersCommand) -> Result<ExitCode, Refusal> {
    on_database(config, async |db| {
        schema::check(db).await?.require_current()?;
        match command {
            TriggersCommand::Install => triggers::install(db).await?,
            TriggersCommand::Remove => triggers::remove(db).await?,
            TriggersCommand::Check => {}
        }
        let found = triggers::check(db).await?;
        println!("{found}");
        let as_wanted = match command {
            TriggersCommand::Install | TriggersCommand::Check => found == Triggers::Installed,
            TriggersCommand::Remove => found == Triggers::Absent,
        };
        Ok(if as_wanted { ExitCode::SUCCESS } else { ExitCode::from(2) })
    })
}

fn contract(config: &ConfigArgs) -> Result<ExitCode, Refusal> {
    on_database(config, async |db| {
        schema::check(db).await?.require_current()?;
        Ok(ExitCode::SUCCESS)
    })
}

fn check(config: &ConfigArgs) -> Result<ExitCode, Refusal> {
    on_database(config, async |db| {
        let status = schema::check(db).await?;
        println!("{status}");
        let (expand, contract) = schema::revisions(db).await?;
        let or_none = |revision: Option<String>| revision.unwrap_or_else(|| "None".to_owned());
        println!("expand: {} (newest: {EXPAND_HEAD})", or_none(expand));
        println!("contract: {} (newest: {CONTRACT_HEAD})", or_none(contract));
        Ok(ExitCode::from(needed(&status)))
    })
}

/// The reference's codes: 2 expand, 4 contract.
fn needed(status: &Status) -> u8 {
    match status {
        Status::Current => 0,
        Status::Older { expand: Some(expand), .. } if expand == EXPAND_HEAD => 4,
        _ => 2,
    }
}

fn on_database(
    config: &ConfigArgs,
    run: impl AsyncFnOnce(&archstone_db::Db) -> Result<ExitCode, Refusal>,
) -> Result<ExitCode, Refusal> {
    let config = startup::load_config(config)?;
    startup::runtime(Some(1))?.block_on(async {
        let db = startup::connect(&config).await?;
        let outcome = run(&db).await;
        db.close().await;
        outcome
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_tells_which_step_is_needed() {
        let older = |expand: Option<&str>| Status::Older { expand: expand.map(str::to_owned), contract: None };
        assert_eq!(needed(&Status::Current), 0);
        assert_eq!(needed(&Status::Empty), 2);
        assert_eq!(needed(&Status::WithoutOwn { version: 0 }), 2);
        assert_eq!(needed(&older(Some("e8725d6fa226"))), 2);
        assert_eq!(needed(&older(Some(EXPAND_HEAD))), 4);
    }
}
