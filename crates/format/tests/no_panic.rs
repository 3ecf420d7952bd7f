//! No bytes make any parser panic: neither arbitrary ones nor damaged good ones.

use crate::common::{key, noise};
use proptest::prelude::*;
use vouchsafe_format::quote::{quote, unquote};
use vouchsafe_format::{
    BlobKind, Chunker, Compressor, Config, Cut, Id, IndexPack, KdfParams, KeyFile, LockFile, Node,
    NodeKind, PackWriter, Polynomial, Snapshot, SnapshotSummary, Timestamp, Xattr, create_key_file,
    decode_index, decode_tree, decode_unpacked, decompress, encode_index, encode_tree,
    encode_unpacked, header_length, open_blob, open_key_file, parse_header,
};

/// Good bytes for each parser.
fn good() -> Vec<Vec<u8>> {
    let node = Node {
        name: b"a\xff\x08<\"\xe2\x80\xa8".to_vec(),
        kind: NodeKind::Irregular("odd".into()),
        mtime: Timestamp {
            secs: -5,
            nanos: 120,
            offset_minutes: -90,
        },
        linktarget: b"\xfft\x0c".to_vec(),
        user: "ü\u{fffd}\u{8}".into(),
        extended_attributes: vec![Xattr {
            name: b"user.x".to_vec(),
            value: vec![1, 2],
        }],
        generic_attributes: [("windows.x".to_owned(), r#"{"a":[1,"b"]}"#.to_owned())].into(),
        content: Some(vec![Id::of(b"x")]),
        subtree: Some(Id::of(b"y")),
        ..Node::default()
    };
    let tree = encode_tree(&[node]).unwrap();
    let old_tree = String::from_utf8(tree.clone())
        .unwrap()
        .replace(r"\b", r"\u0008")
        .into_bytes();
    let time = Timestamp::utc(1_700_000_000, 1);
    let summary = Some(SnapshotSummary::default());
    let snapshot = Snapshot {
        summary,
        tags: vec!["t".into()],
        ..Snapshot::new(time, Id::of(b"t"))
    };
    let lock = LockFile {
        time,
        exclusive: true,
        hostname: "h".into(),
        username: "u".into(),
        pid: 1,
        uid: 2,
        gid: 3,
    };
    let mut pack = PackWriter::new(BlobKind::Data);
    pack.add(Id::of(b"1"), &[0; 40], None).unwrap();
    pack.add(Id::of(b"2"), &[0; 50], Some(9)).unwrap();
    let pack = pack.finish(&key(), [1; 16]).unwrap();
    let index = encode_index(&[IndexPack {
        id: pack.id,
        blobs: pack.blobs,
    }]);
    let params = KdfParams { n: 4, r: 1, p: 1 };
    let key_file = create_key_file(b"p", &key(), [1; 64], [1; 16], params, "", "", "").unwrap();
    let polynomial = Polynomial::from_bits(0x3D_A335_8B4D_C173);
    let config = Config {
        version: 2,
        id: Id::of(b"c"),
        chunker_polynomial: polynomial,
    };
    let unpacked = encode_unpacked(&index, 3).unwrap();
    let frame = Compressor::new(3)
        .unwrap()
        .compress(&noise(1, 300).repeat(4))
        .unwrap();
    let header = key().open(&pack.bytes[90..pack.bytes.len() - 4]).unwrap();
    let quoted = quote(b"a\xff\x08\"\xe2\x80\xa8").into_bytes();
    vec![
        tree,
        old_tree,
        snapshot.encode().unwrap(),
        lock.encode().unwrap(),
        pack.bytes,
        index,
        key_file,
        config.encode(),
        unpacked,
        frame,
        header,
        quoted,
        time.to_string().into_bytes(),
        polynomial.to_string().into_bytes(),
    ]
}

/// Feeds the bytes to everything; true if anything took them.
fn feed(bytes: &[u8]) -> bool {
    let mut taken = 0_u32;
    let mut count = |good: bool| taken += u32::from(good);
    let nodes = decode_tree(bytes);
    count(nodes.is_ok());
    if let Ok(nodes) = nodes
        && let Ok(again) = encode_tree(&nodes)
    {
        assert_eq!(decode_tree(&again).unwrap(), nodes);
    }
    count(Snapshot::decode(bytes).is_ok());
    count(LockFile::decode(bytes).is_ok());
    count(decode_index(bytes).is_ok());
    count(Config::decode(bytes).is_ok());
    count(decode_unpacked(bytes).is_ok());
    for length in [0, 1200, bytes.len()] {
        count(decompress(bytes, length).is_ok());
    }
    count(key_file(bytes));
    count(key().open(bytes).is_ok());
    let mut copy = bytes.to_vec();
    count(key().open_in_place(&mut copy).is_ok());
    for total in [0, bytes.len() as u64, 32 + 78 + 94, u64::MAX] {
        // Sealed properly, so that damage reaches the parser behind the seal.
        count(parse_header(&key(), &key().seal([1; 16], bytes), total).is_ok());
        count(parse_header(&key(), bytes, total).is_ok());
        let last4 = bytes.last_chunk::<4>().copied().unwrap_or_default();
        count(header_length(last4, total).is_ok());
    }
    count(open_blob(&key(), bytes, Some(3), Id::of(b"")).is_ok());
    count(open_blob(&key(), &key().seal([1; 16], bytes), Some(1200), Id::of(b"")).is_ok());
    if let Ok(text) = std::str::from_utf8(bytes) {
        count(unquote(text).is_some());
        count(text.parse::<Timestamp>().is_ok());
        count(text.parse::<Id>().is_ok());
        count(text.parse::<Polynomial>().is_ok());
    }
    taken > 0
}

/// Opens a key file, unless its parameters ask for long work.
fn key_file(bytes: &[u8]) -> bool {
    match KeyFile::decode(bytes) {
        Ok(file) if file.n * file.r * file.p <= 4096 => open_key_file(bytes, b"p").is_ok(),
        Ok(_) => true,
        Err(_) => open_key_file(bytes, b"p").is_ok(),
    }
}

#[test]
fn the_good_bytes_are_good() {
    for bytes in good() {
        assert!(feed(&bytes), "{}", bytes.escape_ascii());
    }
}

#[test]
fn every_truncation_is_survived() {
    for bytes in good() {
        for end in 0..bytes.len() {
            feed(&bytes[..end]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn arbitrary_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        feed(&bytes);
        feed(&[b"\x02".as_slice(), &bytes].concat());
        feed(&[b"\x28\xb5\x2f\xfd".as_slice(), &bytes].concat());
    }

    #[test]
    fn damaged_bytes_are_survived(
        which: prop::sample::Index,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4), 1..5),
        text in prop::sample::select(vec!["null", "-1", "1e999", "99999999999999999999", "\"\"", "[]", "\\ud800", "\\", "é", "\0"]),
    ) {
        let all = good();
        let mut bytes = all[which.index(all.len())].clone();
        for (at, byte, how) in damage {
            let at = at.index(bytes.len() + 1).min(bytes.len().saturating_sub(1));
            match how {
                _ if bytes.is_empty() => {}
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => { bytes.remove(at); }
                _ => { bytes.splice(at..at, text.bytes()); }
            }
        }
        feed(&bytes);
    }

    #[test]
    fn deep_nesting_is_survived(depth in 1..5000_usize, open in prop::sample::select(vec!["[", "{\"nodes\":", "{\"nodes\":[", "{\"packs\":["])) {
        feed(open.repeat(depth).as_bytes());
    }

    #[test]
    fn any_polynomial_cuts_any_bytes(bits: u64, seed: u64, piece in 1..3_000_000_usize) {
        let mut chunker = Chunker::new(Polynomial::from_bits(bits));
        for part in noise(seed, 1_500_000).chunks(piece) {
            let mut rest = part;
            while let Cut::At(length) = chunker.push(rest) {
                prop_assert!(length > 0 && length <= rest.len());
                rest = &rest[length..];
            }
        }
        Polynomial::from_bits(bits).is_irreducible();
    }
}
