//! A place on this machine from which programs reach no network, and which provably disappears.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ChildStdin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use vouchsafe_model::Time;

use crate::clock::Clock;
use crate::descendants;
use crate::files::{self, FileError, TempDir};
use crate::machine;
use crate::process::{
    Child, Command, ProcessError, Spawn, SpawnError, Stdin, Stdout, find_program, run_captured,
    start,
};

/// How a sandbox is cut off, for the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Isolation {
    /// What of the network is reachable: `none`.
    pub network: &'static str,
    /// Whether programs in the sandbox reach one another at 127.0.0.1.
    pub loopback: bool,
    /// What processes are visible to one another: `own namespace`.
    pub processes: &'static str,
    /// With which rights programs run: `root`, or `user mapped to root`.
    pub user: &'static str,
}

/// Why there is no sandbox, or why its end is not proven.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The machine does not allow it.
    #[error(
        "this machine does not let us cut a sandbox off the network; install util-linux and run \
         as root, or allow unprivileged user namespaces"
    )]
    Unavailable {
        /// What went wrong.
        #[source]
        source: ProcessError,
    },
    /// It was made, but programs in it still see a network.
    #[error("the sandbox is not cut off the network: it sees {seen}")]
    NotIsolated {
        /// The interfaces seen, or the fact that the namespace is our own.
        seen: String,
    },
    /// Its directory could not be made or removed, or procfs could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// Something of it is still there after everything was done to end it.
    #[error("the sandbox {} is not gone: {remains}", dir.display())]
    Survived {
        /// Its directory.
        dir: PathBuf,
        /// What is left.
        remains: String,
    },
}

/// Proof that a sandbox is gone: its processes and its directory. Only [`Sandbox::destroy`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "that a sandbox is gone is a fact to record"]
pub struct Destroyed {
    dir: PathBuf,
    at: Time,
    ended_processes: usize,
}

impl Destroyed {
    /// Where it was.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// When it was seen to be gone.
    pub fn at(&self) -> Time {
        self.at
    }

    /// How many processes were still running in it when its end began.
    pub fn ended_processes(&self) -> usize {
        self.ended_processes
    }
}

/// A directory (mode 0700) and a set of namespaces in which programs can be started.
///
/// All programs of one sandbox share a network namespace that has nothing but a loopback interface,
/// and a process namespace that ends as a whole: with [`Sandbox::destroy`], with a drop, or with
/// our own death. They see the machine's files. Unless told otherwise they start in the
/// sandbox's directory and have it as `HOME` and `TMPDIR`.
pub struct Sandbox {
    clock: Arc<dyn Clock>,
    path: PathBuf,
    isolation: Isolation,
    namespaces: Namespaces,
    parts: Mutex<Parts>,
}

/// What a sandbox consists of, until it is taken apart.
struct Parts {
    dir: Option<TempDir>,
    holder: Option<Holder>,
}

/// The process that keeps the namespaces alive for as long as its input stays open, and is the
/// first process of the process namespace: the kernel ends all others with it.
struct Holder {
    child: Child,
    lifeline: Option<ChildStdin>,
}

struct Namespaces {
    nsenter: PathBuf,
    arguments: Vec<OsString>,
    processes: OsString,
}

const PROBE_TIME: Duration = Duration::from_secs(20);
const END_TIME: Duration = Duration::from_secs(10);

impl Sandbox {
    /// Makes a sandbox with its directory in `parent_dir` and checks that no network is reachable
    /// from it. If that cannot be had this is an error: there is no sandbox with a network.
    pub fn new(clock: Arc<dyn Clock>, parent_dir: impl AsRef<Path>) -> Result<Self, SandboxError> {
        let dir = files::temp_dir_in(parent_dir, "sandbox-")?;
        let path = files::canonicalize(dir.path())?;
        let privileged = machine::uid() == 0;
        let holder = hold_namespaces(privileged)?;
        let namespaces = Namespaces::of(&holder, privileged)?;
        let mut sandbox = Self {
            clock,
            path,
            isolation: Isolation {
                network: "none",
                loopback: false,
                processes: "own namespace",
                user: if privileged {
                    "root"
                } else {
                    "user mapped to root"
                },
            },
            namespaces,
            parts: Mutex::new(Parts {
                dir: Some(dir),
                holder: Some(holder),
            }),
        };
        probe(&sandbox)?;
        let up = Command::new("ip").args(["link", "set", "lo", "up"]);
        sandbox.isolation.loopback = run_captured(&sandbox, up, PROBE_TIME).is_ok();
        Ok(sandbox)
    }

