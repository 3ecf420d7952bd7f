//! Stock restic reads ours, and we read what it made.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use crate::common::*;
use vouchsafe_capture::{
    CaptureError, CleanEnd, NoProgress, PointReader, StreamContent, TreePath, Visit,
};
use vouchsafe_format::{Id, NodeKind, unix_mode_from_go};
use vouchsafe_model::Outcome;
use vouchsafe_store::LocalStore;
use vouchsafe_testkit::{Restic, TempDir, tempdir};
use vouchsafe_vault::{Budget, LockKind, Repository, copy};

fn local(dir: &TempDir) -> Arc<LocalStore> {
    Arc::new(LocalStore::create(dir.path().join("repo")).unwrap())
}

fn awkward() -> Vec<Item> {
    let names: [&[u8]; 16] = [
        b"new\nline",
        b"quote\"s",
        b"back\\slash",
        b"not \xff\xfe utf-8",
        b"\xf0\x9f\x8e\x89 party",
        b"line\xe2\x80\xa8separator",
        b"-dash",
        b"<>&",
        b"\x01\x02\x7f",
        b" spaces ",
        b"caf\xc3\xa9",
        b"cafe\xcc\x81",
        b"\\xff",
        b"\xed\xa0\x80",
        b"...",
        &[b'n'; 255],
    ];
    let item = |name: &&[u8]| Item::File(name.to_vec(), Arc::new(name.to_vec()));
    let mut items: Vec<Item> = names.iter().map(item).collect();
    items.push(Item::Link(b"li\nnk".to_vec(), b"not there".to_vec()));
    items.push(Item::Dir(b"d\xffr".to_vec(), vec![file("in", "side")]));
    items
}

fn sizes() -> Vec<Item> {
    let (small, large) = (512 << 10, 8 << 20);
    let of = |n: usize| file(&format!("size-{n}"), noise(n as u64, n));
    [
        0,
        1,
        small - 1,
        small,
        small + 1,
        large - 1,
        large,
        large + 1,
    ]
    .map(of)
    .into()
}

/// Links to names that are not UTF-8 are kept whole since restic 0.16; 0.14 can neither write nor read them.
fn everything(restic: &Restic) -> Vec<Item> {
    let mut awkward = awkward();
    if !restic.version().starts_with("0.14") {
        awkward.push(Item::Link(b"wild".to_vec(), b"not \xff there".to_vec()));
    }
    vec![
        dir("awkward", awkward),
        dir("sizes", sizes()),
        dir("sample", sample()),
    ]
}

/// The files below a directory, like `expected`.
fn on_disk(dir: &Path, above: &str, out: &mut BTreeMap<String, Vec<u8>>) {
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let shown = TreePath::root().join(entry.file_name().as_bytes()).unwrap();
        let path = format!("{above}{shown}");
        let kind = entry.file_type().unwrap();
        let what = if kind.is_dir() {
            on_disk(&entry.path(), &path, out);
            b"dir".to_vec()
        } else if kind.is_symlink() {
            [
                b"-> ",
                std::fs::read_link(entry.path())
                    .unwrap()
                    .as_os_str()
                    .as_bytes(),
            ]
            .concat()
        } else {
            std::fs::read(entry.path()).unwrap()
        };
        out.insert(path, what);
    }
}

/// Both are the same, or the first differences are told.
#[track_caller]
fn assert_same(
    found: &BTreeMap<String, Vec<u8>>,
    wanted: &BTreeMap<String, Vec<u8>>,
    restic: &Restic,
) {
    let short = |bytes: Option<&Vec<u8>>| {
        bytes.map(|b| (b.len(), b[..b.len().min(40)].escape_ascii().to_string()))
    };
    let keys: std::collections::BTreeSet<_> = found.keys().chain(wanted.keys()).collect();
    let differing: Vec<_> = keys
        .into_iter()
        .filter(|key| found.get(*key) != wanted.get(*key))
        .map(|key| (key, short(found.get(key)), short(wanted.get(key))))
        .collect();
    assert!(
        differing.is_empty(),
        "restic {}: (path, found, wanted): {differing:?}",
        restic.version()
    );
}

