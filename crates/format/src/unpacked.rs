//! The plaintext of files outside packs: snapshots, indexes and locks.

use std::borrow::Cow;

use crate::compress::{self, CompressError, Compressor, DecompressError};

/// Most bytes that an unpacked file may hold: 256 MiB, some twenty times what
/// an index of 50,000 blobs needs.
pub const LIMIT: usize = 256 << 20;

/// The plaintext of an unpacked file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum UnpackedError {
    /// Nothing at all.
    #[error("the file's plaintext is empty")]
    Empty,
    /// A first byte that is neither JSON nor the mark of compressed JSON.
    #[error("the file's plaintext begins with byte {found:#04x}, an encoding not known here")]
    Encoding {
        /// The byte found.
        found: u8,
    },
    /// The compressed part is damaged or too large.
    #[error("the file's plaintext cannot be decompressed")]
    Decompress(#[from] DecompressError),
}

/// The plaintext for `json`: the byte 2, then a zstd frame.
///
/// # Errors
/// [`CompressError`] if the library runs out of memory.
pub fn encode_unpacked(json: &[u8], level: i32) -> Result<Vec<u8>, CompressError> {
    let frame = Compressor::new(level)?.compress(json)?;
    let mut out = Vec::with_capacity(frame.len() + 1);
    out.push(COMPRESSED);
    out.extend_from_slice(&frame);
    Ok(out)
}

/// The JSON in `plaintext`: as it is in version 1, decompressed in version 2.
///
/// # Errors
/// [`UnpackedError`]; never more than [`LIMIT`] bytes are made.
pub fn decode_unpacked(plaintext: &[u8]) -> Result<Cow<'_, [u8]>, UnpackedError> {
    match plaintext.split_first() {
        None => Err(UnpackedError::Empty),
        Some((b'{' | b'[', _)) => Ok(Cow::Borrowed(plaintext)),
        Some((&COMPRESSED, frame)) => Ok(Cow::Owned(compress::decompress_bounded(frame, LIMIT)?)),
        Some((found, _)) => Err(UnpackedError::Encoding { found: *found }),
    }
}

const COMPRESSED: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_encodings_are_read() {
        let json = br#"{"a":1}"#;
        let plain = decode_unpacked(json).unwrap();
        assert!(matches!(plain, Cow::Borrowed(text) if text == json));
        assert_eq!(decode_unpacked(b"[]").unwrap().as_ref(), b"[]");
        let packed = encode_unpacked(json, 3).unwrap();
        assert_eq!(packed[0], 2);
        assert_eq!(decode_unpacked(&packed).unwrap().as_ref(), json);
    }

    #[test]
    fn damage_is_refused() {
        assert!(matches!(decode_unpacked(b""), Err(UnpackedError::Empty)));
        assert!(matches!(
            decode_unpacked(b"\x01{"),
            Err(UnpackedError::Encoding { found: 1 })
        ));
        assert!(matches!(
            decode_unpacked(b"\x02{"),
            Err(UnpackedError::Decompress(_))
        ));
        let mut packed = encode_unpacked(&[b'x'; 1000], 3).unwrap();
        packed.pop();
        assert!(matches!(
            decode_unpacked(&packed),
            Err(UnpackedError::Decompress(_))
        ));
    }

    #[test]
    fn a_bomb_is_stopped() {
        let packed = encode_unpacked(&vec![b' '; LIMIT + 1], 1).unwrap();
        assert!(packed.len() < 1 << 20);
        assert!(matches!(
            decode_unpacked(&packed),
            Err(UnpackedError::Decompress(DecompressError::Limit { .. }))
        ));
    }
}
