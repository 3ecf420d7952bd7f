//! How fast a long record of many systems is folded, how much memory that takes, and how fast all are judged by it:
//! `projection [SYSTEMS] [DAYS]`.
//!
//! Each system is captured daily into one vault and copied into another, kept 35 days, pruned weekly, verified weekly
//! and drilled quarterly, each answer at a time of its own.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used
)]

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use vouchsafe_model::drill::SandboxRecord;
use vouchsafe_model::fact::{
    CopyFact, Encryption, ExpiredCopy, Expiry, Pruning, Recorded, RecoveryPoint, Verification,
};
use vouchsafe_model::{
    DrillResult, Entry, Fact, Ladder, Obligation, ObligationId, ObligationKind, Outcome, PointId,
    Policy, ProtectionId, RunId, Rung, RungOutcome, Span, Time, VaultName,
};
use vouchsafe_policy::{Projection, assess_projection};

/// Facts that are folded at a time.
const BATCH: usize = 2_000;
const KEPT: u64 = 35;
const DAY: Span = Span::from_days(1);

fn main() {
    let mut args = std::env::args().skip(1);
    let mut number = |usual| args.next().map_or(usual, |n| n.parse().expect("a number"));
    let (systems, days): (u64, u64) = (number(10_000), number(400));
    let start: Time = "2026-01-05T00:00:00Z".parse().unwrap();
    let policy = policy(systems);
    let (before, _) = memory();
    let mut site = Site::new(
        &policy,
        systems,
        start,
        start.plus(Span::from_days(days + 3)),
    );
    for day in 0..days {
        site.day(day);
    }
    site.fold();
    let (after, _) = memory();
    let count = site.projection.entries();
    let a_second = |took: Duration| count as f64 / took.as_secs_f64();
    println!("{systems} systems, {days} days, two vaults");
    println!(
        "folded: {count} facts in {}: {:.0} a second, {:.0} of processor time",
        site.took,
        a_second(site.took.wall),
        a_second(site.took.work)
    );
    println!("memory before, for the policy: {} MiB", before / 1024);
    println!(
        "memory for the projection: {} MiB",
        after.saturating_sub(before) / 1024
    );
    let now = site.projection.latest().unwrap();
    for _ in 0..3 {
        let mut took = Took::default();
        let said = took.add(|| assess_projection(&policy, &site.projection, now));
        let said = said.expect("nothing is later");
        let (all, verdict, counts) = (said.protections.len(), said.verdict, said.obligations);
        println!("judged: {all} protections in {took}; {verdict:?}, {counts:?}");
    }
    println!("most memory at any time: {} MiB", memory().1 / 1024);
}

/// Time that passed, and that of it in which the processor worked for us: on a busy machine these differ.
#[derive(Default)]
struct Took {
    wall: Duration,
    work: Duration,
}

impl Took {
    fn add<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let (start, before) = (Instant::now(), worked());
        let out = work();
        self.wall += start.elapsed();
        self.work += worked().saturating_sub(before);
        out
    }
}

impl std::fmt::Display for Took {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (wall, work) = (self.wall.as_secs_f64(), self.work.as_secs_f64());
        write!(f, "{wall:.3} s ({work:.3} s of processor time)")
    }
}

fn worked() -> Duration {
    let text = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
}

