//! The small words of a policy: lengths, shares, times of day, dates.

use jiff::civil::Date;
use vouchsafe_model::policy::{Length, WallTime};
use vouchsafe_model::{Span, Time};

use crate::schedule::known_zone;

/// A text that is not what it should be; the message says what may be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// Not a length of time.
    #[error("`{text}` is not a length of time")]
    Length {
        /// As written.
        text: String,
    },
    /// A number without its unit.
    #[error("`{text}` has no unit")]
    NoUnit {
        /// As written.
        text: String,
    },
    /// A length with months where an exact one is needed.
    #[error("`{text}` is not exact: months and years differ in length")]
    NotExact {
        /// As written.
        text: String,
    },
    /// A length beyond all reason.
    #[error("`{text}` is longer than 1000 years")]
    TooLong {
        /// As written.
        text: String,
    },
    /// A length of nothing.
    #[error("`{text}` is no time at all")]
    Zero {
        /// As written.
        text: String,
    },
    /// Not a share.
    #[error("`{text}` is not a share")]
    Share {
        /// As written.
        text: String,
    },
    /// Not a rate.
    #[error("`{text}` is not a number of bytes a second")]
    Rate {
        /// As written.
        text: String,
    },
    /// Not a time of day.
    #[error("`{text}` is not a time of day")]
    TimeOfDay {
        /// As written.
        text: String,
    },
    /// Not a time zone.
    #[error("`{text}` is not a time zone")]
    Zone {
        /// As written.
        text: String,
    },
    /// Not a day.
    #[error("`{text}` is not a day of the calendar")]
    Date {
        /// As written.
        text: String,
    },
    /// Not a schedule.
    #[error("`{text}` is not a schedule")]
    Schedule {
        /// As written.
        text: String,
    },
    /// A cron expression with a wrong part.
    #[error("`{text}` is not a cron expression: {reason}")]
    Cron {
        /// As written.
        text: String,
        /// What the parser says.
        reason: String,
    },
    /// A schedule that no calendar fulfils.
    #[error("`{text}` never happens")]
    Never {
        /// As written.
        text: String,
    },
    /// A schedule that runs more often than once a minute.
    #[error("`{text}` is more often than once a minute")]
    TooOften {
        /// As written.
        text: String,
    },
}

impl WordError {
    /// What may be written instead.
    pub fn remedy(&self) -> &'static str {
        match self {
            WordError::Length { .. } | WordError::TooLong { .. } | WordError::Zero { .. } => {
                "write a number and a unit, like 30m, 24h, 35 days, 1 month, 7 years, or ISO 8601 like P35D"
            }
            WordError::NoUnit { .. } => {
                "say which unit: 30s, 30m, 30h, 30 days, 30 weeks, 30 months"
            }
            WordError::NotExact { .. } => {
                "write it in days, hours, minutes or seconds, like 30 days"
            }
            WordError::Share { .. } => "write a fraction like 1/4 or a percentage like 25%",
            WordError::Rate { .. } => "write a size and /s, like 10MiB/s or 500KB/s",
            WordError::TimeOfDay { .. } => {
                "write hours and minutes and, if not UTC, a time zone: 04:00, 04:00 UTC, 04:00 Europe/London"
            }
            WordError::Zone { .. } => "write UTC or an IANA name like Europe/London",
            WordError::Date { .. } => "write it as year-month-day, like 2026-01-31",
            WordError::Schedule { .. } => {
                "write `daily at 02:00 UTC`, `every 6 hours`, `2 per day`, `weekly on sunday at 03:00 Europe/London`, \
                 `every month`, `every quarter`, `hourly`, `daily`, or five cron fields like `0 2 * * *` and a time zone"
            }
            WordError::Cron { .. } | WordError::Never { .. } => {
                "write minute, hour, day of month, month, day of week, like `30 2 * * 1-5 Europe/London`"
            }
            WordError::TooOften { .. } => "write `every 1m` or longer",
        }
    }
}

