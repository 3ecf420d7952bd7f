//! Points in time as Go writes them in JSON: RFC 3339 with up to nine decimals.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time, and the zone it was written in.
///
/// The zone does not change the moment, but the bytes: it is kept so that what
/// was read can be written again unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub secs: i64,
    /// Nanoseconds on top, below 1,000,000,000.
    pub nanos: u32,
    /// Minutes by which the zone is ahead of UTC.
    pub offset_minutes: i16,
}

/// The text is not a point in time as RFC 3339 writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a time like 2006-01-02T15:04:05.999999999+01:00")]
pub struct TimestampError;

impl Timestamp {
    /// A point in time, written in UTC.
    pub const fn utc(secs: i64, nanos: u32) -> Timestamp {
        Timestamp {
            secs,
            nanos,
            offset_minutes: 0,
        }
    }

    /// Nanoseconds since 1970-01-01T00:00:00Z.
    pub fn unix_nanos(&self) -> i128 {
        i128::from(self.secs) * 1_000_000_000 + i128::from(self.nanos)
    }

    /// Appends the text as it is displayed: ASCII without anything that JSON escapes. A tree has three for each entry,
    /// so it goes without the formatter, which takes four times as long.
    pub(crate) fn push_text(&self, out: &mut Vec<u8>) {
        let (days, second) = self.local();
        let (mut year, mut month, mut day) = civil_from_days(days);
        if !(0..=9999).contains(&year) {
            year = year.clamp(0, 9999);
            // 9999 is no leap year: the day that is missing becomes the next one.
            if (year, month, day) == (9999, 2, 29) {
                (month, day) = (3, 1);
            }
        }
        push_two(out, year / 100);
        push_two(out, year % 100);
        for (before, number) in [
            (b'-', month),
            (b'-', day),
            (b'T', second / 3600),
            (b':', second / 60 % 60),
            (b':', second % 60),
        ] {
            out.push(before);
            push_two(out, number);
        }
        let mut rest = self.nanos % NANOS;
        if rest != 0 {
            out.push(b'.');
        }
        let mut unit = NANOS / 10;
        while rest != 0 {
            out.push(b'0' + (rest / unit) as u8);
            (rest, unit) = (rest % unit, unit / 10);
        }
        if self.offset_minutes == 0 {
            out.push(b'Z');
            return;
        }
        out.push(if self.offset_minutes < 0 { b'-' } else { b'+' });
        let minutes = i64::from(self.offset_minutes.unsigned_abs());
        // A zone that no clock has may be hundreds of hours away.
        if minutes >= 6000 {
            out.push(b'0' + (minutes / 6000) as u8);
        }
        push_two(out, minutes / 60 % 100);
        out.push(b':');
        push_two(out, minutes % 60);
    }

    /// Days since 1970-01-01 in the zone, and seconds of the day.
    fn local(&self) -> (i64, i64) {
        let ahead = i64::from(self.nanos / NANOS) + i64::from(self.offset_minutes) * 60;
        match self.secs.checked_add(ahead) {
            Some(local) => (local.div_euclid(DAY), local.rem_euclid(DAY)),
            None => {
                let (local, day) = (i128::from(self.secs) + i128::from(ahead), i128::from(DAY));
                (local.div_euclid(day) as i64, local.rem_euclid(day) as i64)
            }
        }
    }
}

/// `-32768` minutes and nine decimals.
const LONGEST: usize = "2006-01-02T15:04:05.999999999+546:08".len();
const NANOS: u32 = 1_000_000_000;
const DAY: i64 = 86_400;

/// Two digits of a number below 100.
fn push_two(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(&[b'0' + (number / 10) as u8, b'0' + (number % 10) as u8]);
}

