//! One entry of a directory: a file, a directory, a link, a device.

use std::collections::BTreeMap;

use crate::id::Id;
use crate::timestamp::Timestamp;

/// An entry of a directory, with all its metadata.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Node {
    /// The name, in the bytes of the file system: no path.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: NodeKind,
    /// Permissions and kind as bits of Go's `FileMode`: see [`go_mode_from_unix`].
    pub mode: u32,
    /// When the content changed.
    pub mtime: Timestamp,
    /// When it was last read.
    pub atime: Timestamp,
    /// When the metadata changed.
    pub ctime: Timestamp,
    /// Owner, by number.
    pub uid: u32,
    /// Group, by number.
    pub gid: u32,
    /// Owner, by name; empty if not known.
    pub user: String,
    /// Group, by name; empty if not known.
    pub group: String,
    /// Number of the inode.
    pub inode: u64,
    /// Number of the file system, for hard links only.
    pub device_id: u64,
    /// Bytes of a file.
    pub size: u64,
    /// Number of hard links.
    pub links: u64,
    /// Where a symbolic link points, in the bytes of the file system.
    pub linktarget: Vec<u8>,
    /// Extended attributes, access control lists among them.
    pub extended_attributes: Vec<Xattr>,
    /// Attributes of other systems, by name, as JSON text.
    pub generic_attributes: BTreeMap<String, String>,
    /// Number of a device.
    pub device: u64,
    /// A file's chunks, in order; `None` for everything that is no file.
    pub content: Option<Vec<Id>>,
    /// A directory's tree.
    pub subtree: Option<Id>,
    /// What could not be read of it, in words.
    pub error: String,
    /// How it was spelled when it was read; the default for a new node.
    pub spelling: Spelling,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum NodeKind {
    /// A regular file.
    #[default]
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
    /// A block device.
    Dev,
    /// A character device.
    CharDev,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// Anything else, by the name that the repository has for it.
    Irregular(String),
}

/// An extended attribute.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Xattr {
    /// Its name. Bytes that are not UTF-8 are lost in the format.
    pub name: Vec<u8>,
    /// Its value.
    pub value: Vec<u8>,
}

/// How a node was spelled where today's restic would spell it differently.
///
/// Older restics used other escapes for the same text. This is kept with the
/// node so that writing it again yields the same bytes, hence the same tree id.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Spelling {
    /// U+FFFD as an escape: there once was a byte that is not UTF-8.
    pub replaced: bool,
    /// Backspace and form feed as `\u0008` and `\u000c`.
    pub long_escapes: bool,
    /// The quoted name, if quoting it now would yield another form.
    pub name: Option<Box<str>>,
}

impl Node {
    /// Whether the name can be that of a directory's entry: not empty, not `.`
    /// or `..`, no slash, no zero byte.
    ///
    /// A restore must not follow any other name.
    pub fn has_safe_name(&self) -> bool {
        !matches!(self.name.as_slice(), b"" | b"." | b"..")
            && !self.name.iter().any(|b| matches!(b, b'/' | 0))
    }
}

impl NodeKind {
    /// The repository's name for it.
    pub fn as_str(&self) -> &str {
        match self {
            NodeKind::File => "file",
            NodeKind::Dir => "dir",
            NodeKind::Symlink => "symlink",
            NodeKind::Dev => "dev",
            NodeKind::CharDev => "chardev",
            NodeKind::Fifo => "fifo",
            NodeKind::Socket => "socket",
            NodeKind::Irregular(name) => name,
        }
    }

    /// The kind with this name.
    pub fn from_name(name: &str) -> NodeKind {
        match name {
            "file" => NodeKind::File,
            "dir" => NodeKind::Dir,
            "symlink" => NodeKind::Symlink,
            "dev" => NodeKind::Dev,
            "chardev" => NodeKind::CharDev,
            "fifo" => NodeKind::Fifo,
            "socket" => NodeKind::Socket,
            other => NodeKind::Irregular(other.to_owned()),
        }
    }
}

