//! Looks up what a token stands for (`keystone.models.token_model`).

use std::sync::{Mutex, OnceLock};

use keystone_token::{Payload, Scope as PayloadScope};
use tokio::try_join;

use super::trusted::Trusted;
use super::{Token, ValidatedToken, audit_text, body};
use crate::application_credential::ApplicationCredential;
use crate::assignment::EffectiveRole;
use crate::authz::{Caller, Delegation, Scope};
use crate::catalog::CatalogService;
use crate::error::{Error, Result};
use crate::freshness::Ref;
use crate::id::{AccessTokenId, DomainId, GroupId, ProjectId, RoleId, TrustId, UserId};
use crate::identity::User;
use crate::resource::{Domain, Project};
use crate::time::Timestamp;

/// Methods by which a user proves itself. A token by any other stands for less than its user
/// (`keystone.api._shared.delegation`).
const PRIMARY_METHODS: [&str; 9] =
    ["external", "kerberos", "mapped", "openid", "password", "saml2", "token", "totp", "x509"];

/// Everything that a token's answer is made of.
pub(super) struct Subject {
    pub(super) user: User,
    pub(super) user_domain: Domain,
    pub(super) project: Option<(Project, Domain)>,
    pub(super) domain: Option<Domain>,
    pub(super) application_credential: Option<ApplicationCredential>,
    pub(super) roles: Vec<EffectiveRole>,
    pub(super) trust: Option<Trusted>,
}

impl Subject {
    /// Who acts, which by a trust may be the trustor; and whose domain that is.
    pub(super) fn actor(&self) -> (&User, &Domain) {
        match &self.trust {
            Some(trusted) if trusted.trust().impersonation => (&trusted.trustor, &trusted.trustor_domain),
            _ => (&self.user, &self.user_domain),
        }
    }
}

impl Token {
    /// Looks up a token's subject.
    ///
    /// # Errors
    /// Not-found for a user, project, domain or application credential that is gone, and for a project or a user's
    /// domain that is disabled; unauthorized where the user has no role in the scope.
    pub(super) async fn load(&self, payload: Payload, issued_at: Timestamp) -> Result<ValidatedToken> {
        check_supported(&payload)?;
        let user_id = UserId::from(payload.user_id.as_str());
        let (project, domain) = try_join!(self.load_project(&payload), self.load_domain(&payload))?;
        let user =
            self.identity.get_user_for_token(&user_id).await?.ok_or_else(|| Error::not_found("user", &user_id))?;
        // Before the user's domain, whose absence a trust answers otherwise.
        let trust = self.load_trust(&payload, &user, project.as_ref()).await?;
        let (user_domain, application_credential, groups) = try_join!(
            self.require_enabled_domain(&user.domain_id),
            self.load_application_credential(&payload),
            self.identity.list_group_ids_of_user(&user_id),
        )?;
        let roles = match &trust {
            Some(trusted) => trusted.effective.clone(),
            None => {
                self.effective_roles(&user_id, &groups, project.as_ref(), &payload, application_credential.as_ref())
                    .await?
            }
        };
        let scoped = !matches!(payload.scope, PayloadScope::Unscoped);
        let catalog = if scoped {
            let project_id = project.as_ref().map(|(project, _)| &project.id);
            // The URLs of endpoints name the trustor, also where the trustee acts as itself.
            let named = trust.as_ref().map_or(&user_id, |trusted| &trusted.trustor.id);
            Some(self.catalog.for_scope(named, project_id).await?)
        } else {
            None
        };
        let mut depends_on = depends_on(&user, &groups, project.as_ref(), &payload);
        depends_on.extend(trust.iter().flat_map(|trusted| trusted.depends_on.iter().cloned()));
        let subject = Subject { user, user_domain, project, domain, application_credential, roles, trust };
        Ok(self.assemble(payload, issued_at, subject, catalog, depends_on))
    }

    fn assemble(
        &self,
        payload: Payload,
        issued_at: Timestamp,
        subject: Subject,
        catalog: Option<Vec<CatalogService>>,
        depends_on: Vec<Ref>,
    ) -> ValidatedToken {
        let expires_at = Timestamp::from_micros(payload.expires_at.0).unwrap_or(issued_at);
        let body = body::render(&self.foundation.config, &payload, issued_at, expires_at, &subject);
        let credentials = body::credentials(&payload, &subject, &body);
        let scope = match (&payload.scope, &subject.project) {
            (PayloadScope::Project(_), Some((project, domain))) => {
                Scope::Project { id: project.id.clone(), domain_id: domain.id.clone() }
            }
            (PayloadScope::Domain(id), _) => Scope::Domain(DomainId::from(id.as_str())),
            (PayloadScope::System, _) => Scope::System,
            _ => Scope::Unscoped,
        };
        let audit_ids = &payload.audit_ids;
        let (actor, actor_domain) = subject.actor();
        let caller = Caller {
            user_id: actor.id.clone(),
            user_domain_id: actor_domain.id.clone(),
            user_name: actor.name.clone(),
            scope,
            roles: subject.roles.iter().map(|role| role.name.clone()).collect(),
            delegation: delegation_of(&payload, subject.application_credential.as_ref()),
            audit_ids: std::iter::once(audit_ids.id).chain(audit_ids.parent).map(audit_text).collect(),
            credentials,
        };
        ValidatedToken {
            caller: caller.into(),
            issued_at,
            expires_at,
            body,
            catalog,
            access_rules: subject.application_credential.and_then(|credential| credential.access_rules),
            rendered: [OnceLock::new(), OnceLock::new()],
            unrevoked_as_of: Mutex::new(None),
            user_enabled: subject.user.enabled,
            user_domain_id: subject.user_domain.id,
            trust: subject.trust.as_ref().map(Trusted::for_token),
            roles: subject.roles,
            depends_on: depends_on.into(),
            payload,
        }
    }

