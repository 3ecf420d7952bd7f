//! Pausing a system: nothing is done for it by itself, and what is owed is owed all the same.

use vouchsafe_model::fact::Fact;
use vouchsafe_model::incident::{Ended, Pause};
use vouchsafe_model::{PeopleFact, SystemName};
use vouchsafe_policy::people;

use crate::error::KeeperError;
use crate::events::Reporter;
use crate::keeper::Keeper;

impl Keeper {
    /// Pauses a system. Only its owner may, who stands in, or who answers for the policy.
    ///
    /// # Errors
    /// [`KeeperError::Refused`] if the person may not, or the end has passed.
    pub fn pause(&self, pause: &Pause, reporter: &dyn Reporter) -> Result<Pause, KeeperError> {
        let _lock = self.state.lock()?;
        self.reconcile()?;
        let by = self.may_pause(&pause.system, &pause.by, &pause.reason)?;
        if pause.until <= self.tools.clock.now() {
            return Err(KeeperError::Refused {
                subject: pause.system.to_string(),
                reason: format!("its end, {}, has passed", pause.until.minute()),
            });
        }
        let pause = Pause {
            by,
            ..pause.clone()
        };
        self.record(vec![Fact::People(PeopleFact::Paused(pause.clone()))])?;
        self.publish(reporter)?;
        Ok(pause)
    }

    /// Ends a pause before its time.
    ///
    /// # Errors
    /// [`KeeperError::Refused`] if the person may not, or the system is not paused.
    pub fn resume(
        &self,
        system: &SystemName,
        by: &str,
        reason: &str,
        reporter: &dyn Reporter,
    ) -> Result<(), KeeperError> {
        let _lock = self.state.lock()?;
        self.reconcile()?;
        let by = self.may_pause(system, by, reason)?;
        if !people::paused(&self.facts()?, self.tools.clock.now()).contains_key(system) {
            return Err(KeeperError::Refused {
                subject: system.to_string(),
                reason: "it is not paused".to_owned(),
            });
        }
        let ended = Ended {
            name: system.to_string(),
            by,
            reason: reason.to_owned(),
        };
        self.record(vec![Fact::People(PeopleFact::Resumed(ended))])?;
        self.publish(reporter).map(drop)
    }

    fn may_pause(&self, name: &SystemName, by: &str, reason: &str) -> Result<String, KeeperError> {
        let Some(system) = self.policy.systems.get(name) else {
            return Err(self.unknown(name.as_str()));
        };
        let refused = |reason: String| {
            Err(KeeperError::Refused {
                subject: name.to_string(),
                reason,
            })
        };
        if by.trim().is_empty() || reason.trim().is_empty() {
            return refused("a pause says who wants it, and why".to_owned());
        }
        let who = &self.policy.people;
        let by = who.address(by);
        let mut may: Vec<String> = system.owner.iter().cloned().collect();
        may.extend(who.approvers.iter().cloned());
        if who.capacity(&by, &may, None).is_none() {
            let names: Vec<String> = who.all_holders(&may).into_iter().collect();
            return refused(format!("{by} may not pause it; {} may", names.join(", ")));
        }
        Ok(by)
    }
}
