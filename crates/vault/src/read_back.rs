//! Reading back: what was just stored is fetched from the store anew, before anybody counts on it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use vouchsafe_capture::{NoProgress, Progress};
use vouchsafe_format::{BlobKind, Id};
use vouchsafe_model::Issue;

use crate::error::{Damage, RepoError};
use crate::fetch::Blobs;
use crate::index::BlobIndex;
use crate::machine::ObjectKind;
use crate::objects::show;
use crate::packs::{PackReader, PackRef, PackVerdict, pack_issue};
use crate::parallel;
use crate::references::References;
use crate::repository::{Repository, in_words, issue};

/// Which bytes are read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadBack {
    /// These packs as a whole: what a backup or a copy has added.
    Added(Vec<Id>),
    /// Every blob of the snapshot.
    Everything,
}

/// What was read back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadBackReport {
    /// Blobs that were fetched, opened and re-hashed: at least the snapshot's directories, even where it added nothing.
    pub blobs: u64,
    /// Stored bytes that were fetched for the chosen ones.
    pub bytes: u64,
    /// What is wrong; a snapshot with any must not be claimed.
    pub problems: Vec<Issue>,
    /// The packs that are damaged or missing: nothing new may count on them.
    pub damaged: Vec<Id>,
}

impl Repository {
    /// Reads a snapshot back from the store: its own file, the index, all its directories, and the chosen blobs.
    /// Every blob that it refers to must be listed, in a pack that is there with its exact size.
    ///
    /// Nothing that was kept in memory since the backup is relied upon.
    ///
    /// # Errors
    /// [`RepoError::NoSnapshot`], [`RepoError::Damaged`] for the snapshot itself, [`RepoError::Store`],
    /// [`RepoError::Interrupted`]. Anything else that is wrong is a problem in the report.
    pub fn read_back(&self, snapshot: &Id, scope: ReadBack) -> Result<ReadBackReport, RepoError> {
        self.read_back_telling(snapshot, scope, &NoProgress)
    }

    /// As [`Repository::read_back`], with the packs and bytes told as they are read.
    ///
    /// # Errors
    /// As [`Repository::read_back`].
    pub fn read_back_telling(
        &self,
        snapshot: &Id,
        scope: ReadBack,
        progress: &dyn Progress,
    ) -> Result<ReadBackReport, RepoError> {
        let found = self.snapshot(snapshot)?;
        let (index, index_issues) = match &scope {
            // What older index files list is known from the store already, if it is so much that it is kept in a file.
            ReadBack::Added(_) => {
                self.forget_index();
                self.index()?
            }
            ReadBack::Everything => self.fresh_index()?,
        };
        let mut problems = Vec::new();
        let mut references = References::new(self, &index);
        references.follow(snapshot, found.tree, &NoProgress)?;
        problems.append(&mut references.problems);
        // A damaged index file matters to this snapshot only if something of it is not listed elsewhere.
        if !problems.is_empty() {
            let trouble = index.trouble();
            problems.extend(trouble.map(|trouble| issue("index".to_owned(), &trouble)));
            problems.extend(index_issues);
        }
        let mut damaged = self.check_referenced_packs(&references, &index, &mut problems)?;
        let report = match scope {
            ReadBack::Added(packs) => {
                let elsewhere = references.directories_outside(&packs);
                let mut report = self.read_packs(&packs, &index, progress)?;
                report.blobs += elsewhere;
                report
            }
            ReadBack::Everything => self.read_blobs(&references, index)?,
        };
        problems.extend(report.problems);
        damaged.extend(report.damaged);
        damaged.sort_unstable();
        damaged.dedup();
        Ok(ReadBackReport {
            problems,
            damaged,
            ..report
        })
    }

