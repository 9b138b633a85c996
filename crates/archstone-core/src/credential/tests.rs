//! Credentials through the door, and the rotation of their keys.

use std::sync::Arc;

use archstone_db::tables::Credential as Table;
use archstone_db::{Db, Query as _, testing};
use keystone_token::{Key, KeyRing, NULL_KEY_TEXT, credential};
use sea_query::Query as Sql;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::migration::BATCH;
use super::{Credential, Credentials, NewCredential, count_not_encrypted_with_primary, ec2_id, migrate};
use crate::authz::{Allowed, Caller, Delegation, Initiator, Requester, Scope};
use crate::error::{ErrorKind, Result};
use crate::id::CredentialId;
use crate::keys;
use crate::list::{Filter, ListQuery};
use crate::testing::foundation;
use crate::time::Timestamp;

const NEW_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn ring(texts: &[&str]) -> Arc<KeyRing> {
    Arc::new(KeyRing::new(texts.iter().map(|text| Key::parse(text).unwrap()).collect()).unwrap())
}

async fn insert(db: &Db, id: String, ring: Arc<KeyRing>) {
    db.write(move |tx| {
        let blob = credential::encrypt(&ring, "ec2", "{\"access\": \"a\"}", 1, [1; 16]).unwrap();
        let mut insert = Sql::insert();
        insert
            .into_table(Table::Table)
            .columns([Table::Id, Table::UserId, Table::Type, Table::EncryptedBlob, Table::KeyHash])
            .values_panic([id.clone().into(), "u".into(), "ec2".into(), blob.into(), ring.primary().hash().into()]);
        Box::pin(async move { tx.execute(&insert).await })
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn migration_leaves_nothing_to_the_old_key() {
    testing::on_each_database(async |db| {
        let (old, both, new) = (ring(&[NULL_KEY_TEXT]), ring(&[NEW_KEY, NULL_KEY_TEXT]), ring(&[NEW_KEY]));
        for number in 0..=BATCH {
            insert(db, format!("{number:032}"), Arc::clone(&old)).await;
        }
        insert(db, "already".to_owned(), Arc::clone(&new)).await;
        assert_eq!(count_not_encrypted_with_primary(db, &both).await.unwrap(), BATCH + 1);

        assert_eq!(migrate(db, Arc::clone(&both), Timestamp::from_seconds(9).unwrap()).await.unwrap(), BATCH + 1);
        assert_eq!(count_not_encrypted_with_primary(db, &both).await.unwrap(), 0);
        let mut all = Sql::select();
        all.column(Table::EncryptedBlob).from(Table::Table);
        for row in db.fetch_all(&all).await.unwrap() {
            let blob: String = row.get("encrypted_blob").unwrap();
            assert_eq!(&*credential::decrypt(&new, "ec2", &blob).unwrap(), "{\"access\": \"a\"}");
        }
        assert_eq!(migrate(db, both, Timestamp::from_seconds(9).unwrap()).await.unwrap(), 0);
    })
    .await;
}

#[tokio::test]
async fn a_lost_key_stops_the_migration_and_leaves_its_rows() {
    testing::on_each_database(async |db| {
        insert(db, "lost".to_owned(), ring(&[NULL_KEY_TEXT])).await;
        let new = ring(&[NEW_KEY]);
        let error = migrate(db, Arc::clone(&new), Timestamp::from_seconds(9).unwrap()).await.unwrap_err();
        assert!(error.detail_text().contains("lost"), "names the row");
        assert_eq!(count_not_encrypted_with_primary(db, &new).await.unwrap(), 1);
    })
    .await;
}

fn allowed() -> Allowed {
    Allowed::internal("test")
}

/// What a token with this delegation is allowed.
fn delegated(delegation: Delegation) -> Allowed {
    let caller = Caller {
        user_id: "u".into(),
        user_domain_id: "d".into(),
        user_name: "u".to_owned(),
        scope: Scope::Unscoped,
        roles: Vec::new(),
        delegation,
        audit_ids: Vec::new(),
        credentials: Map::new(),
    };
    Allowed::public(Requester::User(Arc::new(caller)), Initiator::default())
}

/// A door with keys of its own, and the folder that they are in.
fn door(db: &Db) -> (Credentials, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    keys::setup(folder.path(), keys::CREDENTIAL_MAX_ACTIVE_KEYS, None).unwrap();
    let config = format!("[credential]\nkey_repository = {}\nuser_limit = 3\n", folder.path().display());
    (Credentials::new(foundation(db, &config)).unwrap(), folder)
}

fn new(user: &str, kind: &str, blob: &str) -> NewCredential {
    NewCredential {
        user_id: user.into(),
        project_id: None,
        kind: kind.to_owned(),
        blob: Zeroizing::new(blob.to_owned()),
        extra: Map::from_iter([("note".to_owned(), json!("é"))]),
    }
}

fn blob_of(door: &Credentials, credential: &Credential) -> String {
    door.blob(&allowed(), credential).unwrap().to_string()
}

fn kind<T>(result: Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind)
}

const KEYS: &str = "{\"access\":\"a\",\"secret\":\"é\"}";

#[tokio::test]
async fn a_secret_comes_back_as_it_was_written_and_is_stored_encrypted() {
    testing::on_each_database(async |db| {
        let (door, _folder) = door(db);
        for (type_, blob) in [("ec2", KEYS), ("totp", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"), ("cert", "not json é")] {
            let created = door.create(&allowed(), new("u", type_, blob)).await.unwrap();
            let stored = door.find(&created.id).await.unwrap().unwrap();
            assert_eq!(blob_of(&door, &stored), blob);
            assert_eq!((&*stored.user_id, stored.kind.as_str(), &stored.extra["note"]), ("u", type_, &json!("é")));
            assert!(stored.encrypted_blob.starts_with("gAAAA"));
            assert_eq!(stored.key_hash, door.keys.latest().unwrap().primary().hash());
        }
    })
    .await;
}

#[tokio::test]
async fn the_id_of_an_ec2_key_is_the_hash_of_its_access_key_and_taken_once() {
    testing::on_each_database(async |db| {
        let (door, _folder) = door(db);
        let created = door.create(&allowed(), new("u", "ec2", KEYS)).await.unwrap();
        assert_eq!(created.id, "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb");
        assert_eq!(kind(door.create(&allowed(), new("v", "EC2", KEYS)).await), Some(ErrorKind::Conflict));
        for blob in ["", "x", "[]", "{}", "{\"access\": 1}"] {
            assert_eq!(kind(door.create(&allowed(), new("u", "ec2", blob)).await), Some(ErrorKind::BadRequest));
        }
    })
    .await;
}

#[tokio::test]
async fn a_user_has_no_more_credentials_than_the_limit() {
    testing::on_each_database(async |db| {
        let (door, _folder) = door(db);
        for _ in 0..3 {
            door.create(&allowed(), new("u", "cert", "x")).await.unwrap();
        }
        assert_eq!(kind(door.create(&allowed(), new("u", "totp", "x")).await), Some(ErrorKind::ForbiddenOpen));
        door.create(&allowed(), new("v", "cert", "x")).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn lists_and_logins_get_what_they_ask_for_and_no_more() {
    testing::on_each_database(async |db| {
        let (door, _folder) = door(db);
        for (user, type_) in [("u", "totp"), ("u", "TOTP"), ("u", "cert"), ("v", "totp")] {
            door.create(&allowed(), new(user, type_, &format!("{user} {type_}"))).await.unwrap();
        }
        let secrets = door.secrets_of_user(&"u".into(), "totp").await.unwrap();
        assert_eq!(secrets.iter().map(|(_, secret)| secret.as_str()).collect::<Vec<_>>(), ["u totp"]);
        let filters = vec![Filter::equals("user_id", "u"), Filter::equals("type", "cert")];
        let (listed, remaining) = door.list(&allowed(), &ListQuery { filters, ..ListQuery::default() }).await.unwrap();
        assert_eq!((listed.len(), remaining.len()), (1, 0));
        assert_eq!(blob_of(&door, &listed[0]), "u cert");
        assert_eq!(door.list(&allowed(), &ListQuery::default()).await.unwrap().0.len(), 4);
    })
    .await;
}

#[tokio::test]
async fn cve_2020_12691_an_ec2_key_stays_bound_to_the_delegation_that_made_it() {
    testing::on_each_database(async |db| {
        let (door, _folder) = door(db);
        let app = Delegation::ApplicationCredential { id: "c".into(), unrestricted: true, access_rules: false };
        for (number, (delegation, name, id)) in [
            (Delegation::Trust("t".into()), "trust_id", "t"),
            (app, "app_cred_id", "c"),
            (Delegation::OAuth1("o".into()), "access_token_id", "o"),
        ]
        .into_iter()
        .enumerate()
        {
            let keys = json!({"access": format!("a{number}"), "secret": "s"});
            let allowed = delegated(delegation);
            let created = door.create(&allowed, new("u", "ec2", &keys.to_string())).await.unwrap();
            let stored: Value = serde_json::from_str(&blob_of(&door, &created)).unwrap();
            assert_eq!(stored[name], id);
            for other in [keys.clone(), json!({"access": "a", name: "other"}), json!({"access": "a", name: null})] {
                let refused = door.update_blob(&allowed, &created.id, &other.to_string()).await;
                assert_eq!(kind(refused), Some(ErrorKind::BadRequest));
            }
        }
        let refused = door.create(&delegated(Delegation::OAuth2), new("v", "ec2", KEYS)).await;
        assert_eq!(kind(refused), Some(ErrorKind::Forbidden));
    })
    .await;
}

#[tokio::test]
async fn an_update_replaces_the_secret_alone() {
    testing::on_each_database(async |db| {
        let (door, _folder) = door(db);
        let (one, other) = (new("u", "ec2", KEYS), new("u", "cert", "old"));
        let one = door.create(&allowed(), one).await.unwrap().id;
        let other = door.create(&allowed(), other).await.unwrap().id;
        door.update_blob(&allowed(), &one, "{\"access\":\"a\",\"secret\":\"new\"}").await.unwrap();
        let stored = door.find(&one).await.unwrap().unwrap();
        // Written by the reference's JSON library, and so by us.
        assert_eq!(blob_of(&door, &stored), "{\"access\": \"a\", \"secret\": \"new\"}");
        assert_eq!(door.ec2_blob(&allowed(), &stored).unwrap().secret.unwrap().as_str(), "new");
        assert_eq!(blob_of(&door, &door.find(&other).await.unwrap().unwrap()), "old");
        let absent = CredentialId::from("absent");
        assert_eq!(kind(door.update_blob(&allowed(), &absent, "x").await), Some(ErrorKind::NotFound));
    })
    .await;
}

#[tokio::test]
async fn a_deleted_credential_is_gone_and_no_other() {
    testing::on_each_database(async |db| {
        let (door, _folder) = door(db);
        door.create(&allowed(), new("u", "ec2", KEYS)).await.unwrap();
        let other = door.create(&allowed(), new("u", "cert", "x")).await.unwrap();
        door.delete(&allowed(), &ec2_id("a")).await.unwrap();
        assert!(door.find(&ec2_id("a")).await.unwrap().is_none());
        assert!(door.find(&other.id).await.unwrap().is_some());
        assert_eq!(kind(door.delete(&allowed(), &ec2_id("a")).await), Some(ErrorKind::NotFound));
    })
    .await;
}

#[tokio::test]
async fn secrets_open_after_the_keys_were_rotated() {
    testing::on_each_database(async |db| {
        let (door, folder) = door(db);
        let created = door.create(&allowed(), new("u", "totp", "seed")).await.unwrap();
        keys::rotate(folder.path(), keys::CREDENTIAL_MAX_ACTIVE_KEYS, None).unwrap();
        assert_eq!(blob_of(&door, &created), "seed");
        let ring = door.keys.latest().unwrap();
        assert_eq!(count_not_encrypted_with_primary(db, &ring).await.unwrap(), 1);
        migrate(db, ring, Timestamp::from_seconds(9).unwrap()).await.unwrap();
        assert_eq!(blob_of(&door, &door.find(&created.id).await.unwrap().unwrap()), "seed");
    })
    .await;
}

#[tokio::test]
async fn what_no_column_can_hold_is_refused() {
    testing::on_each_database(async |db| {
        let (door, _folder) = door(db);
        let long = "é".repeat(256);
        let project = NewCredential { project_id: Some(long.as_str().into()), ..new("u", "cert", "x") };
        for new in [new(&long, "cert", "x"), new("u", &long, "x"), project] {
            assert_eq!(kind(door.create(&allowed(), new).await), Some(ErrorKind::BadRequest));
        }
        door.create(&allowed(), new("u", &"é".repeat(255), "x")).await.unwrap();
    })
    .await;
}
