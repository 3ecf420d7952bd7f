//! Checking the structure: everything is there that anything refers to.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use vouchsafe_capture::{NoProgress, Progress};
use vouchsafe_format::Id;
use vouchsafe_model::Issue;

use crate::drive::Driver;
use crate::error::RepoError;
use crate::index::{BlobIndex, ById};
use crate::machine::ObjectKind;
use crate::memory::{Coverage, VerifyMemory};
use crate::objects::show;
use crate::packs::{PackRef, PackSizes, header_damage, pack_issue, pack_refs};
use crate::parallel;
use crate::references::References;
use crate::repository::{Repository, issue};
use crate::verify::{Budget, Reading, VerifyReport, choose};

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
    /// The bytes of chunks are not read: see [`Repository::check_and_read`].
    ///
    /// # Errors
    /// [`RepoError::Store`] if the store fails, [`RepoError::Interrupted`]. Damage is a problem in the report.
    pub fn check(&self, progress: &dyn Progress) -> Result<CheckReport, RepoError> {
        let found = self.structure()?;
        let mut problems = self.check_packs(&found.index, &found.packs, &found.sizes, progress)?;
        progress.phase("directories", None, None);
        let (snapshots, more) = self.check_references(&found.index, progress)?;
        problems.extend(more);
        Ok(found.report(snapshots, problems))
    }

    /// Checks the structure as [`Repository::check`] and reads packs as [`Repository::verify_remembering`], each pack
    /// only once: those that are read as a whole need no look at their headers. When it is interrupted while reading,
    /// the structure is not checked to its end.
    ///
    /// # Errors
    /// As these two.
    pub fn check_and_read(
        &self,
        reading: &Reading,
        memory: &mut VerifyMemory,
        progress: &dyn Progress,
    ) -> Result<(CheckReport, VerifyReport), RepoError> {
        self.check_and_read_keeping(reading, memory, &|_, _| {}, progress)
    }

    /// As [`Repository::check_and_read`]; `keep` is told what is known so far after a second of reading, and then ever
    /// more seldom, down to once a minute, so that whoever keeps it loses little if the process is killed.
    ///
    /// # Errors
    /// As [`Repository::check_and_read`].
    pub fn check_and_read_keeping(
        &self,
        reading: &Reading,
        memory: &mut VerifyMemory,
        keep: &(dyn Fn(&VerifyMemory, &Coverage) + Sync),
        progress: &dyn Progress,
    ) -> Result<(CheckReport, VerifyReport), RepoError> {
        let found = self.structure()?;
        let chosen: HashSet<Id, ById> = match reading.budget {
            // How far the time will reach is not known.
            Budget::Time(_) => HashSet::default(),
            _ => choose(&found.packs, reading, memory, self.env().clock.now())
                .iter()
                .map(|pack| pack.id)
                .collect(),
        };
        let others: Vec<PackRef> = found
            .packs
            .iter()
            .filter(|pack| !chosen.contains(&pack.id))
            .copied()
            .collect();
        let (index, packs) = (&found.index, &found.packs);
        let mut problems = self.check_packs(index, &others, &found.sizes, progress)?;
        let mut read = || self.read_packs_in_turn(index, packs, reading, memory, keep, progress);
        let (read, references) = match self.driver {
            Driver::Simulated(_) => (read(), self.check_references(&found.index, &NoProgress)),
            // Directories are followed one after the other, which leaves a processor idle.
            _ => thread::scope(|scope| {
                let references = scope.spawn(|| self.check_references(&found.index, &NoProgress));
                let read = read();
                let died = Err(RepoError::Interrupted);
                (read, references.join().unwrap_or(died))
            }),
        };
        let read = read?;
        if read.interrupted {
            return Ok((found.report(0, problems), read));
        }
        let (snapshots, more) = references?;
        problems.extend(more);
        Ok((found.report(snapshots, problems), read))
    }

    fn structure(&self) -> Result<Structure, RepoError> {
        let (index, issues) = self.fresh_index()?;
        let sizes = self.pack_sizes()?;
        Ok(Structure {
            packs: pack_refs(&index),
            index,
            sizes,
            issues,
        })
    }

    /// Follows all snapshots; how many can be read, and what is wrong.
    fn check_references(
        &self,
        index: &Arc<BlobIndex>,
        progress: &dyn Progress,
    ) -> Result<(u64, Vec<Issue>), RepoError> {
        let (snapshots, mut problems) = self.stored_snapshots()?;
        let mut references = References::new(self, index);
        for (id, snapshot) in &snapshots {
            references.follow(id, snapshot.tree, progress)?;
        }
        problems.append(&mut references.problems);
        Ok((snapshots.len() as u64, problems))
    }

    fn check_packs(
        &self,
        index: &BlobIndex,
        packs: &[PackRef],
        sizes: &PackSizes,
        progress: &dyn Progress,
    ) -> Result<Vec<Issue>, RepoError> {
        progress.phase("headers", Some(packs.len() as u64), None);
        let failure = Mutex::new(None);
        let found = Mutex::new(Vec::new());
        let whole = parallel::each(packs, self.hands(), &self.env().interrupt, |pack| {
            progress.advance(1, 0);
            match self.check_pack(index, pack, sizes) {
                Ok(problem) => {
                    found
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .extend(problem);
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
        });
        match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None if whole => Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner)),
            None => Err(RepoError::Interrupted),
        }
    }

    fn check_pack(
        &self,
        index: &BlobIndex,
        pack: &PackRef,
        sizes: &PackSizes,
    ) -> Result<Option<Issue>, RepoError> {
        let PackRef { number, id, bytes } = pack;
        if let Some(damage) = self.pack_damage(sizes, id, *bytes)? {
            return Ok(Some(pack_issue(id, &damage)));
        }
        let blobs = index.pack(*number).map(|pack| pack.blobs);
        if let Some(trouble) = index.trouble() {
            return Err(trouble.into());
        }
        let blobs = blobs.unwrap_or_default();
        match header_damage(&self.objects, &self.key, id, *bytes, &blobs) {
            Ok(damage) => Ok(damage.map(|damage| pack_issue(id, &damage))),
            Err(error) if error.is_transient() => Err(error.into()),
            Err(error) => Ok(Some(issue(show(ObjectKind::Pack, id), &error))),
        }
    }
}

/// What indexes and listings say.
struct Structure {
    index: Arc<BlobIndex>,
    packs: Vec<PackRef>,
    sizes: PackSizes,
    issues: Vec<Issue>,
}

impl Structure {
    fn report(self, snapshots: u64, problems: Vec<Issue>) -> CheckReport {
        let listed: HashSet<&Id, ById> = self.packs.iter().map(|pack| &pack.id).collect();
        let mut unlisted_packs: Vec<Id> = self
            .sizes
            .keys()
            .filter(|id| !listed.contains(id))
            .copied()
            .collect();
        unlisted_packs.sort_unstable();
        let mut all = self.issues;
        all.extend(problems);
        CheckReport {
            packs: self.packs.len() as u64,
            blobs: self.index.len() as u64,
            snapshots,
            problems: all,
            unlisted_packs,
        }
    }
}
