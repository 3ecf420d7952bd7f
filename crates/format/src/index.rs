//! Index files: which blobs lie in which pack, and where.

mod plain;

use std::io::{self, Write};

use serde::Deserialize;

use crate::blob::BlobKind;
use crate::crypto::OVERHEAD;
use crate::id::Id;
use crate::pack::PackedBlob;

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
    let mut out = Vec::new();
    // Writing to memory does not fail.
    let _ = write_index(packs, &mut out);
    out
}

/// As [`encode_index`], part by part.
///
/// # Errors
/// Those of `out`.
pub fn write_index(packs: &[IndexPack], out: &mut dyn Write) -> io::Result<()> {
    let mut part = Vec::with_capacity(2 * PART);
    part.extend_from_slice(br#"{"packs":["#);
    for (i, pack) in packs.iter().enumerate() {
        part.extend_from_slice(if i == 0 {
            br#"{"id":""#
        } else {
            br#",{"id":""#
        });
        pack.id.push_hex(&mut part);
        part.extend_from_slice(br#"","blobs":["#);
        for (i, blob) in pack.blobs.iter().enumerate() {
            if i > 0 {
                part.push(b',');
            }
            push_blob(&mut part, blob);
            if part.len() >= PART {
                out.write_all(&part)?;
                part.clear();
            }
        }
        part.extend_from_slice(b"]}");
    }
    part.extend_from_slice(b"]}");
    out.write_all(&part)
}

const PART: usize = 64 << 10;

/// Reads the JSON of an index; keys that are not known are ignored.
///
/// # Errors
/// [`IndexError`]; an object without `packs` is not an index, not an empty one.
pub fn decode_index(json: &[u8]) -> Result<Vec<IndexPack>, IndexError> {
    match plain::packs(json) {
        Some(packs) => Ok(packs),
        None => decode_any(json),
    }
}

/// Reads an index in whichever form JSON allows.
fn decode_any(json: &[u8]) -> Result<Vec<IndexPack>, IndexError> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn some_packs() -> Vec<IndexPack> {
        let blob = |name: &[u8], kind, offset, uncompressed_length| PackedBlob {
            id: Id::of(name),
            kind,
            offset,
            length: 40,
            uncompressed_length,
        };
        let pack = |name: &[u8], blobs| IndexPack {
            id: Id::of(name),
            blobs,
        };
        vec![
            pack(
                b"1",
                vec![
                    blob(b"a", BlobKind::Data, 0, None),
                    blob(b"b", BlobKind::Tree, u32::MAX - 40, Some(u32::MAX)),
                ],
            ),
            pack(b"2", Vec::new()),
            pack(b"3", vec![blob(b"c", BlobKind::Data, 40, Some(9))]),
        ]
    }

    #[test]
    fn the_usual_form_needs_no_general_parser() {
        for packs in [Vec::new(), some_packs()] {
            let json = encode_index(&packs);
            assert_eq!(plain::packs(&json).unwrap(), packs);
            assert_eq!(decode_any(&json).unwrap(), packs);
        }
    }

    #[test]
    fn another_form_is_read_all_the_same() {
        let usual = String::from_utf8(encode_index(&some_packs())).unwrap();
        let forms = [
            usual.replace(',', ", "),
            usual.replace(r#""packs""#, r#""supersedes":[],"packs""#),
            usual.replace(
                r#""type":"tree","offset""#,
                r#""more":{},"type":"tree","offset""#,
            ),
            usual.replace(":40,", ":4.0e1,").replace("4.0e1", "40 "),
        ];
        for form in forms {
            assert!(plain::packs(form.as_bytes()).is_none(), "{form}");
            assert_eq!(decode_index(form.as_bytes()).unwrap(), some_packs());
        }
    }

    #[test]
    fn what_is_wrong_is_left_to_the_general_parser() {
        let usual = String::from_utf8(encode_index(&some_packs())).unwrap();
        for (from, to) in [
            (":40", ":31"),
            (":40", ":040"),
            (":40", ":4294967336"),
            (":40", ":99999999999999999999"),
            (":40", ":"),
            (":40", ":-40"),
            ("data", "date"),
            ("]}]}", "]}]"),
            ("]}]}", "]}]}]"),
            ("]}]}", "]},]}"),
            (r#""id":""#, r#""id":"g"#),
        ] {
            let wrong = usual.replacen(from, to, 1);
            assert_ne!(wrong, usual);
            assert!(plain::packs(wrong.as_bytes()).is_none(), "{wrong}");
            assert!(decode_index(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    proptest! {
        /// Whatever the fast reader takes, the general parser takes for the same.
        #[test]
        fn both_readers_agree(at in 0..700_usize, byte: u8, cut in 0..700_usize) {
            let mut json = encode_index(&some_packs());
            let at = at % json.len();
            json[at] = byte;
            json.truncate(json.len() - cut % 3);
            if let Some(packs) = plain::packs(&json) {
                prop_assert_eq!(decode_any(&json).unwrap(), packs);
            }
        }
    }
}
