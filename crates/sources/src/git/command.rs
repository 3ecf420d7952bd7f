//! Running git with nothing of the user's configuration, no hooks and no prompts.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::time::Duration;

use vouchsafe_capture::{CaptureContext, CaptureError};
use vouchsafe_host::files::{self, PRIVATE_DIR, PRIVATE_FILE, TempDir};
use vouchsafe_host::{Command, Output, ProcessFailed, Stdin, Stdout};
use vouchsafe_model::Engine;

use crate::failure;

/// Starts git for one piece of work.
pub(super) struct Git<'a> {
    pub(super) ctx: &'a CaptureContext<'a>,
    config: PathBuf,
}

/// What git finds in place of the user's configuration. The messages of `fsck` that are lowered to warnings concern how
/// old tools wrote objects, which a copy must preserve; damage is never lowered.
const CONFIG: &str = "\
[safe]\n\tdirectory = *\n\
[core]\n\thooksPath = /dev/null\n\tfsmonitor = false\n\taskPass =\n\
[credential]\n\thelper =\n\
[gc]\n\tauto = 0\n\
[maintenance]\n\tauto = false\n\
[fetch]\n\tunpackLimit = 1\n\
[transfer]\n\tunpackLimit = 1\n\
[receive]\n\tdenyCurrentBranch = updateInstead\n\
[protocol \"ext\"]\n\tallow = never\n\
[protocol \"fd\"]\n\tallow = never\n\
[http]\n\tlowSpeedLimit = 100\n\tlowSpeedTime = 120\n\
[fsck]\n\tbadDate = warn\n\tbadDateOverflow = warn\n\tbadEmail = warn\n\tbadName = warn\n\tbadTimezone = warn\n\
\tduplicateEntries = warn\n\tmissingEmail = warn\n\tmissingNameBeforeEmail = warn\n\tmissingSpaceBeforeDate = warn\n\
\tmissingSpaceBeforeEmail = warn\n\tmultipleAuthors = warn\n\ttreeNotSorted = warn\n\tzeroPaddedDate = warn\n\
\tzeroPaddedFilemode = warn\n";

/// Variables that keep the surroundings out.
const ENVIRONMENT: [(&str, &str); 8] = [
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_ATTR_NOSYSTEM", "1"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("GIT_OPTIONAL_LOCKS", "0"),
    // Replacements would hide what the refs really reach.
    ("GIT_NO_REPLACE_OBJECTS", "1"),
    (
        "GIT_SSH_COMMAND",
        "ssh -o BatchMode=yes -o ConnectTimeout=30 -o ServerAliveInterval=15",
    ),
    ("GIT_LFS_FORCE_PROGRESS", "0"),
    ("LC_ALL", "C"),
];

const LOOK: Duration = Duration::from_millis(200);

impl<'a> Git<'a> {
    /// Prepares the private configuration.
    pub(super) fn new(ctx: &'a CaptureContext<'a>) -> Result<Git<'a>, CaptureError> {
        files::create_dir_all(ctx.work_dir, PRIVATE_DIR).map_err(failure::file)?;
        let work_dir = files::canonicalize(ctx.work_dir).map_err(failure::file)?;
        let config = work_dir.join("gitconfig");
        files::write_atomic(&config, CONFIG.as_bytes(), PRIVATE_FILE).map_err(failure::file)?;
        Ok(Git { ctx, config })
    }

    /// Git with these arguments.
    pub(super) fn command(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let clean = Command::new("git").env("GIT_CONFIG_GLOBAL", &self.config);
        ENVIRONMENT
            .iter()
            .fold(clean, |command, (key, value)| command.env(key, value))
            .args(args)
    }

    /// Git on the repository in this directory, which is the bare repository or the `.git` itself.
    pub(super) fn on(
        &self,
        repository: &Path,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Command {
        let mut option = std::ffi::OsString::from("--git-dir=");
        option.push(repository);
        self.command([option]).args(args)
    }

    /// Runs to the end; looks for an interrupt meanwhile. A failure is a value.
    pub(super) fn attempt(
        &self,
        command: Command,
    ) -> Result<Result<Output, ProcessFailed>, CaptureError> {
        let mut child = self
            .ctx
            .spawn
            .spawn(command)
            .map_err(|e| CaptureError::Program {
                program: "git".to_owned(),
                message: e.to_string(),
                remedy: "install git (Debian: apt-get install git)".to_owned(),
            })?;
        while child.wait_timeout(LOOK).is_none() {
            if self.ctx.interrupt.requested() {
                child.kill_tree();
                return Err(CaptureError::Interrupted);
            }
        }
        Ok(child.finish_with_output())
    }

    /// [`Git::attempt`], where a failure is an error.
    pub(super) fn run(&self, command: Command, remedy: &str) -> Result<Output, CaptureError> {
        self.attempt(command)?
            .map_err(|failed| program_error(&failed, remedy))
    }

    /// The first line that a command prints, without its end.
    pub(super) fn line(&self, command: Command, remedy: &str) -> Result<String, CaptureError> {
        let output = self.run(command.capture(1 << 20), remedy)?;
        Ok(output.text().lines().next().unwrap_or_default().to_owned())
    }

    /// Whether a command ends with success.
    pub(super) fn succeeds(&self, command: Command) -> Result<bool, CaptureError> {
        Ok(self.attempt(command)?.is_ok())
    }

    /// Runs a command with its output in a file, however long, open at its beginning.
    pub(super) fn to_file(&self, command: Command, remedy: &str) -> Result<Spool, CaptureError> {
        let spool = Spool::new(self.ctx.work_dir)?;
        self.run(command.stdout(spool.output()?), remedy)?;
        spool.rewound()
    }

    /// Git's version.
    pub(super) fn engine(&self) -> Result<Engine, CaptureError> {
        let text = self.line(
            self.command(["version"]),
            "install git (Debian: apt-get install git)",
        )?;
        let version = text
            .strip_prefix("git version ")
            .unwrap_or(&text)
            .to_owned();
        Ok(Engine {
            name: "git".to_owned(),
            version,
        })
    }
}

