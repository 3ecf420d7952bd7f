//! What a permission excuses in a period.

use std::collections::HashMap;

use vouchsafe_model::fact::Recorded;
use vouchsafe_model::people_assessment::ExemptionState;
use vouchsafe_model::period::{Closes, Closure};
use vouchsafe_model::{
    Fact, Obligation, ObligationKind, PeopleFact, Policy, Question, Strength, SystemName, Time,
};

use crate::assess::people::exemptions::{declared, given_by, is_whole, question_of};
use crate::change::Standing;

/// What permissions excuse: each obligation that was due while one from its rule was in force. It stays missed, and is a
/// deviation that somebody allowed beforehand. What was due before that was allowed is not excused.
///
/// A permission of the record holds from its entry on. One that stands in the policy holds from when the record says that
/// this very text was agreed to: of older texts the record knows the digests alone, and not what they permitted.
pub fn excused(policy: &Policy, facts: &[Recorded], as_of: Time) -> Vec<Closure> {
    let given = given(policy, facts, as_of);
    let mut out = Vec::new();
    for recorded in facts.iter().filter(|r| r.entry.at <= as_of) {
        let Fact::ObligationDue(owed) = &recorded.entry.fact else {
            continue;
        };
        let mut mine = given.iter().filter(|one| one.excuses(policy, owed));
        if let Some(one) = mine.next() {
            out.push(one.closure(owed));
        }
    }
    out
}

/// A permission, and when it held.
struct Given {
    what: ExemptionState,
    /// The entry that put it in force.
    seq: u64,
    from: Time,
    until: Time,
}

fn given(policy: &Policy, facts: &[Recorded], as_of: Time) -> Vec<Given> {
    let mut all = Vec::new();
    let mut newest: HashMap<&str, usize> = HashMap::new();
    let mut replaced: HashMap<&str, Time> = HashMap::new();
    for recorded in facts.iter().filter(|r| r.entry.at <= as_of) {
        let at = recorded.entry.at;
        match &recorded.entry.fact {
            Fact::People(PeopleFact::Exempted(what)) => {
                newest.insert(&what.name, all.len());
                replaced.entry(&what.name).or_insert(at);
                all.push(Given {
                    what: given_by(what, recorded.seq),
                    seq: recorded.seq,
                    from: at,
                    until: what.until,
                });
            }
            Fact::People(PeopleFact::ExemptionEnded(ended)) => {
                let known = newest.remove(ended.name.as_str());
                if let Some(one) = known.and_then(|index| all.get_mut(index)) {
                    one.until = one.until.min(at);
                }
            }
            _ => {}
        }
    }
    if let Some((seq, from)) = settled(policy, facts, as_of) {
        for what in declared(policy).filter(is_whole) {
            // The record's of the same name wins over the policy's.
            let replaced = replaced.get(what.name.as_str()).copied();
            let Some(until) = what.until.map(|u| replaced.map_or(u, |at| u.min(at))) else {
                continue;
            };
            all.push(Given {
                what,
                seq,
                from,
                until,
            });
        }
    }
    all
}

/// The entry by which the text of this policy was agreed to, if no other was since.
fn settled(policy: &Policy, facts: &[Recorded], as_of: Time) -> Option<(u64, Time)> {
    let mut standing = Standing::default();
    let mut since = None;
    for recorded in facts.iter().filter(|r| r.entry.at <= as_of) {
        standing.note(&recorded.entry.fact);
        match standing.settled.as_ref() == Some(&policy.digest) {
            true => since = since.or(Some((recorded.seq, recorded.entry.at))),
            false => since = None,
        }
    }
    since
}

impl Given {
    fn excuses(&self, policy: &Policy, owed: &Obligation) -> bool {
        if owed.due < self.from || owed.due >= self.until {
            return false;
        }
        let rule = &self.what.from;
        // As in the status, a duty is exempt as a whole, and a permission from it takes out nothing else.
        if policy.people.duties.contains_key(rule) {
            return self.what.systems.is_empty() && owed.duty.as_ref() == Some(rule);
        }
        let Some(question) = question_of(rule) else {
            return false;
        };
        let of = |system: &SystemName| {
            self.what.systems.is_empty() || self.what.systems.contains(system)
        };
        let system = owed.protection.as_ref().map(|p| &p.system);
        system.is_some_and(of) && asks(owed.kind) == Some(question)
    }

    fn closure(&self, owed: &Obligation) -> Closure {
        Closure {
            of: Closes::Obligation(owed.id.clone()),
            at: self.from,
            by: self.what.approved_by.clone().unwrap_or_default(),
            strength: match self.what.verified {
                true => Strength::Measured,
                false => Strength::Stated,
            },
            text: format!(
                "exemption {} from {} until {}: {}",
                self.what.name,
                self.what.from,
                self.until.minute(),
                self.what.reason.as_deref().unwrap_or_default()
            ),
            seq: self.seq,
        }
    }
}

/// The question that an obligation of a protection serves first.
fn asks(kind: ObligationKind) -> Option<Question> {
    match kind {
        ObligationKind::Capture => Some(Question::Fresh),
        ObligationKind::Copy => Some(Question::Copies),
        ObligationKind::Verify => Some(Question::Verified),
        ObligationKind::Drill | ObligationKind::NegativeControl => Some(Question::Proven),
        ObligationKind::RotateKey => Some(Question::Encrypted),
        ObligationKind::Prune => Some(Question::Retained),
        ObligationKind::Duty => None,
    }
}
