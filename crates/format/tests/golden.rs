//! Bytes as restic and Go write them, and near misses that must not pass.

use vouchsafe_format::{
    BlobKind, Id, IndexError, LockFile, Node, NodeKind, Snapshot, Spelling, Timestamp, TreeError,
    Xattr, decode_index, decode_tree, encode_index, encode_tree,
};

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

/// A tree of one node; `name` as it stands in the JSON, `more` before `content`.
fn tree(name: &str, more: &str, content: &str) -> String {
    let times = r#""mtime":"2024-05-06T07:08:09.01+02:00","atime":"2024-05-06T07:08:09Z","ctime":"1969-12-31T23:59:59.999999999-03:30""#;
    format!(
        "{{\"nodes\":[{{\"name\":\"{name}\",\"type\":\"file\",{times},\"uid\":0,\"gid\":7{more},\"content\":{content}}}]}}\n"
    )
}

fn only_node(text: &str) -> Node {
    let mut nodes = decode_tree(text.as_bytes()).unwrap();
    assert_eq!(nodes.len(), 1);
    nodes.remove(0)
}

/// Reads the node, and finds the same text when it is written again.
fn unchanged(text: &str) -> Node {
    let node = only_node(text);
    let again = encode_tree(std::slice::from_ref(&node)).unwrap();
    assert_eq!(String::from_utf8(again).unwrap(), text);
    node
}

#[test]
fn an_empty_tree_has_its_known_id() {
    // The id that restic shows for every empty directory.
    let empty = encode_tree(&[]).unwrap();
    assert_eq!(empty, b"{\"nodes\":[]}\n");
    assert_eq!(decode_tree(&empty).unwrap(), []);
    assert_eq!(Id::of(&empty).short(), "ac08ce34");
}

