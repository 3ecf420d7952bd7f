//! What is hit by lost blobs: which snapshots, and which files of them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use vouchsafe_format::{BlobKind, Id, Node, NodeKind};

use super::RepairError;
use super::writer::stop_if_asked;
use crate::error::{RepoError, TreeProblem};
use crate::index::{BlobIndex, ById};
use crate::repository::Repository;
use crate::trees::Trees;

/// A snapshot that misses something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Which.
    pub snapshot: Id,
    /// Files and directories that cannot be read: the first hundred, by their paths.
    pub places: Vec<String>,
    /// How many there are in all.
    pub count: u64,
}

impl Repository {
    /// The snapshots that miss something, if of these packs only what can still be read counts. Of a blob that also
    /// lies elsewhere nothing is missing.
    ///
    /// # Errors
    /// [`RepairError::Store`] if the store fails, [`RepairError::Interrupted`].
    pub fn hit_by(&self, damaged: &[Id]) -> Result<Vec<Loss>, RepairError> {
        let (index, _) = self.fresh_index()?;
        let damaged: BTreeSet<&Id> = damaged.iter().collect();
        let mut broken: HashSet<(Id, BlobKind), ById> = HashSet::default();
        for id in &damaged {
            stop_if_asked(self)?;
            if let Some(pack) = index.pack_number(id).and_then(|n| index.pack(n)) {
                broken.extend(self.examine(&pack)?.broken);
            }
        }
        broken.retain(|(id, kind)| index.places(*kind, id).all(|p| damaged.contains(&p.pack)));
        let mut tally = Tally::new(self, &index, &broken);
        let mut hits = Vec::new();
        let (snapshots, _) = self.stored_snapshots()?;
        for (snapshot, found) in snapshots {
            let lost = tally.of(found.tree)?;
            if lost.count > 0 {
                hits.push(Loss {
                    snapshot,
                    places: lost.places.clone(),
                    count: lost.count,
                });
            }
        }
        // Whoever cannot say what is listed cannot say what is lost.
        index
            .trouble()
            .map_or(Ok(hits), |trouble| Err(RepoError::from(trouble).into()))
    }
}

/// What is lost below a directory, by paths relative to it.
#[derive(Default)]
struct Lost {
    places: Vec<String>,
    count: u64,
}

/// Counts what is lost below directories, each looked at once however many snapshots hold it.
struct Tally<'r> {
    repository: &'r Repository,
    trees: Trees,
    index: Arc<BlobIndex>,
    broken: &'r HashSet<(Id, BlobKind), ById>,
    known: HashMap<Id, Arc<Lost>, ById>,
}

/// A directory that is being looked at.
struct Open {
    tree: Id,
    rest: std::vec::IntoIter<Node>,
    lost: Lost,
}

const PLACES: usize = 100;

impl<'r> Tally<'r> {
    fn new(
        repository: &'r Repository,
        index: &Arc<BlobIndex>,
        broken: &'r HashSet<(Id, BlobKind), ById>,
    ) -> Tally<'r> {
        let (objects, key) = (repository.objects.clone(), repository.key.clone());
        Tally {
            repository,
            trees: Trees::new(objects, key, Arc::clone(index)),
            index: Arc::clone(index),
            broken,
            known: HashMap::default(),
        }
    }

    fn is_lost(&self, kind: BlobKind, id: &Id) -> bool {
        self.broken.contains(&(*id, kind)) || !self.index.contains(kind, id)
    }

    fn of(&mut self, root: Id) -> Result<Arc<Lost>, RepairError> {
        if let Some(known) = self.known.get(&root) {
            return Ok(Arc::clone(known));
        }
        let mut open = vec![self.open(root)?];
        loop {
            stop_if_asked(self.repository)?;
            let Some(top) = open.last_mut() else {
                return Ok(Arc::default());
            };
            let Some(node) = top.rest.as_slice().first() else {
                let Some(done) = open.pop() else { continue };
                let lost = Arc::new(done.lost);
                self.known.insert(done.tree, Arc::clone(&lost));
                if open.is_empty() {
                    return Ok(lost);
                }
                continue;
            };
            let name = String::from_utf8_lossy(&node.name).into_owned();
            match (node.kind == NodeKind::Dir, node.subtree) {
                (true, Some(tree)) => match self.known.get(&tree) {
                    // The directory above takes the result in and goes on with the next entry.
                    Some(below) => {
                        let places = below.places.iter();
                        let places = places.map(|p| format!("/{name}{p}")).collect();
                        let count = below.count;
                        top.lost.add(places, count);
                    }
                    None => {
                        let below = self.open(tree)?;
                        open.push(below);
                        continue;
                    }
                },
                (true, None) => top.lost.add(vec![format!("/{name}")], 1),
                (false, _) => {
                    let mut chunks = node.content.iter().flatten();
                    let broken = &self.broken;
                    let index = &self.index;
                    let is_lost = |id: &Id| {
                        broken.contains(&(*id, BlobKind::Data))
                            || !index.contains(BlobKind::Data, id)
                    };
                    if chunks.any(is_lost) {
                        top.lost.add(vec![format!("/{name}")], 1);
                    }
                }
            }
            top.rest.next();
        }
    }

    /// A directory that cannot be read is one loss; all below it is lost with it.
    fn open(&self, tree: Id) -> Result<Open, RepairError> {
        let nodes = if self.is_lost(BlobKind::Tree, &tree) {
            None
        } else {
            load_if_there(&self.trees, &tree)?
        };
        let mut lost = Lost::default();
        if nodes.is_none() {
            lost.add(vec!["/".to_owned()], 1);
        }
        Ok(Open {
            tree,
            rest: nodes.unwrap_or_default().into_iter(),
            lost,
        })
    }
}

impl Lost {
    fn add(&mut self, places: Vec<String>, count: u64) {
        let room = PLACES.saturating_sub(self.places.len());
        self.places.extend(places.into_iter().take(room));
        self.count += count;
    }
}

/// A directory's entries; nothing if it is lost. A store that fails is an error, not a loss.
pub(super) fn load_if_there(trees: &Trees, tree: &Id) -> Result<Option<Vec<Node>>, RepairError> {
    match trees.load(tree) {
        Ok(nodes) => Ok(Some(nodes)),
        Err(TreeProblem::Store(error)) if !is_loss(&error) => Err(RepoError::from(error).into()),
        Err(_) => Ok(None),
    }
}

/// Whether what the store says means that the bytes are gone, rather than that it cannot be asked now.
pub(super) fn is_loss(error: &vouchsafe_store::StoreError) -> bool {
    error.is_not_found() || matches!(error, vouchsafe_store::StoreError::ShortRead { .. })
}
