//! The plaintext of files outside packs: snapshots, indexes and locks.

use std::borrow::Cow;
use std::io::{self, Write};

use crate::compress::{self, CompressError, Compressor, DecompressError};
use crate::crypto::MasterKey;

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

/// An unpacked file, sealed, whose JSON `write` gives part by part: it is never in memory as a whole. `iv` must be random.
///
/// # Errors
/// [`CompressError`] if the library runs out of memory, or if `write` fails.
pub fn seal_unpacked(
    key: &MasterKey,
    iv: [u8; 16],
    level: i32,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<Vec<u8>, CompressError> {
    let mut out = iv.to_vec();
    out.push(COMPRESSED);
    let mut frame = compress::stream(level, &mut out)?;
    write(&mut frame)?;
    frame.finish()?;
    key.finish_seal(&iv, &mut out, 0);
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
    fn what_is_sealed_part_by_part_is_read_as_a_whole() {
        let key = MasterKey::from_random([7; 64]).unwrap();
        let sealed = seal_unpacked(&key, [3; 16], 3, |out| {
            out.write_all(b"{")?;
            out.write_all(&vec![b' '; 1 << 20])?;
            out.write_all(b"}")
        });
        let packed = key.open(&sealed.unwrap()).unwrap();
        let json = decode_unpacked(&packed).unwrap();
        assert_eq!((json.len(), json[0]), ((1 << 20) + 2, b'{'));
        let failed = seal_unpacked(&key, [3; 16], 3, |_| Err(io::ErrorKind::Other.into()));
        assert!(failed.is_err());
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
