//! The rules of identity, one folder per subsystem.
//!
//! Each subsystem has one door (a struct named after it) with the rules, the caches and the events; its `sql.rs` is
//! private. A subsystem may use only those named before it:
//!
//! `time id error config keys list authz freshness events foundation testing` │ `resource catalog credential` │ `identity` │ `assignment` │
//! `application_credential` │ `revoke token` │ `auth` │ `cascade` │ `bootstrap`
//!
//! **Invariant:** no HTTP and no JSON text here: what a status code or a body looks like is the program's business.

pub mod authz;
pub mod catalog;
pub mod config;
pub mod credential;
pub mod error;
pub mod events;
pub mod foundation;
pub mod freshness;
pub mod id;
pub mod identity;
pub mod keys;
pub mod list;
pub mod resource;
pub mod revoke;
#[cfg(test)]
mod testing;
pub mod time;
