//! One repack: blobs that are still needed, out of packs that are to go, into new packs.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use vouchsafe_format::{BlobKind, Id};

use super::job::{Blob, Done, Job, Ticket, Transfer};
use super::save::Saver;
use super::{Machine, MachineError};

/// A blob that is to move, with the place that it is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moving {
    /// Which.
    pub id: Id,
    /// What it holds.
    pub kind: BlobKind,
    /// The pack that it is taken from.
    pub pack: Id,
    /// First byte there.
    pub offset: u32,
    /// Bytes, sealed.
    pub length: u32,
    /// Bytes of the plaintext, if it is compressed.
    pub uncompressed_length: Option<u32>,
}

/// See the module. The bytes of a blob stay as they are sealed, after they were opened and hashed.
pub struct RepackMachine {
    saver: Saver,
    /// In descending order of their places.
    waiting: Vec<Moving>,
    fetching: HashMap<Ticket, Vec<Moving>>,
    fetching_bytes: usize,
    checking: HashSet<Ticket>,
    flushing: bool,
    moved: u64,
}

impl RepackMachine {
    /// A repack of these blobs, each named once.
    pub fn new(saver: Saver, mut blobs: Vec<Moving>) -> RepackMachine {
        blobs.sort_unstable_by_key(|b| std::cmp::Reverse((b.pack, b.offset)));
        RepackMachine {
            saver,
            waiting: blobs,
            fetching: HashMap::new(),
            fetching_bytes: 0,
            checking: HashSet::new(),
            flushing: false,
            moved: 0,
        }
    }

    /// Begins.
    ///
    /// # Errors
    /// [`MachineError::Pack`].
    pub fn start(&mut self, jobs: &mut Vec<Job>) -> Result<(), MachineError> {
        self.go_on(jobs)
    }

    /// What was stored so far.
    pub fn saver(&self) -> &Saver {
        &self.saver
    }

    /// Blobs moved so far.
    pub fn moved(&self) -> u64 {
        self.moved
    }

    fn go_on(&mut self, jobs: &mut Vec<Job>) -> Result<(), MachineError> {
        self.fetch(jobs);
        let over = self.waiting.is_empty() && self.fetching.is_empty() && self.checking.is_empty();
        if over && !self.flushing {
            self.flushing = true;
            self.saver.flush(jobs)?;
        }
        Ok(())
    }

    fn fetch(&mut self, jobs: &mut Vec<Job>) {
        while self.fetching.len() < FETCHES {
            let run = next_run(&self.waiting);
            let bytes = span(run).1;
            let room = self.saver.has_room(self.fetching_bytes + bytes)
                || self.fetching.is_empty() && self.saver.has_room(bytes);
            let Some(first) = run.last().filter(|_| room) else {
                return;
            };
            let (pack, offset, ticket) = (first.pack, u64::from(span(run).0), self.saver.ticket());
            let from = self.waiting.len() - run.len();
            let mut run = self.waiting.split_off(from);
            run.reverse();
            self.fetching_bytes += bytes;
            jobs.push(Job::Transfer(Transfer::Fetch {
                ticket,
                pack,
                offset,
                length: bytes as u64,
            }));
            self.fetching.insert(ticket, run);
        }
    }

    fn fetched(
        &mut self,
        ticket: Ticket,
        bytes: &[u8],
        jobs: &mut Vec<Job>,
    ) -> Result<(), MachineError> {
        let run = self
            .fetching
            .remove(&ticket)
            .ok_or(MachineError::UnknownTicket)?;
        let (start, length) = span(&run);
        self.fetching_bytes -= length;
        for moving in run {
            let from = (moving.offset - start) as usize;
            let sealed = bytes
                .get(from..from + moving.length as usize)
                .unwrap_or_default()
                .to_vec();
            let blob = Blob::Kept {
                id: moving.id,
                sealed,
                uncompressed_length: moving.uncompressed_length,
            };
            self.checking
                .insert(self.saver.push(moving.kind, blob, jobs));
        }
        Ok(())
    }
}

impl Machine for RepackMachine {
    fn completed(
        &mut self,
        done: Done,
        now: Duration,
        jobs: &mut Vec<Job>,
    ) -> Result<(), MachineError> {
        match done {
            Done::Tree { .. } => return Err(MachineError::UnknownTicket),
            Done::Fetched { ticket, bytes } => self.fetched(ticket, &bytes, jobs)?,
            Done::Blob {
                ticket,
                id,
                length,
                fresh,
            } => {
                self.checking.remove(&ticket);
                self.moved += 1;
                self.saver.processed(ticket, id, length, fresh, jobs)?;
            }
            Done::Pack { ticket, pack } => self.saver.finished(ticket, pack, jobs)?,
            Done::File {
                ticket,
                name,
                bytes,
            } => self.saver.encoded(ticket, name, bytes, jobs)?,
            Done::Stored { ticket } => self.saver.stored(ticket, now, jobs)?,
            Done::Written { ticket } => self.saver.written(ticket, jobs)?,
            Done::Closed {
                ticket,
                pack,
                bytes,
            } => self.saver.closed(ticket, pack, bytes, now, jobs)?,
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
        self.flushing && self.saver.is_durable()
    }
}

/// Reads under way at once.
const FETCHES: usize = 8;
/// Bytes of one read that holds several blobs.
const RUN_BYTES: u64 = 2 << 20;
/// Unwanted bytes between two blobs that are read with them rather than skipped.
const GAP: u32 = 64 << 10;

/// The blobs at the end of `waiting` (descending) that one read brings.
fn next_run(waiting: &[Moving]) -> &[Moving] {
    let Some(first) = waiting.last() else {
        return &[];
    };
    let mut end = first.offset;
    let mut count = 0;
    for blob in waiting.iter().rev() {
        let stop = blob.offset.saturating_add(blob.length);
        let near = blob.pack == first.pack && blob.offset.saturating_sub(end) <= GAP;
        let small = u64::from(stop.saturating_sub(first.offset)) <= RUN_BYTES;
        if count > 0 && !(near && small) {
            break;
        }
        end = end.max(stop);
        count += 1;
    }
    waiting.get(waiting.len() - count..).unwrap_or_default()
}

/// First byte and length of the read that brings these blobs of one pack.
fn span(blobs: &[Moving]) -> (u32, usize) {
    let start = blobs.iter().map(|b| b.offset).min().unwrap_or(0);
    let end = blobs
        .iter()
        .map(|b| b.offset.saturating_add(b.length))
        .max()
        .unwrap_or(0);
    (start, (end - start) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moving(pack: &[u8], offset: u32, length: u32) -> Moving {
        Moving {
            id: Id::of(b"b"),
            kind: BlobKind::Data,
            pack: Id::of(pack),
            offset,
            length,
            uncompressed_length: None,
        }
    }

    #[test]
    fn neighbours_of_one_pack_come_with_one_read() {
        let large = RUN_BYTES as u32;
        let waiting = vec![
            moving(b"q", 0, 100),
            moving(b"p", 300 + GAP, 50),
            moving(b"p", 150, 100),
            moving(b"p", 0, 100),
        ];
        assert_eq!(next_run(&waiting).len(), 2);
        assert_eq!(span(next_run(&waiting)), (0, 250));
        assert_eq!(next_run(&waiting[..2]).len(), 1);
        assert_eq!(
            next_run(&[moving(b"p", large, 1), moving(b"p", 0, large)]).len(),
            1
        );
        assert_eq!(next_run(&[]).len(), 0);
    }
}
