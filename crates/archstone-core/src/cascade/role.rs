//! Deleting a role (`keystone.assignment.core.RoleManager.delete_role` and whoever listens to it).

use super::Cascade;
use crate::authz::Allowed;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::freshness::Ref;
use crate::id::RoleId;

impl Cascade {
    /// Deletes a role with its grants and its implications. Application credentials of users who had it by a grant of
    /// their own end with it, on the project of that grant; others only lose the role. 404 if there is none, 403 if it
    /// is immutable.
    ///
    /// Trusts keep its id, as in the reference: one that was to hand on a role that is gone is worth nothing any more.
    pub async fn delete_role(&self, allowed: &Allowed, id: &RoleId) -> Result<()> {
        self.foundation
            .db
            .write(move |tx| {
                Box::pin(async move {
                    self.assignment.take_role_in(tx, id).await?;
                    let role = self.assignment.get_role_in(tx, id).await?;
                    let role = role.ok_or_else(|| Error::not_found("role", id))?;
                    if role.is_immutable() {
                        return Err(Error::forbidden_open(format!(
                            "Cannot delete the role {id}: it is immutable. Set its option immutable to false first."
                        )));
                    }
                    let had_it = self.assignment.list_user_projects_of_role_in(tx, id).await?;
                    for ended in self.application_credential.delete_on_projects_in(tx, &had_it).await? {
                        tx.touch(Ref::ApplicationCredential(ended).into());
                    }
                    self.application_credential.drop_role_in(tx, id).await?;
                    self.assignment.delete_role_in(tx, id).await
                })
            })
            .await?;
        self.foundation.events.emit(Event::new("role", "deleted", &**id, allowed));
        Ok(())
    }
}
