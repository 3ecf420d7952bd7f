//! Drills of a point so small that its largest part is the manifest.

use std::fs;
use std::process::Command;

use crate::common::Workspace;

const POLICY: &str = r#"
policy: { id: T-1, title: Test policy, owner: o@example.com, version: "1", next_review: 2999-01-01 }
vaults:
  local: { url: ./vaults/local, region: here, country: GB }
systems:
  shop:
    source: "sqlite:./shop.db"
    owner: o@example.com
    schedule: "daily at 02:00 UTC"
    keep: { at_least: 35 days }
    copies: [ local ]
    verify: { every: week }
    drill: { every: quarter, negative_control: every year }
"#;

#[test]
fn each_damage_of_a_tiny_point_reddens_its_own_rung() {
    let w = Workspace::new();
    fs::write(w.path("policy.yaml"), POLICY).unwrap();
    let made = Command::new("sqlite3")
        .arg(w.path("shop.db"))
        .arg("CREATE TABLE c (id INTEGER PRIMARY KEY); INSERT INTO c VALUES (1); CREATE TABLE o (id INTEGER PRIMARY KEY)")
        .status();
    assert!(made.unwrap().success());
    w.ok(["init"]);
    w.ok(["run", "shop"]);
    let (said, _) = w.exits(0, ["drill", "shop", "--negative"]);
    let flipped = "`flipped-byte`: must redden bytes, reddened bytes";
    assert!(said.contains(flipped), "{said}");
}
