//! Users as logins and tokens want them: from memory, for as long as nothing of them was touched.
//!
//! **Invariant:** a name leads to the user that it led to only as long as that was not touched, so a new name counts at
//! once. Who does not exist is not remembered: such a user may come at any moment, and an attacker could name many.
//!
//! **Invariant:** what programs count that do not know the clock (failed logins in the user's own row, the day of the
//! last one) is not looked at here: see [`login`](super::login).

use std::sync::Arc;

use super::sql::{self, NetworkFailures, StoredUser};
use super::{Identity, User};
use crate::error::{Error, Found as _, Result};
use crate::foundation::Foundation;
use crate::freshness::{Moment, Ref};
use crate::id::{DomainId, UserId};
use crate::memory::{Capacity, Loaded, Memory};

pub(super) struct Remembered {
    by_id: Memory<UserId, Arc<StoredUser>>,
    by_name: Memory<(DomainId, String), Arc<StoredUser>>,
    failures: Memory<UserId, Arc<[NetworkFailures]>>,
}

impl Remembered {
    pub(super) fn new(foundation: &Foundation) -> Remembered {
        let freshness = &foundation.freshness;
        let logins = foundation.caches().logins;
        let capacity = |hundredths, entry_bytes| Capacity { bytes: logins / 100 * hundredths, entry_bytes };
        Remembered {
            by_id: Memory::new(freshness.clone(), capacity(26, 2048)),
            by_name: Memory::new(freshness.clone(), capacity(26, 2048)),
            failures: Memory::new(freshness.clone(), capacity(8, 512)),
        }
    }
}

/// A user that a login named.
#[derive(Clone, Debug)]
pub(crate) struct FoundUser {
    pub(super) stored: Arc<StoredUser>,
    /// Whether it took no statement to find it.
    pub(super) from_memory: bool,
}

impl FoundUser {
    /// Its id.
    pub(crate) fn id(&self) -> &UserId {
        &self.stored.id
    }

    /// The domain that it belongs to.
    pub(crate) fn domain_id(&self) -> &DomainId {
        &self.stored.domain_id
    }
}

fn loaded(user: Arc<StoredUser>) -> Loaded<Arc<StoredUser>> {
    let extra: usize = user.extra.iter().map(|(name, value)| 64 + name.len() + value.to_string().len()).sum();
    let rest = 256 * (user.passwords.len() + user.federated.len()) + 64 * user.options.iter().count();
    // The row's own id: a database that ignores case finds it by another, too.
    let depends_on = [Ref::User(user.id.clone())];
    Loaded::new(user, depends_on, 1024 + extra + rest)
}

impl Identity {
    /// The user of this id as of a moment, for those who check by themselves who may know.
    pub(crate) async fn user_at(&self, moment: Moment, id: &UserId) -> Result<Option<User>> {
        Ok(self.find_user(moment, id).await?.map(|found| self.user_of(&found)))
    }

    /// As everybody else sees it.
    pub(crate) fn user_of(&self, found: &FoundUser) -> User {
        self.user_from(StoredUser::clone(&found.stored))
    }

    /// The user of this id as of a moment.
    pub(crate) async fn find_user(&self, moment: Moment, id: &UserId) -> Result<Option<FoundUser>> {
        if let Some(stored) = self.remembered.by_id.get(id) {
            return Ok(Some(FoundUser { stored, from_memory: true }));
        }
        let load = |_| {
            let (db, id) = (self.foundation.db.clone(), id.clone());
            async move {
                let user = sql::get_user(&db, &id).await?.ok_or_else(|| Error::not_found("user", &id))?;
                Ok(loaded(Arc::new(user)))
            }
        };
        let stored = self.remembered.by_id.get_or_load(moment, id, load).await.found()?;
        Ok(stored.map(|stored| FoundUser { stored: stored.value, from_memory: false }))
    }

    /// The user of this name, whose name and password are here, as of a moment.
    pub(crate) async fn find_user_by_name(
        &self,
        moment: Moment,
        name: &str,
        domain_id: &DomainId,
    ) -> Result<Option<FoundUser>> {
        let key = (domain_id.clone(), name.to_owned());
        if let Some(stored) = self.remembered.by_name.get(&key) {
            return Ok(Some(FoundUser { stored, from_memory: true }));
        }
        let load = |_| {
            let (identity, (domain_id, name)) = (self.clone(), key.clone());
            async move {
                let before = identity.foundation.freshness.stamp();
                let user = sql::get_user_by_name(&identity.foundation.db, &name, &domain_id).await?;
                let user = Arc::new(user.ok_or_else(|| Error::not_found("user", &name))?);
                // Whatever comes after a login asks for it by its id.
                identity.remembered.by_id.insert(user.id.clone(), before, loaded(Arc::clone(&user)));
                Ok(loaded(user))
            }
        };
        let stored = self.remembered.by_name.get_or_load(moment, &key, load).await.found()?;
        Ok(stored.map(|stored| FoundUser { stored: stored.value, from_memory: false }))
    }

    /// The failed logins of a user, by factor and network, as of a moment.
    pub(super) async fn failures_at(&self, moment: Moment, id: &UserId) -> Result<Arc<[NetworkFailures]>> {
        let load = |_| {
            let (db, id) = (self.foundation.db.clone(), id.clone());
            async move {
                let rows: Arc<[NetworkFailures]> = sql::list_failures(&db, std::slice::from_ref(&id)).await?.into();
                let bytes = 128 + 256 * rows.len();
                Ok(Loaded::new(rows, [Ref::FailedLogins(id.clone()), Ref::User(id)], bytes))
            }
        };
        Ok(self.remembered.failures.get_or_load(moment, id, load).await?.value)
    }
}
