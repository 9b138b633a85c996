//! The token that a request is about: `X-Subject-Token` (`keystone.common.rbac_enforcer.enforcer`).

use std::sync::Arc;

use archstone_core::authz::Target;
use archstone_core::error::{Error, Result};
use archstone_core::freshness::Moment;
use archstone_core::token::{ValidatedToken, Validation};
use http::header::HeaderName;

use super::call::Call;

/// The header that carries the subject, in both directions.
pub(crate) const SUBJECT_TOKEN: HeaderName = HeaderName::from_static("x-subject-token");
const ACCESS_RULES: HeaderName = HeaderName::from_static("openstack-identity-access-rules");

impl Call {
    /// The text of the subject token: 404 without one.
    pub(crate) fn require_subject_text(&self) -> Result<&str> {
        self.headers()
            .get(SUBJECT_TOKEN)
            .and_then(|value| value.to_str().ok())
            .filter(|text| !text.is_empty())
            .ok_or_else(|| Error::token_not_found("the request names no subject token"))
    }

    /// When the clock was read for this request: what it asks of memory is as of then.
    pub(crate) async fn as_of(&self) -> Result<Moment> {
        match self.moment {
            Some(moment) => Ok(moment),
            None => self.core.token.observe().await,
        }
    }

    /// The subject token, validated once for the request: 404 if it is not valid.
    pub(crate) async fn require_subject(&self) -> Result<&Arc<ValidatedToken>> {
        self.subject
            .get_or_try_init(async || {
                let (text, validation) = (self.require_subject_text()?, self.validation()?);
                let token = &self.core.token;
                token.validate_at(self.as_of().await?, text, validation).await
            })
            .await
    }

    /// Adds the subject to a target that has nothing else, as far as a policy may look at it. Nobody learns about it
    /// before they are known themselves, but then the reference looks at it on any route: 404 if it is not valid.
    pub(super) async fn with_subject(&self, target: Target) -> Result<Target> {
        if !target.is_bare() || !self.headers().contains_key(SUBJECT_TOKEN) {
            return Ok(target);
        }
        self.require_authenticated()?;
        let subject = self.require_subject().await?;
        // Of a trust always the trustee, so that one who acts as the trustor does not own its token.
        let (user, domain) = subject.user();
        Ok(target.stored("target.token.user_id", user).stored("target.token.user.domain.id", domain))
    }

    /// How the client wants the subject token validated.
    fn validation(&self) -> Result<Validation> {
        let window = self.core.config.token.allow_expired_window;
        let expired_by = match self.query.get("allow_expired") {
            Some(text) if is_true(text) => window,
            _ => 0,
        };
        let knows_access_rules =
            match self.headers().get(ACCESS_RULES).map(|value| value.to_str().unwrap_or("?").trim()) {
                None | Some("") => false,
                Some(text) => match text.parse::<f64>() {
                    Ok(version) => version >= 1.0,
                    Err(_) => {
                        return Err(Error::bad_request("The header OpenStack-Identity-Access-Rules must be a number."));
                    }
                },
            };
        Ok(Validation { expired_by, knows_access_rules, for_caller: false })
    }
}

/// `oslo_utils.strutils.bool_from_string`
fn is_true(text: &str) -> bool {
    ["1", "t", "true", "on", "y", "yes"].contains(&text.trim().to_ascii_lowercase().as_str())
}
