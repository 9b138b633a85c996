//! Tokens: issuing, validating, revoking (`keystone.token.provider`).
//!
//! A token's text says little: a user, a scope, methods, an expiry, audit ids. Everything else (names, roles, catalog)
//! is looked up when it is validated, remembered, and dropped from memory when something that it depends on was touched.
//!
//! **Invariant:** nothing is answered from memory unless the clock of the database was read after the request began.

mod body;
mod load;
mod provider;
mod trusted;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use keystone_token::{AuditId, AuditIds, Payload, UnixMicros};
use serde_json::{Map, Value};

use crate::application_credential::{AccessRule, ApplicationCredentials};
use crate::assignment::{Assignment, EffectiveRole};
use crate::authz::{Allowed, Caller, Delegation, Scope};
use crate::catalog::{Catalog, CatalogService, RenderCatalog};
use crate::error::{Error, ErrorKind, Result};
use crate::events::Event;
use crate::foundation::{AsOf, Foundation};
use crate::freshness::{Moment, Ref};
use crate::id::{DomainId, ProjectId, TrustId, UserId};
use crate::identity::{Identity, User};
use crate::memory::{Basis, Capacity, Memory};
use crate::resource::Resource;
use crate::revoke::{RevocationEvent, Revoke, TokenFacts};
use crate::time::Timestamp;
use crate::trust::Trusts;
use load::Subject;
use trusted::Trusted;

pub use provider::TokenProvider;

/// A token that was valid a moment ago, with everything that its answer shows but the catalog.
///
/// There may be a hundred thousand of them: what they have in common with others they share, and what not every use of
/// them needs is made when it is first asked for.
pub struct ValidatedToken {
    /// What its text says.
    pub payload: Payload,
    /// When it was issued; Fernet tokens know whole seconds.
    pub issued_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
    subject: Subject,
    delegation: Delegation,
    access: Option<Box<Access>>,
    rendered: OnceLock<Bytes>,
    caller: OnceLock<Arc<Caller>>,
    /// Up to which moment no revocation event was found to end it.
    unrevoked_as_of: Mutex<Option<Moment>>,
    user_enabled: bool,
    /// When it must be looked up again although nothing was written.
    holds_until: Option<Timestamp>,
}

/// What the access rules of an application credential let its tokens do.
struct Access {
    rules: Vec<AccessRule>,
    /// The types of the services of the catalog: rules for others mean nothing.
    services: Vec<String>,
}

/// What a caller takes in memory: mostly what policy rules see of it.
const CALLER_BYTES: usize = 12 * 1024;

impl ValidatedToken {
    /// Who acts by it. Made when it is first asked for: most tokens are only validated for others.
    pub fn caller(&self) -> &Arc<Caller> {
        self.caller.get_or_init(|| Arc::new(load::caller_of(self)))
    }

    /// The user who acts, which by a trust may be the trustor.
    pub fn actor_id(&self) -> &UserId {
        &self.subject.actor().0.id
    }

    /// That user's name.
    pub fn actor_name(&self) -> &str {
        &self.subject.actor().0.name
    }

    /// That user's domain.
    pub fn actor_domain_id(&self) -> &DomainId {
        &self.subject.actor().0.domain_id
    }

    /// Where it counts.
    pub fn scope(&self) -> Scope {
        match (&self.payload.scope, &self.subject.project) {
            (keystone_token::Scope::Project(_), Some((project, domain))) => {
                Scope::Project { id: project.id.clone(), domain_id: DomainId::from(&*domain.id) }
            }
            (keystone_token::Scope::Domain(id), _) => Scope::Domain(DomainId::from(id.as_str())),
            (keystone_token::Scope::System, _) => Scope::System,
            _ => Scope::Unscoped,
        }
    }

    /// The user's effective roles in its scope.
    pub fn roles(&self) -> &[EffectiveRole] {
        &self.subject.roles
    }

    /// How the token came to stand for its user.
    pub fn delegation(&self) -> &Delegation {
        &self.delegation
    }

    /// The body of the answer below `token`, without the catalog.
    pub fn body(&self) -> Map<String, Value> {
        body::render(&self.payload, self.issued_at, self.expires_at, &self.subject)
    }

    /// The body as the program sends it: rendered once for as long as the token is in memory.
    pub fn rendered(&self, render: fn(&Map<String, Value>) -> Bytes) -> Bytes {
        self.rendered.get_or_init(|| render(&self.body())).clone()
    }

