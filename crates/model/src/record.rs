//! What concerns the record itself: the key that signs it, who has seen it, and who has stamped it with a time.

use serde::{Deserialize, Serialize};

use crate::Time;

/// From this entry on another key signs the heads of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKeyChange {
    /// The key that signed until here, as a C2SP vkey.
    pub from: String,
    /// The key that signs from here on: the head over this entry is its first.
    pub to: String,
    /// A C2SP signed note, signed by both keys, that names ledger, size, root and both keys.
    pub note: String,
}

/// A party outside has seen the record, and that it goes on from what it had seen before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witnessing {
    /// The witness's public key, as a C2SP vkey; the name in it is the witness's.
    pub witness: String,
    /// How many entries it has seen.
    pub tree_size: u64,
    /// The root over them, lower hex.
    pub root: String,
    /// When, by the witness's clock, in whole seconds.
    pub seen: Time,
    /// The head with the witness's signature (C2SP tlog-cosignature) under it.
    pub note: String,
}

/// An authority has stamped a head of the record with its time (RFC 3161): up to that size the record existed then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timestamping {
    /// The authority: the subject of the certificate that signed the time stamp.
    pub authority: String,
    /// How many entries the head covers.
    pub tree_size: u64,
    /// The root over them, lower hex.
    pub root: String,
    /// When, by the authority's clock, rounded down to microseconds.
    pub seen: Time,
    /// By how many microseconds that may be wrong, if the authority says so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub accuracy_micros: Option<u64>,
    /// The authority's policy for its time stamps, an object identifier such as `1.2.3.4`.
    pub policy: String,
    /// The number that the authority gave the time stamp, lower hex.
    pub serial: String,
    /// The head, a signed note; its bytes are what is stamped.
    pub note: String,
    /// The authority's token (a CMS SignedData with its certificates, in DER), in base64.
    pub token: String,
}
