//! Every call of the store fails once while a log is shipped, compacted, expired or copied: nothing that was claimed is
//! lost, no writer forks the stream by itself, and the second attempt succeeds.

#![allow(clippy::type_complexity)]

use std::sync::Arc;

use crate::common::logs::*;
use vouchsafe_format::fragment::Position;
use vouchsafe_store::{Fault, FaultKind, FaultStore, Operation, Store};
use vouchsafe_vault::logs::{CompactOptions, Fence, LogError, LogStream, LogWriter, copy_log};

const OPERATIONS: [Operation; 6] = [
    Operation::Get,
    Operation::GetRange,
    Operation::Head,
    Operation::Put,
    Operation::Delete,
    Operation::List,
];

fn kinds(on: Operation) -> Vec<FaultKind> {
    let mut kinds = vec![FaultKind::Transient, FaultKind::Permanent];
    match on {
        Operation::Put => kinds.extend([
            FaultKind::Ambiguous,
            FaultKind::Full,
            FaultKind::TornPut { keep: 100 },
            FaultKind::Delayed { calls: 2 },
            FaultKind::Delayed { calls: 20 },
        ]),
        Operation::Get | Operation::GetRange => {
            kinds.push(FaultKind::ShortRead { missing: 1 });
            kinds.push(FaultKind::ShortRead { missing: 200 });
        }
        Operation::Delete | Operation::List => kinds.push(FaultKind::Ambiguous),
        // Log objects are put whole.
        Operation::Head | Operation::Write => {}
    }
    kinds
}

/// Does `attempt` with every fault there is at every call, and hands each outcome to `check`.
fn sweep(
    prepare: &dyn Fn() -> Arc<dyn Store>,
    attempt: &dyn Fn(&Arc<dyn Store>) -> Result<u64, LogError>,
    check: &dyn Fn(&str, &Arc<dyn Store>, &Arc<dyn Store>, Result<u64, LogError>),
) -> u64 {
    let clean = Arc::new(FaultStore::new(prepare(), []));
    let store: Arc<dyn Store> = clean.clone();
    attempt(&store).unwrap();
    let mut failed = 0;
    for on in OPERATIONS {
        for nth in 1..=clean.calls(on) {
            for kind in kinds(on) {
                let inner = prepare();
                let faulty = Arc::new(FaultStore::new(inner.clone(), [Fault { on, nth, kind }]));
                let store: Arc<dyn Store> = faulty.clone();
                let result = attempt(&store);
                let what = format!("{on:?} {nth} {kind:?}: {result:?}");
                assert_eq!(faulty.unhit(), [], "never hit: {what}");
                failed += u64::from(result.is_err());
                check(&what, &inner, &store, result);
            }
        }
    }
    failed
}

/// Everything up to this byte is there in one run without a fork, and reads right.
fn must_hold(what: &str, stream: &LogStream, from: u64, to: u64) {
    let window = stream.window().unwrap();
    let run = window
        .runs
        .iter()
        .find(|run| byte(run.from) <= from && to <= byte(run.to));
    let run = run.unwrap_or_else(|| panic!("{what}: {window:?}"));
    assert!(
        read_between(stream, run, from, to).unwrap() == truth(from, to),
        "{what}: other bytes"
    );
    let text = format!("{:?}", window.events);
    assert!(!text.contains("Fork"), "{what}: {text}");
}

fn with_fragments(count: u64) -> Arc<dyn Store> {
    let store = root(0);
    hundreds(&mut writer(&store), count);
    store
}

/// Opens, and ships three pieces, each again from where the stream stands if it failed, as a source does.
fn ship(store: &Arc<dyn Store>, claimed: &std::cell::Cell<u64>) -> Result<u64, LogError> {
    let mut writer = stream(store, 0).writer(Fence::Store)?.with_fragments_of(60);
    claimed.set(byte(writer.tip()?.reached.unwrap().to));
    for n in 3..6_u64 {
        match append(&mut writer, n * 100, n * 100 + 100) {
            Ok(_) => {}
            Err(LogError::Fork { .. }) => panic!("a writer that is alone has met itself"),
            // The same piece once more, or, every other time, what has come since as well.
            Err(_) if n % 2 == 0 => {
                let at = byte(writer.tip()?.reached.unwrap().to);
                append(&mut writer, at, n * 100 + 100)?;
            }
            Err(_) => _ = append(&mut writer, n * 100, n * 100 + 100)?,
        }
        claimed.set(n * 100 + 100);
    }
    Ok(claimed.get())
}

