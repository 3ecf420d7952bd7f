//! Saving blobs: process, collect into packs, store the packs, then an index of them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use vouchsafe_format::{BlobKind, FinishedPack, Id, IndexPack, Node, PackWriter, SealedBlob};
use vouchsafe_host::Random;

use super::MachineError;
use super::buffers::Buffers;
use super::growing::GrowingPacks;
use super::job::{Blob, Compute, Job, ObjectKind, Ticket, Transfer};
use super::open_pack::{self, OpenPack};

/// How much is collected before it is stored, and how much memory may be in use meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bytes from which on a pack is full.
    pub pack_bytes: usize,
    /// Blobs from which on an index is written.
    pub index_blobs: usize,
    /// Age of the oldest stored pack at which an index is written.
    pub index_age: Duration,
    /// Bytes that may be under way between a source and the store, besides the open packs.
    pub budget: usize,
}

impl Settings {
    /// The default, with room for as many threads as the machine runs at once.
    pub fn for_machine(parallelism: usize) -> Settings {
        let budget = (20 << 20) + parallelism.clamp(1, 64) * (2 << 20);
        Settings {
            budget,
            ..Settings::default()
        }
    }
}

impl Default for Settings {
    /// As restic: packs of 16 MiB, an index for each 50,000 blobs or 10 minutes; and 32 MiB under way.
    fn default() -> Settings {
        Settings {
            pack_bytes: 16 << 20,
            index_blobs: 50_000,
            index_age: Duration::from_secs(600),
            budget: 32 << 20,
        }
    }
}

/// What was newly stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// The packs.
    pub packs: Vec<Id>,
    /// The index files.
    pub indexes: Vec<Id>,
    /// Bytes of all packs.
    pub stored_bytes: u64,
    /// Blobs of data, and bytes of their plaintext.
    pub data: (u64, u64),
    /// Blobs of trees, and bytes of their plaintext.
    pub trees: (u64, u64),
}

/// Takes blobs until it is flushed; done when everything is durable and indexed.
///
/// Blobs of one kind go to one of two open packs at random, so that a pack's layout does not tell in which order
/// chunks of which size came. An index lists only packs that are durable.
pub struct Saver {
    settings: Settings,
    random: Arc<dyn Random>,
    buffers: Arc<Buffers>,
    next_ticket: u64,
    /// Blobs being processed: kind, bytes held.
    processing: HashMap<Ticket, (BlobKind, usize)>,
    /// Packs being finished: bytes held.
    finishing: HashMap<Ticket, usize>,
    /// Objects being stored: bytes held, and what becomes of them.
    storing: HashMap<Ticket, (usize, Storing)>,
    /// Indexes being encoded.
    encoding: HashMap<Ticket, usize>,
    /// Bytes of all of the above.
    held: usize,
    /// Bytes of the blobs being processed alone.
    held_blobs: usize,
    open: [[OpenPack; 2]; 2],
    /// Whether the store takes packs piece by piece.
    pieces: bool,
    growing: GrowingPacks,
    durable: Vec<IndexPack>,
    durable_since: Option<Duration>,
    flushing: bool,
    added: Added,
}

impl Saver {
    /// A saver without blobs. `random` chooses between open packs.
    pub fn new(settings: Settings, random: Arc<dyn Random>) -> Saver {
        let pair = |kind| [OpenPack::new(kind), OpenPack::new(kind)];
        Saver {
            settings,
            random,
            buffers: Arc::default(),
            next_ticket: 0,
            processing: HashMap::new(),
            finishing: HashMap::new(),
            storing: HashMap::new(),
            encoding: HashMap::new(),
            held: 0,
            held_blobs: 0,
            open: [pair(BlobKind::Data), pair(BlobKind::Tree)],
            pieces: false,
            growing: GrowingPacks::default(),
            durable: Vec::new(),
            durable_since: None,
            flushing: false,
            added: Added::default(),
        }
    }

    /// Whether packs are to be stored piece by piece, as far as they are worth more than one: for stores that can do
    /// that. Otherwise each is held in memory until it is full.
    #[must_use]
    pub fn in_pieces(mut self, pieces: bool) -> Saver {
        self.pieces = pieces;
        self
    }

    /// With other buffers than those that the allocator is asked for in the usual way.
    #[must_use]
    pub fn with_buffers(mut self, buffers: Buffers) -> Saver {
        self.buffers = Arc::new(buffers);
        self
    }

    /// Where whoever does the jobs takes large buffers from, and gives them back.
    pub fn buffers(&self) -> &Arc<Buffers> {
        &self.buffers
    }

