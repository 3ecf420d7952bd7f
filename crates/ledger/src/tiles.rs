//! The record in the form that tools for transparency logs read: C2SP tlog-tiles.

use std::error::Error;

use tlog_tiles::tile::Tile;

use crate::error::{Corruption, LedgerError};
use crate::ledger::Ledger;

/// Tiles have 2^8 hashes; so says C2SP tlog-tiles.
const HEIGHT: u8 = 8;

/// What stores one file of [`Ledger::tiles`].
pub type PutTile<'a> = dyn FnMut(&str, &[u8]) -> Result<(), Box<dyn Error + Send + Sync>> + 'a;

/// Why the tiles could not be written.
#[derive(Debug, thiserror::Error)]
pub enum TilesError {
    /// The ledger could not be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The form has no place for an entry of that length.
    #[error(
        "entry {seq} has {bytes} bytes, and tiles have no place for more than 65535; use `ledger export`, which has"
    )]
    TooLong {
        /// Which entry.
        seq: u64,
        /// Its length.
        bytes: usize,
    },
    /// A file could not be written.
    #[error("cannot write `{name}`")]
    Write {
        /// Its name.
        name: String,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl Ledger {
    /// Hands out every file of the form, by its path: `checkpoint`, `tile/<level>/<n>`, `tile/entries/<n>`. The bundles
    /// of entries come before the tiles of hashes over them, and the checkpoint last. Returns how many entries it covers.
    ///
    /// Holds the hashes of all entries in memory: 32 bytes for each.
    pub fn tiles(&self, put: &mut PutTile<'_>) -> Result<u64, TilesError> {
        let head = self.head()?;
        let leaves = self.leaves(head.size)?;
        let mut put = |name: &str, bytes: &[u8]| {
            put(name, bytes).map_err(|source| TilesError::Write {
                name: name.to_owned(),
                source,
            })
        };
        let tiles = Tile::new_tiles(HEIGHT, 0, leaves.size());
        for tile in tiles.iter().filter(|tile| tile.level() == 0) {
            let first = tile.level_index() << HEIGHT;
            let bundle = self.bundle(first, first + u64::from(tile.width()))?;
            let name = path(tile).replacen("tile/0/", "tile/entries/", 1);
            put(&name, &bundle)?;
        }
        for tile in &tiles {
            let bytes = tile.read_data(&leaves);
            let seq = tile.level_index() << HEIGHT;
            let bytes = bytes.map_err(|_| self.corrupt(Corruption::Entry { seq }))?;
            put(&path(tile), &bytes)?;
        }
        put("checkpoint", head.note.as_bytes())?;
        Ok(head.size)
    }

    /// Entries, each after its length in two bytes, big end first.
    fn bundle(&self, first: u64, end: u64) -> Result<Vec<u8>, TilesError> {
        let mut bundle = Vec::new();
        for (seq, body) in (first..).zip(self.read_bytes(first..end)?) {
            let length = u16::try_from(body.len()).map_err(|_| TilesError::TooLong {
                seq,
                bytes: body.len(),
            })?;
            bundle.extend(length.to_be_bytes());
            bundle.extend(body);
        }
        Ok(bundle)
    }
}

/// The path, which names no height: all tiles of the form have the same.
fn path(tile: &Tile) -> String {
    tile.path().replacen("tile/8/", "tile/", 1)
}
