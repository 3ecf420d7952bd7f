//! How a program ended, and the proof that it ended well.

use std::fmt;
use std::io;
use std::time::Duration;

/// How a program ended, or why its end does not count as clean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitState {
    /// It ended by itself with this code; 0 means that it claims success.
    Exited(i32),
    /// A signal ended it.
    Signalled(i32),
    /// It ran longer than allowed and was killed.
    TimedOut {
        /// The time it was given.
        after: Duration,
    },
    /// It exited, but its output was not read to the end.
    StdoutUnread,
    /// It wrote more than was allowed.
    OutputTooLong {
        /// Bytes.
        limit: usize,
    },
    /// Its exit could not be observed.
    Lost,
}

impl fmt::Display for ExitState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exited with code {code}"),
            Self::Signalled(signal) => write!(f, "was ended by signal {signal}"),
            Self::TimedOut { after } => write!(f, "did not end within {} s", after.as_secs_f32()),
            Self::StdoutUnread => f.write_str("ended, but its output was not read to the end"),
            Self::OutputTooLong { limit } => write!(f, "wrote more than {limit} bytes"),
            Self::Lost => f.write_str("ended in a way that could not be observed"),
        }
    }
}

/// A program that did not end cleanly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{program} {status}{}", shown_tail(stderr_tail))]
pub struct ProcessFailed {
    /// The program's name.
    pub program: String,
    /// How it ended.
    pub status: ExitState,
    /// The end of what it wrote to standard error, without secrets.
    pub stderr_tail: String,
}

/// A program that could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// There is no such program.
    #[error("the program {program} is not installed or not on PATH")]
    NotFound {
        /// The program's name.
        program: String,
    },
    /// The operating system refused.
    #[error("cannot start {program}")]
    Failed {
        /// The program's name.
        program: String,
        /// What it said.
        #[source]
        source: io::Error,
    },
    /// The sandbox in which it should run has been destroyed.
    #[error("cannot start {program}: its sandbox is gone")]
    SandboxGone {
        /// The program's name.
        program: String,
    },
}

/// Either did not start or did not end cleanly.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// Did not start.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// Did not end cleanly.
    #[error(transparent)]
    Failed(#[from] ProcessFailed),
}

/// Proof that a program was waited for, exited with code 0, and that its output, if it was piped
/// or captured, was read to the end. Only [`super::Child::finish`] makes one.
#[derive(Debug, PartialEq, Eq)]
pub struct CleanExit {
    program: String,
}

impl CleanExit {
    pub(super) fn proven(program: String) -> Self {
        Self { program }
    }

    /// The program's name.
    pub fn program(&self) -> &str {
        &self.program
    }
}

/// What a cleanly ended program wrote.
#[derive(Debug)]
pub struct Output {
    /// Standard output, whole.
    pub stdout: Vec<u8>,
    /// The end of standard error, without secrets.
    pub stderr_tail: String,
    /// That it ended cleanly.
    pub exit: CleanExit,
}

impl Output {
    /// Standard output as text; other bytes become replacement characters.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

fn shown_tail(tail: &str) -> String {
    if tail.is_empty() {
        String::new()
    } else {
        format!("; it said: {tail}")
    }
}
