//! Doing the jobs of the machines: the same code for threads and for the simulation.

use std::sync::Arc;

use vouchsafe_format::{
    BlobError, BlobKind, Checksum, Compressor, Id, MasterKey, OVERHEAD, Opener, Prover, Sealed,
    SealedBlob, compress, decode_tree, encode_tree, seal_blob_append,
};
use vouchsafe_host::Random;

use super::pieces::Pieces;
use crate::env::random_iv;
use crate::error::{Damage, WorkError};
use crate::machine::{Blob, Buffers, Claims, Compute, Done, Transfer};
use crate::objects::{Objects, seal_file, seal_index};

/// What jobs need: keys, claims, stores.
pub(crate) struct Workshop {
    /// Seals what is stored.
    pub(crate) key: MasterKey,
    pub(crate) claims: Arc<Claims>,
    pub(crate) random: Arc<dyn Random>,
    pub(crate) buffers: Arc<Buffers>,
    pub(crate) pieces: Pieces,
    pub(crate) target: Objects,
    /// Where a copy comes from.
    pub(crate) source: Option<(Objects, MasterKey)>,
}

/// What one worker keeps from job to job.
pub(crate) struct Tools {
    compressor: Compressor,
    opener: Opener,
    prover: Prover,
}

impl Tools {
    pub(crate) fn new() -> Result<Tools, WorkError> {
        let compressor = Compressor::for_backups().map_err(Damage::from)?;
        Ok(Tools {
            compressor,
            opener: Opener::default(),
            prover: Prover::new(),
        })
    }
}

/// What a plaintext is called, and what it must still be when it has been sealed.
#[derive(Clone, Copy)]
pub(crate) struct Named {
    id: Id,
    /// Taken before it was hashed.
    checksum: Checksum,
}

impl Named {
    fn of(plaintext: &[u8]) -> Named {
        let checksum = Checksum::of(plaintext);
        let id = Id::of(plaintext);
        Named { id, checksum }
    }

    /// The names of the plaintexts among these jobs, which are hashed at the same time.
    pub(crate) fn each(jobs: &[Compute]) -> Vec<Option<Named>> {
        let plaintexts: Vec<&[u8]> = jobs.iter().filter_map(Compute::plaintext).collect();
        let checksums: Vec<Checksum> = plaintexts.iter().map(|text| Checksum::of(text)).collect();
        let mut names = Id::of_each(&plaintexts)
            .into_iter()
            .zip(checksums)
            .map(|(id, checksum)| Named { id, checksum });
        jobs.iter()
            .map(|job| job.plaintext().and_then(|_| names.next()))
            .collect()
    }
}

impl Workshop {
    /// Does work for a processor.
    pub(crate) fn compute(&self, job: Compute, tools: &mut Tools) -> Result<Done, WorkError> {
        self.compute_named(job, None, tools)
    }

