//! Application credentials as logins want them: from memory, for as long as they were not touched.
//!
//! **Invariant:** one that nobody has is not remembered: it may come at any moment.

use std::sync::Arc;

use super::{ApplicationCredential, ApplicationCredentials, not_found, sql};
use crate::error::{Error, Found as _, Result};
use crate::foundation::Foundation;
use crate::freshness::{Moment, Ref};
use crate::id::{ApplicationCredentialId, UserId};
use crate::memory::{Capacity, Loaded, Memory};

pub(super) struct Remembered {
    by_id: Memory<ApplicationCredentialId, Arc<ApplicationCredential>>,
    by_name: Memory<(UserId, String), Arc<ApplicationCredential>>,
}

impl Remembered {
    pub(super) fn new(foundation: &Foundation) -> Remembered {
        let freshness = &foundation.freshness;
        let capacity = Capacity { bytes: foundation.caches().logins / 100 * 4, entry_bytes: 1024 };
        Remembered {
            by_id: Memory::new(freshness.clone(), capacity),
            by_name: Memory::new(freshness.clone(), capacity),
        }
    }
}

fn loaded(credential: ApplicationCredential) -> Loaded<Arc<ApplicationCredential>> {
    let texts = credential.name.len() + credential.description.as_ref().map_or(0, String::len);
    let parts = credential.role_ids.len() + 3 * credential.access_rules.as_ref().map_or(0, Vec::len);
    // The row's own id: a database that ignores case finds it by another, too.
    let depends_on = [Ref::ApplicationCredential(credential.id.clone())];
    Loaded::new(Arc::new(credential), depends_on, 1024 + texts + 128 * parts)
}

impl ApplicationCredentials {
    /// The credential of this id as of a moment, or 404.
    pub(crate) async fn require_for_login(
        &self,
        moment: Moment,
        id: &ApplicationCredentialId,
    ) -> Result<Arc<ApplicationCredential>> {
        let load = |_| {
            let (db, id) = (self.foundation.db.clone(), id.clone());
            async move { Ok(loaded(sql::get(&db, &id).await?.ok_or_else(|| not_found(&id))?)) }
        };
        self.remembered.by_id.get_or_load(moment, id, load).await.map(|known| known.value)
    }

    /// The credential of this name of a user, as of a moment.
    pub(crate) async fn get_by_name_for_login(
        &self,
        moment: Moment,
        user: &UserId,
        name: &str,
    ) -> Result<Option<Arc<ApplicationCredential>>> {
        let key = (user.clone(), name.to_owned());
        let load = |_| {
            let (db, (user, name)) = (self.foundation.db.clone(), key.clone());
            async move {
                let found = sql::get_by_name(&db, &user, &name).await?;
                Ok(loaded(found.ok_or_else(|| Error::not_found("application credential", &name))?))
            }
        };
        let known = self.remembered.by_name.get_or_load(moment, &key, load).await.found()?;
        Ok(known.map(|known| known.value))
    }
}
