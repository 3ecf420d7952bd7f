//! The rows: what is measured, over which data, and what is demanded.

use super::data::Set;
use super::options::Place;

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Row {
    /// For `--rows`.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) set: Set,
    pub(crate) work: Work,
    pub(crate) demand: Demand,
}

/// What is done in a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Work {
    First,
    Stream,
    Unchanged,
    Changed,
    Restore,
    Check,
    Prune,
    ManyBlobs,
    WholeRun,
}

/// What ours must reach; ratios of ours to theirs that must not be exceeded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Demand {
    /// Wall time to restic's.
    pub(crate) wall: Option<f64>,
    /// CPU time to restic's.
    pub(crate) cpu: Option<f64>,
    /// Wall time to that of `cp -a`.
    pub(crate) copy: Option<f64>,
    /// What the other peers may do.
    pub(crate) rivals: Rivals,
    /// Bytes that ours may hold, whatever restic holds.
    pub(crate) memory: u64,
    /// Whether the repository, or its growth, must be no larger than restic's.
    pub(crate) size: bool,
}

/// Whether another peer may be faster.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rivals {
    May,
    /// Not in every single run.
    MayByNoise,
    MayNot,
}

/// So much of the files is changed between two backups.
pub(crate) const CHANGED_PERCENT: usize = 2;

const NOTHING: Demand = Demand {
    wall: None,
    cpu: None,
    copy: None,
    rivals: Rivals::May,
    memory: 192 << 20,
    size: false,
};

/// What ours may hold beside an index of millions of blobs.
pub(crate) const LARGE_INDEX_MEMORY: u64 = 512 << 20;

/// In the order in which they are measured: rows over one set of data together.
pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "first",
        title: "first backup, mixed files",
        set: Set::Files,
        work: Work::First,
        demand: Demand {
            cpu: Some(0.5),
            rivals: Rivals::MayNot,
            size: true,
            ..wall(0.45)
        },
    },
    Row {
        name: "unchanged",
        title: "second backup, nothing changed",
        set: Set::Files,
        work: Work::Unchanged,
        demand: Demand {
            rivals: Rivals::MayNot,
            ..wall(0.25)
        },
    },
    Row {
        name: "restore",
        title: "restore of the files",
        set: Set::Files,
        work: Work::Restore,
        demand: Demand {
            copy: Some(1.3),
            ..wall(0.75)
        },
    },
    Row {
        name: "check",
        title: "check, all data read",
        set: Set::Files,
        work: Work::Check,
        demand: wall(0.55),
    },
    Row {
        name: "changed",
        title: "second backup, 2 % of the files changed",
        set: Set::Files,
        work: Work::Changed,
        demand: Demand {
            size: true,
            ..wall(0.4)
        },
    },
    Row {
        name: "prune",
        title: "prune after 30 backups with churn",
        set: Set::Files,
        work: Work::Prune,
        demand: wall(0.5),
    },
    Row {
        name: "many-blobs",
        title: "backup beside an index of 50 million blobs, ours within 512 MiB",
        set: Set::Files,
        work: Work::ManyBlobs,
        demand: Demand {
            memory: LARGE_INDEX_MEMORY,
            ..NOTHING
        },
    },
    Row {
        name: "run",
        title: "for information: `vouchsafe run` with policy and ledger",
        set: Set::Files,
        work: Work::WholeRun,
        demand: NOTHING,
    },
    Row {
        name: "first-random",
        title: "first backup, incompressible large files",
        set: Set::Random,
        work: Work::First,
        demand: Demand {
            rivals: Rivals::MayByNoise,
            ..wall(0.6)
        },
    },
    Row {
        name: "restore-random",
        title: "restore of the incompressible files",
        set: Set::Random,
        work: Work::Restore,
        demand: wall(0.65),
    },
    Row {
        name: "stream",
        title: "one stream on standard input",
        set: Set::Stream,
        work: Work::Stream,
        demand: wall(0.6),
    },
];

const fn wall(ratio: f64) -> Demand {
    Demand {
        wall: Some(ratio),
        ..NOTHING
    }
}

/// The rows that are asked for, in their order.
pub(crate) fn chosen(names: &[String]) -> Result<Vec<Row>, String> {
    if let Some(name) = names
        .iter()
        .find(|name| ROWS.iter().all(|row| row.name != *name))
    {
        let known: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
        return Err(format!("{name} is no row; known are {}", known.join(", ")));
    }
    let asked = |row: &&Row| names.is_empty() || names.iter().any(|name| name == row.name);
    Ok(ROWS.iter().filter(asked).copied().collect())
}

impl Row {
    /// Where it is measured: the index of millions of blobs is too large for memory.
    pub(crate) fn is_measured_on(&self, place: Place) -> bool {
        place == Place::Disk || self.work != Work::ManyBlobs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_chosen_by_name_and_keep_their_order() {
        let names = |words: &[&str]| {
            words
                .iter()
                .map(|word| (*word).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(chosen(&[]).unwrap().len(), ROWS.len());
        let two: Vec<&str> = chosen(&names(&["check", "first"]))
            .unwrap()
            .iter()
            .map(|row| row.name)
            .collect();
        assert_eq!(two, ["first", "check"]);
        assert!(
            chosen(&names(&["fist"]))
                .unwrap_err()
                .contains("first-random")
        );
    }

    #[test]
    fn rows_over_one_set_stand_together() {
        let mut sets: Vec<Set> = ROWS.iter().map(|row| row.set).collect();
        sets.dedup();
        assert_eq!(sets, Set::ALL);
    }
}
