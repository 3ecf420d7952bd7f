//! The content of one file, read while others may be writing to it.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use vouchsafe_capture::{CaptureError, Content};
use vouchsafe_format::Node;
use vouchsafe_host::inode::{self, Inode};

use crate::{failure, node};

/// A file that was looked at and is read later.
///
/// What is read is never longer than the file was when it was opened: of a log that grows, the part that was there.
/// A file that was changed in place while it was read cannot be trusted and is an error.
pub(super) struct FileContent {
    path: PathBuf,
    seen: Inode,
    node: Node,
    opened: Option<(Arc<File>, Inode)>,
}

impl FileContent {
    /// The file at `path`, which was as `seen` when `node` was made.
    pub(super) fn new(path: PathBuf, seen: Inode, node: Node) -> FileContent {
        FileContent {
            path,
            seen,
            node,
            opened: None,
        }
    }

    /// The node as the file is `now`, with `read` bytes of content.
    fn newer(&self, now: &Inode, read: u64) -> Node {
        let mut newer = node::of_inode(&self.node.name, now);
        newer.extended_attributes = self.node.extended_attributes.clone();
        newer.size = read;
        newer
    }

    fn torn(&self, how: String) -> CaptureError {
        failure::unreadable(
            &self.path,
            format!("it was changed while it was read: {how}"),
            "capture it when nobody writes to it, from a snapshot of its file system, or by the source kind made for it",
        )
    }
}

impl Content for FileContent {
    fn open(&mut self) -> Result<Box<dyn Read + Send>, CaptureError> {
        let file = inode::open_content(&self.path).map_err(failure::file)?;
        let at_open = self.stat(&file)?;
        let left = at_open.size;
        let file = Arc::new(file);
        self.opened = Some((Arc::clone(&file), at_open));
        Ok(Box::new(Bounded { file, left }))
    }

    fn close(&mut self, read: u64) -> Result<Option<Node>, CaptureError> {
        let Some((file, at_open)) = self.opened.take() else {
            return Ok(None);
        };
        let now = self.stat(&file)?;
        if read != at_open.size || now.size < at_open.size {
            return Err(self.torn(format!(
                "{} bytes when it was opened, {} at the end, {read} read",
                at_open.size, now.size
            )));
        }
        if now.size == at_open.size && now.mtime != at_open.mtime {
            return Err(self.torn("its size stayed the same and its time did not".to_owned()));
        }
        let unchanged = same(&self.seen, &at_open) && same(&at_open, &now);
        if unchanged {
            return Ok(None);
        }
        // Of a file that grew, what was read is how it was when it was opened.
        let then = if now.size == at_open.size {
            &now
        } else {
            &at_open
        };
        Ok(Some(self.newer(then, read)))
    }
}

impl FileContent {
    fn stat(&self, file: &File) -> Result<Inode, CaptureError> {
        inode::fstat(file)
            .map_err(|e| CaptureError::io("look at", self.path.display().to_string(), e))
    }
}

/// Whether nothing that is recorded has changed; reading changes the time of last access only.
fn same(a: &Inode, b: &Inode) -> bool {
    (a.dev, a.ino, a.size, a.mtime, a.ctime) == (b.dev, b.ino, b.size, b.mtime, b.ctime)
}

struct Bounded {
    file: Arc<File>,
    left: u64,
}

impl Read for Bounded {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(buf.len());
        let Some(part) = buf.get_mut(..most) else {
            return Ok(0);
        };
        let count = (&*self.file).read(part)?;
        self.left = self.left.saturating_sub(count as u64);
        Ok(count)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, clippy::disallowed_types)]
mod tests {
    use super::*;
    use std::io::Write;
    use vouchsafe_host::files::{self, TempDir};

    fn file_with(bytes: &[u8]) -> (TempDir, PathBuf, FileContent) {
        let dir = files::temp_dir("content-").expect("a directory");
        let path = dir.path().join("f");
        std::fs::write(&path, bytes).expect("writes");
        let seen = inode::lstat(&path).expect("looks");
        let node = node::of_inode(b"f", &seen);
        let content = FileContent::new(path.clone(), seen, node);
        (dir, path, content)
    }

    fn read_all(reader: &mut dyn Read) -> Vec<u8> {
        let mut out = Vec::new();
        reader.read_to_end(&mut out).expect("reads");
        out
    }

    #[test]
    fn a_quiet_file_stays_as_it_was_seen() {
        let (_dir, _, mut content) = file_with(b"quiet");
        let mut reader = content.open().expect("opens");
        assert_eq!(read_all(&mut reader), b"quiet");
        assert!(content.close(5).expect("closes").is_none());
    }

    #[test]
    fn of_a_growing_file_the_part_that_was_there_is_taken() {
        let (_dir, path, mut content) = file_with(b"line\n");
        let mut reader = content.open().expect("opens");
        let mut log = std::fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .expect("opens");
        log.write_all(b"more\n").expect("appends");
        assert_eq!(read_all(&mut reader), b"line\n");
        let newer = content.close(5).expect("closes").expect("a newer node");
        assert_eq!(newer.size, 5);
    }

    #[test]
    fn a_change_before_the_opening_gives_the_newer_node() {
        let (_dir, path, mut content) = file_with(b"old");
        std::fs::write(&path, b"newer").expect("writes");
        let mut reader = content.open().expect("opens");
        assert_eq!(read_all(&mut reader), b"newer");
        assert_eq!(
            content
                .close(5)
                .expect("closes")
                .expect("a newer node")
                .size,
            5
        );
    }

    #[test]
    fn a_change_in_place_or_a_cut_while_reading_is_an_error() {
        for change in [&b"XXXX"[..], b"X"] {
            let (_dir, path, mut content) = file_with(b"abcd");
            let mut reader = content.open().expect("opens");
            let read = read_all(&mut reader).len() as u64;
            // File systems keep times in ticks of some milliseconds.
            vouchsafe_host::Clock::sleep(
                &vouchsafe_host::SystemClock::new(),
                std::time::Duration::from_millis(20),
            );
            std::fs::write(&path, change).expect("writes");
            assert!(content.close(read).is_err());
        }
    }

    #[test]
    fn what_is_no_file_any_more_is_an_error_and_does_not_block() {
        let (_dir, path, mut content) = file_with(b"x");
        std::fs::remove_file(&path).expect("removes");
        assert!(content.open().is_err());
        let made = std::process::Command::new("mkfifo")
            .arg(&path)
            .status()
            .expect("mkfifo");
        assert!(made.success());
        assert!(content.open().is_err());
    }
}
