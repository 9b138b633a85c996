//! Multi-factor rules of a user (`keystone.auth.core.UserMFARulesValidator`).

use std::collections::HashSet;

use serde_json::Value;

use crate::identity::User;

/// The rules that a user's login must obey: the methods of one of them must all be proven.
///
/// Of a rule only the methods that are configured count, and a rule without any such method is no rule, so that a
/// change of the configuration locks nobody out. A rule that is not a list of texts is none either.
///
/// **Invariant:** a method that is configured but not built counts: nobody can prove it, so a rule that asks for it is
/// not fulfilled. Leaving it out would turn two factors into one.
pub(super) struct Rules<'a>(Vec<Vec<&'a str>>);

impl<'a> Rules<'a> {
    /// The rules that count for this user; none if they are switched off.
    pub(super) fn of(user: &'a User, configured: &[String]) -> Rules<'a> {
        if user.options.get("multi_factor_auth_enabled").and_then(Value::as_bool) == Some(false) {
            return Rules(Vec::new());
        }
        let rules = user.options.get("multi_factor_auth_rules").and_then(Value::as_array);
        Rules::parse(rules.map_or(&[], Vec::as_slice), configured)
    }

    fn parse(rules: &'a [Value], configured: &[String]) -> Rules<'a> {
        let texts = |rule: &'a Value| rule.as_array()?.iter().map(Value::as_str).collect::<Option<Vec<_>>>();
        let rules = rules.iter().filter_map(texts).map(|mut rule| {
            rule.retain(|name| is_in(configured, name));
            let mut seen = HashSet::new();
            rule.retain(|name| seen.insert(*name));
            rule
        });
        Rules(rules.filter(|rule| !rule.is_empty()).collect())
    }

    /// Whether these methods are enough.
    pub(super) fn are_fulfilled_by(&self, proven: &[String]) -> bool {
        self.0.is_empty() || self.0.iter().any(|rule| rule.iter().all(|name| is_in(proven, name)))
    }

    /// The rules of which at least one of these methods is a part: the ways on from here.
    pub(super) fn begun_by(&self, proven: &[String]) -> Vec<&[&'a str]> {
        self.0.iter().filter(|rule| rule.iter().any(|name| is_in(proven, name))).map(Vec::as_slice).collect()
    }
}

fn is_in(methods: &[String], name: &str) -> bool {
    methods.iter().any(|method| method == name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn fulfils(rules: &Value, proven: &[&str], configured: &[&str]) -> bool {
        Rules::parse(rules.as_array().unwrap(), &owned(configured)).are_fulfilled_by(&owned(proven))
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

    #[test]
    fn lp_2102096_a_rule_of_unknown_methods_alone_switches_no_other_rule_off() {
        let all = ["password", "totp"];
        for rules in [json!([["voodoo"], ["password", "totp"]]), json!([["password", "totp"], ["voodoo"]])] {
            assert!(!fulfils(&rules, &["password"], &all), "{rules}");
            assert!(fulfils(&rules, &["password", "totp"], &all), "{rules}");
        }
        assert!(fulfils(&json!([["voodoo"]]), &["password"], &all));
    }

    #[test]
    fn what_is_no_list_of_texts_is_no_rule() {
        let all = ["password", "totp"];
        assert!(fulfils(&json!(["totp", [1], ["totp", null], []]), &["password"], &all));
        assert!(!fulfils(&json!([["totp", 1], ["totp"]]), &["password"], &all));
    }

    #[test]
    fn the_ways_on_are_the_rules_that_were_begun() {
        let rules = json!([["password", "totp", "voodoo", "totp"], ["token", "totp"]]);
        let rules = Rules::parse(rules.as_array().unwrap(), &owned(&["password", "totp", "token"]));
        assert_eq!(rules.begun_by(&owned(&["password"])), [["password", "totp"]]);
    }
}
