//! Letting a restored server run a fetched log, and looking at where it stands then.

use std::io::{Read, Write};
use std::path::Path;

use vouchsafe_capture::{CaptureContext, CaptureError, FetchedLog};
use vouchsafe_format::fragment::Position;
use vouchsafe_host::files;
use vouchsafe_host::process::{Command, Stdin, Stdout};
use vouchsafe_model::Issue;
use vouchsafe_translog::gtid::MariaPosition;

use super::super::about::About;
use super::super::binlog::parts;
use super::super::programs::{self, Kind};
use super::super::server::{Server, data_directory};
use super::super::session::literal;
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
    let mut at_base = MariaPosition::default();
    let read = read(&files, &mut |number, record, position| {
        if (number, record.end) <= (base.number, base.offset) {
            at_base.clone_from(position);
        }
    })?;
    let expected = match read {
        Ok(position) => position,
        Err(message) => return Ok(vec![issue(place, message)]),
    };
    let mut options = vec![
        format!("--log-bin={OWN_LOG}"),
        "--binlog-format=MIXED".to_owned(),
        "--gtid-strict-mode=OFF".to_owned(),
        "--sync-binlog=0".to_owned(),
        "--log-bin-trust-function-creators=ON".to_owned(),
    ];
    options.extend_from_slice(more);
    let server = Server::start(ctx, about, place, &options)?;
    let mut session = server.session(ctx)?;
    // What was done to let us in is no part of it.
    session.execute("RESET MASTER")?;
    let state = literal(&at_base.to_string());
    session.execute(&format!("SET GLOBAL gtid_binlog_state = {state}"))?;
    let end = place_of(log.target.end);
    if (base.number, base.offset) < end {
        run(ctx, &server, about, place, &files, (&base, end))?;
    }
    let reached = session.text("SELECT @@GLOBAL.gtid_binlog_pos")?;
    drop(session);
    server.stop(ctx)?;
    let reached: Option<MariaPosition> = reached.parse().ok();
    if reached.as_ref() == Some(&expected) {
        return Ok(Vec::new());
    }
    let reached = reached.unwrap_or_default();
    let message = format!("it stands at `{reached}`, not at `{expected}`");
    Ok(vec![issue(place, message)])
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
    (base, end): (&Base, Place),
) -> Result<(), CaptureError> {
    let program = programs::log_reader(ctx, about.product, about.series)?;
    let command = Command::new(program)
        .arg("--no-defaults")
        // Whether all is there was seen before.
        .arg("--loose-skip-gtid-strict-mode")
        .arg(format!("--start-position={}", base.offset))
        .arg(format!("--stop-position={}", end.1))
        .arg(format!("--local-load={}", place.display()))
        .args(files.iter().map(|(_, path)| path))
        .stdout(Stdout::Pipe);
    let failed = |e: &_| failure::program("mariadb-binlog", e, REMEDY);
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
                return Err(CaptureError::io("read", "mariadb-binlog", error));
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
                    program: "mariadb".to_owned(),
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
