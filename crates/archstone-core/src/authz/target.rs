//! What a policy rule is asked about.

use serde_json::{Map, Value};

/// The target of a policy rule, in three parts that never overlap: path parameters at the top, stored things under
/// `target`, and what the caller wrote under `request_body` and `filter_attr`
/// (`keystone.common.rbac_enforcer.enforcer.RBACEnforcer.enforce_call`).
#[derive(Clone, Debug, Default)]
pub struct Target {
    path: Map<String, Value>,
    stored: Map<String, Value>,
    written: Map<String, Value>,
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
        self.stored.is_empty()
    }

    /// Adds one more stored thing.
    #[must_use]
    pub fn and(mut self, kind: &str, thing: Value) -> Target {
        self.stored.insert(kind.to_owned(), thing);
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
        self.path.entry(name).or_insert_with(|| Value::from(value));
        self
    }

    /// Adds the body: rules see it as `%(request_body.…)s` only.
    #[must_use]
    pub fn body(mut self, body: Value) -> Target {
        self.written.insert("request_body".to_owned(), body);
        self
    }

    /// Adds the values of the query's filters: rules see them as `%(filter_attr.…)s` only.
    #[must_use]
    pub fn filters(mut self, filters: Map<String, Value>) -> Target {
        if !filters.is_empty() {
            self.written.insert("filter_attr".to_owned(), Value::Object(filters));
        }
        self
    }

    /// The flat form that rules look things up in: nested names are joined by dots.
    pub fn flatten(&self) -> Map<String, Value> {
        let mut flat = Map::new();
        flatten_into("", &self.path, &mut flat);
        flatten_into("", &self.written, &mut flat);
        flatten_into("target", &self.stored, &mut flat);
        flat
    }
}

fn flatten_into(prefix: &str, nested: &Map<String, Value>, flat: &mut Map<String, Value>) {
    for (name, value) in nested {
        let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Value::Object(inner) => flatten_into(&name, inner, flat),
            other => {
                flat.insert(name, other.clone());
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
        let flat = target.flatten();
        assert_eq!(flat["target.user.id"], "stored");
        assert_eq!(flat["user_id"], "url");
        assert_eq!(flat["request_body.target.user.id"], "forged");
    }
}
