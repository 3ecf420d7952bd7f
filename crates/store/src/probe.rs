//! What a store can do is found out by trying, not believed.

use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::{Key, PutMode, Store, StoreError, list_all};

/// What was found out about a store.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Probed {
    /// Each thing that was tried.
    pub trials: Vec<Trial>,
}

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// What.
    pub what: &'static str,
    /// What came of it.
    pub found: Found,
}

/// What came of a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It holds.
    Holds,
    /// The store does not claim it; what is done instead.
    Absent(&'static str),
    /// The store claims it, and it does not hold: what was seen.
    Wrong(String),
}

impl Probed {
    /// Whether nothing was found that the store claims wrongly.
    pub fn is_sound(&self) -> bool {
        !self
            .trials
            .iter()
            .any(|t| matches!(t.found, Found::Wrong(_)))
    }

    /// Whether this was tried and holds.
    pub fn holds(&self, what: &str) -> bool {
        self.trials
            .iter()
            .any(|t| t.what == what && t.found == Found::Holds)
    }
}

/// The name of the trial of conditional puts.
pub const PUT_IF_ABSENT: &str = "a put that must not replace leaves a taken key alone";
/// The name of the trial of racing puts.
pub const ONE_WINNER: &str = "of several such puts at the same time one wins";
/// The name of the trial of listings.
pub const LISTED: &str = "what was put is listed at once, and what was deleted is not";
/// The name of the trial of ranges.
pub const RANGES: &str = "a range is exact, and one beyond the end is refused";

/// Where trials happen: outside of the repository, and left behind where nothing can be deleted.
pub const FOLDER: &str = "probe";

/// Tries a store. What is tried is written below [`FOLDER`] under names made of `token`, and deleted again where
/// that is possible; tokens must differ between probes.
///
/// # Errors
/// Only a store that cannot be tried at all is one.
pub fn probe(store: &dyn Store, token: &str) -> Result<Probed, StoreError> {
    let mut probed = Probed::default();
    if !store.capabilities().other_prefixes {
        return Ok(probed);
    }
    let mut note = |what, found| probed.trials.push(Trial { what, found });
    let key = |name: &str| key_of(store, &format!("{FOLDER}/{token}-{name}"));
    note(RANGES, ranges(store, &key("range")?)?);
    note(LISTED, listed(store, &key("listed")?)?);
    let conditional = left_alone(store, &key("absent")?)?;
    // Asked for only now: a store finds out at its first conditional put.
    let found = store.capabilities();
    if found.broken_conditions {
        let seen = "the server takes the condition and does not keep to it".to_owned();
        note(PUT_IF_ABSENT, Found::Wrong(seen));
    } else if found.put_if_absent {
        note(PUT_IF_ABSENT, conditional);
        note(ONE_WINNER, race(store, token)?);
    } else {
        note(
            PUT_IF_ABSENT,
            Found::Absent("it is looked before each put whether the key is taken"),
        );
    }
    Ok(probed)
}

/// What one store's answer to conditional puts was, once it was asked.
#[derive(Debug, Default)]
pub(crate) struct Conditions(Mutex<Option<bool>>);

impl Conditions {
    /// Asks on the first call, and remembers.
    pub(crate) fn ask(
        &self,
        ask: impl FnOnce() -> Result<bool, StoreError>,
    ) -> Result<bool, StoreError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = *known {
            return Ok(known);
        }
        let holds = ask()?;
        *known = Some(holds);
        Ok(holds)
    }

    pub(crate) fn known(&self) -> Option<bool> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type PutOnce<'a> = &'a dyn Fn(&str, &[u8]) -> Result<(), StoreError>;
type Get<'a> = &'a dyn Fn(&str) -> Result<Vec<u8>, StoreError>;
type Delete<'a> = &'a dyn Fn(&str) -> Result<(), StoreError>;

/// The object by which a store's condition is tried. Its name is no key, so that it is in nobody's way.
const TRIED: &str = ".if-absent";

