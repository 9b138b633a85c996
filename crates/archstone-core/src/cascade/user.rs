//! Users: what ends their tokens, and what goes with them.

use super::Cascade;
use crate::authz::Allowed;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::id::UserId;
use crate::identity::{Password, User, UserPatch};
use crate::revoke::RevocationEvent;

impl Cascade {
    /// Changes a user, and ends its tokens if it is disabled or gets a new password. 404 if there is none; 400, 403 and
    /// 409 as the rules of users have it.
    pub async fn update_user(&self, allowed: &Allowed, id: &UserId, patch: UserPatch) -> Result<User> {
        let prepared = &self.identity.prepare_update(id, patch).await?;
        let user = self
            .foundation
            .db
            .write(move |tx| {
                Box::pin(async move {
                    let updated = self.identity.update_user_in(tx, id, prepared).await?;
                    if updated.ends_tokens {
                        self.revoke.record(tx, &RevocationEvent::of_user(id)).await?;
                    }
                    Ok::<_, Error>(updated.user)
                })
            })
            .await?;
        self.foundation.events.emit(Event::new("user", "updated", &**id, allowed));
        Ok(user)
    }

    /// Changes a user's password for whoever knows the old one, and ends the user's tokens. 401 if it is not the
    /// user's, 400 if the rules do not let the user have the new one now.
    pub async fn change_own_password(
        &self,
        allowed: &Allowed,
        id: &UserId,
        original: Password,
        new: Password,
    ) -> Result<()> {
        let prepared = &self.identity.prepare_password_change(allowed, id, original, new).await?;
        self.foundation
            .db
            .write(move |tx| {
                Box::pin(async move {
                    self.identity.change_password_in(tx, id, prepared).await?;
                    self.revoke.record(tx, &RevocationEvent::of_user(id)).await
                })
            })
            .await?;
        self.foundation.events.emit(Event::new("user", "updated", &**id, allowed));
        Ok(())
    }

    /// Deletes a user with all that belongs to it. 404 if there is none.
    pub async fn delete_user(&self, allowed: &Allowed, id: &UserId) -> Result<()> {
        self.identity.require_user(allowed, id).await?;
        let removed = self
            .foundation
            .db
            .write(move |tx| {
                Box::pin(async move {
                    if self.identity.take_users_in(tx, std::slice::from_ref(id)).await?.is_empty() {
                        return Err(Error::not_found("user", id));
                    }
                    self.remove_users(tx, std::slice::from_ref(id)).await
                })
            })
            .await?;
        self.emit_deleted(allowed, &removed);
        Ok(())
    }

    /// Ends all tokens of a user. 404 if there is none.
    pub async fn revoke_tokens_of_user(&self, allowed: &Allowed, id: &UserId) -> Result<()> {
        self.identity.require_user(allowed, id).await?;
        self.revoke.revoke(&[RevocationEvent::of_user(id)]).await
    }
}
