//! Obligations, silence, breaks, controls, exemptions, and what is not connected.

use std::path::Path;

use vouchsafe_model::{Fact, Policy, Question, Span, Time, Verdict};

use super::world::{World, t};

fn policy(text: &str) -> Policy {
    crate::lower(text, "p", Path::new("/p"), "d".into())
        .policy
        .unwrap()
}

fn counts(world: &World) -> (u64, u64, u64) {
    let counts = world.assess().obligations;
    (counts.on_time, counts.late, counts.missed)
}

#[test]
fn a_fact_answers_what_it_lists_and_nothing_else() {
    let mut world = World::good();
    world.each_point(|p| p.obligations.clear());
    assert_eq!(counts(&world), (15, 0, 9));
    // What a copy lists of captures is not answered by it.
    let mut cross = World::good();
    let ids = cross.facts.iter().find_map(|r| match &r.entry.fact {
        Fact::RecoveryPoint(p) => Some(p.obligations.clone()),
        _ => None,
    });
    cross.each_point(|p| p.obligations.clear());
    let ids = ids.unwrap();
    cross.each_copy(|c| c.obligations.extend(ids.clone()));
    assert_eq!(counts(&cross), (15, 0, 9));
}

#[test]
fn a_deed_answers_only_its_own_kind() {
    let mut world = World::good();
    let ids: Vec<_> = world
        .facts
        .iter()
        .filter_map(|r| match &r.entry.fact {
            Fact::RecoveryPoint(p) => Some(p.obligations.clone()),
            _ => None,
        })
        .flatten()
        .collect();
    world.each_point(|p| p.obligations.clear());
    // Like a capture, a drill concerns a protection and no vault: only its kind tells them apart.
    world.each_drill(|d| d.obligations.extend(ids.clone()));
    assert_eq!(counts(&world), (15, 0, 9));
}

#[test]
fn late_is_not_on_time_and_not_missed() {
    let mut world = World::good();
    world.each_point(|p| {
        if p.content_time < t("2026-06-02T00:00:00Z") {
            p.completed = t("2026-06-02T02:00:01Z");
        }
    });
    assert_eq!(counts(&world), (24, 1, 0));
    world.each_point(|p| {
        p.completed = p
            .completed
            .min(t("2026-06-02T02:00:00Z").max(p.content_time))
    });
    assert_eq!(counts(&world), (25, 0, 0));
}

#[test]
fn a_window_for_the_start_is_kept_by_starting() {
    let with = |start: u64| {
        let mut world = World::with(|text| {
            text.replace(
                "verify: week",
                "window: { start_within: 10m }, verify: week",
            )
        });
        world.fill();
        world.each_point(|p| p.started = p.started.plus(Span::from_mins(start)));
        counts(&world)
    };
    // Each took half an hour.
    assert_eq!(with(10), (25, 0, 0));
    assert_eq!(with(11), (15, 10, 0));
}

#[test]
fn what_was_missed_and_made_up_for_is_history() {
    let mut world = World::good();
    let gone = |time: Time| time > t("2026-06-04T00:00:00Z") && time < t("2026-06-06T00:00:00Z");
    world
        .facts
        .retain(|r| !matches!(&r.entry.fact, Fact::RecoveryPoint(p) if gone(p.completed)));
    world.drop_copies(|c| gone(c.completed));
    let all = world.assess();
    assert_eq!(all.obligations.missed, 4);
    assert_eq!(all.missed.len(), 4);
    assert!(all.missed.windows(2).all(|w| w[0].due >= w[1].due));
    assert_eq!(all.protections[0].overdue, []);
    assert_eq!(all.verdict, Verdict::Met);
}

#[test]
fn what_was_withdrawn_in_time_is_not_judged() {
    let mut world = World::good();
    world
        .facts
        .retain(|r| !matches!(r.entry.fact, Fact::Drill(_)));
    let drill = world.facts.iter().find_map(|r| match &r.entry.fact {
        Fact::ObligationDue(o) if o.kind == vouchsafe_model::ObligationKind::Drill => {
            Some(o.clone())
        }
        _ => None,
    });
    let drill = drill.unwrap();
    let withdrawn = |at: Time| {
        let mut world = World {
            policy: world.policy.clone(),
            facts: world.facts.clone(),
            now: t("2026-07-03T00:00:00Z"),
        };
        let fact = Fact::ObligationsWithdrawn {
            obligations: vec![drill.id.clone()],
            policy: "d2".into(),
        };
        world.add(at, fact);
        world
    };
    let missed = |w: &World| w.assess().missed.iter().any(|o| o.id == drill.id);
    assert!(
        missed(&withdrawn(t("2026-07-02T00:00:00Z"))),
        "withdrawn after it was due"
    );
    let mut in_time = withdrawn(t("2026-06-20T00:00:00Z"));
    assert!(!missed(&in_time));
    // Promised again, it counts again; and nobody moves its time by promising it twice.
    in_time.add(
        t("2026-06-21T00:00:00Z"),
        Fact::ObligationDue(drill.clone()),
    );
    let mut later = drill.clone();
    later.due = t("2030-01-01T00:00:00Z");
    in_time.add(t("2026-06-22T00:00:00Z"), Fact::ObligationDue(later));
    assert!(missed(&in_time));
}

