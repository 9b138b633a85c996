//! Lists of role assignments: as they are stored, or with all that follows from them
//! (`keystone.assignment.core.Manager.list_role_assignments`).

use std::collections::{BTreeSet, HashMap, HashSet};

use futures::stream::{StreamExt as _, TryStreamExt as _};

use super::everywhere::Everywhere;
use super::names::NamedAssignment;
use super::sql::{self, Actors, AssignmentFilter, Targets};
use super::{Actor, Assignment, Grant, GrantTarget, RoleGraph};
use crate::authz::Allowed;
use crate::error::{Error, Result};
use crate::id::{DomainId, GroupId, ProjectId, RoleId, UserId};
use crate::list::{Part, Parts, parts, whole};

/// What a list of assignments is asked for. What is `None` or false is no condition.
#[derive(Clone, Debug, Default)]
pub struct AssignmentQuery {
    /// Of this role; an effective list looks at it after implication.
    pub role: Option<RoleId>,
    /// Of this user; an effective list counts its groups in.
    pub user: Option<UserId>,
    /// Of this group. Not in an effective list, where groups have become their users.
    pub group: Option<GroupId>,
    /// On this project.
    pub project: Option<ProjectId>,
    /// And on those below it.
    pub include_subtree: bool,
    /// On this domain.
    pub domain: Option<DomainId>,
    /// On the system only.
    pub system: bool,
    /// Only those that are, or are not, inherited to projects.
    pub inherited: Option<bool>,
    /// With groups, inheritance and implication followed.
    pub effective: bool,
    /// Only those on this domain and its projects, whatever else was asked: the caller's token is of that domain.
    pub within: Option<DomainId>,
}

/// One entry of a list of assignments, and where it comes from.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct RoleAssignment {
    /// The role.
    pub role_id: RoleId,
    /// Who has it.
    pub actor: Actor,
    /// Where.
    pub target: GrantTarget,
    /// Whether it is inherited to projects, as stored.
    pub inherited: bool,
    /// What it follows from.
    pub source: Source,
}

/// What an effective assignment follows from; nothing of it for one that is stored just so.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
pub struct Source {
    /// The group that was granted the role.
    pub group: Option<GroupId>,
    /// The project or domain that it was inherited from.
    pub target: Option<GrantTarget>,
    /// The role that implies this one directly.
    pub prior_role: Option<RoleId>,
}

impl AssignmentQuery {
    /// Whether it asks for what is stored for anybody on anything.
    fn is_everywhere(&self) -> bool {
        let anybody = self.user.is_none() && self.group.is_none();
        let anything = self.project.is_none() && self.domain.is_none() && !self.system && !self.include_subtree;
        anybody && anything && !self.effective
    }
}

enum Listed {
    InMemory(Vec<RoleAssignment>),
    Everywhere(Everywhere, Parts<RoleAssignment>),
}

/// How many ids a filter names in a statement; beyond that, the filter is applied to the answer.
const MOST_IDS: usize = 5000;

impl Assignment {
    /// The assignments that a query asks for. 404 for the project of an effective list that does not exist.
    ///
    /// The number of statements does not grow with the number of assignments, but for the parts of a list of all.
    pub async fn list_role_assignments(&self, _: &Allowed, query: &AssignmentQuery) -> Result<Parts<RoleAssignment>> {
        match self.list(query).await? {
            Listed::InMemory(found) => Ok(parts::in_memory(found)),
            Listed::Everywhere(_, parts) => Ok(parts),
        }
    }

    /// The same with names. 404 also if the target of any does not exist, or is a domain that was granted on as a
    /// project: the reference cannot name that one.
    pub async fn list_named_role_assignments(
        &self,
        _: &Allowed,
        query: &AssignmentQuery,
    ) -> Result<Parts<NamedAssignment>> {
        match self.list(query).await? {
            Listed::InMemory(found) => Ok(parts::in_memory(self.named(found).await?)),
            Listed::Everywhere(wanted, parts) => self.named_in_parts(&wanted, parts).await,
        }
    }

