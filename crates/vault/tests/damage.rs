//! Damaged twins of a sound repository: each damage has its named problem, and never wrong bytes.

use std::sync::Arc;

use crate::common::*;
use vouchsafe_capture::NoProgress;
use vouchsafe_format::{
    BlobKind, Id, IndexPack, MasterKey, PackedBlob, decode_index, decode_unpacked, encode_index,
    encode_unpacked, open_key_file,
};
use vouchsafe_model::Issue;
use vouchsafe_store::{Damage, Key, Overlay, PutMode, Store, list_all};
use vouchsafe_vault::{Budget, OpenError, ReadBack, RepoError, Repository, copy};

struct Twin {
    base: Arc<dyn Store>,
    twin: Arc<Overlay>,
    snapshot: Id,
    packs: Vec<Id>,
    key: MasterKey,
    index: Vec<IndexPack>,
}

/// A sound repository and a twin that can be damaged.
fn twin() -> Twin {
    let base: Arc<dyn Store> = memory();
    let report = back_up(&create(base.clone()), &sample()).unwrap();
    let (key_file, _) = list_all(&*base, "keys/").unwrap().remove(0);
    let key = open_key_file(&base.get(&key_file).unwrap(), PASSWORD.as_bytes()).unwrap();
    let (index_file, _) = list_all(&*base, "index/").unwrap().remove(0);
    let plaintext = key.open(&base.get(&index_file).unwrap()).unwrap();
    let index = decode_index(&decode_unpacked(&plaintext).unwrap()).unwrap();
    let twin = Arc::new(Overlay::new(base.clone()));
    Twin {
        base,
        twin,
        snapshot: report.snapshot,
        packs: report.added_packs,
        key,
        index,
    }
}

impl Twin {
    fn repository(&self) -> Repository {
        open(self.twin.clone())
    }

    fn pack(&self, kind: BlobKind) -> (Id, Vec<PackedBlob>) {
        let pack = self
            .index
            .iter()
            .find(|pack| pack.blobs[0].kind == kind)
            .unwrap();
        (pack.id, pack.blobs.clone())
    }

    fn damage(&self, key: &Key, damage: Damage) {
        self.twin.damage(key, damage).unwrap();
    }

    fn must_name(&self, what: &str, problems: &[Issue], sound: &[Issue]) {
        assert_eq!(sound, [], "the undamaged pair is not sound");
        let named = problems
            .iter()
            .any(|problem| problem.place.contains(what) || problem.message.contains(what));
        assert!(named, "{what} is not in {problems:?}");
    }

    fn checked(&self) -> (Vec<Issue>, Vec<Issue>) {
        let of = |repository: Repository| repository.check(&NoProgress).unwrap().problems;
        (of(self.repository()), of(open(self.base.clone())))
    }

    fn verified(&self) -> (Vec<Issue>, Vec<Issue>) {
        let of = |repository: Repository| {
            repository
                .verify(Budget::All, 7, &NoProgress)
                .unwrap()
                .problems
        };
        (of(self.repository()), of(open(self.base.clone())))
    }

    fn read_back(&self, scope: &ReadBack) -> (Vec<Issue>, Vec<Issue>) {
        let of = |repository: Repository| {
            repository
                .read_back(&self.snapshot, scope.clone())
                .unwrap()
                .problems
        };
        (of(self.repository()), of(open(self.base.clone())))
    }

    fn read_backs(&self) -> [(Vec<Issue>, Vec<Issue>); 2] {
        [
            self.read_back(&ReadBack::Everything),
            self.read_back(&ReadBack::Added(self.packs.clone())),
        ]
    }

    /// What is read is right, and what is not is reported by name.
    fn never_wrong_bytes(&self) -> Vec<String> {
        let wanted = expected(&sample());
        let found = read(&self.repository().reader(&self.snapshot).unwrap()).unwrap();
        for (path, bytes) in &found.entries {
            assert_eq!(Some(bytes), wanted.get(path), "{path}");
        }
        let missing: Vec<String> = wanted
            .keys()
            .filter(|path| !found.entries.contains_key(*path))
            .cloned()
            .collect();
        assert_eq!(missing, found.failed.keys().cloned().collect::<Vec<_>>());
        missing
    }
}

fn pack_key(id: &Id) -> Key {
    let hex = id.to_hex();
    Key::new(format!("data/{}/{hex}", &hex[..2])).unwrap()
}

