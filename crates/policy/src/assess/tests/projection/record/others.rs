//! Steps about people, holds, locks and keys.

use vouchsafe_model::attestation::{Attestation, Identity, Statement};
use vouchsafe_model::fact::{KeyChange, KeyDeed, KeyKind};
use vouchsafe_model::incident::{Closure, Ended, Incident, Pause};
use vouchsafe_model::locks::LockMode;
use vouchsafe_model::people::Capacity;
use vouchsafe_model::{
    DutyOutcome, Fact, Hold, HoldName, HoldRelease, ObligationKind, PeopleFact, Span, VaultLocks,
};

use super::{Record, name, vault};

impl Record {
    pub(super) fn attest(&mut self, which: u8, how: u8) {
        let obligations = self.ids(ObligationKind::Duty, None, which);
        let statement = Statement {
            duty: "look".into(),
            obligations,
            outcome: [
                DutyOutcome::Done,
                DutyOutcome::Problems,
                DutyOutcome::Declined,
            ][usize::from(how % 3)],
            reason: "looked".into(),
            by: "ann@example.com".into(),
            at: self.now,
            policy: "digest".into(),
            files: Vec::new(),
        };
        self.people(PeopleFact::Attested(Attestation {
            statement,
            capacity: Capacity::Role,
            identity: Identity::Unverified,
            handed_in: None,
        }));
    }

    pub(super) fn case(&mut self, which: u8, how: u8) {
        let (by, reason, name) = ("ann".to_owned(), "so".to_owned(), format!("i{}", which % 2));
        let obligations = self.ids(ObligationKind::Duty, None, how);
        let (until, retest) = (
            self.now.plus(Span::from_days(2)),
            self.facts.len() as u64 / 2,
        );
        self.people(match how % 4 {
            0 => PeopleFact::IncidentOpened(Incident {
                name,
                obligations,
                facts: vec![3],
                by,
                reason,
            }),
            1 => PeopleFact::IncidentClosed(Closure {
                name,
                retest,
                by,
                reason,
            }),
            2 => PeopleFact::Paused(Pause {
                system: "s".parse().unwrap(),
                by,
                reason,
                until,
            }),
            _ => PeopleFact::Resumed(Ended {
                name: "s".into(),
                by,
                reason,
            }),
        });
    }

    pub(super) fn hold(&mut self, which: u8, how: u8) {
        let hold = HoldName::new(format!("h{}", which % 2)).unwrap();
        let (by, reason) = ("counsel".to_owned(), "so".to_owned());
        let point = self.pick(how).map(|p| p.id.clone());
        self.add(match how % 3 {
            0 => Fact::HoldReleased(HoldRelease {
                name: hold,
                by,
                reason,
            }),
            n => Fact::Held(Hold {
                name: hold,
                points: point.into_iter().collect(),
                systems: (n == 2).then(|| "q".parse().unwrap()).into_iter().collect(),
                by,
                reason,
                since: self.now,
                until: None,
            }),
        });
    }

    pub(super) fn of_vault(&mut self, which: u8, how: u8) {
        let vault = name(vault(which));
        let obligations = self.ids(ObligationKind::RotateKey, None, how / 3);
        let repository = format!("r{}", how % 2);
        self.add(match how % 3 {
            0 => Fact::VaultKnown {
                vault,
                repository,
                created: which > 128,
            },
            1 => Fact::Locks(VaultLocks {
                vault,
                run: None,
                read: self.now,
                wanted: "9 days".into(),
                mode: LockMode::Governance,
                objects: 4,
                unlocked: 0,
                short: 0,
                weak: u64::from(which % 2),
                soonest: None,
                extended: 0,
            }),
            _ => Fact::KeyChange(KeyChange {
                vault,
                repository,
                key: KeyKind::Slot,
                change: if which > 128 {
                    KeyDeed::Rotated
                } else {
                    KeyDeed::Removed
                },
                added: Vec::new(),
                removed: Vec::new(),
                successor: None,
                obligations,
                wrapped_by: None,
                hidden: Vec::new(),
                completed: self.ago(how),
            }),
        });
    }
}