/// Reads a length: `35 days`, `5m`, `1h 30m`, `1 month`, `7 years`, ISO 8601 `P35D` or `PT5M`.
///
/// `m` is minutes, in ISO form before the `T` months. Weeks are 7 days, days 24 hours; a quarter is
/// 3 months, a year 12.
pub fn length(text: &str) -> Result<Length, WordError> {
    let bad = || WordError::Length {
        text: text.to_owned(),
    };
    let trimmed = text.trim();
    if !trimmed.is_empty() && trimmed.bytes().all(|b| b.is_ascii_digit()) {
        return Err(WordError::NoUnit {
            text: text.to_owned(),
        });
    }
    let parts = match trimmed.strip_prefix(['P', 'p']) {
        Some(iso) => iso_parts(iso),
        None => plain_parts(trimmed),
    }
    .ok_or_else(bad)?;
    let mut total = Length::default();
    for (count, unit) in parts {
        total = add(total, count, unit).ok_or_else(|| WordError::TooLong {
            text: text.to_owned(),
        })?;
    }
    if total == Length::default() {
        return Err(WordError::Zero {
            text: text.to_owned(),
        });
    }
    Ok(total)
}

/// Reads a length without months and years, as an exact span.
pub fn span(text: &str) -> Result<Span, WordError> {
    let length = length(text)?;
    if length.months > 0 {
        return Err(WordError::NotExact {
            text: text.to_owned(),
        });
    }
    Ok(length.span)
}

/// Reads a share of a whole, above nothing and up to all of it: `1/4`, `25%`, `all`.
pub fn share(text: &str) -> Result<(u32, u32), WordError> {
    let bad = || WordError::Share {
        text: text.to_owned(),
    };
    let trimmed = text.trim();
    let (n, d) = if trimmed == "all" {
        (1, 1)
    } else if let Some(percent) = trimmed.strip_suffix('%') {
        (number(percent).ok_or_else(bad)?, 100)
    } else {
        let (n, d) = trimmed.split_once('/').ok_or_else(bad)?;
        (number(n).ok_or_else(bad)?, number(d).ok_or_else(bad)?)
    };
    if n == 0 || d == 0 || n > d {
        return Err(bad());
    }
    Ok((n, d))
}

/// Reads a rate in bytes a second: `10MiB/s`, `500 KB/s`, `2000B/s`.
pub fn rate(text: &str) -> Result<u64, WordError> {
    let bad = || WordError::Rate {
        text: text.to_owned(),
    };
    let size = text.trim().strip_suffix("/s").ok_or_else(bad)?;
    let digits = size.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: f64 = match size.get(digits.len()..).unwrap_or_default() {
        "B" => 1.0,
        "KB" | "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "KiB" => 1024.0,
        "MiB" => 1_048_576.0,
        "GiB" => 1_073_741_824.0,
        _ => return Err(bad()),
    };
    let digits = digits.trim();
    if !digits.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err(bad());
    }
    let bytes = digits.parse::<f64>().map_err(|_| bad())? * unit;
    if (1.0..1e15).contains(&bytes) {
        Ok(bytes as u64)
    } else {
        Err(bad())
    }
}

/// Reads a time of day with an optional time zone, UTC if none: `04:00`, `04:00 UTC`, `04:00 Europe/London`.
pub fn wall_time(text: &str) -> Result<WallTime, WordError> {
    let bad = || WordError::TimeOfDay {
        text: text.to_owned(),
    };
    let mut words = text.split_whitespace();
    let minutes = words.next().and_then(minutes_of_day).ok_or_else(bad)?;
    let zone = match words.next() {
        None => "UTC".to_owned(),
        Some(name) => known_zone(name).ok_or_else(|| WordError::Zone {
            text: name.to_owned(),
        })?,
    };
    if words.next().is_some() {
        return Err(bad());
    }
    Ok(WallTime { minutes, zone })
}

/// Reads a day, `YYYY-MM-DD`, and gives it back in that form.
pub fn date(text: &str) -> Result<String, WordError> {
    day(text).map(|d| d.to_string())
}

/// The first moment of a day written `YYYY-MM-DD`, UTC.
pub fn start_of_day(text: &str) -> Result<Time, WordError> {
    let zoned = day(text)?.to_zoned(jiff::tz::TimeZone::UTC);
    zoned
        .map(|z| Time::from_timestamp(z.timestamp()))
        .map_err(|_| WordError::Date {
            text: text.to_owned(),
        })
}

