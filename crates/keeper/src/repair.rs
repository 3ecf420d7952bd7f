//! Repairing a vault: the worklist, the deed, and what the ledger is told of it.

use vouchsafe_evidence::{count, len};
use vouchsafe_format::Id;
use vouchsafe_model::fact::{Fact, Outcome, Repair};
use vouchsafe_model::{Issue, RunId, Time, VaultName};
use vouchsafe_policy::holds::Holds;
use vouchsafe_vault::{
    IndexRepair, LockGuard, LockKind, PackRepair, RepairError, RepairReport, Repository,
    SnapshotRepair,
};

use crate::catalogue::Catalogue;
use crate::error::{KeeperError, chain};
use crate::events::{Event, Reporter};
use crate::keeper::Keeper;
use crate::vaults::VaultHandle;

/// Which part of a vault is to be repaired.
#[derive(Clone, Debug)]
pub enum RepairPart {
    /// The index, from the headers of the packs.
    Index,
    /// Damaged packs.
    Packs {
        /// Only these; all are read if none is named.
        named: Vec<Id>,
        /// Vaults from which lost blobs are fetched.
        from: Vec<String>,
    },
    /// Snapshots that miss something.
    Snapshots {
        /// Whether the broken ones are removed.
        forget: bool,
    },
}

impl RepairPart {
    /// As it is called on the command line.
    pub fn word(&self) -> &'static str {
        match self {
            RepairPart::Index => "index",
            RepairPart::Packs { .. } => "packs",
            RepairPart::Snapshots { .. } => "snapshots",
        }
    }
}

/// The worklist of a repair.
#[derive(Clone, Debug)]
pub enum RepairPlan {
    /// See [`IndexRepair`].
    Index(IndexRepair),
    /// See [`PackRepair`].
    Packs(PackRepair),
    /// See [`SnapshotRepair`].
    Snapshots(SnapshotRepair, bool),
}

impl RepairPlan {
    /// Whether there is nothing to do.
    pub fn is_nothing(&self) -> bool {
        match self {
            RepairPlan::Index(plan) => plan.is_nothing(),
            RepairPlan::Packs(plan) => plan.is_nothing(),
            RepairPlan::Snapshots(plan, forget) => {
                plan.is_nothing() && (plan.snapshots.is_empty() || !*forget)
            }
        }
    }
}

/// What a repair came to.
#[derive(Clone, Debug)]
pub struct RepairOutcome {
    /// What was to be done.
    pub plan: RepairPlan,
    /// What was done; nothing if it was only planned, or there was nothing to do.
    pub report: Option<RepairReport>,
    /// What is wrong with the vault after it; of a plan only, nothing is known.
    pub problems: Vec<Issue>,
}

impl Keeper {
    /// What a repair would do. Nothing is changed, and nothing recorded.
    pub fn plan_repair(
        &self,
        vault: &str,
        part: &RepairPart,
        reporter: &dyn Reporter,
    ) -> Result<RepairPlan, KeeperError> {
        let name = crate::vaults::find(&self.policy, vault)?.name.clone();
        let vault = self.vault(&name)?;
        let _lock = crate::copies::shared_lock(&vault)?;
        let (others, _locks) = self.sources_of(part, &name)?;
        let others: Vec<&Repository> = others.iter().map(|v| &v.repo).collect();
        let plan = plan(&vault, part, &others, reporter);
        let plan = plan.map_err(|error| self.repair_error(&name, error))?;
        self.refuse_held(&name, &plan)?;
        Ok(plan)
    }

    /// What somebody's order keeps is not removed, damaged or not.
    fn refuse_held(&self, vault: &VaultName, plan: &RepairPlan) -> Result<(), KeeperError> {
        let RepairPlan::Snapshots(plan, true) = plan else {
            return Ok(());
        };
        let facts = self.facts()?;
        let catalogue = Catalogue::of(&facts);
        let known = catalogue.by_snapshot(vault);
        let holds = Holds::of(&facts, self.tools.clock.now());
        for broken in &plan.snapshots {
            let Some(point) = known.get(&broken.snapshot.to_hex()).map(|k| &k.point) else {
                continue;
            };
            if let Some(hold) = holds.on(&point.point, &point.protection.system).first() {
                return Err(KeeperError::Target {
                    place: format!("snapshot {} in vault `{vault}`", broken.snapshot.short()),
                    reason: format!(
                        "the hold `{hold}` keeps its point {}; repair without `--forget`, which leaves it, or release the hold first: `vouchsafe hold release {hold}`",
                        point.point
                    ),
                });
            }
        }
        Ok(())
    }

