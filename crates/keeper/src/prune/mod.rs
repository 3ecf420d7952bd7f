//! Retention carried out: what may go is decided from the record, shown, recorded, and only then removed.
//!
//! `decide` asks the policy what each point's age means, `plan` makes the worklist of that, and the deed is here.

mod decide;
mod plan;
mod told;

use std::collections::BTreeSet;

use vouchsafe_model::fact::{ExpiredCopy, Expiry, Fact, Outcome, Pruning, Recorded};
use vouchsafe_model::{Issue, ObligationKind, VaultName};
use vouchsafe_store::Key;
use vouchsafe_vault::{DeletionCleared, LockKind, PruneError, PruneReport, WholeRecord};

use crate::error::{Category, KeeperError, chain};
use crate::events::{Event, Reporter};
use crate::hidden::{erase_hidden, in_repository};
use crate::keeper::Keeper;
use crate::vaults::{self, VaultHandle};

pub use decide::HeldPoint;
pub use plan::PrunePlan;
use told::summary;

/// What to prune, and how.
#[derive(Clone, Debug, Default)]
pub struct PruneOrder {
    /// Only this vault.
    pub vault: Option<String>,
    /// Only vaults whose pruning is due by the policy.
    pub due: bool,
    /// Without locks, in two steps; always so in a vault with a retention lock.
    pub write_once: bool,
    /// Only these snapshots (lower hex) may go, if given: those that somebody has agreed to.
    pub agreed: Option<BTreeSet<String>>,
}

/// What came of one vault.
#[derive(Clone, Debug)]
pub struct PruneOutcome {
    /// Which.
    pub vault: VaultName,
    /// Copies that were let go now.
    pub expired: Vec<ExpiredCopy>,
    /// What was removed; nothing if there was nothing to do, or it did not come that far.
    pub pruning: Option<Pruning>,
    /// What went wrong.
    pub problems: Vec<Issue>,
}

/// What a prune came to.
#[derive(Clone, Debug)]
pub struct PruneDone {
    /// What came of each vault.
    pub vaults: Vec<PruneOutcome>,
    /// Vaults that are less locked than their policy says though their locks were to be extended, and why.
    pub less_locked: Vec<Issue>,
}

impl Keeper {
    /// Lets go of what may go, and removes it. A vault that cannot be pruned does not keep the others from it.
    ///
    /// # Errors
    /// [`KeeperError::StateLock`] and [`KeeperError::VaultLock`] if somebody else is at work; an interruption.
    pub fn prune(
        &self,
        order: &PruneOrder,
        reporter: &dyn Reporter,
    ) -> Result<PruneDone, KeeperError> {
        let _lock = self.state.lock()?;
        self.reconcile()?;
        let mut vaults = Vec::new();
        for name in self.vaults_to_prune(order, &self.facts()?)? {
            self.stop_if_asked()?;
            reporter.event(&Event::Started {
                deed: "prune",
                subject: name.to_string(),
            });
            let outcome = self.prune_one(&name, order, reporter)?;
            for issue in &outcome.problems {
                reporter.event(&Event::Issue {
                    protection: None,
                    issue: issue.clone(),
                });
            }
            reporter.event(&Event::Finished {
                deed: "prune",
                subject: name.to_string(),
                summary: summary(&outcome),
                good: outcome.problems.is_empty(),
            });
            vaults.push(outcome);
        }
        let less_locked = self.keep_locked(reporter)?;
        self.publish(reporter)?;
        Ok(PruneDone {
            vaults,
            less_locked,
        })
    }

    fn vaults_to_prune(
        &self,
        order: &PruneOrder,
        facts: &[Recorded],
    ) -> Result<Vec<VaultName>, KeeperError> {
        let mut vaults = match &order.vault {
            Some(name) => vec![crate::vaults::find(&self.policy, name)?.name.clone()],
            None => self.connected_vaults().cloned().collect(),
        };
        if order.due {
            let owed = |name: &VaultName| {
                !self
                    .answers(facts, ObligationKind::Prune, None, Some(name))
                    .is_empty()
            };
            vaults.retain(owed);
        }
        Ok(vaults)
    }

    fn prune_one(
        &self,
        name: &VaultName,
        order: &PruneOrder,
        reporter: &dyn Reporter,
    ) -> Result<PruneOutcome, KeeperError> {
        let run = self.open_run("prune", name.as_str(), None)?;
        let mut outcome = PruneOutcome {
            vault: name.clone(),
            expired: Vec::new(),
            pruning: None,
            problems: Vec::new(),
        };
        let failed = self.prune_vault(&mut outcome, &run, order, reporter).err();
        if let Some(error) = failed {
            let issue = Issue {
                place: format!("vault {name}"),
                message: chain(&error),
            };
            self.close_run(&run, Outcome::Failed, vec![issue.clone()])?;
            if matches!(error.category(), Category::Interrupted | Category::Locked) {
                return Err(error);
            }
            outcome.problems.push(issue);
            return Ok(outcome);
        }
        let result = match outcome.problems.is_empty() {
            true => Outcome::Done,
            false => Outcome::Incomplete,
        };
        self.close_run(&run, result, outcome.problems.clone())?;
        Ok(outcome)
    }

