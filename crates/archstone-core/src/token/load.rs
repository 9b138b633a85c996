//! Looks up what a token stands for (`keystone.models.token_model`).

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock};

use keystone_token::{Payload, Scope as PayloadScope};
use tokio::try_join;

use super::trusted::Trusted;
use super::{Access, Token, ValidatedToken, audit_text, body};
use crate::application_credential::ApplicationCredential;
use crate::assignment::EffectiveRole;
use crate::authz::{Caller, Delegation};
use crate::error::{Error, Result};
use crate::freshness::Moment;
use crate::id::{AccessTokenId, DomainId, GroupId, ProjectId, RoleId, TrustId, UserId};
use crate::identity::TokenUser;
use crate::memory::{Basis, Known, Loaded};
use crate::resource::Place;
use crate::time::Timestamp;

/// Methods by which a user proves itself. A token by any other stands for less than its user
/// (`keystone.api._shared.delegation`).
const PRIMARY_METHODS: [&str; 9] =
    ["external", "kerberos", "mapped", "openid", "password", "saml2", "token", "totp", "x509"];

/// Everything that a token's answer is made of; mostly shared with other tokens.
pub(super) struct Subject {
    pub(super) user: Arc<TokenUser>,
    pub(super) user_domain: Arc<Place>,
    pub(super) project: Option<(Arc<Place>, Arc<Place>)>,
    pub(super) domain: Option<Arc<Place>>,
    pub(super) application_credential: Option<Arc<ApplicationCredential>>,
    pub(super) roles: Arc<[EffectiveRole]>,
    pub(super) trust: Option<Box<Trusted>>,
    /// Whether the project is the one that `[resource] admin_project_name` names; not told unless it names one.
    pub(super) is_admin_project: Option<bool>,
}

impl Subject {
    /// Who acts, which by a trust may be the trustor; and whose domain that is.
    pub(super) fn actor(&self) -> (&TokenUser, &Place) {
        match &self.trust {
            Some(trusted) if trusted.trust().impersonation => (&trusted.trustor, &trusted.trustor_domain),
            _ => (&self.user, &self.user_domain),
        }
    }

    /// The user whom the URLs of endpoints name: the trustor, also where the trustee acts as itself.
    pub(super) fn named_in_catalog(&self) -> &UserId {
        self.trust.as_ref().map_or(&self.user.id, |trusted| &trusted.trustor.id)
    }
}

/// A token that is being loaded.
pub(super) struct Loading {
    pub(super) moment: Moment,
    pub(super) basis: Basis,
    /// When it ceases to hold although nothing is written.
    holds_until: Option<Timestamp>,
}

impl Loading {
    fn hold_until(&mut self, end: Option<Timestamp>) {
        self.holds_until = [self.holds_until, end].into_iter().flatten().min();
    }
}

impl Token {
    /// Looks up a token's subject, as of this moment or later.
    ///
    /// # Errors
    /// Not-found for a user, project, domain or application credential that is gone, and for a project or a user's
    /// domain that is disabled; unauthorized where the user has no role in the scope.
    pub(super) async fn load(
        &self,
        moment: Moment,
        payload: Payload,
        issued_at: Timestamp,
    ) -> Result<Loaded<Arc<ValidatedToken>>> {
        check_supported(&payload)?;
        let mut loading = Loading { moment, basis: Basis::default(), holds_until: None };
        let user_id = UserId::from(payload.user_id.as_str());
        let (project, domain, user) = try_join!(
            self.load_project(moment, &payload),
            self.load_domain(moment, &payload),
            self.identity.token_user_at(moment, &user_id),
        )?;
        let project = project.map(|(project, domain)| (loading.basis.take(project), loading.basis.take(domain)));
        let domain = domain.map(|domain| loading.basis.take(domain));
        let user = loading.basis.take(user).ok_or_else(|| Error::not_found("user", &user_id))?;
        // Before the user's domain, whose absence a trust answers otherwise.
        let in_project = project.as_ref().map(|(project, _)| &**project);
        let trust = self.load_trust(&mut loading, &payload, &user, in_project).await?.map(Box::new);
        let user_domain = self.require_enabled_domain(moment, &user.domain_id).await?;
        let user_domain = loading.basis.take(user_domain);
        let application_credential = match payload.app_cred_id.as_deref() {
            Some(id) => Some(self.application_credential.require_at(moment, &mut loading.basis, &id.into()).await?),
            None => None,
        };
        let roles = match &trust {
            Some(trusted) => Arc::clone(&trusted.effective),
            None => {
                self.effective_roles(&mut loading, &user, in_project, &payload, application_credential.as_deref())
                    .await?
            }
        };
        let is_admin_project = self.is_admin_project(project.as_ref());
        let subject =
            Subject { user, user_domain, project, domain, application_credential, roles, trust, is_admin_project };
        let access = self.load_access(&mut loading, &subject).await?;
        Ok(self.assemble(loading, payload, issued_at, subject, access))
    }

