//! What verifying remembers: for each pack when it was last read, and whether it was whole then.

use std::collections::HashMap;

use vouchsafe_format::Id;
use vouchsafe_model::{Span, Time};

use crate::index::ById;

/// The newest result of each pack of one repository, so that the next verification reads the oldest first.
///
/// It may be lost at any time: then every pack counts as never read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyMemory {
    packs: HashMap<Id, Reading, ById>,
}

/// One result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reading {
    at: Time,
    whole: bool,
}

/// How much of a repository has been read back, and how long ago. Packs found damaged count as not read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Bytes of all packs that the index lists.
    pub bytes_total: u64,
    /// Bytes of packs that were read and whole within the time that was asked about.
    pub bytes_within: u64,
    /// The oldest result that still counts; nothing if there is none.
    pub oldest: Option<Time>,
    /// Packs without a result.
    pub packs_never: u64,
    /// Packs whose newest result is damage.
    pub packs_damaged: u64,
}

/// Bytes that are no memory of this repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// Another kind of file, or a later form of it.
    #[error("it is not a memory of verifications of a form known here")]
    Form,
    /// It belongs to another repository.
    #[error("it belongs to another repository")]
    Repository,
    /// It is cut off, or its entries are not in order.
    #[error("it is damaged")]
    Damaged,
}

impl VerifyMemory {
    /// As bytes to be kept: a mark, the repository's id, then 41 bytes for each pack in the order of their names.
    pub fn encode(&self, repository: &Id) -> Vec<u8> {
        let mut all: Vec<(&Id, &Reading)> = self.packs.iter().collect();
        all.sort_unstable_by_key(|(id, _)| **id);
        let mut out = Vec::with_capacity(MARK.len() + 32 + all.len() * ENTRY);
        out.extend_from_slice(MARK);
        out.extend_from_slice(repository.as_bytes());
        for (id, reading) in all {
            out.extend_from_slice(id.as_bytes());
            out.extend_from_slice(&reading.at.micros().to_le_bytes());
            out.push(u8::from(reading.whole));
        }
        out
    }

    /// What [`VerifyMemory::encode`] wrote for this repository.
    ///
    /// # Errors
    /// [`MemoryError`]; whoever gets one goes on with an empty memory.
    pub fn decode(bytes: &[u8], repository: &Id) -> Result<VerifyMemory, MemoryError> {
        let rest = bytes.strip_prefix(MARK).ok_or(MemoryError::Form)?;
        let (owner, rest) = rest.split_first_chunk::<32>().ok_or(MemoryError::Damaged)?;
        if owner != repository.as_bytes() {
            return Err(MemoryError::Repository);
        }
        let mut packs = HashMap::with_capacity_and_hasher(rest.len() / ENTRY, ById::default());
        let mut last = None;
        let mut entries = rest.chunks_exact(ENTRY);
        for entry in &mut entries {
            let (id, reading) = decode_entry(entry).ok_or(MemoryError::Damaged)?;
            if last.replace(id) >= Some(id) {
                return Err(MemoryError::Damaged);
            }
            packs.insert(id, reading);
        }
        if entries.remainder().is_empty() {
            Ok(VerifyMemory { packs })
        } else {
            Err(MemoryError::Damaged)
        }
    }

    /// How many packs have a result.
    pub fn len(&self) -> usize {
        self.packs.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.packs.is_empty()
    }

    /// When a pack was last read and whole; nothing if it never was, or was damaged when it was last read.
    pub fn whole_since(&self, pack: &Id) -> Option<Time> {
        self.packs
            .get(pack)
            .filter(|reading| reading.whole)
            .map(|reading| reading.at)
    }

    /// The packs that were damaged when they were last read.
    pub fn damaged(&self) -> impl Iterator<Item = Id> + '_ {
        let damaged = self.packs.iter().filter(|(_, reading)| !reading.whole);
        damaged.map(|(id, _)| *id)
    }

    /// Takes a result in.
    pub(crate) fn note(&mut self, pack: Id, at: Time, whole: bool) {
        self.packs.insert(pack, Reading { at, whole });
    }

    /// Forgets packs that are not there any more, and results from the future: a clock has been put back, and they
    /// would keep their packs from being read.
    pub(crate) fn tidy(&mut self, listed: impl Fn(&Id) -> bool, now: Time) {
        self.packs
            .retain(|id, reading| reading.at <= now && listed(id));
    }

    /// How much of these packs was read within `within` before `now`.
    pub(crate) fn coverage(
        &self,
        packs: impl Iterator<Item = (Id, u64)>,
        now: Time,
        within: Span,
    ) -> Coverage {
        let since = now.minus(within);
        let mut out = Coverage::default();
        for (id, bytes) in packs {
            out.bytes_total += bytes;
            match self.packs.get(&id) {
                None => out.packs_never += 1,
                Some(Reading { whole: false, .. }) => out.packs_damaged += 1,
                Some(Reading { at, .. }) => {
                    if *at >= since {
                        out.bytes_within += bytes;
                    }
                    out.oldest = Some(out.oldest.map_or(*at, |oldest| oldest.min(*at)));
                }
            }
        }
        out
    }
}

