//! The whole of a server: every file of its data, copied while it runs, in the way of its product.

mod clone;
mod compare;
mod contents;
mod donor;
mod files;
mod maria;
mod restore;
mod spoil;
mod way;

use std::path::{Path, PathBuf};

use vouchsafe_capture::{
    Beside, BesidePlan, BesideRequest, CaptureContext, CaptureError, Captured, Discovery, Erased,
    Erasing, FetchedLog, Log, LogChart, LogRun, PointReader, ReplayError, ReplayPlan,
    RestoreRequest, Restored, Sink, Source, Spoiled, Until,
};
use vouchsafe_format::NodeKind;
use vouchsafe_format::fragment::Position;
use vouchsafe_model::{DigestManifest, Rung, SecretRef, SourceUrl, Time};

use self::files::Copy;
use self::way::{Entries, Origin, serve};
use super::about::{self, About};
use super::address::Address;
use super::login::{self, Login};
use super::session;
use super::{about_of, beside, engine, erase, replay};
use crate::OpenSourceError;
use crate::erasing::statements;
use crate::failure;
use crate::node::made as node;
use crate::spooled::{Written, pages_cut};

/// A whole server: `mysql://user@localhost?socket=/run/mysqld/mysqld.sock`, without a database. One of MariaDB must be on
/// this machine.
///
/// The point holds, in a directory `mysql`: `data`, as `mariadb-backup` or MySQL's plugin `clone` copied it, and
/// `about.json`. Files of pages are cut every so many bytes, so that the next base stores the pages that changed and
/// little more. It is restored to a directory (these files) or as a server of its own, for which it is made consistent:
/// by `mariadb-backup --prepare`, or by MySQL when it first opens the files. The manifest's method is
/// [`MySqlBaseSource::METHOD`] for MariaDB and [`MySqlBaseSource::CLONED`] for MySQL.
#[derive(Debug)]
pub struct MySqlBaseSource {
    address: Address,
    password: Option<SecretRef>,
    /// A restored server, stopped, that is read instead.
    copy: Option<PathBuf>,
    /// Queries that a restored server must answer with true.
    checks: Vec<String>,
}

/// The directory of the data in a point and in a restored server's place.
const DATA: &str = "data";

impl MySqlBaseSource {
    /// What is noted of a base of MariaDB:
    ///
    /// - `start` and `end`: the positions in InnoDB's log between which the files were copied;
    /// - `position`: file, offset and GTIDs of the binary log at the end of the copy, where the server writes one;
    /// - `tables`: how many files of table definitions there are, and SHA-256 of their sorted names.
    pub const METHOD: &'static str = "mysql-base/1";
    /// The way in which a restored server is digested where two of them are compared: accounts, and of every database
    /// the parts of [`super::MySqlSource::METHOD`], each with the database's name; not where counters stand, which
    /// transactions that were rolled back have moved, and no log tells of those.
    pub const CONTENTS: &'static str = "mysql-contents/1";
    /// What is noted of a base of MySQL, as the clone tells it when it is opened for the first time:
    ///
    /// - `gtids`: all transactions that are in it;
    /// - `position`: file and offset of the binary log at which the last of them ends, and the GTIDs once more, where the
    ///   server writes one;
    /// - `tables`: how many tables there are outside of the server's own databases, and SHA-256 of their sorted names.
    pub const CLONED: &'static str = "mysql-clone/1";

    /// The server at `url`; with `copy`, the restored server there.
    pub fn open(
        url: &SourceUrl,
        password: Option<&SecretRef>,
        base: &Path,
        copy: Option<PathBuf>,
    ) -> Result<MySqlBaseSource, OpenSourceError> {
        Ok(MySqlBaseSource {
            address: Address::of_policy(url, base)?,
            password: password.cloned(),
            copy,
            checks: Vec::new(),
        })
    }

    /// The same, with queries that a restored server must answer with one true value each: the rung `checks`.
    #[must_use]
    pub fn checked_by(mut self, checks: &[String]) -> MySqlBaseSource {
        self.checks = checks.to_vec();
        self
    }

