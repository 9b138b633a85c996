//! Lists of role assignments: as they are stored, or with all that follows from them
//! (`keystone.assignment.core.Manager.list_role_assignments`).

use std::collections::{BTreeSet, HashMap, HashSet};

use super::sql::{self, Actors, AssignmentFilter, Targets};
use super::{Actor, Assignment, Grant, GrantTarget, RoleGraph};
use crate::authz::Allowed;
use crate::error::{Error, Result};
use crate::id::{DomainId, GroupId, ProjectId, RoleId, UserId};

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

/// A name, and the domain of what has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named {
    /// The name.
    pub name: String,
    /// The domain; none for a global role.
    pub domain_id: Option<DomainId>,
}

/// The names of all that a list of assignments speaks of. A user or group that is missing has none: its provider may
/// have forgotten it.
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

/// How many ids a filter names in a statement; beyond that, the filter is applied to the answer.
const MOST_IDS: usize = 5000;

impl Assignment {
    /// The assignments that a query asks for. 404 for the project of an effective list that does not exist.
    ///
    /// The number of statements does not grow with the number of assignments.
    pub async fn list_role_assignments(&self, _: &Allowed, query: &AssignmentQuery) -> Result<Vec<RoleAssignment>> {
        let below = match &query.project {
            Some(project) if query.include_subtree => self.resource.list_subtree_ids(project).await?,
            _ => Vec::new(),
        };
        let mut found = if query.effective {
            self.list_effective(query, &below).await?
        } else {
            self.list_direct(query, below).await?
        };
        if let Some(domain) = &query.within {
            let projects = self.projects_within(&found, domain).await?;
            found.retain(|assignment| match &assignment.target {
                GrantTarget::Project(id) => projects.contains(id),
                GrantTarget::Domain(id) => id == domain,
                GrantTarget::System => false,
            });
        }
        Ok(found)
    }

    /// The names of all that these assignments speak of. 404 if the target of any does not exist, or is a domain that
    /// was granted on as a project: the reference cannot name that one.
    pub async fn assignment_names(&self, _: &Allowed, assignments: &[RoleAssignment]) -> Result<Names> {
        let (mut users, mut groups, mut roles) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let (mut projects, mut domains) = (BTreeSet::new(), BTreeSet::new());
        for assignment in assignments {
            roles.insert(assignment.role_id.clone());
            match &assignment.actor {
                Actor::User(id) => drop(users.insert(id.clone())),
                Actor::Group(id) => drop(groups.insert(id.clone())),
            }
            match &assignment.target {
                GrantTarget::Project(id) => drop(projects.insert(id.clone())),
                GrantTarget::Domain(id) => drop(domains.insert(id.clone())),
                GrantTarget::System => {}
            }
        }
        let mut names = Names::default();
        for user in self.identity.get_users(&Vec::from_iter(users)).await? {
            names.users.insert(user.id, Named { name: user.name, domain_id: Some(user.domain_id) });
        }
        for group in self.identity.get_groups(&Vec::from_iter(groups)).await? {
            names.groups.insert(group.id, Named { name: group.name, domain_id: Some(group.domain_id) });
        }
        for role in self.get_roles(&Vec::from_iter(roles)).await? {
            names.roles.insert(role.id, Named { name: role.name, domain_id: role.domain_id });
        }
        for project in self.resource.get_projects(&projects.iter().cloned().collect::<Vec<_>>()).await? {
            if project.domain_id.is_none() {
                return Err(Error::not_found("domain", &project.id));
            }
            names.projects.insert(project.id, Named { name: project.name, domain_id: project.domain_id });
        }
        if let Some(missing) = projects.iter().find(|id| !names.projects.contains_key(*id)) {
            return Err(Error::not_found("project", missing));
        }
        let owning = names.users.values().chain(names.groups.values()).chain(names.projects.values());
        let owning: BTreeSet<DomainId> =
            owning.chain(names.roles.values()).filter_map(|named| named.domain_id.clone()).collect();
        let all: Vec<DomainId> = domains.union(&owning).cloned().collect();
        for domain in self.resource.get_domains(&all).await? {
            names.domains.insert(domain.id, domain.name);
        }
        if let Some(missing) = domains.iter().find(|id| !names.domains.contains_key(*id)) {
            return Err(Error::not_found("domain", missing));
        }
        Ok(names)
    }

    async fn projects_within(&self, found: &[RoleAssignment], domain: &DomainId) -> Result<HashSet<ProjectId>> {
        let targets: BTreeSet<ProjectId> = found
            .iter()
            .filter_map(|assignment| match &assignment.target {
                GrantTarget::Project(id) => Some(id.clone()),
                _ => None,
            })
            .collect();
        let projects = self.resource.get_projects(&Vec::from_iter(targets)).await?;
        let within = projects.into_iter().filter(|project| project.domain_id.as_ref() == Some(domain));
        Ok(within.map(|project| project.id).collect())
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