    /// Whether a blob of this many bytes keeps within the budget. One blob is always let in, however large.
    ///
    /// Blobs alone get a part of it only: were all of it taken by blobs when packs become full, both would be needed.
    pub fn has_room(&self, bytes: usize) -> bool {
        let blobs = self.held_blobs.saturating_add(bytes);
        self.held == 0
            || self.held.saturating_add(bytes) <= self.settings.budget
                && (self.held_blobs == 0 || blobs <= self.settings.budget / 4)
    }

    /// Bytes of blobs and packs in memory, open packs included.
    pub fn memory(&self) -> usize {
        self.held
            + self
                .open
                .iter()
                .flatten()
                .map(|open| open.pack.bytes().len())
                .sum::<usize>()
    }

    /// Takes a blob, or gives it back when there is no room: then wait until something was completed.
    ///
    /// # Errors
    /// [`WouldBlock`].
    pub fn offer(
        &mut self,
        kind: BlobKind,
        blob: Blob,
        jobs: &mut Vec<Job>,
    ) -> Result<Ticket, WouldBlock> {
        if self.has_room(blob.len()) {
            Ok(self.push(kind, blob, jobs))
        } else {
            Err(WouldBlock(blob))
        }
    }

    /// Takes a blob for which there was room when it was asked for.
    pub fn push(&mut self, kind: BlobKind, blob: Blob, jobs: &mut Vec<Job>) -> Ticket {
        let ticket = self.begin(kind, blob.len());
        jobs.push(Job::Compute(Compute::Process { ticket, kind, blob }));
        ticket
    }

    /// Takes a directory. It is let in also without room: blobs that wait for it might be what takes the room.
    pub fn offer_tree(&mut self, nodes: Vec<Node>, jobs: &mut Vec<Job>) -> Ticket {
        let bytes = nodes.iter().map(node_bytes).sum();
        let ticket = self.begin(BlobKind::Tree, bytes);
        jobs.push(Job::Compute(Compute::Tree { ticket, nodes }));
        ticket
    }

    /// A blob was processed.
    ///
    /// # Errors
    /// [`MachineError::UnknownTicket`], [`MachineError::Pack`].
    pub fn processed(
        &mut self,
        ticket: Ticket,
        id: Id,
        length: u64,
        fresh: Option<SealedBlob>,
        jobs: &mut Vec<Job>,
    ) -> Result<(), MachineError> {
        let (kind, bytes) = self
            .processing
            .remove(&ticket)
            .ok_or(MachineError::UnknownTicket)?;
        self.held -= bytes;
        self.held_blobs -= bytes;
        if let Some(sealed) = fresh {
            let count = match kind {
                BlobKind::Data => &mut self.added.data,
                BlobKind::Tree => &mut self.added.trees,
            };
            count.0 += 1;
            count.1 += length;
            self.collect(kind, id, &sealed, jobs)?;
            self.buffers.give(sealed.bytes);
        }
        self.flush_if_due(jobs)
    }

    /// A pack was finished.
    ///
    /// # Errors
    /// [`MachineError::UnknownTicket`].
    pub fn finished(
        &mut self,
        ticket: Ticket,
        pack: FinishedPack,
        jobs: &mut Vec<Job>,
    ) -> Result<(), MachineError> {
        let held = self
            .finishing
            .remove(&ticket)
            .ok_or(MachineError::UnknownTicket)?;
        self.held -= held;
        let FinishedPack {
            id: name,
            bytes,
            blobs,
        } = pack;
        self.added.packs.push(name);
        self.added.stored_bytes += bytes.len() as u64;
        let listed = IndexPack { id: name, blobs };
        self.put(ObjectKind::Pack, name, bytes, Storing::Pack(listed), jobs);
        Ok(())
    }

    /// A piece of a pack was written.
    ///
    /// # Errors
    /// [`MachineError::UnknownTicket`].
    pub fn written(&mut self, ticket: Ticket, jobs: &mut Vec<Job>) -> Result<(), MachineError> {
        self.held -= self.growing.done(ticket, jobs)?;
        self.flush_if_due(jobs)
    }

    /// A pack that was stored piece by piece is durable.
    ///
    /// # Errors
    /// [`MachineError::UnknownTicket`].
    pub fn closed(
        &mut self,
        ticket: Ticket,
        pack: IndexPack,
        bytes: u64,
        now: Duration,
        jobs: &mut Vec<Job>,
    ) -> Result<(), MachineError> {
        self.held -= self.growing.done(ticket, jobs)?;
        self.added.packs.push(pack.id);
        self.added.stored_bytes += bytes;
        self.list(Some(pack), now, jobs)
    }

