//! Locks by restic's protocol: write one, wait, look again; refresh it; remove it at the end.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use vouchsafe_format::{Id, LockFile, MasterKey, compress};
use vouchsafe_host::files;
use vouchsafe_model::{Span, Time};
use vouchsafe_store::StoreError;

use crate::env::{Env, from_timestamp};
use crate::error::{Damage, LockError, RepoError};
use crate::machine::ObjectKind;
use crate::objects::{Objects, seal_file};
use crate::prune::Dated;
use crate::repository::Repository;

/// Whom a lock keeps out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// Exclusive locks: for backing up, copying, reading.
    Shared,
    /// All other locks: for removing.
    Exclusive,
}

/// A lock that is held until it is dropped, and refreshed every 5 minutes meanwhile.
pub struct LockGuard {
    inner: Arc<Inner>,
    refresher: Option<JoinHandle<()>>,
    /// Until it was asked how it went.
    settling: Mutex<Option<JoinHandle<Result<(), LockError>>>>,
}

impl Repository {
    /// Takes a lock.
    ///
    /// Locks not refreshed for 30 minutes, and those of processes of this machine that are gone, are removed.
    /// A lock that cannot be read hinders an exclusive lock and no other, until the store says that it is that old,
    /// too; an empty one is left over from a crash.
    ///
    /// # Errors
    /// [`LockError::Held`] at once, without waiting for the holder; [`LockError::Store`].
    pub fn lock(&self, kind: LockKind) -> Result<LockGuard, LockError> {
        let inner = self.begin_lock(kind)?;
        inner.settle()?;
        Ok(inner.guard(None))
    }

    /// Takes a lock and does not wait until it has settled. Meanwhile this repository can be read, and what would be
    /// written to it waits; if the lock is then refused, writing fails. [`LockGuard::settled`] says why.
    ///
    /// What is read while the lock settles cannot be what somebody is removing: whoever removes held an exclusive lock
    /// before ours was written, and is seen by the first look; or looks later and sees ours.
    ///
    /// # Errors
    /// As [`lock`](Self::lock).
    pub fn lock_early(&self, kind: LockKind) -> Result<LockGuard, LockError> {
        let inner = self.begin_lock(kind)?;
        self.objects.gate().close();
        let settles = Arc::clone(&inner);
        match thread::Builder::new().spawn(move || settles.settle()) {
            Ok(settling) => Ok(inner.guard(Some(settling))),
            Err(_) => {
                inner.settle()?;
                Ok(inner.guard(None))
            }
        }
    }

    /// Looks for others, and writes the lock.
    fn begin_lock(&self, kind: LockKind) -> Result<Arc<Inner>, LockError> {
        let (objects, key) = (self.objects.clone(), self.key.clone());
        refuse_if_held(&objects, &key, kind, None)?;
        let inner = Inner {
            objects,
            key,
            kind,
            held: Mutex::new(Held::default()),
            stop: Condvar::new(),
        };
        inner.renew(&mut inner.held())?;
        Ok(Arc::new(inner))
    }
}

impl LockGuard {
    /// Waits until a lock that was taken [early](Repository::lock_early) has settled. What was refused is said once.
    ///
    /// # Errors
    /// As [`Repository::lock`].
    pub fn settled(&self) -> Result<(), LockError> {
        let settling = self.settling.lock();
        let settling = settling.unwrap_or_else(PoisonError::into_inner).take();
        // A thread that died has refused the lock by its end.
        settling.map_or(Ok(()), |thread| {
            thread.join().unwrap_or(Err(LockError::Interrupted))
        })
    }

    /// Whom it keeps out.
    pub fn kind(&self) -> LockKind {
        self.inner.kind
    }

    /// Whether it is still held, by asking the store whether it is there.
    ///
    /// # Errors
    /// The store's failure: then it is not known.
    pub fn confirm(&self) -> Result<bool, StoreError> {
        if !self.still_held() {
            return Ok(false);
        }
        let mut held = self.inner.held();
        let Some(id) = held.id else { return Ok(false) };
        let there = self.inner.objects.size(ObjectKind::Lock, &id)?.is_some();
        if !there {
            held.lost = true;
            held.id = None;
        }
        Ok(there)
    }