    async fn list(&self, query: &AssignmentQuery) -> Result<Listed> {
        if query.is_everywhere() {
            let wanted = Everywhere { role: query.role.clone(), inherited: query.inherited, with_system: true };
            let (door, within) = (self.clone(), query.within.clone());
            let parts = self.list_everywhere(&wanted).and_then(move |part| {
                let (door, within) = (door.clone(), within.clone());
                async move {
                    let items = door.only_within(part.items.into_iter().map(stored).collect(), within.as_ref()).await?;
                    Ok(Part { items, rest: part.rest })
                }
            });
            return Ok(Listed::Everywhere(wanted, parts.boxed()));
        }
        let below = match &query.project {
            Some(project) if query.include_subtree => self.resource.list_subtree_ids(project).await?,
            _ => Vec::new(),
        };
        let found = if query.effective {
            self.list_effective(query, &below).await?
        } else {
            self.list_direct(query, below).await?
        };
        Ok(Listed::InMemory(self.only_within(found, query.within.as_ref()).await?))
    }

    async fn only_within(
        &self,
        mut found: Vec<RoleAssignment>,
        domain: Option<&DomainId>,
    ) -> Result<Vec<RoleAssignment>> {
        if let Some(domain) = domain {
            let projects = self.projects_within(&found, domain).await?;
            found.retain(|assignment| match &assignment.target {
                GrantTarget::Project(id) => projects.contains(id),
                GrantTarget::Domain(id) => id == domain,
                GrantTarget::System => false,
            });
        }
        Ok(found)
    }

    async fn projects_within(&self, found: &[RoleAssignment], domain: &DomainId) -> Result<HashSet<ProjectId>> {
        let targets: BTreeSet<ProjectId> = found
            .iter()
            .filter_map(|assignment| match &assignment.target {
                GrantTarget::Project(id) => Some(id.clone()),
                _ => None,
            })
            .collect();
        let projects = self.resource.list_project_names(&Vec::from_iter(targets)).await?;
        let within = projects.into_iter().filter(|(_, owner, _)| owner.as_ref() == Some(domain));
        Ok(within.map(|(id, ..)| id).collect())
    }

    /// What is stored, and nothing else.
    async fn list_direct(&self, query: &AssignmentQuery, below: Vec<ProjectId>) -> Result<Vec<RoleAssignment>> {
        let group: Vec<GroupId> = query.group.iter().cloned().collect();
        let actors = match (&query.user, group.as_slice()) {
            (Some(user), _) => Actors::User(user),
            (None, []) => Actors::Any,
            (None, groups) => Actors::Groups(groups),
        };
        let role = query.role.as_ref();
        let mut found = Vec::new();
        if !query.system {
            let mut projects = below;
            projects.extend(query.project.clone());
            let targets = match &query.domain {
                Some(domain) => Targets::Domain(domain),
                None if projects.is_empty() => Targets::Any,
                None => Targets::Projects(&projects),
            };
            let filter = AssignmentFilter { role, actors, targets, inherited: query.inherited };
            found = self.list_stored(&filter).await?;
        }
        if query.system || (query.project.is_none() && query.domain.is_none()) {
            found.extend(sql::list_system_assignments(&self.foundation.db, role, actors).await?);
        }
        Ok(found.into_iter().map(stored).collect())
    }

    async fn list_stored(&self, filter: &AssignmentFilter<'_>) -> Result<Vec<Grant>> {
        let db = &self.foundation.db;
        match filter.targets {
            Targets::Any if matches!(filter.actors, Actors::Any) => {
                let role = filter.role.cloned();
                let wanted = Everywhere { role, inherited: filter.inherited, with_system: false };
                Ok(whole(self.list_everywhere(&wanted)).await?.items)
            }
            Targets::Projects(ids) if ids.len() > MOST_IDS => {
                let wanted: HashSet<&ProjectId> = ids.iter().collect();
                let mut found =
                    sql::list_assignments(db, &AssignmentFilter { targets: Targets::Any, ..*filter }).await?;
                found.retain(|grant| matches!(&grant.target, GrantTarget::Project(id) if wanted.contains(id)));
                Ok(found)
            }
            _ => sql::list_assignments(db, filter).await,
        }
    }