    fn assemble(
        &self,
        loading: Loading,
        payload: Payload,
        issued_at: Timestamp,
        subject: Subject,
        access: Option<Box<Access>>,
    ) -> Loaded<Arc<ValidatedToken>> {
        let token = ValidatedToken {
            issued_at,
            expires_at: Timestamp::from_micros(payload.expires_at.0).unwrap_or(issued_at),
            delegation: delegation_of(&payload, subject.application_credential.as_deref()),
            access,
            rendered: OnceLock::new(),
            caller: OnceLock::new(),
            unrevoked_as_of: Mutex::new(None),
            user_enabled: self.identity.is_token_user_enabled(&subject.user),
            holds_until: loading.holds_until,
            subject,
            payload,
        };
        let bytes = token.bytes();
        loading.basis.loaded(Arc::new(token), bytes)
    }

    /// A user, with when its memberships end.
    pub(super) async fn user(&self, loading: &mut Loading, id: &UserId) -> Result<Option<Arc<TokenUser>>> {
        Ok(loading.basis.take(self.identity.token_user_at(loading.moment, id).await?))
    }

    /// A domain.
    pub(super) async fn domain(&self, loading: &mut Loading, id: &DomainId) -> Result<Option<Arc<Place>>> {
        Ok(loading.basis.take(self.resource.domain_place_at(loading.moment, id).await?))
    }

    /// The groups of a user now; the token holds until it leaves one of them.
    fn groups(&self, loading: &mut Loading, user: &TokenUser) -> Vec<GroupId> {
        let now = self.foundation.time.now();
        loading.hold_until(user.next_expiry(now));
        user.groups(now).cloned().collect()
    }

    /// The roles assigned to a user or its groups on a project, not expanded.
    pub(super) async fn assigned_on_project(
        &self,
        loading: &mut Loading,
        user: &TokenUser,
        project: &Place,
    ) -> Result<BTreeSet<RoleId>> {
        let groups = self.groups(loading, user);
        let (moment, basis) = (loading.moment, &mut loading.basis);
        self.assignment.assigned_on_project_at(moment, basis, &user.id, &groups, project).await
    }

    fn is_admin_project(&self, project: Option<&(Arc<Place>, Arc<Place>)>) -> Option<bool> {
        let resource = &self.foundation.config.resource;
        let (project, domain) = project?;
        let (name, domain_name) = (resource.admin_project_name.as_ref()?, resource.admin_project_domain_name.as_ref()?);
        Some(project.name == *name && domain.name == *domain_name)
    }

    /// What access rules, if it has any, let the token do.
    async fn load_access(&self, loading: &mut Loading, subject: &Subject) -> Result<Option<Box<Access>>> {
        let credential = subject.application_credential.as_deref();
        let Some(rules) = credential.and_then(|credential| credential.access_rules.clone()) else { return Ok(None) };
        let project_id = subject.project.as_ref().map(|(project, _)| &project.id);
        let (moment, basis) = (loading.moment, &mut loading.basis);
        let catalog = self.catalog.for_scope(moment, basis, subject.named_in_catalog(), project_id).await?;
        let services = catalog.into_iter().filter_map(|service| service.service_type).collect();
        Ok(Some(Box::new(Access { rules, services })))
    }

    /// A project and its domain.
    async fn load_project(&self, moment: Moment, payload: &Payload) -> Result<Option<InProject>> {
        let Some(id) = payload.project_id() else { return Ok(None) };
        let id = ProjectId::from(id);
        let not_found = || Error::not_found("project", &id);
        let project = require(self.resource.place_at(moment, &id).await?).ok_or_else(not_found)?;
        if !project.value.enabled {
            return Err(not_found().because(format!("project {id} is disabled")));
        }
        let Some(domain_id) = &project.value.domain_id else {
            return Err(not_found().because("a domain is no project"));
        };
        let domain = self.require_enabled_domain(moment, domain_id).await?;
        Ok(Some((project, domain)))
    }

    /// The scope's domain counts even when it is disabled: the reference looks only at whether it exists.
    async fn load_domain(&self, moment: Moment, payload: &Payload) -> Result<Option<Known<Arc<Place>>>> {
        let Some(id) = payload.domain_id() else { return Ok(None) };
        let id = DomainId::from(id);
        let domain = require(self.resource.domain_place_at(moment, &id).await?);
        Ok(Some(domain.ok_or_else(|| Error::not_found("domain", &id))?))
    }

