//! Authorization: what a caller may do.

pub mod policy;
