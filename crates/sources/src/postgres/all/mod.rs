//! All databases of a PostgreSQL server, each dumped at a moment of its own, with the roles of the server once.

mod compare;
mod listed;
mod restore;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use vouchsafe_capture::{
    Beside, BesidePlan, BesideRequest, CaptureContext, CaptureError, Captured, CleanEnd, Discovery,
    FetchedLog, PointReader, ReplayError, RestoreRequest, Restored, Sink, Source, Spoiled,
    StreamContent,
};
use vouchsafe_format::NodeKind;
use vouchsafe_model::policy::Digests;
use vouchsafe_model::{DigestManifest, Rung, SecretRef, SourceUrl, Time};

pub(super) use self::listed::key_in;
use self::listed::{AllAbout, directory_of, manifest_in, parts_of};
use super::about::{self, About};
use super::address::Address;
use super::dump::{Door, Dumped, Held};
use super::server::{Server, Settings};
use super::session::Session;
use super::{PostgresSource, begin, beside, digest, engine, node, programs, session, spoil};
use crate::spooled::Written;
use crate::{OpenSourceError, failure};

/// What stands in a URL for all databases.
const ALL: &str = "*";

/// Whether a URL names all databases, each by a dump.
pub(crate) fn names_all(url: &SourceUrl) -> bool {
    Address::parse(url.rest()).is_ok_and(|address| means_all(&address))
}

/// Whether an address means all databases.
pub(super) fn means_all(address: &Address) -> bool {
    address.database == ALL
}

/// All databases of a server, each by a dump: `postgres://user@host:5432/*`.
///
/// The point holds, in a directory `postgres`: for each database that one can connect to and that is no template, a
/// directory with `database.dump`; `globals.sql`, once; and `about.json`. Each database is of a moment of its own: a
/// snapshot is that of one database. It is restored to a directory (these files), to a running server, each database
/// under its name (`postgres://user@host/*`), or as a server of its own. The manifest's method is
/// [`PostgresAllSource::METHOD`].
#[derive(Debug)]
pub struct PostgresAllSource {
    /// The server's own database.
    inner: PostgresSource,
}

impl PostgresAllSource {
    /// The parts of [`PostgresSource::METHOD`], with the database's name, quoted as SQL does, and a space before each
    /// part's own; roles as there, once.
    pub const METHOD: &'static str = "postgres-databases/1";
    /// The same of a sample, as in [`PostgresSource::SAMPLE`].
    pub const SAMPLE: &'static str = "postgres-databases-sample/1";
    /// The same without rows and large objects.
    pub const SCHEMA: &'static str = "postgres-databases-schema/1";

    /// The server at `url`; with `copy`, the restored server there.
    pub fn open(
        url: &SourceUrl,
        password: Option<&SecretRef>,
        base: &Path,
        copy: Option<PathBuf>,
    ) -> Result<PostgresAllSource, OpenSourceError> {
        let mut inner = PostgresSource::open(url, password, base, copy)?;
        inner.address = inner.address.with_database(super::base::DATABASE);
        Ok(PostgresAllSource { inner })
    }

    /// The same, but with fewer rows digested.
    #[must_use]
    pub fn digesting(mut self, digests: Digests) -> PostgresAllSource {
        self.inner = self.inner.digesting(digests);
        self
    }

    /// The same, each database dumped by so many processes at once.
    #[must_use]
    pub fn dumped_by(mut self, jobs: u32) -> PostgresAllSource {
        self.inner = self.inner.dumped_by(jobs);
        self
    }

    /// The same, with queries that a restored server must answer with one true value each, in the database `postgres`.
    #[must_use]
    pub fn checked_by(mut self, checks: &[String]) -> PostgresAllSource {
        self.inner = self.inner.checked_by(checks);
        self
    }

    fn shown(&self) -> String {
        self.inner.address.with_database(ALL).shown()
    }

