//! The index in memory and in a file answer alike, and damage to the file is seen.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proptest::prelude::*;
use vouchsafe_host::Interrupt;
use vouchsafe_host::files::{self, TempDir};

use super::*;

/// Files, packs and blobs are few, so that all of them collide.
#[derive(Clone, Debug)]
struct Listed {
    file: u8,
    pack: u8,
    blobs: Vec<(u8, bool, u8)>,
}

fn listed() -> impl Strategy<Value = Listed> {
    let blobs = prop::collection::vec((0..40_u8, any::<bool>(), 0..30_u8), 0..12);
    (0..9_u8, 0..12_u8, blobs).prop_map(|(file, pack, blobs)| Listed { file, pack, blobs })
}

fn id(name: &str, number: u8) -> Id {
    // Some ids share their beginnings.
    let mut bytes = *Id::of(format!("{name}{}", number / 2).as_bytes()).as_bytes();
    bytes[31] = number;
    Id::from_bytes(bytes)
}

fn blob((name, tree, offset): (u8, bool, u8)) -> PackedBlob {
    PackedBlob {
        id: id("blob", name),
        kind: if tree { BlobKind::Tree } else { BlobKind::Data },
        offset: u32::from(offset) * 100,
        length: 40 + u32::from(name % 3),
        uncompressed_length: (name % 2 == 0).then_some(7),
    }
}

/// What each file lists; no file has two contents.
fn to_files(round: u8, all: &[Listed]) -> BTreeMap<Id, Vec<IndexPack>> {
    let mut out: BTreeMap<Id, Vec<IndexPack>> = BTreeMap::new();
    for one in all {
        out.entry(id("file", one.file + round * 100))
            .or_default()
            .push(IndexPack {
                id: id("pack", one.pack),
                blobs: one.blobs.iter().copied().map(blob).collect(),
            });
    }
    out
}

fn room(directory: &Path, entries: usize) -> Room {
    interruptible_room(directory, entries, Interrupt::manual())
}

fn interruptible_room(directory: &Path, entries: usize, interrupt: Interrupt) -> Room {
    Room {
        entries,
        entries_beside: entries,
        scratch: Scratch::to_publish_in(directory, interrupt),
        repository: id("repository", 0),
    }
}

/// Adds the files; what was made is published as `index` in the directory.
fn add(
    index: BlobIndex,
    files: &BTreeMap<Id, Vec<IndexPack>>,
    directory: &Path,
    entries: usize,
) -> BlobIndex {
    let mut builder = IndexBuilder::new(Arc::new(index), Some(room(directory, entries)));
    for (file, packs) in files {
        builder.add(*file, packs.clone()).unwrap();
    }
    let (index, file) = builder.finish().unwrap();
    if let Some(file) = file {
        file.publish(directory.join("index")).unwrap();
    }
    index
}

fn reopen(directory: &Path) -> Result<Option<BlobIndex>, IndexFileError> {
    BlobIndex::open(&directory.join("index"), &id("repository", 0))
}

type Entry = (Id, u32, Id, bool, u32, Option<u32>);

/// Everything that an index can be asked for, without the numbers of packs and entries.
fn everything(index: &BlobIndex) -> BTreeSet<Entry> {
    let mut out = BTreeSet::new();
    for number in 0..40 {
        for kind in [BlobKind::Data, BlobKind::Tree] {
            let blob = id("blob", number);
            let places: Vec<Place> = index.places(kind, &blob).collect();
            assert_eq!(index.contains(kind, &blob), !places.is_empty());
            assert_eq!(index.place(kind, &blob), places.first().copied());
            for place in places {
                assert_eq!(index.pack_number(&place.pack), Some(place.number));
                let pack = index.pack(place.number).unwrap();
                assert_eq!(pack.bytes, index.pack_bytes(place.number));
                assert!(pack.blobs.iter().any(|b| b.id == blob && b.kind == kind));
                out.insert((
                    place.pack,
                    place.offset,
                    blob,
                    kind == BlobKind::Tree,
                    place.length,
                    place.uncompressed_length,
                ));
            }
        }
    }
    out
}

/// All packs with their bytes and blobs.
fn packs(index: &BlobIndex) -> BTreeMap<Id, (u64, Vec<PackedBlob>)> {
    let by_pack = index.by_pack();
    assert_eq!(by_pack.len(), index.packs().len());
    let out: BTreeMap<_, _> = index
        .packs()
        .zip(by_pack.iter().cloned())
        .map(|((id, bytes), (same, blobs))| {
            assert_eq!(id, same);
            (id, (bytes, blobs))
        })
        .collect();
    assert_eq!(out.len(), by_pack.len(), "a pack is listed twice");
    out
}

