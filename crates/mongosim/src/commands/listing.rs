//! What there is: databases, collections, indexes, and how large they are.

use std::collections::VecDeque;
use std::sync::Arc;

use bson::{Bson, Document, doc};

use super::{Call, read};
use crate::fault::{Answer, Fault, NAMESPACE_NOT_FOUND, VIEW_UNSUPPORTED, number};
use crate::filter::matches;
use crate::state::{Collection, OPLOG, State, VIEWS};

pub(super) fn databases(call: &Call<'_>) -> Answer {
    call.only_admin()?;
    let shared = call.server.lock();
    let filter = call.document("filter")?;
    let mut listed = Vec::new();
    let mut total = 0;
    for name in shared.state.databases() {
        let size = database_size(&shared.state, &name);
        total += size;
        let all = doc! { "name": &name, "sizeOnDisk": size, "empty": false };
        if matches(&filter, &all)? {
            listed.push(match call.flag("nameOnly") {
                true => Bson::Document(doc! { "name": name }),
                false => Bson::Document(all),
            });
        }
    }
    let mut reply = doc! { "databases": listed };
    if !call.flag("nameOnly") {
        reply.insert("totalSize", total);
        reply.insert("totalSizeMb", total / 1_048_576);
    }
    Ok(reply)
}

fn database_size(state: &State, database: &str) -> i64 {
    let in_it = state
        .in_database(database)
        .map(|(_, collection)| collection_size(state, collection).1);
    in_it.sum::<i64>().saturating_add(4096)
}

/// How many documents, and how many bytes they take.
fn collection_size(state: &State, collection: &Collection) -> (usize, i64) {
    let Some(records) = state.records(collection.uuid) else {
        return (0, 0);
    };
    let sizes = records
        .scan(None, None)
        .map(|(_, document)| document.to_vec().map_or(0, |bytes| bytes.len()));
    let (count, bytes) = sizes.fold((0, 0), |(count, bytes), size| (count + 1, bytes + size));
    (count, i64::try_from(bytes).unwrap_or(i64::MAX))
}

pub(super) fn collections(call: &Call<'_>) -> Answer {
    let mut shared = call.server.lock();
    let filter = call.document("filter")?;
    let mut listed = VecDeque::new();
    let mut entries: Vec<Document> = shared
        .state
        .in_database(call.database)
        .map(|(name, collection)| describe(name, collection))
        .collect();
    if call.database == "local" {
        let options = doc! { "capped": true, "size": 1_i64 << 30, "autoIndexId": false };
        entries.push(doc! { "name": "oplog.rs", "type": "collection", "options": options, "info": { "readOnly": false } });
    }
    for entry in entries {
        if matches(&filter, &entry)? {
            listed.push_back(Arc::new(match call.flag("nameOnly") {
                true => entry
                    .into_iter()
                    .filter(|(name, _)| name == "name" || name == "type")
                    .collect(),
                false => entry,
            }));
        }
    }
    let namespace = format!("{}.$cmd.listCollections", call.database);
    read::open(&mut shared, call, read::fixed(namespace, listed, None))
}

fn describe(name: &str, collection: &Collection) -> Document {
    let options = collection.options.clone();
    match collection.is_view() {
        true => {
            doc! { "name": name, "type": "view", "options": options, "info": { "readOnly": true } }
        }
        false => {
            let mut entry = doc! {
                "name": name, "type": "collection", "options": options,
                "info": { "readOnly": false, "uuid": collection.uuid },
            };
            if let Some(index) = collection.indexes.first() {
                entry.insert("idIndex", index.clone());
            }
            entry
        }
    }
}

pub(super) fn indexes(call: &Call<'_>) -> Answer {
    let mut shared = call.server.lock();
    let namespace = match call.body.get("listIndexes") {
        Some(Bson::Binary(_)) => read::by_uuid(&shared.state, call.body.get("listIndexes"))?,
        _ => call.namespace()?,
    };
    let listed = match shared.state.catalog().get(&namespace) {
        Some(collection) if collection.is_view() => {
            return Err(Fault::new(
                VIEW_UNSUPPORTED,
                format!("Namespace {namespace} is a view, not a collection"),
            ));
        }
        Some(collection) => collection.indexes.iter().cloned().map(Arc::new).collect(),
        None if namespace == OPLOG => VecDeque::new(),
        None => {
            return Err(Fault::new(
                NAMESPACE_NOT_FOUND,
                format!("ns does not exist: {namespace}"),
            ));
        }
    };
    read::open(&mut shared, call, read::fixed(namespace, listed, None))
}

pub(super) fn collection_stats(call: &Call<'_>) -> Answer {
    let namespace = call.namespace()?;
    let shared = call.server.lock();
    let (count, bytes, indexes, capped) = match shared.state.catalog().get(&namespace) {
        Some(collection) => {
            let (count, bytes) = collection_size(&shared.state, collection);
            (
                count,
                bytes,
                collection.indexes.len(),
                collection
                    .options
                    .get("capped")
                    .is_some_and(crate::filter::truth),
            )
        }
        None if namespace == OPLOG => {
            let sizes = shared
                .state
                .oplog()
                .iter()
                .map(|entry| entry.to_vec().map_or(0, |bytes| bytes.len()));
            (
                shared.state.oplog().len(),
                i64::try_from(sizes.sum::<usize>()).unwrap_or(i64::MAX),
                0,
                true,
            )
        }
        None => (0, 0, 0, false),
    };
    Ok(doc! {
        "ns": namespace, "count": number(count), "size": bytes, "storageSize": bytes, "nindexes": number(indexes),
        "capped": capped, "totalSize": bytes, "maxSize": 1_i64 << 30, "totalIndexSize": 0, "indexSizes": {},
    })
}

pub(super) fn database_stats(call: &Call<'_>) -> Answer {
    let shared = call.server.lock();
    let (mut objects, mut bytes, mut collections, mut views) = (0, 0, 0, 0);
    for (name, collection) in shared.state.in_database(call.database) {
        match collection.is_view() {
            true => views += 1,
            false if name == VIEWS => {}
            false => {
                let (count, size) = collection_size(&shared.state, collection);
                objects += count;
                bytes += size;
                collections += 1;
            }
        }
    }
    Ok(doc! {
        "db": call.database, "collections": collections, "views": views, "objects": number(objects),
        "dataSize": bytes, "storageSize": bytes, "totalSize": bytes,
    })
}
