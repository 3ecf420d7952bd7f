//! Repositories that somebody has made in order to do harm, key included: restoring them is an error or an issue by
//! name, and nothing is written outside of the destination.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vouchsafe_capture::{CaptureContext, CaptureError, NoProgress, RestoreRequest, Restored};
use vouchsafe_format::{
    BlobKind, Id, IndexPack, KdfParams, MasterKey, PackWriter, PackedBlob, Snapshot, Timestamp,
    encode_index, encode_unpacked, open_key_file, seal_blob,
};
use vouchsafe_host::files::{TempDir, temp_dir};
use vouchsafe_host::{Interrupt, LocalSpawn, OsRandom, SystemClock};
use vouchsafe_model::{Secret, SourceUrl};
use vouchsafe_store::{Key, MemoryStore, PutMode, Store, list_all};
use vouchsafe_vault::{CreateOptions, Env, Repository};

const PASSWORD: &[u8] = b"known to the attacker";
const ROOT: &str = "data";

/// A repository whose objects are made by hand.
struct Hostile {
    store: Arc<MemoryStore>,
    key: MasterKey,
    packs: Vec<IndexPack>,
}

fn env() -> Env {
    Env {
        clock: Arc::new(SystemClock::new()),
        random: Arc::new(OsRandom),
        interrupt: Interrupt::manual(),
        hostname: "h".to_owned(),
        username: "u".to_owned(),
        pid: std::process::id(),
        uid: 0,
        gid: 0,
        program_version: "vouchsafe test".to_owned(),
    }
}

impl Hostile {
    fn new() -> Hostile {
        let store = Arc::new(MemoryStore::new());
        let options = CreateOptions {
            id: None,
            polynomial: None,
            kdf: Some(KdfParams { n: 128, r: 1, p: 1 }),
        };
        let secret = Secret::new(PASSWORD.to_vec());
        Repository::create(store.clone(), &env(), &secret, &options).unwrap();
        let (slot, _) = list_all(&*store, "keys/").unwrap().remove(0);
        let key = open_key_file(&store.get(&slot).unwrap(), PASSWORD).unwrap();
        Hostile {
            store,
            key,
            packs: Vec::new(),
        }
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        let key = Key::new(name).unwrap();
        self.store.put(&key, bytes, PutMode::Replace).unwrap();
    }

    /// Stores blobs as one pack, which the index will list.
    fn pack(&mut self, kind: BlobKind, blobs: &[&[u8]]) -> Vec<Id> {
        let mut pack = PackWriter::new(kind);
        let ids: Vec<Id> = blobs.iter().map(|bytes| Id::of(bytes)).collect();
        for (id, bytes) in ids.iter().zip(blobs) {
            let sealed = seal_blob(&self.key, [3; 16], kind, bytes, None).unwrap();
            pack.add(*id, &sealed.bytes, sealed.uncompressed_length)
                .unwrap();
        }
        let pack = pack.finish(&self.key, [4; 16]).unwrap();
        let name = pack.id.to_hex();
        self.put(&format!("data/{}/{name}", &name[..2]), &pack.bytes);
        self.packs.push(IndexPack {
            id: pack.id,
            blobs: pack.blobs,
        });
        ids
    }

    /// A directory with these entries, which are JSON: what we would never write ourselves.
    fn tree(&mut self, entries: &[String]) -> Id {
        let json = format!("{{\"nodes\":[{}]}}\n", entries.join(","));
        self.pack(BlobKind::Tree, &[json.as_bytes()])[0]
    }

    fn data(&mut self, bytes: &[u8]) -> Id {
        self.pack(BlobKind::Data, &[bytes])[0]
    }

    fn seal(&self, folder: &str, json: &[u8]) -> Id {
        let sealed = self.key.seal([5; 16], &encode_unpacked(json, 3).unwrap());
        let name = Id::of(&sealed);
        self.put(&format!("{folder}/{}", name.to_hex()), &sealed);
        name
    }

    /// The snapshot of `/data` with these entries.
    fn snapshot(&mut self, entries: &[String]) -> Id {
        let below = self.tree(entries);
        let root = self.tree(&[entry(ROOT, "dir", &format!(",\"subtree\":\"{below}\""))]);
        let index = encode_index(&self.packs);
        self.seal("index", &index);
        let snapshot = Snapshot::new(Timestamp::utc(1_700_000_000, 0), root);
        self.seal("snapshots", &snapshot.encode().unwrap())
    }

    fn open(&self) -> Repository {
        let secret = Secret::new(PASSWORD.to_vec());
        Repository::open(self.store.clone(), &env(), &secret).unwrap()
    }
}

