//! What lets a node answer from memory and still never from before a committed write.
//!
//! Every write names what it touched ([`Ref`]) in its own transaction; a cached value names what it depends on and the
//! clock that was read before it was loaded. It holds as long as nothing that it depends on was touched since.

mod outage;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};

use archstone_db::triggers::{self, Triggers};
use archstone_db::{Change, Changes, ClockReading, Db, Touch};
use tokio::sync::Mutex;

use self::outage::Outage;
use crate::error::Result;
use crate::id::{ApplicationCredentialId, ProjectId, TrustId, UserId};

/// Something that cached values depend on.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Ref {
    /// A user's row, password, options or group memberships.
    User(UserId),
    /// A project's or domain's row.
    Project(ProjectId),
    /// The failed logins of a user that are counted by network; of nobody, for an empty id.
    FailedLogins(UserId),
    /// The role assignments of a user or a group, by the actor's id.
    Assignments(String),
    /// Any role's name, options or implications.
    Roles,
    /// Any region, service or endpoint, or what narrows the catalog.
    Catalog,
    /// The table of revocation events.
    Revocations,
    /// A trust.
    Trust(TrustId),
    /// An application credential.
    ApplicationCredential(ApplicationCredentialId),
}

impl Ref {
    /// The name of the kind, as the change table holds it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Ref::User(_) => "user",
            Ref::Project(_) => "project",
            Ref::FailedLogins(_) => "failed_logins",
            Ref::Assignments(_) => "assignments",
            Ref::Roles => "roles",
            Ref::Catalog => "catalog",
            Ref::Revocations => "revocations",
            Ref::Trust(_) => "trust",
            Ref::ApplicationCredential(_) => "application_credential",
        }
    }

    /// The name of the thing, empty for the kinds that are one.
    pub(crate) fn reference(&self) -> &str {
        match self {
            Ref::User(id) | Ref::FailedLogins(id) => id,
            Ref::Project(id) => id,
            Ref::Assignments(actor) => actor,
            Ref::Roles | Ref::Catalog | Ref::Revocations => "",
            Ref::Trust(id) => id,
            Ref::ApplicationCredential(id) => id,
        }
    }
}

impl Ref {
    /// What a row of the change table names; `None` for a kind that this version does not know.
    fn from_change(change: &Change) -> Option<Ref> {
        let reference = change.reference.as_str();
        Some(match change.kind.as_str() {
            "user" => Ref::User(reference.into()),
            "project" => Ref::Project(reference.into()),
            "failed_logins" => Ref::FailedLogins(reference.into()),
            "assignments" => Ref::Assignments(reference.to_owned()),
            "roles" => Ref::Roles,
            "catalog" => Ref::Catalog,
            "revocations" => Ref::Revocations,
            "trust" => Ref::Trust(reference.into()),
            "application_credential" => Ref::ApplicationCredential(reference.into()),
            _ => return None,
        })
    }
}

impl From<Ref> for Touch {
    fn from(touched: Ref) -> Touch {
        Touch { kind: touched.kind(), reference: touched.reference().to_owned() }
    }
}

/// A point in this node's reading of the database's clock; later ones are greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Moment {
    /// How many movements of the clock this node had seen.
    epoch: u64,
    /// When it was taken, for writers who do not move the clock.
    taken_at: Instant,
}

impl Moment {
    /// Whether something loaded at this moment is good enough for whoever observed `other`: no movement of the clock lies
    /// between them.
    pub(crate) fn covers(self, other: Moment) -> bool {
        self.epoch >= other.epoch
    }

    /// The stamp of what was made at this moment out of something that was loaded at `part`: what writers who do not move
    /// the clock did to the part is noticed no later than in the part itself.
    pub(crate) fn made_of(self, part: Moment) -> Moment {
        Moment { epoch: self.epoch, taken_at: self.taken_at.min(part.taken_at) }
    }
}

/// How often it is looked whether the triggers are still there.
const LOOK_FOR_TRIGGERS_EVERY: Duration = Duration::from_secs(10);

