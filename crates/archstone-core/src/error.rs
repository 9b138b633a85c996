//! The one error type of the rules: what went wrong, a text for the caller and a text for the operator.
//!
//! **Invariant:** the public text of an [`ErrorKind::Unauthorized`], [`ErrorKind::Forbidden`] or [`ErrorKind::Internal`]
//! tells nothing that the caller could not know; the detail is shown only under `[DEFAULT] insecure_debug`
//! (`keystone.exception.SecurityError`).

use std::fmt;
use std::sync::Arc;

use archstone_db::{DbError, Retry};

/// The result of nearly everything in the core.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What class of thing went wrong. The program alone knows which HTTP status each becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The request does not make sense (400).
    BadRequest,
    /// The caller is nobody we know (401).
    Unauthorized,
    /// As [`ErrorKind::Unauthorized`] because of the methods of a login: the answer carries an `identity` object, with
    /// the methods that this cloud knows if that helps (401).
    AuthMethod(Vec<String>),
    /// More methods are needed: the answer carries a receipt (401).
    AdditionalMethods(Receipt),
    /// The caller may not; the reason is for the operator (403).
    Forbidden,
    /// The caller may not, and may know why (403).
    ForbiddenOpen,
    /// There is no such thing (404).
    NotFound,
    /// There is no such token (404); a caller that presents one is nobody.
    TokenNotFound,
    /// There is no such trust (404); a login that rests on it is refused (401).
    TrustNotFound,
    /// There is one already, or it changed meanwhile (409).
    Conflict,
    /// It is gone for good (410).
    Gone,
    /// The body is too large (413).
    TooLarge,
    /// Our fault (500).
    Internal,
    /// Known, but not supported (501).
    NotImplemented,
    /// A thing that we need does not answer; try again after so many seconds (503).
    Unavailable {
        /// Seconds after which another try makes sense.
        retry_after: u32,
    },
}

/// What a caller who passed some, but not enough, methods gets to continue with.
#[derive(Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The receipt's text, a secret.
    pub id: String,
    /// The body of the answer, rendered by the authentication subsystem.
    pub body: serde_json::Value,
}

/// Without the secret.
impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt").field("body", &self.body).finish_non_exhaustive()
    }
}

/// An error with its public text, and its detail for the operator.
#[derive(Clone)]
pub struct Error {
    /// What class of thing went wrong.
    pub kind: ErrorKind,
    public: String,
    detail: Option<Arc<str>>,
    db: Option<Arc<DbError>>,
}

impl Error {
    /// An error of this kind whose text everybody may read.
    pub fn new(kind: ErrorKind, public: impl Into<String>) -> Error {
        Error { kind, public: public.into(), detail: None, db: None }
    }

    /// 400: the request does not make sense.
    pub fn bad_request(public: impl Into<String>) -> Error {
        Error::new(ErrorKind::BadRequest, public)
    }

    /// 400: an attribute that must be there is not.
    pub fn missing(attribute: &str, target: &str) -> Error {
        Error::bad_request(format!(
            "The {target} needs the attribute {attribute}: the server could not comply with the request as it is."
        ))
    }

    /// 401: nobody we know; `detail` is for the operator only.
    pub fn unauthorized(detail: impl Into<String>) -> Error {
        Error::new(ErrorKind::Unauthorized, "The request you have made requires authentication.").because(detail)
    }

    /// 401 because of the methods of a login, with those that this cloud knows, or none if they don't matter; `detail`
    /// is for the operator only.
    pub fn auth_method(known: &[String], detail: impl Into<String>) -> Error {
        let kind = ErrorKind::AuthMethod(known.to_vec());
        Error::new(kind, "The request you have made requires authentication.").because(detail)
    }

    /// 403: not allowed; `detail` is for the operator only.
    pub fn forbidden(detail: impl Into<String>) -> Error {
        Error::new(ErrorKind::Forbidden, "You are not authorized to perform the requested action.").because(detail)
    }

    /// 403: the policy named `rule` says no.
    pub fn forbidden_action(rule: &str, detail: impl Into<String>) -> Error {
        Error::new(ErrorKind::Forbidden, format!("You are not authorized to perform the requested action: {rule}."))
            .because(detail)
    }

