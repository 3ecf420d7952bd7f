//! Making the worklist, by reading alone.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use vouchsafe_capture::Progress;
use vouchsafe_format::{Id, IndexPack, Snapshot};
use vouchsafe_model::Span;

use super::error::{PruneError, prune_error};
use super::mark::{Marker, Marks};
use super::usage::{Fate, Usage, decide, measure};
use super::worklist::{
    Basis, Forget, KnownPoints, PackWork, PruneFigures, PruneMode, PruneOptions, PruneWorklist, Why,
};
use crate::error::RepoError;
use crate::index::BlobIndex;
use crate::machine::ObjectKind;
use crate::packs::{PackSizes, read_header};
use crate::parallel;
use crate::repository::Repository;
use crate::snapshots::Snapshots;

impl Repository {
    /// Plans what is removed: the snapshots that `known` lets go, and what no other snapshot needs.
    ///
    /// Reads all index files, all snapshots, and each directory once. Memory is a few bits for each blob, besides the
    /// index. Nothing is written, and no lock is needed to look; for the deed the exclusive lock must have been held
    /// since before the plan.
    ///
    /// # Errors
    /// [`PruneError`]. What is not known for certain to be unneeded ends the plan.
    pub fn plan_prune(
        &self,
        known: &KnownPoints,
        options: &PruneOptions,
        progress: &dyn Progress,
    ) -> Result<PruneWorklist, PruneError> {
        self.refuse_old_version()?;
        let write_once = options.mode != PruneMode::Locked;
        if !write_once && !self.objects.lists_consistently() {
            return Err(PruneError::LateListings {
                store: self.place(),
            });
        }
        let (there, kept) = self.sort_snapshots(known)?;
        let (listed_index, issues) = self.fresh_index().map_err(prune_error)?;
        let sizes = self.pack_sizes().map_err(prune_error)?;
        let (index, unlisted) = match write_once {
            true => self.with_unlisted(&listed_index, &sizes)?,
            false => (Arc::clone(&listed_index), Vec::new()),
        };
        progress.phase("directories", None, None);
        let marker = Marker::new(self, &index, None);
        marker.follow(kept.iter().map(|(_, s)| s.tree), progress)?;
        let needed = marker.marks;
        let (erased, all) = self.mark_erased(known, &index, &needed, progress)?;

        let listed: HashSet<Id> = listed_index.packs().map(|(id, _)| id).collect();
        let packs = index
            .packs()
            .map(|(id, bytes)| {
                Ok(Usage {
                    whole: self.pack_damage(&sizes, &id, bytes)?.is_none(),
                    listed: listed.contains(&id),
                    ..Usage::default()
                })
            })
            .collect::<Result<Vec<Usage>, RepoError>>()
            .map_err(prune_error)?;
        let (packs, keep) =
            measure(&index, &needed, erased.as_ref(), packs).map_err(RepoError::from)?;
        // A blob that could not be looked up counts as not stored, which must not make another one unneeded.
        if let Some(trouble) = index.trouble() {
            return Err(PruneError::Repository(trouble.into()));
        }
        self.refuse_damaged(&index, &packs, &sizes)?;
        let max_unused = if all { 0.0 } else { options.max_unused };
        let bytes: Vec<u64> = index.packs().map(|(_, bytes)| bytes).collect();
        let full = self.settings.pack_bytes as u64;
        let fates = decide(&packs, &bytes, max_unused, full);

        let mut draft = Draft::default();
        draft.take_listed(&index, &packs, &fates);
        let is_needed = |pack: &IndexPack| {
            let usage = index
                .pack_number(&pack.id)
                .and_then(|number| packs.get(number as usize));
            usage.is_some_and(|usage| usage.used.0 > 0)
        };
        let relist: Vec<IndexPack> = unlisted.into_iter().filter(is_needed).collect();
        let mut spoken_for = listed.clone();
        spoken_for.extend(relist.iter().map(|pack| pack.id));
        self.take_unlisted(&spoken_for, &sizes, &options.mode, &mut draft)?;
        if write_once {
            draft.retire_what_is_listed();
        }
        let gone = draft.leaving_the_index(&listed);
        let (replaced, read) = self.plan_indexes(&listed_index, &gone)?;
        let ids = |snapshots: &Snapshots| snapshots.iter().map(|(id, _)| *id).collect::<Vec<Id>>();
        let kept = ids(&kept);
        let unknown = kept.iter().filter(|id| !known.protect.contains(id));
        let snapshots = kept.iter().copied().chain(there.iter().map(|f| f.snapshot));
        Ok(PruneWorklist {
            unknown: unknown.copied().collect(),
            basis: Basis {
                index: Arc::clone(&index),
                keep: Arc::new(keep),
                snapshots: snapshots.collect(),
                indexes: read,
                relist,
                write_once,
            },
            forget: there,
            kept,
            remove: draft.remove,
            repack: draft.repack,
            retire: draft.retire,
            indexes: replaced,
            figures: draft.figures,
            issues,
        })
    }

