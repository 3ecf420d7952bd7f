//! What is backed up comes back, by threads and by the simulation.

use std::sync::Arc;

use crate::common::*;
use vouchsafe_capture::{CaptureError, NoProgress, PointReader};
use vouchsafe_model::Outcome;
use vouchsafe_model::Secret;
use vouchsafe_vault::{
    BackupError, Budget, Driver, OpenError, ReadBack, Repository, Simulation, WorkError, copy,
};

fn drivers() -> Vec<Driver> {
    vec![
        Driver::Automatic,
        Driver::Simulated(Simulation {
            seed: 5,
            flights: None,
        }),
    ]
}

#[test]
fn what_was_backed_up_comes_back() {
    for driver in drivers() {
        let store = memory();
        let repository = create(store.clone()).with_driver(driver);
        let report = back_up(&repository, &sample()).unwrap();
        assert_eq!(report.outcome, Outcome::Done);
        assert_eq!(
            (report.files_new, report.files_unchanged, report.dirs),
            (7, 0, 3)
        );
        let again = open(store);
        let everything = read(&again.reader(&report.snapshot).unwrap()).unwrap();
        assert_eq!(everything.entries, expected(&sample()));
        assert!(again.check(&NoProgress).unwrap().problems.is_empty());
        let back = again
            .read_back(
                &report.snapshot,
                ReadBack::Added(report.added_packs.clone()),
            )
            .unwrap();
        assert_eq!(back.problems, []);
        let whole = again
            .read_back(&report.snapshot, ReadBack::Everything)
            .unwrap();
        assert_eq!((whole.blobs, whole.problems.len()), (back.blobs, 0));
        let verified = again.verify(Budget::All, 1, &NoProgress).unwrap();
        assert!(verified.complete && verified.problems.is_empty());
        let probe = again.probe(&report.snapshot).unwrap();
        assert!(probe.sealed);
        assert_eq!(probe.key, again.id().to_hex());
    }
}

#[test]
fn equal_content_is_stored_once() {
    let repository = create(memory());
    let first = back_up(&repository, &sample()).unwrap();
    // `same` and `noise` are 3 MiB each.
    assert!(first.added_bytes < 4 << 20, "{}", first.added_bytes);
    let second = back_up(&repository, &sample()).unwrap();
    assert_eq!(second.added_bytes, 0);
    assert_eq!(second.tree, first.tree);
    assert_ne!(second.snapshot, first.snapshot);
}

#[test]
fn unchanged_files_are_not_read_again() {
    for driver in drivers() {
        let repository = create(memory()).with_driver(driver);
        let first = back_up(&repository, &sample()).unwrap();
        let mut items = sample();
        items.push(file("new", "new"));
        let second = back_up_after(&repository, &items, Some(first.snapshot)).unwrap();
        // The stream is always read.
        assert_eq!((second.files_new, second.files_unchanged), (2, 6));
        assert_eq!(second.bytes_read, 700_003);
        assert_eq!(second.bytes_total, first.bytes_total + 3);
        assert_eq!(
            read(&repository.reader(&second.snapshot).unwrap())
                .unwrap()
                .entries,
            expected(&items)
        );
    }
}

#[test]
fn a_partial_result_is_never_a_full_one() {
    for driver in drivers() {
        let repository = create(memory()).with_driver(driver);
        let items = vec![
            file("good", "good"),
            dir("d", vec![Item::Unreadable(b"bad".to_vec())]),
        ];
        let report = back_up(&repository, &items).unwrap();
        assert_eq!(report.outcome, Outcome::Incomplete);
        assert_eq!(report.issue_count, 1);
        assert!(
            report.issues[0].place.contains("bad"),
            "{:?}",
            report.issues
        );
        assert_eq!(
            read(&repository.reader(&report.snapshot).unwrap())
                .unwrap()
                .entries,
            expected(&items)
        );
    }
}

#[test]
fn a_stream_without_proof_leaves_no_snapshot() {
    for driver in drivers() {
        let repository = create(memory()).with_driver(driver);
        let items = vec![
            file("good", "good"),
            Item::BrokenStream(b"dump".to_vec(), Arc::new(noise(3, 2_000_000))),
        ];
        let error = back_up(&repository, &items).unwrap_err();
        assert!(
            matches!(&error, BackupError::Work(WorkError::Stream { name, .. }) if name == "dump"),
            "{error:?}"
        );
        assert!(repository.snapshots().unwrap().is_empty());
        back_up(&repository, &sample()).unwrap();
    }
}

