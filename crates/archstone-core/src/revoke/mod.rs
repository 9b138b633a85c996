//! Revocation events: what makes a token of an earlier time invalid (`keystone.revoke`).
//!
//! All events are in memory, indexed by what they name, so that asking about a token does not depend on their number.
//!
//! **Invariant:** an event counts on every node from the moment its transaction is committed: the index asks
//! [`Freshness`](crate::freshness::Freshness) before it answers.

mod index;
mod sql;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use archstone_db::Tx;
use tokio::sync::Mutex;

use crate::authz::Allowed;
use crate::error::Result;
use crate::foundation::Foundation;
use crate::freshness::{Moment, Ref};
use crate::time::Timestamp;

use index::RevocationIndex;
pub use index::TokenFacts;

/// What an event names; an attribute that is not set matches any token (`keystone.models.revoke_model.RevokeEvent`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RevocationEvent {
    /// All tokens of this user, as user, trustor or trustee.
    pub user_id: Option<String>,
    /// Tokens of this project.
    pub project_id: Option<String>,
    /// Tokens of users of this domain; with `expires_at`, tokens of this domain's scope.
    pub domain_id: Option<String>,
    /// Tokens with this role.
    pub role_id: Option<String>,
    /// Tokens by this trust.
    pub trust_id: Option<String>,
    /// Tokens by this OAuth 1 consumer.
    pub consumer_id: Option<String>,
    /// Never compared; kept because the table has it.
    pub access_token_id: Option<String>,
    /// The token of this audit id.
    pub audit_id: Option<String>,
    /// Tokens made of the token of this audit id.
    pub audit_chain_id: Option<String>,
    /// Tokens that expire in this second.
    pub expires_at: Option<Timestamp>,
}

impl RevocationEvent {
    /// Ends all tokens of a user.
    pub fn of_user(user_id: &str) -> RevocationEvent {
        RevocationEvent { user_id: Some(user_id.to_owned()), ..RevocationEvent::default() }
    }

    /// Ends all tokens of a project.
    pub fn of_project(project_id: &str) -> RevocationEvent {
        RevocationEvent { project_id: Some(project_id.to_owned()), ..RevocationEvent::default() }
    }
}

/// An event as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    pub(crate) id: i64,
    /// Whose tokens it ends.
    pub event: RevocationEvent,
    /// Those that were issued up to then.
    pub issued_before: Timestamp,
    /// When it was made.
    pub revoked_at: Timestamp,
}

/// The door of revocation.
#[derive(Clone)]
pub struct Revoke {
    foundation: Foundation,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    index: RwLock<Indexed>,
    loading: Mutex<()>,
}

#[derive(Default)]
struct Indexed {
    index: RevocationIndex,
    /// Up to which moment the index holds; none before the first load.
    as_of: Option<Moment>,
    newest_id: i64,
    /// Ids below the newest that were not there yet, by the first of each gap: transactions do not commit in the order of
    /// their ids, and some ids never come. A gap may be as wide as what one transaction revokes.
    late: BTreeMap<i64, Gap>,
    /// Events in the index after those of the past were last taken out of it.
    after_pruning: usize,
}

/// Ids that were skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gap {
    last: i64,
    noticed: Timestamp,
}

/// For how many seconds, and in how many of the newest gaps, an event may still come late.
const LATE_FOR: i64 = 300;
const MOST_GAPS: usize = 1024;

impl Indexed {
    fn add(&mut self, mut events: Vec<StoredEvent>, now: Timestamp, oldest: Timestamp) {
        events.sort_by_key(|stored| stored.id);
        for stored in events {
            if stored.id > self.newest_id {
                if stored.id > self.newest_id + 1 {
                    self.late.insert(self.newest_id + 1, Gap { last: stored.id - 1, noticed: now });
                }
                self.newest_id = stored.id;
            } else {
                self.fill(stored.id);
            }
            self.index.insert(stored.event, stored.issued_before);
        }
        let since = now.plus_seconds(-LATE_FOR);
        self.late.retain(|_, gap| gap.noticed >= since);
        while self.late.len() > MOST_GAPS {
            self.late.pop_first();
        }
        // Only when it has doubled, so that each event is looked at a few times in all.
        if self.index.len() > 2 * self.after_pruning + 1024 {
            self.index.forget_before(oldest);
            self.after_pruning = self.index.len();
        }
    }
}

