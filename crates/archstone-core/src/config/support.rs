//! What becomes of each option: one row per option or group of options. When a feature is built, its
//! row becomes [`Support::Works`] and its options become fields of `sections.rs`.

use oslo_config::{Setting, Value};

/// What the program does with an option.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Support {
    /// Has its effect.
    Works,
    /// Has its effect for these values; others, which name something that does not exist here, are refused.
    Only(&'static [&'static str]),
    /// As [`Support::Only`], and some further values are known but have no effect yet.
    Partly {
        /// Values that have their effect.
        built: &'static [&'static str],
        /// Values of features that are not built yet.
        not_built: &'static [&'static str],
    },
    /// Has no effect and needs none; the reason.
    NoEffect(&'static str),
    /// Belongs to a feature that is not built yet, and leaving it out is safe; the feature.
    NotBuilt(&'static str),
    /// Belongs to a feature that is not built yet, and going on without it would be unsafe; the feature.
    Refused(&'static str),
}

use Support::{NoEffect, NotBuilt, Only, Partly, Refused, Works};

const CACHE: &str = "what is kept in memory is kept by the program itself and never outlives a change";
const LOGGING: &str = "writing the log elsewhere than to standard error";
const LOG_FORMAT: &str = "lines of the log have a format of their own";
const MESSAGING: &str = "delivery of notifications";
const RPC: &str = "no remote procedure is called";
const POOL: &str = "connections are managed by the program itself";
const RETRY: &str = "the time between attempts grows from milliseconds by itself";
const PROFILER: &str = "profiling by osprofiler";
const LDAP: &str = "the LDAP identity driver";
const FEDERATION: &str = "federation";
const OAUTH: &str = "OAuth";
const TOKENLESS: &str = "authentication by client certificate without a token";
const TRACING: &str = "OpenTelemetry tracing";
const HEALTHCHECK: &str = "configuring the health check";

/// Methods by which clients can log in.
const METHODS: &[&str] = &["application_credential", "ec2credential", "external", "password", "token", "totp"];

/// Other methods of the reference. They may be configured: nobody gets in by one that is not built. Any other name
/// is that of somebody's own plugin.
const METHODS_NOT_BUILT: &[&str] = &["kerberos", "mapped", "oauth1", "openid", "saml2", "x509"];

/// Group (`*`: any), option (`*`: any), what becomes of it. The first row that fits counts.
#[rustfmt::skip]
const ROWS: &[(&str, &str, Support)] = &[
    ("*", "caching", NoEffect(CACHE)),
    ("*", "cache_time", NoEffect(CACHE)),
    ("*", "cache_on_issue", NoEffect(CACHE)),
    ("*", "remote_id_attribute", NotBuilt(FEDERATION)),

    ("DEFAULT", "admin_token", Works),
    ("DEFAULT", "control_exchange", NotBuilt(MESSAGING)),
    ("DEFAULT", "transport_url", NotBuilt(MESSAGING)),
    ("DEFAULT", "notification_format", NotBuilt(MESSAGING)),
    ("DEFAULT", "notification_opt_out", NotBuilt(MESSAGING)),
    ("DEFAULT", "default_publisher_id", NotBuilt(MESSAGING)),
    ("DEFAULT", "executor_thread_pool_size", NoEffect(RPC)),
    ("DEFAULT", "rpc_ping_enabled", NoEffect(RPC)),
    ("DEFAULT", "rpc_response_timeout", NoEffect(RPC)),
    ("DEFAULT", "log_config_append", NotBuilt(LOGGING)),
    ("DEFAULT", "log_dir", NotBuilt(LOGGING)),
    ("DEFAULT", "log_file", NotBuilt(LOGGING)),
    ("DEFAULT", "use_journal", NotBuilt(LOGGING)),
    ("DEFAULT", "use_syslog", NotBuilt(LOGGING)),
    ("DEFAULT", "syslog_log_facility", NotBuilt(LOGGING)),
    ("DEFAULT", "log_rotate_interval", NotBuilt(LOGGING)),
    ("DEFAULT", "log_rotate_interval_type", NotBuilt(LOGGING)),
    ("DEFAULT", "log_rotation_type", NotBuilt(LOGGING)),
    ("DEFAULT", "max_logfile_count", NotBuilt(LOGGING)),
    ("DEFAULT", "max_logfile_size_mb", NotBuilt(LOGGING)),
    ("DEFAULT", "use_json", NotBuilt("the log as JSON")),
    ("DEFAULT", "use_stderr", NoEffect("the log always goes to standard error")),
    ("DEFAULT", "default_log_levels", NoEffect("it names Python packages")),
    ("DEFAULT", "fatal_deprecations", NoEffect("`archstone config check` names what is deprecated")),
    ("DEFAULT", "instance_format", NoEffect(LOG_FORMAT)),
    ("DEFAULT", "instance_uuid_format", NoEffect(LOG_FORMAT)),
    ("DEFAULT", "log_color", NoEffect(LOG_FORMAT)),
    ("DEFAULT", "log_date_format", NoEffect(LOG_FORMAT)),
    ("DEFAULT", "logging_context_format_string", NoEffect(LOG_FORMAT)),
    ("DEFAULT", "logging_debug_format_suffix", NoEffect(LOG_FORMAT)),
    ("DEFAULT", "logging_default_format_string", NoEffect(LOG_FORMAT)),
    ("DEFAULT", "logging_exception_prefix", NoEffect(LOG_FORMAT)),
    ("DEFAULT", "logging_user_identity_format", NoEffect(LOG_FORMAT)),
    ("DEFAULT", "publish_errors", NotBuilt(MESSAGING)),
    ("DEFAULT", "rate_limit_burst", NotBuilt("limiting the rate of log lines")),
    ("DEFAULT", "rate_limit_except_level", NotBuilt("limiting the rate of log lines")),
    ("DEFAULT", "rate_limit_interval", NotBuilt("limiting the rate of log lines")),
    ("DEFAULT", "max_param_size", NoEffect("the reference does not use it either")),
    ("DEFAULT", "max_token_size", NoEffect("the reference only logs that a new token is longer")),
    ("DEFAULT", "*", Works),

    ("api", "response_validation", NoEffect("replies are made from types, so there is nothing to validate")),
    ("application_credential", "driver", Only(&["sql"])),
    ("application_credential", "user_limit", Works),
    ("archstone", "*", Works),
    ("assignment", "driver", Only(&["sql"])),
    ("assignment", "*", Works),
    ("auth", "methods", Partly { built: METHODS, not_built: METHODS_NOT_BUILT }),
    ("auth", "additional_primary_auth_methods", NoEffect("there are no methods besides the built-in ones")),
    ("auth", "external", Only(&["default", "DefaultDomain", "Domain"])),
    ("auth", "*", Only(&["default"])),
    ("cache", "serve_stale_for", Works),
    ("cache", "*", NoEffect(CACHE)),
    ("catalog", "*", Works),
    ("cors", "*", Works),
    ("credential", "driver", Only(&["sql"])),
    ("credential", "provider", Only(&["fernet"])),
    ("credential", "*", Works),
    ("database", "backend", Only(&["sqlalchemy"])),
    ("database", "asyncio_connection", NoEffect("the reference does not use it either")),
    ("database", "asyncio_slave_connection", NoEffect("the reference does not use it either")),
    ("database", "slave_connection", NotBuilt("reading from a standby")),
    ("database", "synchronous_reader", NotBuilt("reading from a standby")),
    ("database", "connection_debug", NoEffect("RUST_LOG=sqlx=debug shows the statements")),
    ("database", "connection_trace", NoEffect("RUST_LOG=sqlx=debug shows the statements")),
    ("database", "use_db_reconnect", NoEffect(POOL)),
    ("database", "db_retry_interval", NoEffect(RETRY)),
    ("database", "db_inc_retry_interval", NoEffect(RETRY)),
    ("database", "db_max_retry_interval", NoEffect(RETRY)),
    ("database", "*", Works),
    ("domain_config", "driver", Only(&["sql"])),
    ("domain_config", "*", Works),
    ("endpoint_filter", "driver", Only(&["sql"])),
    ("endpoint_filter", "*", Works),
    ("endpoint_policy", "driver", Only(&["sql"])),
    ("federation", "driver", Only(&["sql"])),
    ("federation", "federated_domain_name", Works),
    ("federation", "default_authorization_ttl", Works),
    ("federation", "*", NotBuilt(FEDERATION)),
    ("fernet_receipts", "*", Works),
    ("fernet_tokens", "*", Works),
    // `/healthcheck` answers as the reference does without any of them.
    ("healthcheck", "*", NotBuilt(HEALTHCHECK)),
    // Users of another driver could not log in, and those of the SQL driver could who should not.
    ("identity", "driver", Only(&["sql"])),
    ("identity", "domain_specific_drivers_enabled", Refused("identity drivers per domain")),
    ("identity", "domain_configurations_from_database", NotBuilt("identity drivers per domain")),
    ("identity", "domain_config_dir", NotBuilt("identity drivers per domain")),
    ("identity", "*", Works),
    // Another generator would give existing users new ids.
    ("identity_mapping", "generator", Only(&["sha256"])),
    ("identity_mapping", "driver", Only(&["sql"])),
    ("identity_mapping", "backward_compatible_ids", Refused("public ids for all identity drivers")),
    ("jwt_tokens", "*", Works),
    ("ldap", "*", NotBuilt(LDAP)),
    ("oauth1", "driver", Only(&["sql"])),
    ("oauth1", "*", NotBuilt(OAUTH)),
    ("oauth2", "*", NotBuilt(OAUTH)),
    ("oslo_messaging_kafka", "*", NotBuilt(MESSAGING)),
    ("oslo_messaging_notifications", "*", NotBuilt(MESSAGING)),
    ("oslo_messaging_rabbit", "*", NotBuilt(MESSAGING)),
    ("oslo_middleware", "http_basic_auth_user_file", NoEffect("the reference does not use it either")),
    ("oslo_middleware", "*", Works),
    ("oslo_middleware_tracing", "*", NotBuilt(TRACING)),
    ("oslo_policy", "*", Works),
    ("policy", "driver", Only(&["sql"])),
    ("policy", "*", Works),
    ("profiler", "*", NotBuilt(PROFILER)),
    ("profiler_jaeger", "*", NotBuilt(PROFILER)),
    ("profiler_otlp", "*", NotBuilt(PROFILER)),
    ("receipt", "provider", Only(&["fernet"])),
    ("receipt", "*", Works),
    ("resource", "driver", Only(&["sql"])),
    ("resource", "*", Works),
    ("revoke", "driver", Only(&["sql"])),
    ("revoke", "*", Works),
    ("role", "driver", Only(&["sql"])),
    ("role", "*", Works),
    ("saml", "*", NotBuilt(FEDERATION)),
    ("security_compliance", "*", Works),
    ("shadow_users", "driver", Only(&["sql"])),
    ("token", "*", Works),
    // Without it, a service that relies on certificates finds its requests refused: safe.
    ("tokenless_auth", "*", NotBuilt(TOKENLESS)),
    ("totp", "*", Works),
    ("trust", "driver", Only(&["sql"])),
    ("trust", "allow_redelegation", NoEffect("the reference does not look at it either: a trust itself says it")),
    ("trust", "*", Works),
    ("unified_limit", "driver", Only(&["sql"])),
    ("unified_limit", "*", Works),
    ("v2", "*", Works),
    ("wsgi", "debug_middleware", NoEffect("there is no WSGI middleware")),
];

/// The row of an option.
pub(crate) fn support(group: &str, name: &str) -> Option<Support> {
    let fits = |row: &&(&str, &str, Support)| (row.0 == group || row.0 == "*") && (row.1 == name || row.1 == "*");
    ROWS.iter().find(fits).map(|row| row.2)
}

/// What has to be said about an option that was set.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    Nothing,
    Note(String),
    Warning(String),
    Problem(String),
}

impl Support {
    pub(crate) fn judge(self, setting: &Setting, default: &Setting) -> Verdict {
        let changed = !same(&setting.value, &default.value);
        match self {
            Works => Verdict::Nothing,
            NoEffect(_) | NotBuilt(_) | Refused(_) if !changed => Verdict::Nothing,
            NoEffect(reason) => Verdict::Note(format!("has no effect here: {reason}")),
            NotBuilt(feature) => Verdict::Warning(format!("has no effect: {feature} is not built yet")),
            Refused(feature) => Verdict::Problem(format!(
                "can't be followed, and ignoring it would be unsafe: {feature} is not built yet"
            )),
            Only(built) => judge_words(&setting.value, built, &[]),
            Partly { built, not_built } => match judge_words(&setting.value, built, not_built) {
                Verdict::Warning(_) if !changed => Verdict::Nothing,
                verdict => verdict,
            },
        }
    }

    /// Whether a value that does not even fit its type has to stop the program: not if the option would
    /// have had no effect anyhow.
    pub(crate) fn needs_value(self) -> bool {
        !matches!(self, NoEffect(_) | NotBuilt(_))
    }
}

/// Whether both mean the same: `60` and `60.0`, unset and empty.
fn same(value: &Value, default: &Value) -> bool {
    match (value, default) {
        (Value::String(text), Value::None) => text.is_empty(),
        #[expect(clippy::cast_precision_loss, reason = "defaults are small numbers")]
        (Value::Float(value), Value::Int(default)) => value.to_bits() == (*default as f64).to_bits(),
        _ => value == default,
    }
}

/// Unset and empty values stand for the default.
fn judge_words(value: &Value, built: &[&str], not_built: &[&str]) -> Verdict {
    let words = match value {
        Value::List(items) => items.as_slice(),
        value => std::slice::from_ref(value),
    };
    let words = words.iter().filter_map(|word| match word {
        Value::String(word) if !word.is_empty() && !built.contains(&word.as_str()) => Some(word.as_str()),
        _ => None,
    });
    let (missing, strange): (Vec<_>, Vec<_>) = words.partition(|word| not_built.contains(word));
    if !strange.is_empty() {
        let known: Vec<_> = built.iter().chain(not_built).copied().collect();
        return Verdict::Problem(format!("names {}: not built in; known: {}", strange.join(", "), known.join(", ")));
    }
    if !missing.is_empty() {
        return Verdict::Warning(format!("names {}: not built yet, so that nobody gets in by it", missing.join(", ")));
    }
    Verdict::Nothing
}

#[cfg(test)]
mod tests {
    use oslo_config::Sources;

    use super::super::options::schema;
    use super::super::sections::FIELDS;
    use super::*;

    #[test]
    fn every_option_has_a_row() {
        let schema = schema(&Sources::default());
        let missing: Vec<_> = schema.options().filter(|opt| support(&opt.group, &opt.name).is_none()).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn every_row_has_an_option() {
        let schema = schema(&Sources::default());
        let options: Vec<_> = schema.options().collect();
        for (group, name, _) in ROWS.iter().filter(|row| row.1 != "remote_id_attribute") {
            let fits =
                options.iter().any(|opt| (*group == "*" || opt.group == *group) && (*name == "*" || opt.name == *name));
            assert!(fits, "[{group}] {name}");
        }
    }

    #[test]
    fn an_option_that_works_is_a_field() {
        for opt in schema(&Sources::default()).options() {
            let works = support(&opt.group, &opt.name) == Some(Works);
            let field = FIELDS.contains(&(opt.group.as_str(), opt.name.as_str()));
            assert!(!works || field, "[{}] {}", opt.group, opt.name);
        }
    }

    #[test]
    fn an_option_without_effect_is_no_field() {
        for (group, name) in FIELDS {
            assert!(!matches!(support(group, name), Some(NoEffect(_))), "[{group}] {name}");
        }
    }

    /// The program's source without this folder and without white space.
    fn source() -> String {
        let crates = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut folders = vec![crates.join("archstone/src"), crates.join("archstone-core/src")];
        let mut source = String::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.ends_with("archstone-core/src/config") {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    source.extend(std::fs::read_to_string(path).unwrap().split_whitespace());
                }
            }
        }
        source
    }

    #[test]
    fn an_option_that_works_is_read() {
        let source = source();
        let read = |group: &str, name: &str| {
            let section = format!("config.{}", group.to_lowercase());
            // Either at once, or by way of the section as a whole.
            let whole = |at: usize| source[at + section.len()..].starts_with([';', ')', ',']);
            source.contains(&format!("{section}.{name}"))
                || source.contains(&format!(".{name}")) && source.match_indices(&section).any(|(at, _)| whole(at))
        };
        for (group, name) in FIELDS.iter().filter(|(group, name)| support(group, name) == Some(Works)) {
            assert!(read(group, name), "[{group}] {name} works, says its row, but nothing reads it");
        }
    }
}