/// An entry's JSON; `name` is already as JSON has it.
fn entry(name: &str, kind: &str, more: &str) -> String {
    let mode = match kind {
        "dir" => 2_147_484_141_u32,
        "symlink" => 134_218_239,
        _ => 420,
    };
    let time = "2023-11-14T22:13:20Z";
    format!(
        "{{\"name\":\"{name}\",\"type\":\"{kind}\",\"mode\":{mode},\"mtime\":\"{time}\",\"atime\":\"{time}\",\
         \"ctime\":\"{time}\",\"uid\":0,\"gid\":0{more}}}"
    )
}

/// A file of one chunk of so many bytes.
fn sized(name: &str, content: &Id, size: u64, more: &str) -> String {
    let more = format!(",\"size\":{size},\"content\":[\"{content}\"]{more}");
    entry(name, "file", &more)
}

/// A file with four bytes.
fn file(name: &str, content: &Id, more: &str) -> String {
    sized(name, content, 4, more)
}

fn dir(name: &str, subtree: &Id) -> String {
    entry(name, "dir", &format!(",\"subtree\":\"{subtree}\""))
}

fn link(name: &str, target: &str) -> String {
    entry(name, "symlink", &format!(",\"linktarget\":\"{target}\""))
}

/// A destination with something beside it that must stay as it is.
struct Place(TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(temp_dir("hostile-").unwrap());
        fs::create_dir(place.beside("outside")).unwrap();
        fs::write(place.beside("outside/file"), b"safe").unwrap();
        place
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn to(&self) -> PathBuf {
        self.beside("to")
    }

    fn restore(&self, hostile: &Hostile, snapshot: &Id, force: bool) -> Restored {
        self.try_restore(hostile, snapshot, force).unwrap()
    }

    fn try_restore(
        &self,
        hostile: &Hostile,
        snapshot: &Id,
        force: bool,
    ) -> Result<Restored, CaptureError> {
        let repository = hostile.open();
        let point = repository.reader(snapshot).unwrap();
        let url = SourceUrl::parse(&format!("files:/{ROOT}")).unwrap();
        let source =
            vouchsafe_sources::open(&url, &vouchsafe_sources::Settings::below(Path::new("/")))
                .unwrap();
        let work = self.beside("work");
        let ctx = CaptureContext {
            spawn: &LocalSpawn,
            clock: &SystemClock::new(),
            work_dir: &work,
            interrupt: &Interrupt::manual(),
            progress: &NoProgress,
            own_places: &[],
        };
        let request = RestoreRequest {
            to: self.to(),
            include: None,
            force,
            compare: Default::default(),
            form: Default::default(),
        };
        let restored = source.restore(&ctx, &point, &request);
        self.must_be_untouched();
        restored
    }

    fn must_be_untouched(&self) {
        let mut beside: Vec<String> = fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !["to", "work"].contains(&name.as_str()))
            .collect();
        beside.sort();
        assert_eq!(beside, ["outside"]);
        let outside: Vec<_> = fs::read_dir(self.beside("outside")).unwrap().collect();
        assert_eq!(outside.len(), 1);
        let file = fs::metadata(self.beside("outside/file")).unwrap();
        assert_eq!((file.nlink(), file.len()), (1, 4));
        assert_eq!(fs::read(self.beside("outside/file")).unwrap(), b"safe");
    }

    fn restored(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.to())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

#[test]
fn names_that_lead_elsewhere_are_issues_and_the_rest_is_restored() {
    for name in [
        "..",
        ".",
        "",
        "/",
        "/etc",
        "../outside/new",
        "a/../../outside/new",
        "sub/file",
        "nul\\u0000",
        r"nul\\x00",
        r"up\\x2f..",
    ] {
        let mut hostile = Hostile::new();
        let bytes = hostile.data(b"evil");
        let inner = hostile.tree(&[file("file", &bytes, ""), file("new", &bytes, "")]);
        let snapshot = hostile.snapshot(&[
            file(name, &bytes, ""),
            dir(name, &inner),
            link(name, "/etc"),
            file("good", &bytes, ""),
        ]);
        let place = Place::new();
        let restored = place.restore(&hostile, &snapshot, false);
        assert!(!restored.issues.is_empty(), "{name}");
        assert_eq!(place.restored(), ["good"], "{name}");
        assert_eq!(fs::read(place.to().join("good")).unwrap(), b"evil");
    }
}

