//! A whole PostgreSQL server, copied file by file while it runs.

mod checksums;
mod compare;
mod contents;
mod directory;
mod label;
mod manifest;
mod pages;
mod parts;
mod pieces;
mod restore;
mod spoil;
mod standby;

pub use standby::{PostgresStandby, StandbyHeld};
mod tree;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use vouchsafe_capture::{
    Beside, BesidePlan, BesideRequest, CaptureContext, CaptureError, Captured, Compare, Discovery,
    Erased, Erasing, FetchedLog, Form, Log, LogChart, LogRun, PointReader, ReplayError, ReplayPlan,
    RestoreRequest, Restored, Sink, Source, Spoiled, StreamContent, Until,
};
use vouchsafe_format::NodeKind;
use vouchsafe_format::fragment::Position;
use vouchsafe_host::process::{Command, Stdout};
use vouchsafe_host::secret;
use vouchsafe_model::{DigestEntry, DigestManifest, Rung, Secret, SecretRef, SourceUrl};

use self::directory::Base;
use self::label::Label;
use self::tree::{Found, Tree};
use super::about::About;
use super::address::Address;
use super::dump::Door;
use super::login::Login;
use super::server::{Server, Settings};
use super::session::Session;
use super::{about, beside, engine, erase, node, programs, replay, session};
use crate::erasing::statements;
use crate::spooled::{Written, pages_cut};
use crate::{OpenSourceError, failure};

/// All databases of a server, by a base backup: `postgres://user@host:5432`, without a database.
///
/// The point holds, in a directory `postgres`: `data` (the data directory as `pg_basebackup` gives it, with the log that
/// it takes to become consistent) and `about.json`. Files of pages are cut every so many bytes, so that the next base
/// stores only what changed, and every base can be restored alone. It is restored to a directory (these files) or as a
/// server of its own in a new directory. The manifest's method is [`PostgresBaseSource::METHOD`].
#[derive(Debug)]
pub struct PostgresBaseSource {
    address: Address,
    password: Option<SecretRef>,
    /// A restored server that is read instead.
    copy: Option<PathBuf>,
    /// Queries that a restored server must answer with true, in the database `postgres`.
    checks: Vec<String>,
    /// Where the server's files are read instead of being asked for.
    directory: Option<PathBuf>,
}

/// The directory of the data in a point.
pub(super) const DATA: &str = "data";
/// The database that every server has.
pub(super) const DATABASE: &str = "postgres";

const REMEDY: &str = "the user needs the attribute REPLICATION, a line `host replication` in pg_hba.conf, and a free place in max_wal_senders";

impl PostgresBaseSource {
    /// The way in which the manifest is made: `system` is the server's identifier, `start` and `end` are the timeline and
    /// the positions in its log between which the files were copied, `files` the SHA-256 that the server states for its
    /// own list of files, sizes and checksums (`backup_manifest`), `checksums` whether pages carry checksums.
    pub const METHOD: &'static str = "postgres-base/1";
    /// The way in which a restored server is digested where two of them are compared: the parts of
    /// [`super::PostgresAllSource::METHOD`] of every database that one can connect to, with what is set for each, and
    /// the rows of materialised views and of extensions' tables too; not what no log tells of (unlogged tables).
    pub const CONTENTS: &'static str = "postgres-contents/1";

    /// The server at `url`; with `copy`, the restored server there.
    pub fn open(
        url: &SourceUrl,
        password: Option<&SecretRef>,
        base: &Path,
        copy: Option<PathBuf>,
    ) -> Result<PostgresBaseSource, OpenSourceError> {
        let address = Address::of_policy(url, base)?;
        Ok(PostgresBaseSource {
            address: address.with_database(DATABASE),
            password: password.cloned(),
            copy,
            checks: Vec::new(),
            directory: None,
        })
    }

    /// The same, with the server's data directory as it is seen from here: its files are read from there, several at a
    /// time, while the server knows of it (`pg_backup_start`), instead of being asked for through `pg_basebackup`.
    #[must_use]
    pub fn reading_directory(mut self, directory: Option<&Path>) -> PostgresBaseSource {
        self.directory = directory.map(Path::to_path_buf);
        self
    }

