//! The crate from outside. One program, since each links everything beneath it anew.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used
)]

mod common;
mod damage;
mod engine;
mod faults;
mod golden;
mod interop;
mod kept_index;
mod locks;
mod log_damage;
mod log_faults;
mod log_simulated;
mod logs;
mod machines;
mod many_snapshots;
mod progress;
mod prune;
mod prune_clearance;
mod prune_faults;
mod prune_once;
mod prune_restic;
mod reading;
mod remembering;
mod repair;
mod repair_interop;
mod resume;
mod simulated;
mod slots;