#[test]
fn a_link_and_a_directory_of_one_name_lead_nowhere() {
    for force in [false, true] {
        let mut hostile = Hostile::new();
        let bytes = hostile.data(b"evil");
        let inner = hostile.tree(&[file("file", &bytes, ""), file("new", &bytes, "")]);
        let target = |place: &Place| place.beside("outside").display().to_string();
        let place = Place::new();
        let snapshot = hostile.snapshot(&[
            link("a", &target(&place)),
            dir("a", &inner),
            dir("b", &inner),
            link("b", &target(&place)),
            link("c", "../outside/file"),
            file("c", &bytes, ""),
            link("d", &format!("{}/made", target(&place))),
            file("d", &bytes, ""),
        ]);
        let restored = place.restore(&hostile, &snapshot, force);
        // By force the later entry takes the place of the earlier one, but never of what it leads to.
        assert!(!restored.issues.is_empty(), "{restored:?}");
    }
}

#[test]
fn a_link_that_stands_in_the_destination_is_replaced_and_not_followed() {
    let mut hostile = Hostile::new();
    let bytes = hostile.data(b"evil");
    let inner = hostile.tree(&[file("file", &bytes, ""), file("new", &bytes, "")]);
    let snapshot = hostile.snapshot(&[dir("a", &inner), file("b", &bytes, "")]);
    let place = Place::new();
    fs::create_dir(place.to()).unwrap();
    symlink(place.beside("outside"), place.to().join("a")).unwrap();
    symlink(place.beside("outside/file"), place.to().join("b")).unwrap();
    let restored = place.restore(&hostile, &snapshot, true);
    assert_eq!(restored.issues, []);
    assert_eq!(fs::read(place.to().join("a/file")).unwrap(), b"evil");
    assert!(
        fs::symlink_metadata(place.to().join("b"))
            .unwrap()
            .is_file()
    );
}

#[test]
fn names_of_one_file_are_linked_to_what_was_restored_and_nothing_else() {
    let mut hostile = Hostile::new();
    let bytes = hostile.data(b"evil");
    let lost = Id::of(b"no pack holds this");
    let linked = ",\"inode\":7,\"device_id\":8,\"links\":2";
    let snapshot = hostile.snapshot(&[
        file("first", &lost, linked),
        file("second", &lost, linked),
        file("good", &bytes, ",\"inode\":9,\"device_id\":8,\"links\":2"),
        file("same", &bytes, ",\"inode\":9,\"device_id\":8,\"links\":2"),
    ]);
    let place = Place::new();
    fs::create_dir(place.to()).unwrap();
    fs::write(place.to().join("first"), b"older").unwrap();
    fs::write(place.to().join("second"), b"another").unwrap();
    let restored = place.restore(&hostile, &snapshot, true);
    let mut places: Vec<&str> = restored.issues.iter().map(|i| i.place.as_str()).collect();
    places.sort_unstable();
    assert_eq!(places, ["first", "second"], "{:?}", restored.issues);
    // What cannot be had is not replaced by what happens to be there under its other name.
    assert_ne!(
        fs::read(place.to().join("second")).ok().as_deref(),
        Some(&b"older"[..])
    );
    let inode = |name: &str| fs::metadata(place.to().join(name)).unwrap().ino();
    assert_eq!(inode("good"), inode("same"));
    assert_eq!(restored.items, 2);
}

#[test]
fn devices_pipes_and_unknown_kinds_are_made_as_such_or_named() {
    let mut hostile = Hostile::new();
    let snapshot = hostile.snapshot(&[
        entry("null", "chardev", ",\"device\":259"),
        entry("disk", "dev", ",\"device\":18446744073709551615"),
        entry("pipe", "fifo", ""),
        entry("sock", "socket", ""),
        entry("odd", "irregular", ""),
        entry("strange", "door", ""),
        entry("empty", "", ""),
    ]);
    let place = Place::new();
    let restored = place.restore(&hostile, &snapshot, false);
    for name in ["odd", "strange", "empty"] {
        assert!(restored.issues.iter().any(|i| i.place == name), "{name}");
        assert!(!place.to().join(name).exists());
    }
    let pipe = fs::symlink_metadata(place.to().join("pipe")).unwrap();
    assert!(pipe.file_type().is_fifo());
    for name in ["null", "disk"] {
        let Ok(made) = fs::symlink_metadata(place.to().join(name)) else {
            assert!(restored.issues.iter().any(|i| i.place == name), "{name}");
            continue;
        };
        // Made by root, as a device and never as a file with bytes.
        assert!(made.file_type().is_char_device() || made.file_type().is_block_device());
        assert_eq!(made.permissions().mode() & 0o7777, 0o644);
    }
}

