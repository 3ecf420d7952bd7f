//! Following a database's log: a thread that looks, the spool that it fills, and the tail that is shipped.

use std::path::{Path, PathBuf};

use vouchsafe_capture::{CaptureContext, CaptureError, LogReached};
use vouchsafe_format::fragment::Position;
use vouchsafe_host::random::Random;

use super::spool::Spool;
use super::tail::Tail;
use super::watch::Watch;
use crate::log::{FollowLog, LogTick, ReadLog};

/// Follows the log of one database into a spool.
pub(super) struct SqliteFollower {
    database: PathBuf,
    spool: Spool,
    tail: Tail,
    watch: Watch,
}

impl SqliteFollower {
    pub(super) fn new(
        database: &Path,
        spool: Spool,
        reached: Option<LogReached>,
    ) -> Result<SqliteFollower, CaptureError> {
        let reached = reached.and_then(|reached| byte(reached.to));
        Ok(SqliteFollower {
            watch: Watch::begin(database, spool.clone(), reached)?,
            tail: Tail::at(reached),
            database: database.to_path_buf(),
            spool,
        })
    }
}

impl FollowLog for SqliteFollower {
    /// There is no server: a file is known by its path.
    fn server(&self) -> Option<String> {
        Some(self.database.display().to_string())
    }

    fn tick(&mut self, _ctx: &CaptureContext<'_>, _random: &dyn Random) -> LogTick {
        let mut tick = LogTick::default();
        tick.issues.extend(self.watch.problem());
        match self.tail.poll(&self.spool, &mut tick.steps) {
            Ok(gap) => tick.gap = gap,
            Err(error) => tick.issues.push(error.to_string()),
        }
        match self.spool.last() {
            Ok(last) => tick.flushed = last.map(|(_, end)| Position::Byte(end)),
            Err(error) => tick.issues.push(error.to_string()),
        }
        tick
    }

    fn reader(&self) -> Option<Box<dyn ReadLog>> {
        Some(Box::new(self.spool.clone()))
    }

    fn release(&self, reached: LogReached) -> Result<(), CaptureError> {
        match byte(reached.to) {
            Some(reached) => self.spool.release(reached),
            None => Ok(()),
        }
    }

    fn stop(&mut self) {
        self.watch.end();
    }
}

fn byte(position: Position) -> Option<u64> {
    match position {
        Position::Byte(at) => Some(at),
        _ => None,
    }
}
