//! The proof without which nothing is removed: a lock, a whole record, and clocks that agree.

use std::fmt;
use std::time::Duration;

use vouchsafe_format::Id;
use vouchsafe_model::{Span, Time};
use vouchsafe_store::{Key, PutMode, Store};

use super::error::ClearanceError;
use crate::env::Env;
use crate::error::LockError;
use crate::lock::{LockGuard, LockKind};
use crate::repository::Repository;

/// What the caller says of its record, after it has checked all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WholeRecord {
    /// How many entries it has.
    pub entries: u64,
    /// When the newest of them was written.
    pub newest: Time,
}

/// Removing is allowed: only [`Repository::clear_deletion`] and those for write-once mode make one.
///
/// It does not stay true by itself: it is asked again while the deed goes on.
pub struct DeletionCleared {
    repository: Id,
    place: String,
    /// Nothing in write-once mode.
    lock: Option<LockGuard>,
    env: Env,
    /// Wall clock and monotonic clock when it was given.
    at: (Time, Duration),
}

impl Repository {
    /// Clears removing under an exclusive lock.
    ///
    /// This machine's wall clock must agree within a minute with the date that the store gave to the lock, with its
    /// own monotonic clock since then, and must not be behind the record.
    ///
    /// # Errors
    /// [`ClearanceError`]; the lock is then released.
    pub fn clear_deletion(
        &self,
        lock: LockGuard,
        record: WholeRecord,
    ) -> Result<DeletionCleared, ClearanceError> {
        if lock.kind() != LockKind::Exclusive {
            return Err(ClearanceError::NotExclusive {
                store: self.place(),
            });
        }
        let Some(dated) = lock.dated()? else {
            return Err(ClearanceError::LockLost {
                store: self.place(),
            });
        };
        self.clear(record, dated, Some(lock))
    }

    /// Clears removing without a lock, for a worklist of write-once mode. `beside` is a place outside the repository
    /// in which `key` is written to learn the store's date.
    ///
    /// # Errors
    /// [`ClearanceError`].
    pub fn clear_write_once(
        &self,
        beside: &dyn Store,
        key: &Key,
        record: WholeRecord,
    ) -> Result<DeletionCleared, ClearanceError> {
        let clock = &self.env().clock;
        let (before, monotonic) = (clock.now(), clock.monotonic());
        beside.put(key, b"what time is it?\n", PutMode::Replace)?;
        let after = clock.now();
        let theirs = beside.head(key)?.modified;
        let dated = Dated {
            before,
            after,
            monotonic,
            theirs,
        };
        self.clear(record, dated, None)
    }

    /// The same where nothing can be written beside the repository: the store's date is that of a shared lock, which is
    /// given back at once.
    ///
    /// # Errors
    /// [`ClearanceError`]; [`ClearanceError::Locked`] if somebody holds an exclusive lock.
    pub fn clear_write_once_within(
        &self,
        record: WholeRecord,
    ) -> Result<DeletionCleared, ClearanceError> {
        let lock = self.lock(LockKind::Shared).map_err(|error| match error {
            LockError::Store(error) => ClearanceError::Store(error),
            error => ClearanceError::Locked(Box::new(error)),
        })?;
        let Some(dated) = lock.dated()? else {
            return Err(ClearanceError::LockLost {
                store: self.place(),
            });
        };
        drop(lock);
        self.clear(record, dated, None)
    }

    fn clear(
        &self,
        record: WholeRecord,
        dated: Dated,
        lock: Option<LockGuard>,
    ) -> Result<DeletionCleared, ClearanceError> {
        let store = self.place();
        if record.entries == 0 {
            return Err(ClearanceError::EmptyRecord { store });
        }
        let clock = &self.env().clock;
        let (now, monotonic) = (clock.now(), clock.monotonic());
        if record.newest > now.plus(TOLERANCE) {
            return Err(ClearanceError::RecordAhead {
                newest: record.newest,
                now,
            });
        }
        let Some(theirs) = dated.theirs else {
            return Err(ClearanceError::NoDate { store });
        };
        if distance(theirs, dated.before) > TOLERANCE && distance(theirs, dated.after) > TOLERANCE {
            return Err(ClearanceError::ClocksDisagree {
                store,
                ours: dated.after,
                theirs,
            });
        }
        moved_together((dated.before, dated.monotonic), (now, monotonic))?;
        Ok(DeletionCleared {
            repository: self.id(),
            place: store,
            lock,
            env: self.env().clone(),
            at: (now, monotonic),
        })
    }
}

impl DeletionCleared {
    /// Whether it still holds: asks the store for the lock, and this machine for its clocks.
    ///
    /// # Errors
    /// [`ClearanceError`]: whoever holds it must stop removing.
    pub fn confirm(&self) -> Result<(), ClearanceError> {
        let clock = &self.env.clock;
        moved_together(self.at, (clock.now(), clock.monotonic()))?;
        match &self.lock {
            Some(lock) if !lock.confirm()? => Err(ClearanceError::LockLost {
                store: self.place.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Whether it was given for this repository, with or without a lock.
    pub(super) fn is_for(&self, repository: &Repository, write_once: bool) -> bool {
        self.repository == repository.id()
            && self.place == repository.place()
            && self.lock.is_none() == write_once
    }
}

impl fmt::Debug for DeletionCleared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeletionCleared")
            .field("repository", &self.repository)
            .field("lock", &self.lock)
            .finish_non_exhaustive()
    }
}

/// What a store said of an object that was written between two readings of our clock.
pub(crate) struct Dated {
    pub(crate) before: Time,
    pub(crate) after: Time,
    /// At `before`.
    pub(crate) monotonic: Duration,
    pub(crate) theirs: Option<Time>,
}

/// How far clocks may be apart.
const TOLERANCE: Span = Span::from_mins(1);

fn distance(a: Time, b: Time) -> Span {
    Span::from_micros(a.micros().abs_diff(b.micros()))
}

fn moved_together(from: (Time, Duration), to: (Time, Duration)) -> Result<(), ClearanceError> {
    let passed = u64::try_from(to.1.saturating_sub(from.1).as_micros()).unwrap_or(u64::MAX);
    let by = distance(from.0.plus(Span::from_micros(passed)), to.0);
    if by > TOLERANCE {
        return Err(ClearanceError::ClockJumped { by });
    }
    Ok(())
}