    /// 403 for a reason that the caller may know.
    pub fn forbidden_open(public: impl Into<String>) -> Error {
        Error::new(ErrorKind::ForbiddenOpen, public)
    }

    /// 404: no `kind` of this id (or name).
    pub fn not_found(kind: &str, id: impl AsRef<str>) -> Error {
        Error::new(ErrorKind::NotFound, format!("Could not find {kind}: {}.", id.as_ref()))
    }

    /// 409: there is one already. `kind` is the resource ("user"), `detail` says what collides.
    pub fn conflict(kind: &str, detail: impl AsRef<str>) -> Error {
        Error::new(ErrorKind::Conflict, format!("Conflict occurred attempting to store {kind} - {}.", detail.as_ref()))
    }

    /// 500: our fault; `detail` is for the operator only.
    pub fn internal(detail: impl Into<String>) -> Error {
        Error::new(ErrorKind::Internal, "An unexpected error prevented the server from fulfilling your request.")
            .because(detail)
    }

    /// 503: something that we need does not answer; `detail` is for the operator only.
    pub fn unavailable(detail: impl Into<String>) -> Error {
        Error::new(
            ErrorKind::Unavailable { retry_after: 1 },
            "The service is currently unable to handle the request. Try again later.",
        )
        .because(detail)
    }

    /// 501: known, but not supported.
    pub fn not_implemented(public: impl Into<String>) -> Error {
        Error::new(ErrorKind::NotImplemented, public)
    }

    /// Adds the operator's half of the story.
    #[must_use]
    pub fn because(mut self, detail: impl Into<String>) -> Error {
        self.detail = Some(Arc::from(detail.into()));
        self
    }

    /// The text for the caller.
    pub fn public_text(&self) -> &str {
        &self.public
    }

    /// The text for the operator's log: the detail if there is one.
    pub fn detail_text(&self) -> &str {
        self.detail.as_deref().unwrap_or(&self.public)
    }

    /// 404 for a token: malformed, expired, revoked, or of a user who is disabled. As `X-Auth-Token` it is no token.
    pub fn token_not_found(detail: impl Into<String>) -> Error {
        Error::new(ErrorKind::TokenNotFound, "Could not find token.").because(detail)
    }

    /// 404 for a trust: deleted, ended, or used up.
    pub fn trust_not_found(id: impl AsRef<str>) -> Error {
        Error { kind: ErrorKind::TrustNotFound, ..Error::not_found("trust", id) }
    }

    /// True for a "no such thing", which some callers turn into something else.
    pub fn is_not_found(&self) -> bool {
        matches!(self.kind, ErrorKind::NotFound | ErrorKind::TokenNotFound | ErrorKind::TrustNotFound)
    }
}

impl From<DbError> for Error {
    /// A database error is the server's fault (500, 503) unless the value itself cannot be stored (400). A conflict
    /// that is expected is named where the call is made, with [`Stored::or_conflict`].
    fn from(error: DbError) -> Error {
        let mut out = match &error {
            DbError::Unavailable { .. } | DbError::Retryable { .. } => Error::unavailable(error.to_string()),
            DbError::TooLong { .. } | DbError::InvalidValue { .. } => {
                Error::bad_request("The request has a value that cannot be stored: it is too long, or has characters that the database does not take.")
                    .because(error.to_string())
            }
            other => Error::internal(other.to_string()),
        };
        out.db = Some(Arc::new(error));
        out
    }
}

impl Retry for Error {
    fn db_error(&self) -> Option<&DbError> {
        self.db.as_deref()
    }
}

/// Names the conflict that a write expects.
pub trait Stored<T> {
    /// 409 for a taken key. `kind` is the resource ("user"), `detail` says what collides.
    fn or_conflict(self, kind: &str, detail: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Stored<T> for Result<T, DbError> {
    fn or_conflict(self, kind: &str, detail: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| if error.is_conflict() { Error::conflict(kind, detail()) } else { Error::from(error) })
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.detail_text())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.public)
    }
}

impl std::error::Error for Error {}

/// Turns "no such thing" into `None`, for those who go on without it.
pub trait Found<T> {
    /// `Ok(None)` where the error was a not-found.
    fn found(self) -> Result<Option<T>>;
}

impl<T> Found<T> for Result<T> {
    fn found(self) -> Result<Option<T>> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}
