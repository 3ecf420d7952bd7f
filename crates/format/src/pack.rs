//! Packs: sealed blobs back to back, then a sealed header, then its length.
//!
//! Source of the format: restic `design.rst`, "Pack Format".

use crate::blob::BlobKind;
use crate::crypto::{self, CryptoError, MasterKey, OVERHEAD};
use crate::id::Id;

/// Most bytes of a sealed header: 16 MiB.
pub const MAX_HEADER: usize = 16 << 20;
/// Bytes at the end of a pack that hold its header if it has at most 15 blobs,
/// its length included: worth reading at once.
pub const EAGER_TAIL: usize = 15 * COMPRESSED_ENTRY + OVERHEAD + 4;

/// Where a blob lies in its pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PackedBlob {
    /// The digest of the plaintext.
    pub id: Id,
    /// What it holds.
    pub kind: BlobKind,
    /// First byte, counted from the start of the pack.
    pub offset: u32,
    /// Bytes in the pack, sealed.
    pub length: u32,
    /// Bytes of the plaintext if it is stored compressed, never 0.
    pub uncompressed_length: Option<u32>,
}

/// A pack that can be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinishedPack {
    /// The digest of `bytes`, which is the pack's name.
    pub id: Id,
    /// All bytes of the pack.
    pub bytes: Vec<u8>,
    /// Its blobs, in the order of the bytes.
    pub blobs: Vec<PackedBlob>,
}

/// A pack cannot be written, or its header cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// The blob would not fit: the pack's header or its offsets are full.
    #[error("the pack is full with {blobs} blobs and {length} bytes; start another one")]
    Full {
        /// Blobs in the pack.
        blobs: usize,
        /// Bytes in the pack.
        length: usize,
    },
    /// A blob shorter than the overhead of sealing.
    #[error("a sealed blob has at least {OVERHEAD} bytes, this one has {length}")]
    BlobLength {
        /// Bytes of the blob.
        length: usize,
    },
    /// A compressed blob whose plaintext is said to be empty.
    #[error("blob {id} is marked as compressed, but with no plaintext")]
    EmptyCompressed {
        /// The blob.
        id: Id,
    },
    /// The last 4 bytes of the pack cannot be the length of its header.
    #[error("the header's length {header} does not fit a pack of {pack} bytes")]
    HeaderLength {
        /// The length found.
        header: u32,
        /// Bytes of the pack.
        pack: u64,
    },
    /// The header is damaged, or sealed with another key.
    #[error("the pack's header cannot be opened")]
    Sealed(#[from] CryptoError),
    /// An entry of a kind that is not known here.
    #[error("entry {entry} of the pack's header has the unknown kind {kind}")]
    Kind {
        /// Position of the entry, from 0.
        entry: usize,
        /// The kind found.
        kind: u8,
    },
    /// The header ends within an entry.
    #[error("the pack's header ends within entry {entry}")]
    Entry {
        /// Position of the entry, from 0.
        entry: usize,
    },
    /// A pack of which parts were taken has no name that could be told from what is left.
    #[error("the first {taken} bytes of the pack were taken; only its rest can be finished")]
    Taken {
        /// Bytes taken.
        taken: usize,
    },
    /// Blobs and header do not add up to the pack's length.
    #[error("blobs and header add up to {found} bytes, the pack has {pack}")]
    Total {
        /// The sum.
        found: u64,
        /// Bytes of the pack.
        pack: u64,
    },
}

/// The end of a pack whose other bytes were taken before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackRest {
    /// What follows the bytes that were taken: blobs, the header, its length.
    pub bytes: Vec<u8>,
    /// All blobs of the pack, in the order of the bytes.
    pub blobs: Vec<PackedBlob>,
}

/// A pack that grows in memory. Whoever writes packs piece by piece takes the bytes out as they come.
#[derive(Debug, Clone)]
pub struct PackWriter {
    kind: BlobKind,
    /// The bytes that were not taken.
    bytes: Vec<u8>,
    /// How many were.
    taken: usize,
    blobs: Vec<PackedBlob>,
}

impl PackWriter {
    /// An empty pack for blobs of one kind: version 2 does not mix them.
    pub fn new(kind: BlobKind) -> PackWriter {
        PackWriter {
            kind,
            bytes: Vec::new(),
            taken: 0,
            blobs: Vec::new(),
        }
    }

