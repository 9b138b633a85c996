//! `archstone doctor`: what makes a cloud slow, unsafe or about to fail, each with what to do
//! (`keystone.cmd.doctor`). It looks at the files, the keys and the database, and changes nothing.
//!
//! The checks that the reference has keep its names; those that have no object here say why.

mod configuration;
mod database;
mod keys;

use std::fmt::Write as _;
use std::process::ExitCode;

use archstone_core::config::Config;
use serde_json::{Value, json};

use super::ConfigArgs;
use super::startup::{self, Refusal};

/// What `archstone doctor` takes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How it is printed.
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    /// Lines for people, the worst last.
    Table,
    /// A list for programs.
    Json,
}

/// How it stands with what a check looks at; the worst last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum State {
    /// There is nothing to look at here.
    NotApplicable,
    /// Nothing is wrong.
    Fine,
    /// It could not be looked at.
    Unknown,
    /// Something is wrong.
    Symptom,
}

impl State {
    fn as_str(self) -> &'static str {
        match self {
            State::NotApplicable => "not applicable",
            State::Fine => "ok",
            State::Unknown => "unknown",
            State::Symptom => "symptom",
        }
    }
}

/// What a check has found.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Finding {
    /// The check's name.
    check: &'static str,
    state: State,
    /// What there is; never holds a secret.
    text: String,
    /// What to do about it.
    advice: Option<String>,
}

impl Finding {
    fn fine(check: &'static str, text: impl Into<String>) -> Finding {
        Finding { check, state: State::Fine, text: text.into(), advice: None }
    }

    fn not_applicable(check: &'static str, reason: impl Into<String>) -> Finding {
        Finding { check, state: State::NotApplicable, text: reason.into(), advice: None }
    }

    fn unknown(check: &'static str, reason: impl Into<String>) -> Finding {
        Finding { check, state: State::Unknown, text: reason.into(), advice: None }
    }

