//! The PostgreSQL server that is backed up, and those that are brought back.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::bench::data::at;
use crate::bench::measure::Job;
use crate::{apt, program};

/// How long a server may take to start, to recover, or to stop.
const PATIENCE: Duration = Duration::from_secs(300);

/// The words that make a program run as this user, if we are root. They become the program.
pub(crate) fn as_user(user: &str) -> Vec<String> {
    if !apt::is_root() {
        return Vec::new();
    }
    let words = [
        "setpriv".to_owned(),
        format!("--reuid={user}"),
        format!("--regid={user}"),
        "--init-groups".to_owned(),
        "--".to_owned(),
    ];
    words.to_vec()
}

/// A program that runs as this user, if we are root.
pub(crate) fn command_as(user: &str, program: &Path) -> Command {
    let words = as_user(user);
    let Some((first, rest)) = words.split_first() else {
        return Command::new(program);
    };
    let mut command = Command::new(first);
    command.args(rest).arg(program);
    command
}

/// The same, to be measured.
pub(crate) fn job_as(user: &str, program: &Path) -> Job {
    let words = as_user(user);
    let Some((first, rest)) = words.split_first() else {
        return Job::new(program);
    };
    Job::new(Path::new(first)).args(rest).arg(program)
}

/// Makes a folder that belongs to this user, anew.
pub(crate) fn folder_of(user: &str, path: &Path) -> Result<(), String> {
    crate::bench::tree::remove(path)?;
    fs::create_dir_all(path).map_err(at(path))?;
    let private = fs::Permissions::from_mode(0o700);
    fs::set_permissions(path, private).map_err(at(path))?;
    give(user, path)
}

/// Gives everything below to this user, if we are root.
pub(crate) fn give(user: &str, path: &Path) -> Result<(), String> {
    if !apt::is_root() {
        return Ok(());
    }
    let mut command = Command::new("chown");
    program::run_quietly(command.args(["-R", &format!("{user}:{user}")]).arg(path))
}

/// The account of the server.
pub(crate) const USER: &str = "postgres";

/// A server that runs, reached by a socket alone. It is stopped when it is dropped.
pub(crate) struct Server {
    process: Process,
    programs: PathBuf,
    home: PathBuf,
    data: PathBuf,
}

/// How it runs, and so how it is stopped.
enum Process {
    Child(Child),
    /// Started by `pg_ctl`.
    Daemon,
    Gone,
}

/// What the server is told beyond its defaults: it does nothing by itself that a run would have to pay for.
const SETTINGS: &[&str] = &[
    "listen_addresses=",
    "shared_buffers=256MB",
    "max_wal_size=8GB",
    "checkpoint_timeout=1h",
    "autovacuum=off",
    "track_commit_timestamp=on",
    "wal_level=replica",
];

impl Server {
    /// Makes a server in an empty folder and starts it. Its WAL is archived as `archive_command` says, which is
    /// nothing at first.
    pub(crate) fn create(home: &Path) -> Result<Self, String> {
        let programs = programs()?;
        folder_of(USER, home)?;
        let data = home.join("data");
        let mut made = command_as(USER, &programs.join("initdb"));
        made.args(["-U", USER, "-A", "trust", "-E", "UTF8", "--no-locale", "-k"])
            .args(["--no-sync", "-D"])
            .arg(&data)
            .current_dir(home);
        program::run_quietly(&mut made).map_err(|error| {
            format!(
                "{error}: the user {USER} must get to {}: name another place by --dir",
                home.display()
            )
        })?;
        let archive = ["archive_mode=on", "archive_command=true"];
        let settings = archive.map(str::to_owned);
        // What `ALTER SYSTEM` sets later has to win, so these are in the file.
        let file = data.join("postgresql.conf");
        let mut conf = fs::OpenOptions::new()
            .append(true)
            .open(&file)
            .map_err(at(&file))?;
        for setting in &settings {
            let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
            writeln!(conf, "{name} = '{value}'").map_err(at(&file))?;
        }
        Self::start(programs, home, &data)
    }

    /// The words for a shell that start a server on `data`, without an archive, and wait until it answers a query.
    pub(crate) fn start_words(home: &Path, data: &Path) -> Result<String, String> {
        let programs = programs()?;
        let user = as_user(USER).join(" ");
        let settings: Vec<String> = SETTINGS
            .iter()
            .chain(&["archive_mode=off"])
            .map(|setting| format!("-c {setting}"))
            .collect();
        let (programs, home, data) = (programs.display(), home.display(), data.display());
        Ok(format!(
            "{user} {programs}/pg_ctl start -s -w -t 300 -D '{data}' -l '{home}/log' -o \"-k '{home}' {}\"\n\
             {programs}/psql -XAtq -h '{home}' -U {USER} -d {USER} -c 'SELECT count(*) FROM pgbench_branches'",
            settings.join(" ")
        ))
    }

