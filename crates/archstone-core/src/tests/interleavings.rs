//! What is remembered holds in every order of events, not only in those that a fast machine happens to bring about.
//!
//! The clock's task, [`Freshness`], [`Memory`] and [`Batches`] are the real ones; the database is made up, and nothing
//! happens in it, or in an actor of the test, before the [`Stage`] says so: it lets one thing happen after the other, in an
//! order that is chosen. Small cases are played in all orders, large ones in thousands of random ones.
//!
//! The rule: what a reader is given, it may have observed. Every write that was committed before it began is in it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use archstone_db::testing::Readings;
use archstone_db::{Change, Changes, ClockReading, Db, DbError};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet, yield_now};

use crate::error::{Error, Result};
use crate::freshness::{Freshness, Moment, Ref};
use crate::memory::{Basis, Batches, Capacity, Loaded, Memory};

/// So many times everybody gets on who can, which is more than any chain of them is long.
const ROUNDS: usize = 12;
const SMALL: Capacity = Capacity { bytes: 1 << 16, entry_bytes: 1024 };
const USERS: [&str; 2] = ["a", "b"];

/// Where everybody waits for their turn.
#[derive(Clone, Default)]
struct Stage(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    for_their_turn: Vec<(&'static str, oneshot::Sender<()>)>,
    /// Both the questions to the database and the answers take their time, not only the answers.
    slow_questions: bool,
    played: Vec<&'static str>,
}

impl Stage {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn turn(&self, name: &'static str) {
        let (go, gone) = oneshot::channel();
        self.lock().for_their_turn.push((name, go));
        // An error: the play is over.
        gone.await.ok();
    }

    async fn question(&self, name: &'static str) {
        if self.lock().slow_questions {
            self.turn(name).await;
        }
    }

    /// Gives turns in the order that `choose` makes of the number of those who wait, until nobody does.
    async fn play(&self, order: &mut impl Order) {
        loop {
            for _ in 0..ROUNDS {
                yield_now().await;
            }
            let mut waiting = self.lock();
            // Whoever gave up has no turn.
            waiting.for_their_turn.retain(|(_, go)| !go.is_closed());
            if waiting.for_their_turn.is_empty() {
                return;
            }
            let chosen = order.choose(waiting.for_their_turn.len());
            let (name, go) = waiting.for_their_turn.remove(chosen);
            waiting.played.push(name);
            go.send(()).ok();
        }
    }
}

trait Order {
    fn choose(&mut self, of: usize) -> usize;
}

/// One order after the other, until there is none left.
#[derive(Default)]
struct EveryOrder {
    /// What was chosen, and of how many.
    chosen: Vec<(usize, usize)>,
    at: usize,
}

impl EveryOrder {
    /// Goes to the next order; false after the last.
    fn next(&mut self) -> bool {
        self.at = 0;
        while let Some((chosen, of)) = self.chosen.pop() {
            if chosen + 1 < of {
                self.chosen.push((chosen + 1, of));
                return true;
            }
        }
        false
    }
}

impl Order for EveryOrder {
    fn choose(&mut self, of: usize) -> usize {
        if self.at == self.chosen.len() {
            self.chosen.push((0, of));
        }
        self.at += 1;
        self.chosen[self.at - 1].0
    }
}

/// `SplitMix64`
struct RandomOrder(u64);

impl Order for RandomOrder {
    fn choose(&mut self, of: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % of as u64).expect("small")
    }
}

/// What is committed.
#[derive(Default)]
struct Rows {
    users: BTreeMap<&'static str, u32>,
    clock: BTreeMap<String, i64>,
    changes: Vec<(String, i64, &'static str)>,
    away: bool,
}

#[derive(Clone, Default)]
struct Database(Arc<Mutex<Rows>>);

impl Database {
    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn commit(&self, writer: &str, user: &'static str) {
        let mut rows = self.rows();
        *rows.users.entry(user).or_default() += 1;
        let tick = rows.clock.entry(writer.to_owned()).or_default();
        *tick += 1;
        let tick = *tick;
        rows.changes.push((writer.to_owned(), tick, user));
    }

    fn read(&self, user: &'static str) -> Result<u32> {
        let rows = self.rows();
        if rows.away {
            Err(Error::internal("the database is away"))
        } else {
            Ok(rows.users.get(user).copied().unwrap_or(0))
        }
    }

