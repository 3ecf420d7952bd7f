//! From the archive that `pg_basebackup` writes to a vault's tree.

use std::io::Read;
use std::path::Component;

use tar::{Archive, Entry, EntryType};
use vouchsafe_capture::{CaptureContext, CaptureError, Sink};
use vouchsafe_format::{Node, NodeKind, Timestamp, go_mode_from_unix};

use super::super::session::unreadable;
use super::pieces::{pieces, pour};
use crate::failure;
use crate::spooled::Written;

/// What of the archive the manifest needs.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The file `backup_label`.
    pub(super) label: Vec<u8>,
    /// The end of the file `backup_manifest`.
    pub(super) manifest_end: Vec<u8>,
}

/// Hands the entries of an archive to a sink, directory by directory.
///
/// The archive visits two directories twice: the control file in `global` comes last of all data, so that a torn copy
/// has none, and the log comes after that. A sink takes each directory once. So `global`, which is small, waits in
/// memory, and `pg_wal` is entered when its files come.
pub(super) struct Tree<'a> {
    ctx: &'a CaptureContext<'a>,
    cut: u32,
    /// The directories that are open below the root.
    open: Vec<String>,
    waiting: Vec<Waiting>,
    held: u64,
    found: Found,
}

/// A directory or a small file that is handed over later.
struct Waiting {
    names: Vec<String>,
    node: Node,
    content: Option<Vec<u8>>,
}

/// Files up to here are read into memory; larger ones go through a queue.
const SMALL: u64 = 1 << 20;
/// Most that waits in memory.
const MOST_HELD: u64 = 256 << 20;
/// How much of the end of `backup_manifest` is kept: the ranges of the log and the checksum.
pub(super) const END: usize = 64 << 10;

/// How large the parts of the log are.
pub(super) const LOG_CUT: u32 = 1 << 20;

pub(super) const GLOBAL: &str = "global";
pub(super) const LOG: &str = "pg_wal";
pub(super) const MANIFEST: &str = "backup_manifest";
pub(super) const LABEL: &str = "backup_label";

impl<'a> Tree<'a> {
    /// Files of pages are cut every `cut` bytes.
    pub(super) fn new(ctx: &'a CaptureContext<'a>, cut: u32) -> Tree<'a> {
        Tree {
            ctx,
            cut,
            open: Vec::new(),
            waiting: Vec::new(),
            held: 0,
            found: Found::default(),
        }
    }

    /// Reads the archive to its end. The sink's directory in which it begins stays open.
    pub(super) fn read(
        mut self,
        mut archive: impl Read,
        sink: &mut dyn Sink,
    ) -> Result<Found, CaptureError> {
        {
            let mut entries = Archive::new(&mut archive);
            for entry in entries.entries().map_err(broken)? {
                failure::check_interrupt(self.ctx)?;
                self.entry(entry.map_err(broken)?, sink)?;
            }
        }
        self.hand_over(GLOBAL, sink)?;
        self.hand_over(LOG, sink)?;
        self.go_to(&[], sink)?;
        // What follows the end of the archive belongs to the program's output all the same.
        std::io::copy(&mut archive, &mut std::io::sink()).map_err(broken)?;
        Ok(self.found)
    }

    fn entry(
        &mut self,
        mut entry: Entry<'_, impl Read>,
        sink: &mut dyn Sink,
    ) -> Result<(), CaptureError> {
        let names = names(&entry)?;
        let Some((name, parents)) = names.split_last() else {
            return Ok(());
        };
        let node = described(&entry, name)?;
        let first = names.first().map(String::as_str).unwrap_or_default();
        let is_file = node.kind == NodeKind::File;
        let is_log = first == LOG && is_file && parents.len() == 1;
        if !is_log && (first == GLOBAL || first == LOG) {
            return self.wait(names, node, &mut entry);
        }
        if is_log || name == MANIFEST {
            // All other data has come.
            self.hand_over(GLOBAL, sink)?;
        }
        if is_log {
            self.enter_log(sink)?;
        } else if name == MANIFEST && parents.is_empty() {
            self.hand_over(LOG, sink)?;
        }
        self.go_to(parents, sink)?;
        if !is_file {
            self.open.push(name.clone());
            return sink.enter(node);
        }
        let place = names.join("/");
        self.file(node, &place, &mut entry, sink)
    }

    fn file(
        &mut self,
        node: Node,
        place: &str,
        content: &mut dyn Read,
        sink: &mut dyn Sink,
    ) -> Result<(), CaptureError> {
        let size = node.size;
        // A log is written once; nothing of it comes again.
        let is_log = place.starts_with(LOG) && place.as_bytes().get(LOG.len()) == Some(&b'/');
        let cut = if is_log { LOG_CUT } else { self.cut };
        if size <= SMALL {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes).map_err(broken)?;
            match place {
                LABEL => self.found.label.clone_from(&bytes),
                MANIFEST => self.found.manifest_end.clone_from(&bytes),
                _ => {}
            }
            let whole = Written::of_length(place, bytes, size)?.cut_every(cut);
            return sink.stream(node, Box::new(whole));
        }
        let (to, reading) = pieces(place, size, cut);
        sink.stream(node, Box::new(reading))?;
        if place == MANIFEST {
            let mut kept = Kept {
                from: content,
                end: Vec::new(),
            };
            pour(&mut kept, &to, place)?;
            self.found.manifest_end = kept.end;
            return Ok(());
        }
        pour(content, &to, place)
    }

    fn wait(
        &mut self,
        names: Vec<String>,
        node: Node,
        content: &mut dyn Read,
    ) -> Result<(), CaptureError> {
        let content = if node.kind == NodeKind::File {
            self.held += node.size;
            if self.held > MOST_HELD {
                return Err(unreadable(
                    &names.join("/"),
                    format!("the files of `{GLOBAL}` are larger than {MOST_HELD} bytes"),
                    "capture its databases one by one",
                ));
            }
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes).map_err(broken)?;
            Some(bytes)
        } else {
            None
        };
        self.waiting.push(Waiting {
            names,
            node,
            content,
        });
        Ok(())
    }

    /// Opens the directory of the log, once.
    fn enter_log(&mut self, sink: &mut dyn Sink) -> Result<(), CaptureError> {
        if self.open.first().map(String::as_str) == Some(LOG) {
            return Ok(());
        }
        self.go_to(&[], sink)?;
        let at = self.waiting.iter().position(|w| w.names == [LOG]);
        let node = match at {
            Some(at) => self.waiting.remove(at).node,
            None => super::super::node(LOG, NodeKind::Dir, self.ctx.clock.now()),
        };
        self.open.push(LOG.to_owned());
        sink.enter(node)
    }

    /// Hands over what waits of the directory `first`, parents before children.
    fn hand_over(&mut self, first: &str, sink: &mut dyn Sink) -> Result<(), CaptureError> {
        let is_of = |w: &Waiting| w.names.first().map(String::as_str) == Some(first);
        let (mut now, later) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(is_of);
        self.waiting = later;
        now.sort_by(|a: &Waiting, b| a.names.cmp(&b.names));
        for Waiting {
            names,
            node,
            content,
        } in now
        {
            let Some((name, parents)) = names.split_last() else {
                continue;
            };
            self.go_to(parents, sink)?;
            match content {
                None => {
                    self.open.push(name.clone());
                    sink.enter(node)?;
                }
                Some(bytes) => {
                    let place = names.join("/");
                    self.file(node, &place, &mut bytes.as_slice(), sink)?;
                }
            }
        }
        Ok(())
    }

    /// Leaves directories until exactly `parents` are open.
    fn go_to(&mut self, parents: &[String], sink: &mut dyn Sink) -> Result<(), CaptureError> {
        let common = self
            .open
            .iter()
            .zip(parents)
            .take_while(|(a, b)| a == b)
            .count();
        while self.open.len() > common {
            self.open.pop();
            sink.leave()?;
        }
        if common < parents.len() {
            return Err(unreadable(
                &parents.join("/"),
                "the archive comes back to a directory that it had left",
                "this version of PostgreSQL is not known; capture its databases one by one",
            ));
        }
        Ok(())
    }
}

