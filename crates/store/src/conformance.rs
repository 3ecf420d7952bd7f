//! What every store must do, as checks that any store can be put through.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::{Key, PutMode, Store, StoreError, list_all};

/// A rule that a store broke.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{rule}: {detail}")]
pub struct Violation {
    /// The rule's name.
    pub rule: &'static str,
    /// What was seen.
    pub detail: String,
}

type Rule = fn(&Arc<dyn Store>) -> Result<(), String>;

const RULES: [(&str, Rule); 16] = [
    ("what was put is got", put_then_get),
    ("an absent object is not found", absent_is_not_found),
    ("an object of no bytes is an object", empty_object),
    ("a taken key is left alone", if_absent_leaves_alone),
    ("a put in replace mode replaces", replace_replaces),
    ("a range is exact", range_is_exact),
    (
        "a range beyond the end is a short read",
        range_beyond_the_end,
    ),
    ("head tells the length", head_tells_length),
    ("a deleted object is gone", delete_removes),
    ("deleting an absent object is fine", delete_is_repeatable),
    (
        "a listing shows each object under the prefix",
        list_is_complete,
    ),
    ("a listing stops when told to", list_stops),
    ("errors name key and store", errors_name_things),
    ("one of many racing puts wins", one_winner),
    ("what grows is one object at its end", grows_into_one_object),
    ("what is given up leaves nothing", given_up_leaves_nothing),
];

/// Puts a store through all rules and gives those that it broke.
///
/// `fresh` gives a new empty store each time, without planned failures. Rules about a capability
/// that the store does not claim are left out.
pub fn check(fresh: &mut dyn FnMut() -> Arc<dyn Store>) -> Vec<Violation> {
    let mut broken = Vec::new();
    for (rule, run) in RULES {
        if let Err(detail) = run(&fresh()) {
            broken.push(Violation { rule, detail });
        }
    }
    broken
}

fn grows_into_one_object(store: &Arc<dyn Store>) -> Result<(), String> {
    if !store.grows() {
        return Ok(());
    }
    let (beside, grown, taken) = (
        key("data/00/beside")?,
        key("data/ab/grown")?,
        key("data/ab/x")?,
    );
    put(store, &taken, b"taken", PutMode::IfAbsent)?;
    let said = |what: &str, e: &StoreError| format!("{what}: {e}");
    let mut object = Arc::clone(store)
        .begin(&beside)
        .map_err(|e| said("begin", &e))?;
    for piece in [&b"one "[..], b"", b"object"] {
        object.write(piece).map_err(|e| said("write", &e))?;
    }
    not_found("get before its end", store.get(&grown))?;
    let refused = object.put(&taken, PutMode::IfAbsent);
    if !matches!(refused, Err(StoreError::AlreadyExists { .. })) {
        return Err(format!("a taken key was not refused: {refused:?}"));
    }
    expect_bytes(store, &taken, b"taken")?;
    object
        .put(&grown, PutMode::IfAbsent)
        .map_err(|e| said("put after a refusal", &e))?;
    drop(object);
    expect_bytes(store, &grown, b"one object")?;
    not_found("get of the key beside", store.get(&beside))?;
    let mut object = Arc::clone(store)
        .begin(&beside)
        .map_err(|e| said("begin", &e))?;
    object.write(b"instead").map_err(|e| said("write", &e))?;
    object
        .put(&taken, PutMode::Replace)
        .map_err(|e| said("put in replace mode", &e))?;
    expect_bytes(store, &taken, b"instead")
}

fn given_up_leaves_nothing(store: &Arc<dyn Store>) -> Result<(), String> {
    if !store.grows() {
        return Ok(());
    }
    let beside = key("data/00/beside")?;
    let mut object = Arc::clone(store)
        .begin(&beside)
        .map_err(|e| e.to_string())?;
    object.write(b"never finished").map_err(|e| e.to_string())?;
    drop(object);
    match list_all(store.as_ref(), "")
        .map_err(|e| e.to_string())?
        .as_slice()
    {
        [] => Ok(()),
        found => Err(format!("there is {found:?}")),
    }
}

fn put_then_get(store: &Arc<dyn Store>) -> Result<(), String> {
    let every_byte: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    for (name, bytes) in [
        ("config", &b"small"[..]),
        ("data/00/deep=est_na-me.x", &every_byte),
    ] {
        let key = key(name)?;
        put(store, &key, bytes, PutMode::IfAbsent)?;
        expect_bytes(store, &key, bytes)?;
    }
    Ok(())
}

fn absent_is_not_found(store: &Arc<dyn Store>) -> Result<(), String> {
    let absent = key("data/none")?;
    not_found("get", store.get(&absent))?;
    not_found("get_into", store.get_into(&absent, 9, &mut vec![1]))?;
    not_found("get_range", store.get_range(&absent, 0, 1))?;
    not_found("get_range of nothing", store.get_range(&absent, 0, 0))?;
    not_found("head", store.head(&absent))?;
    // A part of a key, or a key and more, is another key.
    put(store, &key("data/object")?, b"x", PutMode::IfAbsent)?;
    not_found("get", store.get(&key("data")?))?;
    not_found("head", store.head(&key("data")?))?;
    not_found("get", store.get(&key("data/obj")?))?;
    not_found("get", store.get(&key("data/object/more")?))
}

