//! A repository's objects in a store: their keys, their names, and second attempts where a store falters.

use std::fmt;
use std::io::Write;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use vouchsafe_format::{
    Id, IndexPack, MasterKey, compress, decode_unpacked, encode_unpacked, seal_unpacked, unpacked,
    write_index,
};
use vouchsafe_model::Time;
use vouchsafe_store::{Erased, Growing, Key, ObjectMeta, PutMode, Store, StoreError};

use crate::attempts::{self, LATE_LISTINGS, LISTING_PAUSE};
use crate::env::Env;
use crate::error::{Damage, RepoError};
use crate::gate::Gate;
use crate::machine::ObjectKind;

/// The objects of one repository.
#[derive(Clone)]
pub(crate) struct Objects {
    store: Arc<dyn Store>,
    env: Env,
    gate: Arc<Gate>,
}

impl Objects {
    pub(crate) fn new(store: Arc<dyn Store>, env: Env) -> Objects {
        Objects {
            store,
            env,
            gate: Arc::default(),
        }
    }

    /// What all writing but that of locks passes.
    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    fn pass(&self, kind: ObjectKind, key: &Key) -> Result<(), StoreError> {
        if kind == ObjectKind::Lock {
            return Ok(());
        }
        self.gate.pass().map_err(|_| StoreError::Unavailable {
            key: key.to_string(),
            store: self.place(),
            reason: "somebody else has locked the repository".to_owned(),
            retryable: false,
        })
    }

    /// The store, for messages.
    pub(crate) fn place(&self) -> String {
        self.store.describe()
    }

    pub(crate) fn env(&self) -> &Env {
        &self.env
    }

    /// The bytes of `config`, unchecked.
    pub(crate) fn get_config(&self) -> Result<Vec<u8>, StoreError> {
        self.get_at_most(&config_key()?, LONGEST_SMALL)
    }

    /// A named object's bytes, unchecked.
    pub(crate) fn get(&self, kind: ObjectKind, name: &Id) -> Result<Vec<u8>, StoreError> {
        self.get_at_most(&key_of(kind, name)?, longest(kind))
    }

    fn get_at_most(&self, key: &Key, most: u64) -> Result<Vec<u8>, StoreError> {
        let mut out = Vec::new();
        self.get_into(key, most, &mut out)?;
        Ok(out)
    }

    /// An object's bytes, unchecked, in place of what `into` held, if it has at most `most`.
    pub(crate) fn get_into(
        &self,
        key: &Key,
        most: u64,
        into: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        self.persistently(|| self.store.get_into(key, most, into))
    }

    /// Whether an object has exactly these bytes.
    fn holds(&self, key: &Key, bytes: &[u8]) -> bool {
        let mut found = Vec::new();
        let got = self.store.get_into(key, bytes.len() as u64, &mut found);
        got.is_ok() && found == bytes
    }

    /// Bytes of a pack, unchecked.
    pub(crate) fn get_range(
        &self,
        pack: &Id,
        offset: u64,
        length: u64,
    ) -> Result<Vec<u8>, StoreError> {
        let key = key_of(ObjectKind::Pack, pack)?;
        self.persistently(|| self.store.get_range(&key, offset, length))
    }

    /// A named object whose bytes have the digest that it is named after.
    pub(crate) fn get_named(&self, kind: ObjectKind, name: &Id) -> Result<Vec<u8>, RepoError> {
        let bytes = match self.get(kind, name) {
            Err(StoreError::TooLong { most, .. }) => {
                return Err(self.damaged(kind, name, Damage::TooLong { most }));
            }
            got => got?,
        };
        let found = Id::of(&bytes);
        if found == *name {
            Ok(bytes)
        } else {
            Err(self.damaged(kind, name, Damage::Name { found }))
        }
    }

    /// A named object, opened and decompressed.
    pub(crate) fn get_file(
        &self,
        key: &MasterKey,
        kind: ObjectKind,
        name: &Id,
    ) -> Result<Vec<u8>, RepoError> {
        let bytes = self.get_named(kind, name)?;
        open_file(key, &bytes).map_err(|source| self.damaged(kind, name, source))
    }

    /// Stores a named object, durably. That it is there already is fine if it has these bytes.
    pub(crate) fn put(&self, kind: ObjectKind, name: &Id, bytes: &[u8]) -> Result<(), StoreError> {
        let key = key_of(kind, name)?;
        self.pass(kind, &key)?;
        self.persistently(|| match self.store.put(&key, bytes, PutMode::IfAbsent) {
            // An attempt before may have been acknowledged too late, or torn.
            Err(StoreError::AlreadyExists { .. }) => {
                if self.holds(&key, bytes) {
                    return Ok(());
                }
                self.store.put(&key, bytes, PutMode::Replace)
            }
            other => other,
        })
    }