/// Makes what `items` describe.
fn make(dir: &Path, items: &[Item]) {
    std::fs::create_dir_all(dir).unwrap();
    for item in items {
        let path = |name: &[u8]| dir.join(OsString::from_vec(name.to_vec()));
        match item {
            Item::Dir(name, below) => make(&path(name), below),
            Item::File(name, bytes) | Item::Stream(name, bytes) => {
                std::fs::write(path(name), &**bytes).unwrap()
            }
            Item::Link(name, to) => {
                std::os::unix::fs::symlink(OsString::from_vec(to.clone()), path(name)).unwrap();
            }
            Item::Unreadable(_) | Item::BrokenStream(..) => {}
        }
    }
}

#[test]
fn restic_checks_lists_and_restores_ours() {
    for restic in Restic::both() {
        let home = tempdir().unwrap();
        let repository = create(local(&home));
        let report = back_up(&repository, &everything(&restic)).unwrap();
        let repo = home.path().join("repo");
        let run = |arguments: &[&str]| restic.run(arguments, &repo, PASSWORD).succeeded();
        let check = run(&["check", "--read-data"]);
        assert!(
            check.text().contains("no errors were found"),
            "{}",
            check.text()
        );
        assert!(run(&["snapshots"]).text().contains("testhost"));
        assert!(
            run(&["ls", "latest"])
                .text()
                .contains("/sample/a/deep/text")
        );
        let target = home.path().join("restored");
        run(&[
            "restore",
            &report.snapshot.to_hex(),
            "--target",
            target.to_str().unwrap(),
        ]);
        let mut found = BTreeMap::new();
        on_disk(&target, "", &mut found);
        assert_same(&found, &expected(&everything(&restic)), &restic);
        assert_eq!(
            run(&["dump", "latest", "/sample/dump"]).stdout,
            noise(2, 700_000)
        );
        let stats = run(&["stats", "--mode", "raw-data"]).text();
        assert!(stats.contains("Total Size"), "{stats}");
    }
}

#[test]
fn restic_works_on_in_our_repository_and_we_in_its() {
    for restic in Restic::both() {
        let home = tempdir().unwrap();
        let repository = create(local(&home));
        let ours = back_up(&repository, &everything(&restic)).unwrap();
        let repo = home.path().join("repo");
        let data = home.path().join("data");
        make(&data, &everything(&restic));
        let run = |arguments: &[&str]| {
            restic
                .call(arguments, &repo, PASSWORD)
                .in_dir(&data)
                .run()
                .succeeded()
        };
        run(&["backup", ".", "--parent", &ours.snapshot.to_hex()]);
        run(&["backup", "."]);
        let theirs = repository.snapshots().unwrap().pop().unwrap();
        assert_ne!(theirs.0, ours.snapshot);
        let found = read(&repository.reader(&theirs.0).unwrap()).unwrap();
        assert_same(&found.entries, &expected(&everything(&restic)), &restic);
        // Chunks are cut alike, so almost nothing was added by it, nor is by us.
        let again = back_up_after(&repository, &everything(&restic), Some(theirs.0)).unwrap();
        assert!(again.added_packs.len() <= 1, "{again:?}");
        assert!(
            run(&["check", "--read-data"])
                .text()
                .contains("no errors were found")
        );
        assert_eq!(repository.check(&NoProgress).unwrap().problems, []);
        if restic.version().starts_with("0.14") {
            println!("restic {} has no `rewrite`: not tried", restic.version());
        } else {
            run(&[
                "rewrite",
                "--exclude",
                "/sample/noise",
                &ours.snapshot.to_hex(),
            ]);
            let rewritten = repository.snapshots().unwrap().into_iter();
            let rewritten: Vec<Id> = rewritten
                .filter(|(_, s)| s.original == Some(ours.snapshot))
                .map(|(id, _)| id)
                .collect();
            let found = read(&repository.reader(rewritten.first().unwrap()).unwrap()).unwrap();
            let mut wanted = expected(&everything(&restic));
            wanted.remove("/sample/noise");
            assert_same(&found.entries, &wanted, &restic);
        }
        run(&["forget", "--prune", &theirs.0.to_hex()]);
        assert_eq!(repository.check(&NoProgress).unwrap().problems, []);
        let found = read(&repository.reader(&ours.snapshot).unwrap()).unwrap();
        assert_same(&found.entries, &expected(&everything(&restic)), &restic);
    }
}

