//! Reading metadata and content for a capture: no link followed, nothing blocks.

use std::ffi::OsStr;
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::time::{Duration, Instant};

use vouchsafe_host::{DestDir, Kind, Timestamp, inode};

#[test]
fn metadata_is_that_of_the_name_and_equals_what_the_system_says() {
    let dir = tempfile::tempdir().expect("a directory");
    let (file, link) = (dir.path().join("file"), dir.path().join("link"));
    std::fs::write(&file, b"12345").expect("writes");
    symlink("file", &link).expect("links");
    std::fs::hard_link(&file, dir.path().join("second")).expect("links");
    let found = inode::lstat(&file).expect("looks");
    let meta = std::fs::metadata(&file).expect("looks");
    assert_eq!(found.kind, Kind::File);
    assert_eq!(
        (found.ino, found.dev, found.nlink),
        (meta.ino(), meta.dev(), 2)
    );
    assert_eq!((found.size, found.blocks), (5, meta.blocks()));
    assert_eq!(found.mode, meta.mode() & 0o7777);
    let nanoseconds = u32::try_from(meta.ctime_nsec()).expect("small");
    assert_eq!(
        found.ctime,
        Timestamp {
            seconds: meta.ctime(),
            nanoseconds
        }
    );
    assert_eq!(found.user.as_deref(), (meta.uid() == 0).then_some("root"));
    assert_eq!(inode::lstat(&link).expect("looks").kind, Kind::Symlink);
    assert_eq!(
        inode::lstat(dir.path()).expect("looks").kind,
        Kind::Directory
    );
    assert_eq!(
        inode::lstat("/dev/null").expect("looks").kind,
        Kind::CharDevice
    );
    assert!(inode::lstat(dir.path().join("none")).is_err_and(|e| e.is_not_found()));
}

#[test]
fn names_and_targets_are_raw_bytes() {
    let dir = tempfile::tempdir().expect("a directory");
    let names: [&[u8]; 3] = [b"\xff\xfe", b"a\nb", b"plain"];
    for name in names {
        std::fs::write(dir.path().join(OsStr::from_bytes(name)), b"").expect("writes");
    }
    symlink(OsStr::from_bytes(b"\x80/x"), dir.path().join("link")).expect("links");
    let mut expected: Vec<Vec<u8>> = names.map(<[u8]>::to_vec).into();
    expected.push(b"link".to_vec());
    expected.sort();
    assert_eq!(inode::read_dir(dir.path()).expect("lists"), expected);
    assert_eq!(
        inode::read_link(dir.path().join("link")).expect("reads"),
        b"\x80/x"
    );
    assert!(inode::read_link(dir.path().join("plain")).is_err());
}

#[test]
fn content_is_opened_only_from_regular_files_and_never_waits() {
    let dir = tempfile::tempdir().expect("a directory");
    let dest = DestDir::open(dir.path()).expect("opens");
    std::fs::write(dir.path().join("file"), b"content").expect("writes");
    symlink("file", dir.path().join("link")).expect("links");
    dest.mkfifo(b"fifo", 0o600).expect("makes");
    std::os::unix::net::UnixListener::bind(dir.path().join("socket")).expect("binds");

    let mut text = String::new();
    let mut file = inode::open_content(dir.path().join("file")).expect("opens");
    assert_eq!(inode::fstat(&file).expect("looks").size, 7);
    file.read_to_string(&mut text).expect("reads");
    assert_eq!(text, "content");

    let started = Instant::now();
    for name in ["link", "fifo", "socket", "."] {
        assert!(
            inode::open_content(dir.path().join(name)).is_err(),
            "{name} was opened"
        );
    }
    let fifo = inode::open_content(dir.path().join("fifo")).expect_err("refused");
    assert_eq!(fifo.kind(), ErrorKind::InvalidInput);
    assert!(inode::open_content("/dev/zero").is_err());
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn reading_leaves_the_access_time_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("file");
    std::fs::write(&path, b"content").expect("writes");
    let dest = DestDir::open(dir.path()).expect("opens");
    let long_ago = Timestamp {
        seconds: 1_000_000,
        nanoseconds: 5,
    };
    dest.set_times(b"file", long_ago, long_ago)
        .expect("sets the times");
    let mut text = String::new();
    inode::open_content(&path)
        .expect("opens")
        .read_to_string(&mut text)
        .expect("reads");
    assert_eq!(inode::lstat(&path).expect("looks").atime, long_ago);
}

#[test]
fn attributes_are_those_of_the_name_and_sorted() {
    let dir = tempfile::tempdir().expect("a directory");
    let (file, link) = (dir.path().join("file"), dir.path().join("link"));
    std::fs::write(&file, b"").expect("writes");
    symlink("file", &link).expect("links");
    for (name, value) in [
        ("user.b", &b"2"[..]),
        ("user.a", b""),
        ("user.\u{e9}", b"\xff"),
    ] {
        xattr::set(&file, name, value).expect("the file system keeps attributes");
    }
    let found = inode::xattrs(&file).expect("reads");
    let names: Vec<&[u8]> = found
        .iter()
        .map(|attribute| attribute.name.as_slice())
        .collect();
    assert_eq!(names, [&b"user.a"[..], b"user.b", "user.\u{e9}".as_bytes()]);
    assert_eq!(
        found.last().map(|attribute| attribute.value.as_slice()),
        Some(&b"\xff"[..])
    );
    assert_eq!(inode::xattrs(&link).expect("reads"), []);
    assert_eq!(
        inode::xattrs("/proc/self/status").expect("no attributes there"),
        []
    );
}
