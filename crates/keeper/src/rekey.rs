//! Re-keying: the points of a vault in a sibling with another master key, each shown to be equal.

use std::path::PathBuf;

use vouchsafe_evidence::count;
use vouchsafe_format::Id;
use vouchsafe_model::fact::{
    CopyFact, Encryption, Fact, KeyChange, KeyDeed, KeyKind, Outcome, Successor,
};
use vouchsafe_model::policy::{Length, Location};
use vouchsafe_model::{Access, Issue, RunId, Vault, VaultName};
use vouchsafe_vault::{OpenError, ReadBack};

use crate::catalogue::{Catalogue, KnownPoint};
use crate::copies::shared_lock;
use crate::custody;
use crate::error::{KeeperError, chain};
use crate::events::{Event, Reporter};
use crate::keeper::Keeper;
use crate::vaults::{self, VaultHandle};

/// Which vault, and where its successor is.
#[derive(Clone, Debug)]
pub struct RekeyOrder {
    /// The vault whose master key is to be replaced.
    pub vault: VaultName,
    /// The successor: a vault of the policy by its name, or a URL.
    pub to: String,
    /// What the successor is called, if it is given by its URL.
    pub name: Option<VaultName>,
}

/// A vault that has a successor now.
#[derive(Clone, Debug)]
pub struct Rekeyed {
    /// The successor.
    pub successor: VaultName,
    /// Where it is.
    pub url: String,
    /// Its repository's id.
    pub repository: String,
    /// Points that both have, with equal roots.
    pub points: u64,
    /// Whether the policy names it already.
    pub in_policy: bool,
    /// Where its passphrase is, if not where the policy says.
    pub passphrase: Option<PathBuf>,
    /// The retention lock of the vault, if the successor has none: nothing in there is locked.
    pub lock_to_declare: Option<Length>,
}

impl Keeper {
    /// Copies every point that the ledger knows in a vault into a successor with another master key and the same
    /// cutting of files, reads each back, and compares the roots of their trees with what the ledger says. The vault
    /// itself is not changed. Calling it again goes on where it stopped.
    ///
    /// # Errors
    /// [`KeeperError::Copy`], [`KeeperError::Damaged`] for a point that is not the same; then no master key counts as
    /// replaced. [`KeeperError::Policy`] for an order that cannot be followed.
    pub fn rekey(
        &self,
        order: &RekeyOrder,
        reporter: &dyn Reporter,
    ) -> Result<Rekeyed, KeeperError> {
        let _state = self.state.lock()?;
        self.reconcile()?;
        let from = self.vault(&order.vault)?;
        let (spec, in_policy) = self.successor_spec(order)?;
        let target = self.successor(spec, &from)?;
        let subject = format!("{} → {}", from.name(), target.name());
        reporter.event(&Event::Started {
            deed: "rekey",
            subject: subject.clone(),
        });
        let run = self.open_run("rekey", from.name().as_str(), None)?;
        let points = match self.copy_all(&from, &target, &run, reporter) {
            Ok(points) => points,
            Err(error) => {
                let issue = Issue {
                    place: subject,
                    message: chain(&error),
                };
                self.close_run(&run, Outcome::Failed, vec![issue])?;
                return Err(error);
            }
        };
        let repository = target.repo.id().to_hex();
        self.record(vec![
            Fact::KeyChange(KeyChange {
                vault: from.name().clone(),
                repository: from.repo.id().to_hex(),
                key: KeyKind::Master,
                change: KeyDeed::Rotated,
                added: Vec::new(),
                removed: Vec::new(),
                successor: Some(Successor {
                    vault: target.name().clone(),
                    repository: repository.clone(),
                    points,
                }),
                obligations: Vec::new(),
                wrapped_by: None,
                hidden: Vec::new(),
                completed: self.tools.clock.now(),
            }),
            Fact::RunClosed {
                run,
                outcome: Outcome::Done,
                issues: Vec::new(),
            },
        ])?;
        self.write_sheet()?;
        reporter.event(&Event::Finished {
            deed: "rekey",
            subject,
            summary: format!(
                "{}, each with the same root and read back",
                count(points, "point")
            ),
            good: true,
        });
        self.publish(reporter)?;
        let kept_here = target.spec.password.is_none() && target.spec.kms.is_none();
        Ok(Rekeyed {
            successor: target.name().clone(),
            url: target.spec.url.clone(),
            repository,
            points,
            in_policy,
            lock_to_declare: match target.spec.retention_lock {
                None => from.spec.retention_lock,
                Some(_) => None,
            },
            passphrase: kept_here.then(|| self.state.passphrase_path(target.name())),
        })
    }

    /// The successor as the policy has it, or as it would have it.
    fn successor_spec(&self, order: &RekeyOrder) -> Result<(Vault, bool), KeeperError> {
        let refused = |message: String| KeeperError::Policy { message };
        let named = self
            .policy
            .vaults
            .values()
            .find(|v| v.name.as_str() == order.to);
        if let Some(spec) = named {
            if spec.name == order.vault {
                return Err(refused(format!(
                    "vault `{}` cannot succeed itself; name another vault or a URL",
                    spec.name
                )));
            }
            return Ok((spec.clone(), true));
        }
        let name = order.name.clone().ok_or_else(|| {
            refused(format!(
                "`{}` is no vault of the policy; if it is a URL, say with --name what the new vault is called",
                order.to
            ))
        })?;
        if self.policy.vaults.contains_key(&name) {
            return Err(refused(format!(
                "the policy has a vault `{name}` already; name it with --to {name}, or choose another name"
            )));
        }
        let spec = Vault {
            name,
            url: order.to.clone(),
            location: Location::default(),
            retention_lock: None,
            lock_mode: vouchsafe_model::LockMode::Compliance,
            password: None,
            kms: None,
            rotate: None,
            prune: None,
            access: Access::default(),
        };
        Ok((spec, false))
    }

