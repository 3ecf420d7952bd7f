//! Copies: what was written is read back before it is claimed, and a point goes on to the other vaults.

use vouchsafe_format::Id;
use vouchsafe_model::fact::{CopyFact, Encryption, Fact, Outcome, Recorded};
use vouchsafe_model::policy::CopyRule;
use vouchsafe_model::{Issue, ObligationKind, PointId, Protection, RunId, VaultName, human_bytes};
use vouchsafe_vault::{BackupReport, CopyReport, LockGuard, LockKind, ReadBack};

use crate::catalogue::Catalogue;
use crate::error::{Category, KeeperError};
use crate::events::{Event, Reporter};
use crate::keeper::Keeper;
use crate::run::{RunReport, chain};
use crate::vaults::VaultHandle;

/// The point whose copies are made, and by which run.
pub(crate) struct Making<'a> {
    pub protection: &'a Protection,
    pub point: PointId,
    pub run: &'a RunId,
    /// Copies of an incomplete point answer no obligation.
    pub complete: bool,
}

/// What was written into one vault.
pub(crate) struct Written {
    snapshot: Id,
    tree: Id,
    added_bytes: u64,
    added_packs: Vec<Id>,
}

impl From<&BackupReport> for Written {
    fn from(report: &BackupReport) -> Written {
        Written {
            snapshot: report.snapshot,
            tree: report.tree,
            added_bytes: report.added_bytes,
            added_packs: report.added_packs.clone(),
        }
    }
}

impl From<&CopyReport> for Written {
    fn from(report: &CopyReport) -> Written {
        Written {
            snapshot: report.snapshot,
            tree: report.tree,
            added_bytes: report.added_bytes,
            added_packs: report.added_packs.clone(),
        }
    }
}

impl Keeper {
    /// Reads what was written back from the store; only what reads back becomes a fact.
    pub(crate) fn read_back(
        &self,
        vault: &VaultHandle,
        making: &Making<'_>,
        written: &Written,
        reporter: &dyn Reporter,
    ) -> Result<CopyFact, KeeperError> {
        reporter.progress().phase("read back", None, None);
        let in_vault = |source| KeeperError::Repository {
            vault: vault.name().to_string(),
            source: Box::new(source),
        };
        let scope = ReadBack::Added(written.added_packs.clone());
        let back = vault
            .repo
            .read_back(&written.snapshot, scope)
            .map_err(in_vault)?;
        if let Some(problem) = back.problems.first() {
            return Err(KeeperError::Damaged {
                place: format!("vault `{}`, {}", vault.name(), problem.place),
                message: format!(
                    "what was written does not read back ({}); the point is not claimed",
                    problem.message
                ),
            });
        }
        let probe = vault.repo.probe(&written.snapshot).map_err(in_vault)?;
        let id = &making.protection.id;
        let obligations = if making.complete {
            self.answers(
                &self.facts()?,
                ObligationKind::Copy,
                Some(id),
                Some(vault.name()),
            )
        } else {
            Vec::new()
        };
        Ok(CopyFact {
            point: making.point.clone(),
            protection: id.clone(),
            vault: vault.name().clone(),
            snapshot: written.snapshot.to_hex(),
            tree: written.tree.to_hex(),
            run: making.run.clone(),
            obligations,
            completed: self.tools.clock.now(),
            added_bytes: written.added_bytes,
            blobs_read_back: back.blobs,
            encryption: Encryption {
                cipher: probe.cipher.to_owned(),
                key: probe.key,
                probed: probe.sealed,
            },
            region: vault.spec.location.region.clone(),
            country: vault.spec.location.country.clone(),
        })
    }

    /// Copies a point to the further vaults of its protection. A vault that fails makes the run incomplete and does
    /// not keep the others from being served.
    pub(crate) fn copy_on(
        &self,
        making: &Making<'_>,
        from: &VaultHandle,
        report: &mut RunReport,
        reporter: &dyn Reporter,
    ) -> Result<(), KeeperError> {
        let id = &making.protection.id;
        let facts = self.facts()?;
        for rule in making.protection.copies.iter().skip(1) {
            self.stop_if_asked()?;
            if !self.copy_is_wanted(&facts, making.protection, rule) {
                continue;
            }
            let subject = format!("{id} → {}", rule.vault);
            let started = Event::Started {
                deed: "copy",
                subject: subject.clone(),
            };
            reporter.event(&started);
            match self.copy_one(making, from, &rule.vault, reporter) {
                Ok(summary) => {
                    report.copies.push(rule.vault.clone());
                    reporter.event(&Event::Finished {
                        deed: "copy",
                        subject,
                        summary,
                        good: true,
                    });
                }
                Err(error) if error.category() == Category::Interrupted => return Err(error),
                Err(error) => {
                    let issue = Issue {
                        place: subject,
                        message: chain(&error),
                    };
                    let told = Event::Issue {
                        protection: Some(id.clone()),
                        issue: issue.clone(),
                    };
                    reporter.event(&told);
                    report.issues.push(issue);
                    report.issue_count += 1;
                    report.outcome = Outcome::Incomplete;
                }
            }
        }
        Ok(())
    }

    /// Every point goes to a vault without a schedule of its own; to one with a schedule when an obligation is open,
    /// or nothing is there yet.
    fn copy_is_wanted(&self, facts: &[Recorded], protection: &Protection, rule: &CopyRule) -> bool {
        let asked = || {
            self.answers(
                facts,
                ObligationKind::Copy,
                Some(&protection.id),
                Some(&rule.vault),
            )
        };
        let none_yet = || {
            let catalogue = Catalogue::of(facts);
            let points = catalogue.of_protection(&protection.id);
            points.iter().all(|p| p.copy_in(&rule.vault).is_none())
        };
        rule.every.is_none() || !asked().is_empty() || none_yet()
    }

    fn copy_one(
        &self,
        making: &Making<'_>,
        from: &VaultHandle,
        to: &VaultName,
        reporter: &dyn Reporter,
    ) -> Result<String, KeeperError> {
        let target = self.vault(to)?;
        let facts = self.facts()?;
        let catalogue = Catalogue::of(&facts);
        let known = catalogue
            .get(&making.point)
            .and_then(|p| p.copy_in(from.name()));
        let snapshot = known.and_then(|c| c.snapshot.parse().ok());
        let snapshot = snapshot.ok_or_else(|| KeeperError::NoCopy {
            point: making.point.clone(),
            vault: from.name().to_string(),
            known: String::from("no vault"),
        })?;
        let (_from, _to) = (shared_lock(from)?, shared_lock(&target)?);
        let copied =
            vouchsafe_vault::copy(&from.repo, &target.repo, &snapshot, reporter.progress());
        let copied = copied.map_err(|source| {
            if self.tools.interrupt.requested() {
                return KeeperError::Interrupted;
            }
            KeeperError::Copy {
                vault: to.to_string(),
                source: Box::new(source),
            }
        })?;
        let fact = self.read_back(&target, making, &Written::from(&copied), reporter)?;
        self.record(vec![Fact::Copy(fact)])?;
        let added = human_bytes(copied.added_bytes);
        Ok(format!(
            "{} blobs, {added} added, read back",
            copied.blobs_copied
        ))
    }
}

/// Holds a vault's lock against those who want it for themselves alone.
pub(crate) fn shared_lock(vault: &VaultHandle) -> Result<LockGuard, KeeperError> {
    vault
        .repo
        .lock(LockKind::Shared)
        .map_err(|source| KeeperError::VaultLock {
            vault: vault.name().to_string(),
            source,
        })
}
