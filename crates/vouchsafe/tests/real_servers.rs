//! The main job against Ceph, which checks signatures and enforces locks, and with MySQL: by `cargo xtask conformance`.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

mod common;
mod mysql_whole;

use common::vaults::{exits, s3, with_vaults};
use vouchsafe_testkit::ceph;

#[test]
fn the_main_job_goes_to_ceph_and_what_is_locked_there_stays() {
    let server = ceph::start();
    let w = with_vaults(
        &s3(&server, "bucket", ""),
        &s3(&server, "locked", ", retention_lock: 30 days"),
    );
    common::vaults::locks_are_facts(&w, &server, false);
    exits(&w, 0, ["verify"]);
    exits(&w, 0, ["drill", "website", "--vault", "offsite"]);
    exits(&w, 0, ["vault", "check", "local"]);
}

#[test]
fn what_must_be_erased_leaves_ceph_as_far_as_locks_allow() {
    let server = ceph::start();
    common::vaults::erasure(&server);
}
