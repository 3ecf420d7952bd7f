//! Directories without what is lost: files that miss chunks get a name that says so, lost directories are empty.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use vouchsafe_format::{BlobKind, Id, Node, NodeKind, encode_tree};

use super::RepairError;
use super::losses::load_if_there;
use super::writer::{Writer, stop_if_asked};
use crate::error::Damage;
use crate::index::{BlobIndex, ById};
use crate::repository::Repository;
use crate::trees::Trees;

/// What the name of a file ends in that misses chunks.
pub(super) const INCOMPLETE: &str = ".incomplete";

/// Makes directories without what is lost, each once however many snapshots hold it.
pub(super) struct Rewriter<'r> {
    repository: &'r Repository,
    trees: Trees,
    index: Arc<BlobIndex>,
    known: HashMap<Id, Arc<Rewritten>, ById>,
    /// Directories that are to be written.
    made: HashMap<Id, Vec<u8>, ById>,
}

/// What became of a directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rewritten {
    /// The directory as it is to be; nothing if it cannot be read at all.
    pub(super) tree: Option<Id>,
    /// What is lost, by paths relative to it: the first thousand.
    pub(super) lost: Vec<String>,
    /// How much is lost in all.
    pub(super) count: u64,
}

/// A directory that is being made.
struct Open {
    tree: Id,
    rest: std::vec::IntoIter<Node>,
    nodes: Vec<Node>,
    names: BTreeSet<Vec<u8>>,
    done: Rewritten,
}

const PLACES: usize = 1000;

