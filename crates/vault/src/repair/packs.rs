//! Repairing packs: what can be read of damaged ones is saved, what another repository has is fetched from there.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use vouchsafe_capture::Progress;
use vouchsafe_format::{BlobKind, Id, IndexPack};
use vouchsafe_model::Issue;

use super::examine::Examined;
use super::index::IndexFiles;
use super::losses::is_loss;
use super::writer::{Writer, hide, remove, stop_if_asked, write_indexes};
use super::{RepairError, RepairReport};
use crate::error::RepoError;
use crate::fetch::{BlobProblem, Blobs};
use crate::index::{BlobIndex, ById};
use crate::lock::LockGuard;
use crate::machine::ObjectKind;
use crate::memory::VerifyMemory;
use crate::packs::pack_refs;
use crate::repository::Repository;
use crate::verify::{Budget, Reading};

/// What a repair of packs is about to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackRepair {
    /// The packs that are damaged or missing.
    pub packs: Vec<DamagedPack>,
    /// Blobs that snapshots need, that no index lists, and that another repository has.
    pub unlisted: Vec<(Id, BlobKind)>,
    /// What was found wrong.
    pub problems: Vec<Issue>,
}

/// One damaged pack, and what becomes of its blobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedPack {
    /// Which.
    pub pack: Id,
    /// Whether it is not there at all.
    pub missing: bool,
    /// Blobs that can be read and will be saved.
    pub sound: u64,
    /// Blobs that cannot be read here, but lie whole in another pack.
    pub elsewhere: u64,
    /// Blobs that another repository has whole: they were read there.
    pub healable: u64,
    /// Blobs that are nowhere to be had.
    pub lost: Vec<Id>,
}

impl PackRepair {
    /// Whether there is nothing to repair.
    pub fn is_nothing(&self) -> bool {
        self.packs.is_empty() && self.unlisted.is_empty()
    }

