//! For each control of a framework: which artefacts an auditor asks for, what of each is here, and what is not.

mod asked;
mod found;
mod people;

use serde::{Deserialize, Serialize};
use vouchsafe_model::{Policy, Strength};

use crate::erasures::Replays;
use crate::report::content::ReportContent;

/// How much of an artefact is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// All that the control asks for of it.
    Here,
    /// Some of it; what is lacking is said.
    InPart,
    /// Nothing of it: it has to come from elsewhere.
    Absent,
}

impl Presence {
    /// The words on screen.
    pub fn word(self) -> &'static str {
        match self {
            Presence::Here => "here",
            Presence::InPart => "in part",
            Presence::Absent => "absent",
        }
    }
}

/// One artefact of one control.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artefact {
    /// What is asked for.
    pub name: String,
    /// How much of it is here.
    pub presence: Presence,
    /// How what is here is known; nothing where nothing is here.
    pub strength: Option<Strength>,
    /// What there is, with figures, and what is lacking.
    pub says: String,
    /// The populations that hold it.
    pub populations: Vec<String>,
}

/// The artefacts of one control.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControlArtefacts {
    /// `SOC 2`, `ISO 27001`.
    pub framework: String,
    /// `A1.2`, `A.8.13`.
    pub control: String,
    /// Each that is asked for; one of which nothing is here is in the list all the same.
    pub artefacts: Vec<Artefact>,
}

impl ControlArtefacts {
    /// How many are so far here.
    pub fn count(&self, presence: Presence) -> u64 {
        let of = self.artefacts.iter().filter(|a| a.presence == presence);
        crate::words::len(of.count())
    }
}

/// The artefacts of every control that the report speaks of, in its order.
///
/// Which artefacts a control has is taken from the criteria themselves and from what auditors are known to ask for
/// (AICPA TSP 100 A1.2, A1.3, CC7.5, CC9.1; ISO/IEC 27001:2022 annex A 5.30, 8.13, 8.14; NIST SP 800-53 rev. 5 CP-4,
/// CP-9, CP-10; Regulation (EU) 2016/679 article 32; CIS Controls v8 11.1 to 11.5).
pub(crate) fn artefacts(
    policy: &Policy,
    content: &ReportContent,
    replays: Replays,
) -> Vec<ControlArtefacts> {
    let found = found::Found {
        policy,
        content,
        replays,
    };
    content
        .controls
        .iter()
        .map(|c| ControlArtefacts {
            framework: c.framework.clone(),
            control: c.control.clone(),
            artefacts: asked::asked(&c.framework, &c.control)
                .iter()
                .map(|(name, kind)| found.artefact(name, *kind))
                .collect(),
        })
        .collect()
}
