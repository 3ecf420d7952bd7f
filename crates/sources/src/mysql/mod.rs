//! The kind `mysql`: one database of a MariaDB or MySQL server, dumped at one moment.

mod about;
mod accounts;
mod address;
mod base;
mod beside;
pub(crate) mod binlog;
mod compare;
pub(crate) mod databases;
mod digest;
mod dump;
mod erase;
mod login;
mod moment;
mod programs;
mod replay;
mod restore;
mod rights;
mod server;
mod session;
mod spoil;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use vouchsafe_capture::{
    Beside, BesidePlan, BesideRequest, CaptureContext, CaptureError, Captured, Compare, Discovery,
    Erased, Erasing, FetchedLog, Form, PointReader, ReplayError, RestoreRequest, Restored, Sink,
    Source, Spoiled, StreamContent,
};
use vouchsafe_format::NodeKind;
use vouchsafe_host::secret;
use vouchsafe_model::policy::Digests;
use vouchsafe_model::{DigestManifest, Engine, Rung, Secret, SecretRef, SourceUrl, Time};

use self::about::{About, Position};
use self::accounts::Accounts;
use self::address::Address;
use self::dump::{Definitions, Door, DumpStream};
use self::login::Login;
use self::moment::{Held, Way};
use self::rights::Rights;
use self::server::Server;
use self::session::Session;
use crate::OpenSourceError;
use crate::node::made as node;
use crate::spooled::{FileStream, Written};

pub use base::MySqlBaseSource;
pub use binlog::MySqlLog;

/// Whether a URL names a database; one that does not means the whole server.
pub(crate) fn names_database(url: &SourceUrl) -> bool {
    Address::parse(url.rest()).is_ok_and(|address| !address.database.is_empty())
}

/// A database: `mysql://user@host:3306/shop` or `mariadb://…`; what else may stand in the URL is told in the guide to
/// databases.
///
/// The point holds, in a directory `mysql`: `database.sql` (by `mariadb-dump` or `mysqldump`), `accounts.sql` (accounts,
/// roles and grants of the whole server, where the user may read them) and `about.json` (version, character set, the
/// position in the binary log). Rows of the dump and of the manifest are of one moment, for which writers are held
/// shortly; definitions are the same before and after the dump, or there is no point.
///
/// It is restored to a directory (these files), to a running server (`mysql://user@host/other`), or as a server of its
/// own in a new directory. The manifest's method is [`MySqlSource::METHOD`].
#[derive(Debug)]
pub struct MySqlSource {
    address: Address,
    password: Option<SecretRef>,
    /// A restored server that is read instead.
    copy: Option<PathBuf>,
    digests: Digests,
    /// Queries that a restored database must answer with true.
    checks: Vec<String>,
}

impl MySqlSource {
    /// The way in which digests are made. Values are written so: a byte 0 for null; otherwise a byte 1, the length as
    /// eight bytes, the lowest first, and the bytes as the server writes the value in its text protocol with the
    /// settings that change it fixed (time zone UTC, no SQL modes, text as it is stored).
    ///
    /// - `schema:KIND NAME`, for every object: SHA-256 of what `information_schema` says of it. `grants:KIND NAME`: of
    ///   its definer. `grants:account NAME`: of the statements that make an account or role and grant it what it may do.
    /// - `rows:TABLE`: the number of rows and the sum, modulo 2^256, of the SHA-256 of each row, so that the order does
    ///   not matter. A row is the values of the columns that are stored and not computed, in their order.
    /// - `sequence:NAME`: the next value that is not taken, and the step; `TABLE.AUTO_INCREMENT` for counters of tables.
    /// - `of-no-moment:TABLE`: the engine of a table without transactions, whose rows are not digested.
    ///
    /// The history of system-versioned tables is not digested.
    pub const METHOD: &'static str = "mysql-rows/1";
    /// The same, but of the rows of a table all are counted, and only those are digested of which the sum of the
    /// server's `CRC32` of each column (7 for null), times 1, 3, 5, …, is a multiple of 64; geometries are left out.
    pub const SAMPLE: &'static str = "mysql-sample/1";
    /// The same without rows.
    pub const SCHEMA: &'static str = "mysql-schema/1";

