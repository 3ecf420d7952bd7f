//! The facts folded one by one into what can still change a verdict.

mod ids;
mod obligations;
mod past;
mod reading;
mod settled;
mod track;
mod vault;

use std::collections::{HashMap, HashSet};

use vouchsafe_model::assessment::Silence;
use vouchsafe_model::fact::{
    CopyFact, CopyLoss, Expiry, KeyChange, Pruning, Recorded, RecoveryPoint, Verification,
};
use vouchsafe_model::{
    DrillResult, Fact, LogGap, LogShipped, Obligation, ObligationId, ObligationKind, Outcome,
    ProtectionId, Time, VaultName,
};

use crate::assess::projection::ids::{Names, ObligationKey, Table};
use crate::assess::projection::obligations::{Answer, Earliest, Obligations, Subject, Subjects};
use crate::assess::projection::past::Event;
use crate::assess::projection::track::{Equal, copy_of};

pub(super) use crate::assess::projection::ids::{Digest, Name, PointKey};
pub(super) use crate::assess::projection::obligations::Answered;
pub(super) use crate::assess::projection::reading::Promised;
pub(super) use crate::assess::projection::track::{Copy, Drill, LastPoint, LetGo, Point, Track};
pub(super) use crate::assess::projection::vault::{Clean, PassphraseAge, Vault};

/// A green drill that may answer a duty of people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Drilled {
    pub(super) seq: u64,
    pub(super) ended: Time,
    pub(super) protection: ProtectionId,
}

/// What verdicts rest on, taken from the facts one after the other, each once.
///
/// It is smaller than the facts by far: an obligation that was answered in time and is past becomes a number, a point
/// whose last copy was removed becomes a few bytes, a verification gives way to the next that read as much. It knows no
/// policy, so that every policy can be judged by it, and judging by it says exactly what judging by the facts would.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Projection {
    /// Whether everything is kept, settled or not.
    keeps_all: bool,
    entries: u64,
    /// The latest time at which something was recorded.
    latest: Option<Time>,
    tracks: Table<ProtectionId, Track>,
    vaults: Table<VaultName, Vault>,
    /// Digests of rules and schemas, versions of engines, ciphers, keys.
    texts: Names<String>,
    /// The facts by which copies were let go.
    events: Vec<Event>,
    obligations: Obligations,
    drilled: HashMap<ObligationKey, Drilled>,
    /// What people did, and legal holds, as they were recorded: there is little of it, and none of it is ever past.
    kept: Vec<Recorded>,
    breaks: Vec<(u64, String)>,
    gaps: Vec<Silence>,
    /// Up to when the record speaks: the furthest horizon, or its first entry if there is none.
    speaks_until: Option<Time>,
}

impl Projection {
    /// Nothing yet.
    pub fn new() -> Projection {
        Projection::default()
    }

    /// The facts recorded up to `now`, in the order of the ledger.
    pub fn of(facts: &[Recorded], now: Time) -> Projection {
        let mut all = Projection::new();
        all.take(facts, now);
        all
    }

    /// The same without leaving anything out: for questions about the past, which ask for what is settled, too.
    pub(super) fn of_all(facts: &[Recorded], now: Time) -> Projection {
        let mut all = Projection {
            keeps_all: true,
            ..Projection::default()
        };
        all.take(facts, now);
        all
    }

    fn take(&mut self, facts: &[Recorded], now: Time) {
        for recorded in facts.iter().filter(|r| r.entry.at <= now) {
            self.note(recorded);
        }
    }

    /// How many entries it has taken in.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// The latest time at which any of them was recorded; no verdict of an earlier time can be had from it.
    pub fn latest(&self) -> Option<Time> {
        self.latest
    }