/// Reads on, keeping the last bytes.
struct Kept<'r> {
    from: &'r mut dyn Read,
    end: Vec<u8>,
}

impl Read for Kept<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let count = self.from.read(buf)?;
        self.end
            .extend_from_slice(buf.get(..count).unwrap_or_default());
        if self.end.len() > 2 * END {
            self.end.drain(..self.end.len() - END);
        }
        Ok(count)
    }
}

/// The names of an entry's path, none of which leads upwards.
fn names(entry: &Entry<'_, impl Read>) -> Result<Vec<String>, CaptureError> {
    let path = entry.path().map_err(broken)?;
    let strange = || {
        unreadable(
            &path.display().to_string(),
            "no file of a data directory has this name",
            "look at the server's data directory",
        )
    };
    let mut out = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => {
                out.push(name.to_str().ok_or_else(strange)?.to_owned());
            }
            Component::CurDir => {}
            _ => return Err(strange()),
        }
    }
    Ok(out)
}

fn described(entry: &Entry<'_, impl Read>, name: &str) -> Result<Node, CaptureError> {
    let header = entry.header();
    let (kind, bits) = match header.entry_type() {
        EntryType::Directory => (NodeKind::Dir, 0o040_000),
        EntryType::Regular | EntryType::Continuous => (NodeKind::File, 0o100_000),
        _ => {
            return Err(unreadable(
                name,
                "it is a link, and leads out of the data directory",
                "servers with tablespaces cannot be captured whole yet; capture their databases one by one",
            ));
        }
    };
    let seconds = i64::try_from(header.mtime().map_err(broken)?).unwrap_or_default();
    let at = Timestamp::utc(seconds, 0);
    let size = entry.size();
    Ok(Node {
        name: name.as_bytes().to_vec(),
        kind: kind.clone(),
        mode: go_mode_from_unix(bits | (header.mode().map_err(broken)? & 0o7777)),
        mtime: at,
        atime: at,
        ctime: at,
        uid: u32::try_from(header.uid().map_err(broken)?).unwrap_or_default(),
        gid: u32::try_from(header.gid().map_err(broken)?).unwrap_or_default(),
        size: if kind == NodeKind::File { size } else { 0 },
        links: if kind == NodeKind::File { 1 } else { 0 },
        ..Node::default()
    })
}

fn broken(error: std::io::Error) -> CaptureError {
    CaptureError::io("read", "the archive of pg_basebackup", error)
}
