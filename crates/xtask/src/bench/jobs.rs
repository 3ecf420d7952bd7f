//! How each program is asked for each kind of work.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::measure::Job;
use super::tools::{Kind, Tool};

/// One repository of one tool, with the folders that the tool may use beside it.
#[derive(Clone, Debug)]
pub(crate) struct Lane {
    root: PathBuf,
    password: PathBuf,
}

/// Each blob is proved before it is stored, as restic does it. Reading everything back from the store afterwards is
/// more than any peer does; the row of the whole product has it.
const EQUAL_WORK: &str = "--no-read-back";

/// The name of what is streamed.
pub(crate) const STREAM: &str = "dump.sql";

impl Lane {
    /// The lane in this folder; its password is in that file.
    pub(crate) fn new(root: PathBuf, password: &Path) -> Self {
        Self {
            root,
            password: password.to_path_buf(),
        }
    }

    /// Everything of it.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The repository.
    pub(crate) fn repository(&self) -> PathBuf {
        self.root.join("repo")
    }

    /// Caches and temporary files: on what the repository is on, and empty at first.
    pub(crate) fn make_folders(&self) -> Result<(), String> {
        for name in ["cache", "home", "tmp"] {
            let path = self.root.join(name);
            std::fs::create_dir_all(&path).map_err(super::data::at(&path))?;
        }
        Ok(())
    }

    fn file(&self, name: &str) -> OsString {
        self.root.join(name).into_os_string()
    }
}

impl Tool {
    /// What makes an empty repository.
    pub(crate) fn init(&self, lane: &Lane) -> Vec<Job> {
        match self.kind {
            Kind::Vouchsafe => vec![self.ours("init", lane)],
            Kind::Restic | Kind::Rustic => vec![self.job(lane).arg("init")],
            Kind::Borg => vec![
                self.job(lane)
                    .args(["init", "--encryption", "repokey-blake2"]),
            ],
            Kind::Bupstash => vec![
                self.job(lane).arg("init"),
                self.job(lane).args(["new-key", "-o"]).arg(lane.file("key")),
            ],
            Kind::Copy => Vec::new(),
        }
    }

    /// What backs a folder up. Only borg wants a name, and for each backup another one.
    pub(crate) fn backup(&self, lane: &Lane, source: &Path, name: &str) -> Option<Job> {
        let job = match self.kind {
            Kind::Vouchsafe => self.ours("backup", lane),
            Kind::Restic | Kind::Rustic => self.job(lane).arg("backup"),
            Kind::Borg => self
                .job(lane)
                .args(["create", "--compression", "zstd,3"])
                .arg(format!("::{name}")),
            Kind::Bupstash => self
                .job(lane)
                .args(["put", "--quiet", "--send-log"])
                .arg(lane.file("log"))
                .arg(format!("name={name}")),
            Kind::Copy => return None,
        };
        let job = job.arg(source);
        Some(match self.kind {
            Kind::Vouchsafe => job.arg(EQUAL_WORK),
            _ => job,
        })
    }

    /// What backs a stream up.
    pub(crate) fn backup_stream(&self, lane: &Lane, stream: &Path, bytes: u64) -> Option<Job> {
        let job = match self.kind {
            Kind::Vouchsafe => {
                self.ours("backup-stdin", lane)
                    .args([STREAM, &bytes.to_string(), EQUAL_WORK])
            }
            Kind::Restic => self
                .job(lane)
                .args(["backup", "--stdin", "--stdin-filename", STREAM]),
            Kind::Rustic => self
                .job(lane)
                .args(["backup", "--stdin-filename", STREAM, "-"]),
            Kind::Borg => self.job(lane).args([
                "create",
                "--compression",
                "zstd,3",
                "--stdin-name",
                STREAM,
                "::first",
                "-",
            ]),
            Kind::Bupstash => self.job(lane).args(["put", "--quiet", "name=first", "-"]),
            Kind::Copy => return None,
        };
        Some(job.input(stream))
    }

