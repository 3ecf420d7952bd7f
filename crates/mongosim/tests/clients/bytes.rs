//! Whatever bytes a client sends: its connection is closed or answered, and the others are served.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::OnceLock;
use std::time::Duration;

use bson::{Bson, Document, doc};
use proptest::prelude::*;
use vouchsafe_mongosim::{Mongo, Settings};

fn server() -> &'static Mongo {
    static SERVER: OnceLock<Mongo> = OnceLock::new();
    SERVER.get_or_init(|| Mongo::with(&Settings::default()).unwrap())
}

fn connection() -> TcpStream {
    let stream = TcpStream::connect((server().address(), server().port())).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
}

fn message(body: &[u8], flags: u32) -> Vec<u8> {
    let mut rest = flags.to_le_bytes().to_vec();
    rest.push(0);
    rest.extend_from_slice(body);
    framed(2013, &rest)
}

fn framed(operation: i32, rest: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in [i32::try_from(rest.len() + 16).unwrap(), 7, 0, operation] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(rest);
    bytes
}

/// The answer, or none if the connection was closed instead.
fn answer(stream: &mut TcpStream) -> Option<Document> {
    let mut header = [0; 16];
    stream.read_exact(&mut header).ok()?;
    let length = usize::try_from(i32::from_le_bytes(header[..4].try_into().unwrap())).unwrap();
    let mut rest = vec![0; length - 16];
    stream.read_exact(&mut rest).ok()?;
    let begin = if header[12..] == 2013_i32.to_le_bytes() {
        5
    } else {
        20
    };
    Some(Document::from_reader(&rest[begin..]).unwrap())
}

fn ask(command: Document) -> Document {
    let mut stream = connection();
    stream
        .write_all(&message(&command.to_vec().unwrap(), 0))
        .unwrap();
    answer(&mut stream).expect("an answer")
}

fn still_serves() {
    assert_eq!(
        ask(doc! { "ping": 1, "$db": "admin" })
            .get_f64("ok")
            .unwrap(),
        1.0
    );
}

#[test]
fn both_kinds_of_greeting_are_answered() {
    let mut old = 0_u32.to_le_bytes().to_vec();
    old.extend_from_slice(b"admin.$cmd\0");
    old.extend_from_slice(&[0, 0, 0, 0, 255, 255, 255, 255]);
    old.extend_from_slice(&doc! { "isMaster": 1, "helloOk": true }.to_vec().unwrap());
    let mut stream = connection();
    stream.write_all(&framed(2004, &old)).unwrap();
    let old = answer(&mut stream).unwrap();
    assert!(old.get_bool("ismaster").unwrap() && old.get_bool("helloOk").unwrap());
    let new = ask(doc! { "hello": 1, "$db": "admin" });
    assert!(new.get_bool("isWritablePrimary").unwrap());
    assert_eq!(new.get_str("setName").unwrap(), "rs0");
    assert_eq!(new.get_i32("maxWireVersion").unwrap(), 21);
    assert!(new.contains_key("operationTime") && new.contains_key("$clusterTime"));
}

/// Documents that lie in one another, by their bytes: whoever builds them as values descends himself.
fn nested(depth: usize) -> Vec<u8> {
    let mut bytes = vec![5, 0, 0, 0, 0];
    for _ in 0..depth {
        let mut outer = u32::try_from(bytes.len() + 8)
            .unwrap()
            .to_le_bytes()
            .to_vec();
        outer.extend_from_slice(b"\x03a\0");
        outer.extend_from_slice(&bytes);
        outer.push(0);
        bytes = outer;
    }
    bytes
}

#[test]
fn what_is_no_message_closes_the_connection() {
    let deep = nested(3000);
    let mut ping = message(&doc! { "ping": 1, "$db": "admin" }.to_vec().unwrap(), 0);
    ping[0] = 15;
    for bytes in [
        ping,
        message(&deep, 0),
        message(&doc! { "ping": 1 }.to_vec().unwrap(), 4),
        framed(2013, &[0, 0, 0, 0]),
        framed(2013, &[0, 0, 0, 0, 9]),
        framed(2013, &[0, 0, 0, 0, 1, 200, 0, 0, 0, 65, 0]),
        framed(2012, b"compressed"),
        vec![255; 64],
    ] {
        let mut stream = connection();
        // The server may have closed it before everything was sent.
        let _ = stream.write_all(&bytes);
        assert_eq!(answer(&mut stream), None);
    }
    still_serves();
}

#[test]
fn a_client_that_wants_no_answer_gets_none() {
    let mut stream = connection();
    let silent = doc! { "insert": "quiet", "documents": [{ "_id": 1 }], "$db": "silent" };
    stream
        .write_all(&message(&silent.to_vec().unwrap(), 2))
        .unwrap();
    stream
        .write_all(&message(
            &doc! { "count": "quiet", "$db": "silent" }.to_vec().unwrap(),
            0,
        ))
        .unwrap();
    assert_eq!(answer(&mut stream).unwrap().get_i32("n").unwrap(), 1);
}

