//! Making the index's file, in bounded memory, from packs in any order.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use vouchsafe_format::{Id, PackedBlob};
use vouchsafe_host::Interrupt;
use vouchsafe_host::files;
use vouchsafe_host::scratch::{self, ScratchFile};

use super::IndexFileError;
use super::disk::Disk;
use super::filter::Filter;
use super::layout::{Layout, Stamp};
use super::pages::{Appender, Fault, LARGE, Rows, SMALL, Section, SectionWriter, write_page};
use super::record::{MOST_PACKS, PACK_ROW, PackRow, RECORD, Record, key_of, records};
use super::sorter::Sorter;

/// Where files are made.
#[derive(Clone, Debug)]
pub(crate) struct Scratch {
    directory: PathBuf,
    /// Whether the result is to get a name.
    named: bool,
    /// Ends the work.
    interrupt: Interrupt,
}

impl Scratch {
    /// In the directory of a cache, to be published there.
    pub(crate) fn to_publish_in(directory: &Path, interrupt: Interrupt) -> Scratch {
        Scratch {
            directory: directory.to_path_buf(),
            named: true,
            interrupt,
        }
    }

    /// Where the machine has room, without names.
    pub(crate) fn anywhere(interrupt: Interrupt) -> Scratch {
        Scratch {
            directory: scratch::roomy_directory(),
            named: false,
            interrupt,
        }
    }

    pub(super) fn nameless(&self) -> Result<File, Fault> {
        scratch::nameless_in(&self.directory).map_err(|error| Fault::Io(error.source))
    }

    fn error(&self, fault: Fault) -> IndexFileError {
        IndexFileError::new(&self.directory, fault)
    }
}

/// Takes packs, each as often as it comes, and makes a file of them.
#[derive(Debug)]
pub(super) struct Builder {
    scratch: Scratch,
    /// The file to be published, if it is.
    named: Option<ScratchFile>,
    out: Appender,
    records: SectionWriter,
    rows: Appender,
    rows_section: SectionWriter,
    pack_keys: Sorter,
    keys: Sorter,
}

/// What was built: open, and still to be published if it is to stay.
pub(super) type Built = (Disk, Option<ScratchFile>);

/// Keys that are sorted in memory at once: 32 MiB.
const KEYS_AT_ONCE: usize = 2 << 20;
const PACK_KEYS_AT_ONCE: usize = 256 << 10;
/// Most keys with several entries that are noted one by one.
const MOST_SHARED: usize = 1 << 20;

impl Builder {
    pub(super) fn new(scratch: &Scratch) -> Result<Builder, IndexFileError> {
        Builder::try_new(scratch).map_err(|fault| scratch.error(fault))
    }

    fn try_new(scratch: &Scratch) -> Result<Builder, Fault> {
        let named = if scratch.named {
            let made = files::create_dir_all(&scratch.directory, files::PRIVATE_DIR);
            made.map_err(|error| Fault::Io(error.source))?;
            let made = ScratchFile::new_in(&scratch.directory);
            Some(made.map_err(|error| Fault::Io(error.source))?)
        } else {
            None
        };
        let file = match &named {
            Some(named) => named.file().try_clone()?,
            None => scratch.nameless()?,
        };
        let mut out = Appender::new(file, scratch.interrupt.clone());
        out.leave_page()?;
        let rows = Appender::new(scratch.nameless()?, scratch.interrupt.clone());
        Ok(Builder {
            records: SectionWriter::new(&out, RECORD, LARGE),
            rows_section: SectionWriter::new(&rows, PACK_ROW, SMALL),
            pack_keys: Sorter::new(scratch.clone(), PACK_KEYS_AT_ONCE),
            keys: Sorter::new(scratch.clone(), KEYS_AT_ONCE),
            scratch: scratch.clone(),
            named,
            out,
            rows,
        })
    }

    /// Adds a pack. It may come again, also with other blobs.
    pub(super) fn add(&mut self, id: Id, blobs: &[PackedBlob]) -> Result<(), IndexFileError> {
        let added = self.try_add(id, blobs);
        added.map_err(|fault| self.scratch.error(fault))
    }

