//! Lists that are longer than what is read at once: the same entries, sent as they are read.

use std::time::Duration;

use archstone_bench::seed::{self, Plan};
use archstone_db::testing::configured;
use http::header::CONTENT_LENGTH;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tokio::runtime::Handle;

use super::cloud::Cloud;

/// More users than are read at once several times over, and more of the others than are read at once.
fn plan() -> Plan {
    Plan { users: 7_500, projects: 1_600, groups: 1_600, assignments: 2_700, members: 1, ..Plan::small() }
}

async fn get(cloud: &Cloud, path: &str) -> Value {
    let (status, body) = cloud.ask(&Method::GET, path, &cloud.admin, &Value::Null).await;
    assert_eq!(status, StatusCode::OK, "GET {path}: {body}");
    body
}

async fn is_streamed(cloud: &Cloud, path: &str) -> bool {
    let response = cloud.response(&Method::GET, path).await;
    assert_eq!(response.status(), StatusCode::OK, "GET {path}");
    !response.headers().contains_key(CONTENT_LENGTH)
}

/// The entries of all pages of a list.
async fn paged(cloud: &Cloud, name: &str) -> Vec<Value> {
    let mut entries = Vec::new();
    let mut path = format!("/v3/{name}?limit=400");
    loop {
        let page = get(cloud, &path).await;
        entries.extend(page[name].as_array().unwrap().iter().cloned());
        match page["links"]["next"].as_str() {
            None => return entries,
            Some(next) => path = next[next.find("/v3").unwrap()..].to_owned(),
        }
    }
}

/// As text, in an order that does not depend on the list's.
fn sorted<'a>(entries: impl IntoIterator<Item = &'a Value>) -> Vec<String> {
    let mut texts: Vec<String> = entries.into_iter().map(Value::to_string).collect();
    texts.sort();
    texts
}