    /// The index with packs that no index file lists, by their own headers: an earlier prune may have taken them out
    /// while a backup was under way that counted on them. What has no header is left by interrupted work.
    fn with_unlisted(
        &self,
        index: &BlobIndex,
        sizes: &PackSizes,
    ) -> Result<(Arc<BlobIndex>, Vec<IndexPack>), PruneError> {
        let listed: HashSet<Id> = index.packs().map(|(id, _)| id).collect();
        let mut others: Vec<(Id, u64)> = sizes.iter().map(|(id, bytes)| (*id, *bytes)).collect();
        others.retain(|(id, bytes)| !listed.contains(id) && *bytes > 0);
        others.sort_unstable();
        let interrupt = &self.env().interrupt;
        let read = parallel::map(
            &others,
            self.hands(),
            interrupt,
            |(id, bytes)| match read_header(&self.objects, &self.key, id, *bytes) {
                Ok(Ok(blobs)) => Ok(Some(IndexPack { id: *id, blobs })),
                Ok(Err(_)) => Ok(None),
                Err(error) if error.is_transient() => Err(error),
                Err(_) => Ok(None),
            },
        );
        let mut unlisted = Vec::new();
        for pack in read.ok_or(PruneError::Interrupted)? {
            unlisted.extend(pack?);
        }
        unlisted.sort_unstable_by_key(|pack| pack.id);
        // No index file has this name.
        let name = Id::of(b"packs that no index file lists");
        let whole = BlobIndex::clone(index).with([(name, unlisted.clone())]);
        Ok((Arc::new(whole), unlisted))
    }

    /// The snapshots that may go and are there, and all others. What is protected must be readable, and what is
    /// unknown too, for it stays.
    fn sort_snapshots(&self, known: &KnownPoints) -> Result<(Vec<Forget>, Snapshots), PruneError> {
        let listed = self.objects.list(ObjectKind::Snapshot)?;
        let listed: BTreeSet<Id> = listed.into_iter().map(|(id, _)| id).collect();
        let goes: BTreeMap<Id, &Forget> = known.forget.iter().map(|f| (f.snapshot, f)).collect();
        let mut there = Vec::new();
        for forget in goes.values() {
            if self
                .objects
                .size(ObjectKind::Snapshot, &forget.snapshot)?
                .is_some()
            {
                there.push((*forget).clone());
            }
        }
        let here: Vec<Id> = listed.iter().copied().collect();
        // A listing may be late.
        let late: Vec<Id> = known.protect.difference(&listed).copied().collect();
        // What is cached and still listed is what the store was given, by its digest. It only adds to what is needed.
        let mut loaded = self.load_these(&here, true).map_err(prune_error)?;
        loaded.extend(self.load_these(&late, false).map_err(prune_error)?);
        loaded.retain(|(id, _)| !goes.contains_key(id));
        let mut kept = Vec::new();
        for (id, found) in loaded {
            match found {
                Ok(snapshot) => kept.push((id, snapshot)),
                Err(RepoError::NoSnapshot { .. }) if known.protect.contains(&id) => {
                    return Err(PruneError::Missing {
                        snapshot: id,
                        store: self.place(),
                    });
                }
                // Removed by somebody since it was listed.
                Err(RepoError::NoSnapshot { .. }) => {}
                Err(RepoError::Store(error)) => return Err(error.into()),
                Err(source) => {
                    return Err(PruneError::Unreadable {
                        snapshot: id,
                        store: self.place(),
                        source: Box::new(source),
                    });
                }
            }
        }
        kept.sort_by_key(|(id, snapshot): &(Id, Snapshot)| (snapshot.time.unix_nanos(), *id));
        Ok((there, kept))
    }

    /// What only the snapshots hold that are to be erased. Whether that is not known, so that all that is unused has
    /// to go.
    fn mark_erased(
        &self,
        known: &KnownPoints,
        index: &Arc<BlobIndex>,
        needed: &Marks,
        progress: &dyn Progress,
    ) -> Result<(Option<Marks>, bool), PruneError> {
        let mut roots = Vec::new();
        for forget in known.forget.iter().filter(|f| f.erase) {
            match (self.snapshot(&forget.snapshot), forget.tree) {
                (Ok(snapshot), _) => roots.push(snapshot.tree),
                (Err(RepoError::Store(error)), _) => return Err(error.into()),
                (Err(_), Some(tree)) => roots.push(tree),
                (Err(_), None) => return Ok((None, true)),
            }
        }
        if roots.is_empty() {
            return Ok((None, false));
        }
        let marker = Marker::new(self, index, Some(needed));
        match marker.follow(roots, progress) {
            Ok(()) => Ok((Some(marker.marks), false)),
            Err(PruneError::Tree { .. }) => Ok((None, true)),
            Err(error) => Err(error),
        }
    }

