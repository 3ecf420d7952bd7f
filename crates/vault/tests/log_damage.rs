//! Damaged and exchanged log objects: each is an error that names the object and its position, and none is handed out.

#![allow(clippy::type_complexity)]

use std::sync::Arc;

use crate::common::logs::*;
use vouchsafe_format::fragment::{OpenError, Position, StreamName};
use vouchsafe_store::{PutMode, Store};
use vouchsafe_vault::logs::{CompactOptions, Fence, LogDamage, LogError, copy_log};

/// Ten fragments, of which the first four are in a segment.
fn prepared() -> Arc<dyn Store> {
    let store = root(0);
    hundreds(&mut writer(&store), 10);
    stream(&store, 0)
        .compact(&CompactOptions::before(4))
        .unwrap();
    store
}

fn alter(store: &Arc<dyn Store>, short: &str, alter: impl Fn(&mut Vec<u8>)) {
    let key = key(store, short);
    let mut bytes = store.get(&key).unwrap();
    alter(&mut bytes);
    store.put(&key, &bytes, PutMode::Replace).unwrap();
}

fn copied(store: &Arc<dyn Store>, from: &str, to: &str) {
    let bytes = store.get(&key(store, from)).unwrap();
    store
        .put(&key(store, to), &bytes, PutMode::Replace)
        .unwrap();
}

/// What is claimed reads right; an error names this object and its position.
fn must_name(store: &Arc<dyn Store>, short: &str, from: u64, wanted: fn(&LogError) -> bool) {
    let before = whole_run();
    let stream = stream(store, 0);
    let window = stream.window().unwrap();
    for run in &window.runs {
        let (from, to) = (byte(run.from), byte(run.to));
        // A flipped byte in a payload shows only when it is read.
        match read(&stream, run) {
            Ok(log) => assert!(log == truth(from, to)),
            Err(error) => assert!(wanted(&error), "{error:?}"),
        }
    }
    let mut out = Vec::new();
    let mut take = |part: vouchsafe_vault::logs::LogPart<'_>| {
        out.extend_from_slice(part.log);
        Ok(())
    };
    let error = stream
        .read(&before, before.from, before.to, &mut take)
        .unwrap_err();
    assert!(wanted(&error), "{error:?}");
    let text = error.to_string();
    let (kind, place) = short.split_once(' ').unwrap();
    let place: u64 = place.split('-').next().unwrap().parse().unwrap();
    assert!(
        text.contains(&format!(
            "/{}",
            if kind == "f" { "fragments" } else { "segments" }
        )) || kind == "s"
    );
    assert!(text.contains(&format!("{place:020}")), "{text}");
    assert!(text.contains("memory"), "{text}");
    match &error {
        LogError::Damaged { position, .. } | LogError::Missing { position, .. } => {
            assert!(
                position.is_none_or(|at| at == Position::Byte(from)),
                "{text}"
            );
        }
        other => panic!("{other}"),
    }
    assert_eq!(out, truth(0, from), "what was handed out before");
}

fn whole_run() -> vouchsafe_vault::logs::LogRun {
    whole(&stream(&prepared(), 0))
}

fn is_damaged(error: &LogError) -> bool {
    matches!(error, LogError::Damaged { .. })
}

#[test]
fn every_flipped_byte_and_every_truncation_of_a_log_object_is_named() {
    for (short, from) in [("s 0-3", 0), ("f 6", 600)] {
        let length = {
            let store = prepared();
            store.get(&key(&store, short)).unwrap().len()
        };
        for at in (0..length).step_by(7) {
            let store = prepared();
            alter(&store, short, |bytes| bytes[at] ^= 0x20);
            must_name(&store, short, from, is_damaged);
            let store = prepared();
            alter(&store, short, |bytes| bytes.truncate(at));
            must_name(&store, short, from, |error| {
                is_damaged(error) || matches!(error, LogError::Store(_))
            });
        }
        let store = prepared();
        alter(&store, short, |bytes| bytes.push(0));
        must_name(&store, short, from, is_damaged);
    }
}

#[test]
fn a_missing_log_object_is_named_with_its_position_and_the_rest_is_claimed() {
    for (short, from, runs) in [("s 0-3", 0, 1), ("f 6", 600, 2), ("f 9", 900, 1)] {
        let store = prepared();
        store.delete(&key(&store, short)).unwrap();
        must_name(&store, short, from, |error| {
            matches!(error, LogError::Missing { .. })
        });
        let window = stream(&store, 0).window().unwrap();
        assert_eq!(window.runs.len(), runs, "{window:?}");
    }
}

#[test]
fn swapped_log_objects_are_not_believed() {
    let store = prepared();
    let six = store.get(&key(&store, "f 6")).unwrap();
    copied(&store, "f 7", "f 6");
    store
        .put(&key(&store, "f 7"), &six, PutMode::Replace)
        .unwrap();
    must_name(&store, "f 6", 600, is_damaged);
    let window = stream(&store, 0).window().unwrap();
    assert_eq!((window.runs.len(), window.problems.len()), (2, 2));
}

fn is_misplaced(error: &LogError) -> bool {
    matches!(error, LogError::Damaged { source, .. }
        if matches!(**source, LogDamage::Open(OpenError::Misplaced { .. })))
}

