//! Judgements, each question both ways: a world in which all is met, and one thing changed at a time.

mod keys;
mod locks;
mod log;
mod losses;
mod period;
mod projection;
mod proofs;
mod record;
mod storage;
mod void;
mod world;

use vouchsafe_model::{Fact, Outcome, Question, Span, Strength, Verdict};

use self::world::{NOW, World, t};

#[test]
fn where_all_is_well_all_is_met() {
    let world = World::good();
    let all = world.assess();
    let protection = &all.protections[0];
    for judgement in &protection.judgements {
        assert_eq!(judgement.verdict, Verdict::Met, "{judgement:?}");
        assert_eq!(
            judgement.strength,
            Some(Strength::Measured),
            "{judgement:?}"
        );
        assert!(!judgement.facts.is_empty());
    }
    assert_eq!(all.verdict, Verdict::Met);
    assert_eq!(protection.points, 10);
    assert_eq!(protection.newest_point, Some(t("2026-06-10T02:00:00Z")));
    assert_eq!(protection.achieved_rpo, Some(Span::from_hours(10)));
    assert_eq!(protection.achieved_rto, Some(Span::from_mins(4)));
    assert_eq!(protection.proven_at, Some(t("2026-06-02T04:00:00Z")));
    assert_eq!(protection.overdue, []);
    assert_eq!(
        protection.next.as_ref().unwrap().due,
        t("2026-06-12T02:00:00Z")
    );
    assert_eq!((all.obligations.missed, all.obligations.late), (0, 0));
    // Ten captures and copies, two weeks of two vaults, one drill.
    assert_eq!(all.obligations.on_time, 25);
    assert_eq!(all.silence, []);
    assert!(all.controls.iter().all(|c| c.verdict == Verdict::Met));
}

#[test]
fn sentences_have_figures() {
    let world = World::good();
    let say = |q| world.judge(q).because;
    assert_eq!(
        say(Question::Covered),
        "10 complete points, the newest of 2026-06-10 02:00 UTC, 10h ago"
    );
    assert_eq!(
        say(Question::Fresh),
        "newest point 2026-06-10 02:00 UTC (10h ago) is in time for `daily at 02:00 UTC`; \
         the best copy outside region r0, as declared, is 10h old, in b; RPO 1d 1h"
    );
    assert_eq!(say(Question::Copies), "copies read back in a and b");
    assert_eq!(
        say(Question::Verified),
        "a: all bytes read back 2d 9h ago; b: all bytes read back 2d 9h ago"
    );
    assert_eq!(
        say(Question::Proven),
        "restored and compared 8d 8h ago from a, in 4m"
    );
}

#[test]
fn covered_wants_a_complete_point() {
    let empty = World::new();
    empty.expect(
        Question::Covered,
        Verdict::NotMet,
        "due by 2026-06-10 02:00 UTC was missed",
    );
    let mut early = World::new();
    early.now = t("2026-06-01T01:00:00Z");
    early.expect(
        Question::Covered,
        Verdict::Unproven,
        "the first capture is due by 2026-06-02 02:00 UTC",
    );
    let mut partial = World::good();
    partial.each_point(|p| {
        p.outcome = Outcome::Incomplete;
        p.issue_count = 3;
    });
    for question in [Question::Covered, Question::Fresh, Question::Copies] {
        partial.expect(
            question,
            Verdict::NotMet,
            "no complete point; the last capture, 9h 30m ago, had 3 issues",
        );
    }
    assert_eq!(partial.assess().protections[0].points, 0);
}

#[test]
fn an_incomplete_point_never_counts_as_full() {
    let mut world = World::good();
    world.each_point(|p| {
        if p.content_time > t("2026-06-10T00:00:00Z") {
            p.outcome = Outcome::Incomplete;
            p.issue_count = 1;
        }
    });
    world.expect(
        Question::Fresh,
        Verdict::NotMet,
        "over RPO 1d 1h; a later capture, 9h 30m ago, is incomplete with 1 issue",
    );
    assert_eq!(
        world.assess().protections[0].newest_point,
        Some(t("2026-06-09T02:00:00Z"))
    );
    // Nor does its copy, nor does it fulfil what was owed.
    assert_eq!(
        world.assess().obligations.open,
        World::good().assess().obligations.open + 1
    );
}

