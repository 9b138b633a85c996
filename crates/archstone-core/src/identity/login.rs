//! Proving a password, and changing one's own (`keystone.identity.backends.sql.Identity.authenticate`).
//!
//! **Invariant:** to the caller, and to a clock, an unknown user, a wrong password, a locked and a disabled account are
//! the same: 401 after one hash, and after one count where failures are counted. Only who knows the password learns that it has expired.

use std::net::IpAddr;
use std::sync::Arc;

use archstone_db::Tx;
use serde_json::{Map, Value};

use super::compliance::{Lock, SetBy, is_expired, password_expired};
use super::lockout::{Counter, Factor};
use super::password::{Compared, Password};
use super::sql::{self, StoredLocal, StoredPassword, StoredUser};
use super::{FoundUser, Identity, User, UserOption, UserOptions};
use crate::authz::Allowed;
use crate::error::{Error, Result};
use crate::events::{AUTHENTICATE, Event};
use crate::foundation::AsOf;
use crate::freshness::{Moment, Ref};
use crate::id::UserId;
use crate::time::Timestamp;

/// Somebody who has proven a password.
#[derive(Debug)]
pub(crate) struct LoggedIn {
    /// Who.
    pub(crate) user: User,
    /// As of when: later than when the login began, if its password had to be hashed.
    pub(crate) as_of: AsOf,
}

/// What a password proved.
enum Proven {
    /// That it is the user's.
    Valid,
    /// That it was the user's: it has expired, and is good for nothing but being changed.
    Expired,
}

/// A login that was refused, with what the listeners are told and the caller is not.
#[derive(Debug)]
pub struct LoginRefused {
    /// What the caller is told.
    pub error: Error,
    /// The user, if the login named one that exists.
    pub user_id: Option<UserId>,
    /// The partial hash of a wrong password, where `[security_compliance] report_invalid_password_hash` wants it.
    pub partial_password_hash: Option<String>,
    /// Why, as the events say it: a status and a text.
    pub reason: Option<(u16, String)>,
}

impl From<Error> for LoginRefused {
    fn from(error: Error) -> LoginRefused {
        LoginRefused { error, user_id: None, partial_password_hash: None, reason: None }
    }
}

impl From<LoginRefused> for Error {
    fn from(refused: LoginRefused) -> Error {
        refused.error
    }
}

/// A change of a password that was checked, ready for its transaction.
pub(crate) struct PreparedPasswordChange {
    /// The row of the password that was proven.
    replaced: Option<i64>,
    hash: String,
}

impl Identity {
    /// The user, if this is its password: 401 otherwise, and for `None`, which costs as much.
    ///
    /// Asked in this order: locked, wrong, disabled, expired. Failures are counted, and a success resets them and
    /// notes the day.
    pub(crate) async fn authenticate_password(
        &self,
        as_of: AsOf,
        user: Option<FoundUser>,
        password: Password,
        source: Option<IpAddr>,
    ) -> Result<LoggedIn, LoginRefused> {
        let (stored, proven, as_of) = self.prove(as_of, user, password, source).await?;
        match proven {
            Proven::Valid => Ok(LoggedIn { user: self.user_from(StoredUser::clone(&stored)), as_of }),
            Proven::Expired => Err(LoginRefused {
                error: password_expired(&stored.id),
                reason: Some((401, format!("The password of the user {} has expired.", stored.id))),
                user_id: Some(stored.id.clone()),
                partial_password_hash: None,
            }),
        }
    }

    /// Checks that a user may change its password, which whoever knows the old one may; that it has expired is no
    /// hindrance. 401 if it is not the user's, 400 if the rules do not let the user have the new one, or any new one
    /// now. Both are told to the listeners.
    pub(crate) async fn prepare_password_change(
        &self,
        allowed: &Allowed,
        id: &UserId,
        original: Password,
        new: Password,
    ) -> Result<PreparedPasswordChange> {
        let as_of = self.foundation.observe().await?;
        let user = self.find_user(as_of.moment, id).await?;
        let (user, ..) = match self.prove(as_of, user, original, allowed.initiator().source).await {
            Ok(proven) => proven,
            Err(refused) => {
                self.report_failed_login(allowed, id, &refused);
                return Err(refused.error);
            }
        };
        self.check_new_password(&user, &new).await.inspect_err(|error| {
            let mut event = Event::new("user", "updated", &**id, allowed);
            event.reason = Some((400, error.public_text().to_owned()));
            self.foundation.events.emit(event);
        })?;
        let hash = self.pool.hash(new).await?;
        Ok(PreparedPasswordChange { replaced: user.current_password().map(|password| password.id), hash })
    }

