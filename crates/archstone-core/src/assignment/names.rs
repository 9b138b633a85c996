//! The names of what lists of assignments speak of.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::everywhere::Everywhere;
use super::{Actor, Assignment, GrantTarget, RoleAssignment};
use crate::error::{Error, Result};
use crate::id::{DomainId, GroupId, ProjectId, RoleId, UserId};
use crate::list::{Part, Parts};

/// A name, and the domain of what has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named {
    /// The name.
    pub name: String,
    /// The domain; none for a global role.
    pub domain_id: Option<DomainId>,
}

/// The names of all that some assignments speak of. A user or group that is missing has none: its provider may have
/// forgotten it.
#[derive(Clone, Default, Debug)]
pub struct Names {
    /// Of users.
    pub users: HashMap<UserId, Named>,
    /// Of groups.
    pub groups: HashMap<GroupId, Named>,
    /// Of projects.
    pub projects: HashMap<ProjectId, Named>,
    /// Of roles.
    pub roles: HashMap<RoleId, Named>,
    /// Of domains, also of those that the others belong to.
    pub domains: HashMap<DomainId, String>,
}

/// An entry of a list of assignments with names.
#[derive(Clone, Debug)]
pub struct NamedAssignment {
    /// The entry.
    pub assignment: RoleAssignment,
    /// The names of what it speaks of, and of others.
    pub names: Arc<Names>,
}

impl Assignment {
    /// Names a list that is in memory. 404 if the target of any does not exist, or is a domain that was granted on as a
    /// project: the reference cannot name that one.
    pub(super) async fn named(&self, assignments: Vec<RoleAssignment>) -> Result<Vec<NamedAssignment>> {
        let mut names = Names::default();
        self.add_names(&mut names, &assignments).await?;
        Ok(with_names(assignments, names))
    }

    /// Names a list that is read part by part. The names of all targets are looked up first, so that one that is missing
    /// is told as [`Assignment::named`] does; those of users only for each part.
    pub(super) async fn named_in_parts(
        &self,
        wanted: &Everywhere,
        parts: Parts<RoleAssignment>,
    ) -> Result<Parts<NamedAssignment>> {
        let mut known = Names::default();
        let targets = self.list_targets_everywhere(wanted).await?;
        self.add_projects(&mut known, targets.iter()).await?;
        self.add_domains(&mut known, targets.iter()).await?;
        let start = (self.clone(), parts, known);
        let named = stream::try_unfold(start, |(door, mut parts, mut known)| async move {
            let Some(Part { items, rest }) = parts.try_next().await? else { return Ok(None) };
            known.users.clear();
            door.add_names(&mut known, &items).await?;
            let names = known.of(&items);
            Ok::<_, Error>(Some((Part { items: with_names(items, names), rest }, (door, parts, known))))
        });
        Ok(named.boxed())
    }

    /// Looks up what these assignments speak of and is not known yet.
    async fn add_names(&self, known: &mut Names, assignments: &[RoleAssignment]) -> Result<()> {
        let (mut users, mut groups, mut roles) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for assignment in assignments {
            if !known.roles.contains_key(&assignment.role_id) {
                roles.insert(&assignment.role_id);
            }
            match &assignment.actor {
                Actor::User(id) if !known.users.contains_key(id) => drop(users.insert(id)),
                Actor::Group(id) if !known.groups.contains_key(id) => drop(groups.insert(id)),
                _ => {}
            }
        }
        let targets = assignments.iter().map(|assignment| &assignment.target);
        self.add_projects(known, targets.clone()).await?;
        for (id, domain, name) in self.identity.list_user_names(&cloned(users)).await? {
            known.users.insert(id, Named { name, domain_id: Some(domain) });
        }
        for group in self.identity.get_groups(&cloned(groups)).await? {
            known.groups.insert(group.id, Named { name: group.name, domain_id: Some(group.domain_id) });
        }
        for role in self.get_roles(&cloned(roles)).await? {
            known.roles.insert(role.id, Named { name: role.name, domain_id: role.domain_id });
        }
        self.add_domains(known, targets).await
    }

    async fn add_projects(&self, known: &mut Names, targets: impl Iterator<Item = &GrantTarget> + Send) -> Result<()> {
        let projects: BTreeSet<&ProjectId> = targets
            .filter_map(|target| match target {
                GrantTarget::Project(id) => Some(id),
                _ => None,
            })
            .filter(|id| !known.projects.contains_key(*id))
            .collect();
        for (id, domain_id, name) in self.resource.list_project_names(&cloned(projects.iter().copied())).await? {
            if domain_id.is_none() {
                return Err(Error::not_found("domain", &id));
            }
            known.projects.insert(id, Named { name, domain_id });
        }
        match projects.into_iter().find(|id| !known.projects.contains_key(*id)) {
            Some(missing) => Err(Error::not_found("project", missing)),
            None => Ok(()),
        }
    }

    /// Those that are targets, and those that what is known belongs to.
    async fn add_domains(&self, known: &mut Names, targets: impl Iterator<Item = &GrantTarget> + Send) -> Result<()> {
        let targets: BTreeSet<&DomainId> = targets
            .filter_map(|target| match target {
                GrantTarget::Domain(id) => Some(id),
                _ => None,
            })
            .collect();
        let owners = known.users.values().chain(known.groups.values()).chain(known.projects.values());
        let owners = owners.chain(known.roles.values()).filter_map(|named| named.domain_id.as_ref());
        let wanted: BTreeSet<&DomainId> = owners.chain(targets.iter().copied()).collect();
        let unknown = cloned(wanted.into_iter().filter(|id| !known.domains.contains_key(*id)));
        for domain in self.resource.get_domains(&unknown).await? {
            known.domains.insert(domain.id, domain.name);
        }
        match targets.into_iter().find(|id| !known.domains.contains_key(*id)) {
            Some(missing) => Err(Error::not_found("domain", missing)),
            None => Ok(()),
        }
    }
}

impl Names {
    /// Those of what these assignments speak of.
    fn of(&self, assignments: &[RoleAssignment]) -> Names {
        let mut names = Names { users: self.users.clone(), ..Names::default() };
        for assignment in assignments {
            copy(&self.roles, &mut names.roles, &assignment.role_id);
            if let Actor::Group(id) = &assignment.actor {
                copy(&self.groups, &mut names.groups, id);
            }
            match &assignment.target {
                GrantTarget::Project(id) => copy(&self.projects, &mut names.projects, id),
                GrantTarget::Domain(id) => copy(&self.domains, &mut names.domains, id),
                GrantTarget::System => {}
            }
        }
        let owners = names.users.values().chain(names.groups.values()).chain(names.projects.values());
        for owner in owners.chain(names.roles.values()).filter_map(|named| named.domain_id.as_ref()) {
            copy(&self.domains, &mut names.domains, owner);
        }
        names
    }
}

fn copy<I: Clone + Eq + std::hash::Hash, N: Clone>(from: &HashMap<I, N>, to: &mut HashMap<I, N>, id: &I) {
    if let (Some(name), false) = (from.get(id), to.contains_key(id)) {
        to.insert(id.clone(), name.clone());
    }
}

fn cloned<'a, I: Clone + 'a>(ids: impl IntoIterator<Item = &'a I>) -> Vec<I> {
    ids.into_iter().cloned().collect()
}

fn with_names(assignments: Vec<RoleAssignment>, names: Names) -> Vec<NamedAssignment> {
    let names = Arc::new(names);
    assignments.into_iter().map(|assignment| NamedAssignment { assignment, names: Arc::clone(&names) }).collect()
}
