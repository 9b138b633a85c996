//! Lockout: after too many failed logins further ones are refused for a while.
//!
//! Failures are counted by user *and* the network that they come from, so that bad logins from one place never lock a
//! service out of another. With `[archstone] lockout_by = user` they are counted as the reference does it, in the user's
//! own row, where Python Keystone sees them. Wrong passcodes are counted apart from wrong passwords, so that who knows the
//! password cannot guess the passcode for ever.
//!
//! **Invariant:** what is stored is bounded: for a user and a factor there are [`MOST_NETWORKS`] rows, and one for all
//! other networks together, so that the guesses of a whole botnet are bounded, too.
//!
//! **Invariant:** a login that is refused costs a reading and a write, whether the user exists, is locked or neither.
//!
//! **Invariant:** without `[security_compliance] lockout_failure_attempts` nothing is read or stored.

use std::net::IpAddr;

use super::compliance::Lock;
use super::sql::{self, Failures, NetworkFailures, StoredLocal, StoredUser};
use super::{Identity, User, UserOptions};
use crate::authz::Allowed;
use crate::config::{LockoutBy, Network};
use crate::error::{Error, Result};
use crate::events::Event;
use crate::freshness::{Moment, Ref};
use crate::id::UserId;
use crate::time::Timestamp;

/// So many networks of a user are counted one by one. The others are counted together.
const MOST_NETWORKS: i64 = 64;

/// Stands for all networks that are not counted one by one.
pub(super) const ANYWHERE: &str = "*";

/// Stands for clients whose address is not known: those of the program itself.
const NOWHERE: &str = "-";

/// Failures of so long ago no longer count, in seconds, unless they lock for longer.
const KEPT_SECONDS: i64 = 86_400;

/// What was wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Factor {
    /// The password.
    Password,
    /// The passcode of the moment.
    Passcode,
}

impl Factor {
    fn as_str(self) -> &'static str {
        match self {
            Factor::Password => "password",
            Factor::Passcode => "totp",
        }
    }
}

/// Where the failures of a user are counted.
pub(crate) enum Counter<'a> {
    /// In the user's own row, as the reference does it.
    Local(&'a StoredLocal),
    /// In a row of our own.
    Network { user: &'a str, factor: Factor, network: String },
}

/// The failed logins of a user from one network, for administrators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedLogins {
    /// What was wrong: `password` or `totp`.
    pub factor: String,
    /// From where; `None` for all networks together.
    pub network: Option<String>,
    /// How often.
    pub failures: i64,
    /// The last time.
    pub failed_at: Option<Timestamp>,
    /// Whether logins from there are refused now.
    pub locked: bool,
    /// Until when; never by itself, if it is locked and this is `None`.
    pub locked_until: Option<Timestamp>,
}

