//! Login: methods prove a user, a scope is looked up, a token is issued (`keystone.auth`,
//! `keystone.api._shared.authentication`).
//!
//! **Invariant:** what the request wants to be scoped to is looked up only after its user is proven, so that nobody can
//! ask which projects exist.
//!
//! **Invariant:** an unknown user costs the same password hash as a wrong password does.

mod application_credential;
mod external;
mod mfa;
mod password;
mod receipt;
mod request;
mod rescope;
mod sql;
mod totp;

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use keystone_token::AuditId;
use serde_json::{Map, Value, json};

use crate::application_credential::ApplicationCredentials;
use crate::assignment::Assignment;
use crate::authz::{Initiator, Requester};
use crate::config::UrlSafe;
use crate::credential::Credentials;
use crate::error::{Error, ErrorKind, Receipt, Result};
use crate::events::{AUTHENTICATE, Event};
use crate::foundation::{AsOf, Foundation};
use crate::freshness::Moment;
use crate::id::{ApplicationCredentialId, DomainId, ProjectId, UserId};
use crate::identity::{FoundUser, Identity, LoginRefused, User};
use crate::memory::Basis;
use crate::resource::{Domain, Resource};
use crate::time::Timestamp;
use crate::token::{IssuedToken, NewScope, NewToken, Token};
use crate::trust::{Trust, Trusts};

use receipt::Receipts;

pub use external::ExternalUser;
pub use request::{AuthRequest, Reference, RequestedScope};

/// What comes with a login besides its body.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances<'a> {
    /// Where it comes from.
    pub initiator: &'a Initiator,
    /// The receipt of an earlier login that proved too little, to be continued. A secret.
    pub receipt: Option<&'a str>,
    /// Whom a trusted proxy has authenticated.
    pub external: Option<&'a ExternalUser>,
}

/// A login under way.
pub struct Attempt<'a> {
    /// What it says.
    pub request: &'a AuthRequest,
    /// What comes with it.
    pub circumstances: &'a Circumstances<'a>,
    /// A reading of the clock since it began: what is looked up is as of then, or later.
    pub as_of: AsOf,
}

/// What a method has proven.
#[derive(Debug)]
pub struct Proof {
    /// Whose identity.
    pub user: User,
    /// As of when; later than the login's own moment where proving it took long.
    pub as_of: AsOf,
    /// The methods behind it besides its own name: those of the token that is rescoped.
    pub methods: Vec<String>,
    /// An expiry that the new token keeps.
    pub expires_at: Option<Timestamp>,
    /// The chain that the new token belongs to.
    pub chain: Option<AuditId>,
    /// The application credential, whose project the token is scoped to.
    pub application_credential: Option<ProvenCredential>,
}

impl Proof {
    fn of(user: User, as_of: AsOf) -> Proof {
        Proof { user, as_of, methods: Vec::new(), expires_at: None, chain: None, application_credential: None }
    }
}

/// The application credential that was proven.
#[derive(Debug)]
pub struct ProvenCredential {
    /// Which one.
    pub id: ApplicationCredentialId,
    /// The project that it is for.
    pub project_id: Option<ProjectId>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

/// One way to prove an identity.
pub trait AuthMethod: Send + Sync {
    /// Proves the identity that `payload` (the request's `identity.<method>`) claims.
    fn authenticate<'a>(
        &'a self,
        payload: &'a Map<String, Value>,
        attempt: &'a Attempt<'_>,
    ) -> BoxFuture<'a, Result<Proof, LoginRefused>>;
}

/// The door of login.
#[derive(Clone)]
pub struct Auth {
    foundation: Foundation,
    resource: Resource,
    assignment: Assignment,
    identity: Identity,
    trust: Trusts,
    token: Token,
    methods: Arc<HashMap<&'static str, Box<dyn AuthMethod>>>,
    receipts: Arc<Receipts>,
}

