//! Copies that have lost data, and damage that was read over piece by piece.

use vouchsafe_model::fact::{CopyLoss, VaultCoverage};
use vouchsafe_model::{Fact, Question, RunId, Span, VaultName, Verdict};

use super::world::{World, issue, t};

#[test]
fn a_copy_that_lost_data_is_none_until_it_was_read_back_anew() {
    let mut world = World::good();
    let newest = world
        .facts
        .iter()
        .rev()
        .find_map(|r| match &r.entry.fact {
            Fact::Copy(copy) if copy.vault.as_str() == "a" => Some(copy.clone()),
            _ => None,
        })
        .unwrap();
    let copies: Vec<_> = world
        .facts
        .iter()
        .filter_map(|r| match &r.entry.fact {
            Fact::Copy(copy) if copy.vault.as_str() == "a" => Some(copy.clone()),
            _ => None,
        })
        .collect();
    let now = t("2026-06-10T11:00:00Z");
    for copy in &copies {
        world.add(
            now,
            Fact::CopyLost(CopyLoss {
                point: copy.point.clone(),
                protection: copy.protection.clone(),
                vault: copy.vault.clone(),
                snapshot: copy.snapshot.clone(),
                run: RunId::new("r-9").unwrap(),
                found: now,
                lost: 1,
                issues: vec![issue("/file")],
            }),
        );
    }
    let judged = world.judge(Question::Copies);
    assert_eq!(judged.verdict, Verdict::NotMet, "{judged:?}");
    assert!(!judged.because.contains("read back in a"), "{judged:?}");
    world.add(t("2026-06-10T11:30:00Z"), Fact::Copy(newest));
    let judged = world.judge(Question::Copies);
    assert_eq!(judged.verdict, Verdict::Met, "{judged:?}");
}

#[test]
fn damage_is_cleared_piece_by_piece_only_when_all_of_it_was_read() {
    let coverage = |never, damaged| VaultCoverage {
        vault: VaultName::new("a").unwrap(),
        run: RunId::new("r-9").unwrap(),
        memory: "m".into(),
        bytes_total: 8,
        within: Span::from_days(28),
        bytes_within: 8,
        oldest: None,
        packs_never: never,
        packs_damaged: damaged,
    };
    let after = |covered: VaultCoverage| {
        let mut world = World::with(|text| {
            text.replace("verify: week", "verify: { every: week, coverage: 1/4 }")
        });
        world.fill();
        world.each_verification(|v| {
            if v.vault.as_str() == "a" && v.completed > t("2026-06-05T00:00:00Z") {
                v.problems.push(issue("pack 01ab"));
            }
        });
        world.verify("a", t("2026-06-09T03:00:00Z"));
        world.each_verification(|v| {
            if v.completed == t("2026-06-09T03:00:00Z") {
                v.complete = false;
                v.packs_read = 2;
            }
        });
        world.add(t("2026-06-09T03:00:00Z"), Fact::Coverage(covered));
        world
    };
    let good = after(coverage(0, 0));
    good.expect(
        Question::Verified,
        Verdict::Met,
        "100 % of bytes read within the last 28d",
    );
    // Some packs were not read since the memory was lost, or are still damaged.
    for bad in [coverage(1, 0), coverage(0, 1)] {
        after(bad).expect(Question::Verified, Verdict::NotMet, "1 problem");
    }
}
