//! Vaults that are damaged in every way that a repair must meet.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

use std::sync::Arc;

use vouchsafe_capture::NoProgress;
use vouchsafe_format::{
    BlobKind, Id, IndexPack, MasterKey, decode_index, decode_unpacked, encode_index,
    encode_unpacked, open_key_file,
};
use vouchsafe_store::{Key, PutMode, Store, list_all};
use vouchsafe_vault::machine::Settings;
use vouchsafe_vault::{Driver, Env, Repository, Simulation, copy};

use super::{Item, PASSWORD, back_up, back_up_after, dir, file, noise, options, secret, still_env};

pub fn small() -> Settings {
    Settings {
        pack_bytes: 6_000,
        index_blobs: 8,
        budget: 30_000,
        ..Settings::default()
    }
}

pub fn open_in(store: Arc<dyn Store>, env: &Env) -> Result<Repository, String> {
    let repository = Repository::open(store, env, &secret()).map_err(|e| e.to_string())?;
    Ok(repository
        .with_driver(Driver::Simulated(Simulation {
            seed: 3,
            flights: None,
        }))
        .with_settings(small()))
}

pub fn open_small(store: Arc<dyn Store>) -> Repository {
    open_in(store, &still_env(9)).unwrap()
}

/// What the two snapshots hold.
pub fn items(generation: u64) -> Vec<Item> {
    let file_of = |n: u64| file(&format!("f{n}"), noise(n + 100 * generation, 1_500));
    vec![
        dir("d", (0..6).map(file_of).collect()),
        dir(
            "same",
            vec![file("kept", noise(77, 2_000)), file("empty", "")],
        ),
        file("text", "again and again ".repeat(200)),
    ]
}

/// Two vaults with the same two snapshots each.
pub fn two_vaults(near: &Arc<dyn Store>, far: &Arc<dyn Store>) {
    for store in [near, far] {
        Repository::create(store.clone(), &still_env(1), &secret(), &options()).unwrap();
    }
    let (near, far) = (open_small(near.clone()), open_small(far.clone()));
    let first = back_up(&near, &items(0)).unwrap().snapshot;
    let second = back_up_after(&near, &items(1), Some(first))
        .unwrap()
        .snapshot;
    for snapshot in [first, second] {
        copy(&near, &far, &snapshot, &NoProgress).unwrap();
    }
}

/// A store that is to be damaged, and what is needed to do it well.
pub struct Victim {
    pub store: Arc<dyn Store>,
    key: MasterKey,
}

pub type Damaging = fn(&Victim);

/// Every kind of damage by its name.
pub const DAMAGES: [(&str, Damaging); 13] = [
    ("flipped byte in a chunk", |v| v.flip(BlobKind::Data, 40)),
    ("flipped byte in a directory", |v| {
        v.flip(BlobKind::Tree, 40)
    }),
    ("flipped byte in a header", |v| {
        let (pack, _) = v.pack(BlobKind::Data);
        let size = v.store.head(&pack_key(&pack)).unwrap().size;
        v.change(&pack_key(&pack), |bytes| bytes[size as usize - 10] ^= 1);
    }),
    ("truncated pack", |v| {
        let (pack, listed) = v.pack(BlobKind::Data);
        let keep = listed.blobs.last().unwrap().offset as usize + 7;
        v.change(&pack_key(&pack), |bytes| bytes.truncate(keep));
    }),
    ("emptied pack", |v| {
        let (pack, _) = v.pack(BlobKind::Data);
        v.change(&pack_key(&pack), Vec::clear);
    }),
    ("missing pack", |v| {
        v.store
            .delete(&pack_key(&v.pack(BlobKind::Data).0))
            .unwrap();
    }),
    ("missing pack of directories", |v| {
        v.store
            .delete(&pack_key(&v.pack(BlobKind::Tree).0))
            .unwrap();
    }),
    ("missing index", |v| {
        v.store.delete(&v.index_keys()[0]).unwrap()
    }),
    ("damaged index", |v| {
        v.change(&v.index_keys()[0], |b| b[30] ^= 1)
    }),
    ("wrong offsets in the index", |v| {
        v.reindex(|packs| {
            let pack = packs.iter_mut().find(|p| p.blobs.len() > 1).unwrap();
            pack.blobs[0].length += 1;
            pack.blobs[1].offset += 1;
            pack.blobs[1].length -= 1;
        });
    }),
    ("a pack listed twice", |v| {
        let key = v.index_keys().remove(0);
        let packs = v.read_index(&key);
        v.write_index(&packs);
    }),
    ("a validly sealed wrong chunk", Victim::swap_chunks),
    ("missing index and missing pack", |v| {
        let pack = v.pack(BlobKind::Data).0;
        for key in v.index_keys() {
            v.store.delete(&key).unwrap();
        }
        v.store.delete(&pack_key(&pack)).unwrap();
    }),
];