    /// What restores the newest backup of `source`, and where its content then lies.
    pub(crate) fn restore(&self, lane: &Lane, source: &Path, target: &Path) -> (Job, PathBuf) {
        let newest = || format!("latest:{}", source.display());
        let job = match self.kind {
            Kind::Vouchsafe => self.ours("restore", lane).arg("latest").arg(target),
            Kind::Restic => self
                .job(lane)
                .args(["restore", &newest(), "--target"])
                .arg(target),
            Kind::Rustic => self.job(lane).args(["restore", &newest()]).arg(target),
            Kind::Borg => self
                .job(lane)
                .args(["extract", "::first"])
                .current_dir(target),
            Kind::Bupstash => self
                .job(lane)
                .args(["restore", "--quiet", "--ownership", "--into"])
                .arg(target)
                .arg("name=first"),
            Kind::Copy => {
                Job::new(&self.program).args([Path::new("-a"), &source.join("."), target])
            }
        };
        let inside = match self.kind {
            Kind::Borg => target.join(source.strip_prefix("/").unwrap_or(source)),
            _ => target.to_path_buf(),
        };
        (job, inside)
    }

    /// What reads everything and compares it with its hashes.
    pub(crate) fn check(&self, lane: &Lane) -> Option<Job> {
        match self.kind {
            Kind::Vouchsafe => Some(self.ours("check", lane).arg("--read-data")),
            Kind::Restic | Kind::Rustic => Some(self.job(lane).args(["check", "--read-data"])),
            Kind::Borg => Some(self.job(lane).args(["check", "--verify-data"])),
            Kind::Bupstash | Kind::Copy => None,
        }
    }

    /// What removes what no snapshot needs, keeping as much unused space as restic does.
    pub(crate) fn prune(&self, lane: &Lane) -> Option<Job> {
        match self.kind {
            Kind::Vouchsafe => Some(self.ours("prune", lane)),
            Kind::Restic => Some(self.job(lane).arg("prune")),
            Kind::Rustic => Some(self.job(lane).args(["prune", "--instant-delete"])),
            Kind::Borg | Kind::Bupstash | Kind::Copy => None,
        }
    }

    /// What lists made-up blobs in a repository of ours.
    pub(crate) fn many_blobs(&self, lane: &Lane, blobs: u64) -> Job {
        self.ours("many-blobs", lane).arg(blobs.to_string())
    }

    fn ours(&self, verb: &str, lane: &Lane) -> Job {
        self.job(lane)
            .arg("--cache")
            .arg(lane.root.join("cache/index"))
            .arg(verb)
            .arg(lane.repository())
            .arg(&lane.password)
    }

    fn job(&self, lane: &Lane) -> Job {
        let repository = lane.repository();
        let job = Job::new(&self.program)
            .env("HOME", lane.file("home"))
            .env("TMPDIR", lane.file("tmp"))
            .env("XDG_CACHE_HOME", lane.file("cache"));
        match self.kind {
            Kind::Vouchsafe => job.arg("--cache").arg(lane.file("cache")),
            Kind::Copy => job,
            Kind::Restic => job
                .env("RESTIC_REPOSITORY", repository)
                .env("RESTIC_PASSWORD_FILE", &lane.password)
                .arg("--quiet"),
            Kind::Rustic => job
                .env("RUSTIC_REPOSITORY", repository)
                .env("RUSTIC_PASSWORD_FILE", &lane.password)
                .env("RUSTIC_NO_PROGRESS", "true"),
            Kind::Borg => job
                .env("BORG_REPO", repository)
                .env("BORG_BASE_DIR", lane.file("home"))
                .env("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes")
                .env(
                    "BORG_PASSCOMMAND",
                    format!("cat {}", lane.password.display()),
                ),
            Kind::Bupstash => job
                .env("BUPSTASH_REPOSITORY", repository)
                .env("BUPSTASH_KEY", lane.file("key")),
        }
    }
}
