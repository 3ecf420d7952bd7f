//! A store whose failures are planned, and which tells whether each plan came true.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{Capabilities, Growing, Key, ObjectMeta, PutMode, Store, StoreError};

/// A kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// `get`.
    Get,
    /// `get_range`.
    GetRange,
    /// `head`.
    Head,
    /// `put`, also of an object that was written piece by piece.
    Put,
    /// A piece of an object that is written piece by piece.
    Write,
    /// `delete`.
    Delete,
    /// `list`.
    List,
}

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// Nothing happens but an error that may pass by itself.
    Transient,
    /// Nothing happens but an error that stays.
    Permanent,
    /// The call does its work, but the answer is an error that may pass by itself.
    Ambiguous,
    /// There is no space; only for [`Operation::Put`] and [`Operation::Write`].
    Full,
    /// Only the first bytes are stored and the answer is an error; only for [`Operation::Put`] of an object that is
    /// put whole. One that was written piece by piece is not there at all.
    TornPut {
        /// How many bytes are stored.
        keep: usize,
    },
    /// The bytes end early: `get` gives fewer, `get_range` says so; only for these two.
    ShortRead {
        /// How many bytes are missing.
        missing: usize,
    },
    /// The put succeeds, but the following reads and listings do not see it; only for
    /// [`Operation::Put`].
    Delayed {
        /// How many calls of `get`, `get_range`, `head` and `list` do not see it.
        calls: u64,
    },
}

/// One planned failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// Which kind of call fails.
    pub on: Operation,
    /// Which of these calls fails; the first is 1.
    pub nth: u64,
    /// How.
    pub kind: FaultKind,
}

/// A store that fails where it is told to and works otherwise.
pub struct FaultStore {
    inner: Arc<dyn Store>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    planned: Vec<Fault>,
    calls: BTreeMap<Operation, u64>,
    hidden: BTreeMap<Key, u64>,
}

impl FaultStore {
    /// A store with these failures planned.
    pub fn new(inner: Arc<dyn Store>, planned: impl IntoIterator<Item = Fault>) -> Self {
        let planned = planned.into_iter().collect();
        Self {
            inner,
            state: Mutex::new(State {
                planned,
                ..State::default()
            }),
        }
    }

    /// Plans one more failure. Calls are counted from the store's beginning.
    pub fn plan(&self, fault: Fault) {
        self.state().planned.push(fault);
    }

    /// The planned failures that have not happened. A test that ends with any has tested nothing.
    pub fn unhit(&self) -> Vec<Fault> {
        self.state().planned.clone()
    }

    /// How many calls of this kind were made.
    pub fn calls(&self, operation: Operation) -> u64 {
        self.state().calls.get(&operation).copied().unwrap_or(0)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call and takes the failure planned for it out of the plan, if the failure can
    /// happen to this kind of call.
    fn next_fault(&self, operation: Operation) -> Option<FaultKind> {
        let mut state = self.state();
        let count = state.calls.entry(operation).or_insert(0);
        *count += 1;
        let nth = *count;
        let due = |fault: &Fault| {
            fault.on == operation && fault.nth == nth && applies(operation, fault.kind)
        };
        let position = state.planned.iter().position(due)?;
        Some(state.planned.remove(position).kind)
    }

    /// Whether a delayed object is still out of sight, which this call shortens.
    fn is_hidden(&self, key: &Key) -> bool {
        let mut state = self.state();
        match state.hidden.get_mut(key) {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        }
    }

    fn error(&self, kind: FaultKind, key: &str) -> StoreError {
        let (key, store) = (key.to_owned(), self.describe());
        match kind {
            FaultKind::Full => StoreError::Full { key, store },
            _ => StoreError::Unavailable {
                key,
                store,
                reason: "a planned failure".to_owned(),
                retryable: kind != FaultKind::Permanent,
            },
        }
    }

    fn not_found(&self, key: &Key) -> StoreError {
        StoreError::NotFound {
            key: key.to_string(),
            store: self.describe(),
        }
    }

    /// Runs a call that has no failures of its own kind.
    fn run<T>(
        &self,
        operation: Operation,
        key: &Key,
        call: impl FnOnce() -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self.next_fault(operation) {
            None => call(),
            Some(kind) => {
                if kind == FaultKind::Ambiguous {
                    call()?;
                }
                Err(self.error(kind, key.as_str()))
            }
        }
    }

    /// Runs a call that gives bytes; with them, how many of them are planned to be missing.
    fn run_read(
        &self,
        operation: Operation,
        key: &Key,
        call: impl FnOnce() -> Result<Vec<u8>, StoreError>,
    ) -> Result<(Vec<u8>, Option<usize>), StoreError> {
        let fault = self.next_fault(operation);
        if self.is_hidden(key) {
            return Err(self.not_found(key));
        }
        match fault {
            None => Ok((call()?, None)),
            Some(FaultKind::ShortRead { missing }) => Ok((call()?, Some(missing))),
            Some(kind) => Err(self.error(kind, key.as_str())),
        }
    }
}

impl Store for FaultStore {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn get(&self, key: &Key) -> Result<Vec<u8>, StoreError> {
        let (mut bytes, short) = self.run_read(Operation::Get, key, || self.inner.get(key))?;
        bytes.truncate(bytes.len().saturating_sub(short.unwrap_or(0)));
        Ok(bytes)
    }

