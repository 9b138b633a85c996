//! What every subsystem stands on.

use std::sync::Arc;

use archstone_db::Db;

use crate::authz::Authorizer;
use crate::config::{Config, MemorySize};
use crate::events::Events;
use crate::freshness::Freshness;
use crate::memory::Caches;
use crate::time::TimeSource;

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

impl Foundation {
    /// How much of what may be kept in memory.
    pub(crate) fn caches(&self) -> Caches {
        let chosen = self.config.archstone.memory_for_caches;
        Caches::share(chosen.map_or_else(MemorySize::default_for_caches, MemorySize::bytes))
    }
}
