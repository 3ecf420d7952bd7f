//! Opening blobs one after the other with the same memory, where their bytes are.

use std::fmt;
use std::ops::Range;

use vouchsafe_digest::{Sha256, update_each};

use crate::BlobError;
use crate::compress::{DecompressError, Decompressor};
use crate::crypto::MasterKey;
use crate::id::Id;

/// Opens blobs as [`open_blob`](crate::open_blob) does, but in place and with memory that is used again.
pub struct Opener {
    /// Nothing until the first compressed blob.
    inner: Option<Decompressor>,
    plain: Vec<u8>,
}

/// A blob where its sealed bytes are.
#[derive(Debug)]
pub struct Sealed<'a> {
    /// What the digest of its plaintext must be.
    pub id: Id,
    /// Overwritten when it is opened, unless the authentication code does not match.
    pub bytes: &'a mut [u8],
    /// Bytes of its plaintext, if it is compressed.
    pub uncompressed_length: Option<u32>,
}

impl Opener {
    /// An opener without any memory yet.
    pub fn new() -> Opener {
        Opener {
            inner: None,
            plain: Vec::new(),
        }
    }

    /// The plaintext of a blob, only if its digest is the expected one.
    ///
    /// # Errors
    /// [`BlobError`], exactly when [`open_blob`](crate::open_blob) would refuse the blob.
    pub fn open<'a>(
        &'a mut self,
        key: &MasterKey,
        blob: Sealed<'a>,
    ) -> Result<&'a [u8], BlobError> {
        self.begin();
        let id = blob.id;
        let plaintext = match self.unseal(key, blob)? {
            Plain::InPlace(bytes) => bytes,
            Plain::Unpacked(range) => self.plain.get(range).unwrap_or_default(),
        };
        check(id, Id::of(plaintext))?;
        Ok(plaintext)
    }

    /// The plaintexts of several blobs, each as [`Opener::open`] has it. They are hashed at the same time, which takes
    /// less than one after the other, and so do the bytes `beside` for their digest. All plaintexts are in memory at
    /// once: [`count_together`] tells how many blobs are fit for that.
    pub fn open_each<'a>(
        &'a mut self,
        key: &MasterKey,
        blobs: Vec<Sealed<'a>>,
        beside: Option<(&mut IdBuilder, &[u8])>,
    ) -> Vec<Result<&'a [u8], BlobError>> {
        self.begin();
        let opened: Vec<(Id, Result<Plain<'a>, BlobError>)> = blobs
            .into_iter()
            .map(|blob| (blob.id, self.unseal(key, blob)))
            .collect();
        let plaintexts: Vec<(Id, Result<&[u8], BlobError>)> = opened
            .into_iter()
            .map(|(id, plain)| {
                let plaintext = plain.map(|plain| match plain {
                    Plain::InPlace(bytes) => bytes,
                    Plain::Unpacked(range) => self.plain.get(range).unwrap_or_default(),
                });
                (id, plaintext)
            })
            .collect();
        let mut digests = vec![Sha256::new(); plaintexts.len()];
        let mut messages: Vec<(&mut Sha256, &[u8])> = digests
            .iter_mut()
            .zip(&plaintexts)
            .filter_map(|(digest, (_, plaintext))| Some((digest, *plaintext.as_ref().ok()?)))
            .collect();
        if let Some((builder, bytes)) = beside {
            messages.push((&mut builder.0, bytes));
        }
        update_each(&mut messages);
        plaintexts
            .into_iter()
            .zip(digests)
            .map(|((id, plaintext), digest)| {
                let plaintext = plaintext?;
                check(id, Id::from_bytes(digest.finish()))?;
                Ok(plaintext)
            })
            .collect()
    }

    fn begin(&mut self) {
        self.plain.clear();
        self.plain.shrink_to(KEPT);
    }

    /// Decrypts a blob, and decompresses it to behind what is decompressed already.
    fn unseal<'a>(&mut self, key: &MasterKey, blob: Sealed<'a>) -> Result<Plain<'a>, BlobError> {
        let id = blob.id;
        let opened = key
            .open_in_place(blob.bytes)
            .map_err(|source| BlobError::Sealed { id, source })?;
        let Some(length) = blob.uncompressed_length else {
            return Ok(Plain::InPlace(opened));
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let start = self.plain.len();
        self.decompress(opened, length)
            .map_err(|source| BlobError::Decompress { id, source })?;
        Ok(Plain::Unpacked(start..self.plain.len()))
    }

    fn decompress(&mut self, frame: &[u8], length: usize) -> Result<(), DecompressError> {
        let inner = match &mut self.inner {
            Some(inner) => inner,
            none => none.insert(Decompressor::new()?),
        };
        inner.decompress_append(frame, length, &mut self.plain)
    }
}

