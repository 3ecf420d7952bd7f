//! What concerns one protection: its points with their copies and drills, its log.

use std::collections::HashSet;

use vouchsafe_model::fact::{CopyFact, Outcome};
use vouchsafe_model::locks::CopyLock;
use vouchsafe_model::{EqualTo, EqualityRule, LogGap, LogShipped, Span, Time};

use crate::assess::projection::ids::{Digest, Name, PointKey, append};
use crate::assess::projection::past::{Event, Gone, Past};

/// A recovery point, as far as it is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::assess) struct Point {
    pub(in crate::assess) seq: u64,
    pub(in crate::assess) point: PointKey,
    pub(in crate::assess) started: Time,
    pub(in crate::assess) content_time: Time,
    pub(in crate::assess) completed: Time,
    pub(in crate::assess) outcome: Outcome,
    pub(in crate::assess) tree: Digest,
    pub(in crate::assess) schema: Option<Name>,
    /// The major version of the engine that held the data.
    pub(in crate::assess) engine: Option<Name>,
    pub(in crate::assess) bytes: u64,
}

/// What was said last of any point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::assess) struct LastPoint {
    pub(in crate::assess) seq: u64,
    pub(in crate::assess) content_time: Time,
    pub(in crate::assess) completed: Time,
    pub(in crate::assess) outcome: Outcome,
    pub(in crate::assess) issue_count: u64,
}

/// A copy of a point in a vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::assess) struct Copy {
    pub(in crate::assess) seq: u64,
    pub(in crate::assess) point: PointKey,
    pub(in crate::assess) vault: Name,
    pub(in crate::assess) snapshot: Digest,
    pub(in crate::assess) tree: Digest,
    pub(in crate::assess) completed: Time,
    pub(in crate::assess) cipher: Name,
    pub(in crate::assess) key: Name,
    pub(in crate::assess) probed: bool,
    /// It is none: nothing of it was read back, or it was found to have lost data since. It is waited for all the same
    /// until it is let go and removed.
    pub(in crate::assess) void: bool,
    pub(in crate::assess) lock: Option<Box<CopyLock>>,
}

/// A copy that was let go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::assess) struct LetGo {
    pub(super) event: u32,
    pub(in crate::assess) vault: Name,
    pub(in crate::assess) point: PointKey,
    pub(in crate::assess) snapshot: Digest,
    pub(in crate::assess) erase: bool,
    /// Whether it was removed since.
    pub(in crate::assess) gone: bool,
}

/// A drill, as far as it is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::assess) struct Drill {
    pub(in crate::assess) seq: u64,
    pub(in crate::assess) point: PointKey,
    pub(in crate::assess) vault: Name,
    pub(in crate::assess) ended: Time,
    pub(in crate::assess) achieved_rto: Span,
    pub(in crate::assess) rules: Name,
    /// The major version of the engine that opened the data.
    pub(in crate::assess) engine: Option<Name>,
    /// How large its point was; 0 if the record did not know the point.
    pub(in crate::assess) bytes: u64,
    /// To what it was found equal, if it was held against anything.
    pub(in crate::assess) equal_to: Option<Equal>,
    /// What failed; nothing if it is green.
    pub(in crate::assess) failure: Option<Box<str>>,
}

/// To what a drilled moment was found equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::assess) struct Equal {
    /// To what a standby held, and not to another vault's copy.
    pub(in crate::assess) is_standby: bool,
    pub(in crate::assess) text: Box<str>,
}

impl Equal {
    pub(super) fn of(to: &EqualTo) -> Equal {
        Equal {
            is_standby: matches!(to, EqualTo::Standby { .. }),
            text: to.to_string().into(),
        }
    }

    /// Whether it is what a policy asks for.
    pub(in crate::assess) fn answers(&self, asked: &EqualityRule) -> bool {
        self.is_standby == matches!(asked, EqualityRule::Standby(_))
    }
}

impl Drill {
    pub(in crate::assess) fn is_green(&self) -> bool {
        self.failure.is_none()
    }
}

/// One protection, in the order of the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::assess) struct Track {
    pub(in crate::assess) points: Vec<Point>,
    pub(in crate::assess) last_point: Option<LastPoint>,
    /// The void ones among them.
    pub(in crate::assess) copies: Vec<Copy>,
    /// When the first copy came into each vault, whatever became of it.
    pub(in crate::assess) first: Vec<(Name, Time)>,
    pub(in crate::assess) drills: Vec<Drill>,
    /// The one that ended last, of whichever point.
    pub(in crate::assess) last_drill: Option<Drill>,
    /// What was said last of its log.
    pub(in crate::assess) log: Option<Box<(u64, LogShipped)>>,
    /// The last gap in its log.
    pub(in crate::assess) gap: Option<Box<(u64, LogGap)>>,
    /// Copies that were let go, of points of which something is left.
    pub(in crate::assess) expired: Vec<LetGo>,
    pub(super) past: Past,
    /// The fact by which a copy was let go last.
    pub(in crate::assess) last_expired: Option<u64>,
    /// The rules of its obligations.
    pub(super) rules: Vec<Name>,
}

