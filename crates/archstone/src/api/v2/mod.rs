//! `/v2.0`, the API before domains: for clients that know nothing newer. Off unless `[v2] enabled` is set; then the
//! shapes are those of the published Identity API v2.0.
//!
//! **Invariant:** it shows only what its words can say whole: users and projects of the default domain
//! (`[identity] default_domain_id`), and tokens of them that stand for no delegation. A service that is told of a
//! token in these words would else let it do more than it may (OSSA-2014-022).

mod tenants;
mod tokens;
mod wire;

use archstone_core::authz::{Delegation, Scope};
use archstone_core::error::{Error, Result};
use archstone_core::token::ValidatedToken;
use serde_json::json;

use crate::http::{Access, Call, Reply, Routes};

pub(super) fn routes(routes: &mut Routes) {
    routes.path("/v2.0").get(Access::Public, version);
    tokens::routes(routes);
    tenants::routes(routes);
}

async fn version(call: Call) -> Result<Reply> {
    Call::ok(&json!({"version": {
        "id": "v2.0",
        "status": "deprecated",
        "updated": "2016-08-04T00:00:00Z",
        "links": [{"rel": "self", "href": format!("{}/v2.0/", call.base_url())}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v2.0+json"}],
    }}))
}

/// 401 for a token that the words of this API cannot tell whole.
fn check_sayable(call: &Call, token: &ValidatedToken) -> Result<()> {
    let default = call.core.config.identity.default_domain_id.as_str();
    if *token.actor_domain_id() != *default {
        return Err(Error::unauthorized("the v2.0 API knows no user outside of the default domain"));
    }
    match token.scope() {
        Scope::Unscoped => {}
        Scope::Project { domain_id, .. } if domain_id == *default => {}
        Scope::Project { .. } => {
            return Err(Error::unauthorized("the v2.0 API knows no project outside of the default domain"));
        }
        Scope::Domain(_) | Scope::System => {
            return Err(Error::unauthorized("the v2.0 API knows no tokens of a domain or of the system"));
        }
    }
    let payload = &token.payload;
    let bound = payload.trust_id.is_some() || payload.app_cred_id.is_some() || payload.access_token_id.is_some();
    match token.delegation() {
        Delegation::None => Ok(()),
        Delegation::Ec2 if !bound => Ok(()),
        other => Err(Error::unauthorized(format!("the v2.0 API knows no tokens by {}", other.describe()))),
    }
}