#[test]
fn a_source_that_fails_leaves_no_snapshot() {
    for driver in drivers() {
        let repository = create(memory()).with_driver(driver);
        let result = repository.backup(&backup_options(), &NoProgress, |sink| {
            fill(sink, &sample())?;
            Err::<(), _>(CaptureError::Unreadable {
                place: "here".to_owned(),
                message: "gone".to_owned(),
                remedy: "wait".to_owned(),
            })
        });
        assert!(matches!(
            result,
            Err(BackupError::Capture(CaptureError::Unreadable { .. }))
        ));
        assert!(repository.snapshots().unwrap().is_empty());
    }
}

#[test]
fn a_source_that_does_not_leave_its_directories_leaves_no_snapshot() {
    let repository = create(memory());
    let result = repository.backup(&backup_options(), &NoProgress, |sink| {
        sink.enter(node(b"d", vouchsafe_format::NodeKind::Dir, 0))
    });
    assert!(
        matches!(result, Err(BackupError::Work(WorkError::Machine(_)))),
        "{result:?}"
    );
    let result = repository.backup(&backup_options(), &NoProgress, |sink| sink.leave());
    assert!(
        matches!(result, Err(BackupError::Work(WorkError::Machine(_)))),
        "{result:?}"
    );
    let twice = back_up(&repository, &[file("x", "1"), file("x", "2")]);
    assert!(
        matches!(twice, Err(BackupError::Work(WorkError::Tree(_)))),
        "{twice:?}"
    );
    assert!(repository.snapshots().unwrap().is_empty());
}

#[test]
fn a_copy_has_the_same_tree_and_needs_no_source() {
    for driver in drivers() {
        let from = create(memory());
        let report = back_up(&from, &sample()).unwrap();
        let to = create(memory()).with_driver(driver);
        let copied = copy(&from, &to, &report.snapshot, &NoProgress).unwrap();
        assert_eq!(copied.tree, report.tree);
        assert!(!copied.existed);
        assert_eq!(
            to.snapshot(&copied.snapshot).unwrap().original,
            Some(report.snapshot)
        );
        assert_eq!(
            read(&to.reader(&copied.snapshot).unwrap()).unwrap().entries,
            expected(&sample())
        );
        let back = to
            .read_back(
                &copied.snapshot,
                ReadBack::Added(copied.added_packs.clone()),
            )
            .unwrap();
        assert_eq!((back.blobs, back.problems.len()), (copied.blobs_copied, 0));
        let again = copy(&from, &to, &report.snapshot, &NoProgress).unwrap();
        assert_eq!(
            (again.snapshot, again.existed, again.blobs_copied),
            (copied.snapshot, true, 0)
        );
        let home = copy(&to, &from, &copied.snapshot, &NoProgress).unwrap();
        assert_eq!(home.snapshot, report.snapshot);
        assert_eq!(to.snapshots().unwrap().len(), 1);
        // A backup into the copy finds everything there.
        let second = back_up_after(&to, &sample(), Some(copied.snapshot)).unwrap();
        assert_eq!(second.files_unchanged, 6);
    }
}

#[test]
fn vaults_with_one_polynomial_share_chunks() {
    let from = create(memory());
    let report = back_up(&from, &sample()).unwrap();
    let mut shared = options();
    shared.polynomial = Some(from.polynomial());
    let to = Repository::create(memory(), &real_env(), &secret(), &shared).unwrap();
    back_up(&to, &sample()).unwrap();
    let copied = copy(&from, &to, &report.snapshot, &NoProgress).unwrap();
    assert_eq!(copied.blobs_copied, 0);
}

