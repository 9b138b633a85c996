//! What a value that is made of others depends on.

use std::sync::Arc;

use super::{DependsOn, Known, Loaded};
use crate::freshness::{Moment, Ref};

/// Collects what a value is made of while it is made.
#[derive(Default)]
pub(crate) struct Basis {
    pieces: Vec<Arc<[Ref]>>,
    oldest: Option<Moment>,
}

impl Basis {
    /// Uses a value out of memory: what it depends on, the new one does too, and it is no older than it says.
    pub(crate) fn take<V>(&mut self, known: Known<V>) -> V {
        for piece in known.depends_on.iter() {
            if !self.pieces.iter().any(|there| Arc::ptr_eq(there, piece)) {
                self.pieces.push(Arc::clone(piece));
            }
        }
        self.oldest = Some(self.oldest.map_or(known.stamp, |oldest| oldest.made_of(known.stamp)));
        known.value
    }

    /// Adds what was loaded for this value alone.
    pub(crate) fn add(&mut self, refs: impl IntoIterator<Item = Ref>) {
        let piece: Arc<[Ref]> = refs.into_iter().collect();
        if !piece.is_empty() {
            self.pieces.push(piece);
        }
    }

    /// The value, which takes about so many bytes.
    pub(crate) fn loaded<V>(self, value: V, bytes: usize) -> Loaded<V> {
        Loaded { value, depends_on: DependsOn::from(self.pieces), bytes: bytes as u64, oldest: self.oldest }
    }
}
