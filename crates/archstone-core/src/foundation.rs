//! What every subsystem stands on.

use std::sync::Arc;

use archstone_db::Db;

use crate::authz::Authorizer;
use crate::config::{Config, MemorySize};
use crate::error::Result;
use crate::events::Events;
use crate::freshness::{Freshness, Moment};
use crate::memory::Caches;
use crate::time::{TimeSource, Timestamp};

/// The database, the configuration, the clock and the bus; shared by all doors.
#[derive(Clone)]
pub struct Foundation {
    /// The database.
    pub db: Db,
    /// The configuration, fixed at the start.
    pub config: Arc<Config>,
    /// What time it is.
    pub time: TimeSource,
    /// What happened.
    pub events: Events,
    /// Who may do what.
    pub authorizer: Arc<Authorizer>,
    /// Whether what is in memory still holds.
    pub freshness: Freshness,
}

/// What something is as of: a reading of the database's clock, and the time before it.
///
/// **Invariant:** whatever is revoked after the reading is revoked at that time or later.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct AsOf {
    /// The reading.
    pub moment: Moment,
    /// The time.
    pub time: Timestamp,
}

impl Foundation {
    /// Reads the clock: whatever was committed before this call, what is loaded as of then knows.
    ///
    /// # Errors
    /// Unavailable when the database does not answer.
    pub(crate) async fn observe(&self) -> Result<AsOf> {
        let time = self.time.now();
        Ok(AsOf { moment: self.freshness.observe().await?, time })
    }

    /// How much of what may be kept in memory.
    pub(crate) fn caches(&self) -> Caches {
        let chosen = self.config.archstone.memory_for_caches;
        Caches::share(chosen.map_or_else(MemorySize::default_for_caches, MemorySize::bytes))
    }
}