#[test]
fn a_flipped_byte_in_a_chunk() {
    let twin = twin();
    let (pack, blobs) = twin.pack(BlobKind::Data);
    let blob = blobs.iter().max_by_key(|blob| blob.length).unwrap();
    twin.damage(
        &pack_key(&pack),
        Damage::FlipByte {
            offset: u64::from(blob.offset) + 100,
        },
    );
    let (damaged, sound) = twin.verified();
    twin.must_name(&pack.to_hex(), &damaged, &sound);
    assert!(
        damaged
            .iter()
            .any(|problem| problem.message.contains(&blob.id.to_hex())),
        "{damaged:?}"
    );
    for (damaged, sound) in twin.read_backs() {
        twin.must_name(&blob.id.to_hex(), &damaged, &sound);
    }
    // The largest chunk is one of the file that is there twice.
    assert_eq!(twin.never_wrong_bytes(), ["/noise", "/same"]);
    let error = copy(
        &twin.repository(),
        &create(memory()),
        &twin.snapshot,
        &NoProgress,
    )
    .unwrap_err();
    assert!(
        format!("{error:?}").contains(&blob.id.to_hex()),
        "{error:?}"
    );
}

#[test]
fn a_flipped_byte_in_a_directory() {
    let twin = twin();
    let (pack, blobs) = twin.pack(BlobKind::Tree);
    twin.damage(
        &pack_key(&pack),
        Damage::FlipByte {
            offset: u64::from(blobs[0].offset) + 20,
        },
    );
    let (damaged, sound) = twin.checked();
    twin.must_name("directory cannot be read", &damaged, &sound);
    let (damaged, sound) = twin.verified();
    twin.must_name(&pack.to_hex(), &damaged, &sound);
    for (damaged, sound) in twin.read_backs() {
        twin.must_name("directory cannot be read", &damaged, &sound);
    }
    assert!(read(&twin.repository().reader(&twin.snapshot).unwrap()).is_err());
}

#[test]
fn a_flipped_byte_in_a_header() {
    let twin = twin();
    let (pack, _) = twin.pack(BlobKind::Data);
    let size = twin.base.head(&pack_key(&pack)).unwrap().size;
    twin.damage(&pack_key(&pack), Damage::FlipByte { offset: size - 10 });
    let (damaged, sound) = twin.checked();
    twin.must_name(&pack.to_hex(), &damaged, &sound);
    // All chunks are sound, so nothing is lost.
    assert!(twin.never_wrong_bytes().is_empty());
}

#[test]
fn a_truncated_pack() {
    let twin = twin();
    let (pack, blobs) = twin.pack(BlobKind::Data);
    let size = twin.base.head(&pack_key(&pack)).unwrap().size;
    twin.damage(
        &pack_key(&pack),
        Damage::Truncate(u64::from(blobs.last().unwrap().offset) + 5),
    );
    let results = [twin.checked(), twin.verified()]
        .into_iter()
        .chain(twin.read_backs());
    for (damaged, sound) in results {
        twin.must_name(&pack.to_hex(), &damaged, &sound);
        assert!(
            damaged
                .iter()
                .any(|p| p.message.contains(&format!("instead of {size}"))),
            "{damaged:?}"
        );
    }
    assert!(!twin.never_wrong_bytes().is_empty());
}

#[test]
fn a_missing_pack() {
    let twin = twin();
    let (pack, _) = twin.pack(BlobKind::Data);
    twin.damage(&pack_key(&pack), Damage::Missing);
    let results = [twin.checked(), twin.verified()]
        .into_iter()
        .chain(twin.read_backs());
    for (damaged, sound) in results {
        twin.must_name(&pack.to_hex(), &damaged, &sound);
        assert!(
            damaged.iter().any(|p| p.message.contains("missing")),
            "{damaged:?}"
        );
    }
    let lost = twin.never_wrong_bytes();
    assert!(
        lost.contains(&"/noise".to_owned()) && !lost.contains(&"/a/empty".to_owned()),
        "{lost:?}"
    );
}

