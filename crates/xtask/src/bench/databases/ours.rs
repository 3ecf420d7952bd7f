//! Our own command line with a policy of its own, as a user has it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::bench::data::at;
use crate::bench::measure::Job;
use crate::bench::tree;

/// The program, and a folder with a policy, a state and a vault.
pub(crate) struct Ours {
    program: PathBuf,
    home: PathBuf,
    policy: String,
}

/// The name of the system in the policy.
pub(crate) const SYSTEM: &str = "shop";
/// The user and the password of the S3 server; it takes any.
const S3_USER: &str = "vouchsafe";

const POLICY: &str = r#"policy:
  id: BENCH-002
  title: What the benchmark of databases protects
  owner: bench@example.com
  version: "1"
  next_review: 2099-12-31
vaults:
  local: { @VAULT, region: here, country: GB }
tiers:
  standard: { rpo: 24h, rto: 1h, copies: { min: 1 } }
plans:
  nightly:
    schedule: "daily at 02:00 UTC"
    keep: { at_least: 35 days }
    copies: [ local ]
systems:
  @SYSTEM:
    source: "@SOURCE"
    tier: standard
    plan: nightly
    owner: bench@example.com
    location: { region: desk, country: GB }
@LOGS"#;

/// Where the points go.
pub(crate) enum Vault<'a> {
    /// A folder beside the policy.
    Folder,
    /// A bucket of the S3 server at this address, and the log every five seconds.
    Bucket(&'a str),
}

impl Ours {
    /// A policy in `home` that protects the server at `source`. Nothing is made yet.
    pub(crate) fn new(program: &Path, home: PathBuf, source: &str, vault: &Vault<'_>) -> Self {
        let (vault, logs) = match vault {
            Vault::Folder => ("url: ./vault".to_owned(), ""),
            Vault::Bucket(url) => (
                format!(
                    "url: \"s3:{url}/bucket/prod\", access_key: {{ env: BENCH_ID }}, secret_key: {{ env: BENCH_SECRET }}"
                ),
                "    logs: { every: 5s, keep: 7 days }\n",
            ),
        };
        let policy = POLICY
            .replace("@VAULT", &vault)
            .replace("@SYSTEM", SYSTEM)
            .replace("@SOURCE", source)
            .replace("@LOGS", logs);
        Self {
            program: program.to_path_buf(),
            home,
            policy,
        }
    }

    /// Begins anew: policy, state, empty vault.
    pub(crate) fn begin(&self, logs: &Path) -> Result<(), String> {
        tree::remove(&self.home)?;
        fs::create_dir_all(&self.home).map_err(at(&self.home))?;
        let policy = self.home.join("policy.yaml");
        fs::write(&policy, &self.policy).map_err(at(&policy))?;
        self.call(["init"]).run(None, logs).map(drop)
    }

    /// A command of ours.
    pub(crate) fn call<'w>(&self, words: impl IntoIterator<Item = &'w str>) -> Job {
        Job::new(&self.program)
            .env("HOME", &self.home)
            .env("BENCH_ID", S3_USER)
            .env("BENCH_SECRET", S3_USER)
            .current_dir(&self.home)
            .args(words)
    }

    /// A command of ours that goes on beside us.
    pub(crate) fn command<'w>(&self, words: impl IntoIterator<Item = &'w str>) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env("BENCH_ID", S3_USER)
            .env("BENCH_SECRET", S3_USER)
            .current_dir(&self.home)
            .args(words);
        command
    }

    /// The same, reading bases from the server's own directory.
    pub(crate) fn reading(mut self, data: &Path) -> Self {
        let source = "    tier: standard\n";
        let directory = format!("    data_directory: \"{}\"\n{source}", data.display());
        self.policy = self.policy.replacen(source, &directory, 1);
        self
    }

    /// The words for a shell in our folder that restore the newest point as a server below `to`.
    pub(crate) fn restore_words(&self, to: &Path) -> String {
        format!(
            "cd '{}'\n'{}' restore {SYSTEM} --to 'server:{}' >&2",
            self.home.display(),
            self.program.display(),
            to.display()
        )
    }

    /// The vault, where it is a folder.
    pub(crate) fn vault(&self) -> PathBuf {
        self.home.join("vault")
    }

    /// Where policy and state are.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }
}
