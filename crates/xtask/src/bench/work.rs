//! What is done in each row: what is reset, what is timed, what is judged.

use std::path::Path;

use super::bases::Bases;
use super::contest::{Bench, Entry, Last, Steps};
use super::data::{Change, Plan, Set, Words, at, stamp_again, unstamp};
use super::jobs::{Lane, STREAM};
use super::measure::Job;
use super::rows::{CHANGED_PERCENT, Row, Work};
use super::tools::{Kind, Tool};
use super::tree::{self, Count};

impl Row {
    /// Measures it.
    pub(crate) fn measure(&self, bench: &Bench<'_>) -> Result<Vec<Entry>, String> {
        match self.work {
            Work::First => self.first(bench),
            Work::Stream => self.stream(bench),
            Work::Unchanged => self.second(bench),
            Work::Changed => self.changed(bench),
            Work::Restore => self.restore(bench),
            Work::Check => self.check(bench),
            Work::Prune => self.prune(bench),
            Work::ManyBlobs => self.many_blobs(bench),
            Work::WholeRun => self.whole_run(bench),
        }
    }

    fn first(&self, bench: &Bench<'_>) -> Result<Vec<Entry>, String> {
        let source = bench.area.data(self.set, &bench.size)?;
        let expected = tree::count(&source)?;
        bench.fresh(
            self.name,
            &|tool, lane| tool.backup(lane, &source, "first"),
            &source,
            &|tool, lane| bench.judge_backup(tool, lane, expected),
        )
    }

    fn stream(&self, bench: &Bench<'_>) -> Result<Vec<Entry>, String> {
        let stream = bench.area.data(self.set, &bench.size)?.join(STREAM);
        let bytes = bench.size.bytes;
        bench.fresh(
            self.name,
            &|tool, lane| tool.backup_stream(lane, &stream, bytes),
            &stream,
            &|tool, lane| bench.judge_stream(tool, lane, &stream),
        )
    }

    fn second(&self, bench: &Bench<'_>) -> Result<Vec<Entry>, String> {
        let source = bench.area.data(self.set, &bench.size)?;
        let tools = &bench.tools.all;
        let bases = bench.bases(self.set, tools)?;
        bench.beside(self, tools, &bases, &source)
    }

    /// The tree is put back whatever happens to the runs.
    fn changed(&self, bench: &Bench<'_>) -> Result<Vec<Entry>, String> {
        let source = bench.area.data(self.set, &bench.size)?;
        let tools = &bench.tools.all;
        let bases = bench.bases(self.set, tools)?;
        let words = Words::new();
        let plan = Plan::new(&bench.size, &words);
        let change = Change::new(&plan, bench.size.seed, 0, CHANGED_PERCENT);
        let stamp = unstamp(&source)?;
        let outcome = change
            .apply(&source, &plan, &words)
            .and_then(|()| bench.beside(self, tools, &bases, &source));
        change.undo(&source, &plan, &words)?;
        stamp_again(&source, &stamp)?;
        outcome
    }

    fn restore(&self, bench: &Bench<'_>) -> Result<Vec<Entry>, String> {
        let source = bench.area.data(self.set, &bench.size)?;
        // Large files from every peer do not fit into memory at once.
        let takes_part = |tool: &&Tool| self.set == Set::Files || tool.kind.is_needed();
        let mut tools: Vec<Tool> = bench.tools.all.iter().filter(takes_part).cloned().collect();
        let bases = bench.bases(self.set, &tools)?;
        tools.push(Tool::copy()?);
        let target = bench.area.folder("restored");
        let lane = |tool: &Tool| {
            bases
                .of(tool)
                .map_or_else(|| bench.area.lane(tool, "none"), |base| base.lane.clone())
        };
        let entries = bench.contest(
            self.name,
            &tools,
            &Steps {
                reset: &|_| {
                    tree::remove(&target)?;
                    std::fs::create_dir_all(&target).map_err(at(&target))
                },
                warm: &|tool| match tool.kind {
                    Kind::Copy => vec![source.clone()],
                    _ => vec![lane(tool).repository()],
                },
                job: &|tool| Some(tool.restore(&lane(tool), &source, &target).0),
                after: &|tool, last| {
                    if last == Last::Yes {
                        tree::compare(&source, &tool.restore(&lane(tool), &source, &target).1)
                            .map_err(|error| {
                                format!("{} restores wrongly: {error}", tool.name())
                            })?;
                    }
                    Ok(None)
                },
            },
        );
        tree::remove(&target)?;
        entries
    }

