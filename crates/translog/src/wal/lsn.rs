//! Places in the log, and the segments into which it is cut.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A place in the log: bytes since its beginning. Written as PostgreSQL does: `16/B374D848`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lsn(pub u64);

/// A text that is no LSN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no LSN; one is written like 16/B374D848")]
pub struct LsnError {
    /// The text as given.
    pub text: String,
}

/// How long a segment is: a power of two between 1 MiB and 1 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SegmentSize(u32);

impl Lsn {
    /// The place `bytes` later; the last one there can be if it is beyond.
    pub const fn plus(self, bytes: u64) -> Lsn {
        Lsn(self.0.saturating_add(bytes))
    }
}

impl SegmentSize {
    /// What `initdb` chooses unless it is told otherwise.
    pub const DEFAULT: SegmentSize = SegmentSize(16 << 20);

    /// None if no server can have this size.
    pub const fn new(bytes: u32) -> Option<SegmentSize> {
        if bytes.is_power_of_two() && bytes >= 1 << 20 && bytes <= 1 << 30 {
            Some(SegmentSize(bytes))
        } else {
            None
        }
    }

    /// In bytes.
    pub const fn bytes(self) -> u32 {
        self.0
    }

    /// The number of the segment that holds the byte at `lsn`.
    pub const fn segment_of(self, lsn: Lsn) -> u64 {
        lsn.0 / self.0 as u64
    }

    /// Where the segment begins; none if there is no such segment.
    pub fn start_of(self, segment: u64) -> Option<Lsn> {
        segment.checked_mul(u64::from(self.0)).map(Lsn)
    }

    /// Where `lsn` lies in its segment.
    pub const fn offset(self, lsn: Lsn) -> u32 {
        // A remainder of a 32-bit number has no more bits.
        (lsn.0 % self.0 as u64) as u32
    }

    /// The first place at or after `lsn` at which a segment begins.
    pub(crate) fn round_up(self, lsn: Lsn) -> Lsn {
        match self.offset(lsn) {
            0 => lsn,
            offset => lsn.plus(u64::from(self.0 - offset)),
        }
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

impl fmt::Debug for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Lsn {
    type Err = LsnError;

    fn from_str(text: &str) -> Result<Lsn, LsnError> {
        let half = |digits: &str| {
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
            plain
                .then(|| u32::from_str_radix(digits, 16).ok())
                .flatten()
        };
        text.split_once('/')
            .and_then(|(high, low)| Some((half(high)?, half(low)?)))
            .map(|(high, low)| Lsn(u64::from(high) << 32 | u64::from(low)))
            .ok_or_else(|| LsnError {
                text: text.to_owned(),
            })
    }
}

impl Serialize for Lsn {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Lsn {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Lsn, D::Error> {
        String::deserialize(d)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_lsn_is_refused() {
        for text in [
            "",
            "/",
            "0",
            "0/",
            "/0",
            "0/+1",
            "0/100000000",
            "g/0",
            "0/0/0",
            " 0/0",
        ] {
            assert!(text.parse::<Lsn>().is_err(), "{text}");
        }
        assert_eq!("0/01000028".parse(), Ok(Lsn(0x0100_0028)));
    }

    #[test]
    fn sizes_are_powers_of_two_within_bounds() {
        for bytes in [0, 1, 1 << 19, (1 << 20) + 1, 3 << 20, 1 << 31] {
            assert_eq!(SegmentSize::new(bytes), None);
        }
        let size = SegmentSize::new(1 << 20).unwrap();
        assert_eq!(size.segment_of(Lsn(0x10_0000)), 1);
        assert_eq!(size.round_up(Lsn(0x10_0001)), Lsn(0x20_0000));
        assert_eq!(size.round_up(Lsn(0x10_0000)), Lsn(0x10_0000));
        assert_eq!(size.start_of(u64::MAX), None);
    }

    proptest! {
        #[test]
        fn text_round_trips(bits in any::<u64>()) {
            prop_assert_eq!(Lsn(bits).to_string().parse(), Ok(Lsn(bits)));
        }
    }
}
