//! Random records that a keeper might have written, and some that it would not.

mod others;

use std::path::Path;
use std::sync::OnceLock;

use vouchsafe_model::drill::SandboxRecord;
use vouchsafe_model::fact::{
    CopyFact, CopyLoss, Encryption, ExpiredCopy, Expiry, Pruning, Recorded, RecoveryPoint,
    VaultCoverage, Verification,
};
use vouchsafe_model::locks::{CopyLock, HiddenObject, LockMode};
use vouchsafe_model::manifest::Engine;
use vouchsafe_model::{
    DrillResult, Entry, Fact, Ladder, Obligation, ObligationId, ObligationKind, Outcome,
    PeopleFact, PointId, Policy, ProtectionId, RunId, Rung, RungOutcome, Span, Time, VaultName,
};

/// What to do, on which of several, with which of its variants, after how long.
pub(super) type Step = (u8, u8, u8, u8);

const POLICY: &str = "\
policy: { owner: boss, next_review: 2026-09-30 }
roles: { boss: { people: [ eve@example.com ] }, it: { people: [ ann@example.com ], delegate: boss } }
vaults:
  a: { url: /v/a, region: r1, country: FR }
  b: { url: /v/b, region: r2, country: FR, keys: { rotate: every month }, prune: every week }
tiers: { t: { rpo: 25h, rto: 1h, copies: { min: 2 } } }
systems:
  s: { source: 'files:/data', owner: it, tier: t, location: { region: r0, country: GB },
       schedule: daily at 02:00 UTC, keep: { at_least: 3 days, at_most: 9 days, grace: 1 day },
       copies: [ a, b ], verify: week, drill: month }
  q: { source: 'files:/q', owner: it, schedule: daily at 05:00 UTC, keep: { at_least: 2 days },
       copies: [ b ], verify: { every: week, coverage: 1/4 } }
  hand: { manual: { every: week, accept: '*.zip', copies: a, grace: 1 day }, owner: it }
duties: { look: { every: week, role: it, escalate: { after: 1 day, to: boss } } }
programme: { any: { kind: restore, every: month, of: any, by: it } }
";

const CHANGES: [&[(&str, &str)]; 3] = [
    &[],
    &[
        ("at_least: 3 days, at_most: 9 days", "at_least: 30 days"),
        ("coverage: 1/4", "coverage: 3/4"),
        (
            "daily at 05:00 UTC,",
            "daily at 05:00 UTC, window: { start_within: 2h },",
        ),
    ],
    &[
        ("copies: [ a, b ]", "copies: [ b ]"),
        (
            "keep: { at_least: 2 days }",
            "keep: { at_most: 1 day, last: 2 }",
        ),
        ("verify: week", "verify: { every: week, coverage: 1/2 }"),
        (
            "programme: { any: { kind: restore, every: month, of: any, by: it } }",
            "",
        ),
    ],
];

/// The first is that by which the record was written.
pub(super) fn policies() -> &'static [Policy] {
    static ALL: OnceLock<Vec<Policy>> = OnceLock::new();
    ALL.get_or_init(|| {
        let with = |changes: &[(&str, &str)]| {
            let mut text = POLICY.to_owned();
            for (from, to) in changes {
                assert!(text.contains(from), "{from}");
                text = text.replace(from, to);
            }
            let lowered = crate::lower(&text, "p", Path::new("/p"), "digest".into());
            let policy = lowered.policy;
            policy.unwrap_or_else(|| panic!("{:?}", lowered.problems))
        };
        CHANGES.iter().map(|changes| with(changes)).collect()
    })
}

/// The facts, and a time that is not before any of them.
pub(super) fn record(steps: &[Step]) -> (Vec<Recorded>, Time) {
    let start: Time = "2026-03-01T00:00:00Z".parse().unwrap();
    let mut record = Record {
        facts: Vec::new(),
        now: start,
        horizon: start,
        owed: Vec::new(),
        points: Vec::new(),
        made: 0,
    };
    record.plan();
    for step in steps {
        record.step(*step);
    }
    let end = record.facts.iter().map(|r| r.entry.at).max();
    (record.facts, end.unwrap_or(start))
}

struct Lying {
    vault: &'static str,
    snapshot: String,
    let_go: bool,
    gone: bool,
}

struct Known {
    id: PointId,
    protection: ProtectionId,
    completed: Time,
    /// Whether its fact was written already.
    is_told: bool,
    copies: Vec<Lying>,
}

impl Known {
    /// Nothing of it is left: no later fact of a keeper speaks of it.
    fn is_over(&self) -> bool {
        !self.copies.is_empty() && self.copies.iter().all(|c| c.gone)
    }
}