    fn symptom(check: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Finding {
        Finding { check, state: State::Symptom, text: text.into(), advice: Some(advice.into()) }
    }

    /// A symptom where `is_wrong`, else what is fine.
    fn unless(
        is_wrong: bool,
        check: &'static str,
        fine: impl Into<String>,
        text: impl Into<String>,
        advice: impl Into<String>,
    ) -> Finding {
        if is_wrong { Finding::symptom(check, text, advice) } else { Finding::fine(check, fine) }
    }
}

/// Runs the command: 0 without a symptom, 1 with one.
pub(crate) fn run(config: &ConfigArgs, args: &Args) -> ExitCode {
    let debug = config.debug;
    startup::start_logging(debug);
    match examine(config) {
        Ok(findings) => {
            print!("{}", if matches!(args.format, Format::Json) { in_json(&findings) } else { table(&findings) });
            let any = findings.iter().any(|finding| finding.state == State::Symptom);
            if any { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(refusal) => refusal.report(),
    }
}

/// All findings, the worst last.
fn examine(args: &ConfigArgs) -> Result<Vec<Finding>, Refusal> {
    let examined = Config::examine(&startup::given(args));
    let config = &examined.config;
    let mut findings = configuration::examine(&examined);
    findings.extend(keys::examine(config));
    findings.extend(startup::runtime(Some(1))?.block_on(database::examine(config)));
    findings.sort_by_key(|finding| finding.state);
    Ok(findings)
}

fn in_json(findings: &[Finding]) -> String {
    let list: Value = findings
        .iter()
        .map(|finding| {
            json!({
                "check": finding.check,
                "state": finding.state.as_str(),
                "finding": finding.text,
                "advice": finding.advice,
            })
        })
        .collect();
    format!("{list}\n")
}

fn table(findings: &[Finding]) -> String {
    let widest = |of: fn(&Finding) -> usize| findings.iter().map(of).max().unwrap_or(0);
    let state = widest(|finding| finding.state.as_str().len());
    let check = widest(|finding| finding.check.len());
    let mut text = String::new();
    for finding in findings {
        // Writing to a text does not fail. What comes from files can hold anything, also what would move the cursor.
        writeln!(text, "{:state$}  {:check$}  {}", finding.state.as_str(), finding.check, visible(&finding.text)).ok();
        if let Some(advice) = &finding.advice {
            writeln!(text, "{:state$}  {:check$}  -> {}", "", "", visible(advice)).ok();
        }
    }
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    let symptoms = count(State::Symptom);
    writeln!(
        text,
        "{symptoms} symptom{}, {} unknown, {} ok, {} not applicable",
        if symptoms == 1 { "" } else { "s" },
        count(State::Unknown),
        count(State::Fine),
        count(State::NotApplicable),
    )
    .ok();
    text
}

fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference's checks (`keystone.cmd.doctor`).
    const OF_THE_REFERENCE: [&str; 21] = [
        "caching_disabled",
        "caching_enabled_without_a_backend",
        "connection_to_memcached",
        "keys_in_credential_fernet_key_repository",
        "unique_key_repositories",
        "usability_of_credential_fernet_key_repository",
        "database_connection_is_not_SQLite",
        "debug_mode_is_enabled",
        "comma_in_SAML_private_key_file_path",
        "comma_in_SAML_public_certificate_path",
        "LDAP_file_based_domain_specific_configs",
        "LDAP_file_based_domain_specific_configs_formatted_correctly",
        "LDAP_group_members_are_ids_disabled",
        "LDAP_user_enabled_emulation_dn_ignored",
        "LDAP_user_enabled_emulation_use_group_config_ignored",
        "invalid_password_regular_expression",
        "minimum_password_age_greater_than_expires_days",
        "password_regular_expression_description_not_set",
        "unreasonable_max_token_size",
        "keys_in_Fernet_key_repository",
        "usability_of_Fernet_key_repository",
    ];

    /// What a configuration gives without a database.
    fn of(text: &str) -> Vec<Finding> {
        let examined = Config::examine(&archstone_core::config::Given::from_text("k.conf", text));
        let mut findings = configuration::examine(&examined);
        findings.extend(keys::examine(&examined.config));
        findings
    }

    fn states(text: &str, check: &str) -> Vec<State> {
        of(text).into_iter().filter(|finding| finding.check == check).map(|finding| finding.state).collect()
    }

    #[test]
    fn each_check_of_the_reference_is_answered_once() {
        let findings = of("");
        for check in OF_THE_REFERENCE {
            let of_check = findings.iter().filter(|finding| finding.check == check);
            // Whether the database can be reached does not matter to any of them.
            assert_eq!(of_check.count(), 1, "{check}");
        }
    }

    #[test]
    fn each_symptom_says_what_to_do() {
        for finding in of("[DEFAULT]\ndebug = true\n") {
            assert_eq!(finding.advice.is_some(), finding.state == State::Symptom, "{finding:?}");
        }
    }

    #[test]
    fn the_configuration_has_its_symptoms() {
        for (text, check) in [
            ("[DEFAULT]\ndebug = true", "debug_mode_is_enabled"),
            ("[DEFAULT]\ninsecure_debug = true", "insecure_debug"),
            ("[DEFAULT]\nadmin_token = hunter2", "admin_token"),
            ("[database]\nconnection = sqlite:///k.db", "database_connection_is_not_SQLite"),
            ("[security_compliance]\npassword_regex = (", "invalid_password_regular_expression"),
            ("[security_compliance]\npassword_regex = a", "password_regular_expression_description_not_set"),
            (
                "[security_compliance]\nminimum_password_age = 3\npassword_expires_days = 3",
                "minimum_password_age_greater_than_expires_days",
            ),
            (
                "[security_compliance]\nallow_insecure_application_credential_trust_escalation = true",
                "insecure_switches",
            ),
            ("[archstone]\nlisten = 0.0.0.0:5000", "listen"),
            ("[archstone]\nlisten = [::]:5000", "listen"),
            ("[token]\nexpiration = soon", "configuration"),
            ("[token]\nexpration = 3", "options_without_effect"),
            ("[oslo_policy]\npolicy_file = /no/such.yaml", "files"),
            ("[credential]\nkey_repository = /etc/keystone/fernet-keys", "unique_key_repositories"),
        ] {
            assert!(states(text, check).contains(&State::Symptom), "{text}");
            let good = "[database]\nconnection = mysql://h/n\n";
            let good = states(good, check);
            assert!(!good.is_empty() && !good.contains(&State::Symptom), "{check}: {good:?}");
        }
    }

    #[test]
    fn a_report_ends_with_the_worst_and_tells_no_secret() {
        let mut findings = of("[DEFAULT]\nadmin_token = hunter2\n[database]\nconnection = mysql://u:hunter2@h/n\n");
        findings.sort_by_key(|finding| finding.state);
        let (text, json) = (table(&findings), in_json(&findings));
        assert!(!text.contains("hunter2") && !json.contains("hunter2"));
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[lines.len() - 2].contains("-> "), "{text}");
        assert!(lines[lines.len() - 1].contains(" symptoms, "), "{text}");
        let list: Vec<Value> = serde_json::from_str(&json).unwrap();
        assert_eq!(list.len(), findings.len());
        assert_eq!(list[0]["state"], "not applicable");
    }
}