    /// Whether its application credential has access rules, which the validating service must know how to obey.
    pub fn has_access_rules(&self) -> bool {
        self.access.is_some()
    }

    /// Whether access rules let it make a request to this service, of a type that its catalog knows
    /// (`keystonemiddleware.auth_token.BaseAuthProtocol.validate_allowed_request`). Without rules it may make any.
    pub fn access_rules_allow(&self, service: &str, method: &str, path: &str) -> bool {
        let Some(access) = &self.access else { return true };
        access.services.iter().any(|known| known == service)
            && access.rules.iter().any(|rule| rule.allows(service, method, path))
    }

    /// The user whom its text names, which is not the caller if that impersonates a trustor; and the user's domain.
    pub fn user(&self) -> (&str, &DomainId) {
        (&self.payload.user_id, &self.subject.user.domain_id)
    }

    fn facts(&self) -> (String, Option<String>) {
        (audit_text(self.payload.audit_ids.id), self.payload.audit_ids.parent.map(audit_text))
    }

    /// Bytes in memory, with the text of its body, but without what others have too and without the caller.
    fn bytes(&self) -> usize {
        let payload = &self.payload;
        let ids = [&payload.trust_id, &payload.app_cred_id].into_iter().flatten().map(|id| id.len() + 48);
        let access = self.access.iter().flat_map(|access| &access.rules).map(|rule| 400 + rule.path.len());
        let trust = self.subject.trust.as_ref().map_or(0, |trusted| trusted.bytes());
        size_of::<ValidatedToken>() + 600 + self.text_length() + ids.sum::<usize>() + access.sum::<usize>() + trust
    }

    /// About how long the text of its body is.
    fn text_length(&self) -> usize {
        let (actor, domain) = self.subject.actor();
        let roles: usize = self.subject.roles.iter().map(|role| 60 + role.name.len()).sum();
        let places = self.subject.project.iter().map(|(project, domain)| 130 + project.name.len() + domain.name.len());
        360 + actor.name.len() + domain.name.len() + roles + places.sum::<usize>()
    }
}

impl std::fmt::Debug for ValidatedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ValidatedToken").field("actor", self.actor_id()).finish_non_exhaustive()
    }
}

/// The 22 characters by which an audit id is known.
pub(crate) fn audit_text(id: AuditId) -> String {
    id.to_string()
}

/// How a token is to be validated.
#[derive(Clone, Copy, Debug, Default)]
pub struct Validation {
    /// Seconds by which it may have expired.
    pub expired_by: u64,
    /// Whether whoever asks knows how to obey access rules.
    pub knows_access_rules: bool,
    /// Whether somebody is to act by it.
    pub for_caller: bool,
}

impl Validation {
    /// For `X-Auth-Token`: no grace, and access rules are obeyed here.
    pub fn of_caller() -> Validation {
        Validation { expired_by: 0, knows_access_rules: true, for_caller: true }
    }
}

/// What a new token is to say.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// The user.
    pub user_id: UserId,
    /// The methods that proved it.
    pub methods: Vec<String>,
    /// Where it counts.
    pub scope: NewScope,
    /// When it expires; otherwise `[token] expiration` seconds from now.
    pub expires_at: Option<Timestamp>,
    /// The root of the chain of tokens that it is made of.
    pub chain: Option<AuditId>,
    /// The application credential that proved it.
    pub application_credential: Option<(crate::id::ApplicationCredentialId, Option<Timestamp>)>,
    /// The trust by which the user gets it, and when that ends.
    pub trust: Option<(TrustId, Option<Timestamp>)>,
}

/// Where a new token is to count.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NewScope {
    /// Nowhere.
    Unscoped,
    /// In this project.
    Project(ProjectId),
    /// In this domain.
    Domain(DomainId),
    /// In the whole cloud.
    System,
}

/// A token as it is handed out.
pub struct IssuedToken {
    /// The text, a secret.
    pub text: String,
    /// What it says.
    pub token: Arc<ValidatedToken>,
    /// As of when.
    pub as_of: Moment,
}

/// The digest of a token's text, which itself is not kept, and the generation of the keys that it was opened with: under
/// other keys it may not open any more.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct MemoryKey {
    digest: [u8; 32],
    generation: u64,
}

impl MemoryKey {
    fn new(text: &str, generation: u64) -> MemoryKey {
        let mut key = MemoryKey { digest: [0; 32], generation };
        key.digest.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
        key
    }
}

