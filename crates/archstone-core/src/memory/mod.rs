//! Values that are loaded once and kept for as long as the clock of the database says that they hold.
//!
//! [`Memory`] loads each value by itself, [`Batches`] those that are wanted at the same time together.
//!
//! **Invariant:** a value is as of the moment that its reader observed, or later: one that was loaded before is given out
//! only if nothing that it depends on was touched since, and a load under way is shared only with those whose moment it
//! covers.
//!
//! **Invariant:** a value that is made of others depends on all that they depend on, and is no younger than the oldest:
//! [`Basis`] sees to it.

mod basis;
mod batches;
mod budget;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use crate::error::Result;
use crate::freshness::{Freshness, Moment, Ref};

pub(crate) use basis::Basis;
pub(crate) use batches::{Batch, Batches};
pub(crate) use budget::Caches;

/// What must be touched for a value to change, in pieces that values share.
pub(crate) type DependsOn = Arc<[Arc<[Ref]>]>;

/// A value as it was loaded.
#[derive(Clone)]
pub(crate) struct Loaded<V> {
    /// The value; cheap to clone.
    pub(crate) value: V,
    depends_on: DependsOn,
    bytes: u64,
    /// When the oldest of the values that it is made of was loaded.
    oldest: Option<Moment>,
}

impl<V> Loaded<V> {
    /// A value straight out of the database, that takes about so many bytes with its key.
    pub(crate) fn new(value: V, depends_on: impl IntoIterator<Item = Ref>, bytes: usize) -> Loaded<V> {
        let depends_on = DependsOn::from([depends_on.into_iter().collect::<Arc<[Ref]>>()]);
        Loaded { value, depends_on, bytes: bytes as u64, oldest: None }
    }
}

/// A value out of memory.
#[derive(Clone)]
pub(crate) struct Known<V> {
    /// The value.
    pub(crate) value: V,
    depends_on: DependsOn,
    /// When it was loaded.
    stamp: Moment,
}

impl<V> Known<V> {
    fn new(loaded: Loaded<V>, began: Moment) -> Known<V> {
        let stamp = loaded.oldest.map_or(began, |oldest| began.made_of(oldest));
        Known { value: loaded.value, depends_on: loaded.depends_on, stamp }
    }

    /// The same with another face.
    pub(crate) fn map<W>(self, face: impl FnOnce(V) -> W) -> Known<W> {
        Known { value: face(self.value), depends_on: self.depends_on, stamp: self.stamp }
    }
}

/// How large a memory may get.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Capacity {
    /// All entries together.
    pub(crate) bytes: u64,
    /// A usual one.
    pub(crate) entry_bytes: u64,
}

/// A part of a memory's own that no entry may be larger than.
const SHARD_BYTES: u64 = 8 * 1024 * 1024;
const MOST_SHARDS: u64 = 64;
/// What an entry takes beside its value and key: its place in the tables.
const ENTRY_OVERHEAD: u64 = 128;

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
    known: Known<V>,
    bytes: u64,
}

struct Flight<V> {
    began: Moment,
    outcome: WeakShared<BoxFuture<'static, Result<Known<V>>>>,
}

#[derive(Clone)]
struct ByBytes;

impl<K, V> Weighter<K, Entry<V>> for ByBytes {
    fn weight(&self, _: &K, entry: &Entry<V>) -> u64 {
        entry.bytes + ENTRY_OVERHEAD
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
    /// An empty memory. Nothing is laid out before it is needed.
    pub(crate) fn new(freshness: Freshness, capacity: Capacity) -> Memory<K, V> {
        let entries = usize::try_from(capacity.bytes / (capacity.entry_bytes + ENTRY_OVERHEAD)).unwrap_or(usize::MAX);
        let shards = usize::try_from((capacity.bytes / SHARD_BYTES).clamp(1, MOST_SHARDS)).unwrap_or(1);
        // Rounded down: the parts are not to be smaller.
        let shards = if shards.is_power_of_two() { shards } else { shards.next_power_of_two() / 2 };
        let options = OptionsBuilder::new()
            .shards(shards)
            .estimated_items_capacity(entries.max(1))
            .weight_capacity(capacity.bytes)
            .build()
            .expect("both capacities are set");
        let entries = Cache::with_options(options, ByBytes, DefaultHashBuilder::default(), DefaultLifecycle::default());
        Memory(Arc::new(Inner { freshness, entries, loading: Mutex::new(HashMap::new()) }))
    }

    /// The value, if it is here and holds.
    pub(crate) fn get(&self, key: &K) -> Option<V> {
        self.get_known(key).map(|known| known.value)
    }

    /// As [`Memory::get`], for what is to become part of another value.
    pub(crate) fn get_known(&self, key: &K) -> Option<Known<V>> {
        let known = self.0.entries.get(key)?.known;
        if self.0.freshness.holds(known.stamp, known.depends_on.iter().flat_map(|piece| piece.iter())) {
            return Some(known);
        }
        self.0.entries.remove(key);
        None
    }

    /// The value as of `moment` or later: from memory, from a load that is under way, or by `load`. An error is shared by
    /// all who waited for it, and not kept.
    ///
    /// `load` is told when it begins, which may be later than `moment`: what it takes out of other memories must be as of
    /// then, for those who come later share it.
    pub(crate) async fn get_or_load<F>(
        &self,
        moment: Moment,
        key: &K,
        load: impl FnOnce(Moment) -> F,
    ) -> Result<Known<V>>
    where
        F: Future<Output = Result<Loaded<V>>> + Send + 'static,
    {
        if let Some(known) = self.get_known(key) {
            return Ok(known);
        }
        self.join_or_start(moment, key, load).await
    }

    fn join_or_start<F>(
        &self,
        moment: Moment,
        key: &K,
        load: impl FnOnce(Moment) -> F,
    ) -> Shared<BoxFuture<'static, Result<Known<V>>>>
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
        let outcome = self.clone().fly(key.clone(), began, load(began)).boxed().shared();
        // Not polled yet, so there is something to downgrade.
        if let Some(weak) = outcome.downgrade() {
            loading.insert(key.clone(), Flight { began, outcome: weak });
        }
        outcome
    }