struct Record {
    facts: Vec<Recorded>,
    now: Time,
    horizon: Time,
    owed: Vec<Obligation>,
    points: Vec<Known>,
    made: u64,
}

fn run() -> RunId {
    RunId::new("r-1").unwrap()
}

fn vault(n: u8) -> &'static str {
    ["a", "b", "b", "c"][usize::from(n % 4)]
}

fn name(vault: &str) -> VaultName {
    VaultName::new(vault).unwrap()
}

fn digest(n: u64) -> String {
    format!("{n:064x}")
}

impl Record {
    fn add(&mut self, fact: Fact) {
        let entry = Entry {
            v: 1,
            at: self.now,
            actor: String::new(),
            tool: String::new(),
            fact,
        };
        let seq = self.facts.len() as u64;
        self.facts.push(Recorded { seq, entry });
    }

    fn people(&mut self, fact: PeopleFact) {
        self.add(Fact::People(fact));
    }

    /// Writes down what is owed for some days.
    fn plan(&mut self) {
        let until = self.now.plus(Span::from_days(3));
        if until <= self.horizon {
            return;
        }
        for owed in crate::obligations(&policies()[0], self.horizon, until) {
            if self.owed.iter().all(|old| old.id != owed.id) {
                self.owed.push(owed.clone());
                self.add(Fact::ObligationDue(owed));
            }
        }
        self.horizon = until;
        self.add(Fact::Horizon { until });
    }

    fn step(&mut self, (what, which, how, wait): Step) {
        let minutes = u64::from(wait) * 3;
        self.now = match what {
            // A clock that is set back.
            250.. => self.now.minus(Span::from_mins(minutes * 4)),
            _ => self.now.plus(Span::from_mins(minutes)),
        };
        match what % 32 {
            0..=5 => self.plan(),
            6..=8 => self.capture(which, how),
            9..=13 => self.copy(which, how),
            14 => self.verify(which, how),
            15 => self.drill(which, how),
            16..=19 => self.expire(which, how),
            20..=22 => self.prune(which, how),
            23 => self.lose(which, how),
            24 => self.withdraw(which, how),
            25 => self.owe_anew(which, how),
            26 => self.attest(which, how),
            27 => self.case(which, how),
            28 => self.hold(which, how),
            29 => self.of_vault(which, how),
            30 => self.cover(which, how),
            _ => self.add(Fact::Break {
                reason: "moved".into(),
                vault: None,
                tree_size: None,
            }),
        }
    }

    /// Some of the obligations that were written down last, of that kind if `how` says so.
    fn ids(&self, kind: ObligationKind, of: Option<&ProtectionId>, how: u8) -> Vec<ObligationId> {
        let fits = |o: &&Obligation| {
            let is_mine = of.is_none() || o.protection.is_none() || o.protection.as_ref() == of;
            o.kind == kind && is_mine && o.opens <= self.now
        };
        let mut ids: Vec<ObligationId> = match how % 8 {
            0 => Vec::new(),
            1 => self
                .owed
                .iter()
                .rev()
                .skip(usize::from(how / 8))
                .take(2)
                .map(|o| o.id.clone())
                .collect(),
            2 => self
                .owed
                .iter()
                .rev()
                .filter(fits)
                .take(4)
                .map(|o| o.id.clone())
                .collect(),
            _ => self
                .owed
                .iter()
                .rev()
                .filter(fits)
                .skip(usize::from(how / 100))
                .take(1)
                .map(|o| o.id.clone())
                .collect(),
        };
        if how == 255 {
            ids.push(ObligationId::new("o-unknown").unwrap());
        }
        ids
    }

    fn ago(&self, n: u8) -> Time {
        self.now.minus(Span::from_mins(u64::from(n % 16) * 20))
    }

    fn pick(&mut self, which: u8) -> Option<&mut Known> {
        let mut left: Vec<&mut Known> = self
            .points
            .iter_mut()
            .rev()
            .filter(|p| !p.is_over())
            .collect();
        match left.len() {
            0 => None,
            n => Some(left.swap_remove(usize::from(which) % n.min(8))),
        }
    }

    fn new_point(&mut self, which: u8) -> usize {
        self.made += 1;
        let system = ["s/main", "q/main", "s/main", "hand/main"][usize::from(which % 4)];
        let id = match which {
            200.. => format!("point-{}", self.made),
            _ => format!("p-{:016x}", self.made),
        };
        self.points.push(Known {
            id: PointId::new(id).unwrap(),
            protection: system.parse().unwrap(),
            completed: self.now,
            is_told: false,
            copies: Vec::new(),
        });
        self.points.len() - 1
    }

