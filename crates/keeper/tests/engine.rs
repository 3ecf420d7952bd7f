//! The example `engine`, which the benchmark drives: each of its verbs does what it says, or fails.

#[allow(dead_code)]
#[path = "../examples/engine/main.rs"]
mod example;

use std::fs;
use std::io::Cursor;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use vouchsafe_host::files::{TempDir, temp_dir};

/// A tree, a password and an empty repository.
struct Bench(TempDir);

impl Bench {
    fn new() -> Self {
        let bench = Self(temp_dir("engine").unwrap());
        let password = bench.path("password");
        fs::write(&password, "secret").unwrap();
        fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
        fs::create_dir_all(bench.path("tree/deep")).unwrap();
        fs::write(bench.path("tree/one"), "first").unwrap();
        fs::write(bench.path("tree/deep/two"), vec![7; 3_000_000]).unwrap();
        bench.good("init", &[]);
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn run(&self, verb: &str, words: &[&str]) -> example::Done {
        let (repository, password) = (self.text("repo"), self.text("password"));
        let mut all = vec![verb, &repository, &password];
        all.extend(words);
        example::work(&all)
    }

    fn good(&self, verb: &str, words: &[&str]) -> Value {
        self.run(verb, words).unwrap()
    }

    fn tree(&self) -> String {
        self.text("tree")
    }
}

#[test]
fn what_is_backed_up_comes_back_and_what_is_unchanged_is_not_read_again() {
    let bench = Bench::new();
    let first = bench.good("backup", &[&bench.tree()]);
    assert_eq!(first["files_new"], 2);
    assert_eq!(first["bytes_read"], 3_000_005);
    let second = bench.good("backup", &[&bench.tree()]);
    assert_eq!(
        (&second["files_unchanged"], &second["bytes_read"]),
        (&2.into(), &0.into())
    );
    let target = bench.path("target");
    let restored = bench.good("restore", &["latest", &target.display().to_string()]);
    assert_eq!(restored["bytes"], 3_000_005);
    assert_eq!(fs::read(target.join("one")).unwrap(), b"first");
    assert_eq!(
        fs::read(target.join("deep/two")).unwrap(),
        vec![7; 3_000_000]
    );
    let pruned = bench.good("prune", &[]);
    assert_eq!(pruned["removed_packs"], 0);
    assert_eq!(bench.good("check", &["--read-data"])["snapshots"], 2);
}

#[test]
fn a_stream_that_is_shorter_or_longer_than_announced_is_no_backup() {
    let bench = Bench::new();
    for (announced, kept) in [(5, true), (4, false), (6, false)] {
        let (repository, password) = (bench.text("repo"), bench.text("password"));
        let opened = example::Engine::open(&repository, &password).unwrap();
        let done = opened.backup_stream("dump", announced, Cursor::new(b"bytes"), true);
        assert_eq!(done.is_ok(), kept, "{announced}");
    }
    assert_eq!(bench.good("check", &["--read-data"])["snapshots"], 1);
}

#[test]
fn a_check_that_reads_data_sees_a_flipped_byte() {
    let bench = Bench::new();
    bench.good("backup", &[&bench.tree()]);
    bench.good("check", &["--read-data"]);
    let pack = largest(&bench.path("repo/data"));
    let mut bytes = fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::set_permissions(&pack, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&pack, bytes).unwrap();
    let error = bench
        .run("check", &["--read-data"])
        .unwrap_err()
        .to_string();
    assert!(error.contains("problem"), "{error}");
}

#[test]
fn made_up_blobs_are_listed_and_do_not_hinder_a_backup() {
    let bench = Bench::new();
    let made = bench.good("many-blobs", &["120050"]);
    assert_eq!(
        (&made["blobs"], &made["files"]),
        (&120_050.into(), &3.into())
    );
    let first = bench.good("backup", &[&bench.tree()]);
    assert_eq!(first["files_new"], 2);
}

fn largest(root: &Path) -> PathBuf {
    let folders = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files = folders.flat_map(|folder| fs::read_dir(folder).unwrap());
    files
        .map(|entry| entry.unwrap().path())
        .max_by_key(|path| fs::metadata(path).unwrap().len())
        .unwrap()
}
