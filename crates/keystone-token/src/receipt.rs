//! Receipts: what a login with several factors has shown so far.

use std::sync::Arc;

use crate::error::Error;
use crate::fernet::KeyRing;
use crate::methods::MethodMap;
use crate::pack::{Reader, Writer};
use crate::time::UnixMicros;

/// The methods that a user has passed, when not yet enough of them. Sealed like a token, with a ring of its own; its
/// payload has no version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The user.
    pub user_id: String,
    /// The methods passed: a set.
    pub methods: Vec<Arc<str>>,
    /// When it ends.
    pub expires_at: UnixMicros,
}

impl Receipt {
    /// Writes it. `issued_at` is seconds since the epoch; `iv` must be random.
    pub fn seal(&self, ring: &KeyRing, methods: &MethodMap, issued_at: u64, iv: [u8; 16]) -> Result<String, Error> {
        ring.seal(&self.encode(methods), issued_at, iv)
    }

    /// Reads it, with its time of issue in seconds since the epoch. Whether it has expired is the caller's question.
    pub fn open(ring: &KeyRing, methods: &MethodMap, text: &str) -> Result<(Self, i64), Error> {
        let (bytes, issued_at) = ring.open(text)?;
        Ok((Self::decode(methods, &bytes)?, issued_at))
    }

    fn encode(&self, methods: &MethodMap) -> Vec<u8> {
        let mut w = Writer::new(3);
        w.id(&self.user_id);
        w.int(methods.encode(&self.methods));
        w.time(self.expires_at);
        w.finish()
    }

    fn decode(methods: &MethodMap, bytes: &[u8]) -> Result<Self, Error> {
        let mut r = Reader::new(bytes);
        if r.array()? != 3 {
            return Err(Error::Payload("wrong number of fields"));
        }
        let receipt = Self { user_id: r.id()?, methods: methods.decode(r.int()?), expires_at: r.time()? };
        r.finish()?;
        Ok(receipt)
    }
}
