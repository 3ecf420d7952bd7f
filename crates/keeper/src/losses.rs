//! Copies that have lost data: told to the ledger when it is found, and taken back when they are whole again.

use std::collections::BTreeMap;

use vouchsafe_evidence::{count, len};
use vouchsafe_format::Id;
use vouchsafe_model::fact::{CopyFact, CopyLoss, Fact, Recorded};
use vouchsafe_model::{Issue, RunId, VaultName};
use vouchsafe_vault::ReadBack;

use crate::catalogue::{Catalogue, KnownPoint};
use crate::error::KeeperError;
use crate::events::{Event, Reporter};
use crate::keeper::Keeper;
use crate::vaults::VaultHandle;

/// Issues that one fact names.
const NAMED: usize = 100;

impl Keeper {
    /// Finds which points have lost something to damaged packs, or to packs that are gone; records it once, and says
    /// which other vaults hold these points.
    pub(crate) fn note_losses(
        &self,
        facts: &[Recorded],
        vault: &VaultHandle,
        damaged: &[Id],
        run: &RunId,
        reporter: &dyn Reporter,
    ) -> Result<(), KeeperError> {
        let hits = vault
            .repo
            .hit_by(damaged)
            .map_err(|error| self.repair_error(vault.name(), error))?;
        let catalogue = Catalogue::of(facts);
        let known = catalogue.by_snapshot(vault.name());
        let mut new = Vec::new();
        let mut hit: Vec<&KnownPoint> = Vec::new();
        for found in &hits {
            let snapshot = found.snapshot.to_hex();
            let Some(point) = known.get(&snapshot) else {
                continue;
            };
            hit.push(point);
            if point.lost_in.contains(vault.name()) {
                continue;
            }
            let issue = |place: &String| Issue {
                place: place.clone(),
                message: "it cannot be read any more".to_owned(),
            };
            new.push(Fact::CopyLost(CopyLoss {
                point: point.point.point.clone(),
                protection: point.point.protection.clone(),
                vault: vault.name().clone(),
                snapshot,
                run: run.clone(),
                found: self.tools.clock.now(),
                lost: found.count,
                issues: found.places.iter().take(NAMED).map(issue).collect(),
            }));
        }
        self.advise(vault.name(), &hit, reporter);
        if !new.is_empty() {
            self.record(new)?;
        }
        Ok(())
    }

    /// Where the points that were hit can be had whole.
    fn advise(&self, vault: &VaultName, hit: &[&KnownPoint], reporter: &dyn Reporter) {
        let mut elsewhere: BTreeMap<&VaultName, usize> = BTreeMap::new();
        let mut nowhere = 0;
        for point in hit {
            let mut others = point
                .whole_in()
                .filter(|v| *v != vault && self.policy.vaults.contains_key(*v))
                .peekable();
            nowhere += usize::from(others.peek().is_none());
            for other in others {
                *elsewhere.entry(other).or_default() += 1;
            }
        }
        let points = |n: usize| count(len(n), "point");
        let all = hit.len();
        for (other, n) in elsewhere {
            let text = format!(
                "{other} holds {n} of the {} that this hits: heal with \
                 `vouchsafe vault repair {vault} packs --from {other}`",
                points(all)
            );
            reporter.event(&Event::Note { text });
        }
        if nowhere > 0 {
            let text = format!("{} that this hits, no other vault holds", points(nowhere));
            reporter.event(&Event::Note { text });
        }
    }

    /// Reads copies that had lost data back as a whole; those that are whole again count again.
    pub(crate) fn reclaim(
        &self,
        facts: &[Recorded],
        vault: &VaultHandle,
        run: &RunId,
        reporter: &dyn Reporter,
    ) -> Result<(), KeeperError> {
        let catalogue = Catalogue::of(facts);
        let known = catalogue.by_snapshot(vault.name());
        let mut whole = Vec::new();
        for (snapshot, point) in known {
            let Some(copy) = point.copy_in(vault.name()) else {
                continue;
            };
            if !point.lost_in.contains(vault.name()) || copy.snapshot != snapshot {
                continue;
            }
            let Ok(id) = snapshot.parse::<Id>() else {
                continue;
            };
            reporter.progress().phase("read back", None, None);
            let back = match vault.repo.read_back(&id, ReadBack::Everything) {
                Ok(back) if back.problems.is_empty() => back,
                // What is wrong with it was told before, and stays.
                Ok(_) | Err(vouchsafe_vault::RepoError::NoSnapshot { .. }) => continue,
                Err(source) => return Err(self.repair_error(vault.name(), source.into())),
            };
            let text = format!(
                "{} of {} is whole again",
                point.point.point, copy.protection
            );
            reporter.event(&Event::Note { text });
            whole.push(Fact::Copy(CopyFact {
                run: run.clone(),
                obligations: Vec::new(),
                completed: self.tools.clock.now(),
                added_bytes: 0,
                blobs_read_back: back.blobs,
                // Told by the next reading of the vault's locks.
                lock: None,
                ..copy.clone()
            }));
        }
        if !whole.is_empty() {
            self.record(whole)?;
        }
        Ok(())
    }
}