    fn try_add(&mut self, id: Id, blobs: &[PackedBlob]) -> Result<(), Fault> {
        let number = u32::try_from(self.rows_section.rows())
            .ok()
            .filter(|number| *number < MOST_PACKS);
        let first = u32::try_from(self.records.rows())
            .ok()
            .filter(|first| first.checked_add(blobs.len() as u32).is_some());
        let (Some(number), Some(first)) = (number, first) else {
            return Err(Fault::Other("there are more blobs than can be numbered"));
        };
        let new = records(number, blobs);
        let row = PackRow::new(id, first, &new);
        self.rows_section.push(&mut self.rows, &row.to_bytes())?;
        self.pack_keys.push(key_of(id.as_bytes()), number)?;
        for (at, record) in (first..).zip(&new) {
            self.records.push(&mut self.out, &record.to_bytes())?;
            self.keys.push(record.key(), at)?;
        }
        Ok(())
    }

    /// The file of all that was added, for this repository and as what these index files hold.
    pub(super) fn finish(
        self,
        repository: Id,
        files: &BTreeSet<Id>,
    ) -> Result<Built, IndexFileError> {
        let scratch = self.scratch.clone();
        let failed = |fault| scratch.error(fault);
        match self.try_finish(repository, files).map_err(failed)? {
            Finished::Whole(built) => Ok(*built),
            Finished::Twins(again) => match again.try_finish(repository, files).map_err(failed)? {
                Finished::Whole(built) => Ok(*built),
                Finished::Twins(_) => Err(failed(Fault::Other("a pack came twice once more"))),
            },
        }
    }

    fn try_finish(mut self, repository: Id, files: &BTreeSet<Id>) -> Result<Finished, Fault> {
        let out = &mut self.out;
        let records = self.records.finish(out)?;
        let temporary = self.rows_section.finish(&mut self.rows)?;
        let rows_file = self.rows.finish()?;

        let mut packs = SectionWriter::new(out, PACK_ROW, SMALL);
        Rows::new(&rows_file, temporary).each::<PACK_ROW>(|row| packs.push(out, &row))?;
        let packs = packs.finish(out)?;
        let mut twins = Twins::new(&rows_file, temporary);
        let (pack_keys, pack_fences) =
            write_keys(out, self.pack_keys, |key, number| twins.note(key, number))?;
        let twins = twins.found;
        if !twins.is_empty() {
            let file = self.out.finish()?;
            let merged = merge(&self.scratch, &file, records, packs, &twins)?;
            return Ok(Finished::Twins(Box::new(merged)));
        }

        let mut filter = Filter::for_keys(records.rows);
        let mut shared = Shared::default();
        let (keys, key_fences) = write_keys(out, self.keys, |key, _| {
            filter.insert(key);
            shared.note(key);
            Ok(())
        })?;
        let shared = shared.finish();
        let numbers = |out: &mut Appender, numbers: &mut dyn Iterator<Item = u64>| {
            let mut section = SectionWriter::new(out, 8, SMALL);
            for number in numbers {
                section.push(out, &number.to_le_bytes())?;
            }
            section.finish(out)
        };
        let layout = Layout {
            records,
            packs,
            pack_keys,
            keys,
            pack_fences: numbers(out, &mut pack_fences.iter().copied())?,
            key_fences: numbers(out, &mut key_fences.iter().copied())?,
            filter: numbers(out, &mut filter.words().iter().copied())?,
            shared: numbers(out, &mut shared.iter().flatten().copied())?,
            files: {
                let mut section = SectionWriter::new(out, 32, SMALL);
                for file in files {
                    section.push(out, file.as_bytes())?;
                }
                section.finish(out)?
            },
        };
        let file = self.out.finish()?;
        let stamp = Stamp {
            repository,
            shared_is_whole: shared.is_some(),
        };
        write_page(&file, &layout.encode(&stamp))?;
        let place = self.scratch.directory.display().to_string();
        let disk = Disk::assemble(file, place, layout, filter, key_fences, pack_fences, shared);
        Ok(Finished::Whole(Box::new((disk, self.named))))
    }
}

enum Finished {
    Whole(Box<Built>),
    /// Packs had come several times: the same once more, with each of them once.
    Twins(Box<Builder>),
}

/// Writes keys in their order; gives the section and the first key of each page.
fn write_keys(
    out: &mut Appender,
    keys: Sorter,
    mut note: impl FnMut(u64, u32) -> Result<(), Fault>,
) -> Result<(Section, Vec<u64>), Fault> {
    let mut section = SectionWriter::new(out, KEY, SMALL);
    let mut fences = Vec::new();
    let mut sorted = keys.finish()?;
    let mut row = [0; KEY];
    while let Some((key, number)) = sorted.next()? {
        if section.is_between_pages() {
            fences.push(key);
        }
        note(key, number)?;
        row[..8].copy_from_slice(&key.to_le_bytes());
        row[8..].copy_from_slice(&number.to_le_bytes());
        section.push(out, &row)?;
    }
    Ok((section.finish(out)?, fences))
}