impl Victim {
    pub fn of(store: &Arc<dyn Store>) -> Victim {
        let (key_file, _) = list_all(&**store, "keys/").unwrap().remove(0);
        let key = open_key_file(&store.get(&key_file).unwrap(), PASSWORD.as_bytes()).unwrap();
        Victim {
            store: store.clone(),
            key,
        }
    }

    pub fn index_keys(&self) -> Vec<Key> {
        let all = list_all(&*self.store, "index/").unwrap();
        all.into_iter().map(|(key, _)| key).collect()
    }

    /// The pack of that kind with most blobs.
    pub fn pack(&self, kind: BlobKind) -> (Id, IndexPack) {
        let all = self
            .index_keys()
            .into_iter()
            .flat_map(|k| self.read_index(&k));
        let pack = all
            .filter(|pack| pack.blobs[0].kind == kind)
            .max_by_key(|pack| (pack.blobs.len(), pack.id))
            .unwrap();
        (pack.id, pack)
    }

    fn flip(&self, kind: BlobKind, offset: usize) {
        let (pack, _) = self.pack(kind);
        self.change(&pack_key(&pack), |bytes| bytes[offset] ^= 1);
    }

    pub fn change(&self, key: &Key, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = self.store.get(key).unwrap();
        change(&mut bytes);
        self.store.put(key, &bytes, PutMode::Replace).unwrap();
    }

    fn read_index(&self, key: &Key) -> Vec<IndexPack> {
        let plaintext = self.key.open(&self.store.get(key).unwrap()).unwrap();
        decode_index(&decode_unpacked(&plaintext).unwrap()).unwrap()
    }

    fn write_index(&self, packs: &[IndexPack]) {
        let json = encode_unpacked(&encode_index(packs), 3).unwrap();
        let sealed = self.key.seal([9; 16], &json);
        let name = Key::new(format!("index/{}", Id::of(&sealed))).unwrap();
        self.store.put(&name, &sealed, PutMode::IfAbsent).unwrap();
    }

    /// Puts one index in the place of all.
    fn reindex(&self, change: impl FnOnce(&mut Vec<IndexPack>)) {
        let keys = self.index_keys();
        let mut packs: Vec<IndexPack> = keys.iter().flat_map(|k| self.read_index(k)).collect();
        change(&mut packs);
        self.write_index(&packs);
        for key in keys {
            self.store.delete(&key).unwrap();
        }
    }

    /// Two chunks of equal length change places: the pack is named anew and listed anew, and everything opens.
    fn swap_chunks(&self) {
        self.reindex(|packs| {
            let is_pair = |p: &&mut IndexPack| {
                p.blobs[0].kind == BlobKind::Data
                    && p.blobs.len() > 1
                    && p.blobs[0].length == p.blobs[1].length
            };
            let pack = packs.iter_mut().find(is_pair).unwrap();
            let old = pack_key(&pack.id);
            let mut bytes = self.store.get(&old).unwrap();
            let [a, b] = [0, 1].map(|n| {
                let blob = &pack.blobs[n];
                blob.offset as usize..(blob.offset + blob.length) as usize
            });
            let (first, second) = (bytes[a.clone()].to_vec(), bytes[b.clone()].to_vec());
            bytes[a].copy_from_slice(&second);
            bytes[b].copy_from_slice(&first);
            pack.id = Id::of(&bytes);
            let new = pack_key(&pack.id);
            self.store.put(&new, &bytes, PutMode::IfAbsent).unwrap();
            self.store.delete(&old).unwrap();
        });
    }
}

pub fn pack_key(id: &Id) -> Key {
    let hex = id.to_hex();
    Key::new(format!("data/{}/{hex}", &hex[..2])).unwrap()
}
