//! A simulated MongoDB server with databases that hold one of nearly everything, and one that stands in for `mongod`.
#![allow(
    dead_code,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::expect_used,
    clippy::panic,
    unreachable_pub
)]

pub mod followed;
pub mod random;

use std::path::PathBuf;

use mongodb::bson::{Bson, Document, RawDocumentBuf, Regex, Timestamp, doc};
use mongodb::options::ClientOptions;
use mongodb::{Client, bson};
use tokio::runtime::Runtime;
use vouchsafe_capture::{CaptureError, Captured, Content, MANIFEST_NAME, Sink, Source};
use vouchsafe_format::{Node, NodeKind};
use vouchsafe_model::DigestManifest;
use vouchsafe_mongosim::{Mongo, Settings, mongod_in};

use crate::common::{Memory, Point, World, open};

/// A server of its own.
pub struct MongoShop {
    pub server: Mongo,
    /// The database `shop`.
    pub url: String,
    /// All databases.
    pub all: String,
    client: Client,
    runtime: Runtime,
}

impl MongoShop {
    pub fn new() -> MongoShop {
        MongoShop::with(&Settings::default())
    }

    pub fn with(settings: &Settings) -> MongoShop {
        let shop = MongoShop::empty(settings);
        shop.fill();
        shop
    }

    pub fn empty(settings: &Settings) -> MongoShop {
        let server = Mongo::with(settings).expect("a simulator");
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let uri = match settings.users.first() {
            Some(user) => server.uri_of(&user.name, &user.password),
            None => server.uri(),
        };
        let client = runtime.block_on(async {
            let options = ClientOptions::parse(uri)
                .await
                .expect("a connection string");
            Client::with_options(options).expect("a client")
        });
        let all = format!("mongodb://127.0.0.1:{}", server.port());
        MongoShop {
            url: format!("{all}/shop"),
            all,
            server,
            client,
            runtime,
        }
    }

    fn fill(&self) {
        let validator = doc! { "name": { "$exists": true } };
        self.command(
            "shop",
            doc! { "create": "customers", "validator": validator, "validationLevel": "moderate" },
        );
        self.command(
            "shop",
            doc! { "create": "log", "capped": true, "size": 1 << 20, "max": 1000 },
        );
        self.command("shop", doc! { "create": "nothing" });
        let open = doc! { "$match": { "state": "open" } };
        self.command(
            "shop",
            doc! { "create": "open_orders", "viewOn": "orders", "pipeline": [open] },
        );
        let customers = (0..300).map(|n| {
            let name = format!("customer {n}");
            doc! { "_id": bson::oid::ObjectId::from_bytes([1, 2, 3, 4, 5, 6, 7, 8, 9, 0, (n / 256) as u8, (n % 256) as u8]),
                "name": name, "address": { "town": "a town", "tags": ["a", n] }, "balance": f64::from(n) / 7.0 }
        });
        self.insert("shop", "customers", customers);
        let orders = (0..2000).map(|n| {
            let state = if n % 3 == 0 { "open" } else { "sent" };
            doc! { "_id": n, "customer": n % 300, "state": state, "total": i64::from(n) << 33, "note": "é\n\"".repeat(3) }
        });
        self.insert("shop", "orders", orders);
        self.insert("shop", "odd näme.sub", all_kinds());
        self.insert(
            "shop",
            "log",
            (0..50).map(|n| doc! { "_id": n, "line": format!("line {n}") }),
        );
        self.insert(
            "other",
            "t",
            (0..20).map(|n| doc! { "_id": format!("{n}") }),
        );
        let unique = doc! { "key": { "name": 1 }, "name": "by_name", "unique": true };
        self.command(
            "shop",
            doc! { "createIndexes": "customers", "indexes": [unique] },
        );
        let compound =
            doc! { "key": { "state": 1, "customer": -1 }, "name": "state_1_customer_-1" };
        let expiring =
            doc! { "key": { "at": 1 }, "name": "at_1", "expireAfterSeconds": 3600, "sparse": true };
        self.command(
            "shop",
            doc! { "createIndexes": "orders", "indexes": [compound, expiring] },
        );
    }

