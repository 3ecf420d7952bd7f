//! The kind `sqlite`: one database file, copied while programs write to it.

mod beside;
mod compare;
mod connection;
mod copy;
mod digest;
mod erase;
mod log;
mod replay;
mod restore;
mod spoil;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use vouchsafe_capture::{
    Beside, BesidePlan, BesideRequest, CaptureContext, CaptureError, Captured, Compare, Discovery,
    Erased, Erasing, FetchedLog, Form, Log, LogChart, LogRun, MANIFEST_NAME, PointReader,
    ReplayError, ReplayPlan, RestoreRequest, Restored, Sink, Source, Spoiled, Until,
};
use vouchsafe_format::fragment::Position;
use vouchsafe_host::{files, inode};
use vouchsafe_model::{DigestEntry, DigestManifest, Engine, Issue, Rung, SourceUrl};

pub use self::log::SqliteLog;

use crate::spooled::FileStream;
use crate::{OpenSourceError, absolute, failure, node, place};

/// A SQLite database: `sqlite:/var/lib/shop.db`.
///
/// The point holds one file with the database's name: a copy by SQLite's online backup, consistent at one moment, with
/// everything that was committed, also if it was still in the write-ahead log. A database in WAL mode is copied from
/// one snapshot while writers go on; in the rollback modes the copy begins anew when somebody writes, and after a few
/// times holds writers back if the database is small, or fails.
///
/// The manifest's method is `sqlite-rows/1`: see [`SqliteSource::METHOD`].
#[derive(Debug)]
pub struct SqliteSource {
    /// The database as the policy names it.
    named: PathBuf,
    /// The database that is read: the same, or a copy.
    read: PathBuf,
    name: Vec<u8>,
    /// Queries that a restored database must answer with true.
    checks: Vec<String>,
    /// Whether its log is shipped.
    ships_log: bool,
}

impl SqliteSource {
    /// The way in which digests are made.
    ///
    /// - `schema`: SHA-256 over page size, text encoding, user version, application id, and type, name, table and SQL of
    ///   every object of the schema in that order; counts the objects.
    /// - `table:NAME`, for every table that has rows of its own (virtual tables have not, their shadow tables have):
    ///   the number of rows and the sum, modulo 2^256, of the SHA-256 of each row, so that the order does not matter.
    ///   A row is a byte that tells whether the table has row ids, the row id if so, and all columns but computed ones;
    ///   each value is a tag (0 null, 1 integer, 2 real, 3 text, 4 blob) and its 64-bit big-endian bits, or its length
    ///   as 64 bits and its bytes, text as UTF-8. So `1`, `'1'`, `1.0`, `NULL` and `X'31'` all differ.
    /// - `foreign-keys`: how many rows refer to nothing.
    /// - `position`, where the log is shipped, and not compared: from where on records of the log are replayed over it;
    ///   when it was whole, in microseconds since 1970; the salts of the log then, and up to which byte its transactions
    ///   were whole; the salts of the first record.
    pub const METHOD: &'static str = "sqlite-rows/1";

    /// The database at `url`, reading `copy` instead if there is one.
    pub fn open(
        url: &SourceUrl,
        base: &Path,
        copy: Option<PathBuf>,
    ) -> Result<SqliteSource, OpenSourceError> {
        let named = absolute(url, base)?;
        let refused = |message: &str, remedy: &str| OpenSourceError::Place {
            source_url: url.to_string(),
            message: message.to_owned(),
            remedy: remedy.to_owned(),
        };
        let name = named
            .file_name()
            .map(OsStr::as_bytes)
            .unwrap_or_default()
            .to_vec();
        if name.is_empty() {
            return Err(refused(
                "it is not a file",
                "write the path of the database file",
            ));
        }
        if name == MANIFEST_NAME.as_bytes() {
            return Err(refused(
                "this name is taken for the manifest",
                "give the database another name",
            ));
        }
        Ok(SqliteSource {
            read: copy.unwrap_or_else(|| named.clone()),
            named,
            name,
            checks: Vec::new(),
            ships_log: false,
        })
    }

    /// The same, with queries that a restored database must answer with one true value each: the rung `checks`.
    #[must_use]
    pub fn checked_by(mut self, checks: &[String]) -> SqliteSource {
        self.checks = checks.to_vec();
        self
    }

    /// The same, noting where in its log it lies, if that is shipped.
    #[must_use]
    pub fn logged(mut self, ships_log: bool) -> SqliteSource {
        self.ships_log = ships_log;
        self
    }

