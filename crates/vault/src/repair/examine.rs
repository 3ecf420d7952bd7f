//! What of a damaged pack can still be read.

use std::collections::{BTreeMap, BTreeSet};

use vouchsafe_format::{BlobKind, Id, Opener, PackedBlob, Sealed};

use super::RepairError;
use crate::index::ListedPack;
use crate::machine::ObjectKind;
use crate::packs::parse_tail;
use crate::repository::Repository;

/// A pack's blobs, sorted by whether they can be read.
pub(super) struct Examined {
    /// The pack's bytes, each time it was read.
    readings: Vec<Vec<u8>>,
    /// Blobs that open and have their digest, each with the reading in which it did.
    sound: BTreeMap<(Id, BlobKind), (usize, PackedBlob)>,
    /// Blobs that do not.
    pub(super) broken: BTreeSet<(Id, BlobKind)>,
}

impl Examined {
    /// Whether the pack is not there at all.
    pub(super) fn is_missing(&self) -> bool {
        self.readings.is_empty()
    }

    /// The sound blobs with their sealed bytes.
    pub(super) fn sound(&self) -> impl Iterator<Item = (&PackedBlob, &[u8])> {
        self.sound.values().map(|(reading, blob)| {
            let bytes = self.readings.get(*reading).map_or(&[][..], Vec::as_slice);
            (blob, part(bytes, blob))
        })
    }
}

impl Repository {
    /// Reads a pack and tries every blob that the index or the pack's own header places in it. What seems broken is
    /// read a second time: only bytes that are wrong twice are wrong in the store and not on the way.
    ///
    /// # Errors
    /// [`RepairError::Store`] if the store fails, which is not taken for damage.
    pub(super) fn examine(&self, pack: &ListedPack) -> Result<Examined, RepairError> {
        let mut found = Examined {
            readings: Vec::new(),
            sound: BTreeMap::new(),
            broken: pack.blobs.iter().map(|blob| (blob.id, blob.kind)).collect(),
        };
        for _ in 0..READINGS {
            let bytes = match self.objects.get(ObjectKind::Pack, &pack.id) {
                Ok(bytes) => bytes,
                Err(error) if error.is_not_found() => continue,
                Err(error) => return Err(error.into()),
            };
            let header = parse_tail(&self.key, &bytes, bytes.len() as u64).unwrap_or_default();
            self.try_all(&bytes, pack.blobs.iter().chain(&header), &mut found);
            found.readings.push(bytes);
            if found.broken.is_empty() {
                break;
            }
        }
        Ok(found)
    }

    fn try_all<'b>(
        &self,
        bytes: &[u8],
        places: impl Iterator<Item = &'b PackedBlob>,
        found: &mut Examined,
    ) {
        let mut opener = Opener::new();
        for blob in places {
            let name = (blob.id, blob.kind);
            if found.sound.contains_key(&name) {
                continue;
            }
            let mut sealed = part(bytes, blob).to_vec();
            let sealed = Sealed {
                id: blob.id,
                bytes: &mut sealed,
                uncompressed_length: blob.uncompressed_length,
            };
            if opener.open(&self.key, sealed).is_ok() {
                found.broken.remove(&name);
                found.sound.insert(name, (found.readings.len(), *blob));
            } else {
                found.broken.insert(name);
            }
        }
    }
}

/// How often a pack is read before anything of it counts as lost.
const READINGS: usize = 2;

fn part<'b>(bytes: &'b [u8], blob: &PackedBlob) -> &'b [u8] {
    let start = blob.offset as usize;
    let end = start.saturating_add(blob.length as usize);
    bytes.get(start..end).unwrap_or_default()
}
