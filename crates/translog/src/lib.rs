//! What is in the transaction logs of databases, as pure functions: what is contiguous, when it was committed, what is missing.
//!
//! Bytes are fed in pieces of any length, and what they hold comes out once it is verified. Nothing here reads a file or
//! a clock. No function panics, whatever bytes it is given, and none keeps more of them than a stated limit.

pub mod binlog;
mod checksum;
mod fields;
pub mod gtid;
pub mod sqlite;
pub mod token;
pub mod wal;
