//! The method `password` (`keystone.auth.plugins.password`).

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Map, Value};

use super::{Attempt, AuthMethod, Proof, Users};
use crate::error::Result;
use crate::identity::LoginRefused;
use crate::identity::password::Password;

pub(super) struct PasswordMethod {
    pub(super) users: Users,
}

impl AuthMethod for PasswordMethod {
    fn authenticate<'a>(
        &'a self,
        payload: &'a Map<String, Value>,
        attempt: &'a Attempt<'_>,
    ) -> BoxFuture<'a, Result<Proof, LoginRefused>> {
        async move {
            let user = self.users.find("password", payload, attempt.as_of.moment).await?;
            let password = payload.get("user").and_then(|user| user.get("password")).and_then(Value::as_str);
            let password = Password::new(password.unwrap_or_default().to_owned());
            let source = attempt.circumstances.initiator.source;
            let proven = self.users.identity.authenticate_password(attempt.as_of, user, password, source).await?;
            Ok(Proof::of(proven.user, proven.as_of))
        }
        .boxed()
    }
}
