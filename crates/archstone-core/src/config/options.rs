//! All options: those of the reference (`options.tsv`, made from an installed Keystone 30.0.0) and
//! those of our own.

use std::collections::BTreeMap;

use oslo_config::{DefaultValue, Opt, Schema, Settings, Sources, Type, Value};

/// Group, option, class, type, default as JSON, deprecated names, mutable, secret, deprecated for removal.
const REFERENCE: &str = include_str!("options.tsv");

/// `[archstone]`: name, type, whether multi-valued, default.
const OWN: &[(&str, &str, bool, Option<&str>)] = &[
    ("foreign_write_bound", "Float(min=0)", false, Some("1.0")),
    ("hash_queue", "Integer(min=1, max=1048576)", false, None),
    ("hash_threads", "Integer(min=1, max=1024)", false, None),
    ("listen", "String", true, None),
    ("lockout_by", "String(choices=['network', 'user'])", false, Some("network")),
    ("lockout_ipv4_prefix", "Integer(min=8, max=32)", false, Some("24")),
    ("lockout_ipv6_prefix", "Integer(min=16, max=128)", false, Some("64")),
    ("memory_for_caches", "String", false, None),
    ("max_request_header_size", "Integer(min=1024, max=1048576)", false, Some("16384")),
    ("max_requests", "Integer(min=1, max=1000000)", false, Some("2000")),
    ("remember_verified_password_for", "Float(min=0, max=3600)", false, Some("60.0")),
    ("remote_domain_header", "String", false, None),
    ("remote_user_header", "String", false, None),
    ("trusted_proxies", "List(item=String)", false, None),
    ("workers", "Integer(min=1, max=1024)", false, None),
];

/// Ours in other sections, some for what the reference no longer has: group, name, type, default.
const ELSEWHERE: &[(&str, &str, &str, &str)] = &[
    ("cache", "serve_stale_for", "Float(min=0, max=86400)", "0.0"),
    ("catalog", "template_file", "String", "default_catalog.templates"),
    ("v2", "enabled", "Boolean", "false"),
];

/// Every option that the program knows, among them one `[auth] <method>` for each method that `sources`
/// configure, as the reference registers them when it runs.
pub(crate) fn schema(sources: &Sources) -> Schema {
    let mut schema = Schema::default();
    for row in REFERENCE.lines().skip(1) {
        schema.add(reference_option(row).expect("options.tsv is part of the program and read by a test"));
    }
    for &(name, ty, multi, default) in OWN {
        let ty = ty.parse().expect("the table above is read by a test");
        let default = default.map_or(DefaultValue::Value(Value::None), |text| DefaultValue::Text(text.to_owned()));
        schema.add(Opt { multi, default, ..Opt::new("archstone", name, ty) });
    }
    for &(group, name, ty, default) in ELSEWHERE {
        let ty = ty.parse().expect("the table above is read by a test");
        let default = DefaultValue::Text(default.to_owned());
        schema.add(Opt { default, ..Opt::new(group, name, ty) });
    }
    schema.add_in_any_group("remote_id_attribute");
    let mut methods = Schema::default();
    methods.extend_group(&schema, "auth");
    if let Some(Value::List(methods)) = methods.resolve(sources).get("auth", "methods").map(|setting| &setting.value) {
        for method in methods {
            match method {
                Value::String(name) if schema.get("auth", name).is_none() => {
                    schema.add(Opt::new("auth", name, Type::string()));
                }
                _ => {}
            }
        }
    }
    schema
}

fn reference_option(row: &str) -> Option<Opt> {
    let fields: Vec<_> = row.split('\t').collect();
    let &[group, name, class, ty, default, deprecated_names, mutable, secret, deprecated_for_removal] =
        fields.as_slice()
    else {
        return None;
    };
    let default: serde_json::Value = serde_json::from_str(default).ok()?;
    let mut opt = Opt {
        multi: class == "MultiStrOpt",
        default: match default {
            serde_json::Value::String(text) => DefaultValue::Text(text),
            other => DefaultValue::Value(value(other)?),
        },
        mutable: mutable == "yes",
        secret: secret == "yes",
        deprecated_for_removal: deprecated_for_removal == "yes",
        ..Opt::new(group, name, ty.parse().ok()?)
    };
    for old in deprecated_names.split_whitespace() {
        let (group, name) = old.strip_prefix('[')?.split_once("]/")?;
        opt.add_deprecated_name(group, name);
    }
    Some(opt)
}

