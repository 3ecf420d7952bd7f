//! Schedules in plain words.

use vouchsafe_model::Span;
use vouchsafe_model::policy::{Period, ScheduleRule};

use crate::schedule::known_zone;
use crate::words::{self, WordError, minutes_of_day};

/// The rule behind a text; cron expressions are not yet checked.
pub(super) fn rule(text: &str) -> Result<ScheduleRule, WordError> {
    let bad = || WordError::Schedule {
        text: text.to_owned(),
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    if looks_like_cron(&words) {
        return cron_fields(text, &words);
    }
    let lower: Vec<String> = words.iter().map(|w| w.to_ascii_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    let rest = match lower.as_slice() {
        [] => return Err(bad()),
        ["once", "per" | "a" | "an", unit] => return per("1", unit).ok_or_else(bad),
        ["twice", "per" | "a" | "an", unit] => return per("2", unit).ok_or_else(bad),
        [count, "per" | "a" | "an", unit] => return per(count, unit).ok_or_else(bad),
        ["every" | "each", rest @ ..] => rest,
        rest => rest,
    };
    // Zone names keep their own spelling.
    let spelled = words.get(words.len() - rest.len()..).unwrap_or_default();
    if let Some(at) = rest.iter().position(|w| matches!(*w, "at" | "on")) {
        let (base, tail) = (rest.get(..at), rest.get(at..));
        let (Some(base), Some(tail), Some(spelled)) = (base, tail, spelled.get(at..)) else {
            return Err(bad());
        };
        return wall(text, base, tail, spelled);
    }
    match rest {
        [one] => {
            if let Some(rule) = once(one) {
                return Ok(rule);
            }
            if let Some(days) = weekdays(one) {
                return Ok(cron_rule("0 0", "*", "*", &days, "UTC"));
            }
        }
        ["half", "year"] => return Ok(ScheduleRule::Once(Period::HalfYear)),
        _ => {}
    }
    rhythm(text, &rest.join(" "))
}

fn looks_like_cron(words: &[&str]) -> bool {
    let field = |w: &&str| w.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '*' | '?'));
    matches!(words.len(), 5 | 6) && words.iter().take(3).all(field)
}

fn cron_fields(text: &str, words: &[&str]) -> Result<ScheduleRule, WordError> {
    let (fields, zone) = words.split_at(5.min(words.len()));
    let zone = match zone {
        [] => "UTC".to_owned(),
        [name, ..] => known_zone(name).ok_or_else(|| {
            // A sixth field of cron characters is a mistake about seconds, not about zones.
            if name.starts_with(|c: char| c.is_ascii_digit() || c == '*') {
                WordError::Cron {
                    text: text.to_owned(),
                    reason: "it has six fields; seconds and years are not known here".to_owned(),
                }
            } else {
                WordError::Zone {
                    text: (*name).to_owned(),
                }
            }
        })?,
    };
    Ok(ScheduleRule::Cron {
        expression: fields.join(" "),
        zone,
    })
}

fn once(word: &str) -> Option<ScheduleRule> {
    Some(ScheduleRule::Once(match word {
        "day" | "daily" => Period::Day,
        "week" | "weekly" => Period::Week,
        "month" | "monthly" => Period::Month,
        "quarter" | "quarterly" => Period::Quarter,
        "half-year" | "half-yearly" | "halfyear" => Period::HalfYear,
        "year" | "yearly" | "annually" => Period::Year,
        "hour" | "hourly" => return Some(ScheduleRule::Every(Span::from_hours(1))),
        "minute" => return Some(ScheduleRule::Every(Span::from_mins(1))),
        _ => return None,
    }))
}

/// `2 per day`: a fixed rhythm where it comes out even, a calendar period where it is one.
fn per(count: &str, unit: &str) -> Option<ScheduleRule> {
    let count: u64 = count.parse().ok().filter(|n| *n > 0)?;
    let period = once(unit)?;
    if count == 1 {
        return Some(period);
    }
    let whole = match period {
        ScheduleRule::Every(span) => span,
        ScheduleRule::Once(Period::Day) => Span::from_days(1),
        ScheduleRule::Once(Period::Week) => Span::from_days(7),
        ScheduleRule::Once(Period::Year) => {
            return Some(match count {
                2 => ScheduleRule::Once(Period::HalfYear),
                4 => ScheduleRule::Once(Period::Quarter),
                12 => ScheduleRule::Once(Period::Month),
                _ => return None,
            });
        }
        _ => return None,
    };
    (whole.secs() % count == 0).then(|| ScheduleRule::Every(Span::from_secs(whole.secs() / count)))
}

