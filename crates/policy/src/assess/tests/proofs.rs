//! Verified, proven, retained.

use vouchsafe_model::drill::{Damage, NegativeControl};
use vouchsafe_model::fact::{CopyFact, ExpiredCopy, Expiry, Pruning};
use vouchsafe_model::{
    EqualTo, Equality, Fact, PointId, Question, RungOutcome, Span, VaultName, Verdict,
};

use super::world::{World, issue, t};

#[test]
fn verified_in_time_or_not() {
    let mut world = World::good();
    world.now = t("2026-06-21T23:00:00Z");
    world.expect(
        Question::Verified,
        Verdict::Met,
        "a: all bytes read back 13d 20h ago",
    );
    world.now = t("2026-06-22T00:00:01Z");
    world.expect(Question::Verified, Verdict::NotMet, "the policy says week");
}

#[test]
fn never_verified() {
    let mut world = World::good();
    world
        .facts
        .retain(|r| !matches!(&r.entry.fact, Fact::Verification(v) if v.vault.as_str() == "b"));
    world.expect(
        Question::Verified,
        Verdict::NotMet,
        "b: not read back since it was copied; due by 2026-06-08 00:00 UTC",
    );
    world.now = t("2026-06-07T12:00:00Z");
    world.expect(
        Question::Verified,
        Verdict::Unproven,
        "b: not read back since it was copied; the first time is due by 2026-06-08",
    );
    world.drop_copies(|_| true);
    world.expect(
        Question::Verified,
        Verdict::Unproven,
        "no copy to read back",
    );
}

/// A vault that was read before anything of a system was in it shows nothing of that system.
#[test]
fn what_was_read_before_there_was_a_copy_is_not_verified() {
    let mut world = World::good();
    world.drop_copies(|c| c.vault.as_str() == "b" && c.completed < t("2026-06-10T00:00:00Z"));
    world.expect(
        Question::Verified,
        Verdict::Unproven,
        "a: all bytes read back 2d 9h ago; b: not read back since it was copied; the policy says week",
    );
    world.verify("b", t("2026-06-10T05:00:00Z"));
    world.expect(
        Question::Verified,
        Verdict::Met,
        "b: all bytes read back 7h ago",
    );
}

/// Copies that live for less long than a vault is read: what was read then are those of that time.
#[test]
fn a_reading_counts_on_when_the_copies_of_its_time_are_gone() {
    let mut world = World::good();
    for record in &mut world.facts {
        if let Fact::Copy(copy) = &mut record.entry.fact {
            copy.snapshot = format!("of {}", copy.point);
        }
    }
    let_go(
        &mut world,
        "2026-06-10T00:00:00Z",
        "2026-06-10T06:00:00Z",
        true,
    );
    world.expect(
        Question::Verified,
        Verdict::Met,
        "a: all bytes read back 2d 9h ago",
    );
}

#[test]
fn problems_of_a_verification_stand_until_all_was_read_again() {
    let mut world = World::good();
    world.each_verification(|v| {
        if v.vault.as_str() == "a" && v.completed > t("2026-06-05T00:00:00Z") {
            v.problems.push(issue("pack 01ab"));
        }
    });
    world.expect(
        Question::Verified,
        Verdict::NotMet,
        "a: 1 problem found 2d 9h ago, first at pack 01ab",
    );
    world.verify("a", t("2026-06-09T03:00:00Z"));
    let last = world.facts.len() - 1;
    world.expect(
        Question::Verified,
        Verdict::Met,
        "a: all bytes read back 1d 9h ago",
    );
    if let Fact::Verification(v) = &mut world.facts[last].entry.fact {
        v.complete = false;
    }
    world.expect(Question::Verified, Verdict::NotMet, "1 problem");
}

#[test]
fn problems_older_than_every_copy_do_not_concern_it() {
    let mut world = World::good();
    world.facts.retain(|r| !matches!(&r.entry.fact, Fact::Verification(v) if v.completed > t("2026-06-05T00:00:00Z")));
    world.each_verification(|v| v.problems.push(issue("x")));
    world.expect(Question::Verified, Verdict::NotMet, "1 problem");
    world.drop_copies(|c| c.completed < t("2026-06-02T00:00:00Z"));
    let now = world.judge(Question::Verified);
    assert!(!now.because.contains("problem"), "{now:?}");
}

