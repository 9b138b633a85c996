//! Everything that knows HTTP: listeners, the way of a request, errors as answers.
//!
//! What is read here comes from strangers, so that nothing may panic.
#![cfg_attr(not(test), deny(clippy::string_slice, clippy::expect_used, clippy::panic))]

mod app;
mod base_url;
mod body;
mod call;
mod collection;
mod cors;
mod error;
mod gate;
mod guard;
mod listener;
mod long_list;
#[cfg(test)]
mod properties;
mod proxy;
mod query;
mod remote_policy;
mod reply;
mod routes;
mod schema;
mod stall;
mod subject;
mod wire;

pub(crate) use app::App;
#[cfg(test)]
pub(crate) use app::Peer;
#[cfg(test)]
pub(crate) use body::Body;
pub(crate) use call::{Call, configured_limit};
pub(crate) use collection::Collection;
pub(crate) use error::RECEIPT;
pub(crate) use listener::{Limits, bind, serve};
pub(crate) use long_list::LongList;
pub(crate) use remote_policy::RemotePolicy;
pub(crate) use reply::Reply;
pub(crate) use routes::{Access, PathRoutes, Relation, Routes, extension_rel, rel};
#[cfg(test)]
pub(crate) use schema::Schemas;
pub(crate) use subject::SUBJECT_TOKEN;
pub(crate) use wire::{Text, Wire, object};