/// The doors that logins look through.
pub struct AuthSources {
    /// Projects and domains.
    pub resource: Resource,
    /// Users.
    pub identity: Identity,
    /// Roles, for default projects.
    pub assignment: Assignment,
    /// Secrets of passcodes.
    pub credential: Credentials,
    /// Application credentials.
    pub application_credential: ApplicationCredentials,
    /// Trusts.
    pub trust: Trusts,
}

impl Auth {
    /// A door with the methods that `[auth] methods` names and that are built.
    ///
    /// # Errors
    /// A key repository of receipts that cannot be read.
    pub fn new(foundation: Foundation, sources: AuthSources, token: Token) -> Result<Auth> {
        let AuthSources { resource, identity, assignment, credential, application_credential, trust } = sources;
        let receipts = Arc::new(Receipts::open_repository(&foundation.config)?);
        let users = Users { resource: resource.clone(), identity: identity.clone() };
        let mut methods: HashMap<&'static str, Box<dyn AuthMethod>> = HashMap::new();
        for name in &foundation.config.auth.methods {
            match name.as_str() {
                "password" => {
                    methods.insert("password", Box::new(password::PasswordMethod { users: users.clone() }));
                }
                "external" => {
                    let method = external::ExternalMethod {
                        users: users.clone(),
                        variant: external::Variant::of(foundation.config.auth.external.as_deref()),
                        default_domain_id: foundation.config.identity.default_domain_id.as_str().into(),
                    };
                    methods.insert("external", Box::new(method));
                }
                "token" => {
                    let method = rescope::TokenMethod {
                        token: token.clone(),
                        users: users.clone(),
                        allow_scoped: foundation.config.token.allow_rescope_scoped_token,
                    };
                    methods.insert("token", Box::new(method));
                }
                "application_credential" => {
                    let method = application_credential::ApplicationCredentialMethod {
                        users: users.clone(),
                        application_credential: application_credential.clone(),
                    };
                    methods.insert("application_credential", Box::new(method));
                }
                "totp" => {
                    let method = totp::TotpMethod {
                        foundation: foundation.clone(),
                        users: users.clone(),
                        credential: credential.clone(),
                    };
                    methods.insert("totp", Box::new(method));
                }
                // The configuration check tells the operator which methods are not built yet.
                _ => {}
            }
        }
        Ok(Auth { foundation, resource, assignment, identity, trust, token, methods: Arc::new(methods), receipts })
    }

    /// Logs in and issues a token.
    ///
    /// # Errors
    /// Bad request for a request that makes no sense, [`ErrorKind::AuthMethod`] for a method that is not supported,
    /// [`ErrorKind::AdditionalMethods`] if the user's rules ask for more methods, unauthorized for everything that was
    /// not proven.
    pub async fn authenticate(
        &self,
        auth: &Map<String, Value>,
        circumstances: &Circumstances<'_>,
    ) -> Result<IssuedToken> {
        match self.log_in(auth, circumstances).await {
            // Whether it is the trust of the scope or of the token that is presented.
            Err(error) if error.kind == ErrorKind::TrustNotFound => {
                Err(Error::unauthorized(error.detail_text().to_owned()))
            }
            outcome => outcome,
        }
    }

    async fn log_in(&self, auth: &Map<String, Value>, circumstances: &Circumstances<'_>) -> Result<IssuedToken> {
        let request = AuthRequest::parse(auth)?;
        if let Some(unknown) = request.methods.iter().find(|(name, _)| !self.methods.contains_key(name.as_str())) {
            return Err(self.not_supported(&unknown.0));
        }
        let as_of = self.foundation.observe().await?;
        let proofs = self.prove(&Attempt { request: &request, circumstances, as_of }).await?;
        let mut login = Login::reconcile(&request, as_of, proofs)?;
        let trust = self.trust(&request, &login).await?;
        let scope = self.scope(&request, &login, trust.as_ref()).await?;
        if let Some(receipt) = circumstances.receipt {
            self.continue_from(receipt, &mut login).await?;
        }
        self.check_methods(&login).await?;
        let application_credential = login.application_credential.map(|proven| (proven.id, proven.expires_at));
        let issued = self
            .token
            .issue_as_of(
                NewToken {
                    user_id: login.user.id,
                    methods: login.methods,
                    scope,
                    expires_at: login.expires_at,
                    chain: login.chain,
                    application_credential,
                    trust: trust.as_ref().map(|trust| (trust.id.clone(), trust.expires_at)),
                },
                login.as_of,
            )
            .await
            .map_err(gone_meanwhile)?;
        // Only a login that succeeds uses it, and before anybody sees the token.
        if let Some(trust) = &trust {
            self.trust.consume(trust).await?;
        }
        Ok(issued)
    }

