//! Proving a password, and changing one's own (`keystone.identity.backends.sql.Identity.authenticate`).
//!
//! **Invariant:** to the caller, and to a clock, an unknown user, a wrong password, a locked and a disabled account are
//! the same: 401 after one hash, and after one count where failures are counted. Only who knows the password learns that it has expired.

use std::net::IpAddr;

use archstone_db::Tx;
use serde_json::{Map, Value};

use super::compliance::{Lock, SetBy, is_expired, password_expired};
use super::lockout::Factor;
use super::password::Password;
use super::sql::{self, StoredPassword, StoredUser};
use super::{Identity, User, UserOption, UserOptions};
use crate::authz::Allowed;
use crate::error::{Error, Result};
use crate::events::{AUTHENTICATE, Event};
use crate::freshness::Ref;
use crate::id::UserId;
use crate::time::Timestamp;

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
        user: Option<User>,
        password: Password,
        source: Option<IpAddr>,
    ) -> Result<User, LoginRefused> {
        let stored = match user {
            Some(user) => sql::get_user(&self.foundation.db, &user.id).await?,
            None => None,
        };
        let (stored, proven) = self.prove(stored, password, source).await?;
        match proven {
            Proven::Valid => Ok(self.user_from(stored)),
            Proven::Expired => Err(LoginRefused {
                error: password_expired(&stored.id),
                reason: Some((401, format!("The password of the user {} has expired.", stored.id))),
                user_id: Some(stored.id),
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
        let user = sql::get_user(&self.foundation.db, id).await?;
        let (user, _) = match self.prove(user, original, allowed.initiator().source).await {
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

    /// The user, and what the password proves of it.
    async fn prove(
        &self,
        user: Option<StoredUser>,
        password: Password,
        source: Option<IpAddr>,
    ) -> Result<(StoredUser, Proven), LoginRefused> {
        let now = self.foundation.time.now();
        let current = user.as_ref().and_then(StoredUser::current_password);
        // Also for a locked account, or none, whose answer must not come sooner.
        let matches = match current.and_then(|current| current.hash.as_deref()) {
            Some(hash) => self.verify_secret(password.clone(), hash).await?,
            None => self.verify_nothing(password.clone()).await.map(|()| false)?,
        };
        let local = user.as_ref().and_then(|user| Some((user, user.local.as_ref()?)));
        let counter = self.counter(local.map(|(user, local)| (&user.id, Some(local))), Factor::Password, source);
        let none = UserOptions::default();
        let lock = self.lock(counter.as_ref(), user.as_ref().map_or(&none, |user| &user.options)).await?;
        let nobody = || self.counter(None, Factor::Password, source);
        let (Some(user), true) = (&user, local.is_some()) else {
            self.count_failure(nobody().as_ref(), Lock::Clean).await?;
            return Err(self.wrong(user.as_ref().map(|user| &user.id), &password));
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
            return Err(self.wrong(Some(&user.id), &password));
        }
        if !self.compliance.enabled(user.enabled, user.last_active(), &user.options, now.naive().date()) {
            return Err(refused("is disabled"));
        }
        if user.current_password().is_some_and(|current| is_expired(current, &user.options, now)) {
            return Ok((user.clone(), Proven::Expired));
        }
        if lock != Lock::Clean {
            self.forget_failures(counter.as_ref()).await?;
        }
        self.note_success(user, now).await?;
        Ok((user.clone(), Proven::Valid))
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

    /// Writes only what changes: nothing on a user's second login of a day. What Python Keystone has counted is forgotten
    /// as well.
    async fn note_success(&self, user: &StoredUser, now: Timestamp) -> Result<()> {
        let today = now.naive().date();
        let first_today = user.last_active_at != Some(today);
        let failed = user.local.as_ref().filter(|local| local.has_failures());
        if !first_today && failed.is_none() {
            return Ok(());
        }
        self.foundation
            .db
            .write(|tx| {
                Box::pin(async move {
                    if let Some(local) = failed {
                        sql::reset_local_failures(tx, local).await?;
                    }
                    if first_today {
                        sql::set_last_active(tx, &user.id, today).await?;
                    }
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
            if self.pool.verify(new.clone(), hash.to_owned()).await? {
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
