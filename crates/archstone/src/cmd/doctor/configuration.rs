//! What the configuration alone tells, and the files that it names.

use std::net::IpAddr;

use archstone_core::authz::policy::{Policy, PolicySettings, Severity};
use archstone_core::config::{Config, Examined, Level, Secret};

use super::super::serve::DEFAULT_LISTEN;
use super::super::startup;
use super::Finding;

/// Switches that bring back what an advisory was about.
const INSECURE: [&str; 2] = [
    "allow_insecure_application_credential_trust_escalation",
    "allow_insecure_admin_trust_cross_project_credentials_access",
];

pub(super) fn examine(examined: &Examined) -> Vec<Finding> {
    let config = &examined.config;
    let mut findings = no_object_here();
    findings.extend(settings(examined));
    findings.extend(files(config));
    findings.extend([debug(config), insecure_debug(config), admin_token(config), sqlite(config), listen(config)]);
    findings.push(insecure_switches(config));
    findings.extend(passwords(examined));
    findings.push(policy(config));
    findings
}

/// Checks of the reference that look at what this program does otherwise, or not yet.
fn no_object_here() -> Vec<Finding> {
    const CACHE: &str = "what is kept in memory is kept by the program itself; no cache has to be set up";
    const LDAP: &str = "there is no LDAP identity driver yet, and no domain has a driver of its own";
    const SAML: &str = "there is no federation yet, and no other program that would be told these paths";
    [
        ("caching_disabled", CACHE),
        ("caching_enabled_without_a_backend", CACHE),
        ("connection_to_memcached", CACHE),
        ("comma_in_SAML_private_key_file_path", SAML),
        ("comma_in_SAML_public_certificate_path", SAML),
        ("LDAP_file_based_domain_specific_configs", LDAP),
        ("LDAP_file_based_domain_specific_configs_formatted_correctly", LDAP),
        ("LDAP_group_members_are_ids_disabled", LDAP),
        ("LDAP_user_enabled_emulation_dn_ignored", LDAP),
        ("LDAP_user_enabled_emulation_use_group_config_ignored", LDAP),
        ("unreasonable_max_token_size", "no token is refused for its length; the limit is that of all headers"),
    ]
    .map(|(check, reason)| Finding::not_applicable(check, reason))
    .into()
}

fn settings(examined: &Examined) -> Vec<Finding> {
    let mut findings: Vec<Finding> = examined
        .problems
        .iter()
        .map(|problem| {
            Finding::symptom("configuration", problem.to_string(), "put it right: the server does not start before")
        })
        .collect();
    if findings.is_empty() {
        findings.push(Finding::fine("configuration", "all values can be used"));
    }
    let advice = "take it out, or put it right if it was meant; docs/compatibility.md tells what is not there";
    let without: Vec<Finding> = examined
        .warnings
        .iter()
        .filter(|warning| warning.level == Level::Warning)
        .map(|warning| Finding::symptom("options_without_effect", warning.to_string(), advice))
        .collect();
    if without.is_empty() {
        findings.push(Finding::fine("options_without_effect", "every option that is set does something, or need not"));
    }
    findings.extend(without);
    findings
}

/// The keys have checks of their own, and so has the database.
fn files(config: &Config) -> Vec<Finding> {
    let (problems, warnings) = startup::check_environment(config);
    let elsewhere = |text: &str| text.contains("key_repository") || text.starts_with("[database]");
    let mut findings: Vec<Finding> = problems
        .iter()
        .filter(|problem| !elsewhere(&problem.text))
        .map(|problem| Finding::symptom("files", problem.to_string(), "the server does not start before"))
        .chain(warnings.iter().map(|warning| Finding::symptom("files", warning.to_string(), "put that line right")))
        .collect();
    if findings.is_empty() {
        findings.push(Finding::fine("files", "the files that the configuration names are there and can be read"));
    }
    findings
}

fn debug(config: &Config) -> Finding {
    Finding::unless(
        config.default.debug,
        "debug_mode_is_enabled",
        "[DEFAULT] debug is off",
        "[DEFAULT] debug is on: the log tells of every request what was done for it, and grows",
        "set [DEFAULT] debug = false once the trouble is found",
    )
}

fn insecure_debug(config: &Config) -> Finding {
    Finding::unless(
        config.default.insecure_debug,
        "insecure_debug",
        "[DEFAULT] insecure_debug is off",
        "[DEFAULT] insecure_debug is on: a 401 or 403 tells strangers why, and so who exists",
        "set [DEFAULT] insecure_debug = false",
    )
}

fn admin_token(config: &Config) -> Finding {
    Finding::unless(
        config.default.admin_token.as_ref().is_some_and(|token| !token.expose().is_empty()),
        "admin_token",
        "[DEFAULT] admin_token is not set",
        "[DEFAULT] admin_token is set: whoever knows it may do anything, and no log tells who did",
        "take it out; `archstone bootstrap` makes an administrator or puts its account in order",
    )
}

