//! Verifying: packs are read as a whole and every blob in them is opened and re-hashed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use vouchsafe_capture::Progress;
use vouchsafe_format::{Id, PackedBlob};
use vouchsafe_host::{Random, SeededRandom};
use vouchsafe_model::Issue;

use crate::error::{Damage, RepoError};
use crate::machine::ObjectKind;
use crate::objects::{key_of, show};
use crate::packs::{pack_issue, whole_pack_damage};
use crate::parallel;
use crate::repository::{Repository, issue};

/// How much is read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Budget {
    /// Everything.
    All,
    /// This share of the packs, from 0 to 1; at least one pack if it is not 0.
    Share(f64),
    /// Packs until this many bytes are read; the last one is read to its end.
    Bytes(u64),
    /// Packs until this time has passed; those begun are read to their end.
    Time(Duration),
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
    /// What is wrong.
    pub problems: Vec<Issue>,
}

impl Repository {
    /// Reads packs in an order that follows from `seed`: each must have the digest that it is named after, a header
    /// that agrees with the index, and blobs that open and have their digests.
    ///
    /// # Errors
    /// [`RepoError::Store`] if the index cannot be had, [`RepoError::Interrupted`]. Damage, and packs that cannot be
    /// read, are problems in the report.
    pub fn verify(
        &self,
        budget: Budget,
        seed: u64,
        progress: &dyn Progress,
    ) -> Result<VerifyReport, RepoError> {
        let (index, mut problems) = self.fresh_index()?;
        let sizes: Vec<u64> = index.packs().map(|(_, bytes)| bytes).collect();
        let mut packs: Vec<(Id, u64, Vec<PackedBlob>)> = index
            .by_pack()
            .into_iter()
            .zip(sizes)
            .map(|((id, blobs), bytes)| (id, bytes, blobs))
            .collect();
        packs.sort_unstable_by_key(|(id, ..)| *id);
        let total = packs.len();
        shuffle(&mut packs, &SeededRandom::new(seed));
        packs.truncate(count_within(budget, &packs));
        progress.phase(
            "packs",
            Some(packs.len() as u64),
            Some(packs.iter().map(|(_, bytes, _)| bytes).sum()),
        );

        let clock = &self.env().clock;
        let until = match budget {
            Budget::Time(time) => Some(clock.monotonic().saturating_add(time)),
            _ => None,
        };
        let (read, bytes_read) = (AtomicU64::new(0), AtomicU64::new(0));
        let found = Mutex::new(Vec::new());
        let interrupt = &self.env().interrupt;
        parallel::each(&packs, self.hands(), interrupt, |(id, bytes, blobs)| {
            if until.is_some_and(|until| clock.monotonic() >= until) {
                return false;
            }
            let issues = self.verify_pack(id, *bytes, blobs);
            found
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend(issues);
            read.fetch_add(1, Ordering::Relaxed);
            bytes_read.fetch_add(*bytes, Ordering::Relaxed);
            progress.advance(1, *bytes);
            true
        });
        if interrupt.requested() {
            return Err(RepoError::Interrupted);
        }
        problems.extend(found.into_inner().unwrap_or_else(PoisonError::into_inner));
        let packs_read = read.into_inner();
        Ok(VerifyReport {
            packs_total: total as u64,
            packs_read,
            bytes_read: bytes_read.into_inner(),
            complete: packs_read == total as u64,
            problems,
        })
    }

    /// What is wrong with a pack: reads all of it.
    pub(crate) fn verify_pack(&self, id: &Id, bytes: u64, blobs: &[PackedBlob]) -> Vec<Issue> {
        let read = key_of(ObjectKind::Pack, id).and_then(|key| self.objects.get(&key));
        match read {
            Ok(found) if found.len() as u64 != bytes => {
                vec![pack_issue(
                    id,
                    &Damage::Size {
                        expected: bytes,
                        found: found.len() as u64,
                    },
                )]
            }
            Ok(found) => whole_pack_damage(&self.key, id, &found, blobs)
                .iter()
                .map(|damage| pack_issue(id, damage))
                .collect(),
            Err(error) if error.is_not_found() => vec![pack_issue(id, &Damage::Missing)],
            Err(error) => vec![issue(show(ObjectKind::Pack, id), &error)],
        }
    }
}

fn count_within(budget: Budget, packs: &[(Id, u64, Vec<PackedBlob>)]) -> usize {
    match budget {
        Budget::All | Budget::Time(_) => packs.len(),
        Budget::Share(share) => {
            // Rounded up, so that a small share of few packs is not nothing.
            let count = (packs.len() as f64 * share.clamp(0.0, 1.0)).ceil();
            (count as usize).min(packs.len())
        }
        Budget::Bytes(limit) => {
            let mut sum = 0;
            let before = |(_, bytes, _): &&(Id, u64, Vec<PackedBlob>)| {
                let fits = sum < limit;
                sum += bytes;
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
