//! Making an object of a stretch for one vault, and taking it out again.
//!
//! AES-256-GCM, under keys that are used for one object alone: see [`LogKeys`].

use std::fmt;

use aes_gcm::aead::{Aead, Payload};
use aes_gcm::{Aes256Gcm, KeyInit, Nonce};

use super::encoding::Reader;
use super::header::{Header, HeaderError};
use super::keys::{KeyId, LogKeys, StreamId};
use super::name::LogName;
use super::stretch::{ContentError, Stretch};
use super::{Kind, VERSION};
use crate::compress::{self, CompressError, Compressor, DecompressError};

/// An object for one vault.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedLog {
    /// What it is called there.
    pub name: LogName,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for SealedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealedLog({}, {} bytes)", self.name, self.bytes.len())
    }
}

/// Something could not be sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealLogError {
    /// The library ran out of memory.
    #[error("the log could not be compressed")]
    Compress(#[from] CompressError),
    /// The cipher refused, which no permitted length makes it do.
    #[error("the cipher refused to seal the log")]
    Cipher,
}

/// Bytes are not the object of their name.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Not the beginning of such an object.
    #[error("this is no log fragment and no segment")]
    Magic,
    /// Written by a later version.
    #[error(
        "this log object has format version {found}, and only version {VERSION} is known here: it is read by the \
         Vouchsafe that wrote it or a later one, and by the script beside that version's docs/format.md"
    )]
    Version {
        /// The version found.
        found: u8,
    },
    /// More or fewer bytes than it says.
    #[error("this log object has {found} bytes instead of {expected}")]
    Length {
        /// Bytes that it says it has; of a beginning, bytes up to the end of the header.
        expected: u64,
        /// Bytes that there are.
        found: u64,
    },
    /// Sealed with the key of another vault.
    #[error("this log object was sealed with key {found}, and the key given is {expected}")]
    OtherKey {
        /// The id of the key that is needed.
        found: KeyId,
        /// The id of the key that was given.
        expected: KeyId,
    },
    /// Another object than its name says.
    #[error("this is not the log object {name}: something else was put in its place")]
    Misplaced {
        /// The name it was found under.
        name: LogName,
    },
    /// The authentication code of the header or of the payload does not match.
    #[error("the authentication code does not match: the log object is damaged or forged")]
    Forged,
    /// The header opens, and is none.
    #[error("the log object has no valid header")]
    Header(#[from] HeaderError),
    /// The payload opens, and does not decompress.
    #[error("the log object's payload cannot be decompressed")]
    Decompress(#[from] DecompressError),
    /// The payload opens, and does not fit the header.
    #[error("the log object does not hold what it says")]
    Content(#[from] ContentError),
}

/// Seals a stretch with a vault's key. What does not become smaller is stored as it is.
///
/// `random` must be random and new. If a machine that was set back gives the same bytes again, nothing is lost: see
/// [`LogKeys`].
///
/// # Errors
/// [`SealLogError`].
pub fn seal(
    keys: &LogKeys,
    stretch: &Stretch,
    random: [u8; 32],
    compressor: Option<&mut Compressor>,
) -> Result<SealedLog, SealLogError> {
    let mut header = stretch.header().clone();
    let mut payload = stretch.payload();
    if let Some(compressor) = compressor {
        let frame = compressor.compress(&payload)?;
        if frame.len() < payload.len() {
            payload = frame;
            header.compressed = true;
        }
    }
    seal_parts(keys, &header, &payload, random)
}

/// Seals a header and a payload, whatever they say.
fn seal_parts(
    keys: &LogKeys,
    header: &Header,
    payload: &[u8],
    random: [u8; 32],
) -> Result<SealedLog, SealLogError> {
    let stream = keys.stream_id(&header.stream);
    let plain = header.encode();
    let prelude = Prelude {
        kind: header.kind,
        header: u16::try_from(plain.len() + TAG).map_err(|_| SealLogError::Cipher)?,
        payload: u32::try_from(payload.len() + TAG).map_err(|_| SealLogError::Cipher)?,
        key: keys.id(),
        stream,
        salt: keys.salt(stream, &random, &plain, payload),
    };
    let object = keys.object(stream, &prelude.salt);
    let mut bytes = prelude.encode();
    let sealed = encrypt(&object.header, &plain, &bytes)?;
    bytes.extend_from_slice(&sealed);
    let sealed = encrypt(&object.payload, payload, &bytes)?;
    bytes.reserve_exact(sealed.len());
    bytes.extend_from_slice(&sealed);
    Ok(SealedLog {
        name: header.name(stream),
        bytes,
    })
}

/// What the object `bytes` holds, which was found under `name`.
///
/// # Errors
/// [`OpenError`].
pub fn open(keys: &LogKeys, name: &LogName, bytes: &[u8]) -> Result<Stretch, OpenError> {
    let (prelude, header) = open_beginning(keys, name, bytes)?;
    let start = prelude.header_end();
    let (expected, found) = (prelude.end(), bytes.len() as u64);
    if expected != found {
        return Err(OpenError::Length { expected, found });
    }
    let (before, sealed) = bytes
        .split_at_checked(start)
        .ok_or(OpenError::Length { expected, found })?;
    let key = keys.object(prelude.stream, &prelude.salt);
    let stored = decrypt(&key.payload, sealed, before)?;
    let payload = if header.compressed {
        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        compress::decompress(&stored, length)?
    } else {
        stored
    };
    Ok(Stretch::from_payload(&header, payload)?)
}

/// The header of the object that was found under `name`, of which these are the first bytes.
///
/// [`PREFIX`](super::PREFIX) bytes are always enough.
///
/// # Errors
/// [`OpenError`].
pub fn open_header(keys: &LogKeys, name: &LogName, beginning: &[u8]) -> Result<Header, OpenError> {
    Ok(open_beginning(keys, name, beginning)?.1)
}

/// How many bytes the whole object has of which these are the first.
///
/// What is said here is authenticated only by [`open_header`], which opens nothing if it was altered.
///
/// # Errors
/// [`OpenError::Magic`], [`OpenError::Version`], [`OpenError::Length`].
pub fn sealed_length(beginning: &[u8]) -> Result<u64, OpenError> {
    Ok(Prelude::decode(beginning)?.end())
}

/// What stands before the sealed header, in the clear.
struct Prelude {
    kind: Kind,
    /// Bytes of the sealed header.
    header: u16,
    /// Bytes of the sealed payload.
    payload: u32,
    key: KeyId,
    stream: StreamId,
    salt: [u8; 32],
}

const MAGIC: [u8; 8] = *b"VchsfLog";
/// Bytes of a prelude.
const PRELUDE: usize = 80;
/// Bytes of an authentication code.
const TAG: usize = 16;

impl Prelude {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(PRELUDE);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[VERSION, self.kind.byte()]);
        out.extend_from_slice(&self.header.to_le_bytes());
        out.extend_from_slice(&self.payload.to_le_bytes());
        out.extend_from_slice(self.key.as_bytes());
        out.extend_from_slice(self.stream.as_bytes());
        out.extend_from_slice(&self.salt);
        out
    }

    fn decode(bytes: &[u8]) -> Result<Prelude, OpenError> {
        let mut reader = Reader::new(bytes);
        let short = || OpenError::Length {
            expected: PRELUDE as u64,
            found: bytes.len() as u64,
        };
        if reader.array().ok_or_else(short)? != MAGIC {
            return Err(OpenError::Magic);
        }
        let found = reader.u8().ok_or_else(short)?;
        if found != VERSION {
            return Err(OpenError::Version { found });
        }
        let kind = reader.u8().ok_or_else(short)?;
        Ok(Prelude {
            kind: Kind::of_byte(kind).ok_or(OpenError::Magic)?,
            header: reader.u16().ok_or_else(short)?,
            payload: reader.u32().ok_or_else(short)?,
            key: KeyId::from_bytes(reader.array().ok_or_else(short)?),
            stream: StreamId::from_bytes(reader.array().ok_or_else(short)?),
            salt: reader.array().ok_or_else(short)?,
        })
    }

    /// Bytes up to the end of the sealed header.
    fn header_end(&self) -> usize {
        PRELUDE + usize::from(self.header)
    }

    /// Bytes of the whole object.
    fn end(&self) -> u64 {
        self.header_end() as u64 + u64::from(self.payload)
    }
}

