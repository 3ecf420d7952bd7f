//! The archive, written, read, cut off and damaged.

use std::io::Read;

use mongodb::bson::{Bson, Document, RawDocumentBuf, doc};
use proptest::prelude::*;

use super::*;

fn namespace(db: &str, collection: &str, kind: &str) -> Namespace {
    Namespace {
        db: db.to_owned(),
        collection: collection.to_owned(),
        metadata: r#"{"options":{},"indexes":[]}"#.to_owned(),
        size: 0,
        kind: kind.to_owned(),
    }
}

fn prelude(namespaces: Vec<Namespace>) -> Prelude {
    Prelude {
        header: Header {
            concurrent_collections: 1,
            server_version: "7.0.14".to_owned(),
            tool_version: "1".to_owned(),
        },
        namespaces,
    }
}

fn bytes(document: &Document) -> Vec<u8> {
    RawDocumentBuf::try_from(document).unwrap().into_bytes()
}

/// An archive of collections with these documents.
fn written(collections: &[Vec<Vec<u8>>]) -> Vec<u8> {
    let names = (0..collections.len()).map(|n| namespace("shop", &format!("c{n}"), ""));
    let mut out = Vec::new();
    let mut writer = write_prelude(&mut out, &prelude(names.collect())).unwrap();
    for (number, documents) in collections.iter().enumerate() {
        for document in documents {
            writer.document(&mut out, number, document).unwrap();
        }
        writer.end(&mut out, number).unwrap();
    }
    out
}

/// Documents by namespace, or what is wrong.
fn read(input: impl Read) -> Result<Vec<Vec<Vec<u8>>>, ArchiveError> {
    let mut reader = ArchiveReader::open(input)?;
    let mut out = vec![Vec::new(); reader.prelude().namespaces.len()];
    let mut ended = 0;
    while let Some(event) = reader.next()? {
        match event {
            Event::Document(number, bytes) => {
                if number == out.len() {
                    out.push(Vec::new());
                }
                out[number].push(bytes.to_vec());
            }
            Event::End(_) => ended += 1,
        }
    }
    assert_eq!(ended, out.len());
    Ok(out)
}

fn small() -> Vec<Vec<Vec<u8>>> {
    let inner = doc! { "a": [1, "x", { "b": Bson::Null }], "t": true, "f": 1.5, "l": 7_i64 };
    let first = vec![
        bytes(&doc! { "_id": 1, "in": inner }),
        bytes(&doc! { "_id": 2 }),
    ];
    vec![first, Vec::new(), vec![bytes(&doc! { "_id": "z" })]]
}

/// Gives one byte at a time.
struct Slowly<'a>(&'a [u8]);

impl Read for Slowly<'_> {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let one = buf.len().min(1);
        self.0.read(&mut buf[..one])
    }
}

#[test]
fn what_is_written_is_read() {
    let archive = written(&small());
    assert_eq!(read(&*archive).unwrap(), small());
    assert_eq!(read(Slowly(&archive)).unwrap(), small());
    let reader = ArchiveReader::open(&*archive).unwrap();
    assert_eq!(reader.prelude().header.server_version, "7.0.14");
    assert_eq!(reader.prelude().namespaces[2].name(), "shop.c2");
}

#[test]
fn an_archive_that_is_cut_off_anywhere_is_refused() {
    let archive = written(&small());
    for length in 0..archive.len() {
        assert!(read(&archive[..length]).is_err(), "cut off at {length}");
    }
    let mut longer = archive.clone();
    longer.push(0);
    assert!(read(&*longer).is_err());
}

/// Texts of the prelude have no sum of their own: the vault seals them. Everything else is seen.
#[test]
fn each_flipped_byte_of_an_archive_is_refused_or_only_in_the_prelude() {
    let archive = written(&small());
    let prelude = archive
        .windows(4)
        .position(|four| four == TERMINATOR)
        .unwrap();
    let mut unseen = 0;
    for at in 0..archive.len() {
        for bit in 0..8 {
            let mut damaged = archive.clone();
            damaged[at] ^= 1 << bit;
            if let Ok(found) = read(&*damaged) {
                assert!(at < prelude, "a flipped bit at {at} was not seen");
                assert_eq!(found, small());
                unseen += 1;
            }
        }
    }
    assert!(unseen > 0, "the prelude has texts");
}

