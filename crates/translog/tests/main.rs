//! The crate from outside. One program, since each links everything beneath it anew.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used
)]

mod binlog;
mod binlog_mariadb;
mod common;
mod gtid;
mod mysql_golden;
mod no_panic;
mod sqlite;
mod wal;
mod wal_damage;
mod wal_postgres;
mod wal_versions;
