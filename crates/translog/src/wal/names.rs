//! The names of the files in `pg_wal` and in archives.

use std::fmt;

use super::lsn::SegmentSize;
use super::timeline::Timeline;

/// What a file is, by its name. The macros of `access/xlog_internal.h` make these names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WalFileName {
    /// A whole segment.
    Segment {
        /// The timeline by which it was written.
        timeline: Timeline,
        /// Its number, from 0.
        segment: u64,
    },
    /// A segment that may not be written to its end.
    Partial {
        /// The timeline by which it was written.
        timeline: Timeline,
        /// Its number, from 0.
        segment: u64,
    },
    /// The history of a timeline.
    History {
        /// Whose history it is.
        timeline: Timeline,
    },
    /// The label of a base backup.
    Backup {
        /// The timeline on which it began.
        timeline: Timeline,
        /// The number of the segment in which it began.
        segment: u64,
        /// Where in the segment it began.
        offset: u32,
    },
}

impl WalFileName {
    /// What a file of this name is; none if it is nothing of the log.
    pub fn parse(name: &str, size: SegmentSize) -> Option<WalFileName> {
        if let Some(timeline) = name.strip_suffix(".history") {
            let timeline = Timeline::new(word(timeline)?)?;
            return Some(WalFileName::History { timeline });
        }
        let (digits, rest) = name.split_at_checked(24)?;
        let timeline = Timeline::new(word(digits.get(..8)?)?)?;
        let (high, low) = (word(digits.get(8..16)?)?, word(digits.get(16..)?)?);
        let in_each = segments_in_each(size);
        if u64::from(low) >= in_each {
            return None;
        }
        let segment = u64::from(high) * in_each + u64::from(low);
        match rest {
            "" => Some(WalFileName::Segment { timeline, segment }),
            ".partial" => Some(WalFileName::Partial { timeline, segment }),
            _ => {
                let offset = word(rest.strip_prefix('.')?.strip_suffix(".backup")?)?;
                (offset < size.bytes()).then_some(WalFileName::Backup {
                    timeline,
                    segment,
                    offset,
                })
            }
        }
    }

    /// The name of the file.
    pub fn name(self, size: SegmentSize) -> String {
        let stem = |timeline, segment| Stem(timeline, segment, size);
        match self {
            WalFileName::Segment { timeline, segment } => stem(timeline, segment).to_string(),
            WalFileName::Partial { timeline, segment } => {
                format!("{}.partial", stem(timeline, segment))
            }
            WalFileName::History { timeline } => format!("{:08X}.history", timeline.number()),
            WalFileName::Backup {
                timeline,
                segment,
                offset,
            } => format!("{}.{offset:08X}.backup", stem(timeline, segment)),
        }
    }
}

struct Stem(Timeline, u64, SegmentSize);

impl fmt::Display for Stem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let in_each = segments_in_each(self.2);
        let (high, low) = (self.1 / in_each, self.1 % in_each);
        write!(f, "{:08X}{high:08X}{low:08X}", self.0.number())
    }
}

/// Segments that have the same high 32 bits of the LSN.
fn segments_in_each(size: SegmentSize) -> u64 {
    (1 << 32) / u64::from(size.bytes())
}

/// Eight digits, none of them in lower case.
fn word(digits: &str) -> Option<u32> {
    let known = |byte: u8| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte);
    if digits.len() != 8 || !digits.bytes().all(known) {
        return None;
    }
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::super::lsn::Lsn;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_as_the_server_writes_them() {
        let size = SegmentSize::DEFAULT;
        let timeline = Timeline::new(1).unwrap();
        let segment = size.segment_of("2/3F000028".parse::<Lsn>().unwrap());
        let name = WalFileName::Segment { timeline, segment };
        assert_eq!(name.name(size), "00000001000000020000003F");
        let name = WalFileName::parse("00000001000000020000003F.00000028.backup", size);
        let offset = 0x28;
        assert_eq!(
            name,
            Some(WalFileName::Backup {
                timeline,
                segment,
                offset
            })
        );
    }

    #[test]
    fn other_names_are_none_of_ours() {
        for name in [
            "",
            "00000000000000020000003F",
            "00000001000000020000003f",
            "000000010000000200000100",
            "00000001000000020000003F.tmp",
            "00000001000000020000003F.01000000.backup",
            "00000001000000020000003",
            "1.history",
            "00000000.history",
            "ä0000001000000020000003F",
            "0000000100000002000000ä",
        ] {
            assert_eq!(
                WalFileName::parse(name, SegmentSize::DEFAULT),
                None,
                "{name}"
            );
        }
    }

    proptest! {
        #[test]
        fn names_round_trip(timeline in 1_u32.., lsn in any::<u64>(), power in 20_u32..=30, kind in 0..4) {
            let size = SegmentSize::new(1 << power).unwrap();
            let timeline = Timeline::new(timeline).unwrap();
            let segment = size.segment_of(Lsn(lsn));
            let offset = size.offset(Lsn(lsn));
            let name = match kind {
                0 => WalFileName::Segment { timeline, segment },
                1 => WalFileName::Partial { timeline, segment },
                2 => WalFileName::History { timeline },
                _ => WalFileName::Backup { timeline, segment, offset },
            };
            prop_assert_eq!(WalFileName::parse(&name.name(size), size), Some(name));
        }

        #[test]
        fn arbitrary_names_are_survived(name in ".{0,60}") {
            let _ = WalFileName::parse(&name, SegmentSize::DEFAULT);
        }
    }
}
