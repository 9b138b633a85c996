//! Keystone's token formats: bytes or text in, values out; no I/O, no clock, no random numbers of its own.
//!
//! A Fernet token is a msgpack [`Payload`] sealed by a [`KeyRing`] (`fernet.rs` is the envelope, `payload.rs` the eleven
//! layouts inside it). JWS tokens ([`jws`]) carry the same [`Payload`] as signed JSON claims. Receipts of unfinished
//! multi-factor logins ([`Receipt`]) and encrypted credential blobs ([`credential`]) use the same envelope. Some blobs are
//! seeds of one-time passwords ([`totp`]).
//!
//! **Invariant:** one token, one text. Only the canonical spelling that Keystone writes is read: the URL-safe alphabet,
//! no padding, no stray characters, no bits beyond the last byte. Python's decoder is laxer, so a stolen token can be
//! respelt there (OSSA-2016-005); here the copy is refused.
//!
//! **Invariant:** nothing of a text is believed before its MAC or signature is verified.

mod audit;
pub mod credential;
mod error;
mod fernet;
mod ids;
pub mod jws;
mod methods;
mod pack;
mod payload;
mod receipt;
mod time;
pub mod totp;

pub use audit::{AuditId, AuditIds};
pub use error::Error;
pub use fernet::{Key, KeyRing, NULL_KEY_TEXT, new_key_text};
pub use ids::{access_key_id, parse_uuid, public_id, resource_uuid};
pub use methods::MethodMap;
pub use payload::{Federated, Payload, Scope, Token, TokenFormat};
pub use receipt::Receipt;
pub use time::UnixMicros;
