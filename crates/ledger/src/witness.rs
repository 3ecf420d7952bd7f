//! Witnesses: others who sign the head that they have seen (C2SP tlog-cosignature, Ed25519).

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::Signer;
use signed_note::{Note, Signature, VerificationError, Verifier, Verifiers};
use vouchsafe_model::{Time, Witnessing};
use zeroize::Zeroizing;

use crate::batch;
use crate::head::{SignedHead, checkpoint_text, head_in};
use crate::merkle::TreeHash;

/// The key type byte of a cosignature in a C2SP vkey.
const COSIGNATURE: u8 = 4;

/// The public key of a witness: name, id and base64, as C2SP writes it.
#[derive(Clone, PartialEq, Eq)]
pub struct WitnessKey {
    name: String,
    id: u32,
    key: ed25519_dalek::VerifyingKey,
}

/// The key of a witness. It is never shown and is wiped from memory when dropped.
pub struct WitnessSigner {
    secret: ed25519_dalek::SigningKey,
    public: WitnessKey,
}

/// What a witness has signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosigned {
    /// The ledger.
    pub origin: String,
    /// How many entries the witness has seen.
    pub size: u64,
    /// The root over them.
    pub root: TreeHash,
    /// When, by its own clock, in whole seconds.
    pub seen: Time,
}

/// Why something is not the signature, or the key, of a witness.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WitnessError {
    /// Not a witness's public key.
    #[error(
        "`{text}` is not the public key of a witness; it looks like example.com/auditor+89abcdef+BAbC…"
    )]
    Key {
        /// The text as given.
        text: String,
    },
    /// A name that cannot stand in a note.
    #[error(
        "`{name}` cannot be the name of a witness: it must have no spaces and no `+`; write it like example.com/auditor"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// Not signed by this witness, or forged.
    #[error("this head does not carry a good signature of the witness {witness}")]
    Unsigned {
        /// The witness's public key.
        witness: String,
    },
}

impl WitnessSigner {
    /// From 32 secret bytes and the name of the witness, such as `example.com/auditor`.
    pub fn from_seed(name: &str, seed: [u8; 32]) -> Result<WitnessSigner, WitnessError> {
        if !signed_note::is_key_name_valid(name) {
            return Err(WitnessError::Name {
                name: name.to_owned(),
            });
        }
        let seed = Zeroizing::new(seed);
        let secret = ed25519_dalek::SigningKey::from_bytes(&seed);
        let public = WitnessKey::named(name.to_owned(), secret.verifying_key());
        Ok(WitnessSigner { secret, public })
    }

    /// The public half.
    pub fn public(&self) -> &WitnessKey {
        &self.public
    }

    /// The head with this witness's signature under it. Whether the head goes on from what the witness has seen
    /// before is for the caller to have found out.
    pub fn cosign(&self, head: &SignedHead, now: Time) -> String {
        let time = u64::try_from(now.micros() / 1_000_000).unwrap_or_default();
        let text = checkpoint_text(&head.origin, head.size, head.root);
        let signature = self.secret.sign(&message(time, text.as_bytes()));
        let bytes = [time.to_be_bytes().as_slice(), &signature.to_bytes()].concat();
        let line = Signature::new(self.public.name.clone(), self.public.id, bytes);
        let line = line.map(|line| line.to_bytes()).unwrap_or_default();
        format!("{}{}", head.note, String::from_utf8_lossy(&line))
    }
}

impl fmt::Debug for WitnessSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WitnessSigner({}, secret not shown)", self.public)
    }
}

impl WitnessKey {
    /// Reads a C2SP vkey with a key for cosignatures.
    pub fn parse(text: &str) -> Result<WitnessKey, WitnessError> {
        let error = || WitnessError::Key {
            text: text.to_owned(),
        };
        let mut parts = text.splitn(3, '+');
        let name = parts.next().unwrap_or_default();
        let bytes = parts.nth(1).and_then(|k| BASE64_STANDARD.decode(k).ok());
        let key = match bytes.as_deref() {
            Some([COSIGNATURE, key @ ..]) => <[u8; 32]>::try_from(key).ok(),
            _ => None,
        };
        let key = key.filter(|key| batch::point(key).is_some());
        let key = key.and_then(|key| ed25519_dalek::VerifyingKey::from_bytes(&key).ok());
        let parsed = WitnessKey::named(name.to_owned(), key.ok_or_else(error)?);
        // One key has one text, so that texts can be compared.
        if signed_note::is_key_name_valid(name) && parsed.to_string() == text {
            Ok(parsed)
        } else {
            Err(error())
        }
    }

