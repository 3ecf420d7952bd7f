//! The real `mongodump` and `mongorestore` as clients of the simulator: by `cargo xtask conformance`.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::options::IndexOptions;
use mongodb::{Client, IndexModel};
use vouchsafe_mongosim::{Mongo, NewUser, Settings};

/// Names the directory that `cargo xtask conformance` unpacks the tools into.
const TOOLS: &str = "VOUCHSAFE_TEST_MONGO_TOOLS";

/// Runs a tool where there is no network but the socket in `dir`.
fn tool(dir: &Path, name: &str, arguments: &[&str]) -> Output {
    const ADVICE: &str = "run these tests by `cargo xtask conformance`, which provides it";
    let Some(tools) = std::env::var_os(TOOLS) else {
        panic!("{TOOLS} is not set: {ADVICE}");
    };
    let program = PathBuf::from(tools).join(name);
    assert!(
        program.is_file(),
        "{} is missing: {ADVICE}",
        program.display()
    );
    let out = Command::new("timeout")
        .args(["120", "unshare", "--net", "--ipc", "--"])
        .arg(program)
        .args(arguments)
        .current_dir(dir)
        .env_clear()
        .env("HOME", dir)
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{name} {arguments:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    out
}

/// A directory whose name has no capitals: the tools look for sockets by their paths in small letters.
fn directory(name: &str) -> tempfile::TempDir {
    let name = format!("mongosim-{}-{name}", std::process::id());
    tempfile::Builder::new()
        .prefix(&name)
        .rand_bytes(0)
        .tempdir()
        .unwrap()
}

/// The address of its socket, with who logs in there.
fn uri(dir: &Path, mongo: &Mongo, user: &str) -> String {
    let path = dir.join(format!("mongodb-{}.sock", mongo.port()));
    let path = path.to_str().unwrap().replace('/', "%2F");
    let more = if user.is_empty() {
        ""
    } else {
        "?authSource=admin"
    };
    format!("--uri=mongodb://{user}{path}/{more}")
}

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(240), test)
            .await
            .expect("it takes too long")
    })
}

async fn fill(client: &Client) {
    let shop = client.database("shop");
    let orders = shop.collection::<Document>("orders");
    orders
        .insert_many((0..500).map(|n| doc! { "_id": n, "n": n, "text": "x".repeat(20) }))
        .await
        .unwrap();
    let unique = IndexOptions::builder().unique(true).build();
    orders
        .create_index(
            IndexModel::builder()
                .keys(doc! { "n": 1 })
                .options(unique)
                .build(),
        )
        .await
        .unwrap();
    shop.collection("other")
        .insert_one(doc! { "_id": "a", "d": bson_of_every_kind() })
        .await
        .unwrap();
    shop.create_collection("seen")
        .view_on("orders")
        .pipeline([doc! { "$match": { "n": 1 } }])
        .await
        .unwrap();
    client
        .database("second")
        .collection("z")
        .insert_one(doc! { "_id": 1 })
        .await
        .unwrap();
}

fn bson_of_every_kind() -> Document {
    use mongodb::bson::{Bson, Decimal128, Timestamp, oid::ObjectId};
    doc! {
        "double": 1.5, "long": 1_i64 << 40, "null": Bson::Null, "date": mongodb::bson::DateTime::from_millis(1_700_000_000_000),
        "oid": ObjectId::from_bytes([7; 12]), "ts": Timestamp { time: 5, increment: 6 }, "min": Bson::MinKey, "max": Bson::MaxKey,
        "decimal": "1.25".parse::<Decimal128>().unwrap(), "list": [1, "two", { "three": 3 }], "bool": true,
        "uuid": mongodb::bson::Uuid::from_bytes([9; 16]),
    }
}

async fn hash(client: &Client, database: &str) -> Document {
    let hash = client
        .database(database)
        .run_command(doc! { "dbHash": 1 })
        .await
        .unwrap();
    hash.get_document("collections").unwrap().clone()
}

#[test]
fn what_mongodump_saves_mongorestore_brings_elsewhere() {
    let dir = directory("saved");
    let (from, to) = (Mongo::start(dir.path()), Mongo::start(dir.path()));
    run(async {
        let source = Client::with_uri_str(from.uri()).await.unwrap();
        let target = Client::with_uri_str(to.uri()).await.unwrap();
        fill(&source).await;
        tool(
            dir.path(),
            "mongodump",
            &[
                &uri(dir.path(), &from, ""),
                "--oplog",
                "--gzip",
                "--archive=all",
            ],
        );
        tool(
            dir.path(),
            "mongorestore",
            &[
                &uri(dir.path(), &to, ""),
                "--oplogReplay",
                "--gzip",
                "--archive=all",
            ],
        );
        for database in ["shop", "second"] {
            assert_eq!(hash(&target, database).await, hash(&source, database).await);
        }
        let indexes = target
            .database("shop")
            .collection::<Document>("orders")
            .list_index_names()
            .await
            .unwrap();
        assert_eq!(indexes, ["_id_", "n_1"]);
        let seen = target.database("shop").collection::<Document>("seen");
        assert_eq!(seen.count_documents(doc! {}).await.unwrap(), 1);
    });
}