fn sqlite(config: &Config) -> Finding {
    const CHECK: &str = "database_connection_is_not_SQLite";
    match config.database.connection.as_ref().map(Secret::expose) {
        None | Some("") => Finding::symptom(
            CHECK,
            "[database] connection is not set",
            "name the database, for example mysql+pymysql://keystone:secret@10.0.0.5/keystone",
        ),
        Some(url) => Finding::unless(
            url.starts_with("sqlite"),
            CHECK,
            "[database] connection names a server",
            "[database] connection names a SQLite file: one node can use it, and one write at a time",
            "use MariaDB, MySQL or PostgreSQL for a cloud that others rely on",
        ),
    }
}

fn listen(config: &Config) -> Finding {
    let default = [DEFAULT_LISTEN.to_owned()];
    let addresses = if config.archstone.listen.is_empty() { &default[..] } else { &config.archstone.listen };
    let everywhere = addresses.iter().any(|address| {
        let host = address.rsplit_once(':').map_or("", |(host, _)| host).trim_matches(['[', ']']);
        host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified())
    });
    let addresses = addresses.join(", ");
    Finding::unless(
        everywhere,
        "listen",
        format!("[archstone] listen: {addresses}, unless the command line says otherwise"),
        format!("[archstone] listen: {addresses}: passwords and tokens are taken unencrypted from every network"),
        "listen on the address that only the TLS proxy in front reaches, for example 127.0.0.1:5000",
    )
}

fn insecure_switches(config: &Config) -> Finding {
    let on = |name: &&str| {
        let value = config.open_value("security_compliance", name);
        value.and_then(serde_json::Value::as_bool).unwrap_or(false)
    };
    let set: Vec<&str> = INSECURE.into_iter().filter(|name| on(name)).collect();
    Finding::unless(
        !set.is_empty(),
        "insecure_switches",
        "nothing that an advisory was about is switched on again",
        format!("[security_compliance] {} bring back what was an advisory", set.join(", ")),
        "change what relies on it, and take it out",
    )
}

fn passwords(examined: &Examined) -> [Finding; 3] {
    let rules = &examined.config.security_compliance;
    let is_invalid = |name: &str| {
        let start = format!("[security_compliance] {name} ");
        examined.problems.iter().any(|problem| problem.text.starts_with(&start))
    };
    let regex = rules.password_regex.as_deref().filter(|regex| !regex.is_empty());
    let described = rules.password_regex_description.as_deref().is_some_and(|text| !text.is_empty());
    let expires = rules.password_expires_days.unwrap_or(0);
    [
        Finding::unless(
            is_invalid("password_regex"),
            "invalid_password_regular_expression",
            if regex.is_some() { "[security_compliance] password_regex can be read" } else { "there is none" },
            "[security_compliance] password_regex is no regular expression: nobody could change a password",
            "put it right; `archstone config check` tells when it is",
        ),
        Finding::unless(
            rules.minimum_password_age > 0 && expires > 0 && rules.minimum_password_age >= expires,
            "minimum_password_age_greater_than_expires_days",
            "passwords can be changed before they expire",
            format!(
                "[security_compliance] minimum_password_age ({} days) is not below password_expires_days ({expires}): \
                 a password expires before its user may change it",
                rules.minimum_password_age
            ),
            "make minimum_password_age less than password_expires_days",
        ),
        Finding::unless(
            regex.is_some() && !described,
            "password_regular_expression_description_not_set",
            if regex.is_some() { "it is described" } else { "there is no password_regex to describe" },
            "[security_compliance] password_regex is set without password_regex_description: who is refused by it is \
             not told why",
            "set password_regex_description to what it asks for, in words for people",
        ),
    ]
}

fn policy(config: &Config) -> Finding {
    const CHECK: &str = "policy";
    let loaded = match Policy::load(PolicySettings::from_config(config)) {
        Ok(loaded) => loaded,
        Err(error) => return Finding::symptom(CHECK, error.to_string(), "the server does not start before"),
    };
    let (policy, problems) = loaded;
    let wrong: Vec<String> =
        problems.iter().filter(|problem| problem.severity() == Severity::Error).map(ToString::to_string).collect();
    let files: Vec<String> = policy.files().iter().map(|path| path.display().to_string()).collect();
    let fine = if files.is_empty() { "the default rules hold".to_owned() } else { files.join(", ") };
    Finding::unless(
        !wrong.is_empty(),
        CHECK,
        fine,
        wrong.join("; "),
        "put the rules right: such a rule denies; `archstone policy check` tells more",
    )
}