fn empty_object(store: &Arc<dyn Store>) -> Result<(), String> {
    let key = key("locks/empty")?;
    put(store, &key, b"", PutMode::IfAbsent)?;
    expect_bytes(store, &key, b"")?;
    let range = store.get_range(&key, 0, 0).map_err(|e| e.to_string())?;
    same("the empty range", &range, &Vec::new())?;
    same(
        "the listing",
        &listed(store, "locks/")?,
        &vec![("locks/empty".to_owned(), 0)],
    )
}

fn if_absent_leaves_alone(store: &Arc<dyn Store>) -> Result<(), String> {
    let key = key("keys/one")?;
    put(store, &key, b"first", PutMode::IfAbsent)?;
    for again in [&b"second"[..], b"first"] {
        match store.put(&key, again, PutMode::IfAbsent) {
            Err(StoreError::AlreadyExists { .. }) => {}
            other => return Err(format!("a second put answered {other:?}")),
        }
        expect_bytes(store, &key, b"first")?;
    }
    Ok(())
}

fn replace_replaces(store: &Arc<dyn Store>) -> Result<(), String> {
    let key = key("head")?;
    for bytes in [&b"a longer first text"[..], b"short", b""] {
        put(store, &key, bytes, PutMode::Replace)?;
        expect_bytes(store, &key, bytes)?;
    }
    Ok(())
}

fn range_is_exact(store: &Arc<dyn Store>) -> Result<(), String> {
    let key = key("data/range")?;
    put(store, &key, b"0123456789", PutMode::IfAbsent)?;
    let ranges: [(u64, u64, &[u8]); 5] = [
        (0, 10, b"0123456789"),
        (0, 1, b"0"),
        (3, 4, b"3456"),
        (9, 1, b"9"),
        (10, 0, b""),
    ];
    for (offset, len, expected) in ranges {
        let got = store
            .get_range(&key, offset, len)
            .map_err(|e| e.to_string())?;
        same(
            &format!("the range {offset}+{len}"),
            got.as_slice(),
            expected,
        )?;
    }
    Ok(())
}

fn range_beyond_the_end(store: &Arc<dyn Store>) -> Result<(), String> {
    let key = key("data/range")?;
    put(store, &key, b"0123456789", PutMode::IfAbsent)?;
    let beyond = [
        (0, 11),
        (9, 2),
        (10, 1),
        (11, 1),
        (0, u64::MAX),
        (u64::MAX, 1),
        (1 << 40, 1 << 40),
    ];
    for (offset, len) in beyond {
        match store.get_range(&key, offset, len) {
            Err(StoreError::ShortRead { wanted, got, .. }) if wanted == len && got < len => {}
            other => return Err(format!("the range {offset}+{len} answered {other:?}")),
        }
    }
    Ok(())
}

fn head_tells_length(store: &Arc<dyn Store>) -> Result<(), String> {
    let key = key("data/sized")?;
    for size in [0, 1, 4097] {
        put(store, &key, &vec![1; size], PutMode::Replace)?;
        let meta = store.head(&key).map_err(|e| e.to_string())?;
        same("the length", &meta.size, &(size as u64))?;
    }
    Ok(())
}

fn delete_removes(store: &Arc<dyn Store>) -> Result<(), String> {
    let (gone, stays) = (key("data/gone")?, key("data/gone-not")?);
    put(store, &gone, b"x", PutMode::IfAbsent)?;
    put(store, &stays, b"y", PutMode::IfAbsent)?;
    store.delete(&gone).map_err(|e| e.to_string())?;
    not_found("get", store.get(&gone))?;
    not_found("head", store.head(&gone))?;
    expect_bytes(store, &stays, b"y")?;
    put(store, &gone, b"again", PutMode::IfAbsent)?;
    expect_bytes(store, &gone, b"again")
}

fn delete_is_repeatable(store: &Arc<dyn Store>) -> Result<(), String> {
    put(store, &key("data/x")?, b"x", PutMode::IfAbsent)?;
    for absent in ["none", "data/none", "data", "data/x/below"] {
        store
            .delete(&key(absent)?)
            .map_err(|e| format!("deleting {absent}: {e}"))?;
    }
    expect_bytes(store, &key("data/x")?, b"x")
}

