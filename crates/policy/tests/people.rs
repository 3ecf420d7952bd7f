//! What people owe: never two of the same, never none, by the calendar, whoever looks when.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proptest::prelude::*;
use vouchsafe_model::{Obligation, Policy, Span, Time};
use vouchsafe_policy::schedule::occurrences;
use vouchsafe_policy::{lower, obligations};

fn policy(text: &str) -> Policy {
    let lowered = lower(text, "policy.yaml", Path::new("/p"), "d".into());
    let problems: Vec<_> = lowered.problems.iter().map(ToString::to_string).collect();
    lowered.policy.unwrap_or_else(|| panic!("{problems:#?}"))
}

fn t(text: &str) -> Time {
    text.parse().unwrap()
}

/// `subject opens..due` of each.
fn owed(text: &str, from: &str, to: &str) -> Vec<String> {
    let show = |o: Obligation| {
        let time = |t: Time| t.to_timestamp().strftime("%Y-%m-%dT%H:%M").to_string();
        format!("{} {}..{}", o.subject(), time(o.opens), time(o.due))
    };
    let all = obligations(&policy(text), t(from), t(to));
    all.into_iter().map(show).collect()
}

#[test]
fn a_day_is_owed_a_month_ahead_and_until_it_is_over() {
    let text = "policy: { owner: o@example.com, next_review: 2028-02-29 }\n";
    let want = ["policy 2028-01-31T00:00..2028-03-01T00:00"];
    assert_eq!(
        owed(text, "2028-01-01T00:00:00Z", "2028-02-01T00:00:00Z"),
        want
    );
    // Whoever begins in between owes it too, and nobody owes what is over.
    assert_eq!(
        owed(text, "2028-02-29T23:59:59Z", "2028-03-30T00:00:00Z"),
        want
    );
    assert_eq!(
        owed(text, "2028-03-01T00:00:00Z", "2028-03-30T00:00:00Z"),
        [""; 0]
    );
    assert_eq!(
        owed(text, "2028-01-01T00:00:00Z", "2028-01-31T00:00:00Z"),
        [""; 0]
    );
}

