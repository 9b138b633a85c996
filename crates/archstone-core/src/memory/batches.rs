//! Loads that are shared also by those who want different things.
//!
//! While one load of a kind is under way, those who want others of the kind gather, and are served by the next one
//! together. So the number of loads does not grow with the number of those who ask at the same time.

use std::collections::HashMap;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt as _;
use futures::future::{BoxFuture, try_join_all};
use tokio::sync::oneshot;

use super::{Capacity, Known, Loaded, Memory};
use crate::error::{Error, ErrorKind, Result};
use crate::freshness::{Freshness, Moment, Ref};

/// What a load found: a value for each key, also where there is nothing.
pub(crate) type Batch<K, V> = HashMap<K, Loaded<V>>;

type Load<K, V> = dyn Fn(Vec<K>) -> BoxFuture<'static, Result<Batch<K, V>>> + Send + Sync;

/// Most keys of one load, so that nobody waits long for the keys of others.
const MOST_KEYS: usize = 1000;

/// How often a failed load is tried with fewer keys.
const MOST_TRIES: u32 = 64;

/// A [`Memory`] whose values are loaded together. Cheap to clone.
pub(crate) struct Batches<K, V>(Arc<Inner<K, V>>);

struct Inner<K, V> {
    memory: Memory<K, V>,
    freshness: Freshness,
    load: Box<Load<K, V>>,
    queue: Mutex<Queue<K, V>>,
}

struct Queue<K, V> {
    /// The keys of the next load.
    gathering: HashMap<K, Waiters<V>>,
    /// The keys of the load that is under way, and when it began.
    flying: HashMap<K, Waiters<V>>,
    began: Option<Moment>,
    /// Whether somebody sees to it that what gathers is loaded.
    working: bool,
}

type Waiters<V> = Vec<oneshot::Sender<Result<Known<V>>>>;

impl<K, V> Clone for Batches<K, V> {
    fn clone(&self) -> Batches<K, V> {
        Batches(Arc::clone(&self.0))
    }
}

