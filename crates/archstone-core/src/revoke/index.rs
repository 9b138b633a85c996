//! Finds the events that end a token without looking at all of them.

use std::collections::HashMap;

use super::RevocationEvent;
use crate::time::Timestamp;

/// What an event is compared with (`keystone.models.revoke_model.build_token_values`).
#[derive(Clone, Debug)]
pub struct TokenFacts<'a> {
    /// When it was issued; tokens know whole seconds.
    pub issued_at: Timestamp,
    /// When it expires.
    pub expires_at: Timestamp,
    /// Its user, and for a trust also trustor and trustee.
    pub user_ids: Vec<&'a str>,
    /// The domain of its user.
    pub user_domain_id: &'a str,
    /// The domain that it is scoped to. A project's domain does not count: the reference overwrites it.
    pub scope_domain_id: Option<&'a str>,
    /// The project that it is scoped to.
    pub project_id: Option<&'a str>,
    /// Its own audit id.
    pub audit_id: &'a str,
    /// The audit id of the token at the root of its chain.
    pub parent_audit_id: Option<&'a str>,
    /// Its trust.
    pub trust_id: Option<&'a str>,
    /// Its OAuth 1 consumer.
    pub consumer_id: Option<&'a str>,
    /// The ids of its roles.
    pub role_ids: Vec<&'a str>,
}

/// Which attribute an event is filed under: the one that the fewest tokens share.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Drawer {
    AuditId,
    AuditChainId,
    TrustId,
    UserId,
    ProjectId,
    DomainId,
    ConsumerId,
    RoleId,
    Rest,
}

/// Events by what they name. Of events that name the same, only the one that reaches furthest counts.
#[derive(Default)]
pub(super) struct RevocationIndex {
    drawers: HashMap<(Drawer, String), HashMap<RevocationEvent, Timestamp>>,
    len: usize,
}

impl RevocationIndex {
    pub(super) fn insert(&mut self, event: RevocationEvent, issued_before: Timestamp) {
        let drawer = self.drawers.entry(drawer_of(&event)).or_default();
        let before = drawer.len();
        let reach = drawer.entry(event).or_insert(issued_before);
        *reach = (*reach).max(issued_before);
        self.len += drawer.len() - before;
    }

    /// How many events it holds.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Takes out what ends only tokens that were issued before a moment.
    pub(super) fn forget_before(&mut self, oldest: Timestamp) {
        self.drawers.retain(|_, events| {
            events.retain(|_, issued_before| *issued_before >= oldest);
            !events.is_empty()
        });
        self.len = self.drawers.values().map(HashMap::len).sum();
    }

    pub(super) fn matches(&self, facts: &TokenFacts<'_>) -> bool {
        let one = |drawer, name: Option<&str>| name.is_some_and(|name| self.drawer_matches(drawer, name, facts));
        let any = |drawer, names: &[&str]| names.iter().any(|name| self.drawer_matches(drawer, name, facts));
        one(Drawer::AuditId, Some(facts.audit_id))
            || one(Drawer::AuditChainId, facts.parent_audit_id)
            || one(Drawer::TrustId, facts.trust_id)
            || any(Drawer::UserId, &facts.user_ids)
            || one(Drawer::ProjectId, facts.project_id)
            || one(Drawer::DomainId, Some(facts.user_domain_id))
            || one(Drawer::DomainId, facts.scope_domain_id)
            || one(Drawer::ConsumerId, facts.consumer_id)
            || any(Drawer::RoleId, &facts.role_ids)
            || one(Drawer::Rest, Some(""))
    }

    fn drawer_matches(&self, drawer: Drawer, name: &str, facts: &TokenFacts<'_>) -> bool {
        // An owned key for a lookup: a handful of short allocations on a miss of the token cache only.
        let Some(events) = self.drawers.get(&(drawer, name.to_owned())) else { return false };
        events.iter().any(|(event, issued_before)| *issued_before >= facts.issued_at && fits(event, facts))
    }
}

fn drawer_of(event: &RevocationEvent) -> (Drawer, String) {
    let candidates = [
        (Drawer::AuditId, &event.audit_id),
        (Drawer::AuditChainId, &event.audit_chain_id),
        (Drawer::TrustId, &event.trust_id),
        (Drawer::UserId, &event.user_id),
        (Drawer::ProjectId, &event.project_id),
        (Drawer::DomainId, &event.domain_id),
        (Drawer::ConsumerId, &event.consumer_id),
        (Drawer::RoleId, &event.role_id),
    ];
    for (drawer, name) in candidates {
        if let Some(name) = name {
            return (drawer, name.clone());
        }
    }
    (Drawer::Rest, String::new())
}

/// Every attribute that the event names must be the token's (`keystone.models.revoke_model.matches`, and the filters of
/// `keystone.revoke.backends.sql`).
fn fits(event: &RevocationEvent, facts: &TokenFacts<'_>) -> bool {
    let is = |named: &Option<String>, fact: Option<&str>| named.is_none() || named.as_deref() == fact;
    let is_one_of =
        |named: &Option<String>, known: &[&str]| named.as_deref().is_none_or(|named| known.contains(&named));
    // A domain together with an expiry means the tokens of that domain's scope.
    let domain_fits = match (&event.domain_id, &event.expires_at) {
        (None, _) => true,
        (Some(domain), Some(_)) => facts.scope_domain_id == Some(domain),
        (Some(domain), None) => facts.user_domain_id == domain || facts.scope_domain_id == Some(domain),
    };
    domain_fits
        && is_one_of(&event.user_id, &facts.user_ids)
        && is(&event.project_id, facts.project_id)
        && is(&event.audit_id, Some(facts.audit_id))
        && is(&event.trust_id, facts.trust_id)
        && is(&event.consumer_id, facts.consumer_id)
        && is(&event.audit_chain_id, facts.parent_audit_id)
        && is_one_of(&event.role_id, &facts.role_ids)
        && event.expires_at.is_none_or(|expires_at| expires_at.seconds() == facts.expires_at.seconds())
}
