//! Which timelines lead from a base onwards, and how far their log goes.

use vouchsafe_capture::{LogChart, LogPiece};
use vouchsafe_format::fragment::Position;
use vouchsafe_model::Time;
use vouchsafe_translog::wal::{History, Lsn, SegmentSize, Timeline, TimelineRange};

/// What of a base matters to a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Base {
    /// The server's identifier.
    pub(super) system: u64,
    /// From where the log must be replayed.
    pub(super) start: (Timeline, Lsn),
    /// Where the files are consistent.
    pub(super) end: (Timeline, Lsn),
    /// How long a segment of its log is.
    pub(super) segment: SegmentSize,
}

/// How far a log goes from a base on, along one path of timelines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    pub(super) timeline: Timeline,
    pub(super) to: Lsn,
    /// Bytes between the beginning and there.
    pub(super) bytes: u64,
    /// The newest commit in it, as far as headers tell.
    pub(super) newest: Option<Time>,
}

impl Base {
    /// The first byte of log that a replay reads: that of the segment in which the base begins.
    pub(super) fn first_byte(&self) -> Lsn {
        let (_, start) = self.start;
        Lsn(start.0 - u64::from(self.segment.offset(start)))
    }

    /// Whether the history has all of the log that the base itself needs.
    fn lies_on(&self, history: &History) -> bool {
        let holds = |(timeline, lsn): (Timeline, Lsn)| {
            let range = history.range_of(timeline);
            range.is_some_and(|range| range.from <= lsn && range.until.is_none_or(|u| lsn <= u))
        };
        holds(self.start) && holds(self.end)
    }
}

/// The histories that lead from the base to the timelines of which there is log, the newest timeline first.
pub(super) fn histories(chart: &LogChart, base: &Base) -> Vec<History> {
    let (own, _) = base.end;
    let mut numbers: Vec<u32> = pieces(chart)
        .filter_map(|piece| u32::try_from(piece.timeline).ok())
        .chain([own.number()])
        .filter(|number| *number >= own.number())
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    let all = numbers.into_iter().rev().filter_map(Timeline::new);
    all.filter_map(|timeline| history_of(chart, base, timeline))
        .collect()
}

/// The history of a timeline, if it is known and leads through the base.
pub(super) fn history_of(chart: &LogChart, base: &Base, timeline: Timeline) -> Option<History> {
    let (own, _) = base.end;
    let history = match chart.timelines.get(&u64::from(timeline.number())) {
        Some(file) => History::parse(timeline, file).ok()?,
        // What came before the base does not matter.
        None if timeline == own && base.start.0 == own => History::of(timeline),
        None => return None,
    };
    base.lies_on(&history).then_some(history)
}

/// A timeline of which there is log and no history, so that nobody knows where it left which other one; with `by`, only
/// if it had begun by then, as far as headers tell.
pub(super) fn unknown_timeline(chart: &LogChart, base: &Base, by: Option<Time>) -> Option<u64> {
    let own = u64::from(base.end.0.number());
    let is_unknown = |piece: &&LogPiece| {
        let file = chart.timelines.get(&piece.timeline);
        let number = u32::try_from(piece.timeline).ok().and_then(Timeline::new);
        let known = number.zip(file).map(|(n, file)| History::parse(n, file));
        own < piece.timeline && !matches!(known, Some(Ok(_)))
    };
    let had_begun = |piece: &LogPiece| match (by, piece.commits) {
        (Some(by), Some(commits)) => Time::from_micros(commits.first) <= by,
        _ => true,
    };
    let mut unknown = pieces(chart).filter(is_unknown);
    unknown.find(|piece| had_begun(piece)).map(|p| p.timeline)
}

/// The parts of the log that are read along a history from `from` on.
pub(super) fn ranges(history: &History, from: Lsn) -> Vec<TimelineRange> {
    history
        .ranges()
        .filter(|range| range.until.is_none_or(|until| from < until))
        .collect()
}

/// How far the pieces of a log go along a history; with `enough`, no farther than the first piece that ends after it.
pub(super) fn reach(
    chart: &LogChart,
    base: &Base,
    history: &History,
    enough: Option<Time>,
) -> Reach {
    let first = base.first_byte();
    let mut reach = Reach {
        timeline: history.timeline_at(first),
        to: first,
        bytes: 0,
        newest: None,
    };
    for range in ranges(history, first) {
        reach.timeline = range.timeline;
        for piece in pieces(chart).filter(|p| p.timeline == u64::from(range.timeline.number())) {
            let (Position::Byte(from), Position::Byte(to)) = (piece.span.from(), piece.span.to())
            else {
                continue;
            };
            if Lsn(from) > reach.to || Lsn(to) <= reach.to {
                continue;
            }
            let end = range.until.map_or(Lsn(to), |until| until.min(Lsn(to)));
            reach.bytes += end.0.saturating_sub(reach.to.0);
            reach.to = end;
            // Of a piece that goes beyond the switch it is not known which commits lie before it.
            let last = piece.commits.filter(|_| end == Lsn(to));
            let last = last.map(|commits| Time::from_micros(commits.last));
            reach.newest = reach.newest.max(last);
            let is_enough = last.is_some_and(|last| enough.is_some_and(|enough| enough < last));
            if is_enough && base.end.1 <= reach.to {
                return reach;
            }
            if Some(end) == range.until {
                break;
            }
        }
        if range.until.is_some_and(|until| reach.to < until) {
            break;
        }
    }
    reach
}

