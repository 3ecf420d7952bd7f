//! Looking into snapshots: which is meant, what is found, what differs, and content handed out in order.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use crate::common::*;
use vouchsafe_capture::{NoProgress, Sink, TreePath};
use vouchsafe_format::{
    Id, Node, NodeKind, Timestamp, Xattr, decode_index, decode_unpacked, open_key_file,
};
use vouchsafe_store::{Damage, Key, Overlay, Store, list_all};
use vouchsafe_testkit::tempdir;
use vouchsafe_vault::{
    ChangeKind, DumpError, FindReport, LookupError, RepoError, Repository, SelectError,
};

/// Why a search or a comparison ended; shown by a test that fails.
#[derive(Debug)]
struct Failed(#[allow(dead_code)] String);

impl From<RepoError> for Failed {
    fn from(error: RepoError) -> Failed {
        Failed(error.to_string())
    }
}

impl From<LookupError> for Failed {
    fn from(error: LookupError) -> Failed {
        Failed(error.to_string())
    }
}

fn path(text: &str) -> TreePath {
    TreePath::parse(text.as_bytes()).unwrap()
}

/// The same repository, in which this blob has a flipped byte.
fn without(store: &Arc<dyn Store>, blob: &Id) -> Repository {
    let (key_file, _) = list_all(&**store, "keys/").unwrap().remove(0);
    let key = open_key_file(&store.get(&key_file).unwrap(), PASSWORD.as_bytes()).unwrap();
    let overlay = Arc::new(Overlay::new(store.clone()));
    let mut broken = 0;
    for (file, _) in list_all(&**store, "index/").unwrap() {
        let plaintext = key.open(&store.get(&file).unwrap()).unwrap();
        for pack in decode_index(&decode_unpacked(&plaintext).unwrap()).unwrap() {
            for found in pack.blobs.iter().filter(|found| found.id == *blob) {
                let hex = pack.id.to_hex();
                let pack = Key::new(format!("data/{}/{hex}", &hex[..2])).unwrap();
                let at = u64::from(found.offset) + 20;
                overlay
                    .damage(&pack, Damage::FlipByte { offset: at })
                    .unwrap();
                broken += 1;
            }
        }
    }
    assert_eq!(broken, 1, "the blob is not there once");
    open(overlay)
}

fn node_at(repository: &Repository, snapshot: &Id, place: &str) -> Node {
    let point = repository.reader(snapshot).unwrap();
    point.locate(&path(place)).unwrap().1
}

#[test]
fn a_snapshot_is_meant_by_the_beginning_of_its_id() {
    let repository = create(memory());
    assert!(matches!(
        repository.newest_snapshot(|_| true),
        Err(SelectError::Empty { .. })
    ));
    // Of 17 ids two begin with the same digit.
    let ids: Vec<Id> = (0..17u8)
        .map(|n| back_up(&repository, &[file("f", [n])]).unwrap().snapshot)
        .collect();
    for id in &ids {
        let hex = id.to_hex();
        assert_eq!(repository.snapshot_by_prefix(&hex).unwrap(), *id);
        let upper = hex[..16].to_uppercase();
        assert_eq!(repository.snapshot_by_prefix(&upper).unwrap(), *id);
    }
    let digits = "0123456789abcdef".chars();
    let ambiguous = digits
        .filter_map(|c| match repository.snapshot_by_prefix(&c.to_string()) {
            Err(SelectError::Ambiguous { candidates, .. }) => Some(candidates),
            _ => None,
        })
        .collect::<Vec<_>>();
    assert!(!ambiguous.is_empty());
    let named = |id: &Id| ambiguous.iter().any(|c| c.contains(&id.to_hex()[..12]));
    assert!(ids.iter().filter(|id| named(id)).count() >= 2);
    for unknown in ["", "latest", "xyz", &"0".repeat(64)] {
        assert!(
            matches!(
                repository.snapshot_by_prefix(unknown),
                Err(SelectError::Unknown { .. })
            ),
            "{unknown}"
        );
    }
}

fn three_snapshots(repository: &Repository) -> Vec<(Id, Id)> {
    let items = |changed: &str| {
        vec![
            dir(
                "same",
                vec![
                    dir("deep", vec![file("needle.txt", "x"), file("hay", "y")]),
                    dir("nothing", vec![file("hay", "z")]),
                ],
            ),
            dir("changed", vec![file(changed, changed)]),
        ]
    };
    ["a", "b", "needle.c"]
        .iter()
        .map(|name| {
            let report = back_up(repository, &items(name)).unwrap();
            (report.snapshot, report.tree)
        })
        .collect()
}

fn found(
    repository: &Repository,
    snapshots: &[(Id, Id)],
    by_path: bool,
) -> (Vec<(Id, String)>, FindReport) {
    let mut hits = Vec::new();
    let report = repository
        .find::<Failed>(
            snapshots,
            by_path,
            &|_, node| node.name.starts_with(b"needle"),
            &mut |hit| {
                hits.push((hit.snapshot, hit.path.to_string()));
                Ok(())
            },
        )
        .unwrap();
    (hits, report)
}

#[test]
fn what_is_looked_for_is_found_in_every_snapshot_and_each_directory_read_once() {
    let store: Arc<dyn Store> = memory();
    let repository = create(store.clone());
    let snapshots = three_snapshots(&repository);
    let wanted: Vec<(Id, String)> = [
        (0, "/same/deep/needle.txt"),
        (1, "/same/deep/needle.txt"),
        (2, "/changed/needle.c"),
        (2, "/same/deep/needle.txt"),
    ]
    .map(|(n, path)| (snapshots[n].0, path.to_owned()))
    .into();
    for by_path in [false, true] {
        let (hits, report) = found(&repository, &snapshots, by_path);
        assert_eq!(hits, wanted);
        assert_eq!(report.hits, 4);
        assert_eq!(report.issues, []);
        // Three roots, three times `changed`, and `same`, `deep` and `nothing` once.
        assert_eq!(report.directories, 9);
    }
    let deep = node_at(&repository, &snapshots[0].0, "same/deep");
    let twin = without(&store, &deep.subtree.unwrap());
    let (hits, report) = found(&twin, &snapshots, false);
    assert_eq!(hits, [(snapshots[2].0, "/changed/needle.c".to_owned())]);
    assert_eq!(report.issues.len(), 1, "{:?}", report.issues);
    assert_eq!(report.issues[0].place, "/same/deep");
}

type Changes = BTreeMap<String, ChangeKind>;

fn differences(
    repository: &Repository,
    ids: [Id; 2],
    below: &str,
    metadata: bool,
) -> (Changes, vouchsafe_vault::DiffReport) {
    let [old, new] = ids.map(|id| repository.reader(&id).unwrap());
    let mut out = Changes::new();
    let report = old
        .diff::<Failed>(&new, &path(below), metadata, &mut |change| {
            out.insert(change.path.to_string(), change.kind);
            Ok(())
        })
        .unwrap();
    (out, report)
}

fn before_and_after(repository: &Repository) -> [Id; 2] {
    let big = noise(5, 4 << 20);
    let mut grown = big.clone();
    grown.extend(noise(6, 100_000));
    let before = vec![
        dir("gone", vec![file("one", "1"), file("two", "22")]),
        dir("same", vec![dir("deep", vec![file("f", "f")])]),
        file("big", big),
        Item::Link(b"link".to_vec(), b"here".to_vec()),
        dir("was-dir", vec![file("in", "333")]),
    ];
    let after = vec![
        dir("new", vec![file("one", "4444")]),
        dir("same", vec![dir("deep", vec![file("f", "f")])]),
        file("big", grown),
        Item::Link(b"link".to_vec(), b"there".to_vec()),
        file("was-dir", "55555"),
    ];
    [before, after].map(|items| back_up(repository, &items).unwrap().snapshot)
}

#[test]
fn each_difference_is_told_with_its_kind_and_its_bytes() {
    use ChangeKind::{Added, Modified, Removed, Type};
    let store: Arc<dyn Store> = memory();
    // Where the grown file is cut decides how many of its bytes are new.
    let fixed = vouchsafe_vault::CreateOptions {
        id: None,
        polynomial: Some(vouchsafe_format::Polynomial::from_bits(0x3D_A335_8B4D_C173)),
        ..options()
    };
    let repository = Repository::create(store, &real_env(), &secret(), &fixed).unwrap();
    let ids = before_and_after(&repository);
    let wanted: Changes = [
        ("/gone", Removed),
        ("/gone/one", Removed),
        ("/gone/two", Removed),
        ("/new", Added),
        ("/new/one", Added),
        ("/big", Modified),
        ("/link", Modified),
        ("/was-dir", Type),
        ("/was-dir/in", Removed),
    ]
    .map(|(path, kind)| (path.to_owned(), kind))
    .into();
    let (changes, report) = differences(&repository, ids, "", false);
    assert_eq!(changes, wanted);
    assert_eq!((report.added, report.removed), (2, 4));
    assert_eq!((report.modified, report.type_changed), (2, 1));
    // Only the last chunks of the grown file are new, not its 4 MiB.
    assert!(report.bytes_added > 100_000 + 4 + 5);
    assert!(report.bytes_added < 3 << 20, "{}", report.bytes_added);
    assert!(report.bytes_removed >= 1 + 2 + 3);
    let (below, _) = differences(&repository, ids, "new", false);
    assert_eq!(below.len(), 2);
    let (none, report) = differences(&repository, [ids[0]; 2], "", true);
    assert_eq!((none.len(), report), (0, Default::default()));
}

#[test]
fn equal_subtrees_are_not_read_and_unreadable_ones_are_said() {
    let store: Arc<dyn Store> = memory();
    let repository = create(store.clone());
    let ids = before_and_after(&repository);
    let (whole, sound) = differences(&repository, ids, "", false);
    let same = node_at(&repository, &ids[0], "same").subtree.unwrap();
    assert_eq!(
        differences(&without(&store, &same), ids, "", false),
        (whole.clone(), sound)
    );
    let gone = node_at(&repository, &ids[0], "gone").subtree.unwrap();
    let (changes, report) = differences(&without(&store, &gone), ids, "", false);
    assert_eq!(changes.len(), whole.len() - 2);
    assert_eq!(report.issues.len(), 1);
    assert_eq!(report.issues[0].place, "/gone");
}

#[test]
fn metadata_alone_is_told_if_asked_for() {
    let repository = create(memory());
    let with_mode = |mode: u32| {
        let taken = repository.backup(&backup_options(), &NoProgress, |sink: &mut dyn Sink| {
            sink.entry(Node {
                mode,
                ..node(b"pipe", NodeKind::Fifo, 0)
            })
        });
        taken.unwrap().1.snapshot
    };
    let ids = [with_mode(0o600), with_mode(0o644)];
    assert_eq!(differences(&repository, ids, "", false).0, Changes::new());
    let (changes, report) = differences(&repository, ids, "", true);
    assert_eq!(changes["/pipe"], ChangeKind::Metadata);
    assert_eq!((report.metadata, report.bytes_added), (1, 0));
}

#[test]
fn a_file_is_handed_out_in_order_and_only_what_is_right() {
    let store: Arc<dyn Store> = memory();
    let repository = create(store.clone());
    let bytes = noise(9, 45 << 20);
    let items = [dir(
        "d",
        vec![file("big", bytes.clone()), file("empty", "")],
    )];
    let snapshot = back_up(&repository, &items).unwrap().snapshot;
    let dump = |repository: &Repository, place: &str| {
        let mut out = Vec::new();
        let point = repository.reader(&snapshot).unwrap();
        let done = point.dump_file(&path(place), &mut out);
        (done, out)
    };
    let (done, out) = dump(&repository, "d/big");
    assert_eq!(done.unwrap(), bytes.len() as u64);
    assert!(out == bytes, "other bytes than those that were stored");
    assert_eq!(dump(&repository, "/d/empty").1, b"");
    assert!(matches!(
        dump(&repository, "d").0,
        Err(DumpError::NoContent { .. })
    ));
    assert!(matches!(
        dump(&repository, "d/none").0,
        Err(DumpError::Lookup(LookupError::Absent { .. }))
    ));
    let big = node_at(&repository, &snapshot, "d/big").content.unwrap();
    let (done, out) = dump(&without(&store, big.last().unwrap()), "d/big");
    match done {
        Err(DumpError::Broken { issue }) => assert_eq!(issue.place, "/d/big"),
        other => panic!("{other:?}"),
    }
    assert!(!out.is_empty() && bytes.starts_with(&out));
}

/// What GNU tar makes of an archive.
fn unpack(archive: &[u8], to: &Path) {
    fs::create_dir_all(to).unwrap();
    let mut tar = Command::new("tar")
        .args(["-x", "-p", "--numeric-owner", "--no-same-owner", "-C"])
        .arg(to)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut tar.stdin.take().unwrap(), archive).unwrap();
    let out = tar.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && said.is_empty(), "{said}");
}

