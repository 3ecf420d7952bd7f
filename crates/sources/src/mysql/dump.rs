//! Dumping one database by the server's own program, at the moment that our own transaction sees too.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use vouchsafe_capture::{CaptureContext, CaptureError, CleanEnd, StreamContent};
use vouchsafe_host::process::{Child, Command, Stdout, StdoutReader, run_captured};
use vouchsafe_model::DigestEntry;

use super::about::About;
use super::digest;
use super::login::Login;
use super::programs::{self, Kind, Product};
use super::server::Server;
use super::session::{Session, unreadable};
use crate::failure;

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

    /// One of the server's programs, set up to connect.
    pub(super) fn program(
        &self,
        ctx: &CaptureContext<'_>,
        program: &Path,
        product: Product,
    ) -> Result<Command, CaptureError> {
        match self {
            Door::Login(login) => Ok(login.program(program, product)),
            Door::Own(server) => server.program(ctx, program, product),
        }
    }

    /// Our own connection.
    pub(super) fn session(&self, ctx: &CaptureContext<'_>) -> Result<Session, CaptureError> {
        match self {
            Door::Login(login) => login.session(),
            Door::Own(server) => server.session(ctx),
        }
    }
}

/// What must still be so when the dump has ended: definitions keep to no snapshot.
pub(super) struct Definitions {
    pub(super) login: Arc<Door>,
    pub(super) about: About,
    pub(super) shown: String,
    pub(super) before: BTreeMap<String, DigestEntry>,
}

/// A running dump, as a stream. It is whole only if the program ended well and no definition changed meanwhile.
pub(super) struct DumpStream {
    beginning: std::io::Cursor<Vec<u8>>,
    rest: StdoutReader,
    child: Child,
    definitions: Option<Definitions>,
}

/// Rows are read in one transaction, and nothing is locked. Bytes that are no text are written as digits; the date of
/// the dump is left out, so that equal data has equal dumps.
const WORDS: [&str; 11] = [
    "--single-transaction",
    "--quick",
    "--skip-lock-tables",
    // A table that was locked could not draw its defaults from a sequence that was not.
    "--skip-add-locks",
    "--routines",
    "--events",
    "--triggers",
    "--hex-blob",
    "--skip-dump-date",
    "--default-character-set=utf8mb4",
    "--max-allowed-packet=1073741824",
];

/// What MySQL's program does beside that by itself.
const WORDS_MYSQL: [&str; 3] = [
    "--no-tablespaces",
    "--set-gtid-purged=OFF",
    "--column-statistics=0",
];

const REMEDY: &str = "see what it said; rights are listed in the guide to databases";

/// How long it may take until the dump has begun its transaction: writers wait for it.
const BEGINNING: Duration = Duration::from_secs(60);

/// What a dump writes first of what it read in its transaction.
const BEGUN: [&[u8]; 4] = [
    b"\n-- Table structure ",
    b"\n-- Temporary ",
    b"\n-- Sequence ",
    b"\n-- Dumping ",
];

fn command(
    ctx: &CaptureContext<'_>,
    door: &Door,
    about: &About,
    says_position: bool,
) -> Result<Command, CaptureError> {
    let program = programs::client(ctx, Kind::Dump, about.product, about.series)?;
    let command = door.program(ctx, &program, about.product)?.args(WORDS);
    let command = match about.product {
        Product::MySql => command.args(WORDS_MYSQL),
        // As a comment: what it says is compared with what our own transaction says.
        Product::MariaDb if says_position => command.arg("--master-data=2"),
        Product::MariaDb => command,
    };
    Ok(command)
}

fn failed(error: &vouchsafe_host::process::ProcessError) -> CaptureError {
    failure::program("the dump", error, REMEDY)
}

