//! Alerts: what is told once and to whom, and what is still to be sent.

use vouchsafe_model::alert::{Alert, AlertKind, Mailed, NotMailed};
use vouchsafe_model::fact::{Issue, Outcome, RecoveryPoint};
use vouchsafe_model::ids::ProtectionId;
use vouchsafe_model::{LogCopy, LogGap, LogGapCause, LogShipped, ObligationKind};

use super::*;
use crate::people::{Told, alerts, letters, notices};

const WATCHED: &str = "\
policy: { owner: boss }
roles: { boss: { people: [ eve@example.com ] }, it: { people: [ ann@example.com, ben ] } }
vaults: { v: { url: /v, keys: { rotate: every quarter } } }
mail: { server: 'smtp://127.0.0.1:2525', from: v@example.com }
alerts:
  failure: { to: it }
  missing: { to: [ it, boss ], within: 1h }
  size: { to: it, above: 50% }
  duration: { to: it, longer_than: 2h }
  lag: { to: it, longer_than: 2m }
  keys: { to: boss, before: 14 days }
systems:
  a: { source: 'files:/a', schedule: daily at 02:00 UTC, copies: v, keep: { at_least: 35 days } }
  db: { source: 'postgres://u@h', logs: { every: 5s, keep: 7 days }, copies: v }
duties:
  look: { every: month, role: it }
";

impl World {
    /// A run of `a` that takes so many minutes.
    fn run(&mut self, name: &str, at: Time, minutes: u64, outcome: Outcome) {
        let run = RunId::new(name).unwrap();
        let opened = Fact::RunOpened {
            run: run.clone(),
            deed: "capture".into(),
            subject: "a/main".into(),
            reason: None,
        };
        self.add(at, opened);
        let issues = match outcome {
            Outcome::Done => vec![],
            _ => vec![Issue {
                place: "v".into(),
                message: "no space is left".into(),
            }],
        };
        let closed = Fact::RunClosed {
            run,
            outcome,
            issues,
        };
        self.add(at.plus(Span::from_secs(60 * minutes)), closed);
    }

    fn point(&mut self, name: u8, bytes: u64, at: Time) {
        self.add(
            at,
            Fact::RecoveryPoint(RecoveryPoint {
                point: PointId::from_random([name; 8]),
                protection: protection("a/main"),
                run: RunId::new("r-1").unwrap(),
                obligations: vec![],
                started: at,
                content_time: at,
                completed: at,
                outcome: Outcome::Done,
                issues: vec![],
                issue_count: 0,
                items: 1,
                bytes,
                tree: "00".into(),
                manifest: None,
                schema: None,
                engine: None,
            }),
        );
    }

    /// The log of `db`, behind by so many seconds at that time.
    fn shipped(&mut self, at: Time, behind: u64) {
        let copy = LogCopy {
            vault: VaultName::new("v").unwrap(),
            timeline: 1,
            begins: "0/0".into(),
            reaches: "0/1".into(),
            first_commit: None,
            newest_commit: Some(at.minus(Span::from_secs(behind))),
            worst: None,
            fragments_total: 1,
            digest: "00".into(),
            fragments: 1,
            bytes: 1,
            unverified: 0,
            problem: None,
        };
        let shipped = LogShipped {
            protection: protection("db/main"),
            stream: "s".into(),
            server: "1".into(),
            from: at,
            until: at,
            next_by: at.plus(Span::from_secs(300)),
            every: Span::from_secs(5),
            copies: vec![copy],
            token: None,
        };
        self.add(at, Fact::LogShipped(shipped));
    }

    fn alerts(&self, now: Time, kind: AlertKind) -> Vec<Alert> {
        let mut all = alerts(&self.policy, &self.facts, now);
        all.retain(|alert| alert.kind == kind);
        all
    }

    /// Records what is due by now, and gives the entries.
    fn note_alerts(&mut self, now: Time) -> Vec<u64> {
        let due = alerts(&self.policy, &self.facts, now);
        due.into_iter()
            .map(|alert| self.people(now, PeopleFact::Alerted(alert)))
            .collect()
    }
}

fn protection(text: &str) -> ProtectionId {
    ProtectionId::try_from(text.to_owned()).unwrap()
}

fn later(at: Time, minutes: u64) -> Time {
    at.plus(Span::from_secs(60 * minutes))
}

/// A world in which everything that is owed by us was done, so that only what a test does is told.
fn world() -> World {
    let mut world = World::with(WATCHED);
    world.facts.retain(|r| match &r.entry.fact {
        Fact::ObligationDue(o) => o.kind == ObligationKind::Duty,
        _ => true,
    });
    for (seq, recorded) in world.facts.iter_mut().enumerate() {
        recorded.seq = seq as u64;
    }
    world
}

