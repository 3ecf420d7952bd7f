//! Directories from the leaves to the root: each waits until the ids of all its contents are known.

use std::collections::HashMap;

use vouchsafe_format::{Id, Node};

use super::MachineError;

/// Names a directory that is being assembled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DirectoryId(u64);

/// A place in a directory, kept for an entry that is not ready yet.
#[derive(Debug)]
pub struct Slot {
    directory: DirectoryId,
    at: usize,
}

/// A directory whose entries are all ready.
#[derive(Debug)]
pub struct Ready {
    /// Which one.
    pub directory: DirectoryId,
    /// Its entries, in the order in which they came.
    pub nodes: Vec<Node>,
}

/// Assembles one tree, depth-first. Entries may become ready in any order.
#[derive(Debug)]
pub struct Assembler {
    directories: HashMap<DirectoryId, Directory>,
    path: Vec<DirectoryId>,
    next: u64,
    root: Option<Id>,
}

#[derive(Debug)]
struct Directory {
    parent: Option<Slot>,
    /// The directory's own node, for the parent.
    node: Node,
    /// Nothing where an entry is not ready or was given up.
    entries: Vec<Option<Node>>,
    waiting: usize,
    left: bool,
}

impl Assembler {
    /// The root is open.
    pub fn new() -> Assembler {
        let root = DirectoryId(0);
        let directory = Directory {
            parent: None,
            node: Node::default(),
            entries: Vec::new(),
            waiting: 0,
            left: false,
        };
        Assembler {
            directories: HashMap::from([(root, directory)]),
            path: vec![root],
            next: 1,
            root: None,
        }
    }

    /// Goes down into a new directory.
    ///
    /// # Errors
    /// [`MachineError::AfterEnd`].
    pub fn enter(&mut self, node: Node) -> Result<(), MachineError> {
        let parent = self.reserve()?;
        let id = DirectoryId(self.next);
        self.next += 1;
        let directory = Directory {
            parent: Some(parent),
            node,
            entries: Vec::new(),
            waiting: 0,
            left: false,
        };
        self.directories.insert(id, directory);
        self.path.push(id);
        Ok(())
    }

    /// Goes up; the directory left is handed out if all its entries are ready.
    ///
    /// # Errors
    /// [`MachineError::LeftRoot`].
    pub fn leave(&mut self) -> Result<Option<Ready>, MachineError> {
        if self.path.len() <= 1 {
            return Err(MachineError::LeftRoot);
        }
        let id = self.path.pop().ok_or(MachineError::LeftRoot)?;
        self.mark_left(id)
    }

    /// Ends the root.
    ///
    /// # Errors
    /// [`MachineError::NotLeft`], [`MachineError::AfterEnd`].
    pub fn close(&mut self) -> Result<Option<Ready>, MachineError> {
        if self.path.len() > 1 {
            return Err(MachineError::NotLeft {
                depth: self.path.len() - 1,
            });
        }
        let id = self.path.pop().ok_or(MachineError::AfterEnd)?;
        self.mark_left(id)
    }

    /// Adds an entry that is ready.
    ///
    /// # Errors
    /// [`MachineError::AfterEnd`].
    pub fn add(&mut self, node: Node) -> Result<(), MachineError> {
        self.current()?.1.entries.push(Some(node));
        Ok(())
    }

    /// Keeps a place for an entry that is not ready yet.
    ///
    /// # Errors
    /// [`MachineError::AfterEnd`].
    pub fn reserve(&mut self) -> Result<Slot, MachineError> {
        let (id, directory) = self.current()?;
        let at = directory.entries.len();
        directory.entries.push(None);
        directory.waiting += 1;
        Ok(Slot { directory: id, at })
    }

