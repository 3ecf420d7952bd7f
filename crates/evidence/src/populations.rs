//! Populations: all facts of one kind in a period, frozen with the query that yields them and no others.

mod cells;
mod kinds;
mod rows;
mod table;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use vouchsafe_model::Time;

use crate::report::ReportInput;
use crate::words::len;

pub use table::csv;

/// How the rows of a population are found in an export of the ledger, for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Select {
    /// Kinds of facts, as the key `fact` of an entry has them.
    pub facts: Vec<String>,
    /// The key of the entry whose time must lie in the period: `at`, or `due`.
    pub time: String,
    /// The key of the list of which each member is a row of its own, if it is not the entry itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub each: Option<String>,
    /// The key of which each value is one row only, whatever number of entries have it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unique: Option<String>,
    /// Whether not every row that this yields is a row here, but only those that the title speaks of.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub judged: bool,
}

/// One row: its key, what it concerns, its cells in the order of the columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrozenRow {
    /// Names it within its population: a ledger sequence number, with the place in its list where there is one; or the
    /// id of an obligation.
    pub key: String,
    /// What it concerns: a protection, a vault, a duty. How often things of one subject happen is how often the
    /// control works.
    pub subject: String,
    /// As text. Nothing here is made harmless yet; [`csv`] does that.
    pub cells: Vec<String>,
}

/// A population as it was at one size of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frozen {
    /// Its name, and that of its file without an ending.
    pub name: &'static str,
    /// What it holds.
    pub title: &'static str,
    /// The query as a command over an export of the ledger, by `jq`.
    pub query: String,
    /// The same for programs.
    pub select: Select,
    /// Beginning of the period, included.
    pub from: Time,
    /// End of the period, not included.
    pub to: Time,
    /// Only what was recorded up to then was looked at.
    pub as_of: Time,
    /// Entries of the ledger at that time.
    pub ledger_size: u64,
    /// Its Merkle root at that size, lower hex.
    pub ledger_root: String,
    /// The heads of the columns; the first is `key`.
    pub columns: Vec<&'static str>,
    /// All rows, in the order of the ledger; obligations in the order in which they were due.
    pub rows: Vec<FrozenRow>,
}

/// What is said of a population beside its rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrozenHead {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub title: String,
    /// The file of its rows.
    pub file: String,
    /// How many rows there are.
    pub rows: u64,
    /// SHA-256 of that file, lower hex.
    pub sha256: String,
    /// The query as a command over an export of the ledger.
    pub query: String,
    /// The same for programs.
    pub select: Select,
    /// Beginning of the period, included.
    pub from: Time,
    /// End of the period, not included.
    pub to: Time,
    /// Only what was recorded up to then was looked at.
    pub as_of: Time,
    /// Entries of the ledger at that time.
    pub ledger_size: u64,
    /// Its Merkle root at that size, lower hex.
    pub ledger_root: String,
}

impl Frozen {
    /// The file of its rows, below the directory of a report.
    pub fn file(&self) -> String {
        format!("populations/{}.csv", self.name)
    }

    /// What is said of it beside its rows.
    pub fn head(&self) -> FrozenHead {
        FrozenHead {
            name: self.name.to_owned(),
            title: self.title.to_owned(),
            file: self.file(),
            rows: len(self.rows.len()),
            sha256: hex::encode(Sha256::digest(csv(self).as_bytes())),
            query: self.query.clone(),
            select: self.select.clone(),
            from: self.from,
            to: self.to,
            as_of: self.as_of,
            ledger_size: self.ledger_size,
            ledger_root: self.ledger_root.clone(),
        }
    }

    /// How many different subjects its rows have.
    pub fn subjects(&self) -> u64 {
        let all: BTreeSet<&str> = self.rows.iter().map(|r| r.subject.as_str()).collect();
        len(all.len())
    }
}

/// The names of all populations, in their order.
pub const POPULATIONS: [&str; 16] = [
    "obligations",
    "duties",
    "runs",
    "points",
    "copies",
    "verifications",
    "drills",
    "failures",
    "deletions",
    "prunes",
    "keys",
    "holds",
    "repairs",
    "logs",
    "policies",
    "others",
];

/// All populations of a report's period.
///
/// Every fact that was recorded in the period is a row of one of them, but for horizons, and for obligations, which
/// are rows of the period in which they were due; `runs` hold both ends of a run, `failures` and `duties` show some
/// rows once more.
pub fn populations(input: &ReportInput<'_>) -> Vec<Frozen> {
    rows::all(input)
}
