//! What holds for every route, whichever there are.

use std::collections::{BTreeMap, BTreeSet};

use archstone_core::authz::policy::Policy;

use super::routes;
use crate::http::Access;

/// Every route of the reference: method, path, class, rules, kind of authentication …
const REFERENCE: &str = include_str!("../../../../tests/reference/routes.tsv");

/// Routes that the reference answers outside its table, or that are ours alone.
const BESIDE_THE_TABLE: [&str; 1] = ["/healthcheck/{*rest}"];

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
        let own: BTreeSet<&str> = rules_of(route.access).iter().copied().collect();
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
