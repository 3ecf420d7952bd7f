//! A repository with a history: thirty backups of a tree that changes in between, of which most are then forgotten.

use std::path::Path;

use super::contest::Bench;
use super::data::{Change, Plan, Set, Words, at, stamp_again, unstamp};
use super::jobs::Lane;
use super::rows::CHANGED_PERCENT;
use super::tools::Tool;
use super::tree;
use crate::program;

/// Backups that are made.
const BACKUPS: u64 = 30;
/// The newest, which are kept.
const KEPT: u64 = 6;

impl Bench<'_> {
    /// Has restic make it, once for all tools: they prune copies of the same repository.
    pub(crate) fn history(&self, restic: &Tool) -> Result<Lane, String> {
        let lane = self.area.lane(restic, "history");
        if lane.root().exists() {
            return Ok(lane);
        }
        let unfinished = self.area.lane(restic, "history-unfinished");
        tree::remove(unfinished.root())?;
        unfinished.make_folders()?;
        self.prepare(restic.init(&unfinished))?;
        let source = self.area.data(Set::Files, &self.size)?;
        let stamp = unstamp(&source)?;
        let words = Words::new();
        let plan = Plan::new(&self.size, &words);
        let rounds: Vec<Change> = (1..BACKUPS)
            .map(|round| Change::new(&plan, self.size.seed, round, CHANGED_PERCENT))
            .collect();
        self.prepare(restic.backup(&unfinished, &source, "first"))?;
        for round in &rounds {
            round.apply(&source, &plan, &words)?;
            self.prepare(restic.backup(&unfinished, &source, "next"))?;
        }
        for round in &rounds {
            round.undo(&source, &plan, &words)?;
        }
        stamp_again(&source, &stamp)?;
        self.restic(&unfinished, &["forget", "--keep-last", &KEPT.to_string()])?;
        std::fs::rename(unfinished.root(), lane.root()).map_err(at(lane.root()))?;
        Ok(lane)
    }

    /// Puts a copy of the history into a tool's lane, with nothing cached.
    pub(crate) fn copy_history(&self, history: &Lane, lane: &Lane) -> Result<(), String> {
        tree::remove(lane.root())?;
        lane.make_folders()?;
        copy(&history.repository(), &lane.repository())
    }

    /// Whether what was kept is still there.
    pub(crate) fn judge_pruned(&self, lane: &Lane) -> Result<(), String> {
        self.judge_repository(lane)?;
        let found = self.snapshots(lane)? as u64;
        if found == KEPT {
            return Ok(());
        }
        Err(format!("{found} snapshots are left of {KEPT}"))
    }
}

/// Copies a tree with its metadata.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let mut command = std::process::Command::new("cp");
    command.args(["-a", "--reflink=auto"]).arg(from).arg(to);
    program::run_quietly(&mut command)
}