#[test]
fn silence_is_seen_and_never_met() {
    let mut world = World::good();
    world.now = t("2026-06-12T00:00:00Z");
    assert_eq!(world.assess().silence, []);
    world.now = t("2026-06-12T00:00:01Z");
    let silence = world.assess().silence;
    assert_eq!(
        (silence[0].from, silence[0].to),
        (t("2026-06-12T00:00:00Z"), world.now)
    );
    assert!(world.assess().verdict >= Verdict::Unproven);
    let back = t("2026-06-14T00:00:00Z");
    world.add(
        back,
        Fact::Horizon {
            until: t("2026-06-20T00:00:00Z"),
        },
    );
    world.now = t("2026-06-15T00:00:00Z");
    let silence = world.assess().silence;
    assert_eq!(silence.len(), 1);
    assert_eq!(
        (silence[0].from, silence[0].to),
        (t("2026-06-12T00:00:00Z"), back)
    );
}

#[test]
fn breaks_are_told() {
    let mut world = World::good();
    let seq = world.facts.len() as u64;
    world.add(
        t("2026-06-10T03:00:00Z"),
        Fact::Break {
            reason: "foreign head".into(),
            vault: None,
            tree_size: None,
        },
    );
    assert_eq!(world.assess().breaks, [(seq, "foreign head".to_owned())]);
}

#[test]
fn controls_rest_on_their_questions() {
    let world = World::good();
    let names = |frameworks: &str| -> Vec<String> {
        let p = policy(&format!(
            "policy: {{ frameworks: {frameworks} }}\nsystems: {{ s: {{ source: 'files:/x' }} }}"
        ));
        crate::assess(&p, &[], world.now)
            .controls
            .into_iter()
            .map(|c| c.control)
            .collect()
    };
    let all = [
        "A1.2", "A1.3", "CC7.5", "CC9.1", "A.8.13", "A.8.14", "A.5.30", "CP-4", "CP-9", "CP-10",
        "Art. 32", "11",
    ];
    assert_eq!(names("[]"), all);
    assert_eq!(names("[SOC 2]"), all[..4]);
    assert_eq!(names("iso27001"), all[4..7]);
    assert_eq!(names("[NIST SP 800-53 rev5]"), all[7..10]);
    assert_eq!(names("[gdpr, CIS Controls v8]"), all[10..]);
    assert_eq!(names("[cobit]"), [""; 0]);
    let mut unproven = World::good();
    unproven
        .facts
        .retain(|r| !matches!(r.entry.fact, Fact::Drill(_)));
    let met: Vec<_> = unproven
        .assess()
        .controls
        .into_iter()
        .filter(|c| c.verdict == Verdict::Met)
        .map(|c| c.control)
        .collect();
    assert_eq!(met, ["A1.2", "A.8.14", "CP-9"]);
    let because = unproven.assess().controls[1].because.clone();
    assert!(
        because.starts_with("1 of 2 answers it rests on are met; s/main proven: never restored"),
        "{because}"
    );
}

#[test]
fn what_is_not_connected_is_unproven() {
    let p = policy(
        "systems: { s: { observe: 'rds:x', schedule: daily }, my: { source: 'cassandra://h/d', tier: t } }\n\
                    tiers: { t: { rpo: 1h } }",
    );
    let all = crate::assess(&p, &[], t("2026-06-10T00:00:00Z"));
    for protection in &all.protections {
        assert_eq!(protection.judgements.len(), Question::ALL.len());
        assert!(protection.judgements.iter().all(|j| {
            j.verdict == Verdict::Unproven
                && j.because.contains("declared, not yet connected")
                && j.strength.is_none()
        }));
    }
    assert_eq!(all.verdict, Verdict::Unproven);
}

#[test]
fn exempt_empty_and_forgotten_systems() {
    let now = t("2026-06-10T00:00:00Z");
    let exempt = crate::assess(
        &policy("systems: { s: { source: 'files:/x', exempt: not ours } }"),
        &[],
        now,
    );
    assert_eq!(exempt.exempt, [("s".to_owned(), "not ours".to_owned())]);
    assert_eq!(
        (exempt.verdict, exempt.protections.len()),
        (Verdict::Exempt, 0)
    );
    assert_eq!(
        crate::assess(&policy(""), &[], now).verdict,
        Verdict::Unproven
    );
    let forgotten = crate::assess(&policy("systems: { s: { owner: me } }"), &[], now);
    assert_eq!(forgotten.verdict, Verdict::NotMet);
    assert_eq!(
        forgotten.protections[0].judgements[0].because,
        "the policy declares no protection for it"
    );
}

#[test]
fn many_facts_do_not_take_long() {
    let mut world = World::good();
    let some: Vec<_> = world
        .facts
        .iter()
        .filter(|r| r.entry.at > t("2026-06-10T00:00:00Z"))
        .cloned()
        .collect();
    assert_eq!(some.len(), 3);
    // One pass takes a blink; anything that looks at every pair of these would take hours.
    for n in 0..100_000u32 {
        for recorded in &some {
            let mut fact = recorded.entry.fact.clone();
            let id = vouchsafe_model::PointId::new(format!("p-{n}")).unwrap();
            match &mut fact {
                Fact::RecoveryPoint(p) => p.point = id,
                Fact::Copy(c) => c.point = id,
                _ => {}
            }
            world.add(recorded.entry.at, fact);
        }
    }
    assert_eq!(world.assess().protections[0].points, 100_010);
    assert_eq!(world.assess().verdict, Verdict::Met);
}
