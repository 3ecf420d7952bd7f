//! `cargo xtask bench databases`: whole servers backed up, brought back, and their logs shipped, beside their peers.

mod fill;
mod maria;
mod options;
mod ours;
mod outcome;
mod pgbackrest;
mod postgres;
mod rows;
mod s3;
mod server;
mod ship;
mod stage;
mod table;
mod usage;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use options::{Options, Task};
use outcome::Outcome;
use pgbackrest::PgBackRest;
use rows::{Row, Work};
use stage::Stage;

use super::area::{self, Area};
use super::data::at;
use super::facts::Facts;
use super::tools;
use crate::workspace;

/// The word that asks for this.
pub(crate) const WORD: &str = "databases";

/// Does what the words after `bench databases` ask for; `all` has that word before them.
pub(crate) fn run(arguments: &[String], all: &[String]) -> Result<(), String> {
    if arguments == ["--help"] {
        println!("{}", options::USAGE);
        return Ok(());
    }
    let options = Options::parse(arguments)?;
    match options.task {
        Task::ListRows => {
            for row in rows::ROWS {
                println!("{:<15} {}", row.name, row.title);
            }
            Ok(())
        }
        Task::Measure => {
            if area::enter_namespace(&[options.place], all)? {
                return Ok(());
            }
            measure(&options)
        }
    }
}

fn measure(options: &Options) -> Result<(), String> {
    let dir = match &options.dir {
        Some(dir) => std::path::absolute(dir).map_err(at(dir))?,
        None => workspace::root()?.join("target/bench"),
    };
    std::fs::create_dir_all(&dir).map_err(at(&dir))?;
    let vouchsafe = tools::build_vouchsafe()?;
    let area = Area::new(options.place, &dir, options.keep)?;
    // The servers run as users of their own and have to get through.
    for path in [area.logs(), &area.folder("")] {
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(path, open).map_err(at(path))?;
    }
    let wants = |work: &[Work]| options.rows.iter().any(|row| work.contains(&row.work));
    let mut versions = vec![tools::own_version()?];
    let physical = [Work::Base, Work::Restore, Work::Changed, Work::Skewed];
    let mut peer = None;
    if wants(&physical) {
        let found = PgBackRest::provide(&Stage::peer_home(&area))?;
        versions.push(found.version().to_owned());
        peer = Some(found);
    }
    if wants(&physical) || wants(&[Work::Ship]) {
        let program = server::programs()?.join("postgres");
        versions.push(fill::version(
            std::process::Command::new(program).arg("--version"),
        )?);
    }
    if wants(&[Work::MariaBase, Work::MariaRestore]) {
        let mut program = std::process::Command::new("/usr/sbin/mariadbd");
        versions.push(fill::version(program.arg("--version"))?);
    }
    let facts = Facts::of_programs(&dir, versions)?;
    let mut record = Record {
        dir: &dir,
        facts: &facts,
        options,
        outcomes: Vec::new(),
    };
    if let Some(peer) = peer {
        let mut stage = Stage::set(options, &area, &vouchsafe, peer)?;
        let rows = options.rows.iter();
        for row in rows.filter(|row| physical.contains(&row.work)) {
            record.add(row, |row| on_stage(row, &mut stage))?;
        }
    }
    for row in options.rows.iter().filter(|row| row.work == Work::Ship) {
        let engine = tools::build_engine()?;
        let programs = (vouchsafe.as_path(), engine.as_path());
        record.add(row, |row| ship::ship(row, options, &area, programs))?;
    }
    let maria = [Work::MariaBase, Work::MariaRestore];
    if wants(&maria) {
        let mut stage = maria::Stage::set(options, &area, &vouchsafe)?;
        let rows = options.rows.iter();
        for row in rows.filter(|row| maria.contains(&row.work)) {
            record.add(row, |row| match row.work {
                Work::MariaBase => maria::base(row, &mut stage),
                _ => maria::restore(row, &mut stage),
            })?;
        }
    }
    print!("{}", table::markdown(&facts, options, &record.outcomes));
    record.end()
}

fn on_stage(row: &'static Row, stage: &mut Stage<'_>) -> Result<Outcome, String> {
    match row.work {
        Work::Base => postgres::base(row, stage),
        Work::Restore => postgres::restore(row, stage),
        Work::Changed => postgres::changed(row, stage),
        Work::Skewed => postgres::skewed(row, stage),
        other => Err(format!("{other:?} is no row of this server")),
    }
}

/// What was measured so far.
struct Record<'a> {
    dir: &'a Path,
    facts: &'a Facts,
    options: &'a Options,
    outcomes: Vec<Outcome>,
}

impl Record<'_> {
    /// Measures a row and writes down what all rows came to, so that a run that breaks off leaves what it has.
    fn add(
        &mut self,
        row: &'static Row,
        measure: impl FnOnce(&'static Row) -> Result<Outcome, String>,
    ) -> Result<(), String> {
        eprintln!("── {}", row.title);
        let outcome = measure(row).unwrap_or_else(|error| {
            eprintln!("{}: {error}", row.name);
            Outcome::failed(row, error)
        });
        self.outcomes.push(outcome);
        let json = self.file("json");
        let text = format!(
            "{:#}\n",
            table::record(self.facts, self.options, &self.outcomes)
        );
        std::fs::write(&json, text).map_err(at(&json))?;
        let markdown = self.file("md");
        let text = table::markdown(self.facts, self.options, &self.outcomes);
        std::fs::write(&markdown, text).map_err(at(&markdown))
    }

    fn file(&self, ending: &str) -> PathBuf {
        self.dir
            .join(format!("{WORD}-{}.{ending}", self.facts.date))
    }

    fn end(&self) -> Result<(), String> {
        let failed = self.outcomes.iter().filter(|one| one.failure.is_some());
        let failed: Vec<&str> = failed.map(|one| one.row.name).collect();
        match failed.as_slice() {
            [] => Ok(()),
            failed => Err(format!("not measured: {}", failed.join(", "))),
        }
    }
}
