//! Dumping one database by `pg_dump`, at the moment of a snapshot that our own connection holds.

use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use vouchsafe_capture::{CaptureContext, CaptureError, CleanEnd, StreamContent};
use vouchsafe_host::process::{Child, Command, Output, Stdout, StdoutReader, run_captured};

use super::login::Login;
use super::programs;
use super::server::Server;
use super::session::Session;

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

/// A running `pg_dump`, as a stream. It is whole only if the program ended well.
pub(super) struct DumpStream {
    reader: StdoutReader,
    child: Child,
    _held: Held,
}

/// Not compressed: the vault compresses, and what did not change since the last dump is stored once.
const WORDS: [&str; 5] = [
    "--format=custom",
    "--compress=0",
    "--no-password",
    "--encoding=UTF8",
    "--lock-wait-timeout=5min",
];

const REMEDY: &str =
    "see that the user may read every table: grant pg_read_all_data (PostgreSQL 14 and later)";
const GLOBALS: Duration = Duration::from_secs(300);

impl DumpStream {
    /// Starts the dump in the custom format.
    pub(super) fn start(
        ctx: &CaptureContext<'_>,
        programs: &Path,
        database: &str,
        snapshot: &str,
        held: Held,
    ) -> Result<DumpStream, CaptureError> {
        let command = Command::new(programs.join("pg_dump"))
            .args(WORDS)
            .arg(format!("--snapshot={snapshot}"))
            .stdout(Stdout::Pipe);
        let command = held.door.reach(command, database);
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

/// How long a restored copy may take to be dumped.
const COPY: Duration = Duration::from_secs(7 * 24 * 3600);

/// Dumps into a file, to the end: for a server of our own, which is stopped before anybody reads the dump.
pub(super) fn to_file(
    ctx: &CaptureContext<'_>,
    programs: &Path,
    database: &str,
    snapshot: &str,
    door: &Door,
    path: &Path,
) -> Result<(), CaptureError> {
    let command = Command::new(programs.join("pg_dump"))
        .args(WORDS)
        .arg(format!("--snapshot={snapshot}"))
        .arg(format!("--file={}", path.display()));
    run_captured(ctx.spawn, door.reach(command, database), COPY)
        .map(drop)
        .map_err(|e| programs::failed("pg_dump", &e, REMEDY))
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
