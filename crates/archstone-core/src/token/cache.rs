//! Validated tokens in memory.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::ValidatedToken;
use crate::freshness::{Freshness, Moment};

/// Bytes that all entries together may take, by estimate.
const CAPACITY: u64 = 192 * 1024 * 1024;
/// Entries that the cache is laid out for at the start.
const EXPECTED_ENTRIES: usize = 16 * 1024;

/// Tokens by the digest of their text, which itself is not kept.
pub(super) struct TokenCache(Cache<[u8; 32], Entry, BySize>);

#[derive(Clone)]
struct Entry {
    token: Arc<ValidatedToken>,
    stamp: Moment,
    /// Of the keys that the token was opened with: one that has gone since must not count.
    generation: u64,
}

#[derive(Clone)]
struct BySize;

impl Weighter<[u8; 32], Entry> for BySize {
    fn weight(&self, _: &[u8; 32], entry: &Entry) -> u64 {
        entry.token.size_estimate()
    }
}

impl ValidatedToken {
    /// Bytes in memory, roughly: the rendered bodies and as much again for the values that they are made of.
    fn size_estimate(&self) -> u64 {
        let catalog = self.catalog.iter().flatten();
        let endpoints: usize = catalog.map(|service| 1 + service.endpoints.len()).sum();
        2048 + 1024 * endpoints as u64
    }
}

impl Default for TokenCache {
    fn default() -> TokenCache {
        TokenCache(Cache::with_weighter(EXPECTED_ENTRIES, CAPACITY, BySize))
    }
}

impl TokenCache {
    /// The token, if it is here and nothing that it depends on was touched since it was loaded.
    pub(super) fn get(&self, text: &str, freshness: &Freshness, generation: u64) -> Option<Arc<ValidatedToken>> {
        let key = key(text);
        let entry = self.0.get(&key)?;
        if entry.generation == generation && freshness.holds(entry.stamp, &entry.token.depends_on) {
            return Some(entry.token);
        }
        self.0.remove(&key);
        None
    }

    pub(super) fn insert(&self, text: &str, token: Arc<ValidatedToken>, stamp: Moment, generation: u64) {
        self.0.insert(key(text), Entry { token, stamp, generation });
    }
}

fn key(text: &str) -> [u8; 32] {
    let mut key = [0; 32];
    key.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    key
}
