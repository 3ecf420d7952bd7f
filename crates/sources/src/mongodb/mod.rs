//! The kind `mongodb`: one database of a MongoDB replica set, or all of them, read at one moment.

mod about;
mod accounts;
mod address;
mod archive;
mod beside;
mod catalog;
mod checks;
mod compare;
pub(crate) mod databases;
mod digest;
mod extjson;
mod load;
mod oplog;
mod replay;
mod restore;
mod server;
mod session;
mod spoil;
mod stream;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use mongodb::bson::Timestamp;
use vouchsafe_capture::{
    Beside, BesidePlan, BesideRequest, CaptureContext, CaptureError, Captured, Discovery,
    FetchedLog, Form, Log, LogChart, LogRun, PointReader, ReplayError, ReplayPlan, RestoreRequest,
    Restored, Sink, Source, Spoiled, Until,
};
use vouchsafe_format::NodeKind;
use vouchsafe_format::fragment::Position;
use vouchsafe_host::secret;
use vouchsafe_model::{DigestManifest, Rung, Secret, SecretRef, SourceUrl};

use self::about::About;
use self::accounts::Accounts;
use self::address::Address;
use self::catalog::Catalog;
use self::replay::Base;
use self::server::Server;
use self::session::{Session, unreadable};
use self::stream::{ArchiveStream, Entries, Whole};
use crate::OpenSourceError;
use crate::failure;
use crate::node::made as node;
use crate::spooled::Written;

pub use self::oplog::MongoDbLog;
pub(crate) use self::oplog::shown as written;

/// A database, or all of a server's: `mongodb://user@host:27017/shop`, `mongodb://user@host`; what else may stand in
/// the URL is told in the guide to databases.
///
/// The point holds, in a directory `mongodb`: `archive` (in the format of `mongodump --archive`, with users and roles
/// where the user may read them) and `about.json`. All documents are of one moment, which a replica set keeps for
/// whoever reads it; what is declared is the same before and after, or there is no point.
///
/// It is restored to a directory (these files), into a running server (`mongodb://user@host/other`), or as a server of
/// its own in a new directory, for which this machine must have `mongod`. A point of all databases is brought to a later
/// moment by the oplog, if that is shipped. The manifest's method is [`MongoDbSource::METHOD`].
#[derive(Debug)]
pub struct MongoDbSource {
    address: Address,
    password: Option<SecretRef>,
    /// A restored server that is read instead.
    copy: Option<PathBuf>,
    /// Queries that a restored database must answer with true.
    checks: Vec<String>,
    /// Whether the oplog is shipped.
    ships_log: bool,
}

/// The oldest major version that lets all documents be read at one moment.
const OLDEST: u32 = 5;

impl MongoDbSource {
    /// The way in which digests are made.
    ///
    /// - `schema:collection DB.NAME`, `schema:view DB.NAME`, `schema:index DB.NAME INDEX`: SHA-256 of the options or of
    ///   the index, as the server tells them, as a BSON document with its fields by name and every whole number as one
    ///   of 64 bits. The identifiers that a server gives to collections are left out.
    /// - `grants:user ID`, `grants:role ID`: SHA-256 of the document that the server keeps of it.
    /// - `documents:DB.NAME`: the number of documents and the sum, modulo 2^256, of the SHA-256 of each one's bytes, so
    ///   that the order does not matter.
    /// - `position`, where the oplog is shipped, and not compared: from where on entries are needed, which was the last
    ///   one at the moment of capture, both as `SECONDS:NUMBER`, and the SHA-256 of that one.
    pub const METHOD: &'static str = "mongodb-documents/1";

    /// The database at `url`; with `copy`, the same in the restored server there.
    pub fn open(
        url: &SourceUrl,
        password: Option<&SecretRef>,
        base: &Path,
        copy: Option<PathBuf>,
    ) -> Result<MongoDbSource, OpenSourceError> {
        Ok(MongoDbSource {
            address: Address::of_policy(url, base)?,
            password: password.cloned(),
            copy,
            checks: Vec::new(),
            ships_log: false,
        })
    }

    /// The same, noting where in the oplog it lies, if that is shipped.
    #[must_use]
    pub fn logged(mut self, ships_log: bool) -> MongoDbSource {
        self.ships_log = ships_log;
        self
    }

    /// The same, with queries that a restored database must answer with one true value each: the rung `checks`.
    #[must_use]
    pub fn checked_by(mut self, checks: &[String]) -> MongoDbSource {
        self.checks = checks.to_vec();
        self
    }

    /// The database without secrets, for people.
    fn shown(&self) -> String {
        self.address.shown()
    }

    fn password(&self) -> Result<Option<Secret>, CaptureError> {
        password(&self.shown(), self.password.as_ref())
    }

