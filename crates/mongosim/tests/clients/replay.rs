//! An oplog applied elsewhere leads to the same contents, also when a part of it is applied once more.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use futures_util::TryStreamExt;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::{IndexOptions, ValidationLevel};
use mongodb::{Client, IndexModel};
use vouchsafe_mongosim::Mongo;

const PATIENCE: Duration = Duration::from_secs(120);

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

async fn entries(client: &Client) -> Vec<Document> {
    let oplog = client.database("local").collection::<Document>("oplog.rs");
    oplog
        .find(doc! {})
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap()
}

async fn hash(client: &Client, database: &str) -> Document {
    let hash = client
        .database(database)
        .run_command(doc! { "dbHash": 1 })
        .await
        .unwrap();
    hash.get_document("collections").unwrap().clone()
}

/// Of every kind of entry at least one.
async fn lively(client: &Client) {
    let shop = client.database("shop");
    let orders = shop.collection::<Document>("orders");
    orders
        .insert_many((0..50).map(
            |n| doc! { "_id": n, "n": n, "list": [1, 2, { "x": n }], "in": { "a": 1, "b": 2 } },
        ))
        .await
        .unwrap();
    for n in 0..50 {
        let change = match n % 5 {
            0 => doc! { "$set": { "in.a": 9, "list.2.x": -1 }, "$unset": { "n": "" } },
            1 => doc! { "$push": { "list": "more" }, "$inc": { "n": 5 } },
            2 => doc! { "$set": { "in": { "b": 2, "a": 1 } } },
            3 => doc! { "$set": { "list": [7] } },
            _ => doc! { "$rename": { "n": "m" }, "$set": { "z": 1 } },
        };
        orders.update_one(doc! { "_id": n }, change).await.unwrap();
    }
    orders
        .replace_one(doc! { "_id": 3 }, doc! { "whole": true })
        .await
        .unwrap();
    orders
        .delete_many(doc! { "_id": { "$gte": 45 } })
        .await
        .unwrap();
    let unique = IndexOptions::builder().unique(true).sparse(true).build();
    orders
        .create_index(
            IndexModel::builder()
                .keys(doc! { "m": 1 })
                .options(unique)
                .build(),
        )
        .await
        .unwrap();
    let empty = shop.collection::<Document>("empty");
    empty
        .create_index(IndexModel::builder().keys(doc! { "t": -1, "u": 1 }).build())
        .await
        .unwrap();
    empty
        .create_index(IndexModel::builder().keys(doc! { "gone": 1 }).build())
        .await
        .unwrap();
    empty.drop_index("gone_1").await.unwrap();
    shop.create_collection("kept")
        .validator(doc! { "a": { "$exists": true } })
        .validation_level(ValidationLevel::Moderate)
        .await
        .unwrap();
    shop.run_command(doc! { "collMod": "kept", "validator": {} })
        .await
        .unwrap();
    shop.create_collection("ring")
        .capped(true)
        .size(4096)
        .await
        .unwrap();
    shop.create_collection("seen")
        .view_on("orders")
        .pipeline([doc! { "$match": { "z": 1 } }])
        .await
        .unwrap();
    shop.collection::<Document>("a")
        .insert_one(doc! { "_id": "a" })
        .await
        .unwrap();
    shop.collection::<Document>("b")
        .insert_one(doc! { "_id": "b" })
        .await
        .unwrap();
    client
        .database("admin")
        .run_command(doc! { "renameCollection": "shop.a", "to": "shop.b", "dropTarget": true })
        .await
        .unwrap();
    client
        .database("gone")
        .collection("x")
        .insert_one(doc! { "_id": 1 })
        .await
        .unwrap();
    client.database("gone").drop().await.unwrap();
    let mut session = client.start_session().await.unwrap();
    session.start_transaction().await.unwrap();
    orders
        .insert_one(doc! { "_id": 100 })
        .session(&mut session)
        .await
        .unwrap();
    empty
        .insert_one(doc! { "_id": 100 })
        .session(&mut session)
        .await
        .unwrap();
    session.commit_transaction().await.unwrap();
    client
        .database("admin")
        .run_command(doc! { "appendOplogNote": 1, "data": { "msg": "token" } })
        .await
        .unwrap();
}

async fn apply(client: &Client, entries: &[Document]) {
    let entries: Vec<Bson> = entries.iter().cloned().map(Bson::Document).collect();
    client
        .database("admin")
        .run_command(doc! { "applyOps": entries })
        .await
        .unwrap();
}

async fn declared(client: &Client) -> Vec<Document> {
    let listed = client
        .database("shop")
        .run_command(doc! { "listCollections": 1 })
        .await
        .unwrap();
    let mut found: Vec<Document> = listed
        .get_document("cursor")
        .unwrap()
        .get_array("firstBatch")
        .unwrap()
        .iter()
        .map(|one| one.as_document().unwrap().clone())
        .collect();
    for one in &mut found {
        let name = one.get_str("name").unwrap().to_owned();
        if one.get_str("type").unwrap() == "collection" {
            let listed = client
                .database("shop")
                .run_command(doc! { "listIndexes": name })
                .await
                .unwrap();
            let indexes = listed
                .get_document("cursor")
                .unwrap()
                .get_array("firstBatch")
                .unwrap()
                .clone();
            one.insert("indexes", indexes);
        }
    }
    found
}

fn mongo(dir: &Path) -> Mongo {
    Mongo::start(dir)
}

#[test]
fn an_oplog_leads_to_the_same_and_once_more_does_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (mongo(dir.path()), mongo(dir.path()));
    run(async {
        let source = Client::with_uri_str(from.uri()).await.unwrap();
        let target = Client::with_uri_str(to.uri()).await.unwrap();
        lively(&source).await;
        let entries = entries(&source).await;
        for part in entries.chunks(7) {
            apply(&target, part).await;
        }
        assert_eq!(hash(&target, "shop").await, hash(&source, "shop").await);
        assert_eq!(declared(&target).await, declared(&source).await);
        // A part that changes documents only, over the state that it led to.
        let documents: Vec<Document> = entries
            .iter()
            .filter(|e| ["u", "i", "d"].contains(&e.get_str("op").unwrap()))
            .cloned()
            .collect();
        let orders = documents
            .iter()
            .filter(|entry| entry.get_str("ns").unwrap() == "shop.orders");
        let orders: Vec<Document> = orders.cloned().collect();
        apply(&target, &orders).await;
        assert_eq!(hash(&target, "shop").await, hash(&source, "shop").await);
        let seen = target.database("shop").collection::<Document>("seen");
        assert_eq!(seen.count_documents(doc! {}).await.unwrap(), 9);
        source
            .database("shop")
            .collection("orders")
            .insert_one(doc! { "_id": 101 })
            .await
            .unwrap();
        assert_ne!(hash(&target, "shop").await, hash(&source, "shop").await);
    });
}

#[test]
fn an_entry_for_a_collection_that_is_not_there_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let to = mongo(dir.path());
    run(async {
        let target = Client::with_uri_str(to.uri()).await.unwrap();
        let entry = doc! { "op": "i", "ns": "shop.none", "o": { "_id": 1 } };
        let error = target
            .database("admin")
            .run_command(doc! { "applyOps": [entry] })
            .await
            .unwrap_err();
        assert!(error.to_string().contains("missing collection"), "{error}");
    });
}