    /// The database at `url`; with `copy`, the same database in the restored server there.
    pub fn open(
        url: &SourceUrl,
        password: Option<&SecretRef>,
        base: &Path,
        copy: Option<PathBuf>,
    ) -> Result<MySqlSource, OpenSourceError> {
        Ok(MySqlSource {
            address: Address::of_policy(url, base)?,
            password: password.cloned(),
            copy,
            digests: Digests::Full,
            checks: Vec::new(),
        })
    }

    /// The same, but with fewer rows digested. A drill compares what the point has digests of, whatever is said here.
    #[must_use]
    pub fn digesting(mut self, digests: Digests) -> MySqlSource {
        self.digests = digests;
        self
    }

    /// The same, with queries that a restored database must answer with one true value each: the rung `checks`.
    #[must_use]
    pub fn checked_by(mut self, checks: &[String]) -> MySqlSource {
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
        password(&self.shown(), self.password.as_ref())
    }

    /// The way into what is read: the server, or the restored copy.
    fn door(&self, ctx: &CaptureContext<'_>) -> Result<Door, CaptureError> {
        match &self.copy {
            None => Login::new(ctx, self.address.clone(), self.password()?).map(Door::Login),
            Some(place) => Ok(Door::Own(Arc::new(serve(ctx, place)?.0))),
        }
    }
}

fn password(shown: &str, password: Option<&SecretRef>) -> Result<Option<Secret>, CaptureError> {
    let resolved = password.map(secret::resolve).transpose();
    resolved.map_err(|error| {
        let remedy = "see `password:` of this protection in the policy";
        session::unreadable(shown, error.to_string(), remedy)
    })
}

/// Starts the restored server in `place`, and tells where its database came from.
fn serve(ctx: &CaptureContext<'_>, place: &Path) -> Result<(Server, About), CaptureError> {
    let about = about_of(place)?;
    let server = Server::start(ctx, &about, place, &[])?;
    Ok((server, about))
}

fn about_of(place: &Path) -> Result<About, CaptureError> {
    let shown = place.display().to_string();
    let json = vouchsafe_host::files::read(place.join(about::NAME), 1 << 20)
        .map_err(crate::failure::file)?;
    About::parse(&shown, &json)
}

/// A point restored whole, as a server in a place that is not there yet.
fn whole(place: &Path) -> RestoreRequest {
    RestoreRequest {
        to: place.to_path_buf(),
        include: None,
        force: false,
        compare: Compare::default(),
        form: Form::Server,
    }
}

fn engine(about: &About) -> Engine {
    Engine {
        name: match about.product {
            programs::Product::MariaDb => "mariadb".to_owned(),
            programs::Product::MySql => "mysql".to_owned(),
        },
        version: about.server_version.clone(),
    }
}

/// A dump that has begun, and our own transaction of the same moment.
struct Begun {
    dump: DumpStream,
    session: Session,
    position: Option<Position>,
    moment: Time,
    since: std::time::Duration,
}

/// How often a moment is tried that turned out to be two.
const ATTEMPTS: usize = 5;

impl MySqlSource {
    /// Begins dump and transaction while writers are held.
    fn begin(
        &self,
        ctx: &CaptureContext<'_>,
        door: &Door,
        about: &About,
        way: Way,
    ) -> Result<Begun, CaptureError> {
        let mut apart = String::new();
        for _ in 0..ATTEMPTS {
            crate::failure::check_interrupt(ctx)?;
            let mut session = door.session(ctx)?;
            let held = Held::begin(door.session(ctx)?, way, &about.database)?;
            let (moment, since) = (ctx.clock.now(), ctx.clock.monotonic());
            moment::begin(&mut session)?;
            let position = moment::position(&mut session, about.product)?;
            let says_position = position.is_some();
            let dump = DumpStream::start(ctx, door, about, says_position)?;
            held.release()?;
            let begun = Begun {
                dump,
                session,
                position,
                moment,
                since,
            };
            match begun.apart(about) {
                None => return Ok(begun),
                Some(found) => apart = found,
            }
        }
        Err(session::unreadable(
            &self.shown(),
            format!("dump and digests are not of one moment: {apart}"),
            "see who writes past the locks that the guide to databases tells of",
        ))
    }