fn pieces(chart: &LogChart) -> impl Iterator<Item = &LogPiece> {
    chart.runs.iter().flat_map(|(_, pieces)| pieces)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_capture::LogRun;
    use vouchsafe_format::Id;
    use vouchsafe_format::fragment::{Commits, Span};

    const SEGMENT: u64 = 1 << 20;

    fn timeline(number: u32) -> Timeline {
        Timeline::new(number).unwrap()
    }

    fn base() -> Base {
        Base {
            system: 1,
            start: (timeline(1), Lsn(SEGMENT + 40)),
            end: (timeline(1), Lsn(SEGMENT + 400)),
            segment: SegmentSize::new(SEGMENT as u32).unwrap(),
        }
    }

    /// Pieces by timeline, ends, and the seconds of the last commit.
    fn chart(pieces: &[(u64, u64, u64, i64)], histories: &[(u64, &str)]) -> LogChart {
        let pieces: Vec<LogPiece> = pieces
            .iter()
            .map(|(timeline, from, to, secs)| LogPiece {
                timeline: *timeline,
                span: Span::new(Position::Byte(*from), Position::Byte(*to)).unwrap(),
                commits: Some(Commits {
                    first: secs * 1_000_000,
                    last: secs * 1_000_000,
                }),
            })
            .collect();
        let run = LogRun {
            first: 0,
            last: 0,
            previous: Id::of(b""),
            digest: Id::of(b""),
            from: Position::Byte(0),
            to: Position::Byte(0),
            first_timeline: 1,
            timeline: 1,
            epoch: 1,
            commits: None,
        };
        LogChart {
            runs: vec![(run, pieces)],
            timelines: histories
                .iter()
                .map(|(number, file)| (*number, file.as_bytes().to_vec()))
                .collect(),
            ..LogChart::default()
        }
    }

    #[test]
    fn what_follows_without_a_gap_is_reached() {
        let whole = [
            (1, SEGMENT, SEGMENT + 800, 1),
            (1, SEGMENT + 800, SEGMENT + 900, 2),
            (1, SEGMENT + 950, SEGMENT + 999, 3),
        ];
        let chart = chart(&whole, &[]);
        let histories = histories(&chart, &base());
        assert_eq!(histories.len(), 1);
        let reached = reach(&chart, &base(), &histories[0], None);
        assert_eq!(reached.to, Lsn(SEGMENT + 900));
        assert_eq!(reached.bytes, 900);
        assert_eq!(reached.newest, Some(Time::from_secs(2)));
        let enough = reach(&chart, &base(), &histories[0], Some(Time::from_secs(0)));
        assert_eq!(enough.to, Lsn(SEGMENT + 800));
    }

    #[test]
    fn a_log_that_begins_too_late_reaches_nothing() {
        let chart = chart(&[(1, SEGMENT + 8, SEGMENT + 800, 1)], &[]);
        let reached = reach(&chart, &base(), &histories(&chart, &base())[0], None);
        assert_eq!(
            (reached.to, reached.bytes, reached.newest),
            (Lsn(SEGMENT), 0, None)
        );
    }

    #[test]
    fn a_timeline_without_a_history_is_named_once_it_had_begun() {
        let pieces = [
            (1, SEGMENT, SEGMENT + 2000, 6),
            (2, SEGMENT + 1500, SEGMENT + 3000, 9),
        ];
        let unknown = chart(&pieces, &[]);
        let by = |secs: i64| unknown_timeline(&unknown, &base(), Some(Time::from_secs(secs)));
        assert_eq!((by(8), by(9)), (None, Some(2)));
        assert_eq!(unknown_timeline(&unknown, &base(), None), Some(2));
        let known = chart(&pieces, &[(2, "1\t0/1005DC\tx\n")]);
        assert_eq!(unknown_timeline(&known, &base(), None), None);
        let damaged = chart(&pieces, &[(2, "nonsense\n")]);
        assert_eq!(unknown_timeline(&damaged, &base(), None), Some(2));
    }

    #[test]
    fn timelines_are_followed_as_their_histories_say() {
        let pieces = [
            (1, SEGMENT, SEGMENT + 1000, 5),
            (1, SEGMENT + 1000, SEGMENT + 2000, 6),
            (2, SEGMENT + 1500, SEGMENT + 3000, 9),
        ];
        let known = chart(&pieces, &[(2, "1\t0/1005DC\tno recovery target\n")]);
        let found = histories(&known, &base());
        let numbers: Vec<u32> = found.iter().map(|h| h.timeline().number()).collect();
        assert_eq!(numbers, [2, 1]);
        let onto = reach(&known, &base(), &found[0], None);
        assert_eq!((onto.timeline, onto.to), (timeline(2), Lsn(SEGMENT + 3000)));
        assert_eq!(onto.newest, Some(Time::from_secs(9)));
        let along = reach(&known, &base(), &found[1], None);
        assert_eq!(along.to, Lsn(SEGMENT + 2000));
        // One whose history is not known, or that left before the base ended, leads nowhere from it.
        let unknown = chart(&pieces, &[]);
        assert_eq!(histories(&unknown, &base()).len(), 1);
        let before = chart(&pieces, &[(2, "1\t0/100030\tno recovery target\n")]);
        assert_eq!(histories(&before, &base()).len(), 1);
    }
}