    /// Hands on where the server is and what opens it.
    fn with_own<T>(
        &self,
        work: impl FnOnce(&beside::Own<'_>) -> Result<T, CaptureError>,
    ) -> Result<T, CaptureError> {
        work(&beside::Own {
            address: &self.address,
            shown: self.shown(),
            password: &|| super::password(&self.shown(), self.password.as_ref()),
        })
    }

    fn shown(&self) -> String {
        self.address.shown()
    }

    fn login(&self, ctx: &CaptureContext<'_>) -> Result<Login, CaptureError> {
        let password = super::password(&self.shown(), self.password.as_ref())?;
        Login::new(ctx, self.address.clone(), password)
    }

    /// Hands a copy to a sink; `note` says afterwards what is to be noted of it.
    fn hand_over(
        &self,
        ctx: &CaptureContext<'_>,
        sink: &mut dyn Sink,
        mut about: About,
        (data, moment): (&Path, Time),
        note: impl FnOnce(&mut About) -> Result<Entries, CaptureError>,
    ) -> Result<Captured, CaptureError> {
        let copy = Copy::look(data)?;
        sink.enter(node(about::DIRECTORY, NodeKind::Dir, moment))?;
        sink.enter(node(DATA, NodeKind::Dir, moment))?;
        copy.hand_over(ctx, sink, about.cut.unwrap_or(pages_cut(0)), moment)?;
        sink.leave()?;
        let entries = note(&mut about)?;
        let json = Written::whole(about.to_json())?;
        sink.stream(node(about::NAME, NodeKind::File, moment), Box::new(json))?;
        sink.leave()?;
        Ok(Captured {
            content_time: moment,
            manifest: Some(DigestManifest {
                method: way::of(about.product).method().to_owned(),
                taken_at: moment,
                engine: Some(engine(&about)),
                entries: entries
                    .into_iter()
                    .map(|(key, entry)| (key.to_owned(), entry))
                    .collect(),
            }),
            engine: Some(engine(&about)),
            notes: Vec::new(),
            left_out: Vec::new(),
        })
    }
}

impl Source for MySqlBaseSource {
    fn discover(&self, ctx: &CaptureContext<'_>) -> Result<Discovery, CaptureError> {
        let engine = match &self.copy {
            Some(place) => engine(&about_of(place)?),
            None => engine(&About::ask(
                &mut self.login(ctx)?.session()?,
                &self.shown(),
                "",
            )?),
        };
        Ok(Discovery {
            paths: vec![self.shown()],
            engine: Some(engine),
        })
    }

    fn capture(
        &self,
        ctx: &CaptureContext<'_>,
        sink: &mut dyn Sink,
    ) -> Result<Captured, CaptureError> {
        failure::check_interrupt(ctx)?;
        let shown = self.shown();
        if let Some(place) = &self.copy {
            // It is stopped, and what was damaged on purpose is captured as it is.
            let (about, data) = (about_of(place)?, super::server::data_directory(place));
            let way = way::of(about.product);
            let at = (data.as_path(), ctx.clock.now());
            return self.hand_over(ctx, sink, about, at, |about| {
                way.note_restored(about, &data)
            });
        }
        let login = self.login(ctx)?;
        let mut session = login.session()?;
        let mut about = About::ask(&mut session, &shown, "")?;
        let way = way::of(about.product);
        let from = Origin {
            address: &self.address,
            shown: shown.clone(),
            login: &login,
        };
        way.demand(&from, &mut session)?;
        let size: u64 = session.text(way.size())?.parse().unwrap_or_default();
        about.cut = Some(pages_cut(size));
        let scratch = login::scratch(ctx, "base-")?;
        let (free, _) = vouchsafe_host::files::free_space(scratch.path()).map_err(failure::file)?;
        if free < size {
            return Err(session::unreadable(
                &shown,
                format!(
                    "its copy needs about {size} bytes in {}, where {free} are free",
                    ctx.work_dir.display()
                ),
                "make room, or put the state directory where there is some",
            ));
        }
        let below = vouchsafe_host::files::canonicalize(scratch.path()).map_err(failure::file)?;
        ctx.progress.phase("copy the server", None, Some(size));
        let moment = ctx.clock.now();
        let data = way.copy(ctx, &from, &mut session, &mut about, &below)?;
        drop(session);
        let at = (data.as_path(), moment);
        self.hand_over(ctx, sink, about, at, |about| way.note(ctx, about, &data))
    }

    fn restore(
        &self,
        ctx: &CaptureContext<'_>,
        point: &dyn PointReader,
        request: &RestoreRequest,
    ) -> Result<Restored, CaptureError> {
        restore::restore(ctx, point, request)
    }

