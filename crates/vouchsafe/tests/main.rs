//! The crate from outside. One program, since each links everything beneath it anew.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used
)]

mod bad_input;
mod beside;
mod beside_others;
mod change;
mod change_signed;
mod common;
mod coverage;
mod document;
mod document_pdf;
mod drill_tiny;
mod erasures;
mod evidence;
mod genuine_rest;
mod holds;
mod includes;
mod keys;
mod kms;
mod ledger_snapshot;
mod locked;
mod mail;
mod main_job;
mod mongodb;
mod mongodb_moment;
mod mount;
mod mysql;
mod mysql_moment;
mod people;
mod postgres;
mod postgres_equality;
mod postgres_moment;
mod prune;
mod reading;
mod readme;
mod record;
mod recovery;
mod remote;
mod repair;
mod rounds;
mod space;
mod sqlite_moment;
mod storage;
mod timestamps;
mod uploads;
mod verify;
mod verify_killed;
mod worker;
mod worker_chores;
