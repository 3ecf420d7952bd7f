//! What settles a failure, and what only seems to.

use vouchsafe_model::incident::{Closure, Exemption, Incident, IncidentNote, NoteKind};
use vouchsafe_model::period::{Closes, PeriodVerdict};
use vouchsafe_model::{Question, Verdict};

use super::*;

fn noted(w: &mut World, at: Time, obligations: Vec<ObligationId>, facts: Vec<u64>) {
    let incident = Incident {
        name: "i".into(),
        obligations,
        facts,
        by: "ann@example.com".into(),
        reason: "nobody was there".into(),
    };
    w.people(at, PeopleFact::IncidentOpened(incident));
    for kind in [NoteKind::Cause, NoteKind::Fix] {
        let note = IncidentNote {
            name: "i".into(),
            kind,
            text: "leave".into(),
            by: "ann@example.com".into(),
        };
        w.people(at, PeopleFact::IncidentNoted(note));
    }
}

fn closed(w: &mut World, at: Time, retest: u64) -> u64 {
    let closure = Closure {
        name: "i".into(),
        retest,
        by: "eve@example.com".into(),
        reason: "a stand-in is named".into(),
    };
    w.people(at, PeopleFact::IncidentClosed(closure))
}

fn exemption(from: &str, system: Option<&str>) -> PeopleFact {
    PeopleFact::Exempted(Exemption {
        name: "e".into(),
        from: from.into(),
        systems: system.into_iter().map(|s| s.parse().unwrap()).collect(),
        asked_by: "ann@example.com".into(),
        approved_by: "eve@example.com".into(),
        reason: "being moved".into(),
        until: day("03-01"),
        identity: Identity::Unverified,
        statement: None,
    })
}

fn in_force(w: &mut World, at: Time, digest: &str) -> u64 {
    let fact = Fact::PolicyInForce {
        digest: digest.into(),
        version: None,
        bytes: 1,
        approved: None,
    };
    w.add(at, fact)
}

#[test]
fn what_was_closed_before_it_failed_settles_nothing() {
    let mut w = World::new();
    let look = w.owed("look", None, day("01-02")).id;
    noted(&mut w, day("01-02"), vec![look.clone()], Vec::new());
    let retest = w.drill("a", day("01-03"), true);
    closed(&mut w, day("01-04"), retest);
    // It was due at the end of the month, and nobody did it.
    assert_eq!(w.duty("look", day("02-10")).verdict, Verdict::NotMet);
    assert!(w.list(day("02-10")).contains(&"look overdue".to_owned()));
    // One about it that is open is not hidden by the older one.
    noted(&mut w, day("02-11"), vec![look], Vec::new());
    let judged = w.duty("look", day("02-12"));
    assert!(
        judged.because.contains("incident i is open"),
        "{}",
        judged.because
    );
}

#[test]
fn an_incident_about_what_was_found_comes_after_it() {
    let mut w = World::new();
    let look = w.owed("look", None, day("01-02")).id;
    w.say(
        "look",
        "ann@example.com",
        DutyOutcome::Problems,
        day("01-05"),
    );
    noted(&mut w, day("01-06"), vec![look.clone()], Vec::new());
    let retest = w.drill("a", day("01-07"), true);
    closed(&mut w, day("01-08"), retest);
    assert_eq!(w.duty("look", day("01-09")).verdict, Verdict::Met);
    // What is found later is found anew.
    w.say(
        "look",
        "ann@example.com",
        DutyOutcome::Problems,
        day("01-10"),
    );
    assert_eq!(w.duty("look", day("01-11")).verdict, Verdict::NotMet);
}

#[test]
fn problems_with_what_was_due_before_anything_was_owed_are_problems() {
    let mut w = World::with(&POLICY.replace("2026-09-30", "2025-12-31"));
    let say =
        |w: &mut World, outcome, at| w.say_of(Vec::new(), "policy", "eve@example.com", outcome, at);
    say(&mut w, DutyOutcome::Problems, day("01-05"));
    let judged = w.duty("policy", day("01-06"));
    assert_eq!(judged.verdict, Verdict::NotMet, "{}", judged.because);
    say(&mut w, DutyOutcome::Done, day("01-07"));
    assert_eq!(w.duty("policy", day("01-08")).verdict, Verdict::Met);
}

#[test]
fn a_permission_from_a_duty_takes_out_that_duty_and_nothing_else() {
    let mut w = World::with(&POLICY.replace("  any: {", "  drill: {"));
    let proven = |w: &World| {
        let judged = w.judge(day("02-02"));
        let answers = judged.protections.iter();
        let proven = answers.filter_map(|p| p.judgement(Question::Proven));
        proven.map(|j| j.verdict).collect::<Vec<_>>()
    };
    let before = proven(&w);
    assert!(!before.is_empty() && !before.contains(&Verdict::Exempt));
    w.people(day("02-01"), exemption("programme/drill", None));
    assert_eq!(proven(&w), before);
    let duty = w.duty("programme/drill", day("02-02"));
    assert_eq!(duty.verdict, Verdict::Exempt);
    assert!(
        duty.because.contains("exempt, identity unverified, until"),
        "{}",
        duty.because
    );
    // A duty is exempt as a whole or not at all.
    w.people(day("02-01"), exemption("look", Some("a")));
    assert_ne!(w.duty("look", day("02-02")).verdict, Verdict::Exempt);
}

