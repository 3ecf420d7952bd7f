//! Obligations: what opens when, what is due when, and windows that may be computed piece by piece.

use std::collections::BTreeSet;
use std::path::Path;

use proptest::prelude::*;
use vouchsafe_model::{Obligation, Policy, Span, Time};
use vouchsafe_policy::{lower, obligations};

fn policy(text: &str) -> Policy {
    let lowered = lower(text, "policy.yaml", Path::new("/p"), "d".into());
    let problems: Vec<_> = lowered.problems.iter().map(ToString::to_string).collect();
    lowered.policy.unwrap_or_else(|| panic!("{problems:#?}"))
}

fn t(text: &str) -> Time {
    text.parse().unwrap()
}

/// `kind subject opens..due` of each, between two days of 2026.
fn owed(text: &str, from: &str, to: &str) -> Vec<String> {
    let all = obligations(
        &policy(text),
        t(&format!("2026-{from}Z")),
        t(&format!("2026-{to}Z")),
    );
    let show = |o: Obligation| {
        let time = |t: Time| t.to_timestamp().strftime("%m-%dT%H:%M").to_string();
        format!(
            "{} {} {}..{}",
            o.kind,
            o.subject(),
            time(o.opens),
            time(o.due)
        )
    };
    all.into_iter().map(show).collect()
}

const VAULTS: &str = "vaults: { a: { url: /v/a }, b: { url: /v/b }, c: { url: /v/c } }\n";

fn system(rules: &str) -> String {
    format!(
        "{VAULTS}tiers: {{ t: {{ rpo: 6h }} }}\nsystems: {{ s: {{ source: 'files:/x', {rules} }} }}\n"
    )
}

#[test]
fn a_capture_is_due_before_the_next_one() {
    let got = owed(
        &system("schedule: 'daily at 02:00'"),
        "01-05T00:00:00",
        "01-07T00:00:00",
    );
    assert_eq!(
        got,
        [
            "capture s/main 01-05T02:00..01-06T02:00",
            "capture s/main 01-06T02:00..01-07T02:00"
        ]
    );
    let got = owed(
        &system("tier: t, schedule: 'daily at 02:00'"),
        "01-05T00:00:00",
        "01-06T00:00:00",
    );
    assert_eq!(got, ["capture s/main 01-05T02:00..01-05T08:00"]);
}

#[test]
fn a_window_bounds_it_closer() {
    let rules = "schedule: 'daily at 23:00', window: { start_within: 30m, finish_by: '04:00 Europe/London' }";
    let got = owed(&system(rules), "07-05T00:00:00", "07-06T00:00:00");
    assert_eq!(got, ["capture s/main 07-05T23:00..07-06T03:00"]);
    let got = owed(
        &system("schedule: 'daily at 23:00', window: { start_within: 30m }"),
        "07-05T00:00:00",
        "07-06T00:00:00",
    );
    assert_eq!(got, ["capture s/main 07-05T23:00..07-05T23:30"]);
}

#[test]
fn further_vaults_are_owed_copies() {
    let rules = "schedule: 'daily at 02:00', copies: [ a, b, { vault: c, every: week } ]";
    let got = owed(&system(rules), "01-05T00:00:00", "01-06T00:00:00");
    assert_eq!(
        got,
        [
            "copy s/main → c 01-05T00:00..01-12T00:00",
            "capture s/main 01-05T02:00..01-06T02:00",
            "copy s/main → b 01-05T02:00..01-06T02:00",
        ]
    );
}

#[test]
fn every_vault_is_verified_and_drills_have_twins() {
    let rules =
        "copies: [ a, b ], verify: week, drill: { every: quarter, negative_control: every year }";
    let got = owed(&system(rules), "01-01T00:00:00", "01-02T00:00:00");
    assert_eq!(
        got,
        [
            // Thursday lies in the week of 29 December.
            "verify s/main → a 12-29T00:00..01-05T00:00",
            "verify s/main → b 12-29T00:00..01-05T00:00",
            "drill s/main 01-01T00:00..04-01T00:00",
            "negative-control s/main 01-01T00:00..01-01T00:00",
        ]
    );
}

#[test]
fn a_period_under_way_counts_only_if_there_can_be_a_point() {
    let rules = "schedule: 'monthly on 15 at 02:00', window: { finish_by: '04:00' }, copies: a, drill: month";
    let drills = |from: &str| -> Vec<String> {
        let all = owed(&system(rules), from, "02-20T00:00:00");
        all.into_iter().filter(|o| o.starts_with("drill")).collect()
    };
    let (january, february) = (
        "drill s/main 01-01T00:00..02-01T00:00",
        "drill s/main 02-01T00:00..03-01T00:00",
    );
    assert_eq!(drills("01-10T00:00:00"), [january, february]);
    assert_eq!(drills("01-20T00:00:00"), [february]);
}

