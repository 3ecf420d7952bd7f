//! pgBackRest, set up as its own guide advises for much data: two processes, encrypted, zstd, bundles, blocks, archive.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::fill;
use super::server::{self, Server, USER};
use crate::bench::data::at;
use crate::bench::measure::Job;
use crate::{apt, program, workspace};

/// The program, and one repository with its configuration.
pub(crate) struct PgBackRest {
    program: PathBuf,
    /// Whether a part of a file that changed can be stored by itself.
    blocks: bool,
    version: String,
    home: PathBuf,
}

/// Names a pgBackRest that is to be used instead.
const VARIABLE: &str = "VOUCHSAFE_BENCH_PGBACKREST";

/// What of Debian 13 is needed beside its pgBackRest on a machine of Debian 12; everything else is the machine's own.
const NEWER: [&str; 4] = ["pgbackrest", "libc6", "libssh2-1t64", "libssl3t64"];

impl PgBackRest {
    /// Finds the one that is named, or provides Debian 13's, which knows block incremental backups (2.46 and later), or
    /// else Debian 12's, which does not.
    pub(crate) fn provide(home: &Path) -> Result<Self, String> {
        let program = match std::env::var_os(VARIABLE) {
            Some(named) => PathBuf::from(named),
            None => newer().or_else(|error| {
                eprintln!("pgBackRest of Debian 13 does not do: {error}");
                installed()
            })?,
        };
        let version = fill::version(Command::new(&program).arg("version"))?;
        let help = program::read(Command::new(&program).args(["help", "backup"]))?;
        let blocks = help.contains("--repo-block");
        let version = match blocks {
            true => version,
            false => format!("{version} (without block incremental backups)"),
        };
        Ok(Self {
            program,
            blocks,
            version,
            home: home.to_path_buf(),
        })
    }

    /// Which one it is.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Where its backups lie, without the archive.
    pub(crate) fn backups(&self) -> PathBuf {
        self.home.join("repo/backup")
    }

    /// Begins an empty repository for this server, and has the server archive to it.
    pub(crate) fn begin(&self, server: &Server) -> Result<(), String> {
        server.set("archive_command", "true")?;
        server::folder_of(USER, &self.home)?;
        for name in ["repo", "log", "lock", "spool"] {
            server::folder_of(USER, &self.home.join(name))?;
        }
        let config = self.config();
        let blocks = if self.blocks { "repo1-block=y\n" } else { "" };
        let text = format!(
            "[global]\nrepo1-path={home}/repo\nrepo1-cipher-type=aes-256-cbc\n\
             repo1-cipher-pass=a password for measuring\nrepo1-bundle=y\n{blocks}repo1-retention-full=99\n\
             compress-type=zst\nprocess-max=2\nstart-fast=y\nlog-path={home}/log\nlock-path={home}/lock\n\
             spool-path={home}/spool\nlog-level-console=warn\nlog-level-file=off\n\n\
             [main]\npg1-path={data}\npg1-socket-path={socket}\npg1-user={USER}\n",
            home = self.home.display(),
            data = server.data().display(),
            socket = server.socket().display(),
        );
        fs::write(&config, text).map_err(at(&config))?;
        server::give(USER, &self.home)?;
        program::run_quietly(&mut self.command("stanza-create"))?;
        server.set("archive_command", &self.archive_command())?;
        program::run_quietly(&mut self.command("check"))
    }

    /// A backup: `full` or `incr`.
    pub(crate) fn backup(&self, kind: &str) -> Job {
        server::job_as(USER, &self.program)
            .arg(format!("--config={}", self.config().display()))
            .arg("--stanza=main")
            .arg(format!("--type={kind}"))
            .arg("backup")
            .current_dir(&self.home)
    }

    /// The words for a shell that restore the newest backup, to the moment at which it was whole.
    pub(crate) fn restore_words(&self, to: &Path) -> String {
        let mut words = server::as_user(USER);
        words.push(self.program.display().to_string());
        words.push(format!("--config={}", self.config().display()));
        words.push("--stanza=main".to_owned());
        let words = words.join("' '");
        format!(
            "'{words}' --pg1-path='{}' --type=immediate --target-action=promote restore",
            to.display()
        )
    }

    fn config(&self) -> PathBuf {
        self.home.join("pgbackrest.conf")
    }

    fn archive_command(&self) -> String {
        let (program, config) = (self.program.display(), self.config());
        format!(
            "{program} --config={} --stanza=main archive-push %p",
            config.display()
        )
    }

    fn command(&self, verb: &str) -> Command {
        let mut command = server::command_as(USER, &self.program);
        command
            .arg(format!("--config={}", self.config().display()))
            .args(["--stanza=main", verb])
            .current_dir(&self.home);
        command
    }
}

/// Debian 13's, beside the system, started by the dynamic linker of its own C library.
fn newer() -> Result<PathBuf, String> {
    let dir = workspace::root()?.join("target/oracles");
    fs::create_dir_all(&dir).map_err(at(&dir))?;
    let wrapper = dir.join("pgbackrest-trixie");
    if fill::version(Command::new(&wrapper).arg("version")).is_ok() {
        return Ok(wrapper);
    }
    // It asks PostgreSQL through the machine's own library.
    if program::find("pgbackrest").is_none() {
        apt::install(&["pgbackrest"])?;
    }
    let part = |name: &str| dir.join(format!("{name}-trixie.d"));
    for name in NEWER {
        apt::unpack(name, "trixie", &part(name))?;
    }
    let machine = format!("{}-linux-gnu", std::env::consts::ARCH);
    let libraries: Vec<String> = NEWER
        .iter()
        .map(|name| part(name).join("usr/lib").join(&machine))
        .map(|path| path.display().to_string())
        .chain([format!("/usr/lib/{machine}")])
        .collect();
    let own = part("libc6").join("usr/lib").join(&machine);
    let linkers = fs::read_dir(&own).map_err(at(&own))?;
    let linker = linkers
        .flatten()
        .map(|entry| entry.path())
        .find(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("ld-linux"))
        })
        .ok_or_else(|| format!("{} has no dynamic linker", own.display()))?;
    // pgBackRest starts itself by the name that it was started by.
    let script = format!(
        "#!/bin/sh\nexec '{}' --argv0 \"$0\" --library-path '{}' '{}' \"$@\"\n",
        linker.display(),
        libraries.join(":"),
        part("pgbackrest").join("usr/bin/pgbackrest").display(),
    );
    fs::write(&wrapper, script).map_err(at(&wrapper))?;
    let runs = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&wrapper, runs).map_err(at(&wrapper))?;
    fill::version(Command::new(&wrapper).arg("version"))?;
    Ok(wrapper)
}

/// The machine's own, installed if it is not there.
fn installed() -> Result<PathBuf, String> {
    if program::find("pgbackrest").is_none() {
        apt::install(&["pgbackrest"])?;
    }
    program::find("pgbackrest")
        .ok_or_else(|| format!("pgBackRest cannot be had: install it, or name it in {VARIABLE}"))
}
