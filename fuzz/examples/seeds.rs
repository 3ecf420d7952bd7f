//! Fills `corpus/` beside this crate with what the golden repository holds, each kind for its target:
//! `cargo run --example seeds` in this folder.

use std::fs;
use std::path::{Path, PathBuf};

use vouchsafe_format::fragment::{Kind, LogKeys, open};
use vouchsafe_format::quote::quote;
use vouchsafe_format::{
    BlobKind, Compressor, Id, LockFile, MasterKey, decode_index, decode_tree, decode_unpacked,
    decompress, header_length, open_blob, open_key_file, parse_header,
};

/// The writers of logs that the tests have.
#[path = "../../crates/translog/tests/common/mod.rs"]
mod logs;

fn main() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = fuzz.join("../crates/vault/tests/golden/repository-1");
    let corpus = Corpus(fuzz.join("corpus"));
    let mut key = None;
    for bytes in files(&root.join("keys")) {
        corpus.add("key_file", &bytes);
        key = key.or(open_key_file(&bytes, b"golden").ok());
    }
    let key = key.expect("a key file that opens");
    let config = fs::read(root.join("config")).expect("a config");
    corpus.add("config", &key.open(&config).expect("opens"));
    corpus.add("sealed", &config);
    for (folder, target) in [("index", "index"), ("snapshots", "snapshot")] {
        for bytes in files(&root.join(folder)) {
            let plain = key.open(&bytes).expect("opens");
            corpus.add("unpacked", &plain);
            let json = decode_unpacked(&plain).expect("decompresses");
            corpus.add(target, &json);
            if target == "index" {
                decode_index(&json).expect("an index");
            }
        }
    }
    for pack in files(&root.join("data")) {
        corpus.take_pack(&key, &pack);
    }
    corpus.rest();
    corpus.log_objects(&fuzz.join("../crates/format/tests/golden"));
    corpus.logs();
}

struct Corpus(PathBuf);

impl Corpus {
    fn add(&self, target: &str, bytes: &[u8]) {
        let folder = self.0.join(target);
        fs::create_dir_all(&folder).expect("a folder");
        fs::write(folder.join(Id::of(bytes).to_hex()), bytes).expect("a seed");
    }

    /// Header, directories, and frames.
    fn take_pack(&self, key: &MasterKey, pack: &[u8]) {
        let (rest, last) = pack.split_last_chunk::<4>().expect("a pack");
        let length = header_length(*last, pack.len() as u64).expect("a header") as usize;
        let header = &rest[rest.len() - length..];
        let plain = key.open(header).expect("opens");
        let total = (pack.len() as u64).to_le_bytes();
        self.add("pack_header", &[&total[..], &plain].concat());
        for blob in parse_header(key, header, pack.len() as u64).expect("a header") {
            let sealed = &pack[blob.offset as usize..][..blob.length as usize];
            let stored = key.open(sealed).expect("opens");
            if stored.len() > 8 << 10 {
                continue;
            }
            if let Some(length) = blob.uncompressed_length {
                let length = length.to_le_bytes();
                self.add("decompress", &[&length[..], &stored].concat());
                self.add("blob", &[&[1][..], &length, &stored].concat());
            }
            if blob.kind == BlobKind::Tree {
                let json =
                    open_blob(key, sealed, blob.uncompressed_length, blob.id).expect("opens");
                self.add("tree", &json);
                // One entry each is easier to change into something else.
                for node in decode_tree(&json).expect("a tree") {
                    self.add("quoted_name", quote(&node.name).as_bytes());
                    self.add("texts", node.mtime.to_string().as_bytes());
                    let one = vouchsafe_format::encode_tree(&[node]).expect("a tree");
                    self.add("tree", &one);
                }
            }
        }
    }

    /// Transaction logs, each behind the length of the pieces in which it is fed.
    fn logs(&self) {
        let mut log = logs::Log::at_segment(1);
        log.filler(100);
        log.commit(7, 1_000_000);
        log.message("token", b"content");
        log.filler(9_000);
        self.add("wal", &[&[64, 0], &log.bytes[..]].concat());
        for checksums in [true, false] {
            let file = logs::binlog::mysql(checksums).bytes;
            self.add("binlog", &[&[64, 0], &file[..]].concat());
        }
    }

