//! The oslo.policy language: rules in, compiled checks out.
//!
//! [`RuleFile::parse`] reads the text of a policy file, [`Policy::build`] merges files with the program's
//! [`RuleDefault`]s and compiles everything once, [`Policy::decide`] answers in about a microsecond. The semantics are
//! those of oslo.policy 6.0.1, down to Python's `str()` of what is compared.
//!
//! **Invariant:** no I/O. A remote check (`http:`) is handed to the caller as [`Decision::NeedsRemote`].
//!
//! **Invariant:** stricter than the reference, never laxer, where the two differ: null never equals null, and what
//! makes the reference raise an exception counts against the caller.

mod check;
mod expr;
mod file;
mod graph;
mod parse;
mod policy;
mod problem;
mod python;
mod remote;
mod template;

pub use expr::Expr;
pub use file::{FileError, FileRule, RuleFile};
pub use parse::{Parsed, parse_list, parse_text};
pub use policy::{Decision, DeprecatedRule, Options, Policy, RuleDefault, ScopeType};
pub use problem::{Problem, ProblemKind, Severity};
pub use remote::{RemoteCheck, RemoteContentType, is_allowed};
