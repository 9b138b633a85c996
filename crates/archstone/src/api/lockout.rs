//! `/v3/users/{user_id}/lockout`: who is locked out, and the way back in. A route of our own, which the reference has not;
//! its clients need not know it, since any `PATCH` of an enabled user unlocks, as in the reference.

use archstone_core::error::Result;
use archstone_core::id::UserId;
use archstone_core::identity::FailedLogins;
use archstone_core::time::Timestamp;
use serde_json::{Value, json};

use super::users::target;
use crate::http::{Access, Call, Reply, Routes};

/// Whoever may change a user may see its locks, and only they: a lock says that there is such a user.
const RULE: Access = Access::Rule("identity:update_user");

pub(super) fn routes(routes: &mut Routes) {
    routes.path("/v3/users/{user_id}/lockout").get(RULE, show).delete(RULE, unlock);
}

async fn show(call: Call) -> Result<Reply> {
    let id = UserId::from(call.parameter("user_id"));
    let allowed = call.allow(target(&call, &id).await?).await?;
    let failed = call.core.identity.list_failed_logins(&allowed, &id).await?;
    let locked: Vec<_> = failed.iter().filter(|logins| logins.locked).collect();
    // The last lock to end; none of them by itself if one does not.
    let ends: Option<Vec<Timestamp>> = locked.iter().map(|logins| logins.locked_until).collect();
    let until = ends.and_then(|ends| ends.into_iter().max());
    Call::ok(&json!({
        "lockout": {
            "user_id": &*id,
            "locked": !locked.is_empty(),
            "locked_until": until.map(Timestamp::iso),
            "failed_logins": failed.iter().map(wire).collect::<Vec<_>>(),
            "links": {"self": call.link(&format!("users/{id}/lockout"))},
        }
    }))
}

async fn unlock(call: Call) -> Result<Reply> {
    let id = UserId::from(call.parameter("user_id"));
    let allowed = call.allow(target(&call, &id).await?).await?;
    call.core.identity.unlock(&allowed, &id).await?;
    Ok(Reply::no_content())
}

fn wire(logins: &FailedLogins) -> Value {
    json!({
        "factor": logins.factor,
        "network": logins.network,
        "failures": logins.failures,
        "failed_at": logins.failed_at.map(Timestamp::iso),
        "locked": logins.locked,
        "locked_until": logins.locked_until.map(Timestamp::iso),
    })
}
