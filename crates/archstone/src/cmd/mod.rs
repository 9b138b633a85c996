//! The command line. The commands of `keystone-manage` have their own names here; called by that name (a link), the
//! program takes that command line.

mod bootstrap;
mod config;
mod db;
mod dev;
mod doctor;
mod keys;
mod policy;
mod report;
mod serve;
mod startup;
mod trust;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use archstone_core::config::Named;
use clap::error::ErrorKind;
use clap::{ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

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
#[expect(clippy::doc_markdown, reason = "the texts are shown as help, where a backtick is noise")]
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ConfigArgs {
    /// A keystone.conf; may be given several times, the later wins. Default: keystone.conf in ~/.keystone, ~,
    /// /etc/keystone, /etc, or as OS_KEYSTONE_CONFIG_FILES and OS_KEYSTONE_CONFIG_DIR say.
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config_file: Vec<PathBuf>,
    /// A folder whose *.conf files are read in the order of their names, after what was given before it.
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) config_dir: Vec<PathBuf>,
    /// Both of the above as they stand on the command line: there, too, the later wins.
    #[arg(skip)]
    pub(crate) named: Vec<Named>,
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
    /// Takes away trusts that have ended.
    #[command(subcommand)]
    Trust(trust::Command),
    /// Takes away trusts that have ended (also: trust flush).
    #[command(name = "trust_flush")]
    TrustFlush(trust::FlushArgs),
    /// Looks at the rules of authorization: check, sample.
    Policy(policy::Args),
    /// Prints users whose password expires, who are locked out, or who are idle for too long.
    Report(report::Args),
    /// Looks at the configuration without starting.
    Config(config::Args),
    /// Looks for what makes a cloud slow, unsafe or about to fail, and says what to do; fails if it finds any.
    Doctor(doctor::Args),
    #[command(flatten)]
    Keys(keys::Command),
}

/// Runs what the command line says.
pub(crate) fn run() -> ExitCode {
    let called_as = std::env::args_os().next().map(PathBuf::from);
    let name = called_as.as_deref().and_then(|path| path.file_name()).and_then(|name| name.to_str());
    let mut command = Cli::command();
    if name == Some("keystone-manage") {
        command = command.name("keystone-manage").bin_name("keystone-manage");
    }
    let matches = command.get_matches();
    let mut cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    cli.config.named = named(&cli.config, &matches);
    if cli.config.named.len() != count_named(std::env::args_os()) {
        let text = "name all configuration files and folders in one place: all before or all after the command";
        Cli::command().error(ErrorKind::ArgumentConflict, text).exit();
    }
    match cli.command {
        Command::Serve(args) => serve::run(&cli.config, &args),
        Command::Dev(args) => dev::run(&args),
        Command::Bootstrap(args) => bootstrap::run(&cli.config, args),
        Command::Keys(command) => keys::run(&cli.config, command),
        Command::Db(command) => db::run(&cli.config, command),
        Command::DbSync(args) => db::run_sync(&cli.config, &args),
        Command::DbVersion => db::run_version(&cli.config),
        Command::Trust(trust::Command::Flush(args)) | Command::TrustFlush(args) => trust::run(&cli.config, args),
        Command::Report(args) => report::run(&cli.config, &args),
        Command::Policy(args) => policy::run(&cli.config, &args),
        Command::Config(args) => config::run(&cli.config, &args),
        Command::Doctor(args) => doctor::run(&cli.config, &args),
    }
}

fn named(config: &ConfigArgs, matches: &ArgMatches) -> Vec<Named> {
    let at = |id: &str| matches.indices_of(id).into_iter().flatten();
    let files = at("config_file").zip(config.config_file.iter().cloned().map(Named::File));
    let dirs = at("config_dir").zip(config.config_dir.iter().cloned().map(Named::Dir));
    let mut named: Vec<_> = files.chain(dirs).collect();
    named.sort_by_key(|(at, _)| *at);
    named.into_iter().map(|(_, named)| named).collect()
}

/// How many files and folders a command line names. Of options that stand on two sides of a command, clap keeps only
/// those of one side, and a file left out in silence could be the one that closes a door.
fn count_named(line: impl Iterator<Item = OsString>) -> usize {
    let is = |argument: &[u8], option: &str| {
        let rest = argument.strip_prefix(option.as_bytes());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"="))
    };
    line.filter(|argument| {
        let argument = argument.as_encoded_bytes();
        is(argument, "--config-file") || is(argument, "--config-dir")
    })
    .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_line_order_of_files_and_folders_is_kept() {
        for line in [
            "archstone --config-dir a --config-file b --config-dir=c --config-file d config check",
            "archstone config check --config-dir a --config-file b --config-dir c --config-file=d",
        ] {
            assert_eq!(count_named(line.split(' ').map(OsString::from)), 4);
            let matches = Cli::command().get_matches_from(line.split(' '));
            let config = Cli::from_arg_matches(&matches).unwrap().config;
            let names = named(&config, &matches).into_iter().map(|named| match named {
                Named::File(path) => format!("file {}", path.display()),
                Named::Dir(path) => format!("dir {}", path.display()),
            });
            assert_eq!(names.collect::<Vec<_>>(), ["dir a", "file b", "dir c", "file d"], "{line}");
        }
    }
}
