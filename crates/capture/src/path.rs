//! Places within a point: raw names, no `..`, never absolute.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A place within a point's tree; the empty path is its root. Names are raw bytes, as file systems have them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(Vec<Vec<u8>>);

/// A name that cannot be part of a path: empty, `.`, `..`, or with a slash or a NUL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{shown}` is not a file name")]
pub struct PathError {
    /// The name, made printable.
    pub shown: String,
}

impl TreePath {
    /// The root.
    pub fn root() -> TreePath {
        TreePath::default()
    }

    /// The place `name` below this one.
    pub fn join(&self, name: &[u8]) -> Result<TreePath, PathError> {
        let mut out = self.clone();
        out.push(name)?;
        Ok(out)
    }

    /// Goes down to `name`.
    pub fn push(&mut self, name: &[u8]) -> Result<(), PathError> {
        let bad = name.is_empty()
            || name == b"."
            || name == b".."
            || name.contains(&b'/')
            || name.contains(&0);
        if bad {
            return Err(PathError {
                shown: name.escape_ascii().to_string(),
            });
        }
        self.0.push(name.to_vec());
        Ok(())
    }

    /// Goes up; false at the root.
    pub fn pop(&mut self) -> bool {
        self.0.pop().is_some()
    }

    /// The names from the root down.
    pub fn names(&self) -> &[Vec<u8>] {
        &self.0
    }

    /// Reads `a/b/c` or `/a/b/c`; empty parts are dropped.
    pub fn parse(text: &[u8]) -> Result<TreePath, PathError> {
        let mut out = TreePath::root();
        for name in text.split(|b| *b == b'/').filter(|n| !n.is_empty()) {
            out.push(name)?;
        }
        Ok(out)
    }

    /// Whether this place is `other` or lies below it.
    pub fn is_at_or_below(&self, other: &TreePath) -> bool {
        self.0.starts_with(&other.0)
    }

    /// As a relative path of the file system.
    pub fn to_relative(&self) -> PathBuf {
        self.0.iter().map(|n| OsStr::from_bytes(n)).collect()
    }

    /// From the names of an absolute or relative path without `..`.
    pub fn from_fs(path: &Path) -> Result<TreePath, PathError> {
        TreePath::parse(path.as_os_str().as_bytes())
    }
}

/// For people: `/a/b`, with what does not print escaped.
impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("/");
        }
        for name in &self.0 {
            match std::str::from_utf8(name) {
                Ok(text) if !text.chars().any(char::is_control) => write!(f, "/{text}")?,
                _ => write!(f, "/{}", name.escape_ascii())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_leads_out() {
        for bad in [&b".."[..], b".", b"", b"a/b", b"a\0b"] {
            assert!(TreePath::root().join(bad).is_err());
        }
        assert!(TreePath::parse(b"/a/../b").is_err());
    }

    #[test]
    fn shows_what_does_not_print() {
        assert_eq!(
            TreePath::parse(b"a/b\xff").unwrap().to_string(),
            "/a/b\\xff"
        );
    }
}