    fn capture(&mut self, which: u8, how: u8) {
        let waiting = self.points.iter().position(|p| !p.is_told && !p.is_over());
        let again = self.points.iter().rposition(|p| how > 250 && !p.is_over());
        let at = again.or(waiting).unwrap_or_else(|| self.new_point(which));
        let (id, protection) = (
            self.points[at].id.clone(),
            self.points[at].protection.clone(),
        );
        self.points[at].is_told = true;
        self.points[at].completed = self.ago(which / 8);
        let done = self.points[at].completed;
        let obligations = self.ids(ObligationKind::Capture, Some(&protection), how);
        let outcome = if how % 9 == 8 {
            Outcome::Incomplete
        } else {
            Outcome::Done
        };
        let tree = if how % 13 == 12 {
            digest(7)
        } else {
            format!("tree-{id}")
        };
        self.add(Fact::RecoveryPoint(RecoveryPoint {
            point: id,
            protection,
            run: run(),
            obligations,
            started: done.minus(Span::from_mins(u64::from(how) * 2)),
            content_time: done.minus(Span::from_mins(u64::from(how))),
            completed: done,
            outcome,
            issues: Vec::new(),
            issue_count: u64::from(how % 9 == 8),
            items: 1,
            bytes: 1,
            tree,
            manifest: None,
            schema: (!how.is_multiple_of(4)).then(|| format!("schema-{}", which / 100)),
            engine: engine(how),
        }));
    }

    fn copy(&mut self, which: u8, how: u8) {
        if which == 255 {
            self.new_point(how);
        }
        self.made += 1;
        let snapshot = if how == 254 {
            "odd".into()
        } else {
            digest(self.made)
        };
        let vault = vault(how);
        let Some(known) = self.pick(which) else {
            return;
        };
        known.copies.push(Lying {
            vault,
            snapshot: snapshot.clone(),
            let_go: false,
            gone: false,
        });
        let (point, protection) = (known.id.clone(), known.protection.clone());
        let obligations = self.ids(ObligationKind::Copy, Some(&protection), how / 2);
        let until = self.now.plus(Span::from_days(4));
        self.add(Fact::Copy(CopyFact {
            tree: if how % 17 == 16 {
                digest(9)
            } else {
                format!("tree-{point}")
            },
            point,
            protection,
            vault: name(vault),
            snapshot,
            run: run(),
            obligations,
            completed: self.ago(how / 16),
            added_bytes: 1,
            blobs_read_back: u64::from(!how.is_multiple_of(11)),
            encryption: Encryption {
                cipher: "AES".into(),
                key: format!("k{}", which / 90),
                probed: !how.is_multiple_of(7),
            },
            lock: (how % 5 == 4).then_some(CopyLock {
                mode: LockMode::Compliance,
                until: Some(until),
                objects: 3,
                unlocked: u64::from(which % 2),
            }),
            region: None,
            country: None,
        }));
    }

    fn verify(&mut self, which: u8, how: u8) {
        let vault = vault(which);
        let obligations = self.ids(ObligationKind::Verify, None, how / 3);
        let packs_read = u64::from(how % 9);
        self.add(Fact::Verification(Verification {
            vault: name(vault),
            run: run(),
            obligations,
            started: self.ago(which / 4).minus(Span::from_mins(5)),
            completed: self.ago(which / 4),
            packs_total: u64::from(which % 7) + 2,
            packs_read,
            bytes_read: 8,
            complete: how % 4 == 3,
            problems: match how % 5 {
                4 => vec![crate::assess::tests::world::issue("packs/ab")],
                _ => Vec::new(),
            },
        }));
    }

    fn cover(&mut self, which: u8, how: u8) {
        self.add(Fact::Coverage(VaultCoverage {
            vault: name(vault(which)),
            run: run(),
            memory: String::new(),
            bytes_total: 100,
            within: Span::from_days(28),
            bytes_within: u64::from(how % 100),
            oldest: None,
            packs_never: u64::from(how % 3 == 2),
            packs_damaged: 0,
        }));
    }

