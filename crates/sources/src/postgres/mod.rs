//! The kind `postgres`: one database of a PostgreSQL server, dumped at one moment.

mod about;
mod address;
mod all;
mod base;
mod beside;
mod compare;
pub(crate) mod databases;
mod digest;
mod dump;
mod erase;
mod login;
mod programs;
mod replay;
mod restore;
mod server;
mod session;
mod spoil;
mod wal;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use vouchsafe_capture::{
    Beside, BesidePlan, BesideRequest, CaptureContext, CaptureError, Captured, Discovery, Erased,
    Erasing, FetchedLog, PointReader, ReplayError, RestoreRequest, Restored, Sink, Source, Spoiled,
    StreamContent,
};
use vouchsafe_format::NodeKind;
use vouchsafe_host::secret;
use vouchsafe_model::policy::Digests;
use vouchsafe_model::{DigestEntry, DigestManifest, Engine, Rung, Secret, SecretRef, SourceUrl};

use self::about::About;
use self::address::Address;
use self::dump::{Door, Dumped, Held};
use self::login::Login;
use self::server::{Server, Settings};
use self::session::Session;
use crate::OpenSourceError;
use crate::node::made as node;
use crate::spooled::Written;

pub use all::PostgresAllSource;
pub(crate) use all::names_all;
pub use base::{PostgresBaseSource, PostgresStandby, StandbyHeld};
pub use wal::{LogFollower, PostgresLog};

/// Whether a URL names a database; one that does not means the whole server.
pub(crate) fn names_database(url: &SourceUrl) -> bool {
    Address::parse(url.rest()).is_ok_and(|address| !address.database.is_empty())
}

/// A database: `postgres://user@host:5432/shop`; what else may stand in the URL is told in the guide to databases.
///
/// The point holds, in a directory `postgres`: `database.dump` (the custom format of `pg_dump`, not compressed; where
/// several processes dump it, a directory in its directory format),
/// `globals.sql` (roles and tablespaces of the whole server, by `pg_dumpall`) and `about.json` (version, locale and
/// the like, which a restore needs). Dump and manifest are of one snapshot, which our own connection exports; roles and
/// where sequences stand keep to no snapshot.
///
/// It is restored to a directory (these files), to a running server (`postgres://user@host/other`), or as a server of
/// its own in a new directory. The manifest's method is [`PostgresSource::METHOD`].
#[derive(Debug)]
pub struct PostgresSource {
    address: Address,
    password: Option<SecretRef>,
    /// A restored server that is read instead.
    copy: Option<PathBuf>,
    digests: Digests,
    /// Queries that a restored database must answer with true.
    checks: Vec<String>,
    /// How many processes dump it at once.
    dump_jobs: u32,
}

impl PostgresSource {
    /// The way in which digests are made.
    ///
    /// - `schema:KIND NAME`, for every object that is neither the system's nor an extension's: SHA-256 of its
    ///   definition as the catalogs tell it, without numbers that a restore gives anew. `grants:KIND NAME`: SHA-256 of
    ///   its owner and privileges, defaults written out. `grants:role NAME`: what a role may do, its settings and its
    ///   memberships, without its password.
    /// - `rows:TABLE`: the number of rows and the sum, modulo 2^256, of the SHA-256 of each row, so that the order does
    ///   not matter. A row is the line, with its end, that `COPY (SELECT …) TO STDOUT` writes for its stored columns, with
    ///   the settings that change how values are written fixed (time zone UTC, dates ISO, bytea hex, …).
    /// - `sequence:NAME`: the last value, whether it was handed out, and the step.
    /// - `large-objects`, if there are any: as for rows, over number, owner and SHA-256 of the content of each.
    ///
    /// Extensions' own objects, materialised views' rows and foreign tables' rows are not digested.
    pub const METHOD: &'static str = "postgres-rows/1";
    /// The same, but of the rows of a table all are counted, and only those are digested of which the server's
    /// `hashtextextended(row::text, 0)` is a multiple of 64.
    pub const SAMPLE: &'static str = "postgres-sample/1";
    /// The same without rows and large objects.
    pub const SCHEMA: &'static str = "postgres-schema/1";

    /// The database at `url`; with `copy`, the same database in the restored server there.
    pub fn open(
        url: &SourceUrl,
        password: Option<&SecretRef>,
        base: &Path,
        copy: Option<PathBuf>,
    ) -> Result<PostgresSource, OpenSourceError> {
        Ok(PostgresSource {
            address: Address::of_policy(url, base)?,
            password: password.cloned(),
            copy,
            digests: Digests::Full,
            checks: Vec::new(),
            dump_jobs: 1,
        })
    }

