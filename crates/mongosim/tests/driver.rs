//! The official driver for Rust as a client of the simulator.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

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

#[test]
fn a_moment_is_read_as_it_was() {
    let (_dir, mongo) = started();
    run(async {
        let client = client(&mongo).await;
        let shop = client.database("shop");
        let orders = shop.collection::<Document>("orders");
        orders
            .insert_many((0..300).map(|n| doc! { "_id": n, "a": 1 }))
            .await
            .unwrap();
        let then = admin(&client, doc! { "ping": 1 })
            .await
            .get_timestamp("operationTime")
            .unwrap();
        let find = doc! {
            "find": "orders", "batchSize": 100,
            "readConcern": { "level": "snapshot", "atClusterTime": then },
        };
        let opened = shop.run_command(find.clone()).await.unwrap();
        orders
            .update_many(doc! {}, doc! { "$set": { "a": 2 } })
            .await
            .unwrap();
        orders
            .delete_many(doc! { "_id": { "$lt": 250 } })
            .await
            .unwrap();
        orders.insert_one(doc! { "_id": 1000 }).await.unwrap();
        let expected: Vec<Document> = (0..300).map(|n| doc! { "_id": n, "a": 1 }).collect();
        for first in [opened, shop.run_command(find.clone()).await.unwrap()] {
            let cursor = first.get_document("cursor").unwrap();
            assert_eq!(cursor.get_timestamp("atClusterTime").unwrap(), then);
            let mut seen = cursor.get_array("firstBatch").unwrap().clone();
            let id = cursor.get_i64("id").unwrap();
            while seen.len() < 300 {
                let more = shop
                    .run_command(doc! { "getMore": id, "collection": "orders", "batchSize": 100 })
                    .await
                    .unwrap();
                seen.extend(
                    more.get_document("cursor")
                        .unwrap()
                        .get_array("nextBatch")
                        .unwrap()
                        .clone(),
                );
            }
            let seen: Vec<Document> = seen
                .into_iter()
                .map(|one| one.as_document().unwrap().clone())
                .collect();
            assert_eq!(seen, expected);
        }
        assert_eq!(all(&client, "shop", "orders").await.len(), 51);
        orders.drop().await.unwrap();
        let one = doc! { "find": "orders", "filter": { "_id": 5 }, "readConcern": { "level": "snapshot", "atClusterTime": then } };
        let found = shop.run_command(one).await.unwrap();
        assert_eq!(
            found
                .get_document("cursor")
                .unwrap()
                .get_array("firstBatch")
                .unwrap()
                .len(),
            1
        );
        let ahead = Timestamp {
            time: then.time + 1000,
            increment: 1,
        };
        let error = shop
            .run_command(doc! { "find": "orders", "readConcern": { "level": "snapshot", "atClusterTime": ahead } })
            .await
            .unwrap_err();
        assert_eq!(code(&error), 72);
    });
}

#[test]
fn a_moment_that_is_too_long_ago_is_refused() {
    let settings = Settings {
        history: 5,
        ..Settings::default()
    };
    let mongo = Mongo::with(&settings).unwrap();
    run(async {
        let client = client(&mongo).await;
        let shop = client.database("shop");
        let then = admin(&client, doc! { "ping": 1 })
            .await
            .get_timestamp("operationTime")
            .unwrap();
        shop.collection::<Document>("a")
            .insert_many((0..10).map(|n| doc! { "_id": n }))
            .await
            .unwrap();
        let error = shop
            .run_command(
                doc! { "find": "a", "readConcern": { "level": "snapshot", "atClusterTime": then } },
            )
            .await
            .unwrap_err();
        assert_eq!(code(&error), 239);
    });
}

