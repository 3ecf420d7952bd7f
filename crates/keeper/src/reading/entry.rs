//! An entry of a snapshot as people and programs are shown it.

use serde::Serialize;
use vouchsafe_capture::TreePath;
use vouchsafe_format::{Node, NodeKind, unix_mode_from_go};
use vouchsafe_model::Time;
use vouchsafe_vault::from_timestamp;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Where; what does not print is escaped.
    pub path: String,
    /// `file`, `dir`, `symlink` …
    pub kind: String,
    /// Kind and permissions as `ls -l` writes them.
    pub mode: String,
    /// The owner's name, or number if it has none.
    pub user: String,
    /// The group's name, or number if it has none.
    pub group: String,
    /// Bytes of a file.
    pub size: u64,
    /// When its content changed.
    pub modified: Time,
    /// Where a symbolic link points.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

impl Entry {
    /// The entry at `path`.
    pub fn of(path: &TreePath, node: &Node) -> Entry {
        let named = |name: &str, number: u32| match name {
            "" => number.to_string(),
            name => printable(name.as_bytes()),
        };
        Entry {
            path: path.to_string(),
            kind: node.kind.as_str().to_owned(),
            mode: mode(node),
            user: named(&node.user, node.uid),
            group: named(&node.group, node.gid),
            size: node.size,
            modified: from_timestamp(&node.mtime),
            target: (node.kind == NodeKind::Symlink).then(|| printable(&node.linktarget)),
        }
    }
}

fn printable(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => bytes.escape_ascii().to_string(),
    }
}

fn mode(node: &Node) -> String {
    let kind = match node.kind {
        NodeKind::File => '-',
        NodeKind::Dir => 'd',
        NodeKind::Symlink => 'l',
        NodeKind::Dev => 'b',
        NodeKind::CharDev => 'c',
        NodeKind::Fifo => 'p',
        NodeKind::Socket => 's',
        NodeKind::Irregular(_) => '?',
    };
    let bits = unix_mode_from_go(node.mode);
    let mut out = String::from(kind);
    // Owner, group, others; each with the bit that changes its `x`.
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let has = |bit: u32| bits >> shift & bit != 0;
        out.push(if has(4) { 'r' } else { '-' });
        out.push(if has(2) { 'w' } else { '-' });
        out.push(match (bits & special != 0, has(1)) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_format::go_mode_from_unix;

    #[test]
    fn modes_read_as_ls_writes_them() {
        for (bits, kind, shown) in [
            (0o100_644, NodeKind::File, "-rw-r--r--"),
            (0o041_777, NodeKind::Dir, "drwxrwxrwt"),
            (0o104_755, NodeKind::File, "-rwsr-xr-x"),
            (0o102_640, NodeKind::File, "-rw-r-S---"),
        ] {
            let node = Node {
                kind,
                mode: go_mode_from_unix(bits),
                ..Node::default()
            };
            assert_eq!(mode(&node), shown);
        }
    }

    #[test]
    fn what_does_not_print_is_escaped() {
        let node = Node {
            kind: NodeKind::Symlink,
            linktarget: b"a\x1b[2Jb".to_vec(),
            user: "\x07".to_owned(),
            ..Node::default()
        };
        let entry = Entry::of(&TreePath::root(), &node);
        assert_eq!(entry.target.as_deref(), Some("a\\x1b[2Jb"));
        assert_eq!(entry.user, "\\x07");
    }
}
