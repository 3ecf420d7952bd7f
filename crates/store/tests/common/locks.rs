//! Retention locks, legal holds and older versions: what must hold in any bucket that has them.

use std::sync::Arc;

use vouchsafe_model::{Span, Time};
use vouchsafe_store::{Erased, Key, LockMode, PutMode, Retention, Store, StoreError, list_all};

fn key(text: &str) -> Key {
    Key::new(text).expect("a key")
}

/// In so many days, to the second, which is what locks can tell apart.
fn in_days(days: u64) -> Time {
    Time::from_secs(super::now().micros() / 1_000_000).plus(Span::from_days(days))
}

/// Compliance: locked with the put; not removed, not shortened, not weakened; made longer, and read back.
pub(crate) fn compliance(store: &Arc<dyn Store>) {
    assert!(store.capabilities().retention_lock && store.capabilities().versions);
    let until = in_days(30);
    let lock = Retention {
        until,
        mode: LockMode::Compliance,
    };
    let pack = key("repo/data/ab/abc=d");
    store
        .put_locked(&pack, b"locked bytes", PutMode::IfAbsent, lock)
        .expect("puts");
    assert_eq!(store.retention(&pack).expect("reads back"), Some(lock));
    assert_eq!(store.get(&pack).expect("gets"), b"locked bytes");
    let second = store.put_locked(&pack, b"others", PutMode::IfAbsent, lock);
    assert!(
        matches!(second, Err(StoreError::AlreadyExists { .. })),
        "{second:?}"
    );
    // A lock can be made longer, and is not made shorter or weaker by asking for less.
    let longer = in_days(60);
    store
        .lock_until(&pack, longer, LockMode::Compliance)
        .expect("extends");
    for mode in [LockMode::Compliance, LockMode::Governance] {
        store
            .lock_until(&pack, until, mode)
            .expect("is long enough");
        let held = store.retention(&pack).expect("reads back").expect("a lock");
        assert_eq!((held.until, held.mode), (longer, LockMode::Compliance));
    }
    // Its bytes cannot be removed, only hidden; when they can, is said.
    let kept = Erased {
        removed: 0,
        locked: 1,
        until: Some(longer),
    };
    for _ in 0..2 {
        assert_eq!(store.erase(&pack).expect("hides"), kept);
        assert!(store.get(&pack).is_err_and(|e| e.is_not_found()));
        assert_eq!(list_all(store.as_ref(), "").expect("lists"), []);
    }
}

/// Governance binds us as compliance does, since we never ask to be let past it.
pub(crate) fn governance(store: &Arc<dyn Store>) {
    let (object, until) = (key("repo/config"), in_days(3));
    let lock = Retention {
        until,
        mode: LockMode::Governance,
    };
    store
        .put_locked(&object, b"x", PutMode::Replace, lock)
        .expect("puts");
    assert_eq!(store.retention(&object).expect("reads back"), Some(lock));
    let erased = store.erase(&object).expect("hides");
    assert_eq!((erased.locked, erased.until), (1, Some(until)));
    // It can be made to bind more.
    store
        .put_locked(&object, b"y", PutMode::Replace, lock)
        .expect("puts");
    store
        .lock_until(&object, until, LockMode::Compliance)
        .expect("binds more");
    let held = store.retention(&object).expect("reads back");
    assert_eq!(held.map(|r| r.mode), Some(LockMode::Compliance));
}

/// A lock that has ended keeps nothing.
pub(crate) fn ended(store: &Arc<dyn Store>) {
    let object = key("repo/snapshots/ab");
    let lock = Retention {
        until: super::now().plus(Span::from_secs(3)),
        mode: LockMode::Compliance,
    };
    store
        .put_locked(&object, b"x", PutMode::IfAbsent, lock)
        .expect("puts");
    let hidden = store.erase(&object).expect("hides");
    assert_eq!(hidden.locked, 1);
    std::thread::sleep(std::time::Duration::from_millis(5500));
    let gone = store.erase(&object).expect("erases");
    // The version and the mark that has hidden it.
    assert_eq!((gone.locked, gone.removed), (0, 2));
}

/// Legal holds are put on and taken off.
pub(crate) fn holds(store: &Arc<dyn Store>) {
    let object = key("repo/config");
    store.put(&object, b"x", PutMode::IfAbsent).expect("puts");
    assert_eq!(store.retention(&object).expect("reads"), None);
    assert!(!store.legal_hold(&object).expect("reads"));
    store.set_legal_hold(&object, true).expect("holds");
    assert!(store.legal_hold(&object).expect("reads"));
    store.set_legal_hold(&object, false).expect("lets go");
    assert!(!store.legal_hold(&object).expect("reads"));
    store.set_legal_hold(&object, true).expect("holds");
    let held = store.erase(&object).expect("hides");
    assert_eq!((held.locked, held.until), (1, None));
}

/// Erasing removes every version and mark of one object, and nothing of its neighbours.
pub(crate) fn versions(store: &Arc<dyn Store>) {
    let (gone, stays) = (key("data/a"), key("data/ab"));
    for bytes in [&b"one"[..], b"two", b"three"] {
        store.put(&gone, bytes, PutMode::Replace).expect("puts");
        store.put(&stays, bytes, PutMode::Replace).expect("puts");
    }
    store.delete(&gone).expect("hides");
    assert_eq!(store.erase(&gone).expect("erases").removed, 4);
    assert_eq!(store.erase(&gone).expect("erases"), Erased::default());
    assert_eq!(store.get(&stays).expect("gets"), b"three");
    assert_eq!(store.erase(&stays).expect("erases").removed, 3);
}

/// A bucket without locks refuses to lock.
pub(crate) fn refused(store: &Arc<dyn Store>) {
    assert!(!store.capabilities().retention_lock);
    let lock = Retention {
        until: in_days(1),
        mode: LockMode::Governance,
    };
    let refused = store.put_locked(&key("repo/config"), b"x", PutMode::IfAbsent, lock);
    assert!(refused.is_err(), "{refused:?}");
}