fn archive(
    repository: &Repository,
    snapshot: &Id,
    place: &str,
) -> (Vec<u8>, Vec<(String, String)>) {
    let mut out = Vec::new();
    let point = repository.reader(snapshot).unwrap();
    let report = point.archive(&path(place), &mut out).unwrap();
    let issues = report.issues.into_iter().map(|i| (i.place, i.message));
    (out, issues.collect())
}

#[test]
fn a_tree_becomes_an_archive_that_tar_unpacks() {
    let repository = create(memory());
    let deep = "d".repeat(90);
    let long = "n".repeat(200);
    let target = "t".repeat(300);
    let linked = |name: &[u8]| Node {
        links: 2,
        inode: 77,
        device_id: 5,
        mtime: Timestamp::utc(1_600_000_000, 987_654_321),
        extended_attributes: vec![Xattr {
            name: b"user.note".to_vec(),
            value: b"a\0b\n".to_vec(),
        }],
        ..file_node(name, b"shared")
    };
    let taken = repository.backup(&backup_options(), &NoProgress, |sink: &mut dyn Sink| {
        fill(sink, &sample())?;
        sink.enter(node(deep.as_bytes(), NodeKind::Dir, 0))?;
        fill(
            sink,
            &[
                file(&long, "long"),
                Item::Link(b"far".to_vec(), target.clone().into()),
            ],
        )?;
        for name in [&b"one"[..], b"two"] {
            let bytes = Item::File(name.to_vec(), Arc::new(b"shared".to_vec()));
            let Item::File(_, content) = &bytes else {
                unreachable!()
            };
            sink.file(linked(name), content_of(content))?;
        }
        sink.entry(Node {
            mode: 0o640,
            ..node(b"pipe", NodeKind::Fifo, 0)
        })?;
        sink.leave()
    });
    let snapshot = taken.unwrap().1.snapshot;
    let (bytes, issues) = archive(&repository, &snapshot, "");
    assert_eq!(issues, []);
    let dir = tempdir().unwrap();
    unpack(&bytes, dir.path());
    for (place, content) in expected(&sample()) {
        // The name that is not UTF-8 is looked at below.
        if place.contains("\\xff") {
            continue;
        }
        let at = dir.path().join(place.trim_start_matches('/'));
        let found = match fs::symlink_metadata(&at).unwrap() {
            meta if meta.is_dir() => b"dir".to_vec(),
            meta if meta.is_symlink() => {
                format!("-> {}", fs::read_link(&at).unwrap().display()).into_bytes()
            }
            _ => fs::read(&at).unwrap(),
        };
        assert!(found == content, "{place}");
    }
    use std::os::unix::ffi::OsStrExt;
    let odd = std::ffi::OsStr::from_bytes(b"not \xff utf-8");
    assert_eq!(fs::read(dir.path().join(odd)).unwrap(), b"bytes");
    let below = dir.path().join(&deep);
    assert_eq!(fs::read(below.join(&long)).unwrap(), b"long");
    assert_eq!(
        fs::read_link(below.join("far")).unwrap(),
        Path::new(&target)
    );
    let [one, two] = ["one", "two"].map(|name| fs::metadata(below.join(name)).unwrap());
    assert_eq!(one.ino(), two.ino());
    assert_eq!(
        (one.mtime(), one.mtime_nsec()),
        (1_600_000_000, 987_654_321)
    );
    assert_eq!(
        fs::symlink_metadata(below.join("pipe")).unwrap().mode() & 0o777,
        0o640
    );
    // The value itself has a newline at its end.
    let record = b"31 SCHILY.xattr.user.note=a\0b\n\n";
    assert!(bytes.windows(record.len()).any(|window| window == record));
    // A part of it has its names below that part; a single file its own.
    let (part, _) = archive(&repository, &snapshot, "a");
    unpack(&part, &dir.path().join("part"));
    assert!(dir.path().join("part/deep/text").is_file());
    let (single, _) = archive(&repository, &snapshot, "a/one");
    unpack(&single, &dir.path().join("single"));
    assert_eq!(fs::read(dir.path().join("single/one")).unwrap(), b"x");
}

