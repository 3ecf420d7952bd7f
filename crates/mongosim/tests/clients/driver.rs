//! The official driver for Rust as a client of the simulator.

use std::time::Duration;

use crate::common::{admin, all, client, code, run, started};
use futures_util::{StreamExt, TryStreamExt};
use mongodb::Client;
use mongodb::bson::{Bson, Document, Timestamp, doc};
use mongodb::options::CursorType;
use vouchsafe_mongosim::{Mongo, NewUser, Settings};

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
