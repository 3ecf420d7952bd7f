//! Who stores which blob: each new blob is claimed by exactly one job.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use vouchsafe_format::{BlobKind, Id};

use crate::index::{BlobIndex, ById};

/// The blobs that are stored already, and those that this session stores.
///
/// A claim is a promise within one session only: should the session fail, no snapshot refers to what it claimed.
#[derive(Debug)]
pub struct Claims {
    stored: Arc<BlobIndex>,
    fresh: Vec<Mutex<HashSet<(Id, BlobKind), ById>>>,
}

impl Claims {
    /// Nothing is claimed yet.
    pub fn new(stored: Arc<BlobIndex>) -> Claims {
        let fresh = (0..SHARDS).map(|_| Mutex::default()).collect();
        Claims { stored, fresh }
    }

    /// Whether the caller is the first to bring this blob and must store it.
    pub fn claim(&self, kind: BlobKind, id: Id) -> bool {
        if self.stored.contains(kind, &id) {
            return false;
        }
        let shard = usize::from(id.as_bytes()[31]) % SHARDS;
        match self.fresh.get(shard) {
            Some(fresh) => fresh
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert((id, kind)),
            None => true,
        }
    }

    /// What was stored when the session began.
    pub fn stored(&self) -> &Arc<BlobIndex> {
        &self.stored
    }
}

const SHARDS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_is_claimed_once_for_each_kind() {
        let claims = Claims::new(Arc::new(BlobIndex::default()));
        let id = Id::of(b"x");
        assert!(claims.claim(BlobKind::Data, id));
        assert!(!claims.claim(BlobKind::Data, id));
        assert!(claims.claim(BlobKind::Tree, id));
    }
}