#[test]
fn as_much_must_be_read_as_the_policy_asks() {
    let some = |read: u64| {
        let mut world = World::with(|text| {
            text.replace("verify: week", "verify: { every: week, coverage: 1/4 }")
        });
        world.fill();
        world.each_verification(|v| {
            v.complete = false;
            v.packs_read = read;
        });
        world
    };
    some(2).expect(
        Question::Verified,
        Verdict::Met,
        "a: 2 of 8 packs read back",
    );
    some(1).expect(
        Question::Verified,
        Verdict::Unproven,
        "a: 1 of 8 packs read 2d 9h ago, less than the policy asks for",
    );
    let mut all = World::good();
    all.each_verification(|v| v.complete = false);
    all.expect(
        Question::Verified,
        Verdict::Unproven,
        "less than the policy asks for",
    );
}

#[test]
fn proven_only_within_its_time() {
    let mut world = World::good();
    world.now = t("2026-09-02T04:00:00Z");
    world.expect(
        Question::Proven,
        Verdict::Met,
        "restored and compared 92d ago",
    );
    world.now = t("2026-09-02T04:00:01Z");
    world.expect(
        Question::Proven,
        Verdict::NotMet,
        "the proof is older than the policy allows (quarter)",
    );
}

#[test]
fn never_drilled() {
    let mut world = World::good();
    world
        .facts
        .retain(|r| !matches!(r.entry.fact, Fact::Drill(_)));
    world.expect(
        Question::Proven,
        Verdict::Unproven,
        "never restored; the first drill is due by 2026-07-01 00:00 UTC",
    );
    world.now = t("2026-07-01T00:00:01Z");
    world.expect(
        Question::Proven,
        Verdict::NotMet,
        "the drill due by 2026-07-01 00:00 UTC was missed",
    );
    let mut no_rule = World::with(|text| text.replace(", drill: quarter", ""));
    no_rule.fill();
    no_rule.expect(
        Question::Proven,
        Verdict::Met,
        "the policy does not say how often",
    );
    no_rule
        .facts
        .retain(|r| !matches!(r.entry.fact, Fact::Drill(_)));
    no_rule.expect(
        Question::Proven,
        Verdict::Unproven,
        "the policy asks for no drill",
    );
}

#[test]
fn a_red_drill_that_is_newer_wins() {
    let mut world = World::good();
    world.drill(t("2026-06-09T04:00:00Z"));
    world.each_drill(|d| {
        if d.ended > t("2026-06-05T00:00:00Z") {
            d.ladder.rungs[0].outcome = RungOutcome::Red;
            d.ladder.rungs[0].actual = "xyz".into();
        }
    });
    world.expect(
        Question::Proven,
        Verdict::NotMet,
        "the last drill, 1d 8h ago, failed: rung bytes expected abc and found xyz",
    );
    assert_eq!(
        world.assess().protections[0].proven_at,
        Some(t("2026-06-02T04:00:00Z"))
    );
    world.drill(t("2026-06-09T06:00:00Z"));
    world.expect(
        Question::Proven,
        Verdict::Met,
        "restored and compared 1d 6h ago",
    );
}

#[test]
fn where_the_policy_asks_for_another_copy_a_drill_without_one_does_not_prove_it() {
    let asked = |source: &str| {
        World::with(|text| {
            text.replace(
                "drill: quarter",
                "drill: { every: quarter, equality: copies }",
            )
            .replace("files:/data", source)
        })
    };
    let mut world = asked("postgres://u@h");
    world.fill();
    world.expect(
        Question::Proven,
        Verdict::Unproven,
        "to what else it is equal, as the policy asks, no drill has shown since",
    );
    world.each_drill(|d| {
        let to = EqualTo::Copy {
            vault: VaultName::new("b").unwrap(),
            point: d.point.clone(),
        };
        d.equality = Some(Equality {
            to,
            parts: 3,
            rows: 7,
        });
    });
    world.expect(
        Question::Proven,
        Verdict::Met,
        "equal to the same moment restored from b",
    );
    // Another vault's copy is no standby.
    let mut standby = World::with(|text| {
        let drill = "drill: { every: quarter, equality: { standby: 'postgres://u@s' } }";
        text.replace("drill: quarter", drill)
            .replace("files:/data", "postgres://u@h")
    });
    standby.fill();
    standby.each_drill(|d| {
        let to = EqualTo::Copy {
            vault: VaultName::new("b").unwrap(),
            point: d.point.clone(),
        };
        d.equality = Some(Equality {
            to,
            parts: 3,
            rows: 7,
        });
    });
    standby.expect(
        Question::Proven,
        Verdict::Unproven,
        "no drill has shown since",
    );
    // Of what has no moments nothing of the kind is expected.
    let mut files = asked("files:/data");
    files.fill();
    files.expect(Question::Proven, Verdict::Met, "restored and compared");
}

