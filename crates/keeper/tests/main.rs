//! The crate from outside. One program, since each links everything beneath it anew.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used
)]

mod engine;
mod handed;
mod hostile;
mod keys_due;
mod people;
