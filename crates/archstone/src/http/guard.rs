//! Who makes a request: turns `X-Auth-Token` into a caller
//! (`keystone.server.flask.request_processing.middleware.auth_context`).

use std::sync::Arc;

use archstone_core::Core;
use archstone_core::authz::{Delegation, Requester};
use archstone_core::error::{Error, ErrorKind};
use archstone_core::token::{ValidatedToken, Validation};
use http::request::Parts;

/// Why a request ends before it is looked at.
pub(crate) struct Refusal {
    pub(crate) error: Error,
    /// The reference answers from its middleware, whose 401 names the URL without `/v3`.
    pub(crate) middleware: bool,
}

/// The caller of a request.
///
/// A token that cannot be found (malformed, expired, revoked, its user disabled, its roles gone) is no token: login and
/// discovery go on. A token whose user, project, domain, trust or application credential was deleted or disabled
/// ends the request with 404 or 403, whatever the route: the reference does so, and it tells a client that holds such a
/// token at once.
pub(crate) async fn identify(core: &Core, parts: &Parts) -> Result<(Requester, Option<Arc<ValidatedToken>>), Refusal> {
    let Some(header) = parts.headers.get("x-auth-token") else { return Ok((Requester::Nobody, None)) };
    let Ok(text) = header.to_str() else { return Ok((Requester::Nobody, None)) };
    if core.is_admin_token(text) {
        tracing::warn!("[DEFAULT] admin_token was used: unset it, and use accounts instead");
        return Ok((Requester::AdminToken, None));
    }
    match core.token.validate(text, Validation::of_caller()).await {
        Ok(token) if *token.delegation() == Delegation::Ec2 => Err(Refusal {
            error: Error::forbidden("a token of an EC2 credential cannot be used with the Identity API"),
            middleware: true,
        }),
        Ok(token) => Ok((Requester::User(Arc::clone(&token.caller)), Some(token))),
        Err(error) if error.kind == ErrorKind::TokenNotFound => Ok((Requester::Nobody, None)),
        Err(error) => Err(Refusal { error, middleware: true }),
    }
}
