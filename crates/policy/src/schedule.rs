//! Schedules: what may be written, and when it happens.

pub(crate) mod calendar;
mod plain;

use std::collections::VecDeque;

use vouchsafe_model::policy::{Period, Schedule, ScheduleRule};
use vouchsafe_model::{Span, Time};

pub use crate::schedule::calendar::Occurrences;
use crate::schedule::calendar::{cron, zone};
use crate::words::WordError;

/// Reads a schedule in plain words or as five cron fields with an optional time zone, UTC if none.
///
/// `daily`, `weekly`, `every month`, `every quarter` and the like ask for once in each calendar period (UTC) at any
/// time within it; `hourly`, `every 6 hours`, `2 per day` for a fixed rhythm counted from 1970-01-01T00:00:00Z;
/// `daily at 02:00 Europe/London`, `weekly on sunday at 03:00`, `monthly on 1 at 02:00` for a wall-clock time.
pub fn parse(text: &str) -> Result<Schedule, WordError> {
    let rule = plain::rule(text)?;
    match &rule {
        ScheduleRule::Every(span) if *span < Span::from_mins(1) => {
            return Err(WordError::TooOften {
                text: text.to_owned(),
            });
        }
        ScheduleRule::Cron { expression, .. } => {
            let cron = cron(expression).map_err(|e| WordError::Cron {
                text: text.to_owned(),
                reason: e.to_string(),
            })?;
            let start = jiff::civil::date(2000, 1, 1).at(0, 0, 0, 0);
            if cron.find_next_occurrence(&start, true).is_err() {
                return Err(WordError::Never {
                    text: text.to_owned(),
                });
            }
        }
        _ => {}
    }
    Ok(Schedule {
        text: text.trim().to_owned(),
        rule,
    })
}

/// Every occurrence that opens in `from..to`, with its natural end: the next occurrence, or the period's end.
///
/// A wall time that the clock skips happens once, at the first time that exists after it; one that the clock
/// repeats happens once, the first time. Two scheduled times that fall on the same moment are one occurrence.
pub fn occurrences(rule: &ScheduleRule, from: Time, to: Time) -> Occurrences {
    Occurrences::new(rule, from, to)
}

/// The last occurrence that opened before or at `now` and for which `over` says so; looks back 30 years at most.
pub fn last_where(
    rule: &ScheduleRule,
    now: Time,
    over: impl Fn(Time, Time) -> bool,
) -> Option<(Time, Time)> {
    let mut back = Span::from_hours(6);
    let until = now.plus(Span::from_micros(1));
    while back < Span::from_days(365 * 30) {
        let found = occurrences(rule, now.minus(back), until)
            .filter(|(opens, end)| over(*opens, *end))
            .last();
        if found.is_some() {
            return found;
        }
        back = Span::from_micros(back.micros().saturating_mul(8));
    }
    None
}

/// The longest time between two neighbouring occurrences; for cron, over the four years from 2024 or the first
/// 1500 occurrences, whichever is shorter.
pub fn longest_gap(rule: &ScheduleRule) -> Span {
    match rule {
        ScheduleRule::Every(span) => *span,
        ScheduleRule::Once(Period::Day) => Span::from_days(1),
        ScheduleRule::Once(Period::Week) => Span::from_days(7),
        ScheduleRule::Once(Period::Month) => Span::from_days(31),
        ScheduleRule::Once(Period::Quarter) => Span::from_days(92),
        ScheduleRule::Once(Period::HalfYear) => Span::from_days(184),
        ScheduleRule::Once(Period::Year) => Span::from_days(366),
        ScheduleRule::Cron { .. } => {
            // 2024-01-01: four years from a leap year hold every kind of month.
            let start = Time::from_secs(1_704_067_200);
            occurrences(rule, start, start.plus(Span::from_days(1_461)))
                .take(1_500)
                .map(|(opens, end)| end.since(opens))
                .max()
                .unwrap_or(Span::from_days(366))
        }
    }
}

/// The end of the time in which what happened at `at` is young enough for `rule`: its period later, by the
/// calendar where the rule speaks of calendar periods.
pub fn good_until(rule: &ScheduleRule, at: Time) -> Time {
    let months = |n| {
        vouchsafe_model::policy::Length {
            months: n,
            span: Span::ZERO,
        }
        .after(at)
    };
    match rule {
        ScheduleRule::Once(Period::Month) => months(1),
        ScheduleRule::Once(Period::Quarter) => months(3),
        ScheduleRule::Once(Period::HalfYear) => months(6),
        ScheduleRule::Once(Period::Year) => months(12),
        other => at.plus(longest_gap(other)),
    }
}

/// The due time of the first occurrence that opens after `at`: until then nothing later than `at` was promised.
pub fn next_end(rule: &ScheduleRule, at: Time) -> Time {
    let next = |from: Time| {
        let mut ahead = Span::from_days(2);
        while ahead < Span::from_days(365 * 30) {
            if let Some(found) = occurrences(rule, from, from.plus(ahead)).next() {
                return Some(found);
            }
            ahead = Span::from_micros(ahead.micros().saturating_mul(8));
        }
        None
    };
    next(at.plus(Span::from_micros(1))).map_or(Time::MAX, |(_, end)| end)
}

/// The IANA name in its own spelling, if the bundled time zone database knows it.
pub fn known_zone(name: &str) -> Option<String> {
    let found = zone(name)?;
    Some(found.iana_name().unwrap_or("UTC").to_owned())
}

/// The moment of a wall-clock time of day in `zone_name`, the first at or after `from`.
pub fn next_wall_time(minutes: u16, zone_name: &str, from: Time) -> Option<Time> {
    let tz = zone(zone_name)?;
    let hour = i8::try_from(minutes / 60).ok()?;
    let minute = i8::try_from(minutes % 60).ok()?;
    let mut day = tz
        .to_datetime(from.to_timestamp())
        .date()
        .yesterday()
        .ok()?;
    let mut tries: VecDeque<Time> = VecDeque::with_capacity(4);
    for _ in 0..4 {
        tries.extend(calendar::resolve(&tz, day.at(hour, minute, 0, 0)));
        day = day.tomorrow().ok()?;
    }
    tries.into_iter().find(|t| *t >= from)
}

#[cfg(test)]
mod tests;
