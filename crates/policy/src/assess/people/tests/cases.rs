//! Incidents until their closure, exemptions, rights for a time, pauses.

use vouchsafe_model::attestation::Identity;
use vouchsafe_model::incident::{
    AccessGrant, AccessRequest, Closure, Ended, Exemption, Incident, IncidentNote, NoteKind, Pause,
};
use vouchsafe_model::people_assessment::AccessStanding;
use vouchsafe_model::{PeopleFact, Span, Time, Verdict};

use super::*;

#[test]
fn a_missed_duty_is_settled_by_an_incident_that_is_closed_with_a_retest() {
    let mut w = World::new();
    let missed = w.owed("look", None, day("01-10")).id;
    let open = |w: &mut World| {
        w.people(
            day("02-05"),
            PeopleFact::IncidentOpened(Incident {
                name: "i".into(),
                obligations: vec![missed.clone()],
                facts: Vec::new(),
                by: "ann@example.com".into(),
                reason: "nobody was there".into(),
            }),
        )
    };
    open(&mut w);
    let state = |w: &World| incidents(&w.facts, day("02-20")).remove(0);
    assert!(w.list(day("02-06")).contains(&"look overdue".to_owned()));
    // Nothing is closed without cause, fix and a retest that came afterwards and is good.
    let why = |w: &World, seq| can_close(&w.facts, &state(w), seq).unwrap_err();
    assert!(why(&w, 0).contains("cause"));
    for kind in [NoteKind::Cause, NoteKind::Fix] {
        w.people(
            day("02-06"),
            PeopleFact::IncidentNoted(IncidentNote {
                name: "i".into(),
                kind,
                text: "leave".into(),
                by: "ann@example.com".into(),
            }),
        );
    }
    assert!(why(&w, 9_999).contains("no entry"));
    assert!(why(&w, 0).contains("older than the incident"));
    let red = w.drill("a", day("02-07"), false);
    assert!(why(&w, red).contains("no retest"));
    let declined = w.say("look", "ann@example.com", Declined, day("02-07"));
    assert!(why(&w, declined).contains("no retest"));
    let retest = w.drill("b", day("02-08"), true);
    assert_eq!(can_close(&w.facts, &state(&w), retest), Ok(()));
    w.people(
        day("02-09"),
        PeopleFact::IncidentClosed(Closure {
            name: "i".into(),
            retest,
            by: "eve@example.com".into(),
            reason: "a stand-in is named".into(),
        }),
    );
    assert!(!w.list(day("02-10")).contains(&"look overdue".to_owned()));
    let judged = w.duty("look", day("02-10"));
    assert_eq!(judged.verdict, Verdict::Met);
    assert!(
        judged.because.contains("closed by eve@example.com"),
        "{}",
        judged.because
    );
    assert_eq!(w.judge(day("02-10")).incidents[0].notes.len(), 2);
    // The name may be used again.
    open(&mut w);
    assert_eq!(incidents(&w.facts, day("03-01")).len(), 2);
}

#[test]
fn an_exemption_takes_out_its_rule_until_its_day_and_is_a_finding_afterwards() {
    let mut w = World::new();
    let answer = |w: &World, at| {
        let judged = w.judge(at);
        let of = |system: &str| {
            let p = judged
                .protections
                .iter()
                .find(|p| p.id.system.as_str() == system);
            p.unwrap()
                .judgement(vouchsafe_model::Question::Covered)
                .unwrap()
                .clone()
        };
        (of("a"), of("b"), judged.exemptions)
    };
    let bad = answer(&w, day("02-01")).0.verdict;
    assert!(!bad.is_good());
    let permission = Exemption {
        name: "e".into(),
        from: "covered".into(),
        systems: vec!["a".parse().unwrap()],
        asked_by: "ann@example.com".into(),
        approved_by: "eve@example.com".into(),
        reason: "being moved".into(),
        until: day("03-01"),
        identity: Identity::Unverified,
        statement: None,
    };
    w.people(day("02-01"), PeopleFact::Exempted(permission.clone()));
    let (a, b, _) = answer(&w, day("02-02"));
    assert_eq!((a.verdict, b.verdict), (Verdict::Exempt, bad));
    assert!(
        a.because
            .contains("by eve@example.com: being moved; otherwise:"),
        "{}",
        a.because
    );
    let (a, _, known) = answer(&w, day("03-02"));
    assert_eq!(a.verdict, bad);
    assert!(a.because.contains("exemption e: it ended"), "{}", a.because);
    assert!(!known[0].in_force && known[0].finding.is_some());
    // A duty can be exempt too.
    let of_duty = Exemption {
        from: "look".into(),
        systems: Vec::new(),
        ..permission
    };
    w.people(day("02-03"), PeopleFact::Exempted(of_duty));
    assert_eq!(w.duty("look", day("02-04")).verdict, Verdict::Exempt);
    // One that the policy gives without an end is none.
    let half = format!(
        "{POLICY}exemptions: {{ half: {{ from: covered, reason: r, approved_by: eve@example.com }} }}\n"
    );
    let w = World::with(&half);
    let judged = w.judge(day("01-02"));
    assert_eq!(
        judged.exemptions[0].finding.as_deref(),
        Some("it does not say until when")
    );
}

