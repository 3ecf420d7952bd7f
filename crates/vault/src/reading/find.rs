//! Finding entries in many snapshots, each directory read once.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::vec;

use vouchsafe_capture::TreePath;
use vouchsafe_format::{Id, Node, NodeKind};
use vouchsafe_model::Issue;

use super::walk::{unreadable, unsafe_name};
use crate::error::RepoError;
use crate::repository::Repository;
use crate::trees::Trees;

/// An entry that was looked for.
#[derive(Debug)]
pub struct Hit<'a> {
    /// The snapshot that holds it.
    pub snapshot: Id,
    /// Where.
    pub path: &'a TreePath,
    /// The entry, without its content and attributes.
    pub node: &'a Node,
}

/// What a search read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FindReport {
    /// Entries found, each counted for every snapshot that holds it.
    pub hits: u64,
    /// Directories read.
    pub directories: u64,
    /// What could not be read; something may be hidden behind it. Each is told for the first snapshot only.
    pub issues: Vec<Issue>,
}

impl Repository {
    /// Searches snapshots, given by id and root, in this order; within one, parents come before children. What equal
    /// directories hold is remembered and not read again.
    ///
    /// `by_path` says whether `matches` looks at more of a path than its last name: then directories are the same
    /// only if they also lie in the same place. Memory: 16 bytes for each directory without a hit, and the hits.
    ///
    /// # Errors
    /// What `hit` gives; [`RepoError::Store`], [`RepoError::Interrupted`].
    pub fn find<E: From<RepoError>>(
        &self,
        snapshots: &[(Id, Id)],
        by_path: bool,
        matches: &dyn Fn(&TreePath, &Node) -> bool,
        hit: &mut dyn FnMut(Hit<'_>) -> Result<(), E>,
    ) -> Result<FindReport, E> {
        let (index, issues) = self.index()?;
        let mut search = Search {
            repository: self,
            trees: Trees::new(self.objects.clone(), self.key.clone(), index),
            by_path,
            matches,
            empty: HashSet::new(),
            known: HashMap::new(),
            report: FindReport {
                issues,
                ..FindReport::default()
            },
        };
        for (snapshot, root) in snapshots {
            search.snapshot(*snapshot, *root, hit)?;
        }
        Ok(search.report)
    }
}

/// A directory, and where it lies if that matters.
type Key = [u8; 16];

/// What a directory holds of interest.
#[derive(Default)]
struct Known {
    entries: Vec<Interesting>,
}

#[derive(Clone)]
struct Interesting {
    node: Node,
    is_hit: bool,
    below: Option<Key>,
}

struct Frame {
    key: Key,
    entries: vec::IntoIter<Node>,
    known: Known,
    /// The entry of the directory above that this one is.
    of: Option<Interesting>,
}

struct Search<'a> {
    repository: &'a Repository,
    trees: Trees,
    by_path: bool,
    matches: &'a dyn Fn(&TreePath, &Node) -> bool,
    empty: HashSet<Key>,
    known: HashMap<Key, Rc<Known>>,
    report: FindReport,
}

