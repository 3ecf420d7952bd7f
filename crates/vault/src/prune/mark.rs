//! Marking: which entries of the index are needed, one bit for each; every directory is read once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use vouchsafe_capture::Progress;
use vouchsafe_format::{BlobKind, Id, decode_references, open_blob};

use super::error::PruneError;
use crate::error::TreeProblem;
use crate::index::{BlobIndex, Place};
use crate::parallel;
use crate::repository::Repository;

/// One bit for each entry of an index.
#[derive(Debug, Default)]
pub(super) struct Marks {
    words: Vec<AtomicU64>,
}

impl Marks {
    pub(super) fn new(entries: usize) -> Marks {
        Marks {
            words: (0..entries.div_ceil(64))
                .map(|_| AtomicU64::new(0))
                .collect(),
        }
    }

    /// Sets a bit. Whether it was not set before.
    pub(super) fn set(&self, at: u64) -> bool {
        let bit = 1 << (at % 64);
        self.word(at)
            .is_some_and(|word| word.fetch_or(bit, Ordering::Relaxed) & bit == 0)
    }

    pub(super) fn get(&self, at: u64) -> bool {
        let bit = 1 << (at % 64);
        self.word(at)
            .is_some_and(|word| word.load(Ordering::Relaxed) & bit != 0)
    }

    fn word(&self, at: u64) -> Option<&AtomicU64> {
        usize::try_from(at / 64)
            .ok()
            .and_then(|at| self.words.get(at))
    }
}

/// Follows trees and marks the first entry of each blob that they need.
pub(super) struct Marker<'a> {
    repository: &'a Repository,
    index: &'a Arc<BlobIndex>,
    /// What is needed.
    pub(super) marks: Marks,
    /// What is marked here is not followed.
    known: Option<&'a Marks>,
}

