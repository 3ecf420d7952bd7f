//! A server of our own over a data directory: for drills, and for restores that are to be a server.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use vouchsafe_capture::{CaptureContext, CaptureError};
use vouchsafe_host::files;
use vouchsafe_host::process::{Child, Command, run_captured};

use super::address::{Address, Tls};
use super::login::Login;
use super::programs;
use crate::confine::Confined;
use crate::failure;

/// A running server that listens on a socket in its own data directory and nowhere else.
///
/// Dropping it ends it at once; [`Server::stop`] ends it well.
pub(super) struct Server {
    /// Locked, because a stream that is read elsewhere may be the last to hold the server.
    child: Mutex<Option<Child>>,
    /// Held open: its number is the short way to the socket, whose path would be too long for the system otherwise.
    directory: File,
    data: PathBuf,
    confined: Confined,
    major: u32,
    superuser: String,
}

/// The number in the socket's name.
const PORT: u16 = 5432;

/// How long a start may take: it includes the replay of what a server left when it was killed.
const START: Duration = Duration::from_secs(300);
/// How long a log may be replayed that was fetched for it.
const REPLAY_LASTS: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long at most is waited between two looks.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
const STOP: Duration = Duration::from_secs(120);
const SYNC: Duration = Duration::from_secs(3600);
const INIT: Duration = Duration::from_secs(300);

/// Nothing of what a configuration may say: no network, no archive, no workers that act by themselves.
const QUIET: [&str; 14] = [
    "listen_addresses=",
    "unix_socket_directories=.",
    "unix_socket_permissions=0700",
    "archive_mode=off",
    "max_logical_replication_workers=0",
    "shared_preload_libraries=",
    "fsync=off",
    "full_page_writes=off",
    "autovacuum=off",
    "max_wal_size=4GB",
    "ssl=off",
    "logging_collector=off",
    "log_destination=stderr",
    "synchronous_standby_names=",
];

/// What a server that replays a log must not take from the original, and what it needs at least.
const REPLAY: [&str; 10] = [
    "hot_standby=off",
    "restore_command=",
    "primary_conninfo=",
    "recovery_target_timeline=current",
    "shared_buffers=128MB",
    "huge_pages=off",
    "max_connections=100",
    "max_prepared_transactions=256",
    "external_pid_file=",
    "data_sync_retry=off",
];

/// A configuration of our own beside the data: the original's may lie elsewhere, and lets in others than us.
fn configure(place: &Path) -> Result<(), CaptureError> {
    files::write_atomic(place.join(CONFIG), b"", 0o600).map_err(failure::file)?;
    let local = b"local all all trust\nlocal replication all trust\n";
    files::write_atomic(place.join(HBA), local, 0o600).map_err(failure::file)
}

const CONFIG: &str = "server.conf";
const HBA: &str = "server.hba";

/// The directory of the data in a restored server's place.
pub(super) fn data_directory(place: &Path) -> PathBuf {
    place.join(DATA)
}

const DATA: &str = "data";

/// What a server of ours is started with, beside its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Settings {
    /// A cluster that we made.
    Ours,
    /// A cluster that came with the configuration of the original.
    Brought,
    /// The same, with a log to replay first, as these settings say.
    Replaying(Vec<String>),
}

/// Makes an empty cluster in `place` whose superuser has the given name.
pub(super) fn initialise(
    ctx: &CaptureContext<'_>,
    major: u32,
    place: &Path,
    superuser: &str,
) -> Result<(), CaptureError> {
    let programs = programs::for_serving(ctx, major)?;
    let confined = Confined::to(ctx, place)?;
    // Data checksums, so that what the restored server reads is what it wrote.
    let command = confined
        .program(&programs.join("initdb"))
        .args([
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
        ])
        .args(["--no-instructions", "--data-checksums"])
        .arg(format!("--username={superuser}"))
        .arg("-D")
        .arg(confined.seen(DATA));
    run_captured(ctx.spawn, command, INIT)
        .map(drop)
        .map_err(|e| {
            programs::failed(
                "initdb",
                &e,
                "see that there is room, and that PostgreSQL is installed whole",
            )
        })
}

