//! One backup: contents and directories become blobs; the snapshot comes last, when all of it is durable.

use std::collections::HashMap;
use std::time::Duration;

use vouchsafe_format::{BlobKind, Id, Node, NodeKind, Snapshot, SnapshotSummary, Timestamp};
use vouchsafe_model::Issue;

use super::finale::Finale;
use super::job::{Blob, Done, Job, Ticket};
use super::save::{Saver, WouldBlock};
use super::tree::{Assembler, DirectoryId, Ready, Slot};
use super::{Machine, MachineError};

/// Names a file whose content is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileTicket(u64);

/// What a backup counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Files whose content was read, streams among them.
    pub files_new: u64,
    /// Those of `files_new` that the parent had, but with other content or metadata.
    pub files_changed: u64,
    /// Files taken over from the parent unread.
    pub files_unchanged: u64,
    /// Directories, the root not counted.
    pub dirs: u64,
    /// Bytes that were read.
    pub bytes_read: u64,
    /// Bytes of all files.
    pub bytes_total: u64,
}

/// See the module. Made by [`BackupMachine::new`]; filled by `enter` … `close`; finished when
/// [`Machine::is_finished`] says so.
pub struct BackupMachine {
    saver: Saver,
    tree: Assembler,
    files: HashMap<FileTicket, OpenFile>,
    next_file: u64,
    chunks: HashMap<Ticket, (FileTicket, usize)>,
    directories: HashMap<Ticket, DirectoryId>,
    open_streams: usize,
    snapshot: Box<Snapshot>,
    phase: Phase,
    counts: Counts,
    issues: Vec<Issue>,
    issue_count: u64,
    finale: Finale,
}

impl BackupMachine {
    /// A backup with nothing in it. `snapshot` is what will be written, but for its tree and counts.
    pub fn new(saver: Saver, snapshot: Snapshot) -> BackupMachine {
        BackupMachine {
            saver,
            tree: Assembler::new(),
            files: HashMap::new(),
            next_file: 0,
            chunks: HashMap::new(),
            directories: HashMap::new(),
            open_streams: 0,
            snapshot: Box::new(snapshot),
            phase: Phase::Filling,
            counts: Counts::default(),
            issues: Vec::new(),
            issue_count: 0,
            finale: Finale::default(),
        }
    }

    /// Goes down into a directory.
    ///
    /// # Errors
    /// [`MachineError::AfterEnd`].
    pub fn enter(&mut self, node: Node) -> Result<(), MachineError> {
        self.counts.dirs += 1;
        self.tree.enter(Node {
            kind: NodeKind::Dir,
            content: None,
            subtree: None,
            ..node
        })
    }

    /// Goes up again.
    ///
    /// # Errors
    /// [`MachineError::LeftRoot`].
    pub fn leave(&mut self, jobs: &mut Vec<Job>) -> Result<(), MachineError> {
        let ready = self.tree.leave()?;
        self.save_directory(ready, jobs);
        Ok(())
    }

    /// Adds an entry without content.
    ///
    /// # Errors
    /// [`MachineError::AfterEnd`].
    pub fn entry(&mut self, node: Node) -> Result<(), MachineError> {
        self.tree.add(Node {
            content: None,
            subtree: None,
            ..node
        })
    }

    /// Adds a file whose content is stored already.
    ///
    /// # Errors
    /// [`MachineError::AfterEnd`].
    pub fn unchanged(&mut self, node: Node, content: Vec<Id>) -> Result<(), MachineError> {
        self.counts.files_unchanged += 1;
        self.counts.bytes_total += node.size;
        self.tree.add(Node {
            content: Some(content),
            subtree: None,
            ..node
        })
    }

    /// Adds a file whose content follows by [`BackupMachine::chunk`] and ends by [`BackupMachine::end`] or
    /// [`BackupMachine::give_up`]. `changed` tells that the parent has another version of it.
    ///
    /// # Errors
    /// [`MachineError::AfterEnd`].
    pub fn begin(
        &mut self,
        node: Node,
        source: Reading,
        changed: bool,
    ) -> Result<FileTicket, MachineError> {
        let slot = self.tree.reserve()?;
        let ticket = FileTicket(self.next_file);
        self.next_file += 1;
        self.open_streams += usize::from(source == Reading::Stream);
        self.counts.files_changed += u64::from(changed);
        let file = OpenFile {
            slot,
            node,
            source,
            content: Vec::new(),
            waiting: 0,
            bytes: 0,
            ended: false,
        };
        self.files.insert(ticket, file);
        Ok(ticket)
    }

