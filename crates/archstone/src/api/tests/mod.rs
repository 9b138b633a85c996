//! What holds for every route, whichever there are.

mod callers;
mod cloud;
mod events;
mod long_lists;
mod scale;

use std::collections::{BTreeMap, BTreeSet};

use archstone_core::authz::policy::Policy;
use serde_json::Value;

use super::{discovery, routes};
use crate::http::{Access, Schemas};

/// Every route of the reference: method, path, class, rules, kind of authentication …
const REFERENCE: &str = include_str!("../../../../../tests/reference/routes.tsv");

const FEDERATION: &str = "federation is an issue of its own";
const OAUTH: &str = "OAuth is an issue of its own";

/// Paths of the reference that are not built, or not yet, and why. May only shrink.
#[rustfmt::skip]
const NOT_BUILT: &[(&str, &str)] = &[
    ("/v3/OS-FEDERATION/identity_providers", FEDERATION),
    ("/v3/OS-FEDERATION/identity_providers/{idp_id}", FEDERATION),
    ("/v3/OS-FEDERATION/identity_providers/{idp_id}/protocols", FEDERATION),
    ("/v3/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}", FEDERATION),
    ("/v3/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/auth", FEDERATION),
    ("/v3/OS-FEDERATION/mappings", FEDERATION),
    ("/v3/OS-FEDERATION/mappings/{mapping_id}", FEDERATION),
    ("/v3/OS-FEDERATION/saml2/metadata", FEDERATION),
    ("/v3/OS-FEDERATION/service_providers", FEDERATION),
    ("/v3/OS-FEDERATION/service_providers/{service_provider_id}", FEDERATION),
    ("/v3/OS-OAUTH1/access_token", OAUTH),
    ("/v3/OS-OAUTH1/authorize/{request_token_id}", OAUTH),
    ("/v3/OS-OAUTH1/consumers", OAUTH),
    ("/v3/OS-OAUTH1/consumers/{consumer_id}", OAUTH),
    ("/v3/OS-OAUTH1/request_token", OAUTH),
    ("/v3/OS-OAUTH2/token", OAUTH),
    ("/v3/auth/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/websso", FEDERATION),
    ("/v3/auth/OS-FEDERATION/saml2", FEDERATION),
    ("/v3/auth/OS-FEDERATION/saml2/ecp", FEDERATION),
    ("/v3/auth/OS-FEDERATION/websso/{protocol_id}", FEDERATION),
    ("/v3/users/{user_id}/OS-OAUTH1/access_tokens", OAUTH),
    ("/v3/users/{user_id}/OS-OAUTH1/access_tokens/{access_token_id}", OAUTH),
    ("/v3/users/{user_id}/OS-OAUTH1/access_tokens/{access_token_id}/roles", OAUTH),
    ("/v3/users/{user_id}/OS-OAUTH1/access_tokens/{access_token_id}/roles/{role_id}", OAUTH),
];

/// Routes that the reference answers outside its table, or that are ours alone.
const BESIDE_THE_TABLE: [&str; 2] = ["/healthcheck/{*rest}", "/v3/users/{user_id}/lockout"];

#[test]
fn each_rule_that_a_route_names_exists() {
    let policy = Policy::defaults_only();
    for route in routes().routes {
        for rule in rules_of(route.access) {
            assert!(policy.has_rule(rule), "{} {} names {rule}", route.method, route.path);
        }
    }
}

#[test]
fn each_route_asks_the_rules_that_the_reference_asks() {
    let reference: BTreeMap<(&str, &str), BTreeSet<&str>> = REFERENCE.lines().skip(1).map(reference_route).collect();
    let mut differences = Vec::new();
    for route in routes().routes {
        // Some routes also ask rules that stand behind others, which the table does not always tell.
        let rules = rules_of(route.access).into_iter();
        let own: BTreeSet<&str> = rules.filter(|rule| rule.starts_with("identity:")).collect();
        match reference.get(&(route.method.as_str(), route.path)) {
            None if BESIDE_THE_TABLE.contains(&route.path) => {}
            None => differences.push(format!("{} {}: the reference has no such route", route.method, route.path)),
            Some(theirs) if *theirs != own => {
                differences.push(format!("{} {}: {own:?} instead of {theirs:?}", route.method, route.path));
            }
            Some(_) => {}
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn each_route_of_the_reference_is_there() {
    let own: BTreeSet<(String, &str)> =
        routes().routes.iter().map(|route| (route.method.to_string(), route.path)).collect();
    let not_built: BTreeSet<&str> = NOT_BUILT.iter().map(|(path, _)| *path).collect();
    let mut wrong = Vec::new();
    let mut paths = BTreeSet::new();
    for (method, path, status) in REFERENCE.lines().skip(1).map(method_path_and_status) {
        paths.insert(path);
        let has = |method: &str| own.contains(&(method.to_owned(), path));
        let answers = has(method) || (method == "HEAD" && has("GET"));
        // A refusal needs no route: the router refuses what is not in its table. (The 400s are slips of the reference,
        // which means 405.)
        let is_refusal = ["400", "405"].contains(&status);
        match (not_built.contains(path), answers) {
            (false, false) if !is_refusal => wrong.push(format!("{method} {path} is missing")),
            (true, true) => wrong.push(format!("{method} {path} is there: take its path out of NOT_BUILT")),
            _ => {}
        }
    }
    let unknown = not_built.difference(&paths).map(|path| format!("{path} in NOT_BUILT is no path of the reference"));
    wrong.extend(unknown);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_schema_that_a_route_names_exists() {
    let schemas = Schemas::default();
    for route in routes().routes {
        for schema in [route.query_schema, route.body_schema].into_iter().flatten() {
            assert!(schemas.contains(schema), "{} {} names {schema}", route.method, route.path);
        }
    }
}

#[test]
fn json_home_says_what_the_reference_says() {
    let reference: Value = serde_json::from_str(include_str!("../../../../../tests/reference/json_home.json")).unwrap();
    let theirs = &reference["document"]["resources"];
    let own = discovery::json_home_resources("");
    assert!(!own.is_empty());
    let differences: Vec<String> = own
        .iter()
        .filter(|(relation, resource)| **resource != theirs[relation.as_str()])
        .map(|(relation, resource)| format!("{relation}: {resource} instead of {}", theirs[relation.as_str()]))
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn rules_of(access: Access) -> Vec<&'static str> {
    match access {
        Access::Rule(rule) => vec![rule],
        Access::OneOf(rules) => rules.to_vec(),
        Access::Public => Vec::new(),
    }
}

/// Method and path, and the rules without the words on when each of them is asked: `identity:a identity:b(if x)`.
fn reference_route(line: &str) -> ((&str, &str), BTreeSet<&str>) {
    let fields: Vec<&str> = line.split('\t').collect();
    let words = fields[3].split(' ').filter_map(|word| word.split('(').next());
    ((fields[0], fields[1]), words.filter(|word| word.starts_with("identity:")).collect())
}

fn method_path_and_status(line: &str) -> (&str, &str, &str) {
    let fields: Vec<&str> = line.split('\t').collect();
    (fields[0], fields[1], fields[5])
}