    /// As [`Workshop::compute`]; a plaintext may have been hashed already.
    pub(crate) fn compute_named(
        &self,
        job: Compute,
        name: Option<Named>,
        tools: &mut Tools,
    ) -> Result<Done, WorkError> {
        match job {
            Compute::Process {
                ticket,
                kind,
                blob: Blob::Plain(plaintext),
            } => {
                let name = name.unwrap_or_else(|| Named::of(&plaintext));
                let id = name.id;
                let fresh = self.process(kind, &plaintext, name, tools)?;
                let length = plaintext.len() as u64;
                self.buffers.give(plaintext);
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
                tools
                    .prover
                    .prove(&self.key, &sealed, uncompressed_length, id)?;
                let plain = sealed.len().saturating_sub(OVERHEAD) as u64;
                Ok(Done::Blob {
                    ticket,
                    id,
                    length: uncompressed_length.map_or(plain, u64::from),
                    fresh: Some(SealedBlob {
                        bytes: sealed,
                        uncompressed_length,
                    }),
                })
            }
            Compute::Tree { ticket, mut nodes } => {
                nodes.sort_unstable_by(|a, b| a.name.cmp(&b.name));
                let plaintext = encode_tree(&nodes)?;
                let name = Named::of(&plaintext);
                let fresh = self.process(BlobKind::Tree, &plaintext, name, tools)?;
                Ok(Done::Blob {
                    ticket,
                    id: name.id,
                    length: plaintext.len() as u64,
                    fresh,
                })
            }
            Compute::Finish { ticket, pack } => {
                let pack = pack.finish(&self.key, self.iv())?;
                Ok(Done::Pack { ticket, pack })
            }
            Compute::Index { ticket, packs } => {
                let (name, bytes) = seal_index(&self.key, self.iv(), &packs)?;
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
                let (key, mut sealed) = (self.source_key(), sealed);
                let sealed = Sealed {
                    id,
                    bytes: &mut sealed,
                    uncompressed_length,
                };
                let plaintext = tools.opener.open(key, sealed)?;
                Ok(Done::Tree {
                    ticket,
                    nodes: decode_tree(plaintext)?,
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
                self.buffers.give(bytes);
                Ok(Done::Stored { ticket })
            }
            Transfer::Write {
                ticket,
                pack,
                bytes,
            } => {
                self.pieces.write(&self.target, pack, &bytes)?;
                self.buffers.give(bytes);
                Ok(Done::Written { ticket })
            }
            Transfer::Close { ticket, pack, rest } => {
                let (pack, bytes, buffer) =
                    self.pieces
                        .close(&self.target, pack, rest, &self.key, self.iv())?;
                self.buffers.give(buffer);
                Ok(Done::Closed {
                    ticket,
                    pack,
                    bytes,
                })
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

    /// Compresses and seals a plaintext that is not stored yet. What was sealed is opened again and compared:
    /// what the memory or the processor of this machine has spoilt meanwhile must not get into a vault.
    fn process(
        &self,
        kind: BlobKind,
        plaintext: &[u8],
        name: Named,
        tools: &mut Tools,
    ) -> Result<Option<SealedBlob>, WorkError> {
        if !self.claims.claim(kind, name.id) {
            return Ok(None);
        }
        let most = Compressor::bound(plaintext.len()) + OVERHEAD;
        let mut bytes = self.buffers.take(most);
        let compressor = Some(&mut tools.compressor);
        let uncompressed_length = seal_blob_append(
            &self.key,
            self.iv(),
            kind,
            plaintext,
            compressor,
            &mut bytes,
        )?;
        self.prove(name, &bytes, uncompressed_length, tools)?;
        Ok(Some(SealedBlob {
            bytes,
            uncompressed_length,
        }))
    }

    fn prove(
        &self,
        name: Named,
        sealed: &[u8],
        uncompressed_length: Option<u32>,
        tools: &mut Tools,
    ) -> Result<(), WorkError> {
        let Named { id, checksum } = name;
        tools
            .prover
            .prove_checksum(&self.key, sealed, uncompressed_length, id, checksum)
            .map_err(WorkError::Spoilt)
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
        let stored: &[u8] = self
            .source_key()
            .open_in_place(&mut sealed)
            .map_err(damaged)?;
        let Some(length) = uncompressed_length else {
            check_id(id, stored)?;
            let fresh = self.process(kind, stored, Named::of(stored), tools)?;
            return Ok((stored.len() as u64, fresh));
        };
        let plaintext = compress::decompress(stored, length as usize)
            .map_err(|source| BlobError::Decompress { id, source })?;
        check_id(id, &plaintext)?;
        if !self.claims.claim(kind, id) {
            return Ok((u64::from(length), None));
        }
        let mut bytes = self.buffers.take(stored.len() + OVERHEAD);
        self.key.seal_append(self.iv(), stored, &mut bytes);
        tools
            .prover
            .prove(&self.key, &bytes, uncompressed_length, id)
            .map_err(WorkError::Spoilt)?;
        self.buffers.give(sealed);
        let fresh = SealedBlob {
            bytes,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Env;
    use crate::index::BlobIndex;
    use crate::machine::Ticket;
    use vouchsafe_host::{Interrupt, ManualClock, SeededRandom};
    use vouchsafe_model::Time;
    use vouchsafe_store::MemoryStore;

    fn workshop() -> Workshop {
        let random: Arc<dyn Random> = Arc::new(SeededRandom::new(1));
        let env = Env {
            clock: Arc::new(ManualClock::new(Time::from_secs(1))),
            random: Arc::clone(&random),
            interrupt: Interrupt::manual(),
            hostname: String::new(),
            username: String::new(),
            pid: 1,
            uid: 1,
            gid: 1,
            program_version: String::new(),
        };
        Workshop {
            key: MasterKey::from_random([7; 64]).unwrap(),
            claims: Arc::new(Claims::new(Arc::new(BlobIndex::default()))),
            random,
            buffers: Arc::default(),
            pieces: Pieces::default(),
            target: Objects::new(Arc::new(MemoryStore::new()), env),
            source: None,
        }
    }

    #[test]
    fn names_of_jobs_are_those_of_their_plaintexts() {
        let ticket = Ticket(1);
        let kind = BlobKind::Data;
        let plain = |text: &[u8]| Compute::Process {
            ticket,
            kind,
            blob: Blob::Plain(text.to_vec()),
        };
        let nodes = Vec::new();
        let jobs = [
            plain(b"one"),
            Compute::Tree { ticket, nodes },
            plain(b"two"),
        ];
        let ids: Vec<Option<Id>> = Named::each(&jobs)
            .iter()
            .map(|name| name.map(|name| name.id))
            .collect();
        assert_eq!(ids, [Some(Id::of(b"one")), None, Some(Id::of(b"two"))]);
        for (name, text) in [(0, b"one"), (2, b"two")] {
            let checksum = Named::each(&jobs)[name].unwrap().checksum;
            assert_eq!(checksum, Checksum::of(text));
        }
    }

    /// As a processor does that hashes one thing and compresses another.
    #[test]
    fn what_is_spoilt_between_hashing_and_storing_is_not_stored() {
        let workshop = workshop();
        let mut tools = Tools::new().unwrap();
        for text in [&[b'x'; 9000][..], b"short"] {
            let name = Named::of(text);
            let fresh = workshop.process(BlobKind::Data, text, name, &mut tools);
            let sealed = fresh.unwrap().unwrap();
            let mut prove = |bytes: &[u8], text| {
                let length = sealed.uncompressed_length;
                let checksum = Checksum::of(text);
                workshop.prove(Named { checksum, ..name }, bytes, length, &mut tools)
            };
            prove(&sealed.bytes, text).unwrap();
            let refused = prove(&sealed.bytes, b"what was hashed");
            assert!(matches!(refused, Err(WorkError::Spoilt(_))));
            let mut flipped = sealed.bytes.clone();
            flipped[20] ^= 1;
            assert!(matches!(prove(&flipped, text), Err(WorkError::Spoilt(_))));
        }
    }
}
