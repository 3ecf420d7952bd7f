//! One copy: which blobs of a snapshot the target lacks, fetched pack by pack, then the snapshot.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use vouchsafe_format::{BlobKind, Id, Node, Snapshot};

use super::finale::Finale;
use super::job::{Blob, Compute, Done, Job, Ticket, Transfer};
use super::save::Saver;
use super::{Machine, MachineError};
use crate::error::TreeProblem;
use crate::index::{BlobIndex, ById, Place};

/// See the module. Begun by [`CopyMachine::start`]; finished when [`Machine::is_finished`] says so.
///
/// All directories of the snapshot are read: that the target has one does not tell that it has what is below.
pub struct CopyMachine {
    saver: Saver,
    source: Arc<BlobIndex>,
    target: Arc<BlobIndex>,
    snapshot: Box<Snapshot>,
    phase: Phase,
    /// Directories to be read.
    frontier: Vec<Id>,
    seen: HashSet<(Id, BlobKind), ById>,
    fetching: HashMap<Ticket, Fetch>,
    fetching_bytes: usize,
    decoding: HashSet<Ticket>,
    /// What the target lacks; when all directories are read, in descending order of their places.
    missing: Vec<Wanted>,
    /// With the stored bytes of each.
    resealing: HashMap<Ticket, u64>,
    copied: u64,
    /// Blobs and stored bytes that were taken over so far, and that are to be, once that is known.
    done: (u64, u64),
    wanted: Option<(u64, u64)>,
    finale: Finale,
}

impl CopyMachine {
    /// A copy of `snapshot`, which is what will be written.
    pub fn new(
        saver: Saver,
        source: Arc<BlobIndex>,
        target: Arc<BlobIndex>,
        snapshot: Snapshot,
    ) -> CopyMachine {
        CopyMachine {
            saver,
            source,
            target,
            frontier: vec![snapshot.tree],
            snapshot: Box::new(snapshot),
            phase: Phase::Trees,
            seen: HashSet::default(),
            fetching: HashMap::new(),
            fetching_bytes: 0,
            decoding: HashSet::new(),
            missing: Vec::new(),
            resealing: HashMap::new(),
            copied: 0,
            done: (0, 0),
            wanted: None,
            finale: Finale::default(),
        }
    }

    /// Begins with the root.
    ///
    /// # Errors
    /// [`MachineError::Source`] if the source's index does not list a directory or a chunk.
    pub fn start(&mut self, jobs: &mut Vec<Job>) -> Result<(), MachineError> {
        self.go_on(jobs)
    }

    /// Whether everything but the snapshot is durable at the target.
    pub fn is_ready_for_snapshot(&self) -> bool {
        matches!(self.phase, Phase::Ready) && !self.finale.has_begun()
    }

    /// Writes the snapshot.
    ///
    /// # Errors
    /// [`MachineError::AfterEnd`] if something is not durable yet, or it was called before.
    pub fn write_snapshot(&mut self, jobs: &mut Vec<Job>) -> Result<(), MachineError> {
        if !self.is_ready_for_snapshot() {
            return Err(MachineError::AfterEnd);
        }
        self.finale
            .begin(self.snapshot.clone(), &mut self.saver, jobs);
        Ok(())
    }

    /// The snapshot at the target, once it is durable.
    pub fn result(&self) -> Option<Id> {
        self.finale.snapshot()
    }

    /// What was stored so far.
    pub fn saver(&self) -> &Saver {
        &self.saver
    }

    /// Blobs copied so far.
    pub fn copied(&self) -> u64 {
        self.copied
    }

    /// Whether it is known how much is to be copied.
    pub fn is_measured(&self) -> bool {
        self.wanted.is_some()
    }

    /// Blobs that are to be copied, and their stored bytes at the source; nothing before all directories were read.
    pub fn wanted(&self) -> Option<(u64, u64)> {
        self.wanted
    }