#[test]
fn a_failure_is_told_once_and_while_it_is_news() {
    let mut world = world();
    let at = day("03-10");
    world.run("good", at, 1, Outcome::Done);
    world.run("bad", at, 1, Outcome::Failed);
    world.run("partly", at, 1, Outcome::Incomplete);
    let now = later(at, 2);
    let told = world.alerts(now, AlertKind::Failure);
    let texts: Vec<&str> = told.iter().map(|a| a.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "capture of a/main failed: v: no space is left",
            "capture of a/main could not do everything: v: no space is left"
        ]
    );
    assert_eq!(told[0].to, ["ann@example.com", "ben"]);
    assert_eq!(told[0].protection, Some(protection("a/main")));
    assert_eq!(world.note_alerts(now).len(), 2);
    assert_eq!(world.alerts(now, AlertKind::Failure), []);

    // Nobody who writes an alert into the policy hears of last year.
    world.facts.truncate(world.facts.len() - 2);
    assert_eq!(
        world.alerts(later(at, 3 * 1440), AlertKind::Failure).len(),
        2
    );
    assert_eq!(
        world.alerts(later(at, 3 * 1440 + 2), AlertKind::Failure),
        []
    );
}

#[test]
fn a_run_whose_process_died_and_a_gap_of_a_log_are_failures() {
    let mut world = world();
    let at = day("03-10");
    let run = RunId::new("died").unwrap();
    let opened = Fact::RunOpened {
        run: run.clone(),
        deed: "capture".into(),
        subject: "a/main".into(),
        reason: None,
    };
    world.add(at, opened);
    assert_eq!(world.alerts(at, AlertKind::Failure), []);
    world.add(at, Fact::RunAbandoned { run });
    world.add(
        at,
        Fact::LogGap(LogGap {
            protection: protection("db/main"),
            stream: "s".into(),
            cause: LogGapCause::Removed,
            timeline: 1,
            from: "0/5".into(),
            to: None,
            vault: None,
            found: at,
            detail: String::new(),
        }),
    );
    let told = world.alerts(at, AlertKind::Failure);
    assert_eq!(told.len(), 2);
    assert!(told[0].text.contains("broke off"), "{}", told[0].text);
    assert!(told[1].text.contains("gap at 0/5"), "{}", told[1].text);
}

#[test]
fn of_what_did_not_come_the_newest_is_told() {
    let mut world = World::with(WATCHED);
    let now = day("03-10");
    let told = world.alerts(now, AlertKind::Missing);
    let captures: Vec<&Alert> = told
        .iter()
        .filter(|a| a.text.starts_with("capture of a/main"))
        .collect();
    assert_eq!(captures.len(), 1, "{told:?}");
    assert!(captures[0].since > now.minus(Span::from_days(2)));
    let people = ["ann@example.com", "ben", "eve@example.com"];
    assert_eq!(captures[0].to, people);
    assert!(told.iter().all(|a| !a.text.contains("look")), "{told:?}");
    world.note_alerts(now);
    assert_eq!(world.alerts(now, AlertKind::Missing), []);
    // The next day's is another.
    let next = now.plus(Span::from_days(1));
    assert!(!world.alerts(next, AlertKind::Missing).is_empty());
}

#[test]
fn sizes_and_durations_are_told_from_their_number_on() {
    let mut world = world();
    let at = day("03-10");
    for (name, bytes) in (0..).zip([1000, 1500, 749, 750]) {
        world.point(name, bytes, later(at, u64::from(name)));
    }
    let now = later(at, 10);
    let told = world.alerts(now, AlertKind::Size);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].text.contains("749 B, the one before it 1.46 KiB"),
        "{}",
        told[0].text
    );

    world.run("quick", now, 120, Outcome::Done);
    world.run("slow", now, 121, Outcome::Done);
    let run = RunId::new("hangs").unwrap();
    let opened = Fact::RunOpened {
        run,
        deed: "drill".into(),
        subject: "db/main".into(),
        reason: None,
    };
    world.add(later(now, 121), opened);
    let told = world.alerts(later(now, 121), AlertKind::Duration);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].text, "capture of a/main took 2h 1m, more than 2h");
    let told = world.alerts(later(now, 121 + 130), AlertKind::Duration);
    assert_eq!(
        told[0].text,
        "drill of db/main has taken 2h 10m so far, more than 2h"
    );
}

#[test]
fn a_log_that_lags_is_told_once_for_each_stretch() {
    let mut world = world();
    let at = day("03-10");
    world.shipped(at, 100);
    assert_eq!(world.alerts(at, AlertKind::Lag), []);
    world.shipped(later(at, 5), 200);
    let told = world.alerts(later(at, 5), AlertKind::Lag);
    assert_eq!(told.len(), 1);
    assert_eq!(
        told[0].text,
        "the log of db/main is 3m 20s behind, more than 2m"
    );
    world.note_alerts(later(at, 5));
    world.shipped(later(at, 10), 400);
    assert_eq!(world.alerts(later(at, 10), AlertKind::Lag), []);
    world.shipped(later(at, 15), 10);
    world.shipped(later(at, 20), 300);
    assert_eq!(world.note_alerts(later(at, 20)).len(), 1);
    // Silence is a stretch of its own.
    world.shipped(later(at, 25), 10);
    assert_eq!(world.alerts(later(at, 29), AlertKind::Lag), []);
    assert_eq!(world.note_alerts(later(at, 40)).len(), 1);
    assert_eq!(world.alerts(later(at, 50), AlertKind::Lag), []);
}

