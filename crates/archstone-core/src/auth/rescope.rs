//! The method `token`: a token of another scope out of one that is still valid (`keystone.auth.plugins.token`).

use futures::future::BoxFuture;
use futures::{FutureExt as _, TryFutureExt as _};
use serde_json::{Map, Value};

use super::{Attempt, AuthMethod, Proof, RequestedScope, Users};
use crate::authz::Scope;
use crate::error::{Error, Result};
use crate::identity::LoginRefused;
use crate::token::{Token, Validation};

pub(super) struct TokenMethod {
    pub(super) token: Token,
    pub(super) users: Users,
    /// `[token] allow_rescope_scoped_token`
    pub(super) allow_scoped: bool,
}

impl AuthMethod for TokenMethod {
    fn authenticate<'a>(
        &'a self,
        payload: &'a Map<String, Value>,
        attempt: &'a Attempt<'_>,
    ) -> BoxFuture<'a, Result<Proof, LoginRefused>> {
        async move {
            let id = payload.get("id").and_then(Value::as_str).ok_or_else(|| Error::missing("id", "token"))?;
            let token = self.token.validate_at(attempt.as_of.moment, id, Validation::default()).await?;
            let narrower = matches!(attempt.request.scope, RequestedScope::Project(_) | RequestedScope::Domain(_));
            if token.scope() == Scope::System && narrower {
                return Err(Error::forbidden("a system token does not become one of a project or domain"));
            }
            token.delegation().check_rescope()?;
            if !self.allow_scoped && token.scope() != Scope::Unscoped {
                return Err(Error::forbidden("[token] allow_rescope_scoped_token forbids rescoping a scoped token"));
            }
            let user = self.users.identity.user_at(attempt.as_of.moment, token.actor_id()).await?;
            let user = user.ok_or_else(|| Error::not_found("user", token.actor_id()))?;
            // The expiry is kept, so that nobody renews a login for ever without proving who they are.
            Ok(Proof {
                methods: token.payload.methods.iter().map(ToString::to_string).collect(),
                expires_at: Some(token.expires_at),
                chain: Some(token.payload.audit_ids.chain()),
                ..Proof::of(user, attempt.as_of)
            })
        }
        .map_err(LoginRefused::from)
        .boxed()
    }
}
