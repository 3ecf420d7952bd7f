//! One pass over the facts, sorted by what they concern.

use std::collections::{HashMap, HashSet};

use vouchsafe_model::assessment::Silence;
use vouchsafe_model::fact::{
    CopyFact, CopyLoss, ExpiredCopy, Expiry, KeyChange, KeyDeed, KeyKind, Pruning, Recorded,
    RecoveryPoint, VaultCoverage, Verification,
};
use vouchsafe_model::{
    DrillResult, Fact, LogGap, LogShipped, Obligation, ObligationId, ObligationKind, Outcome,
    ProtectionId, Time, VaultLocks, VaultName,
};

/// A fact's sequence number and the fact.
pub(super) type Seen<'f, T> = (u64, &'f T);

/// What concerns one protection, in the order of the ledger.
#[derive(Default)]
pub(super) struct Track<'f> {
    pub(super) points: Vec<Seen<'f, RecoveryPoint>>,
    pub(super) copies: Vec<Seen<'f, CopyFact>>,
    pub(super) drills: Vec<Seen<'f, DrillResult>>,
    /// What was said last of its log.
    pub(super) log: Option<Seen<'f, LogShipped>>,
    /// The last gap in its log.
    pub(super) gap: Option<Seen<'f, LogGap>>,
    /// Copies that were let go.
    pub(super) expired: Vec<LetGo<'f>>,
}

/// A copy that was let go.
pub(super) struct LetGo<'f> {
    pub(super) seq: u64,
    pub(super) at: Time,
    pub(super) vault: &'f VaultName,
    pub(super) copy: &'f ExpiredCopy,
    /// Whether it was removed since.
    pub(super) gone: bool,
}

/// A deed that claims to fulfil an obligation.
pub(super) struct Answer<'f> {
    pub(super) kind: ObligationKind,
    pub(super) protection: Option<&'f ProtectionId>,
    pub(super) vault: Option<&'f VaultName>,
    pub(super) started: Time,
    pub(super) done: Time,
    /// Whether a drill claims to answer a duty of people.
    pub(super) by_drill: bool,
}

/// An obligation as the ledger holds it.
pub(super) struct Due<'f> {
    pub(super) what: &'f Obligation,
    /// Taken back before it was due, because the policy changed.
    pub(super) withdrawn: bool,
}

/// How old the passphrase of a vault is.
#[derive(Clone, Copy)]
pub(super) struct PassphraseAge<'f> {
    repository: &'f str,
    /// When it was made; nothing if it was there before the record.
    pub(super) since: Option<Time>,
    /// The fact that says so.
    pub(super) seq: u64,
}

/// The facts up to now, sorted.
#[derive(Default)]
pub(super) struct Index<'f> {
    tracks: HashMap<&'f ProtectionId, Track<'f>>,
    verifications: HashMap<&'f VaultName, Vec<Seen<'f, Verification>>>,
    coverage: HashMap<&'f VaultName, Seen<'f, VaultCoverage>>,
    locks: HashMap<&'f VaultName, Seen<'f, VaultLocks>>,
    /// What prunes have hidden and could not remove, by its key.
    hidden: HashMap<&'f VaultName, HashMap<&'f str, (u64, Option<Time>)>>,
    pub(super) owed: HashMap<&'f ObligationId, Due<'f>>,
    pub(super) answers: HashMap<&'f ObligationId, Vec<Answer<'f>>>,
    passphrases: HashMap<&'f VaultName, PassphraseAge<'f>>,
    pub(super) breaks: Vec<(u64, String)>,
    gaps: Vec<Silence>,
    /// Up to when the record speaks: the furthest horizon, or its first entry if there is none.
    speaks_until: Option<Time>,
}

