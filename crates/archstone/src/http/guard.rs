//! Who makes a request: turns `X-Auth-Token` into a caller
//! (`keystone.server.flask.request_processing.middleware.auth_context`).

use std::sync::Arc;

use archstone_core::Core;
use archstone_core::authz::{Delegation, Requester};
use archstone_core::error::{Error, ErrorKind};
use archstone_core::freshness::Moment;
use archstone_core::token::{ValidatedToken, Validation};
use http::Method;
use http::header::HeaderName;
use http::request::Parts;

const AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

/// Why a request ends before it is looked at.
pub(crate) struct Refusal {
    pub(crate) error: Error,
    /// The reference answers from its middleware, whose 401 names the URL without `/v3`.
    pub(crate) middleware: bool,
}

/// Who makes a request.
pub(crate) struct Identified {
    pub(crate) requester: Requester,
    /// The caller's own token.
    pub(crate) token: Option<Arc<ValidatedToken>>,
    /// When the database's clock was read for the token: all that the request asks of memory is as of then.
    pub(crate) moment: Option<Moment>,
}

impl Identified {
    fn without_token(requester: Requester) -> Identified {
        Identified { requester, token: None, moment: None }
    }
}

/// The caller of a request.
///
/// A token that cannot be found (malformed, expired, revoked, its user disabled, its roles gone) is no token: login and
/// discovery go on. A token whose user, project, domain, trust or application credential was deleted or disabled
/// ends the request with 404 or 403, whatever the route: the reference does so, and it tells a client that holds such a
/// token at once.
pub(crate) async fn identify(core: &Core, parts: &Parts) -> Result<Identified, Refusal> {
    let header = parts.headers.get(AUTH_TOKEN).and_then(|value| value.to_str().ok());
    let Some(text) = header else { return Ok(Identified::without_token(Requester::Nobody)) };
    if core.is_admin_token(text) {
        tracing::warn!("[DEFAULT] admin_token was used: unset it, and use accounts instead");
        return Ok(Identified::without_token(Requester::AdminToken));
    }
    let moment = core.token.observe().await.map_err(|error| Refusal { error, middleware: true })?;
    match core.token.validate_at(moment, text, Validation::of_caller()).await {
        Ok(token) if *token.delegation() == Delegation::Ec2 => Err(Refusal {
            error: Error::forbidden("a token of an EC2 credential cannot be used with the Identity API"),
            middleware: true,
        }),
        Ok(token)
            if token.has_access_rules() && !Box::pin(within_access_rules(core, parts, &token, moment)).await? =>
        {
            Err(Refusal {
                error: Error::unauthorized(
                    "the access rules of the token's application credential allow no such request",
                ),
                middleware: true,
            })
        }
        Ok(token) => {
            let requester = Requester::User(Arc::clone(token.caller()));
            Ok(Identified { requester, token: Some(token), moment: Some(moment) })
        }
        Err(error) if error.kind == ErrorKind::TokenNotFound => Ok(Identified::without_token(Requester::Nobody)),
        Err(error) => Err(Refusal { error, middleware: true }),
    }
}

/// Whether the access rules of the token's application credential, if it has any, let it make this request.
///
/// A token may always be validated. A request that another service makes for the user is not the user's own: the
/// reference lets it pass for a service token of any kind; here that must be a valid one of somebody with the role
/// `service`.
async fn within_access_rules(
    core: &Core,
    parts: &Parts,
    token: &ValidatedToken,
    moment: Moment,
) -> Result<bool, Refusal> {
    const IDENTITY: &str = "identity";
    let path = parts.uri.path();
    let validates = parts.method == Method::GET && path.ends_with("/v3/auth/tokens");
    if validates || token.access_rules_allow(IDENTITY, parts.method.as_str(), path) {
        return Ok(true);
    }
    let Some(text) = parts.headers.get("x-service-token").and_then(|value| value.to_str().ok()) else {
        return Ok(false);
    };
    match core.token.validate_at(moment, text, Validation::of_caller()).await {
        Ok(service) => Ok(!service.has_access_rules() && service.roles().iter().any(|role| role.name == "service")),
        Err(error) if matches!(error.kind, ErrorKind::Internal | ErrorKind::Unavailable { .. }) => {
            Err(Refusal { error, middleware: true })
        }
        // A dead token is none.
        Err(_) => Ok(false),
    }
}
