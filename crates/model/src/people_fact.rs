//! What people did: one family of facts. The `deed` key of its JSON names which.

use serde::{Deserialize, Serialize};

use crate::alert::{Alert, Mailed};
use crate::attestation::{Attestation, DutyOutcome, Refusal};
use crate::ids::ObligationId;
use crate::incident::{
    AccessGrant, AccessRequest, Closure, Ended, Exemption, Incident, IncidentNote, Notice, Pause,
};

/// One thing that a person did, or that people were told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "deed", rename_all = "kebab-case")]
pub enum PeopleFact {
    /// A person stated how a duty came out.
    Attested(Attestation),
    /// What a person handed in was not taken.
    Refused(Refusal),
    /// Somebody was reminded, or something was escalated.
    Noticed(Notice),
    /// Something happened that the policy wants people to hear of.
    Alerted(Alert),
    /// One of the two was sent by mail.
    Mailed(Mailed),
    /// A failure was acknowledged.
    IncidentOpened(Incident),
    /// Something was found out or done about it.
    IncidentNoted(IncidentNote),
    /// It was closed.
    IncidentClosed(Closure),
    /// A departure from a rule was allowed.
    Exempted(Exemption),
    /// Such a permission was ended.
    ExemptionEnded(Ended),
    /// Somebody asked for a right.
    AccessAsked(AccessRequest),
    /// It was given, for a time.
    AccessGiven(AccessGrant),
    /// It was denied, taken back or given up.
    AccessEnded(Ended),
    /// A system was paused.
    Paused(Pause),
    /// It goes on before the time; the name is the system's.
    Resumed(Ended),
}

impl PeopleFact {
    /// The word for the kind of entry.
    pub fn word(&self) -> &'static str {
        match self {
            PeopleFact::Attested(_) => "attested",
            PeopleFact::Refused(_) => "refused",
            PeopleFact::Noticed(_) => "noticed",
            PeopleFact::Alerted(_) => "alerted",
            PeopleFact::Mailed(_) => "mailed",
            PeopleFact::IncidentOpened(_) => "incident-opened",
            PeopleFact::IncidentNoted(_) => "incident-noted",
            PeopleFact::IncidentClosed(_) => "incident-closed",
            PeopleFact::Exempted(_) => "exempted",
            PeopleFact::ExemptionEnded(_) => "exemption-ended",
            PeopleFact::AccessAsked(_) => "access-asked",
            PeopleFact::AccessGiven(_) => "access-given",
            PeopleFact::AccessEnded(_) => "access-ended",
            PeopleFact::Paused(_) => "paused",
            PeopleFact::Resumed(_) => "resumed",
        }
    }

    /// The obligations that it answers. Who declines answers nothing.
    pub fn answers(&self) -> &[ObligationId] {
        match self {
            PeopleFact::Attested(a) if a.statement.outcome != DutyOutcome::Declined => {
                &a.statement.obligations
            }
            _ => &[],
        }
    }
}
