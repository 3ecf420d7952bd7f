//! A consistent copy of a database while others write to it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use vouchsafe_capture::{CaptureContext, CaptureError};
use vouchsafe_host::files::{self, PRIVATE_DIR, TempDir};
use vouchsafe_model::Time;

use super::connection;
use crate::failure;

/// A finished copy; it disappears with its directory.
pub(super) struct Copied {
    pub(super) dir: TempDir,
    pub(super) path: PathBuf,
    /// The moment whose state it holds.
    pub(super) content_time: Time,
}

/// Pages copied before the lock is given back: 4 MiB of usual databases.
const STEP: i32 = 1024;
/// How often a copy may begin anew before writers are held back.
const RESTARTS: u32 = 5;
/// Up to which size writers are held back; copying this takes a few seconds.
const SMALL: u64 = 1 << 30;
/// How long to wait for a lock.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(10);

/// Copies the database at `source` into the context's private directory.
pub(super) fn copy(ctx: &CaptureContext<'_>, source: &Path) -> Result<Copied, CaptureError> {
    files::create_dir_all(ctx.work_dir, PRIVATE_DIR).map_err(failure::file)?;
    let dir = files::scratch_dir_in(ctx.work_dir, "sqlite-").map_err(failure::file)?;
    let path = dir.path().join("copy");
    let from = connection::open_source(source)?;
    let failed = |e: rusqlite::Error| connection::error(source, &e);
    from.busy_timeout(Duration::ZERO).map_err(failed)?;
    let mut copying = Copying {
        ctx,
        source,
        from: &from,
        to: path.clone(),
        bytes: 0,
    };
    let content_time = copying.run()?;
    drop(from);
    Ok(Copied {
        dir,
        path,
        content_time,
    })
}

struct Copying<'a> {
    ctx: &'a CaptureContext<'a>,
    source: &'a Path,
    from: &'a Connection,
    to: PathBuf,
    bytes: u64,
}

/// How one attempt came out.
enum Attempt {
    Done(Time),
    /// Somebody wrote too often.
    Overtaken,
}

