//! Holding a database's log: while a read transaction of ours is open, nobody can begin the log anew unseen.
//!
//! SQLite writes over its log only when all of it is in the database and no reader needs it. A reader that began when
//! that was so reads the database alone, and keeps others from writing to it instead: so the file's time tells whether
//! what comes next follows on what was seen.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use vouchsafe_capture::CaptureError;
use vouchsafe_host::{files, inode};
use vouchsafe_translog::sqlite::Stamp;

use super::super::connection::{error, sibling};
use crate::failure;

/// Connections of ours to a database that others use.
pub(super) struct Hold {
    database: PathBuf,
    log: PathBuf,
    /// One of them holds a read transaction, the other one takes over.
    readers: [Connection; 2],
    holding: usize,
    /// Keeps others from writing for a moment, and changes nothing itself.
    writer: Connection,
    /// The database as it was when the transaction that is held had begun.
    stamp: Stamp,
}

/// How long a lock of others is waited for.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long those who write are waited for before the log is not emptied this time.
const TURN: Duration = Duration::from_millis(100);

impl Hold {
    /// Begins to hold it.
    ///
    /// # Errors
    /// It is not there, cannot be written to, or has no write-ahead log.
    pub(super) fn open(named: &Path) -> Result<Hold, CaptureError> {
        if !files::exists(named).map_err(failure::file)? {
            return Err(failure::unreadable(
                named,
                "there is no database at this path",
                "correct the path in the policy, or mount what should be there",
            ));
        }
        // SQLite puts the log beside the file itself, wherever links lead from.
        let database = files::canonicalize(named).map_err(failure::file)?;
        let failed = |e: rusqlite::Error| error(named, &e);
        let open = || {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(&database, flags)?;
            connection.busy_timeout(PATIENCE)?;
            // The log is to be there when it is gone on with.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            Ok(connection)
        };
        let writer = open().map_err(failed)?;
        let mode: String = writer
            .query_row("PRAGMA journal_mode", [], |row| row.get(0))
            .map_err(failed)?;
        if !mode.eq_ignore_ascii_case("wal") {
            return Err(failure::unreadable(
                named,
                format!("it has no write-ahead log: its journal mode is `{mode}`"),
                "set it once by `PRAGMA journal_mode = WAL`, if its programs agree, or leave `logs` out",
            ));
        }
        let readers = [open().map_err(failed)?, open().map_err(failed)?];
        let [first, _] = &readers;
        begin(first).map_err(failed)?;
        Ok(Hold {
            stamp: stamp(&database)?,
            log: sibling(&database, "-wal"),
            database,
            readers,
            holding: 0,
            writer,
        })
    }

    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// The database as it was when the transaction that is held had begun.
    pub(super) fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// The database as it is now.
    pub(super) fn stamp_now(&self) -> Result<Stamp, CaptureError> {
        stamp(&self.database)
    }

    /// Lets go of what `look` has seen: a newer transaction begins, then it is looked, and only then the older one ends.
    pub(super) fn renew(
        &mut self,
        look: &mut dyn FnMut(&Hold) -> Result<(), CaptureError>,
    ) -> Result<(), CaptureError> {
        let next = 1 - self.holding.min(1);
        self.on(next, begin)?;
        let begun = self.stamp_now().and_then(|stamp| {
            look(self)?;
            Ok(stamp)
        });
        match begun {
            Ok(stamp) => {
                self.on(self.holding, end)?;
                self.holding = next;
                self.stamp = stamp;
                Ok(())
            }
            Err(error) => {
                let _ = self.on(next, end);
                Err(error)
            }
        }
    }

    /// Has SQLite bring the log into the database, so that whoever writes next begins it anew. For the last part of
    /// that, those who write wait; if they do not let us, it is done another time.
    pub(super) fn empty(
        &mut self,
        look: &mut dyn FnMut(&Hold) -> Result<(), CaptureError>,
    ) -> Result<(), CaptureError> {
        self.renew(look)?;
        self.checkpoint()?;
        let failed = |e: rusqlite::Error| error(&self.database, &e);
        self.writer.busy_timeout(TURN).map_err(failed)?;
        if self.writer.execute_batch("BEGIN IMMEDIATE").is_err() {
            return Ok(());
        }
        let emptied = self.renew(look).and_then(|()| {
            self.checkpoint()?;
            self.renew(look)
        });
        let _ = self.writer.execute_batch("ROLLBACK");
        emptied
    }

    /// As far as readers allow it, by the connection that holds nothing.
    fn checkpoint(&self) -> Result<(), CaptureError> {
        self.on(1 - self.holding.min(1), |free| {
            free.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))
        })
    }

    fn on(
        &self,
        reader: usize,
        work: impl Fn(&Connection) -> rusqlite::Result<()>,
    ) -> Result<(), CaptureError> {
        let [first, second] = &self.readers;
        let connection = if reader == 0 { first } else { second };
        work(connection).map_err(|e| error(&self.database, &e))
    }
}

/// Begins a read transaction: only a first read does.
fn begin(connection: &Connection) -> rusqlite::Result<()> {
    let begun = connection.execute_batch("BEGIN; SELECT count(*) FROM sqlite_master");
    if begun.is_err() && !connection.is_autocommit() {
        // What began without its lock must not stay open.
        let _ = connection.execute_batch("ROLLBACK");
    }
    begun
}

fn end(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("ROLLBACK")
}

/// By which it shows whether a database was written to. The file is not opened: closing it would end SQLite's locks.
fn stamp(database: &Path) -> Result<Stamp, CaptureError> {
    let found = inode::lstat(database).map_err(failure::file)?;
    let modified = found.mtime;
    Ok(Stamp {
        file: found.ino,
        size: found.size,
        modified: modified
            .seconds
            .saturating_mul(1_000_000_000)
            .saturating_add(i64::from(modified.nanoseconds)),
    })
}
