//! Putting an index together, file by file: in memory as long as it fits, else in a file.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use vouchsafe_format::{Id, IndexPack, PackedBlob};
use vouchsafe_host::scratch::ScratchFile;

use super::build::{Builder, Scratch};
use super::disk::Disk;
use super::record::{Record, records};
use super::table::Table;
use super::{BlobIndex, ById, IndexFileError};

/// Takes in index files.
#[derive(Debug)]
pub(crate) struct IndexBuilder {
    index: BlobIndex,
    /// Packs that came again with other blobs than before: all these blobs.
    grown: HashMap<Id, Vec<PackedBlob>, ById>,
    room: Option<Room>,
    /// Takes everything, once it was too much for the memory.
    file: Option<Builder>,
}

/// How much is held in memory, and where the rest goes.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    /// Most entries in memory.
    pub(crate) entries: usize,
    /// Most entries in memory beside those in a file.
    pub(crate) entries_beside: usize,
    /// Where the file is made.
    pub(crate) scratch: Scratch,
    /// The repository, which the file names.
    pub(crate) repository: Id,
}

impl IndexBuilder {
    /// Adds to an index. Without a room, everything that is added is held in memory.
    pub(crate) fn new(index: Arc<BlobIndex>, room: Option<Room>) -> IndexBuilder {
        IndexBuilder {
            index: Arc::try_unwrap(index).unwrap_or_else(|shared| (*shared).clone()),
            grown: HashMap::default(),
            room,
            file: None,
        }
    }

    /// Adds what an index file lists. A file that was added before changes nothing.
    ///
    /// # Errors
    /// [`IndexFileError`] if there is too much for the memory and the file cannot be made.
    pub(crate) fn add(&mut self, file: Id, packs: Vec<IndexPack>) -> Result<(), IndexFileError> {
        if let Some(out) = &mut self.file {
            if self.index.files.insert(file) {
                for pack in &packs {
                    out.add(pack.id, &pack.blobs)?;
                }
            }
            return Ok(());
        }
        self.take(file, packs);
        let most = |room: &Room| match self.index.base {
            Some(_) => room.entries_beside,
            None => room.entries,
        };
        match &self.room {
            Some(room) if self.index.table.len() > most(room) => self.move_to_file(),
            _ => Ok(()),
        }
    }

    /// Adds what an index file lists to what is in memory.
    pub(super) fn take(&mut self, file: Id, packs: Vec<IndexPack>) {
        if !self.index.files.insert(file) {
            return;
        }
        for pack in packs {
            match self.index.pack_number(&pack.id) {
                None => {
                    self.index.table.add(pack.id, &pack.blobs);
                }
                Some(number) => self.take_again(number, pack),
            }
        }
    }

    /// The index, and the file that it is in, if that is new and can be published.
    ///
    /// # Errors
    /// [`IndexFileError`] if it does not fit into memory and the file cannot be made.
    pub(crate) fn finish(mut self) -> Result<(BlobIndex, Option<ScratchFile>), IndexFileError> {
        if !self.grown.is_empty() && self.index.base.is_some() && self.room.is_some() {
            self.move_to_file()?;
        }
        match (self.file.take(), &self.room) {
            (Some(out), Some(room)) => {
                let files = std::mem::take(&mut self.index.files);
                let (disk, named) = out.finish(room.repository, &files)?;
                Ok((BlobIndex::on(disk, files), named))
            }
            _ => Ok((self.into_memory(), None)),
        }
    }

    /// The index, what was added to it in memory.
    pub(super) fn into_memory(mut self) -> BlobIndex {
        if !self.grown.is_empty() {
            self.rebuild();
        }
        self.index.table.finish();
        self.index
    }

    fn take_again(&mut self, number: u32, pack: IndexPack) {
        let known = self.index.pack(number).map(|known| known.blobs);
        let known = known.unwrap_or_default();
        let ordered = |blobs: &[PackedBlob]| records(0, blobs);
        if ordered(&known) == ordered(&pack.blobs) {
            return;
        }
        let all = self.grown.entry(pack.id).or_insert(known);
        all.extend(pack.blobs);
    }

    /// The table once more, with the packs that have grown. Such a pack of the file is listed a second time, with what
    /// is new.
    fn rebuild(&mut self) {
        let mut table = Table::default();
        for row in self.index.table.packs() {
            let own: Vec<PackedBlob> = self
                .index
                .table
                .records_of(row)
                .iter()
                .map(Record::blob)
                .collect();
            let all = self.grown.remove(&row.id).unwrap_or(own);
            table.add(row.id, &all);
        }
        for (id, blobs) in std::mem::take(&mut self.grown) {
            let below = self
                .index
                .pack_number(&id)
                .and_then(|number| self.index.pack(number));
            let known: BTreeSet<Record> =
                records(0, &below.map(|pack| pack.blobs).unwrap_or_default())
                    .into_iter()
                    .collect();
            let new: Vec<PackedBlob> = records(0, &blobs)
                .iter()
                .filter(|record| !known.contains(record))
                .map(Record::blob)
                .collect();
            table.add(id, &new);
        }
        self.index.table = table;
    }

    /// From here on everything goes to a file, which finds packs that come again by itself.
    fn move_to_file(&mut self) -> Result<(), IndexFileError> {
        let Some(room) = &self.room else {
            return Ok(());
        };
        let mut out = Builder::new(&room.scratch)?;
        for number in 0..self.index.pack_count() {
            if let Some(pack) = self.index.pack(number) {
                out.add(pack.id, &pack.blobs)?;
            }
        }
        // What could not be read would be missing for good.
        if let Some(trouble) = self.index.trouble() {
            return Err(trouble);
        }
        for (id, blobs) in std::mem::take(&mut self.grown) {
            out.add(id, &blobs)?;
        }
        self.index.base = None::<Arc<Disk>>;
        self.index.table = Table::default();
        self.file = Some(out);
        Ok(())
    }
}
