//! The crate from outside. One program, since each links everything beneath it anew.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used
)]

mod beside;
mod common;
mod erasing;
mod files;
mod files_damage;
mod files_in_place;
mod git;
mod handed;
mod mongo_shop;
mod mongodb;
mod mongodb_oplog;
mod mysql;
mod mysql_access;
mod mysql_base;
mod mysql_binlog;
mod mysql_moment;
mod postgres;
mod postgres_access;
mod postgres_base;
mod postgres_directory;
mod postgres_moment;
mod postgres_standby;
mod postgres_wal;
mod sqlite;
mod sqlite_moment;
mod sqlite_wal;
