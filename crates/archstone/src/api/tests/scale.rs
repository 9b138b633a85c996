//! What a request costs does not grow with the cloud: the number of its statements, and what they read.

use archstone_bench::seed::{self, Kind, Plan};
use archstone_db::testing::{configured, plans, record};
use http::Method;

use super::cloud::Cloud;

/// Lists, and filters of lists; `{…}` is the first thing of its kind in the seeded cloud.
const ASKED: &[&str] = &[
    "/v3/users",
    "/v3/users?name=seed-user-000000",
    "/v3/users?domain_id={domain}",
    "/v3/users?domain_id={domain}&name=seed-user-000000",
    "/v3/users?enabled=true&limit=20",
    "/v3/users?password_expires_at=lt:2030-01-01T00:00:00Z",
    "/v3/users/{user}",
    "/v3/users/{user}/groups",
    "/v3/users/{user}/projects",
    "/v3/users/{user}/application_credentials",
    "/v3/users/{user}/credentials/OS-EC2",
    "/v3/groups",
    "/v3/groups?name=seed-group-00000",
    "/v3/groups?domain_id={domain}",
    "/v3/groups/{group}",
    "/v3/groups/{group}/users",
    "/v3/projects",
    "/v3/projects?name=seed-project-00000",
    "/v3/projects?domain_id={domain}&name=seed-project-00000",
    "/v3/projects?parent_id={project}",
    "/v3/projects?tags=team-0",
    "/v3/projects/{project}?parents_as_list&subtree_as_list",
    "/v3/projects/{project}?parents_as_ids&subtree_as_ids",
    "/v3/domains",
    "/v3/domains?name=seed-domain-0",
    "/v3/roles",
    "/v3/roles?name=seed-role-0",
    "/v3/role_inferences",
    "/v3/regions",
    "/v3/services",
    "/v3/endpoints",
    "/v3/endpoints?service_id={service}",
    "/v3/endpoints?region_id=seed-region-00",
    "/v3/credentials?user_id={user}",
    "/v3/projects/{project}/users/{user}/roles",
    "/v3/domains/{domain}/users/{user}/roles",
    "/v3/system/users/{user}/roles",
    "/v3/auth/catalog",
    "/v3/auth/projects",
    "/v3/auth/domains",
    "/v3/OS-EP-FILTER/projects/{project}/endpoints",
    "/v3/role_assignments",
    "/v3/role_assignments?include_names",
    "/v3/role_assignments?effective",
    "/v3/role_assignments?effective&include_names",
    "/v3/role_assignments?scope.project.id={project}",
    "/v3/role_assignments?scope.project.id={project}&effective&include_names",
    "/v3/role_assignments?scope.project.id={deep}&effective&include_names",
    "/v3/role_assignments?scope.project.id={project}&include_subtree&effective&include_names",
    "/v3/role_assignments?scope.domain.id={domain}&effective&include_names",
    "/v3/role_assignments?user.id={user}",
    "/v3/role_assignments?user.id={user}&effective&include_names",
    "/v3/role_assignments?group.id={group}&include_names",
    "/v3/role_assignments?user.id={user}&scope.project.id={project}&effective",
];

/// Requests for little out of much: none of their statements may read all of a large table.
const SELECTIVE: &[&str] = &[
    "/v3/users?name=seed-user-000000",
    "/v3/users?domain_id={domain}&name=seed-user-000000",
    "/v3/users/{user}",
    "/v3/users/{user}/groups",
    "/v3/users/{user}/projects",
    "/v3/groups?name=seed-group-00000",
    "/v3/groups/{group}",
    "/v3/groups/{group}/users",
    "/v3/projects?name=seed-project-00000",
    "/v3/projects?domain_id={domain}&name=seed-project-00000",
    "/v3/projects?parent_id={project}",
    "/v3/projects/{project}?parents_as_list&subtree_as_list",
    "/v3/domains?name=seed-domain-0",
    "/v3/credentials?user_id={user}",
    "/v3/projects/{project}/users/{user}/roles",
    "/v3/role_assignments?scope.project.id={project}",
    "/v3/role_assignments?scope.project.id={project}&effective&include_names",
    "/v3/role_assignments?scope.project.id={deep}&effective&include_names",
    "/v3/role_assignments?user.id={user}",
    "/v3/role_assignments?user.id={user}&effective&include_names",
    "/v3/role_assignments?group.id={group}&include_names",
    "/v3/role_assignments?user.id={user}&scope.project.id={project}&effective",
];

/// The tables that grow with a cloud, and that a request for little must not read as a whole.
const LARGE: [&str; 7] = ["user", "local_user", "password", "group", "user_group_membership", "assignment", "project"];

