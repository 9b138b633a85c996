//! The rules of identity, one folder per subsystem; no HTTP, no JSON text.

pub mod authz;
pub mod config;
pub mod identity;
pub mod keys;
