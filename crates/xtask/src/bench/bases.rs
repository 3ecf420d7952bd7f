//! Repositories that hold a first backup, shared by the rows that come after one.

use std::collections::HashMap;

use super::area::Area;
use super::contest::Bench;
use super::data::Set;
use super::history::copy;
use super::jobs::Lane;
use super::tools::{Kind, Tool};
use super::tree::{self, Count, Remembered};

/// One for each tool.
pub(crate) struct Bases(HashMap<Kind, Base>);

/// The repository of one tool.
pub(crate) struct Base {
    pub(crate) lane: Lane,
    pub(crate) size: Count,
    remembered: Remembered,
}

impl Bench<'_> {
    /// Those of a data set, made where they are not there yet.
    pub(crate) fn bases(&self, set: Set, tools: &[Tool]) -> Result<Bases, String> {
        let mut bases = HashMap::new();
        for tool in tools {
            let lane = self.area.lane(tool, &format!("base-{}", set.name()));
            if !lane.root().exists()
                && let Err(error) = self.make_base(set, tool, &lane)
            {
                if tool.kind.is_needed() {
                    return Err(error);
                }
                eprintln!("{} drops out: {error}", tool.name());
                continue;
            }
            let repository = lane.repository();
            let base = Base {
                size: tree::count(&repository)?,
                remembered: Remembered::of(&repository)?,
                lane,
            };
            bases.insert(tool.kind, base);
        }
        Ok(Bases(bases))
    }

    /// Its paths are part of what a repository remembers, so it is made where it stays.
    fn make_base(&self, set: Set, tool: &Tool, lane: &Lane) -> Result<(), String> {
        let source = self.area.data(set, &self.size)?;
        let made = self
            .start(tool, lane)
            .and_then(|()| self.prepare(tool.backup(lane, &source, "first")));
        made.or_else(|error| {
            tree::remove(lane.root())?;
            Err(error)
        })
    }

    /// Makes room.
    pub(crate) fn drop_bases(&self, set: Set) -> Result<(), String> {
        for tool in &self.tools.all {
            let lane = self.area.lane(tool, &format!("base-{}", set.name()));
            tree::remove(lane.root())?;
        }
        Ok(())
    }
}

impl Bases {
    /// That of a tool; `cp` has none.
    pub(crate) fn of(&self, tool: &Tool) -> Option<&Base> {
        self.0.get(&tool.kind)
    }

    /// Where a second backup goes: into the base itself where it only adds files, else into a copy of it.
    pub(crate) fn working_lane(&self, area: &Area, tool: &Tool) -> Lane {
        match self.of(tool) {
            Some(base) if tool.kind.writes_restic_format() => base.lane.clone(),
            _ => area.lane(tool, "second"),
        }
    }

    /// As it was after the first backup.
    pub(crate) fn reset(&self, area: &Area, tool: &Tool) -> Result<(), String> {
        let Some(base) = self.of(tool) else {
            return Ok(());
        };
        if tool.kind.writes_restic_format() {
            return base.remembered.reset(&base.lane.repository());
        }
        let working = self.working_lane(area, tool);
        tree::remove(working.root())?;
        copy(base.lane.root(), working.root())
    }
}
