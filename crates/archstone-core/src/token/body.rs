//! What the answer about a token shows (`keystone.common.render_token`), and what policy rules see of it.

use keystone_token::{Payload, Scope};
use serde_json::{Map, Value, json};

use super::audit_text;
use super::load::Subject;
use crate::assignment::Role;
use crate::resource::Place;
use crate::time::Timestamp;
use crate::trust::Trust;

/// The members below `token`, without the catalog.
pub(super) fn render(
    payload: &Payload,
    issued_at: Timestamp,
    expires_at: Timestamp,
    subject: &Subject,
) -> Map<String, Value> {
    let mut body = Map::new();
    let audit_ids: Vec<String> =
        std::iter::once(payload.audit_ids.id).chain(payload.audit_ids.parent).map(audit_text).collect();
    let methods: Vec<&str> = payload.methods.iter().map(|method| &**method).collect();
    body.insert("methods".into(), json!(methods));
    let (actor, actor_domain) = subject.actor();
    body.insert(
        "user".into(),
        json!({
            "id": &*actor.id,
            "name": actor.name,
            "domain": domain_view(actor_domain),
            "password_expires_at": actor.password_expires_at.map(Timestamp::iso_without_zone),
        }),
    );
    body.insert("audit_ids".into(), json!(audit_ids));
    body.insert("expires_at".into(), json!(expires_at.iso()));
    body.insert("issued_at".into(), json!(issued_at.iso()));
    if payload.scope != Scope::Unscoped {
        let roles: Vec<Value> = subject.roles.iter().map(|role| json!({"id": &*role.id, "name": role.name})).collect();
        body.insert("roles".into(), Value::Array(roles));
    }
    if payload.scope == Scope::System {
        body.insert("system".into(), json!({"all": true}));
    } else if let Some(domain) = &subject.domain {
        body.insert("domain".into(), domain_view(domain));
    } else if let (Some(trusted), Some((project, domain))) = (&subject.trust, &subject.project) {
        body.insert("project".into(), project_view(project, domain));
        body.insert("OS-TRUST:trust".into(), trust_view(trusted.trust()));
        // Here, and only here, the reference shows roles with all that they have.
        body.insert("roles".into(), trusted.roles.iter().map(Role::target).collect());
    } else if let Some((project, domain)) = &subject.project {
        body.insert("project".into(), project_view(project, domain));
        body.insert("is_domain".into(), json!(project.is_domain));
        if let Some(is_admin_project) = subject.is_admin_project {
            body.insert("is_admin_project".into(), json!(is_admin_project));
        }
    }
    if let Some(credential) = &subject.application_credential {
        let mut view = json!({
            "id": &*credential.id,
            "name": credential.name,
            "restricted": !credential.is_unrestricted(),
        });
        if let Some(rules) = credential.access_rules.as_ref().filter(|rules| !rules.is_empty()) {
            let rules: Vec<Value> = rules
                .iter()
                .map(|rule| json!({"id": rule.id, "service": rule.service, "path": rule.path, "method": rule.method}))
                .collect();
            view["access_rules"] = Value::Array(rules);
        }
        body.insert("application_credential".into(), view);
    }
    body
}

fn domain_view(domain: &Place) -> Value {
    json!({"id": &*domain.id, "name": domain.name})
}

fn project_view(project: &Place, domain: &Place) -> Value {
    json!({"id": &*project.id, "name": project.name, "domain": domain_view(domain)})
}

fn trust_view(trust: &Trust) -> Value {
    json!({
        "id": &*trust.id,
        "trustor_user": {"id": &*trust.trustor_user_id},
        "trustee_user": {"id": &*trust.trustee_user_id},
        "impersonation": trust.impersonation,
    })
}

/// What policy rules see (`keystone.common.context.RequestContext.to_policy_values`).
pub(super) fn credentials(payload: &Payload, subject: &Subject, body: Map<String, Value>) -> Map<String, Value> {
    let roles: Vec<&str> = subject.roles.iter().map(|role| role.name.as_str()).collect();
    let (actor, actor_domain) = subject.actor();
    let project = subject.project.as_ref();
    let system = if payload.scope == Scope::System { json!("all") } else { Value::Null };
    // A token of a project is taken to be of an admin project unless the configuration names one; one of a domain never.
    let is_admin_project = body.get("is_admin_project").cloned().unwrap_or_else(|| json!(subject.domain.is_none()));
    let values = json!({
        "user_id": &*actor.id,
        "user_domain_id": &*actor_domain.id,
        "system_scope": system,
        "domain_id": subject.domain.as_ref().map(|domain| domain.id.to_string()),
        "project_id": project.map(|(project, _)| project.id.to_string()),
        "project_domain_id": project.map(|(_, domain)| domain.id.to_string()),
        "roles": roles,
        "is_admin_project": is_admin_project,
        "trust_id": payload.trust_id,
        "service_user_id": null,
        "service_user_domain_id": null,
        "service_project_id": null,
        "service_project_domain_id": null,
        "service_roles": [],
    });
    let mut values = match values {
        Value::Object(values) => values,
        _ => Map::new(),
    };
    if payload.scope == Scope::System {
        values.insert("system".into(), json!("all"));
    }
    values.insert("token".into(), Value::Object(body));
    values
}
