//! Stock restic as an oracle: two versions, run apart from the user's own settings and cache.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// Names the program that is the newest reader and writer, 0.18 or later.
pub const NEWEST_VARIABLE: &str = "VOUCHSAFE_TEST_RESTIC";
/// Names the program that is the oldest reader we promise anything to, 0.14.
pub const OLDEST_VARIABLE: &str = "VOUCHSAFE_TEST_RESTIC_OLD";

const ADVICE: &str = "run the tests by `cargo xtask test [-p PACKAGE]`, which provides it, \
                      or `eval \"$(cargo xtask env)\"` first";

/// One installed version of restic.
#[derive(Debug, Clone)]
pub struct Restic {
    program: PathBuf,
    version: (u32, u32, u32),
}

/// What one run of restic came to.
#[derive(Debug, Clone)]
pub struct ResticRun {
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to its standard output: bytes, as `dump` yields them.
    pub stdout: Vec<u8>,
    /// What it wrote to its standard error.
    pub stderr: String,
    /// The arguments, for messages.
    pub arguments: Vec<OsString>,
}

/// A run of restic that is being put together.
#[derive(Debug)]
pub struct ResticCall<'a> {
    restic: &'a Restic,
    arguments: Vec<OsString>,
    repository: OsString,
    password: String,
    other: Option<(OsString, String)>,
    dir: Option<PathBuf>,
    variables: Vec<(OsString, OsString)>,
    input: Option<Vec<u8>>,
}

impl Restic {
    /// Restic 0.18 or later.
    ///
    /// # Panics
    /// If it is not provided, does not run, or is too old.
    pub fn newest() -> Self {
        let restic = Self::named_by(NEWEST_VARIABLE);
        assert!(
            restic.version >= (0, 18, 0),
            "{} is restic {}, 0.18 or later is needed: {ADVICE}",
            restic.program.display(),
            restic.version()
        );
        restic
    }

    /// Restic 0.14, the oldest that must read what we write.
    ///
    /// # Panics
    /// If it is not provided, does not run, or is another version.
    pub fn oldest() -> Self {
        let restic = Self::named_by(OLDEST_VARIABLE);
        assert!(
            matches!(restic.version, (0, 14, _)),
            "{} is restic {}, 0.14 is needed: {ADVICE}",
            restic.program.display(),
            restic.version()
        );
        restic
    }

    /// Both, oldest first: for what must hold with each.
    pub fn both() -> [Self; 2] {
        [Self::oldest(), Self::newest()]
    }

    /// Its version, as `0.18.0`.
    pub fn version(&self) -> String {
        let (major, minor, patch) = self.version;
        format!("{major}.{minor}.{patch}")
    }

    /// Where the program is.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Runs it on the repository at `repository` and waits for its end.
    ///
    /// # Panics
    /// If it cannot be started. How it ended is for the caller to judge.
    pub fn run<I, S>(
        &self,
        arguments: I,
        repository: impl AsRef<OsStr>,
        password: &str,
    ) -> ResticRun
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.call(arguments, repository, password).run()
    }

    /// Like [`Restic::run`], for runs that need a directory, an input or a second repository.
    pub fn call<I, S>(
        &self,
        arguments: I,
        repository: impl AsRef<OsStr>,
        password: &str,
    ) -> ResticCall<'_>
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        ResticCall {
            restic: self,
            arguments: arguments.into_iter().map(|a| a.as_ref().into()).collect(),
            repository: repository.as_ref().into(),
            password: password.to_owned(),
            other: None,
            dir: None,
            variables: Vec::new(),
            input: None,
        }
    }

    fn named_by(variable: &str) -> Self {
        let Some(program) = std::env::var_os(variable).map(PathBuf::from) else {
            panic!("{variable} does not name a restic: {ADVICE}");
        };
        let output = Command::new(&program).arg("version").env_clear().output();
        let output = output.unwrap_or_else(|error| {
            panic!(
                "{variable}: cannot run {}: {error}: {ADVICE}",
                program.display()
            )
        });
        let text = String::from_utf8_lossy(&output.stdout);
        let Some(version) = parse_version(&text) else {
            panic!(
                "{variable}: {} is no restic: it says {text:?}",
                program.display()
            );
        };
        Self { program, version }
    }
}

