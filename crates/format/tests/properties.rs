//! What holds for every value: round trips, and damage that never passes.

use std::collections::BTreeMap;

use crate::common::key;
use proptest::prelude::*;
use vouchsafe_format::quote::{quote, unquote};
use vouchsafe_format::tree::first_out_of_order;
use vouchsafe_format::{
    BlobError, BlobKind, Compressor, Id, IdBuilder, IndexPack, KdfParams, LockFile, Node, NodeKind,
    PackError, PackWriter, PackedBlob, Snapshot, SnapshotSummary, Spelling, Timestamp, TreeError,
    Xattr, create_key_file, decode_index, decode_tree, decode_unpacked, encode_index, encode_tree,
    encode_unpacked, header_length, open_blob, open_key_file, parse_header, seal_blob,
};

fn bytes(length: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..length),
        any::<String>().prop_map(String::into_bytes),
        "[ -~\\\\\"<>&\u{2028}\u{fffd}\u{8}\u{c}é😀]{0,20}".prop_map(String::into_bytes),
    ]
}

fn id() -> impl Strategy<Value = Id> {
    any::<[u8; 32]>().prop_map(Id::from_bytes)
}

fn iv() -> impl Strategy<Value = [u8; 16]> {
    any::<[u8; 16]>().prop_filter("not zero", |iv| *iv != [0; 16])
}

fn timestamp() -> impl Strategy<Value = Timestamp> {
    let fields = (
        -62_000_000_000..253_000_000_000_i64,
        0..1_000_000_000_u32,
        -1439..1440_i16,
    );
    fields.prop_map(|(secs, nanos, offset_minutes)| Timestamp {
        secs,
        nanos,
        offset_minutes,
    })
}

fn kind() -> impl Strategy<Value = NodeKind> {
    use NodeKind::{CharDev, Dev, Dir, Fifo, File, Irregular, Socket, Symlink};
    let known = prop::sample::select(vec![File, Dir, Symlink, Dev, CharDev, Fifo, Socket]);
    prop_oneof![4 => known, 1 => Just(Irregular("irregular".into())), 1 => Just(Irregular(String::new()))]
}

