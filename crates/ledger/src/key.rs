//! The key that signs the record, and the public half that everyone may have.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ed25519_dalek::Signer;
use sha2::{Digest, Sha256};
use signed_note::{StandardVerifier, VerificationError, Verifier, Verifiers};
use zeroize::Zeroizing;

use crate::batch;

/// A text that is not a public key in the form `name+hash+base64`.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not the public key of a ledger; it looks like vouchsafe/0123…+89abcdef+AbCd…")]
pub struct KeyError {
    /// The text as given.
    pub text: String,
    /// What was wrong with it, if the form was wrong.
    #[source]
    pub source: Option<signed_note::VerifierError>,
}

/// The Ed25519 key of a ledger. It is never shown and is wiped from memory when dropped.
pub struct SigningKey {
    secret: ed25519_dalek::SigningKey,
    public: VerifyingKey,
}

/// The public half: checks heads, and names the ledger.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifyingKey {
    name: String,
    id: u32,
    key: ed25519_dalek::VerifyingKey,
}

/// The key type byte of Ed25519 in a C2SP signed-note key.
const ED25519: u8 = 1;

impl SigningKey {
    /// From 32 secret bytes, which must come from a good source of randomness.
    ///
    /// The same seed always gives the same key, the same ledger id and the same signatures.
    pub fn from_seed(seed: [u8; 32]) -> SigningKey {
        let seed = Zeroizing::new(seed);
        let secret = ed25519_dalek::SigningKey::from_bytes(&seed);
        let public = VerifyingKey::first_of_ledger(secret.verifying_key());
        SigningKey { secret, public }
    }

    /// The seed, for keeping it sealed in a vault.
    pub fn to_seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.secret.to_bytes())
    }

    /// The public half.
    pub fn public(&self) -> &VerifyingKey {
        &self.public
    }

    /// The public half as a C2SP vkey: `name+hash+base64`.
    pub fn public_key_text(&self) -> String {
        self.public.to_string()
    }

    /// For the recovery sheet; see [`VerifyingKey::fingerprint`].
    pub fn fingerprint(&self) -> String {
        self.public.fingerprint()
    }

    /// The same key as one of the ledger `origin`, which was begun with another one.
    pub fn of_ledger(mut self, origin: &str) -> SigningKey {
        self.public = VerifyingKey::named(origin.to_owned(), self.public.key);
        self
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.secret.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, secret not shown)", self.public)
    }
}

impl VerifyingKey {
    /// Reads a C2SP vkey. A key of small order, under which anything is signed, is none.
    pub fn parse(text: &str) -> Result<VerifyingKey, KeyError> {
        let error = |source| KeyError {
            text: text.to_owned(),
            source,
        };
        StandardVerifier::new(text).map_err(|e| error(Some(e)))?;
        let mut parts = text.splitn(3, '+');
        let name = parts.next().unwrap_or_default();
        let key = parts
            .nth(1)
            .and_then(|k| BASE64_STANDARD.decode(k).ok())
            .and_then(|k| <[u8; 32]>::try_from(k.get(1..)?).ok())
            .filter(|k| batch::point(k).is_some())
            .and_then(|k| ed25519_dalek::VerifyingKey::from_bytes(&k).ok())
            .ok_or_else(|| error(None))?;
        let parsed = VerifyingKey::named(name.to_owned(), key);
        // One key has one text, so that texts can be compared.
        if parsed.to_string() == text {
            Ok(parsed)
        } else {
            Err(error(None))
        }
    }

    /// The ledger's name, which is the origin line of its heads: `vouchsafe/<ledger id>`.
    pub fn origin(&self) -> &str {
        &self.name
    }

    /// The ledger's id: the last part of [`VerifyingKey::origin`].
    pub fn ledger_id(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }

    /// SHA-256 of the 32 public bytes: 64 lower hex digits in groups of four, for people to compare.
    pub fn fingerprint(&self) -> String {
        let digest = hex::encode(Sha256::digest(self.key.as_bytes()));
        let mut text = String::with_capacity(80);
        for (i, digit) in digest.chars().enumerate() {
            if i > 0 && i % 4 == 0 {
                text.push(' ');
            }
            text.push(digit);
        }
        text
    }

    /// Whether `signature` (64 bytes, Ed25519) is this key's over `message`. `docs/ledger-format.md` has the rule.
    pub fn accepts(&self, message: &[u8], signature: &[u8]) -> bool {
        batch::is_signed(&self.key, message, signature)
    }

    /// The 8 hex digits that tell the keys of one ledger apart: the middle part of the vkey.
    pub fn key_id(&self) -> String {
        format!("{:08x}", self.id)
    }

    /// Whether the ledger is named after this key, as it is after the key that it was begun with.
    pub fn is_first_of_ledger(&self) -> bool {
        VerifyingKey::first_of_ledger(self.key).name == self.name
    }

    /// Whether it is the same key, whatever ledger each is named for.
    pub(crate) fn is_same_key(&self, other: &VerifyingKey) -> bool {
        self.key == other.key
    }

    pub(crate) fn note_id(&self) -> u32 {
        self.id
    }

    pub(crate) fn ed25519(&self) -> &ed25519_dalek::VerifyingKey {
        &self.key
    }

    fn first_of_ledger(key: ed25519_dalek::VerifyingKey) -> VerifyingKey {
        let digest = Sha256::digest(key.as_bytes());
        let id: String = hex::encode(digest).chars().take(16).collect();
        VerifyingKey::named(format!("vouchsafe/{id}"), key)
    }

    fn named(name: String, key: ed25519_dalek::VerifyingKey) -> VerifyingKey {
        let typed = [&[ED25519], key.as_bytes().as_slice()].concat();
        let id = signed_note::key_id(&name, &typed);
        VerifyingKey { name, id, key }
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&signed_note::new_ed25519_verifier_key(
            &self.name, &self.key,
        ))
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({self})")
    }
}

impl Verifier for VerifyingKey {
    fn name(&self) -> &str {
        &self.name
    }
    fn key_id(&self) -> u32 {
        self.id
    }
    fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.accepts(message, signature)
    }
}

impl Verifiers for VerifyingKey {
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
