//! Compacting: fragments become a segment, and go only when that was read back.

use vouchsafe_format::Compressor;
use vouchsafe_format::compress::DEFAULT_LEVEL;
use vouchsafe_format::fragment::{Header, Kind, MAX_COUNT, OpenError, Part, Stretch, seal};

use super::error::LogError;
use super::objects::{Listed, LogObjects, Stored};
use super::stream::LogStream;

/// How to compact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompactOptions {
    /// Fragments from this place on stay as they are. The newest two always do.
    pub before: u64,
    /// Most bytes of log in a segment.
    pub bytes: usize,
    /// Most fragments in a segment.
    pub count: usize,
    /// A segment of fewer fragments is not made, unless it ends a timeline or a run.
    pub at_least: usize,
}

/// What a compaction has done.
#[derive(Debug, Default)]
pub struct CompactReport {
    /// Segments that were made.
    pub segments: u64,
    /// Fragments that are in a segment now and were removed.
    pub removed: u64,
    /// Of these, versions that a lock keeps.
    pub locked: u64,
    /// Fragments and segments that could not be used. They stay, and so do fragments that only they would replace.
    pub problems: Vec<LogError>,
}

/// The newest objects, which are never cleared away: a writer looks at the one before its own.
pub(super) const KEPT: usize = 2;

impl CompactOptions {
    /// Fragments before this place, in segments of 16 MiB.
    pub fn before(place: u64) -> CompactOptions {
        CompactOptions {
            before: place,
            bytes: 16 << 20,
            count: 4096,
            at_least: 2,
        }
    }
}

impl LogStream {
    /// Puts fragments into segments, and removes each only when its segment was read back and its chain is equal.
    ///
    /// A crash or an error at any step leaves all of the log: at worst in fragments and a segment, of which the next
    /// compaction removes the fragments.
    ///
    /// # Errors
    /// The store's failures, [`LogError::NoReadBack`], and [`LogError::Interrupted`].
    pub fn compact(&self, options: &CompactOptions) -> Result<CompactReport, LogError> {
        let objects = &self.objects;
        let listed = objects.list()?;
        let before = options.before.min(place_that_stays(&listed));
        let mut report = CompactReport::default();
        let mut fragments: Vec<u64> = listed
            .iter()
            .filter(|one| one.is_fragment() && one.first() < before)
            .map(Listed::first)
            .collect();
        for segment in listed.iter().filter(|one| !one.is_fragment()) {
            let within = |place: &u64| (segment.first()..=segment.last()).contains(place);
            let (within, others): (Vec<u64>, Vec<u64>) = fragments.into_iter().partition(within);
            fragments = others;
            if !within.is_empty() {
                self.clear_remains(segment, &within, &mut report)?;
            }
        }
        let mut group = Group::default();
        for place in fragments {
            objects.go_on()?;
            let part = Part::Fragment { sequence: place };
            let fragment = match objects.open(part, None) {
                Ok(fragment) => fragment,
                Err(LogError::Store(error)) if error.is_not_found() => continue,
                Err(damage @ LogError::Damaged { .. }) => {
                    report.problems.push(damage);
                    continue;
                }
                Err(error) => return Err(error),
            };
            if !group.has_room(&fragment, options) {
                self.store_segment(group.take(), &mut report)?;
            }
            group.push(fragment);
        }
        if group.parts.len() >= options.at_least.max(1) {
            self.store_segment(group.take(), &mut report)?;
        }
        Ok(report)
    }