    /// Plans a repair and does it, alone in the vault. What was repaired is a fact; so is which points have lost data,
    /// and which are whole again.
    pub fn repair(
        &self,
        vault: &str,
        part: &RepairPart,
        reporter: &dyn Reporter,
    ) -> Result<RepairOutcome, KeeperError> {
        let _state = self.state.lock()?;
        self.reconcile()?;
        let name = crate::vaults::find(&self.policy, vault)?.name.clone();
        let deed = format!("repair {}", part.word());
        let run = self.open_run(&deed, name.as_str(), None)?;
        reporter.event(&Event::Started {
            deed: "repair",
            subject: format!("{} of {name}", part.word()),
        });
        let done = self.repair_and_look(&name, part, &run, reporter);
        let outcome = match done {
            Ok(outcome) => outcome,
            Err(error) => {
                let issue = Issue {
                    place: format!("vault {name}"),
                    message: chain(&error),
                };
                self.close_run(&run, Outcome::Failed, vec![issue])?;
                return Err(error);
            }
        };
        let closed = if outcome.problems.is_empty() {
            Outcome::Done
        } else {
            Outcome::Incomplete
        };
        self.close_run(&run, closed, outcome.problems.clone())?;
        reporter.event(&Event::Finished {
            deed: "repair",
            subject: format!("{} of {name}", part.word()),
            summary: summary(&outcome),
            good: outcome.problems.is_empty(),
        });
        self.publish(reporter)?;
        Ok(outcome)
    }

    fn repair_and_look(
        &self,
        name: &VaultName,
        part: &RepairPart,
        run: &RunId,
        reporter: &dyn Reporter,
    ) -> Result<RepairOutcome, KeeperError> {
        let started = self.tools.clock.now();
        let vault = self.vault(name)?;
        let (others, _locks) = self.sources_of(part, name)?;
        let from: Vec<VaultName> = others.iter().map(|v| v.name().clone()).collect();
        let others: Vec<&Repository> = others.iter().map(|v| &v.repo).collect();
        let lock = lock_for(&vault, part)?;
        let wrong = |error| self.repair_error(name, error);
        let plan = plan(&vault, part, &others, reporter).map_err(wrong)?;
        self.refuse_held(name, &plan)?;
        let mut report = None;
        if !plan.is_nothing() {
            let done = carry_out(&vault, &plan, &others, &lock, reporter).map_err(wrong)?;
            let fact = fact(
                name,
                run,
                part,
                started,
                self.tools.clock.now(),
                &done,
                from,
            );
            self.record(vec![Fact::Repaired(fact)])?;
            report = Some(done);
        }
        let mut problems = self.settle(&vault, run, reporter)?;
        if report.is_some() {
            // What is listed again may have been left out when the locks were extended.
            problems.extend(self.keep_one_locked(&vault, reporter)?);
        }
        Ok(RepairOutcome {
            plan,
            report,
            problems,
        })
    }

    /// Looks at the structure after a repair, and brings the ledger's copies in line with what is there.
    fn settle(
        &self,
        vault: &VaultHandle,
        run: &RunId,
        reporter: &dyn Reporter,
    ) -> Result<Vec<Issue>, KeeperError> {
        let check = vault
            .repo
            .check(reporter.progress())
            .map_err(|source| self.repair_error(vault.name(), source.into()))?;
        let facts = self.facts()?;
        if check.problems.is_empty() {
            self.reclaim(&facts, vault, run, reporter)?;
        } else {
            self.note_losses(&facts, vault, &[], run, reporter)?;
        }
        Ok(check.problems)
    }

    /// The vaults that a repair may fetch from, open, with the locks that keep them as they are.
    fn sources_of(
        &self,
        part: &RepairPart,
        to: &VaultName,
    ) -> Result<(Vec<VaultHandle>, Vec<LockGuard>), KeeperError> {
        let (mut vaults, mut locks) = (Vec::new(), Vec::new());
        if let RepairPart::Packs { from, .. } = part {
            for name in from {
                let name = crate::vaults::find(&self.policy, name)?.name.clone();
                if name == *to {
                    return Err(KeeperError::Target {
                        place: format!("vault `{name}`"),
                        reason: "it cannot be healed from itself; name another vault".to_owned(),
                    });
                }
                let vault = self.vault(&name)?;
                locks.push(crate::copies::shared_lock(&vault)?);
                vaults.push(vault);
            }
        }
        Ok((vaults, locks))
    }

