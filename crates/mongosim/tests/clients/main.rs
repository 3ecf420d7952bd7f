//! The simulator, by its clients: the driver for Rust, pymongo, and bytes of no client. One program, since each that has
//! the driver in it takes long to build.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod bytes;
mod common;
mod driver;
mod faults;
mod program;
mod python;
mod replay;