    async fn require_enabled_domain(&self, moment: Moment, id: &DomainId) -> Result<Known<Arc<Place>>> {
        let not_found = || Error::not_found("domain", id);
        let domain = require(self.resource.domain_place_at(moment, id).await?).ok_or_else(not_found)?;
        if !domain.value.enabled {
            return Err(not_found().because(format!("domain {id} is disabled")));
        }
        Ok(domain)
    }

    async fn effective_roles(
        &self,
        loading: &mut Loading,
        user: &TokenUser,
        project: Option<&Place>,
        payload: &Payload,
        credential: Option<&ApplicationCredential>,
    ) -> Result<Arc<[EffectiveRole]>> {
        let (moment, groups) = (loading.moment, self.groups(loading, user));
        let basis = &mut loading.basis;
        let (assigned, scope) = match &payload.scope {
            PayloadScope::Unscoped => return Ok(Arc::default()),
            PayloadScope::System => {
                (self.assignment.assigned_on_system_at(moment, basis, &user.id, &groups).await?, "the system")
            }
            PayloadScope::Domain(id) => {
                let id = DomainId::from(id.as_str());
                (self.assignment.assigned_on_domain_at(moment, basis, &user.id, &groups, &id).await?, "the domain")
            }
            PayloadScope::Project(_) => match project {
                Some(project) => (self.assigned_on_project(loading, user, project).await?, "the project"),
                None => (BTreeSet::new(), "the project"),
            },
        };
        let mut roles: Arc<[EffectiveRole]> = Arc::default();
        if !assigned.is_empty() {
            roles = loading.basis.take(self.assignment.role_graph_at(moment).await?).effective(&assigned);
        }
        if let Some(credential) = credential {
            roles = roles.iter().filter(|role| credential.role_ids.contains::<RoleId>(&role.id)).cloned().collect();
        }
        if roles.is_empty() {
            return Err(Error::unauthorized(format!("user {} has no role on {scope} of the token", user.id)));
        }
        Ok(roles)
    }
}

type InProject = (Known<Arc<Place>>, Known<Arc<Place>>);

/// What there is, if it is there.
fn require<T>(known: Known<Option<T>>) -> Option<Known<T>> {
    let mut found = None;
    let face = known.map(|value| found = value);
    found.map(|value| face.map(|()| value))
}

/// Who acts by a token.
pub(super) fn caller_of(token: &ValidatedToken) -> Caller {
    let (payload, subject) = (&token.payload, &token.subject);
    let audit_ids = &payload.audit_ids;
    let (actor, actor_domain) = subject.actor();
    Caller {
        user_id: actor.id.clone(),
        user_domain_id: DomainId::from(&*actor_domain.id),
        user_name: actor.name.clone(),
        scope: token.scope(),
        roles: subject.roles.iter().map(|role| role.name.clone()).collect(),
        delegation: token.delegation.clone(),
        audit_ids: std::iter::once(audit_ids.id).chain(audit_ids.parent).map(audit_text).collect(),
        credentials: body::credentials(payload, subject, token.body()),
    }
}

/// How a token came to stand for its user.
fn delegation_of(payload: &Payload, credential: Option<&ApplicationCredential>) -> Delegation {
    let has = |name: &str| payload.methods.iter().any(|method| &**method == name);
    // First, whatever the key is bound to: such a token has no business here at all.
    if has("ec2credential") {
        return Delegation::Ec2;
    }
    if let Some(id) = &payload.access_token_id {
        return Delegation::OAuth1(AccessTokenId::from(id.as_str()));
    }
    let primary = |method: &str| PRIMARY_METHODS.contains(&method);
    let by_user = !payload.methods.is_empty() && payload.methods.iter().all(|method| primary(method));
    if let Some(id) = payload.trust_id.as_deref().filter(|_| by_user) {
        return Delegation::Trust(TrustId::from(id));
    }
    if let Some(credential) = credential {
        return Delegation::ApplicationCredential {
            id: credential.id.clone(),
            unrestricted: credential.is_unrestricted(),
            access_rules: credential.access_rules.is_some(),
        };
    }
    if payload.thumbprint.is_some() {
        return Delegation::OAuth2;
    }
    if by_user { Delegation::None } else { Delegation::Unknown }
}

/// Kinds of tokens whose subsystems are not built yet are refused by name: a service must not be told less than the
/// token says.
fn check_supported(payload: &Payload) -> Result<()> {
    let kind = if payload.federated.is_some() {
        "federated login"
    } else if payload.access_token_id.is_some() {
        "OAuth 1 access token"
    } else if payload.thumbprint.is_some() {
        "client certificate"
    } else {
        return Ok(());
    };
    Err(Error::token_not_found(format!("tokens by {kind} are not supported yet")))
}
