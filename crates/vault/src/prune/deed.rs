//! Doing a worklist, in an order in which every step leaves all kept snapshots whole.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use vouchsafe_capture::Progress;
use vouchsafe_format::Id;
use vouchsafe_model::{Issue, Span, Time};
use vouchsafe_store::StoreError;

use super::clearance::DeletionCleared;
use super::error::{PruneError, prune_error};
use super::usage::visit_kept;
use super::worklist::{PackWork, PruneWorklist};
use crate::drive::simulated::Simulated;
use crate::drive::threaded::Engine;
use crate::drive::{Driver, Stopped};
use crate::error::{Damage, RepoError, WorkError};
use crate::machine::{Added, Machine, Moving, ObjectKind, RepackMachine};
use crate::objects::show;
use crate::parallel;
use crate::repository::{Repository, issue};

/// What a prune has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PruneReport {
    /// Snapshots that were removed.
    pub forgotten: Vec<Id>,
    /// Packs that were removed.
    pub removed: Vec<Id>,
    /// Bytes of these, less those of new packs.
    pub freed: u64,
    /// Packs that were newly stored, and their bytes.
    pub added: (u64, u64),
    /// Blobs in these.
    pub moved: u64,
    /// Index files that were written and removed.
    pub indexes: (u64, u64),
    /// Packs that no index lists any more and that wait for a later prune; in write-once mode only.
    pub retired: Vec<Id>,
    /// What interrupted writers had left in the store and was removed: no objects, temporary files.
    pub leftovers: u64,
    /// What the store refused to remove; it is tried again by the next prune. In write-once mode only.
    pub refused: Vec<Issue>,
    /// Objects among those removed whose bytes a lock keeps, seen by nobody; by their keys in the repository, and
    /// when the lock ends, if the store says so.
    pub hidden: Vec<(String, Option<Time>)>,
}

impl Repository {
    /// Does a worklist.
    ///
    /// In locked mode the repository must have the snapshots and index files that it had when the worklist was made.
    /// The clearance is asked again before each step and while many objects are removed; when it does not hold any
    /// more, everything stops at once.
    ///
    /// # Errors
    /// [`PruneError`]. Whatever was done until then leaves all kept snapshots whole; plan anew to go on.
    pub fn prune(
        &self,
        worklist: &PruneWorklist,
        cleared: &DeletionCleared,
        progress: &dyn Progress,
    ) -> Result<PruneReport, PruneError> {
        let basis = &worklist.basis;
        if !cleared.is_for(self, basis.write_once) {
            return Err(PruneError::OtherClearance {
                store: self.place(),
            });
        }
        cleared.confirm()?;
        if !basis.write_once {
            self.refuse_changes(worklist)?;
        }
        let mut deed = Deed {
            repository: self,
            worklist,
            cleared,
            progress,
            report: PruneReport::default(),
            fresh: HashSet::new(),
        };
        let done = deed.run();
        // Also after a failure: what this value knows of the index is not so any more.
        self.forget_index();
        done.map(|()| deed.report)
    }

    fn refuse_changes(&self, worklist: &PruneWorklist) -> Result<(), PruneError> {
        let names = |kind| -> Result<BTreeSet<Id>, StoreError> {
            Ok(self
                .objects
                .list(kind)?
                .into_iter()
                .map(|(id, _)| id)
                .collect())
        };
        let basis = &worklist.basis;
        // A listing may be late both ways, so only what is new counts.
        let snapshots = names(ObjectKind::Snapshot)?;
        let indexes = names(ObjectKind::Index)?;
        if snapshots.is_subset(&basis.snapshots) && indexes.is_subset(&basis.indexes) {
            return Ok(());
        }
        Err(PruneError::Changed {
            store: self.place(),
        })
    }
}

struct Deed<'a> {
    repository: &'a Repository,
    worklist: &'a PruneWorklist,
    cleared: &'a DeletionCleared,
    progress: &'a dyn Progress,
    report: PruneReport,
    /// Packs and index files that were written just now. What an attempt before has left may have the same name.
    fresh: HashSet<Id>,
}

