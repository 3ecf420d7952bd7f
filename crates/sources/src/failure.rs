//! Errors of the machine as errors and issues of a capture.

use std::path::Path;

use vouchsafe_capture::{CaptureContext, CaptureError};
use vouchsafe_host::process::ProcessError;
use vouchsafe_host::{DestError, FileError};
use vouchsafe_model::Issue;

/// A failed operation on a path.
pub(crate) fn file(error: FileError) -> CaptureError {
    CaptureError::io(
        error.operation,
        error.path.display().to_string(),
        error.source,
    )
}

/// A failed operation below a restore's destination.
pub(crate) fn dest(error: DestError) -> CaptureError {
    match error {
        DestError::Failed {
            path,
            operation,
            source,
        } => CaptureError::io(operation, path.display().to_string(), source),
        refused => CaptureError::Target {
            place: "the destination".to_owned(),
            message: refused.to_string(),
        },
    }
}

/// Something that concerns one place only.
pub(crate) fn issue(place: impl Into<String>, error: &dyn std::error::Error) -> Issue {
    let mut message = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !message.contains(&text) {
            message.push_str(": ");
            message.push_str(&text);
        }
        next = cause.source();
    }
    Issue {
        place: place.into(),
        message,
    }
}

/// A source that cannot be read as it is.
pub(crate) fn unreadable(
    place: &Path,
    message: impl Into<String>,
    remedy: impl Into<String>,
) -> CaptureError {
    CaptureError::Unreadable {
        place: place.display().to_string(),
        message: message.into(),
        remedy: remedy.into(),
    }
}

/// A target that must not be written to.
pub(crate) fn target(place: &Path, message: impl Into<String>) -> CaptureError {
    CaptureError::Target {
        place: place.display().to_string(),
        message: message.into(),
    }
}

/// A program that did not do what it should.
pub(crate) fn program(name: &str, error: &ProcessError, remedy: &str) -> CaptureError {
    let message = match error {
        ProcessError::Spawn(error) => error.to_string(),
        ProcessError::Failed(error) if error.stderr_tail.is_empty() => error.status.to_string(),
        ProcessError::Failed(error) => format!("{}; it said: {}", error.status, error.stderr_tail),
    };
    CaptureError::Program {
        program: name.to_owned(),
        message,
        remedy: remedy.to_owned(),
    }
}

/// An error if the user asked to stop.
pub(crate) fn check_interrupt(ctx: &CaptureContext<'_>) -> Result<(), CaptureError> {
    if ctx.interrupt.requested() {
        return Err(CaptureError::Interrupted);
    }
    Ok(())
}