#[test]
fn fresh_wants_every_capture_in_time() {
    let mut late = World::good();
    late.drop_points_after("2026-06-09T00:00:00Z");
    late.expect(
        Question::Fresh,
        Verdict::NotMet,
        "the capture of 2026-06-09 02:00 UTC is overdue; newest point 2026-06-08 02:00 UTC",
    );
    assert_eq!(late.assess().protections[0].overdue.len(), 2);
    // Without any obligation in the ledger the schedule still speaks.
    late.facts
        .retain(|r| !matches!(r.entry.fact, Fact::ObligationDue(_)));
    late.expect(
        Question::Fresh,
        Verdict::NotMet,
        "is older than `daily at 02:00 UTC` allows",
    );
}

#[test]
fn fresh_wants_a_copy_within_the_rpo() {
    let mut world = World::with(|text| text.replace("rpo: 25h", "rpo: 9h"));
    world.fill();
    world.expect(
        Question::Fresh,
        Verdict::NotMet,
        "is 10h old, in b; that is over RPO 9h",
    );
    world = World::with(|text| text.replace("rpo: 25h", "rpo: 10h"));
    world.fill();
    world.expect(Question::Fresh, Verdict::Met, "RPO 10h");
}

#[test]
fn only_copies_outside_the_own_region_count_for_the_rpo() {
    let both_here = |text: &str| {
        text.replace("region: r1", "region: r0")
            .replace("region: r2", "region: r0")
    };
    let mut world = World::with(both_here);
    world.fill();
    world.expect(
        Question::Fresh,
        Verdict::NotMet,
        "RPO 1d 1h is not kept: no copy outside region r0",
    );
    assert_eq!(world.assess().protections[0].achieved_rpo, None);
    let mut undeclared =
        World::with(|text| text.replace(", region: r1", "").replace(", region: r2", ""));
    undeclared.fill();
    undeclared.expect(
        Question::Fresh,
        Verdict::NotMet,
        "no copy outside region r0",
    );
    let mut homeless =
        World::with(|text| both_here(text).replace("location: { region: r0, country: GB },", ""));
    homeless.fill();
    homeless.expect(
        Question::Fresh,
        Verdict::Met,
        "in any vault, as the system's location is not declared",
    );
}

#[test]
fn fresh_needs_something_to_judge_by() {
    let mut world = World::with(|text| {
        text.replace("rpo: 25h, ", "")
            .replace("schedule: daily at 02:00 UTC,", "")
    });
    world.fill();
    world.expect(
        Question::Fresh,
        Verdict::Unproven,
        "neither schedule nor RPO",
    );
}

#[test]
fn copies_must_be_in_every_vault() {
    let mut world = World::good();
    world.drop_copies(|c| c.vault.as_str() == "b");
    world.expect(
        Question::Copies,
        Verdict::NotMet,
        "none in b, due by 2026-06-10 02:00 UTC; 1 of 2 copies that the tier asks for",
    );
    let mut first = World::good();
    first.drop_copies(|c| c.vault.as_str() == "a");
    first.expect(Question::Copies, Verdict::NotMet, "none in a");
    let mut lacking = World::good();
    lacking.drop_copies(|c| c.vault.as_str() == "a" && c.completed > t("2026-06-10T00:00:00Z"));
    lacking.expect(
        Question::Copies,
        Verdict::NotMet,
        "a lacks the newest point",
    );
}

#[test]
fn a_further_copy_may_lag_until_it_is_due() {
    let mut world = World::good();
    world.drop_copies(|c| c.vault.as_str() == "b" && c.completed > t("2026-06-10T00:00:00Z"));
    world.expect(
        Question::Copies,
        Verdict::Met,
        "b does not have the newest point yet, due by 2026-06-11 02:00 UTC",
    );
    world.drop_copies(|c| c.vault.as_str() == "b" && c.completed > t("2026-06-09T00:00:00Z"));
    world.expect(
        Question::Copies,
        Verdict::NotMet,
        "b lacks the newest point",
    );
}

