//! Retention carried out: what may go is decided from the record, shown, recorded, and only then removed.

use std::collections::BTreeSet;

use vouchsafe_format::Id;
use vouchsafe_model::fact::{ExpiredCopy, Expiry, Fact, Outcome, Pruning, Recorded};
use vouchsafe_model::{HiddenObject, Issue, PointId, ProtectionId, Span, VaultName, human_bytes};
use vouchsafe_policy::holds::Holds;
use vouchsafe_policy::retention::{self, PointAge};
use vouchsafe_store::Key;
use vouchsafe_vault::{
    DeletionCleared, Forget, KnownPoints, LockKind, PendingPack, PruneError, PruneMode,
    PruneOptions, PruneReport, PruneWorklist, WholeRecord,
};

use crate::catalogue::Catalogue;
use crate::error::{Category, KeeperError, chain};
use crate::events::{Event, Reporter};
use crate::hidden::{erase_hidden, hidden};
use crate::keeper::Keeper;
use crate::vault_record::is_ledger_snapshot;
use crate::vaults::{self, VaultHandle};

/// What to prune, and how.
#[derive(Clone, Debug, Default)]
pub struct PruneOrder {
    /// Only this vault.
    pub vault: Option<String>,
    /// Without locks, in two steps; always so in a vault with a retention lock.
    pub write_once: bool,
    /// Only these snapshots (lower hex) may go, if given: those that somebody has agreed to.
    pub agreed: Option<BTreeSet<String>>,
}

/// What would be removed from one vault.
#[derive(Clone, Debug)]
pub struct PrunePlan {
    /// Which.
    pub vault: VaultName,
    /// `locked` or `write-once`.
    pub mode: &'static str,
    /// Copies that are to be let go, each with its reason.
    pub expires: Vec<ExpiredCopy>,
    /// Copies that were let go before and may still be there.
    pub unfinished: Vec<ExpiredCopy>,
    /// Points that would go but for a legal hold, each with what keeps it.
    pub held: Vec<HeldPoint>,
    /// Ledger snapshots that newer ones have replaced.
    pub superseded: Vec<Forget>,
    /// What that means for snapshots, packs and index files.
    pub worklist: PruneWorklist,
    /// What earlier prunes have hidden, and whose locks have ended by now.
    pub unlocked: Vec<HiddenObject>,
    /// What earlier prunes have hidden, and locks still keep.
    pub locked: Vec<HiddenObject>,
}

/// A point that only a legal hold keeps.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct HeldPoint {
    /// Which.
    pub point: PointId,
    /// Of which protection.
    pub protection: ProtectionId,
    /// Which hold, as a sentence.
    pub reason: String,
}

impl PrunePlan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.expires.is_empty()
            && self.unfinished.is_empty()
            && self.superseded.is_empty()
            && self.worklist.is_empty()
            && self.unlocked.is_empty()
    }
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

/// What the record says of one vault's snapshots.
struct Decided {
    expires: Vec<ExpiredCopy>,
    unfinished: Vec<ExpiredCopy>,
    held: Vec<HeldPoint>,
    protect: BTreeSet<Id>,
    pending: Vec<PendingPack>,
}

impl Keeper {
    /// What would be removed, by looking alone: nothing is locked, recorded or removed.
    ///
    /// # Errors
    /// [`KeeperError`] for the first vault that cannot be planned.
    pub fn plan_prune(
        &self,
        order: &PruneOrder,
        reporter: &dyn Reporter,
    ) -> Result<Vec<PrunePlan>, KeeperError> {
        self.whole_record()?;
        let facts = self.facts()?;
        let mut out = Vec::new();
        for name in self.vaults_to_prune(order)? {
            self.stop_if_asked()?;
            let vault = self.vault(&name)?;
            out.push(self.plan_vault(&vault, &facts, order, reporter)?);
        }
        Ok(out)
    }

    /// Lets go of what may go, and removes it. A vault that cannot be pruned does not keep the others from it.
    ///
    /// # Errors
    /// [`KeeperError::StateLock`] and [`KeeperError::VaultLock`] if somebody else is at work; an interruption.
    pub fn prune(
        &self,
        order: &PruneOrder,
        reporter: &dyn Reporter,
    ) -> Result<Vec<PruneOutcome>, KeeperError> {
        let _lock = self.state.lock()?;
        self.reconcile()?;
        let mut out = Vec::new();
        for name in self.vaults_to_prune(order)? {
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
            out.push(outcome);
        }
        self.keep_locked(reporter)?;
        self.publish(reporter)?;
        Ok(out)
    }

