//! A server of our own over a data directory: for drills, and for restores that are to be a server.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use mongodb::bson::doc;
use vouchsafe_capture::{CaptureContext, CaptureError};
use vouchsafe_host::files;
use vouchsafe_host::process::{Child, Command, find_program, run_captured};

use super::address::Address;
use super::session::Session;
use crate::confine::Confined;
use crate::failure;

/// A running `mongod` that listens on a socket in its own directory and nowhere else, as a server of its own without
/// users to log in: nobody but us reaches it.
///
/// Dropping it ends it at once; [`Server::stop`] ends it well.
pub(super) struct Server {
    child: Mutex<Option<Child>>,
    /// Held open: its number is the short way to the socket, whose path would be too long for the system otherwise.
    directory: File,
}

/// The program, and the directory of its data in a restored server's place.
const PROGRAM: &str = "mongod";
pub(super) const DATA: &str = "data";
/// The socket's name beside it. What ends otherwise is taken for the name of a host.
const SOCKET: &str = "server.sock";

/// Where it lies beside `PATH`.
const PLACES: [&str; 2] = ["/usr/bin", "/usr/local/bin"];
/// How long it may take to say its version, to start, and to stop.
const VERSION: Duration = Duration::from_secs(20);
const START: Duration = Duration::from_secs(300);
const STOP: Duration = Duration::from_secs(300);
/// The longest path of a socket that every system takes.
const LONGEST_SOCKET: usize = 100;

/// The `mongod` of this machine that has the same major version as `version`, or why there is none.
pub(super) fn program(ctx: &CaptureContext<'_>, version: &str) -> Result<PathBuf, CaptureError> {
    let wanted = major(version);
    let beside = PLACES
        .iter()
        .map(|place| PathBuf::from(place).join(PROGRAM));
    let all = std::iter::once(PathBuf::from(PROGRAM)).chain(beside);
    let mut why = "it is not installed".to_owned();
    for path in all.filter_map(find_program) {
        let command = Command::new(&path).arg("--version");
        let output = run_captured(ctx.spawn, command, VERSION)
            .map_err(|e| failure::program(PROGRAM, &e, "see that it is installed whole"))?;
        match said_version(&output.text()) {
            Some(found) if major(&found) == wanted => return Ok(path),
            Some(found) => why = format!("what is here is of version {found}"),
            None => why = "it does not say its version".to_owned(),
        }
    }
    Err(CaptureError::Program {
        program: PROGRAM.to_owned(),
        message: format!("{why}, the source is MongoDB {version}"),
        remedy: format!(
            "install mongod of version {wanted} on this machine, or restore the point as files or into a server that runs"
        ),
    })
}

/// What `mongod --version` says: `db version v7.0.14`.
fn said_version(said: &str) -> Option<String> {
    let line = said
        .lines()
        .find_map(|line| line.strip_prefix("db version v"))?;
    Some(line.trim().to_owned())
}

fn major(version: &str) -> &str {
    version.split('.').next().unwrap_or_default()
}

impl Server {
    /// Starts the server in `place` and waits until it answers; its data directory is made if it is not there.
    pub(super) fn start(
        ctx: &CaptureContext<'_>,
        version: &str,
        place: &Path,
    ) -> Result<Server, CaptureError> {
        let program = program(ctx, version)?;
        let place = files::canonicalize(place).map_err(failure::file)?;
        files::create_dir_all(place.join(DATA), 0o700).map_err(failure::file)?;
        files::remove_file(place.join(SOCKET)).map_err(failure::file)?;
        let directory = files::open_read(&place).map_err(failure::file)?;
        let confined = Confined::to(ctx, &place)?;
        let seen = confined.seen(SOCKET);
        let socket = if seen.as_os_str().len() <= LONGEST_SOCKET {
            seen
        } else {
            Path::new("/proc/self/cwd").join(SOCKET)
        };
        let command = confined
            .program(&program)
            .arg("--dbpath")
            .arg(confined.seen(DATA))
            .arg("--bind_ip")
            .arg(socket)
            .arg("--quiet")
            // What has outlived its time at the source has not at the moment that is restored.
            .args(["--setParameter", "ttlMonitorEnabled=false"]);
        let child = ctx.spawn.spawn(command);
        let child = child
            .map_err(|e| failure::program(PROGRAM, &e.into(), "see that it is installed whole"))?;
        let server = Server {
            child: Mutex::new(Some(child)),
            directory,
        };
        server.wait_until_ready(ctx)?;
        Ok(server)
    }

    /// Our own connection.
    pub(super) fn session(&self) -> Result<Session, CaptureError> {
        Session::open(&Address::socket(self.socket()), None)
    }

    fn socket(&self) -> PathBuf {
        let directory = format!("/proc/self/fd/{}", self.directory.as_raw_fd());
        Path::new(&directory).join(SOCKET)
    }

    /// Ends it so that everything is written.
    pub(super) fn stop(&self) -> Result<(), CaptureError> {
        let mut session = self.session()?;
        // It ends before it answers.
        let _ = session.command("admin", doc! { "shutdown": 1 });
        drop(session);
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut child) = child.take()
            && child.wait_timeout(STOP).is_none()
        {
            child.kill_tree();
            return Err(CaptureError::Program {
                program: PROGRAM.to_owned(),
                message: format!("it did not stop within {} s", STOP.as_secs()),
                remedy: "see that there is room on the disk, and restore it again".to_owned(),
            });
        }
        Ok(())
    }

    fn wait_until_ready(&self, ctx: &CaptureContext<'_>) -> Result<(), CaptureError> {
        let begun = ctx.clock.monotonic();
        loop {
            failure::check_interrupt(ctx)?;
            let is_there = files::exists(self.socket()).map_err(failure::file)?;
            if is_there && self.session().is_ok() {
                return Ok(());
            }
            let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
            let ended = child.as_mut().and_then(Child::try_wait);
            let over = ctx.clock.monotonic().saturating_sub(begun) > START;
            let state = match ended {
                Some(state) => state.to_string(),
                None if over => format!("it did not answer within {} s", START.as_secs()),
                None => {
                    drop(child);
                    ctx.clock.sleep(Duration::from_millis(20));
                    continue;
                }
            };
            let said = child.as_ref().map(Child::stderr_tail).unwrap_or_default();
            return Err(CaptureError::Program {
                program: PROGRAM.to_owned(),
                message: format!("{state} instead of starting; it said: {said}"),
                remedy: "restore another point, and see what it said".to_owned(),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_the_program_says() {
        let said = "db version v7.0.14\nBuild Info: {\n    \"version\": \"7.0.14\"\n}";
        assert_eq!(said_version(said).as_deref(), Some("7.0.14"));
        assert_eq!(said_version("mongod"), None);
        assert_eq!(major("7.0.14"), "7");
        assert_eq!(major("8.2.0-rc1"), "8");
    }
}
