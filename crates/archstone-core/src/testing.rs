//! What tests of the subsystems stand on.

use std::sync::Arc;
use std::time::Duration;

use archstone_db::Db;

use crate::authz::Authorizer;
use crate::authz::policy::Policy;
use crate::config::Config;
use crate::events::Events;
use crate::foundation::Foundation;
use crate::freshness::Freshness;
use crate::time::{TimeSource, Timestamp};

/// A foundation on this database, configured by the text of a `keystone.conf`, at a fixed time.
pub(crate) fn foundation(db: &Db, config: &str) -> Foundation {
    let config = Arc::new(Config::from_text(config).expect("the test's configuration"));
    Foundation {
        db: db.clone(),
        time: TimeSource::fixed(Timestamp::from_seconds(1_800_000_000).expect("a time of the calendar")),
        events: Events::default(),
        authorizer: Arc::new(Authorizer::new(Arc::new(Policy::defaults_only()), None)),
        freshness: Freshness::new(db.clone(), Duration::from_secs(1)),
        config,
    }
}
