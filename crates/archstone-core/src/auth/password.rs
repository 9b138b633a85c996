//! The method `password` (`keystone.auth.plugins.password`).

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::{Map, Value};

use super::{AuthMethod, AuthRequest, Circumstances, Proof, Users};
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
        _: &'a AuthRequest,
        circumstances: &'a Circumstances<'_>,
    ) -> BoxFuture<'a, Result<Proof, LoginRefused>> {
        async move {
            let user = self.users.find("password", payload).await?;
            let password = payload.get("user").and_then(|user| user.get("password")).and_then(Value::as_str);
            let password = Password::new(password.unwrap_or_default().to_owned());
            let user =
                self.users.identity.authenticate_password(user, password, circumstances.initiator.source).await?;
            Ok(Proof::of(user))
        }
        .boxed()
    }
}