/// Bytes of a key with its number in the file.
pub(super) const KEY: usize = 12;

/// Keys that several entries have.
struct Shared {
    keys: Option<Vec<u64>>,
    last: Option<u64>,
}

impl Default for Shared {
    fn default() -> Shared {
        Shared {
            keys: Some(Vec::new()),
            last: None,
        }
    }
}

impl Shared {
    fn note(&mut self, key: u64) {
        if let Some(keys) = &mut self.keys
            && self.last == Some(key)
            && keys.last() != Some(&key)
        {
            keys.push(key);
            if keys.len() > MOST_SHARED {
                self.keys = None;
            }
        }
        self.last = Some(key);
    }

    /// All such keys, or nothing if there are too many.
    fn finish(self) -> Option<Vec<u64>> {
        self.keys
    }
}

/// Finds packs that came several times, from their keys in order.
struct Twins<'a> {
    rows: Rows<'a>,
    key: u64,
    /// Packs with this key.
    group: Vec<(Id, u32)>,
    /// Each pack that came again, with the number under which it came first.
    found: HashMap<u32, u32>,
    last: Option<u32>,
}

impl<'a> Twins<'a> {
    fn new(file: &'a File, rows: Section) -> Twins<'a> {
        Twins {
            rows: Rows::new(file, rows),
            key: 0,
            group: Vec::new(),
            found: HashMap::new(),
            last: None,
        }
    }

    fn note(&mut self, key: u64, number: u32) -> Result<(), Fault> {
        if self.last.is_some() && self.key == key {
            if self.group.is_empty() {
                self.remember_last()?;
            }
            let id = self.id(number)?;
            match self.group.iter().find(|(known, _)| *known == id) {
                Some((_, first)) => {
                    self.found.insert(number, *first);
                }
                None => self.group.push((id, number)),
            }
        } else {
            self.group.clear();
        }
        self.key = key;
        self.last = Some(number);
        Ok(())
    }

    fn remember_last(&mut self) -> Result<(), Fault> {
        if let Some(last) = self.last {
            let id = self.id(last)?;
            self.group.push((id, last));
        }
        Ok(())
    }

    fn id(&mut self, number: u32) -> Result<Id, Fault> {
        let row = self.rows.get::<PACK_ROW>(number.into())?;
        Ok(PackRow::from_bytes(&row).id)
    }
}

/// A builder with the same packs, each of them once, with the blobs of all its occurrences.
fn merge(
    scratch: &Scratch,
    file: &File,
    records: Section,
    packs: Section,
    twins: &HashMap<u32, u32>,
) -> Result<Builder, Fault> {
    let mut others: HashMap<u32, Vec<u32>> = HashMap::new();
    for (again, first) in twins {
        others.entry(*first).or_default().push(*again);
    }
    let mut again = Builder::try_new(scratch)?;
    let (mut rows, mut elsewhere) = (Rows::new(file, packs), Rows::new(file, packs));
    let (mut here, mut there) = (Rows::new(file, records), Rows::new(file, records));
    for number in 0..u32::try_from(packs.rows).unwrap_or(u32::MAX) {
        let row = PackRow::from_bytes(&rows.get(number.into())?);
        if twins.contains_key(&number) {
            continue;
        }
        let mut blobs = read_blobs(&mut here, &row)?;
        for other in others.get(&number).into_iter().flatten() {
            let other = PackRow::from_bytes(&elsewhere.get((*other).into())?);
            blobs.extend(read_blobs(&mut there, &other)?);
        }
        let mut seen = HashSet::new();
        blobs.retain(|blob| seen.insert(Record::new(0, blob).to_bytes()));
        again.try_add(row.id, &blobs)?;
    }
    Ok(again)
}

fn read_blobs(records: &mut Rows<'_>, row: &PackRow) -> Result<Vec<PackedBlob>, Fault> {
    row.records()
        .map(|at| Ok(Record::from_bytes(&records.get::<RECORD>(at.into())?).blob()))
        .collect()
}
