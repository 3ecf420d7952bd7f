//! Every command of the README is run, in its order, as it stands there.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::common::text;
use vouchsafe_testkit::restic::Restic;

const README: &str = include_str!("../../../README.md");

/// The blocks of shell commands, each as it stands.
fn blocks() -> Vec<String> {
    let mut out = Vec::new();
    let mut open: Option<String> = None;
    for line in README.lines() {
        match (&mut open, line) {
            (None, "```sh") => open = Some(String::new()),
            (Some(_), "```") => out.extend(open.take()),
            (Some(block), line) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, _) => {}
        }
    }
    out
}

#[test]
fn every_command_of_the_readme_works() {
    let dir = tempfile::tempdir().unwrap();
    let bin = dir.path().join("bin");
    let home = dir.path().join("home");
    let place = dir.path().join("place");
    for made in [&bin, &home, &place] {
        fs::create_dir(made).unwrap();
    }
    symlink(env!("CARGO_BIN_EXE_vouchsafe"), bin.join("vouchsafe")).unwrap();
    symlink(Restic::newest().program(), bin.join("restic")).unwrap();
    fs::create_dir(place.join("site")).unwrap();
    fs::write(place.join("site/index.html"), "<h1>hello</h1>").unwrap();
    let blocks = blocks();
    assert!(blocks.len() >= 7, "the README lost its commands");
    let mut script = String::from("set -eu\n");
    let mut skipped = 0;
    for line in blocks.iter().flat_map(|b| b.lines()) {
        match line.strip_prefix("cargo ") {
            Some("xtask test") => skipped += 1,
            Some(rest) => {
                let args = rest
                    .strip_prefix("run --release -- ")
                    .expect("an unknown cargo command");
                script.push_str(&format!("vouchsafe {args}\n"));
            }
            None => script.push_str(&format!("{line}\n")),
        }
    }
    assert_eq!(
        skipped, 1,
        "only `cargo xtask test` is left out: it runs this test"
    );
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let out = Command::new("bash")
        .args(["-x", "-c", &script])
        .current_dir(&place)
        .env("PATH", path)
        .env("HOME", &home)
        .env("TMPDIR", dir.path())
        .output()
        .unwrap();
    let said = format!("{}\n{}", text(&out.stdout), text(&out.stderr));
    assert!(out.status.success(), "{said}");
    let restored = fs::read_to_string(dir.path().join("restored/site/index.html")).unwrap();
    assert_eq!(restored, "<h1>hello</h1>");
}