    fn get_range(&self, key: &Key, offset: u64, len: u64) -> Result<Vec<u8>, StoreError> {
        let call = || self.inner.get_range(key, offset, len);
        match self.run_read(Operation::GetRange, key, call)? {
            (bytes, None) => Ok(bytes),
            (_, Some(missing)) => Err(StoreError::ShortRead {
                key: key.to_string(),
                store: self.describe(),
                offset,
                wanted: len,
                got: len.saturating_sub(missing as u64),
            }),
        }
    }

    fn head(&self, key: &Key) -> Result<ObjectMeta, StoreError> {
        let hidden = self.is_hidden(key);
        self.run(Operation::Head, key, || {
            if hidden {
                Err(self.not_found(key))
            } else {
                self.inner.head(key)
            }
        })
    }

    fn put(&self, key: &Key, bytes: &[u8], mode: PutMode) -> Result<(), StoreError> {
        match self.next_fault(Operation::Put) {
            None => self.inner.put(key, bytes, mode),
            Some(FaultKind::Delayed { calls }) => {
                self.inner.put(key, bytes, mode)?;
                self.state().hidden.insert(key.clone(), calls);
                Ok(())
            }
            Some(kind) => {
                match kind {
                    FaultKind::Ambiguous => self.inner.put(key, bytes, mode)?,
                    FaultKind::TornPut { keep } => {
                        let part = bytes.get(..keep).unwrap_or(bytes);
                        self.inner.put(key, part, mode)?;
                    }
                    _ => {}
                }
                Err(self.error(kind, key.as_str()))
            }
        }
    }

    fn grows(&self) -> bool {
        self.inner.grows()
    }

    fn begin(self: Arc<Self>, beside: &Key) -> Result<Box<dyn Growing>, StoreError> {
        let object = Arc::clone(&self.inner).begin(beside)?;
        Ok(Box::new(Faulty {
            object,
            store: self,
        }))
    }

    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.run(Operation::Delete, key, || self.inner.delete(key))
    }

    fn list(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(Key, u64) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let fault = self.next_fault(Operation::List);
        if let Some(kind) = fault.filter(|kind| *kind != FaultKind::Ambiguous) {
            return Err(self.error(kind, prefix));
        }
        let mut found = Vec::new();
        self.inner.list(prefix, &mut |key, size| {
            found.push((key, size));
            ControlFlow::Continue(())
        })?;
        found.retain(|(key, _)| !self.is_hidden(key));
        let _ = found
            .into_iter()
            .try_for_each(|(key, size)| visit(key, size));
        // A listing that broke off after everything was seen is still an error.
        fault.map_or(Ok(()), |kind| Err(self.error(kind, prefix)))
    }
}

/// An object that grows until something goes wrong.
struct Faulty {
    object: Box<dyn Growing>,
    store: Arc<FaultStore>,
}

impl Growing for Faulty {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        match self.store.next_fault(Operation::Write) {
            None => self.object.write(bytes),
            Some(kind) => Err(self.store.error(kind, "")),
        }
    }

    fn put(&mut self, key: &Key, mode: PutMode) -> Result<(), StoreError> {
        let Some(kind) = self.store.next_fault(Operation::Put) else {
            return self.object.put(key, mode);
        };
        match kind {
            FaultKind::Delayed { calls } => {
                self.object.put(key, mode)?;
                self.store.state().hidden.insert(key.clone(), calls);
                return Ok(());
            }
            FaultKind::Ambiguous => self.object.put(key, mode)?,
            _ => {}
        }
        Err(self.store.error(kind, key.as_str()))
    }
}

