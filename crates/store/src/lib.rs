//! Object stores: local directory, memory, simulated, overlay; REST, S3, SFTP, WebDAV, Azure, Google.

pub mod conformance;
mod counting;
mod error;
mod fault;
mod growing;
mod key;
pub mod kms;
mod local;
mod memory;
mod open;
mod overlay;
mod paced;
pub mod post;
mod prefixed;
pub mod probe;
pub mod remote;
mod retained;
mod retry;
pub mod sim;

use std::ops::ControlFlow;
use std::sync::Arc;

use vouchsafe_model::Time;

pub use vouchsafe_model::LockMode;

pub use counting::{CountingStore, Counts};
pub use error::StoreError;
pub use fault::{Fault, FaultKind, FaultStore, Operation};
pub use key::{Key, KeyError};
pub use local::LocalStore;
pub use memory::MemoryStore;
pub use open::{OpenError, create_url, open_url};
pub use overlay::{Damage, Overlay};
pub use paced::Paced;
pub use prefixed::Prefixed;
pub use remote::{Means, RemoteAccess, open_remote};
pub use retained::Retained;
pub use retry::Retrying;
pub use sim::{SimConfig, SimStore, SimWorld};

/// A place that holds objects: whole byte strings under a [`Key`].
///
/// All calls may be made from many threads at once. Calls that only read, and `delete`, may be
/// repeated freely. A `put` that failed may or may not have taken effect unless the error says
/// otherwise ([`StoreError::AlreadyExists`], [`StoreError::ReadOnly`], [`StoreError::Denied`]):
/// look before repeating it.
pub trait Store: Send + Sync {
    /// Where the store is, without secrets.
    fn describe(&self) -> String;

    /// What the store promises beyond this contract's minimum.
    fn capabilities(&self) -> Capabilities;

    /// The whole object, or [`StoreError::NotFound`].
    fn get(&self, key: &Key) -> Result<Vec<u8>, StoreError>;

    /// The whole object, in place of what `into` held, if it has at most `most` bytes; a longer one is
    /// [`StoreError::TooLong`]. For those who read many objects with the same memory, and for those who know how much
    /// an object may have: what a server sends beyond it is not kept. What `into` holds after an error says nothing.
    fn get_into(&self, key: &Key, most: u64, into: &mut Vec<u8>) -> Result<(), StoreError> {
        *into = self.get(key)?;
        within(into, most, key, || self.describe())
    }

    /// Exactly `len` bytes from `offset` on. An object that ends before them is
    /// [`StoreError::ShortRead`]; fewer bytes are never returned as a success.
    fn get_range(&self, key: &Key, offset: u64, len: u64) -> Result<Vec<u8>, StoreError>;

    /// The object's length and age, or [`StoreError::NotFound`].
    fn head(&self, key: &Key) -> Result<ObjectMeta, StoreError>;

    /// Stores an object. `Ok` means that it is durable and that `get` gives these bytes.
    ///
    /// With [`PutMode::IfAbsent`] an existing object is left as it is and the answer is
    /// [`StoreError::AlreadyExists`], also when the bytes are equal. Of several callers racing for
    /// one key exactly one wins, if the store has [`Capabilities::put_if_absent`].
    fn put(&self, key: &Key, bytes: &[u8], mode: PutMode) -> Result<(), StoreError>;

    /// Removes an object; one that is not there is fine.
    fn delete(&self, key: &Key) -> Result<(), StoreError>;

    /// Visits the key and length of every object whose key begins with the text `prefix` (all of
    /// them for an empty one), until the visitor breaks. No order is promised, and a key may come twice.
    fn list(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(Key, u64) -> ControlFlow<()>,
    ) -> Result<(), StoreError>;

    /// Like [`Store::put`], and the object is locked from its first moment on.
    fn put_locked(
        &self,
        key: &Key,
        bytes: &[u8],
        mode: PutMode,
        retention: Retention,
    ) -> Result<(), StoreError> {
        let _ = (bytes, mode, retention);
        Err(self.unsupported(key, "retention locks"))
    }

    /// Locks an object's newest version until a time; a lock that reaches further stays as it is.
    fn lock_until(&self, key: &Key, until: Time, mode: LockMode) -> Result<(), StoreError> {
        let _ = (until, mode);
        Err(self.unsupported(key, "retention locks"))
    }

