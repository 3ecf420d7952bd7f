//! How a command ends: its exit code, and advice for what went wrong.

use std::process::ExitCode;

use vouchsafe_keeper::{Category, KeeperError};
use vouchsafe_mount::MountError;

/// The exit codes; a fixed contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, and everything judged is met.
    Met = 0,
    /// Done, and something judged is not met or unproven.
    NotMet = 1,
    /// Could not start: arguments, policy.
    CannotStart = 2,
    /// Incomplete: not everything could be read.
    Incomplete = 3,
    /// A vault has no repository.
    NoRepository = 10,
    /// Locked by somebody else.
    Locked = 11,
    /// Wrong key.
    WrongKey = 12,
    /// Interrupted.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

impl Exit {
    /// Met if `good`.
    pub(crate) fn judged(good: bool) -> Exit {
        if good { Exit::Met } else { Exit::NotMet }
    }

    /// What an error means for the exit code.
    pub(crate) fn of(error: &Failure) -> Exit {
        match error {
            Failure::Usage(_) => Exit::CannotStart,
            Failure::Output(_) => Exit::Incomplete,
            Failure::Mount(MountError::NoDirectory { .. } | MountError::Refused { .. }) => {
                Exit::CannotStart
            }
            Failure::Mount(_) => Exit::Incomplete,
            Failure::Keeper(error) => match error.category() {
                Category::CannotStart => Exit::CannotStart,
                Category::NoRepository => Exit::NoRepository,
                Category::Locked => Exit::Locked,
                Category::WrongKey => Exit::WrongKey,
                Category::Interrupted => Exit::Interrupted,
                Category::Failed => Exit::Incomplete,
            },
        }
    }
}

/// Why a command did not end well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The arguments or the policy cannot be used.
    #[error("{0}")]
    Usage(String),
    /// The output could not be written.
    #[error("cannot write the output: {0}")]
    Output(#[from] std::io::Error),
    /// A vault could not be mounted.
    #[error(transparent)]
    Mount(#[from] vouchsafe_mount::MountError),
    /// The deed failed.
    #[error(transparent)]
    Keeper(#[from] KeeperError),
}
