//! Schedules: words, both ways of daylight saving, leap days, month ends, and windows that split.

use proptest::prelude::*;
use vouchsafe_model::policy::{Period, ScheduleRule};
use vouchsafe_model::{Span, Time};

use super::*;

fn t(text: &str) -> Time {
    text.parse().unwrap()
}

fn rule(text: &str) -> ScheduleRule {
    parse(text).unwrap().rule
}

fn opens(text: &str, from: &str, to: &str) -> Vec<String> {
    occurrences(&rule(text), t(from), t(to))
        .map(|(o, _)| o.minute())
        .collect()
}

fn cron_of(text: &str) -> (String, String) {
    match rule(text) {
        ScheduleRule::Cron { expression, zone } => (expression, zone),
        other => panic!("{text} became {other:?}"),
    }
}

#[test]
fn plain_words_mean_what_they_say() {
    assert_eq!(cron_of("daily at 02:00 UTC").0, "0 2 * * *");
    assert_eq!(
        cron_of("weekly on sunday at 03:00 Europe/London"),
        ("0 3 * * 0".into(), "Europe/London".into())
    );
    assert_eq!(cron_of("every weekday at 7:30").0, "30 7 * * 1-5");
    assert_eq!(
        cron_of("Daily at 02:00 and 14:00 europe/london").0,
        "0 2,14 * * *"
    );
    assert_eq!(cron_of("monthly on the 1st at 02:00").0, "0 2 1 * *");
    assert_eq!(cron_of("monthly on the last day at 02:00").0, "0 2 L * *");
    assert_eq!(cron_of("30 2 * * 1-5 Europe/London").1, "Europe/London");
    assert_eq!(
        rule("every 6 hours"),
        ScheduleRule::Every(Span::from_hours(6))
    );
    assert_eq!(rule("5m"), ScheduleRule::Every(Span::from_mins(5)));
    assert_eq!(rule("2 per day"), ScheduleRule::Every(Span::from_hours(12)));
    assert_eq!(rule("hourly"), ScheduleRule::Every(Span::from_hours(1)));
    assert_eq!(rule("2 per year"), ScheduleRule::Once(Period::HalfYear));
    for (text, period) in [
        ("daily", Period::Day),
        ("week", Period::Week),
        ("every month", Period::Month),
        ("every quarter", Period::Quarter),
        ("every year", Period::Year),
        ("3 months", Period::Quarter),
    ] {
        assert_eq!(rule(text), ScheduleRule::Once(period), "{text}");
    }
}

#[test]
fn what_is_no_schedule_teaches() {
    for bad in [
        "",
        "often",
        "every",
        "at 02:00",
        "daily at",
        "daily at 25:00",
        "weekly on smunday",
        "7 per year",
        "5 per month",
        "0 per day",
        "monthly on 32",
        "every 5 months",
        "daily at 02:00 and 03:30",
        "weekly at 02:00",
        "daily on sunday at 02:00",
    ] {
        let err = parse(bad).unwrap_err();
        assert!(matches!(err, WordError::Schedule { .. }), "{bad}: {err}");
        assert!(err.remedy().contains("daily at 02:00 UTC"));
    }
    assert!(matches!(parse("61 2 * * *"), Err(WordError::Cron { .. })));
    assert!(matches!(parse("0 0 2 * * *"), Err(WordError::Cron { .. })));
    assert!(matches!(parse("0 0 30 2 *"), Err(WordError::Never { .. })));
    assert!(matches!(
        parse("0 2 * * * Mars/Base"),
        Err(WordError::Zone { .. })
    ));
    assert!(matches!(
        parse("daily at 02:00 Mars/Base"),
        Err(WordError::Zone { .. })
    ));
    assert!(matches!(parse("every 5s"), Err(WordError::TooOften { .. })));
}

#[test]
fn a_skipped_wall_time_runs_once_at_the_next_that_exists() {
    // In London 2026-03-29 the clock goes from 01:00 to 02:00.
    let days = opens(
        "daily at 01:30 Europe/London",
        "2026-03-28T00:00:00Z",
        "2026-03-31T00:00:00Z",
    );
    assert_eq!(
        days,
        [
            "2026-03-28 01:30 UTC",
            "2026-03-29 01:00 UTC",
            "2026-03-30 00:30 UTC"
        ]
    );
    let quarters = opens(
        "*/15 1 * * * Europe/London",
        "2026-03-29T00:00:00Z",
        "2026-03-30T00:00:00Z",
    );
    assert_eq!(quarters, ["2026-03-29 01:00 UTC"]);
}