    /// The way into what is read: the server, or the restored copy.
    fn begin(&self, ctx: &CaptureContext<'_>) -> Result<Begun, CaptureError> {
        if let Some(place) = &self.copy {
            let (server, about) = serve(ctx, place)?;
            return Ok(Begun {
                session: server.session()?,
                server: Some(Arc::new(server)),
                about,
                moment: None,
            });
        }
        let shown = self.shown();
        let mut session = Session::open(&self.address, self.password()?.as_ref())?;
        let hello = session.hello()?;
        if hello.is_router {
            return Err(unreadable(
                &shown,
                "it stands before a sharded cluster, which this version does not capture",
                "name the replica set of one shard, or capture the cluster by another tool",
            ));
        }
        let (Some(replica_set), Some(moment)) = (hello.replica_set, hello.now) else {
            return Err(unreadable(
                &shown,
                "it is a standalone server, which cannot be read at one moment",
                "make it a replica set of one member: start it with --replSet rs0, and run rs.initiate() once",
            ));
        };
        let server_version = session.version()?;
        let major = server_version
            .split('.')
            .next()
            .and_then(|n| n.parse::<u32>().ok());
        if major.is_none_or(|major| major < OLDEST) {
            return Err(unreadable(
                &shown,
                format!("MongoDB {server_version} cannot be read at one moment"),
                format!("capture version {OLDEST}.0 or later"),
            ));
        }
        let about = About {
            database: self.address.database.clone(),
            server_version,
            replica_set,
            cluster_time: about::cluster_time(moment),
            tls: self.address.tls.word().to_owned(),
            accounts: false,
        };
        Ok(Begun {
            session,
            server: None,
            about,
            moment: Some(moment),
        })
    }
}

/// A way in, and the moment that is read, where the server keeps one.
struct Begun {
    session: Session,
    server: Option<Arc<Server>>,
    about: About,
    moment: Option<Timestamp>,
}

fn password(shown: &str, password: Option<&SecretRef>) -> Result<Option<Secret>, CaptureError> {
    let resolved = password.map(secret::resolve).transpose();
    resolved.map_err(|error| {
        let remedy = "see `password:` of this protection in the policy";
        unreadable(shown, error.to_string(), remedy)
    })
}

/// Starts the restored server in `place`, and tells where its data came from.
fn serve(ctx: &CaptureContext<'_>, place: &Path) -> Result<(Server, About), CaptureError> {
    let about = about_of(place)?;
    let server = Server::start(ctx, &about.server_version, place)?;
    Ok((server, about))
}

fn about_of(place: &Path) -> Result<About, CaptureError> {
    let shown = place.display().to_string();
    let json =
        vouchsafe_host::files::read(place.join(about::NAME), 1 << 20).map_err(failure::file)?;
    About::parse(&shown, &json)
}

