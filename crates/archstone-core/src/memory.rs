//! Values that are loaded once and kept for as long as the clock of the database says that they hold.
//!
//! **Invariant:** a value is as of the moment that its reader observed, or later: one that was loaded before is given out
//! only if nothing that it depends on was touched since, and a load under way is shared only with those whose moment it
//! covers.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::error::Result;
use crate::freshness::{Freshness, Moment, Ref};

/// Entries that a memory is laid out for at the start.
const EXPECTED_ENTRIES: usize = 16 * 1024;

/// A value as it was loaded.
#[derive(Clone)]
pub(crate) struct Loaded<V> {
    /// The value; cheap to clone.
    pub(crate) value: V,
    /// What it is made of.
    pub(crate) depends_on: Arc<[Ref]>,
    /// Bytes that it takes in memory, roughly.
    pub(crate) bytes: u64,
}

/// Values by their keys, within a bound of bytes. Cheap to clone.
pub(crate) struct Memory<K, V>(Arc<Inner<K, V>>);

struct Inner<K, V> {
    freshness: Freshness,
    entries: Cache<K, Entry<V>, ByBytes>,
    /// Loads under way; each leaves when it is done. One that nobody waits for any more has ended.
    loading: Mutex<HashMap<K, Flight<V>>>,
}

#[derive(Clone)]
struct Entry<V> {
    loaded: Loaded<V>,
    stamp: Moment,
}

struct Flight<V> {
    began: Moment,
    outcome: WeakShared<BoxFuture<'static, Result<V>>>,
}

#[derive(Clone)]
struct ByBytes;

impl<K, V> Weighter<K, Entry<V>> for ByBytes {
    fn weight(&self, _: &K, entry: &Entry<V>) -> u64 {
        entry.loaded.bytes.max(1)
    }
}

impl<K, V> Clone for Memory<K, V> {
    fn clone(&self) -> Memory<K, V> {
        Memory(Arc::clone(&self.0))
    }
}

impl<K, V> Memory<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// An empty memory for at most so many bytes.
    pub(crate) fn new(freshness: Freshness, capacity: u64) -> Memory<K, V> {
        let entries = Cache::with_weighter(EXPECTED_ENTRIES, capacity, ByBytes);
        Memory(Arc::new(Inner { freshness, entries, loading: Mutex::new(HashMap::new()) }))
    }

    /// The value, if it is here and holds.
    pub(crate) fn get(&self, key: &K) -> Option<V> {
        let entry = self.0.entries.get(key)?;
        if self.0.freshness.holds(entry.stamp, &entry.loaded.depends_on) {
            return Some(entry.loaded.value);
        }
        self.0.entries.remove(key);
        None
    }

    /// The value as of `moment` or later: from memory, from a load that is under way, or by `load`. An error is shared by
    /// all who waited for it, and not kept.
    pub(crate) async fn get_or_load<F>(&self, moment: Moment, key: &K, load: impl FnOnce() -> F) -> Result<V>
    where
        F: Future<Output = Result<Loaded<V>>> + Send + 'static,
    {
        if let Some(value) = self.get(key) {
            return Ok(value);
        }
        self.join_or_start(moment, key, load).await
    }

    fn join_or_start<F>(
        &self,
        moment: Moment,
        key: &K,
        load: impl FnOnce() -> F,
    ) -> Shared<BoxFuture<'static, Result<V>>>
    where
        F: Future<Output = Result<Loaded<V>>> + Send + 'static,
    {
        // What it guards is a hint: a panic leaves at worst a flight that has ended.
        let mut loading = self.0.loading.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = loading.get(key)
            && flight.began.covers(moment)
            && let Some(outcome) = flight.outcome.upgrade()
        {
            return outcome;
        }
        // Before the load: what is touched from now on makes the value invalid.
        let began = self.0.freshness.stamp();
        let outcome = self.clone().fly(key.clone(), began, load()).boxed().shared();
        // Not polled yet, so there is something to downgrade.
        if let Some(weak) = outcome.downgrade() {
            loading.insert(key.clone(), Flight { began, outcome: weak });
        }
        outcome
    }

    async fn fly(self, key: K, began: Moment, load: impl Future<Output = Result<Loaded<V>>>) -> Result<V> {
        let _landing = Landing { memory: self.clone(), key: key.clone(), began };
        let loaded = load.await?;
        let value = loaded.value.clone();
        self.insert(key, began, loaded);
        Ok(value)
    }

    /// Keeps a value that was loaded after `stamp`.
    pub(crate) fn insert(&self, key: K, stamp: Moment, loaded: Loaded<V>) {
        self.0.entries.insert(key, Entry { loaded, stamp });
    }
}

