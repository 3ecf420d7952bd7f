//! Index files as a repository of millions of blobs has them: they are whole and sealed, their packs do not exist.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};
use vouchsafe_format::{BlobKind, Id, IndexPack, PackedBlob, encode_index, encode_unpacked};
use vouchsafe_host::{Random, SeededRandom, machine};
use vouchsafe_store::{Key, PutMode, Store};
use vouchsafe_vault::Repository;

/// As many as restic puts into one index file.
const BLOBS_IN_INDEX: u64 = 50_000;
/// Packs of about 16 MiB.
const BLOBS_IN_PACK: u64 = 100;
/// The mean.
const SEALED_BLOB: u32 = 160_000;

type Failure = Box<dyn Error + Send + Sync>;

/// Writes index files that list `blobs` blobs in all.
pub(crate) fn write(
    repository: &Repository,
    store: &dyn Store,
    blobs: u64,
) -> Result<Value, Box<dyn Error>> {
    let files = blobs.div_ceil(BLOBS_IN_INDEX);
    let (next, bytes, failure) = (AtomicU64::new(0), AtomicU64::new(0), Mutex::new(None));
    std::thread::scope(|scope| {
        for _ in 0..machine::parallelism() {
            scope.spawn(|| {
                loop {
                    let file = next.fetch_add(1, Ordering::Relaxed);
                    if file >= files {
                        return;
                    }
                    let count = BLOBS_IN_INDEX.min(blobs - file * BLOBS_IN_INDEX);
                    match write_file(repository, store, file, count) {
                        Ok(size) => bytes.fetch_add(size, Ordering::Relaxed),
                        Err(error) => {
                            *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                            return;
                        }
                    };
                }
            });
        }
    });
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(json!({ "blobs": blobs, "files": files, "bytes": bytes.into_inner() })),
    }
}

fn write_file(
    repository: &Repository,
    store: &dyn Store,
    file: u64,
    blobs: u64,
) -> Result<u64, Failure> {
    let random = SeededRandom::new(file);
    let packs: Vec<IndexPack> = (0..blobs.div_ceil(BLOBS_IN_PACK))
        .map(|pack| made_up_pack(&random, BLOBS_IN_PACK.min(blobs - pack * BLOBS_IN_PACK)))
        .collect();
    let sealed = repository.seal(&encode_unpacked(&encode_index(&packs), 3)?);
    let key = Key::new(format!("index/{}", Id::of(&sealed)))?;
    store.put(&key, &sealed, PutMode::IfAbsent)?;
    Ok(sealed.len() as u64)
}

fn made_up_pack(random: &SeededRandom, blobs: u64) -> IndexPack {
    let mut offset = 0;
    let blobs = (0..blobs)
        .map(|_| {
            let length = SEALED_BLOB / 2 + (random.u64() % u64::from(SEALED_BLOB)) as u32;
            let blob = PackedBlob {
                id: made_up_id(random),
                kind: BlobKind::Data,
                offset,
                length,
                uncompressed_length: Some(length * 5 / 2),
            };
            offset += length;
            blob
        })
        .collect();
    IndexPack {
        id: made_up_id(random),
        blobs,
    }
}

fn made_up_id(random: &SeededRandom) -> Id {
    let mut bytes = [0; 32];
    random.fill(&mut bytes);
    Id::from_bytes(bytes)
}