    /// Opens the successor, or makes it.
    fn successor(&self, spec: Vault, from: &VaultHandle) -> Result<VaultHandle, KeeperError> {
        let in_vault = |source| KeeperError::Open {
            vault: spec.name.to_string(),
            source,
        };
        let root = vaults::root_store(&spec, &self.policy.base, true, &self.tools)?;
        let polynomial = Some(from.repo.polynomial());
        let (repo, created) =
            custody::open_or_create(&spec, &root, &self.state, &self.tools, polynomial)?;
        if repo.id() == from.repo.id() || repo.polynomial() != from.repo.polynomial() {
            return Err(in_vault(OpenError::Exists {
                store: root.describe(),
            }));
        }
        let repository = repo.id().to_hex();
        let facts = self.facts()?;
        let known = facts.iter().any(|r| {
            matches!(&r.entry.fact, Fact::VaultKnown { vault, repository: id, .. }
                if *vault == spec.name && *id == repository)
        });
        if !known {
            self.record(vec![Fact::VaultKnown {
                vault: spec.name.clone(),
                repository,
                created,
            }])?;
        }
        Ok(VaultHandle { spec, root, repo })
    }

    /// How many points both have in the end.
    fn copy_all(
        &self,
        from: &VaultHandle,
        target: &VaultHandle,
        run: &RunId,
        reporter: &dyn Reporter,
    ) -> Result<u64, KeeperError> {
        let facts = self.facts()?;
        let catalogue = Catalogue::of(&facts);
        let (_from, _to) = (shared_lock(from)?, shared_lock(target)?);
        let mut points = 0;
        for (snapshot, known) in catalogue.by_snapshot(from.name()) {
            self.stop_if_asked()?;
            let done = known.copy_in(target.name());
            if done.is_none_or(|copy| copy.tree != known.point.tree) {
                let snapshot = snapshot.parse().map_err(|_| different(target, known))?;
                let fact = self.copy_equal(from, target, &snapshot, known, run, reporter)?;
                self.record(vec![Fact::Copy(fact)])?;
            }
            points += 1;
        }
        Ok(points)
    }

    /// Copies a point and shows that the copy is the same.
    fn copy_equal(
        &self,
        from: &VaultHandle,
        target: &VaultHandle,
        snapshot: &Id,
        known: &KnownPoint,
        run: &RunId,
        reporter: &dyn Reporter,
    ) -> Result<CopyFact, KeeperError> {
        let copied = vouchsafe_vault::copy(&from.repo, &target.repo, snapshot, reporter.progress());
        let copied = copied.map_err(|source| {
            if self.tools.interrupt.requested() {
                return KeeperError::Interrupted;
            }
            KeeperError::Copy {
                vault: target.name().to_string(),
                source: Box::new(source),
            }
        })?;
        let in_vault = |source| KeeperError::Repository {
            vault: target.name().to_string(),
            source: Box::new(source),
        };
        // From the store, not from what the copy says of itself.
        let stored = target.repo.snapshot(&copied.snapshot).map_err(in_vault)?;
        if stored.tree.to_hex() != known.point.tree {
            return Err(different(target, known));
        }
        let back = target
            .repo
            .read_back(&copied.snapshot, ReadBack::Everything)
            .map_err(in_vault)?;
        if let Some(problem) = back.problems.first() {
            return Err(KeeperError::Damaged {
                place: format!("vault `{}`, {}", target.name(), problem.place),
                message: format!(
                    "what was copied does not read back ({}); run it again",
                    problem.message
                ),
            });
        }
        let probe = target.repo.probe(&copied.snapshot).map_err(in_vault)?;
        let packs = copied.added_packs.iter().map(vouchsafe_format::Id::to_hex);
        let lock = self.lock_of_copy(target, &copied.snapshot.to_hex(), packs)?;
        Ok(CopyFact {
            point: known.point.point.clone(),
            protection: known.point.protection.clone(),
            vault: target.name().clone(),
            snapshot: copied.snapshot.to_hex(),
            tree: stored.tree.to_hex(),
            run: run.clone(),
            obligations: Vec::new(),
            completed: self.tools.clock.now(),
            added_bytes: copied.added_bytes,
            blobs_read_back: back.blobs,
            encryption: Encryption {
                cipher: probe.cipher.to_owned(),
                key: probe.key,
                probed: probe.sealed,
            },
            lock,
            region: target.spec.location.region.clone(),
            country: target.spec.location.country.clone(),
        })
    }
}

fn different(target: &VaultHandle, known: &KnownPoint) -> KeeperError {
    KeeperError::Damaged {
        place: format!("vault `{}`, point {}", target.name(), known.point.point),
        message:
            "its tree is not the one that the ledger speaks of; verify the vault it was copied from"
                .to_owned(),
    }
}
