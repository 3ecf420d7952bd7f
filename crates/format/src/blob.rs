//! Blobs: compressed, sealed, opened; each bound to the digest of its plaintext.
//!
//! Source of the format: restic `design.rst`, "Pack Format" and "Keys, Encryption and MAC".

use serde::{Deserialize, Serialize};

use crate::compress::{self, CompressError, Compressor, DecompressError};
use crate::crypto::{self, CryptoError, MasterKey, OVERHEAD};
use crate::id::Id;

/// What a blob holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BlobKind {
    /// A chunk of a file.
    Data,
    /// A directory's nodes.
    Tree,
}

/// A blob ready to be added to a pack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedBlob {
    /// The sealed bytes.
    pub bytes: Vec<u8>,
    /// Bytes of the plaintext if it was compressed.
    pub uncompressed_length: Option<u32>,
}

/// A blob cannot be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The initialisation vector is unusable.
    #[error("the blob cannot be sealed")]
    Crypto(#[from] CryptoError),
    /// The compressor failed.
    #[error("the blob cannot be compressed")]
    Compress(#[from] CompressError),
    /// A plaintext of 4 GiB or more.
    #[error("a blob of {length} bytes is too large for the format")]
    TooLarge {
        /// Bytes of the plaintext.
        length: usize,
    },
}

/// A blob's bytes are not what its id promises.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// Damaged or sealed with another key.
    #[error("blob {id} cannot be opened")]
    Sealed {
        /// The blob.
        id: Id,
        /// What was wrong.
        source: CryptoError,
    },
    /// It opens, but its compressed bytes are not sound.
    #[error("blob {id} cannot be decompressed")]
    Decompress {
        /// The blob.
        id: Id,
        /// What was wrong.
        source: DecompressError,
    },
    /// It opens, but is another plaintext.
    #[error("blob {expected} holds the plaintext of {found}")]
    WrongHash {
        /// The id asked for.
        expected: Id,
        /// The digest of what was there.
        found: Id,
    },
    /// It opens, but to other bytes than those it was made of.
    #[error("blob {id} holds other bytes than it was made of")]
    WrongChecksum {
        /// The blob.
        id: Id,
    },
}

/// Compresses and seals a blob.
///
/// Data is compressed if there is a `compressor` and it pays; trees always
/// (at [`compress::DEFAULT_LEVEL`] without a `compressor`); nothing never.
/// `iv` must be random.
///
/// # Errors
/// [`SealError`].
pub fn seal_blob(
    key: &MasterKey,
    iv: [u8; 16],
    kind: BlobKind,
    plaintext: &[u8],
    compressor: Option<&mut Compressor>,
) -> Result<SealedBlob, SealError> {
    let mut bytes = Vec::new();
    let uncompressed_length = seal_blob_append(key, iv, kind, plaintext, compressor, &mut bytes)?;
    Ok(SealedBlob {
        bytes,
        uncompressed_length,
    })
}

/// As [`seal_blob`], appended to `out`; gives the length of the plaintext if it was compressed.
///
/// # Errors
/// [`SealError`]; `out` then has the length it had.
pub fn seal_blob_append(
    key: &MasterKey,
    iv: [u8; 16],
    kind: BlobKind,
    plaintext: &[u8],
    compressor: Option<&mut Compressor>,
    out: &mut Vec<u8>,
) -> Result<Option<u32>, SealError> {
    crypto::check_iv(&iv)?;
    let too_large = SealError::TooLarge {
        length: plaintext.len(),
    };
    let Ok(length) = u32::try_from(plaintext.len() + OVERHEAD) else {
        return Err(too_large);
    };
    let start = out.len();
    out.extend_from_slice(&iv);
    let packed = match (compressor, kind) {
        _ if plaintext.is_empty() => None,
        (Some(compressor), _) => Some(compressor.compress_append(plaintext, out)),
        (None, BlobKind::Tree) => Some(
            Compressor::new(compress::DEFAULT_LEVEL)
                .and_then(|mut compressor| compressor.compress_append(plaintext, out)),
        ),
        (None, BlobKind::Data) => None,
    };
    if let Some(Err(error)) = packed {
        out.truncate(start);
        return Err(error.into());
    }
    let pays = out.len() - start - crypto::IV_LENGTH < plaintext.len();
    let compressed = packed.is_some() && (kind == BlobKind::Tree || pays);
    if !compressed {
        out.truncate(start + crypto::IV_LENGTH);
        out.extend_from_slice(plaintext);
    }
    out.reserve(OVERHEAD);
    key.finish_seal(&iv, out, start);
    Ok(compressed.then_some(length - OVERHEAD as u32))
}

/// The plaintext of a blob, only if its digest is `expected`.
///
/// # Errors
/// [`BlobError`].
pub fn open_blob(
    key: &MasterKey,
    sealed: &[u8],
    uncompressed_length: Option<u32>,
    expected: Id,
) -> Result<Vec<u8>, BlobError> {
    let mut plaintext = key.open(sealed).map_err(|source| BlobError::Sealed {
        id: expected,
        source,
    })?;
    if let Some(length) = uncompressed_length {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        plaintext =
            compress::decompress(&plaintext, length).map_err(|source| BlobError::Decompress {
                id: expected,
                source,
            })?;
    }
    match Id::of(&plaintext) {
        found if found == expected => Ok(plaintext),
        found => Err(BlobError::WrongHash { expected, found }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> MasterKey {
        MasterKey::from_random([7; 64]).unwrap()
    }

    #[test]
    fn what_is_appended_is_what_is_sealed_alone() {
        let mut compressor = Compressor::new(compress::DEFAULT_LEVEL).unwrap();
        let texts: [&[u8]; 4] = [b"", b"short", &[b'x'; 70_000], b"again"];
        for kind in [BlobKind::Data, BlobKind::Tree] {
            for text in texts {
                let mut out = b"before".to_vec();
                let iv = [5; 16];
                let length =
                    seal_blob_append(&key(), iv, kind, text, Some(&mut compressor), &mut out)
                        .unwrap();
                let sealed = out.strip_prefix(b"before").unwrap();
                let alone = seal_blob(&key(), iv, kind, text, Some(&mut compressor)).unwrap();
                assert_eq!(
                    (sealed, length),
                    (&alone.bytes[..], alone.uncompressed_length)
                );
                let id = Id::of(text);
                assert_eq!(open_blob(&key(), sealed, length, id).unwrap(), text);
            }
        }
    }
}
