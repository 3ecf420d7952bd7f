//! What the record and the policy say of each point of a vault: it stays, is held, or goes.

use std::collections::BTreeSet;

use vouchsafe_format::Id;
use vouchsafe_model::fact::{ExpiredCopy, Fact, Recorded};
use vouchsafe_model::policy::Keep;
use vouchsafe_model::{PointId, Protection, ProtectionId, VaultName};
use vouchsafe_policy::change;
use vouchsafe_policy::holds::Holds;
use vouchsafe_policy::retention::{self, PointAge};
use vouchsafe_vault::PendingPack;

use crate::catalogue::Catalogue;
use crate::keeper::Keeper;

/// A point that only a legal hold keeps, or an older policy while nobody has agreed to the change of it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct HeldPoint {
    /// Which.
    pub point: PointId,
    /// Of which protection.
    pub protection: ProtectionId,
    /// What keeps it, as a sentence.
    pub reason: String,
}

/// What the record says of one vault's snapshots.
pub(super) struct Decided {
    pub(super) expires: Vec<ExpiredCopy>,
    pub(super) unfinished: Vec<ExpiredCopy>,
    pub(super) held: Vec<HeldPoint>,
    pub(super) protect: BTreeSet<Id>,
    pub(super) pending: Vec<PendingPack>,
}

impl Keeper {
    /// What the record knows of a vault, and what the policy lets go of that. The points of each protection are judged
    /// among those that this vault holds, so that each vault keeps its own newest one.
    pub(super) fn decide(
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
            let rules = self.rules_for(protection);
            let decisions = change::decide_by_all(&ages, &rules, now);
            for ((point, age), joint) in here.into_iter().zip(&ages).zip(decisions) {
                let decision = joint.decision;
                let is_held = decision.verdict == retention::Verdict::Held && !age.holds.is_empty();
                if is_held || joint.kept_by_other {
                    decided.held.push(HeldPoint {
                        point: age.id.clone(),
                        protection: protection.id.clone(),
                        reason: match is_held {
                            true => decision.reason.clone(),
                            false => self.still_kept(&decision.reason),
                        },
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
        // What an older policy keeps that nobody can read, nobody knows.
        if !self.bound.unread.is_empty() {
            decided.expires.clear();
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

impl Keeper {
    /// The rules by which a protection's points are kept: the written one, those of the older policies that bind, and
    /// the one in force.
    fn rules_for<'k>(&'k self, protection: &'k Protection) -> Vec<(&'k Keep, &'k str)> {
        let older = self.bound.older.iter().map(|older| &older.policy);
        let others = older
            .filter_map(|policy| policy.protection(&protection.id))
            .map(|(_, p)| p);
        let written = self.bound.written.protection(&protection.id);
        let first = written.map_or(protection, |(_, p)| p);
        let all = [first].into_iter().chain(others).chain([protection]);
        all.map(|p| (&p.keep, retention::zone_of(p))).collect()
    }

    /// Why a point stays that the policy at hand lets go.
    fn still_kept(&self, reason: &str) -> String {
        match self.bound.waiting() {
            Some(change) => format!(
                "change {} is not approved, and by the policy before it: {reason}",
                change.change
            ),
            None => reason.to_owned(),
        }
    }
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