    /// The same, with queries that a restored server must answer with one true value each: the rung `checks`.
    #[must_use]
    pub fn checked_by(mut self, checks: &[String]) -> PostgresBaseSource {
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
            password: &|| self.password(),
        })
    }

    fn shown(&self) -> String {
        format!("postgres://{}@{}", self.address.user, self.address.server())
    }

    fn password(&self) -> Result<Option<Secret>, CaptureError> {
        let resolved = self.password.as_ref().map(secret::resolve).transpose();
        resolved.map_err(|error| {
            let remedy = "see `password:` of this protection in the policy";
            session::unreadable(&self.shown(), error.to_string(), remedy)
        })
    }

    fn door(&self, ctx: &CaptureContext<'_>) -> Result<Door, CaptureError> {
        match &self.copy {
            None => Ok(Door::Login(Login::new(
                ctx,
                self.address.clone(),
                self.password()?,
            )?)),
            Some(place) => Ok(Door::Own(Arc::new(serve(ctx, place)?.0))),
        }
    }

    /// What `pg_basebackup` writes.
    fn through_the_server(
        &self,
        ctx: &CaptureContext<'_>,
        door: &Door,
        about: &About,
        cut: u32,
        sink: &mut dyn Sink,
    ) -> Result<Found, CaptureError> {
        let programs = programs::for_dumping(ctx, about.major)?;
        let command = Command::new(programs.join("pg_basebackup"))
            .args(["--pgdata=-", "--format=tar", "--wal-method=fetch"])
            .args(["--checkpoint=fast", "--manifest-checksums=CRC32C"])
            .args(["--label=vouchsafe", "--no-password"])
            .stdout(Stdout::Pipe);
        let command = match door {
            Door::Login(_) => command,
            // A copy that was damaged on purpose is captured as it is.
            Door::Own(_) => command.arg("--no-verify-checksums"),
        };
        let command = door.reach(command, DATABASE);
        let failed = |e: &_| programs::failed("pg_basebackup", e, REMEDY);
        let mut child = ctx.spawn.spawn(command).map_err(|e| failed(&e.into()))?;
        let reader = child.stdout_reader().ok_or_else(|| {
            session::unreadable(&self.shown(), "pg_basebackup gives nothing", "run it again")
        })?;
        let read = Tree::new(ctx, cut).read(reader, sink);
        // If the program failed, that is why the archive is cut off.
        let ended = child.finish().map_err(|e| failed(&e.into()));
        match (read, ended) {
            (Err(CaptureError::Interrupted), _) => Err(CaptureError::Interrupted),
            (_, Err(error)) => Err(error),
            (Err(error), Ok(_)) => Err(error),
            (Ok(found), Ok(_)) => Ok(found),
        }
    }

    fn session(&self, ctx: &CaptureContext<'_>, door: &Door) -> Result<Session, CaptureError> {
        match door {
            Door::Login(login) => login.session(),
            Door::Own(server) => server.login(ctx, DATABASE)?.session(),
        }
    }
}

/// Starts the restored server in `place`.
fn serve(ctx: &CaptureContext<'_>, place: &Path) -> Result<(Server, About), CaptureError> {
    let shown = place.display().to_string();
    let json =
        vouchsafe_host::files::read(place.join(about::NAME), 1 << 20).map_err(failure::file)?;
    let about = About::parse(&shown, &json)?;
    let server = Server::start(
        ctx,
        about.major,
        place,
        &about.superuser,
        &Settings::Brought,
    )?;
    Ok((server, about))
}

impl Source for PostgresBaseSource {
    fn discover(&self, ctx: &CaptureContext<'_>) -> Result<Discovery, CaptureError> {
        let door = self.door(ctx)?;
        let mut session = self.session(ctx, &door)?;
        let about = About::ask(&mut session, DATABASE)?;
        drop(session);
        door.close(ctx)?;
        Ok(Discovery {
            paths: vec![self.shown()],
            engine: Some(engine(&about)),
        })
    }

