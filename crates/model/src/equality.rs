//! To what else a restored moment is equal: what the policy asks of drills, and what they find.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ids::{PointId, VaultName};
use crate::policy::{Protection, Way};
use crate::source_url::SourceUrl;
use crate::time::Span;

/// To what a drill holds what it has restored to a moment, part by part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum EqualityRule {
    /// To the same moment restored from another vault, by that one's own base and log.
    Copies,
    /// To what a standby of the server held at the same place of the log.
    Standby(SourceUrl),
}

impl Protection {
    /// To what its drills hold a restored moment; nothing if the policy asks for none, or what is captured has no
    /// moments that could be compared: only whole servers of PostgreSQL, MariaDB and MySQL have.
    pub fn equality(&self) -> Option<&EqualityRule> {
        match &self.way {
            Way::Capture(url) if url.has_comparable_moments() => {
                self.drill.as_ref()?.equality.as_ref()
            }
            _ => None,
        }
    }
}

/// To what restored data was found equal at its moment: every declaration, every row, and where there are any that are
/// the same by nature, every sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Equality {
    /// To what.
    pub to: EqualTo,
    /// How many parts have equal digests.
    pub parts: u64,
    /// How many rows are in them.
    pub rows: u64,
}

/// What restored data is held against, so that its equality does not rest on one copy alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum EqualTo {
    /// The same moment, restored from another vault and from nothing else.
    Copy {
        /// From which vault.
        vault: VaultName,
        /// From which point on.
        point: PointId,
    },
    /// What a standby held at the same place of the log.
    Standby {
        /// Which, without password.
        server: String,
        /// The place, as the database writes it.
        position: String,
        /// For how long its replay was paused.
        paused_for: Span,
    },
}

impl fmt::Display for EqualTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EqualTo::Copy { vault, .. } => write!(f, "the same moment restored from {vault}"),
            EqualTo::Standby {
                server, position, ..
            } => write!(f, "what the standby {server} held at {position}"),
        }
    }
}
