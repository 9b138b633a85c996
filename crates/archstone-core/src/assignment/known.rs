//! Roles and assignments as tokens need them, in memory.
//!
//! What an actor has is loaded as a whole. A grant that goes with its project or domain is told by
//! [`Ref::Project`] alone, so that the target must not have been touched since: there may be another one of its id.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::{Actor, Assignment, RoleGraph, sql};
use crate::error::Result;
use crate::foundation::Foundation;
use crate::freshness::{Moment, Ref};
use crate::id::{DomainId, GroupId, ProjectId, RoleId, UserId};
use crate::memory::{Basis, Batch, Batches, Capacity, Known, Loaded, Memory};
use crate::resource::Place;

/// More assignments of one actor are not kept: what counts on one target is then asked of the database each time.
const MOST_ROWS: usize = 2000;

/// The assignments of a user or group on projects and domains.
#[derive(Debug)]
pub(super) enum Assigned {
    /// All of them.
    All(Box<[OnTarget]>, Box<[RoleId]>),
    /// More than are kept.
    TooMany,
}

/// One of them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct OnTarget {
    target: Box<str>,
    on_domain: bool,
    inherited: bool,
    /// Which of the actor's roles.
    role: u32,
}

impl Assigned {
    fn from_rows(rows: Vec<sql::AssignedRow>) -> Assigned {
        if rows.len() > MOST_ROWS {
            return Assigned::TooMany;
        }
        let mut roles: Vec<RoleId> = Vec::new();
        let mut targets = Vec::with_capacity(rows.len());
        for row in rows {
            let role = roles.iter().position(|role| *role == row.role_id).unwrap_or_else(|| {
                roles.push(row.role_id);
                roles.len() - 1
            });
            targets.push(OnTarget {
                target: row.target_id.into(),
                on_domain: row.on_domain,
                inherited: row.inherited,
                // There are no more roles than rows.
                role: u32::try_from(role).unwrap_or(u32::MAX),
            });
        }
        targets.sort_unstable();
        Assigned::All(targets.into(), roles.into())
    }

    /// The roles on a target; `None` if that is not known.
    fn on<'a>(&'a self, id: &'a str, on_domain: bool, inherited: bool) -> Option<impl Iterator<Item = &'a RoleId>> {
        let Assigned::All(targets, roles) = self else { return None };
        let first = targets.partition_point(|target| *target.target < *id);
        let here = targets[first..].iter().take_while(move |target| *target.target == *id);
        let fits = here.filter(move |target| target.on_domain == on_domain && target.inherited == inherited);
        Some(fits.filter_map(|target| roles.get(target.role as usize)))
    }

    fn bytes(&self) -> usize {
        match self {
            Assigned::All(targets, roles) => 300 + targets.len() * (size_of::<OnTarget>() + 48) + roles.len() * 72,
            Assigned::TooMany => 300,
        }
    }
}

/// What tokens need of this subsystem.
#[derive(Clone)]
pub(super) struct Memories {
    graph: Memory<(), Arc<RoleGraph>>,
    assigned: Batches<Actor, Arc<Assigned>>,
    on_system: Batches<Actor, Arc<[RoleId]>>,
}

impl Memories {
    pub(super) fn new(foundation: &Foundation) -> Memories {
        let freshness = &foundation.freshness;
        let assignments = foundation.caches().assignments;
        let capacity = |hundredths: u64, entry_bytes| Capacity { bytes: assignments / 100 * hundredths, entry_bytes };
        let db = foundation.db.clone();
        let assigned = Batches::new(freshness.clone(), capacity(80, 2048), move |actors: Vec<Actor>| {
            let db = db.clone();
            async move {
                let rows = sql::assigned_to(&db, &actors, MOST_ROWS).await?;
                Ok(per_actor(actors, rows, |rows| {
                    let assigned = Assigned::from_rows(rows);
                    let bytes = assigned.bytes();
                    (Arc::new(assigned), bytes)
                }))
            }
        });
        let db = foundation.db.clone();
        let on_system = Batches::new(freshness.clone(), capacity(10, 512), move |actors: Vec<Actor>| {
            let db = db.clone();
            async move {
                let rows = sql::assigned_on_system_to(&db, &actors).await?;
                Ok(per_actor(actors, rows, |roles: Vec<RoleId>| {
                    let bytes = 300 + roles.len() * 72;
                    (Arc::from(roles), bytes)
                }))
            }
        });
        Memories { graph: Memory::new(freshness.clone(), capacity(10, 65_536)), assigned, on_system }
    }
}

/// What each actor has; nothing, where no row was found.
fn per_actor<R, V>(
    actors: Vec<Actor>,
    mut rows: HashMap<Actor, Vec<R>>,
    value: impl Fn(Vec<R>) -> (V, usize),
) -> Batch<Actor, V> {
    let loaded = actors.into_iter().map(|actor| {
        let (value, bytes) = value(rows.remove(&actor).unwrap_or_default());
        // A grant that goes with its role is told as a change of roles.
        let depends_on = [Ref::Assignments(actor.id().to_owned()), Ref::Roles];
        (actor, Loaded::new(value, depends_on, bytes))
    });
    loaded.collect()
}