#[test]
fn a_transaction_is_seen_as_a_whole_or_not_at_all() {
    let (_dir, mongo) = started();
    run(async {
        let client = client(&mongo).await;
        let shop = client.database("shop");
        let orders = shop.collection::<Document>("orders");
        orders
            .insert_many([doc! { "_id": 1, "a": 1 }, doc! { "_id": 2, "a": 1 }])
            .await
            .unwrap();
        let mut session = client.start_session().await.unwrap();
        session.start_transaction().await.unwrap();
        orders
            .insert_one(doc! { "_id": 3 })
            .session(&mut session)
            .await
            .unwrap();
        orders
            .update_one(doc! { "_id": 1 }, doc! { "$set": { "a": 9 } })
            .session(&mut session)
            .await
            .unwrap();
        orders
            .delete_one(doc! { "_id": 2 })
            .session(&mut session)
            .await
            .unwrap();
        let mut own = orders.find(doc! {}).session(&mut session).await.unwrap();
        let own: Vec<Document> = own.stream(&mut session).try_collect().await.unwrap();
        assert_eq!(own, [doc! { "_id": 1, "a": 9 }, doc! { "_id": 3 }]);
        assert_eq!(
            all(&client, "shop", "orders").await,
            [doc! { "_id": 1, "a": 1 }, doc! { "_id": 2, "a": 1 }]
        );
        session.commit_transaction().await.unwrap();
        assert_eq!(
            all(&client, "shop", "orders").await,
            [doc! { "_id": 1, "a": 9 }, doc! { "_id": 3 }]
        );
        let oplog = client.database("local").collection::<Document>("oplog.rs");
        let last = oplog
            .find_one(doc! { "op": "c" })
            .sort(doc! { "$natural": -1 })
            .await
            .unwrap()
            .unwrap();
        let inner = last
            .get_document("o")
            .unwrap()
            .get_array("applyOps")
            .unwrap();
        let kinds: Vec<&str> = inner
            .iter()
            .map(|one| one.as_document().unwrap().get_str("op").unwrap())
            .collect();
        assert_eq!(kinds, ["i", "u", "d"]);
        assert!(last.contains_key("lsid") && last.contains_key("txnNumber"));

        session.start_transaction().await.unwrap();
        orders
            .update_one(doc! { "_id": 1 }, doc! { "$set": { "a": 10 } })
            .session(&mut session)
            .await
            .unwrap();
        orders
            .update_one(doc! { "_id": 1 }, doc! { "$set": { "a": 11 } })
            .await
            .unwrap();
        assert_eq!(code(&session.commit_transaction().await.unwrap_err()), 112);
        session.start_transaction().await.unwrap();
        orders
            .delete_many(doc! {})
            .session(&mut session)
            .await
            .unwrap();
        session.abort_transaction().await.unwrap();
        assert_eq!(
            all(&client, "shop", "orders").await,
            [doc! { "_id": 1, "a": 11 }, doc! { "_id": 3 }]
        );
    });
}

#[test]
fn what_the_oplog_has_forgotten_is_lost_to_who_followed_it() {
    let (_dir, mongo) = started();
    run(async {
        let client = client(&mongo).await;
        let local = client.database("local");
        let orders = client.database("shop").collection::<Document>("orders");
        orders
            .insert_many((0..20).map(|n| doc! { "_id": n }))
            .await
            .unwrap();
        let find = doc! { "find": "oplog.rs", "tailable": true, "awaitData": true, "batchSize": 3 };
        let opened = local.run_command(find).await.unwrap();
        let id = opened
            .get_document("cursor")
            .unwrap()
            .get_i64("id")
            .unwrap();
        assert_ne!(id, 0);
        admin(&client, doc! { "simulate": { "rollOplog": 10 } }).await;
        let more = doc! { "getMore": id, "collection": "oplog.rs", "maxTimeMS": 100 };
        assert_eq!(
            code(&local.run_command(more.clone()).await.unwrap_err()),
            136
        );
        assert_eq!(code(&local.run_command(more).await.unwrap_err()), 43);
    });
}

#[test]
fn a_rollback_takes_back_what_was_written_and_goes_on_in_a_new_term() {
    let (_dir, mongo) = started();
    run(async {
        let client = client(&mongo).await;
        let shop = client.database("shop");
        let orders = shop.collection::<Document>("orders");
        let unique = IndexOptions::builder().unique(true).build();
        orders
            .create_index(
                IndexModel::builder()
                    .keys(doc! { "u": 1 })
                    .options(unique)
                    .build(),
            )
            .await
            .unwrap();
        orders
            .insert_many((0..5).map(|n| doc! { "_id": n, "u": n }))
            .await
            .unwrap();
        orders
            .update_one(doc! { "_id": 0 }, doc! { "$set": { "u": 77 } })
            .await
            .unwrap();
        orders.delete_one(doc! { "_id": 1 }).await.unwrap();
        orders.insert_one(doc! { "_id": 6, "u": 6 }).await.unwrap();
        shop.create_collection("later").await.unwrap();
        admin(&client, doc! { "simulate": { "rollback": 4 } }).await;
        let expected: Vec<Document> = (0..5).map(|n| doc! { "_id": n, "u": n }).collect();
        assert_eq!(all(&client, "shop", "orders").await, expected);
        assert_eq!(shop.list_collection_names().await.unwrap(), ["orders"]);
        assert_eq!(
            code(
                &orders
                    .insert_one(doc! { "_id": 9, "u": 3 })
                    .await
                    .unwrap_err()
            ),
            11000
        );
        orders.insert_one(doc! { "_id": 9, "u": 77 }).await.unwrap();
        let status = admin(&client, doc! { "replSetGetStatus": 1 }).await;
        assert_eq!(status.get_i64("term").unwrap(), 2);
        let oplog = all(&client, "local", "oplog.rs").await;
        let stamps: Vec<Timestamp> = oplog
            .iter()
            .map(|entry| entry.get_timestamp("ts").unwrap())
            .collect();
        assert!(stamps.is_sorted_by(|a, b| a < b));
    });
}