    fn drill(&mut self, which: u8, how: u8) {
        let Some(known) = self.pick(which) else {
            return;
        };
        let (point, protection) = (known.id.clone(), known.protection.clone());
        let mut obligations = self.ids(ObligationKind::Drill, Some(&protection), how);
        obligations.extend(self.ids(ObligationKind::Duty, None, which));
        let found = policies()[usize::from(how % 3)].protection(&protection);
        let rung = Rung {
            name: "bytes".into(),
            question: "are the bytes the same?".into(),
            expected: "abc".into(),
            actual: "abc".into(),
            outcome: if how % 5 == 4 {
                RungOutcome::Red
            } else {
                RungOutcome::Green
            },
        };
        self.add(Fact::Drill(DrillResult {
            run: run(),
            protection,
            point,
            vault: name(vault(which)),
            obligations,
            started: self.ago(how / 8).minus(Span::from_mins(30)),
            ended: self.ago(how / 8),
            seed: None,
            moment: None,
            equality: None,
            ladder: Ladder { rungs: vec![rung] },
            phases: Vec::new(),
            achieved_rto: Span::from_mins(u64::from(which)),
            target_rto: None,
            bytes: 1,
            sandbox: SandboxRecord {
                isolation: "none".into(),
                destroyed: true,
            },
            negative_controls: Vec::new(),
            rules_digest: found.map(|(_, p)| p.rules_digest()).unwrap_or_default(),
            engine: engine(how),
        }));
    }

    fn expire(&mut self, which: u8, how: u8) {
        let vault = vault(how);
        let mut copies = Vec::new();
        // Those of the oldest points, or one of any age.
        let many = usize::from(which % 5) + 1;
        let old = self.points.iter_mut().filter(|p| !p.is_over());
        let old = old.skip(usize::from(which / 64)).take(many);
        for known in old {
            let (point, protection) = (known.id.clone(), known.protection.clone());
            for copy in known
                .copies
                .iter_mut()
                .filter(|c| c.vault == vault && !c.let_go)
            {
                copy.let_go = true;
                copies.push(ExpiredCopy {
                    point: point.clone(),
                    protection: protection.clone(),
                    snapshot: copy.snapshot.clone(),
                    tree: String::new(),
                    reason: String::new(),
                    erase: !how.is_multiple_of(3),
                });
            }
        }
        let vault = name(vault);
        self.add(Fact::Expired(Expiry {
            vault,
            run: run(),
            copies,
        }));
    }

    fn prune(&mut self, which: u8, how: u8) {
        let vault = vault(which);
        let all = self.points.iter_mut().flat_map(|p| &mut p.copies);
        let mut snapshots = Vec::new();
        for copy in all.filter(|c| c.vault == vault && c.let_go && !c.gone) {
            if how % 4 == 3 && snapshots.len() > 1 {
                break;
            }
            copy.gone = true;
            snapshots.push(copy.snapshot.clone());
        }
        let hidden = |n: u8| HiddenObject {
            object: format!("packs/{n}"),
            until: (!n.is_multiple_of(3)).then(|| self.now.plus(Span::from_days(u64::from(n)))),
        };
        let fact = Pruning {
            vault: name(vault),
            run: run(),
            obligations: self.ids(ObligationKind::Prune, None, how / 3),
            completed: self.now,
            mode: "locked".into(),
            snapshots,
            packs_removed: 1,
            bytes_freed: 1,
            bytes_rewritten: 1,
            pending: Vec::new(),
            unknown_kept: 0,
            refused: Vec::new(),
            hidden: (0..how % 6 / 4).map(|n| hidden(n + how / 100)).collect(),
            erased: (0..how % 5).map(|n| format!("packs/{n}")).collect(),
        };
        self.add(Fact::Pruned(fact));
    }

    fn lose(&mut self, which: u8, how: u8) {
        let found = self.now;
        let Some(known) = self.pick(which) else {
            return;
        };
        let loss = CopyLoss {
            point: known.id.clone(),
            protection: known.protection.clone(),
            vault: name(vault(how)),
            snapshot: String::new(),
            run: run(),
            found,
            lost: 1,
            issues: Vec::new(),
        };
        self.add(Fact::CopyLost(loss));
    }

    fn withdraw(&mut self, which: u8, how: u8) {
        let late = self.owed.iter().rev().skip(usize::from(which % 16));
        let obligations = late
            .take(usize::from(how % 5))
            .map(|o| o.id.clone())
            .collect();
        self.add(Fact::ObligationsWithdrawn {
            obligations,
            policy: "other".into(),
        });
    }

    /// What was owed is written down again, by another time, as the same or under an id of its own.
    fn owe_anew(&mut self, which: u8, how: u8) {
        let Some(old) = self.owed.iter().rev().nth(usize::from(which % 24)) else {
            return;
        };
        let mut again = old.clone();
        again.due = again.due.plus(Span::from_mins(u64::from(how % 8) * 60));
        if how > 230 {
            again.id = ObligationId::new(format!("other-{}", self.made)).unwrap();
            self.made += 1;
            self.owed.push(again.clone());
        }
        self.add(Fact::ObligationDue(again));
    }
}

fn engine(how: u8) -> Option<Engine> {
    (!how.is_multiple_of(3)).then(|| Engine {
        name: "postgres".into(),
        version: format!("{}.1", 15 + how / 200),
    })
}
