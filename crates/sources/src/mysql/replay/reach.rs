//! How far a log leads on from a base, by its headers.

use vouchsafe_capture::{LogChart, LogRun, Until};
use vouchsafe_format::fragment::Position;
use vouchsafe_model::Time;

use super::super::binlog::{numbered, own, parts};
use super::Base;

/// A run that holds a base's place.
#[derive(Clone, Debug)]
pub(super) struct Reach<'c> {
    pub(super) run: &'c LogRun,
    /// The file in which the base lies.
    pub(super) file: u64,
    pub(super) to: Position,
    /// The newest commit behind the base.
    pub(super) newest: Option<Time>,
    /// Bytes of log from the beginning of the file on.
    pub(super) bytes: u64,
}

impl Reach<'_> {
    /// From where on it is read.
    pub(super) fn from(&self) -> Position {
        Position::File {
            file: self.file,
            offset: 0,
        }
    }
}

/// The file of a run in which the base lies, if it is all there up to the base.
pub(super) fn file_in(run: &LogRun, base: &Base) -> Option<u64> {
    let Position::File { file, .. } = run.from else {
        return None;
    };
    let file = numbered(parts(file).0, base.number);
    let at = |offset| Position::File { file, offset };
    (run.from <= at(0) && at(base.offset) <= run.to).then_some(file)
}

/// The runs that hold a base, the likeliest first. Where the server has begun its log anew, files of one number are there
/// more than once: the base lies in the first that was still written to after it; which one it is, the log itself tells.
pub(super) fn reaches<'c>(chart: &'c LogChart, base: &Base) -> Vec<Reach<'c>> {
    let mut out = Vec::new();
    for (run, pieces) in &chart.runs {
        let Some(file) = file_in(run, base) else {
            continue;
        };
        let (begin, place) = (
            Position::File { file, offset: 0 },
            Position::File {
                file,
                offset: base.offset,
            },
        );
        let needed = pieces.iter().filter(|piece| begin < piece.span.to());
        let (mut newest, mut bytes) = (None, 0_u64);
        for piece in needed {
            if let (Some(commits), true) = (piece.commits, place < piece.span.to()) {
                newest = newest.max(Some(Time::from_micros(commits.last)));
            }
            bytes = bytes.saturating_add(length(piece.span.from(), piece.span.to()));
        }
        out.push(Reach {
            run,
            file,
            to: run.to,
            newest,
            bytes,
        });
    }
    let ended_before = |reach: &Reach<'_>| reach.newest.is_none_or(|newest| newest < base.taken);
    out.sort_by_key(|reach| match ended_before(reach) {
        false => (0, reach.file),
        true => (1, u64::MAX - reach.file),
    });
    out
}

/// The bytes of a piece that ends in the file in which it begins; others end where there is nothing more.
fn length(from: Position, to: Position) -> u64 {
    match (from, to) {
        (
            Position::File { file, offset },
            Position::File {
                file: last,
                offset: end,
            },
        ) if file == last => end.saturating_sub(offset),
        _ => 0,
    }
}

/// Whether a run goes as far as is asked, as far as headers tell.
pub(super) fn leads_to(reach: &Reach<'_>, until: Until) -> bool {
    match until {
        Until::Time(time) => reach.newest.is_some_and(|newest| time <= newest),
        // Which transactions there are, headers do not tell.
        Until::End | Until::Transaction(_) => true,
        Until::Position(at) => own(at).is_some() && own(at) <= own(reach.to),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vouchsafe_capture::LogPiece;
    use vouchsafe_format::Id;
    use vouchsafe_format::fragment::Span;
    use vouchsafe_translog::binlog::GtidState;

    #[test]
    fn no_length_in_headers_is_too_large() {
        let at = |file, offset| Position::File { file, offset };
        let piece = |file| LogPiece {
            timeline: 1,
            span: Span::new(at(file, 0), at(file, u64::MAX)).unwrap(),
            commits: None,
        };
        let run = LogRun {
            first: 0,
            last: 1,
            previous: Id::of(b""),
            digest: Id::of(b""),
            from: at(1, 0),
            to: at(2, u64::MAX),
            first_timeline: 1,
            timeline: 1,
            epoch: 1,
            commits: None,
        };
        let chart = LogChart {
            runs: vec![(run, vec![piece(1), piece(2)])],
            ..LogChart::default()
        };
        let base = Base {
            number: 1,
            offset: 4,
            past: GtidState::Unknown,
            taken: Time::from_secs(0),
        };
        let reaches = reaches(&chart, &base);
        let [reach] = reaches.as_slice() else {
            panic!("{reaches:?}");
        };
        assert_eq!(reach.bytes, u64::MAX);
    }
}
