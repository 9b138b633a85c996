//! Multi-factor rules of a user (`keystone.auth.core.UserMFARulesValidator`).

use serde_json::Value;

use crate::error::{Error, Result};
use crate::identity::User;

/// 401 unless the methods that were proven fulfil one of the user's rules. Of a rule only the methods that are
/// configured count, and a rule without any such method is no rule, so that a change of the configuration locks nobody
/// out.
///
/// **Invariant:** a method that is configured but not built counts: nobody can prove it, so a rule that asks for it is
/// not fulfilled. Leaving it out would turn two factors into one.
pub(super) fn check(user: &User, proven: &[String], configured: &[String]) -> Result<()> {
    if user.options.get("multi_factor_auth_enabled").and_then(Value::as_bool) == Some(false) {
        return Ok(());
    }
    let rules = user.options.get("multi_factor_auth_rules").and_then(Value::as_array);
    if rules.is_none_or(|rules| fulfilled(rules, proven, configured)) {
        return Ok(());
    }
    Err(Error::unauthorized(format!("the methods {proven:?} fulfil no multi-factor rule of user {}", user.id)))
}

fn fulfilled(rules: &[Value], proven: &[String], configured: &[String]) -> bool {
    let is_in = |methods: &[String], name: &str| methods.iter().any(|method| method == name);
    let mut rules = rules
        .iter()
        .filter_map(Value::as_array)
        .map(|rule| rule.iter().filter_map(Value::as_str).filter(|name| is_in(configured, name)).collect::<Vec<_>>())
        .filter(|rule| !rule.is_empty())
        .peekable();
    rules.peek().is_none() || rules.any(|rule| rule.iter().all(|name| is_in(proven, name)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fulfils(rules: &Value, proven: &[&str], configured: &[&str]) -> bool {
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        fulfilled(rules.as_array().unwrap(), &owned(proven), &owned(configured))
    }

    #[test]
    fn one_rule_must_be_fulfilled_whole() {
        let rules = json!([["password", "totp"], ["token"]]);
        let all = ["password", "totp", "token"];
        assert!(!fulfils(&rules, &["password"], &all));
        assert!(fulfils(&rules, &["password", "totp"], &all));
        assert!(fulfils(&rules, &["token"], &all));
    }

    #[test]
    fn methods_that_are_not_configured_do_not_count() {
        assert!(fulfils(&json!([["password", "totp"]]), &["password"], &["password"]));
        assert!(fulfils(&json!([["totp"]]), &["password"], &["password"]));
    }
}
