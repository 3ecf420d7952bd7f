//! Whether a sealed blob is what it should be, found out in little memory and without handing out its plaintext.

use std::fmt;
use std::io;

use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::{Xxh3Default, xxh3_64};
use zstd::stream::raw::{Decoder, Operation};

use crate::blob::BlobError;
use crate::compress::{self, DecompressError};
use crate::crypto::MasterKey;
use crate::id::Id;

/// Proves one blob after the other with the same memory, which does not grow with the blobs.
pub struct Prover {
    /// Nothing until the first compressed blob.
    decoder: Option<Decoder<'static>>,
    stored: Vec<u8>,
    plain: Vec<u8>,
}

/// A checksum against spoilt memory, many times cheaper than a digest and no defence against anyone: XXH3, 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checksum(u64);

impl Checksum {
    /// The checksum of `bytes`.
    pub fn of(bytes: &[u8]) -> Checksum {
        Checksum(xxh3_64(bytes))
    }
}

/// Small enough to stay in the processor's own memory from one step to the next.
const PART: usize = 128 << 10;

impl Prover {
    /// A prover.
    pub fn new() -> Prover {
        Prover {
            decoder: None,
            stored: vec![0; PART],
            plain: vec![0; PART],
        }
    }

    /// Checks that `sealed` opens to the plaintext whose digest is `expected`, as
    /// [`open_blob`](crate::open_blob) does.
    ///
    /// # Errors
    /// [`BlobError`].
    pub fn prove(
        &mut self,
        key: &MasterKey,
        sealed: &[u8],
        uncompressed_length: Option<u32>,
        expected: Id,
    ) -> Result<(), BlobError> {
        let mut digest = Sha256::new();
        self.open(key, sealed, uncompressed_length, expected, &mut |part| {
            digest.update(part);
        })?;
        match Id::from_bytes(digest.finalize().into()) {
            found if found == expected => Ok(()),
            found => Err(BlobError::WrongHash { expected, found }),
        }
    }

    /// Checks that `sealed` opens to the plaintext that has this `checksum`. It is taken before the plaintext is hashed
    /// to `id`: then it covers the time of the hashing too.
    ///
    /// # Errors
    /// [`BlobError`].
    pub fn prove_checksum(
        &mut self,
        key: &MasterKey,
        sealed: &[u8],
        uncompressed_length: Option<u32>,
        id: Id,
        checksum: Checksum,
    ) -> Result<(), BlobError> {
        let mut found = Xxh3Default::new();
        self.open(key, sealed, uncompressed_length, id, &mut |part| {
            found.update(part);
        })?;
        match Checksum(found.digest()) {
            found if found == checksum => Ok(()),
            _ => Err(BlobError::WrongChecksum { id }),
        }
    }

    /// Hands what `sealed` opens to to `take`, part by part.
    fn open(
        &mut self,
        key: &MasterKey,
        sealed: &[u8],
        uncompressed_length: Option<u32>,
        id: Id,
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<(), BlobError> {
        let (iv, ciphertext) = key
            .authenticate(sealed)
            .map_err(|source| BlobError::Sealed { id, source })?;
        let mut stream = key.stream(&iv);
        match uncompressed_length {
            None => {
                for part in ciphertext.chunks(PART) {
                    take(decrypted(&mut stream, part, &mut self.stored));
                }
                Ok(())
            }
            Some(length) => self
                .unpack(&mut stream, ciphertext, length, take)
                .map_err(|source| BlobError::Decompress { id, source }),
        }
    }

    /// Decompresses exactly one frame, which must yield exactly `length` bytes.
    fn unpack(
        &mut self,
        stream: &mut impl FnMut(&mut [u8]),
        ciphertext: &[u8],
        length: u32,
        take: &mut dyn FnMut(&[u8]),
    ) -> Result<(), DecompressError> {
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            none => none.insert(Decoder::new().map_err(DecompressError::Damaged)?),
        };
        decoder.reinit().map_err(DecompressError::Damaged)?;
        let expected = u64::from(length);
        let (mut found, mut ended) = (0, false);
        for part in ciphertext.chunks(PART) {
            let mut stored = decrypted(stream, part, &mut self.stored);
            if ended {
                return Err(DecompressError::Damaged(trailing()));
            }
            loop {
                let done = decoder
                    .run_on_buffers(stored, &mut self.plain)
                    .map_err(DecompressError::Damaged)?;
                stored = stored.get(done.bytes_read..).unwrap_or_default();
                take(self.plain.get(..done.bytes_written).unwrap_or_default());
                found += done.bytes_written as u64;
                if found > expected {
                    return Err(DecompressError::Length { expected, found });
                }
                ended = done.remaining == 0;
                if ended && !stored.is_empty() {
                    return Err(DecompressError::Damaged(trailing()));
                }
                // A full buffer may have more behind it.
                if ended || (stored.is_empty() && done.bytes_written < self.plain.len()) {
                    break;
                }
            }
        }
        match ended {
            false => Err(DecompressError::Damaged(
                io::ErrorKind::UnexpectedEof.into(),
            )),
            true => compress::check_length(found, expected),
        }
    }
}