impl Server {
    /// Starts the server in `place`, whose superuser is `superuser`, and waits until it answers.
    pub(super) fn start(
        ctx: &CaptureContext<'_>,
        major: u32,
        place: &Path,
        superuser: &str,
        settings: &Settings,
    ) -> Result<Server, CaptureError> {
        let programs = programs::for_serving(ctx, major)?;
        let data = files::canonicalize(data_directory(place)).map_err(failure::file)?;
        let directory = files::open_read(&data).map_err(failure::file)?;
        let place = files::canonicalize(place).map_err(failure::file)?;
        if *settings != Settings::Ours {
            configure(&place)?;
        }
        let confined = Confined::to(ctx, &place)?;
        let mut command = confined
            .program(&programs.join("postgres"))
            .arg("-D")
            .arg(confined.seen(DATA))
            .args(["-p", &PORT.to_string()]);
        for setting in QUIET {
            command = command.args(["-c", setting]);
        }
        if *settings != Settings::Ours {
            let (config, hba) = (confined.seen(CONFIG), confined.seen(HBA));
            for setting in REPLAY {
                command = command.args(["-c", setting]);
            }
            command = command
                .args(["-c", &format!("config_file={}", config.display())])
                .args(["-c", &format!("hba_file={}", hba.display())])
                .args(["-c", &format!("ident_file={}", config.display())]);
        }
        let mut patience = START;
        if let Settings::Replaying(more) = settings {
            patience = REPLAY_LASTS;
            // Of two values of one setting the later counts.
            for setting in more {
                command = command.args(["-c", setting]);
            }
        }
        let child = ctx.spawn.spawn(command).map_err(|e| {
            programs::failed(
                "postgres",
                &e.into(),
                "see that PostgreSQL is installed whole",
            )
        })?;
        let server = Server {
            child: Mutex::new(Some(child)),
            directory,
            data,
            confined,
            major,
            superuser: superuser.to_owned(),
        };
        server.wait_until_ready(ctx, patience)?;
        Ok(server)
    }

    /// How we reach a database of it.
    pub(super) fn address(&self, database: &str) -> Address {
        Address {
            host: format!("/proc/self/fd/{}", self.directory.as_raw_fd()),
            port: PORT,
            user: self.superuser.clone(),
            database: database.to_owned(),
            tls: Tls::Disable,
            root_cert: None,
        }
    }

    /// A login to a database of it.
    pub(super) fn login(
        &self,
        ctx: &CaptureContext<'_>,
        database: &str,
    ) -> Result<Login, CaptureError> {
        Login::new(ctx, self.address(database), None)
    }

    /// Lets a program connect: it starts in the data directory, and the socket is found through that.
    pub(super) fn reach(&self, command: Command, database: &str) -> Command {
        let address = Address {
            host: "/proc/self/cwd".to_owned(),
            ..self.address(database)
        };
        address.reach(command).current_dir(&self.data)
    }

    /// Ends it so that everything is written, and on the disk.
    pub(super) fn stop(&self, ctx: &CaptureContext<'_>) -> Result<(), CaptureError> {
        let programs = programs::for_serving(ctx, self.major)?;
        let stop = self
            .confined
            .program(&programs.join("pg_ctl"))
            .args(["stop", "--mode=fast", "--wait", "--silent"])
            .arg(format!("--timeout={}", STOP.as_secs()))
            .arg("-D")
            .arg(self.confined.seen(DATA));
        let remedy = "see that there is room on the disk, and restore it again";
        run_captured(ctx.spawn, stop, STOP * 2)
            .map_err(|e| programs::failed("pg_ctl stop", &e, remedy))?;
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut child) = child.take() {
            let _ = child.wait_timeout(Duration::from_secs(10));
        }
        let sync = self
            .confined
            .program(&programs.join("initdb"))
            .args(["--sync-only", "-D"])
            .arg(self.confined.seen(DATA));
        run_captured(ctx.spawn, sync, SYNC)
            .map(drop)
            .map_err(|e| programs::failed("initdb --sync-only", &e, remedy))
    }

    fn wait_until_ready(
        &self,
        ctx: &CaptureContext<'_>,
        patience: Duration,
    ) -> Result<(), CaptureError> {
        let begun = ctx.clock.monotonic();
        let mut pause = Duration::from_millis(20);
        loop {
            failure::check_interrupt(ctx)?;
            let waiting = match self.login(ctx, "postgres")?.session() {
                Ok(_) => return Ok(()),
                Err(error) => error,
            };
            let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
            let ended = child.as_mut().and_then(Child::try_wait);
            if let (Some(state), Some(child)) = (ended, child.as_ref()) {
                return Err(CaptureError::Program {
                    program: "postgres".to_owned(),
                    message: format!(
                        "{state} instead of starting; it said: {}",
                        child.stderr_tail()
                    ),
                    remedy: "restore another point, and see what it said".to_owned(),
                });
            }
            if ctx.clock.monotonic().saturating_sub(begun) > patience {
                return Err(waiting);
            }
            drop(child);
            ctx.clock.sleep(pause);
            pause = (pause * 11 / 10).min(LONGEST_PAUSE);
        }
    }
}