/// Minutes after midnight of `HH:MM`.
pub(crate) fn minutes_of_day(text: &str) -> Option<u16> {
    let (h, m) = text.split_once(':')?;
    if h.is_empty() || h.len() > 2 || m.len() != 2 {
        return None;
    }
    let (h, m) = (number(h)?, number(m)?);
    (h < 24 && m < 60).then(|| u16::try_from(h * 60 + m).ok())?
}

fn day(text: &str) -> Result<Date, WordError> {
    let bad = || WordError::Date {
        text: text.to_owned(),
    };
    let trimmed = text.trim();
    let mut parts = trimmed.split('-');
    let (Some(y), Some(m), Some(d), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(bad());
    };
    if (y.len(), m.len(), d.len()) != (4, 2, 2) {
        return Err(bad());
    }
    let parse = |t: &str| {
        number(t)
            .and_then(|n| i16::try_from(n).ok())
            .ok_or_else(bad)
    };
    let small = |t: &str| number(t).and_then(|n| i8::try_from(n).ok()).ok_or_else(bad);
    Date::new(parse(y)?, small(m)?, small(d)?).map_err(|_| bad())
}

#[derive(Clone, Copy)]
enum Unit {
    Exact(Span),
    Months(u32),
}

fn number(text: &str) -> Option<u32> {
    let text = text.trim();
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

fn unit(word: &str) -> Option<Unit> {
    Some(match word.to_ascii_lowercase().as_str() {
        "ms" | "millisecond" | "milliseconds" => Unit::Exact(Span::from_millis(1)),
        "s" | "sec" | "secs" | "second" | "seconds" => Unit::Exact(Span::from_secs(1)),
        "m" | "min" | "mins" | "minute" | "minutes" => Unit::Exact(Span::from_mins(1)),
        "h" | "hr" | "hrs" | "hour" | "hours" => Unit::Exact(Span::from_hours(1)),
        "d" | "day" | "days" => Unit::Exact(Span::from_days(1)),
        "w" | "wk" | "week" | "weeks" => Unit::Exact(Span::from_days(7)),
        "mo" | "month" | "months" => Unit::Months(1),
        "quarter" | "quarters" => Unit::Months(3),
        "y" | "yr" | "year" | "years" => Unit::Months(12),
        _ => return None,
    })
}

fn add(total: Length, count: u32, unit: Unit) -> Option<Length> {
    const MOST_MONTHS: u32 = 12_000;
    let mut sum = total;
    match unit {
        Unit::Months(n) => sum.months = sum.months.checked_add(count.checked_mul(n)?)?,
        Unit::Exact(one) => {
            let micros = one.micros().checked_mul(u64::from(count))?;
            sum.span = Span::from_micros(sum.span.micros().checked_add(micros)?);
        }
    }
    let within = sum.months <= MOST_MONTHS && sum.span <= Span::from_days(365_250);
    within.then_some(sum)
}

fn plain_parts(text: &str) -> Option<Vec<(u32, Unit)>> {
    let mut rest = text;
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (count, after) = rest.split_at(digits);
        let after = after.trim_start();
        let letters = after.len()
            - after
                .trim_start_matches(|c: char| c.is_ascii_alphabetic())
                .len();
        let (word, after) = after.split_at(letters);
        parts.push((number(count)?, unit(word)?));
        rest = after.trim_start();
    }
    (!parts.is_empty()).then_some(parts)
}

