//! Timelines: which of them holds which part of the log.

use std::fmt;

use super::lsn::{Lsn, SegmentSize};

/// The number of a timeline, from 1. A promotion or a recovery to a point in time begins a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timeline(u32);

/// A timeline and those from which it comes, as its `.history` file has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    timeline: Timeline,
    /// The oldest first; each with the place at which its successor left it.
    ancestors: Vec<(Timeline, Lsn)>,
}

/// The part of the log that is read from one timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimelineRange {
    /// The timeline.
    pub timeline: Timeline,
    /// Its first byte.
    pub from: Lsn,
    /// The first byte that belongs to its successor; none for the newest.
    pub until: Option<Lsn>,
}

/// A text that is no history of this timeline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// The text is not UTF-8.
    #[error("the history is not UTF-8")]
    Text,
    /// A line is not a timeline followed by an LSN.
    #[error("line {line} of the history is not a timeline followed by an LSN")]
    Line {
        /// From 1.
        line: usize,
    },
    /// A timeline is not newer than the one before it, or leaves it earlier than that began.
    #[error("line {line} of the history does not come after the line before it")]
    Order {
        /// From 1.
        line: usize,
    },
    /// The history names its own timeline or a newer one as an ancestor.
    #[error("the history names timeline {found} as an ancestor of timeline {own}")]
    Own {
        /// Whose history it is.
        own: Timeline,
        /// What it names.
        found: Timeline,
    },
}

impl Timeline {
    /// The one that `initdb` begins.
    pub const FIRST: Timeline = Timeline(1);

    /// None for 0.
    pub const fn new(number: u32) -> Option<Timeline> {
        if number == 0 {
            None
        } else {
            Some(Timeline(number))
        }
    }

    /// The number.
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl History {
    /// Of a timeline that has no ancestors, or whose ancestors do not matter.
    pub fn of(timeline: Timeline) -> History {
        History {
            timeline,
            ancestors: Vec::new(),
        }
    }

    /// Reads the `.history` file of `timeline`.
    ///
    /// Each line has an ancestor, the LSN at which it was left, and the reason; `#` begins a comment. The oldest comes
    /// first. (PostgreSQL's `timeline.c` writes and reads it.)
    pub fn parse(timeline: Timeline, file: &[u8]) -> Result<History, HistoryError> {
        let text = std::str::from_utf8(file).map_err(|_| HistoryError::Text)?;
        let mut ancestors: Vec<(Timeline, Lsn)> = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let (line, mut words) = (at + 1, line.split_whitespace());
            let Some(first) = words.next().filter(|word| !word.starts_with('#')) else {
                continue;
            };
            let ancestor = first.parse().ok().and_then(Timeline::new);
            let until = words.next().and_then(|word| word.parse::<Lsn>().ok());
            let (Some(ancestor), Some(until)) = (ancestor, until) else {
                return Err(HistoryError::Line { line });
            };
            let comes_after =
                |(before, left): &(Timeline, Lsn)| ancestor > *before && until >= *left;
            if !ancestors.last().is_none_or(comes_after) {
                return Err(HistoryError::Order { line });
            }
            if ancestor >= timeline {
                return Err(HistoryError::Own {
                    own: timeline,
                    found: ancestor,
                });
            }
            ancestors.push((ancestor, until));
        }
        Ok(History {
            timeline,
            ancestors,
        })
    }

    /// The newest timeline, whose history it is.
    pub fn timeline(&self) -> Timeline {
        self.timeline
    }

    /// The timeline to which the byte at `lsn` belongs.
    pub fn timeline_at(&self, lsn: Lsn) -> Timeline {
        let holds = |(_, until): &&(Timeline, Lsn)| lsn < *until;
        self.ancestors
            .iter()
            .find(holds)
            .map_or(self.timeline, |(timeline, _)| *timeline)
    }

