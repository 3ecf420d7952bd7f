//! Commands that declare indexes and take them away. Nothing is looked up by them; unique ones are kept to.

use bson::{Bson, Document, doc};

use super::Call;
use crate::fault::{
    Answer, BAD_VALUE, Fault, INDEX_CONFLICT, INDEX_NOT_FOUND, INVALID_OPTIONS,
    NAMESPACE_NOT_FOUND, number,
};
use crate::state::State;

pub(super) fn create(call: &Call<'_>) -> Answer {
    let namespace = call.namespace()?;
    let specs = call.documents("indexes")?;
    let mut shared = call.server.lock();
    let state = &mut shared.state;
    let automatically = !state.catalog().contains_key(&namespace);
    let before = state.ensure(&namespace)?.indexes.len();
    for spec in specs {
        declare(state, &namespace, spec)?;
    }
    let after = state.collection(&namespace)?.indexes.len();
    call.server.wake();
    Ok(doc! {
        "numIndexesBefore": number(before), "numIndexesAfter": number(after),
        "createdCollectionAutomatically": automatically,
    })
}

/// Declares an index, unless it is there just so.
pub(super) fn declare(state: &mut State, namespace: &str, spec: &Document) -> Result<(), Fault> {
    let spec = normal(spec)?;
    let name = spec.get_str("name").unwrap_or_default();
    let collection = state.collection(namespace)?;
    if collection.is_view() {
        return Err(Fault::new(
            crate::fault::VIEW_UNSUPPORTED,
            format!("{namespace} is a view"),
        ));
    }
    for index in &collection.indexes {
        let same_key = index.get("key") == spec.get("key");
        let same_name = index.get_str("name").ok() == Some(name);
        let of_id = name == "_id_" || index.get_str("name").ok() == Some("_id_");
        if same_key && (of_id || (same_name && same_options(index, &spec))) {
            return Ok(());
        }
        if same_name {
            let message =
                format!("An existing index has the same name as the requested index: {name}");
            return Err(Fault::new(INDEX_CONFLICT, message));
        }
        if same_key && same_options(index, &spec) {
            let message = format!("Index already exists with a different name: {index}");
            return Err(Fault::new(85, message));
        }
    }
    state.create_index(namespace, spec)
}

fn same_options(a: &Document, b: &Document) -> bool {
    let own = |document: &Document| {
        let mut fields: Vec<(String, Bson)> = document
            .iter()
            .filter(|(name, _)| !["v", "name", "ns", "background"].contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        fields
    };
    own(a) == own(b)
}

/// As the server keeps it: version, key, name, then the rest.
fn normal(spec: &Document) -> Result<Document, Fault> {
    let wrong = |what: &str| Fault::new(BAD_VALUE, format!("an index needs {what}"));
    let key = spec.get_document("key").map_err(|_| wrong("a key"))?;
    let name = spec.get_str("name").map_err(|_| wrong("a name"))?;
    if key.is_empty() {
        return Err(wrong("at least one field"));
    }
    let mut out = doc! { "v": 2, "key": key.clone(), "name": name };
    let rest = spec
        .iter()
        .filter(|(name, _)| !["v", "key", "name", "ns"].contains(&name.as_str()));
    out.extend(rest.map(|(name, value)| (name.clone(), value.clone())));
    Ok(out)
}

pub(super) fn drop_some(call: &Call<'_>) -> Answer {
    let namespace = call.namespace()?;
    let mut shared = call.server.lock();
    let which = call.body.get("index").cloned().unwrap_or(Bson::Null);
    let before = take_out(&mut shared.state, &namespace, &which)?;
    call.server.wake();
    Ok(doc! { "nIndexesWas": number(before) })
}

/// Takes indexes out by name, by key, or all; returns how many there were.
pub(super) fn take_out(state: &mut State, namespace: &str, which: &Bson) -> Result<usize, Fault> {
    let collection = state
        .collection(namespace)
        .map_err(|_| Fault::new(NAMESPACE_NOT_FOUND, format!("ns not found {namespace}")))?;
    let names: Vec<&Bson> = match which {
        Bson::Array(names) => names.iter().collect(),
        one => vec![one],
    };
    let mut chosen: Vec<&Document> = Vec::new();
    for name in names {
        let found: Vec<&Document> = collection
            .indexes
            .iter()
            .filter(|index| match name {
                Bson::String(all) if all == "*" => index.get_str("name").ok() != Some("_id_"),
                Bson::String(name) => index.get_str("name").ok() == Some(name),
                Bson::Document(key) => index.get_document("key").ok() == Some(key),
                _ => false,
            })
            .collect();
        if found.is_empty() && name != &Bson::from("*") {
            return Err(Fault::new(
                INDEX_NOT_FOUND,
                format!("index not found with name [{name}]"),
            ));
        }
        chosen.extend(found);
    }
    if chosen
        .iter()
        .any(|index| index.get_str("name").ok() == Some("_id_"))
    {
        return Err(Fault::new(INVALID_OPTIONS, "cannot drop _id index"));
    }
    for index in chosen {
        state.drop_index(namespace, index)?;
    }
    Ok(collection.indexes.len())
}
