//! Writes that reach over several subsystems, each in one transaction: what is deleted takes with it what belongs to
//! it, and ends the tokens that depend on it.
//!
//! **Invariant:** all or nothing: a deletion that is refused half-way, or whose connection is lost, has done nothing.
//! (The reference deletes step by step.)

mod actors;
mod domain;
mod group;
mod project;
mod role;
mod sql;
#[cfg(test)]
mod tests;
mod user;

use crate::application_credential::ApplicationCredentials;
use crate::assignment::Assignment;
use crate::authz::Allowed;
use crate::events::Event;
use crate::foundation::Foundation;
use crate::id::{ApplicationCredentialId, DomainId, GroupId, ProjectId, UserId};
use crate::identity::Identity;
use crate::resource::Resource;
use crate::revoke::Revoke;

/// The door of writes that reach over several subsystems.
#[derive(Clone)]
pub struct Cascade {
    foundation: Foundation,
    resource: Resource,
    identity: Identity,
    assignment: Assignment,
    application_credential: ApplicationCredentials,
    revoke: Revoke,
}

/// What a transaction has deleted, for the events after it.
#[derive(Debug, Default)]
struct Removed {
    groups: Vec<GroupId>,
    users: Vec<UserId>,
    application_credentials: Vec<ApplicationCredentialId>,
    access_rules: Vec<String>,
    projects: Vec<ProjectId>,
    domain: Option<DomainId>,
}

impl Cascade {
    /// A door onto this foundation and these doors.
    pub fn new(
        foundation: Foundation,
        resource: Resource,
        identity: Identity,
        assignment: Assignment,
        application_credential: ApplicationCredentials,
        revoke: Revoke,
    ) -> Cascade {
        Cascade { foundation, resource, identity, assignment, application_credential, revoke }
    }

    /// A domain is also told of as a project, as the reference does it.
    fn emit_deleted(&self, allowed: &Allowed, removed: &Removed) {
        let emit = |kind, id: &str| self.foundation.events.emit(Event::new(kind, "deleted", id, allowed));
        removed.groups.iter().for_each(|id| emit("group", id));
        removed.users.iter().for_each(|id| emit("user", id));
        removed.application_credentials.iter().for_each(|id| emit("application_credential", id));
        removed.access_rules.iter().for_each(|id| emit("access_rule", id));
        removed.projects.iter().for_each(|id| emit("project", id));
        removed.domain.iter().for_each(|id| emit("domain", id));
    }
}