impl<K, V> Batches<K, V>
where
    K: Clone + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// An empty memory, filled by `load`, which answers for each key that it is asked for.
    pub(crate) fn new<F>(
        freshness: Freshness,
        capacity: Capacity,
        load: impl Fn(Vec<K>) -> F + Send + Sync + 'static,
    ) -> Batches<K, V>
    where
        F: Future<Output = Result<Batch<K, V>>> + Send + 'static,
    {
        Batches(Arc::new(Inner {
            memory: Memory::new(freshness.clone(), capacity),
            freshness,
            load: Box::new(move |keys| load(keys).boxed()),
            queue: Mutex::new(Queue { gathering: HashMap::new(), flying: HashMap::new(), began: None, working: false }),
        }))
    }

    /// The value as of `moment` or later: from memory, from the load that is under way, or from the next one. An error is
    /// not kept.
    pub(crate) async fn get(&self, moment: Moment, key: &K) -> Result<Known<V>> {
        self.get_untouched(moment, key, &[]).await
    }

    /// As [`Batches::get`], for many, and for values since whose load none of `targets` was touched.
    pub(crate) async fn get_all(
        &self,
        moment: Moment,
        keys: impl IntoIterator<Item = K>,
        targets: &[Ref],
    ) -> Result<Vec<Known<V>>> {
        try_join_all(keys.into_iter().map(async |key| self.get_untouched(moment, &key, targets).await)).await
    }

    async fn get_untouched(&self, moment: Moment, key: &K, targets: &[Ref]) -> Result<Known<V>> {
        match self.0.memory.get_known(key) {
            Some(known) if self.0.freshness.holds(known.stamp, targets) => Ok(known),
            _ => self.load(moment, key).await,
        }
    }

    /// As [`Batches::get`], but what is in memory does not do.
    pub(crate) async fn load(&self, moment: Moment, key: &K) -> Result<Known<V>> {
        let answer = self.enqueue(moment, key);
        answer.await.map_err(|_| Error::internal("the program ends, and with it a load"))?
    }

    fn enqueue(&self, moment: Moment, key: &K) -> oneshot::Receiver<Result<Known<V>>> {
        let (waiter, answer) = oneshot::channel();
        let mut queue = self.queue();
        if queue.began.is_some_and(|began| began.covers(moment))
            && let Some(waiters) = queue.flying.get_mut(key)
        {
            waiters.push(waiter);
            return answer;
        }
        queue.gathering.entry(key.clone()).or_default().push(waiter);
        if !queue.working {
            queue.working = true;
            // A task of its own: whoever asked first may give up, and the others are still there.
            tokio::spawn(self.clone().work());
        }
        answer
    }

    fn queue(&self) -> MutexGuard<'_, Queue<K, V>> {
        // Nothing that can panic is done under the lock.
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn work(self) {
        while let Some((keys, began)) = self.next() {
            let mut found = self.load_each(keys).await;
            let waiting = {
                let mut queue = self.queue();
                queue.began = None;
                std::mem::take(&mut queue.flying)
            };
            for (key, waiters) in waiting {
                let outcome = found.remove(&key).unwrap_or_else(|| Err(Error::internal("a load forgot a key")));
                let outcome = outcome.map(|loaded| self.0.memory.insert(key, began, loaded));
                for waiter in waiters {
                    // Who gave up needs no answer.
                    waiter.send(outcome.clone()).ok();
                }
            }
        }
    }

    /// What has gathered and is still wanted, and when the load of it begins.
    fn next(&self) -> Option<(Vec<K>, Moment)> {
        let mut queue = self.queue();
        queue.gathering.retain(|_, waiters| {
            waiters.retain(|waiter| !waiter.is_closed());
            !waiters.is_empty()
        });
        if queue.gathering.is_empty() {
            queue.working = false;
            return None;
        }
        let keys: Vec<K> = queue.gathering.keys().take(MOST_KEYS).cloned().collect();
        for key in &keys {
            if let Some((key, waiters)) = queue.gathering.remove_entry(key) {
                queue.flying.insert(key, waiters);
            }
        }
        // Before the load: what is touched from now on makes the values invalid.
        let began = self.0.freshness.stamp();
        queue.began = Some(began);
        Some((keys, began))
    }

    /// A load that fails is tried again by halves, so that a row that cannot be read concerns nobody but who wants it. Not
    /// if the database is not there.
    async fn load_each(&self, keys: Vec<K>) -> HashMap<K, Result<Loaded<V>>> {
        let mut done = HashMap::with_capacity(keys.len());
        let mut parts = vec![keys];
        let mut tries = 0;
        while let Some(mut keys) = parts.pop() {
            tries += 1;
            let error = match self.load_once(keys.clone()).await {
                Ok(found) => {
                    done.extend(found.into_iter().map(|(key, loaded)| (key, Ok(loaded))));
                    continue;
                }
                Err(error) => error,
            };
            if keys.len() > 1 && tries < MOST_TRIES && !matches!(error.kind, ErrorKind::Unavailable { .. }) {
                let half = keys.split_off(keys.len() / 2);
                parts.extend([keys, half]);
            } else {
                done.extend(keys.into_iter().map(|key| (key, Err(error.clone()))));
            }
        }
        done
    }

    async fn load_once(&self, keys: Vec<K>) -> Result<Batch<K, V>> {
        // Those who wait must hear of it.
        let load = AssertUnwindSafe(async { (self.0.load)(keys).await }).catch_unwind();
        load.await.unwrap_or_else(|_| Err(Error::internal("a load panicked")))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use archstone_db::testing::on_each_database;
    use archstone_db::{Db, DbError};
    use futures::future::join_all;
    use tokio::sync::Semaphore;

    use super::*;

    const SMALL: Capacity = Capacity { bytes: 1 << 20, entry_bytes: 1024 };

    /// Loads that wait for a permit each, and the keys of all of them.
    #[derive(Clone)]
    struct Loads {
        gate: Arc<Semaphore>,
        asked: Arc<Mutex<Vec<Vec<u32>>>>,
    }

    impl Loads {
        fn asked(&self) -> Vec<usize> {
            self.asked.lock().unwrap().iter().map(Vec::len).collect()
        }
    }

    /// Values that say by which load they came. Keys from 1000 on make a load fail, and from 2000 on panic.
    fn batches(db: &Db) -> (Freshness, Batches<u32, usize>, Loads) {
        let freshness = Freshness::new(db.clone(), Duration::from_hours(1));
        let loads = Loads { gate: Arc::new(Semaphore::new(0)), asked: Arc::default() };
        let told = loads.clone();
        let load = move |keys: Vec<u32>| {
            let loads = told.clone();
            async move {
                let number = {
                    let mut asked = loads.asked.lock().unwrap();
                    asked.push(keys.clone());
                    asked.len()
                };
                loads.gate.acquire().await.expect("open").forget();
                assert!(keys.iter().all(|key| *key < 2000));
                if keys.iter().any(|key| *key >= 1000) {
                    return Err(Error::internal("a row that nobody can read"));
                }
                let loaded = |key: &u32| (*key, Loaded::new(number, [Ref::User(key.to_string().as_str().into())], 1));
                Ok(keys.iter().map(loaded).collect())
            }
        };
        (freshness.clone(), Batches::new(freshness, SMALL, load), loads)
    }

    async fn touch(db: &Db, user: u32) {
        let wrote = db.write(move |tx| {
            Box::pin(async move {
                tx.touch(Ref::User(user.to_string().as_str().into()).into());
                Ok::<_, DbError>(())
            })
        });
        wrote.await.unwrap();
    }

    /// Lets the task that loads get as far as it can.
    async fn settle() {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    }

    fn ask(
        batches: &Batches<u32, usize>,
        moment: Moment,
        keys: std::ops::Range<u32>,
    ) -> tokio::task::JoinHandle<Vec<Result<usize>>> {
        let batches = batches.clone();
        tokio::spawn(async move {
            let asked = keys.map(|key| {
                let batches = batches.clone();
                async move { batches.get(moment, &key).await.map(|known| known.value) }
            });
            join_all(asked).await
        })
    }

    #[tokio::test]
    async fn those_who_come_during_a_load_share_the_next_one() {
        on_each_database(async |db| {
            let (freshness, batches, loads) = batches(db);
            let moment = freshness.observe().await.unwrap();
            let first = ask(&batches, moment, 0..1);
            settle().await;
            let second = ask(&batches, moment, 0..50);
            let third = ask(&batches, moment, 25..75);
            settle().await;
            loads.gate.add_permits(2);
            assert_eq!(first.await.unwrap().len(), 1);
            assert!(second.await.unwrap().into_iter().chain(third.await.unwrap()).all(|value| value.is_ok()));
            assert_eq!(loads.asked(), [1, 74]);
            assert!(ask(&batches, moment, 0..75).await.unwrap().into_iter().all(|value| value.is_ok()));
            assert_eq!(loads.asked().len(), 2, "all are in memory");
        })
        .await;
    }

    #[tokio::test]
    async fn a_load_from_before_is_no_answer() {
        on_each_database(async |db| {
            let (freshness, batches, loads) = batches(db);
            let before = freshness.observe().await.unwrap();
            let early = ask(&batches, before, 1..2);
            settle().await;
            touch(db, 1).await;
            let after = freshness.observe().await.unwrap();
            let late = ask(&batches, after, 1..2);
            settle().await;
            loads.gate.add_permits(2);
            assert_eq!(early.await.unwrap().remove(0).unwrap(), 1);
            assert_eq!(late.await.unwrap().remove(0).unwrap(), 2);
            assert_eq!(ask(&batches, after, 1..2).await.unwrap().remove(0).unwrap(), 2);
        })
        .await;
    }

    #[tokio::test]
    async fn a_value_is_loaded_again_only_when_it_was_touched() {
        on_each_database(async |db| {
            let (freshness, batches, loads) = batches(db);
            loads.gate.add_permits(10);
            for (touched, expected) in [(None, 1), (None, 1), (Some(9), 1), (Some(1), 2)] {
                if let Some(user) = touched {
                    touch(db, user).await;
                }
                let moment = freshness.observe().await.unwrap();
                assert_eq!(batches.get(moment, &1).await.unwrap().value, expected, "{touched:?}");
            }
        })
        .await;
    }

    #[tokio::test]
    async fn a_key_that_fails_fails_alone_and_is_not_kept() {
        on_each_database(async |db| {
            let (freshness, batches, loads) = batches(db);
            loads.gate.add_permits(1000);
            let moment = freshness.observe().await.unwrap();
            for bad in [1000, 2000] {
                let asked = ask(&batches, moment, bad - 50..bad + 1).await.unwrap();
                let failed: Vec<bool> = asked.iter().map(Result::is_err).collect();
                assert_eq!(failed.iter().filter(|failed| **failed).count(), 1 + if bad == 2000 { 50 } else { 0 });
                assert!(failed[50]);
                let tries = loads.asked().len();
                assert!(batches.get(moment, &bad).await.is_err());
                assert_eq!(loads.asked().len(), tries + 1);
            }
            assert!(batches.get(moment, &1).await.is_ok(), "life goes on");
        })
        .await;
    }

    #[tokio::test]
    async fn who_gives_up_is_not_waited_for() {
        on_each_database(async |db| {
            let (freshness, batches, loads) = batches(db);
            let moment = freshness.observe().await.unwrap();
            let first = ask(&batches, moment, 0..1);
            settle().await;
            let gone = ask(&batches, moment, 10..20);
            let stays = ask(&batches, moment, 15..25);
            settle().await;
            first.abort();
            gone.abort();
            settle().await;
            loads.gate.add_permits(2);
            assert!(stays.await.unwrap().into_iter().all(|value| value.is_ok()));
            assert_eq!(loads.asked(), [1, 10]);
            assert!(!batches.queue().working);
        })
        .await;
    }
}