/// The commands with arguments of any kind.
fn command() -> impl Strategy<Value = Document> {
    let names = [
        "hello",
        "find",
        "getMore",
        "insert",
        "update",
        "delete",
        "aggregate",
        "count",
        "distinct",
        "create",
        "drop",
        "createIndexes",
        "dropIndexes",
        "collMod",
        "renameCollection",
        "applyOps",
        "appendOplogNote",
        "listCollections",
        "listIndexes",
        "listDatabases",
        "saslStart",
        "saslContinue",
        "usersInfo",
        "createUser",
        "dbHash",
        "killCursors",
        "findAndModify",
        "commitTransaction",
        "simulate",
        "getParameter",
        "collStats",
        "_mergeAuthzCollections",
        "none",
    ];
    let fields = [
        "filter",
        "q",
        "u",
        "query",
        "update",
        "updates",
        "deletes",
        "documents",
        "pipeline",
        "sort",
        "limit",
        "skip",
        "batchSize",
        "cursor",
        "projection",
        "readConcern",
        "indexes",
        "index",
        "key",
        "to",
        "data",
        "payload",
        "mechanism",
        "lsid",
        "txnNumber",
        "autocommit",
        "startTransaction",
        "cursors",
        "collection",
        "tailable",
        "hint",
        "viewOn",
        "validator",
        "capped",
        "size",
    ];
    let value = value();
    (
        proptest::sample::select(names.to_vec()),
        value.clone(),
        proptest::collection::vec((proptest::sample::select(fields.to_vec()), value), 0..6),
    )
        .prop_map(|(name, first, fields)| {
            let mut command = doc! { name: first };
            command.extend(
                fields
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value)),
            );
            command.insert("$db", "any");
            command
        })
}

fn value() -> BoxedStrategy<Bson> {
    let names = [
        "_id",
        "a",
        "a.0",
        "$set",
        "$inc",
        "$push",
        "$unset",
        "$gt",
        "$in",
        "$and",
        "$each",
        "$v",
        "diff",
        "u",
        "i",
        "d",
        "sa",
        "l",
        "u3",
        "op",
        "ns",
        "o",
        "o2",
        "ui",
        "q",
        "multi",
        "upsert",
        "key",
        "name",
        "unique",
        "$match",
        "$group",
        "$sum",
        "$count",
        "$limit",
        "level",
        "atClusterTime",
        "id",
        "create",
        "createIndexes",
        "drop",
        "applyOps",
        "rollback",
        "rollOplog",
        "viewOn",
    ];
    let leaf = prop_oneof![
        any::<i32>().prop_map(Bson::Int32),
        any::<i64>().prop_map(Bson::Int64),
        (-3_i32..200).prop_map(Bson::Int32),
        any::<f64>().prop_map(Bson::Double),
        any::<bool>().prop_map(Bson::Boolean),
        Just(Bson::Null),
        Just(Bson::MinKey),
        proptest::sample::select(vec![
            "coll", "any.coll", "any.$cmd", "$a", "i", "u", "d", "c", "*", "snapshot", ""
        ])
        .prop_map(Bson::from),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(|bytes| Bson::Binary(
            bson::Binary {
                subtype: bson::spec::BinarySubtype::Generic,
                bytes
            }
        )),
        any::<(u32, u32)>()
            .prop_map(|(time, increment)| Bson::Timestamp(bson::Timestamp { time, increment })),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Bson::Array),
            proptest::collection::vec((proptest::sample::select(names.to_vec()), inner), 0..4)
                .prop_map(|fields| {
                    Bson::Document(
                        fields
                            .into_iter()
                            .map(|(name, value)| (name.to_owned(), value))
                            .collect(),
                    )
                }),
        ]
    })
    .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..200), operation in prop_oneof![Just(2013), Just(2004), any::<i32>()]) {
        let mut stream = connection();
        stream.write_all(&framed(operation, &bytes)).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        // Either way the server ends the connection.
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
    }

    #[test]
    fn a_damaged_command_is_survived(command in command(), at in any::<proptest::sample::Index>(), with in any::<u8>()) {
        let mut bytes = command.to_vec().unwrap();
        let at = at.index(bytes.len());
        bytes[at] = with;
        let mut stream = connection();
        stream.write_all(&message(&bytes, 0)).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
    }

    #[test]
    fn every_command_is_answered_whatever_its_arguments(command in command()) {
        // These close or hold up connections, which is not what is looked at here.
        prop_assume!(!command.contains_key("simulate"));
        let reply = ask(command.clone());
        prop_assert!(reply.contains_key("ok"), "{command}: {reply}");
        still_serves();
    }
}