    /// Carries a change out. 401 if somebody else changed the password since it was checked: it is not the user's any
    /// more.
    pub(crate) async fn change_password_in(
        &self,
        tx: &mut Tx<'_>,
        id: &UserId,
        prepared: &PreparedPasswordChange,
    ) -> Result<()> {
        sql::take_users(tx, std::slice::from_ref(id)).await?;
        let user = sql::get_user(&mut *tx, id).await?.ok_or_else(|| Error::unauthorized("unknown user"))?;
        if user.current_password().map(|password| password.id) != prepared.replaced {
            return Err(Error::unauthorized(format!("somebody else changed the password of {id} at the same time")));
        }
        let now = self.foundation.time.now();
        let password = self.compliance.new_password(Some(prepared.hash.clone()), now, &user.options, SetBy::User);
        self.replace_password(tx, &user, password).await?;
        tx.touch(Ref::User(id.clone()).into());
        Ok(())
    }

    /// The user, and what the password proves of it, as of a moment that the login may go on with.
    ///
    /// **Invariant:** what is in memory lets somebody in, and refuses nobody: that is decided, and counted, by what the
    /// database says, also because other programs count failures and days without a word. So a refusal costs the same
    /// whether its user is in memory, in the database, or nowhere: a hash, a reading of the user, one of the failures,
    /// and a write.
    async fn prove(
        &self,
        as_of: AsOf,
        user: Option<FoundUser>,
        password: Password,
        source: Option<IpAddr>,
    ) -> Result<(Arc<StoredUser>, Proven, AsOf), LoginRefused> {
        let hash = user.as_ref().and_then(|user| user.stored.current_hash().map(ToOwned::to_owned));
        // Also for a locked account, or none, whose answer must not come sooner.
        let compared = match &hash {
            Some(hash) => self.compare_secret(password.clone(), hash).await?,
            None => self.verify_nothing(password.clone()).await.map(|()| Compared::Wrong)?,
        };
        let as_of = match compared {
            Compared::RightAMomentAgo => as_of,
            // What was committed while it was hashed counts: other failures, another password.
            Compared::Right | Compared::Wrong => self.foundation.observe().await?,
        };
        let is_same = |user: &StoredUser| user.current_hash() == hash.as_deref();
        let user = match user {
            Some(before) if compared.is_right() => {
                let now = self.find_user(as_of.moment, before.id()).await?;
                if let Some(now) = now.as_ref().filter(|now| is_same(&now.stored))
                    && let Some(lock) = self.remembered_lock(as_of.moment, &now.stored, source).await?
                {
                    self.note_success(&now.stored, lock, source).await?;
                    return Ok((Arc::clone(&now.stored), Proven::Valid, as_of));
                }
                now.map(|now| FoundUser { from_memory: now.from_memory && before.from_memory, ..now })
            }
            user => user,
        };
        if compared == Compared::RightAMomentAgo {
            self.verify_nothing(password.clone()).await?;
        }
        let stored = match user {
            Some(user) if user.from_memory => sql::get_user(&self.foundation.db, user.id()).await?.map(Arc::new),
            user => user.map(|user| user.stored),
        };
        let matches = compared.is_right() && stored.as_deref().is_some_and(is_same);
        let (stored, proven) = self.decide(stored, matches, &password, source).await?;
        Ok((stored, proven, as_of))
    }

    /// What a login whose password is right left to be said of its failures; `None` if it must be refused, or so it seems.
    async fn remembered_lock(&self, moment: Moment, user: &StoredUser, source: Option<IpAddr>) -> Result<Option<Lock>> {
        let Some(local) = &user.local else { return Ok(None) };
        let now = self.foundation.time.now();
        let usable = self.is_enabled(user, now)
            && user.current_password().is_some_and(|current| !is_expired(current, &user.options, now));
        if !usable {
            return Ok(None);
        }
        let counter = self.counter(Some((&user.id, Some(local))), Factor::Password, source);
        let lock = self.lock_at(moment, counter.as_ref(), &user.options).await?;
        Ok(Some(lock).filter(|lock| *lock != Lock::Locked))
    }

    /// Whether the user may log in at all: it was not switched off, nor idle for too long.
    fn is_enabled(&self, user: &StoredUser, now: Timestamp) -> bool {
        let today = now.naive().date();
        let last_active = if self.was_active_on(&user.id, today) { Some(today) } else { user.last_active() };
        self.compliance.enabled(user.enabled, last_active, &user.options, today)
    }