#[test]
fn shipping_survives_the_failure_of_each_call() {
    let claimed = std::cell::Cell::new(0);
    sweep(
        &|| with_fragments(3),
        &|store| {
            claimed.set(300);
            ship(store, &claimed)
        },
        &|what, inner, store, _| {
            must_hold(what, &stream(inner, 0), 0, claimed.get());
            // Another writer goes on, once what was delayed is seen.
            let next = || -> Result<(), LogError> {
                let mut writer = stream(store, 0).writer(Fence::Store)?;
                let at = byte(writer.tip()?.reached.unwrap().to);
                assert!(at >= claimed.get());
                append(&mut writer, at, 1000)?;
                Ok(())
            };
            let done = (0..20).any(|_| next().is_ok());
            assert!(done, "{what}: {:?}", next());
            must_hold(what, &stream(inner, 0), 0, 1000);
        },
    );
}

#[test]
fn the_first_fragment_of_a_stream_survives_the_failure_of_each_call() {
    let attempt = |store: &Arc<dyn Store>| {
        let mut writer = stream(store, 0).writer(Fence::Store)?;
        let first = append(&mut writer, 0, 100);
        if first.is_err() {
            append(&mut writer, 0, 100)?;
        }
        append(&mut writer, 100, 200)?;
        Ok(0)
    };
    sweep(&|| root(0), &attempt, &|what, inner, _, result| {
        if result.is_ok() {
            must_hold(what, &stream(inner, 0), 0, 200);
        }
    });
}

#[test]
fn a_window_and_a_reading_never_claim_what_a_failing_call_hid() {
    let prepare = || {
        let store = with_fragments(8);
        stream(&store, 0).compact(&small()).unwrap();
        store
    };
    let attempt = |store: &Arc<dyn Store>| {
        let stream = stream(store, 0);
        let mut found = 0;
        for run in stream.window()?.runs {
            let log = read(&stream, &run)?;
            assert!(log == truth(byte(run.from), byte(run.to)));
            found += log.len() as u64;
        }
        Ok(found)
    };
    let failed = sweep(&prepare, &attempt, &|what, _, _, result| {
        assert!(result.is_err() || result.unwrap() == 800, "{what}");
    });
    assert!(failed > 10, "only {failed} failed");
}

fn small() -> CompactOptions {
    CompactOptions {
        count: 3,
        ..CompactOptions::before(7)
    }
}

#[test]
fn compacting_survives_the_failure_of_each_call() {
    let attempt = |store: &Arc<dyn Store>| Ok(stream(store, 0).compact(&small())?.removed);
    let failed = sweep(&|| with_fragments(9), &attempt, &|what, inner, store, _| {
        must_hold(what, &stream(inner, 0), 0, 900);
        for _ in 0..20 {
            let _ = attempt(store);
            must_hold(what, &stream(inner, 0), 0, 900);
        }
        let report = stream(inner, 0).compact(&small()).unwrap();
        assert!(report.problems.is_empty(), "{what}: {report:?}");
        let left = names(inner).iter().filter(|n| n.starts_with('f')).count();
        assert!((2..=3).contains(&left), "{what}: {:?}", names(inner));
    });
    assert!(failed > 20, "only {failed} failed");
}

#[test]
fn expiring_survives_the_failure_of_each_call() {
    let prepare = || {
        let store = with_fragments(9);
        stream(&store, 0).compact(&small()).unwrap();
        store
    };
    let attempt =
        |store: &Arc<dyn Store>| Ok(stream(store, 0).expire(Position::Byte(650))?.removed);
    let failed = sweep(&prepare, &attempt, &|what, inner, store, _| {
        must_hold(what, &stream(inner, 0), 600, 900);
        attempt(store).unwrap();
        must_hold(what, &stream(inner, 0), 600, 900);
        assert_eq!(byte(whole(&stream(inner, 0)).from), 600, "{what}");
    });
    assert!(failed > 3, "only {failed} failed");
}

