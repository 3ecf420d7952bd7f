//! Points in time and spans, counted in whole microseconds, UTC.

use std::fmt;
use std::str::FromStr;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time: microseconds since 1970-01-01T00:00:00Z.
///
/// Written as RFC 3339 with six decimals and `Z`, so that text order is time order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time(i64);

/// A length of time in whole microseconds; never negative.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Span(u64);

/// A text that is not a time.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not a time; write it like 2026-01-31T04:00:00Z")]
pub struct TimeError {
    /// The text as given.
    pub text: String,
}

impl Time {
    /// The earliest time that can be written with a four-digit year.
    pub const MIN: Time = Time(-62_167_219_200_000_000);
    /// The latest time that can be written: 9999-12-30T22:00:00Z.
    pub const MAX: Time = Time(253_402_207_200_000_000);

    /// From microseconds since the Unix epoch; clamped to [`Time::MIN`]..=[`Time::MAX`].
    pub const fn from_micros(micros: i64) -> Time {
        if micros < Time::MIN.0 {
            Time::MIN
        } else if micros > Time::MAX.0 {
            Time::MAX
        } else {
            Time(micros)
        }
    }

    /// From whole seconds since the Unix epoch; clamped like [`Time::from_micros`].
    pub const fn from_secs(secs: i64) -> Time {
        Time::from_micros(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since the Unix epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The later time by `span`, clamped at [`Time::MAX`].
    pub fn plus(self, span: Span) -> Time {
        Time::from_micros(
            self.0
                .saturating_add(i64::try_from(span.0).unwrap_or(i64::MAX)),
        )
    }

    /// The earlier time by `span`, clamped at [`Time::MIN`].
    pub fn minus(self, span: Span) -> Time {
        Time::from_micros(
            self.0
                .saturating_sub(i64::try_from(span.0).unwrap_or(i64::MAX)),
        )
    }

    /// How long `earlier` lies before this time; zero when it does not.
    pub fn since(self, earlier: Time) -> Span {
        Span(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The same time for calendar work.
    pub fn to_timestamp(self) -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
    }

    /// From calendar work, cut to whole microseconds.
    pub fn from_timestamp(ts: jiff::Timestamp) -> Time {
        Time::from_micros(ts.as_microsecond())
    }

    /// For people: `2026-01-31 04:00 UTC`, whole minutes.
    pub fn minute(self) -> String {
        self.to_timestamp()
            .strftime("%Y-%m-%d %H:%M UTC")
            .to_string()
    }
}

impl Span {
    /// Nothing.
    pub const ZERO: Span = Span(0);

    /// From microseconds.
    pub const fn from_micros(micros: u64) -> Span {
        Span(micros)
    }
    /// From milliseconds.
    pub const fn from_millis(millis: u64) -> Span {
        Span(millis.saturating_mul(1_000))
    }
    /// From seconds.
    pub const fn from_secs(secs: u64) -> Span {
        Span(secs.saturating_mul(1_000_000))
    }
    /// From minutes.
    pub const fn from_mins(mins: u64) -> Span {
        Span::from_secs(mins.saturating_mul(60))
    }
    /// From hours.
    pub const fn from_hours(hours: u64) -> Span {
        Span::from_mins(hours.saturating_mul(60))
    }
    /// From days of 24 hours.
    pub const fn from_days(days: u64) -> Span {
        Span::from_hours(days.saturating_mul(24))
    }
    /// Microseconds.
    pub const fn micros(self) -> u64 {
        self.0
    }
    /// Whole seconds, cut.
    pub const fn secs(self) -> u64 {
        self.0 / 1_000_000
    }
    /// As the standard library's duration.
    pub const fn to_duration(self) -> std::time::Duration {
        std::time::Duration::from_micros(self.0)
    }
    /// From the standard library's duration, cut to microseconds.
    pub fn from_duration(d: std::time::Duration) -> Span {
        Span(u64::try_from(d.as_micros()).unwrap_or(u64::MAX))
    }
}

/// The two largest units, for people: `3d 4h`, `12m`, `850ms`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
        let secs = self.secs();
        if secs == 0 {
            return match self.0 {
                0 => f.write_str("0s"),
                us if us < 1_000 => write!(f, "{us}µs"),
                us => write!(f, "{}ms", us / 1_000),
            };
        }
        let mut rest = secs;
        let mut parts = Vec::with_capacity(2);
        for (size, unit) in UNITS {
            if rest >= size {
                parts.push(format!("{}{unit}", rest / size));
                rest %= size;
                if parts.len() == 2 {
                    break;
                }
            } else if !parts.is_empty() {
                break;
            }
        }
        f.write_str(&parts.join(" "))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.6}", self.to_timestamp())
    }
}

impl FromStr for Time {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Time, TimeError> {
        text.parse::<jiff::Timestamp>()
            .map(Time::from_timestamp)
            .map_err(|_| TimeError {
                text: text.to_owned(),
            })
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Time, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Time;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time such as 2026-01-31T04:00:00Z")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Time, E> {
                text.parse().map_err(E::custom)
            }
        }
        d.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn spans_read_well() {
        assert_eq!(
            Span::from_secs(3 * 86_400 + 4 * 3_600 + 59).to_string(),
            "3d 4h"
        );
        assert_eq!(Span::from_secs(86_400 + 5).to_string(), "1d");
        assert_eq!(Span::from_millis(850).to_string(), "850ms");
        assert_eq!(Span::from_secs(61).to_string(), "1m 1s");
    }

    #[test]
    fn refuses_what_is_no_time() {
        assert!("yesterday".parse::<Time>().is_err());
        assert!("2026-02-30T00:00:00Z".parse::<Time>().is_err());
    }

    proptest! {
        #[test]
        fn text_round_trips_and_keeps_order(a in Time::MIN.0..=Time::MAX.0, b in Time::MIN.0..=Time::MAX.0) {
            let (x, y) = (Time::from_micros(a), Time::from_micros(b));
            prop_assert_eq!(x.to_string().parse::<Time>().unwrap(), x);
            if a >= 0 && b >= 0 {
                prop_assert_eq!(x.cmp(&y), x.to_string().cmp(&y.to_string()));
            }
        }
    }
}