#[test]
fn a_doubled_wall_time_runs_once() {
    // In London 2026-10-25 the hour from 01:00 to 02:00 happens twice.
    let days = opens(
        "daily at 01:30 Europe/London",
        "2026-10-24T12:00:00Z",
        "2026-10-27T00:00:00Z",
    );
    assert_eq!(days, ["2026-10-25 00:30 UTC", "2026-10-26 01:30 UTC"]);
}

#[test]
fn a_skipped_day_is_not_lost() {
    // Samoa had no 30 December 2011.
    let days = opens(
        "daily at 12:00 Pacific/Apia",
        "2011-12-29T10:00:00Z",
        "2012-01-01T00:00:00Z",
    );
    assert_eq!(
        days,
        [
            "2011-12-29 22:00 UTC",
            "2011-12-30 10:00 UTC",
            "2011-12-30 22:00 UTC",
            "2011-12-31 22:00 UTC"
        ]
    );
}

#[test]
fn leap_days_and_month_ends() {
    assert_eq!(
        opens("0 4 29 2 *", "2023-01-01T00:00:00Z", "2033-01-01T00:00:00Z"),
        [
            "2024-02-29 04:00 UTC",
            "2028-02-29 04:00 UTC",
            "2032-02-29 04:00 UTC"
        ]
    );
    assert_eq!(
        opens(
            "monthly on the last day at 23:00",
            "2026-01-15T00:00:00Z",
            "2026-04-01T00:00:00Z"
        ),
        [
            "2026-01-31 23:00 UTC",
            "2026-02-28 23:00 UTC",
            "2026-03-31 23:00 UTC"
        ]
    );
    assert_eq!(
        opens(
            "monthly on 31",
            "2026-02-01T00:00:00Z",
            "2026-06-01T00:00:00Z"
        )
        .len(),
        2
    );
}

#[test]
fn periods_begin_where_the_calendar_says() {
    let first = |text, from: &str| {
        let (o, e) = occurrences(&rule(text), t(from), Time::MAX).next().unwrap();
        (o.minute(), e.minute())
    };
    let pair = |a: &str, b: &str| (format!("{a} 00:00 UTC"), format!("{b} 00:00 UTC"));
    assert_eq!(
        first("week", "2026-01-06T00:00:00Z"),
        pair("2026-01-12", "2026-01-19")
    );
    assert_eq!(
        first("quarter", "2026-02-01T00:00:00Z"),
        pair("2026-04-01", "2026-07-01")
    );
    assert_eq!(
        first("half-year", "2026-02-01T00:00:00Z"),
        pair("2026-07-01", "2027-01-01")
    );
    assert_eq!(
        first("year", "2026-01-01T00:00:00Z"),
        pair("2026-01-01", "2027-01-01")
    );
}

#[test]
fn gaps_and_ends() {
    assert_eq!(longest_gap(&rule("daily at 02:00")), Span::from_days(1));
    assert_eq!(
        longest_gap(&rule("every weekday at 02:00")),
        Span::from_days(3)
    );
    let last = last_where(&rule("0 4 29 2 *"), t("2026-01-01T00:00:00Z"), |_, end| {
        end > Time::MIN
    });
    assert_eq!(last.unwrap().0, t("2024-02-29T04:00:00Z"));
    assert_eq!(
        next_end(&rule("week"), t("2026-01-07T00:00:00Z")),
        t("2026-01-19T00:00:00Z")
    );
    assert_eq!(
        good_until(&rule("quarter"), t("2026-01-31T00:00:00Z")),
        t("2026-04-30T00:00:00Z")
    );
    assert_eq!(
        next_wall_time(240, "Europe/London", t("2026-07-01T02:00:00Z")),
        Some(t("2026-07-01T03:00:00Z"))
    );
}

#[test]
fn a_gap_that_comes_after_many_occurrences_is_seen() {
    let gap = |text: &str| longest_gap(&rule(text));
    // From 31 March, 23:00, to 1 January.
    let months = Span::from_hours(275 * 24 + 1);
    assert_eq!(gap("0 * * 1-3 *"), months);
    assert_eq!(gap("* * 1 * *"), Span::from_mins(30 * 1_440 + 1));
    assert_eq!(
        gap("*/5 8-17 * * 1-5"),
        Span::from_mins(2 * 1_440 + 14 * 60 + 5)
    );
    assert_eq!(gap("0 * * * *"), Span::from_hours(1));
    assert_eq!(gap("* * * * * Europe/London"), Span::from_mins(1));
}

