//! Log streams: appended, taken over, looked at, read, compacted, expired and copied.

#![allow(clippy::type_complexity)]

use std::ops::ControlFlow;
use std::sync::{Arc, Barrier};

use crate::common::logs::*;
use vouchsafe_capture::{LogPiece, LogSink};
use vouchsafe_format::fragment::{Event, Position, Span};
use vouchsafe_store::{Capabilities, CountingStore, Key, ObjectMeta, PutMode, Store, StoreError};
use vouchsafe_vault::logs::{CompactOptions, Fence, LogError, copy_log};

fn small(before: u64) -> CompactOptions {
    CompactOptions {
        count: 4,
        ..CompactOptions::before(before)
    }
}

#[test]
fn what_is_appended_is_claimed_and_reads_back_and_the_next_writer_goes_on() {
    let store = root(0);
    let mut first = writer(&store);
    assert_eq!((first.epoch(), first.tip().unwrap().sequence), (1, 0));
    let kept = append(&mut first, 0, 250).unwrap();
    assert_eq!((kept.fragments(), kept.adopted()), (1, 0));
    append(&mut first, 250, 250).unwrap();
    append(&mut first, 250, 700).unwrap();
    let run = whole(&stream(&store, 0));
    assert_eq!((run.first, run.last, byte(run.to)), (0, 2, 700));
    assert_eq!(run.commits.unwrap().last, 700_000_000);

    let mut second = writer(&store);
    assert_eq!(second.epoch(), 2);
    assert_eq!(second.tip().unwrap(), first.tip().unwrap());
    append(&mut second, 700, 900).unwrap();
    assert_eq!(whole(&stream(&store, 0)).epoch, 2);
    // The first one finds its place taken, and stops for good.
    for _ in 0..2 {
        let lost = append(&mut first, 700, 900).unwrap_err();
        assert!(matches!(lost, LogError::Fork { sequence: 3, .. }), "{lost}");
        assert!(matches!(first.tip(), Err(LogError::Fork { .. })));
    }
    assert_eq!(byte(whole(&stream(&store, 0)).to), 900);
}

#[test]
fn a_source_writes_through_the_contract_and_large_pieces_are_cut() {
    let store = root(0);
    let mut writer = writer(&store).with_fragments_of(1000);
    let sink: &mut dyn LogSink = &mut writer;
    let tip = sink.append(piece(0, 2500), truth(0, 2500)).unwrap();
    assert_eq!((tip.sequence, byte(tip.reached.unwrap().to)), (3, 2500));
    assert_eq!(sink.tip().unwrap(), tip);
    let run = whole(&stream(&store, 0));
    assert_eq!(run.digest, tip.digest);
    // A time of commit is claimed only when all before it is there.
    assert_eq!(run.commits.unwrap().first, 0);
    let marks = LogPiece {
        span: Span::new(Position::Mark(1), Position::Mark(2)).unwrap(),
        ..piece(0, 1)
    };
    assert!(sink.append(marks, truth(0, 1001)).is_err());
    assert!(sink.append(piece(2500, 2600), truth(0, 99)).is_err());
}

#[test]
fn any_part_of_a_run_is_read_exactly_from_fragments_and_segments() {
    let store = root(0);
    let mut writer = writer(&store);
    hundreds(&mut writer, 12);
    for compacted in [false, true] {
        if compacted {
            stream(&store, 0).compact(&small(9)).unwrap();
        }
        let stream = stream(&store, 0);
        let run = whole(&stream);
        for (from, to) in [
            (0, 1200),
            (0, 1),
            (99, 101),
            (150, 150),
            (450, 1137),
            (1199, 1200),
        ] {
            assert_eq!(
                read_between(&stream, &run, from, to).unwrap(),
                truth(from, to)
            );
        }
    }
}