impl DumpStream {
    /// Starts the dump and waits until its transaction has begun.
    pub(super) fn start(
        ctx: &CaptureContext<'_>,
        door: &Door,
        about: &About,
        says_position: bool,
    ) -> Result<DumpStream, CaptureError> {
        let command = command(ctx, door, about, says_position)?
            .arg("--")
            .arg(&about.database)
            .stdout(Stdout::Pipe);
        let mut child = ctx.spawn.spawn(command).map_err(|e| failed(&e.into()))?;
        let reader = child.stdout_reader().ok_or_else(|| CaptureError::Program {
            program: "the dump".to_owned(),
            message: "its output cannot be read".to_owned(),
            remedy: "run it again".to_owned(),
        })?;
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            let _ = sender.send(beginning(reader));
        });
        let Ok(begun) = receiver.recv_timeout(BEGINNING) else {
            child.kill_tree();
            return Err(unreadable(
                &about.database,
                format!("the dump did not begin within {} s", BEGINNING.as_secs()),
                "see whether somebody holds a lock on its tables; writers were let go on",
            ));
        };
        let (beginning, rest, ended) =
            begun.map_err(|e| CaptureError::io("read", "the dump", e))?;
        if ended && beginning.is_empty() {
            // It said why on standard error.
            return match child.finish() {
                Err(error) => Err(failed(&error.into())),
                Ok(_) => Err(unreadable(
                    &about.database,
                    "the dump is empty",
                    "run it again",
                )),
            };
        }
        Ok(DumpStream {
            beginning: std::io::Cursor::new(beginning),
            rest,
            child,
            definitions: None,
        })
    }

    /// What was written until the transaction had begun.
    pub(super) fn beginning(&self) -> &[u8] {
        self.beginning.get_ref()
    }

    /// The same, whole only if these definitions still stand when it has ended.
    pub(super) fn holding(mut self, definitions: Definitions) -> DumpStream {
        self.definitions = Some(definitions);
        self
    }
}

type Begun = std::io::Result<(Vec<u8>, StdoutReader, bool)>;

/// Reads until something comes that was read within the transaction; also whether that is all.
fn beginning(mut reader: StdoutReader) -> Begun {
    let mut out = Vec::new();
    let mut piece = vec![0; 64 << 10];
    loop {
        let count = reader.read(&mut piece)?;
        out.extend_from_slice(piece.get(..count).unwrap_or_default());
        let found = BEGUN
            .iter()
            .any(|line| out.windows(line.len()).any(|part| part == *line));
        if count == 0 || found {
            return Ok((out, reader, count == 0));
        }
    }
}

/// How long a restored copy may take to be dumped.
const COPY: Duration = Duration::from_secs(7 * 24 * 3600);

/// Dumps into a file, to the end: for a server of our own, which is stopped before anybody reads the dump.
pub(super) fn to_file(
    ctx: &CaptureContext<'_>,
    door: &Door,
    about: &About,
    path: &Path,
) -> Result<(), CaptureError> {
    let command = command(ctx, door, about, false)?
        .arg(format!("--result-file={}", path.display()))
        .arg("--")
        .arg(&about.database);
    run_captured(ctx.spawn, command, COPY)
        .map(drop)
        .map_err(|e| failed(&e))
}

impl StreamContent for DumpStream {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        match self.beginning.read(buf)? {
            0 => self.rest.read(buf),
            count => Ok(count),
        }
    }

    fn finish(self: Box<Self>) -> Result<CleanEnd, CaptureError> {
        let DumpStream {
            child, definitions, ..
        } = *self;
        let exit = child.finish().map_err(|error| failed(&error.into()))?;
        if let Some(definitions) = definitions {
            definitions.still_stand()?;
        }
        Ok(CleanEnd::of_program(&exit))
    }
}

impl Definitions {
    fn still_stand(&self) -> Result<(), CaptureError> {
        let Door::Login(login) = self.login.as_ref() else {
            return Ok(());
        };
        let mut session = login.session()?;
        let after = digest::schema(&mut session, &self.about)?;
        let changed = |(key, entry): (&String, &DigestEntry)| {
            (after.get(key) != Some(entry)).then(|| key.clone())
        };
        let gone = self.before.iter().find_map(changed);
        let new = || {
            after
                .keys()
                .find(|key| !self.before.contains_key(*key))
                .cloned()
        };
        match gone.or_else(new) {
            None => Ok(()),
            Some(key) => Err(unreadable(
                &self.shown,
                format!(
                    "{} was altered while the dump ran",
                    key.strip_prefix(digest::SCHEMA).unwrap_or(&key)
                ),
                "capture it when nobody alters what is defined in it",
            )),
        }
    }
}
