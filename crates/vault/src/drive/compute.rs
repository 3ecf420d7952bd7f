//! Doing the jobs of the machines: the same code for threads and for the simulation.

use std::sync::Arc;

use vouchsafe_format::{
    BlobError, BlobKind, Compressor, Id, MasterKey, SealedBlob, compress, decode_tree,
    encode_index, encode_tree, open_blob, seal_blob,
};
use vouchsafe_host::Random;

use crate::env::random_iv;
use crate::error::{Damage, WorkError};
use crate::machine::{Blob, Claims, Compute, Done, Transfer};
use crate::objects::{Objects, seal_file};

/// What jobs need: keys, claims, stores.
pub(crate) struct Workshop {
    /// Seals what is stored.
    pub(crate) key: MasterKey,
    pub(crate) claims: Arc<Claims>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) target: Objects,
    /// Where a copy comes from.
    pub(crate) source: Option<(Objects, MasterKey)>,
}

/// What one worker keeps from job to job.
pub(crate) struct Tools {
    compressor: Compressor,
}

impl Tools {
    pub(crate) fn new() -> Result<Tools, WorkError> {
        let compressor = Compressor::new(compress::DEFAULT_LEVEL).map_err(Damage::from)?;
        Ok(Tools { compressor })
    }
}

impl Workshop {
    /// Does work for a processor. The buffer of a plaintext that is used up is given to `spare`.
    pub(crate) fn compute(
        &self,
        job: Compute,
        tools: &mut Tools,
        spare: &mut dyn FnMut(Vec<u8>),
    ) -> Result<Done, WorkError> {
        match job {
            Compute::Process {
                ticket,
                kind,
                blob: Blob::Plain(plaintext),
            } => {
                let (id, fresh) = self.process(kind, &plaintext, tools)?;
                let length = plaintext.len() as u64;
                spare(plaintext);
                Ok(Done::Blob {
                    ticket,
                    id,
                    length,
                    fresh,
                })
            }
            Compute::Process {
                ticket,
                kind,
                blob:
                    Blob::Stored {
                        id,
                        sealed,
                        uncompressed_length,
                    },
            } => {
                let (length, fresh) = self.reseal(kind, id, sealed, uncompressed_length, tools)?;
                Ok(Done::Blob {
                    ticket,
                    id,
                    length,
                    fresh,
                })
            }
            Compute::Process {
                ticket,
                blob:
                    Blob::Kept {
                        id,
                        sealed,
                        uncompressed_length,
                    },
                ..
            } => {
                let plaintext = open_blob(&self.key, &sealed, uncompressed_length, id)?;
                Ok(Done::Blob {
                    ticket,
                    id,
                    length: plaintext.len() as u64,
                    fresh: Some(SealedBlob {
                        bytes: sealed,
                        uncompressed_length,
                    }),
                })
            }
            Compute::Tree { ticket, mut nodes } => {
                nodes.sort_unstable_by(|a, b| a.name.cmp(&b.name));
                let plaintext = encode_tree(&nodes)?;
                let (id, fresh) = self.process(BlobKind::Tree, &plaintext, tools)?;
                Ok(Done::Blob {
                    ticket,
                    id,
                    length: plaintext.len() as u64,
                    fresh,
                })
            }
            Compute::Finish { ticket, pack } => {
                let pack = pack.finish(&self.key, self.iv())?;
                Ok(Done::Pack { ticket, pack })
            }
            Compute::Index { ticket, packs } => {
                let (name, bytes) = self.seal_file(&encode_index(&packs))?;
                Ok(Done::File {
                    ticket,
                    name,
                    bytes,
                })
            }
            Compute::Snapshot { ticket, snapshot } => {
                let (name, bytes) = self.seal_file(&snapshot.encode().map_err(Damage::from)?)?;
                Ok(Done::File {
                    ticket,
                    name,
                    bytes,
                })
            }
            Compute::Decode {
                ticket,
                id,
                sealed,
                uncompressed_length,
            } => {
                let plaintext = open_blob(self.source_key(), &sealed, uncompressed_length, id)?;
                Ok(Done::Tree {
                    ticket,
                    nodes: decode_tree(&plaintext)?,
                })
            }
        }
    }

    /// Does work for a store.
    pub(crate) fn transfer(&self, job: Transfer) -> Result<Done, WorkError> {
        match job {
            Transfer::Put {
                ticket,
                object,
                name,
                bytes,
            } => {
                self.target.put(object, &name, &bytes)?;
                Ok(Done::Stored { ticket })
            }
            Transfer::Fetch {
                ticket,
                pack,
                offset,
                length,
            } => {
                let source = self
                    .source
                    .as_ref()
                    .map_or(&self.target, |(objects, _)| objects);
                let bytes = source.get_range(&pack, offset, length)?;
                Ok(Done::Fetched { ticket, bytes })
            }
        }
    }

    fn process(
        &self,
        kind: BlobKind,
        plaintext: &[u8],
        tools: &mut Tools,
    ) -> Result<(Id, Option<SealedBlob>), WorkError> {
        let id = Id::of(plaintext);
        if !self.claims.claim(kind, id) {
            return Ok((id, None));
        }
        let sealed = seal_blob(
            &self.key,
            self.iv(),
            kind,
            plaintext,
            Some(&mut tools.compressor),
        )?;
        Ok((id, Some(sealed)))
    }

    /// Seals a blob of the source with the target's key. It keeps its compressed form; its plaintext is hashed first.
    fn reseal(
        &self,
        kind: BlobKind,
        id: Id,
        mut sealed: Vec<u8>,
        uncompressed_length: Option<u32>,
        tools: &mut Tools,
    ) -> Result<(u64, Option<SealedBlob>), WorkError> {
        let damaged = |source| BlobError::Sealed { id, source };
        let stored = self
            .source_key()
            .open_in_place(&mut sealed)
            .map_err(damaged)?;
        let Some(length) = uncompressed_length else {
            check_id(id, stored)?;
            let (_, fresh) = self.process(kind, stored, tools)?;
            return Ok((stored.len() as u64, fresh));
        };
        let plaintext = compress::decompress(stored, length as usize)
            .map_err(|source| BlobError::Decompress { id, source })?;
        check_id(id, &plaintext)?;
        if !self.claims.claim(kind, id) {
            return Ok((u64::from(length), None));
        }
        let fresh = SealedBlob {
            bytes: self.key.seal(self.iv(), stored),
            uncompressed_length,
        };
        Ok((u64::from(length), Some(fresh)))
    }

    fn seal_file(&self, json: &[u8]) -> Result<(Id, Vec<u8>), WorkError> {
        Ok(seal_file(
            &self.key,
            self.iv(),
            json,
            compress::DEFAULT_LEVEL,
        )?)
    }

    fn source_key(&self) -> &MasterKey {
        self.source.as_ref().map_or(&self.key, |(_, key)| key)
    }

    fn iv(&self) -> [u8; 16] {
        random_iv(self.random.as_ref())
    }
}

fn check_id(expected: Id, plaintext: &[u8]) -> Result<(), BlobError> {
    match Id::of(plaintext) {
        found if found == expected => Ok(()),
        found => Err(BlobError::WrongHash { expected, found }),
    }
}