    /// An index was encoded.
    ///
    /// # Errors
    /// [`MachineError::UnknownTicket`].
    pub fn encoded(
        &mut self,
        ticket: Ticket,
        name: Id,
        bytes: Vec<u8>,
        jobs: &mut Vec<Job>,
    ) -> Result<(), MachineError> {
        self.encoding
            .remove(&ticket)
            .ok_or(MachineError::UnknownTicket)?;
        self.added.indexes.push(name);
        self.put(ObjectKind::Index, name, bytes, Storing::Index, jobs);
        Ok(())
    }

    /// A pack or an index is durable.
    ///
    /// # Errors
    /// [`MachineError::UnknownTicket`].
    pub fn stored(
        &mut self,
        ticket: Ticket,
        now: Duration,
        jobs: &mut Vec<Job>,
    ) -> Result<(), MachineError> {
        let (bytes, what) = self
            .storing
            .remove(&ticket)
            .ok_or(MachineError::UnknownTicket)?;
        self.held -= bytes;
        let pack = match what {
            Storing::Pack(pack) => Some(pack),
            Storing::Index => None,
        };
        self.list(pack, now, jobs)
    }

    /// A pack that is durable will be listed, and those that wait for it are, if it is time.
    fn list(
        &mut self,
        pack: Option<IndexPack>,
        now: Duration,
        jobs: &mut Vec<Job>,
    ) -> Result<(), MachineError> {
        if let Some(pack) = pack {
            self.durable_since.get_or_insert(now);
            self.durable.push(pack);
        }
        let blobs: usize = self.durable.iter().map(|pack| pack.blobs.len()).sum();
        let since = self.durable_since.unwrap_or(now);
        if blobs >= self.settings.index_blobs
            || now.saturating_sub(since) >= self.settings.index_age
        {
            self.index(jobs);
        }
        self.flush_if_due(jobs)
    }

    /// Everything was offered: store what is still open, then the last index.
    ///
    /// # Errors
    /// [`MachineError::Pack`].
    pub fn flush(&mut self, jobs: &mut Vec<Job>) -> Result<(), MachineError> {
        self.flushing = true;
        self.flush_if_due(jobs)
    }

    /// Gives up what is not durable and lists what is, so that it need not be stored again.
    pub fn salvage(&mut self, jobs: &mut Vec<Job>) {
        self.index(jobs);
    }

    /// Whether everything is durable and indexed.
    pub fn is_durable(&self) -> bool {
        self.flushing
            && self.is_idle()
            && self.durable.is_empty()
            && self.open.iter().flatten().all(|open| open.pack.is_empty())
    }

    /// What was newly stored so far.
    pub fn added(&self) -> &Added {
        &self.added
    }

    /// A ticket for a job outside the saver.
    pub fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    fn begin(&mut self, kind: BlobKind, bytes: usize) -> Ticket {
        let ticket = self.ticket();
        self.held += bytes;
        self.held_blobs += bytes;
        self.processing.insert(ticket, (kind, bytes));
        ticket
    }

    fn collect(
        &mut self,
        kind: BlobKind,
        id: Id,
        sealed: &SealedBlob,
        jobs: &mut Vec<Job>,
    ) -> Result<(), MachineError> {
        let full = self.settings.pack_bytes;
        if sealed.bytes.len() >= full {
            let mut own = PackWriter::new(kind);
            own.add(id, &sealed.bytes, sealed.uncompressed_length)?;
            self.finish(own, jobs);
            return Ok(());
        }
        let at = usize::from(self.random.u64() & 1 == 1);
        if self.open[lane(kind)][at].pack.len() + sealed.bytes.len() > full {
            self.close(lane(kind), at, jobs);
        }
        if self.pieces {
            self.write_if_full(lane(kind), at, sealed.bytes.len(), jobs);
        }
        let room = open_pack::room(full, self.pieces);
        let pack = &mut self.open[lane(kind)][at].pack;
        // Directories seldom fill a pack, so theirs grow as needed.
        if pack.is_empty() && kind == BlobKind::Data {
            *pack = PackWriter::in_buffer(kind, self.buffers.take(room));
        }
        pack.add(id, &sealed.bytes, sealed.uncompressed_length)?;
        if pack.len() >= full || pack.is_header_full() {
            self.close(lane(kind), at, jobs);
        }
        Ok(())
    }