#[test]
fn namespaces_may_take_turns_and_the_oplog_comes_unannounced() {
    let names = [("shop", "a"), ("shop", "b"), ("", "oplog")];
    let document = |n: i32| bytes(&doc! { "_id": n });
    let header = |n: usize, ends: bool, crc: u64| {
        let (db, collection) = names[n];
        bytes(&doc! { "db": db, "collection": collection, "EOF": ends, "CRC": crc.cast_signed() })
    };
    let mut out = Vec::new();
    let announced = vec![namespace("shop", "a", ""), namespace("shop", "b", "view")];
    write_prelude(&mut out, &prelude(announced)).unwrap();
    for (n, id) in [(0, 1), (2, 2), (0, 3)] {
        out.extend(header(n, false, 0));
        out.extend(document(id));
        out.extend(TERMINATOR);
    }
    let of = |ids: &[i32]| {
        let mut total = sum();
        ids.iter().for_each(|id| total.update(&document(*id)));
        total.finalize()
    };
    let whole = out.clone();
    for (n, crc) in [(0, of(&[1, 3])), (1, of(&[])), (2, of(&[2]))] {
        out.extend(header(n, true, crc));
        out.extend(TERMINATOR);
    }
    let found = read(&*out).unwrap();
    assert_eq!(
        found,
        [vec![document(1), document(3)], vec![], vec![document(2)]]
    );

    // A wrong order of documents has another sum.
    let mut other = whole;
    other.extend(header(0, true, of(&[3, 1])));
    other.extend(TERMINATOR);
    assert!(matches!(read(&*other), Err(ArchiveError::Sum { .. })));
    // After its end nothing more may come.
    out.extend(header(1, false, 0));
    out.extend(document(4));
    out.extend(TERMINATOR);
    assert!(matches!(read(&*out), Err(ArchiveError::Order { .. })));
}

/// Written by `mongodump` 100.7.0 of the simulator, with an entry of the oplog.
#[test]
fn what_mongodump_wrote_is_read_whole() {
    let golden: &[u8] = include_bytes!("../../../../mongosim/tests/golden/shop.archive");
    let reader = ArchiveReader::open(golden).unwrap();
    let prelude = reader.prelude().clone();
    let found = read(golden).unwrap();
    let counted: std::collections::BTreeMap<String, usize> = prelude
        .namespaces
        .iter()
        .map(Namespace::name)
        .chain(["oplog".to_owned()])
        .zip(found.iter().map(Vec::len))
        .collect();
    let held = |name: &str| counted.get(name).copied();
    assert_eq!(held("shop.orders"), Some(20), "{counted:?}");
    assert_eq!(held("shop.other"), Some(1));
    assert_eq!(held("shop.seen"), Some(0));
    assert_eq!(held("second.z"), Some(1));
    assert_eq!(held("oplog"), Some(1));
    for namespace in prelude.namespaces.iter().filter(|n| !n.db.is_empty()) {
        let collection = crate::mongodb::catalog::Collection::of_namespace(namespace).unwrap();
        assert_eq!(collection.is_view, collection.name == "seen");
        let indexes = collection.indexes.len();
        assert_eq!(
            indexes,
            usize::from(collection.name == "orders") + usize::from(!collection.is_view)
        );
    }
    for length in 0..golden.len() {
        assert!(read(&golden[..length]).is_err(), "cut off at {length}");
    }
}

#[test]
fn what_lies_about_its_length_takes_no_memory() {
    let mut archive = written(&[]);
    archive.truncate(archive.len() - 4);
    for length in [i32::MAX, -2, 4, 0, i32::try_from(LARGEST).unwrap() + 1] {
        let mut lying = archive.clone();
        lying.extend(length.to_le_bytes());
        assert!(
            matches!(read(&*lying), Err(ArchiveError::Malformed { .. })),
            "{length}"
        );
    }
    let mut short = archive;
    short.extend(i32::try_from(LARGEST).unwrap().to_le_bytes());
    assert!(matches!(read(&*short), Err(ArchiveError::Truncated { .. })));
}

