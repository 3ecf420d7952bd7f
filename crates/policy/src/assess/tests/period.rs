//! Periods: each way in which something can come out, what closes it, and that nothing is counted twice or not at all.

use proptest::prelude::*;
use vouchsafe_model::period::{
    Closes, Closure, PeriodAssessment, PeriodVerdict, ProtectionPeriod, Standing,
};
use vouchsafe_model::{
    Fact, Obligation, ObligationId, ObligationKind, Outcome, RungOutcome, Span, Strength, Time,
};

use super::world::{NOW, World, issue, t};

const FROM: &str = "2026-06-01T00:00:00Z";
const TO: &str = "2026-06-10T12:00:00Z";

fn whole(world: &World, closures: &[Closure]) -> PeriodAssessment {
    crate::assess_period(
        &world.policy,
        &world.facts,
        closures,
        (t(FROM), t(TO)),
        world.now,
    )
}

fn one(world: &World) -> ProtectionPeriod {
    whole(world, &[]).protections.remove(0)
}

fn closure(of: Closes) -> Closure {
    Closure {
        of,
        at: t("2026-06-09T00:00:00Z"),
        by: "platform@example.com".into(),
        strength: Strength::Stated,
        text: "disk full; enlarged; captured again".into(),
        seq: 999,
    }
}

/// The obligation of that kind that opened at `opens`.
fn owed(world: &World, kind: ObligationKind, opens: &str) -> Obligation {
    let all = world.facts.iter().filter_map(|r| match &r.entry.fact {
        Fact::ObligationDue(o) => Some(o),
        _ => None,
    });
    all.clone()
        .find(|o| o.kind == kind && o.opens == t(opens))
        .unwrap()
        .clone()
}

fn without_day(world: &mut World, day: &str) {
    let of_day = |name: &str| name == format!("p-{day}02");
    world.facts.retain(|r| match &r.entry.fact {
        Fact::RecoveryPoint(p) => !of_day(p.point.as_str()),
        Fact::Copy(c) => !of_day(c.point.as_str()),
        _ => true,
    });
}

#[test]
fn a_period_in_which_all_went_well_is_met() {
    let all = whole(&World::good(), &[]);
    let shop = &all.protections[0];
    assert_eq!(all.verdict, PeriodVerdict::Met, "{:?}", shop.because);
    assert_eq!(all.deviations, []);
    assert_eq!(all.counts.total(), all.counts.on_time);
    assert!(shop.counts.on_time >= 9, "{:?}", shop.counts);
    // Each copy is there half an hour after its moment, and the next one a day later.
    assert_eq!(shop.worst_rpo, Some(Span::from_mins(24 * 60 + 30)));
    assert_eq!(shop.without_copy, Span::default());
    assert_eq!(shop.drills.len(), 1);
    assert!(shop.because.is_empty());
}

#[test]
fn a_missed_capture_is_not_met_until_it_is_closed() {
    let mut world = World::good();
    without_day(&mut world, "0605");
    // The point is missed, and so is its copy to the second vault.
    let missed = [ObligationKind::Capture, ObligationKind::Copy]
        .map(|kind| owed(&world, kind, "2026-06-05T02:00:00Z"));
    let all = whole(&world, &[]);
    assert_eq!(all.verdict, PeriodVerdict::NotMet);
    let shop = &all.protections[0];
    assert_eq!(shop.counts.missed, 2);
    assert_eq!(shop.worst_rpo, Some(Span::from_mins(48 * 60 + 30)));
    assert_eq!(shop.worst_rpo_at, Some(t("2026-06-06T02:30:00Z")));
    assert!(
        shop.because[0].starts_with("capture: 1 missed, of "),
        "{:?}",
        shop.because
    );
    let over = |because: &String| because.contains("over RPO");
    assert!(shop.because.iter().any(over), "{:?}", shop.because);
    let fixes = missed
        .each_ref()
        .map(|o| closure(Closes::Obligation(o.id.clone())));
    let all = whole(&world, &fixes);
    assert_eq!(all.verdict, PeriodVerdict::MetWithDeviations, "{all:?}");
    assert_eq!((all.closed, all.counts.missed), (2, 2));
    assert_eq!(all.deviations.len(), 2);
    for deviation in &all.deviations {
        assert!(missed.contains(&deviation.obligation));
        assert_eq!(deviation.standing, Standing::Missed);
        assert!(
            fixes
                .iter()
                .any(|fix| deviation.closure.as_ref() == Some(fix))
        );
    }
    // One of two is not all.
    assert_eq!(whole(&world, &fixes[..1]).verdict, PeriodVerdict::NotMet);
    // A closure that comes only after the time as of which is judged closes nothing, nor does that of another.
    let later = fixes.map(|fix| Closure {
        at: t(NOW).plus(Span::from_secs(1)),
        ..fix
    });
    assert_eq!(whole(&world, &later).verdict, PeriodVerdict::NotMet);
    let other = ObligationId::of("capture", "other", t(FROM));
    let other = closure(Closes::Obligation(other));
    assert_eq!(whole(&world, &[other]).verdict, PeriodVerdict::NotMet);
}

