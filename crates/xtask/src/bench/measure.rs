//! One measured run of one program: wall time, the CPU time of its process tree, its peak memory.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::child::Used;
use super::data::at;
use super::group::Group;

/// The word by which we ask a copy of ourselves to run and measure something.
pub(crate) const MEASURED: &str = "measured";

/// What is run.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
    dir: Option<PathBuf>,
    input: Option<PathBuf>,
    limit: Option<u64>,
}

/// What it took.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Measured {
    pub(crate) wall: Duration,
    /// User and system, of the process and of all that it waited for.
    pub(crate) cpu: Duration,
    /// The largest resident set of any of its processes, in bytes.
    pub(crate) peak: u64,
    /// What it wrote to standard output.
    pub(crate) output: String,
}

impl Job {
    /// A program in an environment of its own, of which only the search path is inherited.
    pub(crate) fn new(program: &Path) -> Self {
        Self {
            program: program.to_path_buf(),
            arguments: Vec::new(),
            environment: Vec::new(),
            dir: None,
            input: None,
            limit: None,
        }
    }

    /// With this argument.
    pub(crate) fn arg(mut self, word: impl AsRef<OsStr>) -> Self {
        self.arguments.push(word.as_ref().to_owned());
        self
    }

    /// With these arguments.
    pub(crate) fn args<T: AsRef<OsStr>>(mut self, words: impl IntoIterator<Item = T>) -> Self {
        let words = words.into_iter().map(|word| word.as_ref().to_owned());
        self.arguments.extend(words);
        self
    }

    /// With this variable.
    pub(crate) fn env(mut self, name: &'static str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name, value.as_ref().to_owned()));
        self
    }

    /// In this folder.
    pub(crate) fn current_dir(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.to_path_buf());
        self
    }

    /// With this file poured through a pipe into its standard input, as fast as it is taken.
    pub(crate) fn input(mut self, file: &Path) -> Self {
        self.input = Some(file.to_path_buf());
        self
    }

    /// With this much memory for itself, its children and their page cache, whatever the limit of the others.
    pub(crate) fn limit(mut self, bytes: u64) -> Self {
        self.limit = Some(bytes);
        self
    }

    /// Runs it to its end; whatever is not a success is an error. Its output goes to files in `logs`.
    pub(crate) fn run(&self, limit: Option<u64>, logs: &Path) -> Result<Measured, String> {
        let limit = self.limit.or(limit);
        let group = limit.map(Group::new).transpose()?;
        let (stdout, stderr) = (logs.join("stdout"), logs.join("stderr"));
        let mut command = self.command(group.as_ref(), logs)?;
        command
            .stdout(File::create(&stdout).map_err(at(&stdout))?)
            .stderr(File::create(&stderr).map_err(at(&stderr))?);
        let source = self
            .input
            .as_deref()
            .map(|path| File::open(path).map_err(at(path)));
        let mut source = source.transpose()?;
        let result = logs.join("used");
        super::tree::remove(&result)?;
        let mut child = command
            .spawn()
            .map_err(|error| format!("cannot start ourselves: {error}"))?;
        let status = std::thread::scope(|scope| {
            if let (Some(source), Some(mut pipe)) = (source.as_mut(), child.stdin.take()) {
                // Should the program end early, its exit code says so.
                scope.spawn(move || std::io::copy(source, &mut pipe).and_then(|_| pipe.flush()));
            }
            child.wait()
        });
        status.map_err(|error| format!("{}: {error}", self.program.display()))?;
        let said = || std::fs::read_to_string(&stderr).unwrap_or_default();
        let used = Used::read(&result).map_err(|error| format!("{error}: {}", said()))?;
        if !used.ended.is_empty() {
            return Err(self.failure(&used.ended, group.as_ref(), limit, &said()));
        }
        Ok(Measured {
            wall: used.wall,
            cpu: used.cpu,
            peak: used.peak,
            output: std::fs::read_to_string(&stdout).unwrap_or_default(),
        })
    }

    /// A copy of ourselves that runs and measures it.
    fn command(&self, group: Option<&Group>, logs: &Path) -> Result<Command, String> {
        let own = std::env::current_exe().map_err(|error| format!("our own program: {error}"))?;
        let mut command = Command::new(own);
        command.arg(MEASURED).arg(logs.join("used"));
        if let Some(group) = group {
            // The shell enters the group and then becomes the program.
            let script = "echo $$ > \"$0\" && exec \"$@\"";
            command.args(["/bin/sh", "-c", script]).arg(group.members());
        }
        command
            .arg(&self.program)
            .args(&self.arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(match self.input {
                Some(_) => Stdio::piped(),
                None => Stdio::null(),
            });
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        Ok(command)
    }

    fn failure(
        &self,
        ended: &str,
        group: Option<&Group>,
        limit: Option<u64>,
        said: &str,
    ) -> String {
        let name = self.program.file_name().unwrap_or_default();
        let last: Vec<&str> = said.lines().rev().take(4).collect();
        let said: Vec<&str> = last.into_iter().rev().collect();
        match (group, limit) {
            (Some(group), Some(limit)) if group.has_killed() => format!(
                "{} was ended by the memory limit of {} MiB",
                name.display(),
                limit >> 20
            ),
            _ => format!("{} failed: {ended}: {}", name.display(), said.join(" | ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_our_environment_reaches_it_but_the_path() {
        let job = Job::new(Path::new("/bin/true")).env("ONE", "1").arg("x");
        let command = job.command(None, Path::new("/logs")).unwrap();
        let names: Vec<_> = command.get_envs().map(|(name, _)| name).collect();
        assert_eq!(names, ["ONE", "PATH"]);
        let words: Vec<_> = command.get_args().collect();
        assert_eq!(words, [MEASURED, "/logs/used", "/bin/true", "x"]);
    }

    #[test]
    fn a_failure_names_the_program_and_its_last_words() {
        let job = Job::new(Path::new("/usr/bin/tool"));
        let text = job.failure("exit status: 3", None, None, "a\nb\nc\nd\nbad luck\n");
        assert_eq!(text, "tool failed: exit status: 3: b | c | d | bad luck");
    }
}