/// The door of tokens.
#[derive(Clone)]
pub struct Token {
    foundation: Foundation,
    resource: Resource,
    catalog: Catalog,
    identity: Identity,
    assignment: Assignment,
    application_credential: ApplicationCredentials,
    trust: Trusts,
    revoke: Revoke,
    provider: Arc<TokenProvider>,
    memory: Memory<MemoryKey, Arc<ValidatedToken>>,
}

/// The doors that tokens look through.
pub struct TokenSources {
    /// Projects and domains.
    pub resource: Resource,
    /// The catalog.
    pub catalog: Catalog,
    /// Users and groups.
    pub identity: Identity,
    /// Roles.
    pub assignment: Assignment,
    /// Application credentials.
    pub application_credential: ApplicationCredentials,
    /// Trusts.
    pub trust: Trusts,
    /// Revocation events.
    pub revoke: Revoke,
}

impl Token {
    /// A door onto this foundation.
    pub fn new(foundation: Foundation, sources: TokenSources, provider: TokenProvider) -> Token {
        let capacity = Capacity { bytes: foundation.caches().tokens, entry_bytes: 2048 };
        let memory = Memory::new(foundation.freshness.clone(), capacity);
        Token {
            foundation,
            resource: sources.resource,
            catalog: sources.catalog,
            identity: sources.identity,
            assignment: sources.assignment,
            application_credential: sources.application_credential,
            trust: sources.trust,
            revoke: sources.revoke,
            provider: Arc::new(provider),
            memory,
        }
    }

    /// Reads the clock for validations: whatever was committed before this call, [`Token::validate_at`] knows, unless
    /// the database does not answer and `[cache] serve_stale_for` lets it be as of its last answer.
    ///
    /// # Errors
    /// Unavailable when the database does not answer.
    pub async fn observe(&self) -> Result<Moment> {
        self.foundation.freshness.observe_or_stale().await
    }

    /// Validates a token as of now, never of before.
    ///
    /// # Errors
    /// As [`Token::validate_at`]; unavailable when the database does not answer.
    pub async fn validate(&self, text: &str, validation: Validation) -> Result<Arc<ValidatedToken>> {
        self.validate_at(self.foundation.freshness.observe().await?, text, validation).await
    }

    /// Validates a token as of a moment that was observed after the request for it began: one moment is enough for all
    /// tokens of a request.
    ///
    /// # Errors
    /// [`ErrorKind::TokenNotFound`] for one that is malformed, expired, revoked, of a disabled user, or whose roles
    /// are gone; [`ErrorKind::NotFound`] if its user, project, domain or application credential was deleted, or its
    /// project or the user's domain disabled; [`ErrorKind::TrustNotFound`] if its trust was deleted or has ended;
    /// [`ErrorKind::Forbidden`] if the trustor is disabled or has lost a role.
    pub async fn validate_at(&self, moment: Moment, text: &str, validation: Validation) -> Result<Arc<ValidatedToken>> {
        let generation = self.provider.generation()?;
        let key = MemoryKey::new(text, generation);
        let now = self.foundation.time.now();
        let mut known = self.memory.get(&key);
        if known.as_ref().and_then(|token| token.holds_until).is_some_and(|end| end <= now) {
            self.memory.forget(&key);
            known = None;
        }
        let token = match known {
            Some(token) => token,
            // Boxed, as is all that is rare here: the future of every request would be as large.
            None => Box::pin(self.validate_cold(moment, key, text, validation)).await?,
        };
        check_time(&token, now, validation)?;
        if self.is_revoked(&token, moment).await? {
            return Err(Error::token_not_found("the token was revoked"));
        }
        if !token.user_enabled {
            return Err(Box::pin(self.revoke_for_disabled_user(&token)).await);
        }
        if token.has_access_rules() && !validation.knows_access_rules {
            return Err(Error::token_not_found(
                "the token's application credential has access rules, and the service that validates it does not know \
                 of them: its keystonemiddleware must be upgraded",
            ));
        }
        if validation.for_caller && token.caller.get().is_none() {
            token.caller();
            self.memory.weigh(&key, token.bytes() + CALLER_BYTES);
        }
        Ok(token)
    }

