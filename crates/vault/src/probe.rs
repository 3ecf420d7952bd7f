//! Probing the encryption: the stored bytes themselves are looked at.

use vouchsafe_format::{BlobKind, Compressor, Id, compress, open_blob};

use crate::error::{Damage, RepoError, TreeProblem};
use crate::machine::ObjectKind;
use crate::repository::Repository;

/// What the stored bytes of one blob show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptionProbe {
    /// The repository's id, which names its master key: hexadecimal.
    pub key: String,
    /// The cipher and the authentication.
    pub cipher: &'static str,
    /// Whether the stored bytes open under our key, contain neither the plaintext nor its compressed form, and are
    /// refused when one byte is changed.
    pub sealed: bool,
    /// The pack that was looked at.
    pub pack: Id,
}

impl Repository {
    /// Fetches the stored bytes of a blob of the snapshot and looks whether they are sealed.
    ///
    /// # Errors
    /// [`RepoError::NoSnapshot`], [`RepoError::Tree`], [`RepoError::Damaged`] if the bytes do not open,
    /// [`RepoError::Store`].
    pub fn probe(&self, snapshot: &Id) -> Result<EncryptionProbe, RepoError> {
        let tree = self.snapshot(snapshot)?.tree;
        let (index, _) = self.index()?;
        let place = index
            .place(BlobKind::Tree, &tree)
            .ok_or_else(|| RepoError::Tree {
                tree,
                store: self.place(),
                source: Box::new(TreeProblem::NotListed { tree }),
            })?;
        let stored =
            self.objects
                .get_range(&place.pack, place.offset.into(), place.length.into())?;
        let plaintext =
            open_blob(&self.key, &stored, place.uncompressed_length, tree).map_err(|error| {
                self.objects
                    .damaged(ObjectKind::Pack, &place.pack, error.into())
            })?;
        let frame = Compressor::new(compress::DEFAULT_LEVEL)
            .and_then(|mut compressor| compressor.compress(&plaintext))
            .map_err(|error| RepoError::Seal(Damage::Compress(error)))?;
        let bare = contains(&stored, &plaintext)
            || contains(&stored, &frame)
            || reads_as_frame(&stored, plaintext.len());
        let mut changed = stored.clone();
        let middle = changed.len() / 2;
        if let Some(byte) = changed.get_mut(middle) {
            *byte ^= 1;
        }
        let refused = open_blob(&self.key, &changed, place.uncompressed_length, tree).is_err();
        Ok(EncryptionProbe {
            key: self.id().to_hex(),
            cipher: CIPHER,
            sealed: !bare && refused && changed != stored,
            pack: place.pack,
        })
    }
}

const CIPHER: &str = "AES-256-CTR with Poly1305-AES";

/// Whether the stored bytes, with or without 16 bytes before, are a zstd frame.
fn reads_as_frame(stored: &[u8], length: usize) -> bool {
    [0, 16].into_iter().any(|skip| {
        stored
            .get(skip..)
            .is_some_and(|rest| compress::decompress(rest, length).is_ok())
    })
}

fn contains(stored: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && stored.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_sealed_is_seen() {
        let plaintext = b"some text ".repeat(20);
        let frame = Compressor::new(3).unwrap().compress(&plaintext).unwrap();
        assert!(contains(
            &[b"before ".as_slice(), &plaintext].concat(),
            &plaintext
        ));
        assert!(reads_as_frame(&frame, plaintext.len()));
        assert!(reads_as_frame(
            &[&[7; 16], frame.as_slice()].concat(),
            plaintext.len()
        ));
        assert!(!contains(&frame, &plaintext));
        assert!(!reads_as_frame(&plaintext, plaintext.len()));
    }
}