    /// The trust that the request wants a token by, if it wants one.
    async fn trust(&self, request: &AuthRequest, login: &Login) -> Result<Option<Trust>> {
        match &request.scope {
            // An application credential cannot choose.
            RequestedScope::Trust(id) if login.application_credential.is_none() => {
                Ok(Some(self.trust.require_for_target(&id.as_str().into()).await?))
            }
            _ => Ok(None),
        }
    }

    /// Deletes what is kept of earlier logins and no longer matters.
    pub(crate) async fn prune(&self) -> Result<()> {
        self.identity.forget_verified();
        totp::forget_used_passcodes(&self.foundation).await?;
        self.identity.prune_failures().await
    }

    fn not_supported(&self, method: &str) -> Error {
        let configured = &self.foundation.config.auth.methods;
        if configured.iter().any(|name| name == method) {
            // It is not built; start-up names it.
            return Error::unauthorized(format!("nothing is known to the authentication method {method}"));
        }
        Error::auth_method(configured, format!("the authentication method {method} is not supported"))
    }

    async fn prove(&self, attempt: &Attempt<'_>) -> Result<Vec<(String, Proof)>> {
        let mut proofs = Vec::from_iter(self.prove_unasked(attempt).await?);
        for (name, payload) in &attempt.request.methods {
            let Some(method) = self.methods.get(name.as_str()) else { continue };
            let outcome = method.authenticate(payload, attempt).await;
            self.foundation.events.emit(authentication_event(&outcome, payload, attempt.circumstances.initiator));
            proofs.push((name.clone(), outcome?));
        }
        Ok(proofs)
    }

    /// What a trusted proxy has proven counts also where the request does not name the method; if it proves nobody, that
    /// is no reason to refuse what the request names (`keystone.api._shared.authentication.authenticate`).
    async fn prove_unasked(&self, attempt: &Attempt<'_>) -> Result<Option<(String, Proof)>> {
        const EXTERNAL: &str = "external";
        let circumstances = attempt.circumstances;
        let named = attempt.request.methods.iter().any(|(name, _)| name == EXTERNAL);
        let (Some(method), Some(_), false) = (self.methods.get(EXTERNAL), circumstances.external, named) else {
            return Ok(None);
        };
        let outcome = method.authenticate(&Map::new(), attempt).await;
        match outcome {
            Ok(_) => {
                self.foundation.events.emit(authentication_event(&outcome, &Map::new(), circumstances.initiator));
                Ok(outcome.ok().map(|proof| (EXTERNAL.to_owned(), proof)))
            }
            Err(refused) if refused.error.kind == ErrorKind::Unauthorized => {
                tracing::debug!(detail = refused.error.detail_text(), "what the proxy says proves nobody");
                Ok(None)
            }
            Err(refused) => Err(refused.error),
        }
    }

    /// Adds what a receipt has proven before. It ends with the tokens of its user, by a new password for example, which
    /// the reference does not look at.
    async fn continue_from(&self, text: &str, login: &mut Login) -> Result<()> {
        let receipt = self.receipts.open(text, self.foundation.time.now())?;
        if receipt.user_id != login.user.id {
            return Err(Error::unauthorized(format!("the receipt is not of user {}", login.user.id)));
        }
        if self.token.is_user_revoked(&login.user, receipt.issued_at).await? {
            return Err(Error::unauthorized("the receipt is older than the end of its user's tokens"));
        }
        for method in receipt.methods {
            login.add_method(method);
        }
        Ok(())
    }

