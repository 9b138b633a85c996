//! Users as tokens need them, in memory.

use std::sync::Arc;

use chrono::NaiveDate;

use super::compliance::Compliance;
use super::sql::{self, StoredUser};
use super::{Identity, UserOption, UserOptions};
use crate::error::Result;
use crate::foundation::Foundation;
use crate::freshness::{Moment, Ref};
use crate::id::{DomainId, GroupId, UserId};
use crate::memory::{Batch, Batches, Capacity, Known, Loaded};
use crate::time::Timestamp;

/// A user and its groups, as far as tokens need them.
#[derive(Debug)]
pub(crate) struct TokenUser {
    pub(crate) id: UserId,
    pub(crate) domain_id: DomainId,
    pub(crate) name: String,
    pub(crate) password_expires_at: Option<Timestamp>,
    /// As it is stored; see [`Identity::is_token_user_enabled`].
    enabled: bool,
    last_active: Option<NaiveDate>,
    ignores_inactivity: bool,
    memberships: Box<[Membership]>,
}

#[derive(Debug)]
struct Membership {
    group: GroupId,
    expires_at: Option<Timestamp>,
}

impl TokenUser {
    /// The groups that the user is in now.
    pub(crate) fn groups(&self, now: Timestamp) -> impl Iterator<Item = &GroupId> {
        let holds = move |membership: &&Membership| membership.expires_at.is_none_or(|at| at > now);
        self.memberships.iter().filter(holds).map(|membership| &membership.group)
    }

    /// When it leaves the first of them by itself.
    pub(crate) fn next_expiry(&self, now: Timestamp) -> Option<Timestamp> {
        self.memberships.iter().filter_map(|membership| membership.expires_at).filter(|at| *at > now).min()
    }

    /// What it takes in memory, with its key and what it depends on.
    fn bytes(&self) -> usize {
        size_of::<TokenUser>() + 400 + self.name.len() + self.memberships.len() * (size_of::<Membership>() + 48)
    }
}

/// The users that were asked for; `None`: there is no such user.
pub(super) type Users = Batches<UserId, Option<Arc<TokenUser>>>;

pub(super) fn users(foundation: &Foundation, default_minutes: i64) -> Users {
    let capacity = Capacity { bytes: foundation.caches().users, entry_bytes: 1024 };
    let db = foundation.db.clone();
    Batches::new(foundation.freshness.clone(), capacity, move |ids| {
        let db = db.clone();
        async move {
            let stored = sql::get_users(&db, &ids).await?;
            let mut memberships = sql::list_groups_of_users(&db, &ids, default_minutes).await?;
            // What nobody finds depends on its being made.
            let absent = ids.into_iter().map(|id| (id.clone(), Loaded::new(None, [Ref::User(id)], 256)));
            let mut batch: Batch<_, _> = absent.collect();
            for user in stored {
                let memberships = memberships.remove(&user.id).unwrap_or_default();
                let memberships =
                    memberships.into_iter().map(|(group, expires_at)| Membership { group, expires_at }).collect();
                let user = token_user(user, memberships);
                // A deleted group is touched as an actor of assignments, and not by each of its members.
                let groups = user.memberships.iter().map(|membership| Ref::Assignments(membership.group.to_string()));
                let bytes = user.bytes();
                let depends_on: Vec<Ref> = std::iter::once(Ref::User(user.id.clone())).chain(groups).collect();
                batch.insert(user.id.clone(), Loaded::new(Some(Arc::new(user)), depends_on, bytes));
            }
            Ok(batch)
        }
    })
}

fn token_user(stored: StoredUser, memberships: Box<[Membership]>) -> TokenUser {
    TokenUser {
        name: stored.name().to_owned(),
        password_expires_at: stored.current_password().and_then(|password| password.expires_at),
        enabled: stored.enabled,
        last_active: stored.last_active(),
        ignores_inactivity: stored.options.is_set(UserOption::IgnoreUserInactivity),
        id: stored.id,
        domain_id: stored.domain_id,
        memberships,
    }
}

impl Identity {
    /// A user as tokens need it, as of this moment or later.
    pub(crate) async fn token_user_at(&self, moment: Moment, id: &UserId) -> Result<Known<Option<Arc<TokenUser>>>> {
        let known = self.users.get(moment, id).await?;
        match &known.value {
            // That somebody logged in is noted without a touch: who seems to be idle is looked at again.
            Some(user) if user.enabled && !self.is_token_user_enabled(user) => self.users.load(moment, id).await,
            _ => Ok(known),
        }
    }

    /// Whether a user may log in, and its tokens count: it was not switched off, and was not idle for too long.
    pub(crate) fn is_token_user_enabled(&self, user: &TokenUser) -> bool {
        enabled(&self.compliance, user, self.foundation.time.now())
    }
}

fn enabled(compliance: &Compliance, user: &TokenUser, now: Timestamp) -> bool {
    if user.ignores_inactivity {
        return user.enabled;
    }
    compliance.enabled(user.enabled, user.last_active, &UserOptions::default(), now.naive().date())
}
