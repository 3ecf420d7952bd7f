//! Which snapshot a person means.

use vouchsafe_format::{Id, Snapshot};

use super::error::SelectError;
use crate::error::RepoError;
use crate::machine::ObjectKind;
use crate::repository::Repository;

impl Repository {
    /// The snapshot whose id begins with `wanted`, written in hexadecimal.
    ///
    /// # Errors
    /// [`SelectError::Unknown`], [`SelectError::Ambiguous`], [`SelectError::Repository`].
    pub fn snapshot_by_prefix(&self, wanted: &str) -> Result<Id, SelectError> {
        let prefix = wanted.to_ascii_lowercase();
        let names = self.objects.list(ObjectKind::Snapshot);
        let mut found: Vec<Id> = names
            .map_err(RepoError::from)?
            .into_iter()
            .map(|(id, _)| id)
            .filter(|id| !prefix.is_empty() && id.to_hex().starts_with(&prefix))
            .collect();
        match found.as_slice() {
            [one] => Ok(*one),
            [] => Err(SelectError::Unknown {
                wanted: wanted.to_owned(),
                store: self.place(),
            }),
            _ => {
                let more = found.len() > SHOWN;
                found.truncate(SHOWN);
                let mut candidates: Vec<String> = found.iter().map(longer).collect();
                if more {
                    candidates.push("…".to_owned());
                }
                Err(SelectError::Ambiguous {
                    wanted: wanted.to_owned(),
                    store: self.place(),
                    candidates: candidates.join(", "),
                })
            }
        }
    }

    /// The snapshot with the latest time among those that are `wanted`. One that cannot be read hinders nobody from
    /// reading the others.
    ///
    /// # Errors
    /// [`SelectError::Empty`] if there is none, [`SelectError::Repository`].
    pub fn newest_snapshot(
        &self,
        wanted: impl Fn(&Snapshot) -> bool,
    ) -> Result<(Id, Snapshot), SelectError> {
        let (snapshots, _) = self.readable_snapshots()?;
        let newest = snapshots
            .into_iter()
            .rfind(|(_, snapshot)| wanted(snapshot));
        newest.ok_or(SelectError::Empty {
            store: self.place(),
        })
    }
}

/// Ids that an error names at most.
const SHOWN: usize = 5;

/// Half as much again as the short form: candidates mostly differ by then.
fn longer(id: &Id) -> String {
    id.to_hex().get(..12).unwrap_or_default().to_owned()
}