    /// Takes in the next entry of the ledger.
    pub fn note(&mut self, recorded: &Recorded) {
        let (seq, at) = (recorded.seq, recorded.entry.at);
        self.entries += 1;
        let latest = self.latest.map_or(at, |latest| latest.max(at));
        self.latest = Some(latest);
        let until = *self.speaks_until.get_or_insert(at);
        match &recorded.entry.fact {
            Fact::ObligationDue(what) => self.due(what, latest),
            Fact::ObligationsWithdrawn { obligations, .. } => {
                self.obligations.withdraw(obligations, latest);
            }
            Fact::Horizon { until: further } => {
                if at > until {
                    self.gaps.push(Silence {
                        from: until,
                        to: at,
                    });
                }
                self.speaks_until = Some(until.max(*further));
            }
            Fact::Break { reason, .. } => self.breaks.push((seq, reason.clone())),
            Fact::RecoveryPoint(point) => self.point(seq, point),
            Fact::Copy(copy) => self.copy(seq, copy),
            Fact::CopyLost(loss) => self.lose(loss),
            Fact::Verification(done) => self.verification(seq, done),
            Fact::Coverage(coverage) => {
                if let Some((_, vault)) = self.vaults.row(&coverage.vault) {
                    vault.covered(seq, coverage);
                }
            }
            Fact::Drill(drill) => self.drill(seq, drill),
            Fact::Expired(expiry) => self.expired(seq, at, expiry),
            Fact::Pruned(pruning) => self.pruned(seq, pruning),
            Fact::Locks(locks) => {
                if let Some((_, vault)) = self.vaults.row(&locks.vault) {
                    vault.locks = Some((seq, locks.clone()));
                }
            }
            Fact::Space(space) => {
                if let Some((_, vault)) = self.vaults.row(&space.vault) {
                    vault.space = Some((seq, space.clone()));
                }
            }
            Fact::LogShipped(log) => self.log(seq, log),
            Fact::LogGap(gap) => self.gap(seq, gap),
            Fact::KeyChange(change) => self.key_change(seq, change),
            Fact::People(fact) => {
                let kind = ObligationKind::Duty;
                self.answer(fact.answers(), (kind, None, None), (at, at));
                self.kept.push(recorded.clone());
            }
            Fact::Held(_) | Fact::HoldReleased(_) => self.kept.push(recorded.clone()),
            Fact::VaultKnown {
                vault,
                repository,
                created,
            } => {
                let made = created.then_some(at);
                if let Some((_, vault)) = self.vaults.row(vault) {
                    vault.known(seq, repository, made);
                }
            }
            Fact::PolicyInForce { .. }
            | Fact::PolicyChanged(_)
            | Fact::ChangeDecided(_)
            | Fact::RunOpened { .. }
            | Fact::RunClosed { .. }
            | Fact::RunAbandoned { .. }
            | Fact::Repaired(_)
            | Fact::ErasuresReplayed(_)
            | Fact::Published { .. }
            | Fact::LedgerKeyRotated(_)
            | Fact::Witnessed(_)
            | Fact::Timestamped(_)
            | Fact::Joined { .. } => {}
        }
    }

    fn due(&mut self, what: &Obligation, latest: Time) {
        let protection = what.protection.as_ref().map(|id| self.tracks.number(id));
        let vault = what.vault.as_ref().map(|name| self.vaults.number(name));
        let names = Subjects {
            protections: &self.tracks,
            vaults: &self.vaults,
        };
        let subject: Subject = (what.kind, protection, vault);
        let before = (!self.keeps_all).then_some(latest);
        let new = self.obligations.due(what, subject, &names, before);
        let track = protection.and_then(|number| self.tracks.at_mut(number));
        if let (Some(rule), Some(track)) = (new, track) {
            track.rules.push(rule);
        }
        if !self.drilled.is_empty() && self.obligations.is_of_rule(&what.id) {
            self.drilled.remove(&ObligationKey::of_id(&what.id));
        }
    }

    fn answer(
        &mut self,
        ids: &[ObligationId],
        (kind, protection, vault): Subject,
        (started, done): (Time, Time),
    ) {
        let answer = Answer {
            kind,
            protection,
            vault,
            when: Earliest { started, done },
            by_drill: false,
        };
        self.obligations.answer(ids, answer);
    }

    fn point(&mut self, seq: u64, fact: &RecoveryPoint) {
        let protection = self.tracks.number(&fact.protection);
        // A partial result fulfils nothing.
        if fact.outcome == Outcome::Done {
            let subject = (ObligationKind::Capture, Some(protection), None);
            self.answer(&fact.obligations, subject, (fact.started, fact.completed));
        }
        let schema = fact.schema.as_ref().map(|text| self.texts.number(text));
        let engine = fact.engine.as_ref().map(|e| self.texts.number(&e.major()));
        let point = Point {
            seq,
            point: PointKey::of_id(&fact.point),
            started: fact.started,
            content_time: fact.content_time,
            completed: fact.completed,
            outcome: fact.outcome,
            tree: Digest::of_text(&fact.tree),
            schema,
            engine,
            bytes: fact.bytes,
        };
        if let Some(track) = self.tracks.at_mut(protection) {
            track.point(point, fact.issue_count);
        }
    }

    fn copy(&mut self, seq: u64, fact: &CopyFact) {
        let protection = self.tracks.number(&fact.protection);
        let vault = self.vaults.number(&fact.vault);
        // A copy that was not read back is none.
        if fact.blobs_read_back > 0 {
            let subject = (ObligationKind::Copy, Some(protection), Some(vault));
            self.answer(&fact.obligations, subject, (fact.completed, fact.completed));
        }
        let cipher = self.texts.number(&fact.encryption.cipher);
        let key = self.texts.number(&fact.encryption.key);
        let copy = copy_of(fact, seq, [vault, cipher, key]);
        if let Some(track) = self.tracks.at_mut(protection) {
            track.copy(copy);
        }
    }

    fn lose(&mut self, loss: &CopyLoss) {
        let vault = self.vaults.number(&loss.vault);
        if let Some((_, track)) = self.tracks.row(&loss.protection) {
            track.lose(&PointKey::of_id(&loss.point), vault);
        }
    }