    /// The sandbox's directory, absolute and without links.
    pub fn dir(&self) -> &Path {
        &self.path
    }

    /// How it is cut off; true since the check at its creation.
    pub fn isolation(&self) -> &Isolation {
        &self.isolation
    }

    /// Ends everything that runs in it, removes its directory, and looks that both are gone.
    pub fn destroy(self) -> Result<Destroyed, SandboxError> {
        let ended_processes = self.running()?.len();
        self.take_apart()?;
        let left = self.await_end()?;
        if !left.is_empty() {
            let remains = format!("processes {left:?} still run");
            return Err(SandboxError::Survived {
                dir: self.path.clone(),
                remains,
            });
        }
        if files::exists(&self.path)? {
            let remains = "its directory exists".to_owned();
            return Err(SandboxError::Survived {
                dir: self.path.clone(),
                remains,
            });
        }
        Ok(Destroyed {
            dir: self.path.clone(),
            at: self.clock.now(),
            ended_processes,
        })
    }

    /// The processes in the sandbox, apart from the one that holds it.
    fn running(&self) -> Result<Vec<i32>, FileError> {
        let mut found = descendants::of_namespace("pid", &self.namespaces.processes)
            .map_err(|e| FileError::new("/proc", "read", e))?;
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if parts.holder.is_some() {
            // The first process of the namespace has the lowest number, but for a wrap-around.
            found.sort_unstable();
            found.drain(..found.len().min(1));
        }
        Ok(found)
    }

