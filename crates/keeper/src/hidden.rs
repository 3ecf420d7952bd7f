//! What was removed from sight and stays in the store, because locks keep it: remembered, and removed by a later prune.

use std::collections::{BTreeMap, BTreeSet};

use vouchsafe_model::fact::{Fact, Recorded};
use vouchsafe_model::{HiddenObject, Time, VaultName};
use vouchsafe_store::{Erased, Key, Store};

use crate::error::KeeperError;
use crate::locks::for_each;
use crate::vaults::VaultHandle;

/// What earlier deeds in a vault have hidden and not removed, by the record.
///
/// What a repair has hidden because something of it was lost is among that: as long as a snapshot misses anything, no
/// prune comes so far as to remove it.
pub(crate) fn hidden(facts: &[Recorded], vault: &VaultName) -> BTreeSet<HiddenObject> {
    let mut all: BTreeMap<&str, &HiddenObject> = BTreeMap::new();
    for recorded in facts {
        let (place, hidden) = match &recorded.entry.fact {
            Fact::Pruned(pruning) => (&pruning.vault, &pruning.hidden),
            Fact::Repaired(repair) => (&repair.vault, &repair.hidden),
            Fact::KeyChange(change) => (&change.vault, &change.hidden),
            _ => continue,
        };
        if place != vault {
            continue;
        }
        if let Fact::Pruned(pruning) = &recorded.entry.fact {
            for object in &pruning.erased {
                all.remove(object.as_str());
            }
        }
        all.extend(hidden.iter().map(|one| (one.object.as_str(), one)));
    }
    all.into_values().cloned().collect()
}

/// As the record has it: what an engine has hidden of a repository, by the keys there.
pub(crate) fn in_repository(hidden: &[(String, Option<Time>)]) -> Vec<HiddenObject> {
    let hidden = hidden.iter().map(|(key, until)| HiddenObject {
        object: format!("repo/{key}"),
        until: *until,
    });
    hidden.collect()
}

/// Removes what was hidden and is locked no more. Gives what is gone, and what a lock keeps all the same.
pub(crate) fn erase_hidden(
    vault: &VaultHandle,
    hidden: &[HiddenObject],
) -> Result<(Vec<String>, Vec<HiddenObject>), KeeperError> {
    let keys: Vec<Key> = hidden
        .iter()
        .filter_map(|one| Key::new(one.object.as_str()).ok())
        .collect();
    let erased = for_each(&keys, |key| match vault.root.head(key) {
        // Somebody has put it anew, so it is not hidden, and not ours to remove.
        Ok(_) => Ok(Erased::default()),
        Err(error) if error.is_not_found() => vault.root.erase(key),
        Err(error) => Err(error),
    })?;
    let (mut gone, mut kept) = (Vec::new(), Vec::new());
    for (key, erased) in keys.iter().zip(erased) {
        let object = key.to_string();
        match erased.locked {
            0 => gone.push(object),
            _ => kept.push(HiddenObject {
                object,
                until: erased.until,
            }),
        }
    }
    Ok((gone, kept))
}
