//! What lets a node answer from memory and still never from before a committed write.
//!
//! Every write names what it touched ([`Ref`]) in its own transaction; a cached value names what it depends on and the
//! clock that was read before it was loaded. It holds as long as nothing that it depends on was touched since.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use archstone_db::{Db, Touch};

use crate::error::Result;
use crate::id::{ApplicationCredentialId, ProjectId, TrustId, UserId};

/// Something that cached values depend on.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Ref {
    /// A user's row, password, options or group memberships.
    User(UserId),
    /// A project's or domain's row.
    Project(ProjectId),
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
            Ref::User(id) => id,
            Ref::Project(id) => id,
            Ref::Assignments(actor) => actor,
            Ref::Roles | Ref::Catalog | Ref::Revocations => "",
            Ref::Trust(id) => id,
            Ref::ApplicationCredential(id) => id,
        }
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
    epoch: u64,
    /// When it was read, for writers who do not move the clock.
    read_at: Instant,
}

/// How many touched things are remembered before everything is forgotten at once.
const MOST_TOUCHED: usize = 100_000;

/// Whether what is in memory still holds; shared by all caches of this node.
#[derive(Clone, Debug)]
pub struct Freshness(Arc<Inner>);

struct Inner {
    db: Db,
    /// How long a value may be used without the database telling that it was touched: writers who know nothing of the
    /// clock (another program on the same database) are noticed after this time.
    foreign_write_bound: Duration,
    touched: RwLock<Touched>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Freshness").field("foreign_write_bound", &self.foreign_write_bound).finish_non_exhaustive()
    }
}

struct Touched {
    now: Moment,
    /// Up to this epoch everything is forgotten.
    forgotten: u64,
    /// The epoch in which each thing was last seen to be touched.
    last: HashMap<Touch, u64>,
}

impl Freshness {
    /// Reads the clock of this database.
    pub fn new(db: Db, foreign_write_bound: Duration) -> Freshness {
        let now = Moment { epoch: 0, read_at: Instant::now() };
        Freshness(Arc::new(Inner {
            db,
            foreign_write_bound,
            touched: RwLock::new(Touched { now, forgotten: 0, last: HashMap::new() }),
        }))
    }

    /// Reads the clock: whatever was committed before this call counts from now on.
    pub async fn observe(&self) -> Result<Moment> {
        self.0.db.ping().await?;
        let mut touched = self.0.touched.write().unwrap_or_else(PoisonError::into_inner);
        touched.now = Moment { epoch: touched.now.epoch + 1, read_at: Instant::now() };
        touched.forgotten = touched.now.epoch;
        Ok(touched.now)
    }

    /// The moment that the last reading led to: what is loaded from now on is at least as new.
    pub fn stamp(&self) -> Moment {
        self.0.touched.read().unwrap_or_else(PoisonError::into_inner).now
    }

    /// Whether something loaded at `stamp` still holds, as far as the last reading of the clock tells.
    pub fn holds(&self, stamp: Moment, depends_on: &[Ref]) -> bool {
        if stamp.read_at.elapsed() > self.0.foreign_write_bound {
            return false;
        }
        let touched = self.0.touched.read().unwrap_or_else(PoisonError::into_inner);
        stamp.epoch >= touched.forgotten
            && depends_on
                .iter()
                .all(|on| touched.last.get(&Touch::from(on.clone())).is_none_or(|last| *last <= stamp.epoch))
    }
}
