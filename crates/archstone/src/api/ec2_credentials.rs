//! `/v3/users/{user_id}/credentials/OS-EC2`: EC2 keys in the shape of the API before v3 (`keystone.api.users`).

use archstone_core::authz::{Allowed, Target};
use archstone_core::credential::{Credential, EC2, NewCredential, ec2_id};
use archstone_core::error::{Error, Result};
use archstone_core::id::{ProjectId, UserId, new_hex_id};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::http::{Access, Call, Reply, Routes, extension_rel};

pub(super) fn routes(routes: &mut Routes) {
    let relation = |name| extension_rel("OS-EC2", "1.0", name);
    routes
        .path("/v3/users/{user_id}/credentials/OS-EC2")
        .rel(relation("user_credentials"))
        .get(Access::Rule("identity:ec2_list_credentials"), list)
        .post(Access::Rule("identity:ec2_create_credential"), create);
    routes
        .path("/v3/users/{user_id}/credentials/OS-EC2/{credential_id}")
        .rel(relation("user_credential"))
        .get(Access::Rule("identity:ec2_get_credential"), show)
        .delete(Access::Rule("identity:ec2_delete_credential"), delete);
}

async fn list(call: Call) -> Result<Reply> {
    let allowed = call.allow(Target::none()).await?;
    check_delegation(&call)?;
    let user = UserId::from(call.parameter("user_id"));
    call.core.identity.require_user(&allowed, &user).await?;
    let credentials = call.core.credential.list_of_user(&allowed, &user, EC2).await?;
    let members = credentials.iter().map(|credential| wire(&call, &allowed, credential)).collect::<Result<Vec<_>>>()?;
    let links = json!({"next": null, "self": call.full_url(), "previous": null});
    Call::ok(&json!({"credentials": members, "links": links}))
}

async fn create(call: Call) -> Result<Reply> {
    let user = UserId::from(call.parameter("user_id"));
    let allowed = call.allow(Target::of("credential", json!({"user_id": &*user}))).await?;
    call.core.identity.require_user(&allowed, &user).await?;
    let project = match call.body.get("tenant_id") {
        Some(Value::String(id)) => ProjectId::from(id.as_str()),
        None | Some(Value::Null) => return Err(Error::not_found("project", "none named by tenant_id")),
        Some(_) => return Err(Error::bad_request("The attribute tenant_id must be the id of a project.")),
    };
    call.core.resource.require_project(&allowed, &project).await?;
    check_delegation(&call)?;
    let blob = json!({"access": new_hex_id(), "secret": new_hex_id(), "trust_id": null});
    let new = NewCredential {
        user_id: user,
        project_id: Some(project),
        kind: EC2.to_owned(),
        blob: Zeroizing::new(archstone_db::json_text(&blob)),
        extra: Map::new(),
    };
    let credential = call.core.credential.create(&allowed, new).await?;
    Ok(Reply::created(&json!({"credential": wire(&call, &allowed, &credential)?})))
}

async fn show(call: Call) -> Result<Reply> {
    let (allowed, credential) = allow_on_credential(&call).await?;
    Call::ok(&json!({"credential": wire(&call, &allowed, &credential)?}))
}

async fn delete(call: Call) -> Result<Reply> {
    let (allowed, credential) = allow_on_credential(&call).await?;
    call.core.credential.delete(&allowed, &credential.id).await?;
    Ok(Reply::no_content())
}

/// Asks the policy about the stored owner. A key that is missing is 404 before the policy is asked.
async fn allow_on_credential(call: &Call) -> Result<(Allowed, Credential)> {
    call.require_authenticated()?;
    let id = ec2_id(call.parameter("credential_id"));
    let credential = call.core.credential.find(&id).await?.ok_or_else(|| Error::not_found("credential", &id))?;
    let allowed = call.allow(Target::of("credential", credential.target())).await?;
    call.core.identity.require_user(&allowed, &UserId::from(call.parameter("user_id"))).await?;
    if credential.kind != EC2 {
        return Err(Error::unauthorized(format!("the credential {id} is no EC2 key")));
    }
    check_delegation(call)?;
    Ok((allowed, credential))
}

/// Delegated tokens reach no credentials; the admin token, which is nobody's, does.
fn check_delegation(call: &Call) -> Result<()> {
    call.token.as_ref().map_or(Ok(()), |token| token.delegation().check_credentials())
}

fn wire(call: &Call, allowed: &Allowed, credential: &Credential) -> Result<Value> {
    let blob = call.core.credential.ec2_blob(allowed, credential)?;
    let access = blob.access.as_deref();
    let path = format!("users/{}/credentials/OS-EC2/{}", credential.user_id, access.unwrap_or_default());
    Ok(json!({
        "user_id": &*credential.user_id,
        "tenant_id": credential.project_id.as_deref(),
        "access": access,
        "secret": blob.secret.as_ref().map(|secret| secret.as_str()),
        "trust_id": blob.trust_id.as_deref(),
        "links": {"self": call.link(&path)},
    }))
}
