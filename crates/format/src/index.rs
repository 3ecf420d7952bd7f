//! Index files: which blobs lie in which pack, and where.

use serde::Deserialize;

use crate::crypto::OVERHEAD;
use crate::id::Id;
use crate::pack::{BlobKind, PackedBlob};

/// A pack and its blobs, as an index lists them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexPack {
    /// The pack's name.
    pub id: Id,
    /// Its blobs.
    pub blobs: Vec<PackedBlob>,
}

/// The bytes are not an index.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Not the JSON of an index.
    #[error("the index is malformed")]
    Malformed(#[from] serde_json::Error),
    /// A blob shorter than any sealed blob, or reaching beyond 4 GiB.
    #[error("the index places blob {blob} of pack {pack} at {offset} with {length} bytes")]
    Place {
        /// The pack.
        pack: Id,
        /// The blob.
        blob: Id,
        /// First byte of the blob.
        offset: u32,
        /// Bytes of the blob.
        length: u32,
    },
}

/// The JSON of an index, in restic's order of keys.
pub fn encode_index(packs: &[IndexPack]) -> Vec<u8> {
    let blobs: usize = packs.iter().map(|pack| pack.blobs.len()).sum();
    let mut out = Vec::with_capacity(16 + packs.len() * 96 + blobs * 176);
    out.extend_from_slice(br#"{"packs":["#);
    for (i, pack) in packs.iter().enumerate() {
        out.extend_from_slice(if i == 0 {
            br#"{"id":""#
        } else {
            br#",{"id":""#
        });
        pack.id.push_hex(&mut out);
        out.extend_from_slice(br#"","blobs":["#);
        for (i, blob) in pack.blobs.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            push_blob(&mut out, blob);
        }
        out.extend_from_slice(b"]}");
    }
    out.extend_from_slice(b"]}");
    out
}

/// Reads the JSON of an index; keys that are not known are ignored.
///
/// # Errors
/// [`IndexError`]; an object without `packs` is not an index, not an empty one.
pub fn decode_index(json: &[u8]) -> Result<Vec<IndexPack>, IndexError> {
    let index: IndexJson = serde_json::from_slice(json)?;
    let packs = index.packs.unwrap_or_default();
    packs.into_iter().map(checked_pack).collect()
}

#[derive(Deserialize)]
struct IndexJson {
    #[serde(deserialize_with = "Option::deserialize")] // present, though perhaps null
    packs: Option<Vec<PackJson>>,
}

#[derive(Deserialize)]
struct PackJson {
    id: Id,
    blobs: Vec<BlobJson>,
}

#[derive(Deserialize)]
struct BlobJson {
    id: Id,
    #[serde(rename = "type")]
    kind: BlobKind,
    offset: u32,
    length: u32,
    #[serde(default)]
    uncompressed_length: u32,
}

fn checked_pack(pack: PackJson) -> Result<IndexPack, IndexError> {
    let id = pack.id;
    let checked = |blob: BlobJson| {
        let BlobJson {
            id: blob_id,
            kind,
            offset,
            length,
            uncompressed_length,
        } = blob;
        if (length as usize) < OVERHEAD || offset.checked_add(length).is_none() {
            return Err(IndexError::Place {
                pack: id,
                blob: blob_id,
                offset,
                length,
            });
        }
        let uncompressed_length = Some(uncompressed_length).filter(|length| *length > 0);
        Ok(PackedBlob {
            id: blob_id,
            kind,
            offset,
            length,
            uncompressed_length,
        })
    };
    let blobs = pack
        .blobs
        .into_iter()
        .map(checked)
        .collect::<Result<_, _>>()?;
    Ok(IndexPack { id, blobs })
}

fn push_blob(out: &mut Vec<u8>, blob: &PackedBlob) {
    out.extend_from_slice(br#"{"id":""#);
    blob.id.push_hex(out);
    out.extend_from_slice(match blob.kind {
        BlobKind::Data => br#"","type":"data","offset":"#,
        BlobKind::Tree => br#"","type":"tree","offset":"#,
    });
    out.extend_from_slice(blob.offset.to_string().as_bytes());
    out.extend_from_slice(br#","length":"#);
    out.extend_from_slice(blob.length.to_string().as_bytes());
    if let Some(length) = blob.uncompressed_length {
        out.extend_from_slice(br#","uncompressed_length":"#);
        out.extend_from_slice(length.to_string().as_bytes());
    }
    out.push(b'}');
}
