//! Pages of the index's file that were read lately.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use vouchsafe_format::{BlobKind, Id};

use super::ById;
use super::pages::{Page, Section};
use super::record::{RECORD, Record, key_of};

/// A few pages by their numbers; the one that came first goes first.
#[derive(Debug)]
pub(super) struct Pages {
    most: usize,
    pages: HashMap<u64, Arc<Page>, ById>,
    order: VecDeque<u64>,
}

impl Pages {
    pub(super) fn new(most: usize) -> Pages {
        Pages {
            most,
            pages: HashMap::default(),
            order: VecDeque::new(),
        }
    }

    pub(super) fn get(&self, number: u64) -> Option<Arc<Page>> {
        self.pages.get(&number).cloned()
    }

    /// Keeps a page, unless it is kept already; gives the one that had to go.
    pub(super) fn keep(&mut self, number: u64, page: Arc<Page>) -> Option<(u64, Arc<Page>)> {
        if self.pages.insert(number, page).is_some() {
            return None;
        }
        self.order.push_back(number);
        if self.order.len() <= self.most {
            return None;
        }
        let oldest = self.order.pop_front()?;
        Some((oldest, self.pages.remove(&oldest)?))
    }
}

/// Pages of entries, all of which are found without a search: what is asked for next was mostly stored beside what was
/// asked for last.
#[derive(Debug)]
pub(super) struct Recent {
    pages: Pages,
    numbers: HashMap<u64, u32, ById>,
}

/// 4 MiB of entries, and about as much to find them.
const PAGES: usize = 256;

impl Default for Recent {
    fn default() -> Recent {
        Recent {
            pages: Pages::new(PAGES),
            numbers: HashMap::default(),
        }
    }
}

impl Recent {
    pub(super) fn page(&self, number: u64) -> Option<Arc<Page>> {
        self.pages.get(number)
    }

    pub(super) fn keep(&mut self, number: u64, page: Arc<Page>, section: Section) {
        for (at, key) in entries(number, &page, section) {
            self.numbers.insert(key, at);
        }
        if let Some((gone, page)) = self.pages.keep(number, page) {
            for (at, key) in entries(gone, &page, section) {
                if self.numbers.get(&key) == Some(&at) {
                    self.numbers.remove(&key);
                }
            }
        }
    }

    /// A blob's entry with its number, if it lies on one of the pages and no other one has its key.
    pub(super) fn find(&self, kind: BlobKind, id: &Id, section: Section) -> Option<(u32, Record)> {
        let number = *self.numbers.get(&key_of(id.as_bytes()))?;
        let page = self.pages.get(u64::from(number) / section.per_page())?;
        let at = (u64::from(number) % section.per_page()) as usize;
        let record = Record::from_bytes(page.rows::<RECORD>().get(at)?);
        record.is(kind, id).then_some((number, record))
    }
}

/// The numbers and keys of a page's entries.
fn entries(number: u64, page: &Page, section: Section) -> impl Iterator<Item = (u32, u64)> {
    let first = u32::try_from(number * section.per_page()).unwrap_or(u32::MAX);
    let keys = page.rows::<RECORD>().iter();
    (first..).zip(keys.map(|row| Record::from_bytes(row).key()))
}