    fn go_on(&mut self, jobs: &mut Vec<Job>) -> Result<(), MachineError> {
        if matches!(self.phase, Phase::Trees) {
            self.read_directories(jobs)?;
            if self.frontier.is_empty() && self.fetching.is_empty() && self.decoding.is_empty() {
                self.phase = Phase::Blobs;
                self.seen = HashSet::default();
                let bytes = self.missing.iter().map(|w| u64::from(w.place.length));
                self.wanted = Some((self.missing.len() as u64, bytes.sum()));
                self.missing
                    .sort_unstable_by_key(|w| std::cmp::Reverse((w.place.number, w.place.offset)));
            }
        }
        if matches!(self.phase, Phase::Blobs) {
            self.fetch_blobs(jobs);
            if self.missing.is_empty() && self.fetching.is_empty() && self.resealing.is_empty() {
                self.phase = Phase::Flushing;
                self.saver.flush(jobs)?;
            }
        }
        if matches!(self.phase, Phase::Flushing) && self.saver.is_durable() {
            self.phase = Phase::Ready;
        }
        Ok(())
    }

    fn read_directories(&mut self, jobs: &mut Vec<Job>) -> Result<(), MachineError> {
        while self.fetching.len() < FETCHES && self.decoding.len() < FETCHES {
            let Some(tree) = self.frontier.pop() else {
                return Ok(());
            };
            if !self.seen.insert((tree, BlobKind::Tree)) {
                continue;
            }
            let place = self
                .source
                .place(BlobKind::Tree, &tree)
                .ok_or_else(|| self.unknown(TreeProblem::NotListed { tree }))?;
            let wanted = Wanted {
                id: tree,
                kind: BlobKind::Tree,
                place,
            };
            if !self.target.contains(BlobKind::Tree, &tree) {
                self.missing.push(wanted);
            }
            self.fetch(vec![wanted], Purpose::Directory, jobs);
        }
        Ok(())
    }

    fn note_entries(&mut self, nodes: &[Node]) -> Result<(), MachineError> {
        for node in nodes {
            self.frontier.extend(node.subtree);
            for chunk in node.content.iter().flatten() {
                let known = self.target.contains(BlobKind::Data, chunk)
                    || !self.seen.insert((*chunk, BlobKind::Data));
                if known {
                    continue;
                }
                let place = self.source.place(BlobKind::Data, chunk).ok_or_else(|| {
                    self.unknown(TreeProblem::ChunkNotListed {
                        chunk: *chunk,
                        name: node.name.escape_ascii().to_string(),
                    })
                })?;
                self.missing.push(Wanted {
                    id: *chunk,
                    kind: BlobKind::Data,
                    place,
                });
            }
        }
        Ok(())
    }

    /// The problem of a blob that no index lists, or that cannot be looked up.
    fn unknown(&self, problem: TreeProblem) -> TreeProblem {
        self.source.trouble().map_or(problem, TreeProblem::from)
    }

    fn fetch_blobs(&mut self, jobs: &mut Vec<Job>) {
        while self.fetching.len() < FETCHES {
            let run = next_run(&self.missing);
            let bytes = span(run).1;
            let room = self.saver.has_room(self.fetching_bytes + bytes)
                || self.fetching.is_empty() && self.saver.has_room(bytes);
            if run.is_empty() || !room {
                return;
            }
            let from = self.missing.len() - run.len();
            let mut run = self.missing.split_off(from);
            run.reverse();
            self.fetch(run, Purpose::Copy, jobs);
        }
    }

    /// `blobs` lie in one pack, in the order of their offsets.
    fn fetch(&mut self, blobs: Vec<Wanted>, purpose: Purpose, jobs: &mut Vec<Job>) {
        let Some(first) = blobs.first() else { return };
        let (start, length) = span(&blobs);
        let ticket = self.saver.ticket();
        self.fetching_bytes += length;
        let (pack, offset) = (first.place.pack, u64::from(start));
        jobs.push(Job::Transfer(Transfer::Fetch {
            ticket,
            pack,
            offset,
            length: length as u64,
        }));
        self.fetching.insert(ticket, Fetch { blobs, purpose });
    }

