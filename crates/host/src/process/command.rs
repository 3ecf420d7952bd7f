//! What to start, and what it is given.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use vouchsafe_model::Secret;

/// What a program reads from standard input.
#[derive(Debug)]
pub enum Stdin {
    /// Nothing.
    Null,
    /// These bytes and then the end. They are kept out of error texts.
    Bytes(Secret),
    /// What is written to [`super::Child::stdin_writer`].
    Pipe,
    /// An open file.
    File(File),
}

/// Where a program's standard output goes.
#[derive(Debug)]
pub enum Stdout {
    /// Nowhere.
    Null,
    /// To [`super::Child::stdout_reader`], which must be read to its end.
    Pipe,
    /// Into memory; a program that writes more than `limit` bytes has failed.
    Capture {
        /// Bytes.
        limit: usize,
    },
    /// Into an open file.
    File(File),
}

/// A program to start, with its arguments, environment and streams.
///
/// The program sees `PATH`, `HOME`, `LANG`, `TZ` and what is set here, nothing else of our
/// environment. Arguments are visible to everybody on the machine: secrets go through
/// [`Command::secret_env`], [`Stdin::Bytes`] or a file. By default there is no input and the output
/// goes nowhere.
pub struct Command {
    pub(crate) program: OsString,
    pub(crate) args: Vec<OsString>,
    pub(crate) dir: Option<PathBuf>,
    pub(crate) stdin: Stdin,
    pub(crate) stdout: Stdout,
    env: Vec<(OsString, OsString)>,
    secret_env: Vec<(OsString, Secret)>,
    redacted: Vec<Secret>,
    shown_as: Option<String>,
}

impl Command {
    /// A program by path, or by name to be found along `PATH`.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            dir: None,
            stdin: Stdin::Null,
            stdout: Stdout::Null,
            env: Vec::new(),
            secret_env: Vec::new(),
            redacted: Vec::new(),
            shown_as: None,
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable of the program's environment.
    #[must_use]
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env
            .push((key.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Sets a variable to a secret, which is kept out of error texts.
    #[must_use]
    pub fn secret_env(mut self, key: impl AsRef<OsStr>, value: &Secret) -> Self {
        self.secret_env
            .push((key.as_ref().to_owned(), value.clone()));
        self
    }

    /// Names a further secret that must not appear in error texts, such as the content of a
    /// password file.
    #[must_use]
    pub fn redact(mut self, secret: &Secret) -> Self {
        self.redacted.push(secret.clone());
        self
    }

    /// Sets the working directory.
    #[must_use]
    pub fn current_dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.dir = Some(dir.as_ref().to_path_buf());
        self
    }

    /// Sets what the program reads.
    #[must_use]
    pub fn stdin(mut self, stdin: Stdin) -> Self {
        self.stdin = stdin;
        self
    }

    /// Sets where its output goes.
    #[must_use]
    pub fn stdout(mut self, stdout: Stdout) -> Self {
        self.stdout = stdout;
        self
    }

    /// Short for `stdout(Stdout::Capture { limit })`.
    #[must_use]
    pub fn capture(self, limit: usize) -> Self {
        self.stdout(Stdout::Capture { limit })
    }

    /// The program's name as errors show it: without directory, without arguments.
    pub fn display_name(&self) -> String {
        self.shown_as.clone().unwrap_or_else(|| {
            let name = Path::new(&self.program)
                .file_name()
                .unwrap_or(&self.program);
            name.to_string_lossy().into_owned()
        })
    }

    pub(crate) fn captured_by_default(self, limit: usize) -> Self {
        match self.stdout {
            Stdout::Capture { .. } => self,
            Stdout::Null | Stdout::Pipe | Stdout::File(_) => self.capture(limit),
        }
    }

    /// The same deed done by `launcher`, which takes the program and its arguments after its own.
    pub(crate) fn through(mut self, launcher: &Path, own_args: &[OsString]) -> Self {
        let name = self.display_name();
        let mut args = own_args.to_vec();
        args.push(std::mem::replace(&mut self.program, launcher.into()));
        args.append(&mut self.args);
        self.args = args;
        self.shown_as = Some(name);
        self
    }

    /// Sets a variable unless the command has it already.
    pub(crate) fn env_default(self, key: &str, value: impl AsRef<OsStr>) -> Self {
        let known =
            self.env.iter().any(|(k, _)| k == key) || self.secret_env.iter().any(|(k, _)| k == key);
        if known { self } else { self.env(key, value) }
    }

    pub(crate) fn apply_environment(&self, system: &mut std::process::Command) {
        for (key, value) in &self.env {
            system.env(key, value);
        }
        for (key, value) in &self.secret_env {
            system.env(key, OsStr::from_bytes(value.expose()));
        }
    }

    /// Everything that must not appear in an error text.
    pub(crate) fn secrets(&self) -> Vec<Secret> {
        let mut out = self.redacted.clone();
        out.extend(self.secret_env.iter().map(|(_, secret)| secret.clone()));
        if let Stdin::Bytes(secret) = &self.stdin {
            out.push(secret.clone());
            // Passwords are sent as lines, and repeated without their line's end.
            let line = secret.expose().trim_ascii_end();
            out.push(Secret::new(line.to_vec()));
        }
        out
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("program", &self.program)
            .field("args", &self.args)
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

impl Stdin {
    pub(crate) fn into_stdio(self) -> (Stdio, Option<Secret>) {
        match self {
            Self::Null => (Stdio::null(), None),
            Self::Bytes(bytes) => (Stdio::piped(), Some(bytes)),
            Self::Pipe => (Stdio::piped(), None),
            Self::File(file) => (file.into(), None),
        }
    }
}

impl Stdout {
    pub(crate) fn into_stdio(self) -> (Stdio, Option<usize>) {
        match self {
            Self::Null => (Stdio::null(), None),
            Self::Pipe => (Stdio::piped(), None),
            Self::Capture { limit } => (Stdio::piped(), Some(limit)),
            Self::File(file) => (file.into(), None),
        }
    }
}