#[test]
fn what_restic_made_is_read_with_all_its_metadata() {
    for restic in Restic::both() {
        let home = tempdir().unwrap();
        let (repo, data) = (home.path().join("repo"), home.path().join("data"));
        make(&data, &everything(&restic));
        restic.run(["init"], &repo, PASSWORD).succeeded();
        restic
            .call(["backup", "."], &repo, PASSWORD)
            .in_dir(&data)
            .run()
            .succeeded();
        let repository = open(Arc::new(LocalStore::open(&repo).unwrap()));
        let (snapshot, _) = repository.snapshots().unwrap().pop().unwrap();
        let point = repository.reader(&snapshot).unwrap();
        assert_same(
            &read(&point).unwrap().entries,
            &expected(&everything(&restic)),
            &restic,
        );
        let mut compared = 0;
        point
            .walk(&mut |path, node| {
                let real = std::fs::symlink_metadata(data.join(path.to_relative())).unwrap();
                assert_eq!(unix_mode_from_go(node.mode), real.mode(), "{path}");
                assert_eq!(
                    (node.mtime.secs, i64::from(node.mtime.nanos)),
                    (real.mtime(), real.mtime_nsec()),
                    "{path}"
                );
                assert_eq!(
                    (node.uid, node.gid, node.inode),
                    (real.uid(), real.gid(), real.ino()),
                    "{path}"
                );
                if node.kind == NodeKind::File {
                    assert_eq!(node.size, real.len(), "{path}");
                }
                compared += 1;
                Ok(Visit::Into)
            })
            .unwrap();
        assert_eq!(compared, expected(&everything(&restic)).len());
        assert_eq!(repository.check(&NoProgress).unwrap().problems, []);
        let verified = repository.verify(Budget::All, 1, &NoProgress).unwrap();
        assert!(
            verified.complete && verified.problems.is_empty(),
            "{:?}",
            verified.problems
        );
        // And on: a copy of it into one of ours, which restic checks in its turn.
        let other = tempdir().unwrap();
        let target = create(local(&other));
        let copied = copy(&repository, &target, &snapshot, &NoProgress).unwrap();
        let found = read(&target.reader(&copied.snapshot).unwrap()).unwrap();
        assert_same(&found.entries, &expected(&everything(&restic)), &restic);
        let checked = restic.run(
            ["check", "--read-data"],
            other.path().join("repo"),
            PASSWORD,
        );
        assert!(checked.succeeded().text().contains("no errors were found"));
    }
}

#[test]
fn locks_keep_restic_out_and_let_it_in_again() {
    for restic in Restic::both() {
        let home = tempdir().unwrap();
        let repository = create(local(&home));
        let report = back_up(&repository, &[file("f", "x")]).unwrap();
        let repo = home.path().join("repo");
        let backup = || {
            restic
                .call(["backup", "--stdin"], &repo, PASSWORD)
                .input("input")
                .run()
        };
        let forget = || {
            restic.run(
                ["forget", "--prune", &report.snapshot.to_hex()],
                &repo,
                PASSWORD,
            )
        };
        let lock = repository.lock(LockKind::Exclusive).unwrap();
        assert!(lock.still_held());
        assert!(backup().failed().stderr.contains("locked"));
        drop(lock);
        let lock = repository.lock(LockKind::Shared).unwrap();
        backup().succeeded();
        assert!(forget().failed().stderr.contains("locked"));
        drop(lock);
        forget().succeeded();
    }
}