    async fn fly(self, key: K, began: Moment, load: impl Future<Output = Result<Loaded<V>>>) -> Result<Known<V>> {
        let _landing = Landing { memory: self.clone(), key: key.clone(), began };
        let loaded = load.await?;
        Ok(self.insert(key, began, loaded))
    }

    /// Keeps a value whose load began at this moment.
    pub(crate) fn insert(&self, key: K, began: Moment, loaded: Loaded<V>) -> Known<V> {
        let bytes = loaded.bytes;
        let known = Known::new(loaded, began);
        self.0.entries.insert(key, Entry { known: known.clone(), bytes });
        known
    }

    /// Forgets a value.
    pub(crate) fn forget(&self, key: &K) {
        self.0.entries.remove(key);
    }

    /// Notes that the value of a key, if it is here, takes so many bytes meanwhile.
    pub(crate) fn weigh(&self, key: &K, bytes: usize) {
        if let Some(entry) = self.0.entries.peek(key) {
            // Gone in between: then there is nothing to note.
            self.0.entries.replace(key.clone(), Entry { bytes: bytes as u64, ..entry }, true).ok();
        }
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.entries.len()
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

    const SMALL: Capacity = Capacity { bytes: 1 << 20, entry_bytes: 1024 };

    fn memory(db: &Db) -> (Freshness, Memory<&'static str, u32>) {
        let freshness = Freshness::new(db.clone(), Duration::from_hours(1));
        (freshness.clone(), Memory::new(freshness, SMALL))
    }

    fn loaded(value: u32) -> Loaded<u32> {
        Loaded::new(value, [Ref::User("u".into())], 1)
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
                let load = |_| {
                    let value = loads.fetch_add(1, Ordering::Relaxed) + 1;
                    async move { Ok(loaded(value)) }
                };
                assert_eq!(memory.get_or_load(moment, &"k", load).await.unwrap().value, expected, "{touched:?}");
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
                    let load = |_| async move {
                        let value = loads.fetch_add(1, Ordering::Relaxed) + 1;
                        gate.acquire().await.expect("open").forget();
                        Ok(loaded(value))
                    };
                    memory.get_or_load(moment, &"k", load).await.unwrap().value
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
    async fn a_flood_of_values_seen_once_leaves_those_in_use() {
        on_each_database(async |db| {
            let freshness = Freshness::new(db.clone(), Duration::from_hours(1));
            let memory: Memory<u32, u32> =
                Memory::new(freshness.clone(), Capacity { bytes: 4 << 20, entry_bytes: 896 });
            let (in_use, fit) = (1000, 4096);
            let stamp = freshness.stamp();
            let insert = |key| memory.insert(key, stamp, Loaded::new(key, [], 896));
            for key in 0..in_use {
                insert(key);
            }
            for flood in 0..10 * fit {
                insert(1_000_000 + flood);
                // Each of them is asked for now and then.
                memory.get(&(flood % in_use));
            }
            let left = (0..in_use).filter(|key| memory.get(key).is_some()).count();
            assert!(left >= 990, "{left} of {in_use} are left");
            assert!(memory.len() <= fit as usize);
        })
        .await;
    }

    #[tokio::test]
    async fn an_error_and_a_load_that_nobody_waits_for_are_not_kept() {
        on_each_database(async |db| {
            let (freshness, memory) = memory(db);
            let moment = freshness.observe().await.unwrap();
            let failing = memory.get_or_load(moment, &"k", |_| async { Err(Error::internal("broken")) }).await;
            assert!(failing.is_err());
            let mut endless = Box::pin(memory.get_or_load(moment, &"k", |_| futures::future::pending()));
            assert!(futures::poll!(&mut endless).is_pending());
            drop(endless);
            assert!(memory.0.loading.lock().unwrap().is_empty());
            assert_eq!(memory.get_or_load(moment, &"k", |_| async { Ok(loaded(3)) }).await.unwrap().value, 3);
        })
        .await;
    }
}