#[test]
fn gaps_timelines_and_resent_positions_are_told_and_nothing_is_handed_out_twice() {
    let store = root(0);
    let mut writer = writer(&store);
    append(&mut writer, 0, 100).unwrap();
    append(&mut writer, 60, 160).unwrap();
    append(&mut writer, 200, 300).unwrap();
    let on_two = LogPiece {
        timeline: 2,
        ..piece(250, 350)
    };
    writer.append(on_two, &truth(250, 350)).unwrap();
    let stream = stream(&store, 0);
    let window = stream.window().unwrap();
    let [before, after] = window.runs.as_slice() else {
        panic!("{window:?}")
    };
    assert_eq!(read(&stream, before).unwrap(), truth(0, 160));
    assert_eq!(
        (byte(after.from), after.first_timeline, after.timeline),
        (200, 1, 2)
    );
    let mut parts = Vec::new();
    let mut take = |part: vouchsafe_vault::logs::LogPart<'_>| {
        parts.push((part.timeline, byte(part.span.from()), part.log.len()));
        Ok(())
    };
    stream
        .read(after, Position::Byte(0), Position::Byte(1000), &mut take)
        .unwrap();
    assert_eq!(parts, [(1, 200, 100), (2, 250, 100)]);
    for wanted in ["Resent", "Skipped", "Timeline"] {
        let told = window
            .events
            .iter()
            .any(|e| format!("{e:?}").starts_with(wanted));
        assert!(told, "{wanted} is not in {:?}", window.events);
    }
}

#[test]
fn fragments_go_only_into_segments_that_hold_them_and_the_newest_two_stay() {
    let store = root(0);
    let mut writer = writer(&store);
    hundreds(&mut writer, 11);
    let before = whole(&stream(&store, 0));
    let report = stream(&store, 0).compact(&small(u64::MAX)).unwrap();
    assert_eq!((report.segments, report.removed), (2, 8));
    assert_eq!(names(&store), ["f 8", "f 9", "f 10", "s 0-3", "s 4-7"]);
    assert_eq!(whole(&stream(&store, 0)), before);
    // Nothing is left to do, and the writer goes on.
    let report = stream(&store, 0).compact(&small(u64::MAX)).unwrap();
    assert_eq!((report.segments, report.removed), (0, 0));
    hundreds(&mut writer, 1);
    hundreds(&mut crate::common::logs::writer(&store), 1);
    assert_eq!(byte(whole(&stream(&store, 0)).to), 1300);
}

#[test]
fn what_expires_is_whole_objects_at_the_beginning_and_never_the_newest() {
    let store = root(0);
    let mut writer = writer(&store);
    hundreds(&mut writer, 10);
    stream(&store, 0).compact(&small(4)).unwrap();
    let expire = |at| {
        stream(&store, 0)
            .expire(Position::Byte(at))
            .unwrap()
            .removed
    };
    assert_eq!(expire(399), 0);
    assert_eq!(expire(550), 2);
    assert_eq!(byte(whole(&stream(&store, 0)).from), 500);
    assert_eq!(expire(u64::MAX), 3);
    assert_eq!(names(&store), ["f 8", "f 9"]);
    hundreds(&mut writer, 1);
    assert_eq!(byte(whole(&stream(&store, 0)).from), 800);
    // Positions of another kind tell nothing.
    let marks = stream(&store, 0).expire(Position::Mark(u64::MAX)).unwrap();
    assert_eq!(marks.removed, 0);
}

#[test]
fn a_writer_that_slept_while_its_place_was_cleared_away_does_not_fork_the_stream() {
    for expired in [false, true] {
        for asleep_at in [0, 3] {
            let store = root(0);
            let mut slept = writer(&store);
            hundreds(&mut slept, asleep_at);
            hundreds(&mut writer(&store), 10);
            if expired {
                stream(&store, 0).expire(Position::Byte(u64::MAX)).unwrap();
            } else {
                stream(&store, 0).compact(&small(u64::MAX)).unwrap();
            }
            let before = names(&store);
            let at = asleep_at * 100;
            let lost = append(&mut slept, at, at + 50).unwrap_err();
            assert!(matches!(lost, LogError::Overtaken { .. }), "{lost}");
            assert!(append(&mut slept, at, at + 50).is_err());
            assert_eq!(names(&store), before);
            whole(&stream(&store, 0));
        }
    }
}