    /// Runs a command that must succeed.
    pub fn command(&self, db: &str, command: Document) -> Document {
        let db = self.client.database(db);
        self.runtime
            .block_on(async { db.run_command(command.clone()).await })
            .unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    pub fn insert(
        &self,
        db: &str,
        collection: &str,
        documents: impl IntoIterator<Item = Document>,
    ) {
        let raw = documents
            .into_iter()
            .map(|d| RawDocumentBuf::try_from(&d).expect("a document"));
        let raw: Vec<RawDocumentBuf> = raw.collect();
        let collection = self
            .client
            .database(db)
            .collection::<RawDocumentBuf>(collection);
        let done = self
            .runtime
            .block_on(async { collection.insert_many(raw).await });
        done.expect("inserts");
    }

    /// Runs commands in one transaction.
    pub fn transaction(&self, db: &str, commands: &[Document]) {
        self.runtime.block_on(async {
            let mut session = self.client.start_session().await.expect("a session");
            session.start_transaction().await.expect("begins");
            let db = self.client.database(db);
            for command in commands {
                let run = db.run_command(command.clone());
                let done = run.session(&mut session).await;
                done.unwrap_or_else(|error| panic!("{command}: {error}"));
            }
            session.commit_transaction().await.expect("commits");
        });
    }

    /// The newest entry of the oplog.
    pub fn newest(&self) -> Timestamp {
        let said = self.command("admin", doc! { "hello": 1 });
        let last = said
            .get_document("lastWrite")
            .expect("what was written last");
        let time = last.get_document("opTime").expect("its time");
        time.get_timestamp("ts").expect("a time stamp")
    }

    /// What the server says of all that a database holds.
    pub fn hash(&self, db: &str) -> Document {
        let said = self.command(db, doc! { "dbHash": 1 });
        said.get_document("collections").expect("hashes").clone()
    }

    pub fn count(&self, db: &str, collection: &str) -> i64 {
        let said = self.command(db, doc! { "count": collection });
        match said.get("n") {
            Some(Bson::Int32(n)) => i64::from(*n),
            Some(Bson::Int64(n)) => *n,
            other => panic!("{other:?}"),
        }
    }

    pub fn manifest(&self, world: &World) -> DigestManifest {
        let (captured, _) = world.capture(open(&self.url).as_ref());
        captured.manifest.expect("a manifest")
    }
}

impl Drop for MongoShop {
    fn drop(&mut self) {
        let client = self.client.clone();
        self.runtime
            .block_on(async { client.shutdown().immediate(true).await });
    }
}

/// A point with its manifest, as the vault has it: its own, or another one.
pub fn with_manifest(
    world: &World,
    source: &dyn Source,
    other: Option<&DigestManifest>,
) -> (Captured, Point) {
    let mut memory = Memory::default();
    let captured = source.capture(&world.ctx(), &mut memory).expect("captures");
    let manifest = other.or(captured.manifest.as_ref()).expect("a manifest");
    let json = serde_json::to_vec(manifest).expect("JSON");
    let node = Node {
        name: MANIFEST_NAME.as_bytes().to_vec(),
        kind: NodeKind::File,
        ..Node::default()
    };
    memory.file(node, Box::new(Bytes(json))).expect("takes it");
    (captured, memory.finish())
}

struct Bytes(Vec<u8>);

impl Content for Bytes {
    fn open(&mut self) -> Result<Box<dyn std::io::Read + Send>, CaptureError> {
        Ok(Box::new(std::io::Cursor::new(self.0.clone())))
    }
}

/// A value of every kind that servers keep.
fn all_kinds() -> Vec<Document> {
    let regex = Regex {
        pattern: "^a".to_owned().try_into().expect("no zero"),
        options: "i".to_owned().try_into().expect("no zero"),
    };
    let binary = bson::Binary {
        subtype: bson::spec::BinarySubtype::Uuid,
        bytes: vec![7; 16],
    };
    vec![
        doc! { "_id": 1, "null": Bson::Null, "yes": true, "int": -1, "long": i64::MIN, "double": f64::MAX, "text": "" },
        doc! { "_id": 2, "list": [], "deep": { "a": [{ "b": [1, [2, [3]]] }] }, "regex": regex, "binary": binary },
        doc! { "_id": 3, "date": bson::DateTime::from_millis(-1), "time": Timestamp { time: 7, increment: 9 } },
        doc! { "_id": 4, "min": Bson::MinKey, "max": Bson::MaxKey, "code": Bson::JavaScriptCode("f()".to_owned()) },
        doc! { "_id": 5, "decimal": Bson::Decimal128("1.50".parse().expect("a number")), "z": 1, "a": 2 },
    ]
}

/// The variable by which a test knows that it was started anew with a `mongod` in its `PATH`.
const WITH_MONGOD: &str = "VOUCHSAFE_TEST_WITH_MONGOD";

/// Runs `body` in a process of its own, whose `PATH` has a `mongod` that is the simulator: the machine's own path is
/// looked through for it, and cannot be changed within a process. `test` is the name of the calling test.
pub fn with_mongod(test: &str, body: impl FnOnce()) {
    if std::env::var_os(WITH_MONGOD).is_some() {
        return body();
    }
    let place = stand_in(test);
    let path = std::env::var("PATH").expect("a path");
    let output = std::process::Command::new(std::env::current_exe().expect("a program"))
        .args([test, "--exact", "--nocapture"])
        .env(WITH_MONGOD, "1")
        .env("PATH", format!("{}:{path}", place.display()))
        .output()
        .expect("starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}\n{err}"
    );
}

/// A directory with a program `mongod`, which is this test program in another role. Others may look into it.
fn stand_in(test: &str) -> PathBuf {
    let place = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("mongod-for-{}", test.replace("::", "-")));
    mongod_in(&place, STAND_IN).expect("a program");
    place
}

/// The test that is what stands in for `mongod`.
pub const STAND_IN: &str = "mongodb::the_simulator_stands_in_for_mongod";

/// Moves documents from `shop.left` to `shop.right` and back, each within a transaction, until it is told to stop.
pub fn moves(uri: &str, stop: &std::sync::atomic::AtomicBool) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let client = Client::with_uri_str(uri).await.expect("a client");
        let db = client.database("shop");
        let of = |name: &str| db.collection::<Document>(name);
        let mut session = client.start_session().await.expect("a session");
        let mut n = 0;
        while !stop.load(std::sync::atomic::Ordering::SeqCst) {
            let id = doc! { "_id": n % 400 };
            let (from, to) = match n / 400 % 2 {
                0 => (of("left"), of("right")),
                _ => (of("right"), of("left")),
            };
            session.start_transaction().await.expect("begins");
            from.delete_one(id.clone())
                .session(&mut session)
                .await
                .expect("deletes");
            to.insert_one(id)
                .session(&mut session)
                .await
                .expect("inserts");
            session.commit_transaction().await.expect("commits");
            n += 1;
        }
        drop(session);
        client.shutdown().immediate(true).await;
    });
}
