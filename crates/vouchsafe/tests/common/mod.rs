//! A workspace with real data, and the binary under test.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

pub(crate) mod vaults;
pub(crate) mod worker;

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A temporary directory with a policy, a folder tree, a database and a git repository.
pub(crate) struct Workspace {
    dir: tempfile::TempDir,
}

pub(crate) const POLICY: &str = r#"
policy: { id: T-1, title: Test policy, owner: o@example.com, version: "1", next_review: 2999-01-01 }
vaults:
  local:   { url: ./vaults/local, region: here, country: GB }
  offsite: { url: ./vaults/offsite, region: there, country: GB }
tiers:
  standard: { rpo: 24h, rto: 1h, copies: { min: 2 } }
plans:
  nightly:
    schedule: "daily at 02:00 UTC"
    keep: { at_least: 35 days }
    copies: [ local, offsite ]
    verify: { every: week }
    drill: { every: quarter, negative_control: every year }
systems:
  website: { source: "files:./site", exclude: ["*.tmp"], tier: standard, plan: nightly, owner: o@example.com }
  shop-db: { source: "sqlite:./shop.db", tier: standard, plan: nightly, owner: o@example.com }
  code:    { source: "git:./code", tier: standard, plan: nightly, owner: o@example.com }
"#;

impl Workspace {
    /// Real data, nothing initialised.
    pub(crate) fn new() -> Workspace {
        let w = Workspace::bare();
        fs::write(w.path("policy.yaml"), POLICY).unwrap();
        w.make_site();
        w.make_database();
        w.make_git();
        w
    }

    /// A directory with nothing in it.
    pub(crate) fn bare() -> Workspace {
        let dir = tempfile::tempdir().unwrap();
        Workspace { dir }
    }

    /// Drills each month: more often than points are let go.
    pub(crate) fn drill_monthly(&self) {
        let policy = fs::read_to_string(self.path("policy.yaml")).unwrap();
        let monthly = policy.replace("every: quarter", "every: month");
        assert_ne!(monthly, policy);
        fs::write(self.path("policy.yaml"), monthly).unwrap();
    }

    /// Real data, initialised.
    pub(crate) fn ready() -> Workspace {
        let w = Workspace::new();
        w.ok(["init"]);
        w
    }

    pub(crate) fn root(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    fn make_site(&self) {
        fs::create_dir_all(self.path("site/img")).unwrap();
        fs::write(self.path("site/index.html"), "<h1>hello</h1>").unwrap();
        fs::write(self.path("site/empty"), "").unwrap();
        fs::write(self.path("site/left-out.tmp"), "no").unwrap();
        fs::write(self.path("site/img/noise.bin"), noise(3_000_000)).unwrap();
        std::os::unix::fs::symlink("index.html", self.path("site/home")).unwrap();
        fs::hard_link(self.path("site/index.html"), self.path("site/again.html")).unwrap();
    }

    fn make_database(&self) {
        let sql = "create table orders(id integer primary key, item text, price real);
            with recursive n(i) as (select 1 union all select i+1 from n where i<2000)
            insert into orders select i, 'item '||i, i*1.5 from n;";
        run(Command::new("sqlite3").arg(self.path("shop.db")).arg(sql));
    }

    fn make_git(&self) {
        let git = |args: &[&str]| {
            run(Command::new("git")
                .args(args)
                .current_dir(self.path("code"))
                .env("GIT_CONFIG_GLOBAL", "/dev/null")
                .env("GIT_AUTHOR_NAME", "T")
                .env("GIT_AUTHOR_EMAIL", "t@example.com")
                .env("GIT_COMMITTER_NAME", "T")
                .env("GIT_COMMITTER_EMAIL", "t@example.com"));
        };
        fs::create_dir_all(self.path("code")).unwrap();
        git(&["init", "-q", "-b", "main"]);
        for n in 0..3 {
            fs::write(self.path("code/file"), format!("version {n}")).unwrap();
            git(&["add", "."]);
            git(&["commit", "-q", "-m", &format!("change {n}")]);
        }
        git(&["tag", "v1"]);
        git(&["notes", "add", "-m", "a note"]);
    }

    /// The command, not yet started.
    pub(crate) fn command<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vouchsafe"));
        command
            .args(args)
            .current_dir(self.root())
            .stdin(Stdio::null());
        command
    }

    /// Runs it and returns what it printed.
    pub(crate) fn run<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs it; it must exit with `code`. Returns standard output and standard error.
    pub(crate) fn exits<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(
        &self,
        code: i32,
        args: I,
    ) -> (String, String) {
        let out = self.run(args);
        let (stdout, stderr) = (text(&out.stdout), text(&out.stderr));
        assert_eq!(
            out.status.code(),
            Some(code),
            "stdout:\n{stdout}\nstderr:\n{stderr}"
        );
        (stdout, stderr)
    }

    /// Runs it; it must exit with 0.
    pub(crate) fn ok<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(&self, args: I) -> String {
        self.exits(0, args).0
    }

    /// The packs of a vault, largest first.
    pub(crate) fn packs(&self, vault: &str) -> Vec<PathBuf> {
        let mut out = files_below(&self.path(format!("vaults/{vault}/repo/data")));
        out.sort_by_key(|p| std::cmp::Reverse(fs::metadata(p).unwrap().len()));
        out
    }

    /// Makes stored objects writable and hands their bytes to `change`.
    pub(crate) fn damage(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(path).unwrap();
        change(&mut bytes);
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// Stock restic on a vault, through the lines that `vault env` prints.
    pub(crate) fn restic(&self, vault: &str, restic: &Path, args: &str) -> Output {
        let binary = env!("CARGO_BIN_EXE_vouchsafe");
        let script = format!(
            "eval \"$({binary} vault env {vault})\" && {} --no-cache {args}",
            restic.display()
        );
        Command::new("sh")
            .arg("-c")
            .arg(script)
            .current_dir(self.root())
            .output()
            .unwrap()
    }
}

/// Starts a command and kills it right after it told its `n`th event; false if it did not tell as many.
pub(crate) fn killed_at_event(command: &mut Command, n: usize) -> bool {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let told = lines.map_while(Result::ok).take(n).count();
    let _ = child.kill();
    child.wait().unwrap();
    told == n
}

/// Bytes without a pattern, always the same.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        out.extend_from_slice(&(state >> 11).to_le_bytes());
    }
    out.truncate(len);
    out
}

pub(crate) fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for entry in fs::read_dir(dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            out.extend(files_below(&path));
        } else {
            out.push(path);
        }
    }
    out.sort();
    out
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn run(command: &mut Command) {
    let out = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}; run `cargo xtask test`"));
    assert!(out.status.success(), "{command:?}: {}", text(&out.stderr));
}