#[test]
fn occurrences_in_four_years_are_counted() {
    let all = |text: &str| in_four_years(&rule(text));
    for (text, n) in [
        ("0 0,12 * * *", 2 * 1_461),
        ("0 * * 1-3 *", 24 * (91 + 3 * 90)),
        ("hourly", 24 * 1_461),
        ("0 4 29 2 *", 1),
        ("month", 48),
    ] {
        assert_eq!(all(text), n, "{text}");
    }
}

fn any_rule() -> impl Strategy<Value = ScheduleRule> {
    let zone = prop_oneof![
        Just("UTC"),
        Just("Europe/London"),
        Just("America/New_York"),
        Just("Australia/Lord_Howe"),
        Just("Pacific/Apia"),
        Just("Asia/Kathmandu"),
    ];
    let period = prop_oneof![
        Just(Period::Day),
        Just(Period::Week),
        Just(Period::Month),
        Just(Period::Quarter),
        Just(Period::HalfYear),
        Just(Period::Year),
    ];
    let cron = prop_oneof![
        (0u32..60, 0u32..24).prop_map(|(m, h)| format!("{m} {h} * * *")),
        (0u32..60, 0u32..7).prop_map(|(m, d)| format!("{m} 1,2,13 * * {d}")),
        (0u32..60, 1u32..32).prop_map(|(m, d)| format!("{m} 2 {d} * *")),
        (1u32..30).prop_map(|n| format!("*/{n} * * * *")),
    ];
    prop_oneof![
        (60u64..1_000_000).prop_map(|s| ScheduleRule::Every(Span::from_secs(s))),
        period.prop_map(ScheduleRule::Once),
        (cron, zone).prop_map(|(expression, zone)| ScheduleRule::Cron {
            expression,
            zone: zone.into()
        }),
    ]
}

/// Times around the turns of the clock, where mistakes live.
fn any_time() -> impl Strategy<Value = Time> {
    let turns = [
        1_774_746_000i64,
        1_792_890_000,
        1_772_953_200,
        1_325_239_200,
        1_709_164_800,
    ];
    (
        proptest::sample::select(turns.to_vec()),
        -200_000i64..200_000,
    )
        .prop_map(|(t, d)| Time::from_secs(t + d))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn windows_split_anywhere(rule in any_rule(), a in any_time(), first in 0u64..400_000, second in 0u64..400_000) {
        let (b, c) = (a.plus(Span::from_secs(first)), a.plus(Span::from_secs(first + second)));
        let whole: Vec<_> = occurrences(&rule, a, c).collect();
        let split: Vec<_> = occurrences(&rule, a, b).chain(occurrences(&rule, b, c)).collect();
        prop_assert_eq!(whole, split);
    }

    #[test]
    fn they_go_forward_and_touch(rule in any_rule(), a in any_time(), len in 0u64..2_000_000) {
        let c = a.plus(Span::from_secs(len));
        let all: Vec<_> = occurrences(&rule, a, c).collect();
        for (opens, end) in &all {
            prop_assert!(a <= *opens && *opens < c && opens < end);
        }
        for pair in all.windows(2) {
            prop_assert_eq!(pair[0].1, pair[1].0);
        }
    }

    #[test]
    fn every_wall_day_has_exactly_one(minute in 0u16..1440, a in any_time(), zone in proptest::sample::select(
        vec!["Europe/London", "America/New_York", "Australia/Lord_Howe", "Pacific/Auckland"])) {
        let rule = rule(&format!("daily at {:02}:{:02} {zone}", minute / 60, minute % 60));
        let tz = calendar::zone(zone).unwrap();
        let all: Vec<_> = occurrences(&rule, a, a.plus(Span::from_days(10)))
            .map(|(o, _)| tz.to_datetime(o.to_timestamp()).date()).collect();
        for pair in all.windows(2) {
            prop_assert_eq!(pair[0].tomorrow().unwrap(), pair[1]);
        }
        prop_assert!(all.len() >= 9);
    }

    #[test]
    fn nothing_panics(text in "\\PC{0,30}", more in "(every|daily|at|on|[0-9*/,:-]{1,5}|UTC| ){0,12}") {
        let _ = (parse(&text), parse(&more));
    }
}
