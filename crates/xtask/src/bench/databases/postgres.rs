//! The rows of PostgreSQL: backed up, changed, and brought back.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use super::fill;
use super::ours::SYSTEM;
use super::outcome::Outcome;
use super::rows::Row;
use super::server::{self, Server, USER};
use super::stage::{OURS, PEER, Part, Stage, bytes, nothing};
use crate::bench::measure::Job;
use crate::bench::tree;

/// The simplest that PostgreSQL itself can do.
const PLAIN: &str = "pg_basebackup";
/// Transactions of pgbench before a backup, at full scale.
const SKEWED: f64 = 100_000.0;

/// Each of them from nothing.
pub(crate) fn base(row: &'static Row, stage: &mut Stage<'_>) -> Result<Outcome, String> {
    let plain = stage.area.folder("plain");
    let parts = [
        Part {
            name: OURS,
            before: &|| stage.ours.begin(stage.area.logs()),
            job: &|| stage.ours.call(["run", SYSTEM]),
            after: &|_| bytes(&stage.ours.vault()).map(Some),
        },
        Part {
            name: PEER,
            before: &|| stage.peer.begin(&stage.server),
            job: &|| stage.peer.backup("full"),
            after: &|_| bytes(&stage.peer.backups()).map(Some),
        },
        Part {
            name: PLAIN,
            before: &|| server::folder_of(USER, &plain),
            job: &|| plain_backup(&stage.server, &plain),
            after: &|_| bytes(&plain).map(Some),
        },
    ];
    let sides = stage.contest(row.name, &|_| Ok(()), &parts)?;
    let mut outcome = Outcome::of(row, sides);
    outcome.remarks.push(PHASES.to_owned());
    stage.bases_are_made();
    Ok(outcome)
}

const PHASES: &str = "ours is `vouchsafe run`: obligation, lock, capture, reading back what was stored, facts, and \
    publication in the vault; pgBackRest reads nothing back. The bytes of its archive are not counted; those of the log \
    that makes a base whole are in ours. CPU is that of the tools; with pg_basebackup reading \
    is the server's.";

fn plain_backup(server: &Server, to: &Path) -> Job {
    server::job_as(USER, &server.program("pg_basebackup"))
        .args(["--checkpoint=fast", "--wal-method=stream"])
        .args(["--username", USER, "--host"])
        .arg(server.socket())
        .arg("--pgdata")
        .arg(to)
        .current_dir(to)
}

/// Each of them after the same change of one page in a hundred.
pub(crate) fn changed(row: &'static Row, stage: &mut Stage<'_>) -> Result<Outcome, String> {
    stage.need_bases()?;
    let rows = Cell::new(0);
    let (server, seed) = (&stage.server, stage.options.seed);
    let change = |round: u64| {
        rows.set(fill::change(server, seed, round)?);
        Ok(())
    };
    let mut outcome = again(row, stage, &change)?;
    outcome.remarks.push(format!(
        "one row in each of {} pages was changed before each round, with a checkpoint.",
        rows.get()
    ));
    // What was stored little by little has to come back whole.
    judge(stage)?;
    Ok(outcome)
}

/// Each of them after some transactions of pgbench.
pub(crate) fn skewed(row: &'static Row, stage: &mut Stage<'_>) -> Result<Outcome, String> {
    stage.need_bases()?;
    let count = ((SKEWED * stage.options.scale) as u64).max(1000);
    let (server, dir) = (&stage.server, stage.area.folder("pg"));
    let seed = stage.options.seed;
    let change = |round: u64| fill::skewed(server, &dir, count, seed + round);
    let mut outcome = again(row, stage, &change)?;
    outcome.remarks.push(format!(
        "{count} transactions before each round, accounts by Zipf's law with 1.05."
    ));
    Ok(outcome)
}

fn again(
    row: &'static Row,
    stage: &Stage<'_>,
    change: &dyn Fn(u64) -> Result<(), String>,
) -> Result<Outcome, String> {
    let (vault, backups) = (stage.ours.vault(), stage.peer.backups());
    let before = Cell::new(0);
    let note = |path: &Path| {
        before.set(bytes(path)?);
        Ok(())
    };
    let growth = |path: &Path| Ok(Some(bytes(path)?.saturating_sub(before.get())));
    let parts = [
        Part {
            name: OURS,
            before: &|| note(&vault),
            job: &|| stage.ours.call(["run", SYSTEM]),
            after: &|_| growth(&vault),
        },
        Part {
            name: PEER,
            before: &|| note(&backups),
            job: &|| stage.peer.backup("incr"),
            after: &|_| growth(&backups),
        },
    ];
    let sides = stage.contest(row.name, change, &parts)?;
    Ok(Outcome::of(row, sides))
}