#[test]
fn a_missing_index() {
    let twin = twin();
    let (index, _) = list_all(&*twin.base, "index/").unwrap().remove(0);
    twin.damage(&index, Damage::Missing);
    let (damaged, sound) = twin.checked();
    twin.must_name("no index lists", &damaged, &sound);
    for (damaged, sound) in twin.read_backs() {
        twin.must_name("no index lists", &damaged, &sound);
    }
    let error = read(&twin.repository().reader(&twin.snapshot).unwrap()).unwrap_err();
    assert!(error.to_string().contains("cannot be read"), "{error}");
    assert_eq!(
        twin.repository()
            .check(&NoProgress)
            .unwrap()
            .unlisted_packs
            .len(),
        twin.packs.len()
    );
    // The next backup stores everything again, and then the old snapshot is whole again too.
    let report = back_up_after(&twin.repository(), &sample(), Some(twin.snapshot)).unwrap();
    assert!(!report.repository_issues.is_empty());
    assert!(twin.never_wrong_bytes().is_empty());
}

#[test]
fn a_damaged_index() {
    let twin = twin();
    let (index, _) = list_all(&*twin.base, "index/").unwrap().remove(0);
    twin.damage(&index, Damage::FlipByte { offset: 30 });
    let (damaged, sound) = twin.checked();
    twin.must_name(index.as_str(), &damaged, &sound);
    for (damaged, sound) in twin.read_backs() {
        twin.must_name(index.as_str(), &damaged, &sound);
    }
    let report = back_up(&twin.repository(), &sample()).unwrap();
    assert!(
        report
            .repository_issues
            .iter()
            .any(|issue| issue.place == index.as_str())
    );
}

#[test]
fn a_validly_sealed_wrong_chunk() {
    swap_chunks(&[file("one", noise(1, 1000)), file("two", noise(2, 1000))]);
    // Compressed, and to the same length.
    swap_chunks(&[
        file("one", b"1".repeat(1000)),
        file("two", b"2".repeat(1000)),
    ]);
}

fn swap_chunks(items: &[Item]) {
    let base: Arc<dyn Store> = memory();
    let report = back_up(&create(base.clone()), items).unwrap();
    let (key_file, _) = list_all(&*base, "keys/").unwrap().remove(0);
    let key = open_key_file(&base.get(&key_file).unwrap(), PASSWORD.as_bytes()).unwrap();
    let (index_key, _) = list_all(&*base, "index/").unwrap().remove(0);
    let plaintext = key.open(&base.get(&index_key).unwrap()).unwrap();
    let mut index = decode_index(&decode_unpacked(&plaintext).unwrap()).unwrap();
    let pack = index
        .iter_mut()
        .find(|pack| pack.blobs[0].kind == BlobKind::Data)
        .unwrap();

    // The two chunks change places: the pack is named anew and listed anew, and everything opens.
    let mut bytes = base.get(&pack_key(&pack.id)).unwrap();
    let [a, b] = [&pack.blobs[0], &pack.blobs[1]]
        .map(|blob| blob.offset as usize..(blob.offset + blob.length) as usize);
    let (first, second) = (bytes[a.clone()].to_vec(), bytes[b.clone()].to_vec());
    bytes[a].copy_from_slice(&second);
    bytes[b].copy_from_slice(&first);
    let victim = pack.blobs[0].id;
    pack.id = Id::of(&bytes);
    base.put(&pack_key(&pack.id), &bytes, PutMode::IfAbsent)
        .unwrap();
    let sealed = key.seal([9; 16], &encode_unpacked(&encode_index(&index), 3).unwrap());
    base.put(
        &Key::new(format!("index/{}", Id::of(&sealed))).unwrap(),
        &sealed,
        PutMode::IfAbsent,
    )
    .unwrap();
    base.delete(&index_key).unwrap();

    let repository = open(base);
    assert_eq!(
        repository.check(&NoProgress).unwrap().problems,
        [],
        "structure cannot show it"
    );
    let problems = repository
        .verify(Budget::All, 1, &NoProgress)
        .unwrap()
        .problems;
    assert!(
        problems
            .iter()
            .any(|p| p.message.contains(&victim.to_hex())),
        "{problems:?}"
    );
    let back = repository
        .read_back(&report.snapshot, ReadBack::Everything)
        .unwrap();
    assert_eq!(back.problems.len(), 2);
    let found = read(&repository.reader(&report.snapshot).unwrap()).unwrap();
    assert_eq!((found.entries.len(), found.failed.len()), (0, 2));
    let error = copy(
        &repository,
        &create(memory()),
        &report.snapshot,
        &NoProgress,
    )
    .unwrap_err();
    assert!(format!("{error:?}").contains("WrongHash"), "{error:?}");
}

