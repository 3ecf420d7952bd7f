//! The verbs, one function each.

mod against;
pub(crate) mod browse;
pub(crate) mod changes;
pub(crate) mod coverage;
pub(crate) mod deeds;
pub(crate) mod demo;
pub(crate) mod document;
pub(crate) mod holds;
pub(crate) mod init;
pub(crate) mod keys;
pub(crate) mod ledger;
mod ledger_proofs;
mod ledger_witness;
pub(crate) mod lint;
pub(crate) mod look;
pub(crate) mod mount;
pub(crate) mod prune;
pub(crate) mod repair;
pub(crate) mod report;
pub(crate) mod trace;
pub(crate) mod vault;
mod vault_env;
mod vault_locks;
pub(crate) mod worker;
