//! Reading a stream in its order: each object is authenticated, and its chain compared, before a byte is handed out.

use std::io;

use vouchsafe_capture::{LogPart, LogRun};
use vouchsafe_format::fragment::{Header, Link, Piece, Position, Span, Stretch};

use super::cut::beyond;
use super::error::LogError;
use super::stream::LogStream;
use follow::{Follower, Step};

mod follow;

impl LogStream {
    /// Hands out what a run holds between two positions, in the order of the stream; memory is bounded by one object.
    ///
    /// Where positions count bytes, no byte before `from` and none from `to` on is handed out, and none of a timeline
    /// twice. Fragments whose positions are marks are handed out whole. On another timeline positions may go back.
    ///
    /// # Errors
    /// [`LogError::Damaged`] and [`LogError::Missing`], which name the object and its position; all that was handed out
    /// until then is right. [`LogError::Target`] if `take` fails, and the store's failures.
    pub fn read(
        &self,
        run: &LogRun,
        from: Position,
        to: Position,
        take: &mut dyn FnMut(LogPart<'_>) -> io::Result<()>,
    ) -> Result<(), LogError> {
        let mut reach = Reach {
            from,
            to,
            done: None,
        };
        // Where the timeline changes, positions may go back.
        let one_timeline = run.first_timeline == run.timeline;
        let pass = |header: &Header| {
            if one_timeline && header.span.from() >= to {
                Pass::End
            } else if header.span.to() < from || header.span.from() > to {
                Pass::Over
            } else {
                Pass::Open
            }
        };
        self.follow(
            run,
            &mut |stretch| hand_out(&stretch, &mut reach, take),
            &pass,
        )
    }

    /// Opens one object of a run after the other, as far as `pass` says so by their headers.
    pub(super) fn follow(
        &self,
        run: &LogRun,
        visit: &mut dyn FnMut(Stretch) -> Result<(), LogError>,
        pass: &dyn Fn(&Header) -> Pass,
    ) -> Result<(), LogError> {
        let mut follower = Follower {
            objects: &self.objects,
            listed: self.objects.list()?,
            run,
            next: Link {
                sequence: run.first,
                previous: run.previous,
            },
            position: run.from,
        };
        while follower.next.sequence <= run.last {
            self.objects.go_on()?;
            match follower.step(pass)? {
                Step::Object(stretch) => visit(*stretch)?,
                Step::Over => {}
                Step::End => return Ok(()),
            }
        }
        if follower.next.previous == run.digest {
            return Ok(());
        }
        // What was looked at before has been exchanged for another branch since.
        Err(self.objects.fork(run.last))
    }
}

/// What is to be done with an object, by its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// Open it.
    Open,
    /// Go on after it.
    Over,
    /// Nothing after it is needed.
    End,
}

fn hand_out(
    stretch: &Stretch,
    reach: &mut Reach,
    take: &mut dyn FnMut(LogPart<'_>) -> io::Result<()>,
) -> Result<(), LogError> {
    let timeline = stretch.header().timeline;
    let mut rest = stretch.log();
    for (sequence, piece) in (stretch.header().sequence..).zip(stretch.pieces()) {
        let length = usize::try_from(piece.length).unwrap_or(usize::MAX);
        let (log, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
        rest = after;
        let Some((span, log)) = reach.of(timeline, piece, log) else {
            continue;
        };
        take(LogPart {
            sequence,
            timeline,
            span,
            commits: piece.commits,
            log,
        })
        .map_err(LogError::Target)?;
    }
    Ok(())
}

/// What is to be handed out, and how far it was.
struct Reach {
    from: Position,
    to: Position,
    done: Option<(u64, Position)>,
}

impl Reach {
    /// What of a piece is to be handed out.
    fn of<'a>(&mut self, timeline: u64, piece: &Piece, log: &'a [u8]) -> Option<(Span, &'a [u8])> {
        let span = piece.span;
        let before = self
            .done
            .filter(|(on, _)| *on == timeline)
            .map(|(_, to)| to);
        let from = later(self.from, before);
        if before.is_none_or(|before| before < span.to()) {
            self.done = Some((timeline, span.to()));
        }
        if span.from() >= self.to || span.to() <= from {
            return None;
        }
        let start = bytes_between(span.from(), from).unwrap_or(0);
        let end = match bytes_between(span.from(), self.to) {
            Some(end) if self.to < span.to() => end.min(log.len()),
            _ => log.len(),
        };
        let counted = beyond(span.from(), 0).is_some();
        if !counted {
            return Some((span, log));
        }
        let cut_from = if start == 0 { span.from() } else { from };
        let cut_to = if end < log.len() { self.to } else { span.to() };
        let span = Span::new(cut_from, cut_to).ok()?;
        Some((span, log.get(start..end)?))
    }
}

fn later(position: Position, other: Option<Position>) -> Position {
    match other {
        Some(other) if position < other => other,
        _ => position,
    }
}

/// How many bytes lie between a position and a later one, if that is counted; none if it is not later.
fn bytes_between(from: Position, to: Position) -> Option<usize> {
    match (from, to) {
        (Position::Byte(from), Position::Byte(to)) => usize::try_from(to.saturating_sub(from)).ok(),
        (
            Position::File { file, offset },
            Position::File {
                file: last,
                offset: end,
            },
        ) if file == last => usize::try_from(end.saturating_sub(offset)).ok(),
        _ => None,
    }
}