    fn users(&self) -> [u32; 2] {
        USERS.map(|user| self.rows().users.get(user).copied().unwrap_or(0))
    }
}

struct MadeUp {
    database: Database,
    stage: Stage,
    last: Option<Arc<ClockReading>>,
}

fn away() -> DbError {
    DbError::Unavailable { attempted: "reading".to_owned(), detail: "away".to_owned(), retry: false }
}

impl Readings for MadeUp {
    async fn read(&mut self) -> std::result::Result<Arc<ClockReading>, DbError> {
        self.stage.question("the clock is asked").await;
        let reading = {
            let rows = self.database.rows();
            if rows.away {
                Err(away())
            } else {
                Ok(ClockReading { ticks: rows.clock.clone(), ..ClockReading::default() })
            }
        };
        self.stage.turn("the clock answers").await;
        let reading = reading?;
        let reading = match self.last.take() {
            Some(last) if *last == reading => last,
            _ => Arc::new(reading),
        };
        self.last = Some(Arc::clone(&reading));
        Ok(reading)
    }

    async fn changes(
        &mut self,
        since: Arc<ClockReading>,
        now: Arc<ClockReading>,
    ) -> std::result::Result<Changes, DbError> {
        self.stage.question("changes are asked for").await;
        let changes = {
            let rows = self.database.rows();
            if rows.away { Err(away()) } else { Ok(between(&rows, &since, &now)) }
        };
        self.stage.turn("changes are told").await;
        changes
    }

    async fn close(&mut self) {}

    fn abandon(&mut self) {}
}

fn between(rows: &Rows, since: &ClockReading, now: &ClockReading) -> Changes {
    let mut known = Vec::new();
    for (writer, upto) in &now.ticks {
        let after = since.ticks.get(writer).copied().unwrap_or(0);
        for tick in after + 1..=*upto {
            let change = rows.changes.iter().find(|(by, at, _)| by == writer && *at == tick);
            let Some((_, _, user)) = change else { return Changes::Forgotten };
            known.push(Change { kind: "user".to_owned(), reference: (*user).to_owned() });
        }
    }
    Changes::Known(known)
}

/// A node.
#[derive(Clone)]
struct Node {
    stage: Stage,
    database: Database,
    freshness: Freshness,
    /// Values made of both users: read at once, or out of `users`.
    wholes: Memory<&'static str, [u32; 2]>,
    users: Batches<&'static str, u32>,
}

impl Node {
    fn new(stage: &Stage) -> Node {
        let database = Database::default();
        let readings = MadeUp { database: database.clone(), stage: stage.clone(), last: None };
        let (db, answering) = Db::of_clock(readings).expect("a database");
        tokio::spawn(answering);
        let freshness = Freshness::new(db, Duration::from_hours(1));
        let (asked, asking) = (database.clone(), stage.clone());
        let load = move |users: Vec<&'static str>| {
            let (database, stage) = (asked.clone(), asking.clone());
            async move {
                stage.question("users are asked for").await;
                let found = users.iter().map(|user| Ok((*user, database.read(user)?))).collect::<Result<Vec<_>>>();
                stage.turn("users are told").await;
                let loaded =
                    |(user, value): (&'static str, u32)| (user, Loaded::new(value, [Ref::User(user.into())], 1));
                Ok(found?.into_iter().map(loaded).collect())
            }
        };
        Node {
            stage: stage.clone(),
            database,
            wholes: Memory::new(freshness.clone(), SMALL),
            users: Batches::new(freshness.clone(), SMALL, load),
            freshness,
        }
    }

    /// Loads a value by itself, in two questions.
    async fn load(self) -> Result<Loaded<[u32; 2]>> {
        let mut value = [0; 2];
        for (place, user) in USERS.into_iter().enumerate() {
            self.stage.question("a row is asked for").await;
            let read = self.database.read(user);
            self.stage.turn("a row is told").await;
            value[place] = read?;
        }
        Ok(Loaded::new(value, USERS.map(|user| Ref::User(user.into())), 1))
    }

    /// Makes a value of others, as of this moment or later.
    async fn compose(self, moment: Moment) -> Result<Loaded<[u32; 2]>> {
        let mut basis = Basis::default();
        let mut value = [0; 2];
        for (place, user) in USERS.into_iter().enumerate() {
            value[place] = basis.take(self.users.get(moment, &user).await?);
            if self.stage.lock().slow_questions {
                self.stage.turn("a part is there").await;
            }
        }
        Ok(basis.loaded(value, 1))
    }

    /// Observes, and looks at a value. Which it is says how it comes about.
    async fn look(&self, key: &'static str) -> Result<()> {
        self.stage.turn("a reader begins").await;
        let committed = self.database.users();
        let moment = self.freshness.observe().await?;
        self.stage.turn("a reader has observed").await;
        let load = |began| {
            let node = self.clone();
            async move { if key == "direct" { node.load().await } else { node.compose(began).await } }
        };
        let given = self.wholes.get_or_load(moment, &key, load).await?.value;
        self.check(key, committed, given);
        Ok(())
    }