/// Where something is brought back, and the server that is started on it.
struct Back {
    home: PathBuf,
    data: PathBuf,
}

impl Back {
    fn new(stage: &Stage<'_>) -> Self {
        let home = stage.area.folder("back");
        Self {
            data: home.join("server/data"),
            home,
        }
    }

    fn clear(&self) -> Result<(), String> {
        server::folder_of(USER, &self.home)
    }

    /// With the folder in which pgBackRest and `cp` expect the data to go.
    fn clear_with_data(&self) -> Result<(), String> {
        self.clear()?;
        server::folder_of(USER, &self.data)?;
        server::give(USER, &self.home)
    }

    /// The words of a tool, then the start of a server and a query, timed as one.
    fn job(&self, words: &str) -> Result<Job, String> {
        let start = Server::start_words(&self.home, &self.data)?;
        let give = match server::as_user(USER).is_empty() {
            true => String::new(),
            false => format!("chown -R {USER}:{USER} '{}'", self.home.display()),
        };
        let script = format!("set -eu\n{words}\n{give}\n{start}\n");
        Ok(Job::new(Path::new("/bin/sh"))
            .args(["-c", &script])
            .current_dir(&self.home))
    }

    /// Stops the server; at the end its rows are held against those of the original.
    fn judge(&self, name: &str, expected: Option<&str>) -> Result<(), String> {
        let mut started = Server::started(&self.home, &self.data)?;
        if let Some(expected) = expected {
            fill::same(name, expected, &fill::digest(&started)?)?;
        }
        started.stop()?;
        tree::remove(&self.home)
    }
}

/// The newest backup, as a server that has answered a query.
pub(crate) fn restore(row: &'static Row, stage: &mut Stage<'_>) -> Result<Outcome, String> {
    stage.need_bases()?;
    let back = Back::new(stage);
    let expected = fill::digest(&stage.server)?;
    let plain = stage.area.folder("plain");
    server::folder_of(USER, &plain)?;
    plain_backup(&stage.server, &plain).run(None, stage.area.logs())?;
    let ours = back.job(&stage.ours.restore_words(&back.home.join("server")))?;
    let peer = back.job(&stage.peer.restore_words(&back.data))?;
    let copy = format!("cp -a '{}/.' '{}'", plain.display(), back.data.display());
    let copy = back.job(&copy)?;
    let judge = |name: &str, last: bool| {
        back.judge(name, last.then_some(expected.as_str()))?;
        Ok(None)
    };
    let parts = [
        Part {
            name: OURS,
            before: &|| back.clear(),
            job: &|| ours.clone(),
            after: &|last| judge(OURS, last),
        },
        Part {
            name: PEER,
            before: &|| back.clear_with_data(),
            job: &|| peer.clone(),
            after: &|last| judge(PEER, last),
        },
        Part {
            name: "cp -a",
            before: &|| back.clear_with_data(),
            job: &|| copy.clone(),
            after: &|last| judge("cp -a", last),
        },
    ];
    let sides = stage.contest(row.name, &|_| nothing(), &parts)?;
    tree::remove(&plain)?;
    let mut outcome = Outcome::of(row, sides);
    outcome.remarks.push(
        "ours reads every file back and holds it against the server's own list (pg_verifybackup), recovers in a server \
         of its own and stops it, before the server is started that answers; cp -a copies what pg_basebackup made."
            .to_owned(),
    );
    Ok(outcome)
}

/// Brings the newest backup of both back, and holds the rows against those of the server.
fn judge(stage: &Stage<'_>) -> Result<(), String> {
    let back = Back::new(stage);
    let expected = fill::digest(&stage.server)?;
    back.clear()?;
    let words = stage.ours.restore_words(&back.home.join("server"));
    back.job(&words)?.run(None, stage.area.logs())?;
    back.judge(OURS, Some(&expected))?;
    back.clear_with_data()?;
    let words = stage.peer.restore_words(&back.data);
    back.job(&words)?.run(None, stage.area.logs())?;
    back.judge(PEER, Some(&expected))
}
