//! The points that the ledger knows, with their copies: a pure projection of the facts.

use std::collections::BTreeMap;

use vouchsafe_model::fact::{CopyFact, Fact, Outcome, Recorded, RecoveryPoint};
use vouchsafe_model::{ObligationId, PointId, ProtectionId, SystemName, VaultName};

/// One point with its copies, each with its ledger sequence number.
#[derive(Clone, Debug)]
pub struct KnownPoint {
    /// The capture's fact.
    pub point: RecoveryPoint,
    /// Its place in the ledger.
    pub seq: u64,
    /// Copies that were read back, oldest first; the newest of a vault counts.
    pub copies: Vec<CopyFact>,
}

impl KnownPoint {
    /// The newest copy in `vault`.
    pub fn copy_in(&self, vault: &VaultName) -> Option<&CopyFact> {
        self.copies.iter().rev().find(|c| c.vault == *vault)
    }

    /// Whether everything was captured.
    pub fn is_complete(&self) -> bool {
        self.point.outcome == Outcome::Done
    }
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
                    };
                    points.insert(point.point.clone(), known);
                }
                Fact::Copy(copy) => {
                    if let Some(known) = points.get_mut(&copy.point) {
                        known.copies.push(copy.clone());
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

    /// The points that have a copy in `vault`, by the snapshot there (lower hex).
    pub fn by_snapshot(&self, vault: &VaultName) -> BTreeMap<String, &KnownPoint> {
        let copies = self
            .points
            .values()
            .flat_map(|p| p.copies.iter().map(move |c| (c, p)));
        copies
            .filter(|(c, _)| c.vault == *vault)
            .map(|(c, p)| (c.snapshot.clone(), p))
            .collect()
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

/// Every obligation id that a fact answers.
pub fn answered(facts: &[Recorded]) -> std::collections::BTreeSet<ObligationId> {
    let mut out = std::collections::BTreeSet::new();
    for recorded in facts {
        let ids: &[ObligationId] = match &recorded.entry.fact {
            Fact::RecoveryPoint(p) => &p.obligations,
            Fact::Copy(c) => &c.obligations,
            Fact::Verification(v) => &v.obligations,
            Fact::Drill(d) => &d.obligations,
            Fact::ObligationsWithdrawn { obligations, .. } => obligations,
            _ => &[],
        };
        out.extend(ids.iter().cloned());
    }
    out
}