    fn check(&self, bench: &Bench<'_>) -> Result<Vec<Entry>, String> {
        let tools = &bench.tools.all;
        let bases = bench.bases(self.set, tools)?;
        let lane = |tool: &Tool| bases.of(tool).map(|base| &base.lane);
        bench.contest(
            self.name,
            tools,
            &Steps {
                reset: &|_| Ok(()),
                warm: &|tool| lane(tool).map(Lane::repository).into_iter().collect(),
                job: &|tool| tool.check(lane(tool)?),
                after: &|tool, last| {
                    if let (Some(lane), Last::Yes) = (lane(tool), last) {
                        bench.judge_check(tool, lane)?;
                    }
                    Ok(None)
                },
            },
        )
    }

    fn prune(&self, bench: &Bench<'_>) -> Result<Vec<Entry>, String> {
        bench.needs("prune")?;
        let restic = bench.restic_tool()?;
        let history = bench.history(restic)?;
        let tools: Vec<Tool> = bench
            .tools
            .all
            .iter()
            .filter(|tool| tool.kind.writes_restic_format())
            .cloned()
            .collect();
        let lane = |tool: &Tool| bench.area.lane(tool, "pruned");
        bench.contest(
            self.name,
            &tools,
            &Steps {
                reset: &|tool| bench.copy_history(&history, &lane(tool)),
                warm: &|tool| vec![lane(tool).repository()],
                job: &|tool| tool.prune(&lane(tool)),
                after: &|tool, last| {
                    let lane = lane(tool);
                    let size = tree::count(&lane.repository())?;
                    if last == Last::Yes {
                        bench.judge_pruned(&lane)?;
                    }
                    tree::remove(lane.root())?;
                    Ok(Some(size))
                },
            },
        )
    }
}

impl Bench<'_> {
    /// Each run into a new repository, which is removed after it.
    fn fresh(
        &self,
        row: &str,
        job: &dyn Fn(&Tool, &Lane) -> Option<Job>,
        source: &Path,
        judge: &dyn Fn(&Tool, &Lane) -> Result<(), String>,
    ) -> Result<Vec<Entry>, String> {
        let lane = |tool: &Tool| self.area.lane(tool, "fresh");
        self.contest(
            row,
            &self.tools.all,
            &Steps {
                reset: &|tool| self.start(tool, &lane(tool)),
                warm: &|_| vec![source.to_path_buf()],
                job: &|tool| job(tool, &lane(tool)),
                after: &|tool, last| {
                    let lane = lane(tool);
                    let size = tree::count(&lane.repository())?;
                    if last == Last::Yes {
                        judge(tool, &lane)?;
                    }
                    tree::remove(lane.root())?;
                    Ok(Some(size))
                },
            },
        )
    }

    /// Each run into the repository of the first backup, which is then reset.
    fn beside(
        &self,
        row: &Row,
        tools: &[Tool],
        bases: &Bases,
        source: &Path,
    ) -> Result<Vec<Entry>, String> {
        let expected = tree::count(source)?;
        let mut entries = self.contest(
            row.name,
            tools,
            &Steps {
                reset: &|tool| bases.reset(self.area, tool),
                warm: &|_| vec![source.to_path_buf()],
                job: &|tool| tool.backup(&bases.working_lane(self.area, tool), source, "second"),
                after: &|tool, last| {
                    let lane = bases.working_lane(self.area, tool);
                    let size = tree::count(&lane.repository())?;
                    if last == Last::Yes {
                        self.judge_backup(tool, &lane, expected)?;
                        bases.reset(self.area, tool)?;
                    }
                    Ok(Some(size))
                },
            },
        )?;
        for entry in &mut entries {
            let before = tools
                .iter()
                .find(|tool| tool.kind == entry.kind)
                .and_then(|tool| bases.of(tool));
            let after = entry.repository.map(|count: Count| count.bytes);
            entry.growth = after
                .zip(before)
                .map(|(after, base)| after.saturating_sub(base.size.bytes));
        }
        Ok(entries)
    }

    /// An empty repository.
    pub(crate) fn start(&self, tool: &Tool, lane: &Lane) -> Result<(), String> {
        tree::remove(lane.root())?;
        lane.make_folders()?;
        self.prepare(tool.init(lane))
    }

    /// Fails if our engine does not know the verb.
    pub(crate) fn needs(&self, verb: &str) -> Result<(), String> {
        if self.tools.verbs.iter().any(|known| known == verb) {
            return Ok(());
        }
        Err(format!("the engine has no verb `{verb}` yet"))
    }

    /// The restic that all are held against.
    pub(crate) fn restic_tool(&self) -> Result<&Tool, String> {
        let mut tools = self.tools.all.iter();
        tools
            .find(|tool| tool.kind == Kind::Restic)
            .ok_or_else(|| "there is no restic".to_owned())
    }
}
