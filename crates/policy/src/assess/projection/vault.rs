//! What concerns one vault: how it was read back, its locks, its key.

use std::collections::HashMap;

use vouchsafe_model::fact::{KeyChange, KeyDeed, KeyKind, Pruning, VaultCoverage, Verification};
use vouchsafe_model::policy::VerifyRule;
use vouchsafe_model::{Time, VaultLocks, VaultSpace};

use crate::verification;

/// A verification that found nothing wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::assess) struct Clean {
    pub(in crate::assess) seq: u64,
    pub(in crate::assess) completed: Time,
    pub(in crate::assess) packs_read: u64,
    pub(in crate::assess) packs_total: u64,
    pub(in crate::assess) complete: bool,
}

impl Clean {
    /// Whether it read as much as the rule asks for.
    pub(in crate::assess) fn covers(&self, rule: Option<&VerifyRule>) -> bool {
        verification::covers(self.packs_read, self.packs_total, self.complete, rule)
    }

    /// Whether it read as much as any rule asks for that `other` read enough for.
    fn covers_all_of(&self, other: &Clean) -> bool {
        let part = |read: u64, total: u64| u128::from(read) * u128::from(total);
        let share = || {
            self.packs_total == 0
                || other.packs_total != 0
                    && part(self.packs_read, other.packs_total)
                        >= part(other.packs_read, self.packs_total)
        };
        self.complete || !other.complete && share()
    }
}

/// A verification that found problems.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::assess) struct Bad {
    pub(in crate::assess) seq: u64,
    pub(in crate::assess) completed: Time,
    pub(in crate::assess) problems: usize,
    /// The place of the first.
    pub(in crate::assess) first: String,
}

/// How old the passphrase of a vault is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::assess) struct PassphraseAge {
    repository: String,
    /// When it was made; nothing if it was there before the record.
    pub(in crate::assess) since: Option<Time>,
    /// The fact that says so.
    pub(in crate::assess) seq: u64,
}

/// One vault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::assess) struct Vault {
    /// Those that no later one stands in for, in the order of the ledger.
    clean: Vec<Clean>,
    /// The last of all that were clean.
    last_clean: Option<Clean>,
    /// The one with problems that ended last.
    bad: Option<Bad>,
    pub(in crate::assess) coverage: Option<(u64, VaultCoverage)>,
    /// When the last of those ended that were clean and came before that.
    clean_before_coverage: Option<Time>,
    pub(in crate::assess) locks: Option<(u64, VaultLocks)>,
    pub(in crate::assess) space: Option<(u64, VaultSpace)>,
    /// What prunes have hidden and could not remove, by its key.
    hidden: HashMap<Box<str>, (u64, Option<Time>)>,
    pub(in crate::assess) passphrase: Option<PassphraseAge>,
}

impl Vault {
    /// `all` keeps those, too, that later ones stand in for.
    pub(super) fn verification(&mut self, seq: u64, done: &Verification, all: bool) {
        if let Some(first) = done.problems.first() {
            let last = self.bad.as_ref();
            if last.is_none_or(|last| (last.completed, last.seq) <= (done.completed, seq)) {
                self.bad = Some(Bad {
                    seq,
                    completed: done.completed,
                    problems: done.problems.len(),
                    first: first.place.clone(),
                });
            }
            return;
        }
        let new = Clean {
            seq,
            completed: done.completed,
            packs_read: done.packs_read,
            packs_total: done.packs_total,
            complete: done.complete,
        };
        self.last_clean = Some(new);
        if !all {
            let better = |old: &Clean| old.completed > new.completed && old.covers_all_of(&new);
            if self.clean.iter().any(better) {
                return;
            }
            self.clean
                .retain(|old| old.completed > new.completed || !new.covers_all_of(old));
        }
        self.clean.push(new);
    }

    pub(super) fn covered(&mut self, seq: u64, coverage: &VaultCoverage) {
        self.coverage = Some((seq, coverage.clone()));
        self.clean_before_coverage = self.clean.iter().map(|clean| clean.completed).max();
    }

    /// The one with problems, unless later ones have read everything and were clean: at once, or piece by piece, as
    /// what is remembered of them shows.
    pub(in crate::assess) fn standing_problem(&self) -> Option<&Bad> {
        let bad = self.bad.as_ref()?;
        let at_once = self
            .clean
            .iter()
            .any(|clean| clean.complete && clean.completed > bad.completed);
        let is_whole = self.coverage.as_ref().is_some_and(|(_, c)| c.is_whole());
        let piecewise = self
            .clean_before_coverage
            .is_some_and(|at| is_whole && at > bad.completed);
        (!at_once && !piecewise).then_some(bad)
    }

    /// The clean one that read as much as the rule asks for and ended last; if there is none, the last clean one.
    pub(in crate::assess) fn clean(&self, rule: Option<&VerifyRule>) -> Option<&Clean> {
        let covering = self.clean.iter().filter(|clean| clean.covers(rule));
        let newest = covering.max_by_key(|clean| clean.completed);
        newest.or(self.last_clean.as_ref())
    }

    pub(super) fn pruned(&mut self, seq: u64, pruning: &Pruning) {
        for object in &pruning.erased {
            self.hidden.remove(object.as_str());
        }
        for one in &pruning.hidden {
            let object = one.object.as_str().into();
            self.hidden.insert(object, (seq, one.until));
        }
    }

    /// How many objects that were removed after `since` a lock keeps, hidden, and when the last of these locks ends,
    /// as far as that is known.
    pub(in crate::assess) fn hidden(&self, since: u64) -> (usize, Option<Time>) {
        let after = || self.hidden.values().filter(|(seq, _)| *seq > since);
        (
            after().count(),
            after().filter_map(|(_, until)| *until).max(),
        )
    }

    /// The last prune that hid something that is still hidden.
    pub(in crate::assess) fn last_hidden(&self) -> Option<u64> {
        self.hidden.values().map(|(seq, _)| *seq).max()
    }

    pub(super) fn key_change(&mut self, seq: u64, change: &KeyChange) {
        // A slot that was removed by hand says so of the one in force only if it fulfils something.
        let by_hand = change.change == KeyDeed::Removed && !change.obligations.is_empty();
        if change.key == KeyKind::Slot && (change.change == KeyDeed::Rotated || by_hand) {
            self.passphrase = Some(PassphraseAge {
                repository: change.repository.clone(),
                since: Some(change.completed),
                seq,
            });
        }
    }

    pub(super) fn known(&mut self, seq: u64, repository: &str, made: Option<Time>) {
        // The same vault may be met again by another record; its key is not younger for that.
        let same = |known: &PassphraseAge| known.repository == repository;
        if !self.passphrase.as_ref().is_some_and(same) {
            self.passphrase = Some(PassphraseAge {
                repository: repository.to_owned(),
                since: made,
                seq,
            });
        }
    }
}