#[test]
fn a_damaged_snapshot_or_config_or_key() {
    let twin = twin();
    let (snapshot, _) = list_all(&*twin.base, "snapshots/").unwrap().remove(0);
    twin.damage(&snapshot, Damage::FlipByte { offset: 40 });
    let (damaged, sound) = twin.checked();
    twin.must_name(snapshot.as_str(), &damaged, &sound);
    assert!(
        matches!(twin.repository().snapshots(), Err(RepoError::Damaged { object, .. }) if object == snapshot.as_str())
    );
    assert!(matches!(
        twin.repository().reader(&twin.snapshot),
        Err(RepoError::Damaged { .. })
    ));
    assert!(matches!(
        twin.repository().reader(&Id::of(b"none")),
        Err(RepoError::NoSnapshot { .. })
    ));

    let config = Key::new("config").unwrap();
    twin.damage(&config, Damage::FlipByte { offset: 40 });
    let opened = Repository::open(twin.twin.clone(), &real_env(), &secret());
    assert!(
        matches!(&opened, Err(OpenError::Damaged { object, .. }) if object == "config"),
        "{opened:?}"
    );
    let (key, _) = list_all(&*twin.base, "keys/").unwrap().remove(0);
    twin.damage(&key, Damage::Truncate(50));
    let opened = Repository::open(twin.twin.clone(), &real_env(), &secret());
    assert!(
        matches!(&opened, Err(OpenError::Damaged { object, .. }) if object == key.as_str()),
        "{opened:?}"
    );
    twin.damage(&key, Damage::Missing);
    let opened = Repository::open(twin.twin.clone(), &real_env(), &secret());
    assert!(
        matches!(&opened, Err(OpenError::Damaged { object, .. }) if object == "keys"),
        "{opened:?}"
    );
}

#[test]
fn a_later_format_is_refused_by_its_version() {
    let twin = twin();
    let plaintext = twin
        .key
        .open(&twin.base.get(&Key::new("config").unwrap()).unwrap())
        .unwrap();
    let later = String::from_utf8(plaintext)
        .unwrap()
        .replace("\"version\":2", "\"version\":3");
    twin.damage(
        &Key::new("config").unwrap(),
        Damage::Replace(twin.key.seal([5; 16], later.as_bytes())),
    );
    let opened = Repository::open(twin.twin.clone(), &real_env(), &secret());
    assert!(
        matches!(opened, Err(OpenError::Unsupported { version: 3, .. })),
        "{opened:?}"
    );
}

#[test]
fn a_budget_is_kept_and_says_so() {
    let base: Arc<dyn Store> = memory();
    let repository = create(base);
    for seed in 0..10 {
        back_up(&repository, &[file("f", noise(seed, 100_000))]).unwrap();
    }
    let all = repository.verify(Budget::All, 1, &NoProgress).unwrap();
    assert_eq!(
        (all.packs_total, all.packs_read, all.complete),
        (20, 20, true)
    );
    let quarter = repository
        .verify(Budget::Share(0.25), 1, &NoProgress)
        .unwrap();
    assert!(quarter.packs_read >= 5 && !quarter.complete, "{quarter:?}");
    assert!(quarter.bytes_read * 4 >= all.bytes_read, "{quarter:?}");
    let bytes = repository
        .verify(Budget::Bytes(150_000), 1, &NoProgress)
        .unwrap();
    assert!(
        !bytes.complete && bytes.bytes_read >= 150_000 && bytes.bytes_read < 300_000,
        "{bytes:?}"
    );
    let none = repository
        .verify(Budget::Time(std::time::Duration::ZERO), 1, &NoProgress)
        .unwrap();
    assert_eq!((none.packs_read, none.complete), (0, false));
    let tiny = repository
        .verify(Budget::Share(0.001), 2, &NoProgress)
        .unwrap();
    assert!(
        (1..=10).contains(&tiny.packs_read) && !tiny.complete,
        "{tiny:?}"
    );
    assert!(tiny.bytes_read * 1000 >= all.bytes_read, "{tiny:?}");
}

/// Puts another index in the place of the only one.
fn reindex(twin: &Twin, index: &[IndexPack]) {
    let (old, _) = list_all(&*twin.base, "index/").unwrap().remove(0);
    twin.damage(&old, Damage::Missing);
    let sealed = twin
        .key
        .seal([9; 16], &encode_unpacked(&encode_index(index), 3).unwrap());
    let name = Key::new(format!("index/{}", Id::of(&sealed))).unwrap();
    twin.twin.put(&name, &sealed, PutMode::IfAbsent).unwrap();
}

