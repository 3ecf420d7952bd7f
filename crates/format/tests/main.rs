//! The crate from outside. One program, since each links everything beneath it anew.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used
)]

mod chunker;
mod common;
mod fragment;
mod fragment_chain;
mod fragment_golden;
mod fragment_script;
mod golden;
mod no_panic;
mod oracle;
mod properties;
mod restic_oracle;
