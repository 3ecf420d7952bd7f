//! From what the file system knows to what the repository holds, and back.

use vouchsafe_format::{Node, NodeKind, Timestamp, Xattr, go_mode_from_unix, unix_mode_from_go};
use vouchsafe_host::inode::{self, Inode, Kind};
use vouchsafe_model::Time;

/// A file or directory of a point that exists nowhere else.
pub(crate) fn made(name: &str, kind: NodeKind, at: Time) -> Node {
    let micros = at.micros();
    let nanos = u32::try_from(micros.rem_euclid(1_000_000) * 1000).unwrap_or(0);
    let at = Timestamp::utc(micros.div_euclid(1_000_000), nanos);
    let mode = if kind == NodeKind::Dir {
        0o040_700
    } else {
        0o100_600
    };
    Node {
        name: name.as_bytes().to_vec(),
        kind,
        mode: go_mode_from_unix(mode),
        mtime: at,
        atime: at,
        ctime: at,
        links: 1,
        ..Node::default()
    }
}

/// The node for a name. The time of last access is recorded as that of the last change, so that reading a file does
/// not make it another one; devices are recorded for files with several names only, as restic does.
pub(crate) fn of_inode(name: &[u8], from: &Inode) -> Node {
    let linked = from.kind != Kind::Directory && from.nlink > 1;
    let device = matches!(from.kind, Kind::CharDevice | Kind::BlockDevice);
    Node {
        name: name.to_vec(),
        kind: kind(from.kind),
        mode: go_mode_from_unix(type_bits(from.kind) | from.mode),
        mtime: time(from.mtime),
        atime: time(from.mtime),
        ctime: time(from.ctime),
        uid: from.uid,
        gid: from.gid,
        user: from.user.clone().unwrap_or_default(),
        group: from.group.clone().unwrap_or_default(),
        inode: from.ino,
        device_id: if linked { from.dev } else { 0 },
        size: if from.kind == Kind::File {
            from.size
        } else {
            0
        },
        links: if from.kind == Kind::Directory {
            0
        } else {
            from.nlink
        },
        device: if device { from.rdev } else { 0 },
        ..Node::default()
    }
}

/// The node's extended attributes from those of the file system.
pub(crate) fn attributes(from: Vec<inode::Xattr>) -> Vec<Xattr> {
    from.into_iter()
        .map(|x| Xattr {
            name: x.name,
            value: x.value,
        })
        .collect()
}

/// The permission bits of a node with set-user, set-group and sticky.
pub(crate) fn permissions(node: &Node) -> u32 {
    unix_mode_from_go(node.mode) & 0o7777
}

/// The node's time for the file system.
pub(crate) fn host_time(at: Timestamp) -> inode::Timestamp {
    inode::Timestamp {
        seconds: at.secs,
        nanoseconds: at.nanos,
    }
}

/// The file system's time for a node.
pub(crate) fn time(at: inode::Timestamp) -> Timestamp {
    Timestamp::utc(at.seconds, at.nanoseconds)
}

/// The repository's kind.
pub(crate) fn kind(kind: Kind) -> NodeKind {
    match kind {
        Kind::File => NodeKind::File,
        Kind::Directory => NodeKind::Dir,
        Kind::Symlink => NodeKind::Symlink,
        Kind::Fifo => NodeKind::Fifo,
        Kind::Socket => NodeKind::Socket,
        Kind::CharDevice => NodeKind::CharDev,
        Kind::BlockDevice => NodeKind::Dev,
        Kind::Unknown => NodeKind::Irregular("irregular".to_owned()),
    }
}

/// The bits of `st_mode` that tell the kind.
fn type_bits(kind: Kind) -> u32 {
    match kind {
        Kind::File => 0o100_000,
        Kind::Directory => 0o040_000,
        Kind::Symlink => 0o120_000,
        Kind::Fifo => 0o010_000,
        Kind::Socket => 0o140_000,
        Kind::CharDevice => 0o020_000,
        Kind::BlockDevice => 0o060_000,
        Kind::Unknown => 0,
    }
}
