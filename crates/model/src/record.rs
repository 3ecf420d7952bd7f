//! What concerns the record itself: the key that signs it, and who has seen it.

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