    /// As the issue of a token: what is loaded for one is kept for all.
    async fn load_and_keep(&self, key: &'static str) -> Result<()> {
        self.stage.turn("an issuer begins").await;
        let committed = self.database.users();
        let moment = self.freshness.observe().await?;
        self.stage.turn("an issuer has observed").await;
        let loaded = if key == "direct" { self.clone().load().await? } else { self.clone().compose(moment).await? };
        self.check(key, committed, loaded.value);
        self.wholes.insert(key, moment, loaded);
        Ok(())
    }

    fn check(&self, key: &str, committed: [u32; 2], given: [u32; 2]) {
        let sees_all = committed.iter().zip(given).all(|(committed, given)| *committed <= given);
        assert!(sees_all, "{key}: {given:?}, but {committed:?} was committed before; {:?}", self.stage.lock().played);
    }

    async fn write(&self, writer: &'static str, user: &'static str) {
        self.stage.turn("a commit").await;
        self.database.commit(writer, user);
    }
}

/// Plays one order of what `actors` does to a new node.
fn play(
    runtime: &tokio::runtime::Runtime,
    order: &mut impl Order,
    slow: bool,
    actors: impl Fn(&Node, &mut JoinSet<()>),
) {
    runtime.block_on(async {
        let stage = Stage::default();
        let node = Node::new(&stage);
        let mut tasks = JoinSet::new();
        stage.lock().slow_questions = slow;
        actors(&node, &mut tasks);
        stage.play(order).await;
        while let Some(done) = tasks.join_next().await {
            done.expect("no panic");
        }
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
}

fn spawn_reader(node: &Node, tasks: &mut JoinSet<()>, key: &'static str, rounds: usize) {
    let node = node.clone();
    tasks.spawn(async move {
        for _ in 0..rounds {
            // An error is an answer too; only a wrong value is none.
            node.look(key).await.ok();
        }
    });
}

fn spawn_writer(node: &Node, tasks: &mut JoinSet<()>, writer: &'static str, users: &'static [&'static str]) {
    let node = node.clone();
    tasks.spawn(async move {
        for user in users {
            node.write(writer, user).await;
        }
    });
}

/// The number of all orders of two readers of a value and one commit.
fn every_order(first: &'static str, second: &'static str) -> usize {
    let (runtime, mut order, mut plays) = (runtime(), EveryOrder::default(), 0);
    loop {
        play(&runtime, &mut order, false, |node, tasks| {
            spawn_reader(node, tasks, first, 1);
            spawn_reader(node, tasks, second, 1);
            spawn_writer(node, tasks, "w", &["a"]);
        });
        plays += 1;
        assert!(plays < 200_000, "too many orders");
        if !order.next() {
            return plays;
        }
    }
}

#[test]
fn two_readers_of_one_value_and_a_commit_in_every_order() {
    assert!(every_order("direct", "direct") > 500);
}

#[test]
fn two_readers_of_values_made_of_the_same_parts_and_a_commit_in_every_order() {
    assert!(every_order("made", "also made") > 500);
}

#[test]
fn readers_writers_and_troubles_in_random_orders() {
    let runtime = runtime();
    for seed in 0..2500 {
        let mut order = RandomOrder(seed);
        let slow = order.choose(2) == 0;
        let (prunes, fails) = (order.choose(3) == 0, order.choose(4) == 0);
        play(&runtime, &mut order, slow, |node, tasks| {
            for key in ["direct", "made", "also made", "made"] {
                spawn_reader(node, tasks, key, 2);
            }
            spawn_writer(node, tasks, "w", &["a", "b"]);
            spawn_writer(node, tasks, "v", &["b", "a"]);
            let issuer = node.clone();
            tasks.spawn(async move {
                for key in ["direct", "made"] {
                    issuer.load_and_keep(key).await.ok();
                }
            });
            let impatient = node.clone();
            let gives_up: JoinHandle<()> = tokio::spawn(async move {
                for key in ["made", "direct"] {
                    impatient.look(key).await.ok();
                }
            });
            let node = node.clone();
            tasks.spawn(async move {
                node.stage.turn("somebody gives up").await;
                gives_up.abort();
                if let Err(ended) = gives_up.await {
                    assert!(ended.is_cancelled(), "{ended}");
                }
                if prunes {
                    node.stage.turn("the changes are pruned").await;
                    node.database.rows().changes.clear();
                }
                if fails {
                    node.stage.turn("the database goes").await;
                    node.database.rows().away = true;
                    node.stage.turn("the database comes back").await;
                    node.database.rows().away = false;
                }
            });
        });
    }
}