fn filled(template: &str, plan: &Plan) -> String {
    let things = [
        ("user", Kind::User),
        ("group", Kind::Group),
        ("project", Kind::Project),
        ("domain", Kind::Domain),
        ("service", Kind::Service),
        ("role", Kind::Role),
    ];
    let fill = |path: String, (name, kind)| path.replace(&format!("{{{name}}}"), &plan.id(kind, 0));
    let path = things.into_iter().fold(template.to_owned(), fill);
    // The tenth project has three above it. Names of another seed are others.
    path.replace("{deep}", &plan.id(Kind::Project, 9)).replace("=seed-", &format!("={}-", plan.prefix()))
}

/// Grants of every kind to and on the first things, so that a small cloud asks all the questions of a large one.
async fn grant_all(cloud: &Cloud, plan: &Plan) {
    for (place, actor) in ["projects/{project}", "domains/{domain}"]
        .iter()
        .flat_map(|place| ["users/{user}", "groups/{group}"].map(|actor| (*place, actor)))
    {
        for path in [
            format!("/v3/{place}/{actor}/roles/{{role}}"),
            format!("/v3/OS-INHERIT/{place}/{actor}/roles/{{role}}/inherited_to_projects"),
            format!("/v3/system/{actor}/roles/{{role}}"),
        ] {
            let path = filled(&path, plan);
            let (status, body) = cloud.ask(&Method::PUT, &path, &cloud.admin, &serde_json::Value::Null).await;
            assert!(status.is_success(), "PUT {path}: {status} {body}");
        }
    }
}

async fn statements(cloud: &Cloud, path: &str) -> u64 {
    let mut least = u64::MAX;
    // The first one fills what is kept in memory; each second one of them looks whether the token still holds.
    for _ in 0..4 {
        let before = cloud.db().statements();
        let (status, body) = cloud.ask(&Method::GET, path, &cloud.admin, &serde_json::Value::Null).await;
        assert!(status.is_success(), "GET {path}: {status} {body}");
        least = least.min(cloud.db().statements() - before);
    }
    least
}

// Below the number of ids that go into one statement: beyond it, hundreds of rows share each further one.
#[tokio::test]
async fn the_number_of_statements_does_not_grow_with_the_cloud() {
    for dialect in configured() {
        let cloud = Cloud::on(dialect).await;
        let few =
            Plan { users: 3, projects: 10, assignments: 12, groups: 1, members: 2, endpoints: 6, ..Plan::small() };
        let many =
            Plan { users: 200, projects: 120, assignments: 500, groups: 20, members: 10, seed: 2, ..Plan::small() };
        seed::fill(cloud.db(), &few, "pw", 4).await.unwrap();
        grant_all(&cloud, &few).await;
        let mut before = Vec::new();
        for asked in ASKED {
            before.push(statements(&cloud, &filled(asked, &few)).await);
        }
        seed::fill(cloud.db(), &many, "pw", 4).await.unwrap();
        grant_all(&cloud, &many).await;
        let mut grown = Vec::new();
        for (asked, before) in ASKED.iter().zip(before) {
            let after = statements(&cloud, &filled(asked, &many)).await;
            if after > before {
                grown.push(format!("{dialect:?}: GET {asked}: {before} statements, then {after}"));
            }
        }
        assert!(grown.is_empty(), "{}", grown.join("\n"));
    }
}

#[tokio::test]
async fn a_request_for_little_reads_no_large_table_as_a_whole() {
    for dialect in configured() {
        let cloud = Cloud::on(dialect).await;
        let plan = Plan::small();
        seed::fill(cloud.db(), &plan, "pw", 4).await.unwrap();
        archstone_db::testing::analyze(cloud.db()).await.unwrap();
        let mut wrong = Vec::new();
        for asked in SELECTIVE {
            let path = filled(asked, &plan);
            // What is in memory is read by nobody.
            cloud.ask(&Method::GET, &path, &cloud.admin, &serde_json::Value::Null).await;
            record(cloud.db());
            let (status, body) = cloud.ask(&Method::GET, &path, &cloud.admin, &serde_json::Value::Null).await;
            assert!(status.is_success(), "GET {path}: {status} {body}");
            let found = plans(cloud.db()).await.unwrap();
            assert!(!found.is_empty(), "GET {path}: no statement was recorded");
            for plan in found {
                let tables: Vec<&String> =
                    plan.full_scans.iter().filter(|table| LARGE.contains(&table.as_str())).collect();
                if !tables.is_empty() {
                    wrong.push(format!("{dialect:?}: GET {asked}: all of {tables:?}: {}\n{}", plan.sql, plan.text));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
