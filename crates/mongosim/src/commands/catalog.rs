//! Commands that make, change and remove collections.

use bson::{Bson, Document, doc};

use super::Call;
use crate::fault::{
    Answer, Fault, ILLEGAL_OPERATION, INDEX_NOT_FOUND, INVALID_OPTIONS, NAMESPACE_EXISTS,
    NAMESPACE_NOT_FOUND, NOT_SUPPORTED, number,
};
use crate::state::{State, split};

/// Fields of every command, which say nothing of a collection.
const GENERIC: &[&str] = &[
    "writeConcern",
    "comment",
    "lsid",
    "txnNumber",
    "maxTimeMS",
    "apiVersion",
    "apiStrict",
    "apiDeprecationErrors",
    "idIndex",
    "autoIndexId",
    "temp",
    "stmtId",
    "autocommit",
    "startTransaction",
    "readConcern",
    "flags",
];

/// The fields of a `create` that are the collection's options.
pub(super) fn options(body: &Document) -> Document {
    let own = body
        .iter()
        .skip(1)
        .filter(|(name, _)| !name.starts_with('$') && !GENERIC.contains(&name.as_str()));
    own.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Makes a collection or a view by a command of a client or of the oplog.
pub(super) fn make(
    state: &mut State,
    namespace: &str,
    body: &Document,
    uuid: Option<bson::Uuid>,
) -> Result<(), Fault> {
    if body.contains_key("timeseries") {
        let message = format!("{namespace}: the simulator has no time-series collections");
        return Err(Fault::new(NOT_SUPPORTED, message));
    }
    let mut options = options(body);
    if options
        .get("capped")
        .is_some_and(|capped| !crate::filter::truth(capped))
    {
        options.remove("capped");
    }
    if options.contains_key("viewOn") {
        if !options.contains_key("pipeline") {
            options.insert("pipeline", Vec::<Bson>::new());
        }
        return state.create_view(namespace, options);
    }
    if options.contains_key("capped") && !options.contains_key("size") {
        return Err(Fault::new(
            INVALID_OPTIONS,
            "the 'size' field is required when 'capped' is true",
        ));
    }
    if options.is_empty()
        && uuid.is_none()
        && state
            .catalog()
            .get(namespace)
            .is_some_and(|c| c.options.is_empty())
    {
        // As it is already.
        return Ok(());
    }
    state.create(namespace, options, uuid).map(drop)
}

pub(super) fn create(call: &Call<'_>) -> Answer {
    let namespace = call.namespace()?;
    let mut shared = call.server.lock();
    make(&mut shared.state, &namespace, call.body, None)?;
    call.server.wake();
    Ok(Document::new())
}

pub(super) fn drop_collection(call: &Call<'_>) -> Answer {
    let namespace = call.namespace()?;
    let mut shared = call.server.lock();
    // What is not there is not there afterwards either: since 7.0 that is no failure.
    if !shared.state.catalog().contains_key(&namespace) {
        return Ok(Document::new());
    }
    let dropped = shared.state.drop_collection(&namespace)?;
    call.server.wake();
    Ok(doc! { "nIndexesWas": number(dropped.indexes.len()), "ns": namespace })
}

pub(super) fn drop_database(call: &Call<'_>) -> Answer {
    if ["admin", "local", "config"].contains(&call.database) {
        let message = format!("Dropping the '{}' database is prohibited.", call.database);
        return Err(Fault::new(ILLEGAL_OPERATION, message));
    }
    let mut shared = call.server.lock();
    shared.state.drop_database(call.database)?;
    call.server.wake();
    Ok(doc! { "dropped": call.database })
}

pub(super) fn rename(call: &Call<'_>) -> Answer {
    call.only_admin()?;
    let wrong =
        |name: &str| Fault::new(INVALID_OPTIONS, format!("'{name}' must name a collection"));
    let from = call
        .body
        .get_str("renameCollection")
        .map_err(|_| wrong("renameCollection"))?;
    let to = call.body.get_str("to").map_err(|_| wrong("to"))?;
    let mut shared = call.server.lock();
    let source = shared.state.catalog().get(from).cloned();
    let source = source.ok_or_else(|| {
        Fault::new(
            NAMESPACE_NOT_FOUND,
            format!("Source collection {from} does not exist"),
        )
    })?;
    if source.is_view() {
        return Err(Fault::new(
            super::super::fault::VIEW_UNSUPPORTED,
            format!("cannot rename view: {from}"),
        ));
    }
    if split(from).0 != split(to).0 {
        return Err(Fault::new(
            NOT_SUPPORTED,
            "the simulator renames within one database only",
        ));
    }
    if from == to {
        return Err(Fault::new(
            ILLEGAL_OPERATION,
            "Can't rename a collection to itself",
        ));
    }
    if shared.state.catalog().contains_key(to) && !call.flag("dropTarget") {
        return Err(Fault::new(NAMESPACE_EXISTS, "target namespace exists"));
    }
    shared.state.rename(from, to, true)?;
    call.server.wake();
    Ok(Document::new())
}

pub(super) fn modify(call: &Call<'_>) -> Answer {
    let namespace = call.namespace()?;
    let mut shared = call.server.lock();
    let reply = alter(&mut shared.state, &namespace, call.body)?;
    call.server.wake();
    Ok(reply)
}

/// What `collMod` does to a collection, by a client or by the oplog.
pub(super) fn alter(state: &mut State, namespace: &str, body: &Document) -> Answer {
    let collection = state.collection(namespace)?;
    let (database, name) = split(namespace);
    let mut o = doc! { "collMod": name };
    let mut o2 = doc! { "collectionOptions_old": collection.options.clone() };
    let mut changed = collection.as_ref().clone();
    let mut reply = Document::new();
    for (field, value) in options(body) {
        match field.as_str() {
            "validator"
            | "validationLevel"
            | "validationAction"
            | "changeStreamPreAndPostImages"
            | "pipeline"
            | "viewOn" => {
                changed.options.insert(field.clone(), value.clone());
            }
            "index" => {
                let (old, new) = index(&mut changed.indexes, &value)?;
                o2.insert("indexOptions_old", old.clone());
                reply.extend(differences(&old, &new));
            }
            other => {
                let message = format!("the simulator's collMod does not know '{other}'");
                return Err(Fault::new(NOT_SUPPORTED, message));
            }
        }
        o.insert(field, value);
    }
    if collection.is_view() {
        let message = format!("{namespace}: the simulator does not change views");
        return Err(Fault::new(NOT_SUPPORTED, message));
    }
    if changed
        .options
        .get_document("validator")
        .is_ok_and(Document::is_empty)
    {
        changed.options.remove("validator");
    }
    let entry = doc! { "op": "c", "ns": format!("{database}.$cmd"), "ui": collection.uuid, "o": o, "o2": o2 };
    state.modify(namespace, entry, |collection| *collection = changed);
    Ok(reply)
}

fn index(indexes: &mut [Document], change: &Bson) -> Result<(Document, Document), Fault> {
    let change = change.as_document().cloned().unwrap_or_default();
    let wanted =
        |index: &&mut Document| match (change.get_str("name"), change.get_document("keyPattern")) {
            (Ok(name), _) => index.get_str("name").ok() == Some(name),
            (_, Ok(key)) => index.get_document("key").ok() == Some(key),
            _ => false,
        };
    let found = indexes.iter_mut().find(wanted);
    let found =
        found.ok_or_else(|| Fault::new(INDEX_NOT_FOUND, format!("cannot find index {change}")))?;
    let old = found.clone();
    for (name, value) in change
        .iter()
        .filter(|(name, _)| !["name", "keyPattern"].contains(&name.as_str()))
    {
        match (name.as_str(), crate::filter::truth(value)) {
            ("hidden", false) => drop(found.remove("hidden")),
            ("hidden" | "expireAfterSeconds" | "unique" | "prepareUnique", _) => {
                drop(found.insert(name, value.clone()))
            }
            _ => {
                let message = format!("the simulator's collMod does not know '{name}' of an index");
                return Err(Fault::new(NOT_SUPPORTED, message));
            }
        }
    }
    Ok((old, found.clone()))
}

fn differences(old: &Document, new: &Document) -> Document {
    let mut out = Document::new();
    for name in ["hidden", "expireAfterSeconds"] {
        if old.get(name) != new.get(name) {
            out.insert(
                format!("{name}_old"),
                old.get(name).cloned().unwrap_or(Bson::Boolean(false)),
            );
            out.insert(
                format!("{name}_new"),
                new.get(name).cloned().unwrap_or(Bson::Boolean(false)),
            );
        }
    }
    out
}
