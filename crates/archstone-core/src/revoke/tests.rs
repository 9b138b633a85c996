//! Which event ends which token (vectors computed by Python Keystone, together with the filters of its query).

use archstone_db::testing::{TestDatabase, configured, on_each_database};
use archstone_db::{Dialect, Tx};

use super::index::{RevocationIndex, TokenFacts};
use super::{Indexed, RevocationEvent, Revoke, StoredEvent, sql};
use crate::authz::Allowed;
use crate::error::{Error, Result};
use crate::freshness::Ref;
use crate::testing::foundation;
use crate::time::Timestamp;

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

fn facts() -> TokenFacts<'static> {
    TokenFacts {
        issued_at: at("2023-11-14T22:13:20"),
        expires_at: at("2023-11-14T23:13:20"),
        user_ids: vec!["u"],
        user_domain_id: "ud",
        scope_domain_id: None,
        project_id: Some("p"),
        audit_id: "A",
        parent_audit_id: Some("B"),
        trust_id: None,
        consumer_id: None,
        role_ids: vec!["r1", "r2"],
    }
}

fn ends(event: RevocationEvent, issued_before: &str) -> bool {
    let mut index = RevocationIndex::default();
    index.insert(event, at(issued_before));
    index.matches(&facts())
}

/// `attribute=value` pairs.
fn event(text: &str) -> RevocationEvent {
    let mut event = RevocationEvent::default();
    for (name, value) in text.split_whitespace().filter_map(|pair| pair.split_once('=')) {
        let text = Some(value.to_owned());
        match name {
            "user" => event.user_id = text,
            "project" => event.project_id = text,
            "audit" => event.audit_id = text,
            "chain" => event.audit_chain_id = text,
            "domain" => event.domain_id = text,
            "role" => event.role_id = text,
            "trust" => event.trust_id = text,
            "consumer" => event.consumer_id = text,
            "access_token" => event.access_token_id = text,
            _ => event.expires_at = Some(at(value)),
        }
    }
    event
}

#[test]
fn an_event_ends_the_tokens_that_have_all_that_it_names() {
    for (text, expected) in [
        ("", true),
        ("user=u", true),
        ("user=other", false),
        ("project=p", true),
        ("project=q", false),
        ("audit=A", true),
        ("audit=Z", false),
        ("chain=B", true),
        ("chain=Z", false),
        ("domain=ud", true),
        ("domain=zz", false),
        ("role=r2", true),
        ("role=r9", false),
        ("trust=t", false),
        ("consumer=c", false),
        ("access_token=x", true),
        ("expires=2023-11-14T23:13:20.000500", true),
        ("expires=2023-11-14T23:13:21", false),
        ("domain=ud expires=2023-11-14T23:13:20", false),
        ("user=u role=r9", false),
        ("user=u project=p role=r1", true),
    ] {
        assert_eq!(ends(event(text), "2023-11-14T22:13:20"), expected, "{text}");
    }
}

#[test]
fn an_event_ends_tokens_of_its_own_second_and_of_none_later() {
    assert!(ends(event("user=u"), "2023-11-14T22:13:20"));
    assert!(!ends(event("user=u"), "2023-11-14T22:13:19"));
}

#[test]
fn of_events_that_name_the_same_the_furthest_counts() {
    let mut index = RevocationIndex::default();
    index.insert(event("user=u"), at("2023-11-14T22:13:25"));
    index.insert(event("user=u"), at("2023-11-14T22:13:10"));
    assert!(index.matches(&facts()));
}

fn stored(id: i64, text: &str, issued_before: &str) -> StoredEvent {
    StoredEvent { id, event: event(text), issued_before: at(issued_before), revoked_at: at(issued_before) }
}