#[test]
fn each_person_and_each_thing_has_one_of_its_own() {
    let text = "roles: { it: { people: [ ann@example.com, ben@example.com ] } }\n\
                systems: { a: { source: 'files:/a' }, b: { source: 'files:/b' }, c: { exempt: no } }\n\
                duties:\n  read: { every: year, role: it, acknowledge: true }\n  look: { every: month, role: it, each: system }\n";
    assert_eq!(
        owed(text, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
        [
            "look: a 2026-01-01T00:00..2026-02-01T00:00",
            "look: b 2026-01-01T00:00..2026-02-01T00:00",
            "read: ann@example.com 2026-01-01T00:00..2027-01-01T00:00",
            "read: ben@example.com 2026-01-01T00:00..2027-01-01T00:00",
        ]
    );
}

#[test]
fn clocks_that_are_turned_neither_drop_nor_double_a_duty() {
    // At half past one on 29 March 2026 there is no such time in London; on 25 October there are two.
    let text = "duties: { look: { every: 'weekly on sunday at 01:30 Europe/London', role: r } }\n";
    assert_eq!(
        owed(text, "2026-03-28T00:00:00Z", "2026-03-30T00:00:00Z"),
        ["look 2026-03-29T01:00..2026-04-05T00:30"]
    );
    assert_eq!(
        owed(text, "2026-10-24T00:00:00Z", "2026-10-26T00:00:00Z"),
        ["look 2026-10-25T00:30..2026-11-01T01:30"]
    );
}

#[test]
fn a_person_who_comes_later_does_not_change_what_others_owe() {
    let with = |people: &str| {
        let text = format!(
            "roles: {{ it: {{ people: [ {people} ] }} }}\nduties: {{ read: {{ every: year, role: it, acknowledge: true }} }}\n"
        );
        let (from, to) = (t("2026-05-01T00:00:00Z"), t("2026-05-02T00:00:00Z"));
        ids(&obligations(&policy(&text), from, to))
    };
    let (few, more) = (with("a@example.com"), with("a@example.com, b@example.com"));
    assert!(few.is_subset(&more) && more.len() == 2);
}

fn ids(all: &[Obligation]) -> BTreeSet<String> {
    all.iter().map(|o| o.id.to_string()).collect()
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let rhythm = || {
        proptest::sample::select(vec![
            "day",
            "week",
            "month",
            "quarter",
            "half year",
            "year",
            "every 90 days",
            "monthly on the last day at 23:30 Europe/London",
            "weekly on sunday at 02:30 America/New_York",
            "daily at 02:30 Europe/London",
        ])
    };
    let day =
        (2025i32..2029, 1u32..=12, 1u32..=28).prop_map(|(y, m, d)| format!("{y}-{m:02}-{d:02}"));
    (rhythm(), rhythm(), rhythm(), rhythm(), day.clone(), day).prop_map(
        |(look, read, test, paper, review, expires)| {
            policy(&format!(
                "policy: {{ owner: boss, next_review: {review} }}\n\
                 roles: {{ boss: {{ people: [ e@example.com ] }}, it: {{ people: [ a@example.com, b@example.com ], delegate: boss }} }}\n\
                 applications: {{ shop:, blog: }}\n\
                 systems: {{ a: {{ source: 'files:/a', application: shop }}, b: {{ source: 'files:/b', application: blog }} }}\n\
                 providers: {{ p: {{ assurance: {{ soc2: {{ every: '{paper}', read_by: it, expires: {expires} }} }} }} }}\n\
                 programme: {{ each: {{ kind: restore, every: '{test}', of: each-application, by: it }} }}\n\
                 duties:\n  look: {{ every: '{look}', role: it }}\n  read: {{ every: '{read}', role: it, acknowledge: true }}\n"
            ))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// However time is cut into pieces, by downtime or by a clock that is set forward, the same is owed in the end.
    #[test]
    fn whoever_looks_when_the_same_is_owed(
        p in any_policy(), start in 1_740_000_000i64..1_850_000_000, cuts in proptest::collection::vec(0u64..9_000_000, 1..5),
    ) {
        let a = Time::from_secs(start);
        let mut at = a;
        let mut pieces: BTreeSet<String> = BTreeSet::new();
        for cut in &cuts {
            let next = at.plus(Span::from_secs(*cut));
            pieces.extend(ids(&obligations(&p, at, next)));
            at = next;
        }
        let whole = obligations(&p, a, at);
        prop_assert_eq!(ids(&whole), pieces);
        prop_assert_eq!(ids(&whole).len(), whole.len(), "two of the same");
    }

    /// A clock that is set back, or a piece that is looked at twice, makes nothing new.
    #[test]
    fn what_was_owed_is_owed_once(
        p in any_policy(), start in 1_740_000_000i64..1_850_000_000, ahead in 86_400u64..9_000_000, back in 0u64..86_400,
    ) {
        let a = Time::from_secs(start);
        let b = a.plus(Span::from_secs(ahead));
        let known = ids(&obligations(&p, a, b));
        let again: Vec<Obligation> = obligations(&p, a.plus(Span::from_secs(back)), b);
        prop_assert!(ids(&again).is_subset(&known));
    }

    /// Each occurrence of each rhythm is owed by each of those who owe it, exactly once, with the occurrence's own times.
    #[test]
    fn never_two_and_never_none(p in any_policy(), start in 1_740_000_000i64..1_850_000_000, len in 1u64..40_000_000) {
        use vouchsafe_model::people::When;
        let a = Time::from_secs(start);
        let b = a.plus(Span::from_secs(len));
        let all = obligations(&p, a, b);
        for duty in p.people.duties.values() {
            let mine: Vec<&Obligation> = all.iter().filter(|o| o.duty.as_ref() == Some(&duty.name)).collect();
            let each = duty.holders(&p.people).len().pow(u32::from(duty.each_person)) * duty.about.len().max(1);
            match &duty.when {
                When::Every(schedule) => {
                    let mut by_time: BTreeMap<(Time, Time), usize> = BTreeMap::new();
                    for o in &mine {
                        *by_time.entry((o.opens, o.due)).or_default() += 1;
                    }
                    for when in occurrences(&schedule.rule, a, b) {
                        prop_assert_eq!(by_time.remove(&when), Some(each), "{} at {}", &duty.name, when.0);
                    }
                    // What is left is the one period that was under way.
                    prop_assert!(by_time.len() <= 1);
                    for ((opens, due), n) in by_time {
                        prop_assert!(opens < a && due > a && n == each);
                    }
                }
                When::By { end, .. } => {
                    let opens = end.minus(Span::from_days(30));
                    let wanted = usize::from(opens < b && *end > a);
                    prop_assert_eq!(mine.len(), wanted);
                }
                When::After(_) => prop_assert!(mine.is_empty()),
            }
        }
    }
}