    fn prune_vault(
        &self,
        outcome: &mut PruneOutcome,
        run: &vouchsafe_model::RunId,
        order: &PruneOrder,
        reporter: &dyn Reporter,
    ) -> Result<(), KeeperError> {
        let record = self.whole_record()?;
        let vault = self.vault(&outcome.vault)?;
        let cleared = self.clear(&vault, order, record)?;
        let facts = self.facts()?;
        let plan = self.plan_vault(&vault, &facts, order, reporter)?;
        if plan.is_empty() {
            if !plan.answers.is_empty() {
                // That there was nothing to remove is found by looking, and is an answer.
                let pruning = self.pruning(&plan, &PruneReport::default(), run);
                self.record(vec![Fact::Pruned(pruning)])?;
            }
            return Ok(());
        }
        // Before anything is gone: should this break off, nobody is left with a copy that is claimed and missing.
        if !plan.expires.is_empty() {
            self.record(vec![Fact::Expired(Expiry {
                vault: outcome.vault.clone(),
                run: run.clone(),
                copies: plan.expires.clone(),
            })])?;
        }
        outcome.expired.clone_from(&plan.expires);
        self.lock_anew(&vault, plan.worklist.relisted())?;
        let report = vault
            .repo
            .prune(&plan.worklist, &cleared, reporter.progress())
            .map_err(|source| prune_error(&vault, source))?;
        let (erased, locked_again) = erase_hidden(&vault, &plan.unlocked)?;
        drop(cleared);
        let mut pruning = self.pruning(&plan, &report, run);
        pruning.erased = erased;
        pruning.hidden.extend(locked_again);
        self.record(vec![Fact::Pruned(pruning.clone())])?;
        outcome.problems.clone_from(&pruning.refused);
        outcome.pruning = Some(pruning);
        Ok(())
    }

    fn pruning(
        &self,
        plan: &PrunePlan,
        report: &PruneReport,
        run: &vouchsafe_model::RunId,
    ) -> Pruning {
        let still_there: BTreeSet<String> = plan
            .worklist
            .forget
            .iter()
            .map(|f| f.snapshot)
            .filter(|id| !report.forgotten.contains(id))
            .map(|id| id.to_hex())
            .collect();
        let let_go = plan.expires.iter().chain(&plan.unfinished);
        Pruning {
            vault: plan.vault.clone(),
            run: run.clone(),
            obligations: match report.refused.is_empty() {
                true => plan.answers.clone(),
                false => Vec::new(),
            },
            completed: self.tools.clock.now(),
            mode: plan.mode.to_owned(),
            snapshots: let_go
                .map(|copy| copy.snapshot.clone())
                .filter(|snapshot| !still_there.contains(snapshot))
                .collect(),
            packs_removed: report.removed.len() as u64,
            bytes_freed: report.freed,
            bytes_rewritten: report.added.1,
            pending: report.retired.iter().map(|id| id.to_hex()).collect(),
            unknown_kept: plan.worklist.unknown.len() as u64,
            refused: report.refused.clone(),
            hidden: in_repository(&report.hidden),
            erased: Vec::new(),
        }
    }

    /// The record, after all of it was checked: bytes, hashes, signatures.
    fn whole_record(&self) -> Result<WholeRecord, KeeperError> {
        let report = self.ledger.verify(&[])?;
        if !report.is_sound() {
            return Err(KeeperError::RecordUnsound {
                deed: "nothing is removed",
                entry: report.first_wrong(),
            });
        }
        let size = self.ledger.len()?;
        let last = self.ledger.read(size.saturating_sub(1)..size)?;
        let newest = last
            .last()
            .map_or(vouchsafe_model::Time::MIN, |r| r.entry.at);
        Ok(WholeRecord {
            entries: size,
            newest,
        })
    }

    fn clear(
        &self,
        vault: &VaultHandle,
        order: &PruneOrder,
        record: WholeRecord,
    ) -> Result<DeletionCleared, KeeperError> {
        let cleared = if writes_once(vault, order) && !vaults::holds_record(&vault.spec) {
            vault.repo.clear_write_once_within(record)
        } else if writes_once(vault, order) {
            // Beside the repository, where everything of ours lies.
            let key = Key::new("policy/clock").map_err(|e| KeeperError::Damaged {
                place: vault.root.describe(),
                message: e.to_string(),
            })?;
            vault
                .repo
                .clear_write_once(vault.root.as_ref(), &key, record)
        } else {
            let lock = vault.repo.lock(LockKind::Exclusive);
            let lock = lock.map_err(|source| KeeperError::VaultLock {
                vault: vault.name().to_string(),
                source,
            })?;
            vault.repo.clear_deletion(lock, record)
        };
        cleared.map_err(|source| prune_error(vault, source.into()))
    }
}

fn writes_once(vault: &VaultHandle, order: &PruneOrder) -> bool {
    order.write_once || vault.spec.retention_lock.is_some()
}

fn prune_error(vault: &VaultHandle, source: PruneError) -> KeeperError {
    match source {
        PruneError::Interrupted => KeeperError::Interrupted,
        source => KeeperError::Prune {
            vault: vault.name().to_string(),
            source: Box::new(source),
        },
    }
}
