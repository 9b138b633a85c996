//! What every subsystem stands on.

use std::sync::Arc;

use archstone_db::Db;

use crate::authz::Authorizer;
use crate::config::Config;
use crate::events::Events;
use crate::freshness::Freshness;
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
