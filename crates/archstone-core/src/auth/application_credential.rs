//! The method `application_credential` (`keystone.auth.plugins.application_credential`).

use futures::future::BoxFuture;
use futures::{FutureExt as _, TryFutureExt as _};
use serde_json::{Map, Value};

use super::{Attempt, AuthMethod, Proof, ProvenCredential, Users};
use crate::application_credential::ApplicationCredentials;
use crate::error::{Error, Result};
use crate::identity::LoginRefused;
use crate::identity::password::Password;

pub(super) struct ApplicationCredentialMethod {
    pub(super) users: Users,
    pub(super) application_credential: ApplicationCredentials,
}

impl AuthMethod for ApplicationCredentialMethod {
    fn authenticate<'a>(
        &'a self,
        payload: &'a Map<String, Value>,
        attempt: &'a Attempt<'_>,
    ) -> BoxFuture<'a, Result<Proof, LoginRefused>> {
        async move {
            let text = |name: &str| payload.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
            let credential = match (text("id"), text("name")) {
                // The reference tells an unknown id with 404; an unknown name with 401.
                (Some(id), _) => {
                    self.application_credential.require_for_login(attempt.as_of.moment, &id.into()).await?
                }
                (None, Some(name)) => {
                    let user = self.users.find("application_credential", payload, attempt.as_of.moment).await?;
                    let user =
                        user.ok_or_else(|| Error::unauthorized("the credential's user is unknown or disabled"))?;
                    self.application_credential
                        .get_by_name_for_login(attempt.as_of.moment, user.id(), name)
                        .await?
                        .ok_or_else(|| Error::unauthorized("the user has no application credential of this name"))?
                }
                (None, None) => return Err(Error::missing("id or name", "application credential")),
            };
            // Always the owner: a user that the request names beside an id counts for nothing (CVE-2026-42998).
            let user = self.users.find_by_id(&credential.user_id, attempt.as_of.moment).await?;
            let user = user.map(|user| self.users.seen(&user));
            let user = user.ok_or_else(|| Error::unauthorized("the credential's user is unknown or disabled"))?;
            if !user.enabled {
                return Err(Error::unauthorized("the credential's user is disabled"));
            }
            let secret = Password::new(text("secret").unwrap_or_default().to_owned());
            self.application_credential.check_secret(&credential, secret).await?;
            Ok(Proof {
                application_credential: Some(ProvenCredential {
                    id: credential.id.clone(),
                    project_id: credential.project_id.clone(),
                    expires_at: credential.expires_at,
                }),
                ..Proof::of(user, attempt.as_of)
            })
        }
        .map_err(LoginRefused::from)
        .boxed()
    }
}
