//! Verifying: packs are read as a whole and every blob in them is opened and re-hashed.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use vouchsafe_capture::Progress;
use vouchsafe_format::Id;
use vouchsafe_host::{Random, SeededRandom};
use vouchsafe_model::{Issue, Span, Time};

use crate::drive::Driver;
use crate::error::RepoError;
use crate::index::{BlobIndex, ById};
use crate::machine::ObjectKind;
use crate::memory::{Coverage, VerifyMemory};
use crate::objects::show;
use crate::packs::{PackReader, PackRef, PackVerdict, pack_issue, pack_refs};
use crate::parallel;
use crate::repository::{Repository, issue};
use crate::verify_batches::{Batches, Keep};

/// How much is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Budget {
    /// Everything.
    All,
    /// This share of the packs and of their bytes, from 0 to 1; at least one pack if it is not 0.
    Share(f64),
    /// Packs until this many bytes are read; the last one is read to its end.
    Bytes(u64),
    /// Packs until this time has passed; those begun are read to their end.
    Time(Duration),
}

/// What is to be read, and in which order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// How much.
    pub budget: Budget,
    /// The order among packs of equal age follows from it.
    pub seed: u64,
    /// The time that [`VerifyReport::coverage`] is about.
    pub within: Span,
}

/// What a verification found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Packs that the index lists.
    pub packs_total: u64,
    /// Packs that were read, damaged ones among them.
    pub packs_read: u64,
    /// Bytes of these.
    pub bytes_read: u64,
    /// Whether every pack was read.
    pub complete: bool,
    /// Whether the user asked to stop before what was chosen had been read.
    pub interrupted: bool,
    /// What is wrong.
    pub problems: Vec<Issue>,
    /// The packs that are damaged or missing.
    pub damaged: Vec<Id>,
    /// What this and earlier verifications have read, as far as it is remembered.
    pub coverage: Coverage,
}

impl Repository {
    /// Reads packs in an order that follows from `seed`, with nothing remembered of earlier times: see
    /// [`Repository::verify_remembering`].
    ///
    /// # Errors
    /// As [`Repository::verify_remembering`].
    pub fn verify(
        &self,
        budget: Budget,
        seed: u64,
        progress: &dyn Progress,
    ) -> Result<VerifyReport, RepoError> {
        let within = Span::ZERO;
        let reading = Reading {
            budget,
            seed,
            within,
        };
        let report = self.verify_remembering(&reading, &mut VerifyMemory::default(), progress)?;
        if report.interrupted {
            return Err(RepoError::Interrupted);
        }
        Ok(report)
    }

    /// Reads packs: each must have the digest that it is named after, a header that agrees with the index, and blobs
    /// that open and have their digests. Packs that were never read, and those found damaged, come first; then those
    /// whose last reading is oldest.
    ///
    /// When it is interrupted, the report says so, and what was read until then is in report and memory.
    ///
    /// # Errors
    /// [`RepoError::Store`] if the index cannot be had, [`RepoError::Interrupted`] before anything was read. Damage,
    /// and packs that cannot be read, are problems in the report.
    pub fn verify_remembering(
        &self,
        reading: &Reading,
        memory: &mut VerifyMemory,
        progress: &dyn Progress,
    ) -> Result<VerifyReport, RepoError> {
        let (index, problems) = self.fresh_index()?;
        let packs = pack_refs(&index);
        let mut report =
            self.read_packs_in_turn(&index, &packs, reading, memory, &|_, _| {}, progress)?;
        report.problems.splice(..0, problems);
        Ok(report)
    }

    /// As [`Repository::verify_remembering`], of packs that are known already.
    pub(crate) fn read_packs_in_turn(
        &self,
        index: &BlobIndex,
        packs: &[PackRef],
        reading: &Reading,
        memory: &mut VerifyMemory,
        keep: Keep<'_>,
        progress: &dyn Progress,
    ) -> Result<VerifyReport, RepoError> {
        let clock = &self.env().clock;
        let chosen = choose(packs, reading, memory, clock.now());
        progress.phase(
            "packs",
            Some(chosen.len() as u64),
            Some(chosen.iter().map(|pack| pack.bytes).sum()),
        );
        let until = match reading.budget {
            Budget::Time(time) => Some(clock.monotonic().saturating_add(time)),
            _ => None,
        };
        let bytes_read = AtomicU64::new(0);
        let seen: Mutex<Vec<(Id, Time, PackVerdict)>> = Mutex::new(Vec::new());
        let interrupt = &self.env().interrupt;
        let known: &VerifyMemory = memory;
        let batches = Batches::new(clock.monotonic());
        let coverage = |memory: &VerifyMemory| {
            let sizes = packs.iter().map(|pack| (pack.id, pack.bytes));
            memory.coverage(sizes, clock.now(), reading.within)
        };
        parallel::each_with(
            &chosen,
            self.reading_threads(&chosen),
            interrupt,
            || PackReader::new(self),
            |reader, listed| {
                if until.is_some_and(|until| clock.monotonic() >= until) {
                    return false;
                }
                let Some(pack) = index.pack(listed.number) else {
                    return false;
                };
                let is_name_known = known.whole_since(&pack.id).is_some();
                let verdict = reader.verdict(&pack, is_name_known);
                seen.lock().unwrap_or_else(PoisonError::into_inner).push((
                    pack.id,
                    clock.now(),
                    verdict,
                ));
                bytes_read.fetch_add(pack.bytes, Ordering::Relaxed);
                progress.advance(1, pack.bytes);
                batches.keep_if_due(clock.monotonic(), || {
                    let mut so_far = known.clone();
                    for (id, at, verdict) in &*seen.lock().unwrap_or_else(PoisonError::into_inner) {
                        match verdict {
                            PackVerdict::Whole => so_far.note(*id, *at, true),
                            PackVerdict::Damaged(_) => so_far.note(*id, *at, false),
                            PackVerdict::Unreadable(_) => {}
                        }
                    }
                    keep(&so_far, &coverage(&so_far));
                });
                true
            },
        );
        // What it does not say rightly is not held against the packs.
        if let Some(trouble) = index.trouble() {
            return Err(trouble.into());
        }
        let mut report = VerifyReport {
            packs_total: packs.len() as u64,
            bytes_read: bytes_read.into_inner(),
            ..VerifyReport::default()
        };
        for (id, at, verdict) in seen.into_inner().unwrap_or_else(PoisonError::into_inner) {
            report.packs_read += 1;
            report.take(id, at, verdict, memory);
        }
        report.interrupted = interrupt.requested();
        report.complete = report.packs_read == report.packs_total;
        report.coverage = coverage(memory);
        Ok(report)
    }