/// Takes a flight off the list, whether it was ended by its load or by everybody who waited for it.
struct Landing<K: Eq + Hash, V> {
    memory: Memory<K, V>,
    key: K,
    began: Moment,
}

impl<K: Eq + Hash, V> Drop for Landing<K, V> {
    fn drop(&mut self) {
        let mut loading = self.memory.0.loading.lock().unwrap_or_else(PoisonError::into_inner);
        // A later one may have taken its place.
        if loading.get(&self.key).is_some_and(|flight| flight.began == self.began) {
            loading.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Duration;

    use archstone_db::testing::on_each_database;
    use archstone_db::{Db, DbError};
    use tokio::sync::Semaphore;

    use super::*;
    use crate::error::Error;

    fn memory(db: &Db) -> (Freshness, Memory<&'static str, u32>) {
        let freshness = Freshness::new(db.clone(), Duration::from_hours(1));
        (freshness.clone(), Memory::new(freshness, 1000))
    }

    fn loaded(value: u32) -> Loaded<u32> {
        Loaded { value, depends_on: Arc::from([Ref::User("u".into())]), bytes: 1 }
    }

    async fn touch(db: &Db, user: &'static str) {
        let wrote = db.write(move |tx| {
            Box::pin(async move {
                tx.touch(Ref::User(user.into()).into());
                Ok::<_, DbError>(())
            })
        });
        wrote.await.unwrap();
    }

    #[tokio::test]
    async fn a_value_is_loaded_again_only_when_what_it_depends_on_was_touched() {
        on_each_database(async |db| {
            let (freshness, memory) = memory(db);
            let loads = AtomicU32::new(0);
            for (touched, expected) in [(None, 1), (None, 1), (Some("other"), 1), (Some("u"), 2)] {
                if let Some(user) = touched {
                    touch(db, user).await;
                }
                let moment = freshness.observe().await.unwrap();
                let load = || {
                    let value = loads.fetch_add(1, Ordering::Relaxed) + 1;
                    async move { Ok(loaded(value)) }
                };
                assert_eq!(memory.get_or_load(moment, &"k", load).await.unwrap(), expected, "{touched:?}");
            }
        })
        .await;
    }

    #[tokio::test]
    async fn those_who_want_the_same_share_one_load_but_never_one_from_before_them() {
        on_each_database(async |db| {
            let (freshness, memory) = memory(db);
            let gate = Arc::new(Semaphore::new(0));
            let loads = Arc::new(AtomicU32::new(0));
            let ask = |moment| {
                let (memory, gate, loads) = (memory.clone(), Arc::clone(&gate), Arc::clone(&loads));
                async move {
                    let load = || async move {
                        let value = loads.fetch_add(1, Ordering::Relaxed) + 1;
                        gate.acquire().await.expect("open").forget();
                        Ok(loaded(value))
                    };
                    memory.get_or_load(moment, &"k", load).await.unwrap()
                }
            };
            let before = freshness.observe().await.unwrap();
            let mut early = Box::pin(futures::future::join(ask(before), ask(before)));
            assert!(futures::poll!(&mut early).is_pending());
            touch(db, "u").await;
            let after = freshness.observe().await.unwrap();
            let mut late = Box::pin(ask(after));
            assert!(futures::poll!(&mut late).is_pending());
            gate.add_permits(2);
            assert_eq!(early.await, (1, 1));
            assert_eq!(late.await, 2);
            assert_eq!(ask(after).await, 2);
        })
        .await;
    }

    #[tokio::test]
    async fn an_error_and_a_load_that_nobody_waits_for_are_not_kept() {
        on_each_database(async |db| {
            let (freshness, memory) = memory(db);
            let moment = freshness.observe().await.unwrap();
            let failing = memory.get_or_load(moment, &"k", || async { Err(Error::internal("broken")) }).await;
            assert!(failing.is_err());
            let mut endless = Box::pin(memory.get_or_load(moment, &"k", futures::future::pending));
            assert!(futures::poll!(&mut endless).is_pending());
            drop(endless);
            assert!(memory.0.loading.lock().unwrap().is_empty());
            assert_eq!(memory.get_or_load(moment, &"k", || async { Ok(loaded(3)) }).await.unwrap(), 3);
        })
        .await;
    }
}