    /// All blobs that are nowhere to be had.
    pub fn lost(&self) -> Vec<Id> {
        let mut all: Vec<Id> = self.packs.iter().flat_map(|p| p.lost.clone()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

impl Repository {
    /// Looks for damaged packs: reads `named` ones, or all if none is named. Changes nothing.
    ///
    /// With other repositories, also looks for blobs that snapshots need and no index lists.
    ///
    /// # Errors
    /// [`RepairError::Index`] if an index file is damaged: repair the index first. [`RepairError::Repository`],
    /// [`RepairError::Store`], [`RepairError::Interrupted`].
    pub fn plan_pack_repair(
        &self,
        named: &[Id],
        others: &[&Repository],
        progress: &dyn Progress,
    ) -> Result<PackRepair, RepairError> {
        let (index, issues) = self.fresh_index()?;
        refuse_damaged(issues)?;
        let mut wanted = pack_refs(&index);
        wanted.retain(|pack| named.is_empty() || named.contains(&pack.id));
        wanted.sort_unstable_by_key(|pack| pack.id);
        let reading = Reading {
            budget: Budget::All,
            seed: 0,
            within: vouchsafe_model::Span::ZERO,
        };
        let nothing = &mut VerifyMemory::default();
        let read =
            self.read_packs_in_turn(&index, &wanted, &reading, nothing, &|_, _| {}, progress)?;
        if read.interrupted {
            return Err(RepairError::Interrupted);
        }
        let damaged: BTreeSet<Id> = read.damaged.iter().copied().collect();
        let sources = Sources::of(others)?;
        let mut out = PackRepair {
            problems: read.problems,
            ..PackRepair::default()
        };
        for pack in wanted.iter().filter(|pack| damaged.contains(&pack.id)) {
            stop_if_asked(self)?;
            let Some(pack) = index.pack(pack.number) else {
                continue;
            };
            let examined = self.examine(&pack)?;
            let mut plan = DamagedPack {
                pack: pack.id,
                missing: examined.is_missing(),
                sound: examined.sound().count() as u64,
                elsewhere: 0,
                healable: 0,
                lost: Vec::new(),
            };
            for (id, kind) in &examined.broken {
                if self.is_elsewhere(&index, *kind, id, &damaged)? {
                    plan.elsewhere += 1;
                } else if sources.read(*kind, id)?.is_some() {
                    plan.healable += 1;
                } else {
                    plan.lost.push(*id);
                }
            }
            out.packs.push(plan);
        }
        if !others.is_empty() {
            out.unlisted = self.unlisted(&index, &sources)?;
        }
        require_sure(&index)?;
        Ok(out)
    }

    /// Does what was planned. Everything new is durable, listed and read back before a damaged pack is taken from the
    /// index, and no pack is removed before the index does without it.
    ///
    /// A pack of which all is saved is removed with its older versions. One of which something is lost is only taken
    /// from sight: where the store keeps older versions, one of them may be whole.
    ///
    /// # Errors
    /// [`RepairError`]; nothing that could be read before is then lost.
    pub fn repair_packs(
        &self,
        plan: &PackRepair,
        others: &[&Repository],
        lock: &LockGuard,
        progress: &dyn Progress,
    ) -> Result<RepairReport, RepairError> {
        let IndexFiles { readable, damaged } = self.index_files()?;
        refuse_damaged(damaged.into_iter().map(|(_, issue)| issue).collect())?;
        let (index, _) = self.fresh_index()?;
        let removed: BTreeSet<Id> = plan.packs.iter().map(|pack| pack.pack).collect();
        let sources = Sources::of(others)?;
        let mut report = RepairReport::default();
        let mut writer = Writer::new(self, lock)?;
        let (mut missing, mut with_losses) = (BTreeSet::new(), BTreeSet::new());
        progress.phase("blobs", None, None);
        for id in &removed {
            stop_if_asked(self)?;
            // One that is not listed any more was dealt with already.
            let Some(pack) = index.pack_number(id).and_then(|n| index.pack(n)) else {
                continue;
            };
            let examined = self.examine(&pack)?;
            if examined.is_missing() {
                missing.insert(pack.id);
            }
            report.blobs_salvaged += self.salvage(&examined, &index, &removed, &mut writer)?;
            let before = report.blobs_lost.len();
            for (id, kind) in &examined.broken {
                if !self.is_elsewhere(&index, *kind, id, &removed)? {
                    heal(*kind, id, &sources, &mut writer, &mut report)?;
                }
            }
            if report.blobs_lost.len() > before {
                with_losses.insert(pack.id);
            }
            progress.advance(1, pack.bytes);
        }
        for (id, kind) in &plan.unlisted {
            stop_if_asked(self)?;
            heal(*kind, id, &sources, &mut writer, &mut report)?;
        }
        require_sure(&index)?;
        let (packs, indexes) = writer.finish()?;
        report.packs_added = packs;
        report.indexes_added = indexes.len() as u64;
        self.drop_from_index(readable, &removed, &indexes, lock, &mut report)?;
        // What was not seen is not deleted either: a store may be late in showing it. Nor is what was just written.
        let is_old = |pack: &&Id| !missing.contains(pack) && !report.packs_added.contains(pack);
        let (hidden, gone): (Vec<Id>, Vec<Id>) = removed
            .iter()
            .filter(is_old)
            .copied()
            .partition(|pack| with_losses.contains(pack));
        remove(self, lock, ObjectKind::Pack, &gone, &mut report)?;
        hide(self, lock, ObjectKind::Pack, &hidden, &mut report)?;
        report.packs_removed = removed.into_iter().collect();
        Ok(report)
    }

    /// Takes packs out of the index: index files that list any are written anew without them, and only then removed.
    fn drop_from_index(
        &self,
        files: Vec<(Id, Vec<IndexPack>)>,
        packs: &BTreeSet<Id>,
        new: &[Id],
        lock: &LockGuard,
        report: &mut RepairReport,
    ) -> Result<(), RepairError> {
        let (mut old, mut kept) = (Vec::new(), Vec::new());
        for (name, listed) in files {
            if listed.iter().any(|pack| packs.contains(&pack.id)) {
                old.push(name);
                kept.extend(listed.into_iter().filter(|p| !packs.contains(&p.id)));
            }
        }
        let written = write_indexes(self, lock, kept)?;
        report.indexes_added += written.len() as u64;
        old.retain(|name| !new.contains(name) && !written.contains(name));
        remove(self, lock, ObjectKind::Index, &old, report)?;
        report.indexes_removed += old.len() as u64;
        Ok(())
    }

    /// Saves what can be read and does not surely lie elsewhere. How many blobs that were.
    fn salvage(
        &self,
        examined: &Examined,
        index: &BlobIndex,
        removed: &BTreeSet<Id>,
        writer: &mut Writer<'_>,
    ) -> Result<u64, RepairError> {
        let mut saved = 0;
        for (blob, sealed) in examined.sound() {
            let known = writer.has(blob.kind, &blob.id)
                || self.is_elsewhere(index, blob.kind, &blob.id, removed)?;
            if !known {
                writer.add_sealed(blob.kind, blob.id, sealed, blob.uncompressed_length)?;
                saved += 1;
            }
        }
        Ok(saved)
    }

    /// Whether a blob can be read from a pack that stays: it is read.
    fn is_elsewhere(
        &self,
        index: &BlobIndex,
        kind: BlobKind,
        id: &Id,
        but: &BTreeSet<Id>,
    ) -> Result<bool, RepairError> {
        for place in index.places(kind, id).filter(|p| !but.contains(&p.pack)) {
            let (pack, offset, length) = (&place.pack, place.offset, place.length);
            let sealed = match self.objects.get_range(pack, offset.into(), length.into()) {
                Ok(sealed) => sealed,
                Err(error) if is_loss(&error) => continue,
                Err(error) => return Err(error.into()),
            };
            let opened =
                vouchsafe_format::open_blob(&self.key, &sealed, place.uncompressed_length, *id);
            if opened.is_ok() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Blobs that snapshots need and our index does not list, but another repository's does.
    fn unlisted(
        &self,
        index: &Arc<BlobIndex>,
        sources: &Sources,
    ) -> Result<Vec<(Id, BlobKind)>, RepairError> {
        let trees =
            crate::trees::Trees::new(self.objects.clone(), self.key.clone(), Arc::clone(index));
        let mut seen: HashSet<(Id, BlobKind), ById> = HashSet::default();
        let mut out = Vec::new();
        let (snapshots, _) = self.stored_snapshots()?;
        let mut frontier: Vec<Id> = snapshots.iter().map(|(_, found)| found.tree).collect();
        while let Some(tree) = frontier.pop() {
            stop_if_asked(self)?;
            if !seen.insert((tree, BlobKind::Tree)) {
                continue;
            }
            let listed = index.contains(BlobKind::Tree, &tree);
            let own = match listed {
                true => super::losses::load_if_there(&trees, &tree)?,
                false => None,
            };
            let nodes = match own {
                Some(nodes) => nodes,
                None => {
                    let Some(plaintext) = sources.read(BlobKind::Tree, &tree)? else {
                        continue;
                    };
                    if !listed {
                        out.push((tree, BlobKind::Tree));
                    }
                    vouchsafe_format::decode_tree(&plaintext).unwrap_or_default()
                }
            };
            for node in &nodes {
                frontier.extend(node.subtree);
                for chunk in node.content.iter().flatten() {
                    if seen.insert((*chunk, BlobKind::Data))
                        && !index.contains(BlobKind::Data, chunk)
                        && sources.list(BlobKind::Data, chunk)
                    {
                        out.push((*chunk, BlobKind::Data));
                    }
                }
            }
        }
        out.sort_unstable();
        Ok(out)
    }
}

/// Fetches a blob from another repository, if one has it whole.
fn heal(
    kind: BlobKind,
    id: &Id,
    sources: &Sources,
    writer: &mut Writer<'_>,
    report: &mut RepairReport,
) -> Result<(), RepairError> {
    if writer.has(kind, id) {
        return Ok(());
    }
    match sources.read(kind, id)? {
        Some(plaintext) => {
            writer.add_plain(kind, *id, &plaintext)?;
            report.blobs_healed += 1;
        }
        None => report.blobs_lost.push(*id),
    }
    Ok(())
}

/// Other repositories that may have what is lost here.
struct Sources {
    all: Vec<Blobs>,
}

impl Sources {
    fn of(others: &[&Repository]) -> Result<Sources, RepairError> {
        let mut all = Vec::new();
        for other in others {
            // A damaged index file there only means that less is found.
            let (index, _) = other.fresh_index()?;
            all.push(Blobs {
                objects: other.objects.clone(),
                key: other.key.clone(),
                index,
                threads: 1,
            });
        }
        Ok(Sources { all })
    }

    fn list(&self, kind: BlobKind, id: &Id) -> bool {
        self.all.iter().any(|other| other.index.contains(kind, id))
    }

    /// A blob's plaintext, re-hashed, from whichever repository has it whole.
    fn read(&self, kind: BlobKind, id: &Id) -> Result<Option<Vec<u8>>, RepairError> {
        for other in &self.all {
            match other.read(kind, id) {
                Ok(plaintext) => return Ok(Some(plaintext)),
                Err(BlobProblem::Store(error)) if !is_loss(&error) => {
                    return Err(RepoError::from(error).into());
                }
                Err(_) => {}
            }
        }
        Ok(None)
    }
}

/// What a huge index could not look up it says is not there, which must not be believed here.
pub(super) fn require_sure(index: &BlobIndex) -> Result<(), RepairError> {
    match index.trouble() {
        Some(trouble) => Err(RepoError::from(trouble).into()),
        None => Ok(()),
    }
}

fn refuse_damaged(issues: Vec<Issue>) -> Result<(), RepairError> {
    match issues.into_iter().next() {
        Some(issue) => Err(RepairError::Index {
            object: issue.place,
        }),
        None => Ok(()),
    }
}
