//! Groups: what ends the tokens of those who leave them.

use super::{Cascade, Removed};
use crate::authz::Allowed;
use crate::error::{Error, Result};
use crate::id::{GroupId, UserId};
use crate::identity::membership_event;
use crate::revoke::RevocationEvent;

impl Cascade {
    /// Deletes a group with its memberships and assignments, and ends its members' tokens if it had any assignment.
    /// 404 if there is none.
    pub async fn delete_group(&self, allowed: &Allowed, id: &GroupId) -> Result<()> {
        self.identity.require_group(allowed, id).await?;
        self.foundation
            .db
            .write(move |tx| {
                Box::pin(async move {
                    if self.identity.take_groups_in(tx, std::slice::from_ref(id)).await?.is_empty() {
                        return Err(Error::not_found("group", id));
                    }
                    self.remove_groups(tx, std::slice::from_ref(id)).await
                })
            })
            .await?;
        self.emit_deleted(allowed, &Removed { groups: vec![id.clone()], ..Removed::default() });
        Ok(())
    }

    /// Takes a user out of a group, and ends all its tokens, also those that had nothing to do with the group. 404 if
    /// it was not in it.
    pub async fn remove_user_from_group(&self, allowed: &Allowed, user: &UserId, group: &GroupId) -> Result<()> {
        self.foundation
            .db
            .write(move |tx| {
                Box::pin(async move {
                    self.identity.remove_user_from_group_in(tx, user, group).await?;
                    self.revoke.record(tx, &RevocationEvent::of_user(user)).await
                })
            })
            .await?;
        self.foundation.events.emit(membership_event("removed", user, group, allowed));
        Ok(())
    }
}