#[test]
fn another_streams_object_under_our_name_is_not_believed() {
    let store = prepared();
    let other = StreamName::new("shop-db", "pitr/other").unwrap();
    let other = logs(store.clone(), 0, 9).stream(other);
    let mut writer = other.writer(Fence::Store).unwrap();
    hundreds(&mut writer, 10);
    let ours = key(&store, "s 0-3");
    let ours = ours.as_str().split('/').nth(1).unwrap().to_owned();
    let keys = vouchsafe_store::list_all(&*store, "logs/").unwrap();
    let theirs = keys.iter().map(|(key, _)| key);
    let theirs = theirs
        .filter(|key| !key.as_str().contains(&ours))
        .nth(6)
        .unwrap();
    let name = theirs
        .as_str()
        .replace(theirs.as_str().split('/').nth(1).unwrap(), &ours);
    let bytes = store.get(theirs).unwrap();
    store
        .put(&name.parse().unwrap(), &bytes, PutMode::Replace)
        .unwrap();
    let window = stream(&store, 0).window().unwrap();
    assert_eq!(window.problems.len(), 1);
    assert!(is_misplaced(&window.problems[0]), "{:?}", window.problems);
    assert_eq!(window.runs.len(), 2);
    whole(&other);
}

#[test]
fn an_object_of_another_vaults_key_is_not_believed() {
    let (store, far) = (prepared(), root(1));
    copy_log(&stream(&store, 0), &stream(&far, 1), None).unwrap();
    let theirs = far.get(&key(&far, "f 6")).unwrap();
    store
        .put(&key(&store, "f 6"), &theirs, PutMode::Replace)
        .unwrap();
    let window = stream(&store, 0).window().unwrap();
    assert!(
        is_misplaced(&window.problems[0]) || window.problems[0].to_string().contains("damaged")
    );
    must_name(&store, "f 6", 600, |error| {
        matches!(error, LogError::Damaged { source, .. }
            if matches!(**source, LogDamage::Open(OpenError::OtherKey { .. })))
    });
    // Nor does a vault's key open the other vault: it does not even know the stream's name.
    assert!(stream(&far, 0).window().unwrap().runs.is_empty());
}

#[test]
fn nobody_goes_on_after_an_end_that_is_not_authenticated() {
    let store = prepared();
    alter(&store, "f 9", |bytes| bytes[100] ^= 1);
    for fence in [Fence::Store, Fence::Held] {
        let refused = stream(&store, 0).writer(fence).unwrap_err();
        assert!(is_damaged(&refused), "{refused}");
    }
}

#[test]
fn a_damaged_fragment_is_not_compacted_and_a_damaged_segment_is_made_anew_only_from_whole_ones() {
    let store = prepared();
    alter(&store, "f 5", |bytes| *bytes.last_mut().unwrap() ^= 1);
    let report = stream(&store, 0)
        .compact(&CompactOptions::before(8))
        .unwrap();
    assert_eq!(report.problems.len(), 1);
    assert!(is_damaged(&report.problems[0]));
    assert!(names(&store).contains(&"f 5".to_owned()));
    // A segment beside its fragments.
    for spoilt in [false, true] {
        let store = root(0);
        hundreds(&mut writer(&store), 8);
        let keys: Vec<_> = ["f 0", "f 1", "f 2"].map(|short| key(&store, short)).into();
        let kept: Vec<_> = keys.iter().map(|key| store.get(key).unwrap()).collect();
        stream(&store, 0)
            .compact(&CompactOptions::before(3))
            .unwrap();
        for (key, bytes) in keys.iter().zip(kept) {
            store.put(key, &bytes, PutMode::IfAbsent).unwrap();
        }
        alter(&store, "s 0-2", |bytes| *bytes.last_mut().unwrap() ^= 1);
        if spoilt {
            alter(&store, "f 1", |bytes| *bytes.last_mut().unwrap() ^= 1);
        }
        let report = stream(&store, 0)
            .compact(&CompactOptions::before(3))
            .unwrap();
        assert_eq!(
            (report.segments, report.removed),
            if spoilt { (0, 0) } else { (1, 3) }
        );
        if !spoilt {
            whole(&stream(&store, 0));
        }
    }
}

#[test]
fn a_copy_mends_what_is_damaged_at_the_target_and_names_what_is_at_the_source() {
    let (store, far) = (prepared(), root(1));
    let (from, to) = (stream(&store, 0), stream(&far, 1));
    copy_log(&from, &to, None).unwrap();
    alter(&far, "f 6", |bytes| bytes[90] ^= 1);
    assert_eq!(to.window().unwrap().problems.len(), 1);
    copy_log(&from, &to, None).unwrap();
    assert_eq!(whole(&to), whole(&from));
    alter(&store, "f 6", |bytes| *bytes.last_mut().unwrap() ^= 1);
    far.delete(&key(&far, "f 6")).unwrap();
    let report = copy_log(&from, &to, None).unwrap();
    assert!(is_damaged(&report.problems[0]), "{report:?}");
    assert!(!names(&far).contains(&"f 6".to_owned()));
}