#[test]
fn a_copy_that_does_not_count_is_none() {
    let changes: [fn(&mut vouchsafe_model::fact::CopyFact); 3] = [
        |c| c.blobs_read_back = 0,
        |c| c.tree = "other".into(),
        |c| c.point = vouchsafe_model::PointId::new("p-unknown").unwrap(),
    ];
    for (n, change) in changes.iter().enumerate() {
        let mut world = World::good();
        world.each_copy(|c| {
            if c.vault.as_str() == "a" {
                change(c);
            }
        });
        let judgement = world.judge(Question::Copies);
        assert_eq!(
            judgement.verdict,
            Verdict::NotMet,
            "change {n}: {judgement:?}"
        );
        assert!(
            judgement.because.contains("none in a"),
            "change {n}: {judgement:?}"
        );
    }
}

#[test]
fn a_weekly_copy_has_its_week() {
    let weekly = |text: &str| {
        text.replace(
            "copies: [ a, b ]",
            "copies: [ a, { vault: b, every: week } ]",
        )
    };
    let mut world = World::with(weekly);
    world.fill();
    world.drop_copies(|c| c.vault.as_str() == "b" && c.completed > t("2026-06-03T00:00:00Z"));
    world.expect(
        Question::Copies,
        Verdict::Met,
        "copies read back in a and b",
    );
    world.now = t("2026-06-16T00:00:00Z");
    world.expect(
        Question::Copies,
        Verdict::NotMet,
        "the one in b was made 13d 21h ago, the policy says week",
    );
}

#[test]
fn places_that_are_only_declared_are_not_proven() {
    let with = |one: &str| {
        let one = format!("min: 2, one: {{ {one} }}");
        let mut world = World::with(move |text| text.replace("min: 2", &one));
        world.fill();
        world
    };
    with("region: differs-from-system").expect(
        Question::Copies,
        Verdict::Unproven,
        "by declaration alone",
    );
    with("region: differs-from-system, country: same").expect(
        Question::Copies,
        Verdict::NotMet,
        "none lies in another region of the same country",
    );
    let mut abroad = World::with(|text| {
        text.replace("min: 2", "min: 2, one: { country: same }")
            .replace("country: FR", "country: GB")
    });
    abroad.fill();
    abroad.expect(
        Question::Copies,
        Verdict::Unproven,
        "the same country by declaration alone",
    );
    let mut here = World::with(|text| {
        text.replace("min: 2", "min: 2, one: { region: differs-from-system }")
            .replace("location: { region: r0, country: GB },", "")
    });
    here.fill();
    here.expect(
        Question::Copies,
        Verdict::Unproven,
        "own location is not declared",
    );
}

#[test]
fn too_few_copies_for_the_tier() {
    let mut world = World::with(|text| text.replace("min: 2", "min: 3"));
    world.fill();
    world.expect(
        Question::Copies,
        Verdict::NotMet,
        "2 of 3 copies that the tier asks for",
    );
    let mut none = World::with(|text| {
        text.replace("copies: [ a, b ],", "")
            .replace(", copies: { min: 2 }", "")
    });
    none.fill();
    none.expect(Question::Copies, Verdict::Unproven, "names no vault");
}

#[test]
fn encrypted_wants_a_look_at_the_stored_bytes() {
    let mut world = World::good();
    world.each_copy(|c| c.encryption.probed = c.vault.as_str() == "a");
    world.expect(
        Question::Encrypted,
        Verdict::Unproven,
        "of the copy in b, but its stored bytes were not looked at",
    );
    world.drop_copies(|_| true);
    world.expect(Question::Encrypted, Verdict::Unproven, "no copy");
    World::good().expect(
        Question::Encrypted,
        Verdict::Met,
        "stored bytes in a and b were opened with AES-256-CTR + Poly1305-AES",
    );
}

#[test]
fn facts_from_later_are_not_looked_at() {
    let mut world = World::good();
    world.now = t("2026-06-05T12:00:00Z");
    let then = world.assess();
    assert_eq!(
        then.protections[0].newest_point,
        Some(t("2026-06-05T02:00:00Z"))
    );
    assert_eq!(then.protections[0].points, 5);
    assert!(then.at < t(NOW));
}
