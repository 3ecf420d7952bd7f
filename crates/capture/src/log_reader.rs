//! How a transaction log is read back.

use std::collections::BTreeMap;
use std::io;

use vouchsafe_format::Id;
use vouchsafe_format::fragment::{Commits, Position, Span};
use vouchsafe_model::Issue;

use crate::error::CaptureError;
use crate::log::LogPiece;

/// The log of one stream in one vault.
pub trait LogReader: Send + Sync {
    /// Which log it is, and where it lies, for people.
    fn place(&self) -> String;

    /// What is there, by the headers of all objects: each was authenticated, none of the payloads was opened.
    fn window(&self) -> Result<LogWindow, CaptureError>;

    /// What the headers of a run say, object after object. What was compacted is one piece.
    fn pieces(&self, run: &LogRun) -> Result<Vec<LogPiece>, CaptureError>;

    /// Hands out what a run holds between two positions, in the order of the stream; each part was authenticated, and
    /// chained to the one before it.
    ///
    /// Where positions count bytes, no byte before `from` and none from `to` on is handed out, and none of a timeline
    /// twice. On another timeline positions may go back. An error of `take` ends the reading and comes back.
    fn read(
        &self,
        run: &LogRun,
        from: Position,
        to: Position,
        take: &mut dyn FnMut(LogPart<'_>) -> io::Result<()>,
    ) -> Result<(), CaptureError>;
}

/// What a vault holds of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogWindow {
    /// What can be read without a gap, in the order of the stream.
    pub runs: Vec<LogRun>,
    /// Objects that are damaged, or not this stream's. Nothing of them is in a run.
    pub problems: Vec<Issue>,
    /// Objects that were found, damaged ones too.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A part of a stream that can be read from its beginning to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRun {
    /// The place of the first fragment.
    pub first: u64,
    /// The place of the last one.
    pub last: u64,
    /// The digest of the chain before it.
    pub previous: Id,
    /// The digest of the chain at its end.
    pub digest: Id,
    /// The position at which it begins.
    pub from: Position,
    /// The position up to which its last timeline is whole.
    pub to: Position,
    /// The timeline at its beginning.
    pub first_timeline: u64,
    /// The timeline at its end.
    pub timeline: u64,
    /// The writer at its end.
    pub epoch: u64,
    /// The first and the last commit of which the time is known.
    pub commits: Option<Commits>,
}

/// A part of a log as it is handed out.
#[derive(Debug, Clone, Copy)]
pub struct LogPart<'a> {
    /// The place of the fragment that it comes from.
    pub sequence: u64,
    /// The timeline of the positions.
    pub timeline: u64,
    /// The positions that these bytes cover.
    pub span: Span,
    /// The commits of the whole fragment, if there are any and their times are known.
    pub commits: Option<Commits>,
    /// The log itself.
    pub log: &'a [u8],
}

/// What the headers of a log say, and what the log says of its timelines: enough to tell what can be restored, without
/// reading it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogChart {
    /// Which log it is, and where it lies, for people.
    pub place: String,
    /// Runs in the order of the stream, each with its pieces.
    pub runs: Vec<(LogRun, Vec<LogPiece>)>,
    /// What is damaged or not this stream's.
    pub problems: Vec<Issue>,
    /// By the numbers of timelines, what the database says of where each comes from.
    pub timelines: BTreeMap<u64, Vec<u8>>,
}

/// Most bytes that a timeline's history may have.
const HISTORY: usize = 1 << 20;

impl LogChart {
    /// Reads the headers of a log, and all of the stream in which its timelines are told, if there is one.
    pub fn draw(
        log: &dyn LogReader,
        timelines: Option<&dyn LogReader>,
    ) -> Result<LogChart, CaptureError> {
        let window = log.window()?;
        let mut chart = LogChart {
            place: log.place(),
            problems: window.problems,
            ..LogChart::default()
        };
        for run in window.runs {
            let pieces = log.pieces(&run)?;
            chart.runs.push((run, pieces));
        }
        let Some(timelines) = timelines else {
            return Ok(chart);
        };
        let window = timelines.window()?;
        chart.problems.extend(window.problems);
        for run in &window.runs {
            let (from, to) = (Position::Mark(0), Position::Mark(u64::MAX));
            timelines.read(run, from, to, &mut |part| {
                if part.log.len() <= HISTORY {
                    chart.timelines.insert(part.timeline, part.log.to_vec());
                }
                Ok(())
            })?;
        }
        Ok(chart)
    }

    /// Whether there is no log at all.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }
}

/// A log with its chart.
pub struct Log<'a> {
    /// What can be restored by it.
    pub chart: LogChart,
    /// Reads it.
    pub reader: &'a dyn LogReader,
}