fn open_beginning(
    keys: &LogKeys,
    name: &LogName,
    bytes: &[u8],
) -> Result<(Prelude, Header), OpenError> {
    let prelude = Prelude::decode(bytes)?;
    if prelude.key != keys.id() {
        return Err(OpenError::OtherKey {
            found: prelude.key,
            expected: keys.id(),
        });
    }
    let misplaced = || OpenError::Misplaced { name: *name };
    if prelude.stream != name.stream || prelude.kind != name.kind() {
        return Err(misplaced());
    }
    let short = || OpenError::Length {
        expected: prelude.header_end() as u64,
        found: bytes.len() as u64,
    };
    let (before, rest) = bytes.split_at_checked(PRELUDE).ok_or_else(short)?;
    let sealed = rest.get(..usize::from(prelude.header)).ok_or_else(short)?;
    let key = keys.object(prelude.stream, &prelude.salt);
    let plain = decrypt(&key.header, sealed, before)?;
    let header = Header::decode(prelude.kind, &plain)?;
    let is_named_so =
        keys.stream_id(&header.stream) == name.stream && header.name(name.stream) == *name;
    if is_named_so {
        Ok((prelude, header))
    } else {
        Err(misplaced())
    }
}

/// The nonce of every message: each has a key of its own.
fn nonce() -> Nonce<aes_gcm::aead::consts::U12> {
    [0; 12].into()
}