    /// Fragments beside a segment that holds them: what a compaction that broke off has left.
    fn clear_remains(
        &self,
        segment: &Listed,
        places: &[u64],
        report: &mut CompactReport,
    ) -> Result<(), LogError> {
        let stretch = match self.objects.open(segment.part, None) {
            Ok(stretch) => stretch,
            Err(LogError::Store(error)) if error.is_not_found() => return Ok(()),
            Err(damage @ LogError::Damaged { .. }) => {
                // Its fragments are there: it is made anew from them, if they are all whole.
                match self.remake(segment)? {
                    Some(made) => {
                        report.segments += 1;
                        made
                    }
                    None => {
                        report.problems.push(damage);
                        return Ok(());
                    }
                }
            }
            Err(error) => return Err(error),
        };
        let held = split(&self.objects, segment.part, &stretch)?;
        for place in places {
            let Some(held) = held.iter().find(|one| one.header().sequence == *place) else {
                continue;
            };
            let part = Part::Fragment { sequence: *place };
            match self.objects.header(part) {
                Ok((header, _)) if is_same(&header, held.header()) => self.remove(part, report)?,
                Ok(_) => {
                    report.problems.push(self.objects.fork(*place));
                    return Ok(());
                }
                Err(LogError::Store(error)) if error.is_not_found() => {}
                // The segment holds what it should have held.
                Err(LogError::Damaged { .. }) => self.remove(part, report)?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes a damaged segment anew, if all its fragments are there and whole.
    fn remake(&self, segment: &Listed) -> Result<Option<Stretch>, LogError> {
        let most = u64::from(MAX_COUNT);
        if segment.last() - segment.first() >= most {
            return Ok(None);
        }
        let mut parts = Vec::new();
        for sequence in segment.first()..=segment.last() {
            match self.objects.open(Part::Fragment { sequence }, None) {
                Ok(fragment) => parts.push(fragment),
                Err(LogError::Damaged { .. }) => return Ok(None),
                Err(LogError::Store(error)) if error.is_not_found() => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        let Ok(joined) = Stretch::join(&parts) else {
            return Ok(None);
        };
        store(&self.objects, &joined)?;
        Ok(Some(joined))
    }

    /// Makes a segment of these fragments, reads it back, and then removes them.
    fn store_segment(
        &self,
        parts: Vec<Stretch>,
        report: &mut CompactReport,
    ) -> Result<(), LogError> {
        if parts.is_empty() {
            return Ok(());
        }
        let segment = Stretch::join(&parts)?;
        let places: Vec<u64> = parts.iter().map(|one| one.header().sequence).collect();
        drop(parts);
        store(&self.objects, &segment)?;
        report.segments += 1;
        for sequence in places {
            self.remove(Part::Fragment { sequence }, report)?;
        }
        Ok(())
    }

    fn remove(&self, part: Part, report: &mut CompactReport) -> Result<(), LogError> {
        self.objects.go_on()?;
        let erased = self.objects.erase(part)?;
        report.removed += 1;
        report.locked += erased.locked;
        Ok(())
    }
}

/// Stores a fragment or segment whose content the caller holds and has authenticated, and reads it back.
///
/// If there is one of its name that is damaged, it is replaced: a segment has the same content whoever makes it, and a
/// fragment is stored so only where no writer is at work. Says whether it is there only since now.
pub(super) fn store(objects: &LogObjects, stretch: &Stretch) -> Result<bool, LogError> {
    let mut compressor = Compressor::new(DEFAULT_LEVEL)?;
    let sealed = seal(
        &objects.keys,
        stretch,
        objects.random(),
        Some(&mut compressor),
    )?;
    let header = stretch.header();
    let part = sealed.name.part;
    let stored = objects.put(&sealed)?;
    let mut found = objects.open(part, Some(header.span.from()));
    if matches!(found, Err(LogError::Damaged { .. })) {
        objects.replace(&sealed)?;
        found = objects.open(part, Some(header.span.from()));
    }
    match found {
        Ok(there) if there.header() == header => Ok(stored == Stored::New),
        Ok(there) => Err(objects.fork(there.header().sequence)),
        Err(LogError::Store(error)) if error.is_not_found() => Err(LogError::NoReadBack {
            object: sealed.name.to_string(),
            store: objects.place(),
        }),
        Err(error) => Err(error),
    }
}

/// The fragments in a segment that was opened.
pub(super) fn split(
    objects: &LogObjects,
    part: Part,
    stretch: &Stretch,
) -> Result<Vec<Stretch>, LogError> {
    let position = Some(stretch.header().span.from());
    stretch
        .split()
        .map_err(|error| objects.damaged(part, position, OpenError::from(error).into()))
}

/// The first place of the newest objects, which stay.
pub(super) fn place_that_stays(listed: &[Listed]) -> u64 {
    let mut ends: Vec<(u64, u64)> = listed.iter().map(|one| (one.last(), one.first())).collect();
    ends.sort_unstable();
    let newest = ends.iter().rev().take(KEPT);
    newest.map(|(_, first)| *first).min().unwrap_or(0)
}

/// Whether two headers, one of which may say that it is stored compressed, are of the same content.
fn is_same(one: &Header, other: &Header) -> bool {
    one.next() == other.next() && one.sequence == other.sequence && one.previous == other.previous
}

/// Fragments that follow one another.
#[derive(Default)]
struct Group {
    parts: Vec<Stretch>,
    bytes: usize,
}

impl Group {
    fn has_room(&self, fragment: &Stretch, options: &CompactOptions) -> bool {
        let Some(last) = self.parts.last() else {
            return true;
        };
        let (before, after) = (last.header(), fragment.header());
        let follows = before.next().sequence == after.sequence
            && before.digest == after.previous
            && before.timeline == after.timeline
            && before.span.to() == after.span.from()
            && before.last_epoch <= after.epoch;
        // A table of the most fragments that there may be takes 4 MiB.
        let most = options.bytes.min(Kind::Segment.limit() - (4 << 20));
        let count = options
            .count
            .min(usize::try_from(MAX_COUNT).unwrap_or(usize::MAX));
        follows && self.parts.len() < count && self.bytes + fragment.log().len() <= most
    }

    fn push(&mut self, fragment: Stretch) {
        self.bytes += fragment.log().len();
        self.parts.push(fragment);
    }

    fn take(&mut self) -> Vec<Stretch> {
        self.bytes = 0;
        std::mem::take(&mut self.parts)
    }
}
