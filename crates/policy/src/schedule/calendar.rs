//! Occurrences by the calendar: cron on a wall clock, calendar periods, fixed rhythms.

use croner::Cron;
use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, ToSpan};
use vouchsafe_model::Time;
use vouchsafe_model::policy::{Period, ScheduleRule};

/// Occurrences of one rule in one window, in order of time; see [`crate::schedule::occurrences`].
pub struct Occurrences {
    walk: Walk,
    ahead: Option<Time>,
    from: Time,
    to: Time,
}

enum Walk {
    Nothing,
    Rhythm {
        step: i64,
        next: i64,
    },
    Periods {
        period: Period,
        next: Option<Date>,
    },
    Cron {
        cron: Box<Cron>,
        zone: TimeZone,
        cursor: DateTime,
        inclusive: bool,
        last: Option<Time>,
    },
}

impl Occurrences {
    pub(crate) fn new(rule: &ScheduleRule, from: Time, to: Time) -> Occurrences {
        let walk = match rule {
            ScheduleRule::Every(span) => rhythm(span.micros(), from),
            ScheduleRule::Once(period) => Walk::Periods {
                period: *period,
                next: Some(period_start(date_of(from), *period)),
            },
            ScheduleRule::Cron { expression, zone } => wall_clock(expression, zone, from),
        };
        let mut all = Occurrences {
            walk,
            ahead: None,
            from,
            to,
        };
        all.ahead = all.step();
        all
    }

    /// The next moment at or after the window's beginning, whatever its end.
    fn step(&mut self) -> Option<Time> {
        loop {
            let moment = self.walk.next()?;
            if moment >= self.from {
                return Some(moment);
            }
        }
    }
}

impl Iterator for Occurrences {
    type Item = (Time, Time);

    fn next(&mut self) -> Option<(Time, Time)> {
        let opens = self.ahead.take().filter(|t| *t < self.to)?;
        self.ahead = self.step();
        Some((opens, self.ahead.unwrap_or(Time::MAX)))
    }
}

impl Walk {
    fn next(&mut self) -> Option<Time> {
        match self {
            Walk::Nothing => None,
            Walk::Rhythm { step, next } => {
                let moment = *next;
                if moment > Time::MAX.micros() {
                    return None;
                }
                *next = moment.checked_add(*step)?;
                Some(Time::from_micros(moment))
            }
            Walk::Periods { period, next } => {
                let start = (*next)?;
                *next = period_after(start, *period);
                midnight(start)
            }
            Walk::Cron {
                cron,
                zone,
                cursor,
                inclusive,
                last,
            } => loop {
                let civil = cron.find_next_occurrence(cursor, *inclusive).ok()?;
                *cursor = civil;
                *inclusive = false;
                let moment = resolve(zone, civil)?;
                if last.is_none_or(|l| moment > l) {
                    *last = Some(moment);
                    return Some(moment);
                }
            },
        }
    }
}

fn rhythm(step: u64, from: Time) -> Walk {
    let Ok(step @ 1..) = i64::try_from(step) else {
        return Walk::Nothing;
    };
    let floor = from.micros().div_euclid(step).saturating_mul(step);
    let next = if floor < from.micros() {
        floor.saturating_add(step)
    } else {
        floor
    };
    Walk::Rhythm { step, next }
}

fn wall_clock(expression: &str, name: &str, from: Time) -> Walk {
    let (Ok(cron), Some(zone)) = (cron(expression), zone(name)) else {
        return Walk::Nothing;
    };
    // No clock was ever turned by more than a day: whatever falls into the window is on the wall clock after this.
    let cursor = zone
        .to_datetime(from.to_timestamp())
        .checked_sub(SignedDuration::from_hours(25))
        .unwrap_or(DateTime::MIN);
    Walk::Cron {
        cron: Box::new(cron),
        zone,
        cursor,
        inclusive: true,
        last: None,
    }
}

/// Five cron fields, neither seconds nor years.
pub(crate) fn cron(expression: &str) -> Result<Cron, CronError> {
    CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build()
        .parse(expression)
}

/// The zone of that name from the database inside the program, so that every machine judges alike.
pub(crate) fn zone(name: &str) -> Option<TimeZone> {
    if name.eq_ignore_ascii_case("utc") {
        return Some(TimeZone::UTC);
    }
    TimeZoneDatabase::bundled().get(name).ok()
}

/// The moment of a wall time: the first of two, and the first that exists after one that does not.
pub(crate) fn resolve(zone: &TimeZone, civil: DateTime) -> Option<Time> {
    let stamp = match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(civil).ok()?,
        AmbiguousOffset::Fold { before, .. } => before.to_timestamp(civil).ok()?,
        AmbiguousOffset::Gap { after, .. } => {
            let just_before = after.to_timestamp(civil).ok()?;
            zone.following(just_before).next()?.timestamp()
        }
    };
    Some(Time::from_timestamp(stamp))
}

fn date_of(time: Time) -> Date {
    TimeZone::UTC.to_datetime(time.to_timestamp()).date()
}

fn midnight(date: Date) -> Option<Time> {
    let zoned = date.to_zoned(TimeZone::UTC).ok()?;
    Some(Time::from_timestamp(zoned.timestamp()))
}

fn period_start(date: Date, period: Period) -> Date {
    let month = match period {
        Period::Day => return date,
        Period::Week => {
            let back = i64::from(date.weekday().to_monday_zero_offset());
            return date.checked_sub(back.days()).unwrap_or(date);
        }
        Period::Month => date.month(),
        Period::Quarter => (date.month() - 1) / 3 * 3 + 1,
        Period::HalfYear => (date.month() - 1) / 6 * 6 + 1,
        Period::Year => 1,
    };
    Date::new(date.year(), month, 1).unwrap_or(date)
}

fn period_after(start: Date, period: Period) -> Option<Date> {
    start
        .checked_add(match period {
            Period::Day => 1.day(),
            Period::Week => 1.week(),
            Period::Month => 1.month(),
            Period::Quarter => 3.months(),
            Period::HalfYear => 6.months(),
            Period::Year => 1.year(),
        })
        .ok()
}

/// The calendar period (UTC) that holds `time`: its beginning and its end.
pub(crate) fn period_around(time: Time, period: Period) -> Option<(Time, Time)> {
    let start = period_start(date_of(time), period);
    Some((midnight(start)?, midnight(period_after(start, period)?)?))
}