/// Zeros and noise by turns, made while it is read.
struct Generated {
    left: u64,
    made: u64,
    block: Vec<u8>,
}

const BLOCK: u64 = 1 << 16;

impl Generated {
    fn new(length: u64) -> Generated {
        Generated {
            left: length,
            made: 0,
            block: Vec::new(),
        }
    }
}

impl Read for Generated {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        if self.block.is_empty() {
            let number = self.made / BLOCK;
            let bytes = if number % 64 < 8 {
                vec![0; BLOCK as usize]
            } else {
                noise(number, BLOCK as usize)
            };
            self.block = bytes[..BLOCK.min(self.left) as usize].to_vec();
            self.made += self.block.len() as u64;
            self.left -= self.block.len() as u64;
        }
        let count = buf.len().min(self.block.len());
        buf[..count].copy_from_slice(&self.block[..count]);
        self.block.drain(..count);
        Ok(count)
    }
}

impl StreamContent for Generated {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        Read::read(self, buf)
    }
    fn finish(self: Box<Self>) -> Result<CleanEnd, CaptureError> {
        CleanEnd::of_length("generated", self.made, self.made)
    }
}

#[test]
fn a_long_stream_comes_back_and_restic_agrees() {
    const LENGTH: u64 = (200 << 20) + 12_345;
    let home = tempdir().unwrap();
    let repository = create(local(&home));
    let report = repository.backup(&backup_options(), &NoProgress, |sink| {
        sink.stream(
            node(b"dump", NodeKind::File, 0),
            Box::new(Generated::new(LENGTH)),
        )
    });
    let ((), report) = report.unwrap();
    assert_eq!((report.bytes_read, report.outcome), (LENGTH, Outcome::Done));
    let again = open(Arc::new(
        LocalStore::open(home.path().join("repo")).unwrap(),
    ));
    let point = again.reader(&report.snapshot).unwrap();
    let mut found = None;
    point
        .walk(&mut |_, node| {
            found = Some(node.clone());
            Ok(Visit::Stop)
        })
        .unwrap();
    let found = found.unwrap();
    assert_eq!(found.size, LENGTH);
    let (mut stored, mut wanted) = (point.open(&found).unwrap(), Generated::new(LENGTH));
    let (mut a, mut b) = (vec![0; BLOCK as usize], vec![0; BLOCK as usize]);
    let mut left = LENGTH;
    while left > 0 {
        let count = left.min(BLOCK) as usize;
        stored.read_exact(&mut a[..count]).unwrap();
        Read::read_exact(&mut wanted, &mut b[..count]).unwrap();
        assert!(a[..count] == b[..count], "{left} bytes before the end");
        left -= count as u64;
    }
    assert_eq!(stored.read(&mut a).unwrap(), 0);
    let check = Restic::newest()
        .run(["check", "--read-data"], home.path().join("repo"), PASSWORD)
        .succeeded();
    assert!(check.text().contains("no errors were found"));
}

#[test]
fn restic_refuses_nothing_that_we_opened_by_a_second_key() {
    let home = tempdir().unwrap();
    let repository = create(local(&home));
    back_up(&repository, &[file("f", "x")]).unwrap();
    let second = vouchsafe_model::Secret::new(b"another".to_vec());
    repository.add_key(&second, Some(KDF)).unwrap();
    let repo = home.path().join("repo");
    for restic in Restic::both() {
        restic.run(["snapshots"], &repo, "another").succeeded();
        assert!(
            restic
                .run(["key", "list"], &repo, "another")
                .succeeded()
                .text()
                .contains("testhost")
        );
        restic.run(["snapshots"], &repo, "neither").failed();
    }
    let strong = vouchsafe_model::Secret::new(b"strong".to_vec());
    repository.add_key(&strong, None).unwrap();
    Restic::oldest()
        .run(["snapshots"], &repo, "strong")
        .succeeded();
    Repository::open(
        Arc::new(LocalStore::open(&repo).unwrap()),
        &real_env(),
        &strong,
    )
    .unwrap();
}
