//! The one place that knows what a token that stands for less than its user may not do.
//!
//! Most of the reference's flaws since 2020 are one family: a delegated token that makes another credential, another
//! delegation or another scope out of itself. Every request carries a [`Delegation`], and whoever hands out something
//! that outlives or outreaches the request asks it first.

use crate::error::{Error, Result};
use crate::id::{AccessTokenId, ApplicationCredentialId, TrustId};

/// How a token came to stand for its user.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Delegation {
    /// The user itself logged in.
    #[default]
    None,
    /// By a trust.
    Trust(TrustId),
    /// By an application credential.
    ApplicationCredential {
        /// Which one.
        id: ApplicationCredentialId,
        /// Whether its owner let it manage application credentials and trusts.
        unrestricted: bool,
        /// Whether it carries access rules.
        access_rules: bool,
    },
    /// By an EC2 credential's signature.
    Ec2,
    /// By an OAuth 1 access token.
    OAuth1(AccessTokenId),
    /// By an OAuth 2 client certificate.
    OAuth2,
    /// By a method that is not known to prove the user itself, so that it counts as delegated
    /// (`keystone.api._shared.delegation`: the primary methods are an allow-list).
    Unknown,
}

impl Delegation {
    /// Whether the token stands for its user without any reduction.
    pub fn is_none(&self) -> bool {
        *self == Delegation::None
    }

    /// A delegated token never becomes a token of another scope
    /// (`keystone.auth.plugins.token.token_authenticate`).
    pub fn check_rescope(&self) -> Result<()> {
        match self {
            Delegation::None => Ok(()),
            other => Err(Error::forbidden(format!("a token by {} cannot be rescoped", other.describe()))),
        }
    }

    /// Application credentials and access rules are for the user itself, and for tokens by such a credential: whoever
    /// acts by a trust, OAuth or an EC2 credential would get hold of something that outlives the delegation and does
    /// not tell of it (lp:2150089; `keystone.api.users._block_delegated_token_app_creds`).
    pub fn check_application_credentials(&self) -> Result<()> {
        match self {
            Delegation::None | Delegation::ApplicationCredential { .. } => Ok(()),
            other => {
                Err(Error::forbidden(format!("a token by {} cannot see application credentials", other.describe())))
            }
        }
    }

    /// As [`Delegation::check_application_credentials`], to make or delete them: an application credential must have
    /// been made for it (`unrestricted`).
    pub fn check_manages_application_credentials(&self) -> Result<()> {
        self.check_application_credentials()?;
        match self {
            Delegation::ApplicationCredential { unrestricted: false, .. } => {
                Err(Error::forbidden("a restricted application credential cannot manage application credentials"))
            }
            _ => Ok(()),
        }
    }

    /// The credentials that services keep with us are for the user itself: what a delegated token could make or read of
    /// them outlives and outreaches the delegation (OSSA-2020-004, OSSA-2026-005, lp:2150089;
    /// `keystone.api.credentials._require_primary_auth`).
    pub fn check_credentials(&self) -> Result<()> {
        match self {
            Delegation::None => Ok(()),
            other => Err(Error::forbidden(format!("a token by {} cannot reach credentials", other.describe()))),
        }
    }

    /// Trusts are for the user itself and for whoever acts by a trust, which may be meant to be handed on
    /// (OSSA-2014-018): any other delegation would get hold of all roles of its user (CVE-2026-43000, lp:2150089;
    /// `keystone.api.trusts._check_delegated_token`). Application credentials, restricted or not, only where the
    /// operator opens this door (`[security_compliance] allow_insecure_application_credential_trust_escalation`).
    pub fn check_manages_trusts(&self, application_credentials_may: bool) -> Result<()> {
        match self {
            Delegation::None | Delegation::Trust(_) => Ok(()),
            Delegation::ApplicationCredential { .. } if application_credentials_may => Ok(()),
            other => Err(Error::forbidden(format!("a token by {} cannot see or manage trusts", other.describe()))),
        }
    }

    /// What the operator's log calls it.
    pub fn describe(&self) -> &'static str {
        match self {
            Delegation::None => "the user itself",
            Delegation::Trust(_) => "a trust",
            Delegation::ApplicationCredential { .. } => "an application credential",
            Delegation::Ec2 => "an EC2 credential",
            Delegation::OAuth1(_) => "an OAuth 1 access token",
            Delegation::OAuth2 => "an OAuth 2 client certificate",
            Delegation::Unknown => "an authentication method that does not prove the user itself",
        }
    }
}
