//! What the worker does between captures: vaults that are due are read back and pruned, and restores that are due
//! rehearsed.

use std::collections::BTreeMap;

use vouchsafe_model::{ObligationKind, ProtectionId, Span, Time};
use vouchsafe_policy::chores::{Chore, Experience, chores, is_asked};

use crate::catalogue::Catalogue;
use crate::drill::{DrillMoment, DrillOrder};
use crate::error::{Category, KeeperError};
use crate::events::Reporter;
use crate::keeper::Keeper;
use crate::prune::PruneOrder;
use crate::record::{open_obligations, unanswered};

/// A chore that answered nothing is not begun again by this worker before: it would be at once otherwise.
const AGAIN: Span = Span::from_hours(1);

/// What a worker began, and when.
#[derive(Default)]
pub(crate) struct Tried(Vec<(Chore, Time)>);

impl Keeper {
    /// The protections of which a drill is due, each with whether it has to be tested.
    pub(crate) fn drills_due(&self) -> Result<BTreeMap<ProtectionId, bool>, KeeperError> {
        let facts = self.facts()?;
        let mut due = BTreeMap::new();
        for owed in open_obligations(&facts, self.tools.clock.now()) {
            let tested = match owed.kind {
                ObligationKind::Drill => false,
                ObligationKind::NegativeControl => true,
                _ => continue,
            };
            if let Some(id) = &owed.protection {
                *due.entry(id.clone()).or_default() |= tested;
            }
        }
        Ok(due)
    }

    /// Does one chore, if one is due and fits between captures. Whether anything was begun.
    pub(crate) fn do_a_chore(
        &self,
        tried: &mut Tried,
        reporter: &dyn Reporter,
    ) -> Result<bool, KeeperError> {
        let now = self.tools.clock.now();
        tried.0.retain(|(_, begun)| now < begun.plus(AGAIN));
        let facts = self.facts()?;
        let catalogue = Catalogue::of(&facts);
        let chosen = chores(&unanswered(&facts), &Experience::of(&facts), now)
            .into_iter()
            .find(|chore| {
                let can_be_done = match chore {
                    Chore::Verify(vault) | Chore::Prune(vault) => {
                        self.connected_vaults().any(|known| known == vault)
                    }
                    Chore::Drill { protection, .. } => {
                        let known = self.policy.protection(protection);
                        known.is_some_and(|(_, p)| p.way.is_connected())
                            && catalogue.newest(protection, true).is_some()
                    }
                };
                can_be_done && tried.0.iter().all(|(known, _)| known != chore)
            });
        let Some(chore) = chosen else {
            return Ok(false);
        };
        let done = match &chore {
            Chore::Verify(vault) => self.verify_due(Some(vault.as_str()), reporter).map(drop),
            Chore::Prune(vault) => {
                let order = PruneOrder {
                    vault: Some(vault.to_string()),
                    ..PruneOrder::default()
                };
                self.prune(&order, reporter).map(drop)
            }
            Chore::Drill {
                protection,
                negative,
            } => {
                let order = DrillOrder {
                    names: vec![protection.to_string()],
                    // Any that can be restored, since nobody asked for a certain one.
                    moment: DrillMoment::Random,
                    negative: *negative,
                    ..DrillOrder::default()
                };
                self.drill(&order, reporter).map(drop)
            }
        };
        let not_begun = done
            .as_ref()
            .is_err_and(|error| error.category() == Category::Locked);
        if !not_begun && self.is_still_asked(&chore)? {
            tried.0.push((chore, now));
        }
        done.map(|()| true)
    }

    fn is_still_asked(&self, chore: &Chore) -> Result<bool, KeeperError> {
        let (facts, now) = (self.facts()?, self.tools.clock.now());
        Ok(is_asked(chore, &unanswered(&facts), now))
    }
}
