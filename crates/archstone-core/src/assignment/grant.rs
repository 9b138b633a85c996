//! Grants: a role for a user or group on a project, a domain or the system.

use archstone_db::Tx;
use serde_json::Value;

use super::{Assignment, Role, sql};
use crate::authz::Allowed;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::freshness::Ref;
use crate::id::{DomainId, GroupId, ProjectId, RoleId, UserId};
use crate::resource::Project;

/// Who has a role.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
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
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum GrantTarget {
    /// On a project.
    Project(ProjectId),
    /// On a domain.
    Domain(DomainId),
    /// On the system.
    System,
}

impl GrantTarget {
    /// The id of the project or domain; none for the system.
    pub fn id(&self) -> Option<&str> {
        match self {
            GrantTarget::Project(id) => Some(id),
            GrantTarget::Domain(id) => Some(id),
            GrantTarget::System => None,
        }
    }
}

/// Whether a user or group that does not exist may be granted something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum UnknownActor {
    Refused,
    Fine,
}

/// A role assignment as it is stored.
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
    /// Makes a grant; one that is there already stays as it is. 404 if there is no such role, project or domain, 403
    /// for the role of a domain on a project of another, 400 for the role of a domain on the system.
    ///
    /// 404 also if there is no such user or group.
    pub async fn create_grant(&self, allowed: &Allowed, grant: &Grant) -> Result<()> {
        let done = self.try_create_grant(grant, UnknownActor::Refused).await;
        self.tell_of_grant("created", grant, done.is_ok(), allowed);
        done
    }

    /// As [`Assignment::create_grant`], but whether there is such a user or group is not asked: through `OS-INHERIT`
    /// the reference grants to users whom it does not know yet, as those of an identity provider.
    pub async fn create_grant_to_anybody(&self, allowed: &Allowed, grant: &Grant) -> Result<()> {
        let done = self.try_create_grant(grant, UnknownActor::Fine).await;
        self.tell_of_grant("created", grant, done.is_ok(), allowed);
        done
    }

    async fn try_create_grant(&self, grant: &Grant, unknown_actor: UnknownActor) -> Result<()> {
        let role = self.require_granted_role(grant).await?;
        if let Some(project) = self.require_target(&grant.target).await?
            && role.domain_id.is_some()
            && role.domain_id != project.domain_id
        {
            return Err(Error::forbidden_open(format!(
                "The role {} and the project {} belong to different domains.",
                role.id, project.id
            )));
        }
        if role.domain_id.is_some() && grant.target == GrantTarget::System {
            return Err(Error::bad_request(format!(
                "The role {} belongs to a domain: it cannot be granted on the system.",
                role.id
            )));
        }
        self.foundation
            .db
            .write(move |tx| {
                Box::pin(async move {
                    self.hold_parts(tx, grant, unknown_actor).await?;
                    sql::insert_grant(tx, grant).await?;
                    tx.touch(Ref::Assignments(grant.actor.id().to_owned()).into());
                    Ok(())
                })
            })
            .await
    }

    /// Grants without any check, for tests of many.
    #[cfg(test)]
    pub(crate) async fn insert_grants(&self, grants: &[Grant]) {
        let wrote = self.foundation.db.write(|tx| {
            Box::pin(async move {
                for grant in grants {
                    sql::insert_grant(tx, grant).await?;
                    tx.touch(Ref::Assignments(grant.actor.id().to_owned()).into());
                }
                Ok::<_, Error>(())
            })
        });
        wrote.await.unwrap();
    }

    /// Keeps all that a grant refers to until the transaction ends. 404 if any of it is not there.
    async fn hold_parts(&self, tx: &mut Tx<'_>, grant: &Grant, unknown_actor: UnknownActor) -> Result<()> {
        self.hold_role_in(tx, &grant.role_id).await?;
        if unknown_actor == UnknownActor::Refused {
            match &grant.actor {
                Actor::User(id) => self.identity.hold_user_in(tx, id).await?,
                Actor::Group(id) => self.identity.hold_group_in(tx, id).await?,
            }
        }
        let (kind, id) = match &grant.target {
            GrantTarget::Project(id) => ("project", &**id),
            GrantTarget::Domain(id) => ("domain", &**id),
            GrantTarget::System => return Ok(()),
        };
        if self.resource.hold_project_in(tx, id).await? { Ok(()) } else { Err(Error::not_found(kind, id)) }
    }

    /// Ends a grant. 404 if there is none, or no such role, project or domain.
    pub async fn delete_grant(&self, allowed: &Allowed, grant: &Grant) -> Result<()> {
        let done = self.try_delete_grant(grant).await;
        self.tell_of_grant("deleted", grant, done.is_ok(), allowed);
        done
    }

    async fn try_delete_grant(&self, grant: &Grant) -> Result<()> {
        self.require_granted_role(grant).await?;
        self.require_target(&grant.target).await?;
        self.foundation
            .db
            .write(move |tx| {
                Box::pin(async move {
                    if !sql::delete_grant(tx, grant).await? {
                        return Err(no_such_grant(grant));
                    }
                    tx.touch(Ref::Assignments(grant.actor.id().to_owned()).into());
                    Ok(())
                })
            })
            .await
    }

    /// 404 if there is no such grant, or no such role, project or domain.
    pub async fn check_grant(&self, _: &Allowed, grant: &Grant) -> Result<()> {
        self.require_granted_role(grant).await?;
        self.require_target(&grant.target).await?;
        if sql::has_grant(&self.foundation.db, grant).await? { Ok(()) } else { Err(no_such_grant(grant)) }
    }

    /// The roles that an actor was granted on a target: what counts there, or what is inherited from there. 404 for a
    /// project or domain that does not exist.
    pub async fn list_granted_roles(
        &self,
        _: &Allowed,
        actor: &Actor,
        target: &GrantTarget,
        inherited: bool,
    ) -> Result<Vec<Role>> {
        self.require_target(target).await?;
        let ids = sql::granted_role_ids(&self.foundation.db, actor, target, inherited).await?;
        self.get_roles(&ids).await
    }

    /// Which users were granted a role on which projects, not by a group.
    pub(crate) async fn list_user_projects_of_role_in(
        &self,
        tx: &mut Tx<'_>,
        role: &RoleId,
    ) -> Result<Vec<(UserId, ProjectId)>> {
        sql::user_projects_of_role(tx, role).await
    }

    async fn require_granted_role(&self, grant: &Grant) -> Result<Role> {
        self.get_role(&grant.role_id).await?.ok_or_else(|| Error::not_found("role", &grant.role_id))
    }

    /// The project that the target is; none for a domain or the system. 404 if it does not exist.
    async fn require_target(&self, target: &GrantTarget) -> Result<Option<Project>> {
        match target {
            GrantTarget::Project(id) => {
                let found = self.resource.get_project(id).await?;
                found.map(Some).ok_or_else(|| Error::not_found("project", id))
            }
            GrantTarget::Domain(id) => {
                let found = self.resource.get_domain(id).await?;
                found.map(|_| None).ok_or_else(|| Error::not_found("domain", id))
            }
            GrantTarget::System => Ok(None),
        }
    }

    fn tell_of_grant(&self, operation: &'static str, grant: &Grant, succeeded: bool, allowed: &Allowed) {
        // The reference tells nothing of grants on the system.
        let (kind, id) = match &grant.target {
            GrantTarget::Project(id) => ("project", &**id),
            GrantTarget::Domain(id) => ("domain", &**id),
            GrantTarget::System => return,
        };
        let actor = match &grant.actor {
            Actor::User(_) => "user",
            Actor::Group(_) => "group",
        };
        let mut event = Event::new("role_assignment", operation, &*grant.role_id, allowed);
        event.outcome = if succeeded { "success" } else { "failure" };
        event.details.insert(kind.to_owned(), Value::from(id));
        event.details.insert(actor.to_owned(), Value::from(grant.actor.id()));
        event.details.insert("inherited_to_projects".to_owned(), Value::from(grant.inherited));
        event.details.insert("role".to_owned(), Value::from(&*grant.role_id));
        self.foundation.events.emit(event);
    }
}

fn no_such_grant(grant: &Grant) -> Error {
    Error::not_found(
        "role assignment",
        format!(
            "role {}, user or group {}, project, domain or system {}",
            grant.role_id,
            grant.actor.id(),
            grant.target.id().unwrap_or("system")
        ),
    )
}