    /// When the lock was last written, by our clock and by the store's; nothing if it is gone.
    pub(crate) fn dated(&self) -> Result<Option<Dated>, StoreError> {
        let held = self.inner.held();
        let (Some(id), Some((before, after))) = (held.id, held.written) else {
            return Ok(None);
        };
        let meta = self.inner.objects.meta(ObjectKind::Lock, &id)?;
        Ok(meta.map(|meta| Dated {
            before,
            after,
            monotonic: held.refreshed,
            theirs: meta.modified,
        }))
    }

    /// Whether nobody can have taken the lock for stale: it was refreshed within the last 22 minutes and nobody
    /// removed it. Whoever holds a lock that is not held any more must stop writing.
    pub fn still_held(&self) -> bool {
        let held = self.inner.held();
        let now = self.inner.env().clock.monotonic();
        held.id.is_some() && !held.lost && now.saturating_sub(held.refreshed) < GIVE_UP
    }
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        // Whoever is interested has asked.
        let _ = self.settled();
        self.inner.held().stopped = true;
        self.inner.stop.notify_all();
        if let Some(refresher) = self.refresher.take() {
            // A refresher that died has left the lock as it was; it is removed below.
            let _ = refresher.join();
        }
        self.inner.remove();
    }
}

impl fmt::Debug for LockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockGuard")
            .field("kind", &self.inner.kind)
            .finish_non_exhaustive()
    }
}

struct Inner {
    objects: Objects,
    key: MasterKey,
    kind: LockKind,
    held: Mutex<Held>,
    stop: Condvar,
}

#[derive(Default)]
struct Held {
    id: Option<Id>,
    refreshed: Duration,
    /// The wall clock before and after the lock was written.
    written: Option<(Time, Time)>,
    lost: bool,
    stopped: bool,
}

impl Inner {
    fn env(&self) -> &Env {
        self.objects.env()
    }

    /// Waits and looks again.
    fn settle(&self) -> Result<(), LockError> {
        let gate = self.objects.gate();
        let _refused = gate.refused_unless_opened();
        self.env().clock.sleep(SETTLE);
        let own = self.held().id;
        let others = refuse_if_held(&self.objects, &self.key, self.kind, own);
        match others {
            Ok(()) => gate.open(),
            Err(_) => self.remove(),
        }
        others
    }