/// Entries are visited in the order of their numbers, each with the number of its blob's first one.
fn check_numbers(index: &BlobIndex) {
    let mut seen: Vec<(Id, BlobKind)> = Vec::new();
    let visited = index.visit(|entry, first, pack, blob| {
        assert_eq!(entry, seen.len() as u64);
        seen.push((blob.id, blob.kind));
        assert_eq!(seen[first as usize], (blob.id, blob.kind));
        assert_eq!(index.position(blob.kind, &blob.id), Some(first));
        assert!(index.pack(pack).unwrap().blobs.contains(&blob));
    });
    visited.unwrap();
    assert_eq!(seen.len(), index.len());
}

fn assert_alike(found: &BlobIndex, expected: &BlobIndex) {
    assert_eq!(found.files(), expected.files());
    assert_eq!(found.len(), expected.len());
    assert_eq!(everything(found), everything(expected));
    assert_eq!(packs(found), packs(expected));
    check_numbers(found);
    assert!(found.trouble().is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Whatever is listed, in one go or bit by bit, with blobs and packs that come several times.
    #[test]
    fn memory_and_file_answer_alike(
        first in prop::collection::vec(listed(), 0..25),
        then in prop::collection::vec(listed(), 0..10),
        entries in 0..60_usize,
    ) {
        let (first, then) = (to_files(0, &first), to_files(1, &then));
        let expected = BlobIndex::default().with(first.clone()).with(then.clone());
        let whole: BTreeMap<_, _> = then.clone().into_iter().chain(first.clone()).collect();
        assert_alike(&expected, &BlobIndex::default().with(whole));
        check_numbers(&expected);

        let directory = files::temp_dir("index").unwrap();
        let built = add(BlobIndex::default(), &first, directory.path(), entries);
        assert_alike(&built, &BlobIndex::default().with(first.clone()));
        // The file as the next process finds it, and what has come since.
        let base = reopen(directory.path()).unwrap().unwrap_or_default();
        if !base.files().is_empty() {
            assert_alike(&base, &built);
        }
        let missing = first.into_iter().chain(then.clone()).filter(|(file, _)| !base.files().contains(file));
        let missing: BTreeMap<_, _> = missing.collect();
        for few in [entries, 0] {
            let grown = add(base.clone(), &missing, directory.path(), few);
            assert_alike(&grown, &expected);
        }
        assert_alike(&add(built, &then, directory.path(), entries), &expected);
    }
}

/// An index with several pages of everything, in a file.
fn large(directory: &TempDir) -> BlobIndex {
    let blobs = |pack: u32| {
        (0..100).map(move |at| PackedBlob {
            id: Id::of(format!("{pack}/{at}").as_bytes()),
            kind: BlobKind::Data,
            offset: at * 50,
            length: 50,
            uncompressed_length: None,
        })
    };
    let packs = |from: u32| {
        (from..from + 12).map(|pack| IndexPack {
            id: id("pack", pack as u8),
            blobs: blobs(pack).collect(),
        })
    };
    let all = (0..4).map(|file| (id("file", file), packs(u32::from(file) * 12).collect()));
    add(BlobIndex::default(), &all.collect(), directory.path(), 0)
}

#[test]
fn many_readers_find_all_at_once() {
    let directory = files::temp_dir("index").unwrap();
    let index = large(&directory);
    assert_eq!((index.len(), index.pack_count()), (4_800, 48));
    let all = index.by_pack();
    std::thread::scope(|scope| {
        for turn in 0..4 {
            let (index, all) = (&index, &all);
            scope.spawn(move || {
                for (pack, blobs) in all.iter().cycle().skip(turn * 12).take(all.len()) {
                    for blob in blobs {
                        let place = index.place(blob.kind, &blob.id).unwrap();
                        assert_eq!((place.pack, place.offset), (*pack, blob.offset));
                        let other = Id::of(blob.id.as_bytes());
                        assert!(!index.contains(blob.kind, &other));
                    }
                }
            });
        }
    });
    assert!(index.trouble().is_none());
}

/// Without waiting for the disk.
fn replace(path: &Path, bytes: &[u8]) {
    files::remove_file(path).unwrap();
    let mut file = files::create_new(path, 0o600).unwrap();
    std::io::Write::write_all(&mut file, bytes).unwrap();
}

#[test]
fn no_damaged_byte_is_believed() {
    let directory = files::temp_dir("index").unwrap();
    let good = large(&directory);
    let path = directory.path().join("index");
    let bytes = files::read(&path, 1 << 30).unwrap();
    let some: Vec<Id> = (0..48_u32)
        .map(|n| Id::of(format!("{n}/{}", n % 100).as_bytes()))
        .collect();
    let expected: Vec<_> = some
        .iter()
        .map(|id| good.place(BlobKind::Data, id))
        .collect();
    let mut seen = 0;
    // A step that hits each page, and each place in pages.
    for at in (0..bytes.len()).step_by(509) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        replace(&path, &damaged);
        let Ok(Some(index)) = reopen(directory.path()) else {
            seen += 1;
            continue;
        };
        for (id, expected) in some.iter().zip(&expected) {
            let found = index.place(BlobKind::Data, id);
            // What could not be read is absent, with a reason; nothing is ever elsewhere or too much.
            assert!(found == *expected || found.is_none() && index.trouble().is_some());
        }
        let listed = index.by_pack();
        assert!(listed == good.by_pack() || index.trouble().is_some());
        let mut shown = 0;
        let whole = index.visit(|_, _, _, _| shown += 1).is_ok();
        assert_eq!(whole, index.trouble().is_none());
        assert!(shown == good.len() || !whole);
        seen += u32::from(index.trouble().is_some());
    }
    assert!(seen > 400, "only {seen} damages were seen");
}

