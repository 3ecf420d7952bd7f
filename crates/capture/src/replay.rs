//! Bringing a restored point to a later moment by the log.

use std::fmt;
use std::path::PathBuf;

use vouchsafe_format::fragment::Position;
use vouchsafe_model::Time;

use crate::error::CaptureError;
use crate::logged::LoggedId;

/// How far a log is to be replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Everything that was committed up to and including this moment, by the database's own clock: up to the first
    /// transaction, in the order of the log, that was committed later.
    Time(Time),
    /// All that the log holds.
    End,
    /// Every record that ends at or before this position.
    Position(Position),
    /// Everything up to and including this transaction.
    Transaction(LoggedId),
}

/// What it would take to replay a log, as far as headers tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayPlan {
    /// The timeline at the end.
    pub timeline: u64,
    /// From where the point needs the log.
    pub from: Position,
    /// Up to where it would be read at most.
    pub to: Position,
    /// Bytes of log between.
    pub bytes: u64,
    /// The newest commit to which this point can be brought.
    pub newest: Option<Time>,
    /// From where to where, as the database writes it.
    pub shown: String,
}

/// A log that was fetched for one replay: every record of it was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedLog {
    /// What was asked for.
    pub until: Until,
    /// Where it lies, as the database wants it: below the directory that the restore goes to.
    pub place: PathBuf,
    /// Bytes that were read.
    pub bytes: u64,
    /// Where the replay has to stop.
    pub target: ReplayTarget,
    /// Transactions that were committed in it, each by its number and time: the last ones before the target, and the
    /// first ones after it.
    pub around: Around,
    /// The texts of the first heartbeat tokens behind the target, as far as was looked.
    pub tokens_beyond: Vec<Vec<u8>>,
    /// Transactions whose commit bears a time at or before the moment asked for, but which stand in the log after one
    /// that was committed later, as far as was looked: they are not part of what is restored.
    pub overtaken: u64,
}

/// Where a replay has to stop, exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayTarget {
    /// The timeline.
    pub timeline: u64,
    /// From where the log was read.
    pub from: Position,
    /// The last record to be replayed.
    pub record: Position,
    /// Where it ends: the position at which the replayed database stands.
    pub end: Position,
    /// The newest commit that is part of it.
    pub newest: Option<Time>,
    /// How many commits are part of it.
    pub commits: u64,
    /// The end, as the database writes it.
    pub shown: String,
}

/// Some transactions of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Around {
    /// The last ones that are part of what is restored.
    pub before: Vec<LoggedCommit>,
    /// The first ones that are not.
    pub after: Vec<LoggedCommit>,
}

/// A transaction that the log says was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedCommit {
    /// The transaction, as the log calls it.
    pub transaction: LoggedId,
    /// When it was committed.
    pub time: Time,
}

/// Why a point cannot be brought to a moment.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// This kind of source has no log that could be replayed.
    #[error("{place} has no log that could be replayed; restore one of its points")]
    NoLog {
        /// The source, redacted.
        place: String,
    },
    /// The log does not reach back to where the point needs it.
    #[error("{log} does not hold {from}, from where on this point needs it")]
    NotCovered {
        /// The log.
        log: String,
        /// From where it is needed.
        from: String,
    },
    /// The moment lies before the point itself is whole.
    #[error(
        "{until} lies before the end of the base, which is {base}; a base that ended earlier is needed"
    )]
    TooEarly {
        /// The moment.
        until: Until,
        /// The end of the base.
        base: String,
    },
    /// The moment lies beyond what can be reached from the point.
    #[error("{until} lies beyond {}, up to which {log} is known to be whole from this point on", newest.map_or_else(|| "its beginning".to_owned(), |t| t.to_string()))]
    TooLate {
        /// The moment.
        until: Until,
        /// The log.
        log: String,
        /// The newest commit that can be reached.
        newest: Option<Time>,
    },
    /// The log is not what it should be.
    #[error(
        "{log} cannot be replayed beyond {at}: {message}; use another copy of the vault, or an earlier moment"
    )]
    Broken {
        /// The log.
        log: String,
        /// Up to where it can.
        at: String,
        /// What is wrong.
        message: String,
    },
    /// Reading or writing failed.
    #[error(transparent)]
    Capture(#[from] CaptureError),
}

impl fmt::Display for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Until::Time(time) => time.fmt(f),
            Until::End => f.write_str("the end of the log"),
            Until::Position(position) => position.fmt(f),
            Until::Transaction(id) => write!(f, "transaction {id}"),
        }
    }
}