    /// The lock of an object's newest version as the store states it; nothing if it has none.
    fn retention(&self, key: &Key) -> Result<Option<Retention>, StoreError> {
        Err(self.unsupported(key, "retention locks"))
    }

    /// Puts an object's newest version under legal hold, or takes it off.
    fn set_legal_hold(&self, key: &Key, held: bool) -> Result<(), StoreError> {
        let _ = held;
        Err(self.unsupported(key, "legal holds"))
    }

    /// Whether an object's newest version is under legal hold.
    fn legal_hold(&self, key: &Key) -> Result<bool, StoreError> {
        Err(self.unsupported(key, "legal holds"))
    }

    /// Whether objects can be written piece by piece: see [`Store::begin`].
    fn grows(&self) -> bool {
        false
    }

    /// Begins an object that is written piece by piece and gets its key at its end, so that nobody has to hold all of
    /// it. `beside` is a key of the same kind; nothing is written there.
    fn begin(self: Arc<Self>, beside: &Key) -> Result<Box<dyn Growing>, StoreError> {
        Err(self.unsupported(beside, "objects that are written piece by piece"))
    }

    /// Removes what interrupted puts and [`Growing`] objects have left behind, if it was last written before `before`
    /// by the clock of the store, and says how many that were. Where nothing is ever left, or nobody can tell, that is
    /// none.
    fn remove_leftovers(&self, before: Time) -> Result<u64, StoreError> {
        let _ = before;
        Ok(0)
    }

    /// Removes an object with all that the store keeps of it: older versions, marks of deletion. One that is not
    /// there is fine. What is locked stays, hidden, and the answer says until when.
    ///
    /// A store that keeps no versions deletes the object.
    fn erase(&self, key: &Key) -> Result<Erased, StoreError> {
        self.delete(key)?;
        Ok(Erased {
            removed: 1,
            ..Erased::default()
        })
    }

    /// The error for what this store cannot do.
    #[doc(hidden)]
    fn unsupported(&self, key: &Key, what: &'static str) -> StoreError {
        StoreError::Unsupported {
            key: key.to_string(),
            store: self.describe(),
            what,
        }
    }
}

/// An object that is being written and has no key yet. Dropped before it was put, it leaves nothing behind.
pub trait Growing: Send {
    /// Adds bytes at the end. After an error they may be there in part, so that all that is left is to drop the object.
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError>;

    /// As [`Store::put`] of all bytes that were written. May be called again after an error; once it has succeeded,
    /// there is nothing left to be put.
    fn put(&mut self, key: &Key, mode: PutMode) -> Result<(), StoreError>;
}

/// What a store promises beyond the minimum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// [`PutMode::IfAbsent`] has exactly one winner, whoever else writes.
    pub put_if_absent: bool,
    /// An interrupted put leaves the object as it was before, never a part of it.
    pub atomic_put: bool,
    /// A listing shows every object whose put was acknowledged before it, and none whose delete was.
    pub list_consistent: bool,
    /// An acknowledged put survives the loss of power and of this process.
    pub durable: bool,
    /// Objects can be locked against deletion until a date.
    pub retention_lock: bool,
    /// Replaced and deleted objects are kept as older versions.
    pub versions: bool,
    /// Keys of any form can be stored, not only those of a restic repository.
    pub other_prefixes: bool,
    /// The service offers [`PutMode::IfAbsent`] and was seen not to keep to it; it is looked before each put instead.
    pub broken_conditions: bool,
}

/// Until when a store refuses to delete an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Not before this time.
    pub until: Time,
    /// How binding it is.
    pub mode: LockMode,
}

/// What came of erasing an object. Whatever it says, the object is not seen any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Erased {
    /// Versions and marks of deletion that are gone; where the store keeps none, 1.
    pub removed: u64,
    /// Versions that a lock or a legal hold keeps.
    pub locked: u64,
    /// When the last of these locks ends; nothing if the store does not say for each.
    pub until: Option<Time>,
}

/// What `head` knows of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Bytes.
    pub size: u64,
    /// When it was stored, by the store's clock, where the store keeps that.
    pub modified: Option<Time>,
}