    async fn validate_cold(
        &self,
        moment: Moment,
        key: MemoryKey,
        text: &str,
        validation: Validation,
    ) -> Result<Arc<ValidatedToken>> {
        let (payload, issued_at) = self.provider.open(text, self.foundation.time.now())?;
        check_expiry(payload.expires_at, self.foundation.time.now(), validation)?;
        let load = |began| {
            let tokens = self.clone();
            async move { Box::pin(tokens.load(began, payload, issued_at)).await }
        };
        match self.memory.get_or_load(moment, &key, load).await {
            Ok(known) => Ok(known.value),
            // A user without a role in the token's scope has no token.
            Err(error) if error.kind == ErrorKind::Unauthorized => {
                Err(Error::token_not_found(error.detail_text().to_owned()))
            }
            Err(error) => Err(error),
        }
    }

    async fn is_revoked(&self, token: &ValidatedToken, moment: Moment) -> Result<bool> {
        let checked = *token.unrevoked_as_of.lock().unwrap_or_else(PoisonError::into_inner);
        if checked.is_some_and(|checked| self.foundation.freshness.holds(checked, &[Ref::Revocations])) {
            return Ok(false);
        }
        Box::pin(self.look_for_revocation(token, moment)).await
    }

    async fn look_for_revocation(&self, token: &ValidatedToken, moment: Moment) -> Result<bool> {
        let (audit_id, parent_audit_id) = token.facts();
        let mut user_ids = vec![token.payload.user_id.as_str()];
        let trust = token.subject.trust.as_deref().map(Trusted::trust);
        user_ids.extend(trust.iter().flat_map(|trust| [&*trust.trustor_user_id, &*trust.trustee_user_id]));
        let facts = TokenFacts {
            issued_at: token.issued_at,
            expires_at: token.expires_at,
            user_ids,
            user_domain_id: &token.subject.user.domain_id,
            scope_domain_id: token.payload.domain_id(),
            project_id: token.payload.project_id(),
            audit_id: &audit_id,
            parent_audit_id: parent_audit_id.as_deref(),
            trust_id: token.payload.trust_id.as_deref(),
            consumer_id: None,
            role_ids: token.roles().iter().map(|role| &*role.id).collect(),
        };
        let revoked = self.revoke.is_revoked(&facts, moment).await?;
        if !revoked {
            *token.unrevoked_as_of.lock().unwrap_or_else(PoisonError::into_inner) = Some(moment);
        }
        Ok(revoked)
    }

    /// Whether the tokens that a user had at this moment were ended since.
    pub(crate) async fn is_user_revoked(&self, user: &User, issued_at: Timestamp) -> Result<bool> {
        let moment = self.foundation.freshness.observe().await?;
        let facts = TokenFacts {
            issued_at,
            expires_at: Timestamp::from_naive(chrono::NaiveDateTime::MIN),
            user_ids: vec![&user.id],
            user_domain_id: &user.domain_id,
            scope_domain_id: None,
            project_id: None,
            audit_id: "",
            parent_audit_id: None,
            trust_id: None,
            consumer_id: None,
            role_ids: Vec::new(),
        };
        self.revoke.is_revoked(&facts, moment).await
    }

    /// A user may have been disabled where no event was written (a directory, another program): the first validation
    /// that sees it writes one, so that enabling the user again does not revive the token.
    async fn revoke_for_disabled_user(&self, token: &ValidatedToken) -> Error {
        let refused = Error::token_not_found("the token's user is disabled");
        match self.revoke.revoke(&[RevocationEvent::of_user(&token.payload.user_id)]).await {
            Ok(()) => refused,
            Err(error) => error,
        }
    }

    /// Issues a token.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthorized`] if the user has no role in the scope, [`ErrorKind::Forbidden`] if the trust is not
    /// the user's, or its trustor has lost a role.
    pub async fn issue(&self, new: NewToken) -> Result<IssuedToken> {
        self.issue_as_of(new, self.foundation.observe().await?).await
    }