#[test]
fn an_index_that_points_elsewhere_yields_no_wrong_bytes() {
    let mut hostile = Hostile::new();
    let (right, wrong) = (vec![1_u8; 3000], vec![2_u8; 3000]);
    let ids = hostile.pack(BlobKind::Data, &[&right, &wrong]);
    let entries = [
        sized("one", &ids[0], 3000, ""),
        sized("two", &ids[1], 3000, ""),
        sized("huge", &Id::of(b"huge"), u32::MAX.into(), ""),
        sized("beyond", &Id::of(b"beyond"), 32, ""),
    ];
    let data = hostile.packs[0].clone();
    let [first, second] = [&data.blobs[0], &data.blobs[1]];
    let place_of = |of: &PackedBlob, id: Id| PackedBlob { id, ..*of };
    let claims: Vec<Vec<PackedBlob>> = vec![
        // Each is where the other is.
        vec![place_of(first, second.id), place_of(second, first.id)],
        // They overlap, and one reaches into the header.
        vec![
            *first,
            PackedBlob {
                offset: first.offset + 1,
                length: first.length + second.length,
                ..*second
            },
        ],
        // A plaintext of 4 GiB within some hundred bytes, and bytes beyond the pack's end.
        vec![
            PackedBlob {
                uncompressed_length: Some(u32::MAX),
                ..place_of(first, Id::of(b"huge"))
            },
            PackedBlob {
                offset: u32::MAX - 10,
                length: 64,
                ..place_of(second, Id::of(b"beyond"))
            },
            PackedBlob {
                offset: 0,
                length: u32::MAX,
                ..place_of(second, second.id)
            },
        ],
    ];
    for claim in claims {
        hostile.packs[0] = IndexPack {
            id: data.id,
            blobs: claim.clone(),
        };
        let before: Vec<_> = list_all(&*hostile.store, "index/").unwrap();
        for (old, _) in before {
            hostile.store.delete(&old).unwrap();
        }
        let snapshot = hostile.snapshot(&entries);
        let place = Place::new();
        // What the index cannot say at all ends the restore; the rest is named file by file.
        if let Ok(restored) = place.try_restore(&hostile, &snapshot, false) {
            assert!(!restored.issues.is_empty(), "{claim:?}");
        }
        for (name, bytes) in [("one", &right), ("two", &wrong)] {
            if let Ok(found) = fs::read(place.to().join(name)) {
                assert_eq!(&found, bytes, "{name}: {claim:?}");
            }
        }
        for name in ["huge", "beyond"] {
            assert!(!place.to().join(name).exists(), "{name}");
        }
        let repository = hostile.open();
        let checked = repository.check(&NoProgress);
        assert!(checked.is_err() || !checked.unwrap().problems.is_empty());
    }
}

#[test]
fn a_size_that_is_not_that_of_the_content_is_no_whole_file() {
    let mut hostile = Hostile::new();
    let bytes = hostile.data(b"four");
    let snapshot = hostile.snapshot(&[
        sized("long", &bytes, u64::MAX, ""),
        sized("none", &bytes, 0, ""),
        file("right", &bytes, ""),
    ]);
    let place = Place::new();
    let restored = place.restore(&hostile, &snapshot, false);
    let mut places: Vec<&str> = restored.issues.iter().map(|i| i.place.as_str()).collect();
    places.sort_unstable();
    assert_eq!(places, ["long", "none"]);
    assert_eq!(place.restored(), ["right"]);
}

#[test]
fn what_has_no_key_only_makes_errors() {
    let mut hostile = Hostile::new();
    let bytes = hostile.data(b"good");
    let snapshot = hostile.snapshot(&[file("good", &bytes, "")]);
    // Anyone who can write to the store can put these beside what is there.
    let long = vec![b'x'; 3 << 20];
    let name = Id::of(&long).to_hex();
    for folder in ["keys", "locks"] {
        hostile.put(&format!("{folder}/{name}"), &long);
    }
    for folder in ["snapshots", "index"] {
        for noise in [&b""[..], b"{}", &[0; 32], &[0xff; 100]] {
            let name = Id::of(noise).to_hex();
            hostile.put(&format!("{folder}/{name}"), noise);
        }
        hostile.put(&format!("{folder}/not-a-name"), b"x");
    }
    let greedy = br#"{"created":"2023-11-14T22:13:20Z","username":"","hostname":"","kdf":"scrypt","N":1073741824,"r":1024,"p":1024,"salt":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==","data":"AAAA"}"#;
    hostile.put(&format!("keys/{}", Id::of(greedy).to_hex()), greedy);
    let place = Place::new();
    let restored = place.restore(&hostile, &snapshot, false);
    assert_eq!(restored.issues, []);
    assert_eq!(fs::read(place.to().join("good")).unwrap(), b"good");
    let checked = hostile.open().check(&NoProgress).unwrap();
    assert!(checked.problems.len() >= 6, "{:?}", checked.problems);
}