    fn door(&self, ctx: &CaptureContext<'_>) -> Result<Door, CaptureError> {
        match &self.inner.copy {
            None => self.inner.door(ctx),
            Some(place) => Ok(Door::Own(Arc::new(serve(ctx, place)?.0))),
        }
    }
}

/// The manifest's method.
fn method(digests: Digests) -> &'static str {
    match digests {
        Digests::Full => PostgresAllSource::METHOD,
        Digests::Sample => PostgresAllSource::SAMPLE,
        Digests::None => PostgresAllSource::SCHEMA,
    }
}

/// What a manifest of this method digested; everything if it is not known.
fn of_method(method: &str) -> Digests {
    match method {
        PostgresAllSource::SAMPLE => Digests::Sample,
        PostgresAllSource::SCHEMA => Digests::None,
        _ => Digests::Full,
    }
}

/// Starts the restored server in `place`, and tells where its databases came from.
fn serve(ctx: &CaptureContext<'_>, place: &Path) -> Result<(Server, AllAbout), CaptureError> {
    let shown = place.display().to_string();
    let json =
        vouchsafe_host::files::read(place.join(about::NAME), 16 << 20).map_err(failure::file)?;
    let about = AllAbout::parse(&shown, &json)?;
    let from = &about.server;
    let server = Server::start(ctx, from.major, place, &from.superuser, &Settings::Ours)?;
    Ok((server, about))
}

/// Our own connection to a database behind a door.
fn session_to(
    ctx: &CaptureContext<'_>,
    door: &Door,
    database: &str,
) -> Result<Session, CaptureError> {
    match door {
        Door::Login(login) => login.session_to(database),
        Door::Own(server) => server.login(ctx, database)?.session(),
    }
}

/// The databases that are captured. One that the user may not read is no reason to capture the others only.
fn databases(shown: &str, session: &mut Session) -> Result<Vec<String>, CaptureError> {
    let rows = session.rows(
        "SELECT datname::text, has_database_privilege(oid, 'CONNECT')::text FROM pg_database \
         WHERE datallowconn AND NOT datistemplate ORDER BY 1",
    )?;
    let mut out = Vec::new();
    for row in rows {
        let mut row = row.into_iter().map(Option::unwrap_or_default);
        let (name, may) = (row.next().unwrap_or_default(), row.next());
        if may.as_deref() != Some("true") {
            let message = format!("the user may not connect to the database {name}");
            return Err(session::unreadable(
                shown,
                message,
                "grant it CONNECT, or capture databases one by one, by URLs that name them",
            ));
        }
        out.push(name);
    }
    Ok(out)
}

/// A stream that tells when it was read to its end, or given up.
struct Told {
    inner: Box<dyn StreamContent>,
    _told: Sender<()>,
}

impl StreamContent for Told {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.inner.read(buf)
    }

    fn finish(self: Box<Self>) -> Result<CleanEnd, CaptureError> {
        self.inner.finish()
    }
}

/// Waits for that: the next database's dump begins when this one is read, so that only one snapshot is open at a time.
fn wait(ctx: &CaptureContext<'_>, told: &Receiver<()>) -> Result<(), CaptureError> {
    loop {
        failure::check_interrupt(ctx)?;
        match told.recv_timeout(Duration::from_millis(100)) {
            Err(RecvTimeoutError::Timeout) => {}
            _ => return Ok(()),
        }
    }
}

/// What is known of the databases that were captured.
#[derive(Default)]
struct Taken {
    about: Vec<About>,
    entries: std::collections::BTreeMap<String, vouchsafe_model::DigestEntry>,
    notes: Vec<String>,
    first: Option<Time>,
}

