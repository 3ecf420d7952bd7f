//! The end of what was noted: cut into pieces, as far as looks are whole.

use vouchsafe_capture::{CaptureError, LogPiece};
use vouchsafe_format::fragment::{Commits, Position, Span};
use vouchsafe_model::{LogGapCause, Time};
use vouchsafe_translog::sqlite::{Joint, Record};

use super::spool::{Held, Spool, walk};
use crate::log::{FoundGap, LogCut, LogStep};

/// Up to where pieces were cut; nothing before the first.
#[derive(Debug)]
pub(super) struct Tail(Option<u64>);

/// Where pieces are cut at the latest.
const PIECE: u64 = 8 << 20;

impl Tail {
    pub(super) fn at(reached: Option<u64>) -> Tail {
        Tail(reached)
    }

    /// Adds what is to be shipped; it ends before a part that is missing.
    pub(super) fn poll(
        &mut self,
        spool: &Spool,
        steps: &mut Vec<LogStep>,
    ) -> Result<Option<FoundGap>, CaptureError> {
        loop {
            let held = spool.held()?;
            let oldest = held.first().map(|one| one.from);
            let Some(at) = self.0.or(oldest) else {
                return Ok(None);
            };
            self.0 = Some(at);
            let here = held.iter().find(|one| one.from <= at && at < one.to);
            if let Some(here) = here {
                let reached = cut(here, at, steps)?;
                self.0 = Some(reached);
                if reached < here.to || reached == at {
                    return Ok(None);
                }
                continue;
            }
            let next = held.iter().find(|one| at < one.from);
            return match next {
                Some(next) => {
                    let gap = gap(next, at)?;
                    self.0 = gap.is_some().then_some(next.from).or(self.0);
                    Ok(gap)
                }
                None => Ok(None),
            };
        }
    }
}

/// Cuts pieces of one file; up to where.
fn cut(held: &Held, at: u64, steps: &mut Vec<LogStep>) -> Result<u64, CaptureError> {
    let mut piece: Option<(u64, u64, Time, Time)> = None;
    let mut ends = Vec::new();
    let mut reached = at;
    walk(held, at, &mut |record, end| {
        ends.push(end);
        if !record.whole {
            return;
        }
        for end in ends.drain(..) {
            piece = match piece.take() {
                Some((from, to, first, last)) if end - from > PIECE => {
                    steps.extend(step((from, to), (first, last)));
                    Some((to, end, record.time, record.time))
                }
                Some((from, _, first, _)) => Some((from, end, first, record.time)),
                None => Some((reached, end, record.time, record.time)),
            };
            reached = end;
        }
    })?;
    if let Some((from, to, first, last)) = piece {
        steps.extend(step((from, to), (first, last)));
    }
    Ok(reached)
}

fn step((from, to): (u64, u64), (first, last): (Time, Time)) -> Option<LogStep> {
    let span = Span::new(Position::Byte(from), Position::Byte(to)).ok()?;
    Some(LogStep::Log(LogCut {
        piece: LogPiece {
            timeline: 1,
            span,
            commits: Some(Commits {
                first: first.micros(),
                last: last.micros(),
            }),
        },
        newest_commit: Some(last),
        token: None,
        verified: true,
    }))
}

/// What lies between a place and the first record of a file, once that is there.
fn gap(next: &Held, at: u64) -> Result<Option<FoundGap>, CaptureError> {
    let mut first: Option<Record> = None;
    walk(next, next.from, &mut |record, _| {
        first = first.or(Some(record));
    })?;
    Ok(first.map(|record| {
        let (cause, detail) = match record.joint {
            Joint::Removed => (
                LogGapCause::Removed,
                "the log was begun anew by another program, and what it held last had not been read",
            ),
            Joint::Diverged => (
                LogGapCause::Diverged,
                "the database or its log is not the one that was followed",
            ),
            Joint::Lost | Joint::First | Joint::GoesOn => (
                LogGapCause::SpoolLost,
                "what was noted of the log is gone from the state directory",
            ),
        };
        FoundGap {
            cause,
            timeline: 1,
            from: Some(Position::Byte(at)),
            to: Some(Position::Byte(next.from)),
            detail: detail.to_owned(),
        }
    }))
}
