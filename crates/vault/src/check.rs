//! Checking the structure: everything is there that anything refers to.

use std::sync::{Mutex, PoisonError};

use vouchsafe_capture::Progress;
use vouchsafe_format::{Id, PackedBlob};
use vouchsafe_model::Issue;

use crate::error::RepoError;
use crate::machine::ObjectKind;
use crate::packs::{PackSizes, header_damage, pack_issue};
use crate::parallel;
use crate::references::References;
use crate::repository::{Repository, issue};

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Packs that the index lists.
    pub packs: u64,
    /// Blobs that the index lists, counted once for each place.
    pub blobs: u64,
    /// Snapshots that can be read.
    pub snapshots: u64,
    /// What is wrong.
    pub problems: Vec<Issue>,
    /// Packs that no index lists: left by interrupted work, or their index is missing. They do no harm by themselves.
    pub unlisted_packs: Vec<Id>,
}

impl Repository {
    /// Checks that all indexes and snapshots decode, that all packs are there with their exact size, that their
    /// headers agree with the index, that all directories of all snapshots load and all their chunks are listed.
    ///
    /// The bytes of chunks are not read: see [`Repository::verify`].
    ///
    /// # Errors
    /// [`RepoError::Store`] if the store fails, [`RepoError::Interrupted`]. Damage is a problem in the report.
    pub fn check(&self, progress: &dyn Progress) -> Result<CheckReport, RepoError> {
        let (index, mut problems) = self.fresh_index()?;
        let sizes = self.pack_sizes()?;
        let packs: Vec<(Id, u64, Vec<PackedBlob>)> = index
            .by_pack()
            .into_iter()
            .zip(index.packs())
            .map(|((id, blobs), (_, bytes))| (id, bytes, blobs))
            .collect();
        progress.phase("packs", Some(packs.len() as u64), None);
        problems.extend(self.check_packs(&packs, &sizes, progress)?);
        let listed: std::collections::HashSet<&Id> = packs.iter().map(|(id, ..)| id).collect();
        let mut unlisted_packs: Vec<Id> = sizes
            .keys()
            .filter(|id| !listed.contains(id))
            .copied()
            .collect();
        unlisted_packs.sort_unstable();

        let (snapshots, issues) = self.readable_snapshots()?;
        problems.extend(issues);
        progress.phase("directories", None, None);
        let mut references = References::new(self, &index);
        for (id, snapshot) in &snapshots {
            references.follow(id, snapshot.tree, progress)?;
        }
        problems.append(&mut references.problems);
        Ok(CheckReport {
            packs: packs.len() as u64,
            blobs: index.len() as u64,
            snapshots: snapshots.len() as u64,
            problems,
            unlisted_packs,
        })
    }

    fn check_packs(
        &self,
        packs: &[(Id, u64, Vec<PackedBlob>)],
        sizes: &PackSizes,
        progress: &dyn Progress,
    ) -> Result<Vec<Issue>, RepoError> {
        let failure = Mutex::new(None);
        let found = Mutex::new(Vec::new());
        let whole = parallel::each(
            packs,
            self.hands(),
            &self.env().interrupt,
            |(id, bytes, blobs)| {
                progress.advance(1, 0);
                match self.check_pack(id, *bytes, blobs, sizes) {
                    Ok(None) => true,
                    Ok(Some(problem)) => {
                        found
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(problem);
                        true
                    }
                    Err(error) => {
                        failure
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .get_or_insert(error);
                        false
                    }
                }
            },
        );
        match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None if whole => Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner)),
            None => Err(RepoError::Interrupted),
        }
    }

    fn check_pack(
        &self,
        id: &Id,
        bytes: u64,
        blobs: &[PackedBlob],
        sizes: &PackSizes,
    ) -> Result<Option<Issue>, RepoError> {
        if let Some(damage) = self.pack_damage(sizes, id, bytes)? {
            return Ok(Some(pack_issue(id, &damage)));
        }
        match header_damage(&self.objects, &self.key, id, bytes, blobs) {
            Ok(damage) => Ok(damage.map(|damage| pack_issue(id, &damage))),
            Err(error) if error.is_transient() => Err(error.into()),
            Err(error) => Ok(Some(issue(
                crate::objects::show(ObjectKind::Pack, id),
                &error,
            ))),
        }
    }
}