    /// A pack that something needs must be whole.
    fn refuse_damaged(
        &self,
        index: &BlobIndex,
        packs: &[Usage],
        sizes: &PackSizes,
    ) -> Result<(), PruneError> {
        for ((pack, bytes), usage) in index.packs().zip(packs) {
            if usage.used.0 == 0 || usage.whole {
                continue;
            }
            if let Some(damage) = self.pack_damage(sizes, &pack, bytes).map_err(prune_error)? {
                return Err(PruneError::Pack {
                    pack,
                    store: self.place(),
                    source: Box::new(damage),
                });
            }
        }
        Ok(())
    }

    /// `listed` is what an index file lists, or is to list again.
    fn take_unlisted(
        &self,
        listed: &HashSet<Id>,
        sizes: &PackSizes,
        mode: &PruneMode,
        draft: &mut Draft,
    ) -> Result<(), PruneError> {
        let mut unlisted: Vec<(Id, u64)> = sizes
            .iter()
            .filter(|(id, _)| !listed.contains(id))
            .map(|(id, bytes)| (*id, *bytes))
            .collect();
        unlisted.sort_unstable();
        let now = self.env().clock.now();
        for (pack, bytes) in unlisted {
            let work = |why| PackWork {
                pack,
                bytes,
                used: 0,
                why,
            };
            draft.figures.before += bytes;
            match mode {
                PruneMode::Locked => draft.remove(work(Why::Unlisted)),
                PruneMode::WriteOnce { pending, grace } => {
                    let grace = (*grace).max(LEAST_GRACE);
                    let since = pending
                        .iter()
                        .filter(|p| p.pack == pack)
                        .map(|p| p.since)
                        .min();
                    match since {
                        Some(since) if since.plus(grace) <= now => draft.remove(work(Why::Pending)),
                        Some(_) => draft.retire.push(work(Why::Pending)),
                        None => draft.retire.push(work(Why::Unlisted)),
                    }
                }
            }
        }
        Ok(())
    }
}

/// The worklist while it grows.
#[derive(Default)]
struct Draft {
    remove: Vec<PackWork>,
    repack: Vec<PackWork>,
    retire: Vec<PackWork>,
    figures: PruneFigures,
}

impl Draft {
    fn take_listed(&mut self, index: &BlobIndex, packs: &[Usage], fates: &[Fate]) {
        for (((pack, bytes), usage), fate) in index.packs().zip(packs).zip(fates) {
            if !usage.listed {
                continue;
            }
            // What is not there takes no space.
            let bytes = if usage.whole { bytes } else { 0 };
            self.figures.before += bytes;
            let used = usage.used.1;
            let work = |why| PackWork {
                pack,
                bytes,
                used,
                why,
            };
            match fate {
                Fate::Stays => self.figures.unused_kept += usage.unused.1,
                Fate::Removed(why) => self.remove(work(*why)),
                Fate::Repacked(why) => {
                    self.figures.freed += bytes.saturating_sub(used);
                    self.figures.rewritten += used;
                    self.repack.push(work(*why));
                }
            }
        }
    }

    fn remove(&mut self, work: PackWork) {
        self.figures.freed += work.bytes;
        self.remove.push(work);
    }

    /// What an index lists leaves it now, and is removed by a later prune.
    fn retire_what_is_listed(&mut self) {
        let (now, later) = std::mem::take(&mut self.remove)
            .into_iter()
            .partition(|work| work.why == Why::Pending);
        self.remove = now;
        self.retire.extend::<Vec<PackWork>>(later);
        self.figures.freed = self.remove.iter().map(|work| work.bytes).sum();
    }

    /// Packs that no index must list when the work is done.
    fn leaving_the_index(&self, listed: &HashSet<Id>) -> HashSet<Id> {
        let all = self.remove.iter().chain(&self.repack).chain(&self.retire);
        all.map(|work| work.pack)
            .filter(|pack| listed.contains(pack))
            .collect()
    }
}

/// The shortest time between the removal of a pack from the index and that of the pack, without locks.
const LEAST_GRACE: Span = Span::from_hours(24);
