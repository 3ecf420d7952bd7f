//! Repairing snapshots: one that misses something gets a sibling without it, under a tag that says so.

use vouchsafe_capture::Progress;
use vouchsafe_format::{Id, Snapshot, compress};
use vouchsafe_model::Issue;

use super::packs::require_sure;
use super::rewrite::{Rewriter, file_error};
use super::writer::{Writer, remove, require_lock, stop_if_asked};
use super::{RepairError, RepairReport};
use crate::lock::LockGuard;
use crate::machine::ObjectKind;
use crate::objects::seal_file;
use crate::repository::Repository;

/// What a repair of snapshots is about to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotRepair {
    /// Snapshots that miss something.
    pub snapshots: Vec<BrokenSnapshot>,
    /// Snapshot files that cannot be read. They are left as they are.
    pub unreadable: Vec<Issue>,
}

/// A snapshot that misses something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenSnapshot {
    /// Which.
    pub snapshot: Id,
    /// Files and directories that are lost: the first thousand, by their paths.
    pub lost: Vec<String>,
    /// How many there are in all.
    pub count: u64,
    /// Whether not even its root can be read, so that there is nothing to make a sibling of.
    pub nothing_left: bool,
    /// Whether a sibling was made before.
    pub repaired_as: Option<Id>,
}

/// What marks a repaired sibling, as restic does.
const TAG: &str = "repaired";

impl SnapshotRepair {
    /// Whether there is nothing to write.
    pub fn is_nothing(&self) -> bool {
        self.snapshots
            .iter()
            .all(|s| s.nothing_left || s.repaired_as.is_some())
    }
}

impl Repository {
    /// Looks for snapshots that miss directories or chunks, by the index as it is: repair index and packs first.
    /// Changes nothing.
    ///
    /// # Errors
    /// [`RepairError::Store`] if the store fails, [`RepairError::Interrupted`].
    pub fn plan_snapshot_repair(
        &self,
        progress: &dyn Progress,
    ) -> Result<SnapshotRepair, RepairError> {
        let (index, _) = self.fresh_index()?;
        let (snapshots, unreadable) = self.stored_snapshots()?;
        progress.phase("snapshots", Some(snapshots.len() as u64), None);
        let mut rewriter = Rewriter::new(self, &index);
        let mut out = SnapshotRepair {
            unreadable,
            ..SnapshotRepair::default()
        };
        for (id, snapshot) in &snapshots {
            progress.advance(1, 0);
            let rewritten = rewriter.root(snapshot.tree)?;
            if rewritten.count == 0 {
                continue;
            }
            let sibling = |(_, other): &&(Id, Snapshot)| {
                other.original == Some(snapshot.original.unwrap_or(*id))
                    && Some(other.tree) == rewritten.tree
            };
            out.snapshots.push(BrokenSnapshot {
                snapshot: *id,
                lost: rewritten.lost.clone(),
                count: rewritten.count,
                nothing_left: rewritten.tree.is_none(),
                repaired_as: snapshots.iter().find(sibling).map(|(id, _)| *id),
            });
        }
        require_sure(&index)?;
        Ok(out)
    }

    /// Does what was planned: new directories, their index, then the siblings. The broken snapshots stay, unless
    /// `forget` is said, which needs an exclusive lock.
    ///
    /// # Errors
    /// [`RepairError`]; every snapshot that was there is then still there, or has its sibling.
    pub fn repair_snapshots(
        &self,
        plan: &SnapshotRepair,
        forget: bool,
        lock: &LockGuard,
    ) -> Result<RepairReport, RepairError> {
        let (index, _) = self.fresh_index()?;
        let mut rewriter = Rewriter::new(self, &index);
        let mut writer = Writer::new(self, lock)?;
        let mut siblings = Vec::new();
        for broken in &plan.snapshots {
            stop_if_asked(self)?;
            let snapshot = self.snapshot(&broken.snapshot)?;
            let rewritten = rewriter.root(snapshot.tree)?;
            if let Some(tree) = rewritten.tree.filter(|_| broken.repaired_as.is_none()) {
                rewriter.write(tree, &mut writer)?;
                siblings.push((broken.snapshot, sibling(&broken.snapshot, snapshot, tree)));
            }
        }
        require_sure(&index)?;
        let (packs, indexes) = writer.finish()?;
        let mut report = RepairReport {
            packs_added: packs,
            indexes_added: indexes.len() as u64,
            issues: plan.unreadable.clone(),
            ..RepairReport::default()
        };
        for (broken, sibling) in siblings {
            require_lock(self, lock)?;
            let json = sibling.encode().map_err(file_error)?;
            let (key, iv) = (&self.key, self.env().iv());
            let (name, bytes) =
                seal_file(key, iv, &json, compress::DEFAULT_LEVEL).map_err(RepairError::File)?;
            self.objects.put(ObjectKind::Snapshot, &name, &bytes)?;
            report.snapshots_added.push((broken, name));
        }
        if forget {
            let names: Vec<Id> = plan.snapshots.iter().map(|s| s.snapshot).collect();
            remove(self, lock, ObjectKind::Snapshot, &names, &mut report)?;
            report.snapshots_removed = names;
        }
        Ok(report)
    }
}

fn sibling(id: &Id, broken: Snapshot, tree: Id) -> Snapshot {
    let mut tags = broken.tags.clone();
    if !tags.iter().any(|tag| tag == TAG) {
        tags.push(TAG.to_owned());
    }
    Snapshot {
        tree,
        tags,
        original: Some(broken.original.unwrap_or(*id)),
        // It counted what is not there any more.
        summary: None,
        ..broken
    }
}