fn node() -> impl Strategy<Value = Node> {
    let named = (
        bytes(40),
        kind(),
        any::<u32>(),
        timestamp(),
        timestamp(),
        timestamp(),
    );
    let owned = (
        any::<u32>(),
        any::<u32>(),
        any::<String>(),
        any::<String>(),
        any::<[u64; 5]>(),
    );
    let xattr = (any::<String>(), bytes(30)).prop_map(|(name, value)| Xattr {
        name: name.into_bytes(),
        value,
    });
    let linked = (
        bytes(40),
        prop::collection::vec(xattr, 0..3),
        prop::collection::btree_map(
            any::<String>(),
            prop::sample::select(vec!["1", r#""a\u003cb""#, r#"{"x":[null]}"#]),
            0..3,
        ),
        prop::option::of(prop::collection::vec(id(), 0..3)),
        prop::option::of(id()),
        any::<String>(),
    );
    (named, owned, linked).prop_map(|(named, owned, linked)| {
        let (name, kind, mode, mtime, atime, ctime) = named;
        let (uid, gid, user, group, [inode, device_id, size, links, device]) = owned;
        let (linktarget, extended_attributes, generic, content, subtree, error) = linked;
        let generic_attributes: BTreeMap<String, String> = generic
            .into_iter()
            .map(|(name, raw)| (name, raw.to_owned()))
            .collect();
        Node {
            name,
            kind,
            mode,
            mtime,
            atime,
            ctime,
            uid,
            gid,
            user,
            group,
            inode,
            device_id,
            size,
            links,
            linktarget,
            extended_attributes,
            generic_attributes,
            device,
            content,
            subtree,
            error,
            spelling: Spelling::default(),
        }
    })
}

/// Sorted nodes with names that a directory can have, each once.
fn nodes() -> impl Strategy<Value = Vec<Node>> {
    prop::collection::vec(node(), 0..6).prop_map(|nodes| {
        let safe = nodes.into_iter().filter(Node::has_safe_name);
        let by_name: BTreeMap<Vec<u8>, Node> = safe.map(|node| (node.name.clone(), node)).collect();
        by_name.into_values().collect()
    })
}

fn packed_blob() -> impl Strategy<Value = PackedBlob> {
    let kind = prop::sample::select(vec![BlobKind::Data, BlobKind::Tree]);
    (
        id(),
        kind,
        0..1_u32 << 31,
        32..1_u32 << 30,
        prop::option::of(1..u32::MAX),
    )
        .prop_map(
            |(id, kind, offset, length, uncompressed_length)| PackedBlob {
                id,
                kind,
                offset,
                length,
                uncompressed_length,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn sealed_bytes_open_unless_any_bit_was_flipped(iv in iv(), text in bytes(300), flip: prop::sample::Index, bit in 0..8) {
        let mut sealed = key().seal(iv, &text);
        prop_assert_eq!(&key().open(&sealed).unwrap(), &text);
        let length = sealed.len();
        sealed[flip.index(length)] ^= 1_u8 << bit;
        prop_assert!(key().open(&sealed).is_err());
        sealed[flip.index(length)] ^= 1_u8 << bit;
        sealed.truncate(flip.index(length));
        prop_assert!(key().open(&sealed).is_err());
    }

    #[test]
    fn blobs_round_trip_and_are_hashed_again(iv in iv(), text in bytes(2000), repeat in 0..50_usize, kind: bool, compress: bool) {
        let text = [text.repeat(repeat), text].concat();
        let kind = if kind { BlobKind::Data } else { BlobKind::Tree };
        let mut compressor = Compressor::new(3).unwrap();
        let sealed = seal_blob(&key(), iv, kind, &text, compress.then_some(&mut compressor)).unwrap();
        let expected = Id::of(&text);
        prop_assert_eq!(&open_blob(&key(), &sealed.bytes, sealed.uncompressed_length, expected).unwrap(), &text);
        match kind {
            _ if text.is_empty() => prop_assert_eq!(sealed.uncompressed_length, None),
            BlobKind::Tree => prop_assert_eq!(sealed.uncompressed_length, Some(text.len() as u32)),
            BlobKind::Data => prop_assert!(sealed.bytes.len() <= text.len() + 32),
        }
        prop_assert!(compress || kind == BlobKind::Tree || sealed.uncompressed_length.is_none());
        let another = Id::of(b"another");
        let wrong = open_blob(&key(), &sealed.bytes, sealed.uncompressed_length, another);
        let is_wrong_hash = matches!(wrong, Err(BlobError::WrongHash { expected: e, found: f }) if (e, f) == (another, expected));
        prop_assert!(is_wrong_hash);
        let wrong_length = sealed.uncompressed_length.map_or(5, |length| length - 1);
        prop_assert!(open_blob(&key(), &sealed.bytes, Some(wrong_length), expected).is_err());
    }

    #[test]
    fn packs_list_what_was_added(
        blobs in prop::collection::vec((bytes(60), prop::option::of(1..u32::MAX)), 0..20),
        flip: prop::sample::Index,
        data: bool,
    ) {
        let kind = if data { BlobKind::Data } else { BlobKind::Tree };
        let mut writer = PackWriter::new(kind);
        for (text, uncompressed_length) in &blobs {
            writer.add(Id::of(text), &key().seal([1; 16], text), *uncompressed_length).unwrap();
        }
        prop_assert_eq!(writer.count(), blobs.len());
        let body = writer.len();
        let pack = writer.finish(&key(), [2; 16]).unwrap();
        prop_assert_eq!(pack.id, Id::of(&pack.bytes));
        let total = pack.bytes.len() as u64;
        let (rest, last4) = pack.bytes.split_last_chunk::<4>().unwrap();
        let header = &rest[body..];
        prop_assert_eq!(header_length(*last4, total).unwrap() as usize, header.len());
        let listed = parse_header(&key(), header, total).unwrap();
        prop_assert_eq!(&listed, &pack.blobs);
        for (blob, (text, _)) in listed.iter().zip(&blobs) {
            let start = blob.offset as usize;
            let sealed = &pack.bytes[start..start + blob.length as usize];
            prop_assert_eq!(&open_blob(&key(), sealed, None, blob.id).unwrap(), text);
        }
        let is_total = matches!(parse_header(&key(), header, total + 1), Err(PackError::Total { .. }));
        prop_assert!(is_total);
        let mut damaged = header.to_vec();
        damaged[flip.index(header.len())] ^= 0x10;
        prop_assert!(matches!(parse_header(&key(), &damaged, total), Err(PackError::Sealed(_))));
    }

    #[test]
    fn a_pack_taken_piece_by_piece_is_the_same_pack(
        blobs in prop::collection::vec((bytes(60), any::<bool>()), 1..20),
    ) {
        let mut whole = PackWriter::new(BlobKind::Data);
        let mut pieces = PackWriter::new(BlobKind::Data);
        let mut taken = Vec::new();
        let mut id = IdBuilder::default();
        for (text, take) in &blobs {
            let sealed = key().seal([1; 16], text);
            whole.add(Id::of(text), &sealed, None).unwrap();
            pieces.add(Id::of(text), &sealed, None).unwrap();
            if *take {
                let piece = pieces.take(b"what was here".to_vec());
                id.update(&piece);
                taken.extend(piece);
            }
        }
        prop_assert_eq!((pieces.len(), pieces.taken()), (whole.len(), taken.len()));
        if pieces.taken() > 0 {
            let refused = pieces.clone().finish(&key(), [2; 16]);
            prop_assert_eq!(refused, Err(PackError::Taken { taken: taken.len() }));
        }
        let rest = pieces.finish_rest(&key(), [2; 16]).unwrap();
        id.update(&rest.bytes);
        taken.extend(rest.bytes);
        let whole = whole.finish(&key(), [2; 16]).unwrap();
        prop_assert_eq!((taken, rest.blobs, id.finish()), (whole.bytes, whole.blobs, whole.id));
    }

    #[test]
    fn headers_that_lie_are_refused(length in 0..32_u32, kind in 4..=255_u8, cut in 1..37_usize) {
        let entry = |kind: u8, length: u32| [&[kind][..], &length.to_le_bytes(), &[7; 32]].concat();
        let parse = |plain: &[u8], total| parse_header(&key(), &key().seal([1; 16], plain), total);
        prop_assert!(parse(&entry(0, 40), 40 + 37 + 32 + 4).is_ok());
        prop_assert_eq!(parse(&entry(0, length), 200), Err(PackError::BlobLength { length: length as usize }));
        prop_assert_eq!(parse(&entry(kind, 40), 200), Err(PackError::Kind { entry: 0, kind }));
        prop_assert_eq!(parse(&entry(0, 40)[..cut], 200), Err(PackError::Entry { entry: 0 }));
        prop_assert_eq!(parse(&entry(2, 40), 200), Err(PackError::Entry { entry: 0 }));
        let huge = [entry(0, u32::MAX), entry(0, 40), entry(0, 40)].concat();
        let is_total = matches!(parse(&huge, u64::MAX), Err(PackError::Total { .. }));
        prop_assert!(is_total);
    }

    #[test]
    fn indexes_round_trip(packs in prop::collection::vec((id(), prop::collection::vec(packed_blob(), 0..5)), 0..5)) {
        let packs: Vec<IndexPack> = packs.into_iter().map(|(id, blobs)| IndexPack { id, blobs }).collect();
        prop_assert_eq!(decode_index(&encode_index(&packs)).unwrap(), packs);
    }

    #[test]
    fn unpacked_files_round_trip(json in prop::collection::vec(any::<u8>(), 0..3000), level in 1..10) {
        let packed = encode_unpacked(&json, level).unwrap();
        let unpacked = decode_unpacked(&packed).unwrap();
        prop_assert_eq!(unpacked.as_ref(), json);
    }

    #[test]
    fn trees_round_trip(nodes in nodes()) {
        let tree = encode_tree(&nodes).unwrap();
        let again = decode_tree(&tree).unwrap();
        prop_assert_eq!(&again, &nodes);
        prop_assert_eq!(encode_tree(&again).unwrap(), tree.as_slice());
        prop_assert!(serde_json::from_slice::<serde_json::Value>(&tree).is_ok());
        prop_assert!(!tree[..tree.len() - 1].contains(&b'\n'));
        prop_assert!(!tree.iter().any(|b| b"<>&".contains(b)));
    }

    #[test]
    fn trees_out_of_order_are_refused(mut nodes in nodes(), at: prop::sample::Index) {
        prop_assume!(nodes.len() > 1);
        let at = at.index(nodes.len() - 1);
        let copy = nodes[at].clone();
        nodes.insert(at, copy);
        prop_assert_eq!(first_out_of_order(&nodes), Some(at + 1));
        let refused = matches!(encode_tree(&nodes), Err(TreeError::Order { position, .. }) if position == at + 1);
        prop_assert!(refused);
        nodes.remove(at);
        nodes.swap(at, at + 1);
        let refused = matches!(encode_tree(&nodes), Err(TreeError::Order { .. }));
        prop_assert!(refused);
    }

    #[test]
    fn names_round_trip(name in bytes(200)) {
        let quoted = quote(&name);
        prop_assert_eq!(unquote(&quoted), Some(name));
    }

    #[test]
    fn times_round_trip(time in timestamp()) {
        prop_assert_eq!(time.to_string().parse(), Ok(time));
    }

    #[test]
    fn snapshots_and_locks_round_trip(
        (time, text, paths) in (timestamp(), any::<String>(), prop::collection::vec(any::<String>(), 0..3)),
        (tree, parent, number, with_summary) in (id(), prop::option::of(id()), any::<u32>(), any::<bool>()),
    ) {
        let summary = SnapshotSummary { backup_start: time, files_new: number.into(), data_blobs: -1, ..SnapshotSummary::default() };
        let snapshot = Snapshot {
            parent, original: parent, paths: paths.clone(), tags: paths.clone(), excludes: paths, hostname: text.clone(),
            username: text.clone(), uid: number, gid: number, program_version: text.clone(),
            summary: with_summary.then_some(summary), ..Snapshot::new(time, tree)
        };
        prop_assert_eq!(&Snapshot::decode(&snapshot.encode().unwrap()).unwrap(), &snapshot);
        let lock = LockFile { time, exclusive: with_summary, hostname: text.clone(), username: text, pid: number, uid: number, gid: 0 };
        prop_assert_eq!(&LockFile::decode(&lock.encode().unwrap()).unwrap(), &lock);
    }

    #[test]
    fn key_files_open_with_their_password_only(password in bytes(40), salt in any::<[u8; 32]>(), iv in iv(), text: String) {
        let salt: [u8; 64] = [salt, salt].concat().try_into().unwrap();
        let params = KdfParams { n: 4, r: 1, p: 1 };
        let file = create_key_file(&password, &key(), salt, iv, params, "2024-01-01T00:00:00Z", &text, &text).unwrap();
        let opened = open_key_file(&file, &password).unwrap();
        prop_assert_eq!(opened.seal([1; 16], b"x"), key().seal([1; 16], b"x"));
        // HMAC, below scrypt, takes a password and the same with zeros behind it for one.
        let other = [password.as_slice(), b"!"].concat();
        prop_assert!(open_key_file(&file, &other).is_err());
    }
}