    fn check_referenced_packs(
        &self,
        references: &References,
        index: &BlobIndex,
        problems: &mut Vec<Issue>,
    ) -> Result<Vec<Id>, RepoError> {
        let mut needed = BTreeSet::new();
        for (id, kind) in &references.seen {
            needed.extend(
                index
                    .places(*kind, id)
                    .map(|place| (place.pack, index.pack_bytes(place.number))),
            );
        }
        let sizes = self.pack_sizes()?;
        let mut damaged = Vec::new();
        for (pack, bytes) in needed {
            if let Some(damage) = self.pack_damage(&sizes, &pack, bytes)? {
                problems.push(pack_issue(&pack, &damage));
                damaged.push(pack);
            }
        }
        Ok(damaged)
    }

    fn read_packs(
        &self,
        packs: &[Id],
        index: &BlobIndex,
        progress: &dyn Progress,
    ) -> Result<ReadBackReport, RepoError> {
        let mut report = ReadBackReport::default();
        let mut known = Vec::new();
        for id in packs {
            match index.pack_number(id) {
                Some(number) => known.push(PackRef {
                    number,
                    id: *id,
                    bytes: index.pack_bytes(number),
                }),
                None => report.problems.push(Issue {
                    message: "no index lists it".to_owned(),
                    ..pack_issue(id, &Damage::Missing)
                }),
            }
        }
        progress.phase(
            "read back",
            Some(known.len() as u64),
            Some(known.iter().map(|pack| pack.bytes).sum()),
        );
        let shared = Mutex::new(report);
        let whole = parallel::each_with(
            &known,
            self.reading_threads(&known),
            &self.env().interrupt,
            || PackReader::new(self),
            |reader, listed| {
                let Some(pack) = index.pack(listed.number) else {
                    return true;
                };
                let verdict = reader.verdict(&pack, false);
                let is_damaged = matches!(verdict, PackVerdict::Damaged(_));
                let problems = match verdict {
                    PackVerdict::Whole => Vec::new(),
                    PackVerdict::Damaged(damage) => {
                        damage.iter().map(|d| pack_issue(&pack.id, d)).collect()
                    }
                    PackVerdict::Unreadable(error) => {
                        vec![issue(show(ObjectKind::Pack, &pack.id), &error)]
                    }
                };
                let mut report = shared.lock().unwrap_or_else(PoisonError::into_inner);
                report.blobs += pack.blobs.len() as u64;
                report.bytes += pack.bytes;
                report.problems.extend(problems);
                report.damaged.extend(is_damaged.then_some(pack.id));
                progress.advance(1, pack.bytes);
                true
            },
        );
        if !whole {
            return Err(RepoError::Interrupted);
        }
        if let Some(trouble) = index.trouble() {
            return Err(trouble.into());
        }
        Ok(shared.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn read_blobs(
        &self,
        references: &References,
        index: std::sync::Arc<BlobIndex>,
    ) -> Result<ReadBackReport, RepoError> {
        let mut wanted: Vec<(u32, u32, u32, Id, BlobKind)> =
            Vec::with_capacity(references.seen.len());
        for (id, kind) in &references.seen {
            // What is not listed was reported when it was met.
            wanted.extend(
                index
                    .place(*kind, id)
                    .map(|p| (p.number, p.offset, p.length, *id, *kind)),
            );
        }
        wanted.sort_unstable();
        let blobs = Blobs {
            objects: self.objects.clone(),
            key: self.key.clone(),
            index,
            threads: self.hands(),
        };
        let (count, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        let problems = Mutex::new(Vec::new());
        let whole = parallel::each(
            &wanted,
            self.hands(),
            &self.env().interrupt,
            |(_, _, length, id, kind)| {
                match blobs.read(*kind, id) {
                    Ok(_) => {
                        count.fetch_add(1, Ordering::Relaxed);
                        bytes.fetch_add(u64::from(*length), Ordering::Relaxed);
                    }
                    Err(problem) => problems
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(Issue {
                            place: format!("blob {id}"),
                            message: in_words(&problem),
                        }),
                }
                true
            },
        );
        if !whole {
            return Err(RepoError::Interrupted);
        }
        let problems = problems
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(ReadBackReport {
            blobs: count.into_inner(),
            bytes: bytes.into_inner(),
            problems,
            damaged: Vec::new(),
        })
    }
}
