//! The index of a huge repository, in a file: a filter and a few fences in memory, the rest read page by page.
//!
//! Entries lie pack by pack, because what is asked for together was mostly stored together: a page that was read for
//! one blob answers for its neighbours. Where a blob's entry is stands in a second, sorted part.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use vouchsafe_format::{BlobKind, Id, PackedBlob};
use vouchsafe_host::files;

use super::build::KEY;
use super::filter::Filter;
use super::layout::Layout;
use super::pages::{Fault, Page, Rows, SMALL, Section};
use super::recent::{Pages, Recent};
use super::record::{PACK_ROW, PackRow, RECORD, Record, key_of};
use super::{ById, IndexFileError};

/// An open file. Many threads may ask it at once.
#[derive(Debug)]
pub(super) struct Disk {
    file: File,
    place: String,
    /// The name that it was given, to be found again.
    kept: OnceLock<PathBuf>,
    layout: Layout,
    filter: Filter,
    key_fences: Vec<u64>,
    pack_fences: Vec<u64>,
    /// Keys that several entries have; nothing if these are too many to be known.
    shared: Option<HashSet<u64, ById>>,
    recent: Mutex<Recent>,
    /// Pages of packs, and of the entries of whole packs.
    rows: Mutex<Pages>,
    entries: Mutex<Pages>,
    trouble: OnceLock<String>,
}

/// Pages of packs, and of entries, that are kept.
const ROW_PAGES: usize = 256;
const ENTRY_PAGES: usize = 16;

impl Disk {
    pub(super) fn assemble(
        file: File,
        place: String,
        layout: Layout,
        filter: Filter,
        key_fences: Vec<u64>,
        pack_fences: Vec<u64>,
        shared: Option<Vec<u64>>,
    ) -> Disk {
        Disk {
            file,
            place,
            kept: OnceLock::new(),
            layout,
            filter,
            key_fences,
            pack_fences,
            shared: shared.map(HashSet::from_iter),
            recent: Mutex::default(),
            rows: Mutex::new(Pages::new(ROW_PAGES)),
            entries: Mutex::new(Pages::new(ENTRY_PAGES)),
            trouble: OnceLock::new(),
        }
    }