    /// The same, dumped by so many processes at once. With more than one the dump is a directory, and goes through the
    /// state directory, since such dumps cannot be streamed.
    #[must_use]
    pub fn dumped_by(mut self, jobs: u32) -> PostgresSource {
        self.dump_jobs = jobs.max(1);
        self
    }

    /// The same, but with fewer rows digested. A drill compares what the point has digests of, whatever is said here.
    #[must_use]
    pub fn digesting(mut self, digests: Digests) -> PostgresSource {
        self.digests = digests;
        self
    }

    /// The same, with queries that a restored database must answer with one true value each: the rung `checks`.
    #[must_use]
    pub fn checked_by(mut self, checks: &[String]) -> PostgresSource {
        self.checks = checks.to_vec();
        self
    }

    /// Hands on where the database is and what opens it.
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

    /// The database without secrets, for people.
    fn shown(&self) -> String {
        self.address.shown()
    }

    fn password(&self) -> Result<Option<Secret>, CaptureError> {
        let resolved = self.password.as_ref().map(secret::resolve).transpose();
        resolved.map_err(|error| {
            let shown = self.shown();
            let remedy = "see `password:` of this protection in the policy";
            session::unreadable(&shown, error.to_string(), remedy)
        })
    }

    /// The way into what is read: the server, or the restored copy.
    fn door(&self, ctx: &CaptureContext<'_>) -> Result<Door, CaptureError> {
        match &self.copy {
            None => {
                let login = Login::new(ctx, self.address.clone(), self.password()?)?;
                Ok(Door::Login(login))
            }
            Some(place) => Ok(Door::Own(Arc::new(serve(ctx, place)?.0))),
        }
    }

    fn session(&self, ctx: &CaptureContext<'_>, door: &Door) -> Result<Session, CaptureError> {
        match door {
            Door::Login(login) => login.session(),
            Door::Own(server) => server.login(ctx, &self.address.database)?.session(),
        }
    }
}

/// How often roles are dumped anew because they changed meanwhile.
const ATTEMPTS: usize = 5;

impl PostgresSource {
    /// The roles as SQL, and their digests. They keep to no snapshot: they are taken again until nothing changed
    /// between two looks.
    fn globals(
        &self,
        ctx: &CaptureContext<'_>,
        programs: &Path,
        door: &Door,
        about: &About,
    ) -> Result<(Written, BTreeMap<String, DigestEntry>), CaptureError> {
        let mut session = self.session(ctx, door)?;
        let mut before = digest::roles(&mut session)?;
        for _ in 0..ATTEMPTS {
            let database = &self.address.database;
            let sql = dump::globals(ctx, programs, door, database, about.role_passwords)?;
            let after = digest::roles(&mut session)?;
            if before == after {
                return Ok((Written::by_program(sql), after));
            }
            before = after;
        }
        Err(session::unreadable(
            &self.shown(),
            "its roles change all the time",
            "capture it when nobody makes or changes roles",
        ))
    }
}

/// Starts the restored server in `place`, and tells where its database came from.
fn serve(ctx: &CaptureContext<'_>, place: &Path) -> Result<(Server, About), CaptureError> {
    let shown = place.display().to_string();
    let json = vouchsafe_host::files::read(place.join(about::NAME), 1 << 20)
        .map_err(crate::failure::file)?;
    let about = About::parse(&shown, &json)?;
    let server = Server::start(ctx, about.major, place, &about.superuser, &Settings::Ours)?;
    Ok((server, about))
}

/// Begins a transaction that sees one moment, and gives the snapshot's name.
fn begin(session: &mut Session) -> Result<String, CaptureError> {
    session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
    session.text("SELECT pg_export_snapshot()")
}

fn engine(about: &About) -> Engine {
    Engine {
        name: "postgres".to_owned(),
        version: about.server_version.clone(),
    }
}

