//! Who outside has seen the record, or stamped it with a time, by the record's own facts.

use std::collections::BTreeMap;

use super::ReportInput;
use super::content::{OutsideKind, OutsidePart};
use crate::layout::clean;
use vouchsafe_model::fact::Fact;

/// What each has seen last, the largest size first.
pub(crate) fn outside(input: &ReportInput<'_>) -> Vec<OutsidePart> {
    let mut newest: BTreeMap<(OutsideKind, &str), OutsidePart> = BTreeMap::new();
    for recorded in input.facts {
        let (kind, who, tree_size, at) = match &recorded.entry.fact {
            Fact::Witnessed(seen) => {
                let name = seen.witness.split('+').next().unwrap_or_default();
                (OutsideKind::Witness, name, seen.tree_size, seen.seen)
            }
            Fact::Timestamped(stamp) => (
                OutsideKind::TimeStamp,
                stamp.authority.as_str(),
                stamp.tree_size,
                stamp.seen,
            ),
            _ => continue,
        };
        let known = newest.get(&(kind, who));
        if known.is_some_and(|known| known.tree_size > tree_size) {
            continue;
        }
        let part = OutsidePart {
            kind,
            who: clean(who),
            tree_size,
            at,
            seq: recorded.seq,
            behind: input.ledger.size.saturating_sub(tree_size),
        };
        newest.insert((kind, who), part);
    }
    let mut all: Vec<OutsidePart> = newest.into_values().collect();
    all.sort_by_key(|part| std::cmp::Reverse(part.tree_size));
    all
}
