//! Snapshots: which tree was saved when, from where, and by whom.

use serde::{Deserialize, Deserializer, Serialize};

use crate::id::Id;
use crate::timestamp::Timestamp;

/// One snapshot, as its file holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// When the backup began.
    pub time: Timestamp,
    /// The snapshot that this one was compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Id>,
    /// The tree of the root directory.
    pub tree: Id,
    /// What was backed up.
    #[serde(default, deserialize_with = "null_is_empty")]
    pub paths: Vec<String>,
    /// The machine it came from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// The user who ran the backup.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// That user's number.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub uid: u32,
    /// That user's group number.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gid: u32,
    /// Patterns that were left out.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_empty"
    )]
    pub excludes: Vec<String>,
    /// Marks.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_is_empty"
    )]
    pub tags: Vec<String>,
    /// The snapshot that this one is a changed copy of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<Id>,
    /// The program that wrote it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub program_version: String,
    /// What the backup counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<SnapshotSummary>,
}

/// What a backup counted; sizes in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SnapshotSummary {
    /// When the backup began.
    pub backup_start: Timestamp,
    /// When it ended.
    pub backup_end: Timestamp,
    /// Files that the parent lacks.
    pub files_new: u64,
    /// Files that differ from the parent's.
    pub files_changed: u64,
    /// Files as in the parent.
    pub files_unmodified: u64,
    /// Directories that the parent lacks.
    pub dirs_new: u64,
    /// Directories that differ from the parent's.
    pub dirs_changed: u64,
    /// Directories as in the parent.
    pub dirs_unmodified: u64,
    /// New blobs of data.
    pub data_blobs: i64,
    /// New blobs of trees.
    pub tree_blobs: i64,
    /// Bytes of new blobs.
    pub data_added: u64,
    /// Bytes of new blobs as they are stored.
    pub data_added_packed: u64,
    /// Files in all.
    pub total_files_processed: u64,
    /// Bytes in all.
    pub total_bytes_processed: u64,
}

/// The bytes are not a snapshot.
#[derive(Debug, thiserror::Error)]
#[error("the snapshot is malformed")]
pub struct SnapshotError(#[from] serde_json::Error);

impl Snapshot {
    /// A snapshot of `tree` with nothing else said.
    pub fn new(time: Timestamp, tree: Id) -> Snapshot {
        Snapshot {
            time,
            parent: None,
            tree,
            paths: Vec::new(),
            hostname: String::new(),
            username: String::new(),
            uid: 0,
            gid: 0,
            excludes: Vec::new(),
            tags: Vec::new(),
            original: None,
            program_version: String::new(),
            summary: None,
        }
    }

    /// The JSON, in restic's order of keys.
    ///
    /// # Errors
    /// [`SnapshotError`] if the JSON library fails, for which there is no known case.
    pub fn encode(&self) -> Result<Vec<u8>, SnapshotError> {
        Ok(serde_json::to_vec(self)?)
    }

    /// Reads the JSON of a snapshot; keys that are not known are ignored.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn decode(json: &[u8]) -> Result<Snapshot, SnapshotError> {
        Ok(serde_json::from_slice(json)?)
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn null_is_empty<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}