impl Source for PostgresSource {
    fn discover(&self, ctx: &CaptureContext<'_>) -> Result<Discovery, CaptureError> {
        let door = self.door(ctx)?;
        let mut session = self.session(ctx, &door)?;
        let about = About::ask(&mut session, &self.address.database)?;
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
        crate::failure::check_interrupt(ctx)?;
        let door = Arc::new(self.door(ctx)?);
        let session = Arc::new(Mutex::new(self.session(ctx, &door)?));
        let begun = ctx.clock.monotonic();
        let mut ours = session.lock().unwrap_or_else(PoisonError::into_inner);
        let content_time = ctx.clock.now();
        let snapshot = begin(&mut ours)?;
        let about = About::ask(&mut ours, &self.address.database)?;
        let programs = programs::for_dumping(ctx, about.major)?;
        let mut entries = digest::sequences(&mut ours)?;
        sink.enter(node(about::DIRECTORY, NodeKind::Dir, content_time))?;
        let file = |name| node(name, NodeKind::File, content_time);
        let held = Held {
            _session: Arc::clone(&session),
            door: Arc::clone(&door),
        };
        let dumped = Dumped {
            programs: &programs,
            database: &self.address.database,
            snapshot: &snapshot,
            moment: content_time,
        };
        dumped.push(ctx, sink, self.dump_jobs, held, &mut |stream| stream)?;
        let (globals, roles) = self.globals(ctx, &programs, &door, &about)?;
        let globals: Box<dyn StreamContent> = Box::new(globals);
        sink.stream(file(about::GLOBALS), globals)?;
        let json: Box<dyn StreamContent> = Box::new(Written::whole(about.to_json())?);
        sink.stream(file(about::NAME), json)?;
        let digesting = ctx.clock.monotonic();
        entries.extend(digest::digest(ctx, &mut ours, self.digests)?);
        let ended = ctx.clock.monotonic();
        let notes = vec![digest::cost(
            &entries,
            ended.saturating_sub(digesting),
            ended.saturating_sub(begun),
        )];
        entries.extend(roles);
        drop(ours);
        drop(session);
        door.close(ctx)?;
        sink.leave()?;
        Ok(Captured {
            content_time,
            manifest: Some(DigestManifest {
                method: digest::method(self.digests).to_owned(),
                taken_at: content_time,
                engine: Some(engine(&about)),
                entries,
            }),
            engine: Some(engine(&about)),
            notes,
            left_out: Vec::new(),
        })
    }

    fn restore(
        &self,
        ctx: &CaptureContext<'_>,
        point: &dyn PointReader,
        request: &RestoreRequest,
    ) -> Result<Restored, CaptureError> {
        restore::restore(ctx, self, point, request)
    }

    fn erases(&self, request: &RestoreRequest) -> bool {
        erase::answers(request)
    }

    /// In one transaction, in the server of its own or in the one that runs.
    fn erase(
        &self,
        ctx: &CaptureContext<'_>,
        restored: &Restored,
        request: &RestoreRequest,
        erasing: &Erasing<'_>,
    ) -> Result<Erased, CaptureError> {
        let place = restored.place.display().to_string();
        if let Some(rest) = erase::running(request) {
            let session = restore::login(ctx, self, rest)?.session()?;
            return erase::erase(ctx, erasing, &place, session);
        }
        let (server, about) = serve(ctx, &restored.place)?;
        let session = server.login(ctx, &about.database)?.session()?;
        let erased = erase::erase(ctx, erasing, &place, session)?;
        server.stop(ctx)?;
        Ok(erased)
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

    /// Into a new schema of a database that is in use: data, types of columns, defaults, constraints, indexes, and the
    /// sequences that the tables own.
    fn restore_beside(
        &self,
        ctx: &CaptureContext<'_>,
        point: &dyn PointReader,
        request: &BesideRequest,
        expected: Option<&DigestManifest>,
        _fetched: Option<FetchedLog>,
        scratch: &Path,
    ) -> Result<Beside, ReplayError> {
        let brought =
            self.with_own(|own| beside::from_dump(ctx, own, point, request, expected, scratch));
        Ok(brought?)
    }

    fn digest(
        &self,
        ctx: &CaptureContext<'_>,
        place: &Path,
    ) -> Result<Option<DigestManifest>, CaptureError> {
        let (server, about) = serve(ctx, place)?;
        let manifest = compare::manifest_of(ctx, &server, &about, self.digests)?;
        server.stop(ctx)?;
        Ok(Some(manifest))
    }

    /// The rungs `opens` (the restored server starts and has no broken index), `schema` (every object is defined as it
    /// was), `grants` (roles, owners and privileges), `sequences` (none stands further back), `content` (each table
    /// row by row, by digest) and, where there are any, `checks` (the policy's own queries).
    fn compare(
        &self,
        ctx: &CaptureContext<'_>,
        restored: &Restored,
        expected: Option<&DigestManifest>,
        _point: &dyn PointReader,
    ) -> Result<Vec<Rung>, CaptureError> {
        compare::compare(ctx, &restored.place, expected, &self.checks)
    }

    /// Changes one value of one row that no constraint and no index holds, so that only `content` sees it; where only a
    /// sample is digested it removes a row; if neither can be, it makes a table, which `schema` sees.
    fn spoil(
        &self,
        ctx: &CaptureContext<'_>,
        restored: &Restored,
    ) -> Result<Spoiled, CaptureError> {
        spoil::spoil(ctx, &restored.place, self.digests)
    }

    /// The same database of the same server, as a URL; no directory of this machine.
    fn owns(&self, place: &Path) -> bool {
        let rest = place.to_str().and_then(|p| p.strip_prefix("postgres:"));
        rest.and_then(|rest| Address::parse(rest).ok())
            .is_some_and(|address| address.same_database(&self.address))
    }
}
