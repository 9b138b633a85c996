//! `/v3/ec2tokens` and `/v3/s3tokens`: a service that got a signed request asks for its sender's token
//! (`keystone.api.ec2tokens`, `keystone.api.s3tokens`).

use archstone_core::authz::Target;
use archstone_core::ec2::SignedBy;
use archstone_core::error::Result;
use archstone_core::token::IssuedToken;
use http::StatusCode;
use serde_json::{Map, Value};

use super::auth;
use crate::http::{Access, Call, Reply, Routes, SUBJECT_TOKEN, extension_rel};

pub(super) fn routes(routes: &mut Routes) {
    // Only services may ask: a signature that somebody overheard, as in a presigned URL, would be a token
    // (OSSA-2025-002).
    routes
        .path("/v3/ec2tokens")
        .rel(extension_rel("OS-EC2", "1.0", "ec2tokens"))
        .get(Access::Public, refuse_to_show)
        .post(Access::Rule("identity:ec2tokens_validate"), ec2);
    routes
        .path("/v3/s3tokens")
        .rel(extension_rel("s3tokens", "1.0", "s3tokens"))
        .get(Access::Public, refuse_to_show)
        .post(Access::Rule("identity:s3tokens_validate"), s3);
}

async fn refuse_to_show(_: Call) -> Result<Reply> {
    Ok(Reply::post_only())
}

async fn ec2(call: Call) -> Result<Reply> {
    let issued = authenticate(&call, SignedBy::Ec2).await?;
    let body = auth::rendered(&call, issued.as_of, &issued.token, true).await?;
    Ok(Reply::rendered(StatusCode::OK, body).header(SUBJECT_TOKEN, &issued.text))
}

/// What the token says, but not the token: the service acts for the client by its own.
async fn s3(call: Call) -> Result<Reply> {
    let issued = authenticate(&call, SignedBy::S3).await?;
    Ok(Reply::rendered(StatusCode::OK, auth::rendered(&call, issued.as_of, &issued.token, true).await?))
}

async fn authenticate(call: &Call, signed_by: SignedBy) -> Result<IssuedToken> {
    let allowed = call.allow(Target::none()).await?;
    let body = call.body.as_object().cloned().unwrap_or_else(Map::<String, Value>::new);
    call.core.ec2.authenticate(&allowed, &body, signed_by).await
}