    async fn load_project(&self, payload: &Payload) -> Result<Option<(Project, Domain)>> {
        let Some(id) = payload.project_id() else { return Ok(None) };
        let id = ProjectId::from(id);
        let not_found = || Error::not_found("project", &id);
        let project = self.resource.get_project(&id).await?.ok_or_else(not_found)?;
        if !project.enabled {
            return Err(not_found().because(format!("project {id} is disabled")));
        }
        let Some(domain_id) = &project.domain_id else { return Err(not_found().because("a domain is no project")) };
        let domain = self.require_enabled_domain(domain_id).await?;
        Ok(Some((project, domain)))
    }

    /// The scope's domain counts even when it is disabled: the reference looks only at whether it exists.
    async fn load_domain(&self, payload: &Payload) -> Result<Option<Domain>> {
        let Some(id) = payload.domain_id() else { return Ok(None) };
        let id = DomainId::from(id);
        let domain = self.resource.get_domain(&id).await?;
        Ok(Some(domain.ok_or_else(|| Error::not_found("domain", &id))?))
    }

    async fn require_enabled_domain(&self, id: &DomainId) -> Result<Domain> {
        let not_found = || Error::not_found("domain", id);
        let domain = self.resource.get_domain(id).await?.ok_or_else(not_found)?;
        if !domain.enabled {
            return Err(not_found().because(format!("domain {id} is disabled")));
        }
        Ok(domain)
    }

    async fn load_application_credential(&self, payload: &Payload) -> Result<Option<ApplicationCredential>> {
        let Some(id) = &payload.app_cred_id else { return Ok(None) };
        Ok(Some(self.application_credential.require_for_token(&id.as_str().into()).await?))
    }

    async fn effective_roles(
        &self,
        user: &UserId,
        groups: &[GroupId],
        project: Option<&(Project, Domain)>,
        payload: &Payload,
        credential: Option<&ApplicationCredential>,
    ) -> Result<Vec<EffectiveRole>> {
        let (assigned, scope) = match &payload.scope {
            PayloadScope::Unscoped => return Ok(Vec::new()),
            PayloadScope::System => (self.assignment.assigned_on_system(user, groups).await?, "the system"),
            PayloadScope::Domain(id) => {
                let id = DomainId::from(id.as_str());
                (self.assignment.assigned_on_domain(user, groups, &id).await?, "the domain")
            }
            PayloadScope::Project(_) => match project {
                Some((project, _)) => {
                    (self.assignment.assigned_on_project(user, groups, project).await?, "the project")
                }
                None => (Vec::new(), "the project"),
            },
        };
        let mut roles = if assigned.is_empty() {
            Vec::new()
        } else {
            let graph = self.assignment.role_graph().await?;
            graph.global(graph.expand(assigned))
        };
        if let Some(credential) = credential {
            roles.retain(|role| credential.role_ids.contains::<RoleId>(&role.id));
        }
        if roles.is_empty() {
            return Err(Error::unauthorized(format!("user {user} has no role on {scope} of the token")));
        }
        Ok(roles)
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

fn depends_on(user: &User, groups: &[GroupId], project: Option<&(Project, Domain)>, payload: &Payload) -> Vec<Ref> {
    let project_ref = |id: &str| Ref::Project(ProjectId::from(id));
    let mut refs = vec![Ref::User(user.id.clone()), project_ref(&user.domain_id)];
    match &payload.scope {
        PayloadScope::Unscoped | PayloadScope::System => {}
        PayloadScope::Domain(id) => refs.push(project_ref(id)),
        PayloadScope::Project(id) => {
            refs.push(project_ref(id));
            if let Some((_, domain)) = project {
                refs.push(project_ref(&domain.id));
            }
        }
    }
    if payload.scope != PayloadScope::Unscoped {
        refs.push(Ref::Roles);
        refs.push(Ref::Catalog);
        refs.push(Ref::Assignments(user.id.to_string()));
        refs.extend(groups.iter().map(|group| Ref::Assignments(group.to_string())));
    }
    if let Some(id) = &payload.app_cred_id {
        refs.push(Ref::ApplicationCredential(id.as_str().into()));
    }
    refs
}
