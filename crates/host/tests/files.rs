//! Our own files: limits, durable replacement, exclusive creation, removal.

use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::{AtomicUsize, Ordering};

use vouchsafe_host::files;

fn mode(path: &std::path::Path) -> u32 {
    std::fs::metadata(path).expect("looks").permissions().mode() & 0o7777
}

#[test]
fn reading_has_a_limit() {
    let dir = files::temp_dir("files-").expect("a directory");
    let path = dir.path().join("file");
    files::write_atomic(&path, b"12345", 0o600).expect("writes");
    assert_eq!(files::read(&path, 5).expect("fits"), b"12345");
    let error = files::read(&path, 4).expect_err("too long");
    assert_eq!(error.kind(), ErrorKind::FileTooLarge);
    // Files of procfs claim to have no length.
    assert!(files::read("/proc/self/status", 10).is_err());
    assert!(
        !files::read("/proc/self/status", 1 << 20)
            .expect("reads")
            .is_empty()
    );
    files::write_atomic(&path, b"\xff", 0o600).expect("writes");
    assert_eq!(
        files::read_to_string(&path, 9).expect_err("no text").kind(),
        ErrorKind::InvalidData
    );
    let missing = files::read(dir.path().join("none"), 9).expect_err("missing");
    assert!(missing.is_not_found() && missing.to_string().contains("none"));
}

#[test]
fn replacing_keeps_the_mode_asked_for_and_leaves_nothing_beside() {
    let dir = files::temp_dir("files-").expect("a directory");
    assert_eq!(mode(dir.path()), 0o700);
    let path = dir.path().join("file");
    for (bytes, bits) in [
        (&b"first"[..], 0o644),
        (b"second", 0o400),
        (b"third", 0o600),
    ] {
        files::write_atomic(&path, bytes, bits).expect("writes");
        assert_eq!(files::read(&path, 99).expect("reads"), bytes);
        assert_eq!(mode(&path), bits);
    }
    assert_eq!(files::list_dir(dir.path()).expect("lists"), ["file"]);
    let taken = dir.path().join("directory");
    files::create_dir(&taken, 0o700).expect("makes");
    files::create_dir(taken.join("full"), 0o700).expect("makes");
    assert!(files::write_atomic(&taken, b"x", 0o600).is_err());
    assert_eq!(
        files::list_dir(dir.path()).expect("lists"),
        ["directory", "file"]
    );
}

#[test]
fn names_are_created_once() {
    let dir = files::temp_dir("files-").expect("a directory");
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    drop(files::create_new(&a, 0o640).expect("creates"));
    assert_eq!(mode(&a), 0o640);
    assert_eq!(
        files::create_new(&a, 0o600).expect_err("taken").kind(),
        ErrorKind::AlreadyExists
    );
    files::rename_new(&a, &b).expect("moves");
    assert!(!files::exists(&a).expect("looks") && files::exists(&b).expect("looks"));
    drop(files::create_new(&a, 0o600).expect("creates"));
    assert_eq!(
        files::rename_new(&a, &b).expect_err("taken").kind(),
        ErrorKind::AlreadyExists
    );
    assert_eq!(
        files::hard_link(&a, &b).expect_err("taken").kind(),
        ErrorKind::AlreadyExists
    );
    files::rename(&a, &b).expect("replaces");
    assert!(!files::exists(&a).expect("looks"));
}

#[test]
fn one_of_many_renames_wins() {
    let dir = files::temp_dir("files-").expect("a directory");
    let wins = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for runner in 0..8 {
            let (dir, wins) = (dir.path(), &wins);
            scope.spawn(move || {
                let own =
                    files::write_temporary(&dir.join("goal"), &[runner], 0o600).expect("writes");
                if files::rename_new(&own, dir.join("goal")).is_ok() {
                    wins.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(wins.into_inner(), 1);
}

#[test]
fn removing_follows_no_links_and_is_repeatable() {
    let dir = files::temp_dir("files-").expect("a directory");
    let (tree, kept) = (dir.path().join("tree"), dir.path().join("kept"));
    files::create_dir_all(tree.join("a/b"), 0o700).expect("makes");
    files::write_atomic(&kept, b"x", 0o600).expect("writes");
    symlink("..", tree.join("a/up")).expect("links");
    files::remove_tree(&tree).expect("removes");
    files::remove_tree(&tree).expect("is gone already");
    assert!(files::exists(&kept).expect("looks"));
    files::remove_file(&kept).expect("removes");
    files::remove_file(&kept).expect("is gone already");
    assert_eq!(mode(dir.path()), 0o700);
}

#[test]
fn listings_are_sorted_and_say_what_is_what() {
    let dir = files::temp_dir("files-").expect("a directory");
    files::write_atomic(dir.path().join("b"), b"12", 0o600).expect("writes");
    files::create_dir(dir.path().join("a"), 0o700).expect("makes");
    symlink("b", dir.path().join("c")).expect("links");
    symlink("none", dir.path().join("dangling")).expect("links");
    let found = files::list_entries(dir.path()).expect("lists");
    let short: Vec<(&str, bool)> = found
        .iter()
        .map(|e| (e.name.to_str().expect("text"), e.is_dir))
        .collect();
    assert_eq!(short, [("a", true), ("b", false), ("c", false)]);
    assert_eq!(found.last().map(|e| e.size), Some(2));
    assert_eq!(files::size(dir.path().join("b")).expect("looks"), 2);
    assert!(files::size_and_time(dir.path().join("a")).is_err());
    assert_eq!(files::list_dir(dir.path()).expect("lists").len(), 4);
}

#[test]
fn a_temporary_directory_goes_or_stays_as_asked() {
    let gone = files::temp_dir("files-").expect("a directory");
    let path = gone.path().to_path_buf();
    gone.close().expect("removes");
    assert!(!files::exists(&path).expect("looks"));
    let outer = files::temp_dir("files-").expect("a directory");
    let kept = files::temp_dir_in(outer.path(), "inner-")
        .expect("a directory")
        .keep();
    assert!(files::exists(&kept).expect("looks"));
    let (free, total) = files::free_space(outer.path()).expect("asks");
    assert!(free <= total && total > 0);
    // As `df` has it; others write meanwhile.
    let df = std::process::Command::new("df")
        .args(["-B1", "--output=used,avail"])
        .arg(outer.path())
        .output()
        .expect("df runs");
    let said = String::from_utf8(df.stdout).expect("text");
    let figures = said.lines().nth(1).expect("a line").split_whitespace();
    let whole: u64 = figures.map(|f| f.parse::<u64>().expect("a number")).sum();
    assert!(whole.abs_diff(total) < total / 20, "{total} or {said}");
}