impl Indexed {
    /// Parts the gap that an id was in.
    fn fill(&mut self, id: i64) {
        let Some((&first, &gap)) = self.late.range(..=id).next_back() else { return };
        if id > gap.last {
            return;
        }
        self.late.remove(&first);
        if first < id {
            self.late.insert(first, Gap { last: id - 1, ..gap });
        }
        if id < gap.last {
            self.late.insert(id + 1, gap);
        }
    }
}

impl Revoke {
    /// A door onto this foundation.
    pub fn new(foundation: Foundation) -> Revoke {
        Revoke { foundation, state: Arc::new(State::default()) }
    }

    /// Writes an event within a transaction; see [`Revoke::record_all`].
    pub(crate) async fn record(&self, tx: &mut Tx<'_>, event: &RevocationEvent) -> Result<()> {
        self.record_all(tx, std::slice::from_ref(event)).await
    }

    /// Writes events within a transaction: tokens issued up to this second no longer count. Events that are too old to
    /// match a living token go at the same time, as in the reference.
    pub(crate) async fn record_all(&self, tx: &mut Tx<'_>, events: &[RevocationEvent]) -> Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        sql::insert(tx, events, self.foundation.time.now().truncated()).await?;
        sql::prune(tx, self.oldest()).await?;
        tx.touch(Ref::Revocations.into());
        Ok(())
    }

    /// What was revoked before can match no living token.
    fn oldest(&self) -> Timestamp {
        let config = &self.foundation.config;
        let keep_seconds = config.token.expiration.saturating_add(config.revoke.expiration_buffer);
        let now = self.foundation.time.now().truncated();
        now.plus_seconds(i64::try_from(keep_seconds).map_or(i64::MIN + 1, |seconds| -seconds))
    }

    /// Writes events in a transaction of their own.
    pub(crate) async fn revoke(&self, events: &[RevocationEvent]) -> Result<()> {
        self.foundation.db.write(move |tx| Box::pin(async move { self.record_all(tx, events).await })).await
    }

    /// The events that may still end a living token, the oldest first; with `after`, those that were made later.
    pub async fn list_events(&self, _: &Allowed, after: Option<Timestamp>) -> Result<Vec<StoredEvent>> {
        sql::list_since(&self.foundation.db, after).await
    }

    /// Whether an event of up to `moment` ends this token.
    pub(crate) async fn is_revoked(&self, facts: &TokenFacts<'_>, moment: Moment) -> Result<bool> {
        if !self.is_current(moment) {
            self.load(moment).await?;
        }
        Ok(self.read().index.matches(facts))
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Indexed> {
        // A panic while writing leaves an index that is at worst out of date, which `as_of` tells.
        self.state.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_current(&self, moment: Moment) -> bool {
        let as_of = self.read().as_of;
        as_of.is_some_and(|as_of| as_of >= moment || self.foundation.freshness.holds(as_of, &[Ref::Revocations]))
    }

    async fn load(&self, moment: Moment) -> Result<()> {
        let _one_at_a_time = self.state.loading.lock().await;
        if self.is_current(moment) {
            return Ok(());
        }
        let (newest_id, late) = {
            let indexed = self.read();
            let late = indexed.late.iter().map(|(first, gap)| (*first, gap.last));
            (indexed.newest_id, late.collect::<Vec<_>>())
        };
        let events = sql::list_after(&self.foundation.db, newest_id, &late).await?;
        let mut indexed = self.state.index.write().unwrap_or_else(PoisonError::into_inner);
        indexed.add(events, self.foundation.time.now(), self.oldest());
        indexed.as_of = Some(moment);
        Ok(())
    }
}
