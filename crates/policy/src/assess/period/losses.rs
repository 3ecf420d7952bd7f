//! What would have been lost at each moment of a period, from the comings and goings of copies.

use std::collections::{BTreeMap, HashMap};

use vouchsafe_model::fact::Recorded;
use vouchsafe_model::period::RpoTurn;
use vouchsafe_model::policy::{Protection, System};
use vouchsafe_model::{
    Fact, LogShipped, Outcome, PointId, Policy, ProtectionId, Span, Time, VaultName,
};

use crate::assess::is_outside;

/// A copy came or went.
struct Move<'f> {
    at: Time,
    seq: u64,
    vault: &'f VaultName,
    what: What<'f>,
}

#[derive(Clone, Copy)]
enum What<'f> {
    /// A whole copy of a complete point, with the moment whose state it holds.
    Came(&'f str, &'f PointId, Time),
    /// The copy of that snapshot was let go.
    Went(&'f str),
    /// Every copy of that point has lost data.
    Broke(&'f PointId),
}

/// What concerns each protection.
#[derive(Default)]
struct Track<'f> {
    moves: Vec<Move<'f>>,
    logs: Vec<&'f LogShipped>,
    gaps: Vec<Time>,
}

/// All comings and goings, by the protection whose copies they are.
pub(super) struct Moves<'f> {
    policy: &'f Policy,
    tracks: HashMap<&'f ProtectionId, Track<'f>>,
}

/// What would have been lost over a period.
#[derive(Default)]
pub(super) struct Losses {
    /// From when on it is measured; nothing if it is not.
    pub(super) from: Option<Time>,
    /// The most, and when.
    pub(super) worst: Option<(Span, Time)>,
    /// How long there was no copy.
    pub(super) without: Span,
    /// Its course.
    pub(super) turns: Vec<RpoTurn>,
    /// The most with the log, by the best vault.
    pub(super) worst_log: Option<Span>,
    /// Whether a part of the log was found to be missing.
    pub(super) log_gap: bool,
}

impl<'f> Moves<'f> {
    pub(super) fn of(policy: &'f Policy, facts: &'f [Recorded], as_of: Time) -> Moves<'f> {
        let mut points: HashMap<&PointId, (Time, &str)> = HashMap::new();
        let mut tracks: HashMap<&ProtectionId, Track<'f>> = HashMap::new();
        for r in facts.iter().filter(|r| r.entry.at <= as_of) {
            let seq = r.seq;
            let mut put = |of: &'f ProtectionId, at, vault, what| {
                let moves = &mut tracks.entry(of).or_default().moves;
                moves.push(Move {
                    at,
                    seq,
                    vault,
                    what,
                });
            };
            match &r.entry.fact {
                Fact::RecoveryPoint(p) if p.outcome == Outcome::Done => {
                    points.insert(&p.point, (p.content_time, p.tree.as_str()));
                }
                // What was not read back, or is not the point, is no copy.
                Fact::Copy(c) if c.blobs_read_back > 0 => {
                    let point = points.get(&c.point).filter(|(_, tree)| *tree == c.tree);
                    if let Some((content, _)) = point {
                        let came = What::Came(&c.snapshot, &c.point, *content);
                        put(&c.protection, c.completed, &c.vault, came);
                    }
                }
                Fact::CopyLost(l) => {
                    put(&l.protection, l.found, &l.vault, What::Broke(&l.point));
                }
                Fact::Expired(e) => {
                    for copy in &e.copies {
                        let went = What::Went(&copy.snapshot);
                        put(&copy.protection, r.entry.at, &e.vault, went);
                    }
                }
                Fact::LogShipped(l) => tracks.entry(&l.protection).or_default().logs.push(l),
                Fact::LogGap(g) => tracks.entry(&g.protection).or_default().gaps.push(g.found),
                _ => {}
            }
        }
        for track in tracks.values_mut() {
            track.moves.sort_by_key(|m| (m.at, m.seq));
        }
        Moves { policy, tracks }
    }

    /// What would have been lost of one protection, from the later of `from` and the time by which its first copy had
    /// to be there (or was there), up to the earlier of `to` and `as_of`.
    pub(super) fn losses(
        &self,
        (system, protection): (&System, &Protection),
        first_due: Option<Time>,
        (from, to): (Time, Time),
        as_of: Time,
    ) -> Losses {
        let empty = Track::default();
        let track = self.tracks.get(&protection.id).unwrap_or(&empty);
        let outside = |vault: &VaultName| {
            let vault = self.policy.vaults.get(vault);
            vault.is_some_and(|v| is_outside(system, &v.location))
        };
        let moves: Vec<&Move<'_>> = track.moves.iter().filter(|m| outside(m.vault)).collect();
        let first = moves.iter().map(|m| m.at).min();
        let end = to.min(as_of);
        let begun = match (first, first_due) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let Some(start) = begun.map(|b| b.max(from)).filter(|s| *s < end) else {
            return Losses::default();
        };
        let mut course = Course {
            copies: Copies::default(),
            cursor: start,
            losses: Losses {
                from: Some(start),
                ..Losses::default()
            },
        };
        let (before, after): (Vec<&Move<'_>>, Vec<&Move<'_>>) =
            moves.into_iter().partition(|m| m.at <= start);
        before.into_iter().for_each(|m| course.copies.take(m));
        course.mark(start);
        for one in after.into_iter().filter(|m| m.at < end) {
            course.step(one);
        }
        course.close(end);
        course.mark(end);
        let mut losses = course.losses;
        let within = |at: Time| from <= at && at < to;
        let logs = track.logs.iter().filter(|l| within(l.until));
        losses.worst_log = logs
            .filter_map(|l| worst_log(l, protection, &outside))
            .max();
        losses.log_gap = track.gaps.iter().any(|found| within(*found));
        losses
    }
}

