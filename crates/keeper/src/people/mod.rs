//! People's part: statements, uploads, incidents, exemptions, rights; each a fact.

mod access;
mod attest;
mod cases;
mod mail;
mod pauses;
mod signature;
mod upload;

pub use attest::{AttestDone, AttestEnd, AttestOrder};
pub use cases::{ExemptOrder, IncidentOrder, NoteOrder};
