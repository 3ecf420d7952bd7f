//! The keys of log objects: derived from a vault's master key by HKDF-SHA256, one for each stream and each object.

use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::stream::StreamName;
use crate::crypto::MasterKey;

/// What the keys of all log objects of one vault come from.
///
/// Cleared from memory when dropped; its `Debug` shows nothing but the key's id.
#[derive(Clone, ZeroizeOnDrop)]
pub struct LogKeys {
    root: Key,
    #[zeroize(skip)] // no secret
    id: KeyId,
}

/// By which a vault's key is known from others, and nothing else can be learnt of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 16]);

/// What a vault calls a stream where anyone may read it. Whoever lacks the key cannot tell which stream it is, nor
/// that streams in two vaults are the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId([u8; 16]);

/// The two keys of one object, each used for one message.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct ObjectKeys {
    pub(super) header: Key,
    pub(super) payload: Key,
}

type Key = [u8; 32];

/// The salt of the extraction from the master key.
const SALT: &[u8] = b"vouchsafe-log-1";

impl LogKeys {
    /// Those of the vault with this master key.
    pub fn of(master: &MasterKey) -> LogKeys {
        let (encrypt, _, _) = master.parts();
        let root = hmac(SALT, &[encrypt]);
        let id = KeyId(half(&expand(&root, &[b"key id"])));
        LogKeys { root: *root, id }
    }

    /// By which the key is known.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// What this vault calls a stream.
    pub fn stream_id(&self, stream: &StreamName) -> StreamId {
        let mut name = Vec::new();
        stream.push(&mut name);
        StreamId(half(&expand(&self.root, &[b"stream id", &name])))
    }

    /// The salt of a new object: another one whenever the random bytes or what is sealed are others. So no key is
    /// used twice even if a machine that was set back draws the same random bytes again.
    pub(super) fn salt(
        &self,
        stream: StreamId,
        random: &[u8; 32],
        header: &[u8],
        payload: &[u8],
    ) -> [u8; 32] {
        let key = expand(&self.stream_key(stream), &[b"salt"]);
        let length = (header.len() as u64).to_le_bytes();
        *hmac(&*key, &[random, &length, header, payload])
    }

    pub(super) fn object(&self, stream: StreamId, salt: &[u8; 32]) -> ObjectKeys {
        let object = hmac(salt, &[&*self.stream_key(stream)]);
        ObjectKeys {
            header: *expand(&object, &[b"header"]),
            payload: *expand(&object, &[b"payload"]),
        }
    }

    fn stream_key(&self, stream: StreamId) -> Zeroizing<Key> {
        expand(&self.root, &[b"stream key", &stream.0])
    }
}

impl fmt::Debug for LogKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogKeys({})", self.id)
    }
}

/// HKDF-Expand to 32 bytes, which is a single HMAC.
fn expand(key: &Key, info: &[&[u8]]) -> Zeroizing<Key> {
    let parts: Vec<&[u8]> = info.iter().copied().chain([&[1_u8][..]]).collect();
    hmac(key, &parts)
}

/// HMAC-SHA256 of some parts one after the other; with a salt as the key it is HKDF-Extract.
fn hmac(key: &[u8], parts: &[&[u8]]) -> Zeroizing<Key> {
    // HMAC itself fills a short key with zeros up to a block.
    let mut block = Zeroizing::new([0_u8; 64]);
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    let mut mac = Hmac::<Sha256>::new(&(*block).into());
    for part in parts {
        mac.update(part);
    }
    Zeroizing::new(mac.finalize().into_bytes().into())
}

fn half(key: &Key) -> [u8; 16] {
    let mut out = [0; 16];
    out.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    out
}

macro_rules! sixteen_bytes {
    ($name:ident) => {
        impl $name {
            /// The one with these bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> $name {
                $name(bytes)
            }

            /// Its bytes.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        /// 32 hexadecimal digits.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        /// Exactly as it is written: 32 digits of `0-9a-f`.
        impl FromStr for $name {
            type Err = super::name::NameError;

            fn from_str(text: &str) -> Result<$name, super::name::NameError> {
                let refused = || super::name::NameError { text: text.into() };
                let mut bytes = [0; 16];
                hex::decode_to_slice(text, &mut bytes).map_err(|_| refused())?;
                let id = $name(bytes);
                if id.to_string() == text {
                    Ok(id)
                } else {
                    Err(refused())
                }
            }
        }
    };
}

sixteen_bytes!(KeyId);
sixteen_bytes!(StreamId);

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(seed: u8) -> LogKeys {
        LogKeys::of(&MasterKey::from_random([seed; 64]).unwrap())
    }

    /// Test case 1 of RFC 5869, cut to the one block that is used here.
    #[test]
    fn it_is_hkdf() {
        let salt: Vec<u8> = (0..0x0d).collect();
        let prk = hmac(&salt, &[&[0x0b; 11], &[0x0b; 11]]);
        assert_eq!(
            hex::encode(*prk),
            "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"
        );
        let info: Vec<u8> = (0xf0..0xfa).collect();
        assert_eq!(
            hex::encode(*expand(&prk, &[&info])),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"
        );
    }

    #[test]
    fn each_key_and_each_stream_has_its_ids() {
        let name = StreamName::new("shop-db", "wal").unwrap();
        let other = StreamName::new("shop-d", "bwal").unwrap();
        assert_ne!(keys(1).id(), keys(2).id());
        assert_ne!(keys(1).stream_id(&name), keys(2).stream_id(&name));
        assert_ne!(keys(1).stream_id(&name), keys(1).stream_id(&other));
        assert_eq!(keys(1).stream_id(&name), keys(1).stream_id(&name));
    }

    #[test]
    fn equal_random_bytes_give_other_salts_for_other_contents() {
        let stream = StreamId([3; 16]);
        let salt = |random, header: &[u8], payload: &[u8]| {
            keys(1).salt(stream, &[random; 32], header, payload)
        };
        let base = salt(1, b"header", b"payload");
        assert_eq!(base, salt(1, b"header", b"payload"));
        assert_ne!(base, salt(2, b"header", b"payload"));
        assert_ne!(base, salt(1, b"heade", b"rpayload"));
        assert_ne!(base, salt(1, b"header", b"Payload"));
        let (one, two) = (
            keys(1).object(stream, &base),
            keys(1).object(stream, &[0; 32]),
        );
        assert_ne!(one.header, one.payload);
        assert_ne!(one.header, two.header);
    }

    #[test]
    fn ids_are_read_as_they_are_written_and_no_other_way() {
        let id = StreamId([0xab; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in [
            "",
            "AB",
            &"AB".repeat(16),
            &"ab".repeat(17),
            &"zz".repeat(16),
        ] {
            assert!(bad.parse::<StreamId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let keys = keys(1);
        let shown = format!("{keys:?}");
        assert_eq!(shown, format!("LogKeys({})", keys.id()));
        assert!(!shown.contains(&hex::encode(&keys.root[..4])));
    }
}