    /// Opens a file that was published, with the index files that it stands for. Nothing if there is none, or one of
    /// another repository or another form.
    ///
    /// # Errors
    /// [`IndexFileError`] if it is damaged: then it is good for nothing.
    pub(super) fn open(
        path: &Path,
        repository: &Id,
    ) -> Result<Option<(Disk, BTreeSet<Id>)>, IndexFileError> {
        let failed = |fault| IndexFileError::new(path, fault);
        let file = match files::open_read(path) {
            Ok(file) => file,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) => return Err(failed(Fault::Io(error.source))),
        };
        Disk::try_open(file, path, repository).map_err(failed)
    }

    fn try_open(
        file: File,
        path: &Path,
        repository: &Id,
    ) -> Result<Option<(Disk, BTreeSet<Id>)>, Fault> {
        let length = file.metadata()?.len();
        let first = Section {
            start: 0,
            rows: SMALL as u64,
            width: 1,
            page: SMALL,
        };
        let page = first.read(&file, 0)?;
        let Some((layout, stamp)) = Layout::decode(page.rows::<1>().as_flattened(), length)? else {
            return Ok(None);
        };
        if stamp.repository != *repository {
            return Ok(None);
        }
        let numbers = |section: Section| {
            let mut out = Vec::with_capacity(usize::try_from(section.rows).unwrap_or(0));
            Rows::new(&file, section).each::<8>(|row| {
                out.push(u64::from_le_bytes(row));
                Ok(())
            })?;
            Ok::<_, Fault>(out)
        };
        let filter = Filter::from_words(numbers(layout.filter)?)
            .ok_or(Fault::Other("its filter has an impossible size"))?;
        let (key_fences, pack_fences) = (numbers(layout.key_fences)?, numbers(layout.pack_fences)?);
        if key_fences.len() as u64 != layout.keys.pages()
            || pack_fences.len() as u64 != layout.pack_keys.pages()
            || layout.keys.rows != layout.records.rows
            || layout.pack_keys.rows != layout.packs.rows
        {
            return Err(Fault::Other("its parts do not fit together"));
        }
        let shared = numbers(layout.shared)?;
        let shared = stamp.shared_is_whole.then_some(shared);
        let mut names = BTreeSet::new();
        Rows::new(&file, layout.files).each::<32>(|row| {
            names.insert(Id::from_bytes(row));
            Ok(())
        })?;
        let place = path.display().to_string();
        let disk = Disk::assemble(file, place, layout, filter, key_fences, pack_fences, shared);
        disk.keep_at(path);
        Ok(Some((disk, names)))
    }

    /// It has this name now. Once it turns out to be damaged nobody is to find it again.
    pub(super) fn keep_at(&self, path: &Path) {
        self.kept.get_or_init(|| path.to_path_buf());
    }

    /// The file and what was wrong with it, if anything was: then what could not be read was said to be absent.
    pub(super) fn trouble(&self) -> Option<IndexFileError> {
        let reason = self.trouble.get()?.clone();
        Some(IndexFileError {
            place: self.place.clone(),
            reason,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.layout.records.rows as usize
    }

    pub(super) fn packs(&self) -> u32 {
        self.layout.packs.rows as u32
    }

    /// A blob's entries with their numbers, in the order of their packs.
    pub(super) fn find(&self, kind: BlobKind, id: &Id) -> Vec<(u32, Record)> {
        if self.filter.may_hold(key_of(id.as_bytes())) {
            let found = self.search(kind, id, usize::MAX);
            self.or_trouble(found)
        } else {
            Vec::new()
        }
    }

    /// The first of them.
    pub(super) fn find_first(&self, kind: BlobKind, id: &Id) -> Option<(u32, Record)> {
        if !self.filter.may_hold(key_of(id.as_bytes())) {
            return None;
        }
        if self.is_alone(id)
            && let Some(known) = self.recent().find(kind, id, self.layout.records)
        {
            return Some(known);
        }
        let found = self.search(kind, id, 1);
        self.or_trouble(found).into_iter().next()
    }

    /// Whether a blob of this id has no more than one entry; false is no certainty.
    pub(super) fn is_alone(&self, id: &Id) -> bool {
        let key = key_of(id.as_bytes());
        self.shared
            .as_ref()
            .is_some_and(|keys| !keys.contains(&key))
    }

    /// A pack by its number.
    pub(super) fn row(&self, number: u32) -> Option<PackRow> {
        if number >= self.packs() {
            return None;
        }
        let row = self.try_row(number).map(Some);
        self.or_trouble(row)
    }

    /// The number of a pack.
    pub(super) fn number(&self, pack: &Id) -> Option<u32> {
        let found = self.try_number(pack);
        self.or_trouble(found)
    }

    /// A pack's blobs, in the order of their bytes.
    pub(super) fn blobs(&self, row: &PackRow) -> Vec<PackedBlob> {
        let found = row
            .records()
            .map(|at| Ok(self.entry(at)?.blob()))
            .collect::<Result<Vec<_>, Fault>>();
        self.or_trouble(found)
    }

    fn search(&self, kind: BlobKind, id: &Id, most: usize) -> Result<Vec<(u32, Record)>, Fault> {
        let key = key_of(id.as_bytes());
        let mut found = Vec::new();
        self.each_with_key(self.layout.keys, &self.key_fences, key, |number| {
            let record = self.record(number)?;
            if record.is(kind, id) {
                found.push((number, record));
            }
            Ok(found.len() < most)
        })?;
        Ok(found)
    }

    fn try_number(&self, pack: &Id) -> Result<Option<u32>, Fault> {
        let mut found = None;
        let key = key_of(pack.as_bytes());
        self.each_with_key(self.layout.pack_keys, &self.pack_fences, key, |number| {
            if self.try_row(number)?.id == *pack {
                found = Some(number);
            }
            Ok(found.is_none())
        })?;
        Ok(found)
    }

    /// Shows the numbers that stand beside a key, until the visitor has enough.
    fn each_with_key(
        &self,
        section: Section,
        fences: &[u64],
        key: u64,
        mut visit: impl FnMut(u32) -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        // A key that begins a page may have begun on the one before.
        let first = fences.partition_point(|fence| *fence < key);
        for number in first.saturating_sub(1)..fences.len() {
            let page = section.read(&self.file, number as u64)?;
            let rows = page.rows::<KEY>();
            let begin = rows.partition_point(|row| key_in(row).0 < key);
            for row in rows.get(begin..).unwrap_or_default() {
                let (found, number) = key_in(row);
                if found != key || !visit(number)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// An entry that was searched for: its neighbours will be, too.
    fn record(&self, number: u32) -> Result<Record, Fault> {
        let section = self.layout.records;
        let at = u64::from(number) / section.per_page();
        let known = self.recent().page(at);
        let page = match known {
            Some(page) => page,
            None => {
                let page = Arc::new(section.read(&self.file, at)?);
                self.recent().keep(at, Arc::clone(&page), section);
                page
            }
        };
        row_of::<RECORD>(&page, section, number).map(|row| Record::from_bytes(&row))
    }

    /// An entry of a pack that is wanted as a whole.
    fn entry(&self, number: u32) -> Result<Record, Fault> {
        let row = self.cached::<RECORD>(&self.entries, self.layout.records, number)?;
        Ok(Record::from_bytes(&row))
    }

    fn try_row(&self, number: u32) -> Result<PackRow, Fault> {
        let row = self.cached::<PACK_ROW>(&self.rows, self.layout.packs, number)?;
        Ok(PackRow::from_bytes(&row))
    }

    fn cached<const N: usize>(
        &self,
        pages: &Mutex<Pages>,
        section: Section,
        number: u32,
    ) -> Result<[u8; N], Fault> {
        let at = u64::from(number) / section.per_page();
        let lock = || pages.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock().get(at);
        let page = match known {
            Some(page) => page,
            None => {
                let page = Arc::new(section.read(&self.file, at)?);
                lock().keep(at, Arc::clone(&page));
                page
            }
        };
        row_of(&page, section, number)
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn or_trouble<T: Default>(&self, found: Result<T, Fault>) -> T {
        found.unwrap_or_else(|fault| {
            self.trouble.get_or_init(|| {
                if let Some(path) = self.kept.get() {
                    // Should that fail, the next one meets the same damage, and says so.
                    let _ = files::remove_file(path);
                }
                fault.to_string()
            });
            T::default()
        })
    }
}

fn row_of<const N: usize>(page: &Page, section: Section, number: u32) -> Result<[u8; N], Fault> {
    let at = (u64::from(number) % section.per_page()) as usize;
    let found = page.rows::<N>().get(at).copied();
    found.ok_or(Fault::Other("it points beyond its own end"))
}

fn key_in(row: &[u8; KEY]) -> (u64, u32) {
    let (mut key, mut number) = ([0; 8], [0; 4]);
    key.copy_from_slice(&row[..8]);
    number.copy_from_slice(&row[8..]);
    (u64::from_le_bytes(key), u32::from_le_bytes(number))
}
