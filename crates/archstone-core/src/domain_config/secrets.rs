//! Puts a domain's secrets into the places that other options have for them: `ldap://%(password)s`.
//!
//! The places are those of Python's `%` with a mapping, as far as they name a secret: `%(name)s`, and `%%` for a percent
//! sign. A text in which anything else follows a percent sign, or whose name is no secret of the domain, stays as it is
//! (in the reference, a lone `%s` would show all secrets).

use std::collections::BTreeMap;

use serde_json::Value;

use super::Groups;
use super::sql::Stored;
use crate::id::DomainId;

/// An option with a place that could not be filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unfilled {
    pub(super) group: String,
    pub(super) option: String,
    pub(super) reason: Reason,
}

/// Why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The domain has no secret of that name.
    NoSuchSecret,
    /// It is not written as a place is.
    Malformed,
}

impl Unfilled {
    /// Tells the operator. The value is left out: somebody may have written a secret into it.
    pub(super) fn warn(&self, id: &DomainId) {
        let Unfilled { group, option, reason } = self;
        let reason = match reason {
            Reason::NoSuchSecret => "names a secret option that the domain has not set",
            Reason::Malformed => "has a percent sign that is neither %% nor %(option)s",
        };
        tracing::warn!(domain_id = %id, group, option, "configuration of domain {id}: [{group}] {option} {reason}");
    }
}

/// All options of a domain, the secrets among them, with the places filled; and those that could not be.
pub(super) fn fill(stored: Stored) -> (Groups, Vec<Unfilled>) {
    let Stored { open: mut filled, secret } = stored;
    let secrets: BTreeMap<&str, &Value> =
        secret.values().flatten().map(|(option, value)| (option.as_str(), value)).collect();
    let mut unfilled = Vec::new();
    for (group, options) in &mut filled {
        for (option, value) in options {
            let Value::String(text) = value else { continue };
            match fill_text(text, &secrets) {
                Ok(text) => *value = Value::String(text),
                Err(reason) => unfilled.push(Unfilled { group: group.clone(), option: option.clone(), reason }),
            }
        }
    }
    for (group, options) in secret {
        filled.entry(group).or_default().extend(options);
    }
    (filled, unfilled)
}

fn fill_text(text: &str, secrets: &BTreeMap<&str, &Value>) -> Result<String, Reason> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let (name, after) = after.strip_prefix('(').and_then(|after| after.split_once(')')).ok_or(Reason::Malformed)?;
        let secret = secrets.get(name).ok_or(Reason::NoSuchSecret)?;
        rest = after.strip_prefix('s').ok_or(Reason::Malformed)?;
        match secret {
            Value::String(text) => out.push_str(text),
            Value::Number(number) => out.push_str(&number.to_string()),
            // Python would write its own words for these, which no driver means.
            _ => return Err(Reason::Malformed),
        }
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn places_are_pythons() {
        let password = json!("pw%s");
        let pin = json!(12);
        let list = json!(["x"]);
        let secrets = BTreeMap::from([("password", &password), ("pin", &pin), ("list", &list)]);
        for (text, filled) in [
            ("plain", Ok("plain")),
            ("", Ok("")),
            ("ldap://%(password)s/%(password)s", Ok("ldap://pw%s/pw%s")),
            ("%(pin)s", Ok("12")),
            ("100%%", Ok("100%")),
            ("%%(password)s", Ok("%(password)s")),
            ("%(absent)s", Err(Reason::NoSuchSecret)),
            ("%(list)s", Err(Reason::Malformed)),
            ("100%", Err(Reason::Malformed)),
            ("%s", Err(Reason::Malformed)),
            ("%(password", Err(Reason::Malformed)),
            ("%(password)", Err(Reason::Malformed)),
            ("%(password)d", Err(Reason::Malformed)),
        ] {
            assert_eq!(fill_text(text, &secrets), filled.map(str::to_owned), "{text}");
        }
    }
}
