//! The real restic reads what this crate writes, and the other way round.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use crate::common::{self, noise};
use crate::oracle::{PASSWORD, Repository, go_version, restic};
use vouchsafe_format::{
    BlobKind, Chunker, Compressor, Config, Cut, Id, IndexPack, KdfParams, MasterKey, Node,
    NodeKind, PackWriter, Polynomial, Snapshot, Spelling, Timestamp, Xattr, create_key_file,
    encode_index, encode_tree, encode_unpacked, go_mode_from_unix, seal_blob,
};

const KNOWN: Polynomial = Polynomial::from_bits(0x3D_A335_8B4D_C173);

fn args<'a>(arguments: &[&'a str], path: &'a Path) -> Vec<&'a OsStr> {
    arguments
        .iter()
        .copied()
        .map(OsStr::new)
        .chain([path.as_os_str()])
        .collect()
}

/// Names in bytes that are hard to write down.
fn awkward_names() -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = [
        "plain",
        " leading and trailing ",
        "quote\"d",
        "back\\slash",
        "\\x41",
        "\\ufffd",
        "<a&b>'",
        "new\nline",
        "tab\tbell\x07\x08\x0b\x0c\r",
        "\u{1}\u{1f}\u{7f}\u{80}\u{9f}",
        "\u{a0}\u{ad}",
        "line\u{2028}paragraph\u{2029}",
        "\u{200b}\u{feff}\u{202e}",
        "\u{fffd}",
        "emoji 😀👩‍👩‍👧🫨",
        "e\u{301}",
        "é",
        "\u{e000}\u{10ffff}",
        "{}[],:",
        "-",
        "~",
        "日本語",
    ]
    .iter()
    .map(|name| name.as_bytes().to_vec())
    .collect();
    names.extend(
        [
            &b"\xff"[..],
            b"latin1-\xe9",
            b"cut\xe2\x82",
            b"\xed\xa0\x80",
            b"\xc0\xaf!",
            b"\xf5\x80",
        ]
        .map(Vec::from),
    );
    names.push(vec![b'n'; 255]);
    names
}