    /// Takes it into a memory that these packs are damaged; what of the repository is covered now.
    ///
    /// # Errors
    /// [`RepoError::Store`], [`RepoError::Interrupted`].
    pub fn note_damaged(
        &self,
        packs: &[Id],
        memory: &mut VerifyMemory,
        within: Span,
    ) -> Result<Coverage, RepoError> {
        let (index, _) = self.fresh_index()?;
        let now = self.env().clock.now();
        for pack in packs {
            memory.note(*pack, now, false);
        }
        Ok(memory.coverage(index.packs(), now, within))
    }

    /// A few more than there are processors, so that some read while others compute; fewer where packs are huge.
    pub(crate) fn reading_threads(&self, packs: &[PackRef]) -> usize {
        let largest = packs.iter().map(|pack| pack.bytes).max().unwrap_or(0);
        let fitting = READING_MEMORY / largest.max(1);
        let wanted = match self.driver {
            Driver::Simulated(_) => 1,
            _ => self.hands() + 1,
        };
        wanted
            .min(usize::try_from(fitting).unwrap_or(usize::MAX))
            .max(1)
    }
}

impl VerifyReport {
    fn take(&mut self, id: Id, at: Time, verdict: PackVerdict, memory: &mut VerifyMemory) {
        match verdict {
            PackVerdict::Whole => memory.note(id, at, true),
            PackVerdict::Damaged(damage) => {
                memory.note(id, at, false);
                self.damaged.push(id);
                let issues = damage.iter().map(|damage| pack_issue(&id, damage));
                self.problems.extend(issues);
            }
            PackVerdict::Unreadable(error) => {
                self.problems
                    .push(issue(show(ObjectKind::Pack, &id), &error));
            }
        }
    }
}

/// Bytes of packs that are held at once.
const READING_MEMORY: u64 = 96 << 20;

/// The packs to be read, in their order.
pub(crate) fn choose(
    packs: &[PackRef],
    reading: &Reading,
    memory: &mut VerifyMemory,
    now: Time,
) -> Vec<PackRef> {
    let listed: HashSet<&Id, ById> = packs.iter().map(|pack| &pack.id).collect();
    memory.tidy(|id| listed.contains(id), now);
    let mut chosen: Vec<PackRef> = packs.to_vec();
    chosen.sort_unstable_by_key(|pack| pack.id);
    shuffle(&mut chosen, &SeededRandom::new(reading.seed));
    chosen.sort_by_key(|pack| memory.whole_since(&pack.id));
    chosen.truncate(count_within(reading.budget, &chosen));
    chosen
}

fn count_within(budget: Budget, packs: &[PackRef]) -> usize {
    match budget {
        Budget::All | Budget::Time(_) => packs.len(),
        Budget::Share(share) => {
            let share = share.clamp(0.0, 1.0);
            // Rounded up, so that a small share of few packs is not nothing.
            let count = (packs.len() as f64 * share).ceil() as usize;
            let total: u64 = packs.iter().map(|pack| pack.bytes).sum();
            let bytes = (total as f64 * share) as u64;
            let mut sum = 0;
            let wanted = |(at, pack): &(usize, &PackRef)| {
                let goes = *at < count || sum < bytes;
                sum += pack.bytes;
                goes
            };
            packs.iter().enumerate().take_while(wanted).count()
        }
        Budget::Bytes(limit) => {
            let mut sum = 0;
            let before = |pack: &&PackRef| {
                let fits = sum < limit;
                sum += pack.bytes;
                fits
            };
            packs.iter().take_while(before).count()
        }
    }
}

fn shuffle<T>(things: &mut [T], random: &dyn Random) {
    for last in (1..things.len()).rev() {
        let other = (random.u64() % (last as u64 + 1)) as usize;
        things.swap(last, other);
    }
}
