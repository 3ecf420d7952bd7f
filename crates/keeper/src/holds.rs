//! Legal holds: placed and lifted by people, each a fact.

use std::collections::BTreeSet;

use vouchsafe_model::fact::Fact;
use vouchsafe_model::{Hold, HoldName, HoldRelease, PointId, SystemName, Time};
use vouchsafe_policy::holds::Holds;

use crate::catalogue::Catalogue;
use crate::error::KeeperError;
use crate::events::Reporter;
use crate::keeper::Keeper;

/// What is to be kept, and by whose order.
#[derive(Clone, Debug)]
pub struct HoldOrder {
    /// The hold's name.
    pub name: HoldName,
    /// Points to be kept.
    pub points: Vec<PointId>,
    /// Systems of which every point is to be kept.
    pub systems: Vec<SystemName>,
    /// Who orders it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when; from now on if not said.
    pub since: Option<Time>,
    /// Until when, if it has an end.
    pub until: Option<Time>,
}

impl Keeper {
    /// Places a hold, and publishes it.
    ///
    /// # Errors
    /// [`KeeperError::Hold`] if it cannot be: its name is taken, it keeps nothing, or what it is to keep is gone.
    pub fn place_hold(
        &self,
        order: &HoldOrder,
        reporter: &dyn Reporter,
    ) -> Result<Hold, KeeperError> {
        let _lock = self.state.lock()?;
        self.reconcile()?;
        let facts = self.facts()?;
        let now = self.tools.clock.now();
        let refused = |reason: String| {
            Err(KeeperError::Hold {
                name: order.name.clone(),
                reason,
            })
        };
        if let Some(known) = Holds::of(&facts, now).get(&order.name) {
            return refused(format!(
                "{} placed a hold of this name; choose another, or release that one first",
                known.by
            ));
        }
        if order.by.trim().is_empty() || order.reason.trim().is_empty() {
            return refused("a hold says who ordered it and why".to_owned());
        }
        if order.points.is_empty() && order.systems.is_empty() {
            return refused("name a --point or a --system that it keeps".to_owned());
        }
        if let Some(until) = order.until.filter(|until| *until <= now) {
            return refused(format!("its end, {}, has passed", until.minute()));
        }
        let catalogue = Catalogue::of(&facts);
        for point in &order.points {
            match catalogue.get(point) {
                None => {
                    return refused(format!(
                        "the ledger knows no point {point}; see `vouchsafe points`"
                    ));
                }
                Some(known) if known.copies.is_empty() => {
                    return refused(format!("every copy of point {point} was let go before"));
                }
                Some(_) => {}
            }
        }
        for system in &order.systems {
            let is_known = self.policy.systems.values().any(|s| s.name == *system)
                || !catalogue.of_system(system).is_empty();
            if !is_known {
                return refused(format!(
                    "there is no system {system}, in the policy or in the ledger"
                ));
            }
        }
        let hold = Hold {
            name: order.name.clone(),
            points: each_once(&order.points),
            systems: each_once(&order.systems),
            by: order.by.clone(),
            reason: order.reason.clone(),
            since: order.since.unwrap_or(now),
            until: order.until,
        };
        self.record(vec![Fact::Held(hold.clone())])?;
        self.publish(reporter)?;
        Ok(hold)
    }

    /// Lifts a hold, and publishes that.
    ///
    /// # Errors
    /// [`KeeperError::Hold`] if none of that name is in force.
    pub fn release_hold(
        &self,
        release: &HoldRelease,
        reporter: &dyn Reporter,
    ) -> Result<(), KeeperError> {
        let _lock = self.state.lock()?;
        self.reconcile()?;
        let refused = |reason: String| {
            Err(KeeperError::Hold {
                name: release.name.clone(),
                reason,
            })
        };
        if release.by.trim().is_empty() || release.reason.trim().is_empty() {
            return refused("a release says who ordered it and why".to_owned());
        }
        let in_force = self.holds()?;
        if !in_force.iter().any(|hold| hold.name == release.name) {
            let names: Vec<_> = in_force.iter().map(|hold| hold.name.as_str()).collect();
            return refused(match names.is_empty() {
                true => "no hold is in force".to_owned(),
                false => format!("no such hold is in force; there are {}", names.join(", ")),
            });
        }
        self.record(vec![Fact::HoldReleased(release.clone())])?;
        self.publish(reporter)?;
        Ok(())
    }

    /// The holds in force, by name.
    ///
    /// # Errors
    /// [`KeeperError::Ledger`].
    pub fn holds(&self) -> Result<Vec<Hold>, KeeperError> {
        let facts = self.facts()?;
        let holds = Holds::of(&facts, self.tools.clock.now());
        Ok(holds.iter().cloned().collect())
    }
}

fn each_once<T: Clone + Ord>(things: &[T]) -> Vec<T> {
    let all: BTreeSet<&T> = things.iter().collect();
    all.into_iter().cloned().collect()
}