fn actors<'a>(user: &UserId, groups: impl IntoIterator<Item = &'a GroupId>) -> Vec<Actor> {
    std::iter::once(Actor::User(user.clone())).chain(groups.into_iter().cloned().map(Actor::Group)).collect()
}

impl Assignment {
    /// All roles and implications, as of this moment or later.
    pub(crate) async fn role_graph_at(&self, moment: Moment) -> Result<Known<Arc<RoleGraph>>> {
        let load = |_| {
            let db = self.foundation.db.clone();
            async move {
                let graph = sql::load_role_graph(&db).await?;
                let bytes = 4096 + graph.roles.len() * 512 + graph.implied.len() * 256;
                Ok(Loaded::new(Arc::new(graph), [Ref::Roles], bytes))
            }
        };
        self.memories.graph.get_or_load(moment, &(), load).await
    }

    /// As [`Assignment::assigned_on_project`], as of this moment or later.
    pub(crate) async fn assigned_on_project_at(
        &self,
        moment: Moment,
        basis: &mut Basis,
        user: &UserId,
        groups: &[GroupId],
        project: &Place,
    ) -> Result<BTreeSet<RoleId>> {
        let mut roles = BTreeSet::new();
        let mut all_known = true;
        let mut targets = vec![Ref::Project(project.id.clone())];
        targets.extend(project.above.iter().cloned().map(Ref::Project));
        for known in self.memories.assigned.get_all(moment, actors(user, groups), &targets).await? {
            let assigned = basis.take(known);
            let mut add = |id: &str, on_domain, inherited| match assigned.on(id, on_domain, inherited) {
                Some(here) => roles.extend(here.cloned()),
                None => all_known = false,
            };
            add(&project.id, false, false);
            project.above.iter().for_each(|above| add(above, false, true));
            if let Some(domain) = &project.domain_id {
                add(domain, true, true);
            }
        }
        if all_known {
            return Ok(roles);
        }
        let domain = project.domain_id.as_ref();
        let on = sql::ProjectInTree { id: &project.id, domain, above: &project.above };
        Ok(sql::assigned_on_project(&self.foundation.db, user, groups, &on).await?.into_iter().collect())
    }

    /// As [`Assignment::assigned_on_domain`], as of this moment or later.
    pub(crate) async fn assigned_on_domain_at(
        &self,
        moment: Moment,
        basis: &mut Basis,
        user: &UserId,
        groups: &[GroupId],
        domain: &DomainId,
    ) -> Result<BTreeSet<RoleId>> {
        let mut roles = BTreeSet::new();
        let mut all_known = true;
        let target = [Ref::Project(ProjectId::from(&**domain))];
        for known in self.memories.assigned.get_all(moment, actors(user, groups), &target).await? {
            match basis.take(known).on(domain, true, false) {
                Some(here) => roles.extend(here.cloned()),
                None => all_known = false,
            }
        }
        if all_known {
            return Ok(roles);
        }
        Ok(self.assigned_on_domain(user, groups, domain).await?.into_iter().collect())
    }

    /// As [`Assignment::assigned_on_system`], as of this moment or later.
    pub(crate) async fn assigned_on_system_at(
        &self,
        moment: Moment,
        basis: &mut Basis,
        user: &UserId,
        groups: &[GroupId],
    ) -> Result<BTreeSet<RoleId>> {
        let known = self.memories.on_system.get_all(moment, actors(user, groups), &[]).await?;
        Ok(known.into_iter().flat_map(|known| basis.take(known).to_vec()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(target: &str, role: &str, on_domain: bool, inherited: bool) -> sql::AssignedRow {
        sql::AssignedRow { target_id: target.to_owned(), role_id: role.into(), on_domain, inherited }
    }

    #[test]
    fn a_role_counts_on_its_own_target_and_in_its_own_way() {
        let assigned = Assigned::from_rows(vec![
            row("p", "direct", false, false),
            row("o", "elsewhere", false, false),
            row("p", "below", false, true),
            row("p", "on the domain", true, false),
            row("p", "direct too", false, false),
        ]);
        let on = |id, on_domain, inherited| {
            let mut roles: Vec<String> =
                assigned.on(id, on_domain, inherited).unwrap().map(ToString::to_string).collect();
            roles.sort();
            roles
        };
        assert_eq!(on("p", false, false), ["direct", "direct too"]);
        assert_eq!(on("p", false, true), ["below"]);
        assert_eq!(on("p", true, false), ["on the domain"]);
        assert!(on("p", true, true).is_empty());
        assert!(on("q", false, false).is_empty());
    }

    #[test]
    fn of_too_many_none_is_known() {
        let rows = (0..=MOST_ROWS).map(|n| row(&n.to_string(), "r", false, false)).collect();
        assert!(Assigned::from_rows(rows).on("1", false, false).is_none());
    }
}