/// Whether `put_once` leaves a taken name alone. The object stays for the next time, which then takes one call less.
pub(crate) fn condition_holds(
    put_once: PutOnce<'_>,
    get: Get<'_>,
    delete: Delete<'_>,
) -> Result<bool, StoreError> {
    const FIRST: &[u8] = b"The first who wrote here.\n";
    const SECOND: &[u8] = b"Somebody who came later.\n";
    match put_once(TRIED, FIRST) {
        Ok(()) | Err(StoreError::AlreadyExists { .. }) => {}
        Err(error @ StoreError::Denied { .. }) => return Err(error),
        Err(error) if error.is_transient() => return Err(error),
        // A server that knows no condition may refuse the request as a whole.
        Err(_) => return Ok(false),
    }
    let refused = match put_once(TRIED, SECOND) {
        Err(StoreError::AlreadyExists { .. }) => true,
        Err(error) if error.is_transient() => return Err(error),
        _ => false,
    };
    let kept = get(TRIED)? == FIRST;
    if !(refused && kept) {
        // It holds the wrong bytes, which would pass for the first ones' the next time.
        delete(TRIED)?;
    }
    Ok(refused && kept)
}

fn ranges(store: &dyn Store, key: &Key) -> Result<Found, StoreError> {
    store.put(key, b"0123456789", PutMode::Replace)?;
    let middle = store.get_range(key, 3, 4);
    let beyond = store.get_range(key, 8, 4);
    forget(store, key)?;
    Ok(match (middle, beyond) {
        (Ok(middle), Err(StoreError::ShortRead { .. })) if middle == b"3456" => Found::Holds,
        (Err(error), _) if error.is_transient() => return Err(error),
        (_, Err(error)) if error.is_transient() => return Err(error),
        (middle, beyond) => Found::Wrong(format!(
            "bytes 3 to 6 of ten gave {}, and 8 to 11 gave {}",
            told(&middle),
            told(&beyond)
        )),
    })
}

fn listed(store: &dyn Store, key: &Key) -> Result<Found, StoreError> {
    let there = || -> Result<bool, StoreError> {
        let all = list_all(store, &format!("{FOLDER}/"))?;
        Ok(all.iter().any(|(listed, _)| listed == key))
    };
    store.put(key, b"listed", PutMode::Replace)?;
    let (after_put, deleted) = (there()?, forget(store, key)?);
    let after_delete = deleted && there()?;
    Ok(match (after_put, after_delete) {
        (true, false) => Found::Holds,
        (false, _) => Found::Wrong("an object was not listed after its put".to_owned()),
        (_, true) => Found::Wrong("an object was listed after its deletion".to_owned()),
    })
}

fn left_alone(store: &dyn Store, key: &Key) -> Result<Found, StoreError> {
    store.put(key, b"first", PutMode::IfAbsent)?;
    let second = store.put(key, b"second", PutMode::IfAbsent);
    let kept = store.get(key)?;
    forget(store, key)?;
    Ok(match second {
        Err(StoreError::AlreadyExists { .. }) if kept == b"first" => Found::Holds,
        Err(error) if error.is_transient() => return Err(error),
        Ok(()) => Found::Wrong("the second of two such puts succeeded".to_owned()),
        Err(error) => Found::Wrong(format!("the second of two such puts: {error}")),
    })
}

fn race(store: &dyn Store, token: &str) -> Result<Found, StoreError> {
    const RUNNERS: u8 = 6;
    let key = key_of(store, &format!("{FOLDER}/{token}-race"))?;
    let wins: Vec<u8> = thread::scope(|scope| {
        let run = |runner: u8| {
            let key = &key;
            scope.spawn(move || {
                store
                    .put(key, &[runner], PutMode::IfAbsent)
                    .is_ok()
                    .then_some(runner)
            })
        };
        let running: Vec<_> = (0..RUNNERS).map(run).collect();
        running
            .into_iter()
            .filter_map(|r| r.join().ok().flatten())
            .collect()
    });
    let kept = store.get(&key)?;
    forget(store, &key)?;
    Ok(match wins.as_slice() {
        [winner] if kept == [*winner] => Found::Holds,
        wins => Found::Wrong(format!("of {RUNNERS} at the same time {} won", wins.len())),
    })
}

/// Deletes what was tried; says whether that was possible.
fn forget(store: &dyn Store, key: &Key) -> Result<bool, StoreError> {
    match store.delete(key) {
        Ok(()) => Ok(true),
        Err(StoreError::Denied { .. } | StoreError::ReadOnly { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn told(got: &Result<Vec<u8>, StoreError>) -> String {
    match got {
        Ok(bytes) => format!("{} bytes", bytes.len()),
        Err(error) => error.to_string(),
    }
}

fn key_of(store: &dyn Store, text: &str) -> Result<Key, StoreError> {
    Key::new(text).map_err(|e| StoreError::Unavailable {
        key: text.to_owned(),
        store: store.describe(),
        reason: e.reason.to_owned(),
        retryable: false,
    })
}