#[test]
fn of_two_writers_exactly_one_wins_each_place() {
    for _ in 0..20 {
        let store = root(0);
        hundreds(&mut writer(&store), 2);
        let barrier = Arc::new(Barrier::new(2));
        let race = |to: u64| {
            let (store, barrier) = (store.clone(), barrier.clone());
            std::thread::spawn(move || {
                let mut writer = writer(&store);
                barrier.wait();
                let mut won = Vec::new();
                for n in 0..20 {
                    match append(&mut writer, 200 + n * to, 200 + (n + 1) * to) {
                        Ok(kept) => won.push(kept.tip().sequence),
                        Err(LogError::Fork { .. }) => break,
                        Err(other) => panic!("{other}"),
                    }
                }
                won
            })
        };
        let (one, other) = (race(10), race(11));
        let (one, other) = (one.join().unwrap(), other.join().unwrap());
        assert!(one.iter().all(|place| !other.contains(place)));
        assert_eq!(one.len().max(other.len()), 20);
        let run = whole(&stream(&store, 0));
        assert_eq!(run.last as usize + 1, 2 + one.len() + other.len());
    }
}

#[test]
fn a_copy_has_the_same_chain_under_another_key_and_only_what_is_missing_is_copied() {
    let (near, far) = (root(0), root(1));
    let mut writer = writer(&near);
    let (from, to) = (stream(&near, 0), stream(&far, 1));
    hundreds(&mut writer, 6);
    let report = copy_log(&from, &to, None).unwrap();
    assert_eq!((report.copied, report.fragments, report.bytes), (6, 6, 600));
    assert_eq!(whole(&to), whole(&from));
    assert_eq!(copy_log(&from, &to, None).unwrap().copied, 0);
    // The vaults compact in their own ways; a copy that is needed in part is taken in part.
    hundreds(&mut writer, 6);
    from.compact(&CompactOptions::before(10)).unwrap();
    to.compact(&small(u64::MAX)).unwrap();
    let report = copy_log(&from, &to, None).unwrap();
    assert_eq!((report.copied, report.fragments), (3, 6));
    assert_eq!(
        names(&far),
        ["f 4", "f 5", "f 10", "f 11", "s 0-3", "s 6-9"]
    );
    assert_eq!(whole(&to), whole(&from));
    assert_eq!(copy_log(&from, &to, None).unwrap().copied, 0);
    // What has expired at the target stays so.
    to.expire(Position::Byte(600)).unwrap();
    let again = copy_log(&from, &to, Some(Position::Byte(600))).unwrap();
    assert_eq!((again.copied, again.problems.len()), (0, 0));
    assert_eq!(byte(whole(&to).from), 600);
    // A hole is filled.
    far.delete(&key(&far, "s 6-9")).unwrap();
    assert_eq!(
        copy_log(&from, &to, Some(Position::Byte(600)))
            .unwrap()
            .fragments,
        4
    );
    assert_eq!(byte(whole(&to).from), 600);
}

#[test]
fn another_branch_at_the_target_is_a_fork_and_nothing_is_copied() {
    for (theirs, ours) in [(1, 1), (1, 3), (3, 1)] {
        let (near, far) = (root(0), root(1));
        hundreds(&mut writer(&near), 3);
        copy_log(&stream(&near, 0), &stream(&far, 1), None).unwrap();
        let mut other = stream(&far, 1).writer(Fence::Store).unwrap();
        for n in 0..theirs {
            append(&mut other, 300 + n * 10, 310 + n * 10).unwrap();
        }
        hundreds(&mut writer(&near), ours);
        let before = names(&far);
        let refused = copy_log(&stream(&near, 0), &stream(&far, 1), None);
        assert!(matches!(refused, Err(LogError::Fork { .. })), "{refused:?}");
        assert_eq!(names(&far), before);
    }
}

#[test]
fn a_stream_is_taken_over_by_few_calls_however_long_it_is() {
    let store = root(0);
    hundreds(&mut writer(&store), 300);
    let counting = Arc::new(CountingStore::new(store.clone()));
    let counted: Arc<dyn Store> = counting.clone();
    let mut next = stream(&counted, 0).writer(Fence::Store).unwrap();
    assert_eq!(next.tip().unwrap().sequence, 300);
    let counts = format!("{:?}", counting.counts());
    assert!(counting.counts().ranges <= 40, "{counts}");
}

