//! The log: judged by what was recorded of it, by silence, and by gaps.

use vouchsafe_model::{
    Fact, LogCopy, LogGap, LogGapCause, LogShipped, Question, Span, Time, VaultName, Verdict,
};

use super::world::{World, t};

const NOON: &str = "2026-06-10T12:00:00Z";

fn secs(seconds: u64) -> Span {
    Span::from_secs(seconds)
}

/// The small world, but of a server whose log is shipped.
fn world() -> World {
    let mut world = World::with(|policy| {
        policy
            .replace(
                "'files:/data'",
                "'postgres://u@h', logs: { every: 5s, keep: 7 days }",
            )
            .replace("rpo: 25h", "rpo: 25h, log_rpo: 1m")
    });
    world.fill();
    world
}

fn copy(vault: &str, newest: Option<Time>, worst: Option<Span>) -> LogCopy {
    LogCopy {
        vault: VaultName::new(vault).unwrap(),
        timeline: 1,
        begins: "0/1000000".into(),
        reaches: "0/2000000".into(),
        first_commit: Some(t("2026-06-01T00:00:00Z")),
        newest_commit: newest,
        worst,
        fragments_total: 9,
        digest: String::new(),
        fragments: 1,
        bytes: 1,
        unverified: 0,
        problem: None,
    }
}

/// Recorded so many seconds before noon, with the next record promised five minutes later.
fn shipped(world: &mut World, before: u64, copies: Vec<LogCopy>) {
    let until = t(NOON).minus(secs(before));
    let fact = LogShipped {
        protection: world.id(),
        stream: "wal".into(),
        server: "7".into(),
        from: until.minus(secs(300)),
        until,
        next_by: until.plus(secs(300)),
        every: secs(5),
        copies,
        token: None,
    };
    world.add(until, Fact::LogShipped(fact));
}

fn fresh(world: &World) -> (Verdict, String) {
    let assessment = world.assess();
    let judgement = assessment.protections[0]
        .judgement(Question::Fresh)
        .unwrap();
    (judgement.verdict, judgement.because.clone())
}

fn achieved(world: &World) -> Option<Span> {
    world.assess().protections[0].achieved_log_rpo
}

#[test]
fn a_log_that_was_never_shipped_is_unproven() {
    let (verdict, because) = fresh(&world());
    assert_eq!(verdict, Verdict::Unproven, "{because}");
    assert!(because.contains("no log has been shipped yet"), "{because}");
}

#[test]
fn the_worst_moment_since_the_last_record_counts() {
    let mut good = world();
    let newest = t(NOON).minus(secs(13));
    shipped(&mut good, 10, vec![copy("a", Some(newest), Some(secs(8)))]);
    assert_eq!(fresh(&good).0, Verdict::Met);
    assert_eq!(achieved(&good), Some(secs(8)));
    let mut late = world();
    shipped(&mut late, 10, vec![copy("a", Some(newest), Some(secs(61)))]);
    let (verdict, because) = fresh(&late);
    assert_eq!(verdict, Verdict::NotMet, "{because}");
    assert!(because.contains("over log RPO 1m"), "{because}");
}

#[test]
fn of_several_copies_the_best_one_counts() {
    let mut world = world();
    let (fast, slow) = (t(NOON).minus(secs(12)), t(NOON).minus(secs(900)));
    shipped(
        &mut world,
        10,
        vec![
            copy("a", Some(slow), Some(secs(900))),
            copy("b", Some(fast), Some(secs(7))),
        ],
    );
    assert_eq!(fresh(&world).0, Verdict::Met);
    assert_eq!(achieved(&world), Some(secs(7)));
}

#[test]
fn silence_about_the_log_shows() {
    let mut world = world();
    let newest = t(NOON).minus(secs(403));
    shipped(
        &mut world,
        400,
        vec![copy("a", Some(newest), Some(secs(6)))],
    );
    let (verdict, because) = fresh(&world);
    assert_eq!(verdict, Verdict::NotMet, "{because}");
    assert!(because.contains("nothing was said of the log"), "{because}");
    assert_eq!(achieved(&world), Some(secs(403)));
}

#[test]
fn a_log_without_a_commit_or_outside_of_no_domain_proves_nothing() {
    let mut without = world();
    shipped(&mut without, 10, vec![copy("a", None, None)]);
    assert_eq!(fresh(&without).0, Verdict::Unproven);
    let mut elsewhere = world();
    shipped(
        &mut elsewhere,
        10,
        vec![copy("gone", Some(t(NOON)), Some(secs(1)))],
    );
    assert_eq!(fresh(&elsewhere).0, Verdict::NotMet);
}

#[test]
fn a_gap_is_not_met_until_a_base_lies_behind_it() {
    let mut world = world();
    let gap = LogGap {
        protection: world.id(),
        stream: "wal".into(),
        cause: LogGapCause::SlotLost,
        timeline: 1,
        from: "0/1800000".into(),
        to: Some("0/1900000".into()),
        vault: None,
        found: t("2026-06-10T11:00:00Z"),
        detail: String::new(),
    };
    world.add(gap.found, Fact::LogGap(gap.clone()));
    let newest = t(NOON).minus(secs(12));
    shipped(&mut world, 10, vec![copy("a", Some(newest), Some(secs(5)))]);
    let (verdict, because) = fresh(&world);
    assert_eq!(verdict, Verdict::NotMet, "{because}");
    assert!(because.contains("gap at 0/1800000"), "{because}");
    world.capture(t("2026-06-10T11:30:00Z"));
    assert_eq!(fresh(&world).0, Verdict::Met, "{}", fresh(&world).1);
}