#[test]
fn a_cut_or_foreign_file_is_not_opened() {
    let directory = files::temp_dir("index").unwrap();
    let index = large(&directory);
    let path = directory.path().join("index");
    let bytes = files::read(&path, 1 << 30).unwrap();
    assert_eq!(
        reopen(directory.path()).unwrap().unwrap().files(),
        index.files()
    );
    assert!(
        BlobIndex::open(&path, &id("repository", 1))
            .unwrap()
            .is_none()
    );
    for length in [0, 1, 4_095, 4_096, 40_000, bytes.len() - 1] {
        files::write_atomic(&path, &bytes[..length], 0o600).unwrap();
        assert!(reopen(directory.path()).is_err(), "{length}");
    }
    let longer = [bytes.as_slice(), &[0; 4_096]].concat();
    files::write_atomic(&path, &longer, 0o600).unwrap();
    assert!(reopen(directory.path()).is_err());
    files::remove_file(&path).unwrap();
    assert!(reopen(directory.path()).unwrap().is_none());
}

#[test]
fn a_build_that_breaks_off_leaves_the_old_file() {
    let directory = files::temp_dir("index").unwrap();
    let index = large(&directory);
    let more = BTreeMap::from([(
        id("file", 9),
        vec![IndexPack {
            id: id("pack", 250),
            blobs: vec![blob((1, false, 0))],
        }],
    )]);
    let mut builder = IndexBuilder::new(Arc::new(index.clone()), Some(room(directory.path(), 0)));
    for (file, packs) in more {
        builder.add(file, packs).unwrap();
    }
    drop(builder);
    assert_eq!(files::list_dir(directory.path()).unwrap(), ["index"]);
    assert_alike_files(&reopen(directory.path()).unwrap().unwrap(), &index);
}

#[test]
fn a_build_ends_when_it_is_told_to() {
    let directory = files::temp_dir("index").unwrap();
    let index = large(&directory);
    let interrupt = Interrupt::manual();
    let room = interruptible_room(directory.path(), 0, interrupt.clone());
    let mut builder = IndexBuilder::new(Arc::new(index), Some(room));
    let one = IndexPack {
        id: id("pack", 250),
        blobs: vec![blob((1, false, 0))],
    };
    builder.add(id("file", 9), vec![one]).unwrap();
    interrupt.raise();
    let error = builder.finish().unwrap_err();
    assert!(error.to_string().contains("interrupted"), "{error}");
    assert_eq!(files::list_dir(directory.path()).unwrap(), ["index"]);
}

fn assert_alike_files(found: &BlobIndex, expected: &BlobIndex) {
    assert_eq!(found.files(), expected.files());
    assert_eq!(packs(found), packs(expected));
}

#[test]
fn a_packs_size_follows_from_its_blobs() {
    use vouchsafe_format::{MasterKey, PackWriter, seal_blob};
    let key = MasterKey::from_random([7; 64]).unwrap();
    let mut pack = PackWriter::new(BlobKind::Tree);
    for text in [b"hello".as_slice(), b"world"] {
        let sealed = seal_blob(&key, [1; 16], BlobKind::Tree, text, None).unwrap();
        pack.add(Id::of(text), &sealed.bytes, sealed.uncompressed_length)
            .unwrap();
    }
    let pack = pack.finish(&key, [2; 16]).unwrap();
    let listed = IndexPack {
        id: pack.id,
        blobs: pack.blobs,
    };
    let index = BlobIndex::default().with([(Id::of(b"i"), vec![listed])]);
    assert_eq!(
        index.packs().collect::<Vec<_>>(),
        [(pack.id, pack.bytes.len() as u64)]
    );
}