/// What the process holds and the most that it has held, in KiB.
fn memory() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let of = |name: &str| {
        let line = status.lines().find(|l| l.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    (of("VmRSS:"), of("VmHWM:"))
}

fn policy(systems: u64) -> Policy {
    let mut text = "\
vaults: { a: { url: /v/a, region: r1 }, b: { url: /v/b, region: r2 } }
tiers: { t: { rpo: 26h, rto: 1h, copies: { min: 2 } } }
systems:
"
    .to_owned();
    for n in 0..systems {
        writeln!(
            text,
            "  s{n}: {{ source: 'files:/data/{n}', owner: me, tier: t, location: {{ region: r0 }}, \
             schedule: daily at 02:00 UTC, keep: {{ at_least: {KEPT} days, at_most: {} days, grace: 1 day }}, \
             copies: [ a, b ], verify: week, drill: quarter }}",
            KEPT + 10
        )
        .unwrap();
    }
    let lowered = vouchsafe_policy::lower(&text, "p", Path::new("/p"), "digest".into());
    lowered.policy.expect("a policy")
}

struct Site {
    systems: u64,
    start: Time,
    now: Time,
    seq: u64,
    ids: Vec<ProtectionId>,
    /// What one system owes, in order of opening.
    owed: Vec<Obligation>,
    written: usize,
    rules: Vec<String>,
    batch: Vec<Recorded>,
    projection: Projection,
    took: Took,
}

/// Bytes that look random, always the same for the same.
fn mix(a: u64, b: u64) -> u64 {
    let mut x = a.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ b.wrapping_mul(0xd6e8_feb8_6659_fd93);
    for _ in 0..3 {
        x = (x ^ (x >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    }
    x ^ (x >> 32)
}

fn digest(a: u64, b: u64, what: u64) -> String {
    (0..4)
        .map(|n| format!("{:016x}", mix(mix(a, b), what * 4 + n)))
        .collect()
}

fn point(system: u64, day: u64) -> PointId {
    PointId::from_random(mix(system, day).to_be_bytes())
}

fn vault(n: u64) -> VaultName {
    VaultName::new(if n == 0 { "a" } else { "b" }).unwrap()
}

fn run() -> RunId {
    RunId::from_random([7; 8])
}

impl Site {
    fn new(policy: &Policy, systems: u64, start: Time, end: Time) -> Site {
        let ids: Vec<ProtectionId> = (0..systems)
            .map(|n| format!("s{n}/main").parse().unwrap())
            .collect();
        let of = |id: &ProtectionId| policy.protection(id).unwrap().1.rules_digest();
        let one = self::policy(1);
        Site {
            systems,
            start,
            now: start,
            seq: 0,
            rules: ids.iter().map(of).collect(),
            owed: vouchsafe_policy::obligations(&one, start, end),
            ids,
            written: 0,
            batch: Vec::with_capacity(BATCH),
            projection: Projection::new(),
            took: Took::default(),
        }
    }

    fn add(&mut self, fact: Fact) {
        let entry = Entry {
            v: 1,
            at: self.now,
            actor: "vouchsafe@host".into(),
            tool: "vouchsafe 0.1.0".into(),
            fact,
        };
        let seq = self.seq;
        self.seq += 1;
        self.batch.push(Recorded { seq, entry });
        if self.batch.len() == BATCH {
            self.fold();
        }
    }

    fn fold(&mut self) {
        let (batch, projection) = (&self.batch, &mut self.projection);
        self.took.add(|| {
            for recorded in batch {
                projection.note(recorded);
            }
        });
        self.batch.clear();
    }

    fn of(&self, system: u64, o: &Obligation) -> Obligation {
        let id = Some(self.ids[system as usize].clone());
        Obligation::new(o.kind, id, o.vault.clone(), None, o.opens, o.due)
    }

    fn ids_of(
        &self,
        system: u64,
        kind: ObligationKind,
        vault: Option<&VaultName>,
    ) -> Vec<ObligationId> {
        let mut known = self.owed[..self.written].iter().rev();
        let fits = |o: &&Obligation| {
            o.kind == kind && o.vault.as_ref() == vault && o.opens <= self.now && self.now < o.due
        };
        let found = known.find(fits);
        found.map(|o| self.of(system, o).id).into_iter().collect()
    }

    fn day(&mut self, day: u64) {
        let morning = self.start.plus(Span::from_days(day));
        self.now = morning;
        let until = morning.plus(DAY).plus(DAY);
        while let Some(owed) = self
            .owed
            .get(self.written)
            .filter(|o| o.opens < until)
            .cloned()
        {
            for system in 0..self.systems {
                let owed = self.of(system, &owed);
                self.add(Fact::ObligationDue(owed));
            }
            self.written += 1;
        }
        self.add(Fact::Horizon { until });
        let night = morning.plus(Span::from_hours(2));
        for system in 0..self.systems {
            self.now = night.plus(Span::from_micros(mix(system, day) % 7_200_000_000));
            self.capture(system, day);
            // Within the quarter, each on a day of its own.
            if day % 91 == system % 80 {
                self.drill(system, day);
            }
        }
        self.now = morning.plus(Span::from_hours(6));
        if day % 7 == 1 {
            self.verify(0);
            self.verify(1);
        }
        if day % 7 == 2 && day > KEPT + 7 {
            self.prune(0, day);
            self.prune(1, day);
        }
    }

    fn capture(&mut self, system: u64, day: u64) {
        let protection = self.ids[system as usize].clone();
        let tree = digest(system, day, 0);
        let began = self.now;
        self.add(Fact::RecoveryPoint(RecoveryPoint {
            point: point(system, day),
            protection: protection.clone(),
            run: run(),
            obligations: self.ids_of(system, ObligationKind::Capture, None),
            started: began,
            content_time: began,
            completed: began.plus(Span::from_mins(3)),
            outcome: Outcome::Done,
            issues: Vec::new(),
            issue_count: 0,
            items: 1,
            bytes: 1,
            tree: tree.clone(),
            manifest: None,
            schema: None,
            engine: None,
        }));
        for n in 0..2 {
            let vault = vault(n);
            self.add(Fact::Copy(CopyFact {
                point: point(system, day),
                protection: protection.clone(),
                // The first copy is the capture itself.
                obligations: match n {
                    0 => Vec::new(),
                    _ => self.ids_of(system, ObligationKind::Copy, Some(&vault)),
                },
                vault,
                snapshot: digest(system, day, 1 + n),
                tree: tree.clone(),
                run: run(),
                completed: began.plus(Span::from_mins(4 + n)),
                added_bytes: 1,
                blobs_read_back: 1,
                encryption: Encryption {
                    cipher: "AES-256-CTR + Poly1305-AES".into(),
                    key: "k".into(),
                    probed: true,
                },
                lock: None,
                region: None,
                country: None,
            }));
        }
    }

    fn verify(&mut self, n: u64) {
        let vault = vault(n);
        let all = 0..self.systems;
        let ids = all.flat_map(|s| self.ids_of(s, ObligationKind::Verify, Some(&vault)));
        let obligations = ids.collect();
        self.add(Fact::Verification(Verification {
            vault,
            run: run(),
            obligations,
            started: self.now,
            completed: self.now,
            packs_total: 8,
            packs_read: 8,
            bytes_read: 8,
            complete: true,
            problems: Vec::new(),
        }));
    }

    fn drill(&mut self, system: u64, day: u64) {
        let rung = Rung {
            name: "bytes".into(),
            question: "are the bytes the same?".into(),
            expected: "abc".into(),
            actual: "abc".into(),
            outcome: RungOutcome::Green,
        };
        self.add(Fact::Drill(DrillResult {
            run: run(),
            protection: self.ids[system as usize].clone(),
            point: point(system, day),
            vault: vault(0),
            obligations: self.ids_of(system, ObligationKind::Drill, None),
            started: self.now,
            ended: self.now.plus(Span::from_mins(5)),
            seed: None,
            moment: None,
            equality: None,
            ladder: Ladder { rungs: vec![rung] },
            phases: Vec::new(),
            achieved_rto: Span::from_mins(4),
            target_rto: None,
            bytes: 1,
            sandbox: SandboxRecord {
                isolation: "none".into(),
                destroyed: true,
            },
            negative_controls: Vec::new(),
            rules_digest: self.rules[system as usize].clone(),
            engine: None,
        }));
    }

    /// Lets the points of one week go that are old enough, and removes them.
    fn prune(&mut self, n: u64, day: u64) {
        let last = day - KEPT - 1;
        let first = if last < 14 { 0 } else { last - 6 };
        let gone = || (first..=last).flat_map(|d| (0..self.systems).map(move |s| (s, d)));
        let snapshots: Vec<String> = gone().map(|(s, d)| digest(s, d, 1 + n)).collect();
        let copies = gone().map(|(s, d)| ExpiredCopy {
            point: point(s, d),
            protection: self.ids[s as usize].clone(),
            snapshot: digest(s, d, 1 + n),
            tree: String::new(),
            reason: String::new(),
            erase: false,
        });
        let copies = copies.collect();
        let vault = vault(n);
        self.add(Fact::Expired(Expiry {
            vault: vault.clone(),
            run: run(),
            copies,
        }));
        self.fold();
        self.add(Fact::Pruned(Pruning {
            vault,
            run: run(),
            obligations: Vec::new(),
            completed: self.now,
            mode: "locked".into(),
            snapshots,
            packs_removed: 1,
            bytes_freed: 1,
            bytes_rewritten: 1,
            pending: Vec::new(),
            unknown_kept: 0,
            refused: Vec::new(),
            hidden: Vec::new(),
            erased: Vec::new(),
        }));
        self.fold();
    }
}