    /// Lets what is in memory of an open pack be written, if these many more bytes would be more than a piece.
    fn write_if_full(&mut self, lane: usize, at: usize, more: usize, jobs: &mut Vec<Job>) {
        let full = self.settings.pack_bytes;
        let open = &mut self.open[lane][at];
        if !open.is_piece(more, full) {
            return;
        }
        let growing = *open.growing.get_or_insert_with(|| self.growing.begin());
        let bytes = open
            .pack
            .take(self.buffers.take(open_pack::later_piece(full)));
        self.held += bytes.len();
        let ticket = self.ticket();
        self.growing.write(ticket, growing, bytes, jobs);
    }

    /// Lets one of the open packs be stored; an empty one takes its place.
    fn close(&mut self, lane: usize, at: usize, jobs: &mut Vec<Job>) {
        let open = &mut self.open[lane][at];
        let kind = open.pack.kind();
        let ready = std::mem::replace(open, OpenPack::new(kind));
        self.end(ready, jobs);
    }

    fn end(&mut self, ready: OpenPack, jobs: &mut Vec<Job>) {
        let OpenPack { pack, growing } = ready;
        match growing {
            Some(growing) => {
                self.held += pack.bytes().len();
                let ticket = self.ticket();
                self.growing.close(ticket, growing, pack, jobs);
            }
            None => self.finish(pack, jobs),
        }
    }

    fn finish(&mut self, pack: PackWriter, jobs: &mut Vec<Job>) {
        let ticket = self.ticket();
        self.held += pack.len();
        self.finishing.insert(ticket, pack.len());
        jobs.push(Job::Compute(Compute::Finish { ticket, pack }));
    }

    fn put(
        &mut self,
        object: ObjectKind,
        name: Id,
        bytes: Vec<u8>,
        what: Storing,
        jobs: &mut Vec<Job>,
    ) {
        let ticket = self.ticket();
        self.held += bytes.len();
        self.storing.insert(ticket, (bytes.len(), what));
        jobs.push(Job::Transfer(Transfer::Put {
            ticket,
            object,
            name,
            bytes,
        }));
    }

    fn index(&mut self, jobs: &mut Vec<Job>) {
        if self.durable.is_empty() {
            return;
        }
        self.durable_since = None;
        let packs = std::mem::take(&mut self.durable);
        let ticket = self.ticket();
        self.encoding.insert(ticket, packs.len());
        jobs.push(Job::Compute(Compute::Index { ticket, packs }));
    }

    fn flush_if_due(&mut self, jobs: &mut Vec<Job>) -> Result<(), MachineError> {
        if !self.flushing || !self.processing.is_empty() {
            return Ok(());
        }
        for at in 0..self.open.len() {
            self.close_lane(at, jobs)?;
        }
        if self.finishing.is_empty() && self.storing.is_empty() && self.growing.is_idle() {
            // The index is large too, and nobody needs them any more.
            self.buffers.clear();
            self.index(jobs);
        }
        Ok(())
    }

    /// Closes both packs of a kind, as one if they are small.
    fn close_lane(&mut self, at: usize, jobs: &mut Vec<Job>) -> Result<(), MachineError> {
        let Some(pair) = self.open.get_mut(at) else {
            return Ok(());
        };
        let kind = pair[0].pack.kind();
        let mut pair = std::mem::replace(pair, [OpenPack::new(kind), OpenPack::new(kind)]);
        // What was written already stays where it is.
        pair.sort_by_key(|open| open.growing.is_none());
        let [mut first, mut second] = pair;
        let both = first.pack.len() + second.pack.len();
        if both <= self.settings.pack_bytes && second.growing.is_none() {
            first.append(&second.pack)?;
            second = OpenPack::new(kind);
        }
        for open in [first, second] {
            if !open.pack.is_empty() {
                self.end(open, jobs);
            }
        }
        Ok(())
    }

    fn is_idle(&self) -> bool {
        self.processing.is_empty()
            && self.finishing.is_empty()
            && self.storing.is_empty()
            && self.growing.is_idle()
            && self.encoding.is_empty()
    }
}

/// There is no room for this blob now.
#[derive(Debug)]
pub struct WouldBlock(pub Blob);

impl Blob {
    /// Bytes held.
    pub fn len(&self) -> usize {
        match self {
            Blob::Plain(bytes) => bytes.len(),
            Blob::Stored { sealed, .. } | Blob::Kept { sealed, .. } => sealed.len(),
        }
    }

    /// Whether no bytes are held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

enum Storing {
    Pack(IndexPack),
    Index,
}

fn lane(kind: BlobKind) -> usize {
    match kind {
        BlobKind::Data => 0,
        BlobKind::Tree => 1,
    }
}

/// What a directory's entry takes in memory, roughly.
fn node_bytes(node: &Node) -> usize {
    size_of::<Node>() + node.name.len() + node.content.as_ref().map_or(0, |ids| ids.len() * 32)
}
