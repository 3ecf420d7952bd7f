//! The receiver: PostgreSQL's own `pg_receivewal`, which writes the server's log into the spool.

use std::path::Path;
use std::time::Duration;

use vouchsafe_capture::{CaptureContext, CaptureError};
use vouchsafe_host::process::{Child, Command, Stdout};

use super::super::login::{self, Login};
use super::super::programs;
use super::server::ServerLog;
use super::spool::{Identity, Spool};

const REMEDY: &str = "the user needs the attribute REPLICATION, a line `host replication` in pg_hba.conf, and a free place in max_wal_senders";

/// The name under which the server shows the connection.
pub(super) const PROGRAM: &str = "pg_receivewal";

/// Starts it. It goes on after what is in the spool, makes each message of the server durable at once and tells the
/// server so, and ends when the connection does: beginning again is up to us.
pub(super) fn start(
    ctx: &CaptureContext<'_>,
    login: &Login,
    major: u32,
    spool: &Path,
    slot: Option<&str>,
) -> Result<Child, CaptureError> {
    let programs = programs::for_dumping(ctx, major)?;
    let command = Command::new(programs.join(PROGRAM))
        .args(["--no-loop", "--no-password", "--status-interval=1"])
        .arg("--directory")
        .arg(spool)
        .stdout(Stdout::Null);
    let command = match slot {
        Some(slot) => command.arg("--synchronous").arg("--slot").arg(slot),
        None => command,
    };
    ctx.spawn
        .spawn(login.reach(command))
        .map_err(|e| programs::failed(PROGRAM, &e.into(), REMEDY))
}

/// What it said when it ended.
pub(super) fn ended(child: Child) -> CaptureError {
    match child.finish() {
        Ok(_) => CaptureError::Program {
            program: PROGRAM.to_owned(),
            message: "it ended by itself".to_owned(),
            remedy: "see the server's log".to_owned(),
        },
        Err(error) => programs::failed(PROGRAM, &error.into(), REMEDY),
    }
}

/// How long the receiver may take to fetch a history.
const PATIENCE: Duration = Duration::from_secs(20);

/// The history of the server's timeline, as the receiver fetches it: it does so before it receives anything of that
/// timeline, so one is started in a directory of its own and ended as soon as the file is there.
pub(super) fn fetch_history(
    ctx: &CaptureContext<'_>,
    login: &Login,
    server: &ServerLog,
) -> Result<Option<Vec<u8>>, CaptureError> {
    let directory = login::scratch(ctx, "history-")?;
    let identity = Identity {
        system: server.system,
        segment_size: server.segment_size,
        block_size: server.block_size,
    };
    let spool = Spool::begin(directory.path(), identity)?;
    let number = server.timeline.number();
    spool.begin_at(server.timeline, spool.size().segment_of(server.flushed))?;
    let mut child = start(ctx, login, server.major, directory.path(), None)?;
    let begun = ctx.clock.monotonic();
    loop {
        if let Some((file, _)) = spool.history(number).unwrap_or_default() {
            child.kill_tree_within(Duration::ZERO);
            return Ok(Some(file));
        }
        if child.try_wait().is_some() {
            return Err(ended(child));
        }
        if ctx.clock.monotonic().saturating_sub(begun) > PATIENCE {
            return Ok(None);
        }
        crate::failure::check_interrupt(ctx)?;
        ctx.clock.sleep(Duration::from_millis(20));
    }
}