    /// Takes the next chunk of a file, or gives it back when there is no room.
    ///
    /// # Errors
    /// The chunk, to be offered again after something was completed; [`MachineError::UnknownTicket`].
    pub fn chunk(
        &mut self,
        file: FileTicket,
        bytes: Vec<u8>,
        jobs: &mut Vec<Job>,
    ) -> Result<Result<(), Vec<u8>>, MachineError> {
        let open = self
            .files
            .get_mut(&file)
            .filter(|f| !f.ended)
            .ok_or(MachineError::UnknownTicket)?;
        let length = bytes.len() as u64;
        match self.saver.offer(BlobKind::Data, Blob::Plain(bytes), jobs) {
            Ok(ticket) => {
                self.chunks.insert(ticket, (file, open.content.len()));
                open.content.push(None);
                open.waiting += 1;
                open.bytes += length;
                self.counts.bytes_read += length;
                Ok(Ok(()))
            }
            Err(WouldBlock(Blob::Plain(bytes))) => Ok(Err(bytes)),
            Err(WouldBlock(Blob::Stored { sealed, .. } | Blob::Kept { sealed, .. })) => {
                Ok(Err(sealed))
            }
        }
    }

    /// All chunks of a file have come. `newer` is its node if it changed meanwhile.
    /// For a stream the caller holds the proof of its clean end.
    ///
    /// # Errors
    /// [`MachineError::UnknownTicket`].
    pub fn end(
        &mut self,
        file: FileTicket,
        newer: Option<Node>,
        jobs: &mut Vec<Job>,
    ) -> Result<(), MachineError> {
        let open = self
            .files
            .get_mut(&file)
            .filter(|f| !f.ended)
            .ok_or(MachineError::UnknownTicket)?;
        open.ended = true;
        if let Some(node) = newer {
            // The place in the directory was kept for this name and no other.
            open.node = Node {
                name: std::mem::take(&mut open.node.name),
                ..node
            };
        }
        self.open_streams -= usize::from(open.source == Reading::Stream);
        self.counts.files_new += 1;
        self.counts.bytes_total += open.bytes;
        self.settle(file, jobs)
    }

    /// A file cannot be read: it is left out and the point is incomplete.
    ///
    /// # Errors
    /// [`MachineError::UnknownTicket`]; [`MachineError::OpenStreams`] for a stream, which must not be left out.
    pub fn give_up(
        &mut self,
        file: FileTicket,
        issue: Issue,
        jobs: &mut Vec<Job>,
    ) -> Result<(), MachineError> {
        let open = self
            .files
            .remove(&file)
            .ok_or(MachineError::UnknownTicket)?;
        if open.source == Reading::Stream {
            return Err(MachineError::OpenStreams {
                streams: self.open_streams,
            });
        }
        self.issue(issue);
        let ready = self.tree.fill(open.slot, None)?;
        self.save_directory(ready, jobs);
        self.go_on(jobs)
    }

    /// Something could not be read.
    pub fn issue(&mut self, issue: Issue) {
        self.issue_count += 1;
        if self.issues.len() < LISTED_ISSUES {
            self.issues.push(issue);
        }
    }

    /// Everything has come, but for chunks of files begun before.
    ///
    /// # Errors
    /// [`MachineError::NotLeft`], [`MachineError::AfterEnd`].
    pub fn close(&mut self, jobs: &mut Vec<Job>) -> Result<(), MachineError> {
        let ready = self.tree.close()?;
        self.phase = Phase::Trees;
        self.save_directory(ready, jobs);
        self.go_on(jobs)
    }

    /// What was counted so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// What could not be read: the first ones, and how many in all.
    pub fn issues(&self) -> (&[Issue], u64) {
        (&self.issues, self.issue_count)
    }

    /// What was stored so far.
    pub fn saver(&self) -> &Saver {
        &self.saver
    }

    /// The snapshot's id and its tree, once it is durable.
    pub fn result(&self) -> Option<(Id, Id)> {
        Some((self.finale.snapshot()?, self.tree.root()?))
    }

    fn save_directory(&mut self, ready: Option<Ready>, jobs: &mut Vec<Job>) {
        if let Some(Ready { directory, nodes }) = ready {
            let ticket = self.saver.offer_tree(nodes, jobs);
            self.directories.insert(ticket, directory);
        }
    }

    fn blob_done(
        &mut self,
        ticket: Ticket,
        id: Id,
        jobs: &mut Vec<Job>,
    ) -> Result<(), MachineError> {
        if let Some(directory) = self.directories.remove(&ticket) {
            let ready = self.tree.saved(directory, id)?;
            self.save_directory(ready, jobs);
            return Ok(());
        }
        let (file, at) = self
            .chunks
            .remove(&ticket)
            .ok_or(MachineError::UnknownTicket)?;
        // A file that was given up has no use for its chunks.
        let Some(open) = self.files.get_mut(&file) else {
            return Ok(());
        };
        *open
            .content
            .get_mut(at)
            .ok_or(MachineError::UnknownTicket)? = Some(id);
        open.waiting -= 1;
        self.settle(file, jobs)
    }