    pub(crate) fn repair_error(&self, vault: &VaultName, source: RepairError) -> KeeperError {
        if self.tools.interrupt.requested() {
            return KeeperError::Interrupted;
        }
        KeeperError::Repair {
            vault: vault.to_string(),
            source: Box::new(source),
        }
    }
}

fn lock_for(vault: &VaultHandle, part: &RepairPart) -> Result<LockGuard, KeeperError> {
    let kind = match part {
        // Only adds, as a backup does.
        RepairPart::Snapshots { forget: false } => LockKind::Shared,
        _ => LockKind::Exclusive,
    };
    vault
        .repo
        .lock(kind)
        .map_err(|source| KeeperError::VaultLock {
            vault: vault.name().to_string(),
            source,
        })
}

fn plan(
    vault: &VaultHandle,
    part: &RepairPart,
    others: &[&Repository],
    reporter: &dyn Reporter,
) -> Result<RepairPlan, RepairError> {
    let (repo, progress) = (&vault.repo, reporter.progress());
    Ok(match part {
        RepairPart::Index => RepairPlan::Index(repo.plan_index_repair(progress)?),
        RepairPart::Packs { named, .. } => {
            RepairPlan::Packs(repo.plan_pack_repair(named, others, progress)?)
        }
        RepairPart::Snapshots { forget } => {
            RepairPlan::Snapshots(repo.plan_snapshot_repair(progress)?, *forget)
        }
    })
}

fn carry_out(
    vault: &VaultHandle,
    plan: &RepairPlan,
    others: &[&Repository],
    lock: &LockGuard,
    reporter: &dyn Reporter,
) -> Result<RepairReport, RepairError> {
    match plan {
        RepairPlan::Index(plan) => vault.repo.repair_index(plan, lock),
        RepairPlan::Packs(plan) => vault
            .repo
            .repair_packs(plan, others, lock, reporter.progress()),
        RepairPlan::Snapshots(plan, forget) => vault.repo.repair_snapshots(plan, *forget, lock),
    }
}

fn fact(
    vault: &VaultName,
    run: &RunId,
    part: &RepairPart,
    started: Time,
    completed: Time,
    done: &RepairReport,
    from: Vec<VaultName>,
) -> Repair {
    let names = |ids: &[Id]| ids.iter().map(Id::to_hex).collect();
    Repair {
        vault: vault.clone(),
        run: run.clone(),
        part: part.word().to_owned(),
        started,
        completed,
        packs_added: done.packs_added.len() as u64,
        packs_removed: names(&done.packs_removed),
        indexes_added: done.indexes_added,
        indexes_removed: done.indexes_removed,
        blobs_salvaged: done.blobs_salvaged,
        blobs_healed: done.blobs_healed,
        healed_from: if done.blobs_healed > 0 {
            from
        } else {
            Vec::new()
        },
        blobs_lost: done.blobs_lost.len() as u64,
        snapshots_added: done
            .snapshots_added
            .iter()
            .map(|(_, new)| new.to_hex())
            .collect(),
        snapshots_removed: names(&done.snapshots_removed),
        hidden: crate::hidden::in_repository(&done.hidden),
        issues: done.issues.clone(),
    }
}

fn summary(outcome: &RepairOutcome) -> String {
    let Some(done) = &outcome.report else {
        return "there was nothing to repair".to_owned();
    };
    let mut parts = Vec::new();
    for (n, what, deed) in [
        (len(done.packs_removed.len()), "damaged pack", "replaced"),
        (done.blobs_salvaged, "blob", "saved"),
        (done.blobs_healed, "blob", "healed"),
        (len(done.blobs_lost.len()), "blob", "LOST"),
        (done.indexes_removed, "index file", "replaced"),
        (
            len(done.snapshots_added.len()),
            "repaired snapshot",
            "written",
        ),
        (
            len(done.snapshots_removed.len()),
            "broken snapshot",
            "removed",
        ),
    ] {
        if n > 0 {
            parts.push(format!("{} {deed}", count(n, what)));
        }
    }
    if parts.is_empty() {
        parts.push(format!(
            "{} written",
            count(done.indexes_added, "index file")
        ));
    }
    if !done.hidden.is_empty() {
        let hidden = count(len(done.hidden.len()), "removed object");
        parts.push(format!("{hidden} kept hidden by the store"));
    }
    match outcome.problems.len() {
        0 => parts.push("the structure is sound".to_owned()),
        n => parts.push(format!("{} left", count(len(n), "problem"))),
    }
    parts.join(", ")
}