/// What a failed program said, as an error.
pub(super) fn program_error(failed: &ProcessFailed, remedy: &str) -> CaptureError {
    let message = failed.to_string();
    let message = message.strip_prefix("git ").unwrap_or(&message).to_owned();
    CaptureError::Program {
        program: "git".to_owned(),
        message,
        remedy: remedy.to_owned(),
    }
}

/// A private temporary file between two programs.
pub(super) struct Spool {
    file: File,
    dir: TempDir,
}

impl Spool {
    /// An empty one in this directory.
    pub(super) fn new(parent: &Path) -> Result<Spool, CaptureError> {
        let dir = files::scratch_dir_in(parent, "git-spool-").map_err(failure::file)?;
        let file =
            files::create_new(dir.path().join("lines"), PRIVATE_FILE).map_err(failure::file)?;
        Ok(Spool { file, dir })
    }

    /// Appends bytes.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), CaptureError> {
        std::io::Write::write_all(&mut self.file, bytes).map_err(|e| self.io("write", e))
    }

    /// Back at the beginning.
    pub(super) fn rewound(mut self) -> Result<Spool, CaptureError> {
        self.file.rewind().map_err(|e| self.io("read", e))?;
        Ok(self)
    }

    /// As the output of a program.
    pub(super) fn output(&self) -> Result<Stdout, CaptureError> {
        Ok(Stdout::File(
            self.file.try_clone().map_err(|e| self.io("write", e))?,
        ))
    }

    /// As the input of a program.
    pub(super) fn input(&self) -> Result<Stdin, CaptureError> {
        // A handle of its own: programs move the position in what they are given.
        let file = files::open_read(self.dir.path().join("lines")).map_err(failure::file)?;
        Ok(Stdin::File(file))
    }

    /// Reads from the current position.
    pub(super) fn reader(&self) -> BufReader<&File> {
        BufReader::with_capacity(1 << 16, &self.file)
    }

    /// Each line without its end; `each` may stop the reading with an error.
    pub(super) fn lines(
        &self,
        mut each: impl FnMut(&[u8]) -> Result<(), CaptureError>,
    ) -> Result<(), CaptureError> {
        let mut reader = self.reader();
        let mut line = Vec::new();
        loop {
            line.clear();
            // No ref or path is longer; what is, is cut rather than kept.
            let count = (&mut reader)
                .take(1 << 20)
                .read_until(b'\n', &mut line)
                .map_err(|e| self.io("read", e))?;
            if count == 0 {
                return Ok(());
            }
            each(line.strip_suffix(b"\n").unwrap_or(&line))?;
        }
    }

    /// An error of this file.
    pub(super) fn io(&self, operation: &'static str, source: std::io::Error) -> CaptureError {
        CaptureError::io(operation, self.dir.path().display().to_string(), source)
    }
}