#[test]
fn what_came_late_is_a_deviation_with_its_fact() {
    let mut world = World::good();
    world.each_point(|p| {
        if p.point.as_str() == "p-060502" {
            p.completed = t("2026-06-06T03:00:00Z");
        }
    });
    let all = whole(&world, &[]);
    assert_eq!(all.counts.late, 1);
    assert_eq!(
        all.verdict,
        PeriodVerdict::MetWithDeviations,
        "{:?}",
        all.protections[0].because
    );
    let late = &all.deviations[0];
    assert_eq!(late.standing, Standing::Late);
    assert_eq!(late.answered_at, Some(t("2026-06-06T03:00:00Z")));
    let seq = late.answered_by.unwrap();
    let named = world.facts.iter().find(|r| r.seq == seq).unwrap();
    assert!(matches!(&named.entry.fact, Fact::RecoveryPoint(p) if p.point.as_str() == "p-060502"));
}

#[test]
fn what_does_not_show_it_is_unproven_and_never_met() {
    let mut world = World::good();
    world.each_point(|p| {
        if p.point.as_str() == "p-060502" {
            p.outcome = Outcome::Incomplete;
            p.issues = vec![issue("/data/x")];
        }
    });
    let shop = one(&world);
    assert_eq!((shop.counts.missed, shop.counts.unproven), (0, 1));
    assert_eq!(shop.rules[0].verdict, PeriodVerdict::Unproven);
}

#[test]
fn what_a_vault_in_the_same_region_holds_is_no_copy() {
    let mut world = World::with(|p| p.replace("region: r0", "region: r1"));
    world.fill();
    world.drop_copies(|c| c.vault.as_str() == "b");
    let shop = one(&world);
    assert_eq!(shop.worst_rpo, None);
    assert!(
        shop.without_copy > Span::from_days(7),
        "{}",
        shop.without_copy
    );
    assert_eq!(shop.verdict, PeriodVerdict::NotMet);
}

#[test]
fn a_red_drill_is_not_met_until_it_is_closed_and_the_retest_is_named() {
    let mut world = World::good();
    let red = world
        .facts
        .iter()
        .find(|r| matches!(r.entry.fact, Fact::Drill(_)))
        .unwrap()
        .seq;
    world.each_drill(|d| d.ladder.rungs[0].outcome = RungOutcome::Red);
    world.drill(t("2026-06-03T04:00:00Z"));
    let again = world.facts.last().unwrap().seq;
    let shop = one(&world);
    assert_eq!(shop.verdict, PeriodVerdict::NotMet);
    assert_eq!(shop.drills[0].retested_by, Some(again));
    assert_eq!(shop.drills[1].retested_by, None);
    let all = whole(&world, &[closure(Closes::Fact(red))]);
    assert_eq!(
        all.verdict,
        PeriodVerdict::MetWithDeviations,
        "{:?}",
        all.protections[0].because
    );
    let proven = all.controls.iter().find(|c| c.control == "CP-4").unwrap();
    assert_eq!(proven.verdict, PeriodVerdict::MetWithDeviations);
}

#[test]
fn damage_found_in_a_vault_is_not_met() {
    let mut world = World::good();
    world.each_verification(|v| v.problems = vec![issue("data/7c")]);
    let all = whole(&world, &[]);
    assert_eq!(all.verdict, PeriodVerdict::NotMet);
    assert!(
        all.protections[0]
            .because
            .iter()
            .any(|b| b.contains("found 1 problem"))
    );
}

#[test]
fn silence_in_the_period_is_never_met() {
    let mut world = World::good();
    world.now = t("2026-06-20T00:00:00Z");
    let to = t("2026-06-13T00:00:00Z");
    let all = crate::assess_period(&world.policy, &world.facts, &[], (t(FROM), to), world.now);
    assert_eq!(all.silence.len(), 1);
    assert_eq!(
        (all.silence[0].from, all.silence[0].to),
        (t("2026-06-12T00:00:00Z"), to)
    );
    assert!(all.verdict >= PeriodVerdict::Unproven);
    let before = crate::assess_period(
        &world.policy,
        &world.facts,
        &[],
        (t(FROM), t(TO)),
        world.now,
    );
    assert_eq!(before.silence, []);
}