    fn fetched(
        &mut self,
        ticket: Ticket,
        bytes: &[u8],
        jobs: &mut Vec<Job>,
    ) -> Result<(), MachineError> {
        let Fetch { blobs, purpose } = self
            .fetching
            .remove(&ticket)
            .ok_or(MachineError::UnknownTicket)?;
        let (start, length) = span(&blobs);
        self.fetching_bytes -= length;
        for Wanted { id, kind, place } in blobs {
            let from = (place.offset - start) as usize;
            let sealed = bytes
                .get(from..from + place.length as usize)
                .unwrap_or_default()
                .to_vec();
            let uncompressed_length = place.uncompressed_length;
            match purpose {
                Purpose::Directory => {
                    let ticket = self.saver.ticket();
                    self.decoding.insert(ticket);
                    jobs.push(Job::Compute(Compute::Decode {
                        ticket,
                        id,
                        sealed,
                        uncompressed_length,
                    }));
                }
                Purpose::Copy => {
                    let blob = Blob::Stored {
                        id,
                        sealed,
                        uncompressed_length,
                    };
                    let ticket = self.saver.push(kind, blob, jobs);
                    self.resealing.insert(ticket, u64::from(place.length));
                }
            }
        }
        Ok(())
    }
}

impl Machine for CopyMachine {
    fn completed(
        &mut self,
        done: Done,
        now: Duration,
        jobs: &mut Vec<Job>,
    ) -> Result<(), MachineError> {
        match self.finale.take(done, &mut self.saver, jobs) {
            None => return Ok(()),
            Some(Done::Tree { ticket, nodes }) => {
                if !self.decoding.remove(&ticket) {
                    return Err(MachineError::UnknownTicket);
                }
                self.note_entries(&nodes)?;
            }
            Some(Done::Fetched { ticket, bytes }) => self.fetched(ticket, &bytes, jobs)?,
            Some(Done::Blob {
                ticket,
                id,
                length,
                fresh,
            }) => {
                if let Some(bytes) = self.resealing.remove(&ticket) {
                    self.done = (self.done.0 + 1, self.done.1 + bytes);
                }
                self.copied += u64::from(fresh.is_some());
                self.saver.processed(ticket, id, length, fresh, jobs)?;
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

    fn done_so_far(&self) -> Option<(u64, u64)> {
        Some(self.done)
    }
}

/// A blob of the source.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    id: Id,
    kind: BlobKind,
    place: Place,
}

struct Fetch {
    blobs: Vec<Wanted>,
    purpose: Purpose,
}

#[derive(Clone, Copy)]
enum Purpose {
    Directory,
    Copy,
}

enum Phase {
    Trees,
    Blobs,
    Flushing,
    Ready,
}

/// Reads under way at once.
const FETCHES: usize = 8;
/// Bytes of one read that holds several blobs.
const RUN_BYTES: usize = 2 << 20;
/// Unwanted bytes between two blobs that are read with them rather than skipped.
const GAP: u32 = 16 << 10;

/// The blobs at the end of `missing` (descending) that one read brings.
fn next_run(missing: &[Wanted]) -> &[Wanted] {
    let Some(first) = missing.last() else {
        return &[];
    };
    let mut end = first.place.offset;
    let fits = |wanted: &&Wanted| {
        let place = &wanted.place;
        let near = place.number == first.place.number && place.offset.saturating_sub(end) <= GAP;
        let stop = place.offset.saturating_add(place.length);
        let small = stop.saturating_sub(first.place.offset) as usize <= RUN_BYTES;
        let goes = near && (small || place.offset == first.place.offset);
        end = end.max(stop);
        goes
    };
    let count = missing
        .iter()
        .rev()
        .take_while({
            let mut fits = fits;
            move |w| fits(w)
        })
        .count();
    missing.get(missing.len() - count..).unwrap_or_default()
}

/// First byte and length of the read that brings these blobs of one pack.
fn span(blobs: &[Wanted]) -> (u32, usize) {
    let start = blobs.iter().map(|w| w.place.offset).min().unwrap_or(0);
    let end = blobs
        .iter()
        .map(|w| w.place.offset.saturating_add(w.place.length))
        .max()
        .unwrap_or(0);
    (start, (end - start) as usize)
}
