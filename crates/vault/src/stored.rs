//! Where a point's blobs lie: for those who want to look at, or damage a twin of, stored bytes.

use vouchsafe_capture::NoProgress;
use vouchsafe_format::{BlobKind, Id};

use crate::error::RepoError;
use crate::index::Place;
use crate::references::References;
use crate::repository::Repository;

/// One stored blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredBlob {
    /// A chunk of a file, or a directory.
    pub kind: BlobKind,
    /// The pack that holds it.
    pub pack: Id,
    /// First byte within the pack.
    pub offset: u32,
    /// Bytes in the pack, sealed.
    pub length: u32,
}

impl Repository {
    /// The largest blob of a snapshot that is stored only once: a chunk of a file if there is one that is not among those
    /// to `spare`, else one of these, else a directory. Nothing if every blob has a second copy in another pack.
    ///
    /// # Errors
    /// [`RepoError::NoSnapshot`], or the store's failure.
    pub fn sole_blob(&self, snapshot: &Id, spare: &[Id]) -> Result<Option<StoredBlob>, RepoError> {
        let root = self.snapshot(snapshot)?.tree;
        let (index, _) = self.fresh_index()?;
        let mut references = References::new(self, &index);
        references.follow(snapshot, root, &NoProgress)?;
        let rank = |blob: &StoredBlob, id: &Id| {
            let is_data = blob.kind == BlobKind::Data;
            (
                is_data && !spare.contains(id),
                is_data,
                blob.length,
                blob.pack,
            )
        };
        let mut best: Option<(_, StoredBlob)> = None;
        for (id, kind) in &references.seen {
            let mut places = index.places(*kind, id);
            let (Some(place), None) = (places.next(), places.next()) else {
                continue;
            };
            let found = stored(*kind, &place);
            let ranked = rank(&found, id);
            if best.is_none_or(|(most, _)| ranked > most) {
                best = Some((ranked, found));
            }
        }
        Ok(best.map(|(_, blob)| blob))
    }
}

fn stored(kind: BlobKind, place: &Place) -> StoredBlob {
    StoredBlob {
        kind,
        pack: place.pack,
        offset: place.offset,
        length: place.length,
    }
}
