//! What one policy would mean for the points that there are, held against another.

use std::collections::BTreeSet;

use vouchsafe_model::fact::Recorded;
use vouchsafe_model::{Policy, ProtectionId, Time, VaultName};
use vouchsafe_policy::change::{Fate, fates};
use vouchsafe_policy::holds::Holds;
use vouchsafe_policy::retention::{self, PointAge};

use crate::catalogue::Catalogue;

/// What changes for the points of one protection in one vault.
#[derive(Clone, Debug)]
pub struct PointsAgainst {
    /// Which.
    pub protection: ProtectionId,
    /// In which vault.
    pub vault: VaultName,
    /// How many points it has there.
    pub points: usize,
    /// Whether the new policy no longer has the protection, or the vault: its points stay there, nothing tends them,
    /// and no new ones come.
    pub abandoned: bool,
    /// The points that go earlier.
    pub earlier: Vec<Fate>,
}

/// Holds `new` against `old`; only what differs is given out. Legal holds keep what they keep.
pub fn points_against(
    old: &Policy,
    new: &Policy,
    facts: &[Recorded],
    now: Time,
) -> Vec<PointsAgainst> {
    let catalogue = Catalogue::of(facts);
    let holds = Holds::of(facts, now);
    let mut out = Vec::new();
    for (_, before) in old.protections() {
        let points = catalogue.of_protection(&before.id);
        let vaults: BTreeSet<&VaultName> = points
            .iter()
            .flat_map(|p| p.copies.iter().map(|copy| &copy.vault))
            .collect();
        for vault in vaults {
            let ages: Vec<PointAge> = points
                .iter()
                .filter(|p| p.copy_in(vault).is_some())
                .map(|p| PointAge {
                    id: p.point.point.clone(),
                    completed: p.point.completed,
                    complete: p.is_complete(),
                    holds: holds.on(&p.point.point, &p.point.protection.system),
                })
                .collect();
            let after = new
                .protection(&before.id)
                .filter(|_| new.vaults.contains_key(vault));
            let earlier = match after {
                Some((_, after)) => fates(
                    &ages,
                    (&before.keep, retention::zone_of(before)),
                    (&after.keep, retention::zone_of(after)),
                    now,
                ),
                None => Vec::new(),
            };
            if after.is_none() || !earlier.is_empty() {
                out.push(PointsAgainst {
                    protection: before.id.clone(),
                    vault: vault.clone(),
                    points: ages.len(),
                    abandoned: after.is_none(),
                    earlier,
                });
            }
        }
    }
    out
}