    /// A restored copy, dumped whole before its server is stopped: nobody else writes to it.
    fn capture_copy(
        &self,
        ctx: &CaptureContext<'_>,
        door: &Door,
        sink: &mut dyn Sink,
    ) -> Result<Captured, CaptureError> {
        let content_time = ctx.clock.now();
        let Some(place) = &self.copy else {
            return Err(session::unreadable(
                &self.shown(),
                "it is no copy",
                "run it again",
            ));
        };
        let about = about_of(place)?;
        let Door::Own(server) = door else {
            return Err(session::unreadable(
                &self.shown(),
                "it is no copy",
                "run it again",
            ));
        };
        let manifest = compare::manifest_of(ctx, server, &about, self.digests)?;
        let file = |name| node(name, NodeKind::File, content_time);
        sink.enter(node(about::DIRECTORY, NodeKind::Dir, content_time))?;
        let scratch = login::scratch(ctx, "dump-")?;
        let path = vouchsafe_host::files::canonicalize(scratch.path())
            .map_err(crate::failure::file)?
            .join(about::DUMP);
        dump::to_file(ctx, door, &about, &path)?;
        if about.accounts {
            let accounts = Accounts::read(&mut door.session(ctx)?, &self.shown(), &about)?;
            let sql = Written::whole(accounts.to_sql().into_bytes())?;
            sink.stream(file(about::ACCOUNTS), Box::new(sql))?;
        }
        door.close(ctx)?;
        let dump = FileStream::open(&path, about::DUMP.to_owned())?;
        sink.stream(file(about::DUMP), Box::new(dump))?;
        let json = Written::whole(about.to_json())?;
        sink.stream(file(about::NAME), Box::new(json))?;
        sink.leave()?;
        Ok(Captured {
            content_time,
            manifest: Some(DigestManifest {
                taken_at: content_time,
                ..manifest
            }),
            engine: Some(engine(&about)),
            notes: Vec::new(),
            left_out: Vec::new(),
        })
    }
}

impl Begun {
    /// What shows that the dump is of another moment, if something does.
    fn apart(&self, about: &About) -> Option<String> {
        let position = self.position.as_ref()?;
        if about.product != programs::Product::MariaDb {
            return None;
        }
        let (file, offset) = moment::of_dump(self.dump.beginning()).unwrap_or_default();
        (file != position.file || offset != position.offset).then(|| {
            format!(
                "ours is {} {}, that of the dump {file} {offset}",
                position.file, position.offset
            )
        })
    }
}