#[test]
fn who_owes_nothing_and_who_owes_all_the_same() {
    let none = format!(
        "{VAULTS}systems: {{ s: {{ source: 'files:/x', schedule: daily, exempt: not ours }}, \
                        r: {{ replica: 'pg:x' }}, n: {{ source: 'files:/y' }} }}"
    );
    assert_eq!(owed(&none, "01-01T00:00:00", "02-01T00:00:00"), [""; 0]);
    let some = "systems: { h: { manual: { every: month, grace: 5 days } }, o: { observe: 'rds:x', schedule: weekly } }\n\
                duties: { look: { every: quarter }, never: }";
    assert_eq!(
        owed(some, "01-05T00:00:00", "01-06T00:00:00"),
        [
            "capture h/main 01-01T00:00..02-06T00:00",
            "duty look 01-01T00:00..04-01T00:00",
            "capture o/main 01-05T00:00..01-12T00:00",
        ]
    );
}

#[test]
fn a_capture_that_is_too_late_already_is_not_owed() {
    let rules = system("tier: t, schedule: daily");
    assert_eq!(
        owed(&rules, "01-05T05:00:00", "01-05T12:00:00"),
        ["capture s/main 01-05T00:00..01-05T06:00"]
    );
    assert_eq!(owed(&rules, "01-05T07:00:00", "01-05T12:00:00"), [""; 0]);
}

#[test]
fn a_key_is_owed_a_replacement_in_each_period_that_begins() {
    let text = "vaults: { a: { url: /v/a, keys: { rotate: every year } }, b: { url: /v/b, keys: { rotate: every 90 days } } }\n\
                systems: { s: { source: 'files:/x' } }";
    // The period under way is none: the key may just have been made.
    assert_eq!(owed(text, "11-25T00:00:00", "12-03T00:00:00"), [""; 0]);
    let got = owed(text, "01-01T00:00:00", "04-01T00:00:00");
    assert_eq!(got[0], "rotate-key a 01-01T00:00..01-01T00:00");
    assert_eq!((got.len(), got[1].split(' ').nth(1)), (2, Some("b")));
}

#[test]
fn a_vault_is_owed_a_pruning_in_each_period_that_begins() {
    let text = "vaults: { a: { url: /v/a, prune: daily }, b: { url: /v/b } }\n\
                systems: { s: { source: 'files:/x' } }";
    assert_eq!(
        owed(text, "01-05T12:00:00", "01-07T00:00:01"),
        [
            "prune a 01-06T00:00..01-07T00:00",
            "prune a 01-07T00:00..01-08T00:00"
        ]
    );
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let schedule = proptest::sample::select(vec![
        "hourly",
        "daily",
        "daily at 02:30 Europe/London",
        "weekly",
        "every 7 hours",
        "monthly on the last day at 23:00",
        "2 per day",
        "month",
        "*/20 3 * * 1-5 America/New_York",
    ]);
    let rhythm = || {
        proptest::sample::select(vec![
            "day",
            "week",
            "month",
            "quarter",
            "every 3 days",
            "year",
        ])
    };
    let window = proptest::sample::select(vec![
        "",
        "window: { start_within: 30m },",
        "window: { finish_by: '04:00 Europe/London' },",
    ]);
    let keys = proptest::sample::select(vec!["every year", "every 90 days", "month"]);
    (schedule, rhythm(), rhythm(), rhythm(), window, keys).prop_map(|(schedule, copy, verify, drill, window, keys)| {
        let vault = format!("url: /v/a, keys: {{ rotate: {keys} }}");
        policy(&system(&format!(
            "schedule: '{schedule}', {window} tier: t, copies: [ a, b, {{ vault: c, every: {copy} }} ], verify: {verify}, \
             drill: {{ every: {drill}, negative_control: year }}"
        )).replace("url: /v/a", &vault))
    })
}

fn ids(all: &[Obligation]) -> BTreeSet<String> {
    all.iter().map(|o| o.id.to_string()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn piece_by_piece_is_the_whole(
        p in any_policy(), start in 1_760_000_000i64..1_800_000_000, one in 0u64..3_000_000, two in 0u64..3_000_000,
    ) {
        let a = Time::from_secs(start);
        let (b, c) = (a.plus(Span::from_secs(one)), a.plus(Span::from_secs(one + two)));
        let whole = obligations(&p, a, c);
        let pieces: BTreeSet<_> = ids(&obligations(&p, a, b)).union(&ids(&obligations(&p, b, c))).cloned().collect();
        prop_assert_eq!(ids(&whole), pieces);
        prop_assert_eq!(ids(&whole).len(), whole.len());
    }

    #[test]
    fn they_are_in_order_and_can_be_kept(
        p in any_policy(), start in 1_760_000_000i64..1_800_000_000, len in 1u64..6_000_000,
    ) {
        let a = Time::from_secs(start);
        let all = obligations(&p, a, a.plus(Span::from_secs(len)));
        for o in &all {
            prop_assert!(o.opens < o.due, "{:?}", o);
            prop_assert!(o.due > a, "{:?} was over before it was promised", o);
            prop_assert!(o.opens < a.plus(Span::from_secs(len)));
            let again = Obligation::new(o.kind, o.protection.clone(), o.vault.clone(), o.duty.clone(), o.opens, o.due);
            prop_assert_eq!(&again.id, &o.id);
        }
        prop_assert!(all.windows(2).all(|w| w[0].opens <= w[1].opens));
    }
}
