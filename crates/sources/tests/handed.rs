//! What people hand in: what opens is taken, and every damage to it is seen.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use vouchsafe_host::files::temp_dir;
use vouchsafe_model::people::{HandedFile, HandedFormat};
use vouchsafe_sources::{HandedError, look_into};

fn run(command: &mut Command) {
    let out = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(out.status.success(), "{command:?}: {out:?}");
}

/// A folder with two files, one of which can be compressed.
fn data(dir: &Path) {
    fs::create_dir(dir.join("data")).unwrap();
    fs::write(
        dir.join("data/pages.xml"),
        "<page>hello</page>\n".repeat(400),
    )
    .unwrap();
    let noise: Vec<u8> = (0..3_000u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    fs::write(dir.join("data/noise"), noise).unwrap();
}

/// Archives as the tools of every day make them.
fn archives(dir: &Path) -> Vec<PathBuf> {
    data(dir);
    let tool = |program: &str, args: &[&str]| {
        run(Command::new(program).args(args).current_dir(dir));
    };
    tool("zip", &["-q", "-r", "export.zip", "data"]);
    tool("tar", &["-cf", "export.tar", "data"]);
    tool("tar", &["-czf", "export.tgz", "data"]);
    tool("sh", &["-c", "gzip -c data/pages.xml > pages.xml.gz"]);
    ["export.zip", "export.tar", "export.tgz", "pages.xml.gz"]
        .iter()
        .map(|name| dir.join(name))
        .collect()
}

fn look(path: &Path) -> Result<HandedFile, HandedError> {
    look_into(path, None)
}

#[test]
fn archives_that_open_are_read_as_a_whole() {
    let dir = temp_dir("handed").unwrap();
    let found: Vec<u64> = archives(dir.path())
        .iter()
        .map(|path| {
            let seen = look(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            assert_eq!(seen.format, HandedFormat::Archive);
            assert_eq!(seen.bytes, fs::metadata(path).unwrap().len());
            seen.parts
        })
        .collect();
    assert_eq!(found, [2, 2, 2, 1]);
}

#[test]
fn an_archive_that_is_cut_off_anywhere_is_refused() {
    let dir = temp_dir("handed").unwrap();
    for path in archives(dir.path()) {
        let whole = fs::read(&path).unwrap();
        let cut = dir.path().join(format!(
            "cut-{}",
            path.file_name().unwrap().to_string_lossy()
        ));
        // What tar pads its file with after the end belongs to nothing.
        let end = match path.ends_with("export.tar") {
            true => whole.iter().rposition(|b| *b != 0).unwrap() + 1,
            false => whole.len(),
        };
        let step = (end / 60).max(1);
        for length in (1..end).step_by(step).chain([end - 1]) {
            fs::write(&cut, &whole[..length]).unwrap();
            assert!(look(&cut).is_err(), "{} cut to {length}", path.display());
        }
        fs::write(&cut, b"").unwrap();
        assert!(matches!(look(&cut), Err(HandedError::Empty)));
    }
}

#[test]
fn content_of_an_archive_that_was_changed_is_seen() {
    let dir = temp_dir("handed").unwrap();
    for path in archives(dir.path()) {
        // A tar has no checksum of its content.
        if path.ends_with("export.tar") {
            continue;
        }
        let whole = fs::read(&path).unwrap();
        let hurt = dir.path().join(format!(
            "hurt-{}",
            path.file_name().unwrap().to_string_lossy()
        ));
        for at in (whole.len() / 3..whole.len() / 2).step_by(97) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x40;
            fs::write(&hurt, bytes).unwrap();
            assert!(look(&hurt).is_err(), "{} changed at {at}", path.display());
        }
    }
    // The header of a tar has one.
    let mut bytes = fs::read(dir.path().join("export.tar")).unwrap();
    bytes[2] ^= 0x40;
    let hurt = dir.path().join("hurt.tar");
    fs::write(&hurt, bytes).unwrap();
    assert!(look(&hurt).is_err());
}

#[test]
fn what_only_has_the_name_of_an_archive_is_none() {
    let dir = temp_dir("handed").unwrap();
    let page = dir.path().join("export.zip");
    fs::write(&page, "<html>Please log in</html>").unwrap();
    let why = look(&page).unwrap_err().to_string();
    assert!(why.contains("neither zip nor tar nor gzip"), "{why}");
    // An archive with nothing in it shows nothing.
    fs::create_dir(dir.path().join("none")).unwrap();
    run(Command::new("tar")
        .args(["-cf", "none.tar", "none"])
        .current_dir(dir.path()));
    let why = look(&dir.path().join("none.tar")).unwrap_err().to_string();
    assert!(why.contains("no file in it"), "{why}");
    // One that is sealed cannot be looked into, and says so.
    data(dir.path());
    run(Command::new("zip")
        .args(["-q", "-P", "x", "sealed.zip", "data/pages.xml"])
        .current_dir(dir.path()));
    assert!(look(&dir.path().join("sealed.zip")).is_err());
}

#[test]
fn a_configuration_is_parsed_as_what_the_policy_says_it_is() {
    let dir = temp_dir("handed").unwrap();
    let file = dir.path().join("backup");
    let mut out = fs::File::create(&file).unwrap();
    out.write_all(b"<?xml version=\"1.0\"?>\n<config>\n  <rule id=\"1\"/>\n</config>\n")
        .unwrap();
    drop(out);
    let seen = look_into(&file, Some(HandedFormat::Xml)).unwrap();
    assert_eq!((seen.parts, seen.format), (4, HandedFormat::Xml));
    assert!(look_into(&file, Some(HandedFormat::Json)).is_err());
    // By its name it is anything.
    assert_eq!(look(&file).unwrap().format, HandedFormat::Any);
    let long = dir.path().join("long.xml");
    let made = fs::File::create(&long).unwrap();
    made.set_len(65 << 20).unwrap();
    assert!(matches!(look(&long), Err(HandedError::TooLong { .. })));
}
