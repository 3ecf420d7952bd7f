//! The points that the ledger knows, with their copies: a pure projection of the facts.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use vouchsafe_model::fact::{CopyFact, ExpiredCopy, Fact, Outcome, Recorded, RecoveryPoint};
use vouchsafe_model::{ObligationId, PointId, ProtectionId, SystemName, VaultName};

/// One point with its copies, each with its ledger sequence number.
#[derive(Clone, Debug)]
pub struct KnownPoint {
    /// The capture's fact.
    pub point: RecoveryPoint,
    /// Its place in the ledger.
    pub seq: u64,
    /// Copies that were read back and not let go, oldest first; the newest of a vault counts.
    pub copies: Vec<CopyFact>,
    /// Copies that were let go.
    pub let_go: Vec<LetGo>,
    /// Vaults whose copy has lost data since. It can still be read, but for what is lost.
    pub lost_in: BTreeSet<VaultName>,
}

impl KnownPoint {
    /// The newest copy in `vault`.
    pub fn copy_in(&self, vault: &VaultName) -> Option<&CopyFact> {
        self.copies.iter().rev().find(|c| c.vault == *vault)
    }

    fn let_go(&mut self, vault: &VaultName, copy: &ExpiredCopy) {
        self.copies
            .retain(|c| c.vault != *vault || c.snapshot != copy.snapshot);
        self.let_go.push(LetGo {
            vault: vault.clone(),
            copy: copy.clone(),
            gone: false,
        });
    }

    /// The vaults whose copies are whole, as far as is known.
    pub fn whole_in(&self) -> impl Iterator<Item = &VaultName> {
        let vaults: BTreeSet<&VaultName> = self.copies.iter().map(|c| &c.vault).collect();
        vaults.into_iter().filter(|v| !self.lost_in.contains(*v))
    }

    /// Whether everything was captured.
    pub fn is_complete(&self) -> bool {
        self.point.outcome == Outcome::Done
    }
}

/// A copy that was let go, and does not count any more.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LetGo {
    /// In which vault.
    pub vault: VaultName,
    /// Which copy, and why.
    pub copy: ExpiredCopy,
    /// Whether it was removed since.
    pub gone: bool,
}

/// Every point that the ledger knows. Snapshots that it does not know are nobody's points.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    points: BTreeMap<PointId, KnownPoint>,
}

impl Catalogue {
    /// Reads the facts once.
    pub fn of(facts: &[Recorded]) -> Catalogue {
        let mut points: BTreeMap<PointId, KnownPoint> = BTreeMap::new();
        for recorded in facts {
            match &recorded.entry.fact {
                Fact::RecoveryPoint(point) => {
                    let known = KnownPoint {
                        point: point.clone(),
                        seq: recorded.seq,
                        copies: Vec::new(),
                        let_go: Vec::new(),
                        lost_in: BTreeSet::new(),
                    };
                    points.insert(point.point.clone(), known);
                }
                Fact::Copy(copy) => {
                    if let Some(known) = points.get_mut(&copy.point) {
                        known.lost_in.remove(&copy.vault);
                        known.copies.push(copy.clone());
                    }
                }
                Fact::Expired(expiry) => {
                    for copy in &expiry.copies {
                        if let Some(known) = points.get_mut(&copy.point) {
                            known.let_go(&expiry.vault, copy);
                        }
                    }
                }
                Fact::Pruned(pruning) => {
                    let gone: HashSet<&String> = pruning.snapshots.iter().collect();
                    for one in points.values_mut().flat_map(|known| &mut known.let_go) {
                        one.gone |= one.vault == pruning.vault && gone.contains(&one.copy.snapshot);
                    }
                }
                Fact::CopyLost(loss) => {
                    if let Some(known) = points.get_mut(&loss.point) {
                        known.lost_in.insert(loss.vault.clone());
                    }
                }
                _ => {}
            }
        }
        Catalogue { points }
    }

    /// All points of a system, oldest content first.
    pub fn of_system(&self, system: &SystemName) -> Vec<&KnownPoint> {
        self.sorted(|p| p.point.protection.system == *system)
    }

    /// All points of a protection, oldest content first.
    pub fn of_protection(&self, id: &ProtectionId) -> Vec<&KnownPoint> {
        self.sorted(|p| p.point.protection == *id)
    }

    /// The newest point of a protection, complete ones only if so asked.
    pub fn newest(&self, id: &ProtectionId, complete: bool) -> Option<&KnownPoint> {
        self.of_protection(id)
            .into_iter()
            .rfind(|p| !complete || p.is_complete())
    }

    /// The point of that id.
    pub fn get(&self, id: &PointId) -> Option<&KnownPoint> {
        self.points.get(id)
    }

    /// The points that have or had a copy in `vault`, by the snapshot there (lower hex).
    pub fn by_snapshot(&self, vault: &VaultName) -> BTreeMap<String, &KnownPoint> {
        let mut out = BTreeMap::new();
        for known in self.points.values() {
            let live = known.copies.iter().filter(|c| c.vault == *vault);
            let let_go = known.let_go.iter().filter(|one| one.vault == *vault);
            out.extend(live.map(|c| (c.snapshot.clone(), known)));
            out.extend(let_go.map(|one| (one.copy.snapshot.clone(), known)));
        }
        out
    }

    /// The copies in `vault` that count.
    pub fn copies_in<'c>(&'c self, vault: &'c VaultName) -> impl Iterator<Item = &'c CopyFact> {
        let all = self.points.values().flat_map(|known| &known.copies);
        all.filter(move |copy| copy.vault == *vault)
    }

    /// The copies in `vault` that were let go, and of which it is not recorded that they are gone.
    pub fn let_go_in<'c>(&'c self, vault: &'c VaultName) -> impl Iterator<Item = &'c ExpiredCopy> {
        let all = self.points.values().flat_map(|known| &known.let_go);
        all.filter(move |one| one.vault == *vault && !one.gone)
            .map(|one| &one.copy)
    }

    /// How many points there are.
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    fn sorted(&self, keep: impl Fn(&KnownPoint) -> bool) -> Vec<&KnownPoint> {
        let mut out: Vec<_> = self.points.values().filter(|p| keep(p)).collect();
        out.sort_by_key(|p| (p.point.content_time, p.point.completed, p.seq));
        out
    }
}

/// Every obligation id that a fact answers, or that was withdrawn and is not owed anew.
pub fn answered(facts: &[Recorded]) -> std::collections::BTreeSet<ObligationId> {
    let mut out = std::collections::BTreeSet::new();
    let mut withdrawn = std::collections::BTreeSet::new();
    for recorded in facts {
        let ids: &[ObligationId] = match &recorded.entry.fact {
            Fact::RecoveryPoint(p) => &p.obligations,
            Fact::Copy(c) => &c.obligations,
            Fact::Verification(v) => &v.obligations,
            Fact::Drill(d) => &d.obligations,
            Fact::KeyChange(k) => &k.obligations,
            Fact::Pruned(p) => &p.obligations,
            Fact::People(p) => p.answers(),
            Fact::ObligationsWithdrawn { obligations, .. } => {
                withdrawn.extend(obligations.iter().cloned());
                continue;
            }
            Fact::ObligationDue(owed) => {
                withdrawn.remove(&owed.id);
                continue;
            }
            _ => &[],
        };
        out.extend(ids.iter().cloned());
    }
    out.append(&mut withdrawn);
    out
}
