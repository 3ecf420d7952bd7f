//! Reading the vaults' bytes back.

use vouchsafe_evidence::{count, len};
use vouchsafe_model::fact::{CopyFact, Fact, Outcome, Recorded, VaultCoverage, Verification};
use vouchsafe_model::{Issue, ObligationId, ObligationKind, VaultName, human_bytes};
use vouchsafe_policy::verification;
use vouchsafe_vault::{Budget, Coverage, Reading, VerifyMemory, VerifyReport};

use crate::catalogue::Catalogue;
use crate::error::KeeperError;
use crate::error::chain;
use crate::events::{Event, Reporter};
use crate::keeper::Keeper;
use crate::record::open_obligations;
use crate::vaults::VaultHandle;

/// What was found in one vault.
#[derive(Clone, Debug)]
pub struct VerifyOutcome {
    /// Which.
    pub vault: VaultName,
    /// What was read and found; nothing if the vault could not be read at all.
    pub verification: Option<Verification>,
    /// What of the vault has been read back by now.
    pub coverage: Option<VaultCoverage>,
    /// What was wrong.
    pub problems: Vec<Issue>,
}

/// What reading one vault came to.
struct Found {
    vault: VaultHandle,
    report: VerifyReport,
    coverage: VaultCoverage,
    problems: Vec<Issue>,
}

impl Keeper {
    /// Checks the structure of vaults and reads bytes back within `budget`, what was never read or longest ago first;
    /// all vaults if none is named.
    pub fn verify(
        &self,
        vault: Option<&str>,
        budget: &Budget,
        reporter: &dyn Reporter,
    ) -> Result<Vec<VerifyOutcome>, KeeperError> {
        let _lock = self.state.lock()?;
        self.reconcile()?;
        let wanted = self.wanted_vaults(vault)?;
        self.verify_all(wanted.into_iter().map(|name| (name, *budget)), reporter)
    }

    /// As [`Keeper::verify`], but only vaults whose reading is due by the policy, and as much of each as it asks for.
    pub fn verify_due(
        &self,
        vault: Option<&str>,
        reporter: &dyn Reporter,
    ) -> Result<Vec<VerifyOutcome>, KeeperError> {
        let _lock = self.state.lock()?;
        self.reconcile()?;
        let facts = self.facts()?;
        let open = open_obligations(&facts, self.tools.clock.now());
        let due = self.wanted_vaults(vault)?.into_iter().filter_map(|name| {
            let asked = |id| {
                open.iter().any(|o| {
                    o.kind == ObligationKind::Verify
                        && o.protection.as_ref() == Some(id)
                        && o.vault.as_ref() == Some(&name)
                })
            };
            let rules = verification::rules(&self.policy, &name);
            let due = rules.filter(|(p, _)| asked(&p.id)).map(|(_, rule)| rule);
            let (n, d) = verification::largest_share(due)?;
            let budget = if n >= d {
                Budget::All
            } else {
                Budget::Share(f64::from(n) / f64::from(d))
            };
            Some((name, budget))
        });
        self.verify_all(due.collect::<Vec<_>>(), reporter)
    }

    fn wanted_vaults(&self, vault: Option<&str>) -> Result<Vec<VaultName>, KeeperError> {
        Ok(match vault {
            Some(name) => vec![crate::vaults::find(&self.policy, name)?.name.clone()],
            None => self.connected_vaults().cloned().collect(),
        })
    }

    fn verify_all(
        &self,
        vaults: impl IntoIterator<Item = (VaultName, Budget)>,
        reporter: &dyn Reporter,
    ) -> Result<Vec<VerifyOutcome>, KeeperError> {
        let mut out = Vec::new();
        for (name, budget) in vaults {
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
        budget: Budget,
        reporter: &dyn Reporter,
    ) -> Result<VerifyOutcome, KeeperError> {
        let run = self.open_run("verify", name.as_str(), None)?;
        let started = self.tools.clock.now();
        let facts = self.facts()?;
        let Found {
            vault,
            report,
            coverage,
            problems,
        } = match self.read_vault(&facts, name, budget, &run, reporter) {
            Ok(found) => found,
            Err(error) => {
                let issue = Issue {
                    place: format!("vault {name}"),
                    message: chain(&error),
                };
                self.close_run(&run, Outcome::Failed, vec![issue.clone()])?;
                self.stop_if_asked()?;
                return Ok(VerifyOutcome {
                    vault: name.clone(),
                    verification: None,
                    coverage: None,
                    problems: vec![issue],
                });
            }
        };
        let memory = coverage.memory.clone();
        if report.interrupted {
            let issue = Issue {
                place: name.to_string(),
                message: format!(
                    "interrupted after {} of {}; their results are kept",
                    report.packs_read,
                    count(report.packs_total, "pack")
                ),
            };
            let closed = Fact::RunClosed {
                run,
                outcome: Outcome::Failed,
                issues: vec![issue],
            };
            self.record(vec![Fact::Coverage(coverage), closed])?;
            self.drop_older_memories(name, &memory)?;
            return Err(KeeperError::Interrupted);
        }
        let obligations = if problems.is_empty() {
            self.verify_answers(&facts, name, &report)
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
            Fact::Coverage(coverage.clone()),
            Fact::RunClosed {
                run,
                outcome,
                issues: problems.clone(),
            },
        ])?;
        self.drop_older_memories(name, &memory)?;
        if !problems.is_empty() {
            self.note_losses(&facts, &vault, &report.damaged, &fact.run, reporter)?;
        } else if report.complete {
            self.reclaim(&facts, &vault, &fact.run, reporter)?;
        }
        Ok(VerifyOutcome {
            vault: name.clone(),
            verification: Some(fact),
            coverage: Some(coverage),
            problems,
        })
    }

