//! Loading directories: one tree blob after the other, with neighbours read ahead.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use vouchsafe_format::{BlobKind, Id, MasterKey, Node, Opener, Sealed, decode_tree};
use vouchsafe_store::StoreError;

use crate::error::TreeProblem;
use crate::index::{BlobIndex, Place};
use crate::objects::Objects;

/// Loads directories of one repository.
///
/// Directories lie in their packs in about the order in which they were finished, children before parents; so what is
/// read ahead is mostly what lies before.
pub(crate) struct Trees {
    objects: Objects,
    key: MasterKey,
    index: Arc<BlobIndex>,
    windows: Mutex<VecDeque<Window>>,
    openers: Mutex<Vec<Opener>>,
}

struct Window {
    pack: u32,
    start: u64,
    bytes: Arc<Vec<u8>>,
}

impl Trees {
    pub(crate) fn new(objects: Objects, key: MasterKey, index: Arc<BlobIndex>) -> Trees {
        Trees {
            objects,
            key,
            index,
            windows: Mutex::default(),
            openers: Mutex::default(),
        }
    }

    /// The entries of a directory, from whichever place has it unharmed.
    pub(crate) fn load(&self, tree: &Id) -> Result<Vec<Node>, TreeProblem> {
        let mut problem = TreeProblem::NotListed { tree: *tree };
        for place in self.index.places(BlobKind::Tree, tree) {
            match self.load_from(tree, &place) {
                Ok(nodes) => return Ok(nodes),
                Err(error) => problem = error,
            }
        }
        match (problem, self.index.trouble()) {
            (TreeProblem::NotListed { .. }, Some(trouble)) => Err(trouble.into()),
            (problem, _) => Err(problem),
        }
    }

    fn load_from(&self, tree: &Id, place: &Place) -> Result<Vec<Node>, TreeProblem> {
        if let Some(mut sealed) = self.read_by_window(place)
            && let Ok(nodes) = self.open(tree, place, &mut sealed)
        {
            return Ok(nodes);
        }
        let mut sealed =
            self.objects
                .get_range(&place.pack, place.offset.into(), place.length.into())?;
        self.open(tree, place, &mut sealed)
    }

    fn open(&self, tree: &Id, place: &Place, sealed: &mut [u8]) -> Result<Vec<Node>, TreeProblem> {
        let shelf = || self.openers.lock().unwrap_or_else(PoisonError::into_inner);
        let mut opener = shelf().pop().unwrap_or_default();
        let sealed = Sealed {
            id: *tree,
            bytes: sealed,
            uncompressed_length: place.uncompressed_length,
        };
        let nodes = opener
            .open(&self.key, sealed)
            .map_err(TreeProblem::from)
            .and_then(|plaintext| Ok(decode_tree(plaintext)?));
        shelf().push(opener);
        nodes
    }

    /// The sealed bytes from what was read ahead; nothing if that does not work, for whatever reason.
    fn read_by_window(&self, place: &Place) -> Option<Vec<u8>> {
        let (start, length) = (u64::from(place.offset), u64::from(place.length));
        let hit = {
            let windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
            let holds = |w: &&Window| {
                w.pack == place.number
                    && w.start <= start
                    && start + length <= w.start + w.bytes.len() as u64
            };
            windows
                .iter()
                .find(holds)
                .map(|w| (w.start, Arc::clone(&w.bytes)))
        };
        let (from, bytes) = match hit {
            Some(hit) => hit,
            None => self.read_ahead(place).ok()?,
        };
        let at = usize::try_from(start - from).ok()?;
        bytes
            .get(at..at + place.length as usize)
            .map(<[u8]>::to_vec)
    }

    fn read_ahead(&self, place: &Place) -> Result<(u64, Arc<Vec<u8>>), StoreError> {
        let end = u64::from(place.offset) + u64::from(place.length);
        let from = end.saturating_sub(WINDOW.max(place.length.into()));
        let to = (end + WINDOW / 4).min(self.index.pack_bytes(place.number));
        let bytes = Arc::new(
            self.objects
                .get_range(&place.pack, from, to.saturating_sub(from))?,
        );
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.len() >= WINDOWS {
            windows.pop_front();
        }
        windows.push_back(Window {
            pack: place.number,
            start: from,
            bytes: Arc::clone(&bytes),
        });
        Ok((from, bytes))
    }
}

/// Bytes read at once.
const WINDOW: u64 = 256 << 10;
/// Parts of packs that are kept.
const WINDOWS: usize = 16;