impl Search<'_> {
    fn snapshot<E: From<RepoError>>(
        &mut self,
        snapshot: Id,
        root: Id,
        hit: &mut dyn FnMut(Hit<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut path = TreePath::root();
        let key = self.key(&root, &path);
        if self.replay(key, snapshot, &mut path, hit)? {
            return Ok(());
        }
        let mut stack = vec![self.frame(key, &root, &path, None)?];
        while let Some(frame) = stack.last_mut() {
            let Some(node) = frame.entries.next() else {
                let done = stack.pop();
                self.leave(done, stack.last_mut());
                path.pop();
                continue;
            };
            if path.push(&node.name).is_err() {
                self.report.issues.push(unsafe_name(&path, &node));
                continue;
            }
            let mut entry = Interesting {
                is_hit: (self.matches)(&path, &node),
                below: None,
                node: slim(&node),
            };
            if entry.is_hit {
                self.tell(snapshot, &path, &entry.node, hit)?;
            }
            if let (NodeKind::Dir, Some(subtree)) = (&node.kind, node.subtree) {
                let key = self.key(&subtree, &path);
                if self.replay(key, snapshot, &mut path, hit)? {
                    entry.below = self.known.contains_key(&key).then_some(key);
                } else {
                    let below = self.frame(key, &subtree, &path, Some(entry))?;
                    stack.push(below);
                    continue;
                }
            }
            frame.known.note(entry);
            path.pop();
        }
        Ok(())
    }

    fn frame(
        &mut self,
        key: Key,
        tree: &Id,
        path: &TreePath,
        of: Option<Interesting>,
    ) -> Result<Frame, RepoError> {
        if self.repository.env().interrupt.requested() {
            return Err(RepoError::Interrupted);
        }
        self.report.directories += 1;
        let entries = self.trees.load(tree).unwrap_or_else(|error| {
            self.report.issues.push(unreadable(path, &error));
            Vec::new()
        });
        Ok(Frame {
            key,
            entries: entries.into_iter(),
            known: Known::default(),
            of,
        })
    }

    /// Remembers a directory that was looked through, and what it means for the one above.
    fn leave(&mut self, done: Option<Frame>, above: Option<&mut Frame>) {
        let Some(done) = done else { return };
        let nothing = done.known.entries.is_empty();
        if nothing {
            self.empty.insert(done.key);
        } else {
            self.known.insert(done.key, Rc::new(done.known));
        }
        if let (Some(above), Some(entry)) = (above, done.of) {
            above.known.note(Interesting {
                below: (!nothing).then_some(done.key),
                ..entry
            });
        }
    }

    /// Tells what is known of a directory. False if it was not looked through yet.
    fn replay<E: From<RepoError>>(
        &mut self,
        key: Key,
        snapshot: Id,
        path: &mut TreePath,
        hit: &mut dyn FnMut(Hit<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        if self.empty.contains(&key) {
            return Ok(true);
        }
        let Some(known) = self.known.get(&key) else {
            return Ok(false);
        };
        let mut stack = vec![(Rc::clone(known), 0)];
        while let Some((known, next)) = stack.last_mut() {
            let Some(entry) = known.entries.get(*next).cloned() else {
                stack.pop();
                if !stack.is_empty() {
                    path.pop();
                }
                continue;
            };
            *next += 1;
            if path.push(&entry.node.name).is_err() {
                continue;
            }
            if entry.is_hit {
                self.tell(snapshot, path, &entry.node, hit)?;
            }
            match entry.below.and_then(|key| self.known.get(&key)) {
                Some(below) => stack.push((Rc::clone(below), 0)),
                None => {
                    path.pop();
                }
            }
        }
        Ok(true)
    }

    fn tell<E>(
        &mut self,
        snapshot: Id,
        path: &TreePath,
        node: &Node,
        hit: &mut dyn FnMut(Hit<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.report.hits += 1;
        hit(Hit {
            snapshot,
            path,
            node,
        })
    }

    fn key(&self, tree: &Id, path: &TreePath) -> Key {
        let mut named = tree.as_bytes().to_vec();
        if self.by_path {
            for name in path.names() {
                named.push(0);
                named.extend_from_slice(name);
            }
        }
        let digest = Id::of(&named);
        let mut key = [0; 16];
        key.copy_from_slice(digest.as_bytes().get(..16).unwrap_or(&[0; 16]));
        key
    }
}

impl Known {
    fn note(&mut self, entry: Interesting) {
        if entry.is_hit || entry.below.is_some() {
            self.entries.push(entry);
        }
    }
}

fn slim(node: &Node) -> Node {
    Node {
        content: None,
        extended_attributes: Vec::new(),
        generic_attributes: Default::default(),
        ..node.clone()
    }
}