    /// An empty pack in the memory of `buffer`, whose content is lost.
    pub fn in_buffer(kind: BlobKind, mut buffer: Vec<u8>) -> PackWriter {
        buffer.clear();
        PackWriter {
            kind,
            bytes: buffer,
            taken: 0,
            blobs: Vec::new(),
        }
    }

    /// Adds a blob as [`seal_blob`] made it.
    ///
    /// # Errors
    /// [`PackError::Full`], [`PackError::BlobLength`],
    /// [`PackError::EmptyCompressed`]; the pack is then unchanged.
    pub fn add(
        &mut self,
        id: Id,
        sealed: &[u8],
        uncompressed_length: Option<u32>,
    ) -> Result<(), PackError> {
        if sealed.len() < OVERHEAD {
            return Err(PackError::BlobLength {
                length: sealed.len(),
            });
        }
        if uncompressed_length == Some(0) {
            return Err(PackError::EmptyCompressed { id });
        }
        let full = PackError::Full {
            blobs: self.blobs.len(),
            length: self.len(),
        };
        let end = self.len().checked_add(sealed.len());
        let fits = end.is_some_and(|end| u32::try_from(end).is_ok());
        let (Ok(offset), Ok(length), true, false) = (
            u32::try_from(self.len()),
            u32::try_from(sealed.len()),
            fits,
            self.is_header_full(),
        ) else {
            return Err(full);
        };
        self.bytes.extend_from_slice(sealed);
        let kind = self.kind;
        self.blobs.push(PackedBlob {
            id,
            kind,
            offset,
            length,
            uncompressed_length,
        });
        Ok(())
    }

    /// Bytes of all blobs so far, without the header.
    pub fn len(&self) -> usize {
        self.taken + self.bytes.len()
    }

    /// Bytes of them that were taken.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Takes the bytes that follow those taken before, and leaves `buffer`, whose content is lost, for those to come.
    pub fn take(&mut self, mut buffer: Vec<u8>) -> Vec<u8> {
        buffer.clear();
        self.taken += self.bytes.len();
        std::mem::replace(&mut self.bytes, buffer)
    }

    /// Whether there is no blob yet.
    pub fn is_empty(&self) -> bool {
        self.blobs.is_empty()
    }

    /// Number of blobs so far.
    pub fn count(&self) -> usize {
        self.blobs.len()
    }

    /// What the blobs hold.
    pub fn kind(&self) -> BlobKind {
        self.kind
    }

    /// The blobs so far, in the order of the bytes.
    pub fn blobs(&self) -> &[PackedBlob] {
        &self.blobs
    }

    /// The sealed bytes that were not taken.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the header has no room for another blob.
    pub fn is_header_full(&self) -> bool {
        OVERHEAD + (self.blobs.len() + 1) * COMPRESSED_ENTRY > MAX_HEADER
    }

    /// Writes the header, sealed with the random `iv`, and names the pack.
    ///
    /// # Errors
    /// [`PackError::Sealed`] for a zero `iv`; [`PackError::Full`] if blobs and
    /// header together exceed 4 GiB; [`PackError::Taken`].
    pub fn finish(self, key: &MasterKey, iv: [u8; 16]) -> Result<FinishedPack, PackError> {
        let taken = self.taken;
        if taken > 0 {
            return Err(PackError::Taken { taken });
        }
        let PackRest { bytes, blobs } = self.finish_rest(key, iv)?;
        Ok(FinishedPack {
            id: Id::of(&bytes),
            bytes,
            blobs,
        })
    }

    /// Writes the header, sealed with the random `iv`, behind the bytes that were not taken.
    ///
    /// # Errors
    /// As [`PackWriter::finish`], but for the last.
    pub fn finish_rest(mut self, key: &MasterKey, iv: [u8; 16]) -> Result<PackRest, PackError> {
        crypto::check_iv(&iv)?;
        let full = PackError::Full {
            blobs: self.blobs.len(),
            length: self.len(),
        };
        let mut header = Vec::with_capacity(self.blobs.len() * COMPRESSED_ENTRY + OVERHEAD);
        for blob in &self.blobs {
            push_entry(&mut header, blob);
        }
        key.seal_in_place(iv, &mut header);
        let length = u32::try_from(header.len()).map_err(|_| full.clone())?;
        self.bytes.extend_from_slice(&header);
        self.bytes.extend_from_slice(&length.to_le_bytes());
        if u32::try_from(self.len()).is_err() {
            return Err(full);
        }
        Ok(PackRest {
            bytes: self.bytes,
            blobs: self.blobs,
        })
    }
}

