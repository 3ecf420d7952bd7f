//! A pack that takes blobs: in memory as a whole, or but for the pieces that were written already.

use vouchsafe_format::{BlobKind, PackWriter};

use super::MachineError;
use super::job::GrowingId;

/// A pack that takes blobs.
pub(super) struct OpenPack {
    pub(super) pack: PackWriter,
    /// What it is called once pieces of it were written.
    pub(super) growing: Option<GrowingId>,
}

impl OpenPack {
    pub(super) fn new(kind: BlobKind) -> OpenPack {
        OpenPack {
            pack: PackWriter::new(kind),
            growing: None,
        }
    }

    /// Whether what is in memory should be written before `more` bytes come, so that it is not more than a piece.
    pub(super) fn is_piece(&self, more: usize, full: usize) -> bool {
        let piece = self
            .growing
            .map_or(first_piece(full), |_| later_piece(full));
        let bytes = self.pack.bytes().len();
        bytes > 0 && bytes + more > piece
    }

    /// Takes all blobs of a pack that is in memory as a whole.
    pub(super) fn append(&mut self, from: &PackWriter) -> Result<(), MachineError> {
        for blob in from.blobs() {
            let start = blob.offset as usize;
            let sealed = from
                .bytes()
                .get(start..start + blob.length as usize)
                .unwrap_or_default();
            self.pack.add(blob.id, sealed, blob.uncompressed_length)?;
        }
        Ok(())
    }
}

/// Bytes that a pack needs in memory at first.
pub(super) fn room(full: usize, pieces: bool) -> usize {
    match pieces {
        true => first_piece(full),
        false => full + HEADER_ROOM.min(full),
    }
}

/// From how many bytes on a pack is written piece by piece. More than the further pieces, so that the little that most
/// backups add makes one pack and not two.
fn first_piece(full: usize) -> usize {
    full / 4
}

/// Bytes of each further piece.
pub(super) fn later_piece(full: usize) -> usize {
    full / 8
}

/// Room for the header of a pack of small blobs.
const HEADER_ROOM: usize = 512 << 10;
