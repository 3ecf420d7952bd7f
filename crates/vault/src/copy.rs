//! Copying a snapshot from one repository to another: blobs are re-used, the source of the data is not read again.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use vouchsafe_capture::Progress;
use vouchsafe_format::{Id, Snapshot};
use vouchsafe_model::Issue;

use crate::drive::simulated::Simulated;
use crate::drive::threaded::Engine;
use crate::drive::{Driver, Stopped, Workshop};
use crate::error::{CopyError, RepoError, WorkError};
use crate::machine::CopyMachine;
use crate::repository::{Repository, issue};

/// What a copy did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyReport {
    /// The snapshot at the target; its `original` names the one it is a copy of.
    pub snapshot: Id,
    /// The tree of its root, the same in both repositories.
    pub tree: Id,
    /// Whether the target had it already and only what was missing of it was added.
    pub existed: bool,
    /// Bytes of the new packs.
    pub added_bytes: u64,
    /// The new packs.
    pub added_packs: Vec<Id>,
    /// Blobs that the target did not have.
    pub blobs_copied: u64,
    /// Damaged index files of either repository, which did not hinder.
    pub repository_issues: Vec<Issue>,
}

/// Copies one snapshot and all it needs. What an earlier attempt has stored and listed is not sent again; a snapshot
/// that was copied before is not written twice.
///
/// # Errors
/// [`CopyError`]: then there is no new snapshot.
pub fn copy(
    from: &Repository,
    to: &Repository,
    snapshot: &Id,
    progress: &dyn Progress,
) -> Result<CopyReport, CopyError> {
    let original = from.snapshot(snapshot).map_err(from_error)?;
    to.refuse_old_version().map_err(to_error)?;
    let (source, mut issues) = from.index().map_err(from_error)?;
    let (target, more) = to.index().map_err(to_error)?;
    issues.extend(more);
    let copied = Snapshot {
        original: Some(original.original.unwrap_or(*snapshot)),
        parent: None,
        ..original
    };
    let existing = find_copy(to, &copied).map_err(to_error)?;
    let tree = copied.tree;

    let looked_up = [Arc::clone(&source), Arc::clone(&target)];
    let saver = to.saver();
    let workshop = to.workshop(Arc::clone(&target), Some(from), &saver);
    let machine = CopyMachine::new(saver, source, target, copied);
    let machine = drive(to, machine, workshop, existing.is_none(), progress)?;
    to.note_written(&machine.saver().added().indexes);
    // What could not be looked up at the target was stored once more.
    let troubles = looked_up.iter().filter_map(|index| index.trouble());
    issues.extend(troubles.map(|trouble| issue("index".to_owned(), &trouble)));
    let added = machine.saver().added();
    Ok(CopyReport {
        snapshot: existing
            .or(machine.result())
            .ok_or(CopyError::Work(WorkError::Stuck))?,
        tree,
        existed: existing.is_some(),
        added_bytes: added.stored_bytes,
        added_packs: added.packs.clone(),
        blobs_copied: machine.copied(),
        repository_issues: issues,
    })
}

fn drive(
    to: &Repository,
    machine: CopyMachine,
    workshop: Workshop,
    write: bool,
    progress: &dyn Progress,
) -> Result<CopyMachine, CopyError> {
    if let Driver::Simulated(simulation) = &to.driver {
        let mut simulated =
            Simulated::new(machine, workshop, to.chunker(), simulation).map_err(work_error)?;
        // Why it stopped is told by `finish`.
        let _ = (|| {
            simulated.tell(CopyMachine::start)?;
            simulated.run_until(CopyMachine::is_ready_for_snapshot)?;
            if write {
                simulated.tell(CopyMachine::write_snapshot)?;
                simulated.run_until(|machine| machine.result().is_some())?;
            }
            Ok::<(), Stopped>(())
        })();
        return simulated.finish().map_err(work_error);
    }
    let engine = Engine::start(machine, workshop, to.chunker(), to.threads());
    let shared = Arc::clone(engine.shared());
    // Blobs are copied as soon as it is known which are missing, and may be before that is announced.
    shared.counters.held.store(true, Ordering::Release);
    Engine::watched(&shared, progress, &to.env().interrupt, || {
        let _ = (|| {
            shared.apply(CopyMachine::start)?;
            shared.wait_until(CopyMachine::is_measured)?;
            if let Some((blobs, bytes)) = shared.apply(|machine, _| Ok(machine.wanted()))? {
                progress.phase("copy", Some(blobs), Some(bytes));
            }
            shared.counters.held.store(false, Ordering::Release);
            shared.wait_until(CopyMachine::is_ready_for_snapshot)?;
            if write {
                shared.apply(CopyMachine::write_snapshot)?;
                shared.wait_until(|machine: &CopyMachine| machine.result().is_some())?;
            }
            Ok::<(), Stopped>(())
        })();
        engine.finish()
    })
    .map_err(work_error)
}

/// The same snapshot, copied before; or the original, should this be the way back.
fn find_copy(to: &Repository, copied: &Snapshot) -> Result<Option<Id>, RepoError> {
    let (snapshots, _) = to.readable_snapshots()?;
    let same = |id: &Id, found: &Snapshot| {
        let related = found.original == copied.original || Some(*id) == copied.original;
        related && found.tree == copied.tree && found.time == copied.time
    };
    for (id, _) in snapshots.iter().filter(|(id, found)| same(id, found)) {
        match to.snapshot(id) {
            Ok(_) => return Ok(Some(*id)),
            Err(RepoError::Store(error)) => return Err(error.into()),
            // What is only in the cache any more is no copy.
            Err(_) => {}
        }
    }
    Ok(None)
}

fn from_error(error: RepoError) -> CopyError {
    match error {
        RepoError::Interrupted => CopyError::Interrupted,
        error => CopyError::From(error),
    }
}

fn to_error(error: RepoError) -> CopyError {
    match error {
        RepoError::Interrupted => CopyError::Interrupted,
        error => CopyError::To(error),
    }
}

fn work_error(error: WorkError) -> CopyError {
    match error {
        WorkError::Interrupted => CopyError::Interrupted,
        error => CopyError::Work(error),
    }
}