    fn vaults_to_prune(&self, order: &PruneOrder) -> Result<Vec<VaultName>, KeeperError> {
        match &order.vault {
            Some(name) => Ok(vec![crate::vaults::find(&self.policy, name)?.name.clone()]),
            None => Ok(self.connected_vaults().cloned().collect()),
        }
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
            hidden: report
                .hidden
                .iter()
                .map(|(key, until)| HiddenObject {
                    object: format!("repo/{key}"),
                    until: *until,
                })
                .collect(),
            erased: Vec::new(),
        }
    }

    /// The record, after all of it was checked: bytes, hashes, signatures.
    fn whole_record(&self) -> Result<WholeRecord, KeeperError> {
        let report = self.ledger.verify(&[])?;
        if !report.is_sound() {
            return Err(KeeperError::RecordUnsound {
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

    fn plan_vault(
        &self,
        vault: &VaultHandle,
        facts: &[Recorded],
        order: &PruneOrder,
        reporter: &dyn Reporter,
    ) -> Result<PrunePlan, KeeperError> {
        let decided = self.decide(vault.name(), facts, order.agreed.as_ref());
        let once = writes_once(vault, order);
        let options = PruneOptions {
            mode: match once {
                true => PruneMode::WriteOnce {
                    pending: decided.pending,
                    grace: GRACE,
                },
                false => PruneMode::Locked,
            },
            ..PruneOptions::default()
        };
        let forget = decided.expires.iter().chain(&decided.unfinished);
        let mut forget: Vec<Forget> = forget.filter_map(to_forget).collect();
        if decided.protect.is_empty() && forget.is_empty() {
            self.refuse_unless_empty(vault)?;
        }
        let now = self.tools.clock.now();
        // Without an end it is held by somebody, who may have let go.
        let over = |object: &HiddenObject| object.until.is_none_or(|until| until <= now);
        let (unlocked, locked) = hidden(facts, vault.name()).into_iter().partition(over);
        let mut ledgers = self.ledger_snapshots(vault, facts)?;
        if let Some(agreed) = &order.agreed {
            let goes = |f: &Forget| agreed.contains(&f.snapshot.to_hex());
            let (go, stay): (Vec<Forget>, _) = ledgers.superseded.into_iter().partition(goes);
            ledgers.superseded = go;
            ledgers.stay.extend(stay.iter().map(|f| f.snapshot));
        }
        forget.extend(ledgers.superseded.iter().cloned());
        let protect = decided.protect.into_iter().chain(ledgers.stay);
        let known = KnownPoints::new(protect, forget);
        let worklist = vault
            .repo
            .plan_prune(&known, &options, reporter.progress())
            .map_err(|source| prune_error(vault, source))?;
        Ok(PrunePlan {
            vault: vault.name().clone(),
            mode: if once { "write-once" } else { "locked" },
            expires: decided.expires,
            unfinished: decided.unfinished,
            held: decided.held,
            superseded: ledgers.superseded,
            worklist,
            unlocked,
            locked,
        })
    }

    /// A record that knows nothing of a vault with snapshots in it is not its record.
    fn refuse_unless_empty(&self, vault: &VaultHandle) -> Result<(), KeeperError> {
        let (there, _) =
            vault
                .repo
                .readable_snapshots()
                .map_err(|source| KeeperError::Repository {
                    vault: vault.name().to_string(),
                    source: Box::new(source),
                })?;
        let points = there.iter().filter(|(_, s)| !is_ledger_snapshot(s)).count();
        if points == 0 {
            return Ok(());
        }
        Err(KeeperError::NothingKnown {
            vault: vault.name().clone(),
            snapshots: points,
        })
    }

    /// What the record knows of a vault, and what the policy lets go of that. The points of each protection are judged
    /// among those that this vault holds, so that each vault keeps its own newest one.
    fn decide(
        &self,
        vault: &VaultName,
        facts: &[Recorded],
        agreed: Option<&BTreeSet<String>>,
    ) -> Decided {
        let catalogue = Catalogue::of(facts);
        let now = self.tools.clock.now();
        let holds = Holds::of(facts, now);
        let mut decided = Decided {
            expires: Vec::new(),
            unfinished: Vec::new(),
            held: Vec::new(),
            protect: BTreeSet::new(),
            pending: pending(facts, vault),
        };
        for (_, protection) in self.policy.protections() {
            let here: Vec<_> = catalogue
                .of_protection(&protection.id)
                .into_iter()
                .filter(|p| p.copy_in(vault).is_some())
                .collect();
            let ages: Vec<PointAge> = here
                .iter()
                .map(|p| PointAge {
                    id: p.point.point.clone(),
                    completed: p.point.completed,
                    complete: p.is_complete(),
                    holds: holds.on(&p.point.point, &p.point.protection.system),
                })
                .collect();
            let zone = retention::zone_of(protection);
            let decisions = retention::decide(&ages, &protection.keep, zone, now);
            for ((point, age), decision) in here.into_iter().zip(&ages).zip(decisions) {
                if decision.verdict == retention::Verdict::Held && !age.holds.is_empty() {
                    decided.held.push(HeldPoint {
                        point: age.id.clone(),
                        protection: protection.id.clone(),
                        reason: decision.reason.clone(),
                    });
                }
                if decision.verdict != retention::Verdict::ExpireNow {
                    continue;
                }
                let copies = point.copies.iter().filter(|c| c.vault == *vault);
                decided.expires.extend(copies.map(|copy| ExpiredCopy {
                    point: copy.point.clone(),
                    protection: copy.protection.clone(),
                    snapshot: copy.snapshot.clone(),
                    tree: copy.tree.clone(),
                    reason: decision.reason.clone(),
                    erase: decision.erase,
                }));
            }
        }
        if let Some(agreed) = agreed {
            decided
                .expires
                .retain(|copy| agreed.contains(&copy.snapshot));
        }
        let goes: BTreeSet<&str> = decided
            .expires
            .iter()
            .map(|c| c.snapshot.as_str())
            .collect();
        let live = catalogue.copies_in(vault);
        decided.protect = live
            .filter(|copy| !goes.contains(copy.snapshot.as_str()))
            .filter_map(|copy| copy.snapshot.parse().ok())
            .collect();
        decided.unfinished = catalogue.let_go_in(vault).cloned().collect();
        decided
    }
}

/// How long a pack waits in write-once mode; longer than any backup should take.
const GRACE: Span = Span::from_hours(48);

fn writes_once(vault: &VaultHandle, order: &PruneOrder) -> bool {
    order.write_once || vault.spec.retention_lock.is_some()
}

fn to_forget(copy: &ExpiredCopy) -> Option<Forget> {
    Some(Forget {
        snapshot: copy.snapshot.parse().ok()?,
        tree: copy.tree.parse().ok(),
        reason: copy.reason.clone(),
        erase: copy.erase,
    })
}

/// Packs of a vault that earlier prunes took out of its index.
fn pending(facts: &[Recorded], vault: &VaultName) -> Vec<PendingPack> {
    let of = |recorded: &Recorded| match &recorded.entry.fact {
        Fact::Pruned(pruning) if pruning.vault == *vault => {
            let since = pruning.completed;
            let packs = pruning.pending.iter().filter_map(|hex| hex.parse().ok());
            packs.map(|pack| PendingPack { pack, since }).collect()
        }
        _ => Vec::new(),
    };
    facts.iter().flat_map(of).collect()
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

fn summary(outcome: &PruneOutcome) -> String {
    match &outcome.pruning {
        None if outcome.problems.is_empty() => "nothing to remove".to_owned(),
        None => "could not be pruned".to_owned(),
        Some(p) => {
            let waiting = match p.pending.len() {
                0 => String::new(),
                n => format!(", {n} packs wait for a later prune"),
            };
            let locked = match p.hidden.len() {
                0 => String::new(),
                n => {
                    let last = p.hidden.iter().filter_map(|one| one.until).max();
                    let last =
                        last.map_or_else(String::new, |at| format!(" until {}", at.minute()));
                    format!(", {n} objects hidden and locked{last}")
                }
            };
            let erased = match p.erased.len() {
                0 => String::new(),
                n => format!(", {n} hidden objects erased"),
            };
            format!(
                "{} snapshots and {} packs removed, {} freed{waiting}{locked}{erased}",
                p.snapshots.len(),
                p.packs_removed,
                human_bytes(p.bytes_freed)
            )
        }
    }
}
