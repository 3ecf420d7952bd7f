//! Starting other programs: clean environment, own group, bounded output, proof of a clean end.

mod child;
mod command;
mod outcome;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

pub use child::{Child, StdoutReader};
pub use command::{Command, Stdin, Stdout};
pub use outcome::{CleanExit, ExitState, Output, ProcessError, ProcessFailed, SpawnError};

/// Something that starts programs: this machine, or a sandbox on it.
pub trait Spawn: Send + Sync {
    /// Starts a program and returns without waiting for it.
    fn spawn(&self, command: Command) -> Result<Child, SpawnError>;
}

/// Starts programs on this machine with our own rights and network.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalSpawn;

impl LocalSpawn {
    /// The only value there is.
    pub const fn new() -> Self {
        Self
    }
}

impl Spawn for LocalSpawn {
    fn spawn(&self, command: Command) -> Result<Child, SpawnError> {
        start(command)
    }
}

/// Runs a program to its end and gives what it wrote to standard output.
///
/// Unless the command says otherwise, at most 16 MiB of output are taken; more is a failure. A
/// program that has not ended after `timeout` is killed with all its descendants in its group.
pub fn run_captured(
    spawn: &dyn Spawn,
    command: Command,
    timeout: Duration,
) -> Result<Output, ProcessError> {
    let command = command.captured_by_default(DEFAULT_CAPTURE);
    let mut child = spawn.spawn(command)?;
    if child.wait_timeout(timeout).is_none() {
        child.kill_tree();
        return Err(child.failure(ExitState::TimedOut { after: timeout }).into());
    }
    Ok(child.finish_with_output()?)
}

/// Where a program is found: as given when the name contains `/`, otherwise along `PATH`.
pub fn find_program(program: impl AsRef<Path>) -> Option<PathBuf> {
    let program = program.as_ref();
    if program.components().count() != 1 || program.is_absolute() {
        return is_executable(program).then(|| program.to_path_buf());
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|found| is_executable(found))
}

/// What is searched when the environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const DEFAULT_CAPTURE: usize = 16 << 20;
/// What a program may know of our environment unless it is told more.
const INHERITED: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];

/// Starts a command on this machine.
pub(crate) fn start(command: Command) -> Result<Child, SpawnError> {
    let name = command.display_name();
    let program = find_program(&command.program).ok_or_else(|| SpawnError::NotFound {
        program: name.clone(),
    })?;
    let failed = |source| SpawnError::Failed {
        program: name.clone(),
        source,
    };
    let mut system = std::process::Command::new(program);
    system
        .args(&command.args)
        .env_clear()
        .process_group(0)
        .stderr(Stdio::piped());
    for variable in INHERITED {
        if let Some(value) = std::env::var_os(variable) {
            system.env(variable, value);
        }
    }
    command.apply_environment(&mut system);
    if let Some(dir) = &command.dir {
        system.current_dir(dir);
    }
    let secrets = command.secrets();
    let (stdin, to_write) = command.stdin.into_stdio();
    let (stdout, capture) = command.stdout.into_stdio();
    let inner = system.stdin(stdin).stdout(stdout).spawn().map_err(failed)?;
    Child::adopt(inner, name.clone(), secrets, to_write, capture).map_err(failed)
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}
