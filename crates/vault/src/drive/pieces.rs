//! Packs that are stored piece by piece: what was written of each, until it has a name.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use vouchsafe_format::{IdBuilder, IndexPack, MasterKey, PackRest, PackWriter};
use vouchsafe_store::{Growing, StoreError};

use crate::error::WorkError;
use crate::machine::GrowingId;
use crate::objects::Objects;

/// The packs under way. Those that are never closed leave nothing behind.
#[derive(Default)]
pub(crate) struct Pieces {
    packs: Mutex<HashMap<GrowingId, Pack>>,
}

struct Pack {
    object: Box<dyn Growing>,
    digest: IdBuilder,
    length: u64,
}

impl Pack {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.digest.update(bytes);
        self.length += bytes.len() as u64;
        self.object.write(bytes)
    }
}

impl Pieces {
    /// Writes the next bytes of a pack.
    pub(crate) fn write(
        &self,
        target: &Objects,
        id: GrowingId,
        bytes: &[u8],
    ) -> Result<(), WorkError> {
        // Nobody else looks for it meanwhile: of one pack one piece is written at a time.
        let mut pack = match self.take(id) {
            Some(pack) => pack,
            None => Pack {
                object: target.begin_pack()?,
                digest: IdBuilder::default(),
                length: 0,
            },
        };
        pack.write(bytes)?;
        self.lock().insert(id, pack);
        Ok(())
    }

    /// Writes the rest of a pack and makes it an object. Gives its length too.
    pub(crate) fn close(
        &self,
        target: &Objects,
        id: GrowingId,
        rest: PackWriter,
        key: &MasterKey,
        iv: [u8; 16],
    ) -> Result<(IndexPack, u64, Vec<u8>), WorkError> {
        let mut pack = self.take(id).ok_or(WorkError::Died)?;
        let PackRest { bytes, blobs } = rest.finish_rest(key, iv)?;
        pack.write(&bytes)?;
        let Pack {
            mut object,
            digest,
            length,
        } = pack;
        let id = digest.finish();
        target.put_pack(&id, object.as_mut())?;
        Ok((IndexPack { id, blobs }, length, bytes))
    }

    fn take(&self, id: GrowingId) -> Option<Pack> {
        self.lock().remove(&id)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<GrowingId, Pack>> {
        self.packs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
