//! A tree as a tar archive: written in one pass, with modes, owners, times, links, devices and attributes.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;

use tar::{Builder, EntryType, Header};
use vouchsafe_capture::{TreePath, Visit};
use vouchsafe_format::{Id, Node, NodeKind, Timestamp, unix_mode_from_go};
use vouchsafe_model::Issue;

use super::content::SEGMENT;
use super::error::DumpError;
use crate::point::Point;

/// What went into an archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchiveReport {
    /// Entries written.
    pub entries: u64,
    /// Bytes of content.
    pub bytes: u64,
    /// Files that are left out, or empty, because they cannot be read; directories whose entries are not known.
    pub issues: Vec<Issue>,
}

/// What an issue says of a file that turned out broken when a part of it was written already. Its entry is filled up
/// with zeros, and a second, empty entry of the same name follows, which replaces it where the archive is unpacked.
const GONE_HALFWAY: &str = "the archive has an empty file in its place";

impl Point {
    /// Writes what lies at `path` as a tar archive: the entries of a directory under their names below it, or a
    /// single file under its own name.
    ///
    /// Names of any length, times to the nanosecond and attributes are written as GNU tar, bsdtar and Python read
    /// them. A file that cannot be read is left out, and is an issue. Memory: about twice 16 MiB.
    ///
    /// # Errors
    /// [`DumpError::Lookup`], [`DumpError::Output`], [`DumpError::Interrupted`].
    pub fn archive(
        &self,
        path: &TreePath,
        out: &mut dyn Write,
    ) -> Result<ArchiveReport, DumpError> {
        let (at, node) = self.locate(path)?;
        let mut archive = Archive {
            point: self,
            tar: Builder::new(out),
            skip: at.names().len(),
            batch: Vec::new(),
            batch_bytes: 0,
            links: HashMap::new(),
            report: ArchiveReport::default(),
        };
        if node.kind == NodeKind::Dir {
            let hidden = self.walk_below(&at, &node, &mut |path, node| {
                archive.take(path, node)?;
                Ok::<_, DumpError>(Visit::Into)
            })?;
            archive.report.issues.extend(hidden);
        } else {
            archive.skip = archive.skip.saturating_sub(1);
            archive.take(&at, &node)?;
        }
        archive.write_batch()?;
        archive.tar.finish().map_err(DumpError::Output)?;
        Ok(archive.report)
    }
}

struct Archive<'a, 'w> {
    point: &'a Point,
    tar: Builder<&'w mut dyn Write>,
    /// Names of a path that the archive leaves out.
    skip: usize,
    batch: Vec<(TreePath, Node)>,
    batch_bytes: u64,
    /// The first name of each file with several, and a digest of its content.
    links: HashMap<(u64, u64), (TreePath, Id)>,
    report: ArchiveReport,
}

impl Archive<'_, '_> {
    fn take(&mut self, path: &TreePath, node: &Node) -> Result<(), DumpError> {
        if node.kind == NodeKind::Socket {
            return Ok(());
        }
        if node.kind == NodeKind::File && node.size > SEGMENT {
            self.write_batch()?;
            return self.large(path, node);
        }
        self.batch_bytes += node.size;
        self.batch.push((path.clone(), node.clone()));
        if self.batch_bytes >= SEGMENT || self.batch.len() >= BATCH {
            self.write_batch()?;
        }
        Ok(())
    }

    /// Entries in their order; the contents of their files are fetched together.
    fn write_batch(&mut self) -> Result<(), DumpError> {
        self.batch_bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        let files: Vec<Node> = batch
            .iter()
            .filter(|(_, node)| node.kind == NodeKind::File)
            .map(|(_, node)| node.clone())
            .collect();
        let mut contents = self.point.fetch_into_memory(&files)?.into_iter();
        for (path, node) in &batch {
            if node.kind != NodeKind::File {
                self.special(path, node)?;
                continue;
            }
            match contents.next() {
                Some(Ok(_)) if self.link(path, node)? => {}
                Some(Ok(parts)) => {
                    self.open(path, node)?;
                    for part in &parts {
                        self.write(part)?;
                    }
                    self.pad(node.size)?;
                    self.done(path, node);
                }
                Some(Err(message)) => self.left_out(path, message),
                None => return Err(DumpError::Interrupted),
            }
        }
        Ok(())
    }