    /// What follows from what is stored: groups become their users, inheritance its projects, roles what they imply.
    /// Roles of a domain have done their work then.
    async fn list_effective(&self, query: &AssignmentQuery, below: &[ProjectId]) -> Result<Vec<RoleAssignment>> {
        // Groups are gone from an effective list, and a domain inherits from nothing.
        if query.group.is_some() || (query.domain.is_some() && query.inherited == Some(true)) {
            return Ok(Vec::new());
        }
        let mut grants = Vec::new();
        match &query.user {
            None => self.collect(Actors::Any, query, below, &mut grants).await?,
            Some(user) => {
                // The reference asks for the user's groups, and so for the user.
                if self.identity.get_user_for_token(user).await?.is_none() {
                    return Err(Error::not_found("user", user));
                }
                self.collect(Actors::User(user), query, below, &mut grants).await?;
                let groups = self.identity.list_group_ids_of_user(user).await?;
                if !groups.is_empty() {
                    self.collect(Actors::Groups(&groups), query, below, &mut grants).await?;
                }
            }
        }
        let placed = self.follow_inheritance(grants, query.project.as_ref(), below).await?;
        let of_users = self.follow_groups(placed, query.user.as_ref()).await?;
        let graph = self.role_graph().await?;
        Ok(follow_implication(&of_users, &graph, query.role.as_ref()))
    }

    /// What is stored and can bear on the targets that are asked for.
    async fn collect(
        &self,
        actors: Actors<'_>,
        query: &AssignmentQuery,
        below: &[ProjectId],
        found: &mut Vec<Grant>,
    ) -> Result<()> {
        // A role is looked at when implication has been followed.
        let filter = |targets, inherited| AssignmentFilter { role: None, actors, targets, inherited: Some(inherited) };
        let inherited = if query.domain.is_some() { Some(false) } else { query.inherited };
        let mut asked = below.to_vec();
        asked.extend(query.project.clone());
        let targets = match &query.domain {
            Some(domain) => Targets::Domain(domain),
            None if asked.is_empty() => Targets::Any,
            None => Targets::Projects(&asked),
        };
        if inherited != Some(true) {
            found.extend(self.list_stored(&filter(targets, false)).await?);
        }
        if inherited == Some(false) {
            return Ok(());
        }
        let Some(project) = &query.project else {
            found.extend(self.list_stored(&filter(Targets::Any, true)).await?);
            return Ok(());
        };
        let project = self.resource.get_project(project).await?.ok_or_else(|| Error::not_found("project", project))?;
        // A domain that is asked for as a project has none above it, and inherits nothing.
        if let Some(domain) = &project.domain_id {
            found.extend(self.list_stored(&filter(Targets::Domain(domain), true)).await?);
        }
        let mut above = self.resource.list_parent_ids(&project.id).await?;
        if !below.is_empty() {
            above.extend_from_slice(&asked);
        }
        if !above.is_empty() {
            found.extend(self.list_stored(&filter(Targets::Projects(&above), true)).await?);
        }
        Ok(())
    }

