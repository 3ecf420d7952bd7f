//! Running tools in turn, A B A B: whatever slows the machine for a while slows all of them.

use std::path::PathBuf;
use std::process::Command;

use super::area::Area;
use super::data::Size;
use super::measure::{Job, Measured};
use super::options::{Options, Place};
use super::tools::{Kind, Tool, Tools};
use super::tree::{self, Count};
use crate::program;

/// What every row works with.
pub(crate) struct Bench<'a> {
    pub(crate) options: &'a Options,
    pub(crate) tools: &'a Tools,
    pub(crate) size: Size,
    pub(crate) area: &'a Area,
}

/// What one tool did in one row.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    pub(crate) runs: Vec<Measured>,
    /// The repository after the last run.
    pub(crate) repository: Option<Count>,
    /// Bytes by which it grew.
    pub(crate) growth: Option<u64>,
    /// Why there is not more.
    pub(crate) remark: Option<String>,
}

/// What happens around each run.
pub(crate) struct Steps<'a> {
    /// Before it, not timed: everything as it was before the first.
    pub(crate) reset: &'a dyn Fn(&Tool) -> Result<(), String>,
    /// What is then read into the page cache, if it lies on disk.
    pub(crate) warm: &'a dyn Fn(&Tool) -> Vec<PathBuf>,
    /// What is timed; nothing if the tool cannot do it.
    pub(crate) job: &'a dyn Fn(&Tool) -> Option<Job>,
    /// After it, not timed: the size of the repository; after a tool's last run the result is judged.
    pub(crate) after: &'a After<'a>,
}

/// Looks at what a run has left.
pub(crate) type After<'a> = dyn Fn(&Tool, Last) -> Result<Option<Count>, String> + 'a;

/// Whether a run is the last one of its tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    Yes,
    No,
}

impl Entry {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            runs: Vec::new(),
            repository: None,
            growth: None,
            remark: None,
        }
    }
}

impl Bench<'_> {
    /// Runs the tools in turn, as often as was asked for. A peer that fails drops out; ours and restic must not.
    pub(crate) fn contest(
        &self,
        row: &str,
        tools: &[Tool],
        steps: &Steps<'_>,
    ) -> Result<Vec<Entry>, String> {
        self.contest_of(self.options.pairs, row, tools, steps)
    }

    /// The same, this often.
    pub(crate) fn contest_of(
        &self,
        pairs: usize,
        row: &str,
        tools: &[Tool],
        steps: &Steps<'_>,
    ) -> Result<Vec<Entry>, String> {
        let mut entries: Vec<Entry> = tools.iter().map(|tool| Entry::new(tool.kind)).collect();
        for pair in 1..=pairs {
            let last = if pair == pairs { Last::Yes } else { Last::No };
            for (tool, entry) in tools.iter().zip(&mut entries) {
                if entry.remark.is_some() {
                    continue;
                }
                match self.run_one(tool, steps, last) {
                    Ok(Some((run, repository))) => {
                        self.tell(row, tool, pair, &run);
                        entry.runs.push(run);
                        entry.repository = repository;
                    }
                    Ok(None) => entry.remark = Some("cannot do this".to_owned()),
                    Err(error) if tool.kind.is_needed() => return Err(error),
                    Err(error) => entry.remark = Some(error),
                }
            }
        }
        Ok(entries)
    }

    fn run_one(
        &self,
        tool: &Tool,
        steps: &Steps<'_>,
        last: Last,
    ) -> Result<Option<(Measured, Option<Count>)>, String> {
        let Some(job) = (steps.job)(tool) else {
            return Ok(None);
        };
        (steps.reset)(tool)?;
        if self.area.place == Place::Disk {
            program::run_quietly(&mut Command::new("sync"))?;
            for path in (steps.warm)(tool) {
                tree::warm(&path)?;
            }
        }
        let run = job.run(self.options.memory_limit, self.area.logs())?;
        let repository = (steps.after)(tool, last)?;
        Ok(Some((run, repository)))
    }

    fn tell(&self, row: &str, tool: &Tool, pair: usize, run: &Measured) {
        eprintln!(
            "{:>5} {row:<14} {:<10} run {pair}: {:8.2} s wall {:8.2} s CPU {:6} MiB",
            self.area.place.name(),
            tool.name(),
            run.wall.as_secs_f64(),
            run.cpu.as_secs_f64(),
            run.peak >> 20,
        );
    }

    /// Runs jobs that nobody measures.
    pub(crate) fn prepare(&self, jobs: impl IntoIterator<Item = Job>) -> Result<(), String> {
        for job in jobs {
            job.run(None, self.area.logs())?;
        }
        Ok(())
    }
}
