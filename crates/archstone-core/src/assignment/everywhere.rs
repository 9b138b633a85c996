//! The assignments of everybody on everything: too many to be read at once.

use futures::stream::{self, StreamExt as _};

use super::sql::{self, Actors, AssignmentFilter, GrantKind, Targets};
use super::{Assignment, Grant, GrantTarget};
use crate::error::Result;
use crate::id::RoleId;
use crate::list::parts::PART;
use crate::list::{Part, Parts, Rest};

/// What is asked for of them.
#[derive(Clone, Default)]
pub(super) struct Everywhere {
    /// Only this role.
    pub(super) role: Option<RoleId>,
    /// Only those that are, or are not, inherited to projects.
    pub(super) inherited: Option<bool>,
    /// Whether those on the system come last.
    pub(super) with_system: bool,
}

/// How far the reading has come: the kinds are read one after the other, each in the order of the primary key.
enum Progress {
    Nothing,
    In { kind: usize, after: Option<Grant> },
    Kinds,
}

impl Everywhere {
    fn filter(&self) -> AssignmentFilter<'_> {
        let role = self.role.as_ref();
        AssignmentFilter { role, actors: Actors::Any, targets: Targets::Any, inherited: self.inherited }
    }
}

impl Assignment {
    /// By kind, actor, target and role. What fits into one part takes one statement.
    pub(super) fn list_everywhere(&self, wanted: &Everywhere) -> Parts<Grant> {
        let start = Some((self.clone(), wanted.clone(), Progress::Nothing));
        stream::try_unfold(start, |state| async move {
            let Some((door, wanted, progress)) = state else { return Ok(None) };
            let (items, progress) = door.read_on(&wanted, progress).await?;
            Ok(Some(match progress {
                Some(progress) => (Part { items, rest: Rest::Unread }, Some((door, wanted, progress))),
                None => (Part::last(items), None),
            }))
        })
        .boxed()
    }

    /// Where there is something assigned, but for the system.
    pub(super) async fn list_targets_everywhere(&self, wanted: &Everywhere) -> Result<Vec<GrantTarget>> {
        sql::list_targets(&self.foundation.db, &wanted.filter()).await
    }

    /// The next part, and how far it has come with that; `None` for the end.
    async fn read_on(&self, wanted: &Everywhere, progress: Progress) -> Result<(Vec<Grant>, Option<Progress>)> {
        let (db, filter) = (&self.foundation.db, wanted.filter());
        let mut found = Vec::new();
        let mut next = match progress {
            Progress::Kinds => None,
            Progress::In { kind, after } => Some((kind, after)),
            Progress::Nothing => {
                let some = sql::list_some_assignments(db, &filter, PART + 1).await?;
                if some.len() as u64 <= PART {
                    found = some;
                    found.sort_by(|a, b| in_order(a).cmp(&in_order(b)));
                    None
                } else {
                    Some((0, None))
                }
            }
        };
        while let Some((kind, after)) = next.take() {
            let Some(of_kind) = GrantKind::ALL.get(kind) else { break };
            let most = PART.saturating_sub(found.len() as u64);
            if most == 0 {
                return Ok((found, Some(Progress::In { kind, after })));
            }
            let part = sql::list_assignments_part(db, &filter, *of_kind, after.as_ref(), most).await?;
            next = if (part.len() as u64) < most { Some((kind + 1, None)) } else { Some((kind, part.last().cloned())) };
            found.extend(part);
        }
        if !wanted.with_system {
            return Ok((found, None));
        }
        if found.len() as u64 >= PART {
            return Ok((found, Some(Progress::Kinds)));
        }
        found.extend(sql::list_system_assignments(db, wanted.role.as_ref(), Actors::Any).await?);
        Ok((found, None))
    }
}

fn in_order(grant: &Grant) -> (Option<GrantKind>, &str, Option<&str>, &str, bool) {
    (GrantKind::of(grant), grant.actor.id(), grant.target.id(), &grant.role_id, grant.inherited)
}