    fn expired(&mut self, seq: u64, at: Time, expiry: &Expiry) {
        let vault = self.vaults.number(&expiry.vault);
        let event = u32::try_from(self.events.len()).unwrap_or(u32::MAX);
        self.events.push(Event { seq, at, vault });
        for copy in &expiry.copies {
            let Some((_, track)) = self.tracks.row(&copy.protection) else {
                continue;
            };
            track.last_expired = Some(seq);
            let one = LetGo {
                event,
                vault,
                point: PointKey::of_id(&copy.point),
                snapshot: Digest::of_text(&copy.snapshot),
                erase: copy.erase,
                gone: false,
            };
            ids::append(&mut track.expired, one);
        }
    }

    fn pruned(&mut self, seq: u64, pruning: &Pruning) {
        let Some((vault, one)) = self.vaults.row(&pruning.vault) else {
            return;
        };
        one.pruned(seq, pruning);
        let subject = (ObligationKind::Prune, None, Some(vault));
        let when = (pruning.completed, pruning.completed);
        self.answer(&pruning.obligations, subject, when);
        let snapshots = pruning.snapshots.iter().map(|s| Digest::of_text(s));
        let snapshots: HashSet<Digest> = snapshots.collect();
        let finish = (!self.keeps_all).then_some(self.events.as_slice());
        let tracks = self.tracks.rows_mut();
        for track in tracks.filter(|t| !t.expired.is_empty()) {
            track.pruned(vault, &snapshots, finish);
        }
    }

    fn verification(&mut self, seq: u64, done: &Verification) {
        let vault = self.vaults.number(&done.vault);
        if done.packs_read > 0 || done.complete {
            let subject = (ObligationKind::Verify, None, Some(vault));
            self.answer(&done.obligations, subject, (done.started, done.completed));
        }
        let all = self.keeps_all;
        if let Some(vault) = self.vaults.at_mut(vault) {
            vault.verification(seq, done, all);
        }
    }

    fn key_change(&mut self, seq: u64, change: &KeyChange) {
        let Some((vault, one)) = self.vaults.row(&change.vault) else {
            return;
        };
        one.key_change(seq, change);
        let subject = (ObligationKind::RotateKey, None, Some(vault));
        let when = (change.completed, change.completed);
        self.answer(&change.obligations, subject, when);
    }

    fn drill(&mut self, seq: u64, fact: &DrillResult) {
        let protection = self.tracks.number(&fact.protection);
        let vault = self.vaults.number(&fact.vault);
        let when = (fact.started, fact.ended);
        let subject = (ObligationKind::Drill, Some(protection), None);
        self.answer(&fact.obligations, subject, when);
        if fact.is_green() {
            self.drill_answers(seq, fact);
        }
        if !fact.negative_controls.is_empty() {
            let subject = (ObligationKind::NegativeControl, Some(protection), None);
            self.answer(&fact.obligations, subject, when);
        }
        let rules = self.texts.number(&fact.rules_digest);
        let engine = fact.engine.as_ref().map(|e| self.texts.number(&e.major()));
        let point = PointKey::of_id(&fact.point);
        let known = self.tracks.at_mut(protection);
        let known = known.and_then(|track| track.points.iter().find(|p| p.point == point));
        let drill = Drill {
            seq,
            bytes: known.map_or(0, |known| known.bytes),
            point,
            vault,
            ended: fact.ended,
            achieved_rto: fact.achieved_rto,
            rules,
            engine,
            equal_to: fact.equality.as_ref().map(|e| Equal::of(&e.to)),
            failure: (!fact.is_green()).then(|| super::proof::failure(fact).into()),
        };
        if let Some(track) = self.tracks.at_mut(protection) {
            track.drill(drill);
        }
    }

    /// Where the policy leaves a duty of people to drills, a green one answers it.
    fn drill_answers(&mut self, seq: u64, fact: &DrillResult) {
        let answer = Answer {
            kind: ObligationKind::Duty,
            protection: None,
            vault: None,
            when: Earliest {
                started: fact.started,
                done: fact.ended,
            },
            by_drill: true,
        };
        for id in &fact.obligations {
            if self.obligations.is_of_rule(id) {
                continue;
            }
            self.obligations.answer(std::slice::from_ref(id), answer);
            let key = ObligationKey::of_id(id);
            self.drilled.entry(key).or_insert_with(|| Drilled {
                seq,
                ended: fact.ended,
                protection: fact.protection.clone(),
            });
        }
    }

    fn log(&mut self, seq: u64, log: &LogShipped) {
        if let Some((_, track)) = self.tracks.row(&log.protection) {
            track.log = Some(Box::new((seq, log.clone())));
        }
    }

    fn gap(&mut self, seq: u64, gap: &LogGap) {
        if let Some((_, track)) = self.tracks.row(&gap.protection) {
            track.gap = Some(Box::new((seq, gap.clone())));
        }
    }
}
