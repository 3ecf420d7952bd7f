//! Opening blobs one after the other with the same memory, where their bytes are.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::BlobError;
use crate::compress::{self, DecompressError, Decompressor};
use crate::crypto::MasterKey;
use crate::id::Id;

/// Opens blobs as [`open_blob`](crate::open_blob) does, but in place and with memory that is used again.
pub struct Opener {
    /// Nothing until the first compressed blob.
    inner: Option<Decompressor>,
    plain: Vec<u8>,
}

impl Opener {
    /// An opener without any memory yet.
    pub fn new() -> Opener {
        Opener {
            inner: None,
            plain: Vec::new(),
        }
    }

    /// The plaintext of a blob, only if its digest is `expected`. `sealed` is overwritten unless the authentication
    /// code does not match.
    ///
    /// # Errors
    /// [`BlobError`], exactly when [`open_blob`](crate::open_blob) would refuse the blob.
    pub fn open<'a>(
        &'a mut self,
        key: &MasterKey,
        sealed: &'a mut [u8],
        uncompressed_length: Option<u32>,
        expected: Id,
    ) -> Result<&'a [u8], BlobError> {
        let opened = key
            .open_in_place(sealed)
            .map_err(|source| BlobError::Sealed {
                id: expected,
                source,
            })?;
        let plaintext = match uncompressed_length {
            None => &*opened,
            Some(length) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                self.decompress(opened, length)
                    .map_err(|source| BlobError::Decompress {
                        id: expected,
                        source,
                    })?
            }
        };
        match Id::of(plaintext) {
            found if found == expected => Ok(plaintext),
            found => Err(BlobError::WrongHash { expected, found }),
        }
    }

    fn decompress(&mut self, frame: &[u8], length: usize) -> Result<&[u8], DecompressError> {
        if length > KEPT || !compress::is_plausible(frame.len(), length) {
            self.plain = compress::decompress(frame, length)?;
            return Ok(&self.plain);
        }
        let inner = match &mut self.inner {
            Some(inner) => inner,
            none => none.insert(Decompressor::new()?),
        };
        inner.decompress_into(frame, length, &mut self.plain)?;
        Ok(&self.plain)
    }
}

impl Default for Opener {
    fn default() -> Opener {
        Opener::new()
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").finish_non_exhaustive()
    }
}

/// Computes an [`Id`] from bytes that come piece by piece.
#[derive(Clone, Debug, Default)]
pub struct IdBuilder(Sha256);

impl IdBuilder {
    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes so far.
    pub fn finish(self) -> Id {
        Id::from_bytes(self.0.finalize().into())
    }
}

/// Larger plaintexts than any chunk of restic's are decompressed without keeping their memory.
const KEPT: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress::Compressor;
    use crate::{BlobKind, open_blob, seal_blob};

    fn key() -> MasterKey {
        MasterKey::from_random([5; 64]).unwrap()
    }

    fn texts() -> Vec<Vec<u8>> {
        let long: Vec<u8> = (0..700_000_u32).map(|n| (n / 9) as u8).collect();
        vec![b"".to_vec(), b"short".to_vec(), long, b"x".repeat(3000)]
    }

    #[test]
    fn it_opens_what_open_blob_opens() {
        let mut opener = Opener::new();
        for text in texts() {
            for mut compressor in [None, Some(Compressor::new(3).unwrap())] {
                let id = Id::of(&text);
                let sealed =
                    seal_blob(&key(), [3; 16], BlobKind::Data, &text, compressor.as_mut()).unwrap();
                let mut bytes = sealed.bytes.clone();
                let opened = opener
                    .open(&key(), &mut bytes, sealed.uncompressed_length, id)
                    .unwrap();
                assert_eq!(opened, text);
                let plain =
                    open_blob(&key(), &sealed.bytes, sealed.uncompressed_length, id).unwrap();
                assert_eq!(plain, text);
            }
        }
    }

    #[test]
    fn it_refuses_what_open_blob_refuses() {
        let mut opener = Opener::new();
        let mut compressor = Compressor::new(3).unwrap();
        let text = b"x".repeat(3000);
        let id = Id::of(&text);
        let sealed = seal_blob(
            &key(),
            [3; 16],
            BlobKind::Data,
            &text,
            Some(&mut compressor),
        )
        .unwrap();
        let mut broken_frame = key().open(&sealed.bytes).unwrap();
        broken_frame.truncate(broken_frame.len() - 1);
        let mut flipped = sealed.bytes.clone();
        flipped[20] ^= 1;
        let cases = [
            (sealed.bytes.clone(), Some(2999), id),
            (sealed.bytes.clone(), Some(3001), id),
            (sealed.bytes.clone(), Some(u32::MAX), id),
            (sealed.bytes.clone(), None, id),
            (sealed.bytes.clone(), Some(3000), Id::of(b"other")),
            (key().seal([4; 16], &broken_frame), Some(3000), id),
            (flipped, Some(3000), id),
            (sealed.bytes[..10].to_vec(), Some(3000), id),
        ];
        for (bytes, length, expected) in cases {
            let ours = opener
                .open(&key(), &mut bytes.clone(), length, expected)
                .unwrap_err();
            let theirs = open_blob(&key(), &bytes, length, expected).unwrap_err();
            assert_eq!(
                std::mem::discriminant(&ours),
                std::mem::discriminant(&theirs),
                "{ours:?} {theirs:?}"
            );
        }
        // A refusal leaves no trace for what comes next.
        let mut bytes = sealed.bytes.clone();
        assert_eq!(
            opener.open(&key(), &mut bytes, Some(3000), id).unwrap(),
            text
        );
    }

    #[test]
    fn pieces_have_the_digest_of_the_whole() {
        let mut builder = IdBuilder::default();
        builder.update(b"one ");
        builder.update(b"");
        builder.update(b"two");
        assert_eq!(builder.finish(), Id::of(b"one two"));
    }
}
