//! The names of tables and columns, for `sea_query`: `User::Table`, `User::DefaultProjectId`.
//!
//! One enum for each table of the schema, in the file of the subsystem that it belongs to.
#![expect(missing_docs, reason = "the columns are the reference's schema")]

mod assignment;
mod catalog;
mod delegation;
mod federation;
mod identity;
mod limit;
mod oauth1;
mod own;
mod resource;
mod token;

pub use assignment::*;
pub use catalog::*;
pub use delegation::*;
pub use federation::*;
pub use identity::*;
pub use limit::*;
pub use oauth1::*;
pub use own::*;
pub use resource::*;
pub use token::*;