/// Waits for the digests of a stream that somebody else reads; nothing if it will not end well.
fn wait(
    ctx: &CaptureContext<'_>,
    told: &Receiver<Entries>,
) -> Result<Option<Entries>, CaptureError> {
    loop {
        failure::check_interrupt(ctx)?;
        match told.recv_timeout(Duration::from_millis(100)) {
            Ok(entries) => return Ok(Some(entries)),
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

impl Source for MongoDbSource {
    fn discover(&self, ctx: &CaptureContext<'_>) -> Result<Discovery, CaptureError> {
        let begun = self.begin(ctx)?;
        Ok(Discovery {
            paths: vec![self.shown()],
            engine: Some(begun.about.engine()),
        })
    }

    fn capture(
        &self,
        ctx: &CaptureContext<'_>,
        sink: &mut dyn Sink,
    ) -> Result<Captured, CaptureError> {
        failure::check_interrupt(ctx)?;
        let content_time = ctx.clock.now();
        let Begun {
            mut session,
            server,
            mut about,
            moment,
        } = self.begin(ctx)?;
        let catalog = Catalog::read(&mut session, &about.database)?;
        if catalog.collections.is_empty() && !about.database.is_empty() && server.is_none() {
            return Err(unreadable(
                &self.shown(),
                "it has no collection in this database",
                "see that the database's name is right; one without collections is none",
            ));
        }
        let mut notes = Vec::new();
        let accounts = Accounts::read(&mut session, &about.database)?;
        // A copy has those that its point had.
        let accounts = accounts.filter(|_| server.is_none() || about.accounts);
        about.accounts = accounts.is_some();
        if accounts.is_none() {
            notes.push(
                "users and roles are not in the point: the user may not read them".to_owned(),
            );
        }
        // What is declared is the same before and after the moment: it is looked at once more in the end.
        let moment = match moment {
            Some(before) => session.hello()?.now.or(Some(before)),
            None => None,
        };
        let mut lies = None;
        match moment {
            Some(moment) => {
                about.cluster_time = about::cluster_time(moment);
                let mark = oplog::entry::mark(moment);
                lies = self.ships_log.then(|| Base::at(ctx, &mut session, mark));
                session.read_at(moment)?;
            }
            None => session.read_now(),
        }
        let lies = match lies {
            // A point without its log is worth more than none.
            Some(Err(error)) => {
                notes.push(format!("no log can be replayed over it: {error}"));
                None
            }
            Some(Ok(base)) => Some(base.entry()),
            None => None,
        };
        let engine = about.engine();
        let (tell, told) = channel();
        let whole = Whole {
            session,
            server,
            server_version: about.server_version.clone(),
            database: about.database.clone(),
            catalog,
            accounts,
        };
        let stream = ArchiveStream::new(whole, tell)?;
        let file = |name| node(name, NodeKind::File, content_time);
        sink.enter(node(about::DIRECTORY, NodeKind::Dir, content_time))?;
        sink.stream(
            file(about::NAME),
            Box::new(Written::whole(about.to_json())?),
        )?;
        sink.stream(file(about::ARCHIVE), Box::new(stream))?;
        let entries = wait(ctx, &told)?;
        // If the stream broke off, the sink says why.
        sink.leave()?;
        let mut entries = entries.ok_or_else(|| {
            unreadable(
                &self.shown(),
                "its documents were not read to the end",
                "run the capture again",
            )
        })?;
        entries.extend(lies.map(|lies| (replay::POSITION.to_owned(), lies)));
        Ok(Captured {
            content_time,
            manifest: Some(DigestManifest {
                method: MongoDbSource::METHOD.to_owned(),
                taken_at: content_time,
                engine: Some(engine.clone()),
                entries,
            }),
            engine: Some(engine),
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
        restore::restore(ctx, self, point, request, None)
    }

    /// The oplog is that of a whole server.
    fn replays(&self) -> bool {
        self.address.database.is_empty()
    }

    /// Files are an archive with the log beside it, which `mongorestore` replays.
    fn replays_as(&self, _form: Form) -> bool {
        self.replays()
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
        let is_files = request.form == Form::Files && restore::running(&request.to).is_none();
        let restored = restore::restore(ctx, self, point, request, Some(fetched));
        match (&restored, is_files) {
            (Ok(_), _) if keep_log => {}
            (Ok(_), true) => replay::keep_for_tools(&place)?,
            _ => replay::forget(&place)?,
        }
        Ok(restored?)
    }

    /// A server where this machine has `mongod` of the source's major version; otherwise the archive, of which all is
    /// compared that can be without a server.
    fn drills_as(&self, ctx: &CaptureContext<'_>, point: &dyn PointReader) -> Form {
        let shown = self.shown();
        let about = about::parts(point).and_then(|parts| parts.read_about(&shown, point));
        match about.and_then(|about| server::program(ctx, &about.server_version)) {
            Ok(_) => Form::Server,
            Err(_) => Form::Files,
        }
    }

    fn plan_beside(
        &self,
        _ctx: &CaptureContext<'_>,
        point: &dyn PointReader,
        request: &BesideRequest,
        expected: Option<&DigestManifest>,
    ) -> Result<BesidePlan, CaptureError> {
        beside::plan(self, point, request, expected)
    }

    /// Into a new database of a server that is in use: documents, options and indexes. Not from moments between points.
    fn restore_beside(
        &self,
        ctx: &CaptureContext<'_>,
        point: &dyn PointReader,
        request: &BesideRequest,
        expected: Option<&DigestManifest>,
        _fetched: Option<FetchedLog>,
        _scratch: &Path,
    ) -> Result<Beside, ReplayError> {
        Ok(beside::from_archive(ctx, self, point, request, expected)?)
    }

    fn replays_beside(&self) -> bool {
        false
    }

    fn digest(
        &self,
        ctx: &CaptureContext<'_>,
        place: &Path,
    ) -> Result<Option<DigestManifest>, CaptureError> {
        compare::of_place(ctx, place).map(Some)
    }

    /// Of a restored server: `opens` (it starts and tells its collections), `schema` (everything is declared as it
    /// was), `grants` (users and roles), `content` (each collection document by document, by digest) and, where there
    /// are any, `checks`. Of an archive: `archive` (it is whole, with every sum right), `schema`, `grants` and `content`
    /// of what it holds, and `opens`, which is skipped with the reason. After a replay `schema`, `grants` and `content`,
    /// which are of the base, give way to `position` (documents and their numbers are as the log left them), `moment`
    /// (what came next is not there), `tokens` (no heartbeat is missing) and `base` (the rest is that of the base).
    fn compare(
        &self,
        ctx: &CaptureContext<'_>,
        restored: &Restored,
        expected: Option<&DigestManifest>,
        point: &dyn PointReader,
    ) -> Result<Vec<Rung>, CaptureError> {
        compare::compare(ctx, restored, expected, &self.checks, point)
    }

    /// Removes a document, so that only `content` sees it; where there is none it adds one, and where there is no
    /// collection it makes one, which `schema` sees.
    fn spoil(
        &self,
        ctx: &CaptureContext<'_>,
        restored: &Restored,
    ) -> Result<Spoiled, CaptureError> {
        spoil::spoil(ctx, &restored.place)
    }

    /// The same database of the same server, as a URL; no directory of this machine.
    fn owns(&self, place: &Path) -> bool {
        restore::running(place)
            .and_then(|rest| Address::parse(rest).ok())
            .is_some_and(|address| address.overlaps(&self.address))
    }
}
