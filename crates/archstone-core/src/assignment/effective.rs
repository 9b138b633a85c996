//! Which roles a user has after groups, inheritance and implication
//! (`keystone.assignment.core.Manager.list_role_assignments` with `effective`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Assignment, sql};
use crate::authz::Allowed;
use crate::error::Result;
use crate::id::{DomainId, GroupId, ProjectId, RoleId, UserId};
use crate::resource::Project;

/// A role as a token shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EffectiveRole {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: RoleId,
}

/// All roles and what each implies: two small tables that every expansion needs.
#[derive(Debug, Default)]
pub struct RoleGraph {
    pub(super) roles: HashMap<RoleId, RoleNode>,
    pub(super) implied: HashMap<RoleId, Vec<RoleId>>,
    pub(super) expansions: Expansions,
}

/// What sets of roles amount to: many tokens have the same, and share it.
#[derive(Debug, Default)]
pub(super) struct Expansions(Mutex<HashMap<Vec<RoleId>, Arc<[EffectiveRole]>>>);

/// So many sets are kept.
const MOST_EXPANSIONS: usize = 256;

#[derive(Clone, Debug)]
pub(super) struct RoleNode {
    pub(super) name: String,
    pub(super) domain_id: Option<DomainId>,
}

impl RoleGraph {
    /// These roles and all that they imply, directly or not. A circle ends where it began.
    pub fn expand(&self, roles: impl IntoIterator<Item = RoleId>) -> BTreeSet<RoleId> {
        let mut all = BTreeSet::new();
        let mut next: Vec<RoleId> = roles.into_iter().collect();
        while let Some(role) = next.pop() {
            if let Some(implied) = self.implied.get(&role) {
                next.extend(implied.iter().filter(|implied| !all.contains(*implied)).cloned());
            }
            all.insert(role);
        }
        all
    }

    /// Each step of implication from this role on, as (prior, implied); each once, also in a circle.
    pub(super) fn steps<'a>(&'a self, role: &RoleId) -> Vec<(&'a RoleId, &'a RoleId)> {
        let mut steps = Vec::new();
        let mut visited = BTreeSet::new();
        let mut next: Vec<&RoleId> = self.implied.get_key_value(role).map(|(role, _)| role).into_iter().collect();
        while let Some(prior) = next.pop() {
            if !visited.insert(prior) {
                continue;
            }
            for implied in self.implied.get(prior).map(Vec::as_slice).unwrap_or_default() {
                steps.push((prior, implied));
                next.push(implied);
            }
        }
        steps
    }

    /// The global ones among these roles, by name. Roles of a domain have done their work when others were implied.
    pub fn global(&self, roles: impl IntoIterator<Item = RoleId>) -> Vec<EffectiveRole> {
        let mut out: Vec<EffectiveRole> = roles
            .into_iter()
            .filter_map(|id| {
                let node = self.roles.get(&id)?;
                node.domain_id.is_none().then(|| EffectiveRole { name: node.name.clone(), id })
            })
            .collect();
        out.sort();
        out
    }

    /// The global roles that these roles amount to, by name.
    pub(crate) fn effective(&self, assigned: &BTreeSet<RoleId>) -> Arc<[EffectiveRole]> {
        let assigned: Vec<RoleId> = assigned.iter().cloned().collect();
        // What it guards is whole at any time.
        let mut known = self.expansions.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(roles) = known.get(&assigned) {
            return Arc::clone(roles);
        }
        let roles: Arc<[EffectiveRole]> = self.global(self.expand(assigned.iter().cloned())).into();
        if known.len() < MOST_EXPANSIONS {
            known.insert(assigned, Arc::clone(&roles));
        }
        roles
    }

    /// The roles with these ids, by name, whether of a domain or not.
    pub fn named(&self, roles: impl IntoIterator<Item = RoleId>) -> BTreeMap<RoleId, String> {
        roles.into_iter().filter_map(|id| self.roles.get(&id).map(|node| (id.clone(), node.name.clone()))).collect()
    }
}

impl Assignment {
    /// All roles and implications.
    pub(crate) async fn role_graph(&self) -> Result<RoleGraph> {
        sql::load_role_graph(&self.foundation.db).await
    }

    /// The ids of the roles assigned to a user or its groups on a project: on itself, and inherited from its domain
    /// and the projects above it. Not expanded.
    pub(crate) async fn assigned_on_project(
        &self,
        user: &UserId,
        groups: &[GroupId],
        project: &Project,
    ) -> Result<Vec<RoleId>> {
        let above = self.resource.list_parent_ids(&project.id).await?;
        let project = sql::ProjectInTree { id: &project.id, domain: project.domain_id.as_ref(), above: &above };
        sql::assigned_on_project(&self.foundation.db, user, groups, &project).await
    }

    /// The global roles that a user has on a project now, by itself, by groups, by inheritance and by implication; none
    /// on a project that does not exist.
    pub(crate) async fn list_effective_role_ids(&self, user: &UserId, project: &ProjectId) -> Result<BTreeSet<RoleId>> {
        let effective = self.list_effective_role_ids_of_any_domain(user, project).await?;
        let graph = self.role_graph().await?;
        Ok(graph.global(effective).into_iter().map(|role| role.id).collect())
    }

