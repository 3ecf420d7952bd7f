//! A stream as whoever restores by it sees it.

use std::cell::RefCell;
use std::io;

use vouchsafe_capture::{CaptureError, LogPart, LogPiece, LogReader, LogRun, LogWindow};
use vouchsafe_format::fragment::{Header, Position};
use vouchsafe_model::Issue;

use super::error::LogError;
use super::read::Pass;
use super::stream::LogStream;

impl LogReader for LogStream {
    fn place(&self) -> String {
        format!("the log {} in {}", self.name(), LogStream::place(self))
    }

    fn window(&self) -> Result<LogWindow, CaptureError> {
        let window = LogStream::window(self).map_err(told)?;
        Ok(LogWindow {
            runs: window.runs,
            problems: window.problems.iter().map(issue).collect(),
            objects: window.objects,
            bytes: window.bytes,
        })
    }

    fn pieces(&self, run: &LogRun) -> Result<Vec<LogPiece>, CaptureError> {
        let pieces = RefCell::new(Vec::new());
        let note = |header: &Header| {
            pieces.borrow_mut().push(LogPiece {
                timeline: header.timeline,
                span: header.span,
                commits: header.commits,
            });
            Pass::Over
        };
        self.follow(run, &mut |_| Ok(()), &note).map_err(told)?;
        Ok(pieces.into_inner())
    }

    fn read(
        &self,
        run: &LogRun,
        from: Position,
        to: Position,
        take: &mut dyn FnMut(LogPart<'_>) -> io::Result<()>,
    ) -> Result<(), CaptureError> {
        LogStream::read(self, run, from, to, take).map_err(told)
    }
}

fn told(error: LogError) -> CaptureError {
    match error {
        LogError::Interrupted => CaptureError::Interrupted,
        error => CaptureError::vault(error),
    }
}

fn issue(error: &LogError) -> Issue {
    let (place, message) = match error {
        LogError::Damaged { object, source, .. } => (object.clone(), source.to_string()),
        other => ("log".to_owned(), other.to_string()),
    };
    Issue { place, message }
}