/// A failure planned for a call to which it cannot happen is never hit, and shows as such.
fn applies(operation: Operation, kind: FaultKind) -> bool {
    match kind {
        FaultKind::Transient | FaultKind::Permanent | FaultKind::Ambiguous => true,
        FaultKind::Full => matches!(operation, Operation::Put | Operation::Write),
        FaultKind::TornPut { .. } | FaultKind::Delayed { .. } => operation == Operation::Put,
        FaultKind::ShortRead { .. } => {
            matches!(operation, Operation::Get | Operation::GetRange)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MemoryStore, list_all};

    fn fault(on: Operation, nth: u64, kind: FaultKind) -> Fault {
        Fault { on, nth, kind }
    }

    fn store(planned: impl IntoIterator<Item = Fault>) -> (Arc<MemoryStore>, FaultStore, Key) {
        let base = Arc::new(MemoryStore::new());
        let faulty = FaultStore::new(Arc::clone(&base) as Arc<dyn Store>, planned);
        (base, faulty, Key::new("data/ab").expect("a key"))
    }

    #[test]
    fn the_planned_call_fails_and_no_other() {
        let (base, faulty, key) = store([fault(Operation::Put, 2, FaultKind::Transient)]);
        faulty
            .put(&key, b"1", PutMode::Replace)
            .expect("the first works");
        assert_eq!(faulty.unhit().len(), 1);
        let error = faulty
            .put(&key, b"2", PutMode::Replace)
            .expect_err("the second fails");
        assert!(error.is_transient());
        assert_eq!(base.get(&key).expect("gets"), b"1");
        faulty
            .put(&key, b"3", PutMode::Replace)
            .expect("the third works");
        assert!(faulty.unhit().is_empty());
        assert_eq!(faulty.calls(Operation::Put), 3);
    }

    #[test]
    fn puts_tear_take_effect_unseen_or_find_no_space() {
        let cases: [(FaultKind, Option<&[u8]>); 4] = [
            (FaultKind::TornPut { keep: 2 }, Some(b"01")),
            (FaultKind::Ambiguous, Some(b"0123")),
            (FaultKind::Full, None),
            (FaultKind::Permanent, None),
        ];
        for (kind, left) in cases {
            let (base, faulty, key) = store([fault(Operation::Put, 1, kind)]);
            let error = faulty
                .put(&key, b"0123", PutMode::IfAbsent)
                .expect_err("fails");
            assert_eq!(
                matches!(error, StoreError::Full { .. }),
                kind == FaultKind::Full
            );
            assert_eq!(base.get(&key).ok().as_deref(), left, "{kind:?}");
            assert!(faulty.unhit().is_empty());
        }
    }

    #[test]
    fn reads_end_early_as_planned() {
        let short = FaultKind::ShortRead { missing: 1 };
        let plan = [
            fault(Operation::Get, 1, short),
            fault(Operation::GetRange, 1, short),
        ];
        let (_base, faulty, key) = store(plan);
        faulty.put(&key, b"0123", PutMode::IfAbsent).expect("puts");
        assert_eq!(faulty.get(&key).expect("gets"), b"012");
        let ranged = faulty.get_range(&key, 0, 4);
        assert!(matches!(
            ranged,
            Err(StoreError::ShortRead {
                got: 3,
                wanted: 4,
                ..
            })
        ));
        assert_eq!(faulty.get_range(&key, 0, 4).expect("gets"), b"0123");
        assert!(faulty.unhit().is_empty());
    }

    #[test]
    fn a_delayed_object_appears_after_as_many_calls() {
        let delayed = FaultKind::Delayed { calls: 4 };
        let (_base, faulty, key) = store([fault(Operation::Put, 1, delayed)]);
        faulty.put(&key, b"0123", PutMode::IfAbsent).expect("puts");
        assert!(faulty.get(&key).is_err_and(|e| e.is_not_found()));
        assert!(
            faulty
                .get_range(&key, 0, 1)
                .is_err_and(|e| e.is_not_found())
        );
        assert!(faulty.head(&key).is_err_and(|e| e.is_not_found()));
        assert_eq!(list_all(&faulty, "").expect("lists"), []);
        assert_eq!(list_all(&faulty, "").expect("lists").len(), 1);
        assert_eq!(faulty.get(&key).expect("gets"), b"0123");
    }

    #[test]
    fn a_plan_that_cannot_happen_stays_unhit() {
        let impossible = fault(Operation::Delete, 1, FaultKind::Full);
        let (_base, faulty, key) = store([impossible]);
        faulty.delete(&key).expect("deletes");
        assert_eq!(faulty.unhit(), [impossible]);
    }
}
