//! How old what opens a vault may be.

use vouchsafe_model::fact::{KeyChange, KeyDeed, KeyKind};
use vouchsafe_model::{Fact, ObligationId, Question, VaultName, Verdict};

use super::world::{World, t};

fn world() -> World {
    let mut world =
        World::with(|text| text.replace("url: /v/a,", "url: /v/a, keys: { rotate: every month },"));
    world.fill();
    world
}

fn known(world: &mut World, at: &str, repository: &str, created: bool) {
    let fact = Fact::VaultKnown {
        vault: VaultName::new("a").unwrap(),
        repository: repository.to_owned(),
        created,
    };
    world.add(t(at), fact);
}

fn changed(world: &mut World, at: &str, change: KeyDeed, key: KeyKind, fulfils: bool) {
    let fact = Fact::KeyChange(KeyChange {
        vault: VaultName::new("a").unwrap(),
        repository: "ab".into(),
        key,
        change,
        added: vec!["01".into()],
        removed: vec!["02".into()],
        successor: None,
        obligations: match fulfils {
            true => vec![ObligationId::of(
                "rotate-key",
                "|a|",
                t("2026-06-01T00:00:00Z"),
            )],
            false => Vec::new(),
        },
        wrapped_by: None,
        hidden: Vec::new(),
        completed: t(at),
    });
    world.add(t(at), fact);
}

#[test]
fn a_passphrase_that_is_older_than_the_policy_allows_is_not_met() {
    let mut old = world();
    old.expect(
        Question::Encrypted,
        Verdict::Unproven,
        "nobody knows how old",
    );
    known(&mut old, "2026-04-20T00:00:00Z", "ab", false);
    old.expect(
        Question::Encrypted,
        Verdict::Unproven,
        "nobody knows how old",
    );
    known(&mut old, "2026-04-20T00:00:00Z", "cd", true);
    // Made in April it had to be replaced in May.
    old.expect(
        Question::Encrypted,
        Verdict::NotMet,
        "vouchsafe key rotate a",
    );
    // Met again it is not younger.
    known(&mut old, "2026-06-09T00:00:00Z", "cd", true);
    old.expect(
        Question::Encrypted,
        Verdict::NotMet,
        "the policy says every month",
    );
    let mut young = world();
    known(&mut young, "2026-05-20T00:00:00Z", "ab", true);
    young.expect(
        Question::Encrypted,
        Verdict::Met,
        "a: its passphrase is 21d 12h old",
    );
}

#[test]
fn only_what_replaces_the_passphrase_makes_it_younger() {
    let at = "2026-06-05T00:00:00Z";
    for (change, key, fulfils, verdict) in [
        (KeyDeed::Rotated, KeyKind::Slot, true, Verdict::Met),
        (KeyDeed::Removed, KeyKind::Slot, true, Verdict::Met),
        (KeyDeed::Removed, KeyKind::Slot, false, Verdict::NotMet),
        (KeyDeed::Added, KeyKind::Slot, false, Verdict::NotMet),
        (KeyDeed::Wrapped, KeyKind::Slot, false, Verdict::NotMet),
        (KeyDeed::Rotated, KeyKind::Master, false, Verdict::NotMet),
    ] {
        let mut world = world();
        known(&mut world, "2026-04-20T00:00:00Z", "ab", true);
        changed(&mut world, at, change, key, fulfils);
        let judged = world.judge(Question::Encrypted);
        assert_eq!(judged.verdict, verdict, "{change:?} {key:?}: {judged:?}");
    }
}

#[test]
fn a_replacement_fulfils_what_is_owed_and_without_it_that_is_missed() {
    let mut missed = world();
    known(&mut missed, "2026-05-20T00:00:00Z", "ab", true);
    let owed = ObligationId::of("rotate-key", "|a|", t("2026-06-01T00:00:00Z"));
    missed.now = t("2026-07-02T00:00:00Z");
    assert!(missed.assess().missed.iter().any(|o| o.id == owed));
    changed(
        &mut missed,
        "2026-06-05T00:00:00Z",
        KeyDeed::Rotated,
        KeyKind::Slot,
        true,
    );
    assert!(!missed.assess().missed.iter().any(|o| o.id == owed));
}
