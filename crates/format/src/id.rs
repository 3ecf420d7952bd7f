//! The name of everything in a repository: a SHA-256 digest.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use vouchsafe_digest::digest_each;

/// A SHA-256 digest: of a blob's plaintext, or of a stored file's bytes.
///
/// Written as 64 lower-case hexadecimal digits.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Id([u8; 32]);

/// The text is not an [`Id`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// An id has 64 digits.
    #[error("an id has 64 hexadecimal digits, this text has {found} bytes")]
    Length {
        /// Bytes in the text.
        found: usize,
    },
    /// A character other than `0-9a-fA-F`.
    #[error("byte {position} of the id is not a hexadecimal digit")]
    Digit {
        /// Position in the text, from 0.
        position: usize,
    },
}

impl Id {
    /// The digest of `plaintext`.
    pub fn of(plaintext: &[u8]) -> Id {
        Id(Sha256::digest(plaintext).into())
    }

    /// The digest of each of these, which are hashed at the same time.
    pub fn of_each(plaintexts: &[&[u8]]) -> Vec<Id> {
        digest_each(plaintexts).into_iter().map(Id).collect()
    }

    /// The id with these bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Id {
        Id(bytes)
    }

    /// The 32 bytes of the digest.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// All 64 hexadecimal digits.
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// The first 8 hexadecimal digits, for people.
    pub fn short(&self) -> String {
        hex::encode(self.0.get(..4).unwrap_or_default())
    }

    /// Appends the 64 digits to `out`.
    pub(crate) fn push_hex(&self, out: &mut Vec<u8>) {
        const DIGITS: [u8; 16] = *b"0123456789abcdef";
        for byte in self.0 {
            out.push(DIGITS[usize::from(byte >> 4)]);
            out.push(DIGITS[usize::from(byte & 15)]);
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

impl FromStr for Id {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Id, IdError> {
        if text.len() != 64 {
            return Err(IdError::Length { found: text.len() });
        }
        let mut bytes = [0; 32];
        match hex::decode_to_slice(text, &mut bytes) {
            Ok(()) => Ok(Id(bytes)),
            Err(_) => Err(IdError::Digit {
                position: text
                    .bytes()
                    .position(|b| !b.is_ascii_hexdigit())
                    .unwrap_or_default(),
            }),
        }
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_hex())
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Id, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Id;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an id of 64 hexadecimal digits")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Id, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_nothing_is_the_known_one() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Id::of(b"").to_hex(), hex);
        assert_eq!(hex.parse::<Id>().unwrap(), Id::of(b""));
        assert_eq!(Id::of(b"").short(), "e3b0c442");
        let mut pushed = Vec::new();
        Id::of(b"").push_hex(&mut pushed);
        assert_eq!(pushed, hex.as_bytes());
        assert_eq!(Id::of_each(&[b"", b"a"]), [Id::of(b""), Id::of(b"a")]);
    }

    #[test]
    fn damaged_text_is_refused_with_the_place() {
        assert_eq!("ab".parse::<Id>(), Err(IdError::Length { found: 2 }));
        let long = "ab".repeat(33);
        assert_eq!(long.parse::<Id>(), Err(IdError::Length { found: 66 }));
        let bad = format!("0{}g{}", "a".repeat(10), "b".repeat(52));
        assert_eq!(bad.parse::<Id>(), Err(IdError::Digit { position: 11 }));
        assert!("é".repeat(32).parse::<Id>().is_err());
    }
}
