//! Schedules: what may be written, and when it happens.

pub(crate) mod calendar;
mod plain;

use std::collections::VecDeque;

use jiff::civil::{self, Date};
use jiff::tz::TimeZone;
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

/// So many of a cron rule's occurrences are looked at one by one: more than a day has.
const ONE_BY_ONE: usize = 1_500;
/// 2024-01-01: four years from a leap year hold every kind of month.
const FOUR_YEARS_FROM: Time = Time::from_secs(1_704_067_200);
const FOUR_YEARS: Span = Span::from_days(1_461);

/// The longest time between two neighbouring occurrences; for cron, over the four years from 2024: of a rule with many
/// occurrences the first 1500, and those around the nights.
pub fn longest_gap(rule: &ScheduleRule) -> Span {
    match rule {
        ScheduleRule::Every(span) => *span,
        ScheduleRule::Once(Period::Day) => Span::from_days(1),
        ScheduleRule::Once(Period::Week) => Span::from_days(7),
        ScheduleRule::Once(Period::Month) => Span::from_days(31),
        ScheduleRule::Once(Period::Quarter) => Span::from_days(92),
        ScheduleRule::Once(Period::HalfYear) => Span::from_days(184),
        ScheduleRule::Once(Period::Year) => Span::from_days(366),
        ScheduleRule::Cron { expression, zone } => {
            let end = FOUR_YEARS_FROM.plus(FOUR_YEARS);
            let first: Vec<Span> = occurrences(rule, FOUR_YEARS_FROM, end)
                .take(ONE_BY_ONE)
                .map(|(opens, end)| end.since(opens))
                .collect();
            let nights = match first.len() < ONE_BY_ONE {
                true => None,
                false => Days::of(expression, zone).and_then(|days| days.longest_night()),
            };
            let longest = first.into_iter().chain(nights).max();
            longest.unwrap_or(Span::from_days(366))
        }
    }
}

/// How many occurrences there are in four years, whatever the clock does meanwhile.
pub fn in_four_years(rule: &ScheduleRule) -> u64 {
    match rule {
        ScheduleRule::Every(span) => FOUR_YEARS.micros() / span.micros().max(1),
        ScheduleRule::Once(Period::Day) => 1_461,
        ScheduleRule::Once(Period::Week) => 208,
        ScheduleRule::Once(Period::Month) => 48,
        ScheduleRule::Once(Period::Quarter) => 16,
        ScheduleRule::Once(Period::HalfYear) => 8,
        ScheduleRule::Once(Period::Year) => 4,
        ScheduleRule::Cron { expression, zone } => {
            Days::of(expression, zone).map_or(0, |days| days.each * days.days.len() as u64)
        }
    }
}

/// The days in four years on which a cron rule occurs: on each of them at the same times.
struct Days {
    zone: TimeZone,
    days: Vec<Date>,
    /// How often on each.
    each: u64,
    first: civil::Time,
    last: civil::Time,
}

impl Days {
    fn of(expression: &str, zone_name: &str) -> Option<Days> {
        let (cron, zone) = (cron(expression).ok()?, zone(zone_name)?);
        let end = civil::date(2028, 1, 1);
        let mut next = cron
            .find_next_occurrence(&civil::date(2024, 1, 1).at(0, 0, 0, 0), true)
            .ok()?;
        let first = next.time();
        let (mut last, mut each) = (first, 1);
        let mut at = next;
        while let Ok(later) = cron.find_next_occurrence(&at, false)
            && later.date() == next.date()
        {
            (at, last) = (later, later.time());
            each += 1;
        }
        let mut days = Vec::new();
        while next.date() < end {
            days.push(next.date());
            let midnight = next.date().tomorrow().ok()?.at(0, 0, 0, 0);
            match cron.find_next_occurrence(&midnight, true) {
                Ok(later) => next = later,
                Err(_) => break,
            }
        }
        Some(Days {
            zone,
            days,
            each,
            first,
            last,
        })
    }

    /// The longest time from the last occurrence of a day to the first of the next day that has any.
    fn longest_night(&self) -> Option<Span> {
        let at = |date: &Date, time| calendar::resolve(&self.zone, date.to_datetime(time));
        let nights = self.days.iter().zip(self.days.iter().skip(1));
        nights
            .filter_map(|(day, next)| Some(at(next, self.first)?.since(at(day, self.last)?)))
            .max()
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