/// Others may have copies in the same vaults, and reading these back says something of theirs alone.
#[test]
fn a_vault_that_holds_nothing_of_a_protection_says_nothing_of_it() {
    let mut world = World::new();
    let read = t("2026-06-01T03:00:00Z");
    world.verify("a", read);
    world.verify("b", read);
    // Nothing was owed yet but what is read by the week.
    let judged = |world: &World| {
        let period = (t(FROM), t("2026-06-02T00:00:00Z"));
        let all = crate::assess_period(&world.policy, &world.facts, &[], period, read);
        all.protections[0].clone()
    };
    assert_eq!(
        judged(&world).verdict,
        PeriodVerdict::Unproven,
        "{:?}",
        judged(&world)
    );
    let mut held = World::new();
    held.capture(t("2026-06-01T02:00:00Z"));
    held.verify("a", read);
    assert_eq!(judged(&held).verdict, PeriodVerdict::Met);
}

#[test]
fn nothing_due_and_nothing_measured_is_unproven() {
    let world = World::good();
    let (from, to) = (t("2026-05-01T00:00:00Z"), t("2026-05-02T00:00:00Z"));
    let all = crate::assess_period(&world.policy, &world.facts, &[], (from, to), world.now);
    assert_eq!(all.counts.total(), 0);
    assert_eq!(all.protections[0].verdict, PeriodVerdict::Unproven);
    assert!(
        all.controls
            .iter()
            .all(|c| c.verdict == PeriodVerdict::Unproven)
    );
}

/// A world in which each day went its own way: in time, late, not at all, partial, or without its copies.
fn fated(days: &[u8]) -> World {
    let mut world = World::new();
    for (n, fate) in days.iter().enumerate() {
        let opens = t(FROM).plus(Span::from_hours(24 * n as u64 + 2));
        if *fate == 2 {
            continue;
        }
        world.capture(opens);
        let name = opens.to_timestamp().strftime("p-%m%d%H").to_string();
        match fate {
            1 => world.each_point(|p| {
                if p.point.as_str() == name {
                    p.completed = opens.plus(Span::from_hours(30));
                }
            }),
            3 => world.each_point(|p| {
                if p.point.as_str() == name {
                    p.outcome = Outcome::Incomplete;
                }
            }),
            4 => world.drop_copies(|c| c.point.as_str() == name),
            _ => {}
        }
        if n % 4 == 1 {
            world.verify("a", opens.plus(Span::from_hours(1)));
        }
        if n % 5 == 2 {
            world.drill(opens.plus(Span::from_hours(2)));
        }
    }
    world
}

proptest! {
    #[test]
    fn what_is_counted_is_the_population(days in proptest::collection::vec(0u8..5, 10), from in 0u64..240, long in 1u64..240) {
        let world = fated(&days);
        let from = t(FROM).plus(Span::from_hours(from));
        let to = from.plus(Span::from_hours(long));
        let all = crate::assess_period(&world.policy, &world.facts, &[], (from, to), world.now);
        let due = |at: Time| from <= at && at < to;
        let owed = world.facts.iter().filter(|r| matches!(&r.entry.fact, Fact::ObligationDue(o) if due(o.due)));
        prop_assert_eq!(all.counts.total(), owed.count() as u64);
        let by_rule = all.protections.iter().flat_map(|p| &p.rules).chain(&all.others);
        prop_assert_eq!(by_rule.map(|r| r.counts.total()).sum::<u64>(), all.counts.total());
        let c = all.counts;
        prop_assert_eq!(all.deviations.len() as u64, c.late + c.missed + c.unproven);
    }

    #[test]
    fn a_period_cut_in_two_has_the_same_counts_and_the_same_worst(
        days in proptest::collection::vec(0u8..5, 10),
        from in 0u64..100,
        first in 1u64..100,
        second in 1u64..100,
    ) {
        let world = fated(&days);
        let from = t(FROM).plus(Span::from_hours(from));
        let cut = from.plus(Span::from_hours(first));
        let to = cut.plus(Span::from_hours(second));
        let judge = |a, b| crate::assess_period(&world.policy, &world.facts, &[], (a, b), world.now);
        let (left, right, both) = (judge(from, cut), judge(cut, to), judge(from, to));
        prop_assert_eq!(left.counts.and(right.counts), both.counts);
        prop_assert_eq!([left.deviations, right.deviations].concat(), both.deviations);
        let (l, r, b) = (&left.protections[0], &right.protections[0], &both.protections[0]);
        prop_assert_eq!(l.worst_rpo.max(r.worst_rpo), b.worst_rpo);
        let without = l.without_copy.micros() + r.without_copy.micros();
        prop_assert_eq!(without, b.without_copy.micros());
        prop_assert_eq!([l.drills.clone(), r.drills.clone()].concat(), b.drills.clone());
    }
}
