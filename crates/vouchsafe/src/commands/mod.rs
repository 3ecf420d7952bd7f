//! The verbs, one function each.

pub(crate) mod access;
pub(crate) mod browse;
pub(crate) mod cases;
pub(crate) mod deeds;
pub(crate) mod demo;
pub(crate) mod holds;
pub(crate) mod init;
pub(crate) mod keys;
pub(crate) mod ledger;
pub(crate) mod lint;
pub(crate) mod look;
pub(crate) mod mount;
pub(crate) mod pause;
pub(crate) mod people;
pub(crate) mod prune;
pub(crate) mod repair;
pub(crate) mod trace;
pub(crate) mod vault;
mod vault_env;
mod vault_locks;
pub(crate) mod worker;
