//! The enforcement model `strict_two_level` (`keystone.limit.models.strict_two_level`): no project has more than its
//! domain. Under `flat` there is nothing to check.

use std::collections::HashMap;

use super::Owner;
use crate::id::{DomainId, ProjectId, RegisteredLimitId};

/// How much of a resource somebody may use.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Bound {
    pub(super) owner: Owner,
    /// Which resource.
    pub(super) registered_limit_id: RegisteredLimitId,
    pub(super) value: i64,
}

/// What new bounds are compared with.
#[derive(Debug, Default)]
pub(super) struct Tree {
    /// What is above the projects that bounds are asked for.
    pub(super) parents: HashMap<ProjectId, ProjectId>,
    /// The projects of the domains that bounds are asked for.
    pub(super) children: HashMap<DomainId, Vec<ProjectId>>,
    /// Bounds that are stored.
    pub(super) stored: HashMap<(Owner, RegisteredLimitId), i64>,
    /// What holds for a domain that has no bound of its own.
    pub(super) defaults: HashMap<RegisteredLimitId, i64>,
}

impl Tree {
    /// The first of these bounds that is greater than its domain's, which may be among them, or less than a project's of
    /// its domain.
    ///
    /// As in the reference, a stored bound of 0 binds nobody, and -1 is the smallest number and not "without bound".
    pub(super) fn first_refused<'a>(&self, asked: &'a [Bound]) -> Option<&'a Bound> {
        asked.iter().find(|bound| match &bound.owner {
            Owner::Project(id) => self.exceeds_parent(bound, id, asked),
            Owner::Domain(id) => self.undercuts_a_child(bound, id),
        })
    }

    fn exceeds_parent(&self, bound: &Bound, id: &ProjectId, asked: &[Bound]) -> bool {
        let Some(parent) = self.parents.get(id) else { return false };
        let parent = Owner::Domain(DomainId::from(&**parent));
        let same_resource = |other: &&Bound| other.registered_limit_id == bound.registered_limit_id;
        if let Some(asked) = asked.iter().filter(same_resource).find(|other| other.owner == parent) {
            return bound.value > asked.value;
        }
        let resource = &bound.registered_limit_id;
        let stored = self.stored.get(&(parent, resource.clone())).or_else(|| self.defaults.get(resource));
        stored.is_some_and(|above| *above != 0 && bound.value > *above)
    }

    fn undercuts_a_child(&self, bound: &Bound, id: &DomainId) -> bool {
        let children = self.children.get(id).into_iter().flatten();
        let mut stored = children
            .filter_map(|child| self.stored.get(&(Owner::Project(child.clone()), bound.registered_limit_id.clone())));
        stored.any(|below| *below != 0 && bound.value < *below)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(value: i64) -> Bound {
        Bound { owner: Owner::Project("p".into()), registered_limit_id: "r".into(), value }
    }

    fn domain(value: i64) -> Bound {
        Bound { owner: Owner::Domain("d".into()), registered_limit_id: "r".into(), value }
    }

    /// The project `p` in the domain `d`, a default of 10, and these bounds in storage.
    fn tree(stored: &[Bound]) -> Tree {
        Tree {
            parents: [("p".into(), "d".into())].into(),
            children: [("d".into(), vec!["p".into()])].into(),
            stored: stored
                .iter()
                .map(|bound| ((bound.owner.clone(), bound.registered_limit_id.clone()), bound.value))
                .collect(),
            defaults: [("r".into(), 10)].into(),
        }
    }

    #[test]
    fn no_project_has_more_than_its_domain() {
        for (stored, asked, fits) in [
            (vec![], vec![project(10)], true),
            (vec![], vec![project(11)], false),
            (vec![domain(5)], vec![project(5)], true),
            (vec![domain(5)], vec![project(6)], false),
            (vec![domain(5)], vec![project(6), domain(6)], true),
            (vec![domain(5)], vec![domain(6), project(7)], false),
            (vec![project(7)], vec![domain(7)], true),
            (vec![project(7)], vec![domain(6)], false),
            (vec![project(7), domain(8)], vec![project(8)], true),
            // As the reference.
            (vec![domain(0)], vec![project(6)], true),
            (vec![domain(-1)], vec![project(6)], false),
            (vec![project(7)], vec![domain(-1)], false),
            (vec![], vec![project(-1)], true),
        ] {
            assert_eq!(tree(&stored).first_refused(&asked).is_none(), fits, "{stored:?} {asked:?}");
        }
    }

    #[test]
    fn bounds_of_another_resource_don_t_count() {
        let other = Bound { registered_limit_id: "other".into(), ..domain(5) };
        assert_eq!(tree(std::slice::from_ref(&other)).first_refused(&[project(10), other]), None);
    }
}