#[test]
fn ids_that_were_skipped_are_looked_for_until_they_come_or_are_too_old() {
    let (now, oldest) = (at("2023-11-14T22:13:20"), at("2023-11-01T00:00:00"));
    let mut indexed = Indexed::default();
    indexed.add(vec![stored(4000, "user=u", "2023-11-14T22:13:20")], now, oldest);
    let gaps = |indexed: &Indexed| indexed.late.iter().map(|(first, gap)| (*first, gap.last)).collect::<Vec<_>>();
    assert_eq!(gaps(&indexed), [(1, 3999)]);
    for late in [3999, 1, 2000, 2001] {
        indexed.add(vec![stored(late, "user=v", "2023-11-14T22:13:20")], now, oldest);
    }
    assert_eq!((indexed.newest_id, gaps(&indexed)), (4000, vec![(2, 1999), (2002, 3998)]));
    indexed.add(vec![stored(4002, "user=w", "2023-11-14T22:13:20")], now.plus_seconds(301), oldest);
    assert_eq!(gaps(&indexed), [(4001, 4001)]);
    for event in 0..2000 {
        indexed.add(vec![stored(4004 + 2 * event, "user=w", "2023-11-14T22:13:20")], now.plus_seconds(301), oldest);
    }
    assert_eq!((gaps(&indexed).len(), gaps(&indexed)[1023]), (1024, (8001, 8001)));
}

/// Not through the door, which also prunes: on MariaDB that waits for what others have not committed.
async fn insert(tx: &mut Tx<'_>, names: &[String], now: Timestamp) -> Result<()> {
    let events: Vec<_> = names.iter().map(|name| event(&format!("user={name}"))).collect();
    sql::insert(tx, &events, now).await?;
    tx.touch(Ref::Revocations.into());
    Ok(())
}

/// One transaction may revoke for each member of a large group, and commit after another that began later.
#[tokio::test]
async fn events_of_a_large_transaction_that_commits_late_are_seen() {
    for dialect in configured().into_iter().filter(|dialect| *dialect != Dialect::Sqlite) {
        let test = TestDatabase::new(dialect).await.unwrap();
        let foundation = &foundation(&test.db, "");
        let (db, now, reader) = (&test.db, foundation.time.now(), Revoke::new(foundation.clone()));
        let sees = async || {
            let moment = foundation.freshness.observe().await.unwrap();
            reader.is_revoked(&facts(), moment).await.unwrap()
        };
        assert!(!sees().await);
        let members: Vec<String> = ["u".to_owned()].into_iter().chain((0..1500).map(|it| it.to_string())).collect();
        let (members, another, sees) = (&members, &["another".to_owned()], &sees);
        let wrote = db.write(move |tx| {
            Box::pin(async move {
                insert(tx, members, now).await?;
                db.write(move |tx| Box::pin(insert(tx, another, now))).await?;
                assert!(!sees().await, "it is not committed");
                Ok::<_, Error>(())
            })
        });
        wrote.await.unwrap();
        assert!(sees().await);
    }
}

#[test]
fn events_of_the_past_leave_the_index() {
    let (now, oldest) = (at("2023-11-14T22:13:20"), at("2023-11-14T21:00:00"));
    let mut indexed = Indexed::default();
    let old = (1..=1025).map(|id| stored(id, &format!("user={id}"), "2023-11-14T20:59:59"));
    indexed.add(old.chain([stored(1026, "user=u", "2023-11-14T21:00:00")]).collect(), now, oldest);
    assert_eq!(indexed.index.len(), 1);
    assert!(!indexed.index.matches(&facts()), "it was issued later");
}

#[tokio::test]
async fn events_are_listed_in_their_order_from_a_time_on() {
    on_each_database(async |db| {
        let foundation = foundation(db, "[token]\nexpiration = 100\n[revoke]\nexpiration_buffer = 50\n");
        let (revoke, allowed) = (Revoke::new(foundation.clone()), Allowed::internal("test"));
        let first = foundation.time.now();
        revoke.revoke(&[event("user=u expires=2027-01-15T08:00:01")]).await.unwrap();
        foundation.time.advance(10);
        let both = [event("audit=a"), event("chain=a domain=d")];
        revoke.revoke(&both).await.unwrap();
        let list = async |after| {
            let listed = revoke.list_events(&allowed, after).await.unwrap();
            listed.into_iter().map(|stored| (stored.event, stored.revoked_at)).collect::<Vec<_>>()
        };
        let second = first.plus_seconds(10);
        assert_eq!(list(None).await[0], (event("user=u expires=2027-01-15T08:00:01"), first));
        assert_eq!(list(None).await.len(), 3);
        assert_eq!(list(Some(first)).await, both.map(|event| (event, second)));
        assert_eq!(list(Some(second)).await, []);
        // The next event takes those with it that no living token can match.
        foundation.time.advance(145);
        revoke.revoke(&[event("project=p")]).await.unwrap();
        assert_eq!(list(None).await.len(), 3);
    })
    .await;
}
