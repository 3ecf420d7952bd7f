//! The real restic, and a plain reader of the repositories that it makes.
#![allow(unreachable_pub, clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use vouchsafe_format::{
    Config, Id, IndexPack, MasterKey, Node, PackedBlob, Snapshot, decode_index, decode_tree,
    decode_unpacked, header_length, open_blob, open_key_file, parse_header,
};

pub const PASSWORD: &str = "correct horse";

/// Runs restic on the repository and returns what it printed; panics if it fails.
pub fn restic(repository: &Path, arguments: &[&OsStr]) -> String {
    let program = std::env::var_os("VOUCHSAFE_TEST_RESTIC").unwrap_or_else(|| "restic".into());
    let output = Command::new(&program)
        .args(["--no-cache", "--repo"])
        .arg(repository)
        .args(arguments)
        .env("RESTIC_PASSWORD", PASSWORD)
        // A zone that is no whole hour away, so that offsets are seen to matter.
        .env("TZ", "Asia/Kolkata")
        .output();
    let output = output.unwrap_or_else(|error| {
        panic!("these tests need restic: install it, or name it in VOUCHSAFE_TEST_RESTIC ({program:?}: {error})")
    });
    let [printed, complaints] =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    assert!(
        output.status.success(),
        "restic {arguments:?}: {printed}{complaints}"
    );
    printed
}

/// The minor version of the Go that restic was compiled with.
pub fn go_version() -> u32 {
    static VERSION: OnceLock<u32> = OnceLock::new();
    *VERSION.get_or_init(|| {
        let text = restic(Path::new("/nowhere"), &["version".as_ref()]);
        let (_, after) = text.split_once("go1.").expect("restic names its compiler");
        let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().expect("the compiler has a version")
    })
}

/// A repository on disk, read by this crate alone.
pub struct Repository {
    pub path: PathBuf,
    pub key: MasterKey,
    pub config: Config,
    pub places: BTreeMap<Id, (Id, PackedBlob)>,
}

impl Repository {
    /// Opens the key, the config and all indexes.
    pub fn open(path: &Path) -> Repository {
        let (_, key_file) = files(&path.join("keys"))
            .into_iter()
            .next()
            .expect("a key file");
        let key = open_key_file(&key_file, PASSWORD.as_bytes()).expect("the key opens");
        let config = key
            .open(&fs::read(path.join("config")).unwrap())
            .expect("the config opens");
        let config = Config::decode(&config).expect("the config is sound");
        let mut repository = Repository {
            path: path.to_owned(),
            key,
            config,
            places: BTreeMap::new(),
        };
        for pack in repository.indexed() {
            for blob in pack.blobs {
                repository.places.insert(blob.id, (pack.id, blob));
            }
        }
        repository
    }

    /// All packs of all indexes.
    pub fn indexed(&self) -> Vec<IndexPack> {
        let indexes = self.unpacked("index").into_iter();
        indexes
            .flat_map(|json| decode_index(&json).expect("the index is sound"))
            .collect()
    }

    /// The JSON of all files of a flat directory.
    pub fn unpacked(&self, directory: &str) -> Vec<Vec<u8>> {
        let files = files(&self.path.join(directory)).into_iter();
        files
            .map(|(name, bytes)| {
                assert_eq!(
                    name,
                    Id::of(&bytes).to_hex(),
                    "files are named by their digest"
                );
                let plaintext = self.key.open(&bytes).expect("the file opens");
                decode_unpacked(&plaintext)
                    .expect("the file is sound")
                    .into_owned()
            })
            .collect()
    }

    pub fn snapshots(&self) -> Vec<Snapshot> {
        let snapshots = self.unpacked("snapshots").into_iter();
        snapshots
            .map(|json| Snapshot::decode(&json).expect("the snapshot is sound"))
            .collect()
    }

    pub fn pack(&self, id: Id) -> Vec<u8> {
        let name = id.to_hex();
        fs::read(self.path.join("data").join(&name[..2]).join(name)).expect("the pack is there")
    }

    /// The blobs that a pack's own header lists.
    pub fn header(&self, pack: &[u8]) -> Vec<PackedBlob> {
        let (rest, last4) = pack.split_last_chunk::<4>().unwrap();
        let length = header_length(*last4, pack.len() as u64).expect("a header's length");
        let header = &rest[rest.len() - length as usize..];
        parse_header(&self.key, header, pack.len() as u64).expect("the header is sound")
    }

    pub fn blob(&self, id: Id) -> Vec<u8> {
        let (pack, blob) = &self.places[&id];
        let pack = self.pack(*pack);
        let start = blob.offset as usize;
        let sealed = &pack[start..start + blob.length as usize];
        open_blob(&self.key, sealed, blob.uncompressed_length, id).expect("the blob is sound")
    }

    /// All trees under `root`, by id: their bytes and their nodes.
    pub fn trees(&self, root: Id) -> BTreeMap<Id, (Vec<u8>, Vec<Node>)> {
        let mut trees = BTreeMap::new();
        let mut waiting = vec![root];
        while let Some(id) = waiting.pop() {
            let bytes = self.blob(id);
            let nodes = decode_tree(&bytes).expect("the tree is sound");
            waiting.extend(nodes.iter().filter_map(|node| node.subtree));
            trees.insert(id, (bytes, nodes));
        }
        trees
    }
}

/// Names and bytes of all files in a directory.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            (
                entry.file_name().into_string().unwrap(),
                fs::read(entry.path()).unwrap(),
            )
        })
        .collect()
}