#[test]
fn what_is_no_document_is_said() {
    let said = |bytes: &[u8]| check(bytes).unwrap_err();
    assert!(said(b"").contains("longer"));
    assert!(said(b"\x06\0\0\0\0\0").contains("early"));
    assert!(said(b"\x08\0\0\0\x20a\0\0").contains("unknown type"));
    assert!(said(b"\x09\0\0\0\x08a\0\x02\0").contains("truth value"));
    let mut deep = doc! {};
    for _ in 0..250 {
        deep = doc! { "d": deep };
    }
    assert!(said(&bytes(&deep)).contains("deep"));
}

fn value() -> impl Strategy<Value = Bson> {
    let leaf = prop_oneof![
        Just(Bson::Null),
        any::<bool>().prop_map(Bson::Boolean),
        any::<i32>().prop_map(Bson::Int32),
        any::<i64>().prop_map(Bson::Int64),
        any::<f64>().prop_map(Bson::Double),
        "[a-zé]{0,6}".prop_map(Bson::String),
        any::<[u8; 12]>().prop_map(|b| Bson::ObjectId(b.into())),
        "[a-z]{0,5}".prop_map(Bson::JavaScriptCode),
        "[a-z]{0,5}".prop_map(Bson::Symbol),
        Just(Bson::MinKey),
        Just(Bson::MaxKey),
        Just(Bson::Undefined),
        (any::<u32>(), any::<u32>()).prop_map(|(time, increment)| {
            Bson::Timestamp(mongodb::bson::Timestamp { time, increment })
        }),
        any::<i64>().prop_map(|n| Bson::DateTime(mongodb::bson::DateTime::from_millis(n))),
    ];
    leaf.prop_recursive(3, 20, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Bson::Array),
            prop::collection::vec(("[a-z]{1,3}", inner), 0..4)
                .prop_map(|pairs| Bson::Document(pairs.into_iter().collect())),
        ]
    })
}

fn documents() -> impl Strategy<Value = Vec<Vec<Vec<u8>>>> {
    let document = prop::collection::vec(("[a-z]{1,3}", value()), 0..5)
        .prop_map(|pairs| bytes(&pairs.into_iter().collect()));
    prop::collection::vec(prop::collection::vec(document, 0..5), 0..5)
}

proptest! {
    #[test]
    fn whatever_is_written_is_read(collections in documents()) {
        prop_assert_eq!(read(&*written(&collections)).unwrap(), collections);
    }

    #[test]
    fn arbitrary_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&*bytes);
        let _ = check(&bytes);
        let mut archive = MAGIC.to_vec();
        archive.extend(&bytes);
        let _ = read(&*archive);
    }

    #[test]
    fn damaged_archives_are_survived(collections in documents(), at in any::<prop::sample::Index>(), by in 1_u8..) {
        let mut archive = written(&collections);
        let at = at.index(archive.len());
        archive[at] ^= by;
        let _ = read(&*archive);
    }

    /// What the driver's own crate reads is a document here, and the other way round but for texts.
    #[test]
    fn documents_are_judged_as_the_drivers_crate_does(
        document in prop::collection::vec(("[a-z]{1,3}", value()), 0..5),
        at in any::<prop::sample::Index>(),
        by in any::<u8>(),
    ) {
        let mut bytes = bytes(&document.into_iter().collect());
        prop_assert_eq!(check(&bytes), Ok(()));
        let at = at.index(bytes.len());
        bytes[at] ^= by;
        let theirs = RawDocumentBuf::from_bytes(bytes.clone())
            .is_ok_and(|raw| Document::try_from(raw.as_ref()).is_ok());
        prop_assert!(!theirs || check(&bytes).is_ok());
    }
}
