//! Legal holds beside what they keep: which, by whose order, until when and why.

use std::collections::BTreeMap;

use vouchsafe_model::fact::{Fact, Recorded};
use vouchsafe_model::{Hold, Policy, ProtectionId};

use crate::layout::clean;
use crate::words::{count, len};

/// What holds in force keep of each protection of `policy` that they concern, a sentence for each.
pub fn holds_by_protection(
    policy: &Policy,
    facts: &[Recorded],
    holds: &[&Hold],
) -> BTreeMap<ProtectionId, Vec<String>> {
    let mut out: BTreeMap<ProtectionId, Vec<String>> = BTreeMap::new();
    for (_, protection) in policy.protections() {
        let id = &protection.id;
        for hold in holds {
            let held = facts.iter().filter(|r| match &r.entry.fact {
                Fact::RecoveryPoint(p) => p.protection == *id && hold.points.contains(&p.point),
                _ => false,
            });
            let what = match (hold.systems.contains(&id.system), len(held.count())) {
                (true, _) => "every point".to_owned(),
                (false, 0) => continue,
                (false, n) => count(n, "point"),
            };
            let said = format!("{} keeps {what} {}", hold.name, order(hold));
            out.entry(id.clone()).or_default().push(said);
        }
    }
    out
}

/// Until when, by whose order and why.
pub(crate) fn order(hold: &Hold) -> String {
    let until = match hold.until {
        Some(until) => format!("until {}", until.minute()),
        None => "until it is released".to_owned(),
    };
    format!("{until}, by {}: {}", clean(&hold.by), clean(&hold.reason))
}