#[test]
fn a_duty_takes_nothing_away_from_a_review_of_the_same_name() {
    let text = format!("{POLICY}  policy: {{ every: year, role: it, acknowledge: true }}\n");
    let text = text.replacen("programme:\n", "", 1).replacen(
        "  any: { kind: restore, every: quarter, of: any, by: it }\n  shops: { kind: [ restore, files ], every: year, of: each-application, by: it }\n",
        "",
        1,
    );
    let w = World::with(&text);
    let duties = &w.policy.people.duties;
    assert!(duties["policy"].each_person, "the one that is written");
    let review = duties.values().find(|d| d.name.starts_with("policy/"));
    assert!(review.is_some(), "{:?}", duties.keys());
}

#[test]
fn what_a_closed_incident_is_about_is_closed_in_the_period_and_nothing_else_is() {
    let mut w = World::new();
    let missed = w.owed("look", None, day("01-10")).id;
    let found = w.say(
        "look",
        "ann@example.com",
        DutyOutcome::Problems,
        day("02-10"),
    );
    noted(&mut w, day("02-15"), vec![missed.clone()], vec![found]);
    let red = w.drill("a", day("02-17"), false);
    let retest = w.drill("b", day("02-17"), true);
    let now = day("03-20");
    let rule = |w: &World, from: &str| {
        let all = closures(&w.facts, now);
        let span = (t(from), t("2026-03-10T00:00:00Z"));
        let period = crate::assess_period(&w.policy, &w.facts, &all, span, now);
        let mut rules = period.others.into_iter();
        rules.find(|r| r.duty.as_deref() == Some("look")).unwrap()
    };
    let (both, february) = ("2026-01-01T00:00:00Z", "2026-02-05T00:00:00Z");
    assert!(closures(&w.facts, now).is_empty());
    let open = rule(&w, both);
    assert_eq!((open.counts.missed, open.counts.on_time), (1, 1));
    assert_eq!(open.verdict, PeriodVerdict::NotMet);
    // It was answered in time, with something found.
    assert_eq!(rule(&w, february).counts.on_time, 1);
    assert_eq!(rule(&w, february).verdict, PeriodVerdict::NotMet);
    // Closed on the word of a red drill: that closes nothing.
    let before = w.facts.len();
    closed(&mut w, day("02-18"), red);
    assert!(closures(&w.facts, now).is_empty());
    w.facts.truncate(before);
    let seq = closed(&mut w, day("02-18"), retest);
    assert!(closures(&w.facts, day("02-17")).is_empty());
    let all = closures(&w.facts, now);
    let of: Vec<Closes> = all.iter().map(|c| c.of.clone()).collect();
    assert_eq!(of, [Closes::Obligation(missed), Closes::Fact(found)]);
    assert!(
        all.iter()
            .all(|c| c.seq == seq && c.strength == Strength::Stated)
    );
    assert!(all[0].text.contains("cause: leave"), "{}", all[0].text);
    assert!(all[0].text.contains(&format!("entry {retest}")));
    assert_eq!(rule(&w, both).verdict, PeriodVerdict::MetWithDeviations);
    assert_eq!(rule(&w, february).verdict, PeriodVerdict::MetWithDeviations);
}

#[test]
fn what_was_allowed_beforehand_is_a_deviation_of_the_period() {
    let of = |w: &World, duty: &str| {
        let as_of = day("03-10");
        let excused = crate::people::excused(&w.policy, &w.facts, as_of);
        let period = (day("01-01"), day("03-05"));
        let judged = crate::assess_period(&w.policy, &w.facts, &excused, period, as_of);
        let rule = judged
            .others
            .iter()
            .find(|r| r.duty.as_deref() == Some(duty));
        let rule = rule.unwrap();
        (rule.verdict, rule.closed, rule.counts.missed)
    };
    let mut w = World::new();
    // The months of January and February end unanswered.
    assert_eq!(of(&w, "look"), (PeriodVerdict::NotMet, 0, 2));
    w.people(day("01-10"), exemption("look", None));
    assert_eq!(of(&w, "look"), (PeriodVerdict::MetWithDeviations, 2, 2));
    // What ends early excuses no more than until then.
    let ended = vouchsafe_model::incident::Ended {
        name: "e".into(),
        by: "eve@example.com".into(),
        reason: "done".into(),
    };
    w.people(day("02-10"), PeopleFact::ExemptionEnded(ended));
    assert_eq!(of(&w, "look"), (PeriodVerdict::NotMet, 1, 2));

    // Nobody is excused afterwards.
    let mut w = World::new();
    w.people(day("02-10"), exemption("look", None));
    assert_eq!(of(&w, "look"), (PeriodVerdict::NotMet, 1, 2));
    // For one system only, a duty is not exempt.
    let mut w = World::new();
    w.people(day("01-10"), exemption("look", Some("a")));
    assert_eq!(of(&w, "look"), (PeriodVerdict::NotMet, 0, 2));
}

