//! The one table of routes: the source of the router, of JSON home and of the coverage tests.
//!
//! **Invariant:** a route cannot be added without saying who may call it ([`Access`]).

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use archstone_core::error::Result;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::Method;

use super::call::Call;
use super::reply::Reply;

/// Answers one route.
pub(crate) type Handler = Arc<dyn Fn(Call) -> BoxFuture<'static, Result<Reply>> + Send + Sync>;

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Whom this policy rule lets through. The handler asks the guard with [`Call::allow`].
    Rule(&'static str),
    /// Whom one of these rules lets through: the handler chooses by what it finds in storage.
    OneOf(&'static [&'static str]),
    /// Everybody.
    Public,
}

/// One method of one path.
#[derive(Clone)]
pub(crate) struct Route {
    /// `/v3/users/{user_id}`
    pub(crate) path: &'static str,
    pub(crate) method: Method,
    pub(crate) access: Access,
    /// The name of the schema of the query, checked before the caller is.
    pub(crate) query_schema: Option<&'static str>,
    /// The name of the schema of the body, checked before the caller is.
    pub(crate) body_schema: Option<&'static str>,
    pub(crate) handler: Handler,
}

/// The JSON home relation of a path.
#[derive(Clone, Debug)]
pub(crate) struct Relation {
    /// The whole relation, a URL that names no place.
    pub(crate) rel: String,
    /// What each path parameter means, where it is not the core's parameter of the same name.
    pub(crate) parameters: BTreeMap<&'static str, String>,
    /// The path that the document names instead of its own, for another name of the same thing.
    pub(crate) stands_for: Option<&'static str>,
    /// Whether the document calls it experimental.
    pub(crate) is_experimental: bool,
}

const DOCS: &str = "https://docs.openstack.org/api/openstack-identity/3";

/// A relation of the core API.
pub(crate) fn rel(name: &str) -> Relation {
    relation(format!("{DOCS}/rel/{name}"))
}

/// A relation of an extension.
pub(crate) fn extension_rel(extension: &str, version: &str, name: &str) -> Relation {
    relation(format!("{DOCS}/ext/{extension}/{version}/rel/{name}"))
}

fn relation(rel: String) -> Relation {
    Relation { rel, parameters: BTreeMap::new(), stands_for: None, is_experimental: false }
}

impl Relation {
    /// Says that a path parameter has another name in the core API.
    pub(crate) fn named_parameter(mut self, name: &'static str, meaning: &str) -> Relation {
        self.parameters.insert(name, format!("{DOCS}/param/{meaning}"));
        self
    }

    /// Says that a path parameter is one of an extension.
    pub(crate) fn extension_parameter(mut self, extension: &str, version: &str, name: &'static str) -> Relation {
        self.parameters.insert(name, format!("{DOCS}/ext/{extension}/{version}/param/{name}"));
        self
    }

    /// Says that it may change, as the reference does of some.
    pub(crate) fn experimental(mut self) -> Relation {
        self.is_experimental = true;
        self
    }

    /// Names another path in the document.
    pub(crate) fn stands_for(mut self, path: &'static str) -> Relation {
        self.stands_for = Some(path);
        self
    }

    /// What a path parameter means: a URL that names no place.
    pub(crate) fn parameter(&self, name: &str) -> String {
        self.parameters.get(name).cloned().unwrap_or_else(|| format!("{DOCS}/param/{name}"))
    }
}

/// A path with its relation.
#[derive(Clone)]
pub(crate) struct PathEntry {
    pub(crate) path: &'static str,
    pub(crate) relation: Option<Relation>,
}

/// The table.
#[derive(Clone, Default)]
pub(crate) struct Routes {
    pub(crate) routes: Vec<Route>,
    pub(crate) paths: Vec<PathEntry>,
}

impl Routes {
    /// Starts a path; the methods follow.
    pub(crate) fn path(&mut self, path: &'static str) -> PathRoutes<'_> {
        self.paths.push(PathEntry { path, relation: None });
        PathRoutes { table: self, path }
    }
}

/// The routes of one path.
pub(crate) struct PathRoutes<'a> {
    table: &'a mut Routes,
    path: &'static str,
}

impl PathRoutes<'_> {
    /// Names the path in JSON home.
    pub(crate) fn rel(self, relation: Relation) -> Self {
        if let Some(entry) = self.table.paths.last_mut() {
            entry.relation = Some(relation);
        }
        self
    }

    /// `GET`, and so `HEAD`.
    pub(crate) fn get<F>(self, access: Access, handler: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Reply>> + Send + 'static,
    {
        self.route(Method::GET, access, handler)
    }

    /// `POST`
    pub(crate) fn post<F>(self, access: Access, handler: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Reply>> + Send + 'static,
    {
        self.route(Method::POST, access, handler)
    }

    /// `PUT`
    pub(crate) fn put<F>(self, access: Access, handler: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Reply>> + Send + 'static,
    {
        self.route(Method::PUT, access, handler)
    }

    /// `PATCH`
    pub(crate) fn patch<F>(self, access: Access, handler: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Reply>> + Send + 'static,
    {
        self.route(Method::PATCH, access, handler)
    }

    /// `DELETE`
    pub(crate) fn delete<F>(self, access: Access, handler: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Reply>> + Send + 'static,
    {
        self.route(Method::DELETE, access, handler)
    }

    /// `HEAD` where it is a route of its own, with a rule of its own.
    pub(crate) fn head<F>(self, access: Access, handler: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Reply>> + Send + 'static,
    {
        self.route(Method::HEAD, access, handler)
    }

    fn route<F>(self, method: Method, access: Access, handler: impl Fn(Call) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Reply>> + Send + 'static,
    {
        self.table.routes.push(Route {
            path: self.path,
            method,
            access,
            query_schema: None,
            body_schema: None,
            handler: Arc::new(move |call| handler(call).boxed()),
        });
        self
    }

    /// Checks the query of the method just added against a schema (`reference` name, `identity.users_index_query`).
    pub(crate) fn query(self, schema: &'static str) -> Self {
        if let Some(route) = self.table.routes.last_mut() {
            route.query_schema = Some(schema);
        }
        self
    }

    /// Checks the body of the method just added against a schema.
    pub(crate) fn body(self, schema: &'static str) -> Self {
        if let Some(route) = self.table.routes.last_mut() {
            route.body_schema = Some(schema);
        }
        self
    }
}