impl<'r> Rewriter<'r> {
    pub(super) fn new(repository: &'r Repository, index: &Arc<BlobIndex>) -> Rewriter<'r> {
        let (objects, key) = (repository.objects.clone(), repository.key.clone());
        Rewriter {
            repository,
            trees: Trees::new(objects, key, Arc::clone(index)),
            index: Arc::clone(index),
            known: HashMap::default(),
            made: HashMap::default(),
        }
    }

    /// A snapshot's root without what is lost. Nothing is written yet.
    pub(super) fn root(&mut self, root: Id) -> Result<Arc<Rewritten>, RepairError> {
        let mut open: Vec<Open> = Vec::new();
        if let Some(first) = self.open(root)? {
            open.push(first);
        }
        let empty = Id::of(&encode_tree(&[]).unwrap_or_default());
        while let Some(top) = open.last_mut() {
            stop_if_asked(self.repository)?;
            let Some(next) = top.rest.as_slice().first() else {
                if let Some(done) = open.pop() {
                    self.close(done)?;
                }
                continue;
            };
            let below = match next.subtree.filter(|_| next.kind == NodeKind::Dir) {
                None => None,
                Some(tree) => match self.known.get(&tree) {
                    Some(known) => Some(Arc::clone(known)),
                    // Its entry is taken when it is known what became of it.
                    None => {
                        let below = self.open(tree)?;
                        open.extend(below);
                        continue;
                    }
                },
            };
            match (top.rest.next(), below) {
                (Some(node), Some(below)) => top.take_directory(node, &below, empty),
                (Some(node), None) => top.take(node, &self.index),
                (None, _) => {}
            }
        }
        Ok(self.known.get(&root).cloned().unwrap_or_default())
    }

    /// Gives the new directories below (and with) `tree` to the writer.
    pub(super) fn write(&self, tree: Id, writer: &mut Writer<'_>) -> Result<(), RepairError> {
        let mut frontier = vec![tree];
        while let Some(tree) = frontier.pop() {
            let Some(json) = self.made.get(&tree) else {
                continue;
            };
            if writer.has(BlobKind::Tree, &tree) {
                continue;
            }
            writer.add_plain(BlobKind::Tree, tree, json)?;
            let nodes = vouchsafe_format::decode_tree(json).unwrap_or_default();
            frontier.extend(nodes.iter().filter_map(|node| node.subtree));
        }
        Ok(())
    }

    /// Nothing if it is known already, or if it is lost, which is then known.
    fn open(&mut self, tree: Id) -> Result<Option<Open>, RepairError> {
        if self.known.contains_key(&tree) {
            return Ok(None);
        }
        match load_if_there(&self.trees, &tree)? {
            Some(nodes) => Ok(Some(Open {
                tree,
                names: nodes.iter().map(|node| node.name.clone()).collect(),
                rest: nodes.into_iter(),
                nodes: Vec::new(),
                done: Rewritten::default(),
            })),
            None => {
                let lost = Rewritten {
                    tree: None,
                    lost: vec!["/".to_owned()],
                    count: 1,
                };
                self.known.insert(tree, Arc::new(lost));
                self.make(&[])?;
                Ok(None)
            }
        }
    }

    fn close(&mut self, open: Open) -> Result<(), RepairError> {
        let Open {
            tree,
            mut nodes,
            mut done,
            ..
        } = open;
        done.tree = Some(tree);
        if done.count > 0 {
            nodes.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            done.tree = Some(self.make(&nodes)?);
        }
        self.known.insert(tree, Arc::new(done));
        Ok(())
    }

    fn make(&mut self, nodes: &[Node]) -> Result<Id, RepairError> {
        let json = encode_tree(nodes)
            .map_err(crate::error::TreeProblem::Tree)
            .map_err(|source| crate::error::RepoError::Tree {
                tree: Id::of(b""),
                store: self.repository.place(),
                source: Box::new(source),
            })?;
        let id = Id::of(&json);
        if !self.index.contains(BlobKind::Tree, &id) {
            self.made.insert(id, json);
        }
        Ok(id)
    }
}

impl Open {
    fn take(&mut self, mut node: Node, index: &BlobIndex) {
        let name = String::from_utf8_lossy(&node.name).into_owned();
        if node.kind == NodeKind::Dir {
            // A directory without a tree, which nobody can read.
            self.done.add([format!("/{name}")], 1);
            return;
        }
        let content = node.content.as_deref().unwrap_or_default();
        let sizes: Vec<Option<u64>> = content
            .iter()
            .map(|id| index.place(BlobKind::Data, id).map(|p| p.plain_length()))
            .collect();
        if sizes.iter().all(Option::is_some) {
            self.nodes.push(node);
            return;
        }
        self.done.add([format!("/{name}")], 1);
        let kept = content
            .iter()
            .zip(&sizes)
            .filter(|(_, size)| size.is_some());
        node.content = Some(kept.map(|(id, _)| *id).collect());
        node.size = sizes.iter().flatten().sum();
        node.name = self.free_name(&node.name);
        self.nodes.push(node);
    }

    fn take_directory(&mut self, mut node: Node, below: &Rewritten, empty: Id) {
        let name = String::from_utf8_lossy(&node.name).into_owned();
        let places = below.lost.iter().map(|place| format!("/{name}{place}"));
        self.done.add(places.collect::<Vec<_>>(), below.count);
        node.subtree = Some(below.tree.unwrap_or(empty));
        self.nodes.push(node);
    }

    /// A name that tells that the file is not whole, and that nothing else in the directory has.
    fn free_name(&mut self, name: &[u8]) -> Vec<u8> {
        let mut free = [name, INCOMPLETE.as_bytes()].concat();
        let mut n = 2;
        while !self.names.insert(free.clone()) {
            free = [name, INCOMPLETE.as_bytes(), format!("-{n}").as_bytes()].concat();
            n += 1;
        }
        free
    }
}

impl Rewritten {
    fn add(&mut self, places: impl IntoIterator<Item = String>, count: u64) {
        let room = PLACES.saturating_sub(self.lost.len());
        self.lost.extend(places.into_iter().take(room));
        self.count += count;
    }
}

/// An error that a snapshot cannot be encoded, as a repair tells it.
pub(super) fn file_error(damage: impl Into<Damage>) -> RepairError {
    RepairError::File(damage.into())
}