    /// A receipt as the error, if the user's rules ask for more.
    async fn check_methods(&self, login: &Login) -> Result<()> {
        let user = &login.user;
        let rules = mfa::Rules::of(user, &self.foundation.config.auth.methods);
        if rules.are_fulfilled_by(&login.methods) {
            return Ok(());
        }
        let domain = self.resource.domain_at(login.as_of.moment, &user.domain_id).await?;
        let domain = domain.ok_or_else(|| Error::unauthorized("the user's domain is gone"))?;
        let receipt = self.receipts.seal(&user.id, &login.methods, self.foundation.time.now())?;
        let body = json!({
            "receipt": {
                "methods": login.methods,
                "user": {
                    "id": &*user.id,
                    "name": user.name,
                    "domain": {"id": &*domain.id, "name": domain.name},
                },
                "expires_at": receipt.expires_at.iso(),
                "issued_at": receipt.issued_at.iso(),
            },
            "required_auth_methods": rules.begun_by(&login.methods),
        });
        let detail = format!("the methods {:?} fulfil no multi-factor rule of user {}", login.methods, user.id);
        let kind = ErrorKind::AdditionalMethods(Receipt { id: receipt.text, body });
        Err(Error::new(kind, "More authentication methods are needed: go on with the receipt.").because(detail))
    }

    async fn scope(&self, request: &AuthRequest, login: &Login, trust: Option<&Trust>) -> Result<NewScope> {
        let moment = login.as_of.moment;
        if let Some(credential) = &login.application_credential {
            // An application credential cannot choose: it is for one project.
            return match &credential.project_id {
                Some(id) => Ok(NewScope::Project(self.require_project_by_id(moment, id).await?)),
                None => Ok(NewScope::Unscoped),
            };
        }
        match &request.scope {
            RequestedScope::Default => self.default_scope(moment, &login.user).await,
            RequestedScope::Unscoped => Ok(NewScope::Unscoped),
            RequestedScope::System => Ok(NewScope::System),
            RequestedScope::Domain(domain) => Ok(NewScope::Domain(self.require_domain(moment, domain).await?.id)),
            RequestedScope::Project(Reference::Id(id)) => {
                Ok(NewScope::Project(self.require_project_by_id(moment, &id.as_str().into()).await?))
            }
            RequestedScope::Project(Reference::Name { name, domain }) => {
                let strict = self.foundation.config.resource.project_name_url_safe == UrlSafe::Strict;
                check_name_url_safe(name, strict)?;
                let nowhere = Reference::Id(String::new());
                let domain = self.require_domain(moment, domain.as_deref().unwrap_or(&nowhere)).await?;
                let project = self.resource.project_by_name_at(moment, name, &domain.id).await?;
                match project {
                    Some(project) if project.enabled => Ok(NewScope::Project(project.id.clone())),
                    _ => Err(Error::unauthorized(format!("no enabled project {name} in the domain {}", domain.id))),
                }
            }
            RequestedScope::Trust(_) => match trust.and_then(|trust| trust.project_id.as_ref()) {
                Some(id) => Ok(NewScope::Project(self.require_project_by_id(moment, id).await?)),
                // The reference makes such trusts, and finds only here that they are of no use.
                None => Err(Error::not_found("project", "None")),
            },
        }
    }

    async fn require_project_by_id(&self, moment: Moment, id: &ProjectId) -> Result<ProjectId> {
        let refused = || Error::unauthorized(format!("there is no enabled project {id} in an enabled domain"));
        let project = self.resource.project_at(moment, id).await?;
        let project = project.filter(|project| project.enabled).ok_or_else(refused)?;
        let domain_id = project.domain_id.as_ref().ok_or_else(refused)?;
        let domain = self.resource.domain_at(moment, domain_id).await?;
        domain.filter(|domain| domain.enabled).map(|_| project.id.clone()).ok_or_else(refused)
    }

