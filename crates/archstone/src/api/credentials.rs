//! `/v3/credentials` (`keystone.api.credentials`).

use archstone_core::authz::{Allowed, Scope, Target};
use archstone_core::credential::{Credential, EC2, NewCredential};
use archstone_core::error::{Error, Result};
use archstone_core::id::{CredentialId, ProjectId, UserId};
use archstone_core::list::Filter;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::body::{into_extra, normalize_names, take_text};
use crate::http::{Access, Call, Collection, Reply, Routes, rel};

const SHOW: &str = "identity:get_credential";
const LIST: &str = "identity:list_credentials";

pub(super) fn routes(routes: &mut Routes) {
    routes
        .path("/v3/credentials")
        .rel(rel("credentials"))
        // Each credential of the list is asked for by the rule of one.
        .get(Access::OneOf(&[LIST, SHOW]), list)
        .query("credential.index_request_query")
        .post(Access::Rule("identity:create_credential"), create)
        .body("credential.create_request_body");
    routes
        .path("/v3/credentials/{credential_id}")
        .rel(rel("credential"))
        .get(Access::Rule(SHOW), show)
        .patch(Access::Rule("identity:update_credential"), update)
        .body("credential.update_request_body")
        .delete(Access::Rule("identity:delete_credential"), delete);
}

/// Only what each by itself would be shown (OSSA-2019-006).
async fn list(call: Call) -> Result<Reply> {
    const FILTERS: &[&str] = &["user_id", "type"];
    let target = match call.requester.caller() {
        Some(caller) if caller.scope != Scope::System => Target::of("credential", json!({"user_id": &*caller.user_id})),
        _ => Target::none(),
    };
    let allowed = call.allow_rule(LIST, target.filters(call.query.filter_attributes(FILTERS))).await?;
    let mut query = call.list_query(FILTERS, None)?;
    if let Some(caller) = call.requester.caller()
        && shows_only_own(&call).await
    {
        query.filters.push(Filter::equals("user_id", &caller.user_id));
    }
    let (credentials, remaining) = call.core.credential.list(&allowed, &query).await?;
    let mut members = Vec::new();
    for credential in credentials {
        let shown = call.allow_rule(SHOW, Target::of("credential", credential.target())).await;
        if shown.is_ok() && check_delegation(&call, &credential.kind).await.is_ok() {
            members.push(wire(&call, &allowed, credential)?);
        }
    }
    Call::ok(&call.collection(Collection {
        name: "credentials",
        path: "credentials",
        members,
        remaining: &remaining,
        query: &query,
        truncated: false,
    }))
}

/// Whether the rule of one credential lets this caller see none but its own, so that the others need not be read: it
/// asks of a credential only whose it is, and says no to one of somebody else.
async fn shows_only_own(call: &Call) -> bool {
    let nobodys = Target::of("credential", json!({"user_id": ""}));
    call.core.authorizer.policy().compares_only(SHOW, "target.credential.user_id", "user_id")
        && call.allow_rule(SHOW, nobodys).await.is_err()
}

async fn create(call: Call) -> Result<Reply> {
    let body = call.body_object("credential");
    // Of what the caller wrote, whose and what the new credential is to be: it stands for nothing that is stored.
    let of = |name: &str| body.get(name).cloned().unwrap_or_default();
    let target = json!({"user_id": of("user_id"), "project_id": of("project_id"), "type": of("type")});
    let allowed = call.allow(Target::of("credential", target)).await?;
    let mut body = normalize_names(body);
    let kind = take_text(&mut body, "type").unwrap_or_default();
    check_delegation(&call, &kind).await?;
    for own in ["id", "encrypted_blob", "key_hash"] {
        body.remove(own);
    }
    let new = NewCredential {
        user_id: UserId::from(take_text(&mut body, "user_id").unwrap_or_default()),
        project_id: take_text(&mut body, "project_id").map(ProjectId::from),
        kind,
        blob: Zeroizing::new(take_text(&mut body, "blob").unwrap_or_default()),
        extra: into_extra(body),
    };
    let credential = call.core.credential.create(&allowed, new).await?;
    let shown = wire(&call, &allowed, credential)?;
    Ok(Reply::created(&call.member("credentials", "credential", shown)))
}

async fn show(call: Call) -> Result<Reply> {
    let (allowed, credential) = allow_on_credential(&call).await?;
    let shown = wire(&call, &allowed, credential)?;
    Call::ok(&call.member("credentials", "credential", shown))
}

async fn update(call: Call) -> Result<Reply> {
    let (allowed, credential) = allow_on_credential(&call).await?;
    // The schema lets nothing but the blob through.
    let blob = take_text(&mut call.body_object("credential"), "blob").unwrap_or_default();
    call.core.credential.update_blob(&allowed, &credential.id, &blob).await?;
    let mut shown = wire_without_blob(credential);
    shown.insert("blob".to_owned(), Value::from(blob));
    Call::ok(&call.member("credentials", "credential", shown))
}

async fn delete(call: Call) -> Result<Reply> {
    let (allowed, credential) = allow_on_credential(&call).await?;
    call.core.credential.delete(&allowed, &credential.id).await?;
    Ok(Reply::no_content())
}

/// Asks the policy about the stored credential; one that is missing is 404 to whom the policy lets through even so.
async fn allow_on_credential(call: &Call) -> Result<(Allowed, Credential)> {
    call.require_authenticated()?;
    let id = CredentialId::from(call.parameter("credential_id"));
    let found = call.core.credential.find(&id).await?;
    let target = Target::none().and_found("credential", found.as_ref().map(Credential::target));
    let allowed = call.allow(target).await?;
    let credential = found.ok_or_else(|| Error::not_found("credential", &id))?;
    check_delegation(call, &credential.kind).await?;
    Ok((allowed, credential))
}

/// Delegated tokens reach no credentials. `[security_compliance]
/// allow_insecure_admin_trust_cross_project_credentials_access` lets those of administrators reach EC2 keys, as before
/// the fix of lp:2150089.
async fn check_delegation(call: &Call, kind: &str) -> Result<()> {
    let Some(token) = &call.token else { return Ok(()) };
    let refused = match token.delegation().check_credentials() {
        Ok(()) => return Ok(()),
        Err(refused) => refused,
    };
    let insecure = call.core.config.security_compliance.allow_insecure_admin_trust_cross_project_credentials_access;
    if !insecure || !kind.eq_ignore_ascii_case(EC2) {
        return Err(refused);
    }
    let admin = call.core.authorizer.check("admin_required", &call.requester, &call.initiator, &Target::none()).await;
    admin.map(drop).map_err(|_| refused)
}

fn wire(call: &Call, allowed: &Allowed, credential: Credential) -> Result<Map<String, Value>> {
    let blob = call.core.credential.blob(allowed, &credential)?;
    let mut out = wire_without_blob(credential);
    out.insert("blob".to_owned(), Value::from(blob.as_str()));
    Ok(out)
}

fn wire_without_blob(credential: Credential) -> Map<String, Value> {
    let mut out = credential.extra;
    out.insert("id".to_owned(), Value::from(&*credential.id));
    out.insert("user_id".to_owned(), Value::from(&*credential.user_id));
    out.insert("project_id".to_owned(), Value::from(credential.project_id.as_deref()));
    out.insert("type".to_owned(), Value::from(credential.kind));
    out
}