impl Deed<'_> {
    fn run(&mut self) -> Result<(), PruneError> {
        self.forget()?;
        // What is still there needs all that it needed.
        if self.report.forgotten.len() < self.worklist.forget.len() {
            return Ok(());
        }
        self.repack()?;
        let gone = self.leaving();
        let written = self
            .repository
            .write_indexes(self.worklist, &gone, self.cleared)?;
        self.report.indexes.0 += written.len() as u64;
        self.fresh.extend(written);
        self.remove_indexes()?;
        self.remove_packs()?;
        self.remove_leftovers()
    }

    fn remove_leftovers(&mut self) -> Result<(), PruneError> {
        let repository = self.repository;
        let before = repository.env().clock.now().minus(LEFT_ALONE);
        self.report.leftovers = repository
            .objects
            .remove_leftovers(before)
            .map_err(RepoError::from)?;
        Ok(())
    }

    fn forget(&mut self) -> Result<(), PruneError> {
        let snapshots: Vec<Id> = self.worklist.forget.iter().map(|f| f.snapshot).collect();
        let step = "snapshots";
        self.report.forgotten = self.remove(step, ObjectKind::Snapshot, &snapshots)?;
        Ok(())
    }

    fn repack(&mut self) -> Result<(), PruneError> {
        let packs: Vec<Id> = self.worklist.repack.iter().map(|work| work.pack).collect();
        if packs.is_empty() {
            return Ok(());
        }
        let bytes = self.worklist.figures.rewritten;
        self.progress.phase("repack", None, Some(bytes));
        for batch in self.batches() {
            self.cleared.confirm()?;
            let moving = self.blobs_of(&batch)?;
            let machine = self.move_blobs(moving)?;
            let added = machine.saver().added();
            self.repository.note_written(&added.indexes);
            self.must_be_there(added)?;
            self.fresh.extend(added.packs.iter().chain(&added.indexes));
            self.report.added.0 += added.packs.len() as u64;
            self.report.added.1 += added.stored_bytes;
            self.report.moved += machine.moved();
            self.report.indexes.0 += added.indexes.len() as u64;
        }
        Ok(())
    }

    /// Packs whose needed blobs are moved together: few enough that a list of them is small.
    fn batches(&self) -> Vec<HashSet<Id>> {
        let mut out: Vec<(HashSet<Id>, u64)> = Vec::new();
        for work in &self.worklist.repack {
            // A blob takes some hundred bytes at least; most are far larger.
            let blobs = work.used / 256 + 1;
            match out.last_mut() {
                Some((batch, sum)) if *sum + blobs <= BATCH_BLOBS => {
                    batch.insert(work.pack);
                    *sum += blobs;
                }
                _ => out.push((HashSet::from([work.pack]), blobs)),
            }
        }
        out.into_iter().map(|(batch, _)| batch).collect()
    }

    fn blobs_of(&self, packs: &HashSet<Id>) -> Result<Vec<Moving>, PruneError> {
        let basis = &self.worklist.basis;
        let chosen: Vec<Option<Id>> = basis
            .index
            .packs()
            .map(|(id, _)| packs.contains(&id).then_some(id))
            .collect();
        let mut out = Vec::new();
        visit_kept(&basis.index, &basis.keep, |number, blob| {
            if let Some(Some(pack)) = chosen.get(number as usize) {
                out.push(Moving {
                    id: blob.id,
                    kind: blob.kind,
                    pack: *pack,
                    offset: blob.offset,
                    length: blob.length,
                    uncompressed_length: blob.uncompressed_length,
                });
            }
        })
        .map_err(RepoError::from)?;
        Ok(out)
    }

    fn move_blobs(&self, moving: Vec<Moving>) -> Result<RepackMachine, PruneError> {
        let repository = self.repository;
        let saver = repository.saver();
        let index = Arc::clone(&self.worklist.basis.index);
        let workshop = repository.workshop(index, None, &saver);
        let machine = RepackMachine::new(saver, moving);
        if let Driver::Simulated(simulation) = &repository.driver {
            let mut simulated = Simulated::new(machine, workshop, repository.chunker(), simulation)
                .map_err(work_error)?;
            // Why it stopped is told by `finish`.
            let _ = (|| {
                simulated.tell(RepackMachine::start)?;
                simulated.run_until(RepackMachine::is_finished)?;
                Ok::<(), Stopped>(())
            })();
            return simulated.finish().map_err(work_error);
        }
        let engine = Engine::start(
            machine,
            workshop,
            repository.chunker(),
            repository.threads(),
        );
        let shared = Arc::clone(engine.shared());
        let interrupt = &repository.env().interrupt;
        Engine::watched(&shared, self.progress, interrupt, || {
            let _ = (|| {
                shared.apply(RepackMachine::start)?;
                shared.wait_until(RepackMachine::is_finished)?;
                Ok::<(), Stopped>(())
            })();
            engine.finish()
        })
        .map_err(work_error)
    }

    /// What was stored anew will soon be the only copy, and its index alone tells where it is.
    fn must_be_there(&self, added: &Added) -> Result<(), PruneError> {
        for name in &added.indexes {
            let (objects, key) = (&self.repository.objects, &self.repository.key);
            objects
                .get_file(key, ObjectKind::Index, name)
                .map_err(prune_error)?;
        }
        for pack in &added.packs {
            if self
                .repository
                .objects
                .size(ObjectKind::Pack, pack)?
                .is_none()
            {
                return Err(PruneError::Pack {
                    pack: *pack,
                    store: self.repository.place(),
                    source: Box::new(Damage::Missing),
                });
            }
        }
        Ok(())
    }

    fn leaving(&self) -> HashSet<Id> {
        let worklist = self.worklist;
        let all = worklist.remove.iter().chain(&worklist.repack);
        all.chain(&worklist.retire)
            .map(|work| work.pack)
            .filter(|pack| !self.fresh.contains(pack))
            .collect()
    }

    fn remove_indexes(&mut self) -> Result<(), PruneError> {
        let old: Vec<Id> = self
            .worklist
            .indexes
            .iter()
            .filter(|name| !self.fresh.contains(name))
            .copied()
            .collect();
        let removed = self.remove("indexes", ObjectKind::Index, &old)?;
        self.repository.note_removed(&removed);
        self.report.indexes.1 = removed.len() as u64;
        if removed.len() == old.len() {
            self.report.retired = self.retired().map(|work| work.pack).collect();
        }
        Ok(())
    }

    /// Packs that wait for a later prune, as far as they were not waiting before.
    fn retired(&self) -> impl Iterator<Item = &PackWork> {
        let once = self.worklist.basis.write_once;
        let repacked = self.worklist.repack.iter().filter(move |_| once);
        self.worklist
            .retire
            .iter()
            .filter(|work| work.why != super::worklist::Why::Pending)
            .chain(repacked)
    }

    fn remove_packs(&mut self) -> Result<(), PruneError> {
        let now = self.worklist.remove.iter();
        let repacked = self.worklist.repack.iter();
        let repacked = repacked.filter(|_| !self.worklist.basis.write_once);
        let mut packs: Vec<(Id, u64)> = now
            .chain(repacked)
            .filter(|work| !self.fresh.contains(&work.pack))
            .map(|work| (work.pack, work.bytes))
            .collect();
        packs.sort_unstable();
        let names: Vec<Id> = packs.iter().map(|(id, _)| *id).collect();
        let removed = self.remove("packs", ObjectKind::Pack, &names)?;
        // What is only hidden takes as much space as before.
        let hidden: HashSet<&str> = self
            .report
            .hidden
            .iter()
            .map(|(key, _)| key.as_str())
            .collect();
        let gone: HashSet<Id> = removed
            .iter()
            .filter(|id| !hidden.contains(show(ObjectKind::Pack, id).as_str()))
            .copied()
            .collect();
        let bytes: u64 = packs
            .iter()
            .filter(|(id, _)| gone.contains(id))
            .map(|(_, bytes)| bytes)
            .sum();
        self.report.freed = bytes.saturating_sub(self.report.added.1);
        self.report.removed = removed;
        Ok(())
    }

    /// Removes objects while the clearance holds. Gives those that are gone: in locked mode all.
    fn remove(
        &mut self,
        step: &str,
        kind: ObjectKind,
        names: &[Id],
    ) -> Result<Vec<Id>, PruneError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        self.cleared.confirm()?;
        self.progress.phase(step, Some(names.len() as u64), None);
        let watch = Mutex::new((self.now(), 0_u32));
        let failure = Mutex::new(None);
        let (gone, refused) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        let hidden = Mutex::new(Vec::new());
        let repository = self.repository;
        let threads = match repository.driver {
            Driver::Simulated(_) => 1,
            _ => repository.threads().transfers.max(DELETERS),
        };
        let interrupt = &repository.env().interrupt;
        let whole = parallel::each(names, threads, interrupt, |name| {
            let deleted = self
                .confirm_now_and_then(&watch)
                .map(|()| repository.objects.erase(kind, name));
            match deleted {
                Ok(Ok(erased)) => {
                    if erased.locked > 0 {
                        lock(&hidden).push((show(kind, name), erased.until));
                    }
                    lock(&gone).push(*name);
                    self.progress.advance(1, 0);
                    true
                }
                Ok(Err(error)) if self.worklist.basis.write_once && is_refusal(&error) => {
                    lock(&refused).push(issue(show(kind, name), &error));
                    true
                }
                Ok(Err(error)) if is_refusal(&error) => {
                    lock(&failure).get_or_insert(PruneError::Refused {
                        object: show(kind, name),
                        store: repository.place(),
                    });
                    false
                }
                Ok(Err(error)) => {
                    lock(&failure).get_or_insert(PruneError::from(error));
                    false
                }
                Err(error) => {
                    lock(&failure).get_or_insert(error);
                    false
                }
            }
        });
        self.report.refused.append(&mut lock(&refused));
        self.report.hidden.append(&mut lock(&hidden));
        match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None if whole => {
                let mut gone = gone.into_inner().unwrap_or_else(PoisonError::into_inner);
                gone.sort_unstable();
                Ok(gone)
            }
            None => Err(PruneError::Interrupted),
        }
    }

    fn confirm_now_and_then(&self, watch: &Mutex<(Duration, u32)>) -> Result<(), PruneError> {
        let mut last = lock(watch);
        last.1 += 1;
        let now = self.now();
        if last.1 < CONFIRM_COUNT && now.saturating_sub(last.0) < CONFIRM_TIME {
            return Ok(());
        }
        // Held meanwhile: nobody removes anything until it is known whether that is still allowed.
        self.cleared.confirm()?;
        *last = (self.now(), 0);
        Ok(())
    }

    fn now(&self) -> Duration {
        self.repository.env().clock.monotonic()
    }
}

/// Blobs whose places are listed at once.
const BATCH_BLOBS: u64 = 300_000;
/// Threads that remove, at least: they wait most of the time.
const DELETERS: usize = 8;
/// A temporary file to which nothing was added for so long belongs to nobody any more.
const LEFT_ALONE: Span = Span::from_days(7);
/// After how many removals, and after which time, the clearance is asked again.
const CONFIRM_COUNT: u32 = 64;
const CONFIRM_TIME: Duration = Duration::from_secs(1);

/// The store will not have it, now or ever.
fn is_refusal(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Denied { .. } | StoreError::ReadOnly { .. }
    )
}

fn work_error(error: WorkError) -> PruneError {
    match error {
        WorkError::Interrupted => PruneError::Interrupted,
        error => PruneError::Work(error),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
