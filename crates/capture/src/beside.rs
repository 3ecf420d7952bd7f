//! Bringing single tables back beside live data, where nothing of theirs is yet.

use std::path::PathBuf;

use vouchsafe_model::Issue;

use crate::replay::FetchedLog;

/// Which tables are wanted, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BesideRequest {
    /// A database that is in use, as the source understands it: a URL, or a file.
    pub to: PathBuf,
    /// The tables or collections, as the source names them; not empty.
    pub only: Vec<String>,
    /// The name of what is made for them: a schema, a database, or what their new names begin with.
    pub into: String,
}

/// What is about to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BesidePlan {
    /// Where they go, for people, without secrets.
    pub place: String,
    /// What is known of them before anything is restored.
    pub tables: Vec<BesideTable>,
    /// What is made first, of which nothing stays in the end, as half a sentence.
    pub first: String,
    /// What does not come along, each as half a sentence.
    pub stays: Vec<String>,
}

/// One table that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BesideTable {
    /// As it was called.
    pub name: String,
    /// What it will be called.
    pub becomes: String,
    /// Its rows, where the point says how many there are.
    pub rows: Option<u64>,
}

/// What was brought back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beside {
    /// Where they are, for people, without secrets.
    pub place: String,
    /// Every table that has rows of its own.
    pub tables: Vec<BroughtTable>,
    /// What did not come along, each as half a sentence.
    pub stays: Vec<String>,
    /// What is not as it should be; a table whose rows differ is one.
    pub issues: Vec<Issue>,
    /// The log that was replayed for it, if one was.
    pub replayed: Option<FetchedLog>,
}

/// One table that was brought back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BroughtTable {
    /// As it was called.
    pub name: String,
    /// What it is called now.
    pub becomes: String,
    /// How many rows it has now.
    pub rows: u64,
    /// What its rows were compared with.
    pub equal: Equal,
}

/// How the rows of a table that was brought back compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Equal {
    /// They are those of which the capture took the digest.
    ToCaptured,
    /// Their number, and those of a sample, are what the capture noted.
    ToSample,
    /// They are those of the restored copy that they were taken from; the point has no digests of them.
    ToCopy,
    /// They are not.
    Not {
        /// Number and digest that they should have.
        expected: String,
        /// Number and digest that they have.
        found: String,
    },
}

impl Equal {
    /// Whether they are what they should be.
    pub fn holds(&self) -> bool {
        !matches!(self, Equal::Not { .. })
    }
}
