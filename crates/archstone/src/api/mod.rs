//! The API, a file or folder for each family of URLs: the routes with their rules, bodies and handlers.

mod auth;
pub(crate) mod body;
mod discovery;
mod domains;
mod endpoints;
mod groups;
mod projects;
mod regions;
mod services;
mod users;

use crate::http::Routes;

/// The whole table.
pub(crate) fn routes() -> Routes {
    let mut routes = Routes::default();
    discovery::routes(&mut routes);
    auth::routes(&mut routes);
    domains::routes(&mut routes);
    endpoints::routes(&mut routes);
    groups::routes(&mut routes);
    projects::routes(&mut routes);
    regions::routes(&mut routes);
    services::routes(&mut routes);
    users::routes(&mut routes);
    routes
}

#[cfg(test)]
mod tests;