    /// Digests of the database at `place` and what could not be digested.
    fn manifest_of(
        &self,
        ctx: &CaptureContext<'_>,
        place: &Path,
    ) -> Result<(DigestManifest, Vec<Issue>), CaptureError> {
        let connection = connection::open_quiet(place)?;
        let digested = digest::digest(ctx, &connection, place)?;
        let manifest = DigestManifest {
            method: Self::METHOD.to_owned(),
            taken_at: ctx.clock.now(),
            engine: Some(engine()),
            entries: digested.entries,
        };
        Ok((manifest, digested.issues))
    }
}

impl Source for SqliteSource {
    fn discover(&self, _ctx: &CaptureContext<'_>) -> Result<Discovery, CaptureError> {
        drop(connection::open_source(&self.read)?);
        Ok(Discovery {
            paths: vec![self.named.display().to_string()],
            engine: Some(engine()),
        })
    }

    fn capture(
        &self,
        ctx: &CaptureContext<'_>,
        sink: &mut dyn Sink,
    ) -> Result<Captured, CaptureError> {
        let before = self.ships_log.then(|| log::before(ctx, &self.read));
        let copied = copy::copy(ctx, &self.read)?;
        let begun = ctx.clock.now();
        let lies = before.map(|before| {
            let (before, log) = (before?, log::extent(&self.read)?);
            Ok::<_, CaptureError>(replay::Base {
                from: before.generation,
                begun,
                log,
                salts: before.salts,
            })
        });
        ctx.progress.phase("digest", None, None);
        let connection = connection::open_quiet(&copied.path)?;
        for problem in compare::check(&connection, "quick_check", &self.read)? {
            sink.issue(Issue {
                place: self.named.display().to_string(),
                message: problem,
            });
        }
        drop(connection);
        let (mut manifest, issues) = self.manifest_of(ctx, &copied.path)?;
        manifest.taken_at = copied.content_time;
        issues.into_iter().for_each(|issue| sink.issue(issue));
        let mut notes = Vec::new();
        match lies {
            None => {}
            Some(Ok(base)) => {
                let (count, digest) = (None, base.text());
                let entry = DigestEntry { count, digest };
                manifest.entries.insert(replay::POSITION.to_owned(), entry);
            }
            // A point without its log is worth more than none.
            Some(Err(error)) => notes.push(format!("no log can be replayed over it: {error}")),
        }
        let node = self.described()?;
        let stream = FileStream::open(&copied.path, self.named.display().to_string())?;
        // The name goes now; the bytes go with the stream, whenever it is read.
        copied.dir.close().map_err(failure::file)?;
        sink.stream(node, Box::new(stream))?;
        Ok(Captured {
            content_time: copied.content_time,
            manifest: Some(manifest),
            engine: Some(engine()),
            notes,
            left_out: Vec::new(),
        })
    }

    /// Writes the database to `<to>`, or to `<to>/<name>` if `to` is a directory or ends in a slash.
    ///
    /// An existing database is replaced only by force, and what belongs to it (`-wal`, `-shm`, `-journal`) goes with it:
    /// a foreign log beside a restored database would be replayed into it.
    fn restore(
        &self,
        ctx: &CaptureContext<'_>,
        point: &dyn PointReader,
        request: &RestoreRequest,
    ) -> Result<Restored, CaptureError> {
        restore::restore(ctx, self, point, request, None)
    }

    fn replays(&self) -> bool {
        true
    }

    /// A database is a file, whatever it is asked to become.
    fn replays_as(&self, _form: Form) -> bool {
        true
    }

    fn log_needed_from(&self, manifest: &DigestManifest, _runs: &[LogRun]) -> Option<Position> {
        replay::needed_from(manifest)
    }

    fn plan_replay(
        &self,
        point: &dyn PointReader,
        chart: &LogChart,
        until: Until,
    ) -> Result<ReplayPlan, ReplayError> {
        replay::plan(point, chart, until)
    }

    fn fetch_log(
        &self,
        ctx: &CaptureContext<'_>,
        point: &dyn PointReader,
        log: &Log<'_>,
        until: Until,
        to: &Path,
    ) -> Result<FetchedLog, ReplayError> {
        replay::fetch(ctx, point, log, until, to)
    }

    fn replay(
        &self,
        ctx: &CaptureContext<'_>,
        point: &dyn PointReader,
        request: &RestoreRequest,
        fetched: FetchedLog,
        keep_log: bool,
    ) -> Result<Restored, ReplayError> {
        let place = fetched.place.clone();
        let restored = restore::restore(ctx, self, point, request, Some(fetched));
        if !keep_log || restored.is_err() {
            replay::forget(&place)?;
        }
        Ok(restored?)
    }