impl Copying<'_> {
    fn run(&mut self) -> Result<Time, CaptureError> {
        let mode: String = self.ask("PRAGMA journal_mode")?;
        let pages: i64 = self.ask("PRAGMA page_count")?;
        let page_size: i64 = self.ask("PRAGMA page_size")?;
        self.bytes = pages
            .unsigned_abs()
            .saturating_mul(page_size.unsigned_abs());
        self.ctx.progress.phase("copy", None, Some(self.bytes));
        let is_log = mode.eq_ignore_ascii_case("wal");
        if !is_log && let Attempt::Done(at) = self.attempt(false)? {
            return Ok(at);
        }
        if !is_log && self.bytes > SMALL {
            return Err(failure::unreadable(
                self.source,
                format!(
                    "it was written to again and again while it was copied, {RESTARTS} times from the beginning"
                ),
                "let its program use WAL mode (PRAGMA journal_mode = WAL), or capture at a quieter time",
            ));
        }
        match self.attempt(true)? {
            Attempt::Done(at) => Ok(at),
            Attempt::Overtaken => Err(failure::unreadable(
                self.source,
                "it was changed in spite of a lock",
                "see whether it lies on a network file system without locks; capture from a snapshot instead",
            )),
        }
    }

    /// One copy. With `hold`, a read transaction spans all of it: in WAL mode that is a snapshot beside which writers
    /// go on, otherwise writers wait.
    fn attempt(&mut self, hold: bool) -> Result<Attempt, CaptureError> {
        let mut content_time = self.ctx.clock.now();
        if hold {
            content_time = self.begin()?;
        }
        files::remove_file(&self.to).map_err(failure::file)?;
        let mut to = Connection::open(&self.to).map_err(|e| connection::error(&self.to, &e))?;
        // The copy is ours alone, is read back at once, and is made anew after a crash.
        to.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")
            .map_err(|e| connection::error(&self.to, &e))?;
        let backup = Backup::new(self.from, &mut to).map_err(|e| self.failed(&e))?;
        let (mut done, mut restarts) = (0, 0);
        let outcome = loop {
            failure::check_interrupt(self.ctx)?;
            let before = self.ctx.clock.now();
            let result = self.step(&backup)?;
            let progress = backup.progress();
            let now_done = progress.pagecount.saturating_sub(progress.remaining);
            if now_done <= done && done > 0 {
                restarts += 1;
                content_time = before;
            }
            done = now_done;
            if result == StepResult::Done {
                break Attempt::Done(content_time);
            }
            if restarts >= RESTARTS {
                break Attempt::Overtaken;
            }
            if !hold {
                self.ctx.clock.sleep(Duration::from_millis(1));
            }
        };
        drop(backup);
        if hold {
            self.from
                .execute_batch("ROLLBACK")
                .map_err(|e| self.failed(&e))?;
        }
        to.close()
            .map_err(|(_, e)| connection::error(&self.to, &e))?;
        Ok(outcome)
    }

    /// Begins a read transaction and gives the moment before it.
    fn begin(&self) -> Result<Time, CaptureError> {
        self.patiently(|| {
            let before = self.ctx.clock.now();
            let begun = self
                .from
                .execute_batch("BEGIN; SELECT count(*) FROM sqlite_master;");
            if begun.is_err() && !self.from.is_autocommit() {
                // What began without its lock must not stay open.
                let _ = self.from.execute_batch("ROLLBACK");
            }
            match begun {
                Ok(()) => Ok(Some(before)),
                Err(e) if connection::is_busy(&e) => Ok(None),
                Err(e) => Err(self.failed(&e)),
            }
        })
    }

    fn step(&self, backup: &Backup<'_, '_>) -> Result<StepResult, CaptureError> {
        self.patiently(|| match backup.step(STEP) {
            Ok(StepResult::Busy | StepResult::Locked) => Ok(None),
            Ok(result) => {
                self.ctx.progress.advance(0, self.step_bytes(backup));
                Ok(Some(result))
            }
            Err(e) => Err(self.failed(&e)),
        })
    }

    fn step_bytes(&self, backup: &Backup<'_, '_>) -> u64 {
        let pages = u64::try_from(backup.progress().pagecount)
            .unwrap_or(0)
            .max(1);
        (self.bytes / pages).saturating_mul(u64::from(STEP.unsigned_abs()).min(pages))
    }

    /// The one value that a statement gives.
    fn ask<T: rusqlite::types::FromSql>(&self, sql: &str) -> Result<T, CaptureError> {
        self.patiently(|| match self.from.query_row(sql, [], |row| row.get(0)) {
            Ok(value) => Ok(Some(value)),
            Err(e) if connection::is_busy(&e) => Ok(None),
            Err(e) => Err(self.failed(&e)),
        })
    }

    /// Tries until there is a result, for as long as it is worth waiting for a lock.
    fn patiently<T>(
        &self,
        mut attempt: impl FnMut() -> Result<Option<T>, CaptureError>,
    ) -> Result<T, CaptureError> {
        let started = self.ctx.clock.monotonic();
        loop {
            if let Some(result) = attempt()? {
                return Ok(result);
            }
            failure::check_interrupt(self.ctx)?;
            if self.ctx.clock.monotonic().saturating_sub(started) > PATIENCE {
                return Err(failure::unreadable(
                    self.source,
                    format!(
                        "another program kept it locked for {} seconds",
                        PATIENCE.as_secs()
                    ),
                    "capture when that program is done, or let it use WAL mode without an exclusive lock",
                ));
            }
            self.ctx.clock.sleep(PAUSE);
        }
    }

    fn failed(&self, error: &rusqlite::Error) -> CaptureError {
        connection::error(self.source, error)
    }
}
