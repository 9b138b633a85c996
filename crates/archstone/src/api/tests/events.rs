//! What each write tells the listeners: the events that the reference sends, with who did it.

use std::collections::BTreeSet;
use std::sync::Arc;

use archstone_core::authz::Requester;
use archstone_core::events::Event;
use http::Method;
use serde_json::{Map, Value, json};
use tokio::sync::broadcast::Receiver;

use super::cloud::Cloud;

/// Format, event type, action, outcome or visibility, kind of target … of each event of the reference.
const REFERENCE: &str = include_str!("../../../../../tests/reference/notifications.tsv");

/// Events of what is not built, or not yet. May only shrink.
const NOT_BUILT: &[&str] = &[
    "OS-OAUTH1:access_token.created",
    "OS-OAUTH1:access_token.deleted",
    "OS-OAUTH1:consumer.created",
    "OS-OAUTH1:consumer.deleted",
    "OS-OAUTH1:consumer.updated",
    "OS-OAUTH1:request_token.created",
];

/// What an administrator does, and what is heard of it.
struct Story {
    cloud: Cloud,
    heard: Receiver<Arc<Event>>,
    admin_id: String,
    told: BTreeSet<String>,
}

impl Story {
    async fn new() -> Story {
        let cloud = Cloud::new().await;
        let heard = cloud.core.events().listen();
        let (_, users) = cloud.ask(&Method::GET, "/v3/users?name=admin", &cloud.admin, &Value::Null).await;
        let admin_id = users["users"][0]["id"].as_str().unwrap().to_owned();
        Story { cloud, heard, admin_id, told: BTreeSet::new() }
    }

    /// The administrator does it, and these events are told in this order, each as `type id`; the id of what the answer
    /// shows is `NEW`. The answer's member.
    async fn admin(&mut self, method: Method, path: &str, body: Value, expected: &[&str]) -> Value {
        let admin = self.cloud.admin.clone();
        let (answer, events) = self.act(method, path, &admin, body, expected).await;
        for event in events {
            let name = event.event_type();
            let caller = event.requester.caller().unwrap_or_else(|| panic!("{name}: nobody did it"));
            assert_eq!(*caller.user_id, *self.admin_id, "{name}");
            assert!(event.initiator.request_id.is_some(), "{name}: by no request");
            assert_eq!((event.outcome, event.reason.as_ref()), ("success", None), "{name}");
        }
        answer
    }

    async fn act(
        &mut self,
        method: Method,
        path: &str,
        token: &str,
        body: Value,
        expected: &[&str],
    ) -> (Value, Vec<Arc<Event>>) {
        let (status, answer) = self.cloud.ask(&method, path, token, &body).await;
        let member = answer.as_object().and_then(|answer| answer.values().find(|value| value.is_object()));
        let member = member.cloned().unwrap_or_default();
        let events = self.listen();
        let seen: Vec<String> = events.iter().map(|event| format!("{} {}", kind(event), event.id)).collect();
        // An EC2 credential is told by the id that it has as a credential, which its own answer does not show.
        let new = member["id"].as_str().or(events.first().map(|event| event.id.as_str())).unwrap_or_default();
        let expected: Vec<String> = expected.iter().map(|event| event.replace("NEW", new)).collect();
        assert_eq!(seen, expected, "{method} {path}: {status} {answer}");
        (member, events)
    }

    fn listen(&mut self) -> Vec<Arc<Event>> {
        let events: Vec<_> = std::iter::from_fn(|| self.heard.try_recv().ok()).collect();
        self.told.extend(events.iter().map(|event| kind(event)));
        events
    }

    async fn make(&mut self, path: &str, body: Value, expected: &[&str]) -> String {
        let member = self.admin(Method::POST, path, body, expected).await;
        member["id"].as_str().unwrap_or_default().to_owned()
    }

    /// Makes, changes and deletes something that is nothing but a row.
    async fn plain(&mut self, path: &str, name: &str, body: Value, change: Value) {
        let id = self.make(path, json!({name: body}), &[&format!("{name}.created NEW")]).await;
        let path = format!("{path}/{id}");
        self.admin(Method::PATCH, &path, json!({name: change}), &[&format!("{name}.updated {id}")]).await;
        self.admin(Method::DELETE, &path, Value::Null, &[&format!("{name}.deleted {id}")]).await;
    }

