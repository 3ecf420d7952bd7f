//! Replacing the passphrase in force: a new slot is written and proven, the new passphrase put in force, and only then
//! the old slot removed.

use vouchsafe_format::{Id, KdfParams};
use vouchsafe_model::{Secret, Time};

use super::error::{KeepingError, KeyChangeError};
use crate::repository::Repository;

/// The place that holds the passphrase in force. Each step is durable when it returns, and happens as a whole or not
/// at all.
pub trait Keeping {
    /// A change that was begun and not ended.
    fn begun(&mut self) -> Result<Option<Begun>, KeepingError>;
    /// Notes that a change begins. From here on the new passphrase is known, whatever happens.
    fn begin(&mut self, begun: &Begun) -> Result<(), KeepingError>;
    /// Replaces the passphrase in force; by the same again is fine.
    fn put_in_force(&mut self, passphrase: &Secret) -> Result<(), KeepingError>;
}

/// A change of the passphrase that was begun.
#[derive(Clone, Debug)]
pub struct Begun {
    /// The slots that the old passphrase opens.
    pub old: Vec<Id>,
    /// The passphrase that is to be in force.
    pub next: Secret,
}

/// A change of the passphrase that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The slot that the new passphrase opens.
    pub added: Id,
    /// The slots that are gone.
    pub removed: Vec<Id>,
    /// Those among them whose key files a lock keeps as older versions, and until when, if the store says so.
    pub hidden: Vec<(Id, Option<Time>)>,
}

impl Repository {
    /// Replaces the passphrase in force by a fresh one, or goes on with a change that was begun before.
    ///
    /// At every moment the passphrase in force, or the one that was begun, opens the repository. The caller holds an
    /// exclusive lock, and ends the change in its `keeping` when it has recorded it.
    ///
    /// # Errors
    /// [`KeyChangeError`]: calling it again goes on.
    pub fn rotate_passphrase(
        &self,
        in_force: &Secret,
        keeping: &mut dyn Keeping,
        fresh: impl FnOnce() -> Secret,
        kdf: Option<KdfParams>,
    ) -> Result<Rotation, KeyChangeError> {
        let begun = match keeping.begun().map_err(KeyChangeError::Keeping)? {
            Some(begun) => begun,
            None => self.begin(in_force, keeping, fresh())?,
        };
        let stays = match self.slots_opened_by(&begun.next)?.into_iter().next() {
            Some(proven) => proven,
            None => self.add_key(&begun.next, kdf)?,
        };
        keeping
            .put_in_force(&begun.next)
            .map_err(KeyChangeError::Keeping)?;
        let mut hidden = Vec::new();
        for slot in &begun.old {
            let erased = self.remove_key(slot, &stays)?;
            if erased.locked > 0 {
                hidden.push((*slot, erased.until));
            }
        }
        Ok(Rotation {
            added: stays.id(),
            removed: begun.old,
            hidden,
        })
    }

    fn begin(
        &self,
        in_force: &Secret,
        keeping: &mut dyn Keeping,
        next: Secret,
    ) -> Result<Begun, KeyChangeError> {
        let old: Vec<Id> = self
            .slots_opened_by(in_force)?
            .iter()
            .map(|proven| proven.id())
            .collect();
        if old.is_empty() {
            return Err(KeyChangeError::OpensNothing {
                store: self.place(),
            });
        }
        let begun = Begun { old, next };
        keeping.begin(&begun).map_err(KeyChangeError::Keeping)?;
        Ok(begun)
    }
}
