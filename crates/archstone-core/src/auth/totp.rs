//! The method `totp`: a passcode that a device makes of the time and a secret (`keystone.auth.plugins.totp`).
//!
//! **Invariant:** a passcode works once, on all nodes together: whoever sees one typed in cannot use it, too. The reference
//! lets it work for as long as its window counts.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use keystone_token::totp::{PERIOD, Seed};
use serde_json::{Map, Value};

use super::{Attempt, AuthMethod, Proof, Users, sql};
use crate::credential::Credentials;
use crate::error::{Error, Result};
use crate::foundation::Foundation;
use crate::id::UserId;
use crate::identity::{LoginRefused, User};

/// The type of the credentials that hold the secrets.
const KIND: &str = "totp";

/// More windows than `[totp] included_previous_windows` can be: passcodes of before are accepted nowhere.
const KEPT_STEPS: u64 = 20;

pub(super) struct TotpMethod {
    pub(super) foundation: Foundation,
    pub(super) users: Users,
    pub(super) credential: Credentials,
}

impl AuthMethod for TotpMethod {
    fn authenticate<'a>(
        &'a self,
        payload: &'a Map<String, Value>,
        attempt: &'a Attempt<'_>,
    ) -> BoxFuture<'a, Result<Proof, LoginRefused>> {
        async move {
            let user = self.users.find("totp", payload, attempt.as_of.moment).await?;
            let user = user.map(|user| self.users.seen(&user)).filter(|user| user.enabled);
            let passcode = payload.get("user").and_then(|user| user.get("passcode")).and_then(Value::as_str);
            let passcode = passcode.unwrap_or_default();
            let identity = &self.users.identity;
            let lock = identity.passcode_lock(user.as_ref(), attempt.circumstances.initiator.source).await?;
            let proven = match self.step_of(user.as_ref(), passcode).await? {
                _ if lock.is_locked() => Err("locked out"),
                Some((user, step)) if self.use_up(user, step, passcode).await? => Ok(user),
                Some(_) => Err("passcode was used before"),
                None => Err("wrong passcode"),
            };
            match proven {
                Ok(user) => {
                    identity.forget_wrong_passcodes(&lock).await?;
                    Ok(Proof::of(user.clone(), attempt.as_of))
                }
                Err(why) => {
                    identity.count_wrong_passcode(&lock).await?;
                    Err(wrong(user.as_ref(), why))
                }
            }
        }
        .boxed()
    }
}

impl TotpMethod {
    /// The user with the time step whose passcode this is, by any of the user's secrets. Costs nearly the same for a user
    /// who is not there: as many queries, and one secret of nobody.
    async fn step_of<'u>(&self, user: Option<&'u User>, passcode: &str) -> Result<Option<(&'u User, u64)>> {
        let nobody = UserId::from("");
        let secrets = self.credential.secrets_of_user(user.map_or(&nobody, |user| &user.id), KIND).await?;
        // What is no seed, or too short for one, is passed over.
        let mut seeds: Vec<Seed> = secrets.iter().filter_map(|(_, blob)| Seed::parse(blob)).collect();
        let has_seed = !seeds.is_empty();
        seeds.extend((!has_seed).then(|| Seed::parse("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")).flatten());
        let now = now_step(&self.foundation);
        let previous = u64::from(self.foundation.config.totp.included_previous_windows);
        let mut step = None;
        for seed in &seeds {
            step = step.or(seed.window_of(passcode, now, previous));
        }
        Ok(user.zip(step.filter(|_| has_seed)))
    }

    /// Remembers that a passcode was used; false if it was before.
    async fn use_up(&self, user: &User, step: u64, passcode: &str) -> Result<bool> {
        let step = i64::try_from(step).map_err(|_| Error::internal("the clock stands beyond all time steps"))?;
        let id = &user.id;
        let used = self.foundation.db.write(|tx| Box::pin(sql::insert_passcode(tx, id, step, passcode))).await;
        match used {
            Err(error) if error.is_conflict() => Ok(false),
            Err(error) => Err(error.into()),
            Ok(()) => Ok(true),
        }
    }
}

/// Deletes the passcodes that would no longer be accepted anyway.
pub(super) async fn forget_used_passcodes(foundation: &Foundation) -> Result<()> {
    let before = now_step(foundation).saturating_sub(KEPT_STEPS);
    sql::delete_passcodes_before(&foundation.db, i64::try_from(before).unwrap_or(0)).await?;
    Ok(())
}

/// The time step of now; the first one for a clock before 1970.
fn now_step(foundation: &Foundation) -> u64 {
    u64::try_from(foundation.time.now().seconds()).unwrap_or(0) / PERIOD
}

fn wrong(user: Option<&User>, why: &str) -> LoginRefused {
    let whose = user.map_or("an unknown or disabled user", |user| &*user.id);
    LoginRefused {
        error: Error::unauthorized(format!("{why} for {whose}")),
        user_id: user.map(|user| user.id.clone()),
        partial_password_hash: None,
        reason: LoginRefused::reason_of_unknown(user.map(|user| &user.id)),
    }
}
