//! A store that fills beyond what the policy allows is not met, and one of which nothing is known is not met either.

use vouchsafe_model::{Fact, Span, StorageState, Strength, Time, VaultName, VaultSpace, Verdict};

use super::world::{NOW, World, t};
use crate::space_to_record;

/// Everything went well; vault `b` lies elsewhere, and people want to hear from 80% on.
fn watched() -> World {
    let mut world = World::with(|text| {
        let text = text.replace("url: /v/b", "url: 's3://bucket/b'");
        format!("{text}alerts: {{ storage: {{ to: me, above: 80% }} }}\n")
    });
    world.fill();
    world
}

fn space(vault: &str, seen: Time, free: u64) -> VaultSpace {
    VaultSpace {
        vault: VaultName::new(vault).unwrap(),
        seen,
        free,
        total: 1000,
    }
}

fn says(world: &mut World, seen: Time, free: u64) {
    world.add(seen, Fact::Space(space("a", seen, free)));
}

fn of(world: &World, vault: &str) -> StorageState {
    let all = world.assess().storage;
    all.into_iter().find(|s| s.vault.as_str() == vault).unwrap()
}

#[test]
fn a_store_is_met_below_the_limit_and_not_met_from_it_on() {
    let mut world = watched();
    says(&mut world, t(NOW).minus(Span::from_hours(2)), 201);
    let state = of(&world, "a");
    assert_eq!(
        (state.verdict, state.strength),
        (Verdict::Met, Some(Strength::Measured))
    );
    assert_eq!(world.assess().verdict, Verdict::Met);
    assert!(state.fact.is_some());
    says(&mut world, t(NOW).minus(Span::from_hours(1)), 200);
    let state = of(&world, "a");
    assert_eq!(state.verdict, Verdict::NotMet);
    assert!(state.because.contains("80 % full"), "{}", state.because);
    assert!(state.because.contains("warns at 80%"), "{}", state.because);
    assert_eq!(world.assess().verdict, Verdict::NotMet);
}

#[test]
fn a_store_of_which_nothing_is_known_is_unproven() {
    let mut world = watched();
    assert_eq!(of(&world, "a").verdict, Verdict::Unproven);
    assert_eq!(world.assess().verdict, Verdict::Unproven);
    // What it said three days ago does not count, full or not.
    for free in [999, 0] {
        says(&mut world, t(NOW).minus(Span::from_days(3)), free);
        let state = of(&world, "a");
        assert_eq!(state.verdict, Verdict::Unproven);
        assert!(
            state.because.contains("did not say for"),
            "{}",
            state.because
        );
    }
}

#[test]
fn a_store_that_cannot_say_is_never_met_and_spoils_nothing_else() {
    let mut world = watched();
    let now = t(NOW);
    says(&mut world, now, 999);
    // Not even if a fact says so: it was made when the vault lay elsewhere.
    world.add(now, Fact::Space(space("b", now, 999)));
    let state = of(&world, "b");
    assert_eq!((state.verdict, state.tells), (Verdict::Unproven, false));
    assert_eq!((state.strength, state.fact), (None, None));
    assert_eq!(world.assess().verdict, Verdict::Met);
}

#[test]
fn without_a_limit_nothing_is_said_of_stores() {
    let mut world = World::good();
    says(&mut world, t(NOW), 0);
    assert_eq!(world.assess().storage, []);
    assert_eq!(world.assess().verdict, Verdict::Met);
    let full = space("a", t(NOW), 0);
    assert_eq!(space_to_record(&world.policy, &world.facts, vec![full]), []);
}

#[test]
fn what_is_recorded_of_stores_stays_little() {
    let mut world = watched();
    let start = t(NOW).minus(Span::from_days(1));
    let news = |world: &World, minutes: u64, free: u64| {
        let seen = start.plus(Span::from_secs(60 * minutes));
        let asked = vec![space("a", seen, free), space("gone", seen, free)];
        space_to_record(&world.policy, &world.facts, asked).len()
    };
    assert_eq!(news(&world, 0, 500), 1);
    says(&mut world, start, 500);
    // The same side of the limit: once a day. The other side: after an hour.
    assert_eq!(news(&world, 1, 400), 0);
    assert_eq!(news(&world, 24 * 60 - 1, 201), 0);
    assert_eq!(news(&world, 24 * 60, 500), 1);
    assert_eq!(news(&world, 59, 200), 0);
    assert_eq!(news(&world, 60, 200), 1);
}
