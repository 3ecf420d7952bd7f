//! Who agreed to which text of the policy, as far as the record knows.

use std::collections::BTreeMap;

use vouchsafe_model::fact::{Fact, Recorded};
use vouchsafe_model::{ChangeDecision, Strength};

use crate::layout::clean;

/// What was decided on a text that promises less than the one before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreement {
    /// The entry of the decision; nothing while nobody has decided.
    pub seq: Option<u64>,
    /// Whether it was agreed to.
    pub granted: bool,
    /// How it is known who it was.
    pub strength: Option<Strength>,
    /// The same in words: `approved by ann@example.com (stated)`.
    pub says: String,
}

/// By the digest of the text, the last decision on each that promised less than what was in force before it.
pub fn agreements(facts: &[Recorded]) -> BTreeMap<String, Agreement> {
    let mut open: BTreeMap<&str, &str> = BTreeMap::new();
    let mut out = BTreeMap::new();
    for recorded in facts {
        match &recorded.entry.fact {
            Fact::PolicyChanged(change) if change.weakens > 0 => {
                open.insert(change.change.as_str(), &change.to);
                out.entry(change.to.clone()).or_insert(Agreement {
                    seq: None,
                    granted: false,
                    strength: None,
                    says: "not approved yet".to_owned(),
                });
            }
            Fact::ChangeDecided(decision) => {
                if let Some(to) = open.get(decision.change.as_str()) {
                    out.insert((*to).to_owned(), decided(recorded.seq, decision));
                }
            }
            _ => {}
        }
    }
    out
}

fn decided(seq: u64, decision: &ChangeDecision) -> Agreement {
    let done = match decision.granted {
        true => "approved",
        false => "denied",
    };
    let how = match decision.strength {
        Strength::Measured => "by signature".to_owned(),
        strength => strength.to_string(),
    };
    Agreement {
        seq: Some(seq),
        granted: decision.granted,
        strength: Some(decision.strength),
        says: format!("{done} by {} ({how})", clean(&decision.by)),
    }
}