#[test]
fn keys_open_and_other_passwords_do_not() {
    let store = memory();
    let repository = create(store.clone());
    let second = Secret::new(b"second".to_vec());
    let id = repository.add_key(&second, Some(KDF)).unwrap().id();
    let (keys, issues) = repository.keys().unwrap();
    assert_eq!((keys.len(), issues.len()), (2, 0));
    assert!(
        keys.iter()
            .any(|key| key.id == id && key.hostname == "testhost")
    );
    let other = Repository::open(store.clone(), &real_env(), &second).unwrap();
    assert_eq!(
        other.open_sealed(&repository.seal(b"ledger")).unwrap(),
        b"ledger"
    );
    let wrong = Repository::open(store.clone(), &real_env(), &Secret::new(b"wrong".to_vec()));
    assert!(
        matches!(wrong, Err(OpenError::WrongKey { tried: 2, .. })),
        "{wrong:?}"
    );
    let none = Repository::open(memory(), &real_env(), &second);
    assert!(matches!(none, Err(OpenError::NoRepository { .. })));
    let twice = Repository::create(store, &real_env(), &second, &options());
    assert!(matches!(twice, Err(OpenError::Exists { .. })));
}

#[test]
fn an_interrupt_ends_the_backup_and_the_next_one_goes_on() {
    let store = memory();
    let repository = create(store.clone());
    let env = real_env();
    let stopped = Repository::open(store, &env, &secret()).unwrap();
    let result = stopped.backup(&backup_options(), &NoProgress, |sink| {
        fill(sink, &[file("first", noise(4, 40 << 20))])?;
        env.interrupt.raise();
        fill(sink, &[file("second", noise(5, 1 << 20))])
    });
    assert!(
        matches!(result, Err(BackupError::Interrupted)),
        "{result:?}"
    );
    assert!(repository.snapshots().unwrap().is_empty());
    let report = back_up(&repository, &sample()).unwrap();
    assert!(repository.check(&NoProgress).unwrap().problems.is_empty());
    assert_eq!(report.outcome, Outcome::Done);
}

#[test]
fn a_single_file_can_be_read_in_order() {
    let repository = create(memory());
    let report = back_up(&repository, &[file("big", noise(6, 5_000_000))]).unwrap();
    let point = repository.reader(&report.snapshot).unwrap();
    let mut node = None;
    point
        .walk(&mut |_, found| {
            node = Some(found.clone());
            Ok(vouchsafe_capture::Visit::Stop)
        })
        .unwrap();
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut point.open(&node.unwrap()).unwrap(), &mut bytes).unwrap();
    assert_eq!(bytes, noise(6, 5_000_000));
}

#[test]
fn an_interrupted_creation_is_taken_up_by_the_next() {
    use vouchsafe_store::{Key, Store, list_all};
    let store = memory();
    let first = create(store.clone());
    store.delete(&Key::new("config").unwrap()).unwrap();
    let second = create(store.clone());
    assert_ne!(first.id(), second.id());
    assert_eq!(list_all(&*store, "keys/").unwrap().len(), 1);
    assert_eq!(open(store.clone()).id(), second.id());
    // A key of another creation with the same password does not hide the right one.
    for n in 0..8 {
        let other = memory();
        create(other.clone());
        let (key, _) = list_all(&*other, "keys/").unwrap().remove(0);
        store
            .put(
                &key,
                &other.get(&key).unwrap(),
                vouchsafe_store::PutMode::IfAbsent,
            )
            .unwrap();
        assert_eq!(open(store.clone()).id(), second.id(), "{n}");
    }
}

/// Hangs until the test is over.
struct Hanging(std::sync::mpsc::Receiver<()>);

impl vouchsafe_capture::StreamContent for Hanging {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        let _ = self.0.recv();
        Ok(0)
    }
    fn finish(self: Box<Self>) -> Result<vouchsafe_capture::CleanEnd, CaptureError> {
        vouchsafe_capture::CleanEnd::of_length("hanging", 0, 0)
    }
}

#[test]
fn an_interrupt_does_not_wait_for_a_stream_that_hangs() {
    let store = memory();
    create(store.clone());
    let env = real_env();
    let repository = Repository::open(store, &env, &secret()).unwrap();
    let (end, hang) = std::sync::mpsc::channel();
    let interrupt = env.interrupt.clone();
    let begun = std::time::Instant::now();
    let result = repository.backup(&backup_options(), &NoProgress, |sink| {
        let node = node(b"dump", vouchsafe_format::NodeKind::File, 0);
        sink.stream(node, Box::new(Hanging(hang)))?;
        interrupt.raise();
        Ok(())
    });
    assert!(
        matches!(result, Err(BackupError::Interrupted)),
        "{result:?}"
    );
    assert!(begun.elapsed().as_secs() < 4, "{:?}", begun.elapsed());
    drop(end);
}