#[test]
fn a_store_is_told_of_once_for_each_time_that_it_fills() {
    let mut world = World::with(&WATCHED.replace(
        "  keys: { to: boss",
        "  storage: { to: it, above: 80% }\n  keys: { to: boss",
    ));
    let at = day("03-10");
    let says = |world: &mut World, minutes: u64, free: u64| {
        let space = vouchsafe_model::VaultSpace {
            vault: VaultName::new("v").unwrap(),
            seen: later(at, minutes),
            free,
            total: 1000,
        };
        world.add(later(at, minutes), Fact::Space(space));
        let told = world.alerts(later(at, minutes), AlertKind::Storage);
        world.note_alerts(later(at, minutes));
        told.into_iter().map(|a| a.text).collect::<Vec<String>>()
    };
    assert!(says(&mut world, 0, 201).is_empty());
    assert_eq!(
        says(&mut world, 5, 200),
        ["the store of v is 80 % full: 200 B of 1000 B are free; the policy warns at 80%"]
    );
    assert!(says(&mut world, 10, 100).is_empty());
    assert!(says(&mut world, 15, 300).is_empty());
    assert_eq!(says(&mut world, 20, 0).len(), 1);
    // What was measured long ago is not told as if it were so now.
    let mut old = World::with(&WATCHED.replace(
        "  keys: { to: boss",
        "  storage: { to: it, above: 80% }\n  keys: { to: boss",
    ));
    let space = vouchsafe_model::VaultSpace {
        vault: VaultName::new("v").unwrap(),
        seen: at,
        free: 0,
        total: 1000,
    };
    old.add(at, Fact::Space(space));
    let much_later = at.plus(Span::from_days(4));
    assert_eq!(old.alerts(much_later, AlertKind::Storage), []);
}

#[test]
fn a_key_is_told_ahead() {
    let world = World::with(WATCHED);
    assert_eq!(world.alerts(day("03-10"), AlertKind::Keys), []);
    let told = world.alerts(day("03-20"), AlertKind::Keys);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].to, ["eve@example.com"]);
}

#[test]
fn letters_go_to_addresses_until_the_server_has_answered() {
    let mut world = world();
    let at = day("03-28");
    world.run("bad", at, 1, Outcome::Failed);
    let now = later(at, 1);
    let alert = world.note_alerts(now)[0];
    let (mut noticed, mut owed) = (Vec::new(), Vec::new());
    for notice in notices(&world.policy, &world.facts, now) {
        owed.push(notice.obligation.clone());
        noticed.push(world.people(now, PeopleFact::Noticed(notice)));
    }
    let entries = |world: &World, now: Time| -> Vec<u64> {
        let all = letters(&world.policy, &world.facts, now);
        // Who has no address gets nothing.
        assert!(all.iter().all(|l| l.to == ["ann@example.com"]), "{all:?}");
        all.iter().map(|l| l.entry).collect()
    };
    assert_eq!(
        entries(&world, now),
        [&[alert], noticed.as_slice()].concat()
    );
    let all = letters(&world.policy, &world.facts, now);
    assert!(matches!(all[0].told, Told::Alert(a) if a.of == "bad"));

    let mailed = Mailed {
        entry: alert,
        to: vec!["ann@example.com".into()],
        refused: vec![],
        server: "127.0.0.1:2525".into(),
    };
    world.people(now, PeopleFact::Mailed(mailed));
    assert_eq!(entries(&world, now), noticed);
    // An answer makes reminding needless; so does a server that will never take it.
    world.say_of(owed, "look", "ann@example.com", DutyOutcome::Done, now);
    assert!(entries(&world, now).is_empty());
    world.run("worse", now, 1, Outcome::Failed);
    let now = later(now, 1);
    let alert = world.note_alerts(now)[0];
    assert_eq!(entries(&world, now), [alert]);
    assert!(entries(&world, later(now, 3 * 1440 + 1)).is_empty());
    let refused = Mailed {
        entry: alert,
        to: vec![],
        refused: vec![NotMailed {
            to: "ann@example.com".into(),
            reason: "550 no such user".into(),
        }],
        server: "127.0.0.1:2525".into(),
    };
    world.people(now, PeopleFact::Mailed(refused));
    assert!(entries(&world, now).is_empty());
}