fn iso_parts(text: &str) -> Option<Vec<(u32, Unit)>> {
    let upper = text.to_ascii_uppercase();
    let (days, times) = match upper.split_once('T') {
        Some((_, "")) => return None,
        Some((days, times)) => (days, times),
        None => (upper.as_str(), ""),
    };
    let mut parts = Vec::new();
    for (mut rest, units) in [(days, "YMWD"), (times, "HMS")] {
        let mut allowed = units;
        while !rest.is_empty() {
            let at = rest.find(|c: char| c.is_ascii_alphabetic())?;
            let (count, tail) = rest.split_at(at);
            let letter = tail.chars().next()?;
            // ISO 8601 fixes the order and allows each unit once.
            let position = allowed.find(letter)?;
            allowed = allowed.get(position + 1..)?;
            let one = match (units, letter) {
                ("YMWD", 'Y') => Unit::Months(12),
                ("YMWD", 'M') => Unit::Months(1),
                ("YMWD", 'W') => Unit::Exact(Span::from_days(7)),
                ("YMWD", _) => Unit::Exact(Span::from_days(1)),
                (_, 'H') => Unit::Exact(Span::from_hours(1)),
                (_, 'M') => Unit::Exact(Span::from_mins(1)),
                (_, _) => Unit::Exact(Span::from_secs(1)),
            };
            parts.push((number(count)?, one));
            rest = tail.get(1..)?;
        }
    }
    (!parts.is_empty()).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_as_people_write_them() {
        let exact = |s| Ok(Length::exact(s));
        let months = |n| {
            Ok(Length {
                months: n,
                span: Span::ZERO,
            })
        };
        assert_eq!(length("35 days"), exact(Span::from_days(35)));
        assert_eq!(length(" 5m "), exact(Span::from_mins(5)));
        assert_eq!(length("1h 30m"), exact(Span::from_mins(90)));
        assert_eq!(length("1h30m"), exact(Span::from_mins(90)));
        assert_eq!(length("1 month"), months(1));
        assert_eq!(length("7 years"), months(84));
        assert_eq!(length("P35D"), exact(Span::from_days(35)));
        assert_eq!(length("PT5M"), exact(Span::from_mins(5)));
        assert_eq!(length("P1Y2M"), months(14));
        assert_eq!(length("P1WT1H"), exact(Span::from_hours(169)));
    }

    #[test]
    fn what_is_no_length_teaches() {
        for bad in [
            "",
            "days",
            "5 parsecs",
            "-5m",
            "1.5h",
            "P",
            "PT",
            "P5",
            "P1D1Y",
            "5m x",
            "５m",
            "1d 2",
        ] {
            let err = length(bad).unwrap_err();
            assert!(matches!(err, WordError::Length { .. }), "{bad}: {err}");
            assert!(err.remedy().contains("35 days"));
        }
        assert!(matches!(length("30"), Err(WordError::NoUnit { .. })));
        assert!(matches!(length("0 days"), Err(WordError::Zero { .. })));
        assert!(matches!(
            length("4000000000 years"),
            Err(WordError::TooLong { .. })
        ));
        assert!(matches!(span("1 month"), Err(WordError::NotExact { .. })));
    }

    #[test]
    fn shares_and_times_and_dates() {
        assert_eq!(share("1/4"), Ok((1, 4)));
        assert_eq!(share("25%"), Ok((25, 100)));
        for bad in ["5/4", "0/4", "1/0", "120%", "quarter", "-1/4"] {
            assert!(share(bad).is_err(), "{bad}");
        }
        assert_eq!(wall_time("04:00 UTC").unwrap().minutes, 240);
        assert_eq!(
            wall_time("4:05 europe/london").unwrap().zone,
            "Europe/London"
        );
        for bad in ["24:00", "4", "04:60", "04:00 UTC now", "soon"] {
            assert!(
                matches!(wall_time(bad), Err(WordError::TimeOfDay { .. })),
                "{bad}"
            );
        }
        assert!(matches!(
            wall_time("04:00 Mars/Base"),
            Err(WordError::Zone { .. })
        ));
        assert_eq!(date("2026-01-31").unwrap(), "2026-01-31");
        for bad in [
            "2026-02-30",
            "26-01-01",
            "2026-1-1",
            "2026-01-01-01",
            "soon",
        ] {
            assert!(date(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "\\PC{0,24}") {
            let _ = (length(&text), span(&text), share(&text), wall_time(&text), date(&text));
        }

        #[test]
        fn units_agree(n in 1u32..1000) {
            prop_assert_eq!(length(&format!("{n} hours")), length(&format!("PT{n}H")));
            prop_assert_eq!(length(&format!("{n}d")), length(&format!("P{n}D")));
            prop_assert_eq!(length(&format!("{n} months")), length(&format!("P{n}M")));
        }
    }
}
