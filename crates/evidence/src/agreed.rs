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

/// What was decided each time that a text was put in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agreements {
    /// By the entry that put the text in force; none for one that promised nothing less.
    by_entry: BTreeMap<u64, Agreement>,
    /// By the digest of a text, the entry that put it in force last.
    newest: BTreeMap<String, u64>,
}

impl Agreements {
    /// On the text that this entry put in force.
    pub fn at(&self, entry: u64) -> Option<&Agreement> {
        self.by_entry.get(&entry)
    }

    /// On the text of this digest, the last time that it was put in force.
    pub fn of_text(&self, digest: &str) -> Option<&Agreement> {
        self.newest.get(digest).and_then(|entry| self.at(*entry))
    }
}

/// A change that promises less and waits.
struct Open<'f> {
    change: &'f str,
    to: &'f str,
    /// The entry that put its text in force.
    entry: Option<u64>,
}

/// Reads facts in the order of the record. As with what binds (`vouchsafe_policy::Standing`), a decision is one on the
/// change that waits: a text that is put in force once more has to be agreed to once more.
pub fn agreements<'f>(facts: impl IntoIterator<Item = &'f Recorded>) -> Agreements {
    let mut open: Option<Open<'f>> = None;
    let mut out = Agreements::default();
    for recorded in facts {
        match &recorded.entry.fact {
            Fact::PolicyChanged(change) if change.weakens == 0 => open = None,
            // Else it is the same once more, when its author became known.
            Fact::PolicyChanged(change)
                if open
                    .as_ref()
                    .is_none_or(|o| o.change != change.change.as_str()) =>
            {
                open = Some(Open {
                    change: change.change.as_str(),
                    to: &change.to,
                    entry: None,
                });
            }
            Fact::PolicyInForce { digest, .. } => {
                out.newest.insert(digest.clone(), recorded.seq);
                if let Some(open) = open.as_mut().filter(|open| open.to == digest) {
                    open.entry = Some(recorded.seq);
                    out.by_entry.insert(recorded.seq, waiting());
                }
            }
            Fact::ChangeDecided(decision) => {
                let on_it = |open: &&Open<'_>| open.change == decision.change.as_str();
                let Some(entry) = open.as_ref().filter(on_it).map(|open| open.entry) else {
                    continue;
                };
                if let Some(entry) = entry {
                    out.by_entry.insert(entry, decided(recorded.seq, decision));
                }
                if decision.granted {
                    open = None;
                }
            }
            _ => {}
        }
    }
    out
}

fn waiting() -> Agreement {
    Agreement {
        seq: None,
        granted: false,
        strength: None,
        says: "not approved yet".to_owned(),
    }
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

#[cfg(test)]
mod tests {
    use vouchsafe_model::fact::Entry;
    use vouchsafe_model::{ChangeId, PolicyChange, Time};

    use super::*;

    fn change(id: &str, to: &str, weakens: u64) -> Fact {
        Fact::PolicyChanged(PolicyChange {
            change: ChangeId::new(id).unwrap(),
            from: Vec::new(),
            to: to.to_owned(),
            author: "ann@example.com".to_owned(),
            author_known: Strength::Stated,
            alterations: Vec::new(),
            weakens,
            strengthens: 0,
            neutral: 0,
        })
    }

    fn in_force(digest: &str) -> Fact {
        Fact::PolicyInForce {
            digest: digest.to_owned(),
            version: None,
            bytes: 1,
            approved: None,
        }
    }

    fn decided(id: &str, granted: bool) -> Fact {
        Fact::ChangeDecided(ChangeDecision {
            change: ChangeId::new(id).unwrap(),
            granted,
            by: "bob@example.com".to_owned(),
            reason: "asked".to_owned(),
            strength: Strength::Stated,
            signed: None,
        })
    }

    fn record(facts: Vec<Fact>) -> Vec<Recorded> {
        (0..)
            .zip(facts)
            .map(|(seq, fact)| Recorded {
                seq,
                entry: Entry {
                    v: 1,
                    at: Time::from_secs(0),
                    actor: "vouchsafe@host".to_owned(),
                    tool: "vouchsafe 0.1.0".to_owned(),
                    fact,
                },
            })
            .collect()
    }

    /// A text that was agreed to, was given up, and waits once more.
    #[test]
    fn what_was_agreed_to_once_is_not_agreed_to_for_ever() {
        let all = record(vec![
            in_force("a"),
            change("c-1", "b", 1),
            in_force("b"),
            decided("c-1", false),
            decided("c-1", true),
            change("c-2", "a", 0),
            in_force("a"),
            change("c-1", "b", 1),
            in_force("b"),
            // Its author became known meanwhile, and somebody decides on something else.
            change("c-1", "b", 1),
            decided("c-9", true),
        ]);
        let found = agreements(&all);
        let says = |entry| found.at(entry).map(|a| a.says.as_str());
        assert_eq!(says(2), Some("approved by bob@example.com (stated)"));
        assert_eq!(says(6), None);
        assert_eq!(says(8), Some("not approved yet"));
        assert_eq!(found.of_text("b"), found.at(8));
        assert_eq!(found.of_text("a"), None);
        let denied = agreements(all.iter().take(4));
        assert!(
            denied
                .of_text("b")
                .is_some_and(|a| !a.granted && a.seq == Some(3))
        );
    }
}