impl Source for MySqlSource {
    fn discover(&self, ctx: &CaptureContext<'_>) -> Result<Discovery, CaptureError> {
        let door = self.door(ctx)?;
        let mut session = door.session(ctx)?;
        let about = About::ask(&mut session, &self.shown(), &self.address.database)?;
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
        if self.copy.is_some() {
            return self.capture_copy(ctx, &door, sink);
        }
        let shown = self.shown();
        let mut asking = door.session(ctx)?;
        let mut about = About::ask(&mut asking, &shown, &self.address.database)?;
        let rights = Rights::ask(&mut asking)?;
        rights.demand_for_dump(&shown, &about)?;
        let mut notes = Vec::new();
        let accounts = if rights.read_accounts() {
            Some(Accounts::read(&mut asking, &shown, &about)?)
        } else {
            notes.push(
                "accounts and grants are not in the point: the user may not read the database mysql"
                    .to_owned(),
            );
            None
        };
        let mut entries = digest::stands(&mut asking, &about)?;
        let schema = digest::schema(&mut asking, &about)?;
        let tables = digest::tables(&mut asking, &about)?;
        let others = tables.iter().filter(|table| !table.is_of_one_moment());
        about.of_no_moment = others.map(|table| table.name.clone()).collect();
        about.of_no_moment.sort();
        if tables.iter().any(|table| table.is_versioned) {
            notes.push("the history of system-versioned tables is not in the dump".to_owned());
        }
        drop(asking);
        let way = Way::of(&about, &rights);
        let Begun {
            dump,
            mut session,
            position,
            moment,
            since,
        } = self.begin(ctx, &door, &about, way)?;
        about.accounts = accounts.is_some();
        about.position = position;
        about.held_by = Some(way.word().to_owned());
        let definitions = Definitions {
            login: Arc::clone(&door),
            about: about.clone(),
            shown,
            before: schema.clone(),
        };
        sink.enter(node(about::DIRECTORY, NodeKind::Dir, moment))?;
        let file = |name| node(name, NodeKind::File, moment);
        sink.stream(file(about::DUMP), Box::new(dump.holding(definitions)))?;
        if let Some(accounts) = &accounts {
            let sql = Written::whole(accounts.to_sql().into_bytes())?;
            sink.stream(file(about::ACCOUNTS), Box::new(sql))?;
            entries.extend(accounts.digests());
        }
        let json: Box<dyn StreamContent> = Box::new(Written::whole(about.to_json())?);
        sink.stream(file(about::NAME), json)?;
        let digesting = ctx.clock.monotonic();
        entries.extend(schema);
        entries.extend(digest::content(ctx, &mut session, &about, self.digests)?);
        let ended = ctx.clock.monotonic();
        notes.insert(
            0,
            digest::cost(
                &entries,
                ended.saturating_sub(digesting),
                ended.saturating_sub(since),
            ),
        );
        if !about.of_no_moment.is_empty() {
            notes.push(format!(
                "rows of tables without transactions are of no one moment and not compared: {}",
                about.of_no_moment.join(", ")
            ));
        }
        drop(session);
        sink.leave()?;
        Ok(Captured {
            content_time: moment,
            manifest: Some(DigestManifest {
                method: digest::method(self.digests).to_owned(),
                taken_at: moment,
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
        if let Some(rest) = restore::running(&request.to) {
            let login = restore::login(ctx, self, rest)?;
            let database = login.address.database.as_str();
            return erase::erase(ctx, erasing, &place, (login.session()?, database));
        }
        let (server, about) = serve(ctx, &restored.place)?;
        let session = server.session(ctx)?;
        let erased = erase::erase(ctx, erasing, &place, (session, &about.database))?;
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

    /// Into a new database of a server that is in use: data, types of columns, defaults, constraints and indexes.
    fn restore_beside(
        &self,
        ctx: &CaptureContext<'_>,
        point: &dyn PointReader,
        request: &BesideRequest,
        expected: Option<&DigestManifest>,
        _fetched: Option<FetchedLog>,
        scratch: &Path,
    ) -> Result<Beside, ReplayError> {
        let restored = self.restore(ctx, point, &whole(scratch))?;
        let (server, about) = serve(ctx, &restored.place)?;
        let served = (&server, &about);
        Ok(self.with_own(|own| beside::from_server(ctx, own, served, request, expected))?)
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

    /// The rungs `opens` (the restored server starts and finds every table sound), `schema` (every object is defined as
    /// it was), `grants` (accounts, grants and definers), `sequences` (no counter stands further back), `content` (each
    /// table row by row, by digest) and, where there are any, `checks` (the policy's own queries).
    fn compare(
        &self,
        ctx: &CaptureContext<'_>,
        restored: &Restored,
        expected: Option<&DigestManifest>,
        _point: &dyn PointReader,
    ) -> Result<Vec<Rung>, CaptureError> {
        compare::compare(ctx, &restored.place, expected, &self.checks)
    }

    /// Changes one value of one row that no key holds, so that only `content` sees it; where only a sample is digested
    /// it removes a row; if neither can be, it makes a table, which `schema` sees.
    fn spoil(
        &self,
        ctx: &CaptureContext<'_>,
        restored: &Restored,
    ) -> Result<Spoiled, CaptureError> {
        spoil::spoil(ctx, &restored.place, self.digests)
    }

    /// The same database of the same server, as a URL; no directory of this machine.
    fn owns(&self, place: &Path) -> bool {
        restore::running(place)
            .and_then(|rest| Address::parse(rest).ok())
            .is_some_and(|address| address.same_database(&self.address))
    }
}
