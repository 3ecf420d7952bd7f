//! Who has to be told now of what is due, late or so late that it goes to somebody else.

use vouchsafe_model::Policy;
use vouchsafe_model::Time;
use vouchsafe_model::fact::Recorded;
use vouchsafe_model::incident::{Notice, NoticeKind};
use vouchsafe_model::people_assessment::{DutyItem, DutyStanding};

use crate::assess::owed::Ledgered;
use crate::assess::people::incidents::incidents;
use crate::assess::people::items::{items, reminded_at};
use crate::assess::people::register::Register;
use crate::assess::projection::Projection;

/// The notices that have become due by `now` and are not in the record: of each obligation each kind once.
///
/// Whoever owes something is reminded a week before it is due, or at half of its time if that is shorter; whoever
/// stands in hears of it once it is late; whoever the policy names for an escalation, when that time has come.
pub fn notices(policy: &Policy, facts: &[Recorded], now: Time) -> Vec<Notice> {
    if policy.people.duties.is_empty()
        && policy.protections().all(|(_, p)| p.way.word() != "manual")
    {
        return Vec::new();
    }
    // A clock that was set back tells nothing before it has come to where it was: what is owed would be seen as it was.
    if facts.iter().any(|r| r.entry.at > now) {
        return Vec::new();
    }
    let projection = Projection::of(facts, now);
    let register = Register::of(&projection);
    let ledgered = Ledgered::of(policy, &projection, now);
    let mut out = Vec::new();
    for item in items(policy, &ledgered, &register, &incidents(facts, now), now) {
        for (kind, to) in due(&item, now) {
            if register.noticed(&item.obligation.id, kind).is_none() {
                out.push(Notice {
                    kind,
                    obligation: item.obligation.id.clone(),
                    subject: item.obligation.subject(),
                    due: item.obligation.due,
                    to,
                });
            }
        }
    }
    out
}

/// The kinds of notices that an item asks for now, with whom each concerns.
fn due(item: &DutyItem, now: Time) -> Vec<(NoticeKind, Vec<String>)> {
    let mut out = Vec::new();
    match item.standing {
        DutyStanding::Overdue => {
            let stand_in = item.delegates.iter().filter(|d| !item.holders.contains(d));
            let to = item.holders.iter().chain(stand_in).cloned().collect();
            out.push((NoticeKind::Overdue, to));
        }
        DutyStanding::Open if reminded_at(&item.obligation) <= now => {
            out.push((NoticeKind::Reminder, item.holders.clone()));
        }
        _ => {}
    }
    if let Some(escalation) = item.escalation.as_ref().filter(|e| e.due) {
        out.push((NoticeKind::Escalation, escalation.to.clone()));
    }
    out
}