impl Track {
    pub(super) fn point(&mut self, point: Point, issue_count: u64) {
        self.last_point = Some(LastPoint {
            seq: point.seq,
            content_time: point.content_time,
            completed: point.completed,
            outcome: point.outcome,
            issue_count,
        });
        append(&mut self.points, point);
    }

    pub(super) fn copy(&mut self, copy: Copy) {
        if !copy.void && self.first.iter().all(|(vault, _)| *vault != copy.vault) {
            append(&mut self.first, (copy.vault, copy.completed));
        }
        append(&mut self.copies, copy);
    }

    /// A copy that has lost data is none, until it was read back anew.
    pub(super) fn lose(&mut self, point: &PointKey, vault: Name) {
        for copy in &mut self.copies {
            copy.void |= copy.point == *point && copy.vault == vault;
        }
    }

    pub(super) fn drill(&mut self, drill: Drill) {
        let last = self.last_drill.as_ref();
        if last.is_none_or(|last| (last.ended, last.seq) <= (drill.ended, drill.seq)) {
            self.last_drill = Some(drill.clone());
        }
        append(&mut self.drills, drill);
    }

    /// Snapshots are gone from a vault. If `finish` says so, points of which with that nothing is left are done with.
    pub(super) fn pruned(
        &mut self,
        vault: Name,
        snapshots: &HashSet<Digest>,
        finish: Option<&[Event]>,
    ) {
        let mut touched: Vec<PointKey> = Vec::new();
        for one in &mut self.expired {
            if one.vault == vault && !one.gone && snapshots.contains(&one.snapshot) {
                one.gone = true;
                touched.push(one.point.clone());
            }
        }
        let Some(events) = finish.filter(|_| !touched.is_empty()) else {
            return;
        };
        let done: HashSet<PointKey> = touched.into_iter().filter(|p| self.is_over(p)).collect();
        if !done.is_empty() {
            self.finish(&done, events);
        }
    }

    /// Whether every copy that there ever was of a known point was let go and removed, and no other point has to do
    /// with their snapshots.
    fn is_over(&self, point: &PointKey) -> bool {
        let mut let_go = self
            .expired
            .iter()
            .filter(|one| one.point == *point)
            .peekable();
        if let_go.peek().is_none() || !let_go.all(|one| one.gone) {
            return false;
        }
        let is_same =
            |one: &LetGo, copy: &Copy| one.vault == copy.vault && one.snapshot == copy.snapshot;
        let mine = || self.expired.iter().filter(|one| one.point == *point);
        self.points.iter().any(|p| p.point == *point)
            && self.copies.iter().all(|copy| match copy.point == *point {
                true => {
                    let first = self.expired.iter().find(|one| is_same(one, copy));
                    first.is_some_and(|one| one.gone)
                }
                false => !mine().any(|one| is_same(one, copy)),
            })
    }

    fn finish(&mut self, done: &HashSet<PointKey>, events: &[Event]) {
        let mut gone: Vec<Gone> = Vec::new();
        for one in self.expired.iter().filter(|one| done.contains(&one.point)) {
            let point = self.points.iter().find(|p| p.point == one.point);
            gone.extend(point.map(|point| Gone {
                event: one.event,
                completed: point.completed,
                erase: one.erase,
            }));
        }
        gone.sort_by_key(|one| (one.completed, one.event));
        for one in gone {
            let event = usize::try_from(one.event).ok().and_then(|n| events.get(n));
            if let Some(event) = event {
                self.past.put(one, event.at);
            }
        }
        self.expired.retain(|one| !done.contains(&one.point));
        self.points.retain(|p| !done.contains(&p.point));
        self.copies.retain(|c| !done.contains(&c.point));
        self.drills.retain(|d| !done.contains(&d.point));
    }
}

/// A copy, with its vault, its cipher and its key by number.
pub(super) fn copy_of(fact: &CopyFact, seq: u64, names: [Name; 3]) -> Copy {
    let [vault, cipher, key] = names;
    Copy {
        seq,
        point: PointKey::of_id(&fact.point),
        vault,
        snapshot: Digest::of_text(&fact.snapshot),
        tree: Digest::of_text(&fact.tree),
        completed: fact.completed,
        cipher,
        key,
        probed: fact.encryption.probed,
        void: fact.blobs_read_back == 0,
        lock: fact.lock.clone().map(Box::new),
    }
}