/// RFC 3339 with as many decimals as needed and `Z` for UTC. As restic does, a
/// year before 0 is written as 0 and one after 9999 as 9999, the rest unchanged.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(LONGEST);
        self.push_text(&mut text);
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Timestamp, TimestampError> {
        parse(text.as_bytes()).ok_or(TimestampError)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = Timestamp;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time as RFC 3339 writes it")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Timestamp, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

fn parse(text: &[u8]) -> Option<Timestamp> {
    let mut rest = text;
    let year = number(&mut rest, 4)?;
    literal(&mut rest, b'-')?;
    let month = number(&mut rest, 2).filter(|month| (1..=12).contains(month))?;
    literal(&mut rest, b'-')?;
    let day = number(&mut rest, 2).filter(|day| (1..=days_in(year, month)).contains(day))?;
    literal(&mut rest, b'T')?;
    let hour = number(&mut rest, 2).filter(|hour| *hour < 24)?;
    literal(&mut rest, b':')?;
    let minute = number(&mut rest, 2).filter(|minute| *minute < 60)?;
    literal(&mut rest, b':')?;
    let second = number(&mut rest, 2).filter(|second| *second < 60)?;
    let nanos = fraction(&mut rest)?;
    let offset_minutes = zone(rest)?;
    let local = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    let secs = local - i64::from(offset_minutes) * 60;
    Some(Timestamp {
        secs,
        nanos,
        offset_minutes,
    })
}

fn number(rest: &mut &[u8], digits: usize) -> Option<i64> {
    let (head, tail) = rest.split_at_checked(digits)?;
    *rest = tail;
    head.iter().try_fold(0, |value, digit| {
        digit
            .is_ascii_digit()
            .then(|| value * 10 + i64::from(digit - b'0'))
    })
}

fn literal(rest: &mut &[u8], expected: u8) -> Option<()> {
    let (first, tail) = rest.split_first()?;
    *rest = tail;
    (*first == expected).then_some(())
}

/// Nanoseconds; digits beyond the ninth are dropped.
fn fraction(rest: &mut &[u8]) -> Option<u32> {
    let Some(tail) = rest.strip_prefix(b".") else {
        return Some(0);
    };
    let count = tail.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, after) = tail.split_at_checked(count).filter(|_| count > 0)?;
    *rest = after;
    let padded = digits
        .iter()
        .copied()
        .chain(std::iter::repeat(b'0'))
        .take(9);
    Some(padded.fold(0, |value, digit| value * 10 + u32::from(digit - b'0')))
}

fn zone(text: &[u8]) -> Option<i16> {
    let (sign, mut rest) = text.split_first()?;
    if *sign == b'Z' {
        return rest.is_empty().then_some(0);
    }
    let hours = number(&mut rest, 2).filter(|hours| *hours < 24)?;
    literal(&mut rest, b':')?;
    let minutes = number(&mut rest, 2).filter(|minutes| *minutes < 60)?;
    let ahead = i16::try_from(hours * 60 + minutes).ok()?;
    match sign {
        _ if !rest.is_empty() => None,
        b'+' => Some(ahead),
        b'-' => Some(-ahead),
        _ => None,
    }
}

fn days_in(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days in 400 years, after which the calendar repeats.
const ERA: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH: i64 = 719_468;

/// Days since 1970-01-01. Years are counted from March, so that the leap day is
/// the last one of its year.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - EPOCH
}