    fn guard(self: Arc<Inner>, settling: Option<JoinHandle<Result<(), LockError>>>) -> LockGuard {
        let refreshed = Arc::clone(&self);
        let refresher = thread::Builder::new()
            .spawn(move || refreshed.refresh_until_stopped())
            .ok();
        LockGuard {
            inner: self,
            refresher,
            settling: Mutex::new(settling),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a new lock file and removes the one before.
    fn renew(&self, held: &mut Held) -> Result<(), LockError> {
        let env = self.env();
        let lock = LockFile {
            time: env.timestamp(),
            exclusive: self.kind == LockKind::Exclusive,
            hostname: env.hostname.clone(),
            username: env.username.clone(),
            pid: env.pid,
            uid: env.uid,
            gid: env.gid,
        };
        let before = env.clock.monotonic();
        let wall = env.clock.now();
        let json = lock
            .encode()
            .map_err(|error| LockError::Seal(error.into()))?;
        let (id, bytes) = seal_file(&self.key, env.iv(), &json, compress::DEFAULT_LEVEL)
            .map_err(LockError::Seal)?;
        self.objects.put(ObjectKind::Lock, &id, &bytes)?;
        let old = held.id.replace(id);
        held.refreshed = before;
        held.written = Some((wall, env.clock.now()));
        if let Some(old) = old {
            self.objects.delete(ObjectKind::Lock, &old)?;
        }
        Ok(())
    }

    fn remove(&self) {
        if let Some(id) = self.held().id.take() {
            // Where nothing can be deleted the lock goes stale by itself.
            let _ = self.objects.delete(ObjectKind::Lock, &id);
        }
    }

    fn refresh_until_stopped(&self) {
        let mut held = self.held();
        loop {
            let waited = self
                .stop
                .wait_timeout_while(held, REFRESH, |held| !held.stopped);
            held = waited.unwrap_or_else(PoisonError::into_inner).0;
            if held.stopped {
                return;
            }
            self.refresh(&mut held);
        }
    }

    /// What fails is tried again at the next turn; `still_held` knows when that is too late.
    fn refresh(&self, held: &mut Held) {
        let removed = held
            .id
            .is_some_and(|id| matches!(self.objects.size(ObjectKind::Lock, &id), Ok(None)));
        if removed {
            held.lost = true;
            held.id = None;
        } else if !held.lost {
            let _ = self.renew(held);
        }
    }
}

/// How long restic waits before it looks whether somebody else has locked at the same time.
const SETTLE: Duration = Duration::from_millis(200);
const REFRESH: Duration = Duration::from_secs(5 * 60);
const GIVE_UP: Duration = Duration::from_secs(22 * 60 + 30);
const STALE: Span = Span::from_mins(30);

/// Looks at all locks but our own; removes stale ones.
fn refuse_if_held(
    objects: &Objects,
    key: &MasterKey,
    kind: LockKind,
    own: Option<Id>,
) -> Result<(), LockError> {
    let env = objects.env();
    for (id, size) in objects.list(ObjectKind::Lock)? {
        if Some(id) == own || size == 0 {
            continue;
        }
        let lock = match read_lock(objects, key, &id) {
            Ok(lock) => lock,
            Err(RepoError::Store(error)) if error.is_not_found() => continue,
            Err(RepoError::Store(error)) => return Err(error.into()),
            Err(_) if kind == LockKind::Shared => continue,
            // Torn by a crash: whoever works on has written another one since.
            Err(_) if is_old(objects, &id)? => {
                let _ = objects.delete(ObjectKind::Lock, &id);
                continue;
            }
            Err(_) => LockFile {
                time: env.timestamp(),
                exclusive: true,
                hostname: "unknown".to_owned(),
                username: String::new(),
                pid: 0,
                uid: 0,
                gid: 0,
            },
        };
        if is_stale(env, &lock) {
            // Whoever may not delete leaves it to others.
            let _ = objects.delete(ObjectKind::Lock, &id);
        } else if lock.exclusive || kind == LockKind::Exclusive {
            return Err(LockError::Held {
                store: objects.place(),
                host: lock.hostname,
                pid: lock.pid,
                since: from_timestamp(&lock.time),
            });
        }
    }
    Ok(())
}

fn read_lock(objects: &Objects, key: &MasterKey, id: &Id) -> Result<LockFile, RepoError> {
    let json = objects.get_file(key, ObjectKind::Lock, id)?;
    LockFile::decode(&json)
        .map_err(|error| objects.damaged(ObjectKind::Lock, id, Damage::Lock(error)))
}

fn is_old(objects: &Objects, id: &Id) -> Result<bool, StoreError> {
    let stored = objects
        .meta(ObjectKind::Lock, id)?
        .and_then(|meta| meta.modified);
    Ok(stored.is_some_and(|at| objects.env().clock.now().since(at) > STALE))
}

fn is_stale(env: &Env, lock: &LockFile) -> bool {
    let age = env.clock.now().since(from_timestamp(&lock.time));
    age > STALE || lock.hostname == env.hostname && lock.pid != env.pid && is_gone(lock.pid)
}

/// Whether this machine has no such process. Without a process table nothing is known to be gone.
fn is_gone(pid: u32) -> bool {
    let known = |name: &str| files::exists(format!("/proc/{name}"));
    matches!(
        (known("self"), known(&pid.to_string())),
        (Ok(true), Ok(false))
    )
}