impl<'f> Index<'f> {
    pub(super) fn of(facts: &'f [Recorded], now: Time) -> Index<'f> {
        let mut index = Index::default();
        for recorded in facts.iter().filter(|r| r.entry.at <= now) {
            let (seq, at) = (recorded.seq, recorded.entry.at);
            let until = *index.speaks_until.get_or_insert(at);
            match &recorded.entry.fact {
                Fact::ObligationDue(what) => index.due(what),
                Fact::ObligationsWithdrawn { obligations, .. } => index.withdraw(obligations, at),
                Fact::Horizon { until: further } => {
                    if at > until {
                        index.gaps.push(Silence {
                            from: until,
                            to: at,
                        });
                    }
                    index.speaks_until = Some(until.max(*further));
                }
                Fact::Break { reason, .. } => index.breaks.push((seq, reason.clone())),
                Fact::RecoveryPoint(point) => index.point(seq, point),
                Fact::Copy(copy) => index.copy(seq, copy),
                Fact::CopyLost(loss) => index.lose(loss),
                Fact::Verification(done) => index.verification(seq, done),
                Fact::Coverage(coverage) => {
                    index.coverage.insert(&coverage.vault, (seq, coverage));
                }
                Fact::Drill(drill) => index.drill(seq, drill),
                Fact::Expired(expiry) => index.expired(seq, at, expiry),
                Fact::Pruned(pruning) => index.pruned(seq, pruning),
                Fact::Locks(locks) => {
                    index.locks.insert(&locks.vault, (seq, locks));
                }
                Fact::LogShipped(log) => {
                    index.tracks.entry(&log.protection).or_default().log = Some((seq, log));
                }
                Fact::LogGap(gap) => {
                    index.tracks.entry(&gap.protection).or_default().gap = Some((seq, gap));
                }
                Fact::KeyChange(change) => index.key_change(seq, change),
                Fact::People(fact) => {
                    index.answer(fact.answers(), ObligationKind::Duty, (None, None), (at, at));
                }
                Fact::VaultKnown {
                    vault,
                    repository,
                    created,
                } => {
                    let made = created.then_some(at);
                    let key = PassphraseAge {
                        repository,
                        since: made,
                        seq,
                    };
                    // The same vault may be met again by another record; its key is not younger for that.
                    let same = |known: &PassphraseAge<'_>| known.repository == repository;
                    if !index.passphrases.get(vault).is_some_and(same) {
                        index.passphrases.insert(vault, key);
                    }
                }
                Fact::PolicyInForce { .. }
                | Fact::PolicyChanged(_)
                | Fact::ChangeDecided(_)
                | Fact::RunOpened { .. }
                | Fact::RunClosed { .. }
                | Fact::RunAbandoned { .. }
                | Fact::Held(_)
                | Fact::HoldReleased(_)
                | Fact::Repaired(_)
                | Fact::Published { .. }
                | Fact::LedgerKeyRotated(_)
                | Fact::Witnessed(_)
                | Fact::Joined { .. } => {}
            }
        }
        index
    }

    /// What concerns that protection.
    pub(super) fn track(&self, id: &ProtectionId) -> Option<&Track<'f>> {
        self.tracks.get(id)
    }

    /// The verifications of that vault, in the order of the ledger.
    pub(super) fn verifications(&self, vault: &VaultName) -> &[Seen<'f, Verification>] {
        self.verifications.get(vault).map_or(&[], Vec::as_slice)
    }