    /// The witness's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What this witness has signed of a note. Whether the ledger's key has signed it too is not looked at.
    pub fn read(&self, note: &str) -> Result<Cosigned, WitnessError> {
        let error = || WitnessError::Unsigned {
            witness: self.to_string(),
        };
        let parsed = Note::from_bytes(note.as_bytes()).map_err(|_| error())?;
        let (good, _) = parsed.verify(self).map_err(|_| error())?;
        let time = good
            .iter()
            .find_map(|line| line.signature().first_chunk::<8>().copied())
            .map(u64::from_be_bytes);
        let (origin, size, root) = head_in(&parsed).ok_or_else(error)?;
        let seconds = time.and_then(|time| i64::try_from(time).ok());
        // A time that cannot be written would be read back as another one.
        let latest = Time::MAX.micros() / 1_000_000;
        let seconds = seconds.filter(|seconds| *seconds <= latest);
        Ok(Cosigned {
            origin,
            size,
            root,
            seen: Time::from_secs(seconds.ok_or_else(error)?),
        })
    }

    /// The fact that says so.
    pub fn fact(&self, note: &str) -> Result<Witnessing, WitnessError> {
        let cosigned = self.read(note)?;
        Ok(Witnessing {
            witness: self.to_string(),
            tree_size: cosigned.size,
            root: cosigned.root.to_string(),
            seen: cosigned.seen,
            note: note.to_owned(),
        })
    }

    fn named(name: String, key: ed25519_dalek::VerifyingKey) -> WitnessKey {
        let typed = [&[COSIGNATURE], key.as_bytes().as_slice()].concat();
        let id = signed_note::key_id(&name, &typed);
        WitnessKey { name, id, key }
    }
}

/// What is signed: the head's text below two lines (C2SP tlog-cosignature).
fn message(time: u64, text: &[u8]) -> Vec<u8> {
    let above = format!("cosignature/v1\ntime {time}\n");
    [above.as_bytes(), text].concat()
}

impl fmt::Display for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let typed = [&[COSIGNATURE], self.key.as_bytes().as_slice()].concat();
        let encoded = BASE64_STANDARD.encode(typed);
        write!(f, "{}+{:08x}+{encoded}", self.name, self.id)
    }
}

impl fmt::Debug for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WitnessKey({self})")
    }
}

impl Verifier for WitnessKey {
    fn name(&self) -> &str {
        &self.name
    }
    fn key_id(&self) -> u32 {
        self.id
    }
    fn verify(&self, text: &[u8], signature: &[u8]) -> bool {
        let Some((time, signature)) = signature.split_first_chunk::<8>() else {
            return false;
        };
        let message = message(u64::from_be_bytes(*time), text);
        batch::is_signed(&self.key, &message, signature)
    }
}

impl Verifiers for WitnessKey {
    fn verifier(&self, name: &str, id: u32) -> Result<&dyn Verifier, VerificationError> {
        if name == self.name && id == self.id {
            Ok(self)
        } else {
            Err(VerificationError::UnknownKey {
                name: name.to_owned(),
                id,
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::SigningKey;
    use crate::merkle::leaf_hash;

    #[test]
    fn a_cosignature_is_read_back_and_binds_head_and_time() {
        let key = SigningKey::from_seed([1; 32]);
        let head = SignedHead::sign(&key, 7, leaf_hash(b"root"));
        let witness = WitnessSigner::from_seed("example.com/auditor", [2; 32]).unwrap();
        let note = witness.cosign(&head, Time::from_micros(1_769_832_000_999_999));
        let public = WitnessKey::parse(&witness.public().to_string()).unwrap();
        let cosigned = public.read(&note).unwrap();
        assert_eq!((cosigned.size, cosigned.root), (7, head.root));
        assert_eq!(cosigned.seen, Time::from_secs(1_769_832_000));
        assert_eq!(SignedHead::parse(&note, key.public()).unwrap().size, 7);
        for other in [
            note.replacen("\n7\n", "\n8\n", 1),
            head.note.clone(),
            String::new(),
        ] {
            assert!(public.read(&other).is_err(), "{other}");
        }
        let line = note.lines().last().unwrap();
        let (before, encoded) = line.rsplit_once(' ').unwrap();
        let mut bytes = BASE64_STANDARD.decode(encoded).unwrap();
        bytes[11] ^= 1;
        let later = format!("{before} {}", BASE64_STANDARD.encode(bytes));
        assert!(public.read(&note.replace(line, &later)).is_err());
        assert!(WitnessKey::parse(&key.public_key_text()).is_err());
        assert!(WitnessSigner::from_seed("no name", [2; 32]).is_err());
    }
}
