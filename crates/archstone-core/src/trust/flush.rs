//! Taking away what has ended (`keystone-manage trust_flush`).

use super::{Trusts, sql};
use crate::authz::Allowed;
use crate::error::{Error, Result};
use crate::freshness::Ref;
use crate::id::{ProjectId, UserId};
use crate::time::Timestamp;

/// Which trusts to take away: all that are deleted or ended before a time, or those of them that fit.
#[derive(Clone, Debug, Default)]
pub struct Flush {
    /// Those on this project.
    pub project_id: Option<ProjectId>,
    /// Those of this trustor.
    pub trustor_user_id: Option<UserId>,
    /// Those for this trustee.
    pub trustee_user_id: Option<UserId>,
    /// Those that end before this; none for now. Deleted ones go whenever they were deleted.
    pub ended_before: Option<Timestamp>,
}

impl Trusts {
    /// Takes trusts away for good, with their roles; how many.
    pub async fn flush(&self, _: &Allowed, flush: &Flush) -> Result<u64> {
        let before = flush.ended_before.unwrap_or_else(|| self.foundation.time.now());
        self.foundation
            .db
            .write(move |tx| {
                Box::pin(async move {
                    // A time to come ends trusts that are good now.
                    for alive in sql::list_flushed_alive(&mut *tx, flush, before, self.foundation.time.now()).await? {
                        tx.touch(Ref::Trust(alive).into());
                    }
                    let flushed = sql::flush(tx, flush, before).await?;
                    Ok::<_, Error>(flushed)
                })
            })
            .await
    }
}