    /// All parts of the log, the oldest first. A part may be empty.
    pub fn ranges(&self) -> impl Iterator<Item = TimelineRange> + '_ {
        let starts = [Lsn(0)]
            .into_iter()
            .chain(self.ancestors.iter().map(|(_, until)| *until));
        let ends = self.ancestors.iter().map(|(t, until)| (*t, Some(*until)));
        let ends = ends.chain([(self.timeline, None)]);
        starts
            .zip(ends)
            .map(|(from, (timeline, until))| TimelineRange {
                timeline,
                from,
                until,
            })
    }

    /// The part of the log that is read from `timeline`; none if it is no ancestor.
    pub fn range_of(&self, timeline: Timeline) -> Option<TimelineRange> {
        self.ranges().find(|range| range.timeline == timeline)
    }

    /// The timeline by which the file of this segment is named: the newest that has bytes in it. At a switch the new
    /// timeline's file begins with a copy of what the old one had in that segment.
    pub fn file_of(&self, segment: u64, size: SegmentSize) -> Timeline {
        self.ranges()
            .filter(|range| size.segment_of(range.from) <= segment)
            .last()
            .map_or(self.timeline, |range| range.timeline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FILE: &[u8] =
        b"1\t0/3000158\tno recovery target specified\n\n# moved\n2\t0/5000000\tbefore 2026\n";

    fn timeline(number: u32) -> Timeline {
        Timeline::new(number).unwrap()
    }

    #[test]
    fn each_byte_belongs_to_one_timeline() {
        let history = History::parse(timeline(3), FILE).unwrap();
        for (lsn, expected) in [
            (0, 1),
            (0x0300_0157, 1),
            (0x0300_0158, 2),
            (0x04FF_FFFF, 2),
            (0x0500_0000, 3),
            (u64::MAX, 3),
        ] {
            assert_eq!(history.timeline_at(Lsn(lsn)), timeline(expected), "{lsn:x}");
        }
        let range = history.range_of(timeline(2)).unwrap();
        assert_eq!(
            (range.from, range.until),
            (Lsn(0x0300_0158), Some(Lsn(0x0500_0000)))
        );
        assert_eq!(history.range_of(timeline(4)), None);
        // The third segment was copied at the switch; the fifth begins with it.
        let files =
            [0, 1, 2, 3, 4, 5, 6].map(|n| history.file_of(n, SegmentSize::DEFAULT).number());
        assert_eq!(files, [1, 1, 1, 2, 2, 3, 3]);
    }

    #[test]
    fn what_is_no_history_is_refused() {
        let refused = |file: &[u8]| History::parse(timeline(3), file).unwrap_err();
        assert_eq!(refused(b"\xff"), HistoryError::Text);
        assert_eq!(refused(b"1"), HistoryError::Line { line: 1 });
        assert_eq!(refused(b"1\t0/1\n0\t0/2\n"), HistoryError::Line { line: 2 });
        assert_eq!(
            refused(b"2\t0/1\n1\t0/2\n"),
            HistoryError::Order { line: 2 }
        );
        assert_eq!(
            refused(b"1\t0/2\n2\t0/1\n"),
            HistoryError::Order { line: 2 }
        );
        let own = HistoryError::Own {
            own: timeline(3),
            found: timeline(3),
        };
        assert_eq!(refused(b"3\t0/1\n"), own);
        assert_eq!(
            History::parse(timeline(3), b""),
            Ok(History::of(timeline(3)))
        );
    }

    proptest! {
        #[test]
        fn arbitrary_histories_are_survived(own in 1_u32.., file in prop::collection::vec(any::<u8>(), 0..200), at in any::<u64>()) {
            if let Ok(history) = History::parse(timeline(own), &file) {
                let range = history.range_of(history.timeline_at(Lsn(at))).unwrap();
                prop_assert!(range.from <= Lsn(at) && range.until.is_none_or(|until| Lsn(at) < until));
            }
        }
    }
}