    fn replays(&self) -> bool {
        true
    }

    fn log_needed_from(&self, manifest: &DigestManifest, runs: &[LogRun]) -> Option<Position> {
        replay::needed_from(manifest, runs)
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
        Ok(restore::replay(ctx, point, request, fetched, keep_log)?)
    }

    fn plan_beside(
        &self,
        ctx: &CaptureContext<'_>,
        point: &dyn PointReader,
        request: &BesideRequest,
        expected: Option<&DigestManifest>,
    ) -> Result<BesidePlan, CaptureError> {
        self.with_own(|own| beside::plan(ctx, own, point, request, expected))
    }

    /// The whole server is restored, and brought to the moment if there is a log; the tables are taken from there, out of
    /// the database that the target names too unless another one is named.
    fn restore_beside(
        &self,
        ctx: &CaptureContext<'_>,
        point: &dyn PointReader,
        request: &BesideRequest,
        _expected: Option<&DigestManifest>,
        fetched: Option<FetchedLog>,
        scratch: &Path,
    ) -> Result<Beside, ReplayError> {
        let whole = super::whole(scratch);
        let restored = match fetched {
            Some(fetched) => self.replay(ctx, point, &whole, fetched, false)?,
            None => self.restore(ctx, point, &whole)?,
        };
        if let Some(issue) = restored.issues.first() {
            let message = format!("{}: {}", issue.place, issue.message);
            let remedy = "nothing was made in the target; restore another point";
            return Err(session::unreadable(&self.shown(), message, remedy).into());
        }
        let (server, about) = serve(ctx, &restored.place)?;
        let served = (&server, &about);
        let brought = self.with_own(|own| beside::from_server(ctx, own, served, request, None))?;
        Ok(Beside {
            replayed: restored.replayed,
            ..brought
        })
    }

    fn erases(&self, request: &RestoreRequest) -> bool {
        erase::answers(request)
    }

    /// In one transaction of the database that the rule names.
    fn erase(
        &self,
        ctx: &CaptureContext<'_>,
        restored: &Restored,
        _request: &RestoreRequest,
        erasing: &Erasing<'_>,
    ) -> Result<Erased, CaptureError> {
        let place = restored.place.display().to_string();
        let database = statements(erasing, &place)?.database.unwrap_or_default();
        let (server, _) = serve(ctx, &restored.place)?;
        let session = server.session(ctx)?;
        let erased = erase::erase(ctx, erasing, &place, (session, database))?;
        server.stop(ctx)?;
        Ok(erased)
    }

    /// Nothing can be digested anew: a server that was opened has changed its files.
    fn digest(
        &self,
        _ctx: &CaptureContext<'_>,
        _place: &Path,
    ) -> Result<Option<DigestManifest>, CaptureError> {
        Ok(None)
    }

    fn contents(
        &self,
        ctx: &CaptureContext<'_>,
        restored: &Restored,
    ) -> Result<Option<DigestManifest>, CaptureError> {
        contents::contents(ctx, &restored.place).map(Some)
    }

    fn alter(
        &self,
        ctx: &CaptureContext<'_>,
        restored: &Restored,
    ) -> Result<Spoiled, CaptureError> {
        contents::alter(ctx, &restored.place)
    }

    /// The rungs `opens` (the server starts, and every table opens), `position` (it has the tables of the source, at
    /// the end of the copy or beyond; after a replay: it stands exactly at the target), after a replay `moment` and
    /// `tokens`, `checksums` (every page has its own) and, where there are any, `checks` (the
    /// policy's own queries).
    fn compare(
        &self,
        ctx: &CaptureContext<'_>,
        restored: &Restored,
        expected: Option<&DigestManifest>,
        _point: &dyn PointReader,
    ) -> Result<Vec<Rung>, CaptureError> {
        compare::compare(ctx, restored, expected, &self.checks)
    }

    /// Changes one byte of one page of a table, which `checksums` sees.
    fn spoil(
        &self,
        _ctx: &CaptureContext<'_>,
        restored: &Restored,
    ) -> Result<Spoiled, CaptureError> {
        spoil::spoil(&restored.place)
    }

    fn owns(&self, place: &Path) -> bool {
        super::restore::running(place)
            .and_then(|rest| Address::parse(rest).ok())
            .is_some_and(|address| address.same_server(&self.address))
    }
}