#[test]
fn users_do_what_their_roles_allow() {
    let user = |name: &str, roles: &[&str]| NewUser {
        name: name.to_owned(),
        password: format!("{name}-secret"),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
    };
    let settings = Settings {
        users: vec![
            user("chief", &["root"]),
            user("saver", &["backup"]),
            user("guest", &["read@shop"]),
        ],
        ..Settings::default()
    };
    let mongo = Mongo::with(&settings).unwrap();
    run(async {
        let by = async |name: &str, password: &str| {
            Client::with_uri_str(mongo.uri_of(name, password))
                .await
                .unwrap()
        };
        let chief = by("chief", "chief-secret").await;
        chief
            .database("shop")
            .collection("a")
            .insert_one(doc! { "_id": 1 })
            .await
            .unwrap();
        let saver = by("saver", "saver-secret").await;
        assert_eq!(all(&saver, "shop", "a").await.len(), 1);
        assert!(!all(&saver, "local", "oplog.rs").await.is_empty());
        assert_eq!(all(&saver, "admin", "system.users").await.len(), 3);
        let error = saver
            .database("shop")
            .collection("a")
            .insert_one(doc! { "_id": 2 })
            .await
            .unwrap_err();
        assert_eq!(code(&error), 13);
        let guest = by("guest", "guest-secret").await;
        assert_eq!(all(&guest, "shop", "a").await.len(), 1);
        assert_eq!(
            code(
                &guest
                    .database("other")
                    .collection::<Document>("a")
                    .find_one(doc! {})
                    .await
                    .unwrap_err()
            ),
            13
        );
        let wrong = by("guest", "wrong").await;
        assert!(
            wrong
                .database("shop")
                .collection::<Document>("a")
                .find_one(doc! {})
                .await
                .is_err()
        );
        let nobody = client(&mongo).await;
        assert_eq!(
            code(
                &nobody
                    .database("shop")
                    .collection::<Document>("a")
                    .find_one(doc! {})
                    .await
                    .unwrap_err()
            ),
            13
        );
    });
}

#[test]
fn a_test_makes_the_server_fail_as_it_likes() {
    let (_dir, mongo) = started();
    run(async {
        let client = client(&mongo).await;
        let other = Client::with_uri_str(mongo.uri()).await.unwrap();
        let shop = client.database("shop");
        let orders = shop.collection::<Document>("orders");
        orders.insert_one(doc! { "_id": 1 }).await.unwrap();

        admin(
            &client,
            doc! { "simulate": { "refuse": "find", "code": 13, "times": 2 } },
        )
        .await;
        for _ in 0..2 {
            assert_eq!(code(&orders.find_one(doc! {}).await.unwrap_err()), 13);
        }
        assert!(orders.find_one(doc! {}).await.unwrap().is_some());

        admin(&client, doc! { "simulate": { "freeze": 300 } }).await;
        let begun = std::time::Instant::now();
        admin(&client, doc! { "ping": 1 }).await;
        assert!(begun.elapsed() >= Duration::from_millis(250));

        // What a driver tries again by itself succeeds in spite of it.
        admin(&client, doc! { "simulate": { "dropConnections": true } }).await;
        assert!(
            other
                .database("shop")
                .collection::<Document>("orders")
                .find_one(doc! {})
                .await
                .unwrap()
                .is_some()
        );

        admin(&client, doc! { "simulate": { "stepDown": 300 } }).await;
        let greeting = admin(&other, doc! { "hello": 1 }).await;
        assert!(
            !greeting.get_bool("isWritablePrimary").unwrap()
                && greeting.get_bool("secondary").unwrap()
        );
        let write = shop.run_command(doc! { "insert": "orders", "documents": [{ "_id": 2 }] });
        assert_eq!(code(&write.await.unwrap_err()), 10107);
        // It waits for the primary to be back.
        orders.insert_one(doc! { "_id": 3 }).await.unwrap();
        let status = admin(&client, doc! { "replSetGetStatus": 1 }).await;
        assert_eq!(status.get_i64("term").unwrap(), 2);

        assert_eq!(
            code(
                &client
                    .database("admin")
                    .run_command(doc! { "simulate": { "none": 1 } })
                    .await
                    .unwrap_err()
            ),
            2
        );
    });
}

#[test]
fn a_write_that_is_asked_for_again_is_done_once() {
    let (_dir, mongo) = started();
    run(async {
        let client = client(&mongo).await;
        let shop = client.database("shop");
        let lsid = doc! { "id": mongodb::bson::Uuid::from_bytes([3; 16]) };
        let write = doc! {
            "update": "a", "updates": [{ "q": { "_id": 1 }, "u": { "$inc": { "n": 1 } }, "upsert": true }],
            "lsid": lsid, "txnNumber": 1_i64,
        };
        for _ in 0..3 {
            let done = shop.run_command(write.clone()).await.unwrap();
            assert_eq!(done.get_i32("n").unwrap(), 1);
        }
        assert_eq!(all(&client, "shop", "a").await, [doc! { "_id": 1, "n": 1 }]);
    });
}
