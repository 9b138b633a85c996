//! The method `external`: a web server in front has authenticated the client (`keystone.auth.plugins.external`).
//!
//! **Invariant:** who that is comes from [`Circumstances::external`], which the program fills in for trusted proxies only.

use futures::future::BoxFuture;
use futures::{FutureExt as _, TryFutureExt as _};
use serde_json::{Map, Value};

use super::{Attempt, AuthMethod, Proof, Users};
use crate::error::{Error, Result};
use crate::id::DomainId;
use crate::identity::LoginRefused;

/// Whom a web server has authenticated: `REMOTE_USER` and `REMOTE_DOMAIN` of the reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalUser {
    /// The user's name.
    pub name: String,
    /// The name of the user's domain, if the web server tells it.
    pub domain: Option<String>,
}

/// Where the user's name is looked for (`[auth] external`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Variant {
    /// In the default domain, whatever the web server says.
    DefaultDomain,
    /// In the domain that the web server names, or the default domain if it names none.
    Domain,
}

impl Variant {
    pub(super) fn of(option: Option<&str>) -> Variant {
        if option == Some("Domain") { Variant::Domain } else { Variant::DefaultDomain }
    }
}

pub(super) struct ExternalMethod {
    pub(super) users: Users,
    pub(super) variant: Variant,
    pub(super) default_domain_id: DomainId,
}

impl AuthMethod for ExternalMethod {
    fn authenticate<'a>(
        &'a self,
        _: &'a Map<String, Value>,
        attempt: &'a Attempt<'_>,
    ) -> BoxFuture<'a, Result<Proof, LoginRefused>> {
        async move {
            let moment = attempt.as_of.moment;
            let external = attempt
                .circumstances
                .external
                .ok_or_else(|| Error::unauthorized("no trusted proxy has authenticated the client"))?;
            let resource = &self.users.resource;
            let domain = match external.domain.as_deref().filter(|_| self.variant == Variant::Domain) {
                Some(name) => resource.domain_by_name_at(moment, name).await?,
                None => resource.domain_at(moment, &self.default_domain_id).await?,
            };
            let refused = || Error::unauthorized(format!("the proxy's user {} is unknown or disabled", external.name));
            // The reference leaves it to the new token's validation to find that either is disabled.
            let domain = domain.filter(|domain| domain.enabled).ok_or_else(refused)?;
            let user = self.users.identity.find_user_by_name(moment, &external.name, &domain.id).await?;
            let user = user.map(|user| self.users.seen(&user)).filter(|user| user.enabled).ok_or_else(refused)?;
            Ok::<_, Error>(Proof::of(user, attempt.as_of))
        }
        .map_err(LoginRefused::from)
        .boxed()
    }
}
