//! `cargo xtask bench`: our engine and its peers, in turn, over the same seeded data.

mod data;
mod options;

use std::path::Path;

use data::{Change, Plan, Set, Size, Words, stamp_again, unstamp};
use options::{Options, Task};

/// So much of the files is changed between two backups.
const CHANGED_PERCENT: usize = 2;

/// Does what the words after `bench` ask for.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let options = Options::parse(arguments)?;
    match &options.task {
        Task::WriteData(dir) => write_data(dir, &options),
        Task::ChangeData(dir, round) => change_data(dir, *round, true, &options),
        Task::UndoData(dir, round) => change_data(dir, *round, false, &options),
        _ => Err(options::USAGE.to_owned()),
    }
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
    let change = Change::new(&plan, size.seed, round, CHANGED_PERCENT);
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
