//! What is said about a policy file, each with its place.

use std::collections::BTreeMap;
use std::fmt;

use vouchsafe_model::Policy;

use crate::declared::Declared;
use crate::files::FileMap;

/// How much a problem matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Good to know; nothing need be done.
    Note,
    /// The policy can be kept, and promises less than it seems to.
    Warning,
    /// The file cannot be understood or cannot be kept as written.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Level::Note => "note",
            Level::Warning => "warning",
            Level::Error => "error",
        })
    }
}

/// One thing that is said about the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Stable code such as `P010`; [`crate::explain()`] says more.
    pub code: &'static str,
    /// How much it matters.
    pub level: Level,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong, as one sentence without a full stop; never holds a secret.
    pub message: String,
    /// What to do about it.
    pub remedy: String,
}

/// `policy.yaml:12:5: error[P010]: message; remedy`, without the file's name.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: {}[{}]: {}",
            self.line, self.column, self.level, self.code, self.message
        )?;
        if self.remedy.is_empty() {
            Ok(())
        } else {
            write!(f, "; {}", self.remedy)
        }
    }
}

/// How far a clause of prose has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClauseState {
    /// It says something; no rule of the machine stands behind it.
    Prose,
    /// It is to come.
    Planned,
    /// A heading without content.
    Empty,
}

/// A sentence of the policy that is still prose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clause {
    /// Its name or number in the policy.
    pub name: String,
    /// What it says.
    pub text: String,
    /// How far it has come.
    pub state: ClauseState,
}

/// Line and column of a node, both from 1.
pub type Place = (usize, usize);

/// What became of a policy file.
#[derive(Clone, Debug, Default)]
pub struct Lowered {
    /// The name that was given for the file, for messages.
    pub file_name: String,
    /// Which line of the text, which is what places count, is which line of which file.
    pub files: FileMap,
    /// The policy; nothing if any problem is an error.
    pub policy: Option<Policy>,
    /// Everything that was found, in the order of the file.
    pub problems: Vec<Problem>,
    /// Place of every key of the file, by its path of keys and list positions joined by `/`: `systems/shop-db/plan`.
    pub places: BTreeMap<String, Place>,
    /// The systems that one declaration makes, by its name: `laptop-{}`.
    pub instances: BTreeMap<String, Vec<String>>,
    /// The clauses that are stated as prose.
    pub clauses: Vec<Clause>,
    /// What is declared beside the rules that this version acts on.
    pub declared: Declared,
    /// Paths of the vaults, tiers, classes and plans that nothing refers to: `plans/nightly`.
    pub unused: Vec<String>,
    /// The plan that is named by a `plan` key, by the key's place.
    pub(crate) plans_named: BTreeMap<Place, String>,
}

impl Lowered {
    /// Whether nothing hinders the policy from being used.
    pub fn is_usable(&self) -> bool {
        self.policy.is_some()
    }

    /// The place of `path`, or of the nearest enclosing key that has one, or the file's first line.
    pub fn place(&self, path: &str) -> Place {
        let mut path = path;
        loop {
            if let Some(place) = self.places.get(path) {
                return *place;
            }
            match path.rsplit_once('/') {
                Some((outer, _)) => path = outer,
                None => return (1, 1),
            }
        }
    }
}
