//! The one place where an error of the core becomes a status and a body (`keystone.exception`,
//! `keystone.server.flask.application`).

use archstone_core::error::{Error, ErrorKind};
use http::StatusCode;
use http::header::{HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use serde_json::json;

use super::reply::Reply;

/// Name of the header that carries a receipt.
pub(crate) const RECEIPT: HeaderName = HeaderName::from_static("openstack-auth-receipt");

fn status(kind: &ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::BadRequest => StatusCode::BAD_REQUEST,
        ErrorKind::Unauthorized | ErrorKind::AuthMethod(_) | ErrorKind::AdditionalMethods(_) => {
            StatusCode::UNAUTHORIZED
        }
        ErrorKind::Forbidden | ErrorKind::ForbiddenOpen => StatusCode::FORBIDDEN,
        ErrorKind::NotFound | ErrorKind::TokenNotFound | ErrorKind::TrustNotFound => StatusCode::NOT_FOUND,
        ErrorKind::Conflict => StatusCode::CONFLICT,
        ErrorKind::Gone => StatusCode::GONE,
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorKind::NotImplemented => StatusCode::NOT_IMPLEMENTED,
        ErrorKind::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// What the answer to an error depends on besides the error.
pub(crate) struct ErrorContext<'a> {
    /// `http://host:5000`, without a version.
    pub(crate) base_url: &'a str,
    /// `[DEFAULT] insecure_debug`: whether the operator's half of the story is shown.
    pub(crate) insecure_debug: bool,
    /// True where the reference answers from its middleware, whose 401 names the URL without `/v3`.
    pub(crate) middleware: bool,
}

/// Renders an error.
pub(crate) fn reply(error: &Error, context: &ErrorContext<'_>) -> Reply {
    let status = status(&error.kind);
    if let ErrorKind::AdditionalMethods(receipt) = &error.kind {
        return Reply::json(status, &receipt.body).header(RECEIPT, &receipt.id);
    }
    let hides_detail = matches!(
        error.kind,
        ErrorKind::Unauthorized | ErrorKind::AuthMethod(_) | ErrorKind::Forbidden | ErrorKind::Internal
    );
    let message = if context.insecure_debug && hides_detail {
        format!("{} (Disable insecure_debug mode to suppress these details.)", error.detail_text())
    } else {
        error.public_text().to_owned()
    };
    let mut body = json!({
        "error": {
            "code": status.as_u16(),
            "title": status.canonical_reason().unwrap_or_default(),
            "message": message,
        }
    });
    if error.kind == ErrorKind::TooLarge {
        // The reference answers this one from a middleware of its own shape.
        body = json!({"message": message, "code": "413 Request Entity Too Large", "title": "Request Entity Too Large"});
    }
    if let ErrorKind::AuthMethod(known) = &error.kind {
        body["error"]["identity"] = if known.is_empty() { json!({}) } else { json!({ "methods": known }) };
    }
    let mut reply = Reply::json(status, &body);
    match error.kind {
        ErrorKind::Unauthorized | ErrorKind::AuthMethod(_) => {
            let version = if context.middleware { "" } else { "/v3" };
            reply = reply.header(WWW_AUTHENTICATE, &format!("Keystone uri=\"{}{version}\"", context.base_url));
        }
        ErrorKind::Unavailable { retry_after } => {
            reply = reply.header(RETRY_AFTER, &retry_after.to_string());
        }
        _ => {}
    }
    reply
}

/// Tells the operator, once, as loudly as the error deserves.
pub(crate) fn log(error: &Error, method: &http::Method, path: &str) {
    let detail = error.detail_text();
    let path = loggable(path);
    match error.kind {
        ErrorKind::Internal => tracing::error!(%method, path, detail, "request failed"),
        ErrorKind::Unavailable { .. } => tracing::error!(%method, path, detail, "request refused for now"),
        ErrorKind::Unauthorized | ErrorKind::AuthMethod(_) => {
            tracing::warn!(%method, path, detail, "authorization failed");
        }
        _ => tracing::debug!(%method, path, detail, "request refused"),
    }
}

/// Tells the operator of an answer that could not be finished. Its client has the request's id from the headers.
pub(crate) fn log_cut(error: &Error, method: &http::Method, path: &str, request_id: Option<&str>) {
    let detail = error.detail_text();
    tracing::error!(%method, path = loggable(path), request_id, detail, "an answer was cut off");
}

/// The path without what may be a token: v2.0 has tokens in its paths.
fn loggable(path: &str) -> &str {
    const TOKENS: &str = "/tokens/";
    let end = path.find(TOKENS).map_or(path.len(), |at| at + TOKENS.len());
    path.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_of_a_path_is_logged() {
        assert_eq!(loggable("/v2.0/tokens/gAAAA"), "/v2.0/tokens/");
        assert_eq!(loggable("/v3/auth/tokens"), "/v3/auth/tokens");
    }
}
