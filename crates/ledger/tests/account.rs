//! What a sound record tells by itself: obligations without facts, silence, breaks.

use crate::common::{answer, at, composed, due, entry, horizon, key, numbered, obligation};
use vouchsafe_ledger::{Silence, VerifyReport, verify_export};
use vouchsafe_model::{Entry, Fact};

fn report(entries: &[Entry]) -> VerifyReport {
    let bodies: Vec<_> = entries
        .iter()
        .map(|e| serde_json::to_vec(e).unwrap())
        .collect();
    let report = verify_export(composed(&key(), &bodies).as_slice(), None, &[]).unwrap();
    assert!(report.is_sound(), "{report:?}");
    report
}

#[test]
fn obligations_without_facts() {
    let [a, b, c, d] = [1, 2, 3, 4].map(|n| obligation(n, n * 10));
    let entries = [
        due(0, &a),
        due(0, &b),
        due(0, &c),
        due(0, &d),
        answer(15, &[&b.id]),
        numbered(40),
    ];
    let late = report(&entries).obligations_without_facts;
    assert_eq!(late, [a.clone(), c.clone()], "d is due now, not before");
    let later = report(&[&entries[..], &[answer(50, &[&a.id, &c.id, &d.id])]].concat());
    assert_eq!(later.obligations_without_facts, []);
    let early = [answer(0, &[&a.id]), due(1, &a), numbered(100)];
    assert_eq!(
        report(&early).obligations_without_facts,
        vec![a.clone()],
        "the fact was not later"
    );
    let twice = [due(0, &a), answer(1, &[&a.id]), due(2, &a), numbered(100)];
    assert_eq!(
        report(&twice).obligations_without_facts,
        [],
        "it is the same obligation"
    );
}

#[test]
fn withdrawn_obligations_need_no_fact_unless_it_is_too_late() {
    let [a, b] = [1, 2].map(|n| obligation(n, n * 10));
    let withdraw = |secs| {
        let fact = Fact::ObligationsWithdrawn {
            obligations: vec![a.id.clone(), b.id.clone()],
            policy: "00".into(),
        };
        entry(secs, fact)
    };
    let entries = [due(0, &a), due(0, &b), withdraw(15), numbered(100)];
    assert_eq!(report(&entries).obligations_without_facts, vec![a.clone()]);
    let again = [due(0, &a), withdraw(5), due(6, &a), numbered(100)];
    assert_eq!(report(&again).obligations_without_facts, vec![a.clone()]);
}

#[test]
fn silence() {
    let seen = |entries: &[Entry]| {
        let found = report(entries).silence;
        found
            .into_iter()
            .map(|s| (s.from, s.to))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        seen(&[numbered(5), numbered(500)]),
        [],
        "no horizon was stated"
    );
    assert_eq!(seen(&[horizon(0, 10), numbered(10), horizon(10, 20)]), []);
    let gap = [
        horizon(0, 10),
        numbered(9),
        numbered(30),
        horizon(31, 50),
        numbered(50),
    ];
    assert_eq!(seen(&gap), [(at(10), at(31))]);
    let two = [&gap[..], &[horizon(60, 70), numbered(71), numbered(80)]].concat();
    assert_eq!(
        seen(&two),
        [(at(10), at(31)), (at(50), at(60)), (at(70), at(80))]
    );
    let earlier = [horizon(0, 10), horizon(1, 5), numbered(8)];
    assert_eq!(seen(&earlier), [], "a horizon does not move back");
    let silence = report(&gap).silence;
    assert_eq!(
        silence,
        [Silence {
            from: at(10),
            to: at(31)
        }]
    );
}

#[test]
fn breaks() {
    let reason = "foreign head".to_owned();
    let broken = entry(
        7,
        Fact::Break {
            reason: reason.clone(),
            vault: None,
            tree_size: Some(9),
        },
    );
    let report = report(&[numbered(1), broken, numbered(8)]);
    let found = &report.breaks[0];
    assert_eq!((found.seq, found.at, &found.reason), (1, at(7), &reason));
    assert_eq!(
        (report.first_at, report.last_at),
        (Some(at(1)), Some(at(8)))
    );
}
