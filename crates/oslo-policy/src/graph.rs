//! References between rules: finds and cuts those that lead in a circle or too deep, so that evaluation needs
//! neither to remember where it was nor much stack.

use crate::check::{Check, RuleId};

/// How many checks may nest in evaluation, counted through references.
pub(crate) const MAX_DEPTH: usize = 1000;

/// A reference that was cut: it now counts against the caller.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// The rule that holds the reference.
    pub(crate) rule: RuleId,
    /// The rule referred to.
    pub(crate) reference: RuleId,
    /// Whether it led back to the rule itself; otherwise it led too deep.
    pub(crate) cyclic: bool,
}

/// Replaces every reference within a cycle, and every one that would exceed [`MAX_DEPTH`].
pub(crate) fn cut_loops(checks: &mut [Check]) -> Vec<Cut> {
    let references: Vec<Vec<RuleId>> = checks.iter().map(references_of).collect();
    let components = Components::of(&references);
    let mut depths = vec![0_usize; checks.len()];
    let mut cuts = Vec::new();
    // Components come out with those referred to first, so their depths are known.
    for &rule in &components.order {
        let mut cut = |reference: RuleId, depth: usize| -> Option<usize> {
            let cyclic = components.of[rule] == components.of[reference];
            let below = depth + 1 + if cyclic { 0 } else { depths[reference] };
            if cyclic || below > MAX_DEPTH {
                cuts.push(Cut { rule, reference, cyclic });
                return None;
            }
            Some(below)
        };
        depths[rule] = cut_references(&mut checks[rule], 1, &mut cut);
    }
    cuts
}

/// The greatest depth of any rule, following references. For checking the bound; only after [`cut_loops`].
pub(crate) fn depth(checks: &[Check]) -> usize {
    let references: Vec<Vec<RuleId>> = checks.iter().map(references_of).collect();
    let mut depths = vec![0_usize; checks.len()];
    for rule in Components::of(&references).order {
        let mut measure = |reference: RuleId, depth: usize| Some(depth + 1 + depths[reference]);
        depths[rule] = cut_references(&mut checks[rule].clone(), 1, &mut measure);
    }
    depths.into_iter().max().unwrap_or(0)
}

/// Offers each reference to `cut` with its depth in the expression, and replaces it if refused; the depth of the
/// expression.
fn cut_references(check: &mut Check, depth: usize, cut: &mut dyn FnMut(RuleId, usize) -> Option<usize>) -> usize {
    match check {
        Check::Rule(reference) => cut(*reference, depth).unwrap_or_else(|| {
            *check = Check::Invalid(None);
            depth
        }),
        Check::Not(inner) => cut_references(inner, depth + 1, cut),
        Check::And(items) | Check::Or(items) => {
            items.iter_mut().map(|item| cut_references(item, depth + 1, cut)).max().unwrap_or(depth)
        }
        _ => depth,
    }
}

fn references_of(check: &Check) -> Vec<RuleId> {
    fn collect(check: &Check, out: &mut Vec<RuleId>) {
        match check {
            Check::Rule(id) => out.push(*id),
            Check::Not(inner) => collect(inner, out),
            Check::And(items) | Check::Or(items) => items.iter().for_each(|item| collect(item, out)),
            _ => {}
        }
    }
    let mut out = Vec::new();
    collect(check, &mut out);
    out
}

/// Strongly connected components by Tarjan's algorithm, without recursion.
struct Components {
    /// The component of each rule.
    of: Vec<usize>,
    /// All rules, each after those it refers to (unless they are in its own component).
    order: Vec<RuleId>,
}

impl Components {
    fn of(references: &[Vec<RuleId>]) -> Self {
        const UNSEEN: usize = usize::MAX;
        let count = references.len();
        let (mut index, mut low) = (vec![UNSEEN; count], vec![0; count]);
        let mut found = Self { of: vec![UNSEEN; count], order: Vec::with_capacity(count) };
        let (mut next, mut components) = (0, 0);
        let mut open: Vec<RuleId> = Vec::new();
        for root in 0..count {
            if index[root] != UNSEEN {
                continue;
            }
            // Each entry: a rule, and how many of its references were followed.
            let mut path = vec![(root, 0)];
            while let Some((rule, followed)) = path.last_mut() {
                let rule = *rule;
                if *followed == 0 {
                    index[rule] = next;
                    low[rule] = next;
                    next += 1;
                    open.push(rule);
                }
                if let Some(&reference) = references[rule].get(*followed) {
                    *followed += 1;
                    if index[reference] == UNSEEN {
                        path.push((reference, 0));
                    } else if found.of[reference] == UNSEEN {
                        low[rule] = low[rule].min(index[reference]);
                    }
                    continue;
                }
                path.pop();
                if let Some((parent, _)) = path.last() {
                    low[*parent] = low[*parent].min(low[rule]);
                }
                if low[rule] == index[rule] {
                    while let Some(member) = open.pop() {
                        found.of[member] = components;
                        found.order.push(member);
                        if member == rule {
                            break;
                        }
                    }
                    components += 1;
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refer(to: &[RuleId]) -> Check {
        Check::Or(to.iter().map(|id| Check::Rule(*id)).collect())
    }

    #[test]
    fn references_within_a_cycle_are_cut_and_others_stay() {
        // 0 → 1 → 2 → 1, and 3 → 3; 0 is not part of any cycle.
        let mut checks = vec![refer(&[1]), refer(&[2]), refer(&[1]), refer(&[3])];
        let mut cuts = cut_loops(&mut checks);
        cuts.sort_by_key(|cut| cut.rule);
        assert_eq!(cuts.iter().map(|cut| (cut.rule, cut.reference)).collect::<Vec<_>>(), [(1, 2), (2, 1), (3, 3)]);
        assert!(cuts.iter().all(|cut| cut.cyclic));
        assert!(matches!(&checks[0], Check::Or(items) if matches!(items[0], Check::Rule(1))));
    }

    #[test]
    fn long_chains_are_cut() {
        let mut checks: Vec<Check> = (0..100_000).map(|id| refer(&[id + 1])).collect();
        checks.push(Check::Always);
        let cuts = cut_loops(&mut checks);
        assert!(!cuts.is_empty() && cuts.iter().all(|cut| !cut.cyclic));
        assert!(depth(&checks) <= MAX_DEPTH);
    }
}