fn fill(source: &Path) {
    let names = source.join("names");
    fs::create_dir(&names).unwrap();
    for name in awkward_names() {
        fs::write(names.join(OsStr::from_bytes(&name)), &name).unwrap();
        let target = [b"to ", name.as_slice()].concat();
        let link = [b"l", name.get(..254).unwrap_or(&name)].concat();
        symlink(
            OsStr::from_bytes(&target),
            names.join(OsStr::from_bytes(&link)),
        )
        .unwrap();
    }
    for length in [
        0,
        1,
        (512 << 10) - 1,
        512 << 10,
        (512 << 10) + 1,
        (8 << 20) - 1,
        (8 << 20) + 1,
    ] {
        fs::write(
            source.join(format!("size{length}")),
            noise(length as u64, length),
        )
        .unwrap();
    }
    let sparse = File::create(source.join("sparse")).unwrap();
    sparse.set_len(20 << 20).unwrap();
    fs::hard_link(source.join("size1"), source.join("hard link")).unwrap();
    fs::create_dir_all(source.join("empty/deeper/deepest")).unwrap();
    let fifo = Command::new("mkfifo")
        .arg(source.join("fifo"))
        .status()
        .unwrap();
    assert!(fifo.success());
    std::os::unix::net::UnixListener::bind(source.join("socket")).unwrap();
    for (name, mode) in [
        ("setuid", 0o4755),
        ("setgid", 0o2711),
        ("sticky", 0o1777),
        ("none", 0),
    ] {
        fs::write(source.join(name), name).unwrap();
        fs::set_permissions(source.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    let times = [
        UNIX_EPOCH,
        UNIX_EPOCH - Duration::new(86_400 * 365 * 60, 1),
        UNIX_EPOCH + Duration::new(1 << 33, 999_999_990),
    ];
    for (i, time) in times.into_iter().enumerate() {
        let file = File::create(source.join(format!("time{i}"))).unwrap();
        file.set_times(fs::FileTimes::new().set_modified(time).set_accessed(time))
            .unwrap();
    }
    let with_xattr = source.join("xattr");
    fs::write(&with_xattr, "x").unwrap();
    for (name, value) in [
        ("user.empty", &b""[..]),
        ("user.<é>&\u{2028}", b"\0\xff\n"),
        ("user.a", b"text"),
    ] {
        xattr::set(&with_xattr, name, value)
            .expect("the temporary directory takes extended attributes");
    }
}

fn chunk_ids(polynomial: Polynomial, data: &[u8]) -> Vec<Id> {
    let mut chunker = Chunker::new(polynomial);
    let (mut ids, mut rest) = (Vec::new(), data);
    while let Cut::At(length) = chunker.push(rest) {
        let (chunk, after) = rest.split_at(length);
        ids.push(Id::of(chunk));
        rest = after;
    }
    if !rest.is_empty() {
        ids.push(Id::of(rest));
    }
    ids
}

#[test]
fn what_restic_writes_is_read_and_written_again_unchanged() {
    let place = tempfile::tempdir().unwrap();
    let (path, source) = (place.path().join("repo"), place.path().join("source"));
    fs::create_dir(&source).unwrap();
    fill(&source);
    restic(&path, &["init".as_ref()]);
    restic(
        &path,
        &args(&["backup", "--tag", "a<b", "--exclude", "*.tmp"], &source),
    );
    let repository = Repository::open(&path);
    assert_eq!(repository.config.version, 2);
    assert_headers_match_the_index(&repository);

    let snapshots = repository.snapshots();
    let [snapshot] = snapshots.as_slice() else {
        panic!("one snapshot")
    };
    assert_eq!(snapshot.paths, [source.to_str().unwrap()]);
    assert_eq!(
        (snapshot.tags.as_slice(), snapshot.excludes.as_slice()),
        (["a<b".into()].as_slice(), ["*.tmp".into()].as_slice())
    );
    assert_eq!(snapshot.time.offset_minutes, 330);
    assert!(go_version() < 22 || snapshot.summary.is_some());
    let again = Snapshot::decode(&snapshot.encode().unwrap()).unwrap();
    assert_eq!(&again, snapshot);

    let trees = repository.trees(snapshot.tree);
    let (mut files, mut names) = (0, Vec::new());
    for (id, (bytes, nodes)) in &trees {
        assert_eq!(&encode_tree(nodes).unwrap(), bytes, "tree {id}");
        for node in nodes {
            names.push(node.name.clone());
            // 0.14 lost link targets that are not UTF-8; today's restic has one spelling.
            if go_version() >= 22 {
                assert_eq!(
                    node.spelling,
                    Spelling::default(),
                    "{:?}",
                    node.name.escape_ascii().to_string()
                );
            }
        }
        files += assert_contents(&repository, &source, nodes);
    }
    assert!(files > 40, "{files} files compared");
    for name in awkward_names() {
        assert!(names.contains(&name), "{}", name.escape_ascii());
    }
}

/// Each pack is what its name, its header and the index say.
fn assert_headers_match_the_index(repository: &Repository) {
    let packs = repository.indexed();
    assert!(packs.len() >= 2, "data and trees");
    for pack in packs {
        let bytes = repository.pack(pack.id);
        assert_eq!(Id::of(&bytes), pack.id);
        let mut listed = pack.blobs;
        listed.sort_by_key(|blob| blob.offset);
        assert_eq!(repository.header(&bytes), listed);
    }
}

/// Chunks of the files of a directory, found by name in `source`.
fn assert_contents(repository: &Repository, source: &Path, nodes: &[Node]) -> usize {
    let mut compared = 0;
    for node in nodes.iter().filter(|node| node.kind == NodeKind::File) {
        let name = OsStr::from_bytes(&node.name);
        let candidates = [source.join(name), source.join("names").join(name)];
        let path = candidates
            .iter()
            .find(|path| path.exists())
            .expect("a file of the source");
        let data = fs::read(path).unwrap();
        assert_eq!(
            node.content.as_deref(),
            Some(chunk_ids(repository.config.chunker_polynomial, &data).as_slice()),
            "{path:?}"
        );
        let restored: Vec<u8> = node
            .content
            .iter()
            .flatten()
            .flat_map(|id| repository.blob(*id))
            .collect();
        assert!(restored == data, "{path:?}");
        assert_eq!(
            node.mode,
            go_mode_from_unix(fs::metadata(path).unwrap().permissions().mode())
        );
        compared += 1;
    }
    compared
}

/// Every character there is, in names of up to 60 characters.
#[test]
fn every_character_is_quoted_as_restic_quotes_it() {
    let place = tempfile::tempdir().unwrap();
    let (path, source) = (place.path().join("repo"), place.path().join("source"));
    fs::create_dir(&source).unwrap();
    let characters: Vec<char> = ('\u{1}'..=char::MAX).filter(|c| *c != '/').collect();
    for name in characters.chunks(60) {
        File::create(source.join(name.iter().collect::<String>())).unwrap();
    }
    restic(&path, &["init".as_ref()]);
    restic(&path, &args(&["backup"], &source));
    let repository = Repository::open(&path);
    let mut seen = 0;
    for (bytes, nodes) in repository.trees(repository.snapshots()[0].tree).values() {
        assert!(encode_tree(nodes).unwrap() == *bytes);
        for node in nodes {
            // Go 1.21 brought Unicode 15.0.
            assert!(
                go_version() < 21 || node.spelling.name.is_none(),
                "{:?}",
                node.spelling
            );
            seen += node
                .name
                .utf8_chunks()
                .map(|chunk| chunk.valid().chars().count())
                .sum::<usize>();
        }
    }
    assert!(seen >= characters.len());
}

/// Writes a repository as this crate makes it, without any blob.
fn create(path: &Path, key: &MasterKey) {
    for directory in ["data", "keys", "index", "snapshots", "locks"] {
        fs::create_dir_all(path.join(directory)).unwrap();
    }
    for byte in 0..=255_u8 {
        fs::create_dir(path.join(format!("data/{byte:02x}"))).unwrap();
    }
    let key_file = create_key_file(
        PASSWORD.as_bytes(),
        key,
        [8; 64],
        [9; 16],
        KdfParams {
            n: 1024,
            r: 8,
            p: 1,
        },
        "2024-02-29T12:00:00.5+01:00",
        "us<er",
        "host",
    )
    .unwrap();
    fs::write(path.join("keys").join(Id::of(&key_file).to_hex()), key_file).unwrap();
    let config = Config {
        version: 2,
        id: Id::of(b"identity"),
        chunker_polynomial: KNOWN,
    };
    fs::write(path.join("config"), key.seal([1; 16], &config.encode())).unwrap();
}

fn store_unpacked(path: &Path, directory: &str, key: &MasterKey, iv: u8, json: &[u8]) -> Id {
    let bytes = key.seal([iv; 16], &encode_unpacked(json, 3).unwrap());
    let id = Id::of(&bytes);
    fs::write(path.join(directory).join(id.to_hex()), bytes).unwrap();
    id
}

#[test]
fn restic_cuts_with_the_known_polynomial_as_we_do() {
    let place = tempfile::tempdir().unwrap();
    let (path, file) = (place.path().join("repo"), place.path().join("noise"));
    create(&path, &common::key());
    let data = noise(23, 32 << 20);
    fs::write(&file, &data).unwrap();
    restic(&path, &args(&["backup"], &file));
    let repository = Repository::open(&path);
    let trees = repository.trees(repository.snapshots()[0].tree);
    let node = trees
        .values()
        .flat_map(|(_, nodes)| nodes)
        .find(|node| node.name == b"noise")
        .unwrap();
    assert_eq!(node.content, Some(chunk_ids(KNOWN, &data)));
}

/// A tree with everything that a node can say, and its blobs.
fn nodes(chunks: &[Id], size: u64) -> Vec<Node> {
    let mut nodes: Vec<Node> = awkward_names()
        .into_iter()
        .filter(|name| !name.contains(&0))
        .enumerate()
        .map(|(i, name)| Node {
            linktarget: [b"to ", name.as_slice()].concat(),
            name,
            kind: NodeKind::Symlink,
            mode: go_mode_from_unix(0o120_777),
            mtime: Timestamp {
                secs: 1_700_000_000 + i as i64,
                nanos: 120,
                offset_minutes: -570,
            },
            user: "üser <x>".into(),
            links: 1,
            inode: 100 + i as u64,
            ..Node::default()
        })
        .collect();
    nodes.push(Node {
        name: b"file".to_vec(),
        mode: go_mode_from_unix(0o100_640),
        mtime: Timestamp::utc(86_400, 1),
        size,
        links: 1,
        content: Some(chunks.to_vec()),
        extended_attributes: vec![Xattr {
            name: b"user.note".to_vec(),
            value: b"\xff\0v".to_vec(),
        }],
        ..Node::default()
    });
    nodes.push(Node {
        name: b"nothing".to_vec(),
        mode: 0o600,
        content: Some(Vec::new()),
        ..Node::default()
    });
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    nodes
}

#[test]
fn restic_checks_restores_and_rewrites_what_we_write() {
    let place = tempfile::tempdir().unwrap();
    let (path, restored) = (place.path().join("repo"), place.path().join("restored"));
    let key = common::key();
    create(&path, &key);
    let data = [noise(5, 3 << 20), vec![7; 2 << 20]].concat();
    let chunks = chunk_ids(KNOWN, &data);
    let mut compressor = Compressor::new(3).unwrap();
    let (mut data_pack, mut tree_pack) = (
        PackWriter::new(BlobKind::Data),
        PackWriter::new(BlobKind::Tree),
    );
    let mut iv = 0_u8;
    let mut add = |pack: &mut PackWriter, plaintext: &[u8]| {
        iv += 1;
        let sealed = seal_blob(
            &key,
            [iv; 16],
            pack.kind(),
            plaintext,
            Some(&mut compressor),
        )
        .unwrap();
        pack.add(Id::of(plaintext), &sealed.bytes, sealed.uncompressed_length)
            .unwrap();
        Id::of(plaintext)
    };
    let (mut chunker, mut rest) = (Chunker::new(KNOWN), data.as_slice());
    while let Cut::At(length) = chunker.push(rest) {
        add(&mut data_pack, &rest[..length]);
        rest = &rest[length..];
    }
    add(&mut data_pack, rest);
    assert!(
        data_pack
            .blobs()
            .iter()
            .any(|blob| blob.uncompressed_length.is_none()),
        "noise does not compress"
    );
    let tree = add(
        &mut tree_pack,
        &encode_tree(&nodes(&chunks, data.len() as u64)).unwrap(),
    );
    let root = Node {
        name: b"root".to_vec(),
        kind: NodeKind::Dir,
        mode: go_mode_from_unix(0o040_755),
        subtree: Some(tree),
        ..Node::default()
    };
    let root = add(&mut tree_pack, &encode_tree(&[root]).unwrap());
    let mut packs = Vec::new();
    for (iv, pack) in [(101, data_pack), (102, tree_pack)] {
        let pack = pack.finish(&key, [iv; 16]).unwrap();
        let name = pack.id.to_hex();
        fs::write(path.join("data").join(&name[..2]).join(&name), &pack.bytes).unwrap();
        packs.push(IndexPack {
            id: pack.id,
            blobs: pack.blobs,
        });
    }
    store_unpacked(&path, "index", &key, 103, &encode_index(&packs));
    let snapshot = Snapshot {
        paths: vec!["/root".into()],
        hostname: "h".into(),
        ..Snapshot::new(Timestamp::utc(1_700_000_000, 5), root)
    };
    store_unpacked(&path, "snapshots", &key, 104, &snapshot.encode().unwrap());

    restic(&path, &["check", "--read-data"].map(OsStr::new));
    restic(&path, &args(&["restore", "latest", "--target"], &restored));
    assert!(fs::read(restored.join("root/file")).unwrap() == data);
    assert_eq!(
        xattr::get(restored.join("root/file"), "user.note")
            .unwrap()
            .unwrap(),
        b"\xff\0v"
    );
    for name in awkward_names() {
        assert!(
            restored
                .join("root")
                .join(OsStr::from_bytes(&name))
                .is_symlink(),
            "{}",
            name.escape_ascii()
        );
    }
    // Came with 0.15. It refuses any tree that it would encode in other bytes.
    if go_version() >= 20 {
        restic(
            &path,
            &["rewrite", "--exclude", "nothing", "--forget", "latest"].map(OsStr::new),
        );
        let repository = Repository::open(&path);
        let trees = repository.trees(repository.snapshots()[0].tree);
        assert!(
            trees
                .values()
                .flat_map(|(_, nodes)| nodes)
                .all(|node| node.name != b"nothing")
        );
    }
}