#[test]
fn a_right_is_asked_for_given_by_another_and_ends_by_itself() {
    let rules = format!(
        "{POLICY}access: {{ restore: {{ role: it, may: [ restore ], approvers: boss, at_most: 4h }}, look: {{ role: it, may: [ view ] }} }}\n"
    );
    let mut w = World::with(&rules);
    let people = w.policy.people.clone();
    let ask = |right: &str, by: &str, hours| {
        may_ask(&people, right, by, Span::from_hours(hours)).unwrap_or_default()
    };
    assert_eq!(ask("restore", "ann@example.com", 4), "");
    assert!(ask("restore", "ann@example.com", 5).contains("4h at a time"));
    assert!(ask("restore", "mallory@example.com", 1).contains("may not have it"));
    assert!(ask("fly", "ann@example.com", 1).contains("no right `fly`"));
    let asked = AccessRequest {
        name: "r1".into(),
        right: "restore".into(),
        by: "ann@example.com".into(),
        length: Span::from_hours(4),
        reason: "a drill".into(),
    };
    w.people(day("02-01"), PeopleFact::AccessAsked(asked));
    let state = |w: &World, at: Time| accesses(&w.facts, at).remove(0);
    let open = state(&w, day("02-02"));
    assert_eq!(open.standing, AccessStanding::Asked);
    let grant = |by: &str| may_grant(&people, &open, by).unwrap_or_default();
    assert_eq!(grant("eve@example.com"), "");
    assert!(grant("ann@example.com").contains("somebody else has to"));
    assert!(grant("ben@example.com").contains("eve@example.com may"));
    let given = AccessGrant {
        name: "r1".into(),
        approved_by: "eve@example.com".into(),
        until: day("02-03").plus(Span::from_hours(4)),
        identity: Identity::Unverified,
        statement: None,
    };
    w.people(day("02-03"), PeopleFact::AccessGiven(given));
    let soon = day("02-03").plus(Span::from_hours(1));
    assert_eq!(state(&w, soon).standing, AccessStanding::InForce);
    assert_eq!(w.judge(soon).access.len(), 1);
    assert_eq!(state(&w, day("02-04")).standing, AccessStanding::Over);
    assert!(w.judge(day("02-04")).access.is_empty());
    // It can be taken back before, and not afterwards.
    let ended = |w: &mut World, at| {
        let ended = Ended {
            name: "r1".into(),
            by: "eve@example.com".into(),
            reason: "done".into(),
        };
        w.people(at, PeopleFact::AccessEnded(ended));
    };
    let mut over = World::with(&rules);
    over.facts.clone_from(&w.facts);
    ended(&mut over, day("02-05"));
    assert_eq!(state(&over, day("02-06")).standing, AccessStanding::Over);
    ended(&mut w, soon);
    assert_eq!(state(&w, soon).standing, AccessStanding::Ended);
}

#[test]
fn a_pause_ends_by_itself_or_by_somebody() {
    let mut w = World::new();
    let pause = |until| Pause {
        system: "a".parse().unwrap(),
        by: "ann@example.com".into(),
        reason: "it is moved".into(),
        until,
    };
    w.people(day("02-01"), PeopleFact::Paused(pause(day("02-05"))));
    let n = |w: &World, at| paused(&w.facts, at).len();
    assert_eq!(
        (
            n(&w, day("01-31")),
            n(&w, day("02-04")),
            n(&w, day("02-05"))
        ),
        (0, 1, 0)
    );
    w.people(day("02-06"), PeopleFact::Paused(pause(day("02-20"))));
    let ended = Ended {
        name: "a".into(),
        by: "ann@example.com".into(),
        reason: "it was moved".into(),
    };
    w.people(day("02-10"), PeopleFact::Resumed(ended));
    assert_eq!((n(&w, day("02-09")), n(&w, day("02-11"))), (1, 0));
    assert_eq!(w.judge(day("02-09")).paused.len(), 1);
}
