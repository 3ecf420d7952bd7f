//! Copies: what was written is read back before it is claimed, and a point goes on to the other vaults.

use vouchsafe_evidence::count;
use vouchsafe_format::Id;
use vouchsafe_model::fact::{CopyFact, Encryption, Fact, Outcome, Recorded};
use vouchsafe_model::policy::CopyRule;
use vouchsafe_model::{Issue, ObligationKind, PointId, Protection, RunId, VaultName, human_bytes};
use vouchsafe_vault::{BackupReport, CopyReport, LockGuard, LockKind, ReadBack};

use crate::catalogue::Catalogue;
use crate::error::chain;
use crate::error::{Category, KeeperError};
use crate::events::{Event, Reporter};
use crate::keeper::Keeper;
use crate::run::RunReport;
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
        let in_vault = |source| KeeperError::Repository {
            vault: vault.name().to_string(),
            source: Box::new(source),
        };
        let scope = ReadBack::Added(written.added_packs.clone());
        let back = vault
            .repo
            .read_back_telling(&written.snapshot, scope, reporter.progress())
            .map_err(in_vault)?;
        self.note_damaged(vault, making.run, &back.damaged)?;
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
        let packs = written.added_packs.iter().map(Id::to_hex);
        let lock = self.lock_of_copy(vault, &written.snapshot.to_hex(), packs)?;
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
            lock,
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
            if !self.connected_vaults().any(|v| *v == rule.vault) {
                let text = format!(
                    "vault {} is declared, not yet connected: no copy of {id} goes there",
                    rule.vault
                );
                reporter.event(&Event::Note { text });
                continue;
            }
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
        let target = self.vault_to_write(to)?;
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
        self.look_at_space(&facts, &making.protection.id, &target, reporter)?;
        let (_from, lock) = (shared_lock(from)?, shared_lock(&target)?);
        self.go_on_where_it_stopped(&facts, &target, &lock, reporter)?;
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
        for issue in &copied.repository_issues {
            reporter.event(&Event::Issue {
                protection: Some(making.protection.id.clone()),
                issue: issue.clone(),
            });
        }
        let fact = self.read_back(&target, making, &Written::from(&copied), reporter)?;
        self.record(vec![Fact::Copy(fact)])?;
        let added = human_bytes(copied.added_bytes);
        Ok(format!(
            "{}, {added} added, read back",
            count(copied.blobs_copied, "blob")
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

/// As [`shared_lock`], but does not wait until it has settled.
pub(crate) fn early_lock(vault: &VaultHandle) -> Result<LockGuard, KeeperError> {
    vault
        .repo
        .lock_early(LockKind::Shared)
        .map_err(|source| KeeperError::VaultLock {
            vault: vault.name().to_string(),
            source,
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, clippy::disallowed_types)]

    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use vouchsafe_host::clock::SystemClock;
    use vouchsafe_host::files;
    use vouchsafe_host::process::LocalSpawn;
    use vouchsafe_host::random::OsRandom;
    use vouchsafe_host::signals::Interrupt;

    use crate::{PolicyFile, RunOrder, Silent, State, Tools};

    const POLICY: &str = "
vaults:
  local: { url: ./vault }
  other: { url: ./other }
plans:
  daily: { schedule: daily, copies: [local, other] }
systems:
  site: { source: \"files:./site\", plan: daily }
";

    fn keeper(dir: &Path) -> Keeper {
        fs::create_dir(dir.join("site")).unwrap();
        fs::write(dir.join("site/page"), "hello").unwrap();
        fs::write(dir.join("policy.yaml"), POLICY).unwrap();
        let file = PolicyFile::read(&dir.join("policy.yaml")).unwrap();
        let tools = Tools {
            clock: Arc::new(SystemClock::new()),
            random: Arc::new(OsRandom),
            interrupt: Interrupt::manual(),
            spawn: Arc::new(LocalSpawn),
        };
        let policy = file.lowered.policy.unwrap();
        let state = State::at(dir.join("state"));
        let text = file.text.into_bytes();
        crate::init(policy, text, state, tools, false, &Silent::default())
            .unwrap()
            .0
    }

    fn points(keeper: &Keeper) -> usize {
        Catalogue::of(&keeper.facts().unwrap()).len()
    }

    #[test]
    fn nothing_is_claimed_before_it_was_read_back() {
        let dir = files::temp_dir("vouchsafe-test-").unwrap();
        let keeper = keeper(dir.path());
        let order = RunOrder::default();
        let reports = keeper.run(&order, &Silent::default()).unwrap().reports;
        assert_eq!(reports[0].outcome, Outcome::Done, "{:?}", reports[0].issues);
        assert_eq!(points(&keeper), 1);

        // The same steps, but the store loses a byte between the write and the reading back.
        let (_, protection) = keeper.policy.protections().next().unwrap();
        let vault = keeper.vault(&protection.copies[0].vault).unwrap();
        fs::write(dir.path().join("site/page"), "hello again").unwrap();
        let (_, backup) = keeper
            .capture(protection, &vault, &Silent::default())
            .unwrap();
        let hex = backup.added_packs[0].to_hex();
        let pack = dir
            .path()
            .join(format!("vault/repo/data/{}/{hex}", &hex[..2]));
        let mut bytes = fs::read(&pack).unwrap();
        bytes[20] ^= 1;
        fs::set_permissions(&pack, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&pack, bytes).unwrap();
        let run = keeper.new_run();
        let point = PointId::from_random([7; 8]);
        let making = Making {
            protection,
            point,
            run: &run,
            complete: true,
        };
        let result = keeper.read_back(&vault, &making, &Written::from(&backup), &Silent::default());
        assert!(
            matches!(result, Err(KeeperError::Damaged { .. })),
            "{result:?}"
        );
        assert_eq!(points(&keeper), 1);
    }

    /// Nothing changes on most nights: what adds nothing to its vault is read back by its directories, and counts.
    #[test]
    fn a_point_that_adds_nothing_counts_like_any_other() {
        let dir = files::temp_dir("vouchsafe-test-").unwrap();
        let keeper = keeper(dir.path());
        let (_, protection) = keeper.policy.protections().next().unwrap();
        let vault = keeper.vault(&protection.copies[0].vault).unwrap();
        let quiet = Silent::default();
        let (_, backup) = keeper.capture(protection, &vault, &quiet).unwrap();
        let written = Written {
            added_bytes: 0,
            added_packs: Vec::new(),
            ..Written::from(&backup)
        };
        let run = keeper.new_run();
        let making = Making {
            protection,
            point: PointId::from_random([7; 8]),
            run: &run,
            complete: true,
        };
        let copy = keeper.read_back(&vault, &making, &written, &quiet).unwrap();
        assert!(copy.blobs_read_back > 0, "{copy:?}");
    }

    /// Flips a byte of a pack as it lies in a vault.
    fn spoil(dir: &Path, vault: &str, pack: &Id) {
        let hex = pack.to_hex();
        let pack = dir.join(format!("{vault}/repo/data/{}/{hex}", &hex[..2]));
        let mut bytes = fs::read(&pack).unwrap();
        bytes[20] ^= 1;
        fs::set_permissions(&pack, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&pack, bytes).unwrap();
    }

    #[test]
    fn what_did_not_read_back_is_stored_once_more() {
        let dir = files::temp_dir("vouchsafe-test-").unwrap();
        let keeper = keeper(dir.path());
        let quiet = Silent::default();
        let (_, protection) = keeper.policy.protections().next().unwrap();
        let [first, second] = [0, 1].map(|n| protection.copies[n].vault.clone());
        let run = keeper.new_run();
        let making = Making {
            protection,
            point: PointId::from_random([7; 8]),
            run: &run,
            complete: true,
        };
        // The capture reads back wrong, and so does the copy of a like one.
        let vault = keeper.vault(&first).unwrap();
        let (_, backup) = keeper.capture(protection, &vault, &quiet).unwrap();
        let target = keeper.vault(&second).unwrap();
        let copied = vouchsafe_vault::copy(
            &vault.repo,
            &target.repo,
            &backup.snapshot,
            quiet.progress(),
        )
        .unwrap();
        for (name, vault, written) in [
            ("vault", &vault, Written::from(&backup)),
            ("other", &target, Written::from(&copied)),
        ] {
            for pack in &written.added_packs {
                spoil(dir.path(), name, pack);
            }
            let result = keeper.read_back(vault, &making, &written, &quiet);
            assert!(matches!(result, Err(KeeperError::Damaged { .. })));
        }
        drop((vault, target));

        // Nothing changed since, and yet everything is stored anew, and is whole.
        let reports = keeper.run(&RunOrder::default(), &quiet).unwrap().reports;
        assert_eq!(reports[0].outcome, Outcome::Done, "{:?}", reports[0].issues);
        assert!(reports[0].added_bytes > 0);
        let facts = keeper.facts().unwrap();
        let catalogue = Catalogue::of(&facts);
        for name in [&first, &second] {
            let copies: Vec<_> = catalogue.copies_in(name).collect();
            assert_eq!(copies.len(), 1);
            assert!(copies[0].added_bytes > 0 && copies[0].blobs_read_back > 0);
            let vault = keeper.vault(name).unwrap();
            let snapshot = copies[0].snapshot.parse().unwrap();
            let back = vault
                .repo
                .read_back(&snapshot, ReadBack::Everything)
                .unwrap();
            assert_eq!(back.problems, []);
        }
        // Verifying still names the damaged packs; what was stored anew is not among them.
        let found = keeper
            .verify(None, &vouchsafe_vault::Budget::All, &quiet)
            .unwrap();
        assert!(found.iter().all(|o| !o.problems.is_empty()));
    }
}
