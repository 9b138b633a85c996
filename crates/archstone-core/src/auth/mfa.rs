//! Multi-factor rules of a user (`keystone.auth.core.UserMFARulesValidator`).

use std::collections::HashMap;

use serde_json::Value;

use super::AuthMethod;
use crate::error::{Error, Result};
use crate::identity::User;

/// 401 unless the methods that were proven fulfil one of the user's rules. Of a rule only the methods that are
/// loaded count, and a rule without any such method is no rule, so that a change of the configuration locks nobody out.
pub(super) fn check(user: &User, proven: &[String], loaded: &HashMap<&'static str, Box<dyn AuthMethod>>) -> Result<()> {
    if user.options.get("multi_factor_auth_enabled").and_then(Value::as_bool) == Some(false) {
        return Ok(());
    }
    let Some(rules) = user.options.get("multi_factor_auth_rules").and_then(Value::as_array) else { return Ok(()) };
    let mut rules = rules
        .iter()
        .filter_map(Value::as_array)
        .map(|rule| rule.iter().filter_map(Value::as_str).filter(|name| loaded.contains_key(name)).collect::<Vec<_>>())
        .filter(|rule| !rule.is_empty())
        .peekable();
    if rules.peek().is_none() {
        return Ok(());
    }
    if rules.any(|rule| rule.iter().all(|name| proven.iter().any(|proven| proven == name))) {
        return Ok(());
    }
    Err(Error::unauthorized(format!("the methods {proven:?} fulfil no multi-factor rule of user {}", user.id)))
}
