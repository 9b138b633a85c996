//! What tests use too of what measurements need: a large cloud.

pub mod seed;
