//! What is to be removed, as a value: made before the deed, to be shown, and to be done as it stands.

use std::collections::BTreeSet;
use std::sync::Arc;

use vouchsafe_format::{Id, IndexPack};
use vouchsafe_model::{Issue, Span, Time};

use super::mark::Marks;
use crate::index::BlobIndex;

/// A snapshot that may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forget {
    /// Which.
    pub snapshot: Id,
    /// The root of its tree, if it is known: with it, erasing goes on after the snapshot itself is gone.
    pub tree: Option<Id>,
    /// Why, as a sentence.
    pub reason: String,
    /// Whether everything that only it holds must be gone afterwards, whatever that costs.
    pub erase: bool,
}

/// What the caller knows of the snapshots in a repository.
#[derive(Clone, Debug, Default)]
pub struct KnownPoints {
    pub(super) protect: BTreeSet<Id>,
    pub(super) forget: Vec<Forget>,
}

impl KnownPoints {
    /// `protect` must be there and must be readable, else nothing is removed; `forget` may go. What is in neither is
    /// kept and reported. A snapshot in both is protected.
    pub fn new(protect: impl IntoIterator<Item = Id>, forget: Vec<Forget>) -> KnownPoints {
        let protect: BTreeSet<Id> = protect.into_iter().collect();
        let forget = forget
            .into_iter()
            .filter(|f| !protect.contains(&f.snapshot))
            .collect();
        KnownPoints { protect, forget }
    }
}

/// How removing is done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PruneMode {
    /// Under an exclusive lock by restic's protocol, in one go.
    #[default]
    Locked,
    /// Without locks, for stores that lock objects or only take new ones: packs are first taken out of the index,
    /// and removed by a later prune when nobody can be left who knows them from an older index.
    WriteOnce {
        /// Packs that earlier prunes have taken out of the index.
        pending: Vec<PendingPack>,
        /// How long they have to wait; longer than the longest backup, and never less than a day.
        grace: Span,
    },
}

/// A pack that waits for its removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingPack {
    /// Which.
    pub pack: Id,
    /// Since when no index lists it.
    pub since: Time,
}

/// How a prune is planned.
#[derive(Clone, Debug, PartialEq)]
pub struct PruneOptions {
    /// Which share of the repository may stay unused rather than be rewritten, from 0 to 1.
    pub max_unused: f64,
    /// How removing is done.
    pub mode: PruneMode,
}

impl Default for PruneOptions {
    /// As restic: 5 % may stay unused.
    fn default() -> PruneOptions {
        PruneOptions {
            max_unused: 0.05,
            mode: PruneMode::Locked,
        }
    }
}

/// Why a pack is removed or rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// Nothing in it is needed.
    Unused,
    /// More of the repository is unused than is tolerated.
    PartlyUnused,
    /// It holds what must be erased.
    Erased,
    /// It is small, and there are many such.
    Small,
    /// No index lists it: left by interrupted work.
    Unlisted,
    /// An earlier prune took it out of the index.
    Pending,
}

impl Why {
    /// As a part of a sentence: `unused`, `partly unused` …
    pub fn as_str(self) -> &'static str {
        match self {
            Why::Unused => "unused",
            Why::PartlyUnused => "partly unused",
            Why::Erased => "holds what must be erased",
            Why::Small => "small",
            Why::Unlisted => "left by interrupted work",
            Why::Pending => "taken out of the index before",
        }
    }
}

/// One pack of a worklist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackWork {
    /// Which.
    pub pack: Id,
    /// Bytes of the whole pack.
    pub bytes: u64,
    /// Bytes of blobs in it that are needed.
    pub used: u64,
    /// Why.
    pub why: Why,
}

/// What a prune comes to, in bytes of packs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PruneFigures {
    /// All packs before.
    pub before: u64,
    /// What will be free.
    pub freed: u64,
    /// What is read and stored anew.
    pub rewritten: u64,
    /// Unused, and tolerated.
    pub unused_kept: u64,
}

/// What a prune will do. Nothing of it is done yet.
#[derive(Clone, Debug)]
pub struct PruneWorklist {
    /// Snapshots that are removed.
    pub forget: Vec<Forget>,
    /// Snapshots that stay, oldest first.
    pub kept: Vec<Id>,
    /// Those of them that the caller did not name.
    pub unknown: Vec<Id>,
    /// Packs that are removed.
    pub remove: Vec<PackWork>,
    /// Packs of which the needed blobs are stored anew before they are removed (in write-once mode: retired).
    pub repack: Vec<PackWork>,
    /// Packs that only leave the index now, or have left it and still wait; write-once mode alone has any.
    pub retire: Vec<PackWork>,
    /// Index files that are replaced.
    pub indexes: Vec<Id>,
    /// Figures.
    pub figures: PruneFigures,
    /// What is not as it should be and does no harm here.
    pub issues: Vec<Issue>,
    pub(super) basis: Basis,
}

impl PruneWorklist {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.forget.is_empty()
            && self.remove.is_empty()
            && self.repack.is_empty()
            && self.retire.is_empty()
            && self.indexes.is_empty()
            && self.basis.relist.is_empty()
    }

    /// Packs that no index lists, and that are needed nevertheless: they will be listed again.
    pub fn relisted(&self) -> impl Iterator<Item = Id> {
        self.basis.relist.iter().map(|pack| pack.id)
    }
}

/// What the worklist rests on: it is done only if that is still so.
#[derive(Clone, Debug)]
pub(super) struct Basis {
    pub(super) index: Arc<BlobIndex>,
    /// The entries that are kept: one for each blob that is needed.
    pub(super) keep: Arc<Marks>,
    /// The snapshots that were followed.
    pub(super) snapshots: BTreeSet<Id>,
    /// The index files that were read or found damaged.
    pub(super) indexes: BTreeSet<Id>,
    /// Packs that no index lists and that are needed nevertheless.
    pub(super) relist: Vec<IndexPack>,
    pub(super) write_once: bool,
}