#[test]
fn an_index_that_disagrees_with_a_header() {
    let twin = twin();
    let mut index = twin.index.clone();
    let pack = index.iter_mut().find(|pack| pack.blobs.len() > 1).unwrap();
    // The sizes add up all the same.
    let first = pack.blobs[0].id;
    pack.blobs[0].id = pack.blobs[1].id;
    pack.blobs[1].id = first;
    let pack = pack.id;
    reindex(&twin, &index);
    let (damaged, sound) = twin.checked();
    twin.must_name("disagree", &damaged, &sound);
    twin.must_name(&pack.to_hex(), &damaged, &sound);
    let (damaged, sound) = twin.verified();
    twin.must_name("disagree", &damaged, &sound);
}

#[test]
fn a_pack_that_was_sealed_anew_under_its_old_name() {
    let twin = twin();
    let (pack, blobs) = twin.pack(BlobKind::Data);
    let mut bytes = twin.base.get(&pack_key(&pack)).unwrap();
    let range = blobs[0].offset as usize..(blobs[0].offset + blobs[0].length) as usize;
    let sealed = twin
        .key
        .seal([8; 16], &twin.key.open(&bytes[range.clone()]).unwrap());
    bytes[range].copy_from_slice(&sealed);
    let found = Id::of(&bytes);
    twin.damage(&pack_key(&pack), Damage::Replace(bytes));
    let (damaged, sound) = twin.verified();
    twin.must_name(&found.to_hex(), &damaged, &sound);
    assert!(twin.never_wrong_bytes().is_empty());
}

#[test]
fn chunks_that_are_not_listed() {
    let twin = twin();
    let trees: Vec<IndexPack> = twin
        .index
        .iter()
        .filter(|pack| pack.blobs[0].kind == BlobKind::Tree)
        .cloned()
        .collect();
    reindex(&twin, &trees);
    let (damaged, sound) = twin.checked();
    twin.must_name("no index lists the chunk", &damaged, &sound);
    twin.must_name("/a/deep/text", &damaged, &sound);
    let (damaged, sound) = twin.read_back(&ReadBack::Everything);
    twin.must_name("/a/deep/text", &damaged, &sound);
    let lost = twin.never_wrong_bytes();
    assert!(lost.contains(&"/noise".to_owned()), "{lost:?}");
    let error = copy(
        &twin.repository(),
        &create(memory()),
        &twin.snapshot,
        &NoProgress,
    );
    assert!(format!("{error:?}").contains("ChunkNotListed"), "{error:?}");
    // The parent's directories are there, but not its chunks: all files are read again.
    let report = back_up_after(&twin.repository(), &sample(), Some(twin.snapshot)).unwrap();
    assert_eq!(
        report.files_unchanged, 1,
        "only the empty file needs no chunk"
    );
    assert!(twin.never_wrong_bytes().is_empty());
}

#[test]
fn a_chunk_that_a_broken_file_shares_with_a_sound_one() {
    use vouchsafe_format::{Chunker, Cut};
    for seed in 0..6 {
        let base: Arc<dyn Store> = memory();
        let repository = create(base.clone());
        let whole = noise(seed, 4 << 20);
        let Cut::At(first) = Chunker::new(repository.polynomial()).push(&whole) else {
            continue;
        };
        let items = [
            file("broken", whole.clone()),
            file("sound", &whole[first..]),
        ];
        let report = back_up(&repository, &items).unwrap();
        let (key_file, _) = list_all(&*base, "keys/").unwrap().remove(0);
        let key = open_key_file(&base.get(&key_file).unwrap(), PASSWORD.as_bytes()).unwrap();
        let (index, _) = list_all(&*base, "index/").unwrap().remove(0);
        let plaintext = key.open(&base.get(&index).unwrap()).unwrap();
        let packs = decode_index(&decode_unpacked(&plaintext).unwrap()).unwrap();
        let bad = Id::of(&whole[..first]);
        let (pack, blob) = packs
            .iter()
            .flat_map(|pack| pack.blobs.iter().map(move |blob| (pack.id, blob)))
            .find(|(_, blob)| blob.id == bad)
            .unwrap();
        let twin = Arc::new(Overlay::new(base));
        let offset = u64::from(blob.offset) + 50;
        twin.damage(&pack_key(&pack), Damage::FlipByte { offset })
            .unwrap();
        let found = read(&open(twin).reader(&report.snapshot).unwrap()).unwrap();
        assert!(found.failed.contains_key("/broken"));
        assert!(found.entries["/sound"] == whole[first..]);
    }
}