/// Where a plaintext is that was not hashed yet.
enum Plain<'a> {
    InPlace(&'a [u8]),
    /// In the opener's memory.
    Unpacked(Range<usize>),
}

fn check(expected: Id, found: Id) -> Result<(), BlobError> {
    if found == expected {
        Ok(())
    } else {
        Err(BlobError::WrongHash { expected, found })
    }
}

/// How many of the next blobs are best opened together: those whose plaintexts fit into a few MiB, but one at least.
/// Blobs are given by their sealed and their uncompressed length.
pub fn count_together(blobs: impl IntoIterator<Item = (u32, Option<u32>)>) -> usize {
    let mut bytes = 0_u64;
    let fit = blobs
        .into_iter()
        .take(TOGETHER)
        .take_while(|(sealed, uncompressed)| {
            bytes += u64::from(uncompressed.unwrap_or(*sealed));
            bytes <= TOGETHER_BYTES
        });
    fit.count().max(1)
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
        Id::from_bytes(self.0.finish())
    }
}

/// More memory than this is given back. No chunk of restic's is larger than half of it.
const KEPT: usize = 16 << 20;
const TOGETHER: usize = 128;
const TOGETHER_BYTES: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compress::Compressor;
    use crate::{BlobKind, open_blob, seal_blob};

    fn key() -> MasterKey {
        MasterKey::from_random([5; 64]).unwrap()
    }

    fn at(id: Id, bytes: &mut [u8], uncompressed_length: Option<u32>) -> Sealed<'_> {
        Sealed {
            id,
            bytes,
            uncompressed_length,
        }
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
                let length = sealed.uncompressed_length;
                let opened = opener.open(&key(), at(id, &mut bytes, length)).unwrap();
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
                .open(&key(), at(expected, &mut bytes.clone(), length))
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
            opener.open(&key(), at(id, &mut bytes, Some(3000))).unwrap(),
            text
        );
    }

    #[test]
    fn several_are_opened_as_each_alone_and_hashed_beside_other_bytes() {
        let mut opener = Opener::new();
        let mut compressor = Compressor::new(3).unwrap();
        let mut blobs = Vec::new();
        for text in texts() {
            for compressor in [None, Some(&mut compressor)] {
                let sealed = seal_blob(&key(), [3; 16], BlobKind::Data, &text, compressor).unwrap();
                blobs.push((text.clone(), sealed));
            }
        }
        for spoilt in (0..blobs.len()).map(Some).chain([None]) {
            let mut copies: Vec<Vec<u8>> = blobs.iter().map(|(_, s)| s.bytes.clone()).collect();
            if let Some(spoilt) = spoilt {
                copies[spoilt][16] ^= 1;
            }
            let each = copies
                .iter_mut()
                .zip(&blobs)
                .map(|(bytes, (text, sealed))| at(Id::of(text), bytes, sealed.uncompressed_length));
            let each = each.collect();
            let mut beside = IdBuilder::default();
            beside.update(b"one ");
            let opened = opener.open_each(&key(), each, Some((&mut beside, b"two")));
            assert_eq!(opened.len(), blobs.len());
            for (n, (opened, (text, _))) in opened.iter().zip(&blobs).enumerate() {
                match opened {
                    Ok(plaintext) => assert_eq!(plaintext, text),
                    Err(error) => assert_eq!(spoilt, Some(n), "{error}"),
                }
                assert!(opened.is_ok() || spoilt == Some(n));
            }
            assert_eq!(
                opened.iter().filter(|o| o.is_err()).count(),
                spoilt.iter().count()
            );
            assert_eq!(beside.finish(), Id::of(b"one two"));
        }
        // Sealed well, but under another's name.
        let mut sealed = blobs[3].1.bytes.clone();
        let wrong = at(
            Id::of(b"other"),
            &mut sealed,
            blobs[3].1.uncompressed_length,
        );
        let opened = opener.open_each(&key(), vec![wrong], None);
        assert!(matches!(opened[..], [Err(BlobError::WrongHash { .. })]));
    }

    #[test]
    fn few_large_or_many_small_ones_belong_together() {
        let of = |length: u32, uncompressed| std::iter::repeat((length, uncompressed));
        assert_eq!(count_together(of(1 << 20, None)), 4);
        assert_eq!(count_together(of(10, Some(1 << 20))), 4);
        assert_eq!(count_together(of(10, None)), TOGETHER);
        assert_eq!(count_together(of(10, Some(u32::MAX))), 1);
        assert_eq!(count_together([]), 1);
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