/// The most that would have been lost in the time of one record, by the vault that would have lost least.
fn worst_log(
    log: &LogShipped,
    protection: &Protection,
    outside: &impl Fn(&VaultName) -> bool,
) -> Option<Span> {
    let named = |vault: &VaultName| protection.copies.iter().any(|c| c.vault == *vault);
    let copies = log.copies.iter();
    copies
        .filter(|c| named(&c.vault) && outside(&c.vault))
        .filter_map(|c| {
            let at_the_end = c.newest_commit.map(|t| log.until.since(t));
            c.worst.max(at_the_end)
        })
        .min()
}

/// The copies that are there at one moment.
#[derive(Default)]
struct Copies<'f> {
    there: BTreeMap<(&'f VaultName, &'f str), (&'f PointId, Time)>,
    contents: BTreeMap<Time, usize>,
}

impl<'f> Copies<'f> {
    fn take(&mut self, one: &Move<'f>) {
        match one.what {
            What::Came(snapshot, point, content) => {
                self.remove((one.vault, snapshot));
                self.there.insert((one.vault, snapshot), (point, content));
                *self.contents.entry(content).or_default() += 1;
            }
            What::Went(snapshot) => self.remove((one.vault, snapshot)),
            What::Broke(point) => {
                let broken = |((vault, snapshot), (of, _)): (
                    &(&'f VaultName, &'f str),
                    &(&'f PointId, Time),
                )| {
                    (*vault == one.vault && *of == point).then_some((*vault, *snapshot))
                };
                let broken: Vec<_> = self.there.iter().filter_map(broken).collect();
                broken.into_iter().for_each(|key| self.remove(key));
            }
        }
    }

    fn remove(&mut self, key: (&'f VaultName, &'f str)) {
        let Some((_, content)) = self.there.remove(&key) else {
            return;
        };
        if let Some(left) = self.contents.get_mut(&content) {
            *left -= 1;
            if *left == 0 {
                self.contents.remove(&content);
            }
        }
    }

    /// The youngest content.
    fn best(&self) -> Option<Time> {
        self.contents.keys().next_back().copied()
    }
}

struct Course<'f> {
    copies: Copies<'f>,
    cursor: Time,
    losses: Losses,
}

impl<'f> Course<'f> {
    fn step(&mut self, one: &Move<'f>) {
        let before = self.copies.best();
        self.copies.take(one);
        let after = self.copies.best();
        if before == after {
            return;
        }
        self.stretch(one.at, before);
        self.losses.turns.push(RpoTurn {
            at: one.at,
            before: before.map(|c| one.at.since(c)),
            after: after.map(|c| one.at.since(c)),
        });
    }

    fn close(&mut self, end: Time) {
        self.stretch(end, self.copies.best());
    }

    /// From the cursor up to `at` the best content was `best`: what would have been lost grew until then.
    fn stretch(&mut self, at: Time, best: Option<Time>) {
        match best {
            Some(content) => {
                let lost = at.since(content);
                if self.losses.worst.is_none_or(|(most, _)| lost > most) {
                    self.losses.worst = Some((lost, at));
                }
            }
            None => {
                let without = self.losses.without.micros() + at.since(self.cursor).micros();
                self.losses.without = Span::from_micros(without);
            }
        }
        self.cursor = at;
    }

    /// The beginning and the end of the course.
    fn mark(&mut self, at: Time) {
        let lost = self.copies.best().map(|c| at.since(c));
        self.losses.turns.push(RpoTurn {
            at,
            before: lost,
            after: lost,
        });
    }
}
