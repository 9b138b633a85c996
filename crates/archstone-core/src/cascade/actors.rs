//! Taking users and groups away with all that belongs to them, for one or for a domain's.

use archstone_db::Tx;

use super::{Cascade, Removed, sql};
use crate::error::Result;
use crate::freshness::Ref;
use crate::id::{GroupId, UserId};
use crate::revoke::RevocationEvent;

impl Cascade {
    /// Takes users away with their assignments, credentials, application credentials, access rules and the trusts that
    /// they gave or got, and ends their tokens (`keystone.identity.core.Manager.delete_user` and whoever listens to it).
    pub(super) async fn remove_users(&self, tx: &mut Tx<'_>, ids: &[UserId]) -> Result<Removed> {
        self.identity.take_users_in(tx, ids).await?;
        sql::delete_assignments_of_users(tx, ids).await?;
        sql::delete_credentials_of_users(tx, ids).await?;
        let access_rules = sql::list_access_rules_of_users(tx, ids).await?;
        let application_credentials = sql::delete_application_credentials_of_users(tx, ids).await?;
        for id in &application_credentials {
            tx.touch(Ref::ApplicationCredential(id.clone()).into());
        }
        for trust in sql::end_trusts_of_users(tx, ids, self.foundation.time.now()).await? {
            tx.touch(Ref::Trust(trust).into());
        }
        self.identity.delete_users_in(tx, ids).await?;
        for id in ids {
            tx.touch(Ref::Assignments(id.to_string()).into());
        }
        let events: Vec<RevocationEvent> = ids.iter().map(|id| RevocationEvent::of_user(id)).collect();
        self.revoke.record_all(tx, &events).await?;
        Ok(Removed { users: ids.to_vec(), application_credentials, access_rules, ..Removed::default() })
    }

    /// Takes groups away with their assignments, and ends the tokens of those who had roles by them
    /// (`keystone.identity.core.Manager.delete_group`).
    pub(super) async fn remove_groups(&self, tx: &mut Tx<'_>, ids: &[GroupId]) -> Result<()> {
        self.identity.take_groups_in(tx, ids).await?;
        let with_roles = sql::list_groups_with_assignments(&mut *tx, ids).await?;
        let members = self.identity.list_member_ids(&mut *tx, &with_roles).await?;
        sql::delete_assignments_of_groups(tx, ids).await?;
        self.identity.delete_groups_in(tx, ids).await?;
        let events: Vec<RevocationEvent> = members.iter().map(|id| RevocationEvent::of_user(id)).collect();
        self.revoke.record_all(tx, &events).await
    }
}
