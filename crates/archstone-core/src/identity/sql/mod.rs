//! Queries of the tables of users and groups.

mod group;
mod listed;
mod lockout;
mod page;
mod password;
mod report;
mod user;

pub(super) use group::*;
pub(super) use listed::*;
pub(super) use lockout::*;
pub(super) use page::*;
pub(super) use password::*;
pub(super) use report::*;
pub(super) use user::*;

/// So many ids go into one `IN (…)`.
const CHUNK: usize = 300;