    /// What the golden repository has none of.
    fn rest(&self) {
        let lock = LockFile {
            time: "2026-01-02T03:04:05.6+01:00".parse().expect("a time"),
            exclusive: true,
            hostname: "h".into(),
            username: "u".into(),
            pid: 1,
            uid: 2,
            gid: 3,
        };
        self.add("lock", &lock.encode().expect("a lock"));
        self.add("tree", OLD_TREE);
        let frame = Compressor::new(3)
            .expect("zstd")
            .compress(&[7; 200_000])
            .expect("compresses");
        decompress(&frame, 200_000).expect("decompresses");
        self.add(
            "decompress",
            &[&200_000_u32.to_le_bytes()[..], &frame].concat(),
        );
        for name in ["default", "files"] {
            let text = vouchsafe_policy::template(name).expect("a template");
            self.add("policy", text.as_bytes());
        }
        for text in [
            "s3:https://h/b/p",
            "sftp://u@h:22/~/p",
            "daily at 02:00 UTC",
            "a/b\\xff",
            "files:/a",
        ] {
            self.add("words", text.as_bytes());
        }
        for text in [
            "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5:7:tag:1",
            "0-1-42,5-1-1",
            "16/B374D848",
            "1\t0/3000158\tno recovery target specified\n2\t0/5000000\tx\n",
            "00000001000000020000003F.00000028.backup",
        ] {
            self.add("log_texts", text.as_bytes());
        }
        self.add("manifest", br#"{"method":"m/1","taken_at":"2026-01-02T03:04:05.000000Z","entries":{"a":{"count":1,"digest":"00"}}}"#);
    }
}

impl Corpus {
    /// What the golden log objects hold, and their chain.
    fn log_objects(&self, golden: &Path) {
        let mut key = [0; 64];
        key.iter_mut().zip(11..).for_each(|(byte, i)| *byte = i);
        let keys = LogKeys::of(&MasterKey::from_random(key).expect("a key"));
        let names = fs::read_to_string(golden.join("log-names-1")).expect("names");
        for (file, name) in ["fragment-1", "segment-1"].iter().zip(names.lines()) {
            self.add("log_object", name.as_bytes());
            let object = fs::read(golden.join(file)).expect("an object");
            self.add("log_object", &object);
            let name = name.parse().expect("a name");
            let opened = open(&keys, &name, &object).expect("opens");
            let plain = opened.header().encode();
            let length = (plain.len() as u16).to_le_bytes();
            let segment = u8::from(opened.header().kind == Kind::Segment);
            let payload = opened.payload();
            self.add(
                "log_header",
                &[&length[..], &[segment], &plain, &payload].concat(),
            );
        }
        let chain: Vec<u8> = (0..40).flat_map(|n| [n, 0, 16 + n % 16, 2 + n]).collect();
        self.add("log_chain", &chain);
    }
}

/// As restic before 0.15 spells control characters, with everything else that an entry may have.
const OLD_TREE: &[u8] = br#"{"nodes":[{"name":"a\u0008\\xff","type":"file","mode":420,"mtime":"2026-01-02T03:04:05.6+01:00","atime":"0001-01-01T00:00:00Z","ctime":"2026-01-02T03:04:05Z","uid":1,"gid":2,"user":"u","group":"g","inode":5,"device_id":6,"size":3,"links":2,"extended_attributes":[{"name":"user.x","value":"AQI="}],"generic_attributes":{"windows.x":{"a":[1]}},"content":["9c22ff5f21f0b81b113e63f7db6da94fedef11b2119b4088b89664fb9a3cb658"]},{"name":"b","type":"symlink","linktarget":"/x","linktarget_raw":"/w==","content":null},{"name":"c","type":"dir","subtree":"9c22ff5f21f0b81b113e63f7db6da94fedef11b2119b4088b89664fb9a3cb658","content":null}]}
"#;

fn files(root: &Path) -> Vec<Vec<u8>> {
    let mut below = vec![root.to_path_buf()];
    let mut found = Vec::new();
    while let Some(folder) = below.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                below.push(path);
            } else {
                found.push(fs::read(path).expect("a file"));
            }
        }
    }
    found
}
