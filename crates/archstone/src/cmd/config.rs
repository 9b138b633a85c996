//! `archstone config check`: everything that a start would say about the configuration, without starting.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use archstone_core::config::{Config, Given, Level, Problem, Warning};

use super::ConfigArgs;
use super::startup;

/// What `archstone config` takes.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Says what is wrong with the configuration, and what in it has no effect; fails if a server could not start.
    Check(CheckArgs),
}

#[derive(clap::Args)]
struct CheckArgs {
    /// Look at the files alone, not at the keys, policy files and catalog that they name.
    #[arg(long)]
    files_only: bool,
}

/// Runs the command.
pub(crate) fn run(config: &ConfigArgs, args: &Args) -> ExitCode {
    let Command::Check(args) = &args.command;
    let given = startup::given(config);
    let examined = Config::examine(&given);
    let (mut problems, mut warnings) = (examined.problems, examined.warnings);
    if !args.files_only {
        let (on_disk, of_files) = startup::check_environment(&examined.config);
        problems.extend(on_disk);
        problems.sort();
        warnings.extend(of_files);
    }
    print!("{}", report(&given, &problems, &warnings));
    if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A line for each thing that there is to say, the worst last, where it is seen.
fn report(given: &Given, problems: &[Problem], warnings: &[Warning]) -> String {
    let mut lines = Vec::new();
    for (level, word) in [(Level::Note, "note"), (Level::Warning, "warning")] {
        let of_level = warnings.iter().filter(|warning| warning.level == level);
        lines.extend(of_level.map(|warning| format!("{word}: {warning}")));
    }
    let count = |level| warnings.iter().filter(|warning| warning.level == level).count();
    lines.extend(problems.iter().map(|problem| format!("problem: {problem}")));
    let mut text = lines.into_iter().fold(String::new(), |text, line| text + &line + "\n");
    let (notes, warnings) = (count(Level::Note), count(Level::Warning));
    writeln!(
        text,
        "{}: {}, {}, {}",
        files(&given.files),
        plural(problems.len(), "problem"),
        plural(warnings, "warning"),
        plural(notes, "note"),
    )
    .expect("a String takes all that is written");
    text
}

fn files(files: &[PathBuf]) -> String {
    if files.is_empty() {
        return "no configuration file found, only defaults".to_owned();
    }
    let names: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    names.join(", ")
}

fn plural(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_tells_all_and_counts() {
        let text = "[token]\nexpiration = soon\nexpration = 1\n[cache]\nbackend = oslo_cache.dict\nnonsense\n";
        let given = Given::from_text("k.conf", text);
        let examined = Config::examine(&given);
        let report = report(&given, &examined.problems, &examined.warnings);
        let lines: Vec<&str> = report.lines().collect();
        assert!(lines[0].starts_with("note: k.conf:5: [cache] backend"), "{report}");
        assert!(lines[1].starts_with("warning: k.conf:3: [token] expration"), "{report}");
        assert!(lines[2].starts_with("problem: k.conf:2: [token] expiration"), "{report}");
        assert!(lines[3].starts_with("problem: k.conf:6: "), "{report}");
        assert_eq!(lines[4], "no configuration file found, only defaults: 2 problems, 1 warning, 1 note");
    }
}
