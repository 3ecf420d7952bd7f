//! Launchers of real servers and oracles for tests: what is missing is a loud failure, never a skip.

// A test that cannot be set up must stop, and what it is set up with is the machine itself.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used
)]

pub mod authority;
pub mod azurite;
pub mod ceph;
pub mod mail;
pub mod mariadb;
pub mod mysql;
pub mod postgres;
pub mod restic;
pub mod servers;
pub mod signed;

/// A directory that is removed when the value is dropped.
pub use tempfile::{TempDir, tempdir};

pub use restic::{Restic, ResticRun};
