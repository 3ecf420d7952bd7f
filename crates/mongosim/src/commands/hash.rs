//! Digests of the collections of a database: equal for equal contents, and not those of a real server.

use bson::{Bson, Document, doc};
use md5::{Digest, Md5};

use super::{Call, read};
use crate::fault::Answer;
use crate::order::compare;
use crate::session::View;

pub(super) fn command(call: &Call<'_>) -> Answer {
    let shared = call.server.lock();
    let at = read::moment(call, &shared.state)?;
    let view = View {
        state: &shared.state,
        at,
        transaction: None,
    };
    let only: Option<Vec<&str>> = call
        .body
        .get_array("collections")
        .ok()
        .map(|names| names.iter().filter_map(Bson::as_str).collect());
    let prefix = format!("{}.", call.database);
    let (mut hashes, mut uuids) = (Document::new(), Document::new());
    let mut all = Md5::new();
    for (namespace, collection) in shared.state.catalog_at(at) {
        let Some(name) = namespace.strip_prefix(&prefix) else {
            continue;
        };
        let wanted = only
            .as_ref()
            .is_none_or(|only| only.is_empty() || only.contains(&name));
        if collection.is_view()
            || !wanted
            || (name.starts_with("system.") && name != "system.js" && call.database != "admin")
        {
            continue;
        }
        let mut documents: Vec<_> = view
            .scan(collection.uuid, None)
            .into_iter()
            .map(|(_, document)| document)
            .collect();
        let id = |document: &Document| document.get("_id").cloned().unwrap_or(Bson::Null);
        documents.sort_by(|a, b| compare(&id(a), &id(b)));
        let mut own = Md5::new();
        for document in documents {
            own.update(document.to_vec().unwrap_or_default());
        }
        let hash = hex::encode(own.finalize());
        all.update(name);
        all.update(&hash);
        hashes.insert(name, hash);
        uuids.insert(name, collection.uuid);
    }
    Ok(doc! {
        "host": call.server.me.as_str(), "collections": hashes, "capped": [], "uuids": uuids,
        "md5": hex::encode(all.finalize()), "timeMillis": 0,
    })
}
