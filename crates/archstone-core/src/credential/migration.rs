//! Rotation of the keys that encrypt credentials (`keystone-manage credential_migrate`).

use std::sync::Arc;

use archstone_db::{Db, Touch};
use keystone_token::{KeyRing, credential};

use super::sql;
use crate::error::{Error, Result};
use crate::time::Timestamp;

/// How many rows one transaction re-encrypts.
pub(super) const BATCH: u64 = 100;

/// How many credentials another key than the ring's primary encrypted. Rotation must wait until there are none.
pub async fn count_not_encrypted_with_primary(db: &Db, ring: &KeyRing) -> Result<u64> {
    sql::count_other_keys(db, &ring.primary().hash()).await
}

/// Encrypts with the ring's primary key what another key encrypted, and says how many those were. What is there is
/// decrypted first, so a lost key stops it before that row is touched.
pub async fn migrate(db: &Db, ring: Arc<KeyRing>, now: Timestamp) -> Result<u64> {
    let mut migrated = 0;
    loop {
        let ring = Arc::clone(&ring);
        let batch = db.write(move |tx| {
            let ring = Arc::clone(&ring);
            Box::pin(async move {
                let primary = ring.primary().hash();
                let rows = sql::list_other_keys(&mut *tx, &primary, BATCH).await?;
                for row in &rows {
                    let blob = reencrypt(&ring, row, now)?;
                    // Each row gets a text of its own, so each is a statement of its own.
                    sql::update_encrypted(tx, row, &blob, &primary).await?;
                    tx.touch(Touch { kind: "credential", reference: row.id.clone() });
                }
                Ok::<_, Error>(rows.len() as u64)
            })
        });
        match batch.await? {
            0 => return Ok(migrated),
            rows => migrated += rows,
        }
    }
}

fn reencrypt(ring: &KeyRing, row: &sql::Encrypted, now: Timestamp) -> Result<String> {
    let mut iv = [0; 16];
    aws_lc_rs::rand::fill(&mut iv).map_err(|_| Error::internal("no random numbers"))?;
    let seconds = u64::try_from(now.seconds()).unwrap_or_default();
    credential::reencrypt(ring, &row.blob, seconds, iv)
        .map_err(|error| Error::internal(format!("re-encrypting credential {}: {error}", row.id)))
}
