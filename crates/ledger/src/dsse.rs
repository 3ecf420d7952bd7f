//! DSSE envelopes under the ledger's key, for whoever knows that format and not ours; and keys derived from it.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::LedgerError;
use crate::key::{SigningKey, VerifyingKey};
use crate::ledger::Ledger;

/// A text with its type and its signatures, as DSSE version 1 has it in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The text, in base64.
    pub payload: String,
    /// Its media type.
    #[serde(rename = "payloadType")]
    pub payload_type: String,
    /// One for each signer.
    pub signatures: Vec<EnvelopeSignature>,
}

/// One signature of an envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvelopeSignature {
    /// Which key signed, as a C2SP vkey. It is not signed itself: a hint, and no proof.
    pub keyid: String,
    /// Ed25519 over the pre-authentication encoding of type and text, in base64.
    pub sig: String,
}

impl Envelope {
    /// The text, if `key` has signed it with its type.
    pub fn open(&self, key: &VerifyingKey) -> Option<Vec<u8>> {
        let payload = BASE64_STANDARD.decode(&self.payload).ok()?;
        let message = encoding(&self.payload_type, &payload);
        let signed = self.signatures.iter().any(|s| {
            let signature = BASE64_STANDARD.decode(&s.sig);
            signature.is_ok_and(|signature| key.accepts(&message, &signature))
        });
        signed.then_some(payload)
    }
}

/// The pre-authentication encoding of DSSE version 1. It begins as no head of a ledger does, so that a signature over
/// the one is never one over the other.
fn encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut message = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        payload.len()
    )
    .into_bytes();
    message.extend_from_slice(payload);
    message
}

impl Ledger {
    /// Signs a text of that media type with the ledger's key. The same text always gives the same envelope.
    pub fn envelope(&self, payload_type: &str, payload: &[u8]) -> Result<Envelope, LedgerError> {
        let key = self.signing_key()?;
        let signature = key.sign(&encoding(payload_type, payload));
        Ok(Envelope {
            payload: BASE64_STANDARD.encode(payload),
            payload_type: payload_type.to_owned(),
            signatures: vec![EnvelopeSignature {
                keyid: key.public_key_text(),
                sig: BASE64_STANDARD.encode(signature),
            }],
        })
    }

    /// A secret that only the owner of the ledger's key can compute, always the same for the same purpose; under
    /// another key of the ledger it is another one.
    pub fn derived_key(&self, purpose: &str) -> Result<[u8; 32], LedgerError> {
        let message = format!("vouchsafe-derived-key/1\n{purpose}\n");
        // Ed25519 signs the same bytes always in the same way, and nobody is shown this signature.
        Ok(Sha256::digest(self.signing_key()?.sign(message.as_bytes())).into())
    }

    fn signing_key(&self) -> Result<&SigningKey, LedgerError> {
        self.key.as_ref().ok_or_else(|| LedgerError::ReadOnly {
            place: self.place.clone(),
        })
    }
}

/// A public key as other programs read it: PEM of a SubjectPublicKeyInfo (RFC 8410).
pub fn public_key_pem(key: &VerifyingKey) -> String {
    const HEADER: [u8; 12] = [
        0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
    ];
    let text = key.to_string();
    let typed = text
        .splitn(3, '+')
        .nth(2)
        .and_then(|encoded| BASE64_STANDARD.decode(encoded).ok())
        .unwrap_or_default();
    // The first byte of a vkey's key says which algorithm it is for.
    let bytes: Vec<u8> = HEADER
        .into_iter()
        .chain(typed.into_iter().skip(1))
        .collect();
    format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        BASE64_STANDARD.encode(bytes)
    )
}
