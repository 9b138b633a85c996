//! Receipts: what a login with too few methods has proven, so that another one continues it (`keystone.receipt`).
//!
//! A receipt is sealed like a Fernet token, whatever the tokens' own form, with the keys of `[fernet_receipts]`.

use keystone_token::{MethodMap, Receipt as Payload, UnixMicros};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::id::UserId;
use crate::keys::{KeyError, KeyRepository, OpenError, Purpose};
use crate::time::Timestamp;

/// Seals and opens receipts.
pub(super) struct Receipts {
    keys: KeyRepository,
    methods: MethodMap,
    lifetime: i64,
}

/// A new receipt.
pub(super) struct Sealed {
    /// Its text, a secret.
    pub(super) text: String,
    /// When it ends.
    pub(super) expires_at: Timestamp,
    /// When it counts as issued, in whole seconds.
    pub(super) issued_at: Timestamp,
}

/// A receipt that is good.
pub(super) struct Opened {
    /// Who has proven something.
    pub(super) user_id: UserId,
    /// By which methods.
    pub(super) methods: Vec<String>,
    /// When.
    pub(super) issued_at: Timestamp,
}

impl Receipts {
    /// Opens the key repository that the configuration names.
    ///
    /// # Errors
    /// Keys that are missing or cannot be read.
    pub(super) fn open_repository(config: &Config) -> Result<Receipts> {
        Ok(Receipts {
            keys: KeyRepository::open(&config.fernet_receipts.key_repository, Purpose::Tokens).map_err(keys)?,
            methods: MethodMap::new(&config.auth.methods),
            lifetime: i64::try_from(config.receipt.expiration).unwrap_or(i64::MAX),
        })
    }

    pub(super) fn seal(&self, user_id: &UserId, methods: &[String], now: Timestamp) -> Result<Sealed> {
        let expires_at = now.plus_seconds(self.lifetime).truncated();
        let payload = Payload {
            user_id: user_id.to_string(),
            methods: methods.iter().map(|name| name.as_str().into()).collect(),
            expires_at: UnixMicros(expires_at.micros()),
        };
        let seconds = u64::try_from(now.seconds()).map_err(|_| Error::internal("the clock stands before 1970"))?;
        let mut iv = [0; 16];
        aws_lc_rs::rand::fill(&mut iv).map_err(|_| Error::internal("the system gave no random bytes"))?;
        let ring = self.keys.latest().map_err(keys)?;
        let text = payload
            .seal(&ring, &self.methods, seconds, iv)
            .map_err(|error| Error::internal(format!("sealing a receipt: {error}")))?;
        Ok(Sealed { text, expires_at, issued_at: now.truncated() })
    }

    /// What a receipt says.
    ///
    /// # Errors
    /// Unauthorized for one that is none of ours or has expired, internal if the keys cannot be read.
    pub(super) fn open(&self, text: &str, now: Timestamp) -> Result<Opened> {
        let opened = self.keys.open_text(|ring| Payload::open(ring, &self.methods, text));
        let (payload, issued_at) = opened.map_err(|error| match error {
            OpenError::Keys(error) => keys(error),
            OpenError::Text(error) => Error::unauthorized(format!("the receipt cannot be read: {error}")),
        })?;
        if payload.expires_at.0 <= now.micros() {
            return Err(Error::unauthorized("the receipt has expired"));
        }
        let issued_at = Timestamp::from_seconds(issued_at)
            .ok_or_else(|| Error::unauthorized("the receipt was issued outside of the calendar"))?;
        Ok(Opened {
            user_id: payload.user_id.into(),
            methods: payload.methods.iter().map(ToString::to_string).collect(),
            issued_at,
        })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "map_err hands the error over")]
fn keys(error: KeyError) -> Error {
    Error::internal(error.to_string())
}
