//! The official driver for Rust as a client of the simulator.

use std::future::Future;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use mongodb::bson::{Bson, Document, Timestamp, doc};
use mongodb::options::{CursorType, IndexOptions};
use mongodb::{Client, IndexModel};
use vouchsafe_mongosim::{Mongo, NewUser, Settings};

const PATIENCE: Duration = Duration::from_secs(60);

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        tokio::time::timeout(PATIENCE, test)
            .await
            .expect("it takes too long")
    })
}

fn started() -> (tempfile::TempDir, Mongo) {
    let dir = tempfile::tempdir().unwrap();
    let mongo = Mongo::start(dir.path());
    (dir, mongo)
}

async fn client(mongo: &Mongo) -> Client {
    Client::with_uri_str(mongo.uri()).await.unwrap()
}

async fn admin(client: &Client, command: Document) -> Document {
    client.database("admin").run_command(command).await.unwrap()
}

async fn all(client: &Client, database: &str, collection: &str) -> Vec<Document> {
    let found = client
        .database(database)
        .collection::<Document>(collection)
        .find(doc! {})
        .await
        .unwrap();
    found.try_collect().await.unwrap()
}

fn code(error: &mongodb::error::Error) -> i32 {
    use mongodb::error::{ErrorKind, WriteFailure};
    match error.kind.as_ref() {
        ErrorKind::Command(command) => command.code,
        ErrorKind::Write(WriteFailure::WriteError(error)) => error.code,
        ErrorKind::InsertMany(many) => many.write_errors.as_ref().unwrap()[0].code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn documents_are_written_found_changed_and_removed() {
    let (_dir, mongo) = started();
    run(async {
        let client = client(&mongo).await;
        let orders = client.database("shop").collection::<Document>("orders");
        let many: Vec<Document> = (0..1000)
            .map(|n| doc! { "_id": n, "n": n % 10, "s": { "t": n } })
            .collect();
        assert_eq!(
            orders.insert_many(&many).await.unwrap().inserted_ids.len(),
            1000
        );
        assert_eq!(all(&client, "shop", "orders").await, many);
        assert_eq!(
            code(&orders.insert_one(doc! { "_id": 7 }).await.unwrap_err()),
            11000
        );
        let done = orders
            .update_many(
                doc! { "n": 3 },
                doc! { "$set": { "s.t": -1 }, "$inc": { "n": 100 } },
            )
            .await
            .unwrap();
        assert_eq!((done.matched_count, done.modified_count), (100, 100));
        assert_eq!(
            orders
                .count_documents(doc! { "s.t": -1, "n": { "$gte": 103 } })
                .await
                .unwrap(),
            100
        );
        assert_eq!(
            orders
                .delete_many(doc! { "n": { "$in": [1, 2] } })
                .await
                .unwrap()
                .deleted_count,
            200
        );
        assert_eq!(orders.estimated_document_count().await.unwrap(), 800);
        let done = orders
            .update_one(doc! { "_id": "new" }, doc! { "$set": { "a": 1 } })
            .upsert(true)
            .await
            .unwrap();
        assert_eq!(done.upserted_id, Some(Bson::from("new")));
        let last = orders
            .find_one(doc! {})
            .sort(doc! { "_id": -1 })
            .projection(doc! { "a": 1 })
            .await
            .unwrap();
        assert_eq!(last, Some(doc! { "_id": "new", "a": 1 }));
        orders
            .replace_one(doc! { "_id": "new" }, doc! { "b": 2 })
            .await
            .unwrap();
        assert_eq!(
            orders.find_one(doc! { "b": 2 }).await.unwrap(),
            Some(doc! { "_id": "new", "b": 2 })
        );
        let names = client.list_database_names().await.unwrap();
        assert_eq!(names, ["local", "shop"]);
        assert_eq!(
            client
                .database("shop")
                .list_collection_names()
                .await
                .unwrap(),
            ["orders"]
        );
    });
}

#[test]
fn the_oplog_is_followed_as_it_grows() {
    let (_dir, mongo) = started();
    run(async {
        let client = client(&mongo).await;
        let oplog = client.database("local").collection::<Document>("oplog.rs");
        let last = oplog
            .find_one(doc! {})
            .sort(doc! { "$natural": -1 })
            .await
            .unwrap()
            .unwrap();
        let since = last.get_timestamp("ts").unwrap();
        let mut tail = oplog
            .find(doc! { "ts": { "$gt": since } })
            .cursor_type(CursorType::TailableAwait)
            .max_await_time(Duration::from_millis(500))
            .await
            .unwrap();
        let shop = client.database("shop");
        let writer = async {
            let orders = shop.collection::<Document>("orders");
            orders.insert_one(doc! { "_id": 1, "a": 1 }).await.unwrap();
            orders
                .update_one(doc! { "_id": 1 }, doc! { "$set": { "a": 2 } })
                .await
                .unwrap();
            orders.delete_one(doc! { "_id": 1 }).await.unwrap();
            shop.collection::<Document>("orders").drop().await.unwrap();
        };
        let reader = async {
            let mut seen = Vec::new();
            while seen.len() < 5 {
                seen.push(tail.next().await.unwrap().unwrap());
            }
            seen
        };
        let ((), seen) = tokio::join!(writer, reader);
        let kinds: Vec<&str> = seen
            .iter()
            .map(|entry| entry.get_str("op").unwrap())
            .collect();
        assert_eq!(kinds, ["c", "i", "u", "d", "c"]);
        let stamps: Vec<Timestamp> = seen
            .iter()
            .map(|entry| entry.get_timestamp("ts").unwrap())
            .collect();
        assert!(stamps.is_sorted() && stamps[0] > since);
        assert_eq!(
            seen[0]
                .get_document("o")
                .unwrap()
                .get_str("create")
                .unwrap(),
            "orders"
        );
        assert_eq!(
            seen[1].get_document("o").unwrap(),
            &doc! { "_id": 1, "a": 1 }
        );
        assert_eq!(
            seen[2].get_document("o").unwrap(),
            &doc! { "$v": 2, "diff": { "u": { "a": 2 } } }
        );
        assert_eq!(seen[2].get_document("o2").unwrap(), &doc! { "_id": 1 });
        assert_eq!(
            seen[4].get_document("o").unwrap(),
            &doc! { "drop": "orders" }
        );
        assert!(
            seen.iter()
                .all(|entry| entry.get_i64("t").unwrap() == 1 && entry.get_i64("v").unwrap() == 2)
        );
    });
}
