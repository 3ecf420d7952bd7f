//! Reading the vaults' bytes back.

use vouchsafe_model::fact::{Fact, Outcome, Verification};
use vouchsafe_model::{Issue, ObligationKind, VaultName, human_bytes};
use vouchsafe_vault::Budget;

use crate::catalogue::Catalogue;
use crate::error::KeeperError;
use crate::error::chain;
use crate::events::{Event, Reporter};
use crate::keeper::Keeper;

/// What was found in one vault.
#[derive(Clone, Debug)]
pub struct VerifyOutcome {
    /// Which.
    pub vault: VaultName,
    /// What was read and found; nothing if the vault could not be read at all.
    pub verification: Option<Verification>,
    /// What was wrong.
    pub problems: Vec<Issue>,
}

impl Keeper {
    /// Checks the structure of vaults and reads bytes back within `budget`; all vaults if none is named.
    pub fn verify(
        &self,
        vault: Option<&str>,
        budget: &Budget,
        reporter: &dyn Reporter,
    ) -> Result<Vec<VerifyOutcome>, KeeperError> {
        let _lock = self.state.lock()?;
        self.reconcile()?;
        let names: Vec<VaultName> = match vault {
            Some(name) => vec![crate::vaults::find(&self.policy, name)?.name.clone()],
            None => self.connected_vaults().cloned().collect(),
        };
        let mut out = Vec::new();
        for name in names {
            self.stop_if_asked()?;
            reporter.event(&Event::Started {
                deed: "verify",
                subject: name.to_string(),
            });
            let outcome = self.verify_one(&name, budget, reporter)?;
            for issue in &outcome.problems {
                reporter.event(&Event::Issue {
                    protection: None,
                    issue: issue.clone(),
                });
            }
            reporter.event(&Event::Finished {
                deed: "verify",
                subject: name.to_string(),
                summary: summary(&outcome),
                good: outcome.problems.is_empty(),
            });
            out.push(outcome);
        }
        self.publish(reporter)?;
        Ok(out)
    }

    fn verify_one(
        &self,
        name: &VaultName,
        budget: &Budget,
        reporter: &dyn Reporter,
    ) -> Result<VerifyOutcome, KeeperError> {
        let run = self.open_run("verify", name.as_str(), None)?;
        let started = self.tools.clock.now();
        let result = self.read_vault(name, budget, reporter);
        if self.tools.interrupt.requested() {
            let issue = Issue {
                place: name.to_string(),
                message: "interrupted".to_owned(),
            };
            self.close_run(&run, Outcome::Failed, vec![issue])?;
            return Err(KeeperError::Interrupted);
        }
        let (report, problems) = match result {
            Ok(found) => found,
            Err(error) => {
                let issue = Issue {
                    place: format!("vault {name}"),
                    message: chain(&error),
                };
                self.close_run(&run, Outcome::Failed, vec![issue.clone()])?;
                return Ok(VerifyOutcome {
                    vault: name.clone(),
                    verification: None,
                    problems: vec![issue],
                });
            }
        };
        let facts = self.facts()?;
        let obligations = if problems.is_empty() {
            self.answers(&facts, ObligationKind::Verify, None, Some(name))
        } else {
            Vec::new()
        };
        let fact = Verification {
            vault: name.clone(),
            run: run.clone(),
            obligations,
            started,
            completed: self.tools.clock.now(),
            packs_total: report.packs_total,
            packs_read: report.packs_read,
            bytes_read: report.bytes_read,
            complete: report.complete,
            problems: problems.clone(),
        };
        let outcome = if problems.is_empty() {
            Outcome::Done
        } else {
            Outcome::Failed
        };
        self.record(vec![
            Fact::Verification(fact.clone()),
            Fact::RunClosed {
                run,
                outcome,
                issues: problems.clone(),
            },
        ])?;
        Ok(VerifyOutcome {
            vault: name.clone(),
            verification: Some(fact),
            problems,
        })
    }

    fn read_vault(
        &self,
        name: &VaultName,
        budget: &Budget,
        reporter: &dyn Reporter,
    ) -> Result<(vouchsafe_vault::VerifyReport, Vec<Issue>), KeeperError> {
        let vault = self.vault(name)?;
        let in_vault = |source| KeeperError::Repository {
            vault: name.to_string(),
            source: Box::new(source),
        };
        let _lock = crate::copies::shared_lock(&vault)?;
        let check = vault.repo.check(reporter.progress()).map_err(in_vault)?;
        let seed = self.tools.random.u64();
        let report = vault
            .repo
            .verify(*budget, seed, reporter.progress())
            .map_err(in_vault)?;
        let mut problems = check.problems;
        for problem in &report.problems {
            if !problems.contains(problem) {
                problems.push(problem.clone());
            }
        }
        problems.extend(self.missing_snapshots(&vault)?);
        Ok((report, problems))
    }

    /// Copies that the ledger claims and the vault no longer has; those that were let go are not claimed. Snapshots that
    /// only the vault knows are kept.
    fn missing_snapshots(&self, vault: &crate::VaultHandle) -> Result<Vec<Issue>, KeeperError> {
        let there = vault
            .repo
            .snapshots()
            .map_err(|source| KeeperError::Repository {
                vault: vault.name().to_string(),
                source: Box::new(source),
            })?;
        let there: std::collections::BTreeSet<String> =
            there.iter().map(|(id, _)| id.to_hex()).collect();
        let catalogue = Catalogue::of(&self.facts()?);
        Ok(catalogue
            .copies_in(vault.name())
            .filter(|copy| !there.contains(&copy.snapshot))
            .map(|copy| Issue {
                place: format!("vault {}, point {}", copy.vault, copy.point),
                message: format!(
                    "the snapshot {} of {} is gone",
                    &copy.snapshot[..8.min(copy.snapshot.len())],
                    copy.protection
                ),
            })
            .collect())
    }
}

fn summary(outcome: &VerifyOutcome) -> String {
    match &outcome.verification {
        None => "could not be read".to_owned(),
        Some(v) => format!(
            "{} of {} packs read ({}), {} problem{}",
            v.packs_read,
            v.packs_total,
            human_bytes(v.bytes_read),
            outcome.problems.len(),
            if outcome.problems.len() == 1 { "" } else { "s" }
        ),
    }
}
