//! `archstone policy`: looks at the rules of authorization without starting a server.

use std::fmt::Write as _;
use std::process::ExitCode;

use archstone_core::authz::policy::{DocumentedRule, Policy, PolicySettings, ScopeType, Severity, documented_rules};

use super::ConfigArgs;
use super::startup::{self, Refusal};

/// What `archstone policy` takes.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Reads the policy files that the configuration names and reports every rule that is misspelt, malformed, or
    /// refers to nothing or to itself. Ends with 1 if there is one.
    Check,
    /// Prints all rules with their defaults as a policy.yaml in which every line is a comment.
    Sample,
}

/// Runs the command: 0 if all is well, 1 if something is wrong with the rules.
pub(crate) fn run(config: &ConfigArgs, args: &Args) -> ExitCode {
    match args.action {
        Action::Check => check(config).unwrap_or_else(|refusal| refusal.report()),
        Action::Sample => {
            print!("{}", sample(&documented_rules()));
            ExitCode::SUCCESS
        }
    }
}

fn check(config: &ConfigArgs) -> Result<ExitCode, Refusal> {
    let config = startup::load_config(config)?;
    let (policy, problems) = Policy::load(PolicySettings::from_config(&config))?;
    for problem in &problems {
        match problem.severity() {
            Severity::Error => println!("{problem}"),
            Severity::Note => println!("{problem} (note)"),
        }
    }
    let wrong = problems.iter().filter(|problem| problem.severity() == Severity::Error).count();
    let files = policy.files();
    let read = match files.as_slice() {
        [] => "no policy file, the defaults hold".to_owned(),
        files => files.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "),
    };
    println!("{read}: {wrong} problem{}", if wrong == 1 { "" } else { "s" });
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn sample(rules: &[DocumentedRule]) -> String {
    let mut text = "# Rules that differ from these defaults go into policy.yaml; leave the others out.\n\
                    # Changes take effect within a second. See `archstone policy check`.\n"
        .to_owned();
    for DocumentedRule { rule, operations } in rules {
        text.push('\n');
        for operation in operations {
            push_line(&mut text, &format!("# {operation}"));
        }
        if operations.is_empty() {
            push_line(&mut text, "# Other rules refer to it.");
        }
        if !rule.scopes.is_empty() {
            let scopes: Vec<&str> = rule.scopes.iter().copied().map(scope_name).collect();
            push_line(&mut text, &format!("# For tokens of these scopes: {}", scopes.join(", ")));
        }
        if let Some(earlier) = rule.deprecated.as_ref().filter(|earlier| earlier.check != rule.check) {
            push_line(&mut text, &format!("# Earlier default: {}: {}", quote(&earlier.name), quote(&earlier.check)));
        }
        push_line(&mut text, &format!("#{}: {}", quote(&rule.name), quote(&rule.check)));
    }
    text
}

fn push_line(text: &mut String, line: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}

/// A double-quoted YAML scalar. Rules hold nothing that would need more than this.
fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn scope_name(scope: ScopeType) -> &'static str {
    match scope {
        ScopeType::System => "system",
        ScopeType::Domain => "domain",
        ScopeType::Project => "project",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sample_with_its_comments_removed_says_the_defaults() {
        let text = sample(&documented_rules());
        assert!(text.lines().all(|line| line.is_empty() || line.starts_with('#')));
        let rules: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("#\"").map(|_| &line[1..])).collect();
        let read: serde_yaml_ng::Mapping = serde_yaml_ng::from_str(&rules.join("\n")).unwrap();
        assert_eq!(read.len(), documented_rules().len());
        for DocumentedRule { rule, .. } in documented_rules() {
            assert_eq!(read.get(rule.name.as_str()).and_then(|check| check.as_str()), Some(rule.check.as_str()));
        }
    }
}