fn content_of(bytes: &Arc<Vec<u8>>) -> Box<dyn vouchsafe_capture::Content> {
    Box::new(Held(bytes.clone()))
}

struct Held(Arc<Vec<u8>>);

impl vouchsafe_capture::Content for Held {
    fn open(&mut self) -> Result<Box<dyn std::io::Read + Send>, vouchsafe_capture::CaptureError> {
        Ok(Box::new(std::io::Cursor::new(self.0.to_vec())))
    }
}

#[test]
fn a_broken_chunk_names_its_file_and_the_rest_is_in_the_archive() {
    let store: Arc<dyn Store> = memory();
    let repository = create(store.clone());
    let items = [
        file("a-large", noise(11, 40 << 20)),
        file("b-small", noise(12, 3000)),
        file("c-other", "whole"),
        dir("d", vec![file("hidden", "h")]),
        file("e-last", "whole too"),
    ];
    let snapshot = back_up(&repository, &items).unwrap().snapshot;
    let broken = |place: &str, last: bool| {
        let node = node_at(&repository, &snapshot, place);
        let content = node.content.unwrap_or_default();
        let blob = node.subtree.or(if last {
            content.last().copied()
        } else {
            content.first().copied()
        });
        let (bytes, issues) = archive(&without(&store, &blob.unwrap()), &snapshot, "");
        let dir = tempdir().unwrap();
        unpack(&bytes, dir.path());
        assert_eq!(issues.len(), 1, "{issues:?}");
        assert_eq!(issues[0].0, format!("/{place}"));
        assert_eq!(fs::read(dir.path().join("c-other")).unwrap(), b"whole");
        assert_eq!(fs::read(dir.path().join("e-last")).unwrap(), b"whole too");
        dir
    };
    let dir = broken("b-small", true);
    assert!(!dir.path().join("b-small").exists());
    let dir = broken("d", true);
    assert!(!dir.path().join("d/hidden").exists());
    // A part of it was on its way when the damage showed: no half of it is left.
    let dir = broken("a-large", true);
    assert_eq!(fs::metadata(dir.path().join("a-large")).unwrap().len(), 0);
}
