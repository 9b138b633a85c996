//! The `keystone.conf` language of oslo.config: text in, typed values and problems out.
//!
//! A [`Schema`] says which options exist ([`Opt`], [`Type`]). [`Sources`] holds what was given:
//! file texts in the order in which they were named, and environment variables. [`Schema::resolve`]
//! joins the two into [`Settings`]: one typed value with its [`Origin`] per option, and everything
//! that was wrong with what was given, all at once.
//!
//! **Invariant:** nothing here opens a file or reads the environment; texts are handed in.
//!
//! **Invariant:** what oslo.config accepts has the same value here. Deliberate differences: parsing
//! goes on after an error to find the next one, a reference to an option whose own value is wrong is
//! always an error (oslo.config sometimes takes the option of that name in `DEFAULT` instead), an environment variable for a multi-valued option
//! is one value (oslo.config makes each of its characters a value), and integers beyond 64 bits are
//! refused. Options checked by a regular expression are absent: Keystone has none.

mod host;
mod ini;
mod interpolate;
mod python;
mod resolve;
mod schema;
mod sources;
mod suggest;
mod type_text;
mod types;
mod uri;

pub use ini::{Assignment, Ini, ParseError, ParseErrorKind};
pub use resolve::{Deprecated, Invalid, Setting, Settings, Unknown, UnknownName};
pub use schema::{DefaultValue, Opt, Schema};
pub use sources::{Origin, Sources};
pub use suggest::nearest;
pub use type_text::TypeTextError;
pub use types::{StringType, Type, TypeError, Value};