    async fn require_domain(&self, moment: Moment, reference: &Reference) -> Result<Domain> {
        let strict = self.foundation.config.resource.domain_name_url_safe == UrlSafe::Strict;
        if let Reference::Name { name, .. } = reference {
            check_name_url_safe(name, strict)?;
        }
        require_enabled_domain(&self.resource, moment, reference).await
    }

    /// The user's default project if it is enabled and the user has a role there; otherwise no scope, silently.
    async fn default_scope(&self, moment: Moment, user: &User) -> Result<NewScope> {
        let Some(id) = &user.default_project_id else { return Ok(NewScope::Unscoped) };
        let project = self.resource.project_at(moment, id).await?.filter(|project| project.enabled);
        let Some(project) = project else { return Ok(NewScope::Unscoped) };
        let Some(domain_id) = &project.domain_id else { return Ok(NewScope::Unscoped) };
        if !self.resource.domain_at(moment, domain_id).await?.is_some_and(|domain| domain.enabled) {
            return Ok(NewScope::Unscoped);
        }
        let Some(place) = self.resource.place_at(moment, id).await?.value else { return Ok(NewScope::Unscoped) };
        let Some(user) = self.identity.token_user_at(moment, &user.id).await?.value else {
            return Ok(NewScope::Unscoped);
        };
        let groups: Vec<_> = user.groups(self.foundation.time.now()).cloned().collect();
        let mut basis = Basis::default();
        let assigned = self.assignment.assigned_on_project_at(moment, &mut basis, &user.id, &groups, &place).await?;
        if self.assignment.role_graph_at(moment).await?.value.effective(&assigned).is_empty() {
            return Ok(NewScope::Unscoped);
        }
        Ok(NewScope::Project(project.id.clone()))
    }
}

/// What a login named was deleted after it was proven: 401, as a moment later, and not the 404 of a dead token.
fn gone_meanwhile(error: Error) -> Error {
    if error.is_not_found() { Error::unauthorized(error.detail_text().to_owned()) } else { error }
}

fn authentication_event(
    outcome: &Result<Proof, LoginRefused>,
    payload: &Map<String, Value>,
    initiator: &Initiator,
) -> Event {
    let mut event = Event {
        resource: "user",
        operation: AUTHENTICATE,
        id: String::new(),
        outcome: "success",
        reason: None,
        details: Map::new(),
        requester: Requester::Nobody,
        initiator: initiator.clone(),
    };
    match outcome {
        Ok(proof) => event.id = proof.user.id.to_string(),
        Err(refused) => {
            refused.user_id.as_deref().unwrap_or_default().clone_into(&mut event.id);
            event.outcome = "failure";
            event.reason.clone_from(&refused.reason);
            event.details = refused.details();
            if refused.user_id.is_none() {
                event.details.extend(named_user(payload));
            }
        }
    }
    event
}

/// Whom a login names that nobody is: the names that the client sent, and nothing else of it.
fn named_user(payload: &Map<String, Value>) -> Map<String, Value> {
    let user = payload.get("user");
    let domain = user.and_then(|user| user.get("domain"));
    [("user_id", user, "id"), ("user_name", user, "name"), ("domain_id", domain, "id"), ("domain_name", domain, "name")]
        .into_iter()
        .filter_map(|(name, object, key)| Some((name.to_owned(), Value::from(object?.get(key)?.as_str()?))))
        .collect()
}

/// What all methods of a request have proven together.
struct Login {
    user: User,
    /// The latest of what the methods have proven it as of.
    as_of: AsOf,
    methods: Vec<String>,
    expires_at: Option<Timestamp>,
    chain: Option<AuditId>,
    application_credential: Option<ProvenCredential>,
}

