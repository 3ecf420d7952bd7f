//! `cargo xtask bench`: our engine and its peers, in turn, over the same seeded data.

mod area;
mod bases;
mod child;
mod contest;
mod data;
mod databases;
mod facts;
mod group;
mod history;
mod jobs;
mod judge;
mod measure;
mod options;
mod outcome;
mod report;
mod rows;
mod special;
mod stats;
mod tools;
mod tree;
mod work;

use std::path::{Path, PathBuf};

use area::Area;
use contest::Bench;
use data::{Change, Plan, Set, Size, Words, at, stamp_again, unstamp};
use facts::Facts;
use options::{Options, Task};
use outcome::Outcome;
use rows::Row;
use tools::Tools;

pub(crate) use child::run as run_measured;
pub(crate) use measure::MEASURED;

use crate::workspace;

/// Does what the words after `bench` ask for.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    if let Some((first, rest)) = arguments.split_first()
        && first == databases::WORD
    {
        return databases::run(rest, arguments);
    }
    if arguments == ["--help"] {
        println!("{}", options::USAGE);
        return Ok(());
    }
    let options = Options::parse(arguments)?;
    match &options.task {
        Task::Measure => {
            if area::enter_namespace(&options.places, arguments)? {
                return Ok(());
            }
            measure(&options)
        }
        Task::WriteData(dir) => write_data(dir, &options),
        Task::ChangeData(dir, round) => change_data(dir, *round, true, &options),
        Task::UndoData(dir, round) => change_data(dir, *round, false, &options),
        Task::InstallPeers => tools::install(&work_dir(&options)?),
        Task::ListRows => {
            for row in rows::ROWS {
                println!("{:<15} {}", row.name, row.title);
            }
            Ok(())
        }
    }
}

fn measure(options: &Options) -> Result<(), String> {
    let rows = rows::chosen(&options.rows)?;
    let dir = work_dir(options)?;
    let tools = Tools::provide(&dir, options.peers.as_deref())?;
    let facts = Facts::gather(&dir, &tools)?;
    let mut outcomes = Vec::new();
    for place in &options.places {
        let area = Area::new(*place, &dir, options.keep)?;
        let bench = Bench {
            options,
            tools: &tools,
            size: Size::scaled(options.seed, options.scale),
            area: &area,
        };
        for set in Set::ALL {
            let of_set = |row: &&Row| row.set == set && row.is_measured_on(*place);
            for row in rows.iter().filter(of_set) {
                outcomes.push(outcome(row, &bench));
                write_record(&dir, &facts, options, &outcomes)?;
            }
            bench.drop_bases(set)?;
            area.drop_data(set)?;
        }
    }
    print!("{}", report::markdown(&facts, options, &outcomes));
    let failed: Vec<&str> = outcomes
        .iter()
        .filter(|outcome| outcome.failure.is_some())
        .map(|outcome| outcome.row.name)
        .collect();
    match failed.as_slice() {
        [] => Ok(()),
        failed => Err(format!("not measured: {}", failed.join(", "))),
    }
}

fn outcome(row: &Row, bench: &Bench<'_>) -> Outcome {
    let place = bench.area.place;
    eprintln!("── {} ({})", row.title, place.name());
    let (entries, failure) = match row.measure(bench) {
        Ok(entries) => (entries, None),
        Err(error) => {
            eprintln!("{}: {error}", row.name);
            (Vec::new(), Some(error))
        }
    };
    Outcome {
        row: *row,
        place,
        entries,
        failure,
    }
}

/// After each row, so that a long run that breaks off leaves what it has measured.
fn write_record(
    dir: &Path,
    facts: &Facts,
    options: &Options,
    outcomes: &[Outcome],
) -> Result<(), String> {
    let text = format!("{:#}\n", report::record(facts, options, outcomes));
    let json = dir.join(format!("{}.json", facts.date));
    std::fs::write(&json, text).map_err(at(&json))?;
    let table = json.with_extension("md");
    std::fs::write(&table, report::markdown(facts, options, outcomes)).map_err(at(&table))
}

fn work_dir(options: &Options) -> Result<PathBuf, String> {
    let dir = match &options.dir {
        Some(dir) => std::path::absolute(dir).map_err(at(dir))?,
        None => workspace::root()?.join("target/bench"),
    };
    std::fs::create_dir_all(&dir).map_err(at(&dir))?;
    Ok(dir)
}

fn write_data(dir: &Path, options: &Options) -> Result<(), String> {
    let size = Size::scaled(options.seed, options.scale);
    for set in Set::ALL {
        println!("{}", set.provide(dir, &size)?.display());
    }
    Ok(())
}

/// The stamp stays as it is: whoever changes data by hand puts it back by hand.
fn change_data(dir: &Path, round: u64, forward: bool, options: &Options) -> Result<(), String> {
    let size = Size::scaled(options.seed, options.scale);
    let place = Set::Files.provide(dir, &size)?;
    let words = Words::new();
    let plan = Plan::new(&size, &words);
    let change = Change::new(&plan, size.seed, round, rows::CHANGED_PERCENT);
    let stamp = unstamp(&place)?;
    if forward {
        change.apply(&place, &plan, &words)?;
    } else {
        change.undo(&place, &plan, &words)?;
    }
    stamp_again(&place, &stamp)?;
    println!(
        "{} of {} files ({} bytes) in {}",
        change.len(),
        plan.files.len(),
        plan.bytes(),
        place.display()
    );
    Ok(())
}
