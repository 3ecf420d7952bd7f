//! Repairing the index: every pack that is there is listed once, as its own header says, and nothing else is.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use vouchsafe_capture::Progress;
use vouchsafe_format::{Id, IndexPack, PackedBlob, decode_index};
use vouchsafe_model::Issue;

use super::writer::{hide, remove, stop_if_asked, write_indexes};
use super::{RepairError, RepairReport};
use crate::error::RepoError;
use crate::index::ById;
use crate::lock::LockGuard;
use crate::machine::ObjectKind;
use crate::objects::show;
use crate::packs::{pack_issue, read_header};
use crate::parallel;
use crate::repository::{Repository, issue};

/// What a repair of the index is about to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexRepair {
    /// Packs that no index lists and whose headers say what they hold: they will be listed.
    pub added: Vec<Id>,
    /// Packs that are listed and not there: they will not be listed any more.
    pub gone: Vec<Id>,
    /// Packs that are listed otherwise than their headers say: they will be listed as these say.
    pub corrected: Vec<Id>,
    /// Packs that are listed more than once: they will be listed once.
    pub repeated: Vec<Id>,
    /// Index files that cannot be read: they will be removed.
    pub damaged: Vec<Issue>,
    /// Packs whose headers cannot be read. What is listed of them stays listed, for `repair packs` to save.
    pub unreadable: Vec<Issue>,
    /// What is to be listed in new index files.
    new: Vec<IndexPack>,
    /// The index files that these replace.
    old: Vec<Id>,
    /// The index files that cannot be read.
    torn: Vec<Id>,
}

impl IndexRepair {
    /// Whether the index is as it should be.
    pub fn is_nothing(&self) -> bool {
        self.new.is_empty() && self.old.is_empty() && self.torn.is_empty()
    }
}

/// The index files that can be read, and those that cannot.
pub(super) struct IndexFiles {
    pub(super) readable: Vec<(Id, Vec<IndexPack>)>,
    pub(super) damaged: Vec<(Id, Issue)>,
}

/// What a pack's header says.
enum Header {
    Read(Vec<PackedBlob>),
    Gone,
    Unreadable(Issue),
}

impl Repository {
    /// Compares the index with the headers of all packs. Changes nothing.
    ///
    /// # Errors
    /// [`RepairError::Store`] if the store fails: what is not seen for that reason is not taken for gone.
    pub fn plan_index_repair(&self, progress: &dyn Progress) -> Result<IndexRepair, RepairError> {
        let files = self.index_files()?;
        let sizes = self.pack_sizes()?;
        let mut packs: BTreeSet<Id> = sizes.keys().copied().collect();
        packs.extend(
            files
                .readable
                .iter()
                .flat_map(|(_, l)| l.iter().map(|p| p.id)),
        );
        let packs: Vec<Id> = packs.into_iter().collect();
        progress.phase("headers", Some(packs.len() as u64), None);
        let interrupt = &self.env().interrupt;
        let read = parallel::map(&packs, self.hands(), interrupt, |pack| {
            progress.advance(1, 0);
            (*pack, self.header(pack, sizes.get(pack).copied()))
        })
        .ok_or(RepairError::Interrupted)?;
        let mut headers = HashMap::with_capacity_and_hasher(read.len(), ById::default());
        for (pack, header) in read {
            headers.insert(pack, header?);
        }
        Ok(plan(files, &headers))
    }

    /// Does what was planned: the new index files first, then the old ones go.
    ///
    /// # Errors
    /// [`RepairError`]; the index is then whole too, though perhaps with packs that are listed twice.
    pub fn repair_index(
        &self,
        plan: &IndexRepair,
        lock: &LockGuard,
    ) -> Result<RepairReport, RepairError> {
        stop_if_asked(self)?;
        let written = write_indexes(self, lock, plan.new.clone())?;
        let but_written = |names: &[Id]| -> Vec<Id> {
            let names = names.iter().filter(|name| !written.contains(name));
            names.copied().collect()
        };
        let (old, torn) = (but_written(&plan.old), but_written(&plan.torn));
        let mut report = RepairReport {
            indexes_added: written.len() as u64,
            indexes_removed: (old.len() + torn.len()) as u64,
            issues: plan.unreadable.clone(),
            ..RepairReport::default()
        };
        remove(self, lock, ObjectKind::Index, &old, &mut report)?;
        hide(self, lock, ObjectKind::Index, &torn, &mut report)?;
        Ok(report)
    }