impl ResticCall<'_> {
    /// Starts in `dir`, so that relative paths are backed up relative to it.
    #[must_use]
    pub fn in_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Gives it `input` to read, as for `backup --stdin`.
    #[must_use]
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = Some(input.into());
        self
    }

    /// Names the repository that `copy` and `init --copy-chunker-params` read from.
    #[must_use]
    pub fn from_repository(mut self, repository: impl AsRef<OsStr>, password: &str) -> Self {
        self.other = Some((repository.as_ref().into(), password.to_owned()));
        self
    }

    /// Sets one variable of its environment, which is otherwise empty but for `PATH`.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Runs it and waits for its end.
    ///
    /// # Panics
    /// If it cannot be started. How it ended is for the caller to judge.
    pub fn run(self) -> ResticRun {
        let private = tempfile::tempdir().expect("a temporary directory");
        let mut command = self.command(&private);
        let mut child = command
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {}: {e}", self.restic.program.display()));
        let stdin = child.stdin.take();
        let input = self.input.unwrap_or_default();
        let output = std::thread::scope(|scope| {
            scope.spawn(|| {
                // A program that ends without reading everything says why in its own words.
                if let Some(mut stdin) = stdin {
                    let _ = stdin.write_all(&input);
                }
            });
            child.wait_with_output().expect("the output of restic")
        });
        ResticRun {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            arguments: self.arguments,
        }
    }

    fn command(&self, private: &TempDir) -> Command {
        let mut command = Command::new(&self.restic.program);
        command
            .arg("--no-cache")
            .args(&self.arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", private.path())
            .env("TMPDIR", private.path())
            .env("RESTIC_REPOSITORY", &self.repository)
            .env(
                "RESTIC_PASSWORD_FILE",
                password_file(private, "password", &self.password),
            )
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(if self.input.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some((repository, password)) = &self.other {
            command.env("RESTIC_FROM_REPOSITORY", repository).env(
                "RESTIC_FROM_PASSWORD_FILE",
                password_file(private, "from-password", password),
            );
        }
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        command
    }
}

impl ResticRun {
    /// Whether it ended with exit code 0.
    pub fn is_success(&self) -> bool {
        self.code == Some(0)
    }

    /// This run, which must have ended with exit code 0.
    ///
    /// # Panics
    /// If it did not, with everything that restic said.
    #[track_caller]
    pub fn succeeded(self) -> Self {
        assert!(self.is_success(), "{}", self.describe());
        self
    }

    /// This run, which must have ended with another exit code than 0.
    ///
    /// # Panics
    /// If restic was content.
    #[track_caller]
    pub fn failed(self) -> Self {
        assert!(!self.is_success(), "{}", self.describe());
        self
    }

    /// What it wrote to its standard output, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    fn describe(&self) -> String {
        format!(
            "restic {:?} ended with {:?}\n--- stdout\n{}\n--- stderr\n{}",
            self.arguments,
            self.code,
            self.text(),
            self.stderr
        )
    }
}

fn password_file(private: &TempDir, name: &str, password: &str) -> PathBuf {
    let path = private.path().join(name);
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(password.as_bytes()))
        .expect("a password file");
    path
}

/// Reads the first line of `restic version`: `restic 0.18.0 compiled with …`.
fn parse_version(text: &str) -> Option<(u32, u32, u32)> {
    let word = text.strip_prefix("restic ")?.split_whitespace().next()?;
    let mut numbers = word.split(['.', '-']).map(|part| part.parse().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_numbers() {
        let of = |text| parse_version(text);
        assert_eq!(
            of("restic 0.18.0 compiled with go1.24.4 on linux/amd64\n"),
            Some((0, 18, 0))
        );
        assert_eq!(of("restic 0.9.6-dev (compiled)"), Some((0, 9, 6)));
        assert_eq!(of("rustic 0.18.0"), None);
        assert_eq!(of("restic latest"), None);
        assert_eq!(of(""), None);
    }

    #[test]
    fn both_versions_write_and_read_a_repository_of_their_own() {
        for restic in Restic::both() {
            let dir = tempdir_with("hello.txt", b"hello");
            let repo = dir.path().join("repo");
            restic.run(["init"], &repo, "secret").succeeded();
            restic
                .call(["backup", "hello.txt"], &repo, "secret")
                .in_dir(dir.path())
                .run()
                .succeeded();
            restic
                .call(["backup", "--stdin"], &repo, "secret")
                .input(vec![7; 300_000])
                .run()
                .succeeded();
            let first = restic.run(["check", "--read-data"], &repo, "secret");
            assert!(first.succeeded().text().contains("no errors were found"));
            let dump = restic.run(["dump", "latest", "/stdin"], &repo, "secret");
            assert_eq!(dump.succeeded().stdout, vec![7; 300_000]);
        }
    }

    #[test]
    fn a_wrong_password_is_a_failed_run() {
        let dir = tempdir_with("hello.txt", b"hello");
        let repo = dir.path().join("repo");
        let restic = Restic::newest();
        restic.run(["init"], &repo, "secret").succeeded();
        let run = restic.run(["snapshots"], &repo, "wrong").failed();
        assert_eq!(run.code, Some(12));
    }

    fn tempdir_with(name: &str, content: &[u8]) -> TempDir {
        let dir = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(dir.path().join(name), content).expect("a file");
        dir
    }
}
