//! What a test may do to the simulator, as the official driver for Rust sees it.

use std::time::Duration;

use crate::common::{admin, all, client, code, run, started};
use mongodb::bson::{Document, Timestamp, doc};
use mongodb::options::IndexOptions;
use mongodb::{Client, IndexModel};
use vouchsafe_mongosim::{Mongo, Settings};

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