impl Login {
    /// All methods must speak of the same user; of several expiries the earliest counts
    /// (`keystone.auth.core.AuthContext`).
    fn reconcile(request: &AuthRequest, as_of: AsOf, proofs: Vec<(String, Proof)>) -> Result<Login> {
        let mut login: Option<Login> = None;
        for (name, proof) in proofs {
            let login = login.get_or_insert_with(|| Login {
                user: proof.user.clone(),
                as_of,
                methods: Vec::new(),
                expires_at: None,
                chain: None,
                application_credential: None,
            });
            if login.user.id != proof.user.id {
                return Err(Error::unauthorized("the methods of the request prove different users"));
            }
            login.as_of = login.as_of.max(proof.as_of);
            for method in std::iter::once(name).chain(proof.methods) {
                login.add_method(method);
            }
            login.expires_at = match (login.expires_at, proof.expires_at) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
            login.chain = login.chain.or(proof.chain);
            login.application_credential = login.application_credential.take().or(proof.application_credential);
        }
        login.ok_or_else(|| {
            Error::unauthorized(format!("none of the {} methods of the request names a user", request.methods.len()))
        })
    }

    fn add_method(&mut self, method: String) {
        if !self.methods.contains(&method) {
            self.methods.push(method);
        }
    }
}

/// How methods find the user that a request names.
#[derive(Clone)]
pub(crate) struct Users {
    resource: Resource,
    identity: Identity,
}

impl Users {
    /// The user in an enabled domain that `identity.<method>.user` names; `None` if there is none, so that the caller can
    /// spend as much time as on a real one.
    async fn find(&self, method: &str, payload: &Map<String, Value>, moment: Moment) -> Result<Option<FoundUser>> {
        let user = payload.get("user").and_then(Value::as_object).ok_or_else(|| Error::missing("user", method))?;
        let reference = Reference::parse(user, "user")?;
        match &reference {
            Reference::Id(id) => self.find_by_id(&UserId::from(id.as_str()), moment).await,
            Reference::Name { name, domain } => {
                let domain = domain.as_deref().ok_or_else(|| Error::missing("domain", "user"))?;
                match find_enabled_domain(&self.resource, moment, domain).await? {
                    Some(domain) => self.identity.find_user_by_name(moment, name, &domain.id).await,
                    None => Ok(None),
                }
            }
        }
    }

    /// The user of this id in an enabled domain.
    async fn find_by_id(&self, id: &UserId, moment: Moment) -> Result<Option<FoundUser>> {
        let Some(user) = self.identity.find_user(moment, id).await? else { return Ok(None) };
        let enabled = self.resource.domain_at(moment, user.domain_id()).await?.is_some_and(|domain| domain.enabled);
        Ok(enabled.then_some(user))
    }

    /// As everybody else sees it.
    fn seen(&self, found: &FoundUser) -> User {
        self.identity.user_of(found)
    }
}

async fn find_enabled_domain(resource: &Resource, moment: Moment, reference: &Reference) -> Result<Option<Domain>> {
    let domain = match reference {
        Reference::Id(id) => resource.domain_at(moment, &DomainId::from(id.as_str())).await?,
        Reference::Name { name, .. } => resource.domain_by_name_at(moment, name).await?,
    };
    Ok(domain.filter(|domain| domain.enabled))
}

async fn require_enabled_domain(resource: &Resource, moment: Moment, reference: &Reference) -> Result<Domain> {
    let found = find_enabled_domain(resource, moment, reference).await?;
    found.ok_or_else(|| Error::unauthorized("the scope's domain is unknown or disabled"))
}

/// With `[resource] …_name_url_safe = strict` a name that needs escaping in a URL cannot be logged in to.
fn check_name_url_safe(name: &str, strict: bool) -> Result<()> {
    const RESERVED: &[char] =
        &[':', '/', '?', '#', '[', ']', '@', '!', '$', '&', '\'', '(', ')', '*', '+', ',', ';', '='];
    if strict && name.contains(RESERVED) {
        return Err(Error::unauthorized("the scope's name has characters that are reserved in URLs"));
    }
    Ok(())
}
