//! Measures one decision by Keystone's longest default rule: `cargo run --release -p oslo-policy --example measure`.

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Instant;

use oslo_policy::{Options, Policy, RuleFile, ScopeType};
use serde_json::json;

const ROUNDS: u32 = 1_000_000;

fn main() {
    let own = |role: &str| {
        let pairs = ["user", "group"].map(|actor| {
            ["target.project.domain_id", "target.domain.id"]
                .map(|on| format!("(role:{role} and domain_id:%(target.{actor}.domain_id)s and domain_id:%({on})s)"))
                .join(" or ")
        });
        format!("({})", pairs.join(" or "))
    };
    let rules = json!({
        "admin_required": "role:admin or is_admin:1",
        "domain_managed_target_role": "'manager':%(target.role.name)s or 'member':%(target.role.name)s or \
                                       'reader':%(target.role.name)s",
        "identity:create_grant": format!(
            "(rule:admin_required) or {} and (domain_id:%(target.role.domain_id)s or None:%(target.role.domain_id)s) or \
             {} and rule:domain_managed_target_role", own("admin"), own("manager")),
    });
    let file = RuleFile::parse("rules", &rules.to_string()).expect("the rules are a mapping");
    let (policy, _) = Policy::build(&[], &[file], &Options::default());

    let target = json!({"user_id": "u2", "project_id": "p1", "role_id": "r1", "target": {
        "user": {"id": "u2", "domain_id": "d1"}, "project": {"id": "p1", "domain_id": "d1"},
        "role": {"id": "r1", "name": "member", "domain_id": null}}});
    for (persona, roles, domain) in [
        ("project admin", json!(["admin", "manager", "member", "reader"]), json!(null)),
        ("domain manager", json!(["manager", "member", "reader"]), json!("d1")),
        ("domain reader", json!(["reader"]), json!("d1")),
    ] {
        let credentials = json!({"user_id": "u1", "roles": roles, "domain_id": domain, "project_id": null,
            "system_scope": null, "user_domain_id": "d1", "token": {"user": {"id": "u1"}}});
        let (Some(credentials), Some(target)) = (credentials.as_object(), target.as_object()) else { return };
        let replies = HashMap::new();
        let started = Instant::now();
        for _ in 0..ROUNDS {
            black_box(policy.decide(
                "identity:create_grant",
                black_box(credentials),
                target,
                ScopeType::Domain,
                &replies,
            ));
        }
        let each = started.elapsed() / ROUNDS;
        println!("identity:create_grant by a {persona}: {each:?}");
    }
}
