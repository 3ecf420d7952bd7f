//! What the kernel has been told of: each entry with its number, until it forgets it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vouchsafe_format::{Id, Node};

/// What an inode is.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// An upper directory.
    Upper(usize),
    /// The root of a snapshot.
    Snapshot(usize),
    /// An entry of a snapshot; its content and attributes are in its directory.
    Entry(Arc<Node>),
}

/// An entry that the kernel knows.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) what: What,
    pub(crate) parent: u64,
    pub(crate) name: Arc<[u8]>,
}

/// The number of the root.
pub(crate) const ROOT: u64 = 1;

/// All that the kernel knows. Bounded by the kernel's own caches.
#[derive(Default)]
pub(crate) struct Inodes {
    table: Mutex<HashMap<u64, (Known, u64)>>,
}

impl Inodes {
    pub(crate) fn get(&self, number: u64) -> Option<Known> {
        if number == ROOT {
            return Some(Known {
                what: What::Upper(0),
                parent: ROOT,
                name: Arc::default(),
            });
        }
        self.table().get(&number).map(|(known, _)| known.clone())
    }

    /// The kernel was told once more of an entry.
    pub(crate) fn remember(&self, number: u64, known: impl FnOnce() -> Known) {
        let mut table = self.table();
        table.entry(number).or_insert_with(|| (known(), 0)).1 += 1;
    }

    /// The kernel forgets what it was told so often.
    pub(crate) fn forget(&self, number: u64, times: u64) {
        let mut table = self.table();
        if let Some((_, told)) = table.get_mut(&number) {
            *told = told.saturating_sub(times);
            if *told == 0 {
                table.remove(&number);
            }
        }
    }

    /// Where an entry lies, for people.
    pub(crate) fn path(&self, number: u64) -> String {
        let mut names = Vec::new();
        let mut at = number;
        while at != ROOT {
            let Some(known) = self.get(at) else { break };
            names.push(known.name.escape_ascii().to_string());
            at = known.parent;
        }
        names.push(String::new());
        names.reverse();
        names.join("/")
    }

    fn table(&self) -> MutexGuard<'_, HashMap<u64, (Known, u64)>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of an entry: it follows from its place, so that it is the same whenever it is asked for.
pub(crate) fn number(parent: u64, name: &[u8]) -> u64 {
    let mut place = parent.to_le_bytes().to_vec();
    place.extend_from_slice(name);
    let digest = Id::of(&place);
    let mut bytes = [0; 8];
    bytes.copy_from_slice(digest.as_bytes().get(..8).unwrap_or(&[0; 8]));
    u64::from_le_bytes(bytes).max(ROOT + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forgotten_as_often_as_told_is_gone() {
        let inodes = Inodes::default();
        let (above, below) = (number(ROOT, b"a"), number(number(ROOT, b"a"), b"b\n"));
        let known = |parent, name: &[u8]| Known {
            what: What::Snapshot(0),
            parent,
            name: name.into(),
        };
        inodes.remember(above, || known(ROOT, b"a"));
        inodes.remember(below, || known(above, b"b\n"));
        inodes.remember(below, || known(above, b"b\n"));
        assert_eq!(inodes.path(below), "/a/b\\n");
        inodes.forget(below, 1);
        assert!(inodes.get(below).is_some());
        inodes.forget(below, 5);
        assert!(inodes.get(below).is_none());
        assert!(inodes.get(ROOT).is_some());
    }
}