    /// What the password proves, by what the database says.
    async fn decide(
        &self,
        user: Option<Arc<StoredUser>>,
        matches: bool,
        password: &Password,
        source: Option<IpAddr>,
    ) -> Result<(Arc<StoredUser>, Proven), LoginRefused> {
        let now = self.foundation.time.now();
        let local = user.as_ref().and_then(|user| Some((user, user.local.as_ref()?)));
        let counter = self.counter(local.map(|(user, local)| (&user.id, Some(local))), Factor::Password, source);
        let none = UserOptions::default();
        let lock = self.lock(counter.as_ref(), user.as_ref().map_or(&none, |user| &user.options)).await?;
        let nobody = || self.counter(None, Factor::Password, source);
        let (Some(user), true) = (&user, local.is_some()) else {
            self.count_failure(nobody().as_ref(), Lock::Clean).await?;
            return Err(self.wrong(user.as_ref().map(|user| &user.id), password));
        };
        let refused = |why: &str| LoginRefused {
            error: Error::unauthorized(format!("user {} {why}", user.id)),
            user_id: Some(user.id.clone()),
            partial_password_hash: None,
            reason: None,
        };
        if lock == Lock::Locked {
            self.count_failure(nobody().as_ref(), Lock::Clean).await?;
            let reason = Some((401, format!("The account of the user {} is locked.", user.id)));
            return Err(LoginRefused { reason, ..refused("is locked out") });
        }
        if !matches {
            self.count_failure(counter.as_ref(), lock).await?;
            return Err(self.wrong(Some(&user.id), password));
        }
        if !self.is_enabled(user, now) {
            return Err(refused("is disabled"));
        }
        if user.current_password().is_some_and(|current| is_expired(current, &user.options, now)) {
            return Ok((Arc::clone(user), Proven::Expired));
        }
        self.note_success(user, lock, source).await?;
        Ok((Arc::clone(user), Proven::Valid))
    }

    fn wrong(&self, user: Option<&UserId>, password: &Password) -> LoginRefused {
        let whose = user.map_or("an unknown user", |id| id);
        LoginRefused {
            error: Error::unauthorized(format!("wrong password for {whose}")),
            user_id: user.cloned(),
            partial_password_hash: self.compliance.partial_hash(password),
            reason: LoginRefused::reason_of_unknown(user),
        }
    }

    /// Forgets the failures that a success makes good, if there are any, and notes the day: nothing is written before the
    /// answer of a login that follows another one. What Python Keystone has counted is forgotten as well.
    async fn note_success(&self, user: &StoredUser, lock: Lock, source: Option<IpAddr>) -> Result<()> {
        let counter = self.counter(Some((&user.id, user.local.as_ref())), Factor::Password, source);
        if lock != Lock::Clean {
            self.forget_failures(counter.as_ref()).await?;
        }
        // Where the counter is the user's own row, that was just read, and what is in memory of it is older.
        let local = user.local.as_ref().filter(|local| local.has_failures());
        if let Some(local) = local.filter(|_| !matches!(counter, Some(Counter::Local(_)))) {
            self.forget_local_failures(user, local).await?;
        }
        self.note_activity(&user.id, user.last_active_at, self.foundation.time.now().naive().date());
        Ok(())
    }

    async fn forget_local_failures(&self, user: &StoredUser, local: &StoredLocal) -> Result<()> {
        self.foundation
            .db
            .write(|tx| {
                Box::pin(async move {
                    sql::reset_local_failures(tx, local).await?;
                    // What is in memory says that there is something to forget.
                    tx.touch(Ref::User(user.id.clone()).into());
                    Ok(())
                })
            })
            .await
    }

    /// 400 unless the user may have this password now.
    async fn check_new_password(&self, user: &StoredUser, new: &Password) -> Result<()> {
        self.compliance.check_strength(Some(new))?;
        if user.options.is_set(UserOption::LockPassword) {
            return Err(Error::bad_request(
                "This user may not change the password: ask an administrator to set a new one.",
            ));
        }
        if let Some(current) = user.current_password() {
            self.compliance.check_age(current, self.foundation.time.now())?;
        }
        let last = user.passwords.values().rev().take(self.compliance.unique_passwords());
        for hash in last.filter_map(|password: &StoredPassword| password.hash.as_deref()) {
            if self.compare_secret(new.clone(), hash).await?.is_right() {
                return Err(self.compliance.used_before());
            }
        }
        Ok(())
    }

    fn report_failed_login(&self, allowed: &Allowed, id: &UserId, refused: &LoginRefused) {
        let mut event = Event::new("user", AUTHENTICATE, &**id, allowed);
        event.outcome = "failure";
        event.reason.clone_from(&refused.reason);
        event.details.extend(refused.details());
        self.foundation.events.emit(event);
    }
}

impl LoginRefused {
    /// That a login named nobody is told to the listeners, and to them alone. (A wrong password needs no reason.)
    pub(crate) fn reason_of_unknown(user: Option<&UserId>) -> Option<(u16, String)> {
        user.is_none().then(|| (404, "Could not find the user.".to_owned()))
    }

    /// What it adds to the event of a failed login.
    pub(crate) fn details(&self) -> Map<String, Value> {
        let hash = self.partial_password_hash.as_ref();
        hash.map(|hash| ("partial_password_hash".to_owned(), Value::from(hash.as_str()))).into_iter().collect()
    }
}
