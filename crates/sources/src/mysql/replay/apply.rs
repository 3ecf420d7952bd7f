//! Letting a restored server run a fetched log, and looking at where it stands then.

use std::io::{Read, Write};
use std::path::Path;

use vouchsafe_capture::{CaptureContext, CaptureError, FetchedLog};
use vouchsafe_format::fragment::Position;
use vouchsafe_host::files;
use vouchsafe_host::process::{Command, Stdin, Stdout};
use vouchsafe_model::Issue;
use vouchsafe_translog::binlog::{BinlogMeaning, GtidState, LogGtid};

use super::super::about::About;
use super::super::binlog::parts;
use super::super::programs::{self, Kind};
use super::super::server::{Server, data_directory};
use super::dialect;
use super::files::{fetched, listed, read};
use super::sieve::Place;
use super::{Base, base_of};
use crate::failure;

/// The name of the log that a restored server keeps while it runs the original's: by it the server says what it has run.
pub(super) const OWN_LOG: &str = "vouchsafe-replayed";

/// Starts the server in `place` so that it runs the log from the base on, looks at where it stands, and stops it. What
/// is not as it should be is an issue.
pub(in crate::mysql) fn apply(
    ctx: &CaptureContext<'_>,
    point: &dyn vouchsafe_capture::PointReader,
    (place, about): (&Path, &About),
    log: &FetchedLog,
    more: &[String],
) -> Result<Vec<Issue>, CaptureError> {
    let base = base_of(point)?;
    let files = fetched(&log.place)?;
    let expected = match expect(&base, &files)? {
        Ok(expected) => expected,
        Err(message) => return Ok(vec![issue(place, message)]),
    };
    let mut options = dialect::options(about.product, OWN_LOG);
    options.extend_from_slice(more);
    let server = Server::start(ctx, about, place, &options)?;
    let mut session = server.session(ctx)?;
    dialect::begin_at(&mut session, &expected.at_base)?;
    let end = place_of(log.target.end);
    if expected.from < end {
        run(ctx, &server, about, place, &files, (expected.from, end))?;
    }
    let reached = dialect::stands_at(&mut session, about.product)?;
    drop(session);
    server.stop(ctx)?;
    if reached == expected.at_end {
        return Ok(Vec::new());
    }
    let (reached, expected) = (dialect::shown(&reached), dialect::shown(&expected.at_end));
    let message = format!("it stands at `{reached}`, not at `{expected}`");
    Ok(vec![issue(place, message)])
}

/// Which transactions a server must have, by its base and the log that it is given.
#[derive(Debug)]
pub(super) struct Expected {
    /// Those of the base.
    at_base: GtidState,
    /// Those of the base and the log.
    pub(super) at_end: GtidState,
    /// Where the first transaction begins that the base does not have.
    from: Place,
}

/// Reads the log from the base's file on. What is wrong with it is the inner error.
pub(super) fn expect(
    base: &Base,
    files: &[(u64, std::path::PathBuf)],
) -> Result<Result<Expected, String>, CaptureError> {
    let place = (base.number, base.offset);
    let mut expected = Expected {
        at_base: base.past.clone(),
        at_end: base.past.clone(),
        from: place,
    };
    let read = read(files, &mut |number, record, past| {
        match (&mut expected.at_end, &record.meaning) {
            // Some that changed nothing may be missing in it, and are run.
            (GtidState::MySql(all), BinlogMeaning::End(ended)) => {
                if let LogGtid::MySql(gtid) = &ended.gtid
                    && all.add(gtid)
                {
                    expected.from = expected.from.min((number, ended.begin));
                }
            }
            (GtidState::MySql(_), _) => {}
            // Of domains that it does not note, the log tells.
            _ => {
                if (number, record.end) <= place {
                    expected.at_base.clone_from(past);
                }
            }
        }
    })?;
    Ok(read.map(|past| {
        if !matches!(expected.at_end, GtidState::MySql(_)) {
            expected.at_end = past;
        }
        expected
    }))
}