    /// Fills a place, or gives it up with nothing.
    ///
    /// # Errors
    /// [`MachineError::UnknownTicket`] if the directory was handed out already, which a slot prevents.
    pub fn fill(&mut self, slot: Slot, node: Option<Node>) -> Result<Option<Ready>, MachineError> {
        let directory = self
            .directories
            .get_mut(&slot.directory)
            .ok_or(MachineError::UnknownTicket)?;
        *directory
            .entries
            .get_mut(slot.at)
            .ok_or(MachineError::UnknownTicket)? = node;
        directory.waiting -= 1;
        Ok(self.take_if_ready(slot.directory))
    }

    /// A directory that was handed out has this id; its parent may be ready now.
    ///
    /// # Errors
    /// [`MachineError::UnknownTicket`].
    pub fn saved(&mut self, directory: DirectoryId, id: Id) -> Result<Option<Ready>, MachineError> {
        let done = self
            .directories
            .remove(&directory)
            .ok_or(MachineError::UnknownTicket)?;
        match done.parent {
            Some(slot) => self.fill(
                slot,
                Some(Node {
                    subtree: Some(id),
                    ..done.node
                }),
            ),
            None => {
                self.root = Some(id);
                Ok(None)
            }
        }
    }

    /// The root's id, once it is known.
    pub fn root(&self) -> Option<Id> {
        self.root
    }

    fn current(&mut self) -> Result<(DirectoryId, &mut Directory), MachineError> {
        let id = *self.path.last().ok_or(MachineError::AfterEnd)?;
        Ok((
            id,
            self.directories
                .get_mut(&id)
                .ok_or(MachineError::AfterEnd)?,
        ))
    }

    fn mark_left(&mut self, id: DirectoryId) -> Result<Option<Ready>, MachineError> {
        self.directories
            .get_mut(&id)
            .ok_or(MachineError::UnknownTicket)?
            .left = true;
        Ok(self.take_if_ready(id))
    }

    fn take_if_ready(&mut self, id: DirectoryId) -> Option<Ready> {
        let directory = self
            .directories
            .get_mut(&id)
            .filter(|d| d.left && d.waiting == 0)?;
        let nodes = std::mem::take(&mut directory.entries)
            .into_iter()
            .flatten()
            .collect();
        Some(Ready {
            directory: id,
            nodes,
        })
    }
}

impl Default for Assembler {
    fn default() -> Assembler {
        Assembler::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Node {
        Node {
            name: name.into(),
            ..Node::default()
        }
    }

    #[test]
    fn a_directory_waits_for_its_entries_and_its_parent_for_it() {
        let mut tree = Assembler::new();
        tree.enter(named("d")).unwrap();
        let slot = tree.reserve().unwrap();
        tree.add(named("b")).unwrap();
        assert!(tree.leave().unwrap().is_none());
        assert!(tree.close().unwrap().is_none());
        let ready = tree.fill(slot, Some(named("a"))).unwrap().unwrap();
        assert_eq!(ready.nodes.len(), 2);
        let root = tree.saved(ready.directory, Id::of(b"d")).unwrap().unwrap();
        assert_eq!(root.nodes[0].subtree, Some(Id::of(b"d")));
        assert!(tree.saved(root.directory, Id::of(b"r")).unwrap().is_none());
        assert_eq!(tree.root(), Some(Id::of(b"r")));
    }

    #[test]
    fn an_entry_given_up_is_left_out() {
        let mut tree = Assembler::new();
        let slot = tree.reserve().unwrap();
        tree.close().unwrap();
        assert!(tree.fill(slot, None).unwrap().unwrap().nodes.is_empty());
    }

    #[test]
    fn directories_must_be_left_as_often_as_entered() {
        let mut tree = Assembler::new();
        assert!(matches!(tree.leave(), Err(MachineError::LeftRoot)));
        tree.enter(named("d")).unwrap();
        assert!(matches!(
            tree.close(),
            Err(MachineError::NotLeft { depth: 1 })
        ));
        tree.leave().unwrap();
        tree.close().unwrap();
        assert!(matches!(tree.add(named("x")), Err(MachineError::AfterEnd)));
        assert!(matches!(tree.close(), Err(MachineError::AfterEnd)));
    }
}
