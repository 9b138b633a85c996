//! What holds for every route, whichever there are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use archstone_core::Core;
use archstone_core::authz::Authorizer;
use archstone_core::authz::policy::Policy;
use archstone_core::config::Config;
use archstone_core::events::Events;
use archstone_core::foundation::Foundation;
use archstone_core::freshness::Freshness;
use archstone_core::time::TimeSource;
use archstone_db::testing::TestDatabase;
use archstone_db::{Db, Dialect};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use serde_json::Value;

use super::{discovery, routes};
use crate::http::{Access, App, Schemas};

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

#[test]
fn each_schema_that_a_route_names_exists() {
    let schemas = Schemas::new();
    for route in routes().routes {
        for schema in [route.query_schema, route.body_schema].into_iter().flatten() {
            assert!(schemas.contains(schema), "{} {} names {schema}", route.method, route.path);
        }
    }
}

#[test]
fn json_home_says_what_the_reference_says() {
    let reference: Value = serde_json::from_str(include_str!("../../../../tests/reference/json_home.json")).unwrap();
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

#[tokio::test]
async fn without_a_token_no_route_with_a_rule_is_open() {
    let database = TestDatabase::new(Dialect::Sqlite).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    // The schemas are asked first, and would answer 400 before anybody asks who it is.
    let mut table = routes();
    table.routes.iter_mut().for_each(|route| (route.query_schema, route.body_schema) = (None, None));
    let app = App::new(Arc::new(core(&database.db, folder.path())), &table).unwrap();
    let guarded = table.routes.iter().filter(|route| route.access != Access::Public);
    let mut open = Vec::new();
    for (method, path) in guarded.map(|route| (&route.method, route.path.replace(['{', '}'], ""))) {
        for token in [None, Some("gAAAAA")] {
            let status = ask(&app, method, &path, token).await;
            if status != StatusCode::UNAUTHORIZED {
                open.push(format!("{method} {path} with the token {token:?}: {status}"));
            }
        }
    }
    assert!(open.is_empty(), "{}", open.join("\n"));
}

async fn ask(app: &App, method: &Method, path: &str, token: Option<&str>) -> StatusCode {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header("x-auth-token", token);
    }
    let request = request.body(Full::new(Bytes::new())).unwrap();
    Box::pin(app.respond(request, crate::http::Peer::default())).await.status()
}

fn core(db: &Db, folder: &std::path::Path) -> Core {
    let folder = folder.display();
    let config = Config::from_text(&format!(
        "[identity]\npassword_hash_rounds = 4\n[fernet_tokens]\nkey_repository = {folder}/keys\n\
         [fernet_receipts]\nkey_repository = {folder}/keys\n[credential]\nkey_repository = {folder}/credential-keys\n"
    ))
    .unwrap();
    archstone_core::keys::set_up_all(&config).unwrap();
    let foundation = Foundation {
        db: db.clone(),
        config: Arc::new(config),
        time: TimeSource::system(),
        events: Events::default(),
        authorizer: Arc::new(Authorizer::new(Arc::new(Policy::defaults_only()), None)),
        freshness: Freshness::new(db.clone(), Duration::from_secs(1)),
    };
    Core::new(foundation).unwrap()
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