    fn erases(&self, _request: &RestoreRequest) -> bool {
        true
    }

    /// In one transaction, over which what is erased is overwritten in the file.
    fn erase(
        &self,
        ctx: &CaptureContext<'_>,
        restored: &Restored,
        _request: &RestoreRequest,
        erasing: &Erasing<'_>,
    ) -> Result<Erased, CaptureError> {
        erase::erase(ctx, &restored.place, erasing)
    }

    fn plan_beside(
        &self,
        _ctx: &CaptureContext<'_>,
        _point: &dyn PointReader,
        request: &BesideRequest,
        expected: Option<&DigestManifest>,
    ) -> Result<BesidePlan, CaptureError> {
        beside::plan(request, expected)
    }

    /// Into tables with other names of a database that is in use: data, definitions, indexes.
    fn restore_beside(
        &self,
        ctx: &CaptureContext<'_>,
        point: &dyn PointReader,
        request: &BesideRequest,
        expected: Option<&DigestManifest>,
        fetched: Option<FetchedLog>,
        scratch: &Path,
    ) -> Result<Beside, ReplayError> {
        let whole = RestoreRequest {
            to: scratch.to_path_buf(),
            include: None,
            force: false,
            compare: Compare::default(),
            form: Form::Server,
        };
        let restored = match fetched {
            Some(fetched) => self.replay(ctx, point, &whole, fetched, false)?,
            None => self.restore(ctx, point, &whole)?,
        };
        let brought = beside::from_copy(ctx, &restored.place, request, expected)?;
        Ok(Beside {
            replayed: restored.replayed,
            ..brought
        })
    }

    fn digest(
        &self,
        ctx: &CaptureContext<'_>,
        place: &Path,
    ) -> Result<Option<DigestManifest>, CaptureError> {
        let (manifest, issues) = self.manifest_of(ctx, place)?;
        match issues.into_iter().next() {
            None => Ok(Some(manifest)),
            Some(issue) => Err(failure::unreadable(
                place,
                format!("{}: {}", issue.place, issue.message),
                "restore another point",
            )),
        }
    }

    /// The rungs `opens` (SQLite's own full check), `schema`, `content` (each table row by row, by digest) and, where
    /// there are any, `checks` (the policy's own queries). After a replay `schema` and `content`, which are of the base,
    /// give way to `position` (each page is as the log left it at the moment), `moment` (what came next is not there)
    /// and `pages` (every other page is that of the base).
    fn compare(
        &self,
        ctx: &CaptureContext<'_>,
        restored: &Restored,
        expected: Option<&DigestManifest>,
        point: &dyn PointReader,
    ) -> Result<Vec<Rung>, CaptureError> {
        let mut rungs = match &restored.replayed {
            None => compare::compare(ctx, self, &restored.place, expected)?,
            Some(log) => compare::compare_replayed(ctx, self, (&restored.place, log), point)?,
        };
        if !self.checks.is_empty() {
            let place = &restored.place;
            let ask = |sql: &str| compare::answer(place, sql).map_err(|e| e.to_string());
            rungs.push(crate::checks::rung(&rungs, &self.checks, ask));
        }
        Ok(rungs)
    }

    /// Changes one value of one row of the table with the most rows, keeping every constraint, so that only `content`
    /// sees it. Without any row a row is inserted; without any table the user version changes, which `schema` sees.
    fn spoil(
        &self,
        _ctx: &CaptureContext<'_>,
        restored: &Restored,
    ) -> Result<Spoiled, CaptureError> {
        spoil::spoil(&restored.place)
    }

    /// The database itself, and any directory that it lies in.
    fn owns(&self, place: &Path) -> bool {
        place::overlap(&self.named, place)
    }
}

impl SqliteSource {
    /// The database's own metadata. It is read in full each time whatever its time says: writes to a write-ahead log
    /// leave the time of the database alone.
    fn described(&self) -> Result<vouchsafe_format::Node, CaptureError> {
        let seen = inode::lstat(files::canonicalize(&self.read).map_err(failure::file)?)
            .map_err(failure::file)?;
        let mut out = node::of_inode(&self.name, &seen);
        if let Ok(log) = inode::lstat(connection::sibling(&self.read, "-wal")) {
            let at = node::time(log.mtime.max(seen.mtime));
            (out.mtime, out.atime, out.ctime) = (at, at, at);
        }
        (out.inode, out.device_id, out.links) = (0, 0, 1);
        out.size = 0;
        Ok(out)
    }
}

/// SQLite, as the library says it.
fn engine() -> Engine {
    Engine {
        name: "sqlite".to_owned(),
        version: rusqlite::version().to_owned(),
    }
}