    /// Whether packs can be stored piece by piece.
    pub(crate) fn take_pieces(&self) -> bool {
        self.store.grows()
    }

    /// Begins a pack that is stored piece by piece.
    pub(crate) fn begin_pack(&self) -> Result<Box<dyn Growing>, StoreError> {
        // The place of the temporary file, where a store has such: among the packs, and in a directory that is there.
        let key = key_of(ObjectKind::Pack, &Id::from_bytes([0; 32]))?;
        self.pass(ObjectKind::Pack, &key)?;
        self.persistently(|| Arc::clone(&self.store).begin(&key))
    }

    /// Gives a pack that was stored piece by piece its name, durably. As with [`Objects::put`] it may be there already.
    pub(crate) fn put_pack(&self, name: &Id, pack: &mut dyn Growing) -> Result<(), StoreError> {
        let key = key_of(ObjectKind::Pack, name)?;
        self.pass(ObjectKind::Pack, &key)?;
        self.persistently(|| match pack.put(&key, PutMode::IfAbsent) {
            Err(StoreError::AlreadyExists { .. }) => {
                let found = self.store.get(&key);
                if found.is_ok_and(|bytes| Id::of(&bytes) == *name) {
                    return Ok(());
                }
                pack.put(&key, PutMode::Replace)
            }
            other => other,
        })
    }

    /// Removes what interrupted writers have left behind, if nothing was added to it since `before`.
    pub(crate) fn remove_leftovers(&self, before: Time) -> Result<u64, StoreError> {
        self.persistently(|| self.store.remove_leftovers(before))
    }

    /// Stores `config`, which is named by nothing but its place.
    pub(crate) fn put_config(&self, bytes: &[u8]) -> Result<(), StoreError> {
        let key = config_key()?;
        self.persistently(|| match self.store.put(&key, bytes, PutMode::IfAbsent) {
            // An attempt before may have been acknowledged too late; whose it is shows in the bytes.
            Err(StoreError::AlreadyExists { .. }) if self.holds(&key, bytes) => Ok(()),
            other => other,
        })
    }

    pub(crate) fn delete(&self, kind: ObjectKind, name: &Id) -> Result<(), StoreError> {
        let key = key_of(kind, name)?;
        self.pass(kind, &key)?;
        self.persistently(|| self.store.delete(&key))
    }

    /// Removes an object with all older versions that a store keeps of it, as far as locks allow.
    pub(crate) fn erase(&self, kind: ObjectKind, name: &Id) -> Result<Erased, StoreError> {
        let key = key_of(kind, name)?;
        self.pass(kind, &key)?;
        self.persistently(|| self.store.erase(&key))
    }

    /// Bytes of a named object, or nothing if it is not there.
    pub(crate) fn size(&self, kind: ObjectKind, name: &Id) -> Result<Option<u64>, StoreError> {
        Ok(self.meta(kind, name)?.map(|meta| meta.size))
    }

