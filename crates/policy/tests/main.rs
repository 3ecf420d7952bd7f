//! The crate from outside. One program, since each links everything beneath it anew.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod common;
mod fixtures;
mod mutation;
mod obligations;
mod people;
mod policies;