impl PostgresAllSource {
    /// Captures one database into a directory of its own.
    fn take(
        &self,
        ctx: &CaptureContext<'_>,
        sink: &mut dyn Sink,
        door: &Arc<Door>,
        database: &str,
        taken: &mut Taken,
    ) -> Result<(), CaptureError> {
        let session = Arc::new(Mutex::new(session_to(ctx, door, database)?));
        let begun = ctx.clock.monotonic();
        let mut ours = session.lock().unwrap_or_else(PoisonError::into_inner);
        let moment = ctx.clock.now();
        taken.first.get_or_insert(moment);
        let snapshot = begin(&mut ours)?;
        let about = About::ask(&mut ours, database)?;
        let programs = programs::for_dumping(ctx, about.major)?;
        let mut entries = digest::sequences(&mut ours)?;
        sink.enter(node(&directory_of(database), NodeKind::Dir, moment))?;
        let (tell, told) = channel();
        let held = Held {
            _session: Arc::clone(&session),
            door: Arc::clone(door),
        };
        let dumped = Dumped {
            programs: &programs,
            database,
            snapshot: &snapshot,
            moment,
        };
        dumped.push(ctx, sink, self.inner.dump_jobs, held, &mut |inner| {
            let _told = tell.clone();
            Box::new(Told { inner, _told })
        })?;
        drop(tell);
        let digesting = ctx.clock.monotonic();
        entries.extend(digest::digest(ctx, &mut ours, self.inner.digests)?);
        let ended = ctx.clock.monotonic();
        let cost = digest::cost(
            &entries,
            ended.saturating_sub(digesting),
            ended.saturating_sub(begun),
        );
        taken.notes.push(format!("{database}: {cost}"));
        let named = |(key, entry): (String, _)| (key_in(database, &key), entry);
        taken.entries.extend(entries.into_iter().map(named));
        taken.about.push(about);
        drop(ours);
        wait(ctx, &told)?;
        drop(session);
        sink.leave()
    }

    /// The database that single tables are taken from: the one that they are named with, or that of the target.
    fn only_of(
        &self,
        point: &dyn PointReader,
        request: &BesideRequest,
    ) -> Result<(About, about::Parts), CaptureError> {
        let all = AllAbout::read(&self.shown(), point)?;
        let name = beside::database_of_request(request)?;
        let names: Vec<String> = all.databases.iter().map(|a| a.database.clone()).collect();
        match all
            .databases
            .into_iter()
            .find(|about| about.database == name)
        {
            Some(about) => {
                let parts = parts_of(point, &about.database)?;
                Ok((about, parts))
            }
            None => Err(CaptureError::Target {
                place: format!("`{name}`"),
                message: format!(
                    "the point has no such database; it has {}; write database.schema.table",
                    names.join(", ")
                ),
            }),
        }
    }
}

/// What the manifest of all says of one database.
fn expected_of(expected: Option<&DigestManifest>, about: &About) -> Option<DigestManifest> {
    let all = expected?;
    let method = digest::method(of_method(&all.method));
    Some(manifest_in(all, &about.database, method))
}

