//! What an operator wants to know of accounts before their users do: whose password expires, who is locked out, who
//! counts as disabled for being idle.
//!
//! The database finds who may be concerned; the rules of [`Compliance`](super::compliance::Compliance) decide.

use std::collections::{BTreeSet, HashMap};

use chrono::Days;

use super::sql::{self, NetworkFailures, StoredUser};
use super::{Identity, UserOption};
use crate::authz::Allowed;
use crate::config::LockoutBy;
use crate::error::Result;
use crate::id::{DomainId, UserId};
use crate::time::Timestamp;

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Report {
    /// Whose password has expired or will.
    Expiring,
    /// Who is locked out somewhere.
    Locked,
    /// Who counts as disabled for being idle, or will.
    Inactive,
}

/// A user who is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedUser {
    /// Who.
    pub id: UserId,
    /// Its name.
    pub name: String,
    /// Its domain.
    pub domain_id: DomainId,
    /// Whether it is so now; otherwise it will be.
    pub now: bool,
    /// From when an expired or idle user is so; until when a locked one is, if that ends by itself.
    pub at: Option<Timestamp>,
    /// The networks that a user is locked out from; none: from everywhere.
    pub networks: Vec<String>,
}

impl Identity {
    /// The users whom a report is about, those of the next `days` days among them, by id. A user who is switched off is
    /// left out: nobody waits for it.
    pub async fn report(&self, _: &Allowed, report: Report, days: u32) -> Result<Vec<ReportedUser>> {
        let db = &self.foundation.db;
        let now = self.foundation.time.now();
        let until = now.plus_seconds(i64::from(days) * 86_400);
        let ids = match report {
            Report::Expiring => sql::list_ids_with_password_expiring(db, until).await?,
            Report::Locked if !self.compliance.watches_failures() => Vec::new(),
            Report::Locked => {
                let mut ids = BTreeSet::from_iter(sql::list_ids_with_failures(db).await?);
                if self.foundation.config.archstone.lockout_by == LockoutBy::User {
                    ids.extend(sql::list_ids_with_local_failures(db).await?);
                }
                ids.into_iter().collect()
            }
            Report::Inactive => match self.compliance.idle_before(until) {
                Some(day) => sql::list_ids_idle_since(db, day).await?,
                None => Vec::new(),
            },
        };
        let stored = sql::get_users(db, &ids).await?;
        let mut failures: HashMap<UserId, Vec<NetworkFailures>> = HashMap::new();
        if report == Report::Locked {
            for row in sql::list_failures(db, &ids).await? {
                failures.entry(row.user_id.clone()).or_default().push(row);
            }
        }
        let mut users: Vec<ReportedUser> = stored
            .into_iter()
            .filter(|user| user.enabled)
            .filter_map(|user| match report {
                Report::Expiring => expiring(&user, now, until),
                Report::Locked => self.locked(&user, failures.remove(&user.id).unwrap_or_default()),
                Report::Inactive => self.idle(&user, now, until),
            })
            .collect();
        users.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(users)
    }

    fn locked(&self, user: &StoredUser, failures: Vec<NetworkFailures>) -> Option<ReportedUser> {
        let mut locks = self.failed_logins_of(user, failures);
        locks.retain(|logins| logins.locked);
        if locks.is_empty() {
            return None;
        }
        let ends: Option<Vec<Timestamp>> = locks.iter().map(|logins| logins.locked_until).collect();
        let networks: Option<BTreeSet<String>> = locks.into_iter().map(|logins| logins.network).collect();
        Some(ReportedUser {
            at: ends.and_then(|ends| ends.into_iter().max()),
            networks: networks.unwrap_or_default().into_iter().collect(),
            ..reported(user)
        })
    }

    fn idle(&self, user: &StoredUser, now: Timestamp, until: Timestamp) -> Option<ReportedUser> {
        if user.options.is_set(UserOption::IgnoreUserInactivity) {
            return None;
        }
        let days = u64::try_from(self.compliance.days_inactive()?).ok()?;
        let day = user.last_active()?.checked_add_days(Days::new(days))?;
        let at = Timestamp::from_naive(day.and_time(chrono::NaiveTime::MIN));
        (at <= until).then(|| ReportedUser { now: at <= now, at: Some(at), ..reported(user) })
    }
}

fn expiring(user: &StoredUser, now: Timestamp, until: Timestamp) -> Option<ReportedUser> {
    if user.options.is_set(UserOption::IgnorePasswordExpiry) {
        return None;
    }
    let at = user.current_password()?.expires_at.filter(|at| *at <= until)?;
    Some(ReportedUser { now: at <= now, at: Some(at), ..reported(user) })
}

fn reported(user: &StoredUser) -> ReportedUser {
    ReportedUser {
        id: user.id.clone(),
        name: user.name().to_owned(),
        domain_id: user.domain_id.clone(),
        now: true,
        at: None,
        networks: Vec::new(),
    }
}
