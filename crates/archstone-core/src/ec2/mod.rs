//! Tokens for clients that sign their requests by an EC2 key, as clients of Amazon's APIs do
//! (`keystone.api._shared.EC2_S3_Resource`). The service that got the request asks, and gets the token.
//!
//! **Invariant:** a key that was made by way of a delegation gives tokens of that delegation, and only while the
//! delegation is its user's and for its project.
//!
//! **Invariant:** such a token says by the method `ec2credential` what it is, so that nobody can use it with the
//! Identity API or make another token of it; while that method is not configured there are no such tokens.

mod s3;
mod signature;
#[cfg(test)]
mod tests;
mod timestamp;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use serde_json::{Map, Value};

use crate::application_credential::ApplicationCredentials;
use crate::authz::Allowed;
use crate::credential::{Credential, Credentials, EC2, Ec2Blob, ec2_id};
use crate::error::{Error, Result};
use crate::foundation::Foundation;
use crate::id::{ApplicationCredentialId, DomainId, ProjectId, TrustId};
use crate::identity::{Identity, User};
use crate::resource::{Project, Resource};
use crate::time::Timestamp;
use crate::token::{IssuedToken, NewScope, NewToken, Token};
use crate::trust::{Trust, Trusts};

/// The method by which a token says that it came from an EC2 key.
pub const METHOD: &str = "ec2credential";

/// What was signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignedBy {
    /// A request, as EC2 signs it.
    Ec2,
    /// A text that the service made of a request, as S3 signs it.
    S3,
}

/// The door of tokens by signatures.
#[derive(Clone)]
pub struct Ec2 {
    foundation: Foundation,
    resource: Resource,
    credential: Credentials,
    identity: Identity,
    application_credential: ApplicationCredentials,
    trust: Trusts,
    token: Token,
}

impl Ec2 {
    /// A door onto this foundation and these doors.
    pub fn new(
        foundation: Foundation,
        resource: Resource,
        credential: Credentials,
        identity: Identity,
        application_credential: ApplicationCredentials,
        trust: Trusts,
        token: Token,
    ) -> Ec2 {
        Ec2 { foundation, resource, credential, identity, application_credential, trust, token }
    }

    /// A token for the user and project of the EC2 key by which the request in `body` was signed.
    ///
    /// # Errors
    /// 503 while `[auth] methods` lacks `ec2credential`; 400 for an empty body; 404 for an access key, or for a user,
    /// project, trust or application credential of one, that does not exist; 403 for a trust that its trustor can no
    /// longer give; unauthorized for everything else.
    pub async fn authenticate(
        &self,
        allowed: &Allowed,
        body: &Map<String, Value>,
        signed_by: SignedBy,
    ) -> Result<IssuedToken> {
        if !self.foundation.config.auth.methods.iter().any(|method| method == METHOD) {
            return Err(Error::unavailable(format!(
                "tokens by EC2 keys need the method {METHOD}, which [auth] methods does not name"
            )));
        }
        let request = signed_request(body)?;
        let access = request.get("access").ok_or_else(|| refused("no access key"))?;
        let access = access.as_str().ok_or_else(|| refused("the access key is no text"))?;
        let credential = self.credential.find(&ec2_id(access)).await?.filter(|credential| credential.kind == EC2);
        let credential = credential.ok_or_else(|| Error::not_found("EC2 access key", "no such key is known"))?;
        let blob = self.credential.ec2_blob(allowed, &credential)?;
        let secret = blob.secret.as_deref().ok_or_else(|| refused("the EC2 key has no secret"))?;
        match signed_by {
            SignedBy::Ec2 => check_request(secret, request)?,
            SignedBy::S3 => s3::check(secret, request)?,
        }
        let (user, project) = self.require_enabled(&credential).await?;
        let lifetime = i64::try_from(self.foundation.config.credential.auth_ttl.saturating_mul(60));
        timestamp::check(request, self.foundation.time.now(), lifetime.unwrap_or(i64::MAX))?;
        let new = NewToken {
            user_id: user.id.clone(),
            methods: vec![METHOD.to_owned()],
            scope: NewScope::Project(project.id.clone()),
            expires_at: None,
            chain: None,
            application_credential: None,
            trust: None,
        };
        self.issue(new, &user, &project, &blob).await
    }

    /// The token, held to the delegation that the key is bound to, if any. What the key's secret says of it is the word
    /// of whoever stored the key, so it must fit the key's user and project.
    async fn issue(&self, new: NewToken, user: &User, project: &Project, blob: &Ec2Blob) -> Result<IssuedToken> {
        if let Some(id) = &blob.trust_id {
            let trust = self.require_trust(user, project, id).await?;
            let user_id = trust.trustee_user_id.clone();
            // A trust made by way of another never ends later than that.
            let bound = NewToken { user_id, trust: Some((trust.id.clone(), trust.expires_at)), ..new };
            let issued = self.token.issue(bound).await?;
            // The reference does not count these, so that such a key outdoes a trust of few uses.
            self.trust.consume(&trust).await?;
            return Ok(issued);
        }
        if let Some(id) = &blob.application_credential_id {
            let credential = self.require_application_credential(user, project, id).await?;
            return self.token.issue(NewToken { application_credential: Some(credential), ..new }).await;
        }
        if blob.access_token_id.is_some() {
            return Err(Error::not_implemented("EC2 keys that are bound to an OAuth 1 token are not supported yet."));
        }
        self.token.issue(new).await
    }

