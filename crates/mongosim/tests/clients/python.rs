//! The official driver for Python as a client of the simulator.

use std::path::PathBuf;
use std::process::Command;

use vouchsafe_mongosim::{Mongo, Settings};

/// Names the Python environment that `cargo xtask setup` makes.
const SERVERS: &str = "VOUCHSAFE_TEST_SERVERS";

#[test]
fn pymongo_finds_a_server_that_it_knows() {
    let Some(environment) = std::env::var_os(SERVERS) else {
        panic!("{SERVERS} is not set: run the tests by `cargo xtask test`, which provides it");
    };
    let mongo = Mongo::with(&Settings::default()).unwrap();
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/client.py");
    let out = Command::new("timeout")
        .arg("120")
        .arg(PathBuf::from(environment).join("bin/python"))
        .arg(script)
        .arg(mongo.uri())
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{}",
        String::from_utf8_lossy(&out.stderr)
    );
    assert_eq!(String::from_utf8_lossy(&out.stdout).trim(), "all well");
}
