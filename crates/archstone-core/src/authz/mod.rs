//! Who asks, what they may do, and the proof that it was checked.
//!
//! **Invariant:** an [`Allowed`] comes only out of [`Authorizer::check`] (the policy said yes), [`Allowed::internal`] (a
//! command of the operator) or [`Allowed::public`] (a route without a policy): each can be found by a search. The functions of the core that read or write for somebody want one.
//!
//! **Invariant:** a policy target holds what storage and the URL say. What the caller wrote in a body or a query is
//! kept under `request_body` and `filter_attr`, where it can never stand for a stored attribute
//! (CVE-2026-42999).

mod delegation;
pub mod policy;
mod target;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::{Map, Value};

use policy::{Decision, Policy, RemoteCheck, ScopeType};

pub use delegation::Delegation;
pub use target::Target;

use crate::error::{Error, Result};
use crate::id::{DomainId, ProjectId, UserId};

/// Where a token counts.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Scope {
    /// Nowhere: it only tells who its user is.
    Unscoped,
    /// In one project, which belongs to a domain.
    Project {
        /// The project.
        id: ProjectId,
        /// Its domain.
        domain_id: DomainId,
    },
    /// In one domain.
    Domain(DomainId),
    /// In the whole cloud.
    System,
}

/// An authenticated caller, as its token says.
#[derive(Debug)]
pub struct Caller {
    /// The user.
    pub user_id: UserId,
    /// The user's domain.
    pub user_domain_id: DomainId,
    /// The user's name, for audit.
    pub user_name: String,
    /// Where the token counts.
    pub scope: Scope,
    /// The names of the effective roles in that scope.
    pub roles: Vec<String>,
    /// Whether the token stands for less than its user.
    pub delegation: Delegation,
    /// The audit ids of the token: its own, and that of the first of its chain.
    pub audit_ids: Vec<String>,
    /// What policy rules see as credentials (`RequestContext.to_policy_values` of the reference).
    pub credentials: Map<String, Value>,
}

/// Who makes a request.
#[derive(Clone, Debug)]
pub enum Requester {
    /// Nobody presented a valid token.
    Nobody,
    /// `[DEFAULT] admin_token`, which no policy is asked about.
    AdminToken,
    /// A user with a valid token.
    User(Arc<Caller>),
    /// A command of the operator, by name.
    Internal(&'static str),
}

impl Requester {
    /// The caller, if it is a user.
    pub fn caller(&self) -> Option<&Caller> {
        match self {
            Requester::User(caller) => Some(caller),
            _ => None,
        }
    }
}

/// Proof that a policy was asked and said yes.
#[derive(Clone, Debug)]
pub struct Allowed {
    requester: Requester,
    initiator: Initiator,
}

/// Where a request came from, for audit. Cheap to clone: it goes into every proof and every event.
#[derive(Clone, Debug, Default)]
pub struct Initiator(Arc<Origin>);

/// What an [`Initiator`] says.
#[derive(Debug, Default)]
pub struct Origin {
    /// `req-<uuid>` of this request.
    pub request_id: Option<String>,
    /// `req-<uuid>` that the client sent.
    pub global_request_id: Option<String>,
    /// The client's network address as any proxy tells it: for the record, not for decisions.
    pub forwarded_for: Option<String>,
    /// Who is at the other end of the connection: the client's address for the record, if no proxy tells one.
    pub peer: Option<IpAddr>,
    /// The client's network address, as far as it can be believed: the word of `[archstone] trusted_proxies` only.
    pub source: Option<IpAddr>,
    /// The client's `User-Agent`.
    pub agent: Option<String>,
}

impl From<Origin> for Initiator {
    fn from(origin: Origin) -> Initiator {
        Initiator(Arc::new(origin))
    }
}

impl std::ops::Deref for Initiator {
    type Target = Origin;

    fn deref(&self) -> &Origin {
        &self.0
    }
}

impl Allowed {
    /// For a command that the operator runs on the machine itself.
    pub fn internal(command: &'static str) -> Allowed {
        Allowed { requester: Requester::Internal(command), initiator: Initiator::default() }
    }

    /// For a route whose policy is to have none; keeps where the request came from, for audit.
    pub fn public(requester: Requester, initiator: Initiator) -> Allowed {
        Allowed { requester, initiator }
    }

    /// Who asked.
    pub fn requester(&self) -> &Requester {
        &self.requester
    }

    /// The user who asked, if it was one.
    pub fn caller(&self) -> Option<&Caller> {
        self.requester.caller()
    }

    /// Where the request came from.
    pub fn initiator(&self) -> &Initiator {
        &self.initiator
    }
}

/// Asks the policy.
pub struct Authorizer {
    policy: Arc<Policy>,
    remote: Option<Arc<dyn AskRemote>>,
}

/// Asks another server what a rule leaves to it (`http:` and `https:` checks).
pub trait AskRemote: Send + Sync {
    /// Whether the server says yes. Bounded in time; a server that does not answer is an error.
    fn ask<'a>(&'a self, check: &'a RemoteCheck) -> BoxFuture<'a, Result<bool>>;
}

impl std::fmt::Debug for Authorizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authorizer").finish_non_exhaustive()
    }
}

impl Authorizer {
    /// Asks these rules, and `remote` where a rule names another server; without it such a request is refused.
    pub fn new(policy: Arc<Policy>, remote: Option<Arc<dyn AskRemote>>) -> Authorizer {
        Authorizer { policy, remote }
    }

    /// The rules.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// 401 for nobody, 403 if the rule of this name says no.
    pub async fn check(
        &self,
        rule: &'static str,
        requester: &Requester,
        initiator: &Initiator,
        target: &Target,
    ) -> Result<Allowed> {
        let caller = match requester {
            Requester::Nobody => return Err(Error::unauthorized("the request carries no valid token")),
            Requester::User(caller) => caller,
            Requester::AdminToken | Requester::Internal(_) => {
                return Ok(Allowed { requester: requester.clone(), initiator: initiator.clone() });
            }
        };
        let scope = match caller.scope {
            Scope::System => ScopeType::System,
            Scope::Domain(_) => ScopeType::Domain,
            // A token without scope is asked as one of a project, as oslo.policy does it.
            Scope::Project { .. } | Scope::Unscoped => ScopeType::Project,
        };
        let mut replies = HashMap::new();
        loop {
            match self.policy.enforce_with(rule, &caller.credentials, target.flat(), scope, &replies) {
                Decision::Allowed => {
                    return Ok(Allowed { requester: requester.clone(), initiator: initiator.clone() });
                }
                Decision::Denied => return Err(Error::forbidden_action(rule, format!("policy {rule} says no"))),
                Decision::WrongScope => {
                    return Err(Error::forbidden_action(
                        rule,
                        format!("policy {rule} is not for tokens of this scope"),
                    ));
                }
                Decision::NeedsRemote(check) => {
                    let allowed = match &self.remote {
                        Some(remote) => remote.ask(&check).await?,
                        // Not "no": below a `not` that would let everybody in.
                        None => return Err(Error::forbidden_action(rule, format!("nobody can ask {}", check.url))),
                    };
                    replies.insert(check.url, allowed);
                }
            }
        }
    }
}
