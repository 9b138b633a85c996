//! Checks bodies and queries against the reference's JSON schemas, before anybody asks who the caller is.

use std::collections::HashMap;
use std::sync::OnceLock;

use archstone_core::error::{Error, Result};
use jsonschema::{Draft, Validator};
use serde_json::Value;

/// The longest value that an error repeats, in characters.
const SHOWN: usize = 80;

macro_rules! schema_files {
    ($($name:literal)+) => { [$(include_str!(concat!("../../schemas/", $name, ".json"))),+] };
}

/// The schemas of the routes, by the reference's names: `identity.user_create_request`.
#[derive(Default)]
pub(crate) struct Schemas {
    /// Read when the first is asked for: they are a third of what there is to do at a start.
    all: OnceLock<HashMap<String, Schema>>,
}

struct Schema {
    source: Value,
    compiled: OnceLock<std::result::Result<Validator, String>>,
}

impl Schemas {
    /// Reads all schemas; each is compiled when it is first used.
    fn all(&self) -> &HashMap<String, Schema> {
        self.all.get_or_init(read_all)
    }

    /// Whether there is such a schema.
    #[cfg(test)]
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.all().contains_key(name)
    }

    /// 400 with the place and the reason of the first thing that does not fit.
    pub(crate) fn check(&self, name: &str, value: &Value) -> Result<()> {
        let Some(schema) = self.all().get(name) else {
            return Err(Error::internal(format!("there is no schema {name}")));
        };
        let validator = schema.compiled.get_or_init(|| {
            jsonschema::options()
                .with_draft(Draft::Draft202012)
                .should_validate_formats(true)
                // The reference takes a UUID with or without its dashes.
                .with_format("uuid", |text: &str| uuid::Uuid::try_parse(text).is_ok())
                .with_format("date-time", |text: &str| archstone_core::time::Timestamp::parse(text).is_some())
                .build(&schema.source)
                .map_err(|error| error.to_string())
        });
        let validator = validator.as_ref().map_err(|error| Error::internal(format!("schema {name}: {error}")))?;
        // What is missing says more than what is too much.
        let too_much = |error: &jsonschema::ValidationError<'_>| {
            matches!(error.kind(), jsonschema::error::ValidationErrorKind::AdditionalProperties { .. })
        };
        match validator.iter_errors(value).min_by_key(too_much) {
            None => Ok(()),
            Some(error) => Err(Error::bad_request(describe(&error))),
        }
    }
}

fn read_all() -> HashMap<String, Schema> {
    let mut all = HashMap::new();
    for text in schema_files![
        "access_rules" "application_credentials" "auth_tokens" "credentials" "domains" "endpoint_groups" "endpoints"
        "grants" "groups" "identity_providers" "implied_roles" "limits" "mappings" "oauth1" "policies"
        "project_tags" "projects" "protocols" "regions" "registered_limits" "role_assignments" "roles" "saml"
        "service_providers" "services" "trusts" "users"
    ] {
        #[expect(clippy::expect_used, reason = "a test reads them all, and no stranger wrote them")]
        let mut file: Value = serde_json::from_str(text).expect("the schema files are part of the program");
        if let Some(Value::Object(schemas)) = file.get_mut("schemas").map(Value::take) {
            all.extend(schemas.into_iter().map(|(name, source)| {
                let schema = Schema { source, compiled: OnceLock::new() };
                (name, schema)
            }));
        }
    }
    all
}

fn describe(error: &jsonschema::ValidationError<'_>) -> String {
    let place = error.instance_path().to_string();
    let reason: String = error.to_string();
    let reason = if reason.chars().count() > 4 * SHOWN {
        let mut cut: String = reason.chars().take(SHOWN).collect();
        cut.push('…');
        cut
    } else {
        reason
    };
    let mut inner_first = place.split('/').rev();
    match inner_first.next() {
        // An entry of a list has no name: what it has tells which one it is. Not the values, which may be secrets.
        Some(index) if index.parse::<usize>().is_ok() => {
            let list = inner_first.next().unwrap_or_default();
            let has = error.instance().as_object().map(|object| object.keys().cloned().collect::<Vec<_>>().join(", "));
            let has = has.map(|names| format!(" (it has: {names})")).unwrap_or_default();
            format!("Invalid input for the attribute {list}[{index}]{has}: {reason}")
        }
        Some(attribute) if !attribute.is_empty() => format!("Invalid input for the attribute {attribute}: {reason}"),
        _ => reason,
    }
}