#[test]
fn a_window_made_in_batches_is_the_window_made_at_once() {
    let store = root(0);
    let mut writer = writer(&store);
    hundreds(&mut writer, 14);
    append(&mut writer, 1350, 1500).unwrap();
    append(&mut writer, 1600, 1700).unwrap();
    let on_two = LogPiece {
        timeline: 2,
        ..piece(1650, 1750)
    };
    writer.append(on_two, &truth(1650, 1750)).unwrap();
    hundreds(&mut crate::common::logs::writer(&store), 4);
    let kept = store.get(&key(&store, "f 2")).unwrap();
    let at = key(&store, "f 2");
    stream(&store, 0).compact(&small(5)).unwrap();
    store.put(&at, &kept, PutMode::IfAbsent).unwrap();
    for gone in ["f 9", "f 10"] {
        store.delete(&key(&store, gone)).unwrap();
    }
    let at_once = stream(&store, 0).window().unwrap();
    assert!(at_once.runs.len() >= 3, "{at_once:?}");
    let missing = |e: &Event| {
        matches!(
            e,
            Event::Missing {
                first: 9,
                last: 10,
                ..
            }
        )
    };
    assert!(at_once.events.iter().any(missing));
    for batch in 1..20 {
        let by = stream(&store, 0).window_by(batch).unwrap();
        assert_eq!(by.runs, at_once.runs, "batches of {batch}");
        assert_eq!(by.events, at_once.events, "batches of {batch}");
    }
}

/// A store that promises less than the one below it.
struct Weak(Arc<dyn Store>, Capabilities);

impl Store for Weak {
    fn describe(&self) -> String {
        "weak".to_owned()
    }
    fn capabilities(&self) -> Capabilities {
        self.1
    }
    fn get(&self, key: &Key) -> Result<Vec<u8>, StoreError> {
        self.0.get(key)
    }
    fn get_range(&self, key: &Key, offset: u64, len: u64) -> Result<Vec<u8>, StoreError> {
        self.0.get_range(key, offset, len)
    }
    fn head(&self, key: &Key) -> Result<ObjectMeta, StoreError> {
        self.0.head(key)
    }
    fn put(&self, key: &Key, bytes: &[u8], mode: PutMode) -> Result<(), StoreError> {
        self.0.put(key, bytes, mode)
    }
    fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.0.delete(key)
    }
    fn list(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(Key, u64) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        self.0.list(prefix, visit)
    }
}

#[test]
fn a_store_that_does_not_keep_writers_apart_is_refused_unless_there_is_only_one() {
    let inner = root(0);
    let can = inner.capabilities();
    let weak = |can| -> Arc<dyn Store> { Arc::new(Weak(inner.clone(), can)) };
    let unguarded = weak(Capabilities {
        put_if_absent: false,
        ..can
    });
    let refused = stream(&unguarded, 0).writer(Fence::Store).unwrap_err();
    assert!(matches!(refused, LogError::Unguarded { .. }), "{refused}");
    let mut writer = stream(&unguarded, 0).writer(Fence::Held).unwrap();
    hundreds(&mut writer, 3);
    whole(&stream(&unguarded, 0));
    let refused = copy_log(&stream(&unguarded, 0), &stream(&unguarded, 0), None);
    assert!(matches!(refused, Err(LogError::Unguarded { .. })));
    let narrow = weak(Capabilities {
        other_prefixes: false,
        ..can
    });
    for fence in [Fence::Store, Fence::Held] {
        let refused = stream(&narrow, 0).writer(fence).unwrap_err();
        assert!(matches!(refused, LogError::NoRoom { .. }), "{refused}");
    }
}

#[test]
fn an_end_that_is_cut_short_is_removed_only_where_it_can_be_nothing_but_a_torn_put() {
    for (atomic, fence, removed) in [
        (false, Fence::Held, true),
        (false, Fence::Store, false),
        (true, Fence::Held, false),
    ] {
        for length in [0, 50, 90, 300] {
            let inner = root(0);
            hundreds(&mut writer(&inner), 4);
            let end = key(&inner, "f 3");
            let bytes = inner.get(&end).unwrap();
            inner.put(&end, &bytes[..length], PutMode::Replace).unwrap();
            let can = Capabilities {
                atomic_put: atomic,
                ..inner.capabilities()
            };
            let store: Arc<dyn Store> = Arc::new(Weak(inner.clone(), can));
            match stream(&store, 0).writer(fence) {
                Ok(mut writer) => {
                    assert!(removed);
                    assert_eq!(writer.tip().unwrap().sequence, 3);
                    append(&mut writer, 300, 350).unwrap();
                    assert_eq!(byte(whole(&stream(&store, 0)).to), 350);
                }
                Err(error) => assert!(!removed, "{length}: {error}"),
            }
        }
    }
}
