//! What is published to vaults: segments of entries, sealed; heads and the public key, in plain text.

use std::error::Error;
use std::ops::Range;

use crate::error::LedgerError;
use crate::ledger::Ledger;
use crate::line::{number, write_line};

/// An object to be stored under its name, if there is none of that name yet.
///
/// A head that is there already must be the same: hold it against [`Ledger::relation`]. A segment
/// that is there already may stay: sealing gives other bytes each time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedObject {
    /// `<ledger id>/…`, parts divided by `/`.
    pub name: String,
    /// What it holds.
    pub bytes: Vec<u8>,
}

/// An error of whatever stores or seals the objects.
pub type ObjectError = Box<dyn Error + Send + Sync>;

/// Encrypts a segment for a vault.
pub type Seal<'a> = dyn Fn(&[u8]) -> Vec<u8> + 'a;

/// Undoes [`Seal`], and refuses what was not sealed so.
pub type Unseal<'a> = dyn Fn(&[u8]) -> Result<Vec<u8>, ObjectError> + 'a;

/// Where published objects are read from.
pub trait PublishedObjects {
    /// The names of all objects that begin with `prefix`, in any order. May be called again.
    fn names(&mut self, prefix: &str) -> Result<Vec<String>, ObjectError>;

    /// The bytes of one object. May be called again.
    fn load(&mut self, name: &str) -> Result<Vec<u8>, ObjectError>;
}

/// A segment is closed when it has this many bytes before sealing.
const SEGMENT_BYTES: usize = 4 << 20;

/// A segment is closed when it has this many entries.
const SEGMENT_ENTRIES: u64 = 8192;

impl Ledger {
    /// Everything that a vault with the entries up to `from_size` lacks up to `to_size`, in the order
    /// in which it must be stored: segments, then the head at `to_size`, then the public key.
    ///
    /// `seal` encrypts a segment for the vault. If storing stops half way, doing it again is enough.
    pub fn publication(
        &self,
        from_size: u64,
        to_size: u64,
        seal: &Seal<'_>,
    ) -> Result<Vec<PublishedObject>, LedgerError> {
        let mut objects = self.segments(from_size, to_size, seal)?;
        objects.push(self.published_head(to_size)?);
        objects.push(self.published_key());
        Ok(objects)
    }

    /// The entries from `from_size` to `to_size` as sealed segments.
    pub fn segments(
        &self,
        from_size: u64,
        to_size: u64,
        seal: &Seal<'_>,
    ) -> Result<Vec<PublishedObject>, LedgerError> {
        let id = self.keys.first().ledger_id();
        let mut objects = Vec::new();
        let mut plain = Vec::new();
        let mut first = from_size;
        self.each_row(from_size..to_size, |row| {
            write_line(&mut plain, row.seq, row.leaf, &row.signature, &row.body)
                .map_err(LedgerError::Write)?;
            let end = row.seq + 1;
            let full = plain.len() >= SEGMENT_BYTES || end - first >= SEGMENT_ENTRIES;
            if full || end == to_size {
                objects.push(PublishedObject {
                    name: segment_name(id, &(first..end)),
                    bytes: seal(&plain),
                });
                plain.clear();
                first = end;
            }
            Ok(())
        })?;
        Ok(objects)
    }

    /// The head at `size`, in plain text: a C2SP signed note.
    pub fn published_head(&self, size: u64) -> Result<PublishedObject, LedgerError> {
        let head = self.head_at(size)?;
        Ok(PublishedObject {
            name: head_name(self.keys.first().ledger_id(), size),
            bytes: head.note.into_bytes(),
        })
    }

    /// The public key that the ledger was begun with, in plain text: a C2SP vkey and a newline. Later ones are named
    /// by the entries that changed it.
    pub fn published_key(&self) -> PublishedObject {
        PublishedObject {
            name: key_name(self.keys.first().ledger_id()),
            bytes: format!("{}\n", self.keys.first()).into_bytes(),
        }
    }
}

/// The ids of the ledgers that have published here, sorted.
pub fn ledger_ids(objects: &mut dyn PublishedObjects) -> Result<Vec<String>, ObjectError> {
    let mut ids: Vec<String> = objects
        .names("")?
        .iter()
        .filter_map(|name| name.split_once('/'))
        .filter(|(_, rest)| {
            *rest == "vkey" || rest.starts_with("heads/") || rest.starts_with("segments/")
        })
        .map(|(id, _)| id.to_owned())
        .collect();
    ids.sort();
    ids.dedup();
    Ok(ids)
}

/// `<id>/vkey`.
pub fn key_name(ledger_id: &str) -> String {
    format!("{ledger_id}/vkey")
}

/// `<id>/heads/<size in 20 digits>`.
pub fn head_name(ledger_id: &str, size: u64) -> String {
    format!("{ledger_id}/heads/{size:020}")
}

/// `<id>/segments/<first in 20 digits>-<last in 20 digits>.jsonl`.
pub fn segment_name(ledger_id: &str, entries: &Range<u64>) -> String {
    let last = entries.end.saturating_sub(1);
    format!(
        "{ledger_id}/segments/{:020}-{last:020}.jsonl",
        entries.start
    )
}

/// The size in the name of a head.
pub fn parse_head_name(name: &str) -> Option<u64> {
    twenty(name.rsplit_once("/heads/")?.1)
}

/// The entries in the name of a segment.
pub fn parse_segment_name(name: &str) -> Option<Range<u64>> {
    let range = name.rsplit_once("/segments/")?.1.strip_suffix(".jsonl")?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (twenty(first)?, twenty(last)?);
    (first <= last).then_some(())?;
    Some(first..last.checked_add(1)?)
}

fn twenty(digits: &str) -> Option<u64> {
    if digits.len() != 20 {
        return None;
    }
    let bare = digits.trim_start_matches('0');
    number(if bare.is_empty() { "0" } else { bare }.as_bytes())
}