#[test]
fn copying_a_log_survives_the_failure_of_each_call() {
    let source = || {
        let store = with_fragments(8);
        stream(&store, 0).compact(&small()).unwrap();
        store
    };
    let target = || {
        let store = root(1);
        let short = with_fragments(2);
        copy_log(&stream(&short, 0), &stream(&store, 1), None).unwrap();
        store
    };
    for at_source in [true, false] {
        let (prepare, other): (&dyn Fn() -> Arc<dyn Store>, Arc<dyn Store>) = if at_source {
            (&source, target())
        } else {
            (&target, source())
        };
        let fresh = std::cell::RefCell::new(other);
        let attempt = |store: &Arc<dyn Store>| {
            if at_source {
                *fresh.borrow_mut() = target();
            }
            let other = fresh.borrow().clone();
            let (from, to) = if at_source {
                (store, &other)
            } else {
                (&other, store)
            };
            let report = copy_log(&stream(from, 0), &stream(to, 1), None)?;
            report.problems.into_iter().next().map_or(Ok(0), Err)
        };
        let failed = sweep(prepare, &attempt, &|what, inner, store, result| {
            let other = fresh.borrow().clone();
            let (from, to) = if at_source {
                (inner, &other)
            } else {
                (&other, inner)
            };
            let (from, to) = (stream(from, 0), stream(to, 1));
            if result.is_ok() {
                must_hold(what, &to, 0, 800);
            }
            must_hold(what, &from, 0, 800);
            for _ in 0..20 {
                let _ = attempt(store);
            }
            copy_log(&from, &to, None).unwrap();
            must_hold(what, &to, 0, 800);
            assert_eq!(whole(&to), whole(&from), "{what}");
        });
        assert!(failed > 10, "only {failed} failed");
    }
}

/// A put whose answer was lost, and what its writer does next.
fn after_a_lost_answer(kind: FaultKind) -> (Arc<dyn Store>, LogWriter) {
    let inner = with_fragments(3);
    let put = |nth| Fault {
        on: Operation::Put,
        nth,
        kind,
    };
    let get = Fault {
        on: Operation::Get,
        nth: 1,
        kind: FaultKind::Permanent,
    };
    let faulty = Arc::new(FaultStore::new(inner.clone(), [put(1)]));
    if matches!(kind, FaultKind::Ambiguous) {
        faulty.plan(get);
    }
    let store: Arc<dyn Store> = faulty.clone();
    let mut writer = stream(&store, 0).writer(Fence::Store).unwrap();
    append(&mut writer, 300, 400).unwrap_err();
    assert_eq!(faulty.unhit(), []);
    (inner, writer)
}

#[test]
fn what_was_stored_without_an_answer_is_adopted_and_never_stored_twice() {
    // Seen at once, and seen only when the place was found taken.
    for kind in [FaultKind::Ambiguous, FaultKind::Delayed { calls: 4 }] {
        let (inner, mut writer) = after_a_lost_answer(kind);
        let kept = append(&mut writer, 300, 400).unwrap();
        assert_eq!((kept.fragments(), kept.adopted()), (1, 1), "{kind:?}");
        assert_eq!(byte(whole(&stream(&inner, 0)).to), 400);

        let (inner, mut writer) = after_a_lost_answer(kind);
        let moved = append(&mut writer, 300, 450).unwrap_err();
        assert!(matches!(moved, LogError::Moved { .. }), "{kind:?}: {moved}");
        assert_eq!(byte(writer.tip().unwrap().reached.unwrap().to), 400);
        append(&mut writer, 400, 450).unwrap();
        assert_eq!(byte(whole(&stream(&inner, 0)).to), 450);

        let (inner, mut writer) = after_a_lost_answer(kind);
        let at = (0..9).map(|_| byte(writer.tip().unwrap().reached.unwrap().to));
        assert_eq!(at.max(), Some(400), "{kind:?}");
        append(&mut writer, 400, 450).unwrap();
        assert_eq!(whole(&stream(&inner, 0)).last, 4);
    }
}