#[test]
fn what_changes_while_it_is_dumped_is_in_the_oplog_of_the_dump() {
    let dir = directory("changing");
    let (from, to) = (Mongo::start(dir.path()), Mongo::start(dir.path()));
    let address = from.uri();
    let ended = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    run(async {
        let source = Client::with_uri_str(&address).await.unwrap();
        fill(&source).await;
    });
    let stop = ended.clone();
    let (begun, first) = std::sync::mpsc::channel();
    let writer = std::thread::spawn(move || {
        run(async {
            let source = Client::with_uri_str(&address).await.unwrap();
            let orders = source.database("shop").collection::<Document>("orders");
            let mut n = 0;
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                n += 1;
                if n == 20 {
                    begun.send(()).unwrap();
                }
                orders
                    .update_one(doc! { "_id": n % 500 }, doc! { "$set": { "text": n } })
                    .await
                    .unwrap();
                orders
                    .insert_one(doc! { "_id": 1000 + n, "n": 1000 + n })
                    .await
                    .unwrap();
                orders
                    .delete_one(doc! { "_id": 1000 + n / 2 })
                    .await
                    .unwrap();
            }
        });
    });
    first.recv_timeout(Duration::from_secs(60)).unwrap();
    tool(
        dir.path(),
        "mongodump",
        &[&uri(dir.path(), &from, ""), "--oplog", "--archive=all"],
    );
    ended.store(true, std::sync::atomic::Ordering::SeqCst);
    writer.join().unwrap();
    let said = tool(
        dir.path(),
        "mongorestore",
        &[&uri(dir.path(), &to, ""), "--oplogReplay", "--archive=all"],
    );
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("replaying oplog"), "{said}");
    run(async {
        // The n-th round writes n into one document, adds another, and removes one.
        let target = Client::with_uri_str(to.uri()).await.unwrap();
        let orders = target.database("shop").collection::<Document>("orders");
        let last = orders
            .find_one(doc! {})
            .sort(doc! { "_id": -1 })
            .await
            .unwrap()
            .unwrap();
        let n = last.get_i32("n").unwrap() - 1000;
        assert!(n > 0, "nothing was written meanwhile");
        let changed = orders
            .find_one(doc! { "_id": n % 500 })
            .await
            .unwrap()
            .unwrap();
        assert_eq!(changed.get_i32("text").unwrap(), n);
        let next = orders
            .find_one(doc! { "_id": (n + 1) % 500 })
            .await
            .unwrap()
            .unwrap();
        // The round that was under way may have begun.
        assert!(
            [Ok(n + 1), Ok(n - 499)].contains(&next.get_i32("text").map_err(drop)) || n < 500,
            "{next}"
        );
        assert_eq!(
            orders
                .find_one(doc! { "_id": 1000 + (n - 1) / 2 })
                .await
                .unwrap(),
            None
        );
    });
}

#[test]
fn users_are_dumped_and_restored() {
    let dir = directory("users");
    let chief = NewUser {
        name: "chief".to_owned(),
        password: "secret".to_owned(),
        roles: vec!["root".to_owned()],
    };
    let settings = Settings {
        socket_dir: Some(dir.path().to_owned()),
        users: vec![chief],
        ..Settings::default()
    };
    let (from, to) = (Mongo::with(&settings).unwrap(), Mongo::start(dir.path()));
    std::fs::write(dir.path().join("login"), "password: secret\n").unwrap();
    run(async {
        let source = Client::with_uri_str(from.uri_of("chief", "secret"))
            .await
            .unwrap();
        fill(&source).await;
        tool(
            dir.path(),
            "mongodump",
            &[
                &uri(dir.path(), &from, "chief@"),
                "--config=login",
                "--archive=all",
            ],
        );
        tool(
            dir.path(),
            "mongorestore",
            &[&uri(dir.path(), &to, ""), "--archive=all"],
        );
        let target = Client::with_uri_str(to.uri()).await.unwrap();
        assert_eq!(hash(&target, "shop").await, hash(&source, "shop").await);
        let users = target
            .database("admin")
            .run_command(doc! { "usersInfo": { "forAllDBs": true } })
            .await
            .unwrap();
        let names: Vec<&str> = users
            .get_array("users")
            .unwrap()
            .iter()
            .map(|user| user.as_document().unwrap().get_str("user").unwrap())
            .collect();
        assert_eq!(names, ["chief"]);
    });
}

/// The archive that every run's tests of readers begin with.
#[test]
fn the_golden_archive_is_restored() {
    let dir = directory("golden");
    let to = Mongo::start(dir.path());
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/shop.archive");
    std::fs::copy(golden, dir.path().join("golden")).unwrap();
    tool(
        dir.path(),
        "mongorestore",
        &[
            &uri(dir.path(), &to, ""),
            "--oplogReplay",
            "--archive=golden",
        ],
    );
    run(async {
        let target = Client::with_uri_str(to.uri()).await.unwrap();
        let shop = target.database("shop");
        assert_eq!(
            shop.collection::<Document>("orders")
                .count_documents(doc! {})
                .await
                .unwrap(),
            20
        );
        let other = shop
            .collection::<Document>("other")
            .find_one(doc! {})
            .await
            .unwrap()
            .unwrap();
        assert_eq!(other, doc! { "_id": "a", "d": bson_of_every_kind() });
        let indexes = shop
            .collection::<Document>("orders")
            .list_index_names()
            .await
            .unwrap();
        assert_eq!(indexes, ["_id_", "n_1"]);
    });
}
