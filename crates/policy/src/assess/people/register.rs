//! What people did, sorted by what it concerns.

use std::collections::HashMap;

use vouchsafe_model::attestation::{Attestation, DutyOutcome};
use vouchsafe_model::incident::NoticeKind;
use vouchsafe_model::{Fact, ObligationId, PeopleFact, Time};

use crate::assess::projection::{Drilled, Projection};

/// A statement with its place in the ledger.
#[derive(Clone, Copy)]
pub(in crate::assess) struct Said<'f> {
    pub(super) seq: u64,
    pub(super) at: Time,
    pub(super) attestation: &'f Attestation,
}

impl Said<'_> {
    pub(super) fn outcome(&self) -> DutyOutcome {
        self.attestation.statement.outcome
    }
}

/// What people did, up to now.
#[derive(Default)]
pub(in crate::assess) struct Register<'f> {
    attested: HashMap<&'f ObligationId, Vec<Said<'f>>>,
    by_duty: HashMap<&'f str, Vec<Said<'f>>>,
    noticed: HashMap<(&'f ObligationId, NoticeKind), u64>,
    /// Where drills are found that answer an obligation.
    projection: Option<&'f Projection>,
}

impl<'f> Register<'f> {
    /// Reads what a projection holds of it.
    pub(in crate::assess) fn of(projection: &'f Projection) -> Register<'f> {
        let mut register = Register {
            projection: Some(projection),
            ..Register::default()
        };
        for recorded in projection.kept() {
            let (seq, at) = (recorded.seq, recorded.entry.at);
            match &recorded.entry.fact {
                Fact::People(PeopleFact::Attested(attestation)) => {
                    let said = Said {
                        seq,
                        at,
                        attestation,
                    };
                    for id in &attestation.statement.obligations {
                        register.attested.entry(id).or_default().push(said);
                    }
                    let duty = attestation.statement.duty.as_str();
                    register.by_duty.entry(duty).or_default().push(said);
                }
                Fact::People(PeopleFact::Noticed(notice)) => {
                    let key = (&notice.obligation, notice.kind);
                    register.noticed.entry(key).or_insert(seq);
                }
                _ => {}
            }
        }
        register
    }

    /// What was said last of an obligation.
    pub(super) fn last_of(&self, id: &ObligationId) -> Option<Said<'f>> {
        self.attested.get(id)?.last().copied()
    }

    /// The first drill that answers an obligation.
    pub(super) fn drill_of(&self, id: &ObligationId) -> Option<(u64, &'f Drilled)> {
        let drill = self.projection?.drilled(id)?;
        Some((drill.seq, drill))
    }

    /// Everything that was said of a duty, in the order of the ledger.
    pub(super) fn of_duty(&self, duty: &str) -> &[Said<'f>] {
        self.by_duty.get(duty).map_or(&[], Vec::as_slice)
    }

    /// The entry that says that a notice was given.
    pub(super) fn noticed(&self, id: &ObligationId, kind: NoticeKind) -> Option<u64> {
        self.noticed.get(&(id, kind)).copied()
    }
}