/// What a put does when the key is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutMode {
    /// Leave the object as it is and say [`StoreError::AlreadyExists`].
    IfAbsent,
    /// Replace it; readers see the old or the new object, never a mixture.
    Replace,
}

impl<S: Store + ?Sized> Store for Arc<S> {
    fn describe(&self) -> String {
        (**self).describe()
    }
    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }
    fn get(&self, key: &Key) -> Result<Vec<u8>, StoreError> {
        (**self).get(key)
    }
    fn get_into(&self, key: &Key, most: u64, into: &mut Vec<u8>) -> Result<(), StoreError> {
        (**self).get_into(key, most, into)
    }
    fn get_range(&self, key: &Key, offset: u64, len: u64) -> Result<Vec<u8>, StoreError> {
        (**self).get_range(key, offset, len)
    }
    fn head(&self, key: &Key) -> Result<ObjectMeta, StoreError> {
        (**self).head(key)
    }
    fn put(&self, key: &Key, bytes: &[u8], mode: PutMode) -> Result<(), StoreError> {
        (**self).put(key, bytes, mode)
    }
    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        (**self).delete(key)
    }
    fn list(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(Key, u64) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        (**self).list(prefix, visit)
    }
    fn put_locked(
        &self,
        key: &Key,
        bytes: &[u8],
        mode: PutMode,
        retention: Retention,
    ) -> Result<(), StoreError> {
        (**self).put_locked(key, bytes, mode, retention)
    }
    fn lock_until(&self, key: &Key, until: Time, mode: LockMode) -> Result<(), StoreError> {
        (**self).lock_until(key, until, mode)
    }
    fn retention(&self, key: &Key) -> Result<Option<Retention>, StoreError> {
        (**self).retention(key)
    }
    fn set_legal_hold(&self, key: &Key, held: bool) -> Result<(), StoreError> {
        (**self).set_legal_hold(key, held)
    }
    fn legal_hold(&self, key: &Key) -> Result<bool, StoreError> {
        (**self).legal_hold(key)
    }
    fn grows(&self) -> bool {
        (**self).grows()
    }
    fn begin(self: Arc<Self>, beside: &Key) -> Result<Box<dyn Growing>, StoreError> {
        Arc::clone(&*self).begin(beside)
    }
    fn remove_leftovers(&self, before: Time) -> Result<u64, StoreError> {
        (**self).remove_leftovers(before)
    }
    fn erase(&self, key: &Key) -> Result<Erased, StoreError> {
        (**self).erase(key)
    }
}

/// All keys and lengths under a prefix, sorted by key: for places where they surely fit in memory.
///
/// A key that an eventually consistent store shows twice is given once.
pub fn list_all(store: &dyn Store, prefix: &str) -> Result<Vec<(Key, u64)>, StoreError> {
    let mut out = Vec::new();
    store.list(prefix, &mut |key, size| {
        out.push((key, size));
        ControlFlow::Continue(())
    })?;
    out.sort();
    out.dedup_by(|a, b| a.0 == b.0);
    Ok(out)
}

/// Whether an object is there.
pub fn exists(store: &dyn Store, key: &Key) -> Result<bool, StoreError> {
    match store.head(key) {
        Ok(_) => Ok(true),
        Err(StoreError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The most bytes that an object may have: what a pack's header can tell, and some more.
pub(crate) const LARGEST: u64 = 1 << 32;

/// Refuses an object that is longer than it may be.
pub(crate) fn within(
    object: &[u8],
    most: u64,
    key: &Key,
    store: impl FnOnce() -> String,
) -> Result<(), StoreError> {
    if object.len() as u64 <= most {
        return Ok(());
    }
    Err(StoreError::TooLong {
        key: key.to_string(),
        store: store(),
        most,
    })
}

/// The part of an object that `get_range` asks for, or the error that says how much is missing.
pub(crate) fn exact_range(
    object: &[u8],
    offset: u64,
    len: u64,
    short: impl FnOnce(u64) -> StoreError,
) -> Result<Vec<u8>, StoreError> {
    let start = usize::try_from(offset).unwrap_or(usize::MAX);
    let rest = object.get(start..).unwrap_or_default();
    match usize::try_from(len).ok().and_then(|len| rest.get(..len)) {
        Some(range) => Ok(range.to_vec()),
        None => Err(short(rest.len() as u64)),
    }
}
