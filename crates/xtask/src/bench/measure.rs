//! One measured run of one program: wall time, the CPU time of its process tree, its peak memory.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use wait4::Wait4;

use super::data::at;
use super::group::Group;

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
        let mut command = self.command(group.as_ref());
        command
            .stdout(File::create(&stdout).map_err(at(&stdout))?)
            .stderr(File::create(&stderr).map_err(at(&stderr))?);
        let source = self
            .input
            .as_deref()
            .map(|path| File::open(path).map_err(at(path)));
        let mut source = source.transpose()?;
        let start = Instant::now();
        let mut child = command
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", self.program.display()))?;
        let used = std::thread::scope(|scope| {
            if let (Some(source), Some(mut pipe)) = (source.as_mut(), child.stdin.take()) {
                // Should the program end early, its exit code says so.
                scope.spawn(move || std::io::copy(source, &mut pipe).and_then(|_| pipe.flush()));
            }
            child.wait4()
        });
        let wall = start.elapsed();
        let used = used.map_err(|error| format!("{}: {error}", self.program.display()))?;
        let output = std::fs::read_to_string(&stdout).unwrap_or_default();
        if !used.status.success() {
            let said = std::fs::read_to_string(&stderr).unwrap_or_default();
            return Err(self.failure(used.status, group.as_ref(), limit, &said));
        }
        Ok(Measured {
            wall,
            cpu: used.rusage.utime + used.rusage.stime,
            peak: used.rusage.maxrss,
            output,
        })
    }

    fn command(&self, group: Option<&Group>) -> Command {
        let mut command = match group {
            None => Command::new(&self.program),
            Some(group) => {
                // The shell enters the group and then becomes the program.
                let mut shell = Command::new("/bin/sh");
                shell
                    .args(["-c", "echo $$ > \"$0\" && exec \"$@\""])
                    .arg(group.members())
                    .arg(&self.program);
                shell
            }
        };
        command
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
        command
    }

    fn failure(
        &self,
        status: std::process::ExitStatus,
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
            _ => format!("{} failed: {status}: {}", name.display(), said.join(" | ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logs() -> PathBuf {
        let id = std::thread::current().id();
        let dir = std::env::temp_dir().join(format!("xtask-job-{}-{id:?}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        dir
    }

    fn shell(script: &str) -> Job {
        Job::new(Path::new("/bin/sh")).args(["-c", script])
    }

    #[test]
    fn a_run_is_measured_with_its_children() {
        let dir = logs();
        let script = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; echo done";
        let run = shell(&format!("sleep 0.3; sh -c '{script}'"))
            .run(None, &dir)
            .unwrap();
        assert_eq!(run.output, "done\n");
        assert!(run.wall >= Duration::from_millis(300), "{:?}", run.wall);
        // The loop burns far more than this; sleeping burns nothing.
        assert!(run.cpu >= Duration::from_millis(10), "{:?}", run.cpu);
        assert!(run.peak > 500_000 && run.peak < 1 << 30, "{}", run.peak);
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_failure_is_an_error_that_says_why_also_when_the_input_is_not_taken() {
        let dir = logs();
        let large = dir.join("large");
        std::fs::write(&large, vec![7; 4 << 20]).unwrap();
        let error = shell("echo bad luck >&2; exit 3")
            .input(&large)
            .run(None, &dir)
            .unwrap_err();
        assert!(error.contains("bad luck") && error.contains('3'), "{error}");
        let counted = shell("wc -c").input(&large).run(None, &dir).unwrap();
        assert_eq!(counted.output.trim(), "4194304");
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn nothing_of_our_environment_reaches_it_but_the_path() {
        let dir = logs();
        let run = shell("env").env("ONE", "1").run(None, &dir).unwrap();
        let names = run.output.lines().filter_map(|line| line.split('=').next());
        let known = ["PATH", "ONE", "PWD", "OLDPWD", "SHLVL", "_"];
        assert!(names.clone().any(|name| name == "ONE"));
        assert!(
            names.clone().all(|name| known.contains(&name)),
            "{}",
            run.output
        );
        std::fs::remove_dir_all(dir).unwrap();
    }
}