    /// A file that is not held in memory.
    fn large(&mut self, path: &TreePath, node: &Node) -> Result<(), DumpError> {
        match self.point.measure(path, node) {
            Err(DumpError::Broken { issue }) => {
                self.report.issues.push(issue);
                return Ok(());
            }
            other => other?,
        }
        if self.link(path, node)? {
            return Ok(());
        }
        self.open(path, node)?;
        let mut counted = Counted {
            out: self.tar.get_mut(),
            bytes: 0,
        };
        let streamed = self.point.stream(path, node, &mut counted);
        let written = counted.bytes;
        match streamed {
            Ok(()) => {
                self.pad(node.size)?;
                self.done(path, node);
                Ok(())
            }
            Err(DumpError::Broken { issue }) => {
                self.zeros(node.size.saturating_sub(written))?;
                self.pad(node.size)?;
                let empty = Node {
                    size: 0,
                    ..node.clone()
                };
                self.open(path, &empty)?;
                self.left_out(path, format!("{}; {GONE_HALFWAY}", issue.message));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn left_out(&mut self, path: &TreePath, message: String) {
        let place = path.to_string();
        self.report.issues.push(Issue { place, message });
    }

    /// Writes a further name of a file that was written before. False if this is no such name.
    fn link(&mut self, path: &TreePath, node: &Node) -> Result<bool, DumpError> {
        if node.links < 2 || node.inode == 0 {
            return Ok(false);
        }
        match self.links.get(&(node.device_id, node.inode)) {
            // The file was changed while its names were captured: two files, then.
            Some((first, content)) if *content == digest(node) => {
                let target = self.relative(first);
                let mut header = self.header(EntryType::Link, node);
                header.set_size(0);
                self.link_to(&mut header, path, &target)?;
                self.report.entries += 1;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn open(&mut self, path: &TreePath, node: &Node) -> Result<(), DumpError> {
        self.extensions(node)?;
        let mut header = self.header(EntryType::Regular, node);
        header.set_size(node.size);
        let path = self.relative(path);
        self.tar
            .append_data(&mut header, path, io::empty())
            .map_err(DumpError::Output)
    }

    fn done(&mut self, path: &TreePath, node: &Node) {
        self.report.entries += 1;
        self.report.bytes += node.size;
        if node.links > 1 && node.inode != 0 {
            let first = (path.clone(), digest(node));
            self.links
                .entry((node.device_id, node.inode))
                .or_insert(first);
        }
    }

    /// Everything that is not a file.
    fn special(&mut self, path: &TreePath, node: &Node) -> Result<(), DumpError> {
        let kind = match node.kind {
            NodeKind::Dir => EntryType::Directory,
            NodeKind::Symlink => EntryType::Symlink,
            NodeKind::Fifo => EntryType::Fifo,
            NodeKind::Dev => EntryType::Block,
            NodeKind::CharDev => EntryType::Char,
            _ => {
                self.left_out(path, format!("a {} has no form in tar", node.kind.as_str()));
                return Ok(());
            }
        };
        self.extensions(node)?;
        let mut header = self.header(kind, node);
        header.set_size(0);
        if kind == EntryType::Symlink {
            let target = bytes_path(&node.linktarget).to_path_buf();
            self.link_to(&mut header, path, &target)?;
        } else {
            if matches!(kind, EntryType::Block | EntryType::Char) {
                let (major, minor) = device_numbers(node.device);
                header
                    .set_device_major(major)
                    .and_then(|()| header.set_device_minor(minor))
                    .map_err(DumpError::Output)?;
            }
            let path = self.relative(path);
            self.tar
                .append_data(&mut header, path, io::empty())
                .map_err(DumpError::Output)?;
        }
        self.report.entries += 1;
        Ok(())
    }

    fn link_to(
        &mut self,
        header: &mut Header,
        path: &TreePath,
        target: &Path,
    ) -> Result<(), DumpError> {
        let path = self.relative(path);
        self.tar
            .append_link(header, path, target)
            .map_err(DumpError::Output)
    }

    fn header(&self, kind: EntryType, node: &Node) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(unix_mode_from_go(node.mode) & 0o7777);
        header.set_uid(node.uid.into());
        header.set_gid(node.gid.into());
        header.set_mtime(u64::try_from(node.mtime.secs).unwrap_or(0));
        // Longer names have no room; the numbers are there.
        let _ = header.set_username(&node.user);
        let _ = header.set_groupname(&node.group);
        header
    }

    /// What has no room in the header: fractions of seconds, times before 1970, attributes.
    fn extensions(&mut self, node: &Node) -> Result<(), DumpError> {
        let mut records: Vec<(String, Vec<u8>)> = Vec::new();
        if node.mtime.nanos != 0 || node.mtime.secs < 0 {
            records.push(("mtime".to_owned(), seconds(node.mtime).into_bytes()));
        }
        for attribute in &node.extended_attributes {
            // A keyword ends at the first `=`.
            if let Ok(name) = std::str::from_utf8(&attribute.name)
                && !name.contains('=')
            {
                records.push((format!("SCHILY.xattr.{name}"), attribute.value.clone()));
            }
        }
        if records.is_empty() {
            return Ok(());
        }
        let records = records.iter().map(|(k, v)| (k.as_str(), v.as_slice()));
        self.tar
            .append_pax_extensions(records)
            .map_err(DumpError::Output)
    }

    fn relative(&self, path: &TreePath) -> std::path::PathBuf {
        let names = path.names().get(self.skip..).unwrap_or_default();
        names.iter().map(|name| bytes_path(name)).collect()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), DumpError> {
        self.tar
            .get_mut()
            .write_all(bytes)
            .map_err(DumpError::Output)
    }

    fn zeros(&mut self, bytes: u64) -> Result<(), DumpError> {
        io::copy(
            &mut io::Read::take(io::repeat(0), bytes),
            self.tar.get_mut(),
        )
        .map(|_| ())
        .map_err(DumpError::Output)
    }

    /// Fills the last block of a file.
    fn pad(&mut self, size: u64) -> Result<(), DumpError> {
        self.zeros(size.next_multiple_of(512) - size)
    }
}

/// Entries that wait for one another's content at most.
const BATCH: usize = 2000;

struct Counted<'a> {
    out: &'a mut dyn Write,
    bytes: u64,
}

impl Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn digest(node: &Node) -> Id {
    let chunks = node.content.iter().flatten();
    Id::of(&chunks.flat_map(|id| *id.as_bytes()).collect::<Vec<u8>>())
}

fn bytes_path(bytes: &[u8]) -> &Path {
    use std::os::unix::ffi::OsStrExt;
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}

/// Seconds with their fraction, as PAX has them; before 1970 both are negative together.
fn seconds(at: Timestamp) -> String {
    let nanos = at.unix_nanos();
    let sign = if nanos < 0 { "-" } else { "" };
    let size = nanos.unsigned_abs();
    format!("{sign}{}.{:09}", size / 1_000_000_000, size % 1_000_000_000)
}

/// The two numbers of a device, as Linux packs them.
fn device_numbers(device: u64) -> (u32, u32) {
    let major = ((device >> 8) & 0xfff) | ((device >> 32) & 0xffff_f000);
    let minor = (device & 0xff) | ((device >> 12) & 0xffff_ff00);
    (
        u32::try_from(major).unwrap_or(0),
        u32::try_from(minor).unwrap_or(0),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_are_negative_as_a_whole() {
        assert_eq!(seconds(Timestamp::utc(5, 250_000_000)), "5.250000000");
        assert_eq!(seconds(Timestamp::utc(-2, 750_000_000)), "-1.250000000");
    }

    #[test]
    fn device_numbers_are_unpacked() {
        assert_eq!(device_numbers(0x0801), (8, 1));
        assert_eq!(device_numbers(0x1111_0370), (259, 70_000));
    }
}