/// How many touched things are remembered before everything is forgotten at once.
const MOST_TOUCHED: usize = 100_000;

/// Whether what is in memory still holds; shared by all caches of this node.
#[derive(Clone)]
pub struct Freshness(Arc<Inner>);

struct Inner {
    db: Db,
    /// How long a value may be used without the database telling that it was touched: writers who know nothing of the
    /// clock (another program on the same database) are noticed after this time.
    foreign_write_bound: Duration,
    /// Whether triggers tell of those writers, so that the bound is not needed.
    triggers: AtomicBool,
    /// How long memory may be used while the clock cannot be read.
    serve_stale_for: Duration,
    outage: Outage,
    applying: Mutex<()>,
    seen: RwLock<Seen>,
}

struct Seen {
    reading: Arc<ClockReading>,
    epoch: u64,
    /// What was loaded before this epoch counts no more.
    forgotten: u64,
    /// The epoch in which each thing was last seen to be touched.
    touched: HashMap<Ref, u64>,
}

impl std::fmt::Debug for Freshness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bound = self.0.foreign_write_bound;
        f.debug_struct("Freshness").field("foreign_write_bound", &bound).finish_non_exhaustive()
    }
}

impl Freshness {
    /// Reads the clock of this database.
    pub fn new(db: Db, foreign_write_bound: Duration) -> Freshness {
        Freshness::serving_stale(db, foreign_write_bound, Duration::ZERO)
    }

    /// As [`Freshness::new`], for an operator who takes an old answer for better than none while the database is away.
    pub fn serving_stale(db: Db, foreign_write_bound: Duration, serve_stale_for: Duration) -> Freshness {
        let seen = Seen { reading: Arc::default(), epoch: 0, forgotten: 0, touched: HashMap::new() };
        Freshness(Arc::new(Inner {
            db,
            foreign_write_bound,
            triggers: AtomicBool::new(false),
            serve_stale_for,
            outage: Outage::default(),
            applying: Mutex::new(()),
            seen: RwLock::new(seen),
        }))
    }

    /// Looks whether the database has the triggers, and goes by what it finds from now on.
    ///
    /// # Errors
    /// What the database says; then nothing changes.
    pub async fn look_for_triggers(&self) -> Result<Triggers> {
        let triggers = triggers::check(&self.0.db).await?;
        self.0.triggers.store(triggers == Triggers::Installed, Ordering::Relaxed);
        Ok(triggers)
    }

    /// Looks for the triggers now and then, for ever: somebody may take them away. To be spawned beside the server.
    pub(crate) async fn watch_triggers(self) {
        let mut before = None;
        loop {
            match self.look_for_triggers().await {
                Ok(found) if before.as_ref() == Some(&found) => {}
                Ok(found) => {
                    let bound = self.0.foreign_write_bound;
                    match &found {
                        Triggers::Installed => tracing::info!("{found}: writes of other programs count at once"),
                        Triggers::Absent => tracing::info!("{found}: writes of other programs count within {bound:?}"),
                        Triggers::Incomplete { .. } => {
                            tracing::warn!("{found}: writes of other programs count within {bound:?}");
                        }
                    }
                    before = Some(found);
                }
                Err(error) => tracing::warn!("looking for the triggers: {}", error.detail_text()),
            }
            tokio::time::sleep(LOOK_FOR_TRIGGERS_EVERY).await;
        }
    }

    /// As [`Freshness::observe`]. While the clock cannot be read, for `[cache] serve_stale_for` after it last was, the
    /// moment of the last reading: for validations, which may then miss what was written since.
    ///
    /// # Errors
    /// As [`Freshness::observe`], once that time is over.
    pub async fn observe_or_stale(&self) -> Result<Moment> {
        let longest = self.0.serve_stale_for;
        if longest.is_zero() {
            return self.observe().await;
        }
        if self.0.outage.waits_for_next_try(longest) {
            return Ok(self.stamp());
        }
        match self.observe().await {
            Ok(moment) => {
                self.0.outage.end();
                Ok(moment)
            }
            Err(error) => match self.0.outage.go_on(longest) {
                Some(left) => {
                    tracing::warn!(
                        seconds_left = left.as_secs(),
                        "answering from memory, the database does not answer: {}",
                        error.detail_text()
                    );
                    Ok(self.stamp())
                }
                None => Err(error),
            },
        }
    }

