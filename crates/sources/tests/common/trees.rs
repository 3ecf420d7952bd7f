//! Trees of files for tests.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};

use super::{World, sh};

/// A tree with everything that a file system can hold; devices and foreign owners as root.
pub fn awkward_tree(world: &World) -> std::path::PathBuf {
    let root = world.path("srv/www");
    fs::create_dir_all(root.join("deep/er/est")).expect("directories");
    fs::create_dir(root.join("empty")).expect("a directory");
    fs::write(root.join("index.html"), "hello").expect("writes");
    fs::write(root.join("nothing"), "").expect("writes");
    let big: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    fs::write(root.join("deep/big"), big).expect("writes");
    for name in [
        &b"\xff\xfe"[..],
        b"new\nline",
        "ä ö".as_bytes(),
        b"-rf",
        b"back\\slash",
        b"quote\"'",
    ] {
        fs::write(root.join(OsStr::from_bytes(name)), name).expect("writes");
    }
    symlink("/nowhere/at all", root.join("dangling")).expect("links");
    symlink(OsStr::from_bytes(b"../\xff"), root.join("deep/link")).expect("links");
    fs::hard_link(root.join("index.html"), root.join("deep/er/same")).expect("links");
    sh(
        &root,
        "mkfifo pipe; chmod 640 pipe; truncate -s 3M sparse; printf end >>sparse; printf x | dd of=sparse bs=1 seek=1500000 conv=notrunc 2>/dev/null",
    );
    sh(&root, "echo same >one; echo same >two; touch -d @7 one two");
    sh(
        &root,
        "setfattr -n user.colour -v blue index.html 2>/dev/null || python3 -c 'import os; os.setxattr(\"index.html\", \"user.colour\", b\"blue\")'",
    );
    sh(
        &root,
        "setfacl -m u:1234:rw index.html; setfacl -d -m g:55:rx deep/er; chmod 4755 nothing; chmod 1777 empty; chmod 0500 deep/er/est",
    );
    if is_root() {
        sh(
            &root,
            "mknod null c 1 3; mknod disk b 7 200; chown 1234:4321 deep/big; chown -h 1234:4321 dangling; chown 7:8 deep",
        );
    }
    sh(
        &root,
        "python3 -c 'import os; os.utime(\"deep/big\", ns=(5, 1234567890123456789)); os.utime(\"dangling\", ns=(5, 987654321), follow_symlinks=False); os.utime(\"deep/er\", ns=(1, -1500000000)); os.utime(\"deep\", ns=(1, 1000000001))'",
    );
    let _listening = std::os::unix::net::UnixListener::bind(root.join("socket")).expect("a socket");
    root
}

pub fn is_root() -> bool {
    fs::metadata("/proc/self").expect("procfs").uid() == 0
}