    /// Puts what is inherited where it counts: on `project` and those `below` it, or wherever, if none is asked for.
    async fn follow_inheritance(
        &self,
        grants: Vec<Grant>,
        project: Option<&ProjectId>,
        below: &[ProjectId],
    ) -> Result<Vec<RoleAssignment>> {
        let mut asked: Vec<ProjectId> = project.iter().copied().cloned().collect();
        asked.extend_from_slice(below);
        let (mut roots, mut domains) = (BTreeSet::new(), BTreeSet::new());
        for grant in grants.iter().filter(|grant| grant.inherited) {
            match &grant.target {
                // From within the projects that are asked for, only a part of them inherits.
                GrantTarget::Project(id) if asked.is_empty() || asked.contains(id) => drop(roots.insert(id.clone())),
                GrantTarget::Domain(id) if asked.is_empty() => drop(domains.insert(id.clone())),
                _ => {}
            }
        }
        let subtrees = self.resource.list_subtree_ids_of(&roots.iter().cloned().collect::<Vec<_>>()).await?;
        let of_domains = self.resource.list_project_ids_of_domains(&Vec::from_iter(domains)).await?;
        let mut placed = Vec::new();
        for grant in grants {
            if !grant.inherited {
                placed.push(stored(grant));
                continue;
            }
            let on = match &grant.target {
                GrantTarget::Project(id) if roots.contains(id) => subtrees.get(id).map(Vec::as_slice),
                GrantTarget::Domain(id) if asked.is_empty() => of_domains.get(id).map(Vec::as_slice),
                _ => Some(asked.as_slice()),
            };
            placed.extend(on.unwrap_or_default().iter().map(|project| RoleAssignment {
                role_id: grant.role_id.clone(),
                actor: grant.actor.clone(),
                target: GrantTarget::Project(project.clone()),
                inherited: false,
                source: Source { target: Some(grant.target.clone()), ..Source::default() },
            }));
        }
        Ok(placed)
    }

    /// Gives what groups have to their users, or to the one who is asked for.
    async fn follow_groups(&self, placed: Vec<RoleAssignment>, user: Option<&UserId>) -> Result<Vec<RoleAssignment>> {
        let mut members: HashMap<GroupId, Vec<UserId>> = HashMap::new();
        let groups = placed.iter().filter_map(|assignment| match &assignment.actor {
            Actor::Group(id) => Some(id.clone()),
            Actor::User(_) => None,
        });
        let groups: BTreeSet<GroupId> = groups.collect();
        match user {
            Some(user) => members.extend(groups.into_iter().map(|group| (group, vec![user.clone()]))),
            None if groups.is_empty() => {}
            None => {
                for (group, member) in self.identity.list_memberships(&Vec::from_iter(groups)).await? {
                    members.entry(group).or_default().push(member);
                }
            }
        }
        let mut of_users = Vec::new();
        for assignment in placed {
            let Actor::Group(group) = &assignment.actor else {
                of_users.push(assignment);
                continue;
            };
            for member in members.get(group).map(Vec::as_slice).unwrap_or_default() {
                of_users.push(RoleAssignment {
                    actor: Actor::User(member.clone()),
                    source: Source { group: Some(group.clone()), ..assignment.source.clone() },
                    ..assignment.clone()
                });
            }
        }
        Ok(of_users)
    }
}

fn stored(grant: Grant) -> RoleAssignment {
    RoleAssignment {
        role_id: grant.role_id,
        actor: grant.actor,
        target: grant.target,
        inherited: grant.inherited,
        source: Source::default(),
    }
}

/// Adds what each role implies, once for each role that implies it directly; leaves out roles of domains, and all but
/// the one that is asked for.
fn follow_implication(assignments: &[RoleAssignment], graph: &RoleGraph, role: Option<&RoleId>) -> Vec<RoleAssignment> {
    let mut steps: HashMap<&RoleId, Vec<(&RoleId, &RoleId)>> = HashMap::new();
    let is_shown = |id: &RoleId| {
        graph.roles.get(id).is_some_and(|node| node.domain_id.is_none()) && role.is_none_or(|role| role == id)
    };
    let mut seen = HashSet::new();
    let mut all = Vec::new();
    for assignment in assignments {
        if is_shown(&assignment.role_id) {
            all.push(assignment.clone());
        }
        let steps = steps.entry(&assignment.role_id).or_insert_with(|| graph.steps(&assignment.role_id));
        for (prior, implied) in steps.iter().filter(|(_, implied)| is_shown(implied)) {
            let source = Source { prior_role: Some((*prior).clone()), ..assignment.source.clone() };
            let follows = RoleAssignment { role_id: (*implied).clone(), source, ..assignment.clone() };
            // The same by two ways, as from a role and from another that implies it, is one.
            if seen.insert(follows.clone()) {
                all.push(follows);
            }
        }
    }
    all
}