    /// What of that vault has been read back by now, as far as it was recorded.
    pub(super) fn coverage(&self, vault: &VaultName) -> Option<Seen<'f, VaultCoverage>> {
        self.coverage.get(vault).copied()
    }

    /// The last reading of that vault's locks.
    pub(super) fn locks(&self, vault: &VaultName) -> Option<Seen<'f, VaultLocks>> {
        self.locks.get(vault).copied()
    }

    /// How many objects that were removed after `since` a lock keeps in that vault, hidden, and when the last of
    /// these locks ends, as far as that is known.
    pub(super) fn hidden(&self, vault: &VaultName, since: u64) -> (usize, Option<Time>) {
        let Some(hidden) = self.hidden.get(vault) else {
            return (0, None);
        };
        let after = || hidden.values().filter(|(seq, _)| *seq > since);
        (
            after().count(),
            after().filter_map(|(_, until)| *until).max(),
        )
    }

    /// How old that vault's passphrase is; nothing for a vault that the record does not know.
    pub(super) fn passphrase(&self, vault: &VaultName) -> Option<PassphraseAge<'f>> {
        self.passphrases.get(vault).copied()
    }

    /// Where the record is silent, up to `now`.
    pub(super) fn silence(&self, now: Time) -> Vec<Silence> {
        let mut all = self.gaps.clone();
        if let Some(from) = self.speaks_until.filter(|until| *until < now) {
            all.push(Silence { from, to: now });
        }
        all
    }

    /// What was promised first stands, unless it was withdrawn since.
    fn due(&mut self, what: &'f Obligation) {
        let due = self.owed.get(&what.id);
        if due.is_none_or(|old| old.withdrawn) {
            let withdrawn = false;
            self.owed.insert(&what.id, Due { what, withdrawn });
        }
    }

    /// What is due already cannot be taken back: it stays missed.
    fn withdraw(&mut self, ids: &[ObligationId], at: Time) {
        for id in ids {
            if let Some(due) = self.owed.get_mut(id).filter(|d| at <= d.what.due) {
                due.withdrawn = true;
            }
        }
    }

    fn point(&mut self, seq: u64, point: &'f RecoveryPoint) {
        // A partial result fulfils nothing.
        if point.outcome == Outcome::Done {
            self.answer(
                &point.obligations,
                ObligationKind::Capture,
                (Some(&point.protection), None),
                (point.started, point.completed),
            );
        }
        self.tracks
            .entry(&point.protection)
            .or_default()
            .points
            .push((seq, point));
    }

    fn copy(&mut self, seq: u64, copy: &'f CopyFact) {
        // A copy that was not read back is none.
        if copy.blobs_read_back == 0 {
            return;
        }
        self.answer(
            &copy.obligations,
            ObligationKind::Copy,
            (Some(&copy.protection), Some(&copy.vault)),
            (copy.completed, copy.completed),
        );
        self.tracks
            .entry(&copy.protection)
            .or_default()
            .copies
            .push((seq, copy));
    }

    fn expired(&mut self, seq: u64, at: Time, expiry: &'f Expiry) {
        for copy in &expiry.copies {
            let track = self.tracks.entry(&copy.protection).or_default();
            track.expired.push(LetGo {
                seq,
                at,
                vault: &expiry.vault,
                copy,
                gone: false,
            });
        }
    }

    fn pruned(&mut self, seq: u64, pruning: &'f Pruning) {
        let hidden = self.hidden.entry(&pruning.vault).or_default();
        for object in &pruning.erased {
            hidden.remove(object.as_str());
        }
        for one in &pruning.hidden {
            hidden.insert(&one.object, (seq, one.until));
        }
        let gone: HashSet<&String> = pruning.snapshots.iter().collect();
        let tracks = self.tracks.values_mut();
        for one in tracks.flat_map(|track| &mut track.expired) {
            one.gone |= *one.vault == pruning.vault && gone.contains(&one.copy.snapshot);
        }
    }

    /// A copy that has lost data is none, until it was read back anew.
    fn lose(&mut self, loss: &CopyLoss) {
        if let Some(track) = self.tracks.get_mut(&loss.protection) {
            track
                .copies
                .retain(|(_, copy)| copy.point != loss.point || copy.vault != loss.vault);
        }
    }

    fn verification(&mut self, seq: u64, done: &'f Verification) {
        if done.packs_read > 0 || done.complete {
            self.answer(
                &done.obligations,
                ObligationKind::Verify,
                (None, Some(&done.vault)),
                (done.started, done.completed),
            );
        }
        self.verifications
            .entry(&done.vault)
            .or_default()
            .push((seq, done));
    }

    fn key_change(&mut self, seq: u64, change: &'f KeyChange) {
        let when = (change.completed, change.completed);
        self.answer(
            &change.obligations,
            ObligationKind::RotateKey,
            (None, Some(&change.vault)),
            when,
        );
        // A slot that was removed by hand says so of the one in force only if it fulfils something.
        let by_hand = change.change == KeyDeed::Removed && !change.obligations.is_empty();
        if change.key == KeyKind::Slot && (change.change == KeyDeed::Rotated || by_hand) {
            let key = PassphraseAge {
                repository: &change.repository,
                since: Some(change.completed),
                seq,
            };
            self.passphrases.insert(&change.vault, key);
        }
    }

    fn drill(&mut self, seq: u64, drill: &'f DrillResult) {
        let (who, when) = (
            (Some(&drill.protection), None),
            (drill.started, drill.ended),
        );
        self.answer(&drill.obligations, ObligationKind::Drill, who, when);
        if drill.is_green() {
            for id in &drill.obligations {
                self.answers.entry(id).or_default().push(Answer {
                    kind: ObligationKind::Duty,
                    protection: None,
                    vault: None,
                    started: drill.started,
                    done: drill.ended,
                    by_drill: true,
                });
            }
        }
        if !drill.negative_controls.is_empty() {
            self.answer(
                &drill.obligations,
                ObligationKind::NegativeControl,
                who,
                when,
            );
        }
        self.tracks
            .entry(&drill.protection)
            .or_default()
            .drills
            .push((seq, drill));
    }

    fn answer(
        &mut self,
        ids: &'f [ObligationId],
        kind: ObligationKind,
        (protection, vault): (Option<&'f ProtectionId>, Option<&'f VaultName>),
        (started, done): (Time, Time),
    ) {
        for id in ids {
            self.answers.entry(id).or_default().push(Answer {
                kind,
                protection,
                vault,
                started,
                done,
                by_drill: false,
            });
        }
    }
}