#[tokio::test]
async fn a_streamed_list_has_what_its_pages_have() {
    for dialect in configured() {
        let cloud = Cloud::on(dialect).await;
        seed::fill(cloud.db(), &plan(), "pw", 4).await.unwrap();
        for name in ["users", "groups", "projects"] {
            let path = format!("/v3/{name}");
            assert!(is_streamed(&cloud, &path).await, "{dialect:?}: {path}");
            let whole = get(&cloud, &path).await;
            assert_eq!(whole["links"]["next"], Value::Null);
            assert_eq!(whole.get("truncated"), None);
            let (streamed, paged) = (whole[name].as_array().unwrap(), paged(&cloud, name).await);
            assert!(streamed.len() > 1_600 && *streamed == paged, "{dialect:?}: {path}");
        }
        let cut = get(&cloud, "/v3/users?limit=2000").await;
        assert_eq!((cut["users"].as_array().unwrap().len(), &cut["truncated"]), (2_000, &Value::from(true)));
        assert!(cut["links"]["next"].as_str().unwrap().contains("marker="));
        // A filter that only the wire form answers.
        let filtered = get(&cloud, "/v3/users?name__endswith=R-000007").await;
        assert_eq!(filtered["users"], Value::Array(Vec::new()));
        let filtered = get(&cloud, "/v3/users?name__endswith=r-000007").await;
        assert_eq!(filtered["users"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn a_streamed_list_of_assignments_has_what_those_of_its_targets_have() {
    for dialect in configured() {
        let cloud = Cloud::on(dialect).await;
        // Projects of which each has a list of its own.
        let plan = Plan { users: 60, projects: 40, groups: 10, assignments: 2_700, ..plan() };
        seed::fill(cloud.db(), &plan, "pw", 4).await.unwrap();
        let mut targets = vec!["scope.system=all".to_owned()];
        for (list, filter) in [("projects", "scope.project.id"), ("domains", "scope.domain.id")] {
            let found = get(&cloud, &format!("/v3/{list}")).await;
            let ids = found[list].as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap());
            targets.extend(ids.map(|id| format!("{filter}={id}")));
        }
        for names in ["", "&include_names"] {
            let whole = format!("/v3/role_assignments?{names}");
            assert!(is_streamed(&cloud, &whole).await, "{dialect:?}: {whole}");
            let whole = get(&cloud, &whole).await;
            let mut parts = Vec::new();
            for target in &targets {
                let part = get(&cloud, &format!("/v3/role_assignments?{target}{names}")).await;
                parts.extend(part["role_assignments"].as_array().unwrap().iter().cloned());
            }
            assert!(parts.len() > 2_000, "{}", parts.len());
            assert_eq!(sorted(whole["role_assignments"].as_array().unwrap()), sorted(&parts), "{dialect:?}");
        }
        // Other filters of the same list, against what is in all of it.
        let all = get(&cloud, "/v3/role_assignments").await;
        let inherited = get(&cloud, "/v3/role_assignments?scope.OS-INHERIT:inherited_to=projects").await;
        let all = all["role_assignments"].as_array().unwrap();
        let expected = all.iter().filter(|entry| entry["scope"].get("OS-INHERIT:inherited_to").is_some());
        let found = inherited["role_assignments"].as_array().unwrap();
        // Those on the system are not asked for that.
        let found = found.iter().filter(|entry| entry["scope"].get("system").is_none());
        assert_eq!(sorted(found), sorted(expected), "{dialect:?}");
    }
}

#[tokio::test]
async fn the_statements_of_a_streamed_list_grow_with_its_parts_only() {
    for dialect in configured() {
        let cloud = Cloud::on(dialect).await;
        seed::fill(cloud.db(), &plan(), "pw", 4).await.unwrap();
        let body = cloud.response(&Method::GET, "/v3/users").await.into_body();
        let before = cloud.db().statements();
        let body: Value = serde_json::from_slice(&body.collect().await.unwrap().to_bytes()).unwrap();
        assert_eq!(body["users"].as_array().unwrap().len(), 7_503);
        // Of eight parts the first was read for the beginning of the answer; each takes three.
        assert_eq!(cloud.db().statements() - before, 3 * 7, "{dialect:?}");
    }
}

#[tokio::test]
async fn a_head_request_for_a_long_list_reads_one_part() {
    let cloud = Cloud::new().await;
    seed::fill(cloud.db(), &plan(), "pw", 4).await.unwrap();
    get(&cloud, "/v3/users?limit=10").await;
    let before = cloud.db().statements();
    let response = cloud.response(&Method::HEAD, "/v3/users").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(!response.headers().contains_key(CONTENT_LENGTH));
    assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
    assert!(cloud.db().statements() - before <= 6);
}

#[tokio::test]
async fn the_work_for_a_client_that_has_gone_ends() {
    let cloud = Cloud::new().await;
    seed::fill(cloud.db(), &plan(), "pw", 4).await.unwrap();
    let before = cloud.db().statements();
    get(&cloud, "/v3/users").await;
    let (before, whole) = (cloud.db().statements(), cloud.db().statements() - before);
    let tasks = Handle::current().metrics().num_alive_tasks();
    let mut body = cloud.response(&Method::GET, "/v3/users").await.into_body();
    assert!(body.frame().await.unwrap().is_ok());
    drop(body);
    let ended = async {
        while Handle::current().metrics().num_alive_tasks() > tasks {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), ended).await.unwrap();
    assert!(cloud.db().statements() - before < whole);
}

#[tokio::test]
async fn a_list_that_cannot_be_finished_is_cut_off() {
    let cloud = Cloud::new().await;
    seed::fill(cloud.db(), &plan(), "pw", 4).await.unwrap();
    let mut body = cloud.response(&Method::GET, "/v3/users").await.into_body();
    assert!(body.frame().await.unwrap().is_ok());
    cloud.db().close().await;
    let rest = tokio::time::timeout(Duration::from_secs(30), body.collect()).await.unwrap();
    assert!(rest.is_err());
}
