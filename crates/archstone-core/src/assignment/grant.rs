//! Grants: a role for a user or group on a project, a domain or the system.

use super::{Assignment, sql};
use crate::authz::Allowed;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::freshness::Ref;
use crate::id::{DomainId, GroupId, ProjectId, RoleId, UserId};

/// Who has a role.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Actor {
    /// A user.
    User(UserId),
    /// A group, and so each of its users.
    Group(GroupId),
}

impl Actor {
    /// The id, whatever it is of.
    pub fn id(&self) -> &str {
        match self {
            Actor::User(id) => id,
            Actor::Group(id) => id,
        }
    }
}

/// Where a role counts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GrantTarget {
    /// On a project.
    Project(ProjectId),
    /// On a domain.
    Domain(DomainId),
    /// On the system.
    System,
}

/// A role assignment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// The role.
    pub role_id: RoleId,
    /// Who has it.
    pub actor: Actor,
    /// Where.
    pub target: GrantTarget,
    /// Whether it counts for the projects below the target, and not on the target itself.
    pub inherited: bool,
}

impl Assignment {
    /// Makes a grant; one that is there already stays as it is. Everything that it names must exist: the caller has
    /// looked.
    pub async fn create_grant(&self, allowed: &Allowed, grant: &Grant) -> Result<()> {
        self.foundation
            .db
            .write(move |tx| {
                Box::pin(async move {
                    sql::insert_grant(tx, grant).await?;
                    tx.touch(Ref::Assignments(grant.actor.id().to_owned()).into());
                    Ok::<_, Error>(())
                })
            })
            .await?;
        self.foundation.events.emit(Event::new("role_assignment", "created", &*grant.role_id, allowed));
        Ok(())
    }
}
