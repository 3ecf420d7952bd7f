//! Restoring below a directory: everything comes back, nothing gets out.

use std::io::Read;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;

use proptest::prelude::*;
use vouchsafe_host::{DestDir, DestError, Kind, Timestamp, Xattr, inode, machine};

fn dest() -> (tempfile::TempDir, DestDir) {
    let dir = tempfile::tempdir().expect("a directory");
    let dest = DestDir::create(dir.path().join("restored")).expect("opens");
    (dir, dest)
}

fn attribute(name: &str, value: &[u8]) -> Xattr {
    Xattr {
        name: name.as_bytes().to_vec(),
        value: value.to_vec(),
    }
}

/// Every way of changing something through a path.
fn attempts(dest: &DestDir, path: &[u8]) -> Vec<(&'static str, Result<(), DestError>)> {
    let when = Timestamp {
        seconds: 1,
        nanoseconds: 2,
    };
    vec![
        ("mkdir", dest.mkdir(path, 0o755)),
        ("symlink", dest.symlink(b"x", path)),
        ("mkfifo", dest.mkfifo(path, 0o644)),
        ("mknod", dest.mknod(path, Kind::CharDevice, 0o644, 0x103)),
        ("hard_link from", dest.hard_link(path, b"new")),
        ("hard_link to", dest.hard_link(b"known", path)),
        ("create_file", dest.create_file(path, 0o644).map(drop)),
        ("open_read", dest.open_read(path).map(drop)),
        ("open_write", dest.open_write(path).map(drop)),
        ("lstat", dest.lstat(path).map(drop)),
        ("read_link", dest.read_link(path).map(drop)),
        ("read_dir", dest.read_dir(path).map(drop)),
        ("xattrs", dest.xattrs(path).map(drop)),
        (
            "set_xattrs",
            dest.set_xattrs(path, &[attribute("user.x", b"y")]),
        ),
        ("lchown", dest.lchown(path, 1, 1)),
        ("chmod", dest.chmod(path, 0o777)),
        ("set_times", dest.set_times(path, when, when)),
        ("remove_file", dest.remove_file(path)),
        ("remove_dir", dest.remove_dir(path)),
    ]
}

#[test]
fn paths_that_are_not_plain_are_refused_by_every_call() {
    let (dir, dest) = dest();
    dest.create_file(b"known", 0o600)
        .expect("creates")
        .finish(0)
        .expect("finishes");
    std::fs::write(dir.path().join("outside"), b"safe").expect("writes");
    let bad: [&[u8]; 12] = [
        b"",
        b"/",
        b"/etc/passwd",
        b"..",
        b"../outside",
        b"a/../../outside",
        b"a//b",
        b"a/",
        b"./a",
        b"a/.",
        b"a\0b",
        b"a/..",
    ];
    for path in bad {
        for (call, result) in attempts(&dest, path) {
            assert!(
                matches!(result, Err(DestError::Rejected { .. })),
                "{call} {path:?}: {result:?}"
            );
        }
    }
    assert_eq!(
        std::fs::read(dir.path().join("outside")).expect("reads"),
        b"safe"
    );
}

/// What an attacker with a hand in the destination would do: a link where a directory was.
#[test]
fn a_link_swapped_into_the_way_is_never_followed() {
    let (dir, dest) = dest();
    dest.create_file(b"known", 0o600)
        .expect("creates")
        .finish(0)
        .expect("finishes");
    let outside = dir.path().join("outside");
    std::fs::create_dir(&outside).expect("makes");
    std::fs::write(outside.join("file"), b"safe").expect("writes");
    let before = snapshot(&outside);
    for target in [outside.clone(), "../outside".into()] {
        let trap = dest.path().join("trap");
        symlink(&target, &trap).expect("links");
        for path in [&b"trap/file"[..], b"trap/new", b"trap/sub/new"] {
            for (call, result) in attempts(&dest, path) {
                assert!(
                    matches!(result, Err(DestError::Escape { .. })),
                    "{call}: {result:?}"
                );
            }
        }
        std::fs::remove_file(&trap).expect("removes");
    }
    assert_eq!(snapshot(&outside), before);
}