    /// As [`Assignment::list_effective_role_ids`], with the roles of domains, which trusts can hand over.
    pub(crate) async fn list_effective_role_ids_of_any_domain(
        &self,
        user: &UserId,
        project: &ProjectId,
    ) -> Result<BTreeSet<RoleId>> {
        let Some(project) = self.resource.get_project(project).await? else { return Ok(BTreeSet::new()) };
        let groups = self.identity.list_group_ids_of_user(user).await?;
        let assigned = self.assigned_on_project(user, &groups, &project).await?;
        Ok(self.role_graph().await?.expand(assigned))
    }

    /// The ids of the roles assigned to a user or its groups on a domain. Not expanded.
    pub(crate) async fn assigned_on_domain(
        &self,
        user: &UserId,
        groups: &[GroupId],
        domain: &DomainId,
    ) -> Result<Vec<RoleId>> {
        sql::assigned_on_domain(&self.foundation.db, user, groups, domain).await
    }

    /// The ids of the roles assigned to a user or its groups on the system. Not expanded.
    pub(crate) async fn assigned_on_system(&self, user: &UserId, groups: &[GroupId]) -> Result<Vec<RoleId>> {
        sql::assigned_on_system(&self.foundation.db, user, groups).await
    }

    /// The ids of the projects on which a user or its groups have any effective role: assigned on them, or inherited
    /// from above. Domains are not among them.
    pub async fn list_project_ids_of_user(&self, _: &Allowed, user: &UserId) -> Result<Vec<ProjectId>> {
        let groups = self.identity.list_group_ids_of_user(user).await?;
        let direct = sql::direct_targets(&self.foundation.db, user, &groups).await?;
        let graph = self.role_graph().await?;
        let counts = |role: &RoleId| !graph.global(graph.expand([role.clone()])).is_empty();
        let mut projects: BTreeSet<ProjectId> = BTreeSet::new();
        let mut inheriting_domains: BTreeSet<DomainId> = BTreeSet::new();
        let mut inheriting_projects: BTreeSet<ProjectId> = BTreeSet::new();
        for row in direct.into_iter().filter(|row| counts(&row.role_id)) {
            match (row.on_domain, row.inherited) {
                (false, false) => {
                    projects.insert(row.target_id.into());
                }
                (false, true) => {
                    inheriting_projects.insert(row.target_id.into());
                }
                (true, true) => {
                    inheriting_domains.insert(row.target_id.into());
                }
                (true, false) => {}
            }
        }
        let of_domains: Vec<DomainId> = inheriting_domains.into_iter().collect();
        projects.extend(self.resource.list_project_ids_of_domains(&of_domains).await?.into_values().flatten());
        let below: Vec<ProjectId> = inheriting_projects.into_iter().collect();
        projects.extend(self.resource.list_subtree_ids_of(&below).await?.into_values().flatten());
        Ok(projects.into_iter().collect())
    }

    /// Whether a user or its groups have a role on the system.
    pub async fn has_role_on_system(&self, _: &Allowed, user: &UserId) -> Result<bool> {
        let groups = self.identity.list_group_ids_of_user(user).await?;
        Ok(!self.assigned_on_system(user, &groups).await?.is_empty())
    }

    /// The ids of the domains on which a user or its groups have any effective role.
    pub async fn list_domain_ids_of_user(&self, _: &Allowed, user: &UserId) -> Result<Vec<DomainId>> {
        let groups = self.identity.list_group_ids_of_user(user).await?;
        let direct = sql::direct_targets(&self.foundation.db, user, &groups).await?;
        let graph = self.role_graph().await?;
        let domains: BTreeSet<DomainId> = direct
            .into_iter()
            .filter(|row| row.on_domain && !row.inherited)
            .filter(|row| !graph.global(graph.expand([row.role_id.clone()])).is_empty())
            .map(|row| row.target_id.into())
            .collect();
        Ok(domains.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(implied: &[(&str, &str)]) -> RoleGraph {
        let mut graph = RoleGraph::default();
        for (prior, then) in implied {
            graph.implied.entry((*prior).into()).or_default().push((*then).into());
        }
        graph
    }

    #[test]
    fn implication_is_transitive_and_ends_in_a_circle() {
        let graph = graph(&[("a", "b"), ("b", "c"), ("c", "a")]);
        let all = graph.expand([RoleId::from("a")]);
        assert_eq!(all, ["a", "b", "c"].map(RoleId::from).into());
    }

    #[test]
    fn a_role_of_a_domain_implies_others_but_does_not_show() {
        let mut graph = graph(&[("local", "member")]);
        let node = |domain: Option<&str>, name: &str| RoleNode { name: name.into(), domain_id: domain.map(Into::into) };
        graph.roles.insert("local".into(), node(Some("d"), "local"));
        graph.roles.insert("member".into(), node(None, "member"));
        let shown = graph.global(graph.expand([RoleId::from("local")]));
        assert_eq!(shown, [EffectiveRole { name: "member".into(), id: "member".into() }]);
    }
}