/// Removes what the server has said of the replay.
pub(in crate::mysql) fn forget(place: &Path) -> Result<(), CaptureError> {
    let data = data_directory(place);
    for (_, path) in listed(&data, OWN_LOG)? {
        files::remove_file(&path).map_err(failure::file)?;
    }
    for name in ["index", "state"] {
        files::remove_file(data.join(format!("{OWN_LOG}.{name}"))).map_err(failure::file)?;
    }
    Ok(())
}

/// A place in the log by the file's own number.
pub(super) fn place_of(position: Position) -> Place {
    match position {
        Position::File { file, offset } => (parts(file).1, offset),
        Position::Byte(offset) | Position::Mark(offset) => (0, offset),
    }
}

fn issue(place: &Path, message: String) -> Issue {
    Issue {
        place: place.display().to_string(),
        message,
    }
}

const REMEDY: &str =
    "what it said names the statement; restore a moment before it, or another point";

/// Makes statements of the log and lets the server run them, in one session: what is temporary in it goes on from file to
/// file.
fn run(
    ctx: &CaptureContext<'_>,
    server: &Server,
    about: &About,
    place: &Path,
    files: &[(u64, std::path::PathBuf)],
    (from_place, end): (Place, Place),
) -> Result<(), CaptureError> {
    let program = programs::log_reader(ctx, about.product, about.series)?;
    let command = Command::new(program)
        .arg("--no-defaults")
        .args(dialect::reader_options(about.product))
        .arg(format!("--start-position={}", from_place.1))
        .arg(format!("--stop-position={}", end.1))
        .arg(format!("--local-load={}", place.display()))
        .args(files.iter().map(|(_, path)| path))
        .stdout(Stdout::Pipe);
    let reader = programs::log_reader_name(about.product);
    let failed = |e: &_| failure::program(reader, e, REMEDY);
    let mut reading = ctx.spawn.spawn(command).map_err(|e| failed(&e.into()))?;
    let client = programs::client(ctx, Kind::Client, about.product, about.series)?;
    let command = server
        .program(ctx, &client, about.product)?
        .args(["--batch", "--binary-mode", "--local-infile=0"])
        .args([
            "--default-character-set=utf8mb4",
            "--max-allowed-packet=1073741824",
        ])
        .stdin(Stdin::Pipe);
    let refused = |e: &_| failure::program("running the log", e, REMEDY);
    let mut running = ctx.spawn.spawn(command).map_err(|e| refused(&e.into()))?;
    let (mut from, mut into) = (reading.stdout_reader(), running.stdin_writer());
    let mut buffer = vec![0; 1 << 20];
    loop {
        if let Err(interrupted) = failure::check_interrupt(ctx) {
            reading.kill_tree();
            running.kill_tree();
            return Err(interrupted);
        }
        let count = match from.as_mut().map_or(Ok(0), |from| from.read(&mut buffer)) {
            Ok(count) => count,
            Err(error) => {
                // Its input must not look as if it had come to an end.
                running.kill_tree();
                return Err(CaptureError::io("read", reader, error));
            }
        };
        let piece = buffer.get(..count).unwrap_or_default();
        let written = into.as_mut().map_or(Ok(()), |into| into.write_all(piece));
        if written.is_err() {
            // It says why when it ends.
            reading.kill_tree();
            drop(into);
            return match running.finish() {
                Err(error) => Err(refused(&error.into())),
                Ok(_) => Err(CaptureError::Program {
                    program: about.product.name().to_owned(),
                    message: "it ended before the log did".to_owned(),
                    remedy: REMEDY.to_owned(),
                }),
            };
        }
        if count == 0 {
            break;
        }
    }
    drop((from, into));
    // First whoever runs it: the other one only complains that nobody reads.
    running.finish().map_err(|e| refused(&e.into()))?;
    reading.finish().map(drop).map_err(|e| failed(&e.into()))
}
