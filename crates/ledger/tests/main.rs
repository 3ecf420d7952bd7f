//! The crate from outside. One program, since each links everything beneath it anew.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used
)]

mod account;
mod both_databases;
mod common;
mod crash;
mod damage;
mod dsse;
mod golden;
mod key;
mod malformed;
mod projection;
mod proofs;
mod published;
mod rotation;
mod stamp;
mod tree;
mod verifiers;
mod witness;