    /// Hands a file to its directory if nothing of it is missing.
    fn settle(&mut self, file: FileTicket, jobs: &mut Vec<Job>) -> Result<(), MachineError> {
        if !self
            .files
            .get(&file)
            .is_some_and(|f| f.ended && f.waiting == 0)
        {
            return Ok(());
        }
        let open = self
            .files
            .remove(&file)
            .ok_or(MachineError::UnknownTicket)?;
        let content = open.content.into_iter().collect::<Option<Vec<Id>>>();
        let content = content.ok_or(MachineError::UnknownTicket)?;
        let node = Node {
            kind: NodeKind::File,
            size: open.bytes,
            content: Some(content),
            subtree: None,
            ..open.node
        };
        let ready = self.tree.fill(open.slot, Some(node))?;
        self.save_directory(ready, jobs);
        Ok(())
    }

    fn go_on(&mut self, jobs: &mut Vec<Job>) -> Result<(), MachineError> {
        if matches!(self.phase, Phase::Trees) && self.tree.root().is_some() {
            if self.open_streams > 0 || !self.files.is_empty() {
                return Err(MachineError::OpenStreams {
                    streams: self.open_streams,
                });
            }
            self.phase = Phase::Flushing;
            self.saver.flush(jobs)?;
        }
        if matches!(self.phase, Phase::Flushing) && self.saver.is_durable() {
            self.phase = Phase::Ready;
        }
        Ok(())
    }

    /// Whether everything but the snapshot is durable; then [`BackupMachine::write_snapshot`] is due.
    pub fn is_ready_for_snapshot(&self) -> bool {
        matches!(self.phase, Phase::Ready) && !self.finale.has_begun()
    }

    /// Writes the snapshot, with counts; `ended` is the time of the end.
    ///
    /// # Errors
    /// [`MachineError::AfterEnd`] if something is not durable yet, or it was called before.
    pub fn write_snapshot(
        &mut self,
        ended: Timestamp,
        jobs: &mut Vec<Job>,
    ) -> Result<(), MachineError> {
        let (Phase::Ready, Some(tree), false) =
            (&self.phase, self.tree.root(), self.finale.has_begun())
        else {
            return Err(MachineError::AfterEnd);
        };
        let mut snapshot = self.snapshot.clone();
        snapshot.tree = tree;
        snapshot.summary = Some(self.summary(ended));
        self.finale.begin(snapshot, &mut self.saver, jobs);
        Ok(())
    }

    fn summary(&self, ended: Timestamp) -> SnapshotSummary {
        let (counts, added) = (self.counts, self.saver.added());
        SnapshotSummary {
            backup_start: self.snapshot.time,
            backup_end: ended,
            files_new: counts.files_new.saturating_sub(counts.files_changed),
            files_changed: counts.files_changed,
            files_unmodified: counts.files_unchanged,
            dirs_new: counts.dirs,
            data_blobs: i64::try_from(added.data.0).unwrap_or(i64::MAX),
            tree_blobs: i64::try_from(added.trees.0).unwrap_or(i64::MAX),
            data_added: added.data.1 + added.trees.1,
            data_added_packed: added.stored_bytes,
            total_files_processed: counts.files_new + counts.files_unchanged,
            total_bytes_processed: counts.bytes_total,
            ..SnapshotSummary::default()
        }
    }
}

impl Machine for BackupMachine {
    fn completed(
        &mut self,
        done: Done,
        now: Duration,
        jobs: &mut Vec<Job>,
    ) -> Result<(), MachineError> {
        match self.finale.take(done, &mut self.saver, jobs) {
            None => return Ok(()),
            Some(Done::Blob {
                ticket,
                id,
                length,
                fresh,
            }) => {
                self.saver.processed(ticket, id, length, fresh, jobs)?;
                self.blob_done(ticket, id, jobs)?;
            }
            Some(Done::Pack { ticket, pack }) => self.saver.finished(ticket, pack, jobs)?,
            Some(Done::File {
                ticket,
                name,
                bytes,
            }) => self.saver.encoded(ticket, name, bytes, jobs)?,
            Some(Done::Stored { ticket }) => self.saver.stored(ticket, now, jobs)?,
            Some(Done::Written { ticket }) => self.saver.written(ticket, jobs)?,
            Some(Done::Closed {
                ticket,
                pack,
                bytes,
            }) => self.saver.closed(ticket, pack, bytes, now, jobs)?,
            Some(Done::Tree { .. } | Done::Fetched { .. }) => {
                return Err(MachineError::UnknownTicket);
            }
        }
        self.go_on(jobs)
    }

    fn salvage(&mut self, jobs: &mut Vec<Job>) {
        self.saver.salvage(jobs);
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.saver.has_room(bytes)
    }

    fn is_finished(&self) -> bool {
        self.finale.snapshot().is_some()
    }
}

/// How a file's content comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It may be left out if it cannot be read.
    File,
    /// Without a proof of its clean end there is no snapshot at all.
    Stream,
}

struct OpenFile {
    slot: Slot,
    node: Node,
    source: Reading,
    content: Vec<Option<Id>>,
    /// Chunks whose ids are not known yet.
    waiting: usize,
    bytes: u64,
    ended: bool,
}

enum Phase {
    Filling,
    Trees,
    Flushing,
    Ready,
}

/// Issues that are kept with their text; the others are counted.
pub const LISTED_ISSUES: usize = 1000;
