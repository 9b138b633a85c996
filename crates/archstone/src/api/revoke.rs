//! `/v3/OS-REVOKE/events`: what ends tokens before their time (`keystone.api.os_revoke`).

use archstone_core::authz::Target;
use archstone_core::error::{Error, Result};
use archstone_core::revoke::StoredEvent;
use archstone_core::time::Timestamp;
use serde_json::{Map, Value, json};

use crate::http::{Access, Call, Reply, Routes, extension_rel};

pub(super) fn routes(routes: &mut Routes) {
    routes
        .path("/v3/OS-REVOKE/events")
        .rel(extension_rel("OS-REVOKE", "1.0", "events"))
        .get(Access::Rule("identity:list_revoke_events"), list);
}

async fn list(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    let since = match call.query.get("since").filter(|since| !since.is_empty()) {
        None => None,
        Some(text) => Some(parse(text).ok_or_else(|| Error::bad_request(format!("The date {text} is not valid.")))?),
    };
    let events = call.core.revoke.list_events(&allowed, since).await?;
    Call::ok(&json!({
        "events": events.into_iter().map(wire).collect::<Vec<_>>(),
        // Without the query, in the reference too.
        "links": {"next": null, "self": call.link("OS-REVOKE/events"), "previous": null},
    }))
}

/// A time, or a day.
fn parse(text: &str) -> Option<Timestamp> {
    Timestamp::parse(text).or_else(|| Timestamp::parse(&format!("{text}T00:00:00")))
}

/// Only what the event names.
fn wire(stored: StoredEvent) -> Value {
    let StoredEvent { event, issued_before, revoked_at, .. } = stored;
    // A domain together with an expiry means the tokens of that domain's scope.
    let domain = if event.expires_at.is_some() { "domain_scope_id" } else { "domain_id" };
    let named = [
        ("user_id", event.user_id),
        ("role_id", event.role_id),
        (domain, event.domain_id),
        ("project_id", event.project_id),
        ("audit_id", event.audit_id),
        ("audit_chain_id", event.audit_chain_id),
        ("OS-TRUST:trust_id", event.trust_id),
        ("OS-OAUTH1:consumer_id", event.consumer_id),
        ("OS-OAUTH1:access_token_id", event.access_token_id),
        ("expires_at", event.expires_at.map(Timestamp::iso_seconds)),
        ("issued_before", Some(issued_before.iso())),
        ("revoked_at", Some(revoked_at.iso())),
    ];
    let named = named.into_iter().filter_map(|(name, value)| Some((name.to_owned(), Value::from(value?))));
    Value::Object(named.collect::<Map<_, _>>())
}