#[test]
fn each_way_of_not_being_green() {
    type Change = fn(&mut vouchsafe_model::DrillResult);
    let cases: [(Change, &str); 4] = [
        (
            |d| d.sandbox.destroyed = false,
            "the sandbox was not shown to be gone",
        ),
        (|d| d.ladder.rungs.clear(), "nothing was compared"),
        (
            |d| d.ladder.rungs[0].outcome = RungOutcome::Skipped,
            "rung bytes was skipped",
        ),
        (
            |d| {
                let damage = Damage {
                    name: "flipped-byte".into(),
                    detail: String::new(),
                    must_redden: "sealed".into(),
                };
                d.negative_controls.push(NegativeControl {
                    damage,
                    first_red: None,
                    actual: String::new(),
                    pair_green: true,
                });
            },
            "the damage flipped-byte was not caught by rung sealed",
        ),
    ];
    for (change, says) in cases {
        let mut world = World::good();
        world.each_drill(change);
        world.expect(Question::Proven, Verdict::NotMet, says);
        assert_eq!(world.assess().protections[0].proven_at, None);
    }
}

#[test]
fn over_the_rto_is_not_proven() {
    let mut world = World::good();
    world.each_drill(|d| d.achieved_rto = Span::from_mins(60));
    world.expect(Question::Proven, Verdict::Met, "in 1h");
    world.each_drill(|d| d.achieved_rto = Span::from_mins(61));
    world.expect(Question::Proven, Verdict::NotMet, "that is over RTO 1h");
}

#[test]
fn changed_rules_and_unknown_points_void_a_proof() {
    let mut world = World::good();
    world.each_drill(|d| d.rules_digest = "other".into());
    world.expect(
        Question::Proven,
        Verdict::Unproven,
        "before the protection's rules changed; it proves nothing now",
    );
    assert_eq!(world.assess().protections[0].achieved_rto, None);
    let mut unknown = World::good();
    unknown.each_drill(|d| d.point = PointId::new("p-unknown").unwrap());
    unknown.expect(
        Question::Proven,
        Verdict::Unproven,
        "on a point that is not complete or not known",
    );
}

#[test]
fn kept_too_long_is_not_retained() {
    let mut world = World::good();
    // The first point was completed at 02:30 on the first: 30 days and a day of grace later it should be gone.
    world.now = t("2026-07-02T02:30:00Z");
    world.expect(
        Question::Retained,
        Verdict::Met,
        "the oldest of 10 points is 31d old, at least 7d asked, at most 30d",
    );
    world.now = t("2026-07-02T02:30:01Z");
    world.expect(
        Question::Retained,
        Verdict::NotMet,
        "1 point kept too long, the oldest by 1s",
    );
    // The newest complete one is never let go, however old.
    world.now = t("2027-06-01T00:00:00Z");
    world.expect(
        Question::Retained,
        Verdict::NotMet,
        "9 points kept too long",
    );
}

#[test]
fn retention_needs_a_rule_and_a_point() {
    let mut no_rule = World::with(|text| {
        text.replace(
            "keep: { at_least: 7 days, at_most: 30 days, grace: 1 day },",
            "",
        )
    });
    no_rule.fill();
    no_rule.expect(
        Question::Retained,
        Verdict::Unproven,
        "the policy does not say how long",
    );
    World::new().expect(
        Question::Retained,
        Verdict::Unproven,
        "no point to keep yet",
    );
    let mut only_least = World::with(|text| text.replace(", at_most: 30 days, grace: 1 day", ""));
    only_least.fill();
    only_least.now = t("2036-01-01T00:00:00Z");
    only_least.expect(Question::Retained, Verdict::Met, "no deletion is recorded");
}

