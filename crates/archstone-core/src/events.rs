//! What happened, told to whoever listens in this process. A later notifier carries it to a message bus.
//!
//! **Invariant:** an event is emitted after its write is committed, never before.

use std::sync::Arc;

use serde_json::{Map, Value};
use tokio::sync::broadcast;

use crate::authz::{Allowed, Initiator, Requester};

/// How many events a slow listener may lag behind before it misses some.
const BUS_CAPACITY: usize = 4096;

/// The operation of a login.
pub const AUTHENTICATE: &str = "authenticate";

/// One thing that happened (`keystone.notifications`).
#[derive(Clone, Debug)]
pub struct Event {
    /// The kind of thing, as in the event type: `user`, `OS-TRUST:trust`.
    pub resource: &'static str,
    /// What was done to it: `created`, `updated`, `deleted`, `disabled`, `authenticate` …
    pub operation: &'static str,
    /// Which one.
    pub id: String,
    /// `success`, `failure` or `pending`, as CADF says it.
    pub outcome: &'static str,
    /// Why, if there is more to say: a code and a text as in CADF's reason.
    pub reason: Option<(u16, String)>,
    /// More attributes of the payload.
    pub details: Map<String, Value>,
    /// Who did it.
    pub requester: Requester,
    /// From where.
    pub initiator: Initiator,
}

impl Event {
    /// Something was done to a resource by an allowed caller.
    pub fn new(resource: &'static str, operation: &'static str, id: impl Into<String>, allowed: &Allowed) -> Event {
        Event {
            resource,
            operation,
            id: id.into(),
            outcome: "success",
            reason: None,
            details: Map::new(),
            requester: allowed.requester().clone(),
            initiator: allowed.initiator().clone(),
        }
    }

    /// `identity.user.created`; a login's alone names no resource.
    pub fn event_type(&self) -> String {
        match self.operation {
            AUTHENTICATE => format!("identity.{AUTHENTICATE}"),
            operation => format!("identity.{}.{operation}", self.resource),
        }
    }
}

/// The in-process bus.
#[derive(Clone, Debug)]
pub struct Events(broadcast::Sender<Arc<Event>>);

impl Default for Events {
    fn default() -> Events {
        Events(broadcast::channel(BUS_CAPACITY).0)
    }
}

impl Events {
    /// Tells everyone who listens.
    pub fn emit(&self, event: Event) {
        tracing::debug!(event_type = %event.event_type(), id = %event.id, outcome = event.outcome, "event");
        // Nobody listening is fine: the bus has no memory.
        drop(self.0.send(Arc::new(event)));
    }

    /// Listens from now on.
    pub fn listen(&self) -> broadcast::Receiver<Arc<Event>> {
        self.0.subscribe()
    }
}