    /// Reads the clock: whatever was committed before this call counts from now on.
    pub async fn observe(&self) -> Result<Moment> {
        let reading = self.0.db.clock().read().await?;
        if let Some(moment) = self.moment_of(&reading) {
            return Ok(moment);
        }
        Box::pin(self.apply(reading)).await
    }

    async fn apply(&self, reading: Arc<ClockReading>) -> Result<Moment> {
        let _one_at_a_time = self.0.applying.lock().await;
        if let Some(moment) = self.moment_of(&reading) {
            return Ok(moment);
        }
        let since = Arc::clone(&self.seen().reading);
        let changes = self.0.db.clock().changes_since(&since, &reading).await?;
        let mut seen = self.0.seen.write().unwrap_or_else(PoisonError::into_inner);
        seen.apply(&reading, changes);
        Ok(seen.moment())
    }

    /// Says that something has changed of which the database knows nothing: on this node alone, from now on.
    pub(crate) fn touch_here(&self, touched: Ref) {
        let mut seen = self.0.seen.write().unwrap_or_else(PoisonError::into_inner);
        seen.epoch += 1;
        let epoch = seen.epoch;
        seen.touched.insert(touched, epoch);
    }

    /// The moment that the last reading led to: what is loaded from now on is at least as new.
    pub fn stamp(&self) -> Moment {
        self.seen().moment()
    }

    /// Whether something loaded at `stamp` still holds, as far as the last reading of the clock tells.
    pub fn holds<'a>(&self, stamp: Moment, depends_on: impl IntoIterator<Item = &'a Ref>) -> bool {
        let bounded = !self.0.triggers.load(Ordering::Relaxed);
        if bounded {
            let stale = if self.0.outage.lasts() { self.0.serve_stale_for } else { Duration::ZERO };
            if stamp.taken_at.elapsed() > self.0.foreign_write_bound.saturating_add(stale) {
                return false;
            }
        }
        let seen = self.seen();
        if stamp.epoch == seen.epoch {
            return true;
        }
        stamp.epoch >= seen.forgotten
            && depends_on.into_iter().all(|on| seen.touched.get(on).is_none_or(|touched| *touched <= stamp.epoch))
    }

    fn seen(&self) -> RwLockReadGuard<'_, Seen> {
        // A panic while writing leaves at worst an older reading, which the next one corrects.
        self.0.seen.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The present moment, if this reading or a later one has been applied.
    fn moment_of(&self, reading: &Arc<ClockReading>) -> Option<Moment> {
        let seen = self.seen();
        (Arc::ptr_eq(&seen.reading, reading) || reading.is_not_after(&seen.reading)).then(|| seen.moment())
    }
}

impl Seen {
    fn moment(&self) -> Moment {
        Moment { epoch: self.epoch, taken_at: Instant::now() }
    }

    fn apply(&mut self, reading: &Arc<ClockReading>, changes: Changes) {
        self.epoch += 1;
        let known = match changes {
            Changes::Known(changes) => changes.iter().map(Ref::from_change).collect::<Option<Vec<Ref>>>(),
            Changes::Forgotten => None,
        };
        match known {
            Some(refs) if self.touched.len() + refs.len() <= MOST_TOUCHED => {
                self.touched.extend(refs.into_iter().map(|touched| (touched, self.epoch)));
            }
            // Too much, too long ago, or of a kind that a newer version writes.
            _ => {
                self.forgotten = self.epoch;
                self.touched.clear();
            }
        }
        if reading.last_revocation != self.reading.last_revocation {
            self.touched.insert(Ref::Revocations, self.epoch);
        }
        self.reading = Arc::clone(reading);
    }
}
