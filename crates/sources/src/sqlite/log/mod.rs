//! The write-ahead log of a database, noted as it grows.

mod follower;
mod hold;
mod look;
mod scan;
mod spool;
mod tail;
mod watch;

use std::path::{Path, PathBuf};
use std::time::Duration;

use vouchsafe_capture::{CaptureContext, CaptureError, LogReached};
use vouchsafe_format::fragment::Position;
use vouchsafe_host::lockfile::{LockError, try_lock};
use vouchsafe_model::SourceUrl;
use vouchsafe_translog::sqlite::{Record, Salts};

use crate::log::{FollowLog, ServerLog};
use crate::{OpenSourceError, absolute, failure};
use follower::SqliteFollower;
use hold::Hold;
use look::Looker;
use spool::Spool;

pub(in crate::sqlite) use scan::read_at;

/// The write-ahead log of a database: `sqlite:/var/lib/shop.db`.
///
/// SQLite writes no times into it, and begins its file anew again and again. So it is looked at several times a second,
/// and each look that finds something is a record with its time, around the very bytes that SQLite wrote. Positions
/// count the bytes of records.
///
/// The database must be in WAL mode, and be writable: a read transaction is kept open, so that nobody begins the log
/// anew before it was read, and SQLite is asked to bring a long log into the database. No row and no setting changes.
#[derive(Clone, Debug)]
pub struct SqliteLog {
    database: PathBuf,
}

/// How long another one who is at it is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);
/// Below the work directory: the spool.
const SPOOL: &str = "sqlite-wal";

impl SqliteLog {
    /// The log of the database at `url`.
    pub fn open(url: &SourceUrl, base: &Path) -> Result<SqliteLog, OpenSourceError> {
        Ok(SqliteLog {
            database: absolute(url, base)?,
        })
    }
}

impl ServerLog for SqliteLog {
    fn flushed(&self, ctx: &CaptureContext<'_>) -> Result<Position, CaptureError> {
        let (_, end) = observe(ctx, &self.database)?;
        Ok(Position::Byte(end))
    }

    fn follow(
        &self,
        ctx: &CaptureContext<'_>,
        _names: (&str, &str),
        _server: Option<&str>,
        reached: Option<LogReached>,
    ) -> Result<Box<dyn FollowLog>, CaptureError> {
        let spool = spool_of(ctx)?;
        Ok(Box::new(SqliteFollower::new(
            &self.database,
            spool,
            reached,
        )?))
    }
}

/// A database's log just before a base is taken of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    /// Where the generation that the base begins in, or an older one, begins among the records.
    pub(super) generation: u64,
    /// Which generation that is.
    pub(super) salts: Salts,
}

/// Where a base that is about to be taken begins. Records from there on, replayed over it up to a moment after it, give
/// the state of that moment: what they hold of the time before, the base has as well.
pub(super) fn before(ctx: &CaptureContext<'_>, named: &Path) -> Result<Before, CaptureError> {
    let (record, _) = observe(ctx, named)?;
    Ok(Before {
        generation: record.generation,
        salts: record.salts,
    })
}

/// Which generation the log is of now, and up to where its transactions are whole; zeros where there is none.
pub(super) fn extent(named: &Path) -> Result<(Salts, u64), CaptureError> {
    let database = vouchsafe_host::files::canonicalize(named).map_err(failure::file)?;
    let log = super::connection::sibling(&database, "-wal");
    let failed = |e| CaptureError::io("read", log.display().to_string(), e);
    let Some((file, _)) = scan::open(&log)? else {
        return Ok((Salts::NONE, 0));
    };
    let Some(mut scan) = scan::Scan::begin(&file).map_err(failed)? else {
        return Ok((Salts::NONE, 0));
    };
    scan.read_on(&file, None).map_err(failed)?;
    Ok(match scan.committed() {
        Some(to) => (scan.salts(), to),
        None => (Salts::NONE, 0),
    })
}

/// Notes what there is of the log now, or has whoever follows it do so. The last record of it, and where it ends.
fn observe(ctx: &CaptureContext<'_>, named: &Path) -> Result<(Record, u64), CaptureError> {
    let spool = spool_of(ctx)?;
    let asked = ctx.clock.now();
    let begun = ctx.clock.monotonic();
    loop {
        match try_lock(spool.lock_path()) {
            Ok(_lock) => {
                let hold = Hold::open(named)?;
                let mut looker = Looker::resume(spool, None)?;
                looker.look(&hold, ctx.clock, true)?;
                let last = looker.last().copied();
                return last.map(|last| (last, looker.end())).ok_or_else(|| {
                    failure::unreadable(named, "its log was not noted", "try again")
                });
            }
            Err(LockError::Held { .. }) => {}
            Err(LockError::File(error)) => return Err(failure::file(error)),
        }
        if let Some((record, end)) = spool.last()?
            && asked <= record.begun
        {
            return Ok((record, end));
        }
        failure::check_interrupt(ctx)?;
        if ctx.clock.monotonic().saturating_sub(begun) > PATIENCE {
            return Err(failure::unreadable(
                named,
                "the worker that follows its log has not looked at it in time",
                "see what the worker says of it",
            ));
        }
        ctx.clock.sleep(PAUSE);
    }
}

fn spool_of(ctx: &CaptureContext<'_>) -> Result<Spool, CaptureError> {
    Spool::open(&ctx.work_dir.join(SPOOL))
}