#[test]
fn every_field_is_read_and_written_in_its_place() {
    let more = concat!(
        r#","user":"us\u003cer","group":"gr\u0026p","inode":1,"device_id":2,"size":3,"links":4"#,
        r#","linktarget":"a\ufffdb","linktarget_raw":"Yf9i""#,
        r#","extended_attributes":[{"name":"user.e","value":""},{"name":"user.x","value":"AP8="}]"#,
        r#","generic_attributes":{"windows.a":{"k":"\u0026"},"windows.b":"x"},"device":5"#,
    );
    let text = tree(
        "n\\u003e",
        more,
        &format!("[\"{A}\",\"{B}\"],\"subtree\":\"{A}\",\"error\":\"e\""),
    );
    let text = text.replace("\"type\":\"file\",", "\"type\":\"file\",\"mode\":420,");
    let node = unchanged(&text);
    let id = |hex: &str| hex.parse::<Id>().unwrap();
    let xattr = |name: &str, value: &[u8]| Xattr {
        name: name.into(),
        value: value.to_vec(),
    };
    let expected = Node {
        name: b"n>".to_vec(),
        kind: NodeKind::File,
        mode: 0o644,
        mtime: Timestamp {
            secs: 1_714_972_089,
            nanos: 10_000_000,
            offset_minutes: 120,
        },
        atime: Timestamp::utc(1_714_979_289, 0),
        ctime: Timestamp {
            secs: 12_599,
            nanos: 999_999_999,
            offset_minutes: -210,
        },
        uid: 0,
        gid: 7,
        user: "us<er".into(),
        group: "gr&p".into(),
        inode: 1,
        device_id: 2,
        size: 3,
        links: 4,
        linktarget: b"a\xffb".to_vec(),
        extended_attributes: vec![xattr("user.e", b""), xattr("user.x", b"\0\xff")],
        generic_attributes: [("windows.a", r#"{"k":"\u0026"}"#), ("windows.b", "\"x\"")]
            .map(|(name, raw)| (name.to_owned(), raw.to_owned()))
            .into(),
        device: 5,
        content: Some(vec![id(A), id(B)]),
        subtree: Some(id(A)),
        error: "e".into(),
        spelling: Spelling::default(),
    };
    assert_eq!(node, expected);
}

#[test]
fn no_content_and_empty_content_are_two_things() {
    assert_eq!(unchanged(&tree("a", "", "null")).content, None);
    assert_eq!(unchanged(&tree("a", "", "[]")).content, Some(Vec::new()));
}

#[test]
fn spellings_of_older_restics_are_kept() {
    let node = unchanged(&tree("a", r#","linktarget":"lost \ufffd byte""#, "null"));
    assert!(node.spelling.replaced && !node.spelling.long_escapes);
    assert_eq!(node.linktarget, "lost \u{fffd} byte".as_bytes());
    let node = unchanged(&tree("a", r#","linktarget":"\u0008\u000c""#, "null"));
    assert!(node.spelling.long_escapes && !node.spelling.replaced);
    assert_eq!(node.linktarget, b"\x08\x0c");
    let node = unchanged(&tree("a", r#","linktarget":"\b\f""#, "null"));
    assert_eq!(node.spelling, Spelling::default());
    // Assigned in Unicode 15, hence escaped before.
    let node = unchanged(&tree(r"\\U0001fae8\\u007f", "", "null"));
    assert_eq!(node.spelling.name.as_deref(), Some(r"\U0001fae8\u007f"));
    assert_eq!(node.name, "\u{1fae8}\x7f".as_bytes());
    let renamed = Node {
        name: b"new".to_vec(),
        ..node
    };
    assert_eq!(
        encode_tree(&[renamed]).unwrap(),
        tree("new", "", "null").into_bytes()
    );
}

#[test]
fn a_spelling_that_does_not_explain_the_bytes_is_not_kept() {
    let text = tree("a", r#","unknown":0,"linktarget":"\ufffd""#, "null");
    assert_eq!(only_node(&text).spelling, Spelling::default());
}

#[test]
fn keys_not_known_are_passed_over() {
    let text = tree("a", r#","later":{"deep":[1,{}]}"#, "null");
    assert_eq!(only_node(&text).name, b"a");
    let around = text
        .replace("{\"nodes\"", "{\"before\":[0],\"nodes\"")
        .replace("]}\n", "],\"after\":{}}");
    assert_eq!(only_node(&around).name, b"a");
}

#[test]
fn generic_attributes_are_compacted_or_refused() {
    let attribute = |raw: &str| {
        let generic_attributes = [("x".to_owned(), raw.to_owned())].into();
        encode_tree(&[Node {
            name: b"a".to_vec(),
            generic_attributes,
            ..Node::default()
        }])
    };
    let text = String::from_utf8(attribute("{ \"a\" : \"<&\u{2029} \" }").unwrap()).unwrap();
    assert!(
        text.contains(r#""generic_attributes":{"x":{"a":"\u003c\u0026\u2029 "}}"#),
        "{text}"
    );
    for bad in ["", "{", "1 2", "'a'", "{\"a\":1}}"] {
        assert!(
            matches!(
                attribute(bad),
                Err(TreeError::Attribute { position: 0, .. })
            ),
            "{bad}"
        );
    }
}

#[test]
fn impossible_names_are_not_written() {
    for name in ["", ".", "..", "a/b", "a\0"] {
        let node = Node {
            name: name.into(),
            ..Node::default()
        };
        assert!(
            matches!(
                encode_tree(&[node]),
                Err(TreeError::Name { position: 0, .. })
            ),
            "{name:?}"
        );
    }
}

#[test]
fn damaged_trees_are_refused_by_kind() {
    let good = tree(
        "a",
        r#","linktarget":"x","linktarget_raw":"eA==","extended_attributes":[{"name":"n","value":"eA=="}]"#,
        "null",
    );
    unchanged(&good.replace(r#","linktarget_raw":"eA==""#, ""));
    let of = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        decode_tree(good.replace(from, to).as_bytes()).unwrap_err()
    };
    assert!(matches!(
        of("\"a\"", r#""\\x4""#),
        TreeError::Quoted { position: 0, .. }
    ));
    assert!(matches!(
        of("2024-05-06T07:08:09Z", "yesterday"),
        TreeError::Time { field: "atime", .. }
    ));
    assert!(matches!(
        of("_raw\":\"eA==", "_raw\":\"e"),
        TreeError::Base64 {
            field: "linktarget_raw",
            ..
        }
    ));
    assert!(matches!(
        of("value\":\"eA==", "value\":\"e"),
        TreeError::Base64 {
            field: "extended_attributes",
            ..
        }
    ));
    for (from, to) in [
        ("\"nodes\"", "\"knots\""),
        ("]}\n", "]}]"),
        ("]}\n", "]"),
        ("\"uid\":0", "\"uid\":-1"),
        ("\"uid\":0", "\"uid\":4294967296"),
        ("\"content\":null", "\"content\":[\"ab\"]"),
        ("\"name\":\"a\",", ""),
        ("\"mtime\"", "\"mtimes\""),
        ("{\"nodes\":[", "{\"nodes\":null,\"x\":["),
    ] {
        assert!(
            matches!(of(from, to), TreeError::Malformed(_)),
            "{from} {to}"
        );
    }
    assert!(matches!(
        decode_tree(b"{\"nodes\":[\xff]}"),
        Err(TreeError::Malformed(_))
    ));
}

#[test]
fn an_index_is_read_with_what_older_and_newer_writers_add() {
    let blob = format!(r#"{{"id":"{A}","type":"data","offset":0,"length":40}}"#);
    let packed =
        format!(r#"{{"id":"{B}","type":"tree","offset":40,"length":50,"uncompressed_length":99}}"#);
    let plain = format!(r#"{{"packs":[{{"id":"{B}","blobs":[{blob},{packed}]}}]}}"#);
    let packs = decode_index(plain.as_bytes()).unwrap();
    assert_eq!(encode_index(&packs), plain.as_bytes());
    let [first, second] = packs[0].blobs.as_slice() else {
        panic!("two blobs")
    };
    assert_eq!(
        (
            first.kind,
            first.offset,
            first.length,
            first.uncompressed_length
        ),
        (BlobKind::Data, 0, 40, None)
    );
    assert_eq!(
        (
            second.kind,
            second.offset,
            second.length,
            second.uncompressed_length
        ),
        (BlobKind::Tree, 40, 50, Some(99))
    );
    let more = plain
        .replace(
            "{\"packs\"",
            &format!("{{\"supersedes\":[\"{A}\"],\"packs\""),
        )
        .replace(
            "\"length\":40",
            "\"length\":40,\"uncompressed_length\":0,\"new\":[{}]",
        );
    assert_eq!(decode_index(more.as_bytes()).unwrap(), packs);
    assert_eq!(decode_index(br#"{"packs":null}"#).unwrap(), []);
    assert_eq!(encode_index(&[]), br#"{"packs":[]}"#);
}

#[test]
fn damaged_indexes_are_refused_by_kind() {
    let with = |offset: &str, length: &str| {
        let blob = format!(r#"{{"id":"{A}","type":"data","offset":{offset},"length":{length}}}"#);
        decode_index(format!(r#"{{"packs":[{{"id":"{B}","blobs":[{blob}]}}]}}"#).as_bytes())
    };
    assert!(with("0", "32").is_ok());
    assert!(matches!(
        with("0", "31"),
        Err(IndexError::Place { length: 31, .. })
    ));
    assert!(matches!(
        with("4294967295", "32"),
        Err(IndexError::Place { .. })
    ));
    assert!(matches!(with("-1", "32"), Err(IndexError::Malformed(_))));
    assert!(matches!(
        with("0", "4294967296"),
        Err(IndexError::Malformed(_))
    ));
    for bad in [
        "",
        "{}",
        "[]",
        "null",
        r#"{"packs":{}}"#,
        r#"{"packs":[{}]}"#,
        r#"{"packs":[]"#,
    ] {
        assert!(
            matches!(decode_index(bad.as_bytes()), Err(IndexError::Malformed(_))),
            "{bad}"
        );
    }
}

#[test]
fn a_snapshot_is_written_in_restics_order() {
    let text = format!(
        concat!(
            r#"{{"time":"2024-05-06T07:08:09.123456789+02:00","parent":"{a}","tree":"{b}","paths":["/x"],"#,
            r#""hostname":"h","username":"u","uid":1000,"gid":1001,"excludes":["*.tmp"],"tags":["t"],"#,
            r#""original":"{a}","program_version":"restic 0.18.0","summary":{{"backup_start":"2024-05-06T07:08:09Z","#,
            r#""backup_end":"2024-05-06T07:08:10Z","files_new":1,"files_changed":2,"files_unmodified":3,"dirs_new":4,"#,
            r#""dirs_changed":5,"dirs_unmodified":6,"data_blobs":7,"tree_blobs":8,"data_added":9,"data_added_packed":10,"#,
            r#""total_files_processed":11,"total_bytes_processed":12}}}}"#,
        ),
        a = A,
        b = B,
    );
    let snapshot = Snapshot::decode(text.as_bytes()).unwrap();
    assert_eq!(String::from_utf8(snapshot.encode().unwrap()).unwrap(), text);
    let summary = snapshot.summary.unwrap();
    assert_eq!(
        (
            summary.files_new,
            summary.data_blobs,
            summary.total_bytes_processed
        ),
        (1, 7, 12)
    );
}

#[test]
fn a_scant_snapshot_is_read_and_a_broken_one_is_not() {
    let text = format!(
        r#"{{"time":"2024-05-06T07:08:09Z","tree":"{A}","paths":null,"tags":null,"new":1}}"#
    );
    let snapshot = Snapshot::decode(text.as_bytes()).unwrap();
    assert_eq!(
        snapshot,
        Snapshot::new(Timestamp::utc(1_714_979_289, 0), A.parse().unwrap())
    );
    let least = format!(r#"{{"time":"2024-05-06T07:08:09Z","tree":"{A}","paths":[]}}"#);
    assert_eq!(
        String::from_utf8(snapshot.encode().unwrap()).unwrap(),
        least
    );
    for (from, to) in [
        ("\"tree\"", "\"root\""),
        ("2024", "24"),
        (A, "a"),
        ("}", ""),
    ] {
        assert!(
            Snapshot::decode(least.replace(from, to).as_bytes()).is_err(),
            "{from}"
        );
    }
}

#[test]
fn a_lock_is_written_in_restics_order() {
    let text = r#"{"time":"2024-05-06T07:08:09.5Z","exclusive":true,"hostname":"h","username":"u","pid":42,"uid":1,"gid":2}"#;
    let lock = LockFile::decode(text.as_bytes()).unwrap();
    assert_eq!(lock.encode().unwrap(), text.as_bytes());
    let root = LockFile {
        uid: 0,
        gid: 0,
        ..lock
    };
    assert!(root.encode().unwrap().ends_with(b"\"pid\":42}"));
    for bad in [
        "",
        "{}",
        &text.replace("true", "1"),
        &text.replace("42", "-42"),
    ] {
        assert!(LockFile::decode(bad.as_bytes()).is_err(), "{bad}");
    }
}
