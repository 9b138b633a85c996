//! Who is let in: nobody without a token, and nobody without a role but to what is its own.

use std::collections::BTreeSet;

use http::{Method, StatusCode};

use super::cloud::Cloud;
use crate::http::Access;

/// Routes with a rule that let somebody in who has no role, and why. May only shrink.
const OPEN_WITHOUT_A_ROLE: &[(&str, &str)] = &[
    ("GET /v3/auth/projects", "the caller's own"),
    ("GET /v3/auth/domains", "the caller's own"),
    ("GET /v3/auth/system", "the caller's own"),
    ("GET /v3/OS-FEDERATION/projects", "the caller's own, by an older path"),
    ("GET /v3/OS-FEDERATION/domains", "the caller's own, by an older path"),
    ("GET /v3/credentials", "lists those that the caller may see, each by itself"),
    ("GET /v2.0/tenants", "the caller's own"),
    ("GET /v3/limits", "lists those of the token's scope; without one, none"),
    ("GET /v3/limits/model", "the reference's rule is empty"),
    ("GET /v3/registered_limits", "the reference's rule is empty"),
    ("GET /v3/registered_limits/{registered_limit_id}", "the reference's rule is empty"),
    ("GET /v3/regions", "the reference's rule is empty"),
    ("GET /v3/regions/{region_id}", "the reference's rule is empty"),
];

/// Method and path of each route with a rule.
fn guarded(cloud: &Cloud) -> impl Iterator<Item = (&Method, &'static str)> {
    let guarded = cloud.table.routes.iter().filter(|route| route.access != Access::Public);
    guarded.map(|route| (&route.method, route.path))
}

/// A route of `GET` answers `HEAD` as well.
fn methods(method: &Method) -> impl Iterator<Item = Method> {
    let head = (method == Method::GET).then_some(Method::HEAD);
    std::iter::once(method.clone()).chain(head)
}

#[tokio::test]
async fn without_a_token_no_route_with_a_rule_is_open() {
    let cloud = Cloud::new().await;
    let mut open = Vec::new();
    for (method, template) in guarded(&cloud) {
        for path in [cloud.path(template), template.replace(['{', '}'], "")] {
            for method in methods(method) {
                for token in [None, Some("gAAAAA")] {
                    let status = cloud.status(&method, &path, token).await;
                    if status != StatusCode::UNAUTHORIZED {
                        open.push(format!("{method} {path} with the token {token:?}: {status}"));
                    }
                }
            }
        }
    }
    assert!(open.is_empty(), "{}", open.join("\n"));
}

#[tokio::test]
async fn without_a_role_each_route_is_forbidden() {
    let cloud = Cloud::new().await;
    let mut open: BTreeSet<&str> = OPEN_WITHOUT_A_ROLE.iter().map(|(route, _)| *route).collect();
    let mut wrong = Vec::new();
    for (method, template) in guarded(&cloud) {
        let path = cloud.path(template);
        let name = format!("{method} {template}");
        let is_listed = open.remove(name.as_str());
        let status = cloud.status(method, &path, Some(&cloud.stranger)).await;
        match (is_listed, status) {
            (true, StatusCode::FORBIDDEN) => wrong.push(format!("{name} is forbidden: take it out of the list")),
            (true, _) | (false, StatusCode::FORBIDDEN) => {}
            (false, status) => wrong.push(format!("{name}: {status}")),
        }
    }
    wrong.extend(open.iter().map(|name| format!("{name} is in the list, but no route with a rule")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