    /// Bytes and age of a named object, or nothing if it is not there.
    pub(crate) fn meta(
        &self,
        kind: ObjectKind,
        name: &Id,
    ) -> Result<Option<ObjectMeta>, StoreError> {
        let key = key_of(kind, name)?;
        match self.persistently(|| self.store.head(&key)) {
            Ok(meta) => Ok(Some(meta)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether what is removed stays as an older version.
    pub(crate) fn keeps_versions(&self) -> bool {
        self.store.capabilities().versions
    }

    /// Whether a listing surely shows what was stored before it.
    pub(crate) fn lists_consistently(&self) -> bool {
        self.store.capabilities().list_consistent
    }

    /// Names and lengths of all objects of a kind, sorted by name; keys that are no names are left out.
    ///
    /// A store whose listings may be late is asked several times; what any answer shows counts. So an object may be
    /// listed that is gone already.
    pub(crate) fn list(&self, kind: ObjectKind) -> Result<Vec<(Id, u64)>, StoreError> {
        let mut out = self.list_once(kind)?;
        if !self.store.capabilities().list_consistent {
            for _ in 1..LATE_LISTINGS {
                self.pause(LISTING_PAUSE);
                out.extend(self.list_once(kind)?);
            }
        }
        out.sort_unstable();
        out.dedup_by_key(|(id, _)| *id);
        Ok(out)
    }

    fn list_once(&self, kind: ObjectKind) -> Result<Vec<(Id, u64)>, StoreError> {
        let prefix = format!("{}/", folder(kind));
        self.persistently(|| {
            let mut out = Vec::new();
            self.store.list(&prefix, &mut |key, size| {
                if let Ok(id) = key.name().parse::<Id>()
                    && key_of(kind, &id).is_ok_and(|proper| proper == key)
                {
                    out.push((id, size));
                }
                ControlFlow::Continue(())
            })?;
            Ok(out)
        })
    }

    /// The error for a damaged object.
    pub(crate) fn damaged(&self, kind: ObjectKind, name: &Id, source: Damage) -> RepoError {
        RepoError::Damaged {
            object: show(kind, name),
            store: self.place(),
            source: Box::new(source),
        }
    }

    fn persistently<T>(
        &self,
        attempt: impl FnMut() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        attempts::persistently(&self.env, attempt)
    }

    fn pause(&self, whole: Duration) {
        attempts::pause(&self.env, whole);
    }
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Objects")
            .field("store", &self.place())
            .finish_non_exhaustive()
    }
}

/// An object as messages name it: its key.
pub(crate) fn show(kind: ObjectKind, name: &Id) -> String {
    key_text(kind, name)
}

/// Opens and decompresses the bytes of an index, a snapshot or a lock.
pub(crate) fn open_file(key: &MasterKey, bytes: &[u8]) -> Result<Vec<u8>, Damage> {
    let plaintext = key.open(bytes)?;
    Ok(decode_unpacked(&plaintext)?.into_owned())
}

/// The name and bytes of an index, a snapshot or a lock.
pub(crate) fn seal_file(
    key: &MasterKey,
    iv: [u8; 16],
    json: &[u8],
    level: i32,
) -> Result<(Id, Vec<u8>), Damage> {
    let bytes = key.seal(iv, &encode_unpacked(json, level)?);
    Ok((Id::of(&bytes), bytes))
}

/// The name and bytes of an index.
pub(crate) fn seal_index(
    key: &MasterKey,
    iv: [u8; 16],
    packs: &[IndexPack],
) -> Result<(Id, Vec<u8>), Damage> {
    let write = |out: &mut dyn Write| write_index(packs, out);
    let bytes = seal_unpacked(key, iv, compress::DEFAULT_LEVEL, write)?;
    Ok((Id::of(&bytes), bytes))
}

/// The key of `config`.
pub(crate) fn config_key() -> Result<Key, StoreError> {
    to_key("config".to_owned())
}

/// The key of a named object.
pub(crate) fn key_of(kind: ObjectKind, name: &Id) -> Result<Key, StoreError> {
    to_key(key_text(kind, name))
}

/// The most bytes that `config`, a key file or a lock may have; they have some hundred.
const LONGEST_SMALL: u64 = 1 << 20;
/// The most bytes that a sealed index or snapshot may have: somewhat more than what is decompressed of one.
const LONGEST_FILE: u64 = unpacked::LIMIT as u64 + (1 << 20);
/// The most bytes that a pack may have: offsets are numbers of 32 bits.
const LONGEST_PACK: u64 = 1 << 32;

/// Whoever can write to a store can put anything there, so nothing is read without a bound.
fn longest(kind: ObjectKind) -> u64 {
    match kind {
        ObjectKind::Pack => LONGEST_PACK,
        ObjectKind::Index | ObjectKind::Snapshot => LONGEST_FILE,
        ObjectKind::Lock | ObjectKind::Key => LONGEST_SMALL,
    }
}

fn folder(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::Pack => "data",
        ObjectKind::Index => "index",
        ObjectKind::Snapshot => "snapshots",
        ObjectKind::Lock => "locks",
        ObjectKind::Key => "keys",
    }
}

fn key_text(kind: ObjectKind, name: &Id) -> String {
    let (folder, name) = (folder(kind), name.to_hex());
    match kind {
        ObjectKind::Pack => format!("{folder}/{}/{name}", name.get(..2).unwrap_or_default()),
        _ => format!("{folder}/{name}"),
    }
}

fn to_key(text: String) -> Result<Key, StoreError> {
    Key::new(text).map_err(|error| StoreError::Corrupt {
        key: error.text,
        store: String::new(),
        reason: error.reason.to_owned(),
    })
}
