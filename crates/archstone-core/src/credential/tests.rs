use std::sync::Arc;

use archstone_db::tables::Credential as Table;
use archstone_db::{Db, Query as _, testing};
use keystone_token::{Key, KeyRing, NULL_KEY_TEXT, credential};
use sea_query::Query as Sql;

use super::*;

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
