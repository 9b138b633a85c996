//! What a policy rule is asked about.

use serde_json::{Map, Value};

/// The target of a policy rule, in the flat form that rules look things up in: path parameters by their names, stored
/// things below `target.`, and what the caller wrote below `request_body.` and `filter_attr.`, so that no part can stand
/// for another (`keystone.common.rbac_enforcer.enforcer.RBACEnforcer.enforce_call`).
#[derive(Clone, Debug, Default)]
pub struct Target {
    flat: Map<String, Value>,
    has_stored: bool,
}

impl Target {
    /// A target that knows nothing but the path, once the guard adds it.
    pub fn none() -> Target {
        Target::default()
    }

    /// A target with one stored thing: rules see it as `%(target.<kind>.<attribute>)s`.
    pub fn of(kind: &str, thing: Value) -> Target {
        Target::none().and(kind, thing)
    }

    /// Whether it knows nothing stored.
    pub fn is_bare(&self) -> bool {
        !self.has_stored
    }

    /// Adds one more stored thing.
    #[must_use]
    pub fn and(mut self, kind: &str, thing: Value) -> Target {
        self.has_stored = true;
        self.add(format!("target.{kind}"), thing);
        self
    }

    /// Adds one attribute of a stored thing by its whole name, `target.<kind>.<attribute>`: for what is asked so often that
    /// taking an object apart would cost more than the question.
    #[must_use]
    pub fn stored(mut self, name: &str, value: &str) -> Target {
        self.has_stored = true;
        self.flat.insert(name.to_owned(), Value::from(value));
        self
    }

    /// Adds one more stored thing, if there is one.
    #[must_use]
    pub fn and_found(self, kind: &str, thing: Option<Value>) -> Target {
        match thing {
            Some(thing) => self.and(kind, thing),
            None => self,
        }
    }

    /// Adds (or, for the few routes that find the owner in storage, replaces) a path parameter: rules see it as
    /// `%(<name>)s`.
    #[must_use]
    pub fn path(mut self, name: &str, value: &str) -> Target {
        self.flat.entry(name).or_insert_with(|| Value::from(value));
        self
    }

    /// Adds the body: rules see it as `%(request_body.…)s` only.
    #[must_use]
    pub fn body(mut self, body: Value) -> Target {
        self.add("request_body".to_owned(), body);
        self
    }

    /// Adds the values of the query's filters: rules see them as `%(filter_attr.…)s` only.
    #[must_use]
    pub fn filters(mut self, filters: Map<String, Value>) -> Target {
        self.add("filter_attr".to_owned(), Value::Object(filters));
        self
    }

    /// The flat form: nested names are joined by dots.
    pub fn flat(&self) -> &Map<String, Value> {
        &self.flat
    }

    fn add(&mut self, name: String, value: Value) {
        match value {
            Value::Object(inner) => {
                for (attribute, value) in inner {
                    self.add(format!("{name}.{attribute}"), value);
                }
            }
            other => {
                self.flat.insert(name, other);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_body_never_stands_for_a_stored_attribute() {
        let target = Target::of("user", json!({"id": "stored"}))
            .path("user_id", "url")
            .body(json!({"target": {"user": {"id": "forged"}}, "user_id": "forged"}));
        let flat = target.flat();
        assert_eq!(flat["target.user.id"], "stored");
        assert_eq!(flat["user_id"], "url");
        assert_eq!(flat["request_body.target.user.id"], "forged");
    }
}