fn value(json: serde_json::Value) -> Option<Value> {
    Some(match json {
        serde_json::Value::Null => Value::None,
        serde_json::Value::Bool(flag) => Value::Bool(flag),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(number) => Value::Int(number),
            None => Value::Float(number.as_f64()?),
        },
        serde_json::Value::String(text) => Value::String(text),
        serde_json::Value::Array(items) => Value::List(items.into_iter().map(value).collect::<Option<_>>()?),
        serde_json::Value::Object(pairs) if pairs.is_empty() => Value::Dict(Vec::new()),
        serde_json::Value::Object(_) => return None,
    })
}

/// Whether this is an option of ours or of the reference whose value is a secret.
pub(crate) fn is_secret(group: &str, name: &str) -> bool {
    schema(&Sources::default()).get(group, name).is_some_and(|opt| opt.secret)
}

/// The values of all options that are no secrets.
pub(super) fn open_values(settings: &Settings) -> BTreeMap<(String, String), serde_json::Value> {
    let schema = schema(&Sources::default());
    let open = schema.options().filter(|opt| !opt.secret);
    open.filter_map(|opt| {
        let setting = settings.get(&opt.group, &opt.name)?;
        Some(((opt.group.clone(), opt.name.clone()), json(&setting.value)))
    })
    .collect()
}

fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::None => serde_json::Value::Null,
        Value::String(text) => text.as_str().into(),
        Value::Bool(flag) => (*flag).into(),
        Value::Int(number) => (*number).into(),
        Value::Float(number) => (*number).into(),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Dict(pairs) => pairs.iter().map(|(key, value)| (key.clone(), json(value))).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Schema {
        schema(&Sources::default())
    }

    #[test]
    fn all_options_of_the_reference_are_known() {
        let former = |group: &str, name: &str| ELSEWHERE.iter().any(|row| (row.0, row.1) == (group, name));
        let schema = all();
        let reference = schema.options().filter(|opt| opt.group != "archstone" && !former(&opt.group, &opt.name));
        assert_eq!(reference.count(), 412);
    }

    #[test]
    fn every_default_fits_its_type() {
        assert_eq!(all().resolve(&Sources::default()).invalid, []);
    }

    #[test]
    fn table_keeps_types_names_and_flags() {
        let schema = all();
        let log_config = schema.get("DEFAULT", "log_config_append").unwrap();
        assert!(log_config.mutable);
        assert!(log_config.deprecated_names.contains(&("DEFAULT".into(), "log_config".into())));
        assert!(schema.get("database", "connection").unwrap().secret);
        assert!(schema.get("token", "cache_on_issue").unwrap().deprecated_for_removal);
        assert!(schema.get("DEFAULT", "notification_opt_out").unwrap().multi);
        let expiration = &schema.get("token", "expiration").unwrap().ty;
        assert_eq!(*expiration, Type::Integer { min: Some(0), max: Some(i64::MAX) });
    }

    #[test]
    fn secrets_are_among_no_open_values() {
        let mut sources = Sources::default();
        sources.add_text("t", "[ldap]\npassword = hunter2\nurl = ldap://a\n");
        let values = open_values(&schema(&sources).resolve(&sources));
        assert!(is_secret("ldap", "password"));
        assert_eq!(values.get(&("ldap".to_owned(), "url".to_owned())), Some(&"ldap://a".into()));
        assert!(!format!("{values:?}").contains("hunter2"));
    }

    #[test]
    fn configured_methods_have_an_option_each() {
        let mut sources = Sources::default();
        sources.add_text("t", "[auth]\nmethods = password, totp, site_sso\n");
        let schema = schema(&sources);
        assert!(schema.get("auth", "totp").is_some() && schema.get("auth", "site_sso").is_some());
        assert!(all().get("auth", "totp").is_none());
    }
}
