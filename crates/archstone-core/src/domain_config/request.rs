//! The options that a request sends.

use serde_json::Value;

use super::options::{KnownOptions, invalid};
use super::{Groups, Part};
use crate::error::{Error, Result};

impl KnownOptions {
    /// The options of a new configuration: `{group: {option: value}}`. 403 if it is empty or has an option that no
    /// domain can have, 400 if it is no object at all.
    pub(super) fn read(&self, config: &Value) -> Result<Groups> {
        let groups = match config {
            Value::Object(groups) if !groups.is_empty() => groups,
            Value::Object(_) | Value::Null => return Err(invalid("it has no options")),
            other => {
                return Err(Error::bad_request(format!("The config is {}; it must be an object.", kind_of(other))));
            }
        };
        let mut read = Groups::new();
        for (group, options) in groups {
            let options = match options {
                Value::Object(options) if !options.is_empty() => options,
                _ => return Err(invalid(format!("the group {group} must be an object with options"))),
            };
            for option in options.keys() {
                self.check_option(group, option)?;
            }
            read.insert(group.clone(), options.clone());
        }
        Ok(read)
    }

    /// The options of an update of a part, which may have nothing but that part. An option's own update names no group:
    /// `{option: value}`.
    pub(super) fn read_part(&self, config: &Value, part: &Part) -> Result<Groups> {
        let groups = match part {
            Part::Option { group, .. } => self.read(&serde_json::json!({group: config})),
            _ => self.read(config),
        }?;
        self.check_part(part)?;
        let Some(group) = part.group() else { return Ok(groups) };
        if groups.len() != 1 || !groups.contains_key(group) {
            let sent = groups.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err(invalid(format!("an update of the group {group} has the config of {sent}")));
        }
        if let (Some(option), Some(options)) = (part.option(), groups.get(group))
            && (options.len() != 1 || !options.contains_key(option))
        {
            let sent = options.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err(invalid(format!("an update of the option {option} of the group {group} has {sent}")));
        }
        Ok(groups)
    }
}

/// What a value is; never the value, which may be a secret.
fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