impl Identity {
    /// The counter of this user and place; that of nobody without a user, which costs the same. `None` where nothing is
    /// counted.
    pub(super) fn counter<'a>(
        &self,
        user: Option<(&'a UserId, Option<&'a StoredLocal>)>,
        factor: Factor,
        source: Option<IpAddr>,
    ) -> Option<Counter<'a>> {
        if !self.compliance.watches_failures() {
            return None;
        }
        let config = &self.foundation.config;
        let by_user = config.archstone.lockout_by == LockoutBy::User;
        if let (true, Factor::Password, Some((_, Some(local)))) = (by_user, factor, user) {
            return Some(Counter::Local(local));
        }
        let network = match source {
            _ if by_user => ANYWHERE.to_owned(),
            Some(address) => {
                let options = &config.archstone;
                Network::around(address, options.lockout_ipv4_prefix, options.lockout_ipv6_prefix).to_string()
            }
            None => NOWHERE.to_owned(),
        };
        Some(Counter::Network { user: user.map_or("", |(id, _)| id), factor, network })
    }

    /// What the failures up to now did. Asked after the password was compared: those of other logins that were under way
    /// at the same time count.
    pub(super) async fn lock(&self, counter: Option<&Counter<'_>>, options: &UserOptions) -> Result<Lock> {
        let db = &self.foundation.db;
        let failures = match counter {
            None => return Ok(Lock::Open),
            Some(Counter::Local(local)) => sql::get_local_failures(db, local.id).await?,
            Some(Counter::Network { user, factor, network }) => {
                sql::get_failures(db, user, factor.as_str(), &[network, ANYWHERE]).await?
            }
        };
        Ok(self.compliance.lock(&failures, options, self.foundation.time.now()))
    }

    /// The same for a login that is about to succeed, from memory where that tells all: the counter in the user's own row,
    /// which Python Keystone writes without a word, is read each time.
    pub(super) async fn lock_at(
        &self,
        moment: Moment,
        counter: Option<&Counter<'_>>,
        options: &UserOptions,
    ) -> Result<Lock> {
        let Some(Counter::Network { user, factor, network }) = counter else {
            return self.lock(counter, options).await;
        };
        let rows = self.failures_at(moment, &UserId::from(*user)).await?;
        let of = |network: &str| {
            rows.iter().find(|row| row.factor == factor.as_str() && row.network == network).map(|row| row.failures)
        };
        let failures = of(network).or_else(|| of(ANYWHERE)).unwrap_or_default();
        Ok(self.compliance.lock(&failures, options, self.foundation.time.now()))
    }

    /// Counts one more failure, from one on after a lock whose time has passed.
    pub(super) async fn count_failure(&self, counter: Option<&Counter<'_>>, lock: Lock) -> Result<()> {
        let Some(counter) = counter else { return Ok(()) };
        let now = self.foundation.time.now();
        let over = self.compliance.lockout_seconds().filter(|_| lock == Lock::Expired);
        let over = over.map(|seconds| now.plus_seconds(seconds.saturating_neg()));
        self.foundation
            .db
            .write(|tx| {
                Box::pin(async move {
                    match counter {
                        Counter::Local(local) => {
                            if over.is_some() {
                                sql::reset_local_failures(tx, local).await?;
                            }
                            sql::count_local_failure(tx, local, now).await
                        }
                        Counter::Network { user, factor, network } => {
                            let factor = factor.as_str();
                            if over.is_some() {
                                sql::delete_failures(tx, user, factor, &[network, ANYWHERE], over).await?;
                            }
                            let others = sql::count_other_networks(&mut *tx, user, factor, network).await?;
                            let network = if others < MOST_NETWORKS { network } else { ANYWHERE };
                            sql::count_failure(tx, user, factor, network, now).await?;
                            // Also for nobody, whose refusal would come sooner without.
                            tx.touch(Ref::FailedLogins(UserId::from(*user)).into());
                            Ok(())
                        }
                    }
                })
            })
            .await
    }

    /// Forgets the failures that a login has made good. Those from other networks stay.
    pub(super) async fn forget_failures(&self, counter: Option<&Counter<'_>>) -> Result<()> {
        let Some(counter) = counter else { return Ok(()) };
        self.foundation
            .db
            .write(|tx| {
                Box::pin(async move {
                    match counter {
                        Counter::Local(local) => sql::reset_local_failures(tx, local).await,
                        Counter::Network { user, factor, network } => {
                            sql::delete_failures(tx, user, factor.as_str(), &[network], None).await?;
                            tx.touch(Ref::FailedLogins(UserId::from(*user)).into());
                            Ok(())
                        }
                    }
                })
            })
            .await
    }

    /// Whether wrong passcodes from this place have locked the user; with the counter to go on with.
    pub(crate) async fn passcode_lock<'a>(
        &self,
        user: Option<&'a User>,
        source: Option<IpAddr>,
    ) -> Result<PasscodeLock<'a>> {
        let counter = self.counter(user.map(|user| (&user.id, None)), Factor::Passcode, source);
        let none = UserOptions::default();
        let lock = self.lock(counter.as_ref(), user.map_or(&none, |user| &user.options)).await?;
        let nobody = self.counter(None, Factor::Passcode, source);
        Ok(PasscodeLock { lock, counter, nobody })
    }

    /// Counts a wrong passcode.
    pub(crate) async fn count_wrong_passcode(&self, lock: &PasscodeLock<'_>) -> Result<()> {
        let counter = if lock.is_locked() { &lock.nobody } else { &lock.counter };
        self.count_failure(counter.as_ref(), lock.lock).await
    }

    /// Forgets the wrong passcodes that a right one has made good.
    pub(crate) async fn forget_wrong_passcodes(&self, lock: &PasscodeLock<'_>) -> Result<()> {
        if lock.lock == Lock::Clean {
            return Ok(());
        }
        self.forget_failures(lock.counter.as_ref()).await
    }

    /// The failed logins of a user that still count. Those who may update the user may see them.
    pub async fn list_failed_logins(&self, _: &Allowed, id: &UserId) -> Result<Vec<FailedLogins>> {
        let db = &self.foundation.db;
        let user = sql::get_user(db, id).await?.ok_or_else(|| Error::not_found("user", id))?;
        if !self.compliance.watches_failures() {
            return Ok(Vec::new());
        }
        let rows = sql::list_failures(db, std::slice::from_ref(id)).await?;
        Ok(self.failed_logins_of(&user, rows))
    }

    /// What rows of our own and the user's own row say.
    pub(super) fn failed_logins_of(&self, user: &StoredUser, rows: Vec<NetworkFailures>) -> Vec<FailedLogins> {
        let mut rows: Vec<(String, Option<String>, Failures)> = rows
            .into_iter()
            .map(|row| (row.factor, Some(row.network).filter(|network| network != ANYWHERE), row.failures))
            .collect();
        let by_user = self.foundation.config.archstone.lockout_by == LockoutBy::User;
        if let (true, Some(local)) = (by_user, user.local.as_ref().filter(|local| local.has_failures())) {
            rows.push((Factor::Password.as_str().to_owned(), None, local.failures()));
        }
        let now = self.foundation.time.now();
        let shown = rows.into_iter().map(|(factor, network, failures)| {
            let locked = self.compliance.lock(&failures, &user.options, now) == Lock::Locked;
            FailedLogins {
                factor,
                network,
                failures: failures.count,
                failed_at: failures.last,
                locked,
                locked_until: self.compliance.lock_end(&failures).filter(|_| locked),
            }
        });
        shown.collect()
    }

    /// Forgets all failed logins of a user, so that it can log in again from everywhere.
    pub async fn unlock(&self, allowed: &Allowed, id: &UserId) -> Result<()> {
        self.foundation
            .db
            .write(|tx| {
                Box::pin(async move {
                    let user = sql::get_user(&mut *tx, id).await?.ok_or_else(|| Error::not_found("user", id))?;
                    sql::delete_failures_of_users(tx, std::slice::from_ref(id)).await?;
                    tx.touch(Ref::User(id.clone()).into());
                    match user.local.as_ref().filter(|local| local.has_failures()) {
                        Some(local) => sql::reset_local_failures(tx, local).await,
                        None => Ok(()),
                    }
                })
            })
            .await?;
        self.foundation.events.emit(Event::new("user", "updated", &**id, allowed));
        Ok(())
    }

    /// Deletes failures that are too old to count. One that locks for ever stays.
    pub(crate) async fn prune_failures(&self) -> Result<()> {
        let kept = self.compliance.lockout_seconds().unwrap_or(0).max(KEPT_SECONDS);
        let before = self.foundation.time.now().plus_seconds(kept.saturating_neg());
        sql::delete_failures_before(&self.foundation.db, before, self.compliance.locks_for_ever_from()).await
    }
}

/// What wrong passcodes did, and where the next one is counted.
pub(crate) struct PasscodeLock<'a> {
    lock: Lock,
    counter: Option<Counter<'a>>,
    nobody: Option<Counter<'a>>,
}

impl PasscodeLock<'_> {
    /// Whether even the right one is refused.
    pub(crate) fn is_locked(&self) -> bool {
        self.lock == Lock::Locked
    }
}
