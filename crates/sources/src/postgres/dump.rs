//! Dumping one database by `pg_dump`, at the moment of a snapshot that our own connection holds.

use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use vouchsafe_capture::{CaptureContext, CaptureError, CleanEnd, Sink, StreamContent};
use vouchsafe_format::NodeKind;
use vouchsafe_host::files;
use vouchsafe_host::process::{Child, Command, Output, Stdout, StdoutReader, run_captured};
use vouchsafe_model::Time;

use super::login::{Login, scratch};
use super::server::Server;
use super::session::Session;
use super::{about, node, programs};
use crate::failure;
use crate::spooled::FileStream;

/// How a program is let in.
pub(super) enum Door {
    /// A server somewhere.
    Login(Login),
    /// A server of our own.
    Own(Arc<Server>),
}

impl Door {
    /// Stops a server of our own, so that it can be started again.
    pub(super) fn close(&self, ctx: &CaptureContext<'_>) -> Result<(), CaptureError> {
        match self {
            Door::Login(_) => Ok(()),
            Door::Own(server) => server.stop(ctx),
        }
    }

    pub(super) fn reach(&self, command: Command, database: &str) -> Command {
        match self {
            Door::Login(login) => login.reach(command).env("PGDATABASE", database),
            Door::Own(server) => server.reach(command, database),
        }
    }
}

/// What a dump needs for as long as it runs.
pub(super) struct Held {
    /// Holds the snapshot open.
    pub(super) _session: Arc<Mutex<Session>>,
    /// Holds the password file, or the server.
    pub(super) door: Arc<Door>,
}

/// A database as a snapshot shows it.
pub(super) struct Dumped<'a> {
    /// Where `pg_dump` lies.
    pub(super) programs: &'a Path,
    pub(super) database: &'a str,
    pub(super) snapshot: &'a str,
    pub(super) moment: Time,
}

impl Dumped<'_> {
    /// Pushes the dump: one file in the custom format; or, where several processes dump it, a directory, file by file,
    /// as `pg_dump --format=directory` makes it. Each stream goes through `wrapped` first.
    pub(super) fn push(
        &self,
        ctx: &CaptureContext<'_>,
        sink: &mut dyn Sink,
        jobs: u32,
        held: Held,
        wrapped: &mut dyn FnMut(Box<dyn StreamContent>) -> Box<dyn StreamContent>,
    ) -> Result<(), CaptureError> {
        let file = |name: &str| node(name, NodeKind::File, self.moment);
        if jobs == 1 && matches!(*held.door, Door::Login(_)) {
            let dump = DumpStream::start(ctx, self, held)?;
            return sink.stream(file(about::DUMP), wrapped(Box::new(dump)));
        }
        // A server of our own is stopped before anybody reads the dump.
        let scratch = scratch(ctx, "dump-")?;
        let place = files::canonicalize(scratch.path()).map_err(failure::file)?;
        let path = place.join(about::DUMP);
        self.write(ctx, jobs, &held.door, &path)?;
        if jobs == 1 {
            let dump = FileStream::open(&path, about::DUMP.to_owned())?;
            return sink.stream(file(about::DUMP), wrapped(Box::new(dump)));
        }
        sink.enter(node(about::DUMP, NodeKind::Dir, self.moment))?;
        let mut names = files::list_dir(&path).map_err(failure::file)?;
        names.sort_unstable();
        for name in names {
            failure::check_interrupt(ctx)?;
            let name = name.to_string_lossy();
            let part = FileStream::open(&path.join(&*name), format!("{}/{name}", about::DUMP))?;
            sink.stream(file(&name), wrapped(Box::new(part)))?;
        }
        sink.leave()
    }

    /// Dumps to the end: into a file, or by several processes into a directory.
    fn write(
        &self,
        ctx: &CaptureContext<'_>,
        jobs: u32,
        door: &Door,
        path: &Path,
    ) -> Result<(), CaptureError> {
        let mut command = self.command(if jobs == 1 { CUSTOM } else { DIRECTORY });
        if jobs > 1 {
            command = command.arg(format!("--jobs={jobs}"));
        }
        let command = command.arg(format!("--file={}", path.display()));
        run_captured(ctx.spawn, door.reach(command, self.database), LASTS)
            .map(drop)
            .map_err(|e| programs::failed("pg_dump", &e, WRITTEN))
    }

    fn command(&self, format: &str) -> Command {
        Command::new(self.programs.join("pg_dump"))
            .arg(format)
            .args(WORDS)
            .arg(format!("--snapshot={}", self.snapshot))
    }
}

/// A running `pg_dump`, as a stream. It is whole only if the program ended well.
struct DumpStream {
    reader: StdoutReader,
    child: Child,
    _held: Held,
}

/// Not compressed: the vault compresses, and what did not change since the last dump is stored once.
const WORDS: [&str; 4] = [
    "--compress=0",
    "--no-password",
    "--encoding=UTF8",
    "--lock-wait-timeout=5min",
];

const CUSTOM: &str = "--format=custom";
const DIRECTORY: &str = "--format=directory";
/// How long a dump may take that is written to disk first.
const LASTS: Duration = Duration::from_secs(7 * 24 * 3600);

const REMEDY: &str =
    "see that the user may read every table: grant pg_read_all_data (PostgreSQL 14 and later)";
const WRITTEN: &str = "see that the state directory has room for all rows, uncompressed, that the server has a connection for each of `dump_jobs` and one more, and that the user may read every table: grant pg_read_all_data (PostgreSQL 14 and later)";
const GLOBALS: Duration = Duration::from_secs(300);

impl DumpStream {
    /// Starts the dump in the custom format.
    fn start(
        ctx: &CaptureContext<'_>,
        dumped: &Dumped<'_>,
        held: Held,
    ) -> Result<DumpStream, CaptureError> {
        let command = dumped.command(CUSTOM).stdout(Stdout::Pipe);
        let command = held.door.reach(command, dumped.database);
        let started = ctx.spawn.spawn(command);
        let mut child = started.map_err(|e| programs::failed("pg_dump", &e.into(), REMEDY))?;
        let reader = child.stdout_reader().ok_or_else(|| CaptureError::Program {
            program: "pg_dump".to_owned(),
            message: "its output cannot be read".to_owned(),
            remedy: "run it again".to_owned(),
        })?;
        Ok(DumpStream {
            reader,
            child,
            _held: held,
        })
    }
}

impl StreamContent for DumpStream {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.reader.read(buf)
    }

    fn finish(self: Box<Self>) -> Result<CleanEnd, CaptureError> {
        let DumpStream { child, .. } = *self;
        match child.finish() {
            Ok(exit) => Ok(CleanEnd::of_program(&exit)),
            Err(failed) => Err(programs::failed("pg_dump", &failed.into(), REMEDY)),
        }
    }
}

/// Roles, their memberships and settings, and tablespaces, as SQL. Passwords are in it if the user may read them.
pub(super) fn globals(
    ctx: &CaptureContext<'_>,
    programs: &Path,
    door: &Door,
    database: &str,
    passwords: bool,
) -> Result<Output, CaptureError> {
    let mut command = Command::new(programs.join("pg_dumpall"))
        .args(["--globals-only", "--no-password"])
        .arg(format!("--database={database}"))
        .capture(256 << 20);
    if !passwords {
        command = command.arg("--no-role-passwords");
    }
    let command = door.reach(command, database);
    run_captured(ctx.spawn, command, GLOBALS)
        .map_err(|e| programs::failed("pg_dumpall", &e, "see that the user may read pg_roles"))
}