    fn capture(
        &self,
        ctx: &CaptureContext<'_>,
        sink: &mut dyn Sink,
    ) -> Result<Captured, CaptureError> {
        failure::check_interrupt(ctx)?;
        let door = self.door(ctx)?;
        let mut session = self.session(ctx, &door)?;
        let mut about = About::ask(&mut session, DATABASE)?;
        let size = session.text("SELECT coalesce(sum(pg_database_size(oid)), 0)::bigint::text FROM pg_database WHERE has_database_privilege(oid, 'CONNECT')")?;
        let cut = *about
            .cut
            .insert(pages_cut(size.parse().unwrap_or_default()));
        let content_time = ctx.clock.now();
        sink.enter(node(about::DIRECTORY, NodeKind::Dir, content_time))?;
        sink.enter(node(DATA, NodeKind::Dir, content_time))?;
        let found = match (&self.directory, &door) {
            (Some(root), Door::Login(_)) => {
                Base::new(ctx, &self.shown(), root, &about, cut, session).read(sink)?
            }
            _ => {
                drop(session);
                self.through_the_server(ctx, &door, &about, cut, sink)?
            }
        };
        door.close(ctx)?;
        sink.leave()?;
        let json: Box<dyn StreamContent> = Box::new(Written::whole(about.to_json())?);
        sink.stream(node(about::NAME, NodeKind::File, content_time), json)?;
        sink.leave()?;
        let label = Label::of(&self.shown(), &found)?;
        let entry = |digest: String| DigestEntry {
            count: None,
            digest,
        };
        let entries = [
            (
                "system",
                about.system_identifier.clone().unwrap_or_default(),
            ),
            ("start", label.start.clone()),
            ("end", label.end.clone()),
            ("files", label.files.clone()),
            ("checksums", about.checksums.to_string()),
        ];
        Ok(Captured {
            // What was committed when the files began to be copied is in it.
            content_time,
            manifest: Some(DigestManifest {
                method: Self::METHOD.to_owned(),
                taken_at: content_time,
                engine: Some(engine(&about)),
                entries: entries
                    .into_iter()
                    .map(|(key, text)| (key.to_owned(), entry(text)))
                    .collect(),
            }),
            engine: Some(engine(&about)),
            notes: Vec::new(),
            left_out: Vec::new(),
        })
    }

    fn restore(
        &self,
        ctx: &CaptureContext<'_>,
        point: &dyn PointReader,
        request: &RestoreRequest,
    ) -> Result<Restored, CaptureError> {
        restore::restore(ctx, &self.shown(), point, request)
    }

    fn replays(&self) -> bool {
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
        Ok(restore::replay(
            ctx,
            &self.shown(),
            point,
            request,
            fetched,
            keep_log,
        )?)
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
        if let Some(issue) = restored.issues.first() {
            let message = format!("{}: {}", issue.place, issue.message);
            let remedy = "nothing was made in the target; restore another point";
            return Err(session::unreadable(&self.shown(), message, remedy).into());
        }
        let served = serve(ctx, &restored.place)?;
        let brought = self.with_own(|own| beside::from_server(ctx, own, served, request))?;
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
        let database = statements(erasing, &place)?.database.unwrap_or(DATABASE);
        let (server, _) = serve(ctx, &restored.place)?;
        let session = server.login(ctx, database)?.session()?;
        let erased = erase::erase(ctx, erasing, &place, session)?;
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

    /// The rungs `opens` (the server starts and replays its log), `position` (it is the same server, at the end of the copy or beyond), `checksums` (every page
    /// has its own, where the server writes them) and, where there are any, `checks` (the policy's own queries).
    fn compare(
        &self,
        ctx: &CaptureContext<'_>,
        restored: &Restored,
        expected: Option<&DigestManifest>,
        _point: &dyn PointReader,
    ) -> Result<Vec<Rung>, CaptureError> {
        compare::compare(ctx, restored, expected, &self.checks)
    }

    /// Changes one byte of one page of a table, which `checksums` sees; where pages have none, one of the control file,
    /// which `opens` sees.
    fn spoil(
        &self,
        ctx: &CaptureContext<'_>,
        restored: &Restored,
    ) -> Result<Spoiled, CaptureError> {
        spoil::spoil(ctx, &restored.place)
    }

    fn owns(&self, place: &Path) -> bool {
        let rest = place.to_str().and_then(|p| p.strip_prefix("postgres:"));
        rest.and_then(|rest| Address::parse(rest).ok())
            .is_some_and(|address| address.same_server(&self.address))
    }
}