    /// The processes that do not end however long one waits.
    fn await_end(&self) -> Result<Vec<i32>, FileError> {
        let started = Instant::now();
        loop {
            let left = self.running()?;
            if left.is_empty() || started.elapsed() > END_TIME {
                return Ok(left);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn take_apart(&self) -> Result<(), FileError> {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut holder) = parts.holder.take() {
            drop(holder.lifeline.take());
            // It ends by itself once the kernel has ended everything in the namespace.
            if holder.child.wait_timeout(END_TIME).is_none() {
                holder.child.kill_tree_within(Duration::ZERO);
            }
        }
        if let Some(dir) = parts.dir.take()
            && dir.close().is_err()
        {
            make_removable(&self.path);
            files::remove_tree(&self.path)?;
        }
        Ok(())
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // Whoever wants to know calls `destroy`.
        let _ = self.take_apart();
    }
}

impl Spawn for Sandbox {
    fn spawn(&self, command: Command) -> Result<Child, SpawnError> {
        let name = command.display_name();
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        // The namespaces are named by the holder's number, which is its own only while it is held.
        if parts.holder.is_none() {
            return Err(SpawnError::SandboxGone { program: name });
        }
        let program =
            find_program(&command.program).ok_or(SpawnError::NotFound { program: name })?;
        let mut command = command
            .env_default("HOME", &self.path)
            .env_default("TMPDIR", &self.path)
            .through(&self.namespaces.nsenter, &self.namespaces.arguments);
        if let Some(inner) = command.args.get_mut(self.namespaces.arguments.len()) {
            *inner = program.into_os_string();
        }
        if command.dir.is_none() {
            command = command.current_dir(&self.path);
        }
        start(command)
    }
}

impl Namespaces {
    fn of(holder: &Holder, privileged: bool) -> Result<Self, SandboxError> {
        let unavailable = |source: SpawnError| SandboxError::Unavailable {
            source: source.into(),
        };
        let nsenter = find_program("nsenter")
            .ok_or_else(|| SpawnError::NotFound {
                program: "nsenter".to_owned(),
            })
            .map_err(unavailable)?;
        let pid = holder.child.id();
        let mut arguments = Vec::new();
        if !privileged {
            arguments.push(format!("--user=/proc/{pid}/ns/user").into());
            arguments.push("--preserve-credentials".into());
        }
        arguments.push(format!("--net=/proc/{pid}/ns/net").into());
        arguments.push(format!("--pid=/proc/{pid}/ns/pid_for_children").into());
        arguments.push("--".into());
        let processes = descendants::namespace_of(&pid.to_string(), "pid_for_children")
            .map_err(|e| FileError::new("/proc", "read", e))?;
        Ok(Self {
            nsenter,
            arguments,
            processes,
        })
    }
}

/// Starts the process that holds the namespaces, and waits until they exist.
fn hold_namespaces(privileged: bool) -> Result<Holder, SandboxError> {
    let unavailable = |source: ProcessError| SandboxError::Unavailable { source };
    let user: &[&str] = if privileged {
        &[]
    } else {
        &["--user", "--map-root-user"]
    };
    let command = Command::new("unshare")
        .args(user)
        .args(["--net", "--pid", "--fork", "--kill-child", "--"])
        .args(["sh", "-c", "echo ready; exec cat >/dev/null"])
        .stdin(Stdin::Pipe)
        .stdout(Stdout::Pipe);
    let mut child = start(command).map_err(|e| unavailable(e.into()))?;
    let lifeline = child.stdin_writer();
    let mut answer = String::new();
    if let Some(reader) = child.stdout_reader() {
        // An error shows as a missing answer.
        let _ = reader.take(6).read_to_string(&mut answer);
    }
    if answer == "ready\n" {
        return Ok(Holder { child, lifeline });
    }
    drop(lifeline);
    let ended = child.wait();
    Err(unavailable(child.failure(ended).into()))
}

/// Checks from the inside that nothing but a loopback interface exists, in a network namespace
/// that is not our own: a machine may have no other interface to begin with.
fn probe(spawn: &dyn Spawn) -> Result<(), SandboxError> {
    let script = "readlink /proc/self/ns/net && cat /proc/self/net/dev";
    let command = Command::new("sh").args(["-c", script]);
    let output = run_captured(spawn, command, PROBE_TIME)
        .map_err(|source| SandboxError::Unavailable { source })?;
    let own = descendants::namespace_of("self", "net")
        .map_err(|e| FileError::new("/proc/self/ns/net", "read", e))?;
    match judge_probe(&output.text(), &own.to_string_lossy()) {
        None => Ok(()),
        Some(seen) => Err(SandboxError::NotIsolated { seen }),
    }
}

/// What is wrong with a probe's answer: the namespace's identity, two lines of headings, and one
/// line for each interface, `name: counters`.
fn judge_probe(answer: &str, own_namespace: &str) -> Option<String> {
    let mut lines = answer.lines();
    let namespace = lines.next().unwrap_or_default();
    if !namespace.starts_with("net:[") {
        return Some("an answer that was not understood".to_owned());
    }
    if namespace == own_namespace {
        return Some("the machine's own network namespace".to_owned());
    }
    let interfaces: Vec<&str> = lines
        .skip(2)
        .filter_map(|line| line.split_once(':'))
        .map(|(name, _)| name.trim())
        .collect();
    (interfaces != ["lo"]).then(|| format!("the interfaces {}", interfaces.join(", ")))
}

/// Restored trees contain directories that not even their owner may change.
fn make_removable(dir: &Path) {
    let _ = std::fs::set_permissions(dir, std::fs::Permissions::from_mode(files::PRIVATE_DIR));
    let entries: io::Result<Vec<_>> = std::fs::read_dir(dir).and_then(Iterator::collect);
    for entry in entries.unwrap_or_default() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_removable(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::LocalSpawn;

    const HEADINGS: &str = "Inter-|   Receive\n face |bytes\n";

    #[test]
    fn a_probe_from_outside_a_sandbox_is_recognised() {
        let error = probe(&LocalSpawn::new()).expect_err("this is no sandbox");
        assert!(matches!(error, SandboxError::NotIsolated { .. }), "{error}");
    }

    #[test]
    fn an_interface_beside_loopback_is_named() {
        let good = format!("net:[2]\n{HEADINGS}    lo: 0 0\n");
        assert_eq!(judge_probe(&good, "net:[1]"), None);
        let bad = format!("net:[2]\n{HEADINGS}    lo: 0 0\n  eth0: 5 5\n");
        assert!(judge_probe(&bad, "net:[1]").is_some_and(|seen| seen.contains("eth0")));
        assert!(judge_probe(&good, "net:[2]").is_some());
        assert!(judge_probe("", "net:[1]").is_some());
        assert!(judge_probe("net:[2]\n", "net:[1]").is_some());
    }
}
