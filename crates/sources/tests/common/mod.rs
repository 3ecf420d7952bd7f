//! What the tests of all sources share: a vault in memory, a context, and the contract's conformance check.
#![allow(
    dead_code,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub
)]

pub mod binlog;
pub mod conformance;
pub mod maria;
pub mod memory;
pub mod shop;
pub mod sqlite;
pub mod trees;
pub mod wal;

use std::path::{Path, PathBuf};
use std::process::Command;

use vouchsafe_capture::{
    CaptureContext, Captured, Form, NoProgress, RestoreRequest, Restored, Source,
};
use vouchsafe_host::files::{self, TempDir};
use vouchsafe_host::{Interrupt, LocalSpawn, SystemClock};
use vouchsafe_model::{Rung, RungOutcome, SourceUrl};
use vouchsafe_sources::Settings;

pub use memory::{Memory, Point};

/// A place to work in, and all that a source needs.
pub struct World {
    pub dir: TempDir,
    pub clock: SystemClock,
    pub interrupt: Interrupt,
    pub own_places: Vec<PathBuf>,
    work_dir: PathBuf,
}

impl World {
    pub fn new() -> World {
        let dir = files::temp_dir("sources-").expect("a directory");
        let work_dir = dir.path().join("state");
        World {
            dir,
            clock: SystemClock::new(),
            interrupt: Interrupt::manual(),
            own_places: Vec::new(),
            work_dir,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The private directory that sources work in.
    pub fn state(&self) -> &Path {
        &self.work_dir
    }

    pub fn ctx(&self) -> CaptureContext<'_> {
        CaptureContext {
            spawn: &LocalSpawn,
            clock: &self.clock,
            work_dir: &self.work_dir,
            interrupt: &self.interrupt,
            progress: &NoProgress,
            own_places: &self.own_places,
        }
    }

    pub fn capture(&self, source: &dyn Source) -> (Captured, Point) {
        let mut memory = Memory::default();
        let captured = source.capture(&self.ctx(), &mut memory).expect("captures");
        (captured, memory.finish())
    }

    pub fn restore(&self, source: &dyn Source, point: &Point, to: &Path) -> Restored {
        let restored = source
            .restore(&self.ctx(), point, &all_to(to))
            .expect("restores");
        assert_eq!(restored.issues, [], "a whole restore has no issues");
        restored
    }

    pub fn compare(
        &self,
        source: &dyn Source,
        restored: &Restored,
        captured: &Captured,
        point: &Point,
    ) -> Vec<Rung> {
        source
            .compare(&self.ctx(), restored, captured.manifest.as_ref(), point)
            .expect("compares")
    }
}

pub fn all_to(to: &Path) -> RestoreRequest {
    RestoreRequest {
        to: to.to_path_buf(),
        include: None,
        force: false,
        compare: Default::default(),
        // What has no server of its own does not look at it.
        form: Form::Server,
    }
}

pub fn open(url: &str) -> Box<dyn Source> {
    open_without(url, &[])
}

pub fn open_without(url: &str, exclude: &[&str]) -> Box<dyn Source> {
    let exclude: Vec<String> = exclude.iter().map(|e| (*e).to_owned()).collect();
    let url = SourceUrl::parse(url).expect("a source");
    let settings = Settings {
        exclude: &exclude,
        ..Settings::below(Path::new("/nowhere"))
    };
    vouchsafe_sources::open(&url, &settings).expect("opens")
}

pub fn assert_green(rungs: &[Rung]) {
    assert!(!rungs.is_empty());
    for rung in rungs {
        assert_eq!(
            rung.outcome,
            RungOutcome::Green,
            "{}: {}",
            rung.name,
            rung.actual
        );
    }
}

/// The first rung that is not green must be this one, and red.
pub fn assert_first_red(rungs: &[Rung], name: &str) -> String {
    let first = rungs
        .iter()
        .find(|r| r.outcome != RungOutcome::Green)
        .expect("something is red");
    assert_eq!(
        (first.name.as_str(), first.outcome),
        (name, RungOutcome::Red),
        "{rungs:#?}"
    );
    first.actual.clone()
}

/// Runs a program that must succeed; its standard output.
pub fn sh(dir: &Path, script: &str) -> String {
    let output = Command::new("bash")
        .args(["-euc", script])
        .current_dir(dir)
        .env("GIT_AUTHOR_NAME", "a")
        .env("GIT_AUTHOR_EMAIL", "a@b")
        .env("GIT_COMMITTER_NAME", "a")
        .env("GIT_COMMITTER_EMAIL", "a@b")
        .output()
        .expect("bash runs");
    assert!(
        output.status.success(),
        "{script}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned()
}