impl Source for PostgresAllSource {
    fn discover(&self, ctx: &CaptureContext<'_>) -> Result<Discovery, CaptureError> {
        let door = self.door(ctx)?;
        let mut session = session_to(ctx, &door, super::base::DATABASE)?;
        let about = About::ask(&mut session, super::base::DATABASE)?;
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
        let door = Arc::new(self.door(ctx)?);
        let begun = ctx.clock.now();
        let mut session = session_to(ctx, &door, super::base::DATABASE)?;
        let server = About::ask(&mut session, super::base::DATABASE)?;
        let before = databases(&self.shown(), &mut session)?;
        sink.enter(node(about::DIRECTORY, NodeKind::Dir, begun))?;
        let mut taken = Taken::default();
        for database in &before {
            failure::check_interrupt(ctx)?;
            self.take(ctx, sink, &door, database, &mut taken)?;
        }
        let programs = programs::for_dumping(ctx, server.major)?;
        let (globals, roles) = self.inner.globals(ctx, &programs, &door, &server)?;
        let file = |name| node(name, NodeKind::File, begun);
        let globals: Box<dyn StreamContent> = Box::new(globals);
        sink.stream(file(about::GLOBALS), globals)?;
        // One that was made meanwhile is for the next capture; one that is gone made its dump fail.
        let after = databases(&self.shown(), &mut session)?;
        let new = after.iter().filter(|name| !before.contains(name));
        let mut notes: Vec<String> = new
            .map(|name| format!("the database {name} was made meanwhile and is not in the point"))
            .collect();
        notes.extend(taken.notes);
        let all = AllAbout {
            server,
            databases: taken.about,
        };
        let json: Box<dyn StreamContent> = Box::new(Written::whole(all.to_json())?);
        sink.stream(file(about::NAME), json)?;
        let mut entries = taken.entries;
        entries.extend(roles);
        drop(session);
        door.close(ctx)?;
        sink.leave()?;
        let content_time = taken.first.unwrap_or(begun);
        Ok(Captured {
            content_time,
            manifest: Some(DigestManifest {
                method: method(self.inner.digests).to_owned(),
                taken_at: content_time,
                engine: Some(engine(&all.server)),
                entries,
            }),
            engine: Some(engine(&all.server)),
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

    fn plan_beside(
        &self,
        ctx: &CaptureContext<'_>,
        point: &dyn PointReader,
        request: &BesideRequest,
        expected: Option<&DigestManifest>,
    ) -> Result<BesidePlan, CaptureError> {
        let (about, parts) = self.only_of(point, request)?;
        let expected = expected_of(expected, &about);
        let from = (&about, &parts);
        self.inner
            .with_own(|own| beside::plan_of(ctx, own, from, request, expected.as_ref()))
    }

    fn restore_beside(
        &self,
        ctx: &CaptureContext<'_>,
        point: &dyn PointReader,
        request: &BesideRequest,
        expected: Option<&DigestManifest>,
        _fetched: Option<FetchedLog>,
        scratch: &Path,
    ) -> Result<Beside, ReplayError> {
        let (about, parts) = self.only_of(point, request)?;
        let expected = expected_of(expected, &about);
        let from = (&about, &parts);
        let brought = self.inner.with_own(|own| {
            beside::from_dump_of(ctx, own, (point, from), request, expected.as_ref(), scratch)
        });
        Ok(brought?)
    }

    fn digest(
        &self,
        ctx: &CaptureContext<'_>,
        place: &Path,
    ) -> Result<Option<DigestManifest>, CaptureError> {
        let (server, about) = serve(ctx, place)?;
        let manifest = compare::manifest_of(ctx, &server, &about, self.inner.digests)?;
        server.stop(ctx)?;
        Ok(Some(manifest))
    }

    /// The rungs of [`PostgresSource`], each over all databases.
    fn compare(
        &self,
        ctx: &CaptureContext<'_>,
        restored: &Restored,
        expected: Option<&DigestManifest>,
        _point: &dyn PointReader,
    ) -> Result<Vec<Rung>, CaptureError> {
        compare::compare(ctx, &restored.place, expected, &self.inner.checks)
    }

    /// What is done to one database alone, in the first one in which a row can be changed.
    fn spoil(
        &self,
        ctx: &CaptureContext<'_>,
        restored: &Restored,
    ) -> Result<Spoiled, CaptureError> {
        let (server, about) = serve(ctx, &restored.place)?;
        let mut spoiled = None;
        for database in about.databases.iter().rev() {
            let mut session = server.login(ctx, &database.database)?.session()?;
            spoiled = spoil::rows(&mut session, self.inner.digests)?;
            if spoiled.is_some() {
                break;
            }
        }
        let damage = match spoiled {
            Some(damage) => damage,
            None => {
                let mut session = server.login(ctx, super::base::DATABASE)?.session()?;
                spoil::definitions(&mut session)?
            }
        };
        server.stop(ctx)?;
        Ok(Spoiled { damage })
    }

    fn owns(&self, place: &Path) -> bool {
        let rest = place.to_str().and_then(|p| p.strip_prefix("postgres:"));
        rest.and_then(|rest| Address::parse(rest).ok())
            .is_some_and(|address| address.same_server(&self.inner.address))
    }
}