    /// The user and the project of a key; 404 for one that is gone, 401 for one that is disabled, or whose domain is.
    async fn require_enabled(&self, credential: &Credential) -> Result<(User, Project)> {
        let none = ProjectId::from("");
        let project_id = credential.project_id.as_ref().unwrap_or(&none);
        let project = self.resource.get_project(project_id).await?;
        let project = project.ok_or_else(|| Error::not_found("project", project_id))?;
        let user = self.identity.get_user_for_token(&credential.user_id).await?;
        let user = user.ok_or_else(|| Error::not_found("user", &credential.user_id))?;
        if !user.enabled || !self.is_enabled(&user.domain_id).await? {
            return Err(refused("the user of the EC2 key, or its domain, is disabled"));
        }
        let project_domain = project.domain_id.as_ref().ok_or_else(|| refused("the EC2 key is for a domain"))?;
        if !project.enabled || !self.is_enabled(project_domain).await? {
            return Err(refused("the project of the EC2 key, or its domain, is disabled"));
        }
        Ok((user, project))
    }

    async fn is_enabled(&self, domain: &DomainId) -> Result<bool> {
        Ok(self.resource.get_domain(domain).await?.is_some_and(|domain| domain.enabled))
    }

    /// The trust of a key, which was stored by a token of the trust: one that impersonates the trustor was the trustor's,
    /// else the trustee's. Whoever else names the trust knows its id and no more.
    async fn require_trust(&self, user: &User, project: &Project, id: &TrustId) -> Result<Trust> {
        let trust = self.trust.require_for_target(id).await?;
        let stored_by = if trust.impersonation { &trust.trustor_user_id } else { &trust.trustee_user_id };
        if *stored_by != user.id {
            return Err(refused("the trust of the EC2 key is between other users"));
        }
        if trust.project_id.as_ref() != Some(&project.id) {
            return Err(refused("the trust of the EC2 key is for another project"));
        }
        let trustee = self.identity.get_user_for_token(&trust.trustee_user_id).await?;
        if !trustee.is_some_and(|trustee| trustee.enabled) {
            return Err(refused("the trustee of the EC2 key's trust is disabled"));
        }
        Ok(trust)
    }

    async fn require_application_credential(
        &self,
        user: &User,
        project: &Project,
        id: &ApplicationCredentialId,
    ) -> Result<(ApplicationCredentialId, Option<Timestamp>)> {
        let credential = self.application_credential.require_for_token(id).await?;
        if credential.user_id != user.id {
            return Err(refused("the application credential of the EC2 key is another user's"));
        }
        if credential.project_id.as_ref() != Some(&project.id) {
            return Err(refused("the application credential of the EC2 key is for another project"));
        }
        if credential.expires_at.is_some_and(|end| end <= self.foundation.time.now()) {
            return Err(refused("the application credential of the EC2 key has expired"));
        }
        Ok((credential.id, credential.expires_at))
    }
}

/// The request in a body; services call it by three names. 400 for an empty body.
fn signed_request(body: &Map<String, Value>) -> Result<&Map<String, Value>> {
    if body.is_empty() {
        return Err(Error::bad_request("The request needs a body with credentials."));
    }
    ["credentials", "credential", "ec2Credentials"]
        .iter()
        .find_map(|name| body.get(*name).and_then(Value::as_object).filter(|request| !request.is_empty()))
        .ok_or_else(|| refused("no credentials"))
}

/// 401 unless this secret signed the request, for its host or for its host without the port: some clients leave the
/// port out of what they sign.
fn check_request(secret: &str, request: &Map<String, Value>) -> Result<()> {
    let given = signature_of(request)?;
    let signed = signature::Request::new(request)?;
    let host = request.get("host").and_then(Value::as_str).unwrap_or_default();
    if is_same(given, &signed.sign(secret, host)?) {
        return Ok(());
    }
    match without_port(host) {
        Some(bare) if is_same(given, &signed.sign(secret, &bare)?) => Ok(()),
        _ => Err(refused("the signature is not that of the EC2 key")),
    }
}

fn signature_of(request: &Map<String, Value>) -> Result<&str> {
    let signature = request.get("signature").and_then(Value::as_str).filter(|signature| !signature.is_empty());
    signature.ok_or_else(|| refused("no signature"))
}

/// In a time that tells nothing of where they differ.
fn is_same(given: &str, known: &str) -> bool {
    verify_slices_are_equal(given.as_bytes(), known.as_bytes()).is_ok()
}

/// The host of `host:port` as URLs have it: in lower case, an IPv6 address without its brackets.
fn without_port(host: &str) -> Option<String> {
    host.contains(':').then(|| {
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        let bare = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, _)) => address,
            None => host.split(':').next().unwrap_or_default(),
        };
        bare.to_lowercase()
    })
}

fn refused(reason: &str) -> Error {
    Error::unauthorized(reason)
}