    /// The details of the one event that a request tells.
    async fn details(&mut self, method: Method, path: &str, expected: &str) -> Map<String, Value> {
        let admin = self.cloud.admin.clone();
        let (_, events) = self.act(method, path, &admin, Value::Null, &[expected]).await;
        events[0].details.clone()
    }
}

/// The event's type as the table has it, without the name of the service.
fn kind(event: &Event) -> String {
    event.event_type().trim_start_matches("identity.").to_owned()
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

#[tokio::test]
async fn each_write_tells_what_the_reference_tells() {
    let mut story = Story::new().await;
    for (path, name, body) in [
        ("/v3/roles", "role", json!({"name": "r"})),
        ("/v3/regions", "region", json!({"id": "r"})),
        ("/v3/services", "service", json!({"type": "t"})),
        ("/v3/groups", "group", json!({"name": "g"})),
        ("/v3/users", "user", json!({"name": "u"})),
        ("/v3/projects", "project", json!({"name": "p"})),
        ("/v3/policies", "policy", json!({"type": "t", "blob": "{}"})),
    ] {
        story.plain(path, name, body, json!({"description": "changed"})).await;
    }
    let endpoint = json!({"service_id": story.cloud.id("service_id"), "interface": "public", "url": "http://x"});
    story.plain("/v3/endpoints", "endpoint", endpoint, json!({"url": "http://y"})).await;
    Box::pin(untold(&mut story)).await;
    Box::pin(domains(&mut story)).await;
    Box::pin(tags(&mut story)).await;
    Box::pin(members(&mut story)).await;
    Box::pin(grants(&mut story)).await;
    Box::pin(credentials(&mut story)).await;
    Box::pin(passwords(&mut story)).await;
    Box::pin(trusts(&mut story)).await;
    let not_built: BTreeSet<String> = NOT_BUILT.iter().map(|kind| (*kind).to_owned()).collect();
    let missing: Vec<String> = reference().difference(&story.told).cloned().collect();
    assert_eq!(BTreeSet::from_iter(missing), not_built, "the events that nothing has told");
}

/// Limits, endpoint groups and associations are told of by nothing.
async fn untold(story: &mut Story) {
    let [service, project, endpoint, policy] =
        ["service_id", "project_id", "endpoint_id", "policy_id"].map(|name| story.cloud.id(name));
    let registered = json!({"service_id": service, "resource_name": "untold", "default_limit": 1});
    story.admin(Method::POST, "/v3/registered_limits", json!({"registered_limits": [registered]}), &[]).await;
    let limit = json!({"service_id": service, "resource_name": "untold", "resource_limit": 1, "project_id": project});
    story.admin(Method::POST, "/v3/limits", json!({"limits": [limit]}), &[]).await;
    let group = json!({"endpoint_group": {"name": "g", "filters": {"interface": "public"}}});
    story.make("/v3/OS-EP-FILTER/endpoint_groups", group, &[]).await;
    for path in [
        format!("/v3/OS-EP-FILTER/projects/{project}/endpoints/{endpoint}"),
        format!("/v3/policies/{policy}/OS-ENDPOINT-POLICY/endpoints/{endpoint}"),
    ] {
        story.admin(Method::PUT, &path, Value::Null, &[]).await;
        story.admin(Method::DELETE, &path, Value::Null, &[]).await;
    }
}

/// A domain is also told of as a project, but where it is made.
async fn domains(story: &mut Story) {
    let id = story.make("/v3/domains", json!({"domain": {"name": "d"}}), &["domain.created NEW"]).await;
    let path = format!("/v3/domains/{id}");
    // Those of disabling are for listeners inside of the program.
    let updated = ["project.disabled", "project.updated", "domain.updated", "domain.disabled"];
    let updated = updated.map(|kind| format!("{kind} {id}"));
    let updated = updated.each_ref().map(String::as_str);
    story.admin(Method::PATCH, &path, json!({"domain": {"enabled": false}}), &updated).await;
    // The configuration of a domain is told of by nothing.
    let config = json!({"config": {"identity": {"driver": "sql"}}});
    story.admin(Method::PUT, &format!("{path}/config"), config, &[]).await;
    let deleted = [format!("project.deleted {id}"), format!("domain.deleted {id}")];
    story.admin(Method::DELETE, &path, Value::Null, &deleted.each_ref().map(String::as_str)).await;
}

async fn tags(story: &mut Story) {
    let id = story.cloud.id("project_id");
    let (all, one) = (format!("/v3/projects/{id}/tags"), format!("/v3/projects/{id}/tags/t"));
    let updated = format!("project.updated {id}");
    story.admin(Method::PUT, &one, Value::Null, &[&updated, "project tag.created t"]).await;
    story.admin(Method::DELETE, &one, Value::Null, &[&updated, "project tag.deleted t"]).await;
    story.admin(Method::PUT, &all, json!({"tags": ["a"]}), &[&updated]).await;
    story.admin(Method::DELETE, &all, Value::Null, &[&updated]).await;
}

async fn members(story: &mut Story) {
    let (group, user) = (story.cloud.id("group_id"), story.cloud.id("user_id"));
    let path = format!("/v3/groups/{group}/users/{user}");
    for (method, operation) in [(Method::PUT, "added"), (Method::DELETE, "removed")] {
        let details = story.details(method, &path, &format!("group.updated {group}")).await;
        assert_eq!(details, object(&json!({"actor_id": user, "actor_type": "user", "actor_operation": operation})));
    }
}

/// Also of those that fail; but not of those on the system.
async fn grants(story: &mut Story) {
    let [role, user, group, project, domain] =
        ["role_id", "user_id", "group_id", "project_id", "domain_id"].map(|name| story.cloud.id(name));
    let path = format!("/v3/projects/{project}/users/{user}/roles/{role}");
    let expected = json!({"project": project, "user": user, "role": role, "inherited_to_projects": false});
    for (method, operation) in [(Method::PUT, "created"), (Method::DELETE, "deleted")] {
        let details = story.details(method, &path, &format!("role_assignment.{operation} {role}")).await;
        assert_eq!(details, object(&expected));
    }
    let path = format!("/v3/OS-INHERIT/domains/{domain}/groups/{group}/roles/{role}/inherited_to_projects");
    let details = story.details(Method::PUT, &path, &format!("role_assignment.created {role}")).await;
    let expected = json!({"domain": domain, "group": group, "role": role, "inherited_to_projects": true});
    assert_eq!(details, object(&expected));
    let (admin, path) = (story.cloud.admin.clone(), format!("/v3/projects/{project}/users/{user}/roles/{role}"));
    let deleted = format!("role_assignment.deleted {role}");
    let (_, events) = story.act(Method::DELETE, &path, &admin, Value::Null, &[&deleted]).await;
    assert_eq!(events[0].outcome, "failure");
    story.admin(Method::PUT, &format!("/v3/system/users/{user}/roles/{role}"), Value::Null, &[]).await;
}

/// Application credentials and access rules are also told of when they go with their user.
async fn credentials(story: &mut Story) {
    let (user, project) = (story.cloud.id("user_id"), story.cloud.id("project_id"));
    let body = json!({"credential": {"user_id": user, "type": "some", "blob": "x"}});
    let id = story.make("/v3/credentials", body, &["credential.created NEW"]).await;
    let path = format!("/v3/credentials/{id}");
    // A change is told of by nothing.
    story.admin(Method::PATCH, &path, json!({"credential": {"blob": "y"}}), &[]).await;
    story.admin(Method::DELETE, &path, Value::Null, &[&format!("credential.deleted {id}")]).await;
    let path = format!("/v3/users/{user}/credentials/OS-EC2");
    story.make(&path, json!({"tenant_id": project}), &["credential.created NEW"]).await;

    let user = story.make("/v3/users", json!({"user": {"name": "u", "password": "pw"}}), &["user.created NEW"]).await;
    let token = story.cloud.log_in("u").await;
    story.listen();
    let path = format!("/v3/users/{user}/application_credentials");
    let body = json!({"application_credential": {
        "name": "a",
        "access_rules": [{"path": "/x", "method": "GET", "service": "compute"}],
    }});
    let (made, _) = story.act(Method::POST, &path, &token, body, &["application_credential.created NEW"]).await;
    let (id, rule) = (made["id"].as_str().unwrap(), made["access_rules"][0]["id"].as_str().unwrap());
    let deleted = format!("application_credential.deleted {id}");
    story.act(Method::DELETE, &format!("{path}/{id}"), &token, Value::Null, &[&deleted]).await;
    let rules = format!("/v3/users/{user}/access_rules/{rule}");
    story.act(Method::DELETE, &rules, &token, Value::Null, &[&format!("access_rule.deleted {rule}")]).await;

    let body = json!({"application_credential": {
        "name": "b",
        "access_rules": [{"path": "/x", "method": "GET", "service": "compute"}],
    }});
    let (made, _) = story.act(Method::POST, &path, &token, body, &["application_credential.created NEW"]).await;
    let (id, rule) = (made["id"].as_str().unwrap(), made["access_rules"][0]["id"].as_str().unwrap());
    let deleted = [
        format!("user.deleted {user}"),
        format!("application_credential.deleted {id}"),
        format!("access_rule.deleted {rule}"),
    ];
    let expected = deleted.each_ref().map(String::as_str);
    story.admin(Method::DELETE, &format!("/v3/users/{user}"), Value::Null, &expected).await;
}

/// Logins name their user, and those that name nobody what they named.
async fn passwords(story: &mut Story) {
    let user = story.make("/v3/users", json!({"user": {"name": "u", "password": "pw"}}), &["user.created NEW"]).await;
    story.cloud.log_in("u").await;
    let events = story.listen();
    assert_eq!((kind(&events[0]), &events[0].id, events[0].outcome), ("authenticate".to_owned(), &user, "success"));
    let log_in = |user: Value| json!({"auth": {"identity": {"methods": ["password"], "password": {"user": user}}}});
    let wrong = log_in(json!({"id": user, "password": "no"}));
    let (_, events) = story.act(Method::POST, "/v3/auth/tokens", "", wrong, &[&format!("authenticate {user}")]).await;
    assert_eq!((events[0].outcome, &events[0].reason, events[0].details.len()), ("failure", &None, 0));
    let unknown = log_in(json!({"name": "x", "domain": {"id": "default"}, "password": "no"}));
    let (_, events) = story.act(Method::POST, "/v3/auth/tokens", "", unknown, &["authenticate "]).await;
    assert_eq!(events[0].reason.as_ref().map(|(status, _)| *status), Some(404));
    assert_eq!(events[0].details, object(&json!({"user_name": "x", "domain_id": "default"})));

    let path = format!("/v3/users/{user}/password");
    let body = |new: &str| json!({"user": {"original_password": "pw", "password": new}});
    let updated = format!("user.updated {user}");
    let (_, events) = story.act(Method::POST, &path, "", body("new"), &[&updated]).await;
    assert!(matches!(events[0].requester, Requester::Nobody));
    let locked = json!({"user": {"options": {"lock_password": true}, "password": "pw"}});
    story.admin(Method::PATCH, &format!("/v3/users/{user}"), locked, &[&updated]).await;
    let (_, events) = story.act(Method::POST, &path, "", body("other"), &[&updated]).await;
    assert_eq!(events[0].reason.as_ref().map(|(status, _)| *status), Some(400));
}

/// The types of the events that the reference sends.
fn reference() -> BTreeSet<String> {
    let rows = REFERENCE.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
    let sent = rows.filter(|row| row[3] != "internal");
    sent.map(|row| row[1].trim_start_matches("identity.").to_owned()).collect()
}

async fn trusts(story: &mut Story) {
    let trustor = story.cloud.id("admin_id");
    let trust =
        json!({"trustor_user_id": trustor, "trustee_user_id": story.cloud.id("user_id"), "impersonation": false});
    let id = story.make("/v3/OS-TRUST/trusts", json!({"trust": trust}), &["OS-TRUST:trust.created NEW"]).await;
    let deleted = format!("OS-TRUST:trust.deleted {id}");
    story.admin(Method::DELETE, &format!("/v3/OS-TRUST/trusts/{id}"), Value::Null, &[&deleted]).await;
}