/// The form's name and version.
const MARK: &[u8] = b"vouchsafe verified packs 1\n";
/// Id, time, verdict.
const ENTRY: usize = 32 + 8 + 1;

fn decode_entry(entry: &[u8]) -> Option<(Id, Reading)> {
    let (id, rest) = entry.split_first_chunk::<32>()?;
    let (at, rest) = rest.split_first_chunk::<8>()?;
    let whole = match rest {
        [0] => false,
        [1] => true,
        _ => return None,
    };
    let at = Time::from_micros(i64::from_le_bytes(*at));
    Some((Id::from_bytes(*id), Reading { at, whole }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> VerifyMemory {
        let mut memory = VerifyMemory::default();
        for n in 0..5u8 {
            memory.note(Id::of(&[n]), Time::from_secs(i64::from(n) * 100), n != 3);
        }
        memory
    }

    #[test]
    fn it_comes_back_equal() {
        let repository = Id::of(b"repository");
        let bytes = memory().encode(&repository);
        assert_eq!(VerifyMemory::decode(&bytes, &repository).unwrap(), memory());
        assert_eq!(bytes, memory().encode(&repository), "one spelling");
    }

    #[test]
    fn whatever_is_altered_in_form_is_refused() {
        let repository = Id::of(b"repository");
        let bytes = memory().encode(&repository);
        for length in 0..bytes.len() {
            let whole_entries =
                length >= MARK.len() + 32 && (length - MARK.len() - 32).is_multiple_of(ENTRY);
            let decoded = VerifyMemory::decode(&bytes[..length], &repository);
            assert_eq!(decoded.is_ok(), whole_entries, "cut to {length}");
        }
        assert_eq!(
            VerifyMemory::decode(&bytes, &Id::of(b"another")),
            Err(MemoryError::Repository)
        );
        let mut verdict = bytes.clone();
        *verdict.last_mut().unwrap() = 2;
        assert_eq!(
            VerifyMemory::decode(&verdict, &repository),
            Err(MemoryError::Damaged)
        );
        let mut swapped = bytes[..MARK.len() + 32].to_vec();
        let entries: Vec<&[u8]> = bytes[MARK.len() + 32..].chunks(ENTRY).collect();
        swapped.extend_from_slice(&[entries[1], entries[0]].concat());
        assert_eq!(
            VerifyMemory::decode(&swapped, &repository),
            Err(MemoryError::Damaged)
        );
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_memory_of_one_spelling_or_none(
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
            is_marked in proptest::prelude::any::<bool>(),
        ) {
            let repository = Id::of(b"repository");
            let mut all = if is_marked { VerifyMemory::default().encode(&repository) } else { Vec::new() };
            all.extend_from_slice(&bytes);
            if let Ok(memory) = VerifyMemory::decode(&all, &repository) {
                proptest::prop_assert_eq!(memory.encode(&repository), all);
            }
        }
    }

    #[test]
    fn coverage_counts_what_is_young_and_whole() {
        let packs = (0..6u8).map(|n| (Id::of(&[n]), 10));
        let coverage = memory().coverage(packs, Time::from_secs(450), Span::from_secs(300));
        assert_eq!(
            coverage,
            Coverage {
                bytes_total: 60,
                bytes_within: 20,
                oldest: Some(Time::from_secs(0)),
                packs_never: 1,
                packs_damaged: 1,
            }
        );
    }

    #[test]
    fn results_from_the_future_and_of_packs_that_are_gone_are_forgotten() {
        let mut memory = memory();
        memory.tidy(|id| *id != Id::of(&[0]), Time::from_secs(200));
        assert_eq!(memory.len(), 2);
        assert_eq!(
            memory.whole_since(&Id::of(&[1])),
            Some(Time::from_secs(100))
        );
        assert_eq!(memory.whole_since(&Id::of(&[4])), None);
    }
}