fn list_is_complete(store: &Arc<dyn Store>) -> Result<(), String> {
    same(
        "the listing of an empty store",
        &listed(store, "")?,
        &Vec::new(),
    )?;
    let all = [
        "config",
        "data/00/a",
        "data/00/b",
        "data/01/a",
        "data2",
        "index/a",
    ];
    for (size, name) in all.iter().enumerate() {
        put(store, &key(name)?, &vec![0; size], PutMode::IfAbsent)?;
    }
    if !store.capabilities().list_consistent {
        return Ok(());
    }
    let prefixes = [
        "",
        "data",
        "data/",
        "data/0",
        "data/00/",
        "data/00/a",
        "index/",
        "none/",
        "../",
        "/",
        "data//",
    ];
    for prefix in prefixes {
        let expected: Vec<(String, u64)> = all
            .iter()
            .enumerate()
            .filter(|(_, name)| name.starts_with(prefix))
            .map(|(size, name)| ((*name).to_owned(), size as u64))
            .collect();
        same(
            &format!("the listing of {prefix:?}"),
            &listed(store, prefix)?,
            &expected,
        )?;
    }
    store
        .delete(&key("data/00/a")?)
        .map_err(|e| e.to_string())?;
    let after = listed(store, "data/00/")?;
    same(
        "the listing after a delete",
        &after,
        &vec![("data/00/b".to_owned(), 2)],
    )
}

fn list_stops(store: &Arc<dyn Store>) -> Result<(), String> {
    for name in ["a/1", "a/2", "b/1", "b/2"] {
        put(store, &key(name)?, b"x", PutMode::IfAbsent)?;
    }
    let mut seen = 0;
    let visit = &mut |_, _| {
        seen += 1;
        if seen == 2 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    store.list("", visit).map_err(|e| e.to_string())?;
    if seen > 2 {
        Err(format!("it went on to {seen} objects after a break at 2"))
    } else {
        Ok(())
    }
}

fn errors_name_things(store: &Arc<dyn Store>) -> Result<(), String> {
    let taken = key("data/taken")?;
    put(store, &taken, b"x", PutMode::IfAbsent)?;
    let errors = [
        store.get(&key("data/none")?).err(),
        store.get_range(&taken, 0, 9).err(),
        store.put(&taken, b"x", PutMode::IfAbsent).err(),
    ];
    for error in errors {
        let text = error.map(|e| e.to_string()).unwrap_or_default();
        if !text.contains("data/") || !text.contains(&store.describe()) {
            return Err(format!("an error reads {text:?}"));
        }
    }
    Ok(())
}

fn one_winner(store: &Arc<dyn Store>) -> Result<(), String> {
    if !store.capabilities().put_if_absent {
        return Ok(());
    }
    for round in 0..8 {
        let key = key(&format!("race/{round}"))?;
        let (wins, winner) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
        thread::scope(|scope| {
            for runner in 0..8_u64 {
                let (key, wins, winner) = (&key, &wins, &winner);
                scope.spawn(move || {
                    if store
                        .put(key, &runner.to_le_bytes(), PutMode::IfAbsent)
                        .is_ok()
                    {
                        wins.fetch_add(1, Ordering::SeqCst);
                        winner.store(runner, Ordering::SeqCst);
                    }
                });
            }
        });
        same("the number of winners", &wins.into_inner(), &1)?;
        expect_bytes(store, &key, &winner.into_inner().to_le_bytes())?;
    }
    Ok(())
}

fn key(text: &str) -> Result<Key, String> {
    Key::new(text).map_err(|e| e.to_string())
}

fn put(store: &Arc<dyn Store>, key: &Key, bytes: &[u8], mode: PutMode) -> Result<(), String> {
    store
        .put(key, bytes, mode)
        .map_err(|e| format!("putting {key}: {e}"))
}

fn listed(store: &Arc<dyn Store>, prefix: &str) -> Result<Vec<(String, u64)>, String> {
    let all = list_all(store, prefix).map_err(|e| format!("listing {prefix:?}: {e}"))?;
    Ok(all
        .into_iter()
        .map(|(key, size)| (key.to_string(), size))
        .collect())
}

fn expect_bytes(store: &Arc<dyn Store>, key: &Key, expected: &[u8]) -> Result<(), String> {
    let got = store.get(key).map_err(|e| format!("getting {key}: {e}"))?;
    // Memory that held something else, longer or shorter, makes no difference.
    for held in [0, 7, 100_000] {
        let mut into = vec![0xa5; held];
        store
            .get_into(key, expected.len() as u64, &mut into)
            .map_err(|e| format!("getting {key} into memory: {e}"))?;
        if into != got {
            return Err(format!(
                "{key} differs when got into {held} bytes of memory"
            ));
        }
    }
    if let Some(less) = (expected.len() as u64).checked_sub(1) {
        match store.get_into(key, less, &mut Vec::new()) {
            Err(StoreError::TooLong { .. }) => {}
            other => {
                return Err(format!(
                    "{key} is longer than {less} bytes, and gave {other:?}"
                ));
            }
        }
    }
    if got == expected {
        return Ok(());
    }
    Err(format!(
        "{key} gave {} bytes that are not the {} put",
        got.len(),
        expected.len()
    ))
}

fn not_found<T: std::fmt::Debug>(call: &str, got: Result<T, StoreError>) -> Result<(), String> {
    match got {
        Err(StoreError::NotFound { .. }) => Ok(()),
        other => Err(format!("{call} of an absent object answered {other:?}")),
    }
}

fn same<T: PartialEq + std::fmt::Debug + ?Sized>(
    what: &str,
    got: &T,
    expected: &T,
) -> Result<(), String> {
    if got == expected {
        Ok(())
    } else {
        Err(format!("{what} is {got:?}, not {expected:?}"))
    }
}
