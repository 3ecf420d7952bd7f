//! The record: Merkle log, signatures, projections.
//!
//! Entries are stored as the exact bytes that were hashed (RFC 6962); after every entry the tree's
//! head is signed (C2SP tlog-checkpoint in a C2SP signed-note, Ed25519). The same SQL runs on SQLite
//! and PostgreSQL. `docs/ledger-format.md` describes what leaves this crate: the export and the
//! objects that are published to vaults.

pub mod account;
pub mod dsse;
pub mod error;
pub mod export;
pub mod head;
pub mod key;
pub mod keys;
pub mod lease;
pub mod ledger;
pub mod merkle;
pub mod proof;
pub mod publish;
pub mod rebuild;
pub mod stamp;
pub mod tiles;
pub mod verify;
pub mod witness;

mod append;
mod audit;
mod batch;
mod database;
mod entry;
#[cfg(test)]
mod fault_tests;
mod hands;
mod line;
mod projection;
mod restore;
mod rotate;
mod rotation;
mod schema;
mod self_check;
mod session;
mod whole;

pub use account::{BreakNote, SetBack, Silence};
pub use append::{MAX_BATCH, MAX_ENTRY};
pub use dsse::{Envelope, EnvelopeSignature, public_key_pem};
pub use error::{Corruption, Fork, LedgerError};
pub use head::{HeadError, HeadRelation, SignedHead};
pub use key::{KeyError, SigningKey, VerifyingKey};
pub use keys::Keys;
pub use lease::Lease;
pub use ledger::Ledger;
pub use merkle::{Frontier, TreeHash, leaf_hash};
pub use proof::{ProofError, Proven, check_proof};
pub use publish::{ObjectError, PublishedObject, PublishedObjects, Seal, Unseal};
pub use rebuild::{RebuildError, Rebuilt, rebuild};
pub use stamp::{LONGEST_STAMP, StampError, StampQuery, StampRoots, StampToken};
pub use tiles::TilesError;
pub use verify::{
    Expected, Outcome, Problem, ProblemKind, SeenBy, StampedBy, VerifyError, VerifyReport,
    verify_export, verify_export_by,
};
pub use witness::{Cosigned, WitnessError, WitnessKey, WitnessSigner};