    /// Issues a token to somebody who has proven who it is as of then. It counts as issued at that time: what is revoked
    /// while it is issued ends it, too.
    pub(crate) async fn issue_as_of(&self, new: NewToken, as_of: AsOf) -> Result<IssuedToken> {
        let AsOf { moment, time: now } = as_of;
        let default_expiry =
            || now.plus_seconds(i64::try_from(self.foundation.config.token.expiration).unwrap_or(i64::MAX)).truncated();
        let mut expires_at = new.expires_at.unwrap_or_else(default_expiry);
        if let Some((_, Some(end))) = &new.application_credential {
            // CVE-2022-2447: a token does not outlive the credential that it comes from.
            expires_at = expires_at.min(*end);
        }
        if let Some((_, Some(end))) = &new.trust {
            // The same for a trust (lp:2156586).
            expires_at = expires_at.min(end.truncated());
        }
        let audit_ids = AuditIds { id: AuditId(self.provider.random_bytes()?), parent: new.chain };
        let methods = new.methods.iter().map(|name| Arc::from(name.as_str())).collect();
        let mut payload = Payload::new(new.user_id.to_string(), methods, UnixMicros(expires_at.micros()), audit_ids);
        payload.scope = match &new.scope {
            NewScope::Unscoped => keystone_token::Scope::Unscoped,
            NewScope::Project(id) => keystone_token::Scope::Project(id.to_string()),
            NewScope::Domain(id) => keystone_token::Scope::Domain(id.to_string()),
            NewScope::System => keystone_token::Scope::System,
        };
        payload.app_cred_id = new.application_credential.as_ref().map(|(id, _)| id.to_string());
        payload.trust_id = new.trust.as_ref().map(|(id, _)| id.to_string());
        let generation = self.provider.generation()?;
        let (text, issued_at) = self.provider.seal(&payload, now)?;
        let loaded = Box::pin(self.load(moment, payload, issued_at)).await?;
        let token = Arc::clone(&loaded.value);
        // A signed token knows whole seconds when it is read again, and what is remembered must say the same: a
        // revocation of this second would come before it.
        if issued_at == issued_at.truncated() {
            self.memory.insert(MemoryKey::new(&text, generation), moment, loaded);
        }
        Ok(IssuedToken { text, token, as_of: moment })
    }

    /// How many tokens are in memory.
    #[cfg(test)]
    pub(crate) fn remembered(&self) -> usize {
        self.memory.len()
    }

    /// The catalog of a token with a scope, as `render` has it: one text for all tokens that have the same.
    ///
    /// # Errors
    /// What the database says.
    pub async fn catalog_text(
        &self,
        moment: Moment,
        token: &ValidatedToken,
        render: RenderCatalog,
    ) -> Result<Option<Bytes>> {
        let Some((user_id, project_id)) = catalog_of(token) else { return Ok(None) };
        self.catalog.text(moment, user_id, project_id, render).await.map(Some)
    }

    /// The same as values; nothing for a token without a scope.
    ///
    /// # Errors
    /// What the database says.
    pub async fn catalog_services(&self, moment: Moment, token: &ValidatedToken) -> Result<Vec<CatalogService>> {
        let Some((user_id, project_id)) = catalog_of(token) else { return Ok(Vec::new()) };
        self.catalog.for_scope(moment, &mut Basis::default(), user_id, project_id).await
    }

    /// Revokes a token, and with `cascade` those made of it, if it is the first of its chain.
    pub async fn revoke(&self, allowed: &Allowed, text: &str, cascade: bool) -> Result<()> {
        let token = self.validate(text, Validation::default()).await?;
        let audit_id = audit_text(token.payload.audit_ids.id);
        let mut events = vec![RevocationEvent { audit_id: Some(audit_id.clone()), ..RevocationEvent::default() }];
        if cascade {
            events.push(RevocationEvent { audit_chain_id: Some(audit_id.clone()), ..RevocationEvent::default() });
        }
        self.revoke.revoke(&events).await?;
        self.foundation.events.emit(Event::new("token", "revoked", audit_id, allowed));
        Ok(())
    }
}

/// Whose catalog goes with a token: a user's, in a project or in none.
fn catalog_of(token: &ValidatedToken) -> Option<(&UserId, Option<&ProjectId>)> {
    let scoped = token.payload.scope != keystone_token::Scope::Unscoped;
    let project = token.subject.project.as_ref();
    scoped.then(|| (token.subject.named_in_catalog(), project.map(|(project, _)| &project.id)))
}

fn check_time(token: &ValidatedToken, now: Timestamp, validation: Validation) -> Result<()> {
    check_expiry(token.payload.expires_at, now, validation)?;
    match &token.subject.trust {
        // Within the window for expired tokens, or where another program did not look at the trust's end.
        Some(trusted) if trusted.ends_at().is_some_and(|end| end < now) => {
            Err(Error::trust_not_found(&trusted.trust().id))
        }
        _ => Ok(()),
    }
}

fn check_expiry(expires_at: UnixMicros, now: Timestamp, validation: Validation) -> Result<()> {
    let grace = i64::try_from(validation.expired_by).unwrap_or(i64::MAX).saturating_mul(1_000_000);
    if now.micros() < expires_at.0.saturating_add(grace) {
        Ok(())
    } else {
        Err(Error::token_not_found("the token has expired"))
    }
}