#[test]
fn a_link_at_the_end_is_itself_what_is_changed() {
    let (dir, dest) = dest();
    dest.create_file(b"known", 0o600)
        .expect("creates")
        .finish(0)
        .expect("finishes");
    let outside = dir.path().join("file");
    std::fs::write(&outside, b"safe").expect("writes");
    let looked = || {
        let meta = std::fs::metadata(&outside).expect("looks");
        (
            meta.mode(),
            meta.uid(),
            meta.mtime(),
            meta.len(),
            xattr::get(&outside, "user.x").ok(),
        )
    };
    let before = looked();
    for (call, _) in attempts(&dest, b"nothing") {
        let link = dest.path().join("link");
        let _ = std::fs::remove_file(&link);
        let _ = std::fs::remove_file(dest.path().join("new"));
        symlink(&outside, &link).expect("links");
        let (_, result) = attempts(&dest, b"link").swap_remove(index_of(call));
        if [
            "create_file",
            "open_read",
            "open_write",
            "mkdir",
            "mknod",
            "read_dir",
        ]
        .contains(&call)
        {
            assert!(result.is_err(), "{call}");
        }
        assert_eq!(looked(), before, "{call} went through the link");
    }
}

fn index_of(call: &str) -> usize {
    let (_dir, dest) = dest();
    let calls = attempts(&dest, b"nothing");
    calls
        .iter()
        .position(|(name, _)| *name == call)
        .expect("known")
}

#[test]
fn everything_comes_back_as_it_was_asked_for() {
    assert_eq!(machine::uid(), 0, "owners and devices need root");
    let (_dir, dest) = dest();
    let name = b"n\xffa\ntme \xe2\x98\x83";
    let nested = [&b"sub/"[..], name].concat();
    dest.mkdir(b"sub", 0o2750).expect("makes");
    let mut writer = dest.create_file(&nested, 0o4755).expect("creates");
    writer.write_at(0, b"content").expect("writes");
    writer.finish(7).expect("finishes");
    dest.symlink(b"/no/where\xff", b"sub/link").expect("links");
    dest.hard_link(&nested, b"sub/hard").expect("links");
    dest.mkfifo(b"fifo", 0o622).expect("makes");
    dest.mknod(b"null", Kind::CharDevice, 0o666, 0x103)
        .expect("makes");
    dest.mknod(b"disk", Kind::BlockDevice, 0o660, 0x700)
        .expect("makes");
    dest.mknod(b"socket", Kind::Socket, 0o600, 0)
        .expect("makes");

    let when = Timestamp {
        seconds: -5,
        nanoseconds: 123_456_789,
    };
    let read = Timestamp {
        seconds: 4_000_000_000,
        nanoseconds: 999_999_999,
    };
    let acl = b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x04\0\x0d\0\0\0\x04\0\x04\0\xff\xff\xff\xff\x10\0\x04\0\xff\xff\xff\xff\x20\0\x04\0\xff\xff\xff\xff";
    let attributes = [
        attribute("system.posix_acl_access", acl),
        attribute("trusted.vouchsafe", b""),
        attribute("user.note", b"a\0\xff"),
    ];
    let all = [
        &nested[..],
        b"sub/link",
        b"fifo",
        b"null",
        b"disk",
        b"socket",
        b"sub",
    ];
    for path in all {
        dest.lchown(path, 12_345, 54_321).expect("owns");
    }
    dest.chmod(&nested, 0o4755).expect("sets the mode");
    dest.chmod(b"sub", 0o2750).expect("sets the mode");
    dest.chmod(b"sub/link", 0o600)
        .expect("links have no mode, and that is fine");
    let supported = dest.set_xattrs(&nested, &attributes);
    let link_attribute = attribute("trusted.link", b"mine");
    dest.set_xattrs(b"sub/link", std::slice::from_ref(&link_attribute))
        .expect("links have attributes");
    for path in all {
        dest.set_times(path, read, when).expect("sets the times");
    }

    supported.expect("the file system of this machine keeps attributes and lists of rights");
    assert_eq!(dest.xattrs(&nested).expect("reads"), attributes);
    assert_eq!(dest.xattrs(b"sub/link").expect("reads"), [link_attribute]);
    for path in all {
        let found = dest.lstat(path).expect("looks");
        assert_eq!((found.uid, found.gid), (12_345, 54_321));
        assert_eq!((found.mtime, found.atime), (when, read), "{path:?}");
        assert_eq!((found.user, found.group), (None, None));
    }
    let file = dest.lstat(&nested).expect("looks");
    // The list of rights decides the group's bits.
    assert_eq!(
        (file.kind, file.mode, file.nlink, file.size),
        (Kind::File, 0o4644, 2, 7)
    );
    assert_eq!(dest.lstat(b"sub/hard").expect("looks").ino, file.ino);
    assert_eq!(dest.lstat(b"sub").expect("looks").mode, 0o2750);
    assert_eq!(
        dest.read_link(b"sub/link").expect("reads"),
        b"/no/where\xff"
    );
    let kinds = [
        (&b"fifo"[..], Kind::Fifo, 0o622, 0),
        (b"null", Kind::CharDevice, 0o666, 0x103),
    ];
    for (path, kind, mode, rdev) in kinds {
        let found = dest.lstat(path).expect("looks");
        assert_eq!((found.kind, found.mode, found.rdev), (kind, mode, rdev));
    }
    assert_eq!(dest.lstat(b"disk").expect("looks").rdev, 0x700);
    assert_eq!(dest.lstat(b"socket").expect("looks").kind, Kind::Socket);
    let names = dest.read_dir(b"sub").expect("lists");
    assert_eq!(names, [b"hard".to_vec(), b"link".to_vec(), name.to_vec()]);
    let mut content = String::new();
    dest.open_read(&nested)
        .expect("opens")
        .read_to_string(&mut content)
        .expect("reads");
    assert_eq!(content, "content");
    // What was restored reads the same from the capturing side.
    let from_outside = inode::lstat(dest.path().join("sub/link")).expect("looks");
    assert_eq!(from_outside, dest.lstat(b"sub/link").expect("looks"));
}