/// Year, month and day; the inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH;
    let (era, day) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (year * 365 + year / 4 - year / 100);
    let month = (day * 5 + 2) / 153;
    let day_of_month = day - (month * 153 + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + i64::from(month <= 2);
    (year, month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments_are_written_and_read() {
        for (secs, nanos, offset, text) in [
            (0, 0, 0, "1970-01-01T00:00:00Z"),
            (
                1_700_000_000,
                120_000_000,
                60,
                "2023-11-14T23:13:20.12+01:00",
            ),
            (-1, 999_999_999, -570, "1969-12-31T14:29:59.999999999-09:30"),
            (951_782_400, 1, 0, "2000-02-29T00:00:00.000000001Z"),
            (-62_167_219_200, 0, 0, "0000-01-01T00:00:00Z"),
            (253_402_300_799, 0, 0, "9999-12-31T23:59:59Z"),
            (253_402_300_799 - 3600, 0, 60, "9999-12-31T23:59:59+01:00"),
        ] {
            let time = Timestamp {
                secs,
                nanos,
                offset_minutes: offset,
            };
            assert_eq!(time.to_string(), text);
            assert_eq!(text.parse(), Ok(time), "{text}");
        }
    }

    #[test]
    fn years_beyond_four_digits_are_clamped_as_restic_clamps_them() {
        let text = |secs| Timestamp::utc(secs, 5).to_string();
        assert_eq!(text(253_402_300_800), "9999-01-01T00:00:00.000000005Z");
        assert_eq!(text(-62_167_219_201), "0000-12-31T23:59:59.000000005Z");
        // 10000-02-29 and -0004-02-29
        assert_eq!(
            text(253_402_300_800 + 59 * 86_400),
            "9999-03-01T00:00:00.000000005Z"
        );
        assert_eq!(
            text(-62_167_219_200 - (366 + 3 * 365 - 59) * 86_400),
            "0000-02-29T00:00:00.000000005Z"
        );
        assert!(text(i64::MAX).starts_with("9999-"));
        assert!(text(i64::MIN).starts_with("0000-"));
        let odd = Timestamp {
            secs: i64::MAX,
            nanos: u32::MAX,
            offset_minutes: i16::MAX,
        };
        assert!(odd.to_string().starts_with("9999-"));
    }

    /// The same by the formatter and wide numbers.
    fn formatted(time: &Timestamp) -> String {
        let carried = i128::from(time.nanos / NANOS);
        let local = i128::from(time.secs) + carried + i128::from(time.offset_minutes) * 60;
        let second = local.rem_euclid(86_400);
        let days = i64::try_from(local.div_euclid(86_400)).unwrap();
        let (year, mut month, mut day) = civil_from_days(days);
        if year > 9999 && (month, day) == (2, 29) {
            (month, day) = (3, 1);
        }
        let (year, nanos) = (year.clamp(0, 9999), time.nanos % NANOS);
        let decimals = format!(".{nanos:09}");
        let decimals = decimals.trim_end_matches('0').trim_end_matches('.');
        let minutes = time.offset_minutes.unsigned_abs();
        let sign = if time.offset_minutes < 0 { '-' } else { '+' };
        let zone = match minutes {
            0 => "Z".to_owned(),
            _ => format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60),
        };
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{decimals}{zone}")
    }

    proptest::proptest! {
        #[test]
        fn every_moment_is_written_as_the_formatter_writes_it(
            near in -400_000_000_000_i64..400_000_000_000,
            far: i64,
            nanos: u32,
            short in 0_u32..1000,
            offset_minutes: i16,
        ) {
            for secs in [near, far, i64::MAX, i64::MIN] {
                for nanos in [nanos, short * 1_000_000, 0] {
                    for offset_minutes in [offset_minutes, offset_minutes % 900, 0] {
                        let time = Timestamp { secs, nanos, offset_minutes };
                        proptest::prop_assert_eq!(time.to_string(), formatted(&time));
                    }
                }
            }
        }
    }

    #[test]
    fn every_day_of_a_cycle_round_trips() {
        for day in -200_000..200_000_i64 {
            let (year, month, date) = civil_from_days(day);
            assert_eq!(days_from_civil(year, month, date), day);
            assert!(
                (1..=days_in(year, month)).contains(&date),
                "{year}-{month}-{date}"
            );
        }
    }

    #[test]
    fn damaged_texts_are_refused() {
        for bad in [
            "",
            "2023-11-14",
            "2023-11-14T23:13:20",
            "2023-11-14 23:13:20Z",
            "2023-11-14T23:13:20z",
            "2023-13-14T23:13:20Z",
            "2023-02-29T23:13:20Z",
            "2023-11-14T24:13:20Z",
            "2023-11-14T23:60:20Z",
            "2023-11-14T23:13:60Z",
            "2023-11-14T23:13:20.Z",
            "2023-11-14T23:13:20+1:00",
            "2023-11-14T23:13:20+24:00",
            "2023-11-14T23:13:20+01:00x",
            "2023-11-14T23:13:20*01:00",
            "+023-11-14T23:13:20Z",
            "2023-11-14T23:13:20é",
        ] {
            assert_eq!(bad.parse::<Timestamp>(), Err(TimestampError), "{bad}");
        }
    }

    #[test]
    fn more_than_nine_decimals_are_cut() {
        let time: Timestamp = "1970-01-01T00:00:00.1234567899+00:00".parse().unwrap();
        assert_eq!(time, Timestamp::utc(0, 123_456_789));
    }
}
