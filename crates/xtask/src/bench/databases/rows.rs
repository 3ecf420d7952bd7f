//! The rows: what is measured of databases, and what is demanded.

/// One row of the table.
#[derive(Debug, PartialEq)]
pub(crate) struct Row {
    /// For `--rows`.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) work: Work,
    /// Of ours over the peer's.
    pub(crate) demands: &'static [Demand],
}

/// What is done in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Base,
    Restore,
    Changed,
    Skewed,
    Ship,
    MariaBase,
    MariaRestore,
}

/// A ratio of ours to the peer's that must not be exceeded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Demand {
    pub(crate) what: What,
    pub(crate) most: f64,
    /// What we would like to reach.
    pub(crate) moonshot: Option<f64>,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Wall,
    /// Bytes by which the repository grew.
    Stored,
}

const AS_FAST: &[Demand] = &[Demand {
    what: What::Wall,
    most: 1.0,
    moonshot: Some(0.8),
}];

const LITTLE_CHANGED: &[Demand] = &[
    Demand {
        what: What::Stored,
        most: 0.6,
        moonshot: None,
    },
    Demand {
        what: What::Wall,
        most: 0.8,
        moonshot: None,
    },
];

/// In the order in which they are measured.
pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "base",
        title: "full physical backup",
        work: Work::Base,
        demands: AS_FAST,
    },
    Row {
        name: "restore",
        title: "restore to a server that answers",
        work: Work::Restore,
        demands: AS_FAST,
    },
    Row {
        name: "base-1pct",
        title: "backup after 1 % of the pages changed",
        work: Work::Changed,
        demands: LITTLE_CHANGED,
    },
    Row {
        name: "base-pgbench",
        title: "for information: backup after pgbench, accounts by Zipf",
        work: Work::Skewed,
        demands: &[],
    },
    Row {
        name: "ship",
        title: "the log to S3 every 5 s",
        work: Work::Ship,
        demands: &[],
    },
    Row {
        name: "maria-base",
        title: "for information: MariaDB, full physical backup",
        work: Work::MariaBase,
        demands: &[],
    },
    Row {
        name: "maria-restore",
        title: "for information: MariaDB, restore to a server that answers",
        work: Work::MariaRestore,
        demands: &[],
    },
];

/// The rows of these names, in their order.
pub(crate) fn chosen(names: &str) -> Result<Vec<&'static Row>, String> {
    let names: Vec<&str> = names.split(',').map(str::trim).collect();
    if let Some(name) = names
        .iter()
        .find(|name| ROWS.iter().all(|row| row.name != **name))
    {
        let known: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
        return Err(format!("{name} is no row; known are {}", known.join(", ")));
    }
    Ok(ROWS
        .iter()
        .filter(|row| names.contains(&row.name))
        .collect())
}

impl What {
    /// In words.
    pub(crate) fn name(self) -> &'static str {
        match self {
            What::Wall => "wall",
            What::Stored => "stored bytes",
        }
    }
}
