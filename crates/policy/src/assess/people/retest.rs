//! What an incident is about, and whether something that works now says anything of it.

use std::collections::BTreeSet;

use vouchsafe_model::fact::Recorded;
use vouchsafe_model::people_assessment::IncidentState;
use vouchsafe_model::{Fact, Obligation, SystemName, VaultName};

/// The systems and vaults that an incident's obligations and entries name; both empty for one about a duty alone.
pub(super) struct Subject<'f> {
    systems: BTreeSet<&'f SystemName>,
    vaults: BTreeSet<&'f VaultName>,
}

impl<'f> Subject<'f> {
    pub(super) fn of(facts: &'f [Recorded], incident: &IncidentState) -> Subject<'f> {
        let mut subject = Subject {
            systems: BTreeSet::new(),
            vaults: BTreeSet::new(),
        };
        for recorded in facts {
            let is_named = incident.facts.contains(&recorded.seq);
            match &recorded.entry.fact {
                Fact::ObligationDue(owed) if incident.obligations.contains(&owed.id) => {
                    subject.owed(owed);
                }
                Fact::Verification(done) if is_named => {
                    subject.vaults.insert(&done.vault);
                }
                fact if is_named => subject.systems.extend(system_of(fact)),
                _ => {}
            }
        }
        subject
    }

    fn owed(&mut self, owed: &'f Obligation) {
        match (&owed.protection, &owed.vault) {
            (Some(protection), _) => {
                self.systems.insert(&protection.system);
            }
            (None, Some(vault)) => {
                self.vaults.insert(vault);
            }
            (None, None) => {}
        }
    }

    /// Whether a fact that shows that something works may show it of this; otherwise what it is about instead.
    ///
    /// What names no system or vault, such as an attested duty, may be about anything.
    pub(super) fn is_shown_by(&self, fact: &Fact) -> Result<(), String> {
        if let Some(system) = system_of(fact)
            && !self.systems.is_empty()
            && !self.systems.contains(system)
        {
            return Err(format!("the system {system}"));
        }
        match fact {
            Fact::Verification(done)
                if !self.vaults.is_empty() && !self.vaults.contains(&done.vault) =>
            {
                Err(format!("the vault {}", done.vault))
            }
            _ => Ok(()),
        }
    }
}

fn system_of(fact: &Fact) -> Option<&SystemName> {
    let protection = match fact {
        Fact::Drill(drill) => &drill.protection,
        Fact::RecoveryPoint(point) => &point.protection,
        Fact::Copy(copy) => &copy.protection,
        _ => return None,
    };
    Some(&protection.system)
}