    /// The obligations of all protections whose rules this reading satisfies.
    fn verify_answers(
        &self,
        facts: &[Recorded],
        vault: &VaultName,
        report: &VerifyReport,
    ) -> Vec<ObligationId> {
        let (read, total) = (report.packs_read, report.packs_total);
        verification::rules(&self.policy, vault)
            .filter(|(_, rule)| verification::covers(read, total, report.complete, Some(rule)))
            .flat_map(|(p, _)| {
                self.answers(facts, ObligationKind::Verify, Some(&p.id), Some(vault))
            })
            .collect()
    }

    fn read_vault(
        &self,
        facts: &[Recorded],
        name: &VaultName,
        budget: Budget,
        run: &vouchsafe_model::RunId,
        reporter: &dyn Reporter,
    ) -> Result<Found, KeeperError> {
        let vault = self.vault(name)?;
        let in_vault = |source| KeeperError::Repository {
            vault: name.to_string(),
            source: Box::new(source),
        };
        let lock = crate::copies::shared_lock(&vault)?;
        let (mut memory, remark) = self.verify_memory(facts, &vault)?;
        if let Some(text) = remark {
            reporter.event(&Event::Note { text });
        }
        let reading = Reading {
            budget,
            seed: self.tools.random.u64(),
            within: verification::window(&self.policy, name),
        };
        let keep = |memory: &VerifyMemory, coverage: &Coverage| {
            // What cannot be kept now is kept at the end, or the error is told then.
            let _ = self.keep_so_far(&vault, run, memory, coverage, reading.within);
        };
        let (check, report) = vault
            .repo
            .check_and_read_keeping(&reading, &mut memory, &keep, reporter.progress())
            .map_err(in_vault)?;
        let coverage =
            self.keep_verify_memory(&vault, run, &memory, &report.coverage, reading.within)?;
        let mut problems = check.problems;
        for problem in &report.problems {
            if !problems.contains(problem) {
                problems.push(problem.clone());
            }
        }
        problems.extend(self.missing_snapshots(facts, &vault)?);
        drop(lock);
        Ok(Found {
            vault,
            report,
            coverage,
            problems,
        })
    }

    /// Copies that the ledger claims and the vault no longer has; those that were let go are not claimed, and what was
    /// found lost was told then. Snapshots that only the vault knows are kept.
    fn missing_snapshots(
        &self,
        facts: &[Recorded],
        vault: &VaultHandle,
    ) -> Result<Vec<Issue>, KeeperError> {
        let there = vault
            .repo
            .snapshot_ids()
            .map_err(|source| KeeperError::Repository {
                vault: vault.name().to_string(),
                source: Box::new(source),
            })?;
        let there: std::collections::BTreeSet<String> =
            there.iter().map(vouchsafe_format::Id::to_hex).collect();
        let catalogue = Catalogue::of(facts);
        let is_lost = |copy: &&CopyFact| {
            catalogue
                .get(&copy.point)
                .is_some_and(|known| known.lost_in.contains(&copy.vault))
        };
        Ok(catalogue
            .copies_in(vault.name())
            .filter(|copy| !there.contains(&copy.snapshot) && !is_lost(copy))
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
    let Some(v) = &outcome.verification else {
        return "could not be read".to_owned();
    };
    let problems = count(len(outcome.problems.len()), "problem");
    let so_far = outcome.coverage.as_ref().map_or(String::new(), |c| {
        let oldest = c.oldest.map_or(String::new(), |at| {
            format!("; oldest result {}", at.minute())
        });
        format!("; {}{oldest}", c.share())
    });
    format!(
        "{} of {} read ({}), {problems}{so_far}",
        v.packs_read,
        count(v.packs_total, "pack"),
        human_bytes(v.bytes_read),
    )
}
