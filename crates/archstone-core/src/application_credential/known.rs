//! Application credentials as tokens need them, in memory.

use std::sync::Arc;

use super::{ApplicationCredential, ApplicationCredentials, not_found, sql};
use crate::error::Result;
use crate::foundation::Foundation;
use crate::freshness::{Moment, Ref};
use crate::id::ApplicationCredentialId;
use crate::memory::{Basis, Batch, Batches, Capacity, Loaded};

/// The credentials that were asked for, without what their secrets are compared with; `None`: there is none.
pub(super) type Credentials = Batches<ApplicationCredentialId, Option<Arc<ApplicationCredential>>>;

pub(super) fn credentials(foundation: &Foundation) -> Credentials {
    let capacity = Capacity { bytes: foundation.caches().credentials, entry_bytes: 1024 };
    let db = foundation.db.clone();
    Batches::new(foundation.freshness.clone(), capacity, move |ids| {
        let db = db.clone();
        async move {
            let found = sql::get_many(&db, &ids).await?;
            // What nobody finds depends on its being made.
            let absent = ids.into_iter().map(|id| {
                let depends_on = [Ref::ApplicationCredential(id.clone())];
                (id, Loaded::new(None, depends_on, 256))
            });
            let mut batch: Batch<_, _> = absent.collect();
            for mut credential in found {
                credential.secret_hash.clear();
                credential.secret_hash.shrink_to_fit();
                // A role that goes away is taken out of all credentials, and touched by itself.
                let depends_on = [Ref::ApplicationCredential(credential.id.clone()), Ref::Roles];
                let id = credential.id.clone();
                let bytes = bytes(&credential);
                batch.insert(id, Loaded::new(Some(Arc::new(credential)), depends_on, bytes));
            }
            Ok(batch)
        }
    })
}

/// What it takes in memory, with its key and what it depends on.
fn bytes(credential: &ApplicationCredential) -> usize {
    let texts = credential.name.len()
        + credential.description.as_ref().map_or(0, String::len)
        + credential.system.as_ref().map_or(0, String::len);
    let rules = credential.access_rules.iter().flatten().map(|rule| 300 + rule.path.len());
    size_of::<ApplicationCredential>() + 600 + texts + credential.role_ids.len() * 128 + rules.sum::<usize>()
}

impl ApplicationCredentials {
    /// As [`ApplicationCredentials::require_for_token`], as of this moment or later.
    pub(crate) async fn require_at(
        &self,
        moment: Moment,
        basis: &mut Basis,
        id: &ApplicationCredentialId,
    ) -> Result<Arc<ApplicationCredential>> {
        basis.take(self.credentials.get(moment, id).await?).ok_or_else(|| not_found(id))
    }
}