/// The length of the sealed header, from the last 4 bytes of a pack.
///
/// The header lies right before those 4 bytes.
///
/// # Errors
/// [`PackError::HeaderLength`] if a pack of `pack_len` bytes cannot have it.
pub fn header_length(last4: [u8; 4], pack_len: u64) -> Result<u32, PackError> {
    let header = u32::from_le_bytes(last4);
    let refused = PackError::HeaderLength {
        header,
        pack: pack_len,
    };
    let smallest = OVERHEAD as u64;
    let largest = pack_len.saturating_sub(4).min(MAX_HEADER as u64);
    if (smallest..=largest).contains(&header.into()) {
        Ok(header)
    } else {
        Err(refused)
    }
}

/// The blobs that a sealed header lists, for a pack of `pack_len` bytes.
///
/// # Errors
/// [`PackError`]: besides damage, blobs and header that do not add up to the
/// pack's length.
pub fn parse_header(
    key: &MasterKey,
    sealed_header: &[u8],
    pack_len: u64,
) -> Result<Vec<PackedBlob>, PackError> {
    let header = key.open(sealed_header)?;
    let mut rest = header.as_slice();
    let mut blobs = Vec::with_capacity(header.len() / PLAIN_ENTRY);
    let mut offset = 0_u64;
    while !rest.is_empty() {
        let entry = blobs.len();
        let (blob, after) = take_entry(rest, entry, offset, pack_len)?;
        offset += u64::from(blob.length);
        blobs.push(blob);
        rest = after;
    }
    let found = offset + sealed_header.len() as u64 + 4;
    if found == pack_len {
        Ok(blobs)
    } else {
        Err(PackError::Total {
            found,
            pack: pack_len,
        })
    }
}

const PLAIN_ENTRY: usize = 1 + 4 + 32;
const COMPRESSED_ENTRY: usize = PLAIN_ENTRY + 4;

fn push_entry(header: &mut Vec<u8>, blob: &PackedBlob) {
    let kind = match blob.kind {
        BlobKind::Data => 0,
        BlobKind::Tree => 1,
    };
    header.push(
        kind + if blob.uncompressed_length.is_some() {
            2
        } else {
            0
        },
    );
    header.extend_from_slice(&blob.length.to_le_bytes());
    if let Some(length) = blob.uncompressed_length {
        header.extend_from_slice(&length.to_le_bytes());
    }
    header.extend_from_slice(blob.id.as_bytes());
}

fn take_entry(
    header: &[u8],
    entry: usize,
    offset: u64,
    pack_len: u64,
) -> Result<(PackedBlob, &[u8]), PackError> {
    let short = || PackError::Entry { entry };
    let (kind, rest) = header.split_first().ok_or_else(short)?;
    let (length, mut rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let length = u32::from_le_bytes(*length);
    let mut uncompressed_length = None;
    if matches!(kind, 2 | 3) {
        let (plain, after) = rest.split_first_chunk::<4>().ok_or_else(short)?;
        uncompressed_length = Some(u32::from_le_bytes(*plain));
        rest = after;
    }
    let (id, rest) = rest.split_first_chunk::<32>().ok_or_else(short)?;
    let id = Id::from_bytes(*id);
    let kind = match kind {
        0 | 2 => BlobKind::Data,
        1 | 3 => BlobKind::Tree,
        kind => return Err(PackError::Kind { entry, kind: *kind }),
    };
    if (length as usize) < OVERHEAD {
        return Err(PackError::BlobLength {
            length: length as usize,
        });
    }
    if uncompressed_length == Some(0) {
        return Err(PackError::EmptyCompressed { id });
    }
    let found = offset + u64::from(length);
    let offset = u32::try_from(offset).map_err(|_| PackError::Total {
        found,
        pack: pack_len,
    })?;
    Ok((
        PackedBlob {
            id,
            kind,
            offset,
            length,
            uncompressed_length,
        },
        rest,
    ))
}
