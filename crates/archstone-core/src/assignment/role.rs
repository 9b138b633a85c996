//! Rules of roles and of what they imply (`keystone.assignment.core.RoleManager`).

use super::{Assignment, Role, sql};
use crate::authz::Allowed;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::freshness::Ref;
use crate::id::{DomainId, RoleId};

impl Assignment {
    /// The role of this id, or 404.
    pub async fn require_role(&self, _: &Allowed, id: &RoleId) -> Result<Role> {
        self.get_role(id).await?.ok_or_else(|| Error::not_found("role", id))
    }

    /// The role of this id.
    pub(crate) async fn get_role(&self, id: &RoleId) -> Result<Option<Role>> {
        sql::get_role(&self.foundation.db, id).await
    }

    /// The role of this name in a domain, or among the global ones.
    pub async fn get_role_by_name(&self, _: &Allowed, name: &str, domain: Option<&DomainId>) -> Result<Option<Role>> {
        sql::get_role_by_name(&self.foundation.db, name, domain).await
    }

    /// Makes a role. 409 if its name is taken where it belongs.
    pub async fn create_role(&self, allowed: &Allowed, role: Role) -> Result<Role> {
        let new = &role;
        self.foundation
            .db
            .write(move |tx| {
                Box::pin(async move {
                    sql::insert_role(tx, new).await?;
                    tx.touch(Ref::Roles.into());
                    Ok::<_, Error>(())
                })
            })
            .await?;
        self.foundation.events.emit(Event::new("role", "created", &*role.id, allowed));
        Ok(role)
    }

    /// Makes one role imply another. 409 if it does already.
    pub async fn create_implied_role(&self, allowed: &Allowed, prior: &RoleId, implied: &RoleId) -> Result<()> {
        self.foundation
            .db
            .write(move |tx| {
                Box::pin(async move {
                    sql::insert_implied_role(tx, prior, implied).await?;
                    tx.touch(Ref::Roles.into());
                    Ok::<_, Error>(())
                })
            })
            .await?;
        self.foundation.events.emit(Event::new("role", "updated", &**prior, allowed));
        Ok(())
    }

    /// Ends an implication. False if there was none.
    pub async fn delete_implied_role(&self, allowed: &Allowed, prior: &RoleId, implied: &RoleId) -> Result<bool> {
        let was_there = self
            .foundation
            .db
            .write(move |tx| {
                Box::pin(async move {
                    let was_there = sql::delete_implied_role(tx, prior, implied).await?;
                    tx.touch(Ref::Roles.into());
                    Ok::<_, Error>(was_there)
                })
            })
            .await?;
        if was_there {
            self.foundation.events.emit(Event::new("role", "updated", &**prior, allowed));
        }
        Ok(was_there)
    }
}
