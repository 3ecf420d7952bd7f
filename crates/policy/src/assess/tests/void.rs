//! What makes a drill say nothing any more, and what has one made anew.

use vouchsafe_model::manifest::Engine;
use vouchsafe_model::{ObligationKind, Question, Span, Verdict};

use super::world::{World, t};

fn engine(version: &str) -> Option<Engine> {
    Some(Engine {
        name: "postgres".into(),
        version: version.into(),
    })
}

#[test]
fn another_major_version_of_the_engine_voids_a_proof_and_a_minor_one_does_not() {
    let mut world = World::good();
    world.each_drill(|d| d.engine = engine("15.4"));
    world.each_point(|p| p.engine = engine("15.9"));
    world.expect(Question::Proven, Verdict::Met, "restored and compared");
    world.each_point(|p| {
        if p.content_time > t("2026-06-08T00:00:00Z") {
            p.engine = engine("16.0");
        }
    });
    let why = "with another major version of the engine; it proves nothing now";
    world.expect(Question::Proven, Verdict::Unproven, why);
}

#[test]
fn another_master_key_voids_a_proof() {
    let mut world = World::good();
    world.each_copy(|c| {
        if c.vault.as_str() == "a" && c.completed > t("2026-06-05T00:00:00Z") {
            c.encryption.key = "k2".into();
        }
    });
    let why = "under another master key; it proves nothing now";
    world.expect(Question::Proven, Verdict::Unproven, why);
    // Of a vault that it was not drilled from it says nothing.
    let mut world = World::good();
    world.each_copy(|c| {
        if c.vault.as_str() == "b" && c.completed > t("2026-06-05T00:00:00Z") {
            c.encryption.key = "k2".into();
        }
    });
    world.expect(Question::Proven, Verdict::Met, "restored and compared");
}

/// From 8 June on the schema is another one.
fn changed(world: &mut World) {
    world.each_point(|p| {
        let new = p.content_time > t("2026-06-08T00:00:00Z");
        p.schema = Some(if new { "new" } else { "old" }.to_owned());
    });
}

#[test]
fn a_changed_schema_is_drilled_within_a_week() {
    let mut world = World::good();
    assert!(crate::redrills(&world.policy, &world.facts, world.now).is_empty());
    changed(&mut world);
    let owed = crate::redrills(&world.policy, &world.facts, world.now);
    let changed_at = t("2026-06-08T02:30:00Z");
    assert_eq!(owed.len(), 1);
    assert_eq!(owed[0].kind, ObligationKind::Drill);
    assert_eq!(
        (owed[0].opens, owed[0].due),
        (changed_at, changed_at.plus(Span::from_days(7)))
    );
    // Whenever it is computed it is the same, and before the change there is none.
    let later = crate::redrills(&world.policy, &world.facts, t("2026-07-01T00:00:00Z"));
    assert_eq!(later[0].id, owed[0].id);
    assert!(crate::redrills(&world.policy, &world.facts, t("2026-06-08T02:00:00Z")).is_empty());
    // The proof stands until then, and says so.
    let says = "its schema changed since, a drill of that is due by 2026-06-15 02:30 UTC";
    world.expect(Question::Proven, Verdict::Met, says);
    world.now = t("2026-06-15T03:00:00Z");
    world.expect(
        Question::Proven,
        Verdict::NotMet,
        "due by 2026-06-15 02:30 UTC, was missed",
    );
    // A drill of the new schema ends it.
    world.drill(t("2026-06-15T04:00:00Z"));
    world.now = t("2026-06-15T05:00:00Z");
    world.expect(
        Question::Proven,
        Verdict::Met,
        "restored and compared 1h ago",
    );
    assert!(crate::redrills(&world.policy, &world.facts, world.now).is_empty());
}

#[test]
fn what_is_not_drilled_owes_no_drill_for_its_schema() {
    let mut world = World::with(|p| p.replace(", drill: quarter", ""));
    world.fill();
    changed(&mut world);
    assert!(crate::redrills(&world.policy, &world.facts, world.now).is_empty());
    // Nor does one whose schema came back to what was drilled.
    let mut world = World::good();
    world.each_point(|p| {
        let between =
            (t("2026-06-05T00:00:00Z")..t("2026-06-07T00:00:00Z")).contains(&p.content_time);
        p.schema = Some(if between { "new" } else { "old" }.to_owned());
    });
    assert!(crate::redrills(&world.policy, &world.facts, world.now).is_empty());
}