/// Dies while it is read.
struct Dying;

impl vouchsafe_capture::Content for Dying {
    fn open(&mut self) -> Result<Box<dyn std::io::Read + Send>, CaptureError> {
        panic!("on purpose")
    }
}

#[test]
fn a_thread_that_dies_ends_the_backup() {
    let repository = create(memory());
    let result = repository.backup(&backup_options(), &NoProgress, |sink| {
        sink.file(file_node(b"f", b"x"), Box::new(Dying))
    });
    assert!(
        matches!(result, Err(BackupError::Work(WorkError::Died))),
        "{result:?}"
    );
    assert!(repository.snapshots().unwrap().is_empty());
}

/// Grows while it is read.
struct Growing(vouchsafe_format::Node);

impl vouchsafe_capture::Content for Growing {
    fn open(&mut self) -> Result<Box<dyn std::io::Read + Send>, CaptureError> {
        Ok(Box::new(std::io::Cursor::new(b"longer".to_vec())))
    }
    fn close(&mut self, read: u64) -> Result<Option<vouchsafe_format::Node>, CaptureError> {
        assert_eq!(read, 6);
        Ok(Some(self.0.clone()))
    }
}

#[test]
fn a_file_that_changed_while_it_was_read_has_its_newer_metadata() {
    for driver in drivers() {
        let repository = create(memory()).with_driver(driver);
        let newer = vouchsafe_format::Node {
            uid: 77,
            size: 9,
            ..file_node(b"other name", b"xx")
        };
        let options = backup_options();
        let backup = repository.backup(&options, &NoProgress, |sink| {
            sink.file(file_node(b"f", b"old"), Box::new(Growing(newer)))
        });
        let ((), report) = backup.unwrap();
        let point = repository.reader(&report.snapshot).unwrap();
        let mut found = None;
        let mut visit = |_: &vouchsafe_capture::TreePath, node: &vouchsafe_format::Node| {
            found = Some(node.clone());
            Ok(vouchsafe_capture::Visit::Into)
        };
        point.walk(&mut visit).unwrap();
        let found = found.unwrap();
        assert_eq!(
            (found.name.as_slice(), found.uid, found.size),
            (b"f".as_slice(), 77, 6)
        );
        assert_eq!(read(&point).unwrap().entries["/f"], b"longer");
    }
}

#[test]
fn what_was_durable_before_an_interrupt_is_not_stored_again() {
    use vouchsafe_store::list_all;
    let store = memory();
    create(store.clone());
    let env = real_env();
    let stopped = Repository::open(store.clone(), &env, &secret()).unwrap();
    let items: Vec<_> = (0..24)
        .map(|n| file(&format!("f{n}"), noise(n, 2 << 20)))
        .collect();
    let result = stopped.backup(&backup_options(), &NoProgress, |sink| {
        fill(sink, &items)?;
        while list_all(&*store, "data/").unwrap().is_empty() {
            std::thread::yield_now();
        }
        env.interrupt.raise();
        Err::<(), _>(CaptureError::Interrupted)
    });
    assert!(
        matches!(result, Err(BackupError::Interrupted)),
        "{result:?}"
    );
    let next = open(store);
    let check = next.check(&NoProgress).unwrap();
    assert!(
        check.blobs > 0 && check.unlisted_packs.is_empty(),
        "{check:?}"
    );
    let report = back_up(&next, &items).unwrap();
    assert!(report.added_bytes < 40 << 20, "{}", report.added_bytes);
}

#[test]
fn a_file_that_only_changed_its_content_and_times_is_read_again() {
    let repository = create(memory());
    let first = back_up(&repository, &[file("f", "old")]).unwrap();
    let second = back_up_after(&repository, &[file("f", "new")], Some(first.snapshot)).unwrap();
    assert_eq!(second.files_unchanged, 0);
    let everything = read(&repository.reader(&second.snapshot).unwrap()).unwrap();
    assert_eq!(everything.entries["/f"], b"new");
    let summary = repository
        .snapshot(&second.snapshot)
        .unwrap()
        .summary
        .unwrap();
    assert_eq!(
        (
            summary.files_new,
            summary.files_changed,
            summary.files_unmodified
        ),
        (0, 1, 0)
    );
}
