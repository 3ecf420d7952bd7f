//! What the rows of PostgreSQL share: one server, our policy, the peer's repository.

use std::path::PathBuf;
use std::process::Command;

use super::fill::{self, Amount};
use super::options::Options;
use super::ours::{Ours, Vault};
use super::outcome::{Run, Side};
use super::pgbackrest::PgBackRest;
use super::server::Server;
use crate::bench::area::Area;
use crate::bench::measure::Job;
use crate::bench::options::Place;
use crate::bench::tree;
use crate::program;

/// A server with its data, and those who back it up.
pub(crate) struct Stage<'a> {
    pub(crate) options: &'a Options,
    pub(crate) area: &'a Area,
    pub(crate) server: Server,
    pub(crate) ours: Ours,
    pub(crate) peer: PgBackRest,
    /// Whether both have backed up what there was before any change.
    has_bases: bool,
}

/// The names of the tools in the table.
pub(crate) const OURS: &str = "vouchsafe";
pub(crate) const PEER: &str = "pgbackrest";

/// One tool's part in a row.
pub(crate) struct Part<'a> {
    pub(crate) name: &'static str,
    /// Before each run, not timed.
    pub(crate) before: &'a dyn Fn() -> Result<(), String>,
    /// What is timed.
    pub(crate) job: &'a dyn Fn() -> Job,
    /// After it, not timed: bytes that it has stored. It is told whether it was the last run.
    pub(crate) after: &'a dyn Fn(bool) -> Result<Option<u64>, String>,
}

impl<'a> Stage<'a> {
    /// Makes the server and fills it.
    pub(crate) fn set(
        options: &'a Options,
        area: &'a Area,
        vouchsafe: &std::path::Path,
        peer: PgBackRest,
    ) -> Result<Self, String> {
        let server = Server::create(&area.folder("pg"))?;
        let amount = Amount::scaled(options.scale);
        eprintln!(
            "filling: {} orders, pgbench at {}",
            amount.orders, amount.steps
        );
        fill::fill(&server, amount, options.seed)?;
        let bytes = server.number("SELECT sum(pg_database_size(oid)) FROM pg_database")?;
        eprintln!("filled: {} MB", bytes / 1_000_000);
        let ours = Ours::new(
            vouchsafe,
            area.folder("ours"),
            &server.url(),
            &Vault::Folder,
        )
        .reading(server.data());
        Ok(Self {
            options,
            area,
            server,
            ours,
            peer,
            has_bases: false,
        })
    }

    /// Where pgBackRest keeps everything.
    pub(crate) fn peer_home(area: &Area) -> PathBuf {
        area.folder("pgbackrest")
    }

    /// Backs up by both what there is, if that was not done.
    pub(crate) fn need_bases(&mut self) -> Result<(), String> {
        if self.has_bases {
            return Ok(());
        }
        self.ours.begin(self.area.logs())?;
        self.ours
            .call(["run", super::ours::SYSTEM])
            .run(None, self.area.logs())?;
        self.peer.begin(&self.server)?;
        self.peer.backup("full").run(None, self.area.logs())?;
        self.has_bases = true;
        Ok(())
    }

    /// Says that both have just backed up what there is.
    pub(crate) fn bases_are_made(&mut self) {
        self.has_bases = true;
    }

    /// Runs the parts in turn, as often as was asked for; `between` comes before each round.
    pub(crate) fn contest(
        &self,
        row: &str,
        between: &dyn Fn(u64) -> Result<(), String>,
        parts: &[Part<'_>],
    ) -> Result<Vec<Side>, String> {
        contest(self.options, self.area, row, between, parts)
    }
}

/// Runs the parts in turn, as often as was asked for; `between` comes before each round.
pub(crate) fn contest(
    options: &Options,
    area: &Area,
    row: &str,
    between: &dyn Fn(u64) -> Result<(), String>,
    parts: &[Part<'_>],
) -> Result<Vec<Side>, String> {
    let names = parts.iter().map(|part| part.name);
    let mut sides: Vec<Side> = names
        .map(|name| Side {
            name,
            runs: Vec::new(),
        })
        .collect();
    for pair in 1..=options.pairs {
        between(pair as u64)?;
        for (part, side) in parts.iter().zip(&mut sides) {
            (part.before)()?;
            if area.place == Place::Disk {
                program::run_quietly(&mut Command::new("sync"))?;
            }
            let done = (part.job)().run(None, area.logs());
            let measured = done.map_err(|error| format!("{}: {error}", part.name))?;
            let stored = (part.after)(pair == options.pairs)?;
            eprintln!(
                "{row:<14} {:<14} run {pair}: {:8.2} s wall {:8.2} s CPU {:6} MiB {:>9} MB stored",
                part.name,
                measured.wall.as_secs_f64(),
                measured.cpu.as_secs_f64(),
                measured.peak >> 20,
                stored.map_or(String::new(), |bytes| format!("{:.1}", bytes as f64 / 1e6)),
            );
            side.runs.push(Run::of(&measured, stored));
        }
    }
    Ok(sides)
}

/// Nothing is done before a run.
pub(crate) fn nothing() -> Result<(), String> {
    Ok(())
}

/// The bytes of a folder.
pub(crate) fn bytes(path: &std::path::Path) -> Result<u64, String> {
    Ok(tree::count(path)?.bytes)
}