    pub(super) fn index_files(&self) -> Result<IndexFiles, RepairError> {
        let kind = ObjectKind::Index;
        let names: Vec<Id> = self.listed_indexes()?.into_iter().collect();
        let read = parallel::map(&names, self.hands(), &self.env().interrupt, |name| {
            let json = self.objects.get_file(&self.key, kind, name);
            let decoded = json.and_then(|json| {
                decode_index(&json).map_err(|e| self.objects.damaged(kind, name, e.into()))
            });
            (*name, decoded)
        })
        .ok_or(RepairError::Interrupted)?;
        let (mut readable, mut damaged) = (Vec::new(), Vec::new());
        for (name, decoded) in read {
            match decoded {
                Ok(packs) => readable.push((name, packs)),
                // A listing may show what was deleted.
                Err(RepoError::Store(error)) if error.is_not_found() => {}
                Err(RepoError::Store(error)) => return Err(error.into()),
                Err(error) => damaged.push((name, issue(show(kind, &name), &error))),
            }
        }
        readable.sort_unstable_by_key(|(name, _)| *name);
        damaged.sort_unstable_by_key(|(name, _)| *name);
        Ok(IndexFiles { readable, damaged })
    }

    /// `size` is what a listing shows; a listing may be late, so what it does not show is asked for.
    fn header(&self, pack: &Id, size: Option<u64>) -> Result<Header, RepairError> {
        let size = match size {
            Some(size) => Some(size),
            None => self.objects.size(ObjectKind::Pack, pack)?,
        };
        let Some(size) = size else {
            return Ok(Header::Gone);
        };
        match read_header(&self.objects, &self.key, pack, size) {
            Ok(Ok(blobs)) => Ok(Header::Read(blobs)),
            Ok(Err(damage)) => Ok(Header::Unreadable(pack_issue(pack, &damage))),
            Err(error) if error.is_not_found() => Ok(Header::Gone),
            Err(error) => Err(error.into()),
        }
    }
}

fn plan(files: IndexFiles, headers: &HashMap<Id, Header, ById>) -> IndexRepair {
    let mut out = IndexRepair::default();
    let mut listings: BTreeMap<Id, Vec<(usize, &IndexPack)>> = BTreeMap::new();
    for (at, (_, packs)) in files.readable.iter().enumerate() {
        for pack in packs {
            listings.entry(pack.id).or_default().push((at, pack));
        }
    }
    // Index files with anything wrong in them are written anew; the others stay as they are.
    let mut wrong: BTreeSet<usize> = BTreeSet::new();
    let mut right: BTreeMap<Id, IndexPack> = BTreeMap::new();
    for (id, header) in headers {
        let listed = listings.get(id).map_or(&[][..], Vec::as_slice);
        let mut spoil = || wrong.extend(listed.iter().map(|(at, _)| *at));
        let blobs = match header {
            Header::Gone => {
                if !listed.is_empty() {
                    out.gone.push(*id);
                    spoil();
                }
                continue;
            }
            Header::Unreadable(issue) => {
                out.unreadable.push(issue.clone());
                let all = listed
                    .iter()
                    .flat_map(|(_, pack)| pack.blobs.iter().copied());
                let mut all: Vec<PackedBlob> = all.collect();
                all.sort_unstable_by_key(|blob| (blob.offset, blob.id));
                all.dedup();
                all
            }
            Header::Read(blobs) => blobs.clone(),
        };
        let is_wrong = matches!(header, Header::Read(_))
            && listed.iter().any(|(_, pack)| !same(&pack.blobs, &blobs));
        match listed {
            [] if matches!(header, Header::Read(_)) => out.added.push(*id),
            [] => continue,
            _ if is_wrong => {
                out.corrected.push(*id);
                spoil();
            }
            [_] => {}
            _ => {
                out.repeated.push(*id);
                spoil();
            }
        }
        right.insert(*id, IndexPack { id: *id, blobs });
    }
    let kept: BTreeSet<Id> = files
        .readable
        .iter()
        .enumerate()
        .filter(|(at, _)| !wrong.contains(at))
        .flat_map(|(_, (_, packs))| packs.iter().map(|pack| pack.id))
        .collect();
    out.new = right
        .into_values()
        .filter(|p| !kept.contains(&p.id))
        .collect();
    let spoiled = wrong.iter().filter_map(|at| files.readable.get(*at));
    out.old = spoiled.map(|(name, _)| *name).collect();
    out.torn = files.damaged.iter().map(|(name, _)| *name).collect();
    out.damaged = files.damaged.into_iter().map(|(_, issue)| issue).collect();
    for list in [
        &mut out.added,
        &mut out.gone,
        &mut out.corrected,
        &mut out.repeated,
    ] {
        list.sort_unstable();
    }
    out.unreadable.sort_by(|a, b| a.place.cmp(&b.place));
    out
}

fn same(a: &[PackedBlob], b: &[PackedBlob]) -> bool {
    let sorted = |blobs: &[PackedBlob]| {
        let mut all: Vec<_> = blobs
            .iter()
            .map(|b| (b.offset, b.id, b.kind, b.length, b.uncompressed_length))
            .collect();
        all.sort_unstable();
        all
    };
    sorted(a) == sorted(b)
}