impl Default for Prover {
    fn default() -> Prover {
        Prover::new()
    }
}

impl fmt::Debug for Prover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Prover")
    }
}

/// The next bytes of the stream, decrypted in `buffer`.
fn decrypted<'a>(
    stream: &mut impl FnMut(&mut [u8]),
    part: &[u8],
    buffer: &'a mut [u8],
) -> &'a [u8] {
    let buffer = buffer.get_mut(..part.len()).unwrap_or_default();
    buffer.copy_from_slice(part);
    stream(buffer);
    buffer
}

fn trailing() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "bytes follow the end of the frame",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blob::{BlobKind, open_blob, seal_blob};
    use crate::compress::Compressor;
    use crate::crypto::OVERHEAD;

    fn key() -> MasterKey {
        MasterKey::from_random([7; 64]).unwrap()
    }

    fn texts() -> Vec<Vec<u8>> {
        let mut mixed: Vec<u8> = (0..700_001_u32).map(|i| (i / 5 % 251) as u8).collect();
        mixed.extend((0..300_000_u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8));
        let mut all = vec![mixed, b"short".to_vec(), Vec::new()];
        for length in [PART - 1, PART, PART + 1, 2 * PART] {
            all.push(vec![b'z'; length]);
        }
        all
    }

    #[test]
    fn what_opens_is_proved() {
        let mut prover = Prover::new();
        let mut compressor = Compressor::new(3).unwrap();
        for text in texts() {
            for kind in [BlobKind::Data, BlobKind::Tree] {
                for compressor in [Some(&mut compressor), None] {
                    let sealed = seal_blob(&key(), [3; 16], kind, &text, compressor).unwrap();
                    let id = Id::of(&text);
                    let length = sealed.uncompressed_length;
                    prover.prove(&key(), &sealed.bytes, length, id).unwrap();
                    prover
                        .prove_checksum(&key(), &sealed.bytes, length, id, Checksum::of(&text))
                        .unwrap();
                }
            }
        }
    }

    #[test]
    fn what_does_not_open_is_not_proved_and_harms_no_other_proof() {
        let mut prover = Prover::new();
        let mut compressor = Compressor::new(3).unwrap();
        for text in texts() {
            let good = seal_blob(
                &key(),
                [3; 16],
                BlobKind::Data,
                &text,
                Some(&mut compressor),
            )
            .unwrap();
            let length = good.uncompressed_length;
            let id = Id::of(&text);
            let mut wrong = vec![(good.bytes.clone(), length, Id::of(b"another"))];
            let mut flipped = good.bytes.clone();
            let at = flipped.len() / 2;
            flipped[at] ^= 4;
            wrong.push((flipped, length, id));
            if let Some(length) = length {
                wrong.push((good.bytes.clone(), Some(length - 1), id));
                wrong.push((good.bytes.clone(), Some(length + 1), id));
                wrong.push((good.bytes.clone(), None, id));
                // Validly sealed, but not one whole frame.
                let frame = key().open(&good.bytes).unwrap();
                let more = [frame.as_slice(), b"x"].concat();
                wrong.push((key().seal([4; 16], &more), Some(length), id));
                let fewer = frame.split_last().unwrap().1;
                wrong.push((key().seal([4; 16], fewer), Some(length), id));
            } else {
                wrong.push((good.bytes.clone(), Some(9), id));
            }
            wrong.push((good.bytes[..OVERHEAD - 1].to_vec(), length, id));
            for (sealed, length, id) in wrong {
                assert!(open_blob(&key(), &sealed, length, id).is_err());
                assert!(prover.prove(&key(), &sealed, length, id).is_err());
                let checksum = Checksum::of(if id == Id::of(&text) {
                    &text
                } else {
                    b"another"
                });
                assert!(
                    prover
                        .prove_checksum(&key(), &sealed, length, id, checksum)
                        .is_err()
                );
                prover
                    .prove(&key(), &good.bytes, good.uncompressed_length, Id::of(&text))
                    .unwrap();
            }
        }
    }
}
