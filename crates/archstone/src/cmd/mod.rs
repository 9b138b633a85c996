//! The command line. The commands of `keystone-manage` have their own names here; called by that name (a link), the
//! program takes that command line.

mod bootstrap;
mod db;
mod config;
mod dev;
mod policy;
mod serve;
mod startup;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

/// An OpenStack Identity service: one program in place of Keystone.
#[derive(Parser)]
#[command(name = "archstone", version, about, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    config: ConfigArgs,

    #[command(subcommand)]
    command: Command,
}

/// Where the configuration is.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ConfigArgs {
    /// A keystone.conf; may be given several times, the later wins. Default: keystone.conf in ~/.keystone, ~,
    /// /etc/keystone, /etc, or as OS_KEYSTONE_CONFIG_FILES and OS_KEYSTONE_CONFIG_DIR say.
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config_file: Vec<PathBuf>,
    /// A folder whose *.conf files are read after the files, in the order of their names.
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) config_dir: Vec<PathBuf>,
    /// Log everything.
    #[arg(long, short, global = true)]
    pub(crate) debug: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the Identity API until SIGTERM.
    Serve(serve::Args),
    /// Serves a cloud of its own for trying out: sets up a database, keys and an administrator first.
    Dev(dev::Args),
    /// Makes the first administrator, its project, the roles, and the identity service's endpoints.
    Bootstrap(bootstrap::Args),
    /// Makes and checks the database's schema.
    #[command(subcommand)]
    Db(db::Command),
    /// Makes the database's schema (also: db sync).
    #[command(name = "db_sync")]
    DbSync(db::SyncArgs),
    /// Prints the revision of the database's schema (also: db version).
    #[command(name = "db_version")]
    DbVersion,
    /// Looks at the rules of authorization: check, sample.
    Policy(policy::Args),
    /// Looks at the configuration without starting.
    Config(config::Args),
}

/// Runs what the command line says.
pub(crate) fn run() -> ExitCode {
    let called_as = std::env::args_os().next().map(PathBuf::from);
    let name = called_as.as_deref().and_then(|path| path.file_name()).and_then(|name| name.to_str());
    let mut command = Cli::command();
    if let Some(name @ "keystone-manage") = name {
        command = command.name(name.to_owned()).bin_name(name.to_owned());
    }
    let cli = match Cli::from_arg_matches(&command.get_matches()) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    match cli.command {
        Command::Serve(args) => serve::run(&cli.config, &args),
        Command::Dev(args) => dev::run(&args),
        Command::Bootstrap(args) => bootstrap::run(&cli.config, args),
        Command::Db(command) => db::run(&cli.config, command),
        Command::DbSync(args) => db::run_sync(&cli.config, &args),
        Command::DbVersion => db::run_version(&cli.config),
        Command::Policy(args) => policy::run(&cli.config, &args),
        Command::Config(args) => config::run(&cli.config, &args),
    }
}