    /// The server that those words have started.
    pub(crate) fn started(home: &Path, data: &Path) -> Result<Self, String> {
        Ok(Self {
            process: Process::Daemon,
            programs: programs()?,
            home: home.to_path_buf(),
            data: data.to_path_buf(),
        })
    }

    fn start(programs: PathBuf, home: &Path, data: &Path) -> Result<Self, String> {
        let log = home.join("log");
        let file = fs::File::create(&log).map_err(at(&log))?;
        let mut command = command_as(USER, &programs.join("postgres"));
        command
            .arg("-D")
            .arg(data)
            .arg("-k")
            .arg(home)
            .args(SETTINGS.iter().flat_map(|each| ["-c", each]))
            .current_dir(home)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file);
        let child = command
            .spawn()
            .map_err(|error| format!("postgres: {error}"))?;
        let mut server = Self {
            process: Process::Child(child),
            programs,
            home: home.to_path_buf(),
            data: data.to_path_buf(),
        };
        server.wait_until_ready(&log)?;
        Ok(server)
    }

    fn wait_until_ready(&mut self, log: &Path) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            if program::succeeds(self.client("psql").args(["-Xc", "SELECT 1", USER])) {
                return Ok(());
            }
            let ended = match &mut self.process {
                Process::Child(child) => child.try_wait().ok().flatten(),
                Process::Daemon | Process::Gone => None,
            };
            if ended.is_some() || begun.elapsed() > PATIENCE {
                let said = fs::read_to_string(log).unwrap_or_default();
                return Err(format!("PostgreSQL does not start ({ended:?}): {said}"));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Where its socket is.
    pub(crate) fn socket(&self) -> &Path {
        &self.home
    }

    /// Where its data is.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// One of its programs.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// A client program, set up to reach it.
    pub(crate) fn client(&self, name: &str) -> Command {
        let mut command = Command::new(self.program(name));
        command.env("PGHOST", &self.home).env("PGUSER", USER);
        command
    }

    /// The URL by which we are told of the whole server.
    pub(crate) fn url(&self) -> String {
        format!("postgres://{USER}@localhost?host={}", self.home.display())
    }

    /// Runs statements; the rows of all, fields between `|`.
    pub(crate) fn sql(&self, statements: &str) -> Result<String, String> {
        let mut psql = self.client("psql");
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", USER, "-c"]);
        let said = program::read(psql.arg(statements))?;
        Ok(said.trim().to_owned())
    }

    /// A number that a statement gives.
    pub(crate) fn number(&self, statement: &str) -> Result<u64, String> {
        let said = self.sql(statement)?;
        said.parse()
            .map_err(|_| format!("{statement}: {said:?} is no number"))
    }

    /// Sets a setting that takes effect without a restart, and waits until it does.
    pub(crate) fn set(&self, name: &str, value: &str) -> Result<(), String> {
        let quoted = value.replace('\'', "''");
        self.sql(&format!("ALTER SYSTEM SET {name} = '{quoted}'"))?;
        self.sql("SELECT pg_reload_conf()")?;
        let begun = Instant::now();
        while self.sql(&format!("SHOW {name}"))? != value {
            if begun.elapsed() > PATIENCE {
                return Err(format!("{name} does not become {value:?}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Stops it.
    pub(crate) fn stop(&mut self) -> Result<(), String> {
        match std::mem::replace(&mut self.process, Process::Gone) {
            Process::Gone => Ok(()),
            Process::Daemon => {
                let mut command = command_as(USER, &self.program("pg_ctl"));
                command.args(["stop", "-s", "-m", "fast", "-w", "-D"]);
                program::run_quietly(command.arg(&self.data).current_dir("/"))
            }
            Process::Child(child) => stop(child),
        }
    }
}

fn stop(mut child: Child) -> Result<(), String> {
    // Not yet waited for, so the number is still its own.
    let pid = child.id().to_string();
    program::run_quietly(Command::new("kill").args(["-INT", &pid]))?;
    let begun = Instant::now();
    while matches!(child.try_wait(), Ok(None)) {
        if begun.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            return Err("PostgreSQL does not stop".to_owned());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

/// The programs of the newest server that is installed.
pub(crate) fn programs() -> Result<PathBuf, String> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let found = versions.flatten().filter_map(|entry| {
        let version: u32 = entry.file_name().to_str()?.parse().ok()?;
        let programs = entry.path().join("bin");
        let there = programs.join("initdb").is_file();
        there.then_some((version, programs))
    });
    let newest = found.max().map(|(_, programs)| programs);
    newest.ok_or_else(|| "PostgreSQL is not installed: `cargo xtask setup`".to_owned())
}
