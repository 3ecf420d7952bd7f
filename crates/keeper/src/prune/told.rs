//! What came of a prune, in one line.

use vouchsafe_evidence::{count, len};
use vouchsafe_model::human_bytes;

use super::PruneOutcome;

pub(super) fn summary(outcome: &PruneOutcome) -> String {
    match &outcome.pruning {
        None if outcome.problems.is_empty() => "nothing to remove".to_owned(),
        None => "could not be pruned".to_owned(),
        Some(p) => {
            let waiting = match p.pending.len() {
                0 => String::new(),
                1 => ", 1 pack waits for a later prune".to_owned(),
                n => format!(", {n} packs wait for a later prune"),
            };
            let locked = match p.hidden.len() {
                0 => String::new(),
                n => {
                    let last = p.hidden.iter().filter_map(|one| one.until).max();
                    let last =
                        last.map_or_else(String::new, |at| format!(" until {}", at.minute()));
                    format!(", {} hidden and locked{last}", count(len(n), "object"))
                }
            };
            let erased = match p.erased.len() {
                0 => String::new(),
                n => format!(", {} erased", count(len(n), "hidden object")),
            };
            format!(
                "{} and {} removed, {} freed{waiting}{locked}{erased}",
                count(len(p.snapshots.len()), "snapshot"),
                count(p.packs_removed, "pack"),
                human_bytes(p.bytes_freed)
            )
        }
    }
}