/// Go's `FileMode` for a Unix `st_mode`.
pub fn go_mode_from_unix(st_mode: u32) -> u32 {
    let kind = match st_mode & S_IFMT {
        S_IFREG => 0,
        S_IFDIR => GO_DIR,
        S_IFLNK => GO_SYMLINK,
        S_IFBLK => GO_DEVICE,
        S_IFCHR => GO_DEVICE | GO_CHAR_DEVICE,
        S_IFIFO => GO_NAMED_PIPE,
        S_IFSOCK => GO_SOCKET,
        _ => GO_IRREGULAR,
    };
    let special = SPECIAL.iter().filter(|(unix, _)| st_mode & unix != 0);
    special.fold(kind | (st_mode & 0o777), |mode, (_, go)| mode | go)
}

/// The Unix `st_mode` for Go's `FileMode`; the kind is 0 for an irregular file.
pub fn unix_mode_from_go(mode: u32) -> u32 {
    let kind = match mode & GO_TYPE {
        0 => S_IFREG,
        GO_DIR => S_IFDIR,
        GO_SYMLINK => S_IFLNK,
        GO_DEVICE => S_IFBLK,
        both if both == GO_DEVICE | GO_CHAR_DEVICE => S_IFCHR,
        GO_NAMED_PIPE => S_IFIFO,
        GO_SOCKET => S_IFSOCK,
        _ => 0,
    };
    let special = SPECIAL.iter().filter(|(_, go)| mode & go != 0);
    special.fold(kind | (mode & 0o777), |unix_mode, (unix, _)| {
        unix_mode | unix
    })
}

const S_IFMT: u32 = 0o170_000;
const S_IFSOCK: u32 = 0o140_000;
const S_IFLNK: u32 = 0o120_000;
const S_IFREG: u32 = 0o100_000;
const S_IFBLK: u32 = 0o060_000;
const S_IFDIR: u32 = 0o040_000;
const S_IFCHR: u32 = 0o020_000;
const S_IFIFO: u32 = 0o010_000;

const GO_DIR: u32 = 1 << 31;
const GO_SYMLINK: u32 = 1 << 27;
const GO_DEVICE: u32 = 1 << 26;
const GO_NAMED_PIPE: u32 = 1 << 25;
const GO_SOCKET: u32 = 1 << 24;
const GO_CHAR_DEVICE: u32 = 1 << 21;
const GO_IRREGULAR: u32 = 1 << 19;
const GO_TYPE: u32 =
    GO_DIR | GO_SYMLINK | GO_DEVICE | GO_NAMED_PIPE | GO_SOCKET | GO_CHAR_DEVICE | GO_IRREGULAR;

/// Set-user-id, set-group-id and sticky: Unix bit, Go bit.
const SPECIAL: [(u32, u32); 3] = [(0o4000, 1 << 23), (0o2000, 1 << 22), (0o1000, 1 << 20)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_modes_are_translated() {
        for (unix, go) in [
            (0o100_644, 0o644),
            (0o040_755, (1 << 31) | 0o755),
            (0o041_777, (1 << 31) | (1 << 20) | 0o777),
            (0o120_777, (1 << 27) | 0o777),
            (0o104_755, (1 << 23) | 0o755),
            (0o102_755, (1 << 22) | 0o755),
            (0o060_660, (1 << 26) | 0o660),
            (0o020_666, (1 << 26) | (1 << 21) | 0o666),
            (0o010_600, (1 << 25) | 0o600),
            (0o140_600, (1 << 24) | 0o600),
        ] {
            assert_eq!(go_mode_from_unix(unix), go, "{unix:o}");
            assert_eq!(unix_mode_from_go(go), unix, "{unix:o}");
        }
        assert_eq!(go_mode_from_unix(0o644), (1 << 19) | 0o644);
        assert_eq!(unix_mode_from_go((1 << 19) | 0o644), 0o644);
    }

    #[test]
    fn kinds_and_names_go_both_ways() {
        for name in [
            "file",
            "dir",
            "symlink",
            "dev",
            "chardev",
            "fifo",
            "socket",
            "irregular",
            "",
        ] {
            assert_eq!(NodeKind::from_name(name).as_str(), name);
        }
    }

    #[test]
    fn dangerous_names_are_known() {
        let named = |name: &[u8]| Node {
            name: name.to_vec(),
            ..Node::default()
        };
        for bad in [b"".as_slice(), b".", b"..", b"a/b", b"/", b"a\0"] {
            assert!(!named(bad).has_safe_name());
        }
        for good in [b"a".as_slice(), b"...", b"\xff", b"a\\b"] {
            assert!(named(good).has_safe_name());
        }
    }
}