/// Lets go of the copies that were made before `before`, at `at`; and removes them if asked.
fn let_go(world: &mut World, before: &str, at: &str, remove: bool) {
    let copies: Vec<CopyFact> = world
        .facts
        .iter()
        .filter_map(|r| match &r.entry.fact {
            Fact::Copy(c) if c.completed < t(before) => Some(c.clone()),
            _ => None,
        })
        .collect();
    assert!(!copies.is_empty());
    for copy in copies {
        let expired = ExpiredCopy {
            point: copy.point,
            protection: copy.protection,
            snapshot: copy.snapshot.clone(),
            tree: copy.tree,
            reason: "old".to_owned(),
            erase: true,
        };
        let expiry = Expiry {
            vault: copy.vault.clone(),
            run: copy.run.clone(),
            copies: vec![expired],
        };
        world.add(t(at), Fact::Expired(expiry));
        if remove {
            let pruning = Pruning {
                vault: copy.vault,
                run: copy.run,
                obligations: Vec::new(),
                completed: t(at),
                mode: "locked".to_owned(),
                snapshots: vec![copy.snapshot],
                packs_removed: 1,
                bytes_freed: 1,
                bytes_rewritten: 0,
                pending: Vec::new(),
                unknown_kept: 0,
                refused: Vec::new(),
                hidden: Vec::new(),
                erased: Vec::new(),
            };
            world.add(t(at), Fact::Pruned(pruning));
        }
    }
}

#[test]
fn what_was_let_go_in_time_is_retained_and_what_went_too_early_is_not() {
    let (old, now) = ("2026-06-04T00:00:00Z", "2026-07-05T00:00:00Z");
    let late = || {
        let mut world = World::good();
        world.now = t(now);
        world
    };
    let three = "3 points kept too long";
    late().expect(Question::Retained, Verdict::NotMet, three);
    // The decision is not the deed.
    let mut there = late();
    let_go(&mut there, old, "2026-07-04T00:00:00Z", false);
    there.expect(Question::Retained, Verdict::NotMet, three);
    let mut gone = late();
    let_go(&mut gone, old, "2026-07-04T00:00:00Z", true);
    gone.expect(
        Question::Retained,
        Verdict::Met,
        "let go, none too early, 6 of them removed; the oldest of 7 points is",
    );
    gone.expect(
        Question::Covered,
        Verdict::Met,
        "7 complete points, the newest of 2026-06-10",
    );
    let mut early = late();
    let_go(&mut early, old, "2026-06-05T00:00:00Z", true);
    early.expect(
        Question::Retained,
        Verdict::NotMet,
        "6 copies let go too early",
    );
}

#[test]
fn a_copy_that_was_let_go_does_not_count() {
    let mut world = World::good();
    world.expect(Question::Copies, Verdict::Met, "");
    let_go(
        &mut world,
        "2027-01-01T00:00:00Z",
        "2026-06-10T12:00:00Z",
        false,
    );
    world.expect(Question::Covered, Verdict::NotMet, "");
}

#[test]
fn what_has_grown_since_the_drill_takes_longer_by_its_measure() {
    // Drilled in four minutes; the tier asks for an hour.
    let grown = |times: u64| {
        let mut world = World::good();
        let newest = world
            .facts
            .iter()
            .rposition(|r| matches!(r.entry.fact, Fact::RecoveryPoint(_)));
        for (index, recorded) in world.facts.iter_mut().enumerate() {
            if let Fact::RecoveryPoint(point) = &mut recorded.entry.fact {
                point.bytes = if Some(index) == newest {
                    10 * times
                } else {
                    100
                };
            }
        }
        world
    };
    grown(10).expect(Question::Proven, Verdict::Met, "in 4m");
    let judged = |times| grown(times).judge(Question::Proven);
    assert!(!judged(10).because.contains("times as large"));
    assert!(!judged(9).because.contains("times as large"));
    let larger = judged(15);
    assert_eq!(larger.verdict, Verdict::Met);
    assert!(
        larger
            .because
            .contains("is 1.5 times as large, which by that measure takes 6m"),
        "{}",
        larger.because
    );
    let too_large = judged(10_000);
    assert_eq!(too_large.verdict, Verdict::Unproven);
    assert!(
        too_large.because.contains("is 1000.0 times as large"),
        "{}",
        too_large.because
    );
    assert!(
        too_large.because.contains("that is over RTO"),
        "{}",
        too_large.because
    );
    assert!(judged(u64::MAX / 10).because.contains("over RTO"));
}
