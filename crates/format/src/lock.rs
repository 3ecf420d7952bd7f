//! Lock files: who uses a repository right now, and how.

use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;

/// A lock, as its file holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockFile {
    /// When it was made or last refreshed.
    pub time: Timestamp,
    /// Whether nobody else may hold a lock.
    pub exclusive: bool,
    /// The machine that holds it.
    pub hostname: String,
    /// The user who holds it.
    pub username: String,
    /// The process that holds it.
    pub pid: u32,
    /// That user's number.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub uid: u32,
    /// That user's group number.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub gid: u32,
}

/// The bytes are not a lock.
#[derive(Debug, thiserror::Error)]
#[error("the lock file is malformed")]
pub struct LockError(#[from] serde_json::Error);

impl LockFile {
    /// The JSON, in restic's order of keys.
    ///
    /// # Errors
    /// [`LockError`] if the JSON library fails, for which there is no known case.
    pub fn encode(&self) -> Result<Vec<u8>, LockError> {
        Ok(serde_json::to_vec(self)?)
    }

    /// Reads the JSON of a lock; keys that are not known are ignored.
    ///
    /// # Errors
    /// [`LockError`].
    pub fn decode(json: &[u8]) -> Result<LockFile, LockError> {
        Ok(serde_json::from_slice(json)?)
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}