fn encrypt(key: &[u8; 32], plain: &[u8], before: &[u8]) -> Result<Vec<u8>, SealLogError> {
    let message = Payload {
        msg: plain,
        aad: before,
    };
    Aes256Gcm::new(key.into())
        .encrypt(&nonce(), message)
        .map_err(|_| SealLogError::Cipher)
}

fn decrypt(key: &[u8; 32], sealed: &[u8], before: &[u8]) -> Result<Vec<u8>, OpenError> {
    let message = Payload {
        msg: sealed,
        aad: before,
    };
    Aes256Gcm::new(key.into())
        .decrypt(&nonce(), message)
        .map_err(|_| OpenError::Forged)
}

#[cfg(test)]
mod tests {
    use super::super::{Draft, Link, Position, Span, StreamName};
    use super::*;
    use crate::crypto::MasterKey;

    fn keys() -> LogKeys {
        LogKeys::of(&MasterKey::from_random([7; 64]).unwrap())
    }

    fn stretch() -> Stretch {
        let draft = Draft {
            stream: StreamName::new("a", "b").unwrap(),
            link: Link::FIRST,
            epoch: 1,
            timeline: 1,
            span: Span::new(Position::Byte(0), Position::Byte(1000)).unwrap(),
            commits: None,
        };
        Stretch::fragment(draft, vec![b'x'; 1000]).unwrap()
    }

    #[test]
    fn a_frame_that_holds_more_or_less_than_the_header_says_is_stopped() {
        let mut header = stretch().header().clone();
        header.compressed = true;
        for (length, fits) in [
            (1000, true),
            (999, false),
            (1001, false),
            (10_000_000, false),
        ] {
            let frame = Compressor::new(3).unwrap().compress(&vec![b'x'; length]);
            let object = seal_parts(&keys(), &header, &frame.unwrap(), [1; 32]).unwrap();
            match open(&keys(), &object.name, &object.bytes) {
                Ok(opened) => assert!(fits && opened == stretch()),
                Err(OpenError::Decompress(_)) => assert!(!fits),
                Err(other) => panic!("{other}"),
            }
        }
    }

    #[test]
    fn a_payload_that_is_another_than_the_header_says_is_refused() {
        let (header, log) = (stretch().header().clone(), stretch().into_log());
        let opened = |header: &Header, payload: &[u8]| {
            let object = seal_parts(&keys(), header, payload, [1; 32]).unwrap();
            open(&keys(), &object.name, &object.bytes)
        };
        assert_eq!(opened(&header, &log).unwrap(), stretch());
        let mut other = log.clone();
        other[5] ^= 1;
        for wrong in [&other[..], &log[..999], b""] {
            let refused = opened(&header, wrong);
            assert!(matches!(refused, Err(OpenError::Content(_))), "{refused:?}");
        }
        // A header that is none, sealed all the same.
        let none = Header { count: 2, ..header };
        let refused = opened(&none, &log);
        assert!(matches!(
            refused,
            Err(OpenError::Header(HeaderError::Count { .. }))
        ));
    }

    #[test]
    fn the_largest_header_is_within_the_prefix() {
        let name = StreamName::new("x".repeat(255), "y".repeat(255)).unwrap();
        let header = Header {
            stream: name,
            ..stretch().header().clone()
        };
        assert!(PRELUDE + header.encode().len() + TAG <= super::super::PREFIX);
    }
}