/// `6 hours`, `2 weeks`, `3 months`.
fn rhythm(text: &str, rest: &str) -> Result<ScheduleRule, WordError> {
    let bad = || WordError::Schedule {
        text: text.to_owned(),
    };
    let length = words::length(rest).map_err(|_| bad())?;
    match (length.months, length.span) {
        (0, span) => Ok(ScheduleRule::Every(span)),
        (1, Span::ZERO) => Ok(ScheduleRule::Once(Period::Month)),
        (3, Span::ZERO) => Ok(ScheduleRule::Once(Period::Quarter)),
        (6, Span::ZERO) => Ok(ScheduleRule::Once(Period::HalfYear)),
        (12, Span::ZERO) => Ok(ScheduleRule::Once(Period::Year)),
        (2, Span::ZERO) => Ok(cron_rule("0 0", "1", "*/2", "*", "UTC")),
        (4, Span::ZERO) => Ok(cron_rule("0 0", "1", "*/4", "*", "UTC")),
        _ => Err(bad()),
    }
}

/// `daily at 02:00 and 14:00 UTC`, `weekly on sunday and friday at 03:00`, `monthly on 1 at 02:00`.
fn wall(
    text: &str,
    base: &[&str],
    tail: &[&str],
    spelled: &[&str],
) -> Result<ScheduleRule, WordError> {
    let bad = || WordError::Schedule {
        text: text.to_owned(),
    };
    let at = tail.iter().position(|w| *w == "at").unwrap_or(tail.len());
    let on = tail.get(..at).unwrap_or_default();
    let (clock, zone) = match tail.get(at + 1..) {
        None => ("0 0".to_owned(), "UTC".to_owned()),
        Some(times) => {
            let zones = spelled.get(at + 1..).unwrap_or_default();
            clock_and_zone(times, zones)?.ok_or_else(bad)?
        }
    };
    let on: Vec<&str> = on
        .iter()
        .filter(|w| !matches!(**w, "on" | "the" | "day" | "and"))
        .copied()
        .collect();
    let (dom, dow) = match (base, on.as_slice()) {
        (["day" | "daily"], []) => ("*".to_owned(), "*".to_owned()),
        (["week" | "weekly"] | [], days @ [_, ..]) => {
            ("*".to_owned(), weekdays(&days.join(",")).ok_or_else(bad)?)
        }
        (["month" | "monthly"], days @ [_, ..]) => {
            (month_days(days).ok_or_else(bad)?, "*".to_owned())
        }
        (days @ [_, ..], []) => ("*".to_owned(), weekdays(&days.join(",")).ok_or_else(bad)?),
        _ => return Err(bad()),
    };
    Ok(cron_rule(&clock, &dom, "*", &dow, &zone))
}

fn cron_rule(clock: &str, dom: &str, month: &str, dow: &str, zone: &str) -> ScheduleRule {
    ScheduleRule::Cron {
        expression: format!("{clock} {dom} {month} {dow}"),
        zone: zone.to_owned(),
    }
}

/// Minute and hour fields, and the zone; nothing if the times cannot share one cron expression.
fn clock_and_zone(times: &[&str], spelled: &[&str]) -> Result<Option<(String, String)>, WordError> {
    let mut minute = None;
    let mut hours = Vec::new();
    let mut zone = None;
    for (word, spelled) in times.iter().zip(spelled) {
        let word = word.trim_end_matches(',');
        if word == "and" || word.is_empty() {
            continue;
        }
        if let Some(minutes) = minutes_of_day(word) {
            if zone.is_some() || minute.is_some_and(|m| m != minutes % 60) {
                return Ok(None);
            }
            minute = Some(minutes % 60);
            hours.push((minutes / 60).to_string());
        } else if zone.is_none() && !hours.is_empty() {
            zone = Some(known_zone(spelled).ok_or_else(|| WordError::Zone {
                text: (*spelled).to_owned(),
            })?);
        } else {
            return Ok(None);
        }
    }
    Ok(minute.map(|m| {
        (
            format!("{m} {}", hours.join(",")),
            zone.unwrap_or_else(|| "UTC".to_owned()),
        )
    }))
}

fn weekdays(text: &str) -> Option<String> {
    let mut out = Vec::new();
    for word in text.split(',').map(str::trim).filter(|w| !w.is_empty()) {
        out.push(match word.trim_end_matches('s') {
            "sunday" | "sun" => "0",
            "monday" | "mon" => "1",
            "tuesday" | "tue" => "2",
            "wednesday" | "wed" | "wedne" => "3",
            "thursday" | "thu" => "4",
            "friday" | "fri" => "5",
            "saturday" | "sat" => "6",
            "weekday" | "workday" => "1-5",
            "weekend" => "0,6",
            _ => return None,
        });
    }
    (!out.is_empty()).then(|| out.join(","))
}

fn month_days(words: &[&str]) -> Option<String> {
    let mut out = Vec::new();
    for word in words {
        let word = word.trim_end_matches(',');
        if word == "last" {
            out.push("L".to_owned());
            continue;
        }
        let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        if !matches!(
            word.strip_prefix(digits),
            Some("" | "st" | "nd" | "rd" | "th")
        ) {
            return None;
        }
        let day: u32 = digits.parse().ok().filter(|d| (1..=31).contains(d))?;
        out.push(day.to_string());
    }
    Some(out.join(","))
}