impl<'a> Marker<'a> {
    /// Marks beside `known`: what is marked there already is left alone, with all that lies below.
    pub(super) fn new(
        repository: &'a Repository,
        index: &'a Arc<BlobIndex>,
        known: Option<&'a Marks>,
    ) -> Marker<'a> {
        Marker {
            repository,
            index,
            marks: Marks::new(index.len()),
            known,
        }
    }

    /// Follows all trees below these roots.
    ///
    /// # Errors
    /// [`PruneError::Tree`] for the first that cannot be read or refers to what no index lists.
    pub(super) fn follow(
        &self,
        roots: impl IntoIterator<Item = Id>,
        progress: &dyn Progress,
    ) -> Result<(), PruneError> {
        let mut frontier = Vec::new();
        for root in roots {
            self.discover(root, root, &mut frontier)?;
        }
        // The newest first, and not all at once: so the list stays short however many directories there are.
        while !frontier.is_empty() {
            let from = frontier.len().saturating_sub(BATCH);
            let batch = frontier.split_off(from);
            frontier.append(&mut self.load(batch, progress)?);
        }
        Ok(())
    }

    /// Loads a batch of trees in the order of their packs. Gives the trees that were discovered in them.
    fn load(&self, mut batch: Vec<Tree>, progress: &dyn Progress) -> Result<Vec<Tree>, PruneError> {
        batch.sort_unstable_by_key(|tree| (tree.place.number, tree.place.offset));
        let runs = runs(&batch);
        let found = Mutex::new(Vec::new());
        let failure = Mutex::new(None);
        let env = self.repository.env();
        let whole = parallel::each(&runs, self.repository.hands(), &env.interrupt, |run| {
            let mut mine = Vec::new();
            match self.load_run(run, &mut mine) {
                Ok(()) => {
                    progress.advance(run.len() as u64, 0);
                    lock(&found).append(&mut mine);
                    true
                }
                Err(error) => {
                    lock(&failure).get_or_insert(error);
                    false
                }
            }
        });
        match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None if whole => Ok(found.into_inner().unwrap_or_else(PoisonError::into_inner)),
            None => Err(PruneError::Interrupted),
        }
    }

    fn load_run(&self, run: &[Tree], found: &mut Vec<Tree>) -> Result<(), PruneError> {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            return Ok(());
        };
        let start = first.place.offset;
        let length = u64::from(last.place.offset - start) + u64::from(last.place.length);
        // What cannot be read in one go is tried tree by tree below.
        let bytes = self
            .repository
            .objects
            .get_range(&first.place.pack, start.into(), length)
            .ok();
        for tree in run {
            let from = (tree.place.offset - start) as usize;
            let sealed = bytes
                .as_ref()
                .and_then(|bytes| bytes.get(from..from + tree.place.length as usize));
            let opened = sealed.and_then(|sealed| self.open(tree.id, &tree.place, sealed).ok());
            let json = match opened {
                Some(json) => json,
                None => self.open_anywhere(tree.id)?,
            };
            self.note(tree.id, &json, found)?;
        }
        Ok(())
    }

    fn note(&self, tree: Id, json: &[u8], found: &mut Vec<Tree>) -> Result<(), PruneError> {
        let references =
            decode_references(json).map_err(|error| self.problem(tree, error.into()))?;
        if references.orphans > 0 {
            let name = format!("one of {} entries", references.orphans);
            return Err(self.problem(tree, TreeProblem::NoSubtree { name }));
        }
        for chunk in references.chunks {
            let Some(at) = self.index.position(BlobKind::Data, &chunk) else {
                let name = String::new();
                return Err(self.problem(tree, TreeProblem::ChunkNotListed { chunk, name }));
            };
            if !self.is_known(at) {
                self.marks.set(at);
            }
        }
        for subtree in references.subtrees {
            self.discover(tree, subtree, found)?;
        }
        Ok(())
    }

    fn discover(&self, above: Id, tree: Id, found: &mut Vec<Tree>) -> Result<(), PruneError> {
        let place = self.index.place(BlobKind::Tree, &tree);
        let at = self.index.position(BlobKind::Tree, &tree);
        let (Some(place), Some(at)) = (place, at) else {
            return Err(self.problem(above, TreeProblem::NotListed { tree }));
        };
        if !self.is_known(at) && self.marks.set(at) {
            found.push(Tree { id: tree, place });
        }
        Ok(())
    }

    fn is_known(&self, at: u64) -> bool {
        self.known.is_some_and(|known| known.get(at))
    }

    fn open(&self, tree: Id, place: &Place, sealed: &[u8]) -> Result<Vec<u8>, TreeProblem> {
        let key = &self.repository.key;
        Ok(open_blob(key, sealed, place.uncompressed_length, tree)?)
    }

    fn open_anywhere(&self, tree: Id) -> Result<Vec<u8>, PruneError> {
        let mut problem = TreeProblem::NotListed { tree };
        for place in self.index.places(BlobKind::Tree, &tree) {
            let sealed = self.repository.objects.get_range(
                &place.pack,
                place.offset.into(),
                place.length.into(),
            );
            match sealed
                .map_err(TreeProblem::from)
                .and_then(|sealed| self.open(tree, &place, &sealed))
            {
                Ok(json) => return Ok(json),
                Err(error) => problem = error,
            }
        }
        Err(self.problem(tree, problem))
    }

    fn problem(&self, tree: Id, source: TreeProblem) -> PruneError {
        PruneError::Tree {
            tree,
            store: self.repository.place(),
            source: Box::new(source),
        }
    }
}

/// A directory that is to be read.
#[derive(Clone, Copy, Debug)]
struct Tree {
    id: Id,
    place: Place,
}

/// Directories that are read before those below them are looked at.
const BATCH: usize = 50_000;
/// Bytes of one read that holds several directories.
const RUN_BYTES: u64 = 1 << 20;
/// Unwanted bytes between two directories that are read rather than skipped.
const GAP: u32 = 32 << 10;

/// Parts that are read at once: neighbours in one pack.
fn runs(trees: &[Tree]) -> Vec<&[Tree]> {
    let mut out = Vec::new();
    let mut rest = trees;
    while let Some(first) = rest.first() {
        let mut end = first.place.offset;
        let mut count = 0;
        for tree in rest {
            let stop = tree.place.offset.saturating_add(tree.place.length);
            let near = tree.place.number == first.place.number
                && tree.place.offset.saturating_sub(end) <= GAP;
            let small = u64::from(stop.saturating_sub(first.place.offset)) <= RUN_BYTES;
            if count > 0 && !(near && small) {
                break;
            }
            end = end.max(stop);
            count += 1;
        }
        let (run, after) = rest.split_at(count);
        out.push(run);
        rest = after;
    }
    out
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_is_set_once() {
        let marks = Marks::new(130);
        assert!(marks.set(0) && marks.set(63) && marks.set(64) && marks.set(129));
        assert!(!marks.set(64));
        assert!(marks.get(129) && !marks.get(128));
        assert!(!marks.set(100_000) && !marks.get(100_000));
    }
}
