//! The day on which a user last logged in (`user.last_active_at`), written beside the logins and not before their answers.
//!
//! A login only notes it; a task writes what was noted as soon as it can, all of it at once. So the first logins of a day
//! come together in a few statements, and further ones of the day write nothing.
//!
//! **Invariant:** what was noted is kept until it is written, also when a write fails or is broken off. What does not fit
//! is told in the log, and noted again by the user's next login.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::NaiveDate;
use tokio::sync::Notify;

use super::{Identity, sql};
use crate::error::Result;
use crate::freshness::Ref;
use crate::id::UserId;

/// So many users may wait to be written: as many as log in while the database is away, if it stays away for long.
const MOST_NOTED: usize = 100_000;

/// After a write that failed.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the end of the program waits for the last write.
const LAST_WRITE: Duration = Duration::from_secs(5);

#[derive(Default)]
pub(super) struct Activity {
    noted: Mutex<Noted>,
    wake: Notify,
    one_at_a_time: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Noted {
    waiting: HashMap<UserId, NaiveDate>,
    /// The day that `written` is about.
    day: Option<NaiveDate>,
    /// Who needs not be noted again that day, though what is in memory of the user is older.
    written: HashSet<UserId>,
}

impl Activity {
    /// Notes that a user logged in on this day.
    fn note(&self, id: &UserId, day: NaiveDate) {
        {
            let mut noted = self.lock();
            if noted.is_known(id, day) {
                return;
            }
            if noted.waiting.len() >= MOST_NOTED {
                tracing::warn!(
                    "the day of the login of user {id} is not noted: {MOST_NOTED} users wait to be written already"
                );
                return;
            }
            noted.waiting.insert(id.clone(), day);
        }
        self.wake.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        // Nothing panics while it holds the lock.
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Noted {
    fn is_known(&self, id: &UserId, day: NaiveDate) -> bool {
        self.waiting.get(id).is_some_and(|noted| *noted >= day) || (self.day == Some(day) && self.written.contains(id))
    }

    fn wrote(&mut self, id: UserId, day: NaiveDate) {
        // A later login may have been noted meanwhile.
        if self.waiting.get(&id) == Some(&day) {
            self.waiting.remove(&id);
        }
        if self.day != Some(day) || self.written.len() >= MOST_NOTED {
            self.written.clear();
            self.day = Some(day);
        }
        self.written.insert(id);
    }
}

impl Identity {
    /// Notes a login of today, unless the row says so already.
    pub(super) fn note_activity(&self, id: &UserId, stored: Option<NaiveDate>, today: NaiveDate) {
        if stored.is_none_or(|stored| stored < today) {
            self.activity.note(id, today);
        }
    }

    /// Whether a login of this day was noted, which what is in memory of the user need not know yet.
    pub(crate) fn was_active_on(&self, id: &UserId, day: NaiveDate) -> bool {
        self.activity.lock().is_known(id, day)
    }

    /// Writes what was noted up to now. What is not written because of an error is tried again by the next call.
    pub(crate) async fn write_activity(&self) -> Result<()> {
        let _one_at_a_time = self.activity.one_at_a_time.lock().await;
        let mut days: BTreeMap<NaiveDate, Vec<UserId>> = BTreeMap::new();
        for (id, day) in &self.activity.lock().waiting {
            days.entry(*day).or_default().push(id.clone());
        }
        for (day, mut ids) in days {
            // All writers in one order, so that they don't wait for each other in a circle.
            ids.sort();
            let written = &ids;
            self.foundation
                .db
                .write(|tx| {
                    Box::pin(async move {
                        sql::set_last_active(tx, written, day).await?;
                        // Elsewhere nobody looks at the day in memory.
                        if self.compliance.watches_inactivity() {
                            for id in written {
                                tx.touch(Ref::User(id.clone()).into());
                            }
                        }
                        Ok::<_, crate::error::Error>(())
                    })
                })
                .await?;
            let mut noted = self.activity.lock();
            for id in ids {
                noted.wrote(id, day);
            }
        }
        Ok(())
    }

    /// Writes what is noted, for ever. To be spawned beside the server.
    pub(crate) async fn keep_writing_activity(self) {
        loop {
            self.activity.wake.notified().await;
            if let Err(error) = self.write_activity().await {
                let waiting = self.activity.lock().waiting.len();
                tracing::error!(
                    detail = error.detail_text(),
                    "the day of the last login of {waiting} users is not written yet; trying again"
                );
                tokio::time::sleep(PAUSE).await;
                self.activity.wake.notify_one();
            }
        }
    }

    /// Writes what is left at the end of the program.
    pub(crate) async fn finish_activity(&self) {
        let lost = match tokio::time::timeout(LAST_WRITE, self.write_activity()).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.detail_text().to_owned(),
            Err(_) => format!("no answer in {LAST_WRITE:?}"),
        };
        let waiting = self.activity.lock().waiting.len();
        tracing::error!(detail = lost, "the day of the last login of {waiting} users was not written");
    }
}