#[test]
fn a_permission_from_a_question_excuses_what_serves_it_and_of_its_systems_only() {
    let mut w = World::new();
    w.people(day("01-10"), exemption("fresh", Some("hand")));
    let kinds = |w: &World| {
        let all = crate::people::excused(&w.policy, &w.facts, day("03-10"));
        let named = |id: &ObligationId| {
            let mut all = w.facts.iter().filter_map(|r| match &r.entry.fact {
                Fact::ObligationDue(o) => Some(o),
                _ => None,
            });
            all.find(|o| o.id == *id).unwrap().clone()
        };
        let mut out: Vec<String> = all
            .iter()
            .map(|c| match &c.of {
                Closes::Obligation(id) => {
                    let owed = named(id);
                    format!("{} {}", owed.kind.word(), owed.subject())
                }
                Closes::Fact(_) => panic!("an obligation is excused"),
            })
            .collect();
        out.dedup();
        out
    };
    assert_eq!(kinds(&w), ["capture hand/main"]);
    let mut w = World::new();
    w.people(day("01-10"), exemption("a word that is no rule", None));
    assert_eq!(kinds(&w), [""; 0]);
}

#[test]
fn what_the_policy_permits_is_excused_from_when_its_text_was_agreed_to() {
    let text = format!(
        "{POLICY}exemptions:\n  e: {{ from: look, reason: being moved, approved_by: eve@example.com, until: 2026-03-15 }}\n  half: {{ from: read, reason: r, until: 2027-01-01 }}\n"
    );
    let excused = |w: &World| {
        let all = crate::people::excused(&w.policy, &w.facts, day("03-10"));
        let seqs: Vec<u64> = all.iter().map(|c| c.seq).collect();
        assert!(all.iter().all(|c| c.strength == Strength::Stated));
        assert!(
            all.iter()
                .all(|c| c.text.starts_with("exemption e from look until 2026-03-1"))
        );
        seqs
    };
    // The record does not know this text.
    let mut w = World::with(&text);
    in_force(&mut w, day("01-01"), "another");
    assert!(excused(&w).is_empty());
    // Agreed to in January: the months that end afterwards and before its end are excused.
    let seq = in_force(&mut w, day("01-10"), "digest");
    assert_eq!(excused(&w), [seq, seq]);
    // Put back and in force again: only what was due since the second time.
    in_force(&mut w, day("02-03"), "another");
    assert!(excused(&w).is_empty());
    let seq = in_force(&mut w, day("02-05"), "digest");
    assert_eq!(excused(&w), [seq]);
    // Once the record has one of this name, the policy's no longer holds.
    w.people(day("02-20"), exemption("read", None));
    assert!(excused(&w).is_empty());
}

#[test]
fn a_change_that_waits_excuses_nothing() {
    let text = format!(
        "{POLICY}exemptions:\n  e: {{ from: look, reason: r, approved_by: eve@example.com, until: 2026-03-15 }}\n"
    );
    let mut w = World::with(&text);
    in_force(&mut w, day("01-01"), "older");
    let change = vouchsafe_model::PolicyChange {
        change: "c-1".parse().unwrap(),
        from: vec!["older".into()],
        to: "digest".into(),
        author: "ann@example.com".into(),
        author_known: Strength::Stated,
        alterations: Vec::new(),
        weakens: 1,
        strengthens: 0,
        neutral: 0,
    };
    w.add(day("01-02"), Fact::PolicyChanged(change));
    in_force(&mut w, day("01-02"), "digest");
    let excused = |w: &World| crate::people::excused(&w.policy, &w.facts, day("03-10")).len();
    assert_eq!(excused(&w), 0);
}

#[test]
fn an_incident_is_closed_by_a_retest_of_what_it_is_about() {
    let mut w = World::new();
    let red = w.drill("a", day("02-01"), false);
    noted(&mut w, day("02-02"), Vec::new(), vec![red]);
    let other = w.drill("b", day("02-03"), true);
    let same = w.drill("a", day("02-03"), true);
    let state = incidents(&w.facts, day("02-10")).remove(0);
    let why = can_close(&w.facts, &state, other).unwrap_err();
    assert!(why.contains("about the system b"), "{why}");
    assert_eq!(can_close(&w.facts, &state, same), Ok(()));
    // A closing by the other one, as an older version would have taken it, closes nothing in the period.
    closed(&mut w, day("02-04"), other);
    assert!(closures(&w.facts, day("02-10")).is_empty());
}