#[test]
fn the_root_itself_has_metadata() {
    let (_dir, dest) = dest();
    let when = Timestamp {
        seconds: 99,
        nanoseconds: 1,
    };
    dest.chmod(b".", 0o751).expect("sets the mode");
    dest.set_xattrs(b".", &[attribute("user.root", b"1")])
        .expect("sets");
    dest.set_times(b".", when, when).expect("sets the times");
    let found = dest.lstat(b".").expect("looks");
    assert_eq!(
        (found.kind, found.mode, found.mtime),
        (Kind::Directory, 0o751, when)
    );
    assert_eq!(dest.xattrs(b".").expect("reads").len(), 1);
    assert_eq!(dest.read_dir(b".").expect("lists"), Vec::<Vec<u8>>::new());
    dest.sync().expect("syncs");
}

#[test]
fn taken_names_and_missing_parents_are_told_apart() {
    let (_dir, dest) = dest();
    dest.mkdir(b"a", 0o700).expect("makes");
    assert!(
        dest.mkdir(b"a", 0o700)
            .is_err_and(|e| e.is_already_exists())
    );
    assert!(
        dest.create_file(b"a", 0o600)
            .is_err_and(|e| e.is_already_exists())
    );
    assert!(
        dest.mkdir(b"none/a", 0o700)
            .is_err_and(|e| e.is_not_found())
    );
    assert!(!dest.exists(b"none").expect("looks"));
    assert!(dest.exists(b"a").expect("looks"));
    dest.symlink(b"nowhere", b"dangling").expect("links");
    assert!(dest.exists(b"dangling").expect("looks"));
    dest.create_file(b"file", 0o600)
        .expect("creates")
        .finish(0)
        .expect("finishes");
    let through_a_file = dest.mkdir(b"file/a", 0o700).expect_err("not a directory");
    assert_eq!(
        through_a_file.kind(),
        Some(std::io::ErrorKind::NotADirectory)
    );
    let nobody = dest.lchown(b"a", u32::MAX, 0);
    assert!(matches!(nobody, Err(DestError::Rejected { .. })));
}

fn snapshot(dir: &Path) -> Vec<(std::ffi::OsString, u32, u32, i64, u64)> {
    let mut out = vec![describe(dir)];
    for entry in std::fs::read_dir(dir).expect("lists") {
        out.push(describe(&entry.expect("an entry").path()));
    }
    out.sort();
    out
}

fn describe(path: &Path) -> (std::ffi::OsString, u32, u32, i64, u64) {
    let meta = std::fs::symlink_metadata(path).expect("looks");
    (
        path.into(),
        meta.mode(),
        meta.uid(),
        meta.mtime_nsec(),
        meta.nlink(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever the path, and whatever links lie in the way, nothing appears outside.
    #[test]
    fn no_path_creates_anything_outside(
        parts in proptest::collection::vec(
            prop_oneof!["up", "root", "self", "a", "\\.\\.", "\\.", "", "[a-c]{1,2}"], 1..6),
        lead in prop_oneof!["", "/"],
    ) {
        let (dir, dest) = dest();
        symlink("..", dest.path().join("up")).expect("links");
        symlink("/", dest.path().join("root")).expect("links");
        symlink(".", dest.path().join("self")).expect("links");
        dest.mkdir(b"a", 0o700).expect("makes");
        symlink("../..", dest.path().join("a/up")).expect("links");
        let path = format!("{lead}{}", parts.join("/"));
        let _ = dest.mkdir(path.as_bytes(), 0o700);
        let _ = dest.create_file(path.as_bytes(), 0o600);
        let beside: Vec<_> = std::fs::read_dir(dir.path()).expect("lists").collect();
        prop_assert_eq!(beside.len(), 1, "{}", path);
    }
}
