//! Any text as a policy file: it is read or refused, and every rule comes to a decision.
//! See CONTRIBUTING.md for how to run it.
#![no_main]

use std::collections::HashMap;

use libfuzzer_sys::fuzz_target;
use oslo_policy::{Options, Policy, RuleFile, ScopeType, parse_text};
use serde_json::json;

fuzz_target!(|text: &str| {
    let expr = parse_text(text).expr;
    if !text.contains(['\'', '"']) {
        assert_eq!(parse_text(&expr.to_string()).expr.to_string(), expr.to_string());
    }

    let Ok(file) = RuleFile::parse("fuzz", text) else { return };
    let names: Vec<String> = file.rules.iter().map(|rule| rule.name.clone()).collect();
    let (policy, _) = Policy::build(&[], &[file], &Options::default());
    let credentials = json!({"roles": ["admin"], "user_id": "u", "domain_id": null, "token": {"groups": [{"id": 1}]}});
    let target = json!({"user_id": "u", "target": {"role": {"domain_id": null}}});
    for name in names {
        let (Some(credentials), Some(target)) = (credentials.as_object(), target.as_object()) else { return };
        policy.decide(&name, credentials, target, ScopeType::Project, &HashMap::new());
    }
});
