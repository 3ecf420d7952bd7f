//! The transaction log of a server, whichever it is: who follows it, and what comes of that.

use std::path::Path;

use vouchsafe_capture::{CaptureContext, CaptureError, LogPiece, LogReached};
use vouchsafe_format::fragment::Position;
use vouchsafe_host::random::Random;
use vouchsafe_model::{LogGapCause, SecretRef, SourceKind, SourceUrl, Time};
use vouchsafe_translog::token::Token;
use vouchsafe_translog::wal::Lsn;

use crate::OpenSourceError;
use crate::mongodb::{self, MongoDbLog};
use crate::mysql::{self, MySqlLog};
use crate::postgres::PostgresLog;
use crate::sqlite::SqliteLog;

/// Which kind of log it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogKind {
    /// PostgreSQL's write-ahead log.
    Wal,
    /// The binary log of MariaDB and MySQL.
    Binlog,
    /// The write-ahead log of a SQLite database.
    Sqlite,
    /// The oplog of a MongoDB replica set.
    Oplog,
}

impl LogKind {
    /// That of the servers to which a source's URL leads.
    pub fn of(url: &SourceUrl) -> LogKind {
        match url.kind() {
            SourceKind::MySql => LogKind::Binlog,
            SourceKind::Sqlite => LogKind::Sqlite,
            SourceKind::MongoDb => LogKind::Oplog,
            _ => LogKind::Wal,
        }
    }

    /// The name of its stream in a vault.
    pub fn stream(self) -> &'static str {
        match self {
            LogKind::Wal => "wal",
            LogKind::Binlog => "binlog",
            LogKind::Sqlite => "sqlite-wal",
            LogKind::Oplog => "oplog",
        }
    }

    /// A position in it, as the server writes it.
    pub fn written(self, position: Position) -> String {
        match (self, position) {
            (LogKind::Wal, Position::Byte(lsn)) => Lsn(lsn).to_string(),
            (LogKind::Binlog, Position::File { file, offset }) => {
                mysql::binlog::written(file, offset)
            }
            (LogKind::Oplog, Position::Mark(mark)) => mongodb::written(mark),
            (_, other) => other.to_string(),
        }
    }

    /// Whether a log that goes up to `reached` holds everything before `target`.
    pub fn reaches(self, reached: Position, target: Position) -> bool {
        match self {
            LogKind::Wal | LogKind::Sqlite | LogKind::Oplog => reached >= target,
            LogKind::Binlog => mysql::binlog::reaches(reached, target),
        }
    }

    /// The position that a server has told of, as one that follows it counts: `seen` is what that has told of the same
    /// server.
    pub fn aligned(self, told: Position, seen: Position) -> Position {
        match self {
            LogKind::Wal | LogKind::Sqlite | LogKind::Oplog => told,
            LogKind::Binlog => mysql::binlog::aligned(told, seen),
        }
    }
}

/// The log of one server. Nothing is touched until it is asked for something.
pub trait ServerLog: Send + Sync {
    /// Up to where the server's log goes now.
    fn flushed(&self, ctx: &CaptureContext<'_>) -> Result<Position, CaptureError>;

    /// Begins to follow it. `reached` is how far it was shipped, `server` whose log that was, `names` those of the
    /// protection and of this installation, by which the server knows who follows.
    fn follow(
        &self,
        ctx: &CaptureContext<'_>,
        names: (&str, &str),
        server: Option<&str>,
        reached: Option<LogReached>,
    ) -> Result<Box<dyn FollowLog>, CaptureError>;
}

/// Follows the log of one server into a spool, and gives what is to be shipped of it. Nothing in it is lost by being
/// ended at any moment.
pub trait FollowLog: Send {
    /// The server's name for itself, once it is known.
    fn server(&self) -> Option<String>;

    /// Keeps the receiver going, commits a heartbeat, and reads what has come.
    fn tick(&mut self, ctx: &CaptureContext<'_>, random: &dyn Random) -> LogTick;

    /// Reads the log of pieces, also from other threads; nothing before anything was received.
    fn reader(&self) -> Option<Box<dyn ReadLog>>;

    /// Removes what every vault has from the spool.
    fn release(&self, reached: LogReached) -> Result<(), CaptureError>;

    /// Ends the receiver. What it has written stays in the spool.
    fn stop(&mut self);
}

/// Reads the log of pieces out of the spool.
pub trait ReadLog: Send + Sync {
    /// The log of a piece, as long as it was not released.
    fn read(&self, piece: &LogPiece) -> Result<Vec<u8>, CaptureError>;
}

/// What came of one look.
#[derive(Debug, Default)]
pub struct LogTick {
    /// What is to be shipped, in this order.
    pub steps: Vec<LogStep>,
    /// A part of the log that will never come. It lies before the steps of the next look.
    pub gap: Option<FoundGap>,
    /// What went wrong, each as a sentence; it is tried again.
    pub issues: Vec<String>,
    /// Up to where the server's log was on its disk, if the server could be asked.
    pub flushed: Option<Position>,
}

/// What is to be shipped next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogStep {
    /// The history of a timeline, before anything of it.
    History {
        /// Whose history it is.
        timeline: u32,
        /// The file, as the server wrote it.
        file: Vec<u8>,
    },
    /// A piece of the log.
    Log(LogCut),
}

/// A piece of the log that lies in the spool. It ends where a record ends, so that nothing is shipped that was not
/// verified whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogCut {
    /// Timeline, positions, commits.
    pub piece: LogPiece,
    /// The newest commit in everything up to its end, by the server's clock.
    pub newest_commit: Option<Time>,
    /// The last heartbeat token in everything up to its end.
    pub token: Option<Token>,
    /// Whether every record in it was verified. What is of a format that is not known here is shipped page by page.
    pub verified: bool,
}

/// A part of the log that will never come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundGap {
    /// Why.
    pub cause: LogGapCause,
    /// The timeline on which the log was cut before.
    pub timeline: u64,
    /// Up to where it was cut; nothing if there was none.
    pub from: Option<Position>,
    /// From where on it goes on; nothing if it does not.
    pub to: Option<Position>,
    /// What was said.
    pub detail: String,
}

/// The log of the server at `url`.
///
/// # Errors
/// What is of another kind has none, and a URL that names a database names no whole server.
pub fn open_log(
    url: &SourceUrl,
    password: Option<&SecretRef>,
    base: &Path,
) -> Result<Box<dyn ServerLog>, OpenSourceError> {
    match url.kind() {
        SourceKind::Postgres => Ok(Box::new(PostgresLog::open(url, password, base)?)),
        SourceKind::MySql => Ok(Box::new(MySqlLog::open(url, password, base)?)),
        SourceKind::Sqlite => Ok(Box::new(SqliteLog::open(url, base)?)),
        SourceKind::MongoDb => Ok(Box::new(MongoDbLog::open(url, password, base)?)),
        kind => Err(OpenSourceError::NotConnected {
            kind: kind.to_string(),
            source_url: url.to_string(),
        }),
    }
}

/// The refusal of a log of less than a server.
pub(crate) fn of_a_dump(url: &SourceUrl) -> OpenSourceError {
    OpenSourceError::Place {
        source_url: url.to_string(),
        message: "a log is that of a whole server, and a dump cannot be rolled forward".to_owned(),
        remedy: "leave the database out of the URL: a base backup of the server is what a log goes on from"
            .to_owned(),
    }
}
