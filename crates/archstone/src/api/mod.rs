//! The API, a file or folder for each family of URLs: the routes with their rules, bodies and handlers.
//!
//! What is read here comes from strangers, so that nothing may panic.
#![cfg_attr(not(test), deny(clippy::string_slice, clippy::expect_used, clippy::panic))]

mod application_credentials;
mod auth;
pub(crate) mod body;
mod credentials;
mod discovery;
mod domain_config;
mod domains;
mod ec2_credentials;
mod ec2_tokens;
mod endpoint_filter;
mod endpoints;
mod grants;
mod groups;
mod limits;
mod lockout;
mod policies;
mod projects;
mod regions;
mod registered_limits;
mod revoke;
mod role_assignments;
mod roles;
mod services;
mod trusts;
mod users;
mod v2;

use archstone_core::config::Config;

use crate::http::Routes;

/// The table of what this configuration switches on.
pub(crate) fn table(config: &Config) -> Routes {
    let mut table = routes();
    if config.v2.enabled {
        v2::routes(&mut table);
    }
    table
}

/// The table of the v3 API.
fn routes() -> Routes {
    let mut routes = Routes::default();
    discovery::routes(&mut routes);
    auth::routes(&mut routes);
    credentials::routes(&mut routes);
    ec2_credentials::routes(&mut routes);
    domain_config::routes(&mut routes);
    ec2_tokens::routes(&mut routes);
    domains::routes(&mut routes);
    endpoints::routes(&mut routes);
    endpoint_filter::routes(&mut routes);
    groups::routes(&mut routes);
    limits::routes(&mut routes);
    lockout::routes(&mut routes);
    policies::routes(&mut routes);
    projects::routes(&mut routes);
    regions::routes(&mut routes);
    registered_limits::routes(&mut routes);
    services::routes(&mut routes);
    users::routes(&mut routes);
    revoke::routes(&mut routes);
    roles::routes(&mut routes);
    grants::routes(&mut routes);
    role_assignments::routes(&mut routes);
    application_credentials::routes(&mut routes);
    trusts::routes(&mut routes);
    routes
}

#[cfg(test)]
mod tests;
